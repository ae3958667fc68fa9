/* UTF-8, as far as output needs it: what is valid and how wide it is. */
#pragma once

#include <stddef.h>

#define UTF8_REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

/* Length (1..4) of the valid sequence at s, which ends in NUL at the latest; 0 when invalid. */
size_t utf8_sequence(const char *s);

/* Number of characters; an invalid byte counts as one. */
size_t utf8_width(const char *s);
