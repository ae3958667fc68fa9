#include <string.h>

#include "commands/edit.h"

/* show pools: pools and their members. */
struct opts {
    const char *name;
};

static const struct opt options[] = {
    OPT_STR(struct opts, name, "name", "only this pool", .complete = COMPLETE_POOL),
    OPT_END,
};

static const struct out_col pool_cols[] = {
    {"poolName", "POOL", OUT_STR, "name of the pool"},
    {"sns", "MEMBERS", OUT_LIST, "its storage nodes with their zones"},
    {0},
};
static const struct out_table table = {.key = "pools",
                                       .cols = pool_cols,
                                       .text = "{poolName}:{?sns| {sns}}",
                                       .empty = "There are no pools."};
static const struct out_table *const tables[] = {&table, NULL};

static void add_member(struct out_row *row, struct cluster *c, const char *id)
{
    const struct node *n = cluster_node(c, id);
    const struct zone *z = n ? cluster_zone(c, n->zone) : NULL;

    if (z == NULL)
        out_item(row, "sns", id);
    else
        out_item(row, "sns",
                 arena_printf(&c->arena, "%s zn:[id=%s name=%s]", n->id, z->id, z->name));
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct cluster c = {0};
    int rc = -1;

    if (session_declared(s, &c, err) != 0)
        goto out;
    if (o->name != NULL && cluster_pool(&c, o->name) == NULL) {
        no_such_pool(&c, o->name, err);
        goto out;
    }
    for (size_t i = 0; i < c.n_pools; i++) {
        const struct pool *p = &c.pools[i];
        struct out_row *row;
        if (o->name != NULL && strcmp(o->name, p->name) != 0)
            continue;
        row = out_row(out, &table);
        out_str(row, "poolName", p->name);
        for (size_t k = 0; k < p->n_nodes; k++)
            add_member(row, &c, p->nodes[k]);
    }
    rc = 0;
out:
    cluster_release(&c);
    return rc;
}

static const char *const examples[] = {"show pools", NULL};

const struct cmd cmd_show_pools = {
    .name = "show pools",
    .summary = "list pools and their storage nodes",
    .description = "Each pool with its storage nodes and the zones they are in.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
