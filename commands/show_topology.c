#include "commands/session.h"
#include "commands/topology_tables.h"

/* show topology: zones, nodes, services and shards, with what they say of themselves. */
struct opts {
    bool zn, sn, rn, shard;
};

static const struct opt options[] = {
    OPT_FLAG(struct opts, zn, "zn", "zones"),
    OPT_FLAG(struct opts, sn, "sn", "storage nodes"),
    OPT_FLAG(struct opts, rn, "rn", "services"),
    OPT_FLAG(struct opts, shard, "shard", "shards"),
    OPT_END,
};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    const struct topology_parts parts = {o->zn, o->sn, o->rn, o->shard,
                                         shell_is_verbose(session_shell(s))};
    struct cluster c = {0};
    int rc = session_observe(s, &c, err);

    if (rc == 0)
        out_topology(out, &c, &parts);
    cluster_release(&c);
    return rc;
}

static const char *const examples[] = {"show topology", "show topology -shard", NULL};

const struct cmd cmd_show_topology = {
    .name = "show topology",
    .summary = "draw zones, storage nodes, services and shards",
    .description =
        "Draws all of it, or only the parts asked for; with -verbose also where the data "
        "of each service is kept.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = topology_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
