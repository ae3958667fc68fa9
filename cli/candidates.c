#include "cli/candidates.h"

#include <string.h>

#include "cli/complete.h"
#include "cli/lexer.h"
#include "cli/text.h"
#include "kvsh/buf.h"
#include "kvsh/mem.h"

enum { GAP = 2, ROWS_LEAST = 5, ROWS_KEPT = 3 };

const char *candidate_written(struct arena *a, const char *word, char quote, bool closed)
{
    const char *written = line_quote(a, word);
    size_t len;

    if (quote == '\'' && !strchr(word, '\''))
        return arena_printf(a, "'%s%s", word, closed ? "'" : "");
    if (quote != '\0' && *written != '"')
        written = arena_printf(a, "\"%s\"", word);
    len = strlen(written);
    return closed || *written != '"' ? written : arena_strndup(a, written, len - 1);
}

static size_t widest(const struct completion *c)
{
    size_t most = 0;

    for (size_t i = 0; i < c->n; i++)
        if (text_width(c->items[i].shown) > most)
            most = text_width(c->items[i].shown);
    return most;
}

static bool any_meaning(const struct completion *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->items[i].meaning)
            return true;
    return false;
}

static void add_more(struct buf *b, size_t n)
{
    if (n > 0)
        buf_addf(b, "... and %zu more\n", n);
}

static void list_meanings(struct buf *b, const struct completion *c, size_t columns, size_t rows)
{
    size_t width = widest(c);
    size_t shown = c->n < rows ? c->n : rows;

    if (width > columns / 2)
        width = columns / 2;
    for (size_t i = 0; i < shown; i++) {
        struct buf line;

        buf_init(&line, 0);
        buf_adds(&line, c->items[i].shown);
        if (c->items[i].meaning) {
            size_t has = text_width(c->items[i].shown);

            text_pad(&line, (has < width ? width - has : 0) + GAP);
            buf_adds(&line, c->items[i].meaning);
        }
        text_cut(b, line.data, columns - 1);
        buf_addc(b, '\n');
        buf_release(&line);
    }
    add_more(b, c->n - shown);
}

/* Down the columns, as ls does. */
static void list_columns(struct buf *b, const struct completion *c, size_t columns, size_t rows)
{
    size_t width = widest(c) + GAP;
    size_t across = columns / width > 0 ? columns / width : 1;
    size_t down = (c->n + across - 1) / across;
    size_t shown = down < rows ? c->n : rows * across;

    if (down > rows)
        down = rows;
    for (size_t row = 0; row < down; row++) {
        for (size_t i = row; i < shown; i += down) {
            text_cut(b, c->items[i].shown, columns - 1);
            if (i + down < shown)
                text_pad(b, width - text_width(c->items[i].shown));
        }
        buf_addc(b, '\n');
    }
    add_more(b, c->n - shown);
}

void candidates_print(FILE *out, const struct completion *c, size_t columns, size_t rows)
{
    struct buf b;

    rows = rows > ROWS_LEAST + ROWS_KEPT ? rows - ROWS_KEPT : ROWS_LEAST;
    buf_init(&b, 0);
    buf_addc(&b, '\n');
    if (c->n == 0) {
        text_cut(&b, c->hint, columns - 1);
        buf_addc(&b, '\n');
    } else if (any_meaning(c)) {
        list_meanings(&b, c, columns, rows);
    } else {
        list_columns(&b, c, columns, rows);
    }
    fwrite(b.data, 1, b.len, out);
    fflush(out);
    buf_release(&b);
}
