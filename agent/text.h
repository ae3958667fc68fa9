/* Bytes from a store as text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Valid UTF-8 without NUL: can be a JSON string and comes back the same. Pure. */
bool text_is_plain(const char *s, size_t len);
/* What is no UTF-8, and NUL, as \xNN; free() it. Pure. */
char *text_escape(const char *s, size_t len);
