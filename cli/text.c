#include "cli/text.h"

#include <string.h>
#include <wchar.h>

#include "kvsh/buf.h"

/* The next character: its bytes, and in *columns its width. */
static size_t next_char(const char *s, size_t len, size_t *columns)
{
    mbstate_t state = {0};
    wchar_t c;
    size_t n = mbrtowc(&c, s, len, &state);
    int w;

    if (n == 0 || n == (size_t)-1 || n == (size_t)-2) {
        *columns = 1;
        return 1;
    }
    w = wcwidth(c);
    *columns = w > 0 ? (size_t)w : 0;
    return n;
}

size_t text_width_n(const char *s, size_t len)
{
    size_t total = 0, columns;

    for (size_t i = 0; i < len; total += columns)
        i += next_char(s + i, len - i, &columns);
    return total;
}

size_t text_width(const char *s)
{
    return text_width_n(s, strlen(s));
}

size_t text_fit(const char *s, size_t columns)
{
    size_t len = strlen(s), pos = 0, used = 0;

    while (pos < len) {
        size_t w, n = next_char(s + pos, len - pos, &w);

        if (used + w > columns)
            break;
        used += w;
        pos += n;
    }
    return pos;
}

void text_pad(struct buf *out, size_t n)
{
    while (n-- > 0)
        buf_addc(out, ' ');
}

void text_cut(struct buf *out, const char *s, size_t columns)
{
    static const char dots[] = "...";

    if (text_width(s) <= columns) {
        buf_adds(out, s);
    } else if (columns <= strlen(dots)) {
        buf_add(out, s, text_fit(s, columns));
    } else {
        buf_add(out, s, text_fit(s, columns - strlen(dots)));
        buf_adds(out, dots);
    }
}

/* One paragraph of len bytes, its own line ends being nothing but blanks. */
static void wrap_paragraph(struct buf *out, const char *s, size_t len, size_t indent, size_t width)
{
    size_t column = 0;

    for (size_t i = 0; i < len;) {
        size_t skip = strspn(s + i, " \n"), n;

        if (i + skip >= len)
            break;
        i += skip;
        n = strcspn(s + i, " \n");
        if (i + n > len)
            n = len - i;
        if (column > 0 && column + 1 + text_width_n(s + i, n) > width) {
            buf_addc(out, '\n');
            column = 0;
        }
        if (column == 0) {
            text_pad(out, indent);
            column = indent;
        } else {
            buf_addc(out, ' ');
            column++;
        }
        buf_add(out, s + i, n);
        column += text_width_n(s + i, n);
        i += n;
    }
    buf_addc(out, '\n');
}

/* A line that begins with a blank stands as it is: an example, a table. */
static void keep_line(struct buf *out, const char *s, size_t len, size_t indent)
{
    text_pad(out, indent);
    buf_add(out, s, len);
    buf_addc(out, '\n');
}

void text_wrap(struct buf *out, const char *text, size_t indent, size_t width)
{
    while (*text) {
        size_t len = strcspn(text, "\n");

        if (len == 0) {
            buf_addc(out, '\n');
        } else if (*text == ' ') {
            keep_line(out, text, len, indent);
        } else {
            while (text[len] == '\n' && text[len + 1] && text[len + 1] != '\n' &&
                   text[len + 1] != ' ')
                len += 1 + strcspn(text + len + 1, "\n");
            wrap_paragraph(out, text, len, indent, width);
        }
        text += len;
        text += *text == '\n';
    }
}
