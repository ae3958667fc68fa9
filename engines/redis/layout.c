/*
 * A layout for a pool: how many shards its storage nodes can carry, and where each copy goes. Pure.
 *
 * As many shards as the capacity allows; copies of a shard on different nodes; the node with most
 * free capacity first; primaries spread; in each node the least used storage directory; ports from
 * the node's range: services from below, their cluster bus from above.
 */
#include "engines/redis/redis.h"

#include <string.h>

struct slot_on_node {
    const struct node *node;
    const struct zone *zone;
    int used;
    int primaries;
    int *dir_use;
};

struct layout {
    struct arena arena;
    struct slot_on_node *v;
    size_t n;
    int shards;
};

static int bad_pool(const struct cluster *c, const char *pool, struct err *err)
{
    (void)c;
    err_set(err, ERR_INPUT, "pool \"%s\" does not exist", pool);
    return err_advise(err, "'show pools' lists the pools, 'pool create' makes one");
}

static int add_node(struct layout *l, const struct cluster *c, const char *id, struct err *err)
{
    const struct node *n = cluster_node(c, id);
    struct slot_on_node *s;

    if (n == NULL)
        return err_set(err, ERR_INPUT, "storage node \"%s\" of the pool does not exist", id);
    if (n->status != STATUS_RUNNING) {
        err_set(err, ERR_UNREACHABLE, "%s cannot be laid out: %s", n->id,
                n->detail ? n->detail : "it was not asked");
        return err_advise(err, "start the agent of %s, then repeat", n->id);
    }
    if (n->n_dirs == 0)
        return err_set(err, ERR_INPUT, "%s has no storage directory", n->id);
    s = ARENA_PUSH(&l->arena, l->v, l->n);
    s->node = n;
    s->zone = cluster_zone(c, n->zone);
    s->dir_use = arena_alloc(&l->arena, n->n_dirs * sizeof *s->dir_use);
    return 0;
}

static int collect(struct layout *l, const struct cluster *c, const char *pool, struct err *err)
{
    const struct pool *p = cluster_pool(c, pool);

    if (p == NULL && strcmp(pool, "AllStorageNodes") != 0)
        return bad_pool(c, pool, err);
    for (size_t i = 0; i < (p ? p->n_nodes : c->n_nodes); i++) {
        if (add_node(l, c, p ? p->nodes[i] : c->nodes[i].id, err) != 0)
            return -1;
    }
    return 0;
}

/* How many shards the zone's nodes can carry: the largest S with sum(min(capacity, S)) >= S * rf.
 */
static int shards_of_zone(const struct layout *l, const struct zone *z)
{
    int shards = 0;

    for (int s = 1; s <= REDIS_SLOTS; s++) {
        int64_t room = 0;
        for (size_t i = 0; i < l->n; i++) {
            if (l->v[i].zone == z)
                room += l->v[i].node->capacity < s ? l->v[i].node->capacity : s;
        }
        if (room < (int64_t)s * z->rf)
            break;
        shards = s;
    }
    return shards;
}

static int count_shards(struct layout *l, const struct cluster *c, struct findings *f,
                        struct err *err)
{
    l->shards = REDIS_SLOTS;
    for (size_t z = 0; z < c->n_zones; z++) {
        const struct zone *zone = &c->zones[z];
        int shards, nodes = 0, capacity = 0;

        for (size_t i = 0; i < l->n; i++) {
            nodes += l->v[i].zone == zone;
            capacity += l->v[i].zone == zone ? l->v[i].node->capacity : 0;
        }
        if (nodes < zone->rf) {
            err_set(err, ERR_REFUSED,
                    "refused: zone %s keeps %d copies of each shard, but the pool has %d storage "
                    "node%s there (rule too-few-nodes)",
                    zone->name, zone->rf, nodes, nodes == 1 ? "" : "s");
            return err_advise(err, "deploy more storage nodes into %s and 'pool join' them",
                              zone->name);
        }
        shards = shards_of_zone(l, zone);
        if (shards == 0) {
            err_set(
                err, ERR_REFUSED,
                "refused: the storage nodes of zone %s have capacity for %d services, one shard "
                "needs %d (rule capacity)",
                zone->name, capacity, zone->rf);
            return err_advise(err, "raise -capacity of the agents or add storage nodes");
        }
        if (capacity > shards * zone->rf)
            findings_add(f, SEVERITY_NOTE, "capacity", zone->id,
                         "%d of %d places in zone %s stay unused", capacity - shards * zone->rf,
                         capacity, zone->name);
        l->shards = shards < l->shards ? shards : l->shards;
    }
    if (c->n_zones == 0)
        return err_set(err, ERR_INPUT, "the store has no zone yet");
    if (l->shards < 3)
        findings_add(f, SEVERITY_NOTE, "few-shards", c->store,
                     "%d shard%s cannot elect a new primary by themselves", l->shards,
                     l->shards == 1 ? "" : "s");
    return 0;
}

/* Marks the rf nodes of the zone with most room left as chosen; order of the pool decides ties. */
static void choose(const struct layout *l, const struct zone *z, bool *chosen)
{
    for (int copy = 0; copy < z->rf; copy++) {
        size_t best = l->n;
        for (size_t i = 0; i < l->n; i++) {
            const struct slot_on_node *s = &l->v[i];
            if (s->zone != z || chosen[i] || s->used >= s->node->capacity)
                continue;
            if (best == l->n ||
                s->node->capacity - s->used > l->v[best].node->capacity - l->v[best].used)
                best = i;
        }
        if (best < l->n)
            chosen[best] = true;
    }
}

static size_t least_used_dir(const struct slot_on_node *s)
{
    size_t best = 0;

    for (size_t d = 1; d < s->node->n_dirs; d++) {
        bool better = s->dir_use[d] < s->dir_use[best];
        if (better && strcmp(s->node->dirs[d].state, "ok") == 0)
            best = d;
    }
    return best;
}

static struct json *place_rn(struct slot_on_node *s, const char *shard, bool primary)
{
    size_t dir = least_used_dir(s);
    struct json *rn = json_object();

    json_set_str(rn, "shard", shard);
    json_set_str(rn, "sn", s->node->id);
    json_set_str(rn, "storageDir", s->node->dirs[dir].path);
    json_set_int(rn, "port", s->node->ha_first + s->used);
    json_set_int(rn, "busPort", s->node->ha_last - s->used);
    json_set_bool(rn, "firstPrimary", primary);
    s->dir_use[dir]++;
    s->used++;
    s->primaries += primary;
    return rn;
}

static void lay_shard(struct layout *l, const struct cluster *c, int index, struct json *candidate)
{
    bool *chosen = arena_alloc(&l->arena, l->n * sizeof *chosen);
    const char *id = arena_printf(&l->arena, "rg%d", index + 1);
    int first = (int)((int64_t)index * REDIS_SLOTS / l->shards);
    int last = (int)((int64_t)(index + 1) * REDIS_SLOTS / l->shards) - 1;
    struct json *shard = json_object(), *range = json_array(), *ranges = json_array();
    size_t primary = l->n;
    int copy = 0;

    for (size_t z = 0; z < c->n_zones; z++)
        choose(l, &c->zones[z], chosen);
    for (size_t i = 0; i < l->n; i++) {
        if (chosen[i] && strcmp(l->v[i].zone->type, "PRIMARY") == 0 &&
            (primary == l->n || l->v[i].primaries < l->v[primary].primaries))
            primary = i;
    }
    for (size_t i = 0; i < l->n; i++) {
        if (chosen[i])
            json_set(json_get(candidate, "rns"), arena_printf(&l->arena, "%s-rn%d", id, ++copy),
                     place_rn(&l->v[i], id, i == primary));
    }
    json_push(range, json_number(first));
    json_push(range, json_number(last));
    json_push(ranges, range);
    json_set(shard, "slots", ranges);
    json_set_int(shard, "partitions", last - first + 1);
    json_set(json_get(candidate, "shards"), id, shard);
}

int redis_layout(const struct cluster *c, const char *pool, int partitions, struct json *candidate,
                 struct findings *f, struct err *err)
{
    struct layout l = {0};
    int rc = -1;

    if (c->n_shards > 0) {
        err_set(err, ERR_REFUSED,
                "refused: the store is deployed already with %zu shards (rule deployed)",
                c->n_shards);
        err_advise(err, "'show topology' draws what is deployed");
        goto out;
    }
    if (collect(&l, c, pool, err) != 0 || count_shards(&l, c, f, err) != 0)
        goto out;
    if (partitions != REDIS_SLOTS)
        findings_add(f, SEVERITY_NOTE, "partitions", c->store,
                     "-partitions %d has no effect: a redis store always has %d hash slots",
                     partitions, REDIS_SLOTS);
    json_set_str(candidate, "pool", pool);
    json_set_int(candidate, "partitions", REDIS_SLOTS);
    json_set_int(candidate, "sequence", c->sequence);
    json_set(candidate, "shards", json_object());
    json_set(candidate, "rns", json_object());
    for (int i = 0; i < l.shards; i++)
        lay_shard(&l, c, i, candidate);
    rc = 0;
out:
    arena_release(&l.arena);
    return rc;
}
