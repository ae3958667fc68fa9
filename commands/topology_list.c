#include "commands/session.h"

/* topology list: the candidates. */
static const struct out_col cols[] = {
    {"name", "NAME", OUT_STR, "name of the topology"},
    {0},
};
static const struct out_table table = {
    .key = "topologies", .cols = cols, .text = "{name}", .empty = "There are no topologies."};
static const struct out_table *const tables[] = {&table, NULL};

static int run(struct session *s, const void *options, struct out *out, struct err *err)
{
    struct cluster c = {0};
    int rc = session_declared(s, &c, err);

    (void)options;
    if (rc == 0) {
        JSON_FOREACH (t, json_get(c.doc, "topology"))
            out_str(out_row(out, &table), "name", json_key(t));
    }
    cluster_release(&c);
    return rc;
}

static const char *const examples[] = {"topology list", NULL};

const struct cmd cmd_topology_list = {
    .name = "topology list",
    .summary = "list the topologies made by topology create",
    .description = "One name per line. The store as it is now is shown by show topology.",
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
