#include "commands/edit.h"
#include "kvsh/meta.h"

/* pool remove: drops a pool; its nodes stay. */
struct opts {
    const char *name;
};

static const struct opt options[] = {
    OPT_STR(struct opts, name, "name", "name of the pool", .flags = OPT_REQUIRED,
            .complete = COMPLETE_POOL),
    OPT_END,
};

static const struct out_col cols[] = {
    {"poolName", "NAME", OUT_STR, "name of the pool"},
    {0},
};
static const struct out_table table = {
    .cols = cols, .single = true, .text = "Removed pool {poolName}"};
static const struct out_table *const tables[] = {&table, NULL};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct edit e;
    int rc = -1;

    if (edit_begin(&e, s, err) != 0)
        goto out;
    if (cluster_pool(&e.cluster, o->name) == NULL) {
        no_such_pool(&e.cluster, o->name, err);
        goto out;
    }
    meta_effect(e.effects, "pool", o->name, NULL);
    rc = edit_commit(&e, o->name, arena_printf(&e.cluster.arena, "pool %s was removed", o->name),
                     out, err);
    if (rc == 0)
        out_str(out_row(out, &table), "poolName", o->name);
out:
    edit_end(&e);
    return rc;
}

static const char *const examples[] = {"pool remove -name snpool", NULL};

const struct cmd cmd_pool_remove = {
    .name = "pool remove",
    .summary = "drop a pool",
    .description = "Its storage nodes stay in the store.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
