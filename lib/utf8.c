#include "utf8.h"

#include <stdint.h>

size_t utf8_sequence(const char *s)
{
    const unsigned char *p = (const unsigned char *)s;
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000}; /* by length: no overlong form */
    uint32_t c;
    size_t len;

    if (p[0] < 0x80)
        return 1;
    len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    c = p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) /* also the end of the string */
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < lowest[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    return len;
}

size_t utf8_width(const char *s)
{
    size_t n = 0;

    while (*s) {
        size_t len = utf8_sequence(s);

        s += len ? len : 1;
        n++;
    }
    return n;
}
