/*
 * Whatever a cluster manager answers, decoding, verifying, checking and explaining end without
 * harm. The input is one JSON object: the documents of an observation under the engine's names,
 * "events" and "report" beside them; else it is the body of a refusal.
 */
#include <stdlib.h>
#include <string.h>

#include "engines/couchbase/couchbase.h"
#include "fuzz.h"

static void count(void *arg, const struct node_event *ev)
{
    FUZZ_CHECK(ev->node != NULL && ev->text != NULL && ev->seq > 0);
    ++*(int *)arg;
}

static void swallow(void *arg, const char *text)
{
    *(size_t *)arg += strlen(text);
}

static void plan_all(const struct cluster *c, const char *args)
{
    struct err err = ERR_INIT;
    struct json *j = json_parse(args, strlen(args), &err);

    if (c->n_services > 0) {
        struct json *list = json_array();
        json_push_str(list, c->services[0].id);
        json_set(j, "services", list);
        json_set_str(j, "from", c->services[0].id);
    }
    for (int v = 0; v < VERB_COUNT; v++) {
        const struct intent in = {.verb = (enum verb)v, .args = j};
        struct findings f = {0};
        struct plan p = {0};
        size_t told = 0;
        cb_check(&in, c, &f);
        if (cb_expand(&in, c, &p, &err) == 0) {
            for (size_t i = 0; i < p.n_tasks; i++)
                cb_explain(&p.tasks[i], c, swallow, &told);
        } else {
            FUZZ_CHECK(*err.text);
        }
        plan_release(&p);
        findings_release(&f);
    }
    json_free(j);
}

static void observe(struct json *raw)
{
    struct cluster c = {.store = "s", .engine = "couchbase", .observed_ms = 1, .raw = raw};
    struct findings f = {0};
    char digest[17];

    cb_decode(&c);
    FUZZ_CHECK(c.n_nodes == c.n_services);
    for (size_t i = 0; i < c.n_services; i++)
        FUZZ_CHECK(c.services[i].id != NULL && cluster_node(&c, c.services[i].node) != NULL);
    cb_verify(&c, &f);
    cluster_digest(&c, digest);
    plan_all(
        &c,
        "{\"mode\":\"hard\",\"rebalance\":true,\"pause\":true,\"to\":\"new:8091\",\"host\":\"new\","
        "\"group\":\"Group 1\"}");
    plan_all(&c, "{\"mode\":\"graceful\",\"type\":\"full\"}");
    findings_release(&f);
    cluster_release(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct json *j = json_parse((const char *)data, size, &err);
    struct cb_memo m = {.id = "x"};
    char text[120], *memo;
    int64_t cursor = 0;
    const char *why;
    int events = 0;

    cb_sentence((const char *)data, size, text, sizeof text);
    FUZZ_CHECK(strlen(text) < sizeof text);
    cb_outcome_of_events(json_get(j, "events"), "x", &why);
    cb_outcome_of_report(json_get(j, "report"), "x", &why);
    cb_memo_mark(&m, json_get(j, "events"));
    cb_moves_of(json_get(j, "tasks"), m.moves);
    FUZZ_CHECK(strlen(m.moves) == CB_MOVES - 1);
    m.blind = false;
    cb_begun_since(json_get(j, "events"), &m, "rebalance");
    cb_moves_differ(json_get(cb_rebalance_task(json_get(j, "tasks")), "nodesInfo"), &m, "failover");
    cb_decode_events(json_get(j, "events"), &cursor, count, &events);
    cb_decode_events(json_get(j, "logs"), &cursor, count, &events);
    memo = cb_memo_write(&m);
    cb_memo_read(&m, memo);
    free(memo);
    if (json_is_object(j))
        observe(j);
    else
        json_free(j);
    return 0;
}
