/* Agents beside foreign nodes: which belongs to which, what they answer; and what the couchbase
 * engine makes of that. */
#include <stdlib.h>

#include "engines/agents.h"
#include "engines/couchbase/couchbase.h"
#include "tests/unit/tap.h"

static struct json *parse(const char *text)
{
    struct err err = ERR_INIT;
    struct json *j = json_parse(text, strlen(text), &err);

    if (j == NULL) {
        printf("Bail out! test document: %s\n", err.text);
        exit(1);
    }
    return j;
}

/* --- which agent --- */

static const struct agent_node all[] = {
    {"cb1:8091", "ns_1@cb1", {"cb1", "cb1", "cb1"}},
    {"10.0.0.2:8091", "ns_1@10.0.0.2", {"10.0.0.2", "10.0.0.2", NULL, "cb2.example.net"}},
    {"[::1]:8091", "ns_1@::1", {"::1"}},
    {"h:8091", "ns_1@h.a", {"h"}},
    {"h:9091", "ns_1@h.b", {"h"}},
};

static const struct agent_nodes nodes = {all, sizeof all / sizeof *all};

enum { CB1, CB2, V6, H1, H2 };

static void agents_belong(void)
{
    static const struct {
        const char *agents[4];
        size_t which;
        const char *url, *says; /* one of them */
    } cases[] = {
        {{NULL}, CB1, NULL, "no agent is configured for cb1:8091"},
        {{"https://cb9:13230"}, CB1, NULL, "none of the 1 agents configured belongs to cb1:8091"},
        {{"https://cb1:13230"}, CB1, "https://cb1:13230", NULL},
        {{"https://CB1:13230"}, CB1, "https://CB1:13230", NULL},
        {{"https://cb11:13230"}, CB1, NULL, "none of the 1 agents"},
        {{"http://cb1"}, CB1, "http://cb1", NULL},
        {{"https://cb2.example.net:1"}, CB2, "https://cb2.example.net:1", NULL},
        {{"https://[::1]:13230"}, V6, "https://[::1]:13230", NULL},
        {{"https://cb1:1", "https://cb1:2"}, CB1, NULL, "could both be the agent of cb1:8091"},
        {{"https://cb1:1", "https://cb1:1"}, CB1, "https://cb1:1", NULL},
        {{"https://cb1:1", "cb1:8091=https://x:2"}, CB1, "https://x:2", NULL},
        {{"https://cb1:1", "ns_1@cb1=https://x:2"}, CB1, "https://x:2", NULL},
        {{"10.0.0.2=https://x:2", "https://10.0.0.2:3"}, CB2, "https://x:2", NULL},
        {{"https://h:1"}, H1, NULL, "the agent https://h:1 could be that of h:8091 or of h:9091"},
        {{"https://h:1", "h:9091=https://h:2"}, H1, "https://h:1", NULL},
        {{"https://h:1", "h:9091=https://h:2"}, H2, "https://h:2", NULL},
        {{"h=https://x:1"}, H2, NULL, "could be that of h:9091 or of h:8091"},
        {{"h:8091=https://x:1", "h:8091=https://x:2"},
         H1,
         NULL,
         "could both be the agent of h:8091"},
        {{"h:8091=https://x:1"}, H2, NULL, "none of the 1 agents"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct agent_list list = {cases[i].agents, 0};
        struct arena a = {0};
        struct agent_match m;

        while (list.n < 4 && cases[i].agents[list.n] != NULL)
            list.n++;
        agent_match(&list, &nodes, cases[i].which, &a, &m);
        if (cases[i].url != NULL)
            is_str(m.url ? m.url : m.why, cases[i].url);
        else
            has_str(m.url ? m.url : m.why, cases[i].says);
        ok(m.url != NULL || m.advice != NULL);
        arena_release(&a);
    }
}

/* --- what it says --- */

static void answers_are_read(void)
{
    static const struct {
        const char *doc, *state, *says;
    } cases[] = {
        {"{\"agent\":{\"instance\":\"i1\"},\"services\":[{\"id\":\"couchbase\",\"kind\":\"unit\","
         "\"state\":\"running\",\"detail\":null}]}",
         "running", NULL},
        {"{\"services\":[{\"id\":\"couchbase\",\"kind\":\"unit\",\"state\":\"failed\",\"detail\":"
         "\"x\"}]}",
         "failed", NULL},
        {"{\"services\":[{\"id\":\"couchbase\",\"kind\":\"unit\",\"state\":\"happy\"}]}", "unknown",
         NULL},
        {"{\"services\":[{\"id\":\"couchbase\",\"kind\":\"unit\",\"state\":7}]}", "unknown", NULL},
        {"{\"services\":[{\"id\":\"couchbase\",\"kind\":\"redis\",\"state\":\"running\"}]}", NULL,
         "agent cb1:13230: it has no unit couchbase"},
        {"{\"services\":[{\"id\":\"other\",\"kind\":\"unit\",\"state\":\"running\"},7,null]}", NULL,
         "it has no unit couchbase"},
        {"{\"services\":7}", NULL, "it has no unit couchbase"},
        {"{}", NULL, "it has no unit couchbase"},
    };
    const struct agent_unit unit = {"https://cb1:13230", "couchbase"};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json *doc = parse(cases[i].doc);
        struct agent_answer answer;
        struct arena a = {0};

        agent_decode(doc, &unit, &a, &answer);
        json_free(doc); /* the answer lives on */
        if (cases[i].state != NULL)
            is_str(answer.state, cases[i].state);
        else
            has_str(answer.why, cases[i].says);
        ok((answer.state == NULL) == (answer.why != NULL));
        arena_release(&a);
    }
}

static void responses_are_judged(void)
{
    static const struct {
        const char *method;
        int status;
        const char *type, *body;
        enum err_code code; /* ERR_OK: a document */
        const char *says;
    } cases[] = {
        {"GET", 200, "application/json", "{}", ERR_OK, NULL},
        {"POST", 202, "application/json", "{\"operation\":1}", ERR_OK, NULL},
        {"GET", 200, "application/json", "[]", ERR_UNREACHABLE, "which is no kvagentd answer"},
        {"GET", 200, "text/html", "{}", ERR_UNREACHABLE, "answers with status 200 and text/html"},
        {"GET", 200, NULL, "", ERR_UNREACHABLE, "no content type"},
        {"POST", 200, "text/html", "<p>", ERR_IN_DOUBT, "which is no kvagentd answer"},
        {"POST", 200, "application/json", "{\"operation\":", ERR_IN_DOUBT, "no kvagentd answer"},
        {"GET", 401, "application/problem+json",
         "{\"code\":\"unauthorized\",\"detail\":\"a token is needed\"}", ERR_DENIED,
         "agent cb1:13230: a token is needed"},
        {"POST", 409, "application/problem+json",
         "{\"code\":\"leased\",\"detail\":\"plan 3 of x\"}", ERR_LOCKED, "plan 3 of x"},
        {"POST", 409, "application/problem+json", "{\"code\":\"busy\",\"detail\":\"at work\"}",
         ERR_FAILED, "at work"},
        {"POST", 404, "application/problem+json", "{\"code\":7,\"detail\":[]}", ERR_FAILED,
         "refused without a reason"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[128], type[64];
        struct http_response resp = {.status = cases[i].status, .body = body};
        struct err err = ERR_INIT;
        struct json *doc;

        snprintf(body, sizeof body, "%s", cases[i].body);
        snprintf(type, sizeof type, "%s", cases[i].type ? cases[i].type : "");
        resp.len = strlen(body);
        resp.content_type = cases[i].type ? type : NULL;
        doc = agent_response(&resp, cases[i].method, "https://cb1:13230", &err);
        is_int(err.code, cases[i].code);
        ok((doc != NULL) == (cases[i].code == ERR_OK));
        if (cases[i].says != NULL)
            has_str(err.text, cases[i].says);
        json_free(doc);
    }
}

/* --- what couchbase makes of it --- */

#define NODE(name, more)                                                                           \
    "{\"otpNode\":\"ns_1@" name "\",\"hostname\":\"" name ":8091\",\"configuredHostname\":\"" name \
    ":8091\",\"services\":[\"kv\"],\"version\":\"8.0.1-1\"," more "}"
#define WELL "\"status\":\"healthy\",\"clusterMembership\":\"active\",\"recoveryType\":\"none\""
#define OUT \
    "\"status\":\"healthy\",\"clusterMembership\":\"inactiveFailed\",\"recoveryType\":\"none\""
#define DOWN \
    "\"status\":\"unhealthy\",\"clusterMembership\":\"inactiveFailed\",\"recoveryType\":\"none\""

/* Three nodes; cb2 is as `two` says. agents: the object, or NULL. */
static void world(struct cluster *c, const char *two, const char *agents, const char *automatic)
{
    char *text = xasprintf(
        "{\"pools\":{\"uuid\":\"u\",\"isEnterprise\":true},\"default\":{\"nodes\":[%s,%s,%s],"
        "\"balanced\":true},\"tasks\":[{\"type\":\"rebalance\",\"status\":\"notRunning\"}],"
        "\"buckets\":[{\"name\":\"b\",\"bucketType\":\"membase\",\"replicaNumber\":1}],"
        "\"autoFailover\":%s}",
        NODE("cb1", WELL), two, NODE("cb3", WELL), automatic ? automatic : "{\"enabled\":false}");

    *c = (struct cluster){.store = "prod", .engine = "couchbase", .raw = parse(text)};
    if (agents != NULL)
        json_set(c->raw, "agents", parse(agents));
    cb_decode(c);
    free(text);
}

static const struct finding *find(const struct findings *f, const char *rule)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->v[i].rule, rule) == 0)
            return &f->v[i];
    return NULL;
}

#define AGENT(name, more) "\"" name ":8091\":{\"url\":\"https://" name ":13230\"" more "}"
#define RUNS ",\"state\":\"running\",\"instance\":\"i2\""
#define ENDED ",\"state\":\"stopped\",\"instance\":\"i2\""

static void checks_speak(void)
{
    static const struct {
        enum verb verb;
        const char *args, *two, *agents, *automatic, *rule;
        enum severity severity;
    } cases[] = {
        {VERB_STOP_SERVICE, "cb2", NODE("cb2", WELL), NULL, NULL, "no-agent", SEVERITY_FATAL},
        {VERB_START_SERVICE, "cb2", NODE("cb2", DOWN), NULL, NULL, "no-agent", SEVERITY_FATAL},
        {VERB_STOP_SERVICE, "cb2", NODE("cb2", WELL), "{" AGENT("cb1", "") "}", NULL, "no-agent",
         SEVERITY_FATAL},
        {VERB_STOP_SERVICE, "cb2", NODE("cb2", WELL), "{" AGENT("cb2", ",\"why\":\"silent\"") "}",
         NULL, "no-agent", SEVERITY_FATAL},
        {VERB_STOP_SERVICE, "cb2", NODE("cb2", WELL),
         "{" AGENT("cb2", ",\"state\":\"unknown\"") "}", NULL, "no-agent", SEVERITY_FATAL},
        {VERB_STOP_SERVICE, "cb2", NODE("cb2", WELL), "{" AGENT("cb2", RUNS) "}", NULL,
         "data-not-served", SEVERITY_BLOCK},
        {VERB_STOP_SERVICE, "cb2", NODE("cb2", WELL), "{" AGENT("cb2", RUNS) "}", NULL,
         "auto-failover-off", SEVERITY_NOTE},
        {VERB_STOP_SERVICE, "cb2", NODE("cb2", WELL), "{" AGENT("cb2", RUNS) "}",
         "{\"enabled\":true,\"timeout\":9,\"count\":0,\"maxCount\":1}", "auto-failover-acts",
         SEVERITY_VIOLATION},
        {VERB_STOP_SERVICE, "cb2", NODE("cb2", WELL), "{" AGENT("cb2", RUNS) "}",
         "{\"enabled\":true,\"timeout\":9,\"count\":1,\"maxCount\":1}", "auto-failover-used-up",
         SEVERITY_VIOLATION},
        {VERB_STOP_SERVICE, "cb2", NODE("cb2", WELL), "{" AGENT("cb2", ENDED) "}", NULL,
         "agent-mismatch", SEVERITY_FATAL},
        {VERB_STOP_SERVICE, "cb1\",\"cb3", NODE("cb2", WELL),
         "{" AGENT("cb1", RUNS) "," AGENT("cb3", RUNS) "}", NULL, "agent-shared", SEVERITY_FATAL},
        {VERB_STOP_SERVICE, "cb1\",\"cb3", NODE("cb2", WELL),
         "{" AGENT("cb1", "") "," AGENT("cb3", "") "}", NULL, "no-quorum-left", SEVERITY_BLOCK},
        {VERB_STOP_SERVICE, "cb1\",\"cb2\",\"cb3", NODE("cb2", WELL),
         "{" AGENT("cb1", "") "," AGENT("cb2", "") "," AGENT("cb3", "") "}", NULL, "last-data-node",
         SEVERITY_FATAL},
        {VERB_START_SERVICE, "cb2", NODE("cb2", DOWN), "{" AGENT("cb2", ENDED) "}", NULL,
         "stays-failed-over", SEVERITY_NOTE},
        {VERB_START_SERVICE, "cb2", NODE("cb2", DOWN), "{" AGENT("cb2", RUNS) "}", NULL,
         "runs-unheard", SEVERITY_VIOLATION},
        {VERB_RESTART_SERVICE, "cb2", NODE("cb2", WELL), "{" AGENT("cb2", ENDED) "}", NULL,
         "agent-mismatch", SEVERITY_FATAL},
        {VERB_RESTART_SERVICE, "cb2", NODE("cb2", WELL), "{" AGENT("cb1", "") "}", NULL, "no-agent",
         SEVERITY_FATAL},
        {VERB_RESTART_SERVICE, "cb2\"],\"pause\":true,\"x\":[\"", NODE("cb2", WELL),
         "{" AGENT("cb1", "") "}", NULL, "by-hand", SEVERITY_NOTE},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = xasprintf("{\"services\":[\"%s\"]}", cases[i].args);
        struct json *args = parse(text);
        const struct intent in = {.verb = cases[i].verb, .args = args};
        struct findings f = {0};
        const struct finding *one;
        struct cluster c;

        world(&c, cases[i].two, cases[i].agents, cases[i].automatic);
        cb_check(&in, &c, &f);
        one = find(&f, cases[i].rule);
        if (one == NULL)
            printf("# case %zu has no finding %s\n", i, cases[i].rule);
        ok(one != NULL && one->severity == cases[i].severity);
        findings_release(&f);
        json_free(args);
        cluster_release(&c);
        free(text);
    }
}

/* Nothing speaks against stopping what is failed over. */
static void failed_over_may_stop(void)
{
    struct json *args = parse("{\"services\":[\"cb2\"]}");
    const struct intent in = {.verb = VERB_STOP_SERVICE, .args = args};
    struct findings f = {0};
    struct cluster c;

    world(&c, NODE("cb2", OUT), "{" AGENT("cb2", RUNS) "}", NULL);
    cb_check(&in, &c, &f);
    is_int(f.n, 0);
    findings_release(&f);
    json_free(args);
    cluster_release(&c);
}

static void plans_unfold(void)
{
    static const struct {
        enum verb verb;
        const char *args, *two, *agents, *tasks;
    } cases[] = {
        {VERB_STOP_SERVICE, "{\"services\":[\"cb2\"]}", NODE("cb2", OUT),
         "{" AGENT("cb2", RUNS) "}", "stop "},
        {VERB_STOP_SERVICE, "{\"services\":[\"cb2\"]}", NODE("cb2", DOWN),
         "{" AGENT("cb2", ENDED) "}", ""},
        {VERB_STOP_SERVICE, "{\"services\":[\"cb2\"]}", NODE("cb2", DOWN),
         "{" AGENT("cb2", RUNS) "}", "stop "},
        {VERB_START_SERVICE, "{\"services\":[\"cb2\"]}", NODE("cb2", DOWN),
         "{" AGENT("cb2", ENDED) "}", "start "},
        {VERB_START_SERVICE, "{\"services\":[\"cb2\"]}", NODE("cb2", WELL),
         "{" AGENT("cb2", RUNS) "}", ""},
        {VERB_RESTART_SERVICE, "{\"services\":[\"cb2\"]}", NODE("cb2", WELL),
         "{" AGENT("cb2", RUNS) "}", "failover stop start set-recovery rebalance "},
        {VERB_RESTART_SERVICE, "{\"services\":[\"cb2\",\"cb1\"],\"pause\":true}", NODE("cb2", WELL),
         "{" AGENT("cb2", RUNS) "}",
         "failover stop start set-recovery rebalance failover await-restart set-recovery "
         "rebalance "},
        {VERB_RESTART_SERVICE, "{\"services\":[\"cb2\"],\"pause\":true}", NODE("cb2", WELL), NULL,
         "failover await-restart set-recovery rebalance "},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json *args = parse(cases[i].args);
        const struct intent in = {.verb = cases[i].verb, .args = args};
        struct err err = ERR_INIT;
        struct plan p = {0};
        struct cluster c;
        struct buf b;

        world(&c, cases[i].two, cases[i].agents, NULL);
        is_int(cb_expand(&in, &c, &p, &err), 0);
        buf_init(&b, 0);
        for (size_t k = 0; k < p.n_tasks; k++) {
            buf_addf(&b, "%s ", p.tasks[k].type);
            is_int(p.tasks[k].wave, k + 1);
            ok(p.tasks[k].what != NULL);
        }
        is_str(b.data, cases[i].tasks);
        buf_release(&b);
        plan_release(&p);
        json_free(args);
        cluster_release(&c);
    }
}

/* Agents are matched by all the names the cluster knows a node by. */
static void nodes_have_names(void)
{
    static const char *const given[] = {"https://outside.example.net:1", "ns_1@cb1=https://x:2",
                                        "https://CB3:3"};
    const struct agent_list agents = {given, 3}, none = {given, 0};
    const char *why, *advice;
    struct cluster c;

    world(&c,
          NODE("cb2", WELL ",\"alternateAddresses\":{\"external\":{\"hostname\":"
                           "\"outside.example.net\"}}"),
          NULL, NULL);
    cb_match_agents(&c, &none);
    ok(cb_part(&c, "agents") == NULL);
    ok(cb_agent_url(&c, &c.services[0], &why, &advice) == NULL);
    has_str(why, "no agent is configured");
    cb_match_agents(&c, &agents);
    is_str(cb_agent_url(&c, cb_find(&c, "cb1"), &why, &advice), "https://x:2");
    is_str(cb_agent_url(&c, cb_find(&c, "cb2"), &why, &advice), "https://outside.example.net:1");
    is_str(cb_agent_url(&c, cb_find(&c, "cb3"), &why, &advice), "https://CB3:3");
    cluster_release(&c);
}

int main(void)
{
    TAP_RUN(TAP_TEST(agents_belong), TAP_TEST(answers_are_read), TAP_TEST(responses_are_judged),
            TAP_TEST(checks_speak), TAP_TEST(failed_over_may_stop), TAP_TEST(plans_unfold),
            TAP_TEST(nodes_have_names));
}
