/* The pure parts of the couchbase engine: refusals, decoding, outcomes, figures, expansion,
 * explanation. Checks: test_couchbase_rules.c. */
#include <stdlib.h>

#include "tests/unit/couchbase_world.h"
#include "tests/unit/tap.h"

/* --- refusals --- */

static void refusals_become_sentences(void)
{
    static const struct {
        const char *body, *sentence;
    } cases[] = {
        {"", ""},
        {"No server specified.", "No server specified"},
        {"Cluster uuid does not match the requested.\r\n",
         "Cluster uuid does not match the requested"},
        {"[\"user is missing\",\"password is missing\"]", "user is missing; password is missing"},
        {"{\"errors\":{\"timeout\":\"The value must be an integer\"}}",
         "timeout: The value must be an integer"},
        {"{\"errors\":{\"_\":\"enabled is true. A value must be supplied for timeout\"}}",
         "enabled is true. A value must be supplied for timeout"},
        {"{\"mismatch\":1}", "the list of members is not the cluster's any more"},
        {"{\"noKVNodesLeft\":1}", "no node of the data service would remain"},
        {"{\"must_rebalance_services\":[\"index\"]}",
         "these services must be rebalanced too: index"},
        {"{\"message\":\"Forbidden. User needs the following "
         "permissions\",\"permissions\":[\"cluster.pools!write\"]}",
         "Forbidden. User needs the following permissions: cluster.pools!write"},
        {"{\"error\":\"Cannot rebalance when cluster is in recovery mode\"}",
         "Cannot rebalance when cluster is in recovery mode"},
        {"{\"error\":[66,117,[115,121]]}", "Busy"},
        {"\"Forbidden\"", "Forbidden"},
        {"{\"name\":\"already exists\"}", "name: already exists"},
        {"<html><body>Bad gateway</body></html>", ""},
        {"one\x01two\n\n three", "one two three"},
    };
    char text[200];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cb_sentence(cases[i].body, strlen(cases[i].body), text, sizeof text);
        is_str(text, cases[i].sentence);
    }
    cb_sentence("0123456789", 10, text, 5);
    is_str(text, "0123");
}

static void refusals_have_codes(void)
{
    static const struct {
        const char *method;
        int status;
        enum err_code code;
    } cases[] = {
        {"GET", 401, ERR_DENIED},      {"POST", 403, ERR_DENIED}, {"POST", 500, ERR_IN_DOUBT},
        {"GET", 500, ERR_UNREACHABLE}, {"POST", 503, ERR_FAILED}, {"POST", 504, ERR_FAILED},
        {"POST", 502, ERR_IN_DOUBT},   {"POST", 400, ERR_FAILED}, {"POST", 404, ERR_FAILED},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[] = "";
        const struct http_response resp = {.status = cases[i].status, .body = body};
        const struct cb_request r = {
            .method = cases[i].method, .base = "http://cb1:8091", .path = "/pools"};
        struct err err = ERR_INIT;
        is_int(cb_refused(&resp, &r, &err), -1);
        is_int(err.code, cases[i].code);
        ok(strncmp(err.text, "cb1:8091: ", 10) == 0);
    }
}

/* --- decoding --- */

static void nodes_are_decoded(void)
{
    static const char *const more[] = {
        "{\"services\":[\"kv\",\"index\"]}",
        "{\"status\":\"unhealthy\",\"systemStats\":{},\"interestingStats\":{}}",
        "{\"clusterMembership\":\"inactiveFailed\"}",
        "{\"clusterMembership\":\"inactiveAdded\",\"recoveryType\":\"delta\"}",
        "{\"status\":\"warmup\",\"services\":[]}",
    };
    static const enum status status[] = {STATUS_RUNNING, STATUS_UNREACHABLE, STATUS_STOPPED,
                                         STATUS_STARTING, STATUS_STARTING};
    struct world w;

    world_make(&w, 5, more);
    world_observe(&w);
    is_int(w.c.n_nodes, 5);
    is_int(w.c.n_zones, 2);
    is_str(w.c.identity, "abc");
    is_str(w.c.title, "shop");
    for (size_t i = 0; i < 5; i++)
        is_int(w.c.services[i].status, status[i]);
    is_str(w.c.services[0].duties, "kv, index");
    is_str(w.c.services[4].duties, "arbiter");
    is_str(w.c.services[3].membership, "inactiveAdded, delta recovery");
    is_int(w.c.nodes[1].status, STATUS_UNREACHABLE);
    is_str(w.c.nodes[0].host, "cb1");
    is_int(w.c.nodes[0].port, 8091);
    is_int(cb_version(&w.c), 800);
    is_int(w.c.services[0].started_ms, 999900000);
    ok(cb_find(&w.c, "cb2") == &w.c.services[1]);
    ok(cb_find(&w.c, "ns_1@cb3") == &w.c.services[2]);
    ok(cb_find(&w.c, "cb9") == NULL);
    cluster_release(&w.c);
}

static void times_are_read(void)
{
    is_int(cb_time("1970-01-01T00:00:01Z"), 1000);
    is_int(cb_time("1970-01-01T00:00:01.5Z"), 1500);
    is_int(cb_time("1970-01-01T00:00:01.123456Z"), 1123);
    is_int(cb_time("1970-01-01T01:00:00.000+01:00"), 0);
    is_int(cb_time("1970-01-01T00:00:00-01:30"), 5400000);
    is_int(cb_time("yesterday"), 0);
    is_int(cb_time(NULL), 0);
}

/* --- outcomes --- */

static void outcomes_are_told_by_identity(void)
{
    struct json *events = world_json(
        "{\"events\":["
        "{\"event_id\":2,\"uuid\":\"u1\",\"timestamp\":\"2026-01-01T00:00:00.000Z\",\"extra_"
        "attributes\":{"
        "\"operation_id\":\"old\"}},"
        "{\"event_id\":4,\"uuid\":\"u2\",\"timestamp\":\"2026-01-01T00:00:05.000Z\",\"extra_"
        "attributes\":{"
        "\"operation_id\":\"old\",\"completion_message\":\"Rebalance exited with reason x\"}},"
        "{\"event_id\":2,\"uuid\":\"u3\",\"timestamp\":\"2026-01-01T00:00:05.000Z\",\"extra_"
        "attributes\":{"
        "\"operation_id\":\"mine\"}},"
        "{\"event_id\":3,\"uuid\":\"u4\",\"timestamp\":\"2026-01-01T00:00:09.000Z\",\"extra_"
        "attributes\":{"
        "\"operation_id\":\"mine\",\"completion_message\":\"Rebalance completed "
        "successfully.\"}}]}");
    struct json *report =
        world_json("{\"rebalanceId\":\"mine\",\"completionMessage\":\"Rebalance stopped by "
                   "user.\"}");
    struct cb_memo m = {.since = "2026-01-01T00:00:05.000Z", .last = "u2"}, again;
    const char *why;
    char *text;

    is_int(cb_outcome_of_events(events, "old", &why), CB_FAILED);
    is_str(why, "Rebalance exited with reason x");
    is_int(cb_outcome_of_events(events, "mine", &why), CB_SUCCEEDED);
    is_int(cb_outcome_of_events(events, "other", &why), CB_UNKNOWN);
    is_int(cb_outcome_of_events(events, "", &why), CB_UNKNOWN);
    is_int(cb_outcome_of_events(NULL, "mine", &why), CB_UNKNOWN);
    is_int(cb_outcome_of_report(report, "mine", &why), CB_STOPPED);
    is_int(cb_outcome_of_report(report, "old", &why), CB_UNKNOWN);
    is_str(cb_begun_since(events, &m, "rebalance"), "mine");
    ok(cb_begun_since(events, &m, "gracefulFailover") == NULL);
    m.since[0] = '\0';
    ok(cb_begun_since(events, &m, "rebalance") == NULL); /* two: nobody knows which */
    cb_memo_mark(&m, events);
    is_str(m.last, "u4");
    text = cb_memo_write(&m);
    cb_memo_read(&again, text);
    is_str(again.last, "u4");
    is_str(again.id, "");
    cb_memo_read(&again, "no JSON");
    is_str(again.before, "");
    free(text);
    json_free(events);
    json_free(report);
}

/* The same nodes in any order; an operation that tells of none differs from nothing. */
static void what_moves_is_compared(void)
{
    static const struct {
        const char *kind, *info;
        bool differs;
    } cases[] = {
        {"rebalance", "{\"keep_nodes\":[\"ns_1@b\",\"ns_1@a\"],\"eject_nodes\":[\"ns_1@c\"]}",
         false},
        {"rebalance", "{\"keep_nodes\":[\"ns_1@a\",\"ns_1@c\"],\"eject_nodes\":[\"ns_1@b\"]}",
         true},
        {"rebalance", "{\"keep_nodes\":[\"ns_1@a\",\"ns_1@b\",\"ns_1@c\"]}", true},
        {"rebalance", "{\"keep_nodes\":[\"ns_1@a,ns_1@b\"]}", false}, /* no name has a comma */
        {"rebalance", "{\"active_nodes\":[\"ns_1@a\"]}", false},
        {"rebalance", "{\"keep_nodes\":{\"ns_1@a\":1}}", true},
        {"gracefulFailover", "{\"failed_nodes\":[\"ns_1@a\",\"ns_1@b\"]}", false},
        {"gracefulFailover",
         "{\"failed_nodes\":[\"ns_1@a\"],\"keep_nodes\":[\"ns_1@a\",\"ns_1@b\"]}", true},
        {"failover", "{\"failover_nodes\":[\"ns_1@c\"],\"failed_nodes\":[]}", true},
        {"failover", "{\"active_nodes\":[\"ns_1@a\",\"ns_1@b\",\"ns_1@c\"]}", false},
        {"failover", "[]", false},
    };
    struct json *mine = world_json("[\"ns_1@a\",\"ns_1@b\"]");
    struct cb_memo m = {.before = "s"}, nothing = {.before = "s"}, again;
    char *text;

    cb_moves_of(mine, m.moves);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json *info = world_json(cases[i].info);
        is_int(cb_moves_differ(info, &m, cases[i].kind), cases[i].differs);
        ok(!cb_moves_differ(info, &nothing, cases[i].kind));
        json_free(info);
    }
    m.blind = true;
    text = cb_memo_write(&m);
    cb_memo_read(&again, text);
    is_str(again.moves, m.moves);
    ok(again.blind);
    free(text);
    json_free(mine);
}

/* What was not seen before is not told from what came after. */
static void blind_memos_adopt_nothing(void)
{
    struct json *events =
        world_json("{\"events\":[{\"event_id\":2,\"uuid\":\"u\",\"timestamp\":"
                   "\"2026-01-01T00:00:05.000Z\",\"extra_attributes\":{"
                   "\"operation_id\":\"old\",\"nodes_info\":{\"keep_nodes\":[\"ns_1@a\"]}}}]}");
    struct cb_memo m = {.before = "s"};
    struct json *other = world_json("[\"ns_1@b\"]");

    is_str(cb_begun_since(events, &m, "rebalance"), "old");
    m.blind = true;
    ok(cb_begun_since(events, &m, "rebalance") == NULL);
    m.blind = false;
    cb_moves_of(other, m.moves);
    ok(cb_begun_since(events, &m, "rebalance") == NULL);
    cb_memo_mark(&m, NULL);
    ok(m.blind);
    cb_memo_mark(&m, events);
    ok(!m.blind);
    json_free(other);
    json_free(events);
}

/* --- figures --- */

static void shares_without_another_copy(void)
{
    struct world w;
    struct cb_set set = {0};
    struct json *mapped = world_json(
        "{\"name\":\"b\",\"replicaNumber\":1,\"vBucketServerMap\":{\"serverList\":[\"cb1:"
        "11210\",\"cb2:11210\","
        "\"cb3:11210\",\"cb4:11210\"],\"vBucketMap\":[[0,1],[1,0],[2,3],[0,-1]]}}");
    bool exact;

    world_make(&w, 4, NULL);
    world_observe(&w);
    set.v = arena_alloc(&w.c.arena, 2 * sizeof *set.v);
    set.v[0] = &w.c.services[0];
    set.v[1] = &w.c.services[1];
    set.n = 1;
    ok(cb_share_lost(&w.c, cb_part(&w.c, "buckets"), &set, &exact) >= 0);
    is_int((int)cb_share_lost(&w.c, mapped, &set, &exact), 25);
    ok(exact);
    set.n = 2;
    is_int((int)cb_share_lost(&w.c, mapped, &set, &exact), 75);
    json_unset(mapped, "vBucketServerMap");
    is_int((int)(cb_share_lost(&w.c, mapped, &set, &exact) * 10), 166); /* 2/4 * 1/3 */
    ok(!exact);
    json_set_int(mapped, "replicaNumber", 0);
    is_int((int)cb_share_lost(&w.c, mapped, &set, &exact), 50);
    json_free(mapped);
    cluster_release(&w.c);
}

/* The map names hosts as they are seen, in brackets where they are numbers; who is not recognised
 * is not taken for safe. */
static void shares_of_hosts_by_other_names(void)
{
    static const char *const seen[] = {
        "{\"hostname\":\"10.0.0.1:8091\"}",
        "{\"hostname\":\"[fd00::2]:8091\",\"configuredHostname\":\"[fd00::2]:8091\"}"};
    struct json *mapped =
        world_json("{\"name\":\"b\",\"replicaNumber\":0,\"vBucketServerMap\":{\"serverList\":["
                   "\"10.0.0.1:11210\",\"[fd00::2]:11210\"],\"vBucketMap\":[[0],[1],[1],[1]]}}");
    struct service *one;
    const struct cb_set set = {&one, 1};
    struct world w;
    bool exact;

    world_make(&w, 2, seen);
    world_observe(&w);
    one = &w.c.services[0];
    is_int((int)cb_share_lost(&w.c, mapped, &set, &exact), 25);
    ok(exact);
    one = &w.c.services[1];
    is_int((int)cb_share_lost(&w.c, mapped, &set, &exact), 75);
    json_set(json_get(mapped, "vBucketServerMap"), "serverList",
             world_json("[\"proxy:11210\",\"[fd00::2]:11210\"]"));
    one = &w.c.services[0];
    is_int((int)cb_share_lost(&w.c, mapped, &set, &exact), 50);
    ok(!exact);
    json_free(mapped);
    cluster_release(&w.c);
}

static void load_now_and_after(void)
{
    static const char *const more[] = {
        NULL, NULL, "{\"status\":\"unhealthy\",\"systemStats\":{},\"interestingStats\":{}}", NULL};
    struct world w;
    struct cb_set set = {0};
    struct service *one;
    struct cb_load l;

    world_make(&w, 4, more);
    world_observe(&w);
    one = &w.c.services[2];
    set = (struct cb_set){&one, 1};
    cb_load(&w.c, &set, &l);
    is_int(l.nodes_now, 4);
    is_int(l.nodes_after, 3);
    is_int(l.memory_now, 30);
    is_int(l.memory_after, 40);
    is_int(l.cpu_now, 30);
    is_int(l.ops_after, 133);
    cluster_release(&w.c);
}

/* --- expansion and explanation --- */

static void count_line(void *arg, const char *text)
{
    int *lines = arg;

    ++*lines;
    ok(strstr(text, "secret") == NULL && strlen(text) > 10);
}

static const struct {
    enum verb verb;
    const char *args, *types;
} expansions[] = {
    {VERB_FAILOVER, "{\"services\":[\"cb1\",\"cb2\"],\"mode\":\"hard\"}", "failover"},
    {VERB_RECOVER, "{\"services\":[\"cb1\"],\"type\":\"full\",\"rebalance\":true}",
     "set-recovery rebalance"},
    {VERB_ADD_NODE, "{\"host\":\"cb9\",\"port\":8091,\"services\":[\"kv\"],\"rebalance\":true}",
     "add-node rebalance"},
    {VERB_REMOVE_NODE, "{\"services\":[\"cb1\"]}", "rebalance"},
    {VERB_REBALANCE, "{}", "rebalance"},
    {VERB_SWAP_REBALANCE, "{\"from\":\"cb1\",\"to\":\"cb9\"}", "add-node rebalance"},
    {VERB_CHANGE_GROUP, "{\"services\":[\"cb1\"],\"group\":\"Group 1\"}", "change-group"},
    {VERB_RESTART_SERVICE, "{\"services\":[\"cb1\",\"cb2\"],\"pause\":true}",
     "failover await-restart set-recovery rebalance failover await-restart set-recovery rebalance"},
    {VERB_ADD_NODE, "{\"host\":\"cb9\",\"services\":[\"data\",\"search\"]}", "add-node"},
    {VERB_CLEANUP, "{}", "compact"},
    {VERB_STOP_REBALANCE, "{}", ""},
};

static void intents_become_tasks(void)
{
    for (size_t i = 0; i < sizeof expansions / sizeof *expansions; i++) {
        struct json *args = world_json(expansions[i].args);
        const struct intent in = {.verb = expansions[i].verb, .args = args};
        struct err err = ERR_INIT;
        struct plan p = {0};
        struct world w;
        const char *types = "";
        int lines = 0;

        world_make(&w, 4, NULL);
        world_observe(&w);
        is_int(cb_expand(&in, &w.c, &p, &err), 0);
        for (size_t k = 0; k < p.n_tasks; k++) {
            types = arena_printf(&p.arena, "%s%s%s", types, k ? " " : "", p.tasks[k].type);
            is_int(p.tasks[k].wave, (int)k + 1);
            ok(p.tasks[k].node != NULL && p.tasks[k].what != NULL);
            cb_explain(&p.tasks[k], &w.c, count_line, &lines);
        }
        is_str(types, expansions[i].types);
        ok(lines >= (int)p.n_tasks);
        plan_release(&p);
        cluster_release(&w.c);
        json_free(args);
    }
}

static void nonsense_is_refused(void)
{
    static const struct {
        enum verb verb;
        const char *args;
    } cases[] = {
        {VERB_FAILOVER, "{\"services\":[\"cb9\"],\"mode\":\"hard\"}"},
        {VERB_FAILOVER, "{\"services\":[\"cb1\"]}"},
        {VERB_FAILOVER, "{\"zones\":[{\"zone\":\"zn1\"}],\"mode\":\"hard\"}"},
        {VERB_RECOVER, "{\"services\":[]}"},
        {VERB_RECOVER, "{\"services\":[\"cb1\"],\"type\":\"half\"}"},
        {VERB_ADD_NODE, "{\"host\":\"cb9\",\"group\":\"nowhere\"}"},
        {VERB_SWAP_REBALANCE, "{\"from\":\"cb9\",\"to\":\"cb8\"}"},
        {VERB_CHANGE_GROUP, "{\"services\":[\"cb1\"],\"group\":\"nowhere\"}"},
        {VERB_CLEANUP, "{\"bucket\":\"nothing\"}"},
        {VERB_DEPLOY_ZONE, "{}"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json *args = world_json(cases[i].args);
        const struct intent in = {.verb = cases[i].verb, .args = args};
        struct err err = ERR_INIT;
        struct plan p = {0};
        struct world w;

        world_make(&w, 4, NULL);
        world_observe(&w);
        is_int(cb_expand(&in, &w.c, &p, &err), -1);
        is_int(err.code, ERR_INPUT);
        plan_release(&p);
        cluster_release(&w.c);
        json_free(args);
    }
}

static void count_event(void *arg, const struct node_event *ev)
{
    int64_t *last = arg;

    ok(ev->seq > *last);
    *last = ev->seq;
}

static void events_are_numbered(void)
{
    struct json *page = world_json(
        "{\"list\":[{\"node\":\"ns_1@a\",\"type\":\"info\",\"tstamp\":1700000000000,\"text\":"
        "\"one\"},{\"node\":\"ns_1@a\",\"type\":\"critical\",\"tstamp\":1700000000000,"
        "\"text\":\"two\"},{\"tstamp\":-5,\"text\":\"none\"},{\"tstamp\":1700000000001,"
        "\"text\":\"three\"}]}");
    int64_t cursor = 0, last = 0, again = 0;

    cb_decode_events(page, &cursor, count_event, &last);
    is_int(cursor, INT64_C(1700000000001000));
    cb_decode_events(page, &cursor, count_event, &again); /* nothing is new */
    is_int(again, 0);
    json_free(page);
}

int main(void)
{
    TAP_RUN(TAP_TEST(refusals_become_sentences), TAP_TEST(refusals_have_codes),
            TAP_TEST(nodes_are_decoded), TAP_TEST(times_are_read),
            TAP_TEST(outcomes_are_told_by_identity), TAP_TEST(what_moves_is_compared),
            TAP_TEST(blind_memos_adopt_nothing), TAP_TEST(shares_without_another_copy),
            TAP_TEST(shares_of_hosts_by_other_names), TAP_TEST(load_now_and_after),
            TAP_TEST(intents_become_tasks), TAP_TEST(nonsense_is_refused),
            TAP_TEST(events_are_numbered));
}
