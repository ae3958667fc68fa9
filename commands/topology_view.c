#include "commands/session.h"
#include "commands/topology_tables.h"

/* topology view: the store as it would be with a candidate deployed. */
struct opts {
    const char *name;
};

static const struct opt options[] = {
    OPT_STR(struct opts, name, "name", "name of the topology", .flags = OPT_REQUIRED,
            .complete = COMPLETE_TOPOLOGY),
    OPT_END,
};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    const struct topology_parts parts = {.directories = true};
    struct cluster c = {0};
    int rc = -1;

    if (session_declared(s, &c, err) == 0 && (rc = topology_apply(&c, o->name, err)) == 0)
        out_topology(out, &c, &parts);
    cluster_release(&c);
    return rc;
}

static const char *const examples[] = {"topology view -name store-layout", NULL};

const struct cmd cmd_topology_view = {
    .name = "topology view",
    .summary = "draw a topology that is not deployed yet",
    .description = "Draws the store as it would be; nobody is asked, so no status is known.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = topology_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
