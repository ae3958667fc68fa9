/* What speaks against an intent on a redis store. Pure: looks at the observation only. */
#include "engines/redis/redis.h"

#include <string.h>

#include "kvsh/meta.h"

static void check_deploy_zone(const struct intent *in, const struct cluster *c, struct findings *f)
{
    const char *name = json_str(in->args, "name");

    for (size_t i = 0; name != NULL && i < c->n_zones; i++) {
        if (strcmp(c->zones[i].name, name) == 0) {
            findings_add(f, SEVERITY_FATAL, "zone-exists", c->zones[i].id,
                         "zone \"%s\" is deployed already as %s", name, c->zones[i].id);
            findings_remedy(f, "'show zones' lists the zones and their names");
        }
    }
}

static void check_deploy_sn(const struct intent *in, const struct cluster *c, struct findings *f)
{
    const char *host = json_str(in->args, "host");
    int64_t port = json_int(in->args, "port", 0);

    for (size_t i = 0; host != NULL && i < c->n_nodes; i++) {
        const struct node *n = &c->nodes[i];
        if (strcmp(n->host, host) == 0 && n->port == port) {
            findings_add(
                f, SEVERITY_FATAL, "address-taken", n->id,
                "%s:%d is deployed already as %s: two storage nodes cannot share an address", host,
                (int)port, n->id);
            findings_remedy(f, "'show topology' lists the storage nodes and their addresses");
        }
    }
}

static void check_deploy_admin(const struct intent *in, const struct cluster *c, struct findings *f)
{
    const struct node *n = cluster_node(c, json_str(in->args, "sn"));

    for (size_t i = 0; n != NULL && i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        if (s->kind == KIND_ADMIN && strcmp(s->node, n->id) == 0) {
            findings_add(f, SEVERITY_FATAL, "admin-exists", s->id, "%s has an admin already: %s",
                         n->id, s->id);
            findings_remedy(f, "'show topology' lists the admins and their storage nodes");
        }
    }
    if (json_get(in->args, "port") != NULL)
        findings_add(f, SEVERITY_NOTE, "no-effect", c->store,
                     "-port has no effect: an admin of a redis store is reached through its agent");
}

static void check_deploy_topology(const struct intent *in, const struct cluster *c,
                                  struct findings *f)
{
    const char *name = json_str(in->args, "topology");
    const struct json *candidate = name ? meta_doc(c->doc, "topology", name) : NULL;
    const char *deployed = json_str(meta_doc(c->doc, "store", "store"), "topology");

    if (candidate == NULL || (deployed != NULL && strcmp(deployed, name) == 0))
        return;
    if (json_int(candidate, "sequence", -1) != c->sequence) {
        findings_add(f, SEVERITY_FATAL, "topology-old", name,
                     "topology \"%s\" was made from sequence %lld, the store is at %lld", name,
                     (long long)json_int(candidate, "sequence", -1), (long long)c->sequence);
        findings_remedy(f, "'topology delete -name %s', then 'topology create' again", name);
    }
    JSON_FOREACH (rn, json_get(candidate, "rns")) {
        const struct node *n = cluster_node(c, json_str(rn, "sn"));
        if (n == NULL || n->status == STATUS_RUNNING)
            continue;
        findings_add(f, SEVERITY_BLOCK, "node-unreachable", n->id, "%s shall carry %s, but %s",
                     n->id, json_key(rn), n->detail);
        findings_remedy(f, "start the agent of %s, then repeat", n->id);
    }
}

bool redis_selected(const struct selection *sel, const struct service *s)
{
    for (size_t i = 0; i < sel->n; i++) {
        if (sel->v[i] == s)
            return true;
    }
    return false;
}

static size_t primaries_on(const struct cluster *c, const char *node)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n_services; i++)
        n += c->services[i].role == ROLE_MASTER && strcmp(c->services[i].node, node) == 0;
    return n;
}

struct service *redis_successor(const struct cluster *c, const struct service *s,
                                const struct selection *sel)
{
    struct service *best = NULL;
    long best_rank = 0;

    for (size_t i = 0; i < c->n_services; i++) {
        struct service *r = &c->services[i];
        long rank;

        if (r->shard == NULL || strcmp(r->shard, s->shard) != 0 || r->role != ROLE_REPLICA ||
            r->status != STATUS_RUNNING || !r->in_sync || redis_selected(sel, r) ||
            !redis_is_known_to(s, r))
            continue;
        /* A sound directory first, then the node with the fewest primaries. */
        rank = (redis_dir_is_bad(c, r) ? 1000000 : 0) + (long)primaries_on(c, r->node) +
               (sel->heirs != NULL ? sel->heirs[cluster_node(c, r->node) - c->nodes] : 0);
        if (best == NULL || rank < best_rank) {
            best = r;
            best_rank = rank;
        }
    }
    return best;
}

/* What is true of each way to take the selection down at once. */
static void check_down(const struct cluster *c, const struct selection *sel, struct findings *f)
{
    bool any = false;

    for (size_t i = 0; i < sel->n; i++) {
        const struct service *s = sel->v[i];
        if (!redis_rule_reachable(c, s, f) || s->status != STATUS_RUNNING)
            continue;
        any = true;
        redis_rule_copies(c, s, sel, f);
        redis_rule_slots(c, s, f);
    }
    if (!any)
        return;
    redis_rule_majority(c, sel, f);
    redis_rule_second_node(c, sel, true, f);
    redis_rule_settle(c, sel, f);
}

static bool takes_all(const struct cluster *c, const struct selection *sel)
{
    bool any = false;

    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        if (s->kind != KIND_RN || s->status != STATUS_RUNNING)
            continue;
        if (!redis_selected(sel, s))
            return false;
        any = true;
    }
    return any;
}

/* Meant as it is said; but said it must be. */
static void check_whole_store(const struct cluster *c, const struct selection *sel,
                              struct findings *f)
{
    for (size_t i = 0; i < sel->n; i++) {
        const struct node *n = cluster_node(c, sel->v[i]->node);

        if (n == NULL || n->status == STATUS_RUNNING || sel->v[i]->stopped_by != 0)
            continue;
        findings_add(f, SEVERITY_VIOLATION, "node-unreachable", sel->v[i]->id,
                     "%s will not be stopped: %s", sel->v[i]->id, n->detail);
        findings_remedy(f, "start the agent of %s first", n->id);
    }
}

static void check_stop(const struct intent *in, const struct cluster *c, struct findings *f)
{
    struct arena arena = {0};
    struct selection sel = {0};
    struct err err = ERR_INIT;

    /* What cannot be selected is expand's to refuse. Stopping the whole store is meant as it is
     * said. */
    if (redis_select(in, c, &arena, &sel, &err) != 0)
        sel.n = 0;
    if (sel.n > 0 && takes_all(c, &sel)) {
        findings_add(f, SEVERITY_VIOLATION, "store-down", c->store,
                     "all %zu replication nodes of %s are down then: no key can be read or written",
                     sel.n, c->store);
        findings_remedy(f, "'plan start-service -all-rns -wait' brings the store back");
    }
    if (sel.whole_store)
        check_whole_store(c, &sel, f);
    else
        check_down(c, &sel, f);
    arena_release(&arena);
}

static void check_start_one(const struct cluster *c, const struct service *s,
                            const struct selection *sel, struct findings *f)
{
    const char *obstacle;

    if (s->status == STATUS_RUNNING)
        return;
    if (redis_dir_is_bad(c, s)) {
        findings_add(f, SEVERITY_NOTE, "dir-unusable", s->id,
                     "storage directory %s of %s on %s is %s", s->storage_dir, s->id, s->node,
                     redis_dir_state(c, s));
        return;
    }
    obstacle = redis_start_obstacle(c, s, sel, &f->arena);
    if (obstacle == NULL)
        return;
    findings_add(f, SEVERITY_VIOLATION, "start", s->id, "a start alone will not do for %s: %s",
                 s->id, obstacle);
    findings_remedy(f, "'plan recover -service %s -wait' does what the evidence calls for", s->id);
}

static void check_start(const struct intent *in, const struct cluster *c, struct findings *f)
{
    struct arena arena = {0};
    struct selection sel = {0};
    struct err err = ERR_INIT;

    if (redis_select(in, c, &arena, &sel, &err) == 0) {
        for (size_t i = 0; i < sel.n; i++)
            check_start_one(c, sel.v[i], &sel, f);
    }
    arena_release(&arena);
}

void redis_check(const struct intent *in, const struct cluster *c, struct findings *f)
{
    static void (*const checks[VERB_COUNT])(const struct intent *, const struct cluster *,
                                            struct findings *) = {
        [VERB_DEPLOY_ZONE] = check_deploy_zone,
        [VERB_DEPLOY_SN] = check_deploy_sn,
        [VERB_DEPLOY_ADMIN] = check_deploy_admin,
        [VERB_DEPLOY_TOPOLOGY] = check_deploy_topology,
        [VERB_START_SERVICE] = check_start,
        [VERB_STOP_SERVICE] = check_stop,
        [VERB_RESTART_SERVICE] = redis_check_restart,
        [VERB_FAILOVER] = redis_check_failover,
        [VERB_NETWORK_RESTORE] = redis_check_restore,
        [VERB_REMOVE_NODE] = check_stop,
        [VERB_RECOVER] = redis_check_recover,
        [VERB_CLEANUP] = redis_check_cleanup,
    };

    if (checks[in->verb] != NULL)
        checks[in->verb](in, c, f);
}
