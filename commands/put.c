#include "commands/data.h"

/* put: stores a value under a key. */
struct opts {
    const char *key, *value;
};

static const struct opt options[] = {
    OPT_STR(struct opts, key, "key", "the key", .value = "KEY", .flags = OPT_REQUIRED),
    OPT_STR(struct opts, value, "value", "the value", .value = "VALUE", .flags = OPT_REQUIRED),
    OPT_END,
};

static const struct out_col cols[] = {
    {"key", "KEY", OUT_STR, "the key"},
    {"done", NULL, OUT_STR, "inserted or updated"},
    {"copies", "COPIES", OUT_INT, "replicas known to have it when the answer came"},
    {0},
};
static const struct out_table table = {.cols = cols, .single = true, .text = "Put OK, {done}."};
static const struct out_table *const tables[] = {&table, NULL};

/* Where each shard has one copy, there is nobody to have another. */
static bool has_replicas(const struct json *docs)
{
    return json_len(json_get(docs, "rn")) > json_len(json_get(docs, "shard"));
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct out_row *row;
    struct data d;
    struct record record = {.key = o->key, .value = o->value};
    int rc = -1;

    if (data_begin(&d, s, err) != 0 || data_check_text("key", o->key, err) != 0 ||
        data_check_text("value", o->value, err) != 0 ||
        d.engine->put(d.connection, d.docs, &record, err) != 0)
        goto out;
    row = out_row(out, &table);
    out_str(row, "key", o->key);
    out_str(row, "done", record.inserted ? "inserted" : "updated");
    out_int(row, "copies", record.copies);
    if (record.copies == 0 && has_replicas(d.docs))
        out_note(out, "no replica has it yet; if its primary is lost now, so is this value");
    rc = 0;
out:
    data_end(&d);
    return rc;
}

static const char *const examples[] = {"put -key /FIRST_KEY -value \"HELLO WORLD\"", NULL};

const struct cmd cmd_put = {
    .name = "put",
    .summary = "store a value under a key",
    .description = "For a look at the data, not for loading it: one value at a time.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
