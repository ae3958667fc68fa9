/* Findings about a Couchbase cluster as it is. Pure. */
#include "engines/couchbase/couchbase.h"

#include <string.h>

static void verify_member(const struct cluster *c, const struct service *s, struct findings *f)
{
    struct arena a = {0};

    if (json_str(s->raw, "failoverStatus") != NULL) {
        findings_add(f, SEVERITY_VIOLATION, "unfinished-failover", s->id,
                     "an unsafe failover of %s was interrupted: the cluster refuses other changes",
                     s->id);
        findings_remedy(f, "repeat it: %s", cb_unfinished(&a, c));
    } else if (cb_is_failed(s)) {
        findings_add(f, SEVERITY_VIOLATION, "failed-over", s->id,
                     "%s is failed over%s; the next rebalance removes it", s->id,
                     s->status == STATUS_UNREACHABLE ? " and does not answer"
                                                     : " and waits for recovery");
        findings_remedy(f,
                        s->status == STATUS_UNREACHABLE
                            ? "repair the host, then 'plan recover -service %s -type full "
                              "-rebalance'; or 'plan rebalance' removes it"
                            : "'plan recover -service %s -type delta -rebalance' takes it back",
                        s->id);
    } else if (s->status == STATUS_UNREACHABLE) {
        findings_add(f, SEVERITY_VIOLATION, "node-unhealthy", s->id,
                     "%s (%s) is not heard from by the cluster", s->id, s->duties);
        findings_remedy(f,
                        "start couchbase-server there; if it stays away, 'plan failover -service "
                        "%s -mode hard'",
                        s->id);
    } else if (cb_is_added(s)) {
        findings_add(f, SEVERITY_NOTE, "waits-for-rebalance", s->id,
                     "%s (%s) waits for a rebalance", s->id, s->membership);
        findings_remedy(f, "'plan rebalance -wait'");
    } else if (s->status == STATUS_STARTING) {
        findings_add(f, SEVERITY_NOTE, "warmup", s->id, "%s is loading its data", s->id);
        findings_remedy(f, "wait, and verify again");
    }
    arena_release(&a);
}

static bool operation_runs(const struct cluster *c)
{
    for (size_t i = 0; i < c->n_activities; i++) {
        if (c->activities[i].running && c->activities[i].excludes_plans)
            return true;
    }
    return false;
}

/* What the cluster calls an orphan: a bucket that nodes have and nobody cares for. */
static void verify_orphan(const struct cluster *c, const struct activity *a, struct findings *f)
{
    bool known = false;

    for (size_t i = 0; i < c->n_buckets; i++)
        known = known || strcmp(c->buckets[i].name, a->subject) == 0;
    findings_add(f, SEVERITY_VIOLATION, "orphan-bucket", a->subject,
                 "the cluster calls bucket %s an orphan%s%s; %s", a->subject, a->detail ? " " : "",
                 a->detail ? a->detail : "",
                 known ? "it is one of its buckets" : "it has no bucket of that name");
    findings_remedy(f, "these nodes may have the only copy of its data: before they are removed, "
                       "reset or cleaned, look at it in Couchbase's own console and in show "
                       "events, and save or drop that data");
}

static void verify_activities(const struct cluster *c, struct findings *f)
{
    for (size_t i = 0; i < c->n_activities; i++) {
        const struct activity *a = &c->activities[i];
        bool orphan = strcmp(a->kind, CB_ORPHAN) == 0;
        if (orphan && a->subject != NULL)
            verify_orphan(c, a, f);
        if (orphan || (a->subject != NULL && !a->excludes_plans))
            continue;
        if (a->running && a->excludes_plans) {
            findings_add(f, SEVERITY_NOTE, "operation-runs", c->store, "a %s%s%s is running%s%s",
                         a->kind, a->subject ? " of " : "", a->subject ? a->subject : "",
                         a->detail ? ": " : "", a->detail ? a->detail : "");
            findings_remedy(f, "show tasks follows it");
        } else if (strcmp(a->kind, "pending retry") == 0) {
            findings_add(f, SEVERITY_NOTE, "pending-retry", c->store,
                         "the cluster itself will try a failed operation again: %s", a->detail);
            findings_remedy(f, "'plan stop-rebalance' cancels that");
        } else if (!a->running && a->detail != NULL) {
            findings_add(f, SEVERITY_NOTE, "last-operation", c->store, "%s", a->detail);
            findings_remedy(f, "show events tells why; an old failure stays here until the next "
                               "operation");
        }
    }
}

/* The server's own reasons (7.6 and later), or its mere word. */
static void verify_balance(const struct cluster *c, struct findings *f)
{
    static const char *const lists[][2] = {{"servicesNeedRebalance", "services"},
                                           {"bucketsNeedRebalance", "buckets"}};
    const struct json *pool = cb_part(c, "default");
    struct arena a = {0};
    const char *why = "";

    if (json_bool(pool, "balanced", true) || operation_runs(c))
        return;
    for (size_t i = 0; i < 2; i++) {
        JSON_FOREACH (reason, json_get(pool, lists[i][0])) {
            const char *text = json_str(reason, "description");
            if (text == NULL)
                continue;
            why = arena_printf(&a, "%s%s%.*s", why, why[0] ? "; " : "",
                               (int)(strlen(text) - (text[0] && text[strlen(text) - 1] == '.')),
                               text);
            JSON_FOREACH (name, json_get(reason, lists[i][1])) {
                if (json_value_str(name) != NULL)
                    why = arena_printf(&a, "%s %s", why, json_value_str(name));
            }
        }
    }
    findings_add(f, SEVERITY_VIOLATION, "rebalance-needed", c->store,
                 "the cluster is not balanced%s%s", why[0] ? ": " : "", why);
    findings_remedy(f, "'plan rebalance -wait'");
    arena_release(&a);
}

static void verify_bucket(const struct cluster *c, const struct bucket *b, struct findings *f)
{
    size_t nodes = cb_active_with(c, "kv", NULL);

    if (b->replicas > 0 && (size_t)b->replicas >= nodes) {
        findings_add(f, SEVERITY_VIOLATION, "too-few-copies", b->name,
                     "bucket %s asks for %d replicas, but only %zu data node%s active: %zu can be "
                     "kept",
                     b->name, b->replicas, nodes, nodes == 1 ? " is" : "s are",
                     nodes > 0 ? nodes - 1 : 0);
        findings_remedy(f, "recover or add a node with the data service, then rebalance");
    } else if (b->replicas == 0 && (b->type == NULL || strcmp(b->type, "memcached") != 0)) {
        findings_add(f, SEVERITY_NOTE, "no-replicas", b->name,
                     "bucket %s keeps no replica: with each node a part of it is lost", b->name);
    }
    if (b->quota_bytes > 0 && b->used_bytes > b->quota_bytes / 100 * CB_THRESHOLD)
        findings_add(f, SEVERITY_VIOLATION, "quota", b->name,
                     "bucket %s uses %lld %% of its memory quota", b->name,
                     (long long)(b->used_bytes / (b->quota_bytes / 100 + 1)));
}

static void verify_load(const struct cluster *c, struct findings *f)
{
    const struct cb_set none = {0};
    struct cb_load l;

    cb_load(c, &none, &l);
    if (l.memory_now > CB_THRESHOLD)
        findings_add(f, SEVERITY_VIOLATION, "capacity", c->store,
                     "%d %% of the data service's memory quota is in use (threshold %d %%)",
                     l.memory_now, CB_THRESHOLD);
    if (l.cpu_now > CB_THRESHOLD)
        findings_add(f, SEVERITY_VIOLATION, "capacity", c->store,
                     "the data nodes use %d %% of their CPU (threshold %d %%)", l.cpu_now,
                     CB_THRESHOLD);
}

static void verify_groups(const struct cluster *c, struct findings *f)
{
    size_t least = 0, most = 0;

    if (c->n_zones < 2)
        return;
    for (size_t z = 0; z < c->n_zones; z++) {
        size_t n = 0;
        for (size_t i = 0; i < c->n_nodes; i++)
            n += strcmp(c->nodes[i].zone, c->zones[z].id) == 0 && cb_has(&c->services[i], "kv") &&
                 cb_is_active(&c->services[i]);
        if (z == 0 || n < least)
            least = n;
        if (n > most)
            most = n;
    }
    if (most - least < 2 && least > 0)
        return;
    findings_add(f, SEVERITY_NOTE, "groups-unbalanced", c->store,
                 "server groups differ in size: %zu to %zu active data nodes; replicas cannot all "
                 "be kept in another group",
                 least, most);
    findings_remedy(f, "'plan change-group', then 'plan rebalance'");
}

static void verify_auto_failover(const struct cluster *c, struct findings *f)
{
    const struct json *af = cb_part(c, "autoFailover");
    int64_t count = json_int(af, "count", 0), most = json_int(af, "maxCount", 0);
    size_t active = cb_active_with(c, NULL, NULL), data = cb_active_with(c, "kv", NULL);
    size_t left = cb_version(c) >= 706 ? 1 : 2; /* data nodes that must remain */

    if (af == NULL)
        return;
    if (!json_bool(af, "enabled", true)) {
        findings_add(f, SEVERITY_VIOLATION, "auto-failover-off", c->store,
                     "auto-failover is switched off");
        findings_remedy(f, "'change-policy -params autoFailover.enabled=true "
                           "autoFailover.timeout=120'");
        return;
    }
    if (most > 0 && count >= most) {
        findings_add(
            f, SEVERITY_VIOLATION, "auto-failover-used-up", c->store,
            "auto-failover has failed over %lld of at most %lld nodes and does nothing more",
            (long long)count, (long long)most);
        findings_remedy(f, "recover or replace them, then 'change-policy -params "
                           "autoFailover.resetCount=true' (a rebalance does that, too)");
    }
    if (active < 3)
        findings_add(f, SEVERITY_VIOLATION, "auto-failover-too-small", c->store,
                     "auto-failover cannot act: %zu active node%s give no majority without one of "
                     "them",
                     active, active == 1 ? "" : "s");
    else if (data > 0 && data <= left)
        findings_add(f, SEVERITY_VIOLATION, "auto-failover-too-small", c->store,
                     "auto-failover cannot act for data nodes: %zu %s active, and %zu must remain",
                     data, data == 1 ? "is" : "are", left);
}

static void verify_rest(const struct cluster *c, struct findings *f)
{
    const char *low, *high;
    struct cb_quorum q;

    if (cb_versions_mixed(c, &low, &high))
        findings_add(f, SEVERITY_VIOLATION, "versions-mixed", c->store,
                     "nodes run different versions: %s to %s", low, high);
    cb_quorum(c, &q);
    if (q.active > 0 && q.healthy < q.needed) {
        findings_add(f, SEVERITY_VIOLATION, "no-quorum", c->store,
                     "%zu of %zu active nodes answer, %zu are needed: the cluster cannot fail over "
                     "or rebalance",
                     q.healthy, q.active, q.needed);
        findings_remedy(f, "bring nodes back; if they are lost for good, 'plan failover -service "
                           "NODE -mode hard -unsafe " CB_UNSAFE "'");
    }
    JSON_FOREACH (alert, json_get(cb_part(c, "default"), "alerts")) {
        const char *text = json_str(alert, "msg");
        if (text != NULL)
            findings_add(f, SEVERITY_VIOLATION, "alert", c->store, "alert: %.*s",
                         (int)strcspn(text, "\r\n"), text);
    }
}

void cb_verify(const struct cluster *c, struct findings *f)
{
    for (size_t i = 0; i < c->n_services; i++)
        verify_member(c, &c->services[i], f);
    verify_activities(c, f);
    verify_balance(c, f);
    for (size_t i = 0; i < c->n_buckets; i++)
        verify_bucket(c, &c->buckets[i], f);
    verify_load(c, f);
    verify_groups(c, f);
    verify_auto_failover(c, f);
    verify_rest(c, f);
}
