/* A growing byte buffer, always NUL-terminated, that cannot grow beyond its limit. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#define BUF_LIMIT_DEFAULT ((size_t)64 << 20)

struct buf {
    char *data; /* never NULL from buf_init() to buf_take() or buf_release() */
    size_t len;
    size_t limit;
    bool overflow; /* an append did not fit: the content is truncated, later appends do nothing */
    size_t cap;
};

void buf_init(struct buf *b, size_t limit); /* limit 0: BUF_LIMIT_DEFAULT */
void buf_release(struct buf *b);            /* a zeroed or released buf may be released again */
void buf_clear(struct buf *b);
void buf_add(struct buf *b, const void *data, size_t len);
void buf_addc(struct buf *b, char c);
void buf_adds(struct buf *b, const char *s);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vaddf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* The content is the caller's now (free()); the buf is empty, holds no memory and may be used
 * again. */
char *buf_take(struct buf *b);
