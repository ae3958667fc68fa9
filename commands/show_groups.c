#include <string.h>

#include "commands/session.h"

/* show groups: which nodes share a failure domain, as the store itself has it. */
static const struct out_col cols[] = {
    {"group", "GROUP", OUT_STR, "name of the group or zone"},
    {"nodeCount", "NODES", OUT_INT, "nodes in it"},
    {"nodes", "MEMBERS", OUT_LIST, "the nodes"},
    {0},
};
static const struct out_table table = {
    .key = "groups", .cols = cols, .empty = "The store has no groups."};
static const struct out_table *const tables[] = {&table, NULL};

static int run(struct session *s, const void *options, struct out *out, struct err *err)
{
    struct cluster c = {0};
    int rc = session_observe(s, &c, err);

    (void)options;
    for (size_t i = 0; rc == 0 && i < c.n_zones; i++) {
        struct out_row *row = out_row(out, &table);
        int64_t n = 0;
        out_str(row, "group", c.zones[i].name);
        for (size_t k = 0; k < c.n_nodes; k++) {
            if (strcmp(c.nodes[k].zone, c.zones[i].id) != 0)
                continue;
            out_item(row, "nodes", c.nodes[k].id);
            n++;
        }
        out_int(row, "nodeCount", n);
    }
    cluster_release(&c);
    return rc;
}

static const char *const examples[] = {"show groups", NULL};

const struct cmd cmd_show_groups = {
    .name = "show groups",
    .summary = "list groups of nodes that may fail together",
    .description = "Server groups, or zones, and the nodes in each, as the store tells them now.",
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
