#include "agent/text.h"

#include "kvsh/buf.h"

/* Length of the UTF-8 sequence at s, 0 when there is none within len bytes. */
static size_t sequence(const unsigned char *s, size_t len)
{
    size_t n = s[0] < 0x80   ? 1
               : s[0] < 0xc2 ? 0
               : s[0] < 0xe0 ? 2
               : s[0] < 0xf0 ? 3
               : s[0] < 0xf5 ? 4
                             : 0;

    if (n == 0 || n > len || s[0] == '\0')
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

bool text_is_plain(const char *s, size_t len)
{
    for (size_t i = 0, n; i < len; i += n) {
        n = sequence((const unsigned char *)s + i, len - i);
        if (n == 0)
            return false;
    }
    return true;
}

char *text_escape(const char *s, size_t len)
{
    struct buf b;
    char *text;

    buf_init(&b, 0);
    for (size_t i = 0; i < len;) {
        size_t n = sequence((const unsigned char *)s + i, len - i);

        if (n)
            buf_add(&b, s + i, n);
        else
            buf_addf(&b, "\\x%02x", (unsigned char)s[i]);
        i += n ? n : 1;
    }
    text = buf_take(&b);
    buf_release(&b);
    return text;
}
