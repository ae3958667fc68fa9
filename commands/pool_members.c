#include "commands/pool_members.h"

#include <string.h>

#include "commands/edit.h"
#include "kvsh/meta.h"

const struct opt pool_options[] = {
    OPT_STR(struct pool_opts, name, "name", "name of the pool", .flags = OPT_REQUIRED,
            .complete = COMPLETE_POOL),
    OPT_LIST(struct pool_opts, sns, "sn", "a storage node; may be given several times",
             .value = "ID", .flags = OPT_REQUIRED, .complete = COMPLETE_NODE),
    OPT_END,
};

static const struct out_col cols[] = {
    {"poolName", "NAME", OUT_STR, "name of the pool"},
    {"storageNodes", "STORAGE NODES", OUT_LIST, "the nodes that were named"},
    {0},
};
static const struct out_table join_table = {
    .cols = cols,
    .single = true,
    .text = "Added Storage Node(s) [{storageNodes}] to pool {poolName}",
};
static const struct out_table leave_table = {
    .cols = cols,
    .single = true,
    .text = "Removed Storage Node(s) [{storageNodes}] from pool {poolName}",
};
const struct out_table *const pool_join_tables[] = {&join_table, NULL};
const struct out_table *const pool_leave_tables[] = {&leave_table, NULL};

static bool is_named(const char *id, const char **ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(ids[i], id) == 0)
            return true;
    }
    return false;
}

/* The nodes' full ids; -1 with a reason when one does not exist, or is no member and is to leave.
 */
static int resolve(const struct cluster *c, const struct words *sns, const struct pool *leaving,
                   const char **ids, struct err *err)
{
    for (size_t i = 0; i < sns->n; i++) {
        const struct node *n = cluster_node(c, sns->v[i]);
        if (n == NULL)
            return no_such_node(c, sns->v[i], err);
        if (leaving != NULL && !is_named(n->id, leaving->nodes, leaving->n_nodes))
            return err_set(err, ERR_INPUT, "%s is not in pool %s", n->id, leaving->name);
        ids[i] = n->id;
    }
    return 0;
}

static struct json *new_members(const struct pool *pool, const char **ids, size_t n, bool join)
{
    struct json *doc = json_object(), *members = json_array();

    for (size_t i = 0; i < pool->n_nodes; i++) {
        if (join || !is_named(pool->nodes[i], ids, n))
            json_push_str(members, pool->nodes[i]);
    }
    for (size_t i = 0; join && i < n; i++) {
        if (!is_named(ids[i], pool->nodes, pool->n_nodes) && !is_named(ids[i], ids, i))
            json_push_str(members, ids[i]);
    }
    json_set(doc, "members", members);
    return doc;
}

int pool_change(struct session *s, const struct pool_opts *o, bool join, struct out *out,
                struct err *err)
{
    const struct pool *pool;
    const char **ids;
    struct out_row *row;
    struct edit e;
    int rc = -1;

    if (edit_begin(&e, s, err) != 0)
        goto out;
    if ((pool = cluster_pool(&e.cluster, o->name)) == NULL) {
        no_such_pool(&e.cluster, o->name, err);
        goto out;
    }
    ids = arena_alloc(&e.cluster.arena, o->sns.n * sizeof *ids);
    if (resolve(&e.cluster, &o->sns, join ? NULL : pool, ids, err) != 0)
        goto out;
    meta_effect(e.effects, "pool", o->name, new_members(pool, ids, o->sns.n, join));
    if (edit_commit(&e, o->name,
                    arena_printf(&e.cluster.arena, "%s%s %s pool %s", ids[0],
                                 o->sns.n > 1 ? " and others" : "", join ? "joined" : "left",
                                 o->name),
                    out, err) != 0)
        goto out;
    row = out_row(out, join ? &join_table : &leave_table);
    out_str(row, "poolName", o->name);
    for (size_t i = 0; i < o->sns.n; i++)
        out_item(row, "storageNodes", ids[i]);
    rc = 0;
out:
    edit_end(&e);
    return rc;
}
