/* The rules of the couchbase engine: each where it speaks, and just beside. */
#include "tests/unit/couchbase_world.h"
#include "tests/unit/tap.h"

/* --- checks: a verb, its arguments, what differs in the cluster, the rule that speaks --- */

#define CPU(percent) "{\"systemStats\":{\"cpu_utilization_rate\":" #percent "}}"
#define MEMORY(bytes) "{\"interestingStats\":{\"mem_used\":" bytes "}}" /* of 1000 MiB */

static const struct {
    enum verb verb;
    const char *args, *more[4], *part, *value, *rule;
    enum severity severity;
} checks[] = {
    {VERB_FAILOVER, "{\"services\":[\"cb1\"],\"mode\":\"graceful\"}", {0}, NULL, NULL, NULL, 0},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"graceful\"}",
     {"{\"status\":\"unhealthy\"}"},
     NULL,
     NULL,
     "graceful-unhealthy",
     SEVERITY_FATAL},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"graceful\"}",
     {"{\"services\":[\"n1ql\"]}"},
     NULL,
     NULL,
     "graceful-without-data",
     SEVERITY_FATAL},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"hard\"}",
     {"{\"services\":[\"n1ql\"]}"},
     NULL,
     NULL,
     "last-of-service",
     SEVERITY_BLOCK},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\",\"cb2\"],\"mode\":\"graceful\"}",
     {0},
     NULL,
     NULL,
     "too-few-replicas",
     SEVERITY_FATAL},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\",\"cb2\"],\"mode\":\"hard\"}",
     {0},
     NULL,
     NULL,
     "data-lost",
     SEVERITY_BLOCK},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"hard\"}",
     {0},
     NULL,
     NULL,
     "hard-on-healthy",
     SEVERITY_VIOLATION},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"hard\"}",
     {"{\"status\":\"unhealthy\"}", "{\"status\":\"unhealthy\"}"},
     NULL,
     NULL,
     "no-quorum",
     SEVERITY_FATAL},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"graceful\"}",
     {0, 0, "{\"status\":\"unhealthy\"}", "{\"status\":\"unhealthy\"}"},
     NULL,
     NULL,
     "no-quorum",
     SEVERITY_FATAL},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"hard\"}",
     {"{\"services\":[\"n1ql\"]}", "{\"services\":[\"n1ql\"]}"},
     NULL,
     NULL,
     NULL, /* not hard-on-healthy: there is no other way */
     0},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"hard\",\"unsafe\":true}",
     {0},
     NULL,
     NULL,
     "unsafe",
     SEVERITY_CONFIRM},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"graceful\",\"unsafe\":true}",
     {0},
     NULL,
     NULL,
     "unsafe-graceful",
     SEVERITY_FATAL},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"hard\"}",
     {"{\"clusterMembership\":\"inactiveFailed\"}"},
     NULL,
     NULL,
     "not-active",
     SEVERITY_FATAL},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\",\"cb2\",\"cb3\",\"cb4\"],\"mode\":\"hard\"}",
     {0},
     NULL,
     NULL,
     "last-data-node",
     SEVERITY_FATAL},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\",\"cb3\"],\"mode\":\"hard\"}",
     {0},
     NULL,
     NULL,
     "one-group-left",
     SEVERITY_VIOLATION},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"graceful\"}",
     {0},
     "autoFailover",
     "{\"enabled\":true,\"count\":1,\"maxCount\":1}",
     "auto-failover-used-up",
     SEVERITY_VIOLATION},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"graceful\"}",
     {0},
     "nodeStatuses",
     "{\"cb1:8091\":{\"gracefulFailoverPossible\":false}}",
     "graceful-impossible",
     SEVERITY_FATAL},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"graceful\"}",
     {0},
     "tasks",
     "[{\"type\":\"rebalance\",\"status\":\"running\",\"progress\":5}]",
     "busy",
     SEVERITY_FATAL},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"graceful\"}",
     {0},
     "tasks",
     "[{\"type\":\"rebalance\",\"status\":\"notRunning\",\"statusIsStale\":true}]",
     "busy",
     SEVERITY_FATAL},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"graceful\"}",
     {"{\"version\":\"7.6.8-1\"}"},
     NULL,
     NULL,
     "versions-mixed",
     SEVERITY_NOTE},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\",\"cb2\"],\"mode\":\"hard\"}",
     {0, 0, "{\"interestingStats\":{\"mem_used\":900000000}}",
      "{\"interestingStats\":{\"mem_used\":900000000}}"},
     NULL,
     NULL,
     "capacity",
     SEVERITY_BLOCK},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\",\"cb2\"],\"mode\":\"hard\"}",
     {CPU(40), CPU(40), CPU(40), CPU(40)},
     NULL,
     NULL,
     "capacity",
     SEVERITY_NOTE},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\",\"cb2\"],\"mode\":\"hard\"}",
     {CPU(40), CPU(40), CPU(41), CPU(41)},
     NULL,
     NULL,
     "capacity",
     SEVERITY_BLOCK},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\",\"cb2\"],\"mode\":\"hard\"}",
     {MEMORY("419430400"), MEMORY("419430400"), MEMORY("419430400"), MEMORY("419430400")},
     NULL,
     NULL,
     "capacity",
     SEVERITY_NOTE},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\",\"cb2\"],\"mode\":\"hard\"}",
     {MEMORY("424673280"), MEMORY("424673280"), MEMORY("424673280"), MEMORY("424673280")},
     NULL,
     NULL,
     "capacity",
     SEVERITY_BLOCK},
    {VERB_RECOVER, "{\"services\":[\"cb1\"]}", {0}, NULL, NULL, "not-failed-over", SEVERITY_FATAL},
    {VERB_RECOVER,
     "{\"services\":[\"cb1\"],\"type\":\"delta\"}",
     {"{\"clusterMembership\":\"inactiveFailed\",\"services\":[\"n1ql\"]}"},
     NULL,
     NULL,
     "delta-without-data",
     SEVERITY_FATAL},
    {VERB_RECOVER,
     "{\"services\":[\"cb1\"]}",
     {"{\"clusterMembership\":\"inactiveFailed\",\"status\":\"unhealthy\"}"},
     NULL,
     NULL,
     "node-unhealthy",
     SEVERITY_BLOCK},
    {VERB_RECOVER,
     "{\"services\":[\"cb1\"],\"rebalance\":true}",
     {"{\"clusterMembership\":\"inactiveFailed\"}"},
     NULL,
     NULL,
     NULL,
     0},
    {VERB_RECOVER,
     "{\"services\":[\"cb1\"],\"rebalance\":true}",
     {"{\"clusterMembership\":\"inactiveFailed\"}", "{\"clusterMembership\":\"inactiveFailed\"}"},
     NULL,
     NULL,
     "removes-failed-over",
     SEVERITY_VIOLATION},
    {VERB_RECOVER,
     "{\"services\":[\"cb1\"],\"rebalance\":true}",
     {"{\"clusterMembership\":\"inactiveFailed\"}", "{\"status\":\"unhealthy\"}"},
     NULL,
     NULL,
     "node-unhealthy",
     SEVERITY_BLOCK},
    {VERB_ADD_NODE,
     "{\"host\":\"cb9\",\"port\":8091,\"rebalance\":true}",
     {"{\"clusterMembership\":\"inactiveFailed\"}"},
     NULL,
     NULL,
     "removes-failed-over",
     SEVERITY_VIOLATION},
    {VERB_ADD_NODE,
     "{\"host\":\"cb9\",\"port\":8091}",
     {"{\"clusterMembership\":\"inactiveFailed\"}"},
     NULL,
     NULL,
     NULL,
     0},
    {VERB_REMOVE_NODE, /* the others join as these leave */
     "{\"services\":[\"cb1\",\"cb2\"]}",
     {0, 0, "{\"clusterMembership\":\"inactiveAdded\"}",
      "{\"clusterMembership\":\"inactiveAdded\"}"},
     NULL,
     NULL,
     NULL,
     0},
    {VERB_REMOVE_NODE,
     "{\"services\":[\"cb1\",\"cb2\"]}",
     {0, 0, "{\"clusterMembership\":\"inactiveFailed\"}",
      "{\"clusterMembership\":\"inactiveFailed\"}"},
     NULL,
     NULL,
     "last-data-node",
     SEVERITY_FATAL},
    {VERB_REMOVE_NODE,
     "{\"services\":[\"cb1\"]}",
     {0},
     "buckets",
     "[{\"name\":\"b\",\"replicaNumber\":3}]",
     "too-few-copies",
     SEVERITY_VIOLATION},
    {VERB_REMOVE_NODE,
     "{\"services\":[\"cb1\"]}",
     {0},
     "buckets",
     "[{\"name\":\"b\",\"replicaNumber\":2}]",
     NULL,
     0},
    {VERB_REBALANCE,
     "{}",
     {"{\"clusterMembership\":\"inactiveFailed\"}"},
     NULL,
     NULL,
     "removes-failed-over",
     SEVERITY_VIOLATION},
    {VERB_REBALANCE,
     "{}",
     {"{\"status\":\"unhealthy\"}"},
     NULL,
     NULL,
     "node-unhealthy",
     SEVERITY_BLOCK},
    {VERB_REBALANCE,
     "{}",
     {"{\"failoverStatus\":\"unfinished\"}"},
     NULL,
     NULL,
     "unfinished-failover",
     SEVERITY_FATAL},
    {VERB_ADD_NODE,
     "{\"host\":\"cb2\",\"port\":8091}",
     {0},
     NULL,
     NULL,
     "member-already",
     SEVERITY_FATAL},
    {VERB_STOP_SERVICE, "{\"services\":[\"cb1\"]}", {0}, NULL, NULL, "no-agent", SEVERITY_FATAL},
    {VERB_RESTART_SERVICE, "{\"services\":[\"cb1\"]}", {0}, NULL, NULL, "no-agent", SEVERITY_FATAL},
    {VERB_STOP_REBALANCE, "{\"unsafe\":true}", {0}, NULL, NULL, "unsafe", SEVERITY_CONFIRM},
    {VERB_CLEANUP, "{\"purge\":true}", {0}, NULL, NULL, "purge", SEVERITY_BLOCK},
    {VERB_CHANGE_GROUP,
     "{\"services\":[\"cb1\"],\"group\":\"Group 1\"}",
     {0},
     NULL,
     NULL,
     "no-groups",
     SEVERITY_FATAL},
};

static void checks_speak(void)
{
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        struct json *args = world_json(checks[i].args);
        const struct intent in = {.verb = checks[i].verb, .args = args};
        struct findings f = {0};
        const struct finding *one;
        struct world w;

        world_make(&w, 4, checks[i].more);
        if (checks[i].part != NULL)
            json_set(w.c.raw, checks[i].part, world_json(checks[i].value));
        world_observe(&w);
        cb_check(&in, &w.c, &f);
        if (checks[i].rule == NULL) {
            is_int(findings_worst(&f), SEVERITY_NOTE);
        } else {
            one = world_finding(&f, checks[i].rule);
            ok(one != NULL);
            if (one == NULL)
                printf("# case %zu lacks rule %s\n", i, checks[i].rule);
            else
                is_int(one->severity, checks[i].severity);
        }
        findings_release(&f);
        cluster_release(&w.c);
        json_free(args);
    }
}

/* The other side of the same rules: just inside, where they do not speak. */

static const struct {
    enum verb verb;
    const char *args, *more[4], *part, *value, *rule;
} silences[] = {
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"graceful\"}",
     {0, "{\"status\":\"unhealthy\"}"},
     NULL,
     NULL,
     "graceful-unhealthy"},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"graceful\"}",
     {"{\"services\":[\"kv\",\"n1ql\"]}"},
     NULL,
     NULL,
     "graceful-without-data"},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"graceful\"}",
     {0},
     "nodeStatuses",
     "{\"cb1:8091\":{\"gracefulFailoverPossible\":true}}",
     "graceful-impossible"},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"hard\"}",
     {"{\"services\":[\"n1ql\"]}", "{\"services\":[\"kv\",\"n1ql\"]}"},
     NULL,
     NULL,
     "last-of-service"},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\",\"cb2\",\"cb3\"],\"mode\":\"hard\"}",
     {0},
     NULL,
     NULL,
     "last-data-node"},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"graceful\"}",
     {0},
     NULL,
     NULL,
     "too-few-replicas"},
    {VERB_FAILOVER, "{\"services\":[\"cb1\"],\"mode\":\"hard\"}", {0}, NULL, NULL, "data-lost"},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"hard\"}",
     {"{\"status\":\"unhealthy\"}"},
     NULL,
     NULL,
     "hard-on-healthy"},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"hard\"}",
     {"{\"status\":\"unhealthy\"}"},
     NULL,
     NULL,
     "no-quorum"},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\",\"cb2\"],\"mode\":\"hard\"}",
     {0},
     NULL,
     NULL,
     "one-group-left"},
    {VERB_FAILOVER,
     "{\"services\":[\"cb1\"],\"mode\":\"graceful\"}",
     {0},
     "autoFailover",
     "{\"enabled\":true,\"count\":0,\"maxCount\":1}",
     "auto-failover-used-up"},
    {VERB_RECOVER,
     "{\"services\":[\"cb1\"],\"type\":\"delta\"}",
     {"{\"clusterMembership\":\"inactiveFailed\",\"services\":[\"index\"]}"},
     NULL,
     NULL,
     "delta-without-data"},
    {VERB_RECOVER,
     "{\"services\":[\"cb1\"]}",
     {"{\"clusterMembership\":\"inactiveFailed\"}"},
     NULL,
     NULL,
     "not-failed-over"},
    {VERB_RECOVER,
     "{\"services\":[\"cb1\"]}",
     {"{\"clusterMembership\":\"inactiveFailed\"}"},
     NULL,
     NULL,
     "node-unhealthy"},
    {VERB_ADD_NODE, "{\"host\":\"cb9\",\"port\":8091}", {0}, NULL, NULL, "member-already"},
    {VERB_CLEANUP, "{\"purge\":false}", {0}, NULL, NULL, "purge"},
    {VERB_STOP_REBALANCE, "{\"unsafe\":false}", {0}, NULL, NULL, "unsafe"},
    {VERB_CHANGE_GROUP,
     "{\"services\":[\"cb1\"],\"group\":\"Group 1\"}",
     {0},
     "groups",
     "{\"groups\":[{\"name\":\"Group 1\",\"nodes\":[]}]}",
     "no-groups"},
};

static void checks_keep_silent(void)
{
    for (size_t i = 0; i < sizeof silences / sizeof *silences; i++) {
        struct json *args = world_json(silences[i].args);
        const struct intent in = {.verb = silences[i].verb, .args = args};
        struct findings f = {0};
        struct world w;

        world_make(&w, 4, silences[i].more);
        if (silences[i].part != NULL)
            json_set(w.c.raw, silences[i].part, world_json(silences[i].value));
        world_observe(&w);
        cb_check(&in, &w.c, &f);
        if (!ok(world_finding(&f, silences[i].rule) == NULL))
            printf("# case %zu has rule %s\n", i, silences[i].rule);
        findings_release(&f);
        cluster_release(&w.c);
        json_free(args);
    }
}

/* --- verify --- */

static const struct {
    const char *more[4], *part, *value, *rule;
} verified[] = {
    {{"{\"status\":\"unhealthy\"}"}, NULL, NULL, "node-unhealthy"},
    {{"{\"clusterMembership\":\"inactiveFailed\"}"}, NULL, NULL, "failed-over"},
    {{"{\"clusterMembership\":\"inactiveAdded\"}"}, NULL, NULL, "waits-for-rebalance"},
    {{"{\"status\":\"warmup\"}"}, NULL, NULL, "warmup"},
    {{"{\"failoverStatus\":\"unfinished\"}"}, NULL, NULL, "unfinished-failover"},
    {{"{\"version\":\"7.6.8-1\"}"}, NULL, NULL, "versions-mixed"},
    {{0}, "buckets", "[{\"name\":\"b\",\"replicaNumber\":0}]", "no-replicas"},
    {{0}, "buckets", "[{\"name\":\"b\",\"replicaNumber\":4}]", "too-few-copies"},
    {{0},
     "buckets",
     "[{\"name\":\"b\",\"replicaNumber\":1,\"quota\":{\"ram\":1000},\"basicStats\":{\"memUsed\":"
     "900}}]",
     "quota"},
    {{0}, "autoFailover", "{\"enabled\":false}", "auto-failover-off"},
    {{0}, "autoFailover", "{\"enabled\":true,\"count\":2,\"maxCount\":2}", "auto-failover-used-up"},
    {{"{\"clusterMembership\":\"inactiveFailed\"}", "{\"clusterMembership\":\"inactiveFailed\"}"},
     NULL,
     NULL,
     "auto-failover-too-small"},
    {{"{\"services\":[\"n1ql\"],\"clusterCompatibility\":458754}", "{\"services\":[\"n1ql\"]}"},
     NULL,
     NULL,
     "auto-failover-too-small"},
    {{"{\"status\":\"unhealthy\"}", "{\"status\":\"unhealthy\"}"}, NULL, NULL, "no-quorum"},
    {{0}, "tasks", "[{\"type\":\"rebalance\",\"status\":\"running\"}]", "operation-runs"},
    {{0},
     "tasks",
     "[{\"type\":\"rebalance\",\"status\":\"notRunning\",\"errorMessage\":\"Rebalance failed.\"}]",
     "last-operation"},
    {{0},
     "pendingRetry",
     "{\"retry_rebalance\":\"pending\",\"rebalance_id\":\"x\",\"type\":\"rebalance\",\"attempts_"
     "remaining\":1}",
     "pending-retry"},
    {{"{\"serverGroup\":\"Group 1\"}"}, NULL, NULL, "groups-unbalanced"},
};

static void verify_finds(void)
{
    struct findings f = {0};
    struct world w;

    world_make(&w, 4, NULL);
    world_observe(&w);
    cb_verify(&w.c, &f);
    is_int(f.n, 0);
    findings_release(&f);
    cluster_release(&w.c);
    for (size_t i = 0; i < sizeof verified / sizeof *verified; i++) {
        world_make(&w, 4, verified[i].more);
        if (verified[i].part != NULL)
            json_set(w.c.raw, verified[i].part, world_json(verified[i].value));
        world_observe(&w);
        cb_verify(&w.c, &f);
        ok(world_finding(&f, verified[i].rule) != NULL);
        if (world_finding(&f, verified[i].rule) == NULL)
            printf("# case %zu lacks rule %s\n", i, verified[i].rule);
        findings_release(&f);
        cluster_release(&w.c);
    }
}

int main(void)
{
    TAP_RUN(TAP_TEST(checks_speak), TAP_TEST(checks_keep_silent), TAP_TEST(verify_finds));
}
