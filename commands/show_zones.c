#include <string.h>

#include "commands/edit.h"

/* show zones: zones, and the storage nodes of one. */
struct opts {
    const char *zn, *znname;
};

static const struct opt options[] = {
    OPT_STR(struct opts, zn, "zn", "only the zone with this id", .value = "ID",
            .complete = COMPLETE_ZONE_ID, .one_of = 1),
    OPT_STR(struct opts, znname, "znname", "only the zone of this name",
            .complete = COMPLETE_ZONE_NAME, .one_of = 1),
    OPT_END,
};

static const struct out_col zone_cols[] = {
    {"resourceId", "ID", OUT_STR, "id of the zone"},
    {"name", "NAME", OUT_STR, "name of the zone"},
    {"repFactor", "RF", OUT_INT, "copies of each shard in the zone"},
    {"type", "TYPE", OUT_STR, "PRIMARY or SECONDARY"},
    {0},
};
static const struct out_table zone_table = {
    .key = "zns",
    .cols = zone_cols,
    .text = "zone: id={resourceId} name={name} repFactor={repFactor} type={type} "
            "allowArbiters=false masterAffinity=false",
    .empty = "There are no zones.",
};

static const struct out_col node_cols[] = {
    {"resourceId", "ID", OUT_STR, "id of the storage node"},
    {"zoneId", "ZONE", OUT_STR, "its zone"},
    {"hostname", "HOST", OUT_STR, "its host"},
    {"port", "PORT", OUT_INT, "port of its agent"},
    {0},
};
static const struct out_table node_table = {
    .key = "sns", .cols = node_cols, .text = "    [{resourceId}] {hostname}:{port}"};
static const struct out_table *const tables[] = {&zone_table, &node_table, NULL};

static void out_zone(struct out *out, const struct cluster *c, const struct zone *z)
{
    struct out_row *row = out_row(out, &zone_table);

    out_str(row, "resourceId", z->id);
    out_str(row, "name", z->name);
    out_int(row, "repFactor", z->rf);
    out_str(row, "type", z->type);
    for (size_t i = 0; i < c->n_nodes; i++) {
        const struct node *n = &c->nodes[i];
        if (strcmp(n->zone, z->id) != 0)
            continue;
        row = out_row(out, &node_table);
        out_str(row, "resourceId", n->id);
        out_str(row, "zoneId", z->id);
        out_str(row, "hostname", n->host);
        out_int(row, "port", n->port);
    }
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    const struct zone *only = NULL;
    struct cluster c = {0};
    int rc = -1;

    if (session_declared(s, &c, err) != 0)
        goto out;
    if ((o->zn != NULL || o->znname != NULL) &&
        (only = zone_option(&c, o->zn, o->znname, err)) == NULL)
        goto out;
    for (size_t i = 0; i < c.n_zones; i++) {
        if (only == NULL || only == &c.zones[i])
            out_zone(out, &c, &c.zones[i]);
    }
    rc = 0;
out:
    cluster_release(&c);
    return rc;
}

static const char *const examples[] = {"show zones", "show zones -zn zn1", NULL};

const struct cmd cmd_show_zones = {
    .name = "show zones",
    .summary = "list zones and their storage nodes",
    .description = "Each zone with its replication factor and the storage nodes in it.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
