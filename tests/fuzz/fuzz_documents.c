/*
 * Documents as a journal, an admin's copy of it or a plan in it may hold them, whoever has been at
 * them. The input is one JSON object:
 *
 *   docs      a document set (meta.h): a store that every pure part can live with, or an error
 *   effects   are applied to it
 *   before    an earlier summary of the store
 *   task      one task, told as commands of the store's own tools
 */
#include <string.h>

#include "engines/redis/redis.h"
#include "fuzz.h"
#include "kvsh/buf.h"
#include "kvsh/mem.h"
#include "kvsh/meta.h"

static void swallow(void *arg, const char *text)
{
    *(size_t *)arg += strlen(text);
}

static void tell(const struct json *j, const struct cluster *c)
{
    const struct json *args = json_get(j, "args");
    const char *type = json_str(j, "type"), *what = json_str(j, "what");
    const struct task t = {.num = 1,
                           .wave = 1,
                           .type = type ? type : "start",
                           .target = json_str(j, "target") ? json_str(j, "target") : "rg1-rn1",
                           .node = json_str(j, "node"),
                           .what = what ? what : "",
                           .args = json_is_object(args) ? args : NULL};
    size_t told = 0;

    redis_explain(&t, c, swallow, &told);
}

/* What the command line may ask for, with names that the documents have. */
static struct json *wish(const struct cluster *c, enum verb verb)
{
    struct json *args = json_object(), *list;
    const struct json *candidate = json_first(json_get(c->doc, "topology"));

    if (verb == VERB_DEPLOY_ZONE)
        json_set_str(args, "name", "Zone1");
    if (verb == VERB_DEPLOY_SN && c->n_zones > 0)
        json_set_str(args, "zone", c->zones[0].id);
    if (verb == VERB_DEPLOY_SN)
        json_set_str(args, "host", "127.0.0.1");
    if (verb == VERB_DEPLOY_ADMIN && c->n_nodes > 0)
        json_set_str(args, "sn", c->nodes[0].id);
    if (verb == VERB_DEPLOY_TOPOLOGY && candidate)
        json_set_str(args, "topology", json_key(candidate));
    if (c->n_services > 0) {
        list = json_array();
        json_push_str(list, c->services[c->n_services - 1].id);
        json_set(args, "services", list);
        json_set_str(args, "from", c->services[0].id);
        json_set_str(args, "to", c->services[c->n_services - 1].id);
        json_set_str(args, "mode", "hard");
    } else {
        json_set_bool(args, "allRns", true);
    }
    return args;
}

static void want(const struct cluster *c, enum verb verb)
{
    struct intent in = {.verb = verb};
    struct json *args = wish(c, verb);
    struct findings f = {0};
    struct plan p = {0};
    struct err err = ERR_INIT;
    size_t told = 0;

    in.args = args;
    redis_check(&in, c, &f);
    if (findings_worst(&f) < SEVERITY_FATAL && redis_expand(&in, c, &p, &err) < 0)
        FUZZ_CHECK(err.code != ERR_OK && *err.text);
    for (size_t i = 0; i < p.n_tasks; i++) {
        FUZZ_CHECK(p.tasks[i].what && p.tasks[i].wave > 0);
        redis_explain(&p.tasks[i], c, swallow, &told);
    }
    plan_release(&p);
    findings_release(&f);
    json_free(args);
}

static void compare(const struct json *before, const struct cluster *c)
{
    struct json *now = cluster_summary(c);
    struct buf b;

    FUZZ_CHECK(json_is_array(now));
    buf_init(&b, 1 << 20);
    FUZZ_CHECK(summary_changes(now, now, 3, &b) == 0);
    summary_changes(before, now, 3, &b);
    buf_release(&b);
    json_free(now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct json *j = json_parse((const char *)data, size, &err), *docs;
    struct cluster c = {0};
    struct findings f = {0};
    char digest[17];

    if (!json_is_object(j)) {
        json_free(j);
        return 0;
    }
    docs = json_get(j, "docs");
    if (json_is_object(docs))
        meta_apply(docs, json_get(j, "effects"), 7);
    if (meta_to_cluster(docs, &c, &err) < 0) {
        FUZZ_CHECK(err.code == ERR_INPUT && *err.text);
    } else {
        redis_settle_roles(&c);
        cluster_digest(&c, digest);
        FUZZ_CHECK(strlen(digest) == 16);
        redis_verify(&c, &f);
        compare(json_get(j, "before"), &c);
        tell(json_get(j, "task"), &c);
        for (int v = 0; v < VERB_COUNT; v++)
            if (engine_redis.verbs & VERB_BIT(v))
                want(&c, (enum verb)v);
    }
    findings_release(&f);
    cluster_release(&c);
    json_free(j);
    return 0;
}
