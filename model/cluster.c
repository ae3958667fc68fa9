#include "kvsh/cluster.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "kvsh/json.h"

void cluster_release(struct cluster *c)
{
    json_free(c->doc);
    json_free(c->raw);
    arena_release(&c->arena);
    memset(c, 0, sizeof *c);
}

/* Is `given` the id, or the id without its letters ("1" for sn1)? */
static bool id_matches(const char *id, const char *given)
{
    if (given == NULL)
        return false;
    if (strcmp(id, given) == 0)
        return true;
    if (!isdigit((unsigned char)given[0]))
        return false;
    while (isalpha((unsigned char)*id))
        id++;
    return strcmp(id, given) == 0;
}

struct zone *cluster_zone(const struct cluster *c, const char *id_or_name)
{
    for (size_t i = 0; i < c->n_zones; i++) {
        const struct zone *z = &c->zones[i];
        if (id_matches(z->id, id_or_name) || (id_or_name && strcmp(z->name, id_or_name) == 0))
            return &c->zones[i];
    }
    return NULL;
}

struct node *cluster_node(const struct cluster *c, const char *id)
{
    for (size_t i = 0; i < c->n_nodes; i++) {
        if (id_matches(c->nodes[i].id, id))
            return &c->nodes[i];
    }
    return NULL;
}

struct service *cluster_service(const struct cluster *c, const char *id)
{
    for (size_t i = 0; i < c->n_services; i++) {
        if (strcmp(c->services[i].id, id) == 0)
            return &c->services[i];
    }
    return NULL;
}

struct shard *cluster_shard(const struct cluster *c, const char *id)
{
    for (size_t i = 0; i < c->n_shards; i++) {
        if (id_matches(c->shards[i].id, id))
            return &c->shards[i];
    }
    return NULL;
}

struct pool *cluster_pool(const struct cluster *c, const char *name)
{
    for (size_t i = 0; i < c->n_pools; i++) {
        if (strcmp(c->pools[i].name, name) == 0)
            return &c->pools[i];
    }
    return NULL;
}

const struct node *cluster_leased(const struct cluster *c, const char *owner)
{
    for (size_t i = 0; i < c->n_nodes; i++) {
        const struct node *n = &c->nodes[i];
        if (n->lease_owner != NULL && strcmp(n->lease_owner, owner) != 0)
            return n;
    }
    return NULL;
}

static bool in_shard(const struct service *s, const char *shard)
{
    return s->shard != NULL && strcmp(s->shard, shard) == 0;
}

size_t cluster_live_copies(const struct cluster *c, const char *shard)
{
    size_t live = 0;

    for (size_t i = 0; i < c->n_services; i++)
        live += in_shard(&c->services[i], shard) && c->services[i].status == STATUS_RUNNING;
    return live;
}

struct service *cluster_master(const struct cluster *c, const char *shard)
{
    for (size_t i = 0; i < c->n_services; i++) {
        struct service *s = &c->services[i];
        if (in_shard(s, shard) && s->status == STATUS_RUNNING && s->role == ROLE_MASTER)
            return s;
    }
    return NULL;
}

const char *status_name(enum status s)
{
    static const char *const names[] = {
        [STATUS_UNREPORTED] = "UNREPORTED",   [STATUS_RUNNING] = "RUNNING",
        [STATUS_STARTING] = "STARTING",       [STATUS_STOPPING] = "STOPPING",
        [STATUS_STOPPED] = "STOPPED",         [STATUS_ERROR] = "ERROR",
        [STATUS_UNREACHABLE] = "UNREACHABLE", [STATUS_UNDEPLOYED] = "UNDEPLOYED",
    };
    return names[s];
}

const char *role_name(enum role r)
{
    static const char *const names[] = {
        [ROLE_NONE] = "",
        [ROLE_MASTER] = "MASTER",
        [ROLE_REPLICA] = "REPLICA",
        [ROLE_UNKNOWN] = "UNKNOWN",
    };
    return names[r];
}

/* Fowler, Noll, Vo: 64-bit FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint64_t fnv(uint64_t h, const char *s)
{
    for (; s != NULL && *s; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(1099511628211);
    return (h ^ 0xff) * UINT64_C(1099511628211); /* ends each field */
}

static uint64_t fnv_int(uint64_t h, int64_t n)
{
    char text[24];

    snprintf(text, sizeof text, "%lld", (long long)n);
    return fnv(h, text);
}

void cluster_digest(const struct cluster *c, char out[17])
{
    uint64_t h = UINT64_C(14695981039346656037);

    h = fnv(fnv(fnv(h, c->store), c->engine), c->identity);
    h = fnv_int(h, c->sequence);
    for (size_t i = 0; i < c->n_zones; i++)
        h = fnv_int(fnv(fnv(h, c->zones[i].id), c->zones[i].type), c->zones[i].rf);
    for (size_t i = 0; i < c->n_nodes; i++) {
        const struct node *n = &c->nodes[i];
        h = fnv_int(fnv(fnv(fnv(h, n->id), n->zone), n->url), n->status);
        for (size_t d = 0; d < n->n_dirs; d++)
            h = fnv(fnv(h, n->dirs[d].path), n->dirs[d].state);
    }
    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        h = fnv(fnv(fnv(fnv(h, s->id), s->node), s->storage_dir), s->dir_state);
        h = fnv(fnv(h, s->membership), s->duties);
        h = fnv_int(fnv_int(fnv_int(fnv_int(h, s->status), s->role), s->in_sync), s->stopped_by);
    }
    for (size_t i = 0; i < c->n_shards; i++) {
        h = fnv(h, c->shards[i].id);
        for (size_t r = 0; r < c->shards[i].n_slots; r++)
            h = fnv_int(fnv_int(h, c->shards[i].slots[r].first), c->shards[i].slots[r].last);
    }
    snprintf(out, 17, "%016llx", (unsigned long long)h);
}
