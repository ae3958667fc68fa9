#include "kvsh/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/mem.h"

enum { BUF_FIRST = 64 };

void buf_init(struct buf *b, size_t limit)
{
    *b = (struct buf){.limit = limit ? limit : BUF_LIMIT_DEFAULT, .cap = BUF_FIRST};
    b->data = xcalloc(1, BUF_FIRST);
}

void buf_release(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

void buf_clear(struct buf *b)
{
    if (!b->data)
        buf_init(b, b->limit);
    b->len = 0;
    b->overflow = false;
    b->data[0] = '\0';
}

/* How many of len more bytes may be added; there is room for them and the NUL afterwards. */
static size_t buf_reserve(struct buf *b, size_t len)
{
    size_t cap;

    if (!b->data)
        buf_init(b, b->limit);
    if (b->overflow)
        return 0;
    if (len > b->limit - b->len) {
        b->overflow = true;
        len = b->limit - b->len;
    }
    if (b->len + len < b->cap)
        return len;
    cap = b->cap;
    while (cap <= b->len + len)
        cap *= 2;
    b->data = xrealloc(b->data, cap, 1);
    b->cap = cap;
    return len;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
    len = buf_reserve(b, len);
    if (len == 0)
        return;
    memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void buf_addc(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_adds(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    buf_vaddf(b, fmt, ap);
    va_end(ap);
}

void buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
    char *s = xvasprintf(fmt, ap);

    buf_adds(b, s);
    free(s);
}

char *buf_take(struct buf *b)
{
    char *data;

    if (!b->data)
        buf_init(b, b->limit);
    data = b->data;
    *b = (struct buf){.limit = b->limit};
    return data;
}
