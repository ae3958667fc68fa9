#include "commands/data.h"

/* delete: removes a key. */
struct opts {
    const char *key;
};

static const struct opt options[] = {
    OPT_STR(struct opts, key, "key", "the key", .value = "KEY", .flags = OPT_REQUIRED),
    OPT_END,
};

static const struct out_col cols[] = {
    {"key", "KEY", OUT_STR, "the key"},
    {0},
};
static const struct out_table table = {.cols = cols, .single = true, .text = "Key deleted."};
static const struct out_table *const tables[] = {&table, NULL};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct data d;
    bool deleted = false;
    int rc = -1;

    if (data_begin(&d, s, err) != 0 || data_check_text("key", o->key, err) != 0 ||
        d.engine->del(d.connection, d.docs, o->key, &deleted, err) != 0)
        goto out;
    if (!deleted) {
        err_set(err, ERR_FAILED, "Key deletion failed: there is no key \"%s\"", o->key);
        goto out;
    }
    out_str(out_row(out, &table), "key", o->key);
    rc = 0;
out:
    data_end(&d);
    return rc;
}

static const char *const examples[] = {"delete -key /FIRST_KEY", NULL};

const struct cmd cmd_delete = {
    .name = "delete",
    .summary = "remove a key",
    .description = "Exit status 1 when there is no such key.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
