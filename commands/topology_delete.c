#include "commands/edit.h"
#include "kvsh/meta.h"

/* topology delete: drops a candidate. */
struct opts {
    const char *name;
};

static const struct opt options[] = {
    OPT_STR(struct opts, name, "name", "name of the topology", .flags = OPT_REQUIRED,
            .complete = COMPLETE_TOPOLOGY),
    OPT_END,
};

static const struct out_col cols[] = {
    {"topologyName", "NAME", OUT_STR, "name of the topology"},
    {0},
};
static const struct out_table table = {
    .cols = cols, .single = true, .text = "Removed {topologyName}"};
static const struct out_table *const tables[] = {&table, NULL};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct edit e;
    int rc = -1;

    if (edit_begin(&e, s, err) != 0)
        goto out;
    if (meta_doc(e.cluster.doc, "topology", o->name) == NULL) {
        no_such_topology(&e.cluster, o->name, err);
        goto out;
    }
    meta_effect(e.effects, "topology", o->name, NULL);
    rc = edit_commit(&e, o->name,
                     arena_printf(&e.cluster.arena, "topology %s was deleted", o->name), out, err);
    if (rc == 0)
        out_str(out_row(out, &table), "topologyName", o->name);
out:
    edit_end(&e);
    return rc;
}

static const char *const examples[] = {"topology delete -name store-layout", NULL};

const struct cmd cmd_topology_delete = {
    .name = "topology delete",
    .summary = "drop a topology made by topology create",
    .description = "What is deployed is not touched.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
