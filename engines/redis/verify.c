/* Findings about a redis store as it is. Pure: looks at the observation only. */
#include "engines/redis/redis.h"

#include <string.h>

#define START_ALL "'plan start-service -all-rns -wait' starts the whole store"

static bool dir_is_bad(const char *state)
{
    return state != NULL && strcmp(state, "ok") != 0;
}

static bool dir_is_used(const struct cluster *c, const struct node *n, const char *path)
{
    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        if (strcmp(s->node, n->id) == 0 && s->storage_dir && strcmp(s->storage_dir, path) == 0)
            return true;
    }
    return false;
}

static void verify_node(const struct cluster *c, const struct node *n, struct findings *f)
{
    if (n->status == STATUS_UNREACHABLE) {
        findings_add(f, SEVERITY_VIOLATION, "node-unreachable", n->id, "%s", n->detail);
        findings_remedy(f, "start the agent on %s: kvagentd start -root KVROOT", n->host);
        return;
    }
    if (n->status == STATUS_ERROR) {
        findings_add(f, SEVERITY_VIOLATION, "node-identity", n->id, "%s at %s:%d: %s", n->id,
                     n->host, n->port, n->detail);
        findings_remedy(
            f, "check the address of %s, and that its KVROOT is the one it was deployed with",
            n->id);
        return;
    }
    /* A directory that carries services is reported with them. */
    for (size_t i = 0; i < n->n_dirs; i++) {
        const struct storage_dir *d = &n->dirs[i];
        if (dir_is_bad(d->state) && !dir_is_used(c, n, d->path))
            findings_add(f, SEVERITY_VIOLATION, "dir-unusable", n->id,
                         "storage directory %s on %s is %s", d->path, n->id, d->state);
    }
}

static void verify_admin(const struct cluster *c, const struct service *s, struct findings *f)
{
    const struct node *n = cluster_node(c, s->node);

    if (s->status == STATUS_UNDEPLOYED) {
        findings_add(f, SEVERITY_VIOLATION, "undeployed", s->id, "%s on %s: %s", s->id, s->node,
                     s->detail);
        findings_remedy(f, "deploy it again with 'plan deploy-admin -sn %s'", s->node);
    } else if (n != NULL && n->status == STATUS_RUNNING &&
               n->metadata_version < c->metadata_version) {
        findings_add(f, SEVERITY_NOTE, "metadata-old", s->id,
                     "%s keeps version %lld of the store's metadata, the newest is %lld", s->id,
                     (long long)n->metadata_version, (long long)c->metadata_version);
        findings_remedy(f, "the next plan brings it up to date");
    }
}

/* The files of a running service are not those on its disk, or there is no room for more. */
static void remedy_running(const struct cluster *c, struct service *s, const char *state, bool own,
                           struct findings *f)
{
    const struct selection alone = {.v = &s, .n = 1};

    if (strcmp(state, "full") == 0)
        findings_remedy(f, "make room in %s on %s: writes go on by themselves then", s->storage_dir,
                        s->node);
    else if (strcmp(state, "readonly") == 0)
        findings_remedy(f, "make %s on %s writable again: writes go on by themselves then",
                        s->storage_dir, s->node);
    else if (s->role == ROLE_MASTER && redis_successor(c, s, &alone) == NULL)
        findings_remedy(
            f, "do not stop it: only its memory holds %s; bring a replica in sync first", s->shard);
    else if (own || strcmp(state, "replaced") == 0)
        findings_remedy(f, "%s", redis_way_back(c, s, &f->arena));
    else
        findings_remedy(f,
                        "'plan stop-service -service %s -wait', replace the disk or directory, "
                        "'plan start-service -service %s -wait'",
                        s->id, s->id);
}

/* Once the disk is well: what was a primary and is empty does not start before it is replaced. */
static void remedy_disk(const struct cluster *c, const struct service *s, const char *state,
                        struct findings *f)
{
    const struct service *master = cluster_master(c, s->shard);
    const char *verb = master != NULL && master != s ? "start-service" : "recover";

    if (strcmp(state, "full") == 0)
        findings_remedy(f, "make room in %s on %s, then 'plan %s -service %s -wait'",
                        s->storage_dir, s->node, verb, s->id);
    else if (strcmp(state, "readonly") == 0)
        findings_remedy(f, "make %s on %s writable, then 'plan %s -service %s -wait'",
                        s->storage_dir, s->node, verb, s->id);
    else
        findings_remedy(f, "mount or create %s on %s, then 'plan %s -service %s -wait'",
                        s->storage_dir, s->node, verb, s->id);
}

static const char *dir_effect(const struct service *s, const char *state)
{
    if (s->status != STATUS_RUNNING)
        return "";
    if (strcmp(state, "full") == 0 || strcmp(state, "readonly") == 0)
        return "; the process refuses writes meanwhile";
    return "; the process keeps running from memory and loses its data when it stops";
}

/* Directory trouble is worth a finding whether the process still runs or not. Returns true when
 * there was one. */
static bool verify_dir(const struct cluster *c, struct service *s, struct findings *f)
{
    const char *state = redis_dir_state(c, s);
    bool own = redis_only_data_is_bad(c, s);

    if (!dir_is_bad(state))
        return false;
    if (own)
        findings_add(f, SEVERITY_VIOLATION, "dir-unusable", s->id,
                     "the data of %s in %s on %s is %s%s", s->id, s->storage_dir, s->node, state,
                     dir_effect(s, state));
    else
        findings_add(f, SEVERITY_VIOLATION, "dir-unusable", s->id,
                     "storage directory %s of %s on %s is %s%s", s->storage_dir, s->id, s->node,
                     state, dir_effect(s, state));
    if (s->status == STATUS_RUNNING)
        remedy_running(c, s, state, own, f);
    else
        remedy_disk(c, s, state, f);
    return true;
}

/* Nothing of the store runs, because a plan stopped it. */
static bool whole_store_is_stopped(const struct cluster *c)
{
    for (size_t i = 0; i < c->n_services; i++) {
        if (c->services[i].kind == KIND_RN && c->services[i].stopped_by == 0)
            return false;
    }
    return true;
}

static void verify_down(const struct cluster *c, const struct service *s, struct findings *f)
{
    if (s->stopped_by != 0) {
        findings_add(f, SEVERITY_NOTE, "stopped", s->id,
                     "%s on %s was stopped by plan %lld and is not running%s%s", s->id, s->node,
                     (long long)s->stopped_by, s->status == STATUS_ERROR && s->detail ? ": " : "",
                     s->status == STATUS_ERROR && s->detail ? s->detail : "");
    } else if (s->status == STATUS_STARTING) {
        findings_add(f, SEVERITY_NOTE, "starting", s->id, "%s on %s is starting%s%s", s->id,
                     s->node, s->detail ? ": " : "", s->detail ? s->detail : "");
        findings_remedy(f, "wait, and verify again");
        return;
    } else {
        findings_add(f, SEVERITY_VIOLATION, "service-down", s->id,
                     "%s on %s should run and is %s%s%s", s->id, s->node, status_name(s->status),
                     s->detail ? ": " : "", s->detail ? s->detail : "");
    }
    if (whole_store_is_stopped(c))
        findings_remedy(f, START_ALL);
    else
        findings_remedy(f, "%s", redis_way_back(c, s, &f->arena));
}

static void verify_replica(const struct cluster *c, const struct service *s, struct findings *f)
{
    const struct json *live = redis_live(s);
    const struct service *master = cluster_master(c, s->shard);

    if (json_bool(live, "syncInProgress", false)) {
        findings_add(f, SEVERITY_NOTE, "copying", s->id, "%s on %s is copying its shard", s->id,
                     s->node);
        findings_remedy(f, "wait, and verify again");
    } else if (!json_bool(live, "linkUp", false)) {
        findings_add(f, SEVERITY_VIOLATION, "replica-link", s->id,
                     "replica %s on %s has no link to its primary", s->id, s->node);
        if (master != NULL)
            findings_remedy(f, "it tries again each second; if that does not help: %s",
                            redis_way_back(c, s, &f->arena));
        else
            findings_remedy(f, "the finding about shard %s says what helps", s->shard);
    }
}

static void verify_process(const struct cluster *c, const struct service *s, struct findings *f)
{
    const struct json *live = redis_live(s);
    const char *id = json_str(live, "nodeId"), *expected = json_str(live, "expectedNodeId");
    const char *state = json_str(live, "clusterState");

    if (id != NULL && expected != NULL && strcmp(id, expected) != 0)
        findings_add(f, SEVERITY_VIOLATION, "identity", s->id,
                     "%s on %s runs as cluster member %.8s, but was deployed as %.8s", s->id,
                     s->node, id, expected);
    if (s->role == ROLE_UNKNOWN)
        findings_add(f, SEVERITY_VIOLATION, "two-primaries", s->id,
                     "%s on %s calls itself primary of %s, but another copy is", s->id, s->node,
                     s->shard);
    if (s->role == ROLE_REPLICA)
        verify_replica(c, s, f);
    if (!json_bool(live, "aofOk", true))
        findings_add(f, SEVERITY_VIOLATION, "persistence", s->id,
                     "%s on %s cannot write its data to disk", s->id, s->node);
    if (state != NULL && strcmp(state, "ok") != 0)
        findings_add(f, SEVERITY_VIOLATION, "cluster-state", s->id,
                     "%s on %s says that the cluster state is %s", s->id, s->node, state);
    if (s->max_bytes > 0 && s->used_bytes > s->max_bytes / 5 * 4)
        findings_add(f, SEVERITY_NOTE, "memory", s->id, "%s on %s uses %lld %% of its memory limit",
                     s->id, s->node, (long long)(s->used_bytes * 100 / s->max_bytes));
}

static void verify_rn(const struct cluster *c, struct service *s, struct findings *f)
{
    const struct node *n = cluster_node(c, s->node);

    if (n == NULL || n->status != STATUS_RUNNING) {
        if (s->stopped_by == 0)
            findings_add(f, SEVERITY_VIOLATION, "service-down", s->id,
                         "%s on %s cannot be seen: %s", s->id, s->node,
                         n ? "its agent does not answer as it should" : "no such node");
        else
            verify_down(c, s, f);
        return;
    }
    if (s->status == STATUS_UNDEPLOYED) {
        findings_add(f, SEVERITY_VIOLATION, "undeployed", s->id, "%s on %s: %s", s->id, s->node,
                     s->detail);
        findings_remedy(f, "finish its plan with 'plan execute', see 'show plans'");
        return;
    }
    if (verify_dir(c, s, f) && s->status != STATUS_RUNNING && s->stopped_by == 0)
        return;
    if (s->status != STATUS_RUNNING)
        verify_down(c, s, f);
    else
        verify_process(c, s, f);
}

/* A service of the shard whose agent does not answer: what it does cannot be said. */
static const struct service *unseen_in(const struct cluster *c, const struct shard *sh)
{
    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        const struct node *n = cluster_node(c, s->node);
        if (s->shard != NULL && strcmp(s->shard, sh->id) == 0 && s->stopped_by == 0 &&
            (n == NULL || n->status != STATUS_RUNNING))
            return s;
    }
    return NULL;
}

static void verify_shard(const struct cluster *c, const struct shard *sh, struct findings *f)
{
    const struct service *master = cluster_master(c, sh->id);
    const struct service *unseen = master ? NULL : unseen_in(c, sh);

    if (unseen != NULL) {
        findings_add(f, SEVERITY_VIOLATION, "no-primary", sh->id,
                     "shard %s has no primary among the services that can be seen; %s on %s may "
                     "serve its %d hash slots, or nobody does",
                     sh->id, unseen->id, unseen->node, sh->partitions);
        findings_remedy(f, "start the agent of %s, then look again", unseen->node);
    } else if (master == NULL) {
        findings_add(f, SEVERITY_VIOLATION, "no-primary", sh->id,
                     "shard %s has no primary: its %d hash slots are not served", sh->id,
                     sh->partitions);
        findings_remedy(f, "%s",
                        whole_store_is_stopped(c) ? START_ALL
                                                  : redis_way_to_primary(c, sh->id, &f->arena));
    }
    for (size_t i = 0; i < c->n_services; i++) {
        for (size_t k = i + 1; k < c->n_services; k++) {
            const struct service *a = &c->services[i], *b = &c->services[k];
            if (a->shard && b->shard && strcmp(a->shard, sh->id) == 0 &&
                strcmp(b->shard, sh->id) == 0 && strcmp(a->node, b->node) == 0)
                findings_add(f, SEVERITY_VIOLATION, "same-node", sh->id,
                             "%s and %s of shard %s share %s: one host lost is two copies lost",
                             a->id, b->id, sh->id, a->node);
        }
    }
}

static size_t copies_in(const struct cluster *c, const char *shard, const struct zone *zone)
{
    size_t copies = 0;

    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        const struct node *n = cluster_node(c, s->node);
        copies += s->shard != NULL && strcmp(s->shard, shard) == 0 && n != NULL &&
                  n->zone != NULL && cluster_zone(c, n->zone) == zone;
    }
    return copies;
}

/* Where there are several zones, losing one must not take all copies. */
static void verify_shard_zones(const struct cluster *c, const struct shard *sh, struct findings *f)
{
    for (size_t i = 0; i < c->n_zones; i++) {
        for (size_t k = 0; k < c->n_zones; k++) {
            size_t here = copies_in(c, sh->id, &c->zones[i]);
            if (here < 2 || copies_in(c, sh->id, &c->zones[k]) > 0)
                continue;
            findings_add(f, SEVERITY_VIOLATION, "same-zone", sh->id,
                         "%zu copies of shard %s are in %s and none is in %s: one zone lost is "
                         "%zu copies lost",
                         here, sh->id, c->zones[i].id, c->zones[k].id, here);
            return;
        }
    }
}

struct others {
    const struct service *first;
    size_t n;
};

static void others_add(struct others *o, const struct service *s)
{
    o->first = o->first ? o->first : s;
    o->n++;
}

/* "rg1-rn1", "rg1-rn1 and 3 others" */
static const char *others_name(const struct others *o, struct arena *a)
{
    if (o->n == 1)
        return o->first->id;
    return arena_printf(a, "%s and %zu other%s", o->first->id, o->n - 1, o->n == 2 ? "" : "s");
}

/* What the others believe about one that runs. */
static void verify_opinions(const struct cluster *c, const struct service *s, struct findings *f)
{
    const char *id = json_str(redis_live(s), "nodeId");
    struct others strangers = {0}, failed = {0};

    for (size_t i = 0; id != NULL && i < c->n_services; i++) {
        const struct service *o = &c->services[i];
        const struct json *m = redis_member(o, id);

        if (o == s || o->status != STATUS_RUNNING || redis_live(o) == NULL)
            continue;
        if (!redis_is_known_to(o, s))
            others_add(&strangers, o);
        else if (redis_member_has_flag(m, "fail"))
            others_add(&failed, o);
    }
    if (json_int(redis_live(s), "knownNodes", 2) <= 1) {
        findings_add(f, SEVERITY_VIOLATION, "not-a-member", s->id,
                     "%s on %s knows no other member of the cluster", s->id, s->node);
        findings_remedy(f, "%s", redis_way_back(c, s, &f->arena));
    } else if (strangers.n > 0) {
        findings_add(f, SEVERITY_VIOLATION, "not-a-member", s->id, "%s on %s is not known to %s",
                     s->id, s->node, others_name(&strangers, &f->arena));
        findings_remedy(f, "%s", redis_way_back(c, s, &f->arena));
    }
    if (failed.n > 0) {
        findings_add(f, SEVERITY_VIOLATION, "view-fail", s->id,
                     "%s on %s runs, but %s take%s it for failed", s->id, s->node,
                     others_name(&failed, &f->arena), failed.n == 1 ? "s" : "");
        findings_remedy(f, "look at the network between %s and %s: the bus port of %s is %d",
                        s->node, failed.first->node, s->id, s->bus_port);
    }
}

#define TIDY "'plan cleanup -wait' gives each hash slot to the shard it is declared for"

static void verify_views(const struct cluster *c, const struct service *s, struct findings *f)
{
    const struct json *live = redis_live(s);

    verify_opinions(c, s, f);
    JSON_FOREACH (m, json_get(live, "nodes")) {
        JSON_FOREACH (open, json_get(m, "open")) {
            findings_add(f, SEVERITY_VIOLATION, "open-slot", s->id,
                         "hash slot %lld on %s is left half moved",
                         (long long)json_int(open, "slot", -1), s->id);
            findings_remedy(f, TIDY);
        }
    }
    if (json_int(live, "slotsAssigned", REDIS_SLOTS) != REDIS_SLOTS) {
        findings_add(f, SEVERITY_VIOLATION, "slots", s->id,
                     "%s knows owners for %lld of %d hash slots", s->id,
                     (long long)json_int(live, "slotsAssigned", 0), REDIS_SLOTS);
        findings_remedy(f, TIDY);
    }
}

static void verify_spread(const struct cluster *c, struct findings *f)
{
    for (size_t i = 0; i < c->n_nodes; i++) {
        size_t primaries = 0;
        for (size_t k = 0; k < c->n_shards; k++) {
            const struct service *m = cluster_master(c, c->shards[k].id);
            primaries += m != NULL && strcmp(m->node, c->nodes[i].id) == 0;
        }
        if (c->n_shards >= 3 && primaries * 2 > c->n_shards) {
            findings_add(
                f, SEVERITY_NOTE, "primaries-together", c->nodes[i].id,
                "%s carries %zu of %zu primaries: without it no majority can elect new ones",
                c->nodes[i].id, primaries, c->n_shards);
            findings_remedy(f, "hand one of them over: 'plan failover -service' a replica of it "
                               "on another storage node");
        }
    }
    if (c->n_shards > 0 && c->n_shards < 3)
        findings_add(f, SEVERITY_NOTE, "few-shards", c->store,
                     "%zu shard%s cannot elect a new primary by themselves", c->n_shards,
                     c->n_shards == 1 ? "" : "s");
}

static void undeclared(const struct node *n, const char *id, struct findings *f)
{
    findings_add(f, SEVERITY_NOTE, "undeclared", n->id,
                 "%s has a service %s that the store does not declare", n->id, id);
    findings_remedy(f, "'plan cleanup -wait' removes it and its data");
}

/* Services an agent has that the store does not declare. */
static void verify_strangers(const struct cluster *c, const struct node *n, struct findings *f)
{
    JSON_FOREACH (s, json_get(n->raw, "services")) {
        const char *id = json_str(s, "id");
        if (n->status == STATUS_RUNNING && redis_is_stranger(c, s))
            undeclared(n, id, f);
    }
}

void redis_verify(const struct cluster *c, struct findings *f)
{
    for (size_t i = 0; i < c->n_nodes; i++) {
        verify_node(c, &c->nodes[i], f);
        verify_strangers(c, &c->nodes[i], f);
    }
    for (size_t i = 0; i < c->n_services; i++) {
        if (c->services[i].kind == KIND_ADMIN)
            verify_admin(c, &c->services[i], f);
        else
            verify_rn(c, &c->services[i], f);
    }
    for (size_t i = 0; i < c->n_shards; i++) {
        verify_shard(c, &c->shards[i], f);
        verify_shard_zones(c, &c->shards[i], f);
    }
    for (size_t i = 0; i < c->n_services; i++) {
        if (redis_live(&c->services[i]) != NULL && c->services[i].status == STATUS_RUNNING)
            verify_views(c, &c->services[i], f);
    }
    verify_spread(c, f);
    redis_verify_policy(c, f);
}
