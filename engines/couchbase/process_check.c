/* What speaks against stopping, starting and restarting the server of a node. Pure. */
#include "engines/couchbase/couchbase.h"

#include <string.h>

/* --- the agents --- */

/* One sentence for all nodes of a store without any agent. */
static void tell_none(const struct cluster *c, struct findings *f)
{
    findings_add(f, SEVERITY_FATAL, "no-agent", c->store,
                 "the cluster's REST interface cannot start or stop a server process, and no "
                 "kvagentd that could is known for these hosts");
    findings_remedy(f, "run kvagentd on them (makebootconfig -unit " CB_UNIT
                       "=couchbase-server.service) and name it in kvsh.conf: agent = "
                       "https://HOST:PORT; or do it by hand on the host, for which 'plan "
                       "restart-service -service NODE -pause' waits");
}

static void tell_unusable(const struct service *s, bool pause, const char *why, const char *advice,
                          struct findings *f)
{
    if (pause) {
        findings_add(f, SEVERITY_NOTE, "by-hand", s->id, "%s is to be restarted by hand: %s", s->id,
                     why);
        return;
    }
    findings_add(f, SEVERITY_FATAL, "no-agent", s->id,
                 "nothing can start or stop the server process on %s: %s", s->id, why);
    if (advice != NULL)
        findings_remedy(f, "%s", advice);
}

/* Two nodes that are controlled by one agent: at least one of them is not. */
static void check_shared(const struct cluster *c, const struct cb_set *set, size_t at,
                         struct findings *f)
{
    const char *mine = json_str(cb_agent(c, set->v[at]), "instance");

    for (size_t i = 0; i < at && mine != NULL; i++) {
        const char *other = json_str(cb_agent(c, set->v[i]), "instance");
        if (other == NULL || strcmp(other, mine) != 0)
            continue;
        findings_add(f, SEVERITY_FATAL, "agent-shared", set->v[at]->id,
                     "the same agent answers for %s and for %s, though it controls one server only",
                     set->v[i]->id, set->v[at]->id);
        findings_remedy(f, "mend 'agent' in kvsh.conf: store show tells what is configured");
        return;
    }
}

static void check_usable(const struct cluster *c, const struct cb_set *set, bool pause,
                         struct findings *f)
{
    const char *why, *advice;

    if (cb_part(c, "agents") == NULL) {
        if (!pause)
            tell_none(c, f);
        return;
    }
    for (size_t i = 0; i < set->n; i++) {
        if (cb_agent_url(c, set->v[i], &why, &advice) == NULL)
            tell_unusable(set->v[i], pause, why, advice, f);
        else
            check_shared(c, set, i, f);
    }
}

/* What is down cannot be healthy: that agent stands beside another node. */
static void check_mismatch(const struct cluster *c, const struct cb_set *set, struct findings *f)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct service *s = set->v[i];
        if (!cb_is_healthy(s) || !cb_agent_says_down(c, s))
            continue;
        findings_add(f, SEVERITY_FATAL, "agent-mismatch", s->id,
                     "the agent %s says that its server is down, yet the cluster hears %s: it is "
                     "the agent of another host, or the server runs outside of its unit",
                     json_str(cb_agent(c, s), "url"), s->id);
        findings_remedy(f, "mend 'agent' in kvsh.conf, or the unit's commands on that host");
    }
}

void cb_check_agents(const struct cluster *c, const struct cb_set *set, bool pause,
                     struct findings *f)
{
    check_usable(c, set, pause, f);
    check_mismatch(c, set, f);
}

/* --- stop --- */

static void check_unserved(const struct cluster *c, const struct cb_set *set, struct findings *f)
{
    struct arena a = {0};
    size_t data = cb_active_with(c, "kv", NULL), left = cb_active_with(c, "kv", set);

    if (data > left) {
        findings_add(f, SEVERITY_BLOCK, "data-not-served", c->store,
                     "%s %s active: about %zu %% of the data of each bucket is not served until "
                     "%s back, or failed over",
                     cb_names(&a, set), set->n == 1 ? "is" : "are", (data - left) * 100 / data,
                     set->n == 1 ? "it is" : "they are");
        findings_remedy(f,
                        "'plan failover -service %s -mode graceful' first, which lets its "
                        "replicas serve; or 'plan restart-service'",
                        set->v[0]->id);
    }
    JSON_FOREACH (b, cb_part(c, "buckets")) {
        bool exact;
        double share = cb_share_lost(c, b, set, &exact);
        if (json_str(b, "name") == NULL || share < 0.05)
            continue;
        findings_add(f, SEVERITY_BLOCK, "no-other-copy", json_str(b, "name"),
                     "%s%.1f %% of bucket %s has no other copy: no failover could serve it "
                     "meanwhile",
                     exact ? "" : "about ", share, json_str(b, "name"));
        findings_remedy(f, "raise its number of replicas and rebalance first");
    }
    arena_release(&a);
}

static void check_majority(const struct cluster *c, const struct cb_set *set, struct findings *f)
{
    struct cb_quorum q;
    size_t leaving = 0;

    cb_quorum(c, &q);
    for (size_t i = 0; i < set->n; i++)
        leaving += cb_is_active(set->v[i]) && cb_is_healthy(set->v[i]);
    if (q.healthy < q.needed || q.healthy - leaving >= q.needed)
        return;
    findings_add(f, SEVERITY_BLOCK, "no-quorum-left", c->store,
                 "%zu of %zu active nodes would answer and %zu are needed for a majority: nothing "
                 "could be failed over, and no setting be changed, until one is back",
                 q.healthy - leaving, q.active, q.needed);
    findings_remedy(f, "fail a node over before it is stopped, or stop fewer at a time");
}

/* What the cluster does by itself about a node that is silent. */
void cb_check_automatic(const struct cluster *c, const struct cb_set *set, struct findings *f)
{
    const struct json *af = cb_part(c, "autoFailover");
    struct arena a = {0};
    const char *names = cb_names(&a, set);
    int64_t count = json_int(af, "count", 0), most = json_int(af, "maxCount", 0);

    if (!json_bool(af, "enabled", false)) {
        findings_add(f, SEVERITY_NOTE, "auto-failover-off", c->store,
                     "auto-failover is off: nobody fails %s over while %s down", names,
                     set->n == 1 ? "it is" : "they are");
    } else if (most == 0 || count < most) {
        bool all = most == 0 || count + (int64_t)set->n <= most;
        findings_add(f, SEVERITY_VIOLATION, "auto-failover-acts", c->store,
                     "%lld s after the stop auto-failover fails %s%s over, hard: writes on their "
                     "way are lost, and a recovery and a rebalance are needed afterwards",
                     (long long)json_int(af, "timeout", 120), all ? "" : "some of ", names);
        findings_remedy(f, "fail over gracefully first, or switch it off meanwhile: "
                           "'change-policy -params autoFailover.enabled=false'");
    }
    arena_release(&a);
}

void cb_check_stop(const struct intent *in, const struct cluster *c, const struct cb_set *set,
                   struct findings *f)
{
    struct arena a = {0};
    struct cb_set active = {0};

    (void)in;
    cb_check_agents(c, set, false, f);
    if (cb_part(c, "agents") == NULL)
        return; /* nothing could be stopped anyway */
    for (size_t i = 0; i < set->n; i++) {
        if (cb_is_active(set->v[i]) && set->v[i]->status != STATUS_UNREACHABLE)
            *ARENA_PUSH(&a, active.v, active.n) = set->v[i];
    }
    if (active.n > 0) {
        cb_check_busy(c, f);
        cb_check_services(c, &active, f);
        check_unserved(c, &active, f);
        check_majority(c, &active, f);
        cb_check_capacity(c, &active, f);
        cb_check_automatic(c, &active, f);
        cb_check_auto_failover(c, f);
    }
    arena_release(&a);
}

/* --- start --- */

void cb_check_start(const struct intent *in, const struct cluster *c, const struct cb_set *set,
                    struct findings *f)
{
    (void)in;
    cb_check_agents(c, set, false, f);
    for (size_t i = 0; i < set->n; i++) {
        const struct service *s = set->v[i];
        if (cb_agent_says_up(c, s) && s->status == STATUS_UNREACHABLE) {
            findings_add(f, SEVERITY_VIOLATION, "runs-unheard", s->id,
                         "couchbase-server on %s runs, says its agent, but the cluster does not "
                         "hear it: a start changes nothing",
                         s->id);
            findings_remedy(f, "look at its own log and at the network; 'plan restart-service' "
                               "needs a healthy node, stop-service and start-service do not");
        }
        if (cb_is_failed(s)) {
            findings_add(f, SEVERITY_NOTE, "stays-failed-over", s->id,
                         "%s stays failed over after the start", s->id);
            findings_remedy(f, "'plan recover -service %s -type delta -rebalance' takes it back",
                            s->id);
        }
    }
}
