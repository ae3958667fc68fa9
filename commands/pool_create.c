#include "commands/edit.h"
#include "commands/settings.h"
#include "kvsh/meta.h"

/* pool create: an empty pool of storage nodes. */
struct opts {
    const char *name;
};

static const struct opt options[] = {
    OPT_STR(struct opts, name, "name", "name of the pool", .flags = OPT_REQUIRED),
    OPT_END,
};

static const struct out_col cols[] = {
    {"poolName", "NAME", OUT_STR, "name of the pool"},
    {"done", NULL, OUT_STR, "what was done, in words"},
    {0},
};
static const struct out_table table = {.cols = cols, .single = true, .text = "{done} {poolName}"};
static const struct out_table *const tables[] = {&table, NULL};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct json *doc;
    struct out_row *row;
    struct edit e;
    bool exists;
    int rc = -1;

    if (settings_check_label("pool", o->name, err) != 0)
        return -1;
    if (edit_begin(&e, s, err) != 0)
        goto out;
    exists = cluster_pool(&e.cluster, o->name) != NULL;
    if (!exists) {
        doc = json_object();
        json_set(doc, "members", json_array());
        meta_effect(e.effects, "pool", o->name, doc);
        if (edit_commit(&e, o->name, arena_printf(&e.cluster.arena, "pool %s was created", o->name),
                        out, err) != 0)
            goto out;
    }
    row = out_row(out, &table);
    out_str(row, "poolName", o->name);
    out_str(row, "done", exists ? "Pool already exists:" : "Added pool");
    rc = 0;
out:
    edit_end(&e);
    return rc;
}

static const char *const examples[] = {"pool create -name snpool", NULL};

const struct cmd cmd_pool_create = {
    .name = "pool create",
    .summary = "make an empty pool of storage nodes",
    .description =
        "A pool is a set of storage nodes that a topology is laid out on. Making one that "
        "exists is no error.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
