#include "kvsh/out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"
#include "kvsh/json.h"
#include "kvsh/mem.h"
#include "out_rows.h"

#define SCHEMA_NAME "kvsh/1"
#define SUCCESS_TEXT "Operation ends successfully"
#define ADVICE_INDENT "    "

struct out {
    struct arena arena;
    struct out_config config;
    const char *operation;
    const struct out_table *const *tables;
    struct out_row **rows;
    size_t row_count;
    size_t rows_printed;
    const char **notes;
    size_t note_count;
    size_t notes_printed;
    const struct out_table *last_printed; /* no second heading for more of its rows */
    int write_errno;                      /* the first failure to write results */
};

static void misuse(const struct out *out, const char *what, const char *which)
    __attribute__((noreturn));

/* A declaration or a handler is wrong: better found by the first test than printed. */
static void misuse(const struct out *out, const char *what, const char *which)
{
    fprintf(stderr, "%s: %s: %s\n", out->operation, what, which ? which : "(single)");
    abort();
}

struct out *out_new(const struct out_config *config, const char *operation,
                    const struct out_table *const *tables)
{
    static const struct out_table *const none[] = {NULL};
    struct out *out = xcalloc(1, sizeof *out);

    out->config = *config;
    out->operation = arena_strdup(&out->arena, operation);
    out->tables = tables ? tables : none;
    for (size_t i = 0; out->tables[i]; i++) {
        char *fault = out_table_fault(out->tables[i]);

        if (fault)
            misuse(out, out->tables[i]->key ? out->tables[i]->key : "(single)", fault);
    }
    return out;
}

void out_free(struct out *out)
{
    if (!out)
        return;
    arena_release(&out->arena);
    free(out);
}

static size_t rows_of(const struct out *out, const struct out_table *table)
{
    size_t n = 0;

    for (size_t i = 0; i < out->row_count; i++)
        n += out->rows[i]->table == table;
    return n;
}

struct out_row *out_row(struct out *out, const struct out_table *table)
{
    struct out_row *row = arena_alloc(&out->arena, sizeof *row);
    size_t cols = 0, t = 0;

    while (out->tables[t] && out->tables[t] != table)
        t++;
    if (!out->tables[t])
        misuse(out, "table is not declared", table->key);
    if (table->single && rows_of(out, table) > 0)
        misuse(out, "second row of a single table", table->key);
    while (table->cols[cols].key)
        cols++;
    row->table = table;
    row->arena = &out->arena;
    row->cells = arena_alloc(&out->arena, (cols + 1) * sizeof *row->cells);
    *ARENA_PUSH(&out->arena, out->rows, out->row_count) = row;
    return row;
}

/* The row's cell of that key, whose type must be one of the bits in `types`. */
static struct out_cell *cell_for(struct out_row *row, const char *key, unsigned types)
{
    int i = out_col_index(row->table, key, strlen(key));

    if (i < 0 || !(types & 1u << row->table->cols[i].type)) {
        fprintf(stderr, "table %s: column %s %s\n", row->table->key ? row->table->key : "(single)",
                key, i < 0 ? "is not declared" : "has another type");
        abort();
    }
    return &row->cells[i];
}

void out_str(struct out_row *row, const char *key, const char *value)
{
    struct out_cell *cell = cell_for(row, key, 1u << OUT_STR | 1u << OUT_STATE);

    cell->is_set = value != NULL;
    cell->text = arena_strdup(row->arena, value);
}

void out_strf(struct out_row *row, const char *key, const char *fmt, ...)
{
    va_list ap;
    char *s;

    va_start(ap, fmt);
    s = xvasprintf(fmt, ap);
    va_end(ap);
    out_str(row, key, s);
    free(s);
}

void out_int(struct out_row *row, const char *key, int64_t value)
{
    struct out_cell *cell = cell_for(row, key,
                                     1u << OUT_INT | 1u << OUT_TIME | 1u << OUT_DURATION |
                                         1u << OUT_BYTES | 1u << OUT_PERCENT);
    int i = out_col_index(row->table, key, strlen(key));

    cell->is_set = row->table->cols[i].type != OUT_TIME || value > 0;
    cell->number = value;
}

void out_bool(struct out_row *row, const char *key, bool value)
{
    struct out_cell *cell = cell_for(row, key, 1u << OUT_BOOL);

    cell->is_set = true;
    cell->number = value;
}

void out_item(struct out_row *row, const char *key, const char *item)
{
    struct out_cell *cell = cell_for(row, key, 1u << OUT_LIST);

    cell->is_set = true;
    *ARENA_PUSH(row->arena, cell->items, cell->count) = arena_strdup(row->arena, item);
}

void out_note(struct out *out, const char *fmt, ...)
{
    va_list ap;
    char *s;

    va_start(ap, fmt);
    s = xvasprintf(fmt, ap);
    va_end(ap);
    *ARENA_PUSH(&out->arena, out->notes, out->note_count) = arena_strdup(&out->arena, s);
    free(s);
}

/* Writes and flushes; remembers why it could not, and after that writes no more. */
static void write_results(struct out *out, const struct buf *b)
{
    if (out->write_errno)
        return;
    errno = 0;
    if ((b->len > 0 && fwrite(b->data, 1, b->len, out->config.results) != b->len) ||
        fflush(out->config.results) != 0 || ferror(out->config.results))
        out->write_errno = errno ? errno : EIO;
}

static void write_diagnostics(struct out *out, const struct buf *b)
{
    if (b->len > 0)
        fwrite(b->data, 1, b->len, out->config.diagnostics);
    fflush(out->config.diagnostics);
}

/* ---- text ---- */

static bool is_hidden(const struct out *out, const struct out_table *table)
{
    return table->json_only || (table->chatter && out->config.quiet);
}

/* Prints the rows not yet printed: templates one by one, runs of the same table in columns. */
static void print_rows(struct out *out, struct buf *b)
{
    size_t n;

    for (size_t i = out->rows_printed; i < out->row_count; i += n) {
        const struct out_table *table = out->rows[i]->table;

        n = 1;
        if (is_hidden(out, table))
            continue;
        if (table->text) {
            out_text_template(b, out->rows[i], out->config.color);
        } else {
            while (i + n < out->row_count && out->rows[i + n]->table == table)
                n++;
            out_text_columns(b, out->rows + i, n, !table->no_heading && table != out->last_printed,
                             out->config.color);
        }
        out->last_printed = table;
    }
    out->rows_printed = out->row_count;
}

static void print_empty(struct out *out, struct buf *b)
{
    for (size_t i = 0; out->tables[i]; i++) {
        const struct out_table *table = out->tables[i];

        if (table->empty && !is_hidden(out, table) && rows_of(out, table) == 0) {
            buf_adds(b, table->empty);
            buf_addc(b, '\n');
        }
    }
}

static void print_notes(struct out *out, struct buf *b)
{
    for (; out->notes_printed < out->note_count; out->notes_printed++) {
        buf_adds(b, "note: ");
        out_text_visible(b, out->notes[out->notes_printed], false);
        buf_addc(b, '\n');
    }
}

static void print_error(struct buf *b, const struct err *err, const char *prefix)
{
    if (err->code == ERR_OK || (err->code == ERR_VIOLATIONS && !*err->text))
        return;
    if (prefix)
        buf_addf(b, "%s: ", prefix);
    out_text_visible(b, *err->text ? err->text : err_meaning(err->code), true);
    buf_addc(b, '\n');
    if (*err->advice) {
        buf_adds(b, ADVICE_INDENT);
        out_text_visible(b, err->advice, true);
        buf_addc(b, '\n');
    }
}

void out_flush(struct out *out)
{
    struct buf text, notes;

    if (out->config.json)
        return;
    buf_init(&text, SIZE_MAX / 2);
    buf_init(&notes, 0);
    print_rows(out, &text);
    print_notes(out, &notes);
    write_results(out, &text);
    write_diagnostics(out, &notes);
    buf_release(&notes);
    buf_release(&text);
}

static void finish_text(struct out *out, const struct err *err, const char *prefix)
{
    struct buf text, diagnostics;

    buf_init(&text, SIZE_MAX / 2);
    buf_init(&diagnostics, 0);
    print_rows(out, &text);
    /* "none found" is only known of a command that looked to the end. */
    if (err->code == ERR_OK || err->code == ERR_VIOLATIONS)
        print_empty(out, &text);
    print_notes(out, &diagnostics);
    print_error(&diagnostics, err, prefix);
    write_results(out, &text);
    write_diagnostics(out, &diagnostics);
    buf_release(&diagnostics);
    buf_release(&text);
}

/* ---- JSON ---- */

static struct json *cell_json(enum out_type type, const struct out_cell *cell)
{
    struct json *list;
    char stamp[32];

    switch (type) {
    case OUT_STR:
    case OUT_STATE:
        return json_string(cell->text);
    case OUT_BOOL:
        return json_boolean(cell->number);
    case OUT_TIME:
        time_rfc3339(cell->number, stamp);
        return json_string(stamp);
    case OUT_LIST:
        list = json_array();
        for (size_t i = 0; i < cell->count; i++)
            json_push_str(list, cell->items[i]);
        return list;
    default:
        return json_number((double)cell->number);
    }
}

static void add_members(struct json *obj, const struct out_row *row)
{
    for (size_t i = 0; row->table->cols[i].key; i++)
        if (row->cells[i].is_set)
            json_set(obj, row->table->cols[i].key,
                     cell_json(row->table->cols[i].type, &row->cells[i]));
}

static struct json *return_value(const struct out *out)
{
    struct json *value = json_object();

    for (size_t i = 0; out->tables[i]; i++)
        if (!out->tables[i]->single)
            json_set(value, out->tables[i]->key, json_array());
    for (size_t i = 0; i < out->row_count; i++) {
        const struct out_row *row = out->rows[i];

        if (row->table->single) {
            add_members(value, row);
        } else {
            struct json *obj = json_object();

            add_members(obj, row);
            json_push(json_get(value, row->table->key), obj);
        }
    }
    return value;
}

static void finish_json(struct out *out, const struct err *err, const char *prefix)
{
    struct json *j = json_object();
    struct buf b;
    char *text;

    json_set_str(j, "operation", out->operation);
    json_set_int(j, "returnCode", err_return_code(err->code));
    json_set_str(j, "description",
                 err->code == ERR_OK ? SUCCESS_TEXT
                 : *err->text        ? err->text
                                     : err_meaning(err->code));
    if (*err->advice && err->code != ERR_OK)
        json_set_str(j, "advice", err->advice);
    if (prefix && err->code != ERR_OK)
        json_set_str(j, "position", prefix);
    json_set(j, "returnValue", return_value(out));
    if (out->note_count > 0) {
        struct json *notes = json_array();

        for (size_t i = 0; i < out->note_count; i++)
            json_push_str(notes, out->notes[i]);
        json_set(j, "notes", notes);
    }
    json_set_str(j, "schema", SCHEMA_NAME);
    text = json_print_pretty(j);
    buf_init(&b, SIZE_MAX / 2);
    buf_adds(&b, text);
    write_results(out, &b);
    buf_release(&b);
    free(text);
    json_free(j);
}

int out_finish(struct out *out, const struct err *err, const char *prefix)
{
    if (out->config.json)
        finish_json(out, err, prefix);
    else
        finish_text(out, err, prefix);
    /* Nobody reads any more: that is the reader's decision, not a failure. */
    if (out->write_errno && out->write_errno != EPIPE) {
        struct err failure = ERR_INIT;
        struct buf b;

        err_errno(&failure, ERR_FAILED, out->write_errno, "write results");
        buf_init(&b, 0);
        print_error(&b, &failure, prefix);
        write_diagnostics(out, &b);
        buf_release(&b);
        return err_exit_status(ERR_FAILED);
    }
    return err_exit_status(err->code);
}
