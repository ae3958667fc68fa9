#include "tests/unit/redis_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/meta.h"

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

static struct json *parsef(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static struct json *parsef(const char *fmt, ...)
{
    struct json *j;
    va_list ap;
    char *text;

    va_start(ap, fmt);
    text = xvasprintf(fmt, ap);
    va_end(ap);
    j = world_json(text);
    free(text);
    return j;
}

static void member_id(int shard, int copy, char out[41])
{
    memset(out, '0' + shard * COPIES + copy + 1, 40);
    out[40] = '\0';
}

static struct json *members(int shard)
{
    struct json *list = json_array();

    for (int s = 0; s < SHARDS; s++) {
        for (int i = 0; i < COPIES; i++) {
            char id[41];
            member_id(s, i, id);
            json_push(list,
                      parsef("{\"id\":\"%s\",\"flags\":[],\"primaryId\":null,\"linkUp\":true,"
                             "\"slots\":%s,\"open\":[],\"host\":\"127.0.0.1\",\"port\":%d}",
                             id, s == shard && i == s ? "[[0,5460]]" : "[]", 6000 + 10 * i + s));
        }
    }
    return list;
}

static struct json *service_doc(int shard, int copy)
{
    char id[41];
    struct json *doc;

    member_id(shard, copy, id);
    doc = parsef(
        "{\"id\":\"rg%d-rn%d\",\"kind\":\"redis\",\"state\":\"running\",\"wanted\":\"up\",\"pid\":"
        "7,"
        "\"detail\":null,\"storageDir\":\"/d%d/a\",\"dirState\":\"ok\",\"error\":null,\"nodeId\":"
        "\"%s\",\"hasData\":true,\"identity\":null,\"redis\":{\"nodeId\":\"%s\","
        "\"expectedNodeId\":\"%s\",\"role\":\"%s\",\"linkUp\":true,\"syncInProgress\":false,"
        "\"loading\":false,\"offset\":1000,\"clusterState\":\"ok\",\"slotsAssigned\":16384,"
        "\"epoch\":%d,\"knownNodes\":9,\"aofOk\":true,\"keys\":10,\"usedMemory\":700,"
        "\"maxMemory\":1000,\"uptimeS\":100}}",
        shard + 1, copy + 1, copy + 1, id, id, id, shard == copy ? "primary" : "replica",
        shard + 1);
    json_set(json_get(doc, "redis"), "nodes", members(shard));
    return doc;
}

void world_make(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->docs =
        world_json("{\"store\":{\"store\":{\"name\":\"s\",\"engine\":\"redis\",\"partitions\":"
                   "16384,\"sequence\":1}},\"zone\":{\"zn1\":{\"name\":\"Zone1\",\"rf\":3,"
                   "\"type\":\"PRIMARY\"}},\"sn\":{},\"shard\":{},\"rn\":{}}");
    for (int i = 0; i < COPIES; i++) {
        char *sn = xasprintf("sn%d", i + 1);
        json_set(json_get(w->docs, "sn"), sn,
                 parsef("{\"zone\":\"zn1\",\"host\":\"127.0.0.1\",\"port\":%d,\"url\":"
                        "\"http://127.0.0.1:%d\"}",
                        5001 + i, 5001 + i));
        w->nodes[i] = parsef(
            "{\"agent\":{\"version\":\"0.1.0\"},\"node\":{\"id\":\"%s\",\"store\":\"s\","
            "\"capacity\""
            ":3,\"haRange\":[6000,6009]},\"metadata\":null,\"storageDirs\":[{\"path\":\"/d%d/a\","
            "\"state\":\"ok\",\"freeBytes\":500000,\"totalBytes\":1000000,\"leftovers\":[]}],"
            "\"services\":[]}",
            sn, i + 1);
        free(sn);
        for (int s = 0; s < SHARDS; s++) {
            char *id = xasprintf("rg%d-rn%d", s + 1, i + 1);
            json_set(json_get(w->docs, "rn"), id,
                     parsef("{\"shard\":\"rg%d\",\"sn\":\"sn%d\",\"storageDir\":\"/d%d/a\","
                            "\"port\":%d,\"busPort\":%d}",
                            s + 1, i + 1, i + 1, 6000 + 10 * i + s, 6005 + 10 * i + s));
            free(id);
            json_push(json_get(w->nodes[i], "services"), service_doc(s, i));
        }
    }
    for (int s = 0; s < SHARDS; s++) {
        char *id = xasprintf("rg%d", s + 1);
        json_set(json_get(w->docs, "shard"), id,
                 world_json("{\"slots\":[[0,5460]],\"partitions\":5461}"));
        free(id);
    }
}

static void fall_silent(struct cluster *c, struct node *n)
{
    n->status = STATUS_UNREACHABLE;
    n->detail = "connection refused";
    for (size_t i = 0; i < c->n_services; i++) {
        if (strcmp(c->services[i].node, n->id) == 0)
            c->services[i].status = STATUS_UNREACHABLE;
    }
}

void world_observe(struct world *w)
{
    struct err err = ERR_INIT;

    if (meta_to_cluster(w->docs, &w->c, &err) != 0) {
        printf("Bail out! documents: %s\n", err.text);
        exit(1);
    }
    for (int i = 0; i < COPIES; i++) {
        if (w->is_silent[i])
            fall_silent(&w->c, &w->c.nodes[i]);
        else
            redis_decode_node(&w->c, &w->c.nodes[i], w->nodes[i]);
    }
    redis_settle_roles(&w->c);
}

void world_release(struct world *w)
{
    cluster_release(&w->c);
    json_free(w->docs);
    for (int i = 0; i < COPIES; i++)
        json_free(w->nodes[i]);
}

/* The service named "rg2-rn3": its document, and where it stands; NULL for another word. */
static struct json *find_service(struct world *w, const char *name, int *member)
{
    if (strlen(name) != 7 || strncmp(name, "rg", 2) != 0)
        return NULL;
    *member = (name[2] - '1') * COPIES + name[6] - '1';
    return json_at(json_get(w->nodes[name[6] - '1'], "services"), (size_t)(name[2] - '1'));
}

static void change_one(struct world *w, char *text)
{
    char *save = NULL, *who = strtok_r(text, " ", &save), *what, *value;
    struct json *s;
    int member;

    if (who == NULL)
        return;
    what = strtok_r(NULL, " ", &save);
    value = strtok_r(NULL, "", &save);
    if ((s = find_service(w, who, &member)) != NULL) {
        bool live = what[0] == '.';
        json_set(live ? json_get(s, "redis") : s, what + live, world_json(value));
    } else if (strcmp(who, "silent") == 0) {
        w->is_silent[what[2] - '1'] = true;
    } else if (strncmp(who, "sn", 2) == 0) {
        json_set(json_at(json_get(w->nodes[who[2] - '1'], "storageDirs"), 0), what,
                 world_json(value));
    } else if (strcmp(who, "policy") == 0) {
        if (json_get(w->docs, "policy") == NULL)
            json_set(w->docs, "policy", world_json("{\"policy\":{\"params\":{}}}"));
        json_set_str(json_get(json_get(json_get(w->docs, "policy"), "policy"), "params"), what,
                     value);
    } else if (strcmp(who, "zone") == 0) {
        json_set_str(json_get(json_get(w->docs, "sn"), what), "zone", value);
        json_set(json_get(w->docs, "zone"), value,
                 parsef("{\"name\":\"Zone%c\",\"rf\":1,\"type\":\"PRIMARY\"}", value[2]));
    } else if (strcmp(who, "rn") == 0) {
        json_set_str(json_get(json_get(w->docs, "rn"), what), "sn", value);
    } else if (strcmp(who, "open") == 0 && (s = find_service(w, what, &member)) != NULL) {
        json_set(json_at(json_get(json_get(s, "redis"), "nodes"), (size_t)member), "open",
                 parsef("[{\"slot\":%s,\"to\":\"%s\"}]", value,
                        "9999999999999999999999999999999999999999"));
    } else {
        printf("Bail out! no such change: %s\n", who);
        exit(1);
    }
}

void world_change(struct world *w, const char *changes)
{
    char *text = xstrdup(changes), *save = NULL;

    for (char *one = strtok_r(text, ";", &save); one; one = strtok_r(NULL, ";", &save))
        change_one(w, one);
    free(text);
}
