#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"
#include "out_rows.h"
#include "utf8.h"

#define COLOR_GOOD "\033[32m"
#define COLOR_BAD "\033[31m"
#define COLOR_MIDDLE "\033[33m"
#define COLOR_END "\033[0m"
#define COLUMN_GAP 2

int out_col_index(const struct out_table *table, const char *key, size_t len)
{
    for (int i = 0; table->cols[i].key; i++)
        if (strlen(table->cols[i].key) == len && memcmp(table->cols[i].key, key, len) == 0)
            return i;
    return -1;
}

/* C1 controls are controls to a terminal, however they are encoded. */
static bool is_c1(const char *s)
{
    return (unsigned char)s[0] == 0xc2 && (unsigned char)s[1] >= 0x80 &&
           (unsigned char)s[1] <= 0x9f;
}

void out_text_visible(struct buf *b, const char *s, bool newlines)
{
    while (*s) {
        unsigned char c = (unsigned char)*s;
        size_t n = utf8_sequence(s);

        if ((c < 0x20 && c != '\t' && !(newlines && c == '\n')) || c == 0x7f || n == 0) {
            buf_addf(b, "\\x%02x", c);
            n = 1;
        } else if (is_c1(s)) {
            buf_addf(b, "\\x%02x\\x%02x", c, (unsigned char)s[1]);
        } else {
            buf_add(b, s, n);
        }
        s += n;
    }
}

static void add_duration(struct buf *b, int64_t ms)
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}};
    size_t i = 0;

    if (ms < 0) {
        buf_addc(b, '-');
        ms = ms == INT64_MIN ? INT64_MAX : -ms;
    }
    if (ms < 1000) {
        buf_addf(b, "%d ms", (int)ms);
        return;
    }
    if (ms < 10000 && ms % 1000 >= 100) {
        buf_addf(b, "%d.%d s", (int)(ms / 1000), (int)(ms % 1000 / 100));
        return;
    }
    while (ms < units[i].ms)
        i++;
    buf_addf(b, "%lld %s", (long long)(ms / units[i].ms), units[i].unit);
    ms %= units[i].ms;
    if (i + 1 < sizeof units / sizeof *units && ms >= units[i + 1].ms)
        buf_addf(b, " %lld %s", (long long)(ms / units[i + 1].ms), units[i + 1].unit);
}

static void add_bytes(struct buf *b, int64_t n)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
    int64_t size = 1;
    size_t i = 0;
    int64_t tenths;

    while (i + 1 < sizeof units / sizeof *units && (n >= size * 1024 || n <= -size * 1024)) {
        size *= 1024;
        i++;
    }
    tenths = (int64_t)((__int128)(n % size) * 10 / size);
    if (tenths > 0 && n / size < 100)
        buf_addf(b, "%lld.%d %s", (long long)(n / size), (int)tenths, units[i]);
    else
        buf_addf(b, "%lld %s", (long long)(n / size), units[i]);
}

static void add_list(struct buf *b, const struct out_cell *cell)
{
    for (size_t i = 0; i < cell->count; i++) {
        if (i > 0)
            buf_adds(b, ", ");
        out_text_visible(b, cell->items[i], false);
    }
}

static void add_cell(struct buf *b, enum out_type type, const struct out_cell *cell)
{
    char stamp[32];

    if (!cell->is_set)
        return;
    switch (type) {
    case OUT_STR:
    case OUT_STATE:
        out_text_visible(b, cell->text, false);
        break;
    case OUT_INT:
        buf_addf(b, "%lld", (long long)cell->number);
        break;
    case OUT_BOOL:
        buf_adds(b, cell->number ? "yes" : "no");
        break;
    case OUT_TIME:
        time_text(cell->number, stamp);
        buf_adds(b, stamp);
        break;
    case OUT_DURATION:
        add_duration(b, cell->number);
        break;
    case OUT_BYTES:
        add_bytes(b, cell->number);
        break;
    case OUT_PERCENT:
        buf_addf(b, "%lld %%", (long long)cell->number);
        break;
    case OUT_LIST:
        add_list(b, cell);
        break;
    }
}

/* Neither good nor bad is every word not listed; "error" stands for all that begin with it. */
static const char *state_color(const char *state)
{
    static const char *const good[] = {"running", "succeeded", "ok",     "healthy", "up",
                                       "alive",   "online",    "active", "yes"};
    static const char *const bad[] = {"error",   "unreachable",    "missing", "failed",
                                      "fail",    "down",           "dead",    "unhealthy",
                                      "corrupt", "inactiveFailed", "lost",    "violation",
                                      "block",   "replaced",       "full",    "unreadable"};
    size_t len = strcspn(state, " ,;:(");

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (strlen(good[i]) == len && strncasecmp(state, good[i], len) == 0)
            return COLOR_GOOD;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (strlen(bad[i]) == len && strncasecmp(state, bad[i], len) == 0)
            return COLOR_BAD;
    return strncasecmp(state, "error", 5) == 0 ? COLOR_BAD : COLOR_MIDDLE;
}

/* text padded to width characters (to the left of it when right-aligned); colour codes have no
 * width. */
static void add_padded(struct buf *b, const char *text, size_t width, bool right, const char *color)
{
    size_t has = utf8_width(text);
    int pad = has < width ? (int)(width - has) : 0;

    if (right)
        buf_addf(b, "%*s", pad, "");
    if (color)
        buf_adds(b, color);
    buf_adds(b, text);
    if (color)
        buf_adds(b, COLOR_END);
    if (!right)
        buf_addf(b, "%*s", pad, "");
}

static const char *cell_color(const struct out_col *col, const struct out_cell *cell, bool color)
{
    return color && col->type == OUT_STATE && cell->is_set ? state_color(cell->text) : NULL;
}

static void trim_blanks(struct buf *b, size_t from)
{
    while (b->len > from && b->data[b->len - 1] == ' ')
        b->data[--b->len] = '\0';
}

/* ---- templates ---- */

/* What a template is expanded into. Without a row it is only checked: all its parts are walked. */
struct expansion {
    const struct out_table *table;
    const struct out_row *row;
    struct buf *text;
    bool color;
    char *fault; /* the first one found */
};

static void found_fault(struct expansion *x, const char *what, const char *at, size_t len)
{
    if (!x->fault)
        x->fault = xasprintf("template: %s \"%.*s\"", what, (int)len, at);
}

static const struct out_cell *find_cell(struct expansion *x, const char *key, size_t len, int *col)
{
    static const struct out_cell unset;

    *col = out_col_index(x->table, key, len);
    if (*col < 0)
        found_fault(x, "no such column", key, len);
    return *col >= 0 && x->row ? &x->row->cells[*col] : &unset;
}

/* {column}, {column:10} or {column:-10}; s..s+len is what stands between the braces. */
static void expand_cell(struct expansion *x, const char *s, size_t len)
{
    size_t key_len = strcspn(s, ":}");
    long width = s[key_len] == ':' ? strtol(s + key_len + 1, NULL, 10) : 0;
    const struct out_cell *cell;
    struct buf text;
    int col;

    if (s[key_len] == ':' && width == 0)
        found_fault(x, "no width in", s, len);
    cell = find_cell(x, s, key_len, &col);
    if (!x->row || col < 0)
        return;
    buf_init(&text, 0);
    add_cell(&text, x->table->cols[col].type, cell);
    add_padded(x->text, text.data, (size_t)labs(width), width < 0,
               cell_color(&x->table->cols[col], cell, x->color));
    buf_release(&text);
}

/* Set, and neither false nor empty. */
static bool is_worth_printing(enum out_type type, const struct out_cell *cell)
{
    switch (type) {
    case OUT_STR:
    case OUT_STATE:
        return cell->is_set && *cell->text;
    case OUT_BOOL:
        return cell->is_set && cell->number;
    case OUT_LIST:
        return cell->is_set && cell->count > 0;
    default:
        return cell->is_set;
    }
}

/* Plain text and {column}s up to `end`. */
static void expand_flat(struct expansion *x, const char *s, const char *end)
{
    while (s < end) {
        size_t len = strcspn(s, "}");

        if (*s != '{') {
            buf_addc(x->text, *s++);
        } else if (s[1] == '{') {
            buf_addc(x->text, '{');
            s += 2;
        } else if (s + len >= end || s[1] == '?') {
            found_fault(x, s[1] == '?' ? "nested condition" : "open brace", s, (size_t)(end - s));
            return;
        } else {
            expand_cell(x, s + 1, len - 1);
            s += len + 1;
        }
    }
}

/* The brace that closes what s (behind the opening one) is in, or NULL. */
static const char *closing_brace(const char *s)
{
    int depth = 1;

    for (; *s; s++) {
        if (s[0] == '{' && s[1] == '{')
            s++;
        else if (*s == '{')
            depth++;
        else if (*s == '}' && --depth == 0)
            return s;
    }
    return NULL;
}

/* {?column|...}: s stands behind "{?"; end is the closing brace. */
static void expand_condition(struct expansion *x, const char *s, const char *end)
{
    size_t key_len = strcspn(s, "|}");
    const struct out_cell *cell;
    int col;

    if (s[key_len] != '|') {
        found_fault(x, "condition without \"|\"", s, (size_t)(end - s));
        return;
    }
    cell = find_cell(x, s, key_len, &col);
    if (!x->row || (col >= 0 && is_worth_printing(x->table->cols[col].type, cell)))
        expand_flat(x, s + key_len + 1, end);
}

static void expand(struct expansion *x)
{
    const char *s = x->table->text;

    while (*s) {
        const char *condition = s;
        const char *end;

        while ((condition = strchr(condition, '{')) && condition[1] != '?')
            condition += condition[1] == '{' ? 2 : 1;
        if (!condition) {
            expand_flat(x, s, s + strlen(s));
            return;
        }
        expand_flat(x, s, condition);
        end = closing_brace(condition + 1);
        if (!end) {
            found_fault(x, "open brace", condition, strlen(condition));
            return;
        }
        expand_condition(x, condition + 2, end);
        s = end + 1;
    }
}

/* As one or more whole lines, without the blanks that padding left at their ends. */
static void add_lines(struct buf *b, const char *text)
{
    size_t len;

    do {
        size_t from = b->len;

        len = strcspn(text, "\n");
        buf_add(b, text, len);
        trim_blanks(b, from);
        buf_addc(b, '\n');
        text += len + 1;
    } while (text[-1] == '\n');
}

void out_text_template(struct buf *b, const struct out_row *row, bool color)
{
    struct buf text;
    struct expansion x = {.table = row->table, .row = row, .text = &text, .color = color};

    buf_init(&text, 0);
    expand(&x);
    add_lines(b, text.data);
    buf_release(&text);
}

static char *template_fault(const struct out_table *table)
{
    struct buf text;
    struct expansion x = {.table = table, .text = &text};

    buf_init(&text, 0);
    expand(&x);
    buf_release(&text);
    return x.fault;
}

char *out_table_fault(const struct out_table *table)
{
    if (!table->key && !table->single)
        return xstrdup("neither key nor single");
    for (const struct out_col *c = table->cols; c->key; c++) {
        size_t len = strlen(c->key);

        if (out_col_index(table, c->key, len) != c - table->cols)
            return xasprintf("column %s twice", c->key);
        if (c->type == OUT_DURATION && (len < 2 || strcmp(c->key + len - 2, "Ms") != 0))
            return xasprintf("column %s: the key of a duration ends in \"Ms\"", c->key);
    }
    return table->text ? template_fault(table) : NULL;
}

/* ---- aligned columns ---- */

static bool is_right_aligned(enum out_type type)
{
    return type == OUT_INT || type == OUT_DURATION || type == OUT_BYTES || type == OUT_PERCENT;
}

/* The cell as it stands in a column: "-" when not set, so that columns can be counted. */
static void add_column_cell(struct buf *b, const struct out_col *col, const struct out_cell *cell)
{
    if (cell->is_set)
        add_cell(b, col->type, cell);
    else
        buf_addc(b, '-');
}

static size_t column_width(const struct out_col *col, size_t i, struct out_row *const *rows,
                           size_t n, bool heading)
{
    size_t width = heading ? utf8_width(col->title) : 0;
    struct buf text;

    buf_init(&text, 0);
    for (size_t r = 0; r < n; r++) {
        size_t w;

        buf_clear(&text);
        add_column_cell(&text, col, &rows[r]->cells[i]);
        w = utf8_width(text.data);
        if (w > width)
            width = w;
    }
    buf_release(&text);
    return width;
}

/* One line: of a row, or of the titles when row is NULL. Columns without a title are for JSON
 * alone. */
static void add_column_line(struct buf *b, const struct out_table *table, const struct out_row *row,
                            const size_t *widths, bool color)
{
    size_t start = b->len;
    struct buf text;

    buf_init(&text, 0);
    for (size_t i = 0; table->cols[i].key; i++) {
        const struct out_col *col = &table->cols[i];

        if (!col->title)
            continue;
        buf_clear(&text);
        if (row)
            add_column_cell(&text, col, &row->cells[i]);
        else
            buf_adds(&text, col->title);
        if (b->len > start)
            buf_addf(b, "%*s", COLUMN_GAP, "");
        add_padded(b, text.data, widths[i], is_right_aligned(col->type),
                   row ? cell_color(col, &row->cells[i], color) : NULL);
    }
    trim_blanks(b, start);
    buf_addc(b, '\n');
    buf_release(&text);
}

void out_text_columns(struct buf *b, struct out_row *const *rows, size_t n, bool heading,
                      bool color)
{
    const struct out_table *table = rows[0]->table;
    size_t count = 0;
    size_t *widths;

    while (table->cols[count].key)
        count++;
    widths = xcalloc(count, sizeof *widths);
    for (size_t i = 0; i < count; i++)
        if (table->cols[i].title)
            widths[i] = column_width(&table->cols[i], i, rows, n, heading);
    if (heading)
        add_column_line(b, table, NULL, widths, color);
    for (size_t r = 0; r < n; r++)
        add_column_line(b, table, rows[r], widths, color);
    free(widths);
}
