#include "tests/unit/couchbase_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct json *world_json(const char *text)
{
    struct err err = ERR_INIT;
    struct json *j = json_parse(text, strlen(text), &err);

    if (j == NULL) {
        printf("Bail out! test document: %s\n", err.text);
        exit(1);
    }
    return j;
}

static struct json *node(int i, const char *more)
{
    char *text =
        xasprintf("{\"otpNode\":\"ns_1@cb%d\",\"hostname\":\"cb%d:8091\","
                  "\"configuredHostname\":\"cb%d:8091\",\"status\":\"healthy\","
                  "\"clusterMembership\":\"active\",\"recoveryType\":\"none\","
                  "\"services\":[\"kv\"],\"version\":\"8.0.1-1-enterprise\","
                  "\"clusterCompatibility\":524288,\"serverGroup\":\"Group %d\",\"uptime\":"
                  "\"100\",\"ports\":{\"direct\":11210},\"systemStats\":{"
                  "\"cpu_utilization_rate\":30.5},\"interestingStats\":{\"mem_used\":"
                  "314572800,\"ops\":100}}",
                  i, i, i, i % 2 + 1);
    struct json *j = world_json(text), *changes = world_json(more);

    JSON_FOREACH (member, changes)
        json_set(j, json_key(member), json_copy(member));
    json_free(changes);
    free(text);
    return j;
}

void world_make(struct world *w, int n, const char *const *more)
{
    struct json *pool =
        world_json("{\"clusterName\":\"shop\",\"balanced\":true,\"memoryQuota\":1000,"
                   "\"alerts\":[],\"nodes\":[]}");

    memset(w, 0, sizeof *w);
    for (int i = 0; i < n; i++)
        json_push(json_get(pool, "nodes"), node(i + 1, more && more[i] ? more[i] : "{}"));
    w->c.raw = json_object();
    w->c.store = "prod";
    w->c.engine = "couchbase";
    w->c.observed_ms = 1000000000;
    json_set(w->c.raw, "pools",
             world_json("{\"uuid\":\"abc\",\"isEnterprise\":true,\"pools\":[{}]}"));
    json_set(w->c.raw, "default", pool);
    json_set(
        w->c.raw, "tasks",
        world_json("[{\"type\":\"rebalance\",\"subtype\":\"rebalance\",\"status\":\"notRunning\","
                   "\"statusId\":\"s1\"}]"));
    json_set(
        w->c.raw, "buckets",
        world_json("[{\"name\":\"b\",\"bucketType\":\"membase\",\"replicaNumber\":1,\"quota\":{"
                   "\"ram\":1000},\"basicStats\":{\"memUsed\":100}}]"));
    json_set(w->c.raw, "autoFailover",
             world_json("{\"enabled\":true,\"timeout\":120,\"count\":0,\"maxCount\":1}"));
}

void world_observe(struct world *w)
{
    cb_decode(&w->c);
}

const struct finding *world_finding(const struct findings *f, const char *rule)
{
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(f->v[i].rule, rule) == 0)
            return &f->v[i];
    }
    return NULL;
}
