/*
 * What an agent may answer to GET /v1/node: anything. It becomes an error, or facts about a node
 * that every pure part of the engine can live with: verify, checks and plans of all kinds.
 */
#include <string.h>

#include "engines/redis/redis.h"
#include "fuzz.h"
#include "kvsh/mem.h"
#include "kvsh/meta.h"

static const char declared[] =
    "{\"store\":{\"store\":{\"name\":\"s\",\"engine\":\"redis\",\"partitions\":16384,\"sequence\":"
    "1,"
    "\"serial\":{\"zn\":1,\"sn\":2}}},"
    "\"zone\":{\"zn1\":{\"name\":\"Zone1\",\"rf\":2,\"type\":\"PRIMARY\"}},"
    "\"sn\":{\"sn1\":{\"zone\":\"zn1\",\"host\":\"127.0.0.1\",\"port\":5001,"
    "\"url\":\"http://"
    "127.0.0.1:5001\"},\"sn2\":{\"zone\":\"zn1\",\"host\":\"127.0.0.1\",\"port\":5002,"
    "\"url\":\"http://127.0.0.1:5002\"}},"
    "\"pool\":{\"p\":{\"members\":[\"sn1\",\"sn2\"]}},"
    "\"rn\":{\"rg1-rn1\":{\"shard\":\"rg1\",\"sn\":\"sn1\",\"storageDir\":\"/d1/a\",\"port\":6000,"
    "\"busPort\":6007,\"firstPrimary\":true},\"rg1-rn2\":{\"shard\":\"rg1\",\"sn\":\"sn2\","
    "\"storageDir\":\"/d2/a\",\"port\":6010,\"busPort\":6017,\"firstPrimary\":false}},"
    "\"shard\":{\"rg1\":{\"slots\":[[0,16383]],\"partitions\":16384}}}";

static const struct {
    enum verb verb;
    const char *args;
} wishes[] = {
    {VERB_STOP_SERVICE, "{\"services\":[\"rg1-rn1\"]}"},
    {VERB_STOP_SERVICE, "{\"allRns\":true}"},
    {VERB_START_SERVICE, "{\"allRns\":true}"},
    {VERB_RESTART_SERVICE, "{\"allRns\":true}"},
    {VERB_FAILOVER, "{\"services\":[\"rg1-rn2\"],\"mode\":\"graceful\"}"},
    {VERB_FAILOVER, "{\"services\":[\"rg1-rn2\"],\"mode\":\"hard\"}"},
    {VERB_RECOVER, "{\"services\":[\"rg1-rn1\"]}"},
    {VERB_NETWORK_RESTORE, "{\"from\":\"rg1-rn1\",\"to\":\"rg1-rn2\"}"},
    {VERB_VERIFY_DATA, "{\"allRns\":true}"},
    {VERB_CLEANUP, "{}"},
};

static struct json *parse(const char *text)
{
    struct err err = ERR_INIT;
    struct json *doc = json_parse(text, strlen(text), &err);

    FUZZ_CHECK(doc != NULL);
    return doc;
}

static void wish(const struct cluster *c, enum verb verb, const char *args)
{
    struct json *wanted = parse(args);
    struct intent in = {.verb = verb, .args = wanted};
    struct findings f = {0};
    struct plan p = {0};
    struct err err = ERR_INIT;

    if ((engine_redis.verbs & VERB_BIT(verb)) != 0) {
        redis_check(&in, c, &f);
        if (findings_worst(&f) < SEVERITY_FATAL && redis_expand(&in, c, &p, &err) < 0)
            FUZZ_CHECK(err.code != ERR_OK && *err.text);
        for (size_t i = 0; i < p.n_tasks; i++)
            FUZZ_CHECK(p.tasks[i].what != NULL && p.tasks[i].wave > 0);
    }
    plan_release(&p);
    findings_release(&f);
    json_free(wanted);
}

static void look_at(struct cluster *c)
{
    struct findings f = {0};
    const char *why = "";

    redis_settle_roles(c);
    redis_verify(c, &f);
    redis_converged(c, &why);
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++)
        wish(c, wishes[i].verb, wishes[i].args);
    findings_release(&f);
}

static char json_type[] = "application/json";

/* Two answers, one behind the other, divided by a NUL. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *second = size > 0 ? memchr(data, 0, size) : NULL;
    size_t lens[2] = {second ? (size_t)(second - data) : size, 0};
    struct json *docs = parse(declared), *answers[2] = {NULL, NULL};
    struct cluster c = {0};
    struct err err = ERR_INIT;

    if (second)
        lens[1] = size - lens[0] - 1;
    FUZZ_CHECK(meta_to_cluster(docs, &c, &err) == 0 && c.n_nodes == 2);
    for (int i = 0; i < 2; i++) {
        const struct rest r = {.method = "GET", .who = c.nodes[i].id};
        char *body = xstrndup((const char *)(i == 0 ? data : second ? second + 1 : data), lens[i]);
        struct http_response resp = {
            .status = 200, .content_type = json_type, .body = body, .len = strlen(body)};

        err_clear(&err);
        if (rest_decode(&resp, &r, &answers[i], &err) == 0)
            redis_decode_node(&c, &c.nodes[i], answers[i]);
        else
            FUZZ_CHECK(err.code != ERR_OK && *err.text);
        resp.status = 409;
        FUZZ_CHECK(rest_decode(&resp, &r, NULL, &err) < 0);
        free(body);
    }
    look_at(&c);
    cluster_release(&c);
    json_free(answers[0]);
    json_free(answers[1]);
    json_free(docs);
    return 0;
}
