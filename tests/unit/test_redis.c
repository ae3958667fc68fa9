/* The pure parts of the redis engine: decoding, layout, checks, expansion, verify. */
#include <stdlib.h>

#include "kvsh/meta.h"

#include "engines/redis/redis.h"
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

/* A store of three nodes, and what their agents say. */
struct world {
    struct json *docs;
    struct json *nodes[3];
    struct cluster c;
};

static const char *const member_ids[] = {
    "1111111111111111111111111111111111111111",
    "2222222222222222222222222222222222222222",
    "3333333333333333333333333333333333333333",
};

static void declare(struct world *w, const char *text)
{
    w->docs = parse(text);
}

static const char BARE[] =
    "{\"store\":{\"store\":{\"name\":\"s\",\"engine\":\"redis\",\"partitions\":16384,\"sequence\":"
    "0,"
    "\"serial\":{\"zn\":1,\"sn\":3}}},\"zone\":{\"zn1\":{\"name\":\"Zone1\",\"rf\":3,\"type\":"
    "\"PRIMARY\"}},"
    "\"sn\":{\"sn1\":{\"zone\":\"zn1\",\"host\":\"127.0.0.1\",\"port\":5001,\"url\":\"http://"
    "127.0.0.1:5001\"},"
    "\"sn2\":{\"zone\":\"zn1\",\"host\":\"127.0.0.1\",\"port\":5002,\"url\":\"http://"
    "127.0.0.1:5002\"},"
    "\"sn3\":{\"zone\":\"zn1\",\"host\":\"127.0.0.1\",\"port\":5003,\"url\":\"http://"
    "127.0.0.1:5003\"}},"
    "\"pool\":{\"p\":{\"members\":[\"sn1\",\"sn2\",\"sn3\"]},\"small\":{\"members\":[\"sn1\"]}}}";

static struct json *agent_document(int i, int capacity)
{
    char *text =
        xasprintf("{\"agent\":{\"version\":\"0.1.0\",\"pid\":1,\"startedMs\":5,\"instance\":\"x\","
                  "\"eventSeq\":0},"
                  "\"node\":{\"id\":\"sn%d\",\"store\":\"s\",\"zone\":\"zn1\",\"host\":\"127.0.0."
                  "1\",\"port\":%d,"
                  "\"capacity\":%d,\"haRange\":[%d,%d]},\"metadata\":null,\"storageDirs\":["
                  "{\"path\":\"/d%d/a\",\"state\":\"ok\",\"services\":[]},{\"path\":\"/d%d/"
                  "b\",\"state\":\"ok\","
                  "\"services\":[]}],\"services\":[]}",
                  i + 1, 5001 + i, capacity, 6000 + 10 * i, 6000 + 10 * i + 7, i + 1, i + 1);
    struct json *doc = parse(text);

    free(text);
    return doc;
}

static void add_service(struct world *w, int i, const char *role, int offset)
{
    struct json *members = json_array(), *service;
    char *text = xasprintf(
        "{\"id\":\"rg1-rn%d\",\"kind\":\"redis\",\"state\":\"running\",\"wanted\":\"up\","
        "\"detail\":null,"
        "\"storageDir\":\"/d%d/a\",\"dirState\":\"ok\",\"error\":null,\"redis\":{\"nodeId\":\"%s\","
        "\"expectedNodeId\":\"%s\",\"role\":\"%s\",\"linkUp\":true,\"syncInProgress\":false,"
        "\"loading\":false,\"offset\":%d,\"clusterState\":\"ok\",\"slotsAssigned\":16384,\"epoch\":"
        "%d,"
        "\"knownNodes\":3,\"aofOk\":true,\"keys\":1}}",
        i + 1, i + 1, member_ids[i], member_ids[i], role, offset, i);

    for (int k = 0; k < 3; k++) {
        char *m = xasprintf(
            "{\"id\":\"%s\",\"flags\":[],\"primaryId\":null,\"linkUp\":true,\"slots\":%s}",
            member_ids[k], k == 0 ? "[[0,16383]]" : "[]");
        json_push(members, parse(m));
        free(m);
    }
    service = parse(text);
    json_set(json_get(service, "redis"), "nodes", members);
    json_push(json_get(w->nodes[i], "services"), service);
    free(text);
}

static void observe(struct world *w)
{
    struct err err = ERR_INIT;

    is_int(meta_to_cluster(w->docs, &w->c, &err), 0);
    for (int i = 0; i < 3; i++)
        redis_decode_node(&w->c, &w->c.nodes[i], w->nodes[i]);
    redis_settle_roles(&w->c);
}

static void bare_world(struct world *w, int capacity)
{
    memset(w, 0, sizeof *w);
    declare(w, BARE);
    for (int i = 0; i < 3; i++)
        w->nodes[i] = agent_document(i, capacity);
}

/* One shard: rg1-rn1 primary on sn1, replicas on sn2 and sn3. */
static void living_world(struct world *w)
{
    bare_world(w, 1);
    for (int i = 0; i < 3; i++) {
        char *text =
            xasprintf("{\"shard\":\"rg1\",\"sn\":\"sn%d\",\"storageDir\":\"/d%d/a\",\"port\":%d,"
                      "\"busPort\":%d,\"firstPrimary\":%s}",
                      i + 1, i + 1, 6000 + 10 * i, 6007 + 10 * i, i == 0 ? "true" : "false");
        char *id = xasprintf("rg1-rn%d", i + 1);
        if (json_get(w->docs, "rn") == NULL)
            json_set(w->docs, "rn", json_object());
        json_set(json_get(w->docs, "rn"), id, parse(text));
        free(id);
        free(text);
        add_service(w, i, i == 0 ? "primary" : "replica", 100 - i);
    }
    json_set(w->docs, "shard", parse("{\"rg1\":{\"slots\":[[0,16383]],\"partitions\":16384}}"));
}

static void world_release(struct world *w)
{
    cluster_release(&w->c);
    json_free(w->docs);
    for (int i = 0; i < 3; i++)
        json_free(w->nodes[i]);
}

static struct json *service_of(struct world *w, int i)
{
    return json_at(json_get(w->nodes[i], "services"), 0);
}

static void slots_follow_the_specification(void)
{
    is_int(redis_slot("123456789"), 0x31c3 % REDIS_SLOTS); /* the check value of CRC16/XMODEM */
    is_int(redis_slot("{user1000}.following"), redis_slot("{user1000}.followers"));
    is_int(redis_slot("foo{{bar}}zap"), redis_slot("{bar"));
    is_int(redis_slot("foo{}{bar}"), redis_slot("foo{}{bar}"));
    ok(redis_slot("foo{}{bar}") != redis_slot("bar"));
    is_int(redis_slot(""), 0);
}

static void layout_fills_the_capacity(void)
{
    struct world w;
    struct json *candidate = json_object();
    struct findings f = {0};
    struct err err = ERR_INIT;
    int covered = 0, primaries[3] = {0};

    bare_world(&w, 3);
    observe(&w);
    is_int(redis_layout(&w.c, "p", 100, candidate, &f, &err), 0);
    is_int(json_len(json_get(candidate, "shards")), 3);
    is_int(json_len(json_get(candidate, "rns")), 9);
    is_int(f.n, 1);
    is_str(f.v[0].rule, "partitions");
    JSON_FOREACH (shard, json_get(candidate, "shards")) {
        covered += (int)json_int(shard, "partitions", 0);
    }
    is_int(covered, REDIS_SLOTS);
    JSON_FOREACH (rn, json_get(candidate, "rns")) {
        int node = json_str(rn, "sn")[2] - '1';
        primaries[node] += json_bool(rn, "firstPrimary", false);
        is_int(json_key(rn)[6] - '1', node); /* rgX-rnY on snY */
        ok(json_int(rn, "port", 0) >= 6000 + 10 * node);
        ok(json_int(rn, "busPort", 0) <= 6007 + 10 * node);
        ok(json_int(rn, "port", 0) < json_int(rn, "busPort", 0));
    }
    for (int i = 0; i < 3; i++)
        is_int(primaries[i], 1);
    findings_release(&f);
    json_free(candidate);
    world_release(&w);
}

static void layout_refuses_what_cannot_be(void)
{
    static const struct {
        int capacity;
        const char *pool;
        enum err_code code;
        const char *says;
    } cases[] = {
        {3, "nosuch", ERR_INPUT, "pool \"nosuch\" does not exist"},
        {3, "small", ERR_REFUSED, "keeps 3 copies of each shard, but the pool has 1 storage node"},
        {0, "p", ERR_REFUSED, "have capacity for 0 services, one shard needs 3"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world w;
        struct json *candidate = json_object();
        struct findings f = {0};
        struct err err = ERR_INIT;

        bare_world(&w, cases[i].capacity);
        observe(&w);
        is_int(redis_layout(&w.c, cases[i].pool, 16384, candidate, &f, &err), -1);
        is_int(err.code, cases[i].code);
        has_str(err.text, cases[i].says);
        is_int(json_len(json_get(candidate, "rns")), 0);
        findings_release(&f);
        json_free(candidate);
        world_release(&w);
    }
}

static void observation_is_decoded(void)
{
    struct world w;

    living_world(&w);
    observe(&w);
    is_int(cluster_service(&w.c, "rg1-rn1")->role, ROLE_MASTER);
    is_int(cluster_service(&w.c, "rg1-rn2")->role, ROLE_REPLICA);
    is_int(cluster_service(&w.c, "rg1-rn3")->lag, 2);
    ok(cluster_service(&w.c, "rg1-rn3")->in_sync);
    is_int(cluster_live_copies(&w.c, "rg1"), 3);
    is_str(cluster_master(&w.c, "rg1")->id, "rg1-rn1");
    world_release(&w);
}

static void foreign_answers_are_no_nodes(void)
{
    static const char *const answers[] = {
        "{}",
        "{\"node\":7,\"agent\":[]}",
        "{\"agent\":{},\"node\":{\"id\":\"sn1\",\"store\":\"other\"}}",
        "{\"agent\":{},\"node\":{\"id\":null,\"store\":null}}",
        "{\"agent\":{},\"node\":{\"id\":\"sn9\",\"store\":\"s\"},\"services\":{\"a\":1}}",
    };

    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct world w;

        living_world(&w);
        json_free(w.nodes[0]);
        w.nodes[0] = parse(answers[i]);
        observe(&w);
        is_int(w.c.nodes[0].status, STATUS_ERROR);
        ok(w.c.nodes[0].detail != NULL);
        is_int(cluster_service(&w.c, "rg1-rn1")->status, STATUS_UNREACHABLE);
        world_release(&w);
    }
}

static void the_newer_of_two_primaries_is_believed(void)
{
    struct world w;
    struct json *second;

    living_world(&w);
    second = json_get(service_of(&w, 1), "redis");
    json_set_str(second, "role", "primary");
    json_set_int(second, "epoch", 7);
    json_set(json_at(json_get(second, "nodes"), 1), "slots", parse("[[0,16383]]"));
    observe(&w);
    is_str(cluster_master(&w.c, "rg1")->id, "rg1-rn2");
    is_int(cluster_service(&w.c, "rg1-rn1")->role, ROLE_UNKNOWN);
    world_release(&w);
}

static struct json *services(const char *a, const char *b)
{
    struct json *args = json_object(), *list = json_array();

    json_push_str(list, a);
    if (b != NULL)
        json_push_str(list, b);
    json_set(args, "services", list);
    return args;
}

static const char *worst_rule(const struct findings *f)
{
    for (size_t i = 0; i < f->n; i++) {
        if (f->v[i].severity == findings_worst(f))
            return f->v[i].rule;
    }
    return "";
}

static void stop_is_checked(void)
{
    static const struct {
        const char *a, *b;
        bool replicas_linked;
        enum severity worst;
        const char *rule;
    } cases[] = {
        {"rg1-rn2", NULL, true, SEVERITY_NOTE, ""},
        {"rg1-rn2", "rg1-rn3", true, SEVERITY_BLOCK, "second-node"},
        {"rg1-rn1", NULL, true, SEVERITY_NOTE, ""},
        {"rg1-rn1", NULL, false, SEVERITY_BLOCK, "no-replica"},
        {"rg1-rn1", "rg1-rn2", true, SEVERITY_BLOCK, "second-node"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world w;
        struct findings f = {0};
        struct intent in = {.verb = VERB_STOP_SERVICE};
        struct json *args = services(cases[i].a, cases[i].b);

        in.args = args;
        living_world(&w);
        for (int k = 1; k < 3 && !cases[i].replicas_linked; k++)
            json_set_bool(json_get(service_of(&w, k), "redis"), "linkUp", false);
        observe(&w);
        redis_check(&in, &w.c, &f);
        is_int(findings_worst(&f), cases[i].worst);
        is_str(worst_rule(&f), cases[i].rule);
        findings_release(&f);
        json_free(args);
        world_release(&w);
    }
}

static void the_last_copy_is_not_stopped(void)
{
    struct world w;
    struct findings f = {0};
    struct json *args = services("rg1-rn1", NULL);
    const struct intent in = {.verb = VERB_STOP_SERVICE, .args = args};

    living_world(&w);
    for (int k = 1; k < 3; k++)
        json_set_str(service_of(&w, k), "state", "stopped");
    observe(&w);
    ok(redis_is_last_copy(&w.c, cluster_service(&w.c, "rg1-rn1")));
    ok(!redis_is_last_copy(&w.c, cluster_service(&w.c, "rg1-rn2")));
    redis_check(&in, &w.c, &f);
    is_int(findings_worst(&f), SEVERITY_CONFIRM);
    is_str(worst_rule(&f), "last-copy");
    findings_release(&f);
    json_free(args);
    world_release(&w);
}

static void a_primary_hands_over_before_it_stops(void)
{
    struct world w;
    struct plan p = {0};
    struct err err = ERR_INIT;
    struct json *args = services("rg1-rn1", NULL);
    const struct intent in = {.verb = VERB_STOP_SERVICE, .args = args};

    living_world(&w);
    json_set_str(service_of(&w, 1), "dirState", "missing"); /* not the one to take over */
    observe(&w);
    is_int(redis_expand(&in, &w.c, &p, &err), 0);
    is_int(p.n_tasks, 2);
    is_str(p.tasks[0].type, "handover");
    is_int(p.tasks[0].wave, 1);
    is_str(json_str(p.tasks[0].args, "to"), "rg1-rn3");
    is_str(p.tasks[1].type, "stop");
    is_int(p.tasks[1].wave, 2);
    is_str(json_str(json_get(json_at(p.tasks[1].effects, 0), "merge"), "stoppedBy"), "@plan");
    plan_release(&p);
    json_free(args);
    world_release(&w);
}

static void unknown_services_are_named(void)
{
    struct world w;
    struct plan p = {0};
    struct err err = ERR_INIT;
    struct json *args = services("rg7-rn1", NULL);
    const struct intent in = {.verb = VERB_START_SERVICE, .args = args};

    living_world(&w);
    observe(&w);
    is_int(redis_expand(&in, &w.c, &p, &err), -1);
    is_int(err.code, ERR_INPUT);
    is_str(err.text, "service \"rg7-rn1\" does not exist");
    has_str(err.advice, "rg1-rn1, rg1-rn2, rg1-rn3");
    w.c.n_services = 0;
    is_int(redis_expand(&in, &w.c, &p, &err), -1);
    has_str(err.advice, "deploy a topology first");
    w.c.store = NULL;
    is_int(redis_expand(&in, &w.c, &p, &err), -1);
    has_str(err.advice, "nothing is known of the store here: connect -host HOST -port PORT");
    plan_release(&p);
    json_free(args);
    world_release(&w);
}

static void deploying_takes_seven_waves(void)
{
    struct world w;
    struct plan p = {0};
    struct err err = ERR_INIT;
    struct findings f = {0};
    struct json *candidate = json_object(), *effects = json_array(), *args = json_object();
    const struct intent in = {.verb = VERB_DEPLOY_TOPOLOGY, .args = args};

    json_set_str(args, "topology", "t");
    bare_world(&w, 3);
    observe(&w);
    is_int(redis_layout(&w.c, "p", REDIS_SLOTS, candidate, &f, &err), 0);
    meta_effect(effects, "topology", "t", candidate);
    meta_apply(w.docs, effects, 0);
    cluster_release(&w.c);
    observe(&w);
    redis_check(&in, &w.c, &f);
    is_int(f.n, 0);
    is_int(redis_expand(&in, &w.c, &p, &err), 0);
    is_int(plan_last_wave(&p), 7);
    is_int(p.n_tasks, 9 + 9 + 3 + 9 + 6 + 1 + 1);
    /* Deployed: a second time there is nothing to do. */
    for (size_t i = 0; i < p.n_tasks; i++)
        meta_apply(w.docs, p.tasks[i].effects, 16);
    plan_release(&p);
    cluster_release(&w.c);
    observe(&w);
    is_int(w.c.n_services, 9);
    is_int(w.c.sequence, 1);
    is_int(redis_expand(&in, &w.c, &p, &err), 0);
    is_int(p.n_tasks, 0);
    plan_release(&p);
    findings_release(&f);
    json_free(effects);
    json_free(args);
    world_release(&w);
}

static void healthy_stores_have_no_violation(void)
{
    struct world w;
    struct findings f = {0};

    living_world(&w);
    observe(&w);
    redis_verify(&w.c, &f);
    is_int(findings_count(&f, SEVERITY_VIOLATION), 0);
    is_int(f.n, 1);
    is_str(f.v[0].rule, "few-shards");
    findings_release(&f);
    world_release(&w);
}

/* One thing wrong at a time: what verify says of it. */
static void verify_names_each_fault(void)
{
    static const struct {
        const char *member, *value; /* of rg1-rn2's document or, after a dot, of its live part */
        enum severity severity;
        const char *rule, *says;
    } cases[] = {
        {"state", "\"stopped\"", SEVERITY_VIOLATION, "service-down",
         "rg1-rn2 on sn2 should run and is STOPPED"},
        {"state", "\"failed\"", SEVERITY_VIOLATION, "service-down",
         "rg1-rn2 on sn2 should run and is ERROR"},
        {"dirState", "\"missing\"", SEVERITY_VIOLATION, "dir-unusable",
         "the data of rg1-rn2 in /d2/a on sn2 is missing"},
        {"redis", "null", SEVERITY_VIOLATION, "service-down", "does not answer"},
        {".linkUp", "false", SEVERITY_VIOLATION, "replica-link", "no link to its primary"},
        {".syncInProgress", "true", SEVERITY_NOTE, "copying",
         "rg1-rn2 on sn2 is copying its shard"},
        {".loading", "true", SEVERITY_NOTE, "starting", "loading"},
        {".aofOk", "false", SEVERITY_VIOLATION, "persistence", "cannot write its data to disk"},
        {".clusterState", "\"fail\"", SEVERITY_VIOLATION, "cluster-state", "cluster state is fail"},
        {".nodeId", "\"4444444444444444444444444444444444444444\"", SEVERITY_VIOLATION, "identity",
         "runs as cluster member 44444444, but was deployed as 22222222"},
        {".slotsAssigned", "16000", SEVERITY_VIOLATION, "slots", "knows owners for 16000 of 16384"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world w;
        struct findings f = {0};
        bool live = cases[i].member[0] == '.', found = false;
        struct json *doc;

        living_world(&w);
        doc = service_of(&w, 1);
        json_set(live ? json_get(doc, "redis") : doc, cases[i].member + live,
                 parse(cases[i].value));
        observe(&w);
        redis_verify(&w.c, &f);
        for (size_t k = 0; k < f.n && !found; k++)
            found = strcmp(f.v[k].rule, cases[i].rule) == 0 &&
                    f.v[k].severity == cases[i].severity &&
                    strcmp(f.v[k].subject, "rg1-rn2") == 0 && strstr(f.v[k].text, cases[i].says);
        if (!ok(found)) {
            printf("# case %s = %s\n", cases[i].member, cases[i].value);
            for (size_t k = 0; k < f.n; k++)
                printf("#   %s %s: %s\n", f.v[k].rule, f.v[k].subject, f.v[k].text);
        }
        findings_release(&f);
        world_release(&w);
    }
}

static void stopped_by_a_plan_is_a_note(void)
{
    struct world w;
    struct findings f = {0};

    living_world(&w);
    json_set_str(service_of(&w, 1), "state", "stopped");
    json_set_int(json_get(json_get(w.docs, "rn"), "rg1-rn2"), "stoppedBy", 9);
    observe(&w);
    redis_verify(&w.c, &f);
    is_int(findings_count(&f, SEVERITY_VIOLATION), 0);
    is_str(f.v[0].rule, "stopped");
    has_str(f.v[0].text, "rg1-rn2 on sn2 was stopped by plan 9 and is not running");
    findings_release(&f);
    world_release(&w);
}

static void all_must_agree_to_have_converged(void)
{
    struct world w;
    const char *why = NULL;

    living_world(&w);
    observe(&w);
    ok(redis_converged(&w.c, &why));
    world_release(&w);

    living_world(&w);
    json_set(json_at(json_get(json_get(service_of(&w, 2), "redis"), "nodes"), 0), "flags",
             parse("[\"fail\"]"));
    observe(&w);
    ok(!redis_converged(&w.c, &why));
    is_str(why, "rg1-rn3 to see rg1-rn1");
    world_release(&w);
}

int main(void)
{
    TAP_RUN(TAP_TEST(slots_follow_the_specification), TAP_TEST(layout_fills_the_capacity),
            TAP_TEST(layout_refuses_what_cannot_be), TAP_TEST(observation_is_decoded),
            TAP_TEST(foreign_answers_are_no_nodes),
            TAP_TEST(the_newer_of_two_primaries_is_believed), TAP_TEST(stop_is_checked),
            TAP_TEST(the_last_copy_is_not_stopped), TAP_TEST(a_primary_hands_over_before_it_stops),
            TAP_TEST(unknown_services_are_named), TAP_TEST(deploying_takes_seven_waves),
            TAP_TEST(healthy_stores_have_no_violation), TAP_TEST(verify_names_each_fault),
            TAP_TEST(stopped_by_a_plan_is_a_note), TAP_TEST(all_must_agree_to_have_converged));
}
