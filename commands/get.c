#include <stdlib.h>

#include "commands/data.h"

/* get: one value, or all. */
struct opts {
    const char *key;
    bool all;
};

static const struct opt options[] = {
    OPT_STR(struct opts, key, "key", "the key", .value = "KEY", .flags = OPT_REQUIRED, .one_of = 1),
    OPT_FLAG(struct opts, all, "all", "every key of the store with its value",
             .flags = OPT_REQUIRED, .one_of = 1),
    OPT_END,
};

static const struct out_col value_cols[] = {
    {"key", NULL, OUT_STR, "the key"},
    {"value", "VALUE", OUT_STR, "its value"},
    {"escaped", NULL, OUT_BOOL, "the value is no text: \\xNN stands for a byte that is no UTF-8"},
    {0},
};
static const struct out_table value_table = {.cols = value_cols, .single = true, .text = "{value}"};

static const struct out_col record_cols[] = {
    {"key", "KEY", OUT_STR, "the key"},
    {"value", "VALUE", OUT_STR, "its value; absent when it is no text"},
    {0},
};
static const struct out_table record_table = {.key = "records", .cols = record_cols};

static const struct out_col count_cols[] = {
    {"count", NULL, OUT_INT, "number of records"},
    {"noun", NULL, OUT_STR, "Record or Records"},
    {0},
};
static const struct out_table count_table = {
    .cols = count_cols, .single = true, .text = "{count} {noun} returned."};
static const struct out_table *const tables[] = {&value_table, &record_table, &count_table, NULL};

struct scan {
    struct out *out;
    int64_t n, unshown;
};

static int add_record(void *arg, const char *key, const char *value)
{
    struct scan *scan = arg;
    struct out_row *row = out_row(scan->out, &record_table);

    out_str(row, "key", key);
    out_str(row, "value", value);
    scan->unshown += value == NULL;
    scan->n++;
    return shell_interrupts() > 0 ? -1 : 0;
}

static int get_all(const struct data *d, struct out *out, struct err *err)
{
    struct scan scan = {.out = out};
    struct out_row *row;
    int rc = d->engine->scan(d->connection, d->docs, add_record, &scan, err);

    if (shell_interrupts() > 0)
        return err_set(err, ERR_SIGINT, "stopped after %lld records", (long long)scan.n);
    if (rc != 0) /* what was found is no count of what is there */
        return err_prepend(err, "after %lld records", (long long)scan.n);
    if (scan.unshown > 0)
        out_note(out, "of %lld the value is no text, or too large; get -key KEY shows one",
                 (long long)scan.unshown);
    row = out_row(out, &count_table);
    out_int(row, "count", scan.n);
    out_str(row, "noun", scan.n == 1 ? "Record" : "Records");
    return 0;
}

static int get_one(const struct data *d, const char *key, struct out *out, struct err *err)
{
    struct out_row *row;
    struct value value = {0};

    if (d->engine->get(d->connection, d->docs, key, &value, err) != 0)
        return -1;
    if (value.text == NULL)
        return err_set(err, ERR_FAILED, "Key not found in store.");
    row = out_row(out, &value_table);
    out_str(row, "key", key);
    out_str(row, "value", value.text);
    if (value.is_escaped) {
        out_bool(row, "escaped", true);
        out_note(out, "the value is no text: \\xNN stands for a byte");
    }
    free(value.text);
    return 0;
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct data d;
    int rc = -1;

    if (data_begin(&d, s, err) == 0 && (o->all || data_check_text("key", o->key, err) == 0))
        rc = o->all ? get_all(&d, out, err) : get_one(&d, o->key, out, err);
    data_end(&d);
    return rc;
}

static const char *const examples[] = {"get -key /FIRST_KEY", "get -all", NULL};

const struct cmd cmd_get = {
    .name = "get",
    .summary = "show the value of a key, or all of them",
    .description =
        "Exit status 1 when there is no such key. Of a value that is no UTF-8 text, a byte that "
        "does not fit is shown as \\xNN, with a note. -all is meant for stores small enough to "
        "read "
        "and leaves such values out.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
