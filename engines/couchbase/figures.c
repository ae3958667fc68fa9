/* Copies, capacity, quorum: the arithmetic behind checks and verify. Pure. */
#include "engines/couchbase/couchbase.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* A member whose load counts: active, with the data service. */
static bool carries(const struct service *s)
{
    return cb_is_active(s) && cb_has(s, "kv");
}

/* Active once the set has gone? */
static bool stays(const struct service *s, const struct cb_set *but)
{
    bool joins = but != NULL && but->by_rebalance && cb_is_added(s);

    return (cb_is_active(s) || joins) && !cb_in(but, s);
}

size_t cb_active_with(const struct cluster *c, const char *duty, const struct cb_set *but)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        n += stays(s, but) && (duty == NULL || cb_has(s, duty));
    }
    return n;
}

size_t cb_served_with(const struct cluster *c, const char *duty, const struct cb_set *but)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        n += stays(s, but) && cb_has(s, duty) && s->status != STATUS_UNREACHABLE;
    }
    return n;
}

/* Sums over the nodes that tell; the silent ones are taken to carry as much as the mean. */
struct sums {
    int nodes, heard;
    double memory, cpu, ops;
};

static void sum(const struct cluster *c, struct sums *t)
{
    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        const struct json *stats = json_get(s->raw, "interestingStats");
        const struct json *system = json_get(s->raw, "systemStats");
        if (!carries(s))
            continue;
        t->nodes++;
        if (s->status == STATUS_UNREACHABLE || json_len(system) == 0)
            continue;
        t->heard++;
        t->memory += (double)json_int(stats, "mem_used", 0);
        t->cpu += (double)json_int(system, "cpu_utilization_rate", 0);
        t->ops += (double)json_int(stats, "ops", 0);
    }
}

/* Nonsense must not wrap round to little. */
static int percent(double value)
{
    return value < 0 ? 0 : value < INT_MAX ? (int)value : INT_MAX;
}

void cb_load(const struct cluster *c, const struct cb_set *leaving, struct cb_load *l)
{
    double quota = (double)json_int(cb_part(c, "default"), "memoryQuota", 0) * (1 << 20);
    struct sums t = {0};
    double scale;

    sum(c, &t);
    *l = (struct cb_load){.nodes_now = t.nodes,
                          .nodes_after = (int)cb_active_with(c, "kv", leaving),
                          .memory_now = -1,
                          .memory_after = -1,
                          .cpu_now = -1,
                          .cpu_after = -1,
                          .ops_now = -1,
                          .ops_after = -1};
    if (t.heard == 0 || l->nodes_after <= 0)
        return;
    scale = (double)t.nodes / l->nodes_after;
    if (quota > 0) {
        l->memory_now = percent(t.memory * 100 / (quota * t.heard));
        l->memory_after = percent(t.memory * 100 / (quota * t.heard) * scale);
    }
    l->cpu_now = percent(t.cpu / t.heard);
    l->cpu_after = percent(t.cpu / t.heard * scale);
    l->ops_now = (int64_t)(t.ops / t.heard);
    l->ops_after = (int64_t)(t.ops / t.heard * scale);
}

/* --- what has no other copy --- */

/* The map names hosts as the asked node sees them, which is not always as they are configured. */
static bool is_host_of(const struct cluster *c, const struct service *s, const char *host,
                       struct arena *a)
{
    const struct agent_node names = cb_names_of(c, s, a);

    for (size_t i = 0; i < sizeof names.hosts / sizeof *names.hosts; i++) {
        if (names.hosts[i] != NULL && strcmp(names.hosts[i], host) == 0)
            return true;
    }
    return false;
}

/* "host:11210" or "[v6]:11210" in the map: the member whose host it is. NULL: nobody's for sure. */
static const struct service *server(const struct cluster *c, const char *address)
{
    const char *colon = address ? strrchr(address, ':') : NULL;
    const struct service *found = NULL;
    struct arena a = {0};
    bool bracketed;
    const char *host;
    size_t matches = 0;

    if (colon == NULL || colon == address)
        return NULL;
    bracketed = address[0] == '[' && colon - address > 1 && colon[-1] == ']';
    host = arena_strndup(&a, address + bracketed, (size_t)(colon - address) - 2 * bracketed);
    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        int64_t direct = json_int(json_get(s->raw, "ports"), "direct", 11210);
        if (direct != strtoll(colon + 1, NULL, 10) || !is_host_of(c, s, host, &a))
            continue;
        found = s;
        matches++;
    }
    arena_release(&a);
    return matches == 1 ? found : NULL;
}

/* Is the copy still there once the set is gone? What nobody hears of does not count either. */
static bool survives(const struct cluster *c, const struct json *servers, int64_t index,
                     const struct cb_set *set)
{
    const struct service *s =
        index >= 0 ? server(c, json_value_str(json_at(servers, (size_t)index))) : NULL;

    return s != NULL && cb_is_active(s) && s->status != STATUS_UNREACHABLE && !cb_in(set, s);
}

/* Of all vBuckets, those of which the set has a copy and no other that lives is left. *all_known:
 * each server of the map is a member that was recognised. */
static double counted(const struct cluster *c, const struct json *map, const struct cb_set *set,
                      bool *all_known)
{
    const struct json *servers = json_get(map, "serverList"), *list = json_get(map, "vBucketMap");
    size_t all = json_len(list), lost = 0, n = json_len(servers);
    struct arena a = {0};
    bool *there = arena_alloc(&a, n + 1), *leaves = arena_alloc(&a, n + 1);

    *all_known = true;
    for (size_t i = 0; i < n; i++) {
        const struct service *s = server(c, json_value_str(json_at(servers, i)));
        *all_known = *all_known && s != NULL;
        there[i] = survives(c, servers, (int64_t)i, set);
        leaves[i] = s != NULL && cb_is_active(s) && cb_in(set, s);
    }
    JSON_FOREACH (chain, list) {
        bool safe = false, ours = false;
        JSON_FOREACH (copy, chain) {
            int64_t index = json_value_int(copy, -1);
            if (index < 0 || (size_t)index >= n)
                continue;
            safe = safe || there[index];
            ours = ours || leaves[index];
        }
        lost += ours && !safe;
    }
    arena_release(&a);
    return all > 0 ? 100.0 * (double)lost / (double)all : 0;
}

/* Of vBuckets spread evenly over n nodes with r further copies, those that are on k nodes only. */
static double reckoned(int n, int k, int r)
{
    double share = 100;

    if (k > n)
        k = n;
    for (int i = 0; i <= r; i++) {
        if (k - i <= 0 || n - i <= 0)
            return 0;
        share = share * (k - i) / (n - i);
    }
    return share;
}

double cb_share_lost(const struct cluster *c, const struct json *bucket, const struct cb_set *set,
                     bool *exact)
{
    const struct json *map = json_get(bucket, "vBucketServerMap");
    const char *type = json_str(bucket, "bucketType");
    int k = 0, r = (int)json_int(bucket, "replicaNumber", 0);
    double count = 0, reckoning;

    for (size_t i = 0; i < set->n; i++)
        k += carries(set->v[i]);
    *exact = false;
    if (json_len(json_get(map, "vBucketMap")) > 0)
        count = counted(c, map, set, exact);
    if (type != NULL && strcmp(type, "memcached") == 0)
        r = 0;
    if (*exact)
        return count;
    reckoning = reckoned((int)cb_active_with(c, "kv", NULL), k, r);
    return count > reckoning ? count : reckoning;
}

/* --- quorum, groups, versions --- */

void cb_quorum(const struct cluster *c, struct cb_quorum *q)
{
    *q = (struct cb_quorum){0};
    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        if (!cb_is_active(s))
            continue;
        q->active++;
        q->healthy += s->status != STATUS_UNREACHABLE;
    }
    q->needed = q->active / 2 + 1;
}

size_t cb_groups_left(const struct cluster *c, const struct cb_set *but)
{
    size_t left = 0;

    for (size_t z = 0; z < c->n_zones; z++) {
        bool used = false;
        for (size_t i = 0; i < c->n_services; i++) {
            const struct service *s = &c->services[i];
            const struct node *n = cluster_node(c, s->node);
            used = used || (stays(s, but) && n != NULL && strcmp(n->zone, c->zones[z].id) == 0);
        }
        left += used;
    }
    return left;
}

bool cb_versions_mixed(const struct cluster *c, const char **low, const char **high)
{
    *low = *high = NULL;
    for (size_t i = 0; i < c->n_services; i++) {
        const char *v = c->services[i].version;
        if (v == NULL)
            continue;
        if (*low == NULL || strverscmp(v, *low) < 0)
            *low = v;
        if (*high == NULL || strverscmp(v, *high) > 0)
            *high = v;
    }
    return *low != NULL && strcmp(*low, *high) != 0;
}
