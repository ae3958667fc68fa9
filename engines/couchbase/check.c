/* What speaks against an intent. Pure: looks at the observation only. */
#include "engines/couchbase/couchbase.h"

#include <string.h>

/* --- what several verbs ask --- */

static void check_unfinished(const struct cluster *c, struct findings *f)
{
    struct arena a = {0};
    const char *remedy = cb_unfinished(&a, c);
    struct cb_set set = {0};

    for (size_t i = 0; i < c->n_services && remedy != NULL; i++) {
        if (json_str(c->services[i].raw, "failoverStatus") != NULL)
            *ARENA_PUSH(&a, set.v, set.n) = &c->services[i];
    }
    if (remedy != NULL) {
        findings_add(f, SEVERITY_FATAL, "unfinished-failover", set.v[0]->id,
                     "an unsafe failover of %s was interrupted; it has to be repeated first",
                     cb_names(&a, &set));
        findings_remedy(f, "%s", remedy);
    }
    arena_release(&a);
}

/* An operation of the cluster, ours or anybody's, excludes others. */
void cb_check_busy(const struct cluster *c, struct findings *f)
{
    for (size_t i = 0; i < c->n_activities; i++) {
        const struct activity *a = &c->activities[i];
        if (!a->running || !a->excludes_plans)
            continue;
        if (a->percent >= 0)
            findings_add(f, SEVERITY_FATAL, "busy", c->store,
                         "a %s is running (%d %%); the cluster does one such thing at a time",
                         a->kind, a->percent);
        else
            findings_add(f, SEVERITY_FATAL, "busy", c->store,
                         "a %s is running, or cannot be seen to have ended", a->kind);
        findings_remedy(f, "show tasks follows it; %s",
                        cb_is_stoppable(a) ? "'plan stop-rebalance' stops it"
                                           : "wait until it has ended");
        return;
    }
    check_unfinished(c, f);
}

static void check_versions(const struct cluster *c, struct findings *f)
{
    const char *low, *high;

    if (cb_versions_mixed(c, &low, &high))
        findings_add(f, SEVERITY_NOTE, "versions-mixed", c->store,
                     "nodes run different versions, %s to %s: finish the upgrade soon", low, high);
}

/* The thundering herd: what the others have to carry. */
void cb_check_capacity(const struct cluster *c, const struct cb_set *set, struct findings *f)
{
    struct cb_load l;

    cb_load(c, set, &l);
    if (l.nodes_after == l.nodes_now || l.nodes_after <= 0)
        return;
    if (l.memory_after > CB_THRESHOLD || l.cpu_after > CB_THRESHOLD) {
        findings_add(
            f, SEVERITY_BLOCK, "capacity", c->store,
            "the %d data node%s that remain%s would carry too much: memory quota %d %% in use "
            "now, %d %% after; CPU %d %% now, %d %% after; %lld operations per node and "
            "second now, %lld after (threshold %d %%)",
            l.nodes_after, l.nodes_after == 1 ? "" : "s", l.nodes_after == 1 ? "s" : "",
            l.memory_now, l.memory_after, l.cpu_now, l.cpu_after, (long long)l.ops_now,
            (long long)l.ops_after, CB_THRESHOLD);
        findings_remedy(f,
                        "add a node first ('plan add-node', 'plan rebalance'), or take load away");
    } else if (l.memory_after >= 0) {
        findings_add(
            f, SEVERITY_NOTE, "capacity", c->store,
            "%d data node%s remain%s: memory quota %d %% in use now, %d %% after; CPU %d %% "
            "now, %d %% after; %lld operations per node and second now, %lld after",
            l.nodes_after, l.nodes_after == 1 ? "" : "s", l.nodes_after == 1 ? "s" : "",
            l.memory_now, l.memory_after, l.cpu_now, l.cpu_after, (long long)l.ops_now,
            (long long)l.ops_after);
    }
}

/* Does the set take the last node of a service, or the last that answers? */
static bool is_last_of(const struct cluster *c, const char *duty, const struct cb_set *set)
{
    return (cb_active_with(c, duty, NULL) > 0 && cb_active_with(c, duty, set) == 0) ||
           (cb_served_with(c, duty, NULL) > 0 && cb_served_with(c, duty, set) == 0);
}

/* Last node of the data service: never. Of another: on one's own word. */
void cb_check_services(const struct cluster *c, const struct cb_set *set, struct findings *f)
{
    static const char *const duties[] = {"n1ql", "index", "fts", "cbas", "eventing", "backup"};

    if (cb_active_with(c, "kv", NULL) > 0 && cb_active_with(c, "kv", set) == 0) {
        findings_add(f, SEVERITY_FATAL, "last-data-node", c->store,
                     "no active node of the data service would remain");
        findings_remedy(f, "add or recover a data node first");
    }
    for (size_t i = 0; i < sizeof duties / sizeof *duties; i++) {
        if (!is_last_of(c, duties[i], set))
            continue;
        findings_add(f, SEVERITY_BLOCK, "last-of-service", c->store,
                     "no active node%s would run the service %s",
                     cb_active_with(c, duties[i], set) > 0 ? " that answers" : "", duties[i]);
        findings_remedy(f, "add a node that runs it first");
    }
}

static void check_groups(const struct cluster *c, const struct cb_set *set, struct findings *f)
{
    const struct cb_set none = {0};

    if (cb_groups_left(c, &none) > 1 && cb_groups_left(c, set) == 1)
        findings_add(f, SEVERITY_VIOLATION, "one-group-left", c->store,
                     "all nodes that remain are in one server group: what takes that group down "
                     "takes the store down");
}

void cb_check_auto_failover(const struct cluster *c, struct findings *f)
{
    const struct json *af = cb_part(c, "autoFailover");
    int64_t count = json_int(af, "count", 0), most = json_int(af, "maxCount", 0);

    if (json_bool(af, "enabled", false) && most > 0 && count >= most) {
        findings_add(f, SEVERITY_VIOLATION, "auto-failover-used-up", c->store,
                     "auto-failover has used up its %lld of %lld: if another node fails meanwhile "
                     "nobody fails it over",
                     (long long)count, (long long)most);
        findings_remedy(f, "'change-policy -params autoFailover.resetCount=true'");
    }
}

/* --- failover --- */

static void check_targets(const struct cb_set *set, bool unsafe, struct findings *f)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct service *s = set->v[i];
        if (cb_is_active(s) || unsafe)
            continue;
        findings_add(f, SEVERITY_FATAL, "not-active", s->id, "%s is not an active member (%s)",
                     s->id, s->membership ? s->membership : "unknown");
        if (cb_is_failed(s))
            findings_remedy(f,
                            "it is failed over already: 'plan recover -service %s', or 'plan "
                            "rebalance' removes it",
                            s->id);
    }
}

/* What the cluster says of it in nodeStatuses, whose keys are not always the names it is configured
 * with. */
static const struct json *status_of(const struct cluster *c, const struct service *s)
{
    const struct json *all = cb_part(c, "nodeStatuses"), *said = NULL;
    const char *seen = json_str(s->raw, "hostname");

    JSON_FOREACH (one, all) {
        const char *otp = json_str(one, "otpNode");
        if (otp != NULL && strcmp(otp, cb_otp(s)) == 0)
            return one;
    }
    if (seen != NULL)
        said = json_get(all, seen);
    return said ? said : json_get(all, s->id);
}

static void check_graceful_one(const struct cluster *c, const struct service *s, struct findings *f)
{
    const struct json *said = status_of(c, s);

    if (!cb_is_active(s))
        return;
    if (!cb_has(s, "kv")) {
        findings_add(f, SEVERITY_FATAL, "graceful-without-data", s->id,
                     "%s does not run the data service and cannot be failed over gracefully",
                     s->id);
        findings_remedy(f, "use -mode hard");
    } else if (!cb_is_healthy(s)) {
        findings_add(f, SEVERITY_FATAL, "graceful-unhealthy", s->id,
                     "%s is not healthy: a graceful failover would only fail half-way", s->id);
        findings_remedy(f, "use -mode hard for a node that does not answer");
    } else if (!json_bool(said, "gracefulFailoverPossible", true)) {
        findings_add(f, SEVERITY_FATAL, "graceful-impossible", s->id,
                     "the cluster says that %s cannot be failed over gracefully: some of its data "
                     "has no replica elsewhere",
                     s->id);
        findings_remedy(f, "raise the number of replicas and rebalance, or remove the node with "
                           "'plan remove-node'");
    }
}

static void check_graceful(const struct cluster *c, const struct cb_set *set, struct findings *f)
{
    struct arena a = {0};
    size_t leaving = 0;

    for (size_t i = 0; i < set->n; i++) {
        check_graceful_one(c, set->v[i], f);
        leaving += cb_has(set->v[i], "kv");
    }
    for (size_t i = 0; i < c->n_buckets; i++) {
        const struct bucket *b = &c->buckets[i];
        if (b->replicas >= (int)leaving || (b->type && strcmp(b->type, "memcached") == 0))
            continue;
        findings_add(f, SEVERITY_FATAL, "too-few-replicas", b->name,
                     "bucket %s keeps %d replica%s: %s cannot be failed over gracefully%s", b->name,
                     b->replicas, b->replicas == 1 ? "" : "s", cb_names(&a, set),
                     leaving == 1 ? "" : " together");
        findings_remedy(f, b->replicas == 0
                               ? "raise its number of replicas and rebalance, or use 'plan "
                                 "remove-node', which moves the data away first"
                               : "one after the other, with a rebalance in between");
    }
    arena_release(&a);
}

static void check_lost(const struct cluster *c, const struct cb_set *set, struct findings *f)
{
    JSON_FOREACH (b, cb_part(c, "buckets")) {
        const char *name = json_str(b, "name");
        bool exact;
        double share = cb_share_lost(c, b, set, &exact);
        if (name == NULL || share < 0.05)
            continue;
        findings_add(f, SEVERITY_BLOCK, "data-lost", name,
                     "%s%.1f %% of bucket %s has no other copy and would be lost",
                     exact ? "" : "about ", share, name);
        findings_remedy(f, "bring the node back, or move the data away with 'plan remove-node' "
                           "while it answers; the cluster itself does not refuse this");
    }
}

/* Without a majority the cluster does neither kind of failover. */
static void check_quorum(const struct cluster *c, struct findings *f)
{
    struct cb_quorum q;

    cb_quorum(c, &q);
    if (q.healthy >= q.needed)
        return;
    findings_add(f, SEVERITY_FATAL, "no-quorum", c->store,
                 "only %zu of %zu active nodes answer and %zu are needed for a majority: the "
                 "cluster refuses a safe failover (504)",
                 q.healthy, q.active, q.needed);
    findings_remedy(f,
                    "bring nodes back, which loses nothing; if they are lost for good, fail these "
                    "over: -mode hard -unsafe -force -reason TEXT -confirm %s",
                    c->store);
}

static void check_hard(const struct cluster *c, const struct cb_set *set, bool unsafe,
                       struct findings *f)
{
    check_lost(c, set, f);
    for (size_t i = 0; i < set->n; i++) {
        /* A node without data can be failed over in no other way. */
        if (!cb_is_active(set->v[i]) || !cb_is_healthy(set->v[i]) || !cb_has(set->v[i], "kv"))
            continue;
        findings_add(f, SEVERITY_VIOLATION, "hard-on-healthy", set->v[i]->id,
                     "%s is healthy: a hard failover loses writes that are on their way",
                     set->v[i]->id);
        findings_remedy(f, "use -mode graceful");
    }
    if (unsafe) {
        findings_add(
            f, SEVERITY_CONFIRM, "unsafe", c->store,
            "an unsafe failover removes the nodes at once, without asking a majority: they "
            "can never return without a reset of their data, and metadata may be lost");
        findings_remedy(f, "try it without -unsafe first");
    } else {
        check_quorum(c, f);
    }
}

static void check_failover(const struct intent *in, const struct cluster *c,
                           const struct cb_set *set, struct findings *f)
{
    const char *mode = json_str(in->args, "mode");
    bool unsafe = json_bool(in->args, "unsafe", false);

    if (!unsafe)
        cb_check_busy(c, f);
    check_targets(set, unsafe, f);
    cb_check_services(c, set, f);
    if (mode != NULL && strcmp(mode, "hard") == 0) {
        check_hard(c, set, unsafe, f);
        if (unsafe)
            cb_check_addresses(c, &(struct cb_departure){.leaving = set}, f);
    } else {
        check_graceful(c, set, f);
        check_quorum(c, f);
        if (unsafe)
            findings_add(f, SEVERITY_FATAL, "unsafe-graceful", c->store,
                         "-unsafe goes with -mode hard only");
    }
    cb_check_capacity(c, set, f);
    check_groups(c, set, f);
    cb_check_auto_failover(c, f);
    check_versions(c, f);
}

/* --- what a rebalance finds --- */

static void check_kept(const struct cluster *c, const struct cb_set *leaving, struct findings *f)
{
    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        if (cb_is_failed(s) && !cb_in(leaving, s)) {
            findings_add(f, SEVERITY_VIOLATION, "removes-failed-over", s->id,
                         "%s is failed over: a rebalance removes it from the cluster", s->id);
            findings_remedy(f, "'plan recover -service %s' first, if it is to come back", s->id);
        } else if (s->status == STATUS_UNREACHABLE && !cb_is_failed(s) && !cb_in(leaving, s)) {
            findings_add(f, SEVERITY_BLOCK, "node-unhealthy", s->id,
                         "%s does not answer: a rebalance needs all nodes that stay", s->id);
            findings_remedy(f, "start it, or fail it over: 'plan failover -service %s -mode hard'",
                            s->id);
        }
    }
    check_versions(c, f);
}

/* --- recover --- */

static void check_recover(const struct intent *in, const struct cluster *c,
                          const struct cb_set *set, struct findings *f)
{
    const char *type = json_str(in->args, "type");
    bool delta = type == NULL || strcmp(type, "delta") == 0;

    if (json_bool(in->args, "rebalance", false))
        cb_check_busy(c, f);
    for (size_t i = 0; i < set->n; i++) {
        const struct service *s = set->v[i];
        if (!cb_is_failed(s) && !(cb_is_added(s) && strcmp(cb_recovery(s), "none") != 0)) {
            findings_add(f, SEVERITY_FATAL, "not-failed-over", s->id,
                         "%s is not failed over (%s): there is nothing to recover", s->id,
                         s->membership ? s->membership : "unknown");
            findings_remedy(f, "'show topology' tells the membership of each node");
            continue;
        }
        if (delta && !cb_has(s, "kv") && !cb_has(s, "index")) {
            findings_add(f, SEVERITY_FATAL, "delta-without-data", s->id,
                         "%s runs neither data nor index service: delta recovery does not apply",
                         s->id);
            findings_remedy(f, "use -type full");
        }
        if (s->status == STATUS_UNREACHABLE) {
            findings_add(f, SEVERITY_BLOCK, "node-unhealthy", s->id,
                         "%s does not answer: the rebalance that takes it back would fail", s->id);
            findings_remedy(f, "start couchbase-server on %s first", s->id);
        }
    }
    if (json_bool(in->args, "rebalance", false)) {
        check_kept(c, set, f);
        cb_check_addresses(c, &(struct cb_departure){.by_rebalance = true, .recovered = set}, f);
    } else {
        check_versions(c, f);
    }
}

/* --- rebalance and its kin --- */

static void check_rebalance(const struct intent *in, const struct cluster *c,
                            const struct cb_set *set, struct findings *f)
{
    (void)in;
    cb_check_busy(c, f);
    check_kept(c, set, f);
    cb_check_addresses(c, &(struct cb_departure){.by_rebalance = true}, f);
}

/* For good: there would be no node for a further copy. */
static void check_copies(const struct cluster *c, const struct cb_set *set, struct findings *f)
{
    size_t now = cb_active_with(c, "kv", NULL), left = cb_active_with(c, "kv", set);

    for (size_t i = 0; i < c->n_buckets; i++) {
        const struct bucket *b = &c->buckets[i];
        if (left == 0 || left == now || b->replicas < (int)left)
            continue;
        findings_add(f, SEVERITY_VIOLATION, "too-few-copies", b->name,
                     "bucket %s asks for %d replica%s, but only %zu data node%s would remain: %zu "
                     "could be kept",
                     b->name, b->replicas, b->replicas == 1 ? "" : "s", left, left == 1 ? "" : "s",
                     left - 1);
        findings_remedy(f, "add a node with the data service first");
    }
}

static void check_remove(const struct intent *in, const struct cluster *c, const struct cb_set *set,
                         struct findings *f)
{
    struct cb_set leaving = *set;

    (void)in;
    cb_check_busy(c, f);
    for (size_t i = 0; i < set->n; i++) {
        const struct service *s = set->v[i];
        leaving.by_rebalance = leaving.by_rebalance || cb_is_active(s);
        if (cb_is_active(s) && s->status == STATUS_UNREACHABLE) {
            findings_add(f, SEVERITY_BLOCK, "node-unhealthy", s->id,
                         "%s does not answer: its data cannot be moved away", s->id);
            findings_remedy(f, "'plan failover -service %s -mode hard', then 'plan rebalance'",
                            s->id);
        }
    }
    cb_check_services(c, &leaving, f);
    cb_check_addresses(
        c, &(struct cb_departure){.leaving = set, .by_rebalance = leaving.by_rebalance}, f);
    if (!leaving.by_rebalance)
        return; /* taken out without a rebalance: nothing moves */
    check_kept(c, set, f);
    check_copies(c, &leaving, f);
    cb_check_capacity(c, &leaving, f);
    check_groups(c, &leaving, f);
}

static void check_add(const struct intent *in, const struct cluster *c, const struct cb_set *set,
                      struct findings *f)
{
    const char *host = json_str(in->args, "host");
    struct arena a = {0};
    bool bare = host != NULL && strchr(host, ':') != NULL && host[0] != '[';
    const char *id = arena_printf(&a, bare ? "[%s]:%lld" : "%s:%lld", host ? host : "",
                                  (long long)json_int(in->args, "port", 8091));
    const struct service *member = cb_find_at(c, id);

    (void)set;
    cb_check_busy(c, f);
    if (member != NULL) {
        findings_add(f, SEVERITY_FATAL, "member-already", id, "%s is a member already (%s)", id,
                     member->membership ? member->membership : "unknown");
        findings_remedy(f, "'plan rebalance' takes a waiting node in");
    }
    if (json_bool(in->args, "rebalance", false)) {
        check_kept(c, &(struct cb_set){0}, f);
        cb_check_addresses(c, &(struct cb_departure){.by_rebalance = true, .joining = id}, f);
    } else {
        check_versions(c, f);
    }
    arena_release(&a);
}

static void check_swap(const struct intent *in, const struct cluster *c, const struct cb_set *set,
                       struct findings *f)
{
    const struct service *from = cb_find(c, json_str(in->args, "from"));
    const struct service *to = cb_find_at(c, json_str(in->args, "to"));
    struct cb_set leaving = {0};
    struct arena a = {0};

    (void)set;
    if (from == NULL)
        return;
    cb_check_busy(c, f);
    *ARENA_PUSH(&a, leaving.v, leaving.n) = cluster_service(c, from->id);
    if (cb_is_active(from) && from->status == STATUS_UNREACHABLE) {
        findings_add(f, SEVERITY_BLOCK, "node-unhealthy", from->id,
                     "%s does not answer: its data cannot be moved away", from->id);
        findings_remedy(f,
                        "'plan failover -service %s -mode hard', then 'plan add-node' and 'plan "
                        "rebalance'",
                        from->id);
    }
    if (to != NULL && !cb_is_added(to)) {
        findings_add(f, SEVERITY_FATAL, "member-already", to->id,
                     "%s is a member already (%s) and cannot take the place of another", to->id,
                     to->membership);
        findings_remedy(f, "name a host that is no member, or 'plan remove-node -service %s'",
                        from->id);
    } else if (to != NULL) { /* it waits with services of its own, not those of the other */
        leaving.by_rebalance = true;
        cb_check_services(c, &leaving, f);
        check_copies(c, &leaving, f);
        cb_check_capacity(c, &leaving, f);
    }
    check_kept(c, &leaving, f);
    cb_check_addresses(c,
                       &(struct cb_departure){.leaving = &leaving,
                                              .by_rebalance = true,
                                              .joining = json_str(in->args, "to")},
                       f);
    arena_release(&a);
}

/* --- restart --- */

static void check_restart(const struct intent *in, const struct cluster *c,
                          const struct cb_set *set, struct findings *f)
{
    struct cb_set stays_active = {0};
    struct arena a = {0};

    cb_check_busy(c, f);
    cb_check_agents(c, set, json_bool(in->args, "pause", false), f);
    for (size_t i = 0; i < set->n; i++) {
        const struct cb_set one = {&set->v[i], 1};
        const struct service *s = set->v[i];
        if (!cb_is_active(s))
            check_targets(&one, false, f);
        cb_check_services(c, &one, f);
        if (cb_has(s, "kv"))
            check_graceful(c, &one, f);
        else /* nothing takes over from it first */
            *ARENA_PUSH(&a, stays_active.v, stays_active.n) = set->v[i];
        if (i == 0)
            cb_check_capacity(c, &one, f);
    }
    check_kept(c, &(struct cb_set){0}, f);
    cb_check_addresses(c, &(struct cb_departure){.by_rebalance = true}, f);
    if (stays_active.n > 0)
        cb_check_automatic(c, &stays_active, f);
    cb_check_auto_failover(c, f);
    arena_release(&a);
}

/* --- the rest --- */

static void check_change_group(const struct intent *in, const struct cluster *c,
                               const struct cb_set *set, struct findings *f)
{
    (void)in;
    (void)set;
    cb_check_busy(c, f);
    if (cb_part(c, "groups") == NULL)
        findings_add(f, SEVERITY_FATAL, "no-groups", c->store,
                     "this cluster has no server groups (Enterprise Edition only)");
    findings_add(f, SEVERITY_NOTE, "rebalance-needed", c->store,
                 "copies move to their new groups with the next rebalance");
}

static void check_stop_rebalance(const struct intent *in, const struct cluster *c,
                                 const struct cb_set *set, struct findings *f)
{
    bool something = false;

    (void)set;
    for (size_t i = 0; i < c->n_activities; i++)
        something = something || cb_is_stoppable(&c->activities[i]);
    if (!something)
        findings_add(f, SEVERITY_NOTE, "nothing-runs", c->store,
                     "no rebalance or failover is running and none will be tried again: there is "
                     "nothing to stop");
    if (json_bool(in->args, "unsafe", false)) {
        findings_add(f, SEVERITY_CONFIRM, "unsafe", c->store,
                     "stopping without the node that leads the operation may leave two of them at "
                     "work");
        findings_remedy(f, "try it without -unsafe first");
    }
}

static void check_cleanup(const struct intent *in, const struct cluster *c,
                          const struct cb_set *set, struct findings *f)
{
    (void)set;
    if (json_bool(in->args, "purge", false)) {
        findings_add(f, SEVERITY_BLOCK, "purge", c->store,
                     "purging deletes forgets them: a replication target, index or backup that has "
                     "not seen a delete yet keeps the item for ever");
        findings_remedy(f, "compaction alone needs no -purge");
    }
}

void cb_check(const struct intent *in, const struct cluster *c, struct findings *f)
{
    static const struct {
        void (*check)(const struct intent *, const struct cluster *, const struct cb_set *,
                      struct findings *);
        bool names; /* needs the members named */
    } checks[VERB_COUNT] = {
        [VERB_FAILOVER] = {check_failover, true},
        [VERB_RECOVER] = {check_recover, true},
        [VERB_REMOVE_NODE] = {check_remove, true},
        [VERB_RESTART_SERVICE] = {check_restart, true},
        [VERB_CHANGE_GROUP] = {check_change_group, true},
        [VERB_REBALANCE] = {check_rebalance, false},
        [VERB_ADD_NODE] = {check_add, false},
        [VERB_SWAP_REBALANCE] = {check_swap, false},
        [VERB_STOP_REBALANCE] = {check_stop_rebalance, false},
        [VERB_STOP_SERVICE] = {cb_check_stop, true},
        [VERB_START_SERVICE] = {cb_check_start, true},
        [VERB_CLEANUP] = {check_cleanup, false},
    };
    struct arena arena = {0};
    struct cb_set set = {0};
    struct err err = ERR_INIT;

    /* What cannot be selected is expand's to refuse. */
    if (checks[in->verb].check != NULL &&
        (!checks[in->verb].names || cb_select(in, c, &arena, &set, &err) == 0))
        checks[in->verb].check(in, c, &set, f);
    arena_release(&arena);
}
