/* The safety rules of the redis engine as a truth table: each with a case just inside and one just
 * outside. */
#include <stdlib.h>

#include "kvsh/meta.h"

#include "engines/redis/redis.h"
#include "tests/unit/tap.h"

enum { SHARDS = 3, COPIES = 3 };

/* Three shards, three storage nodes, a copy of each shard on each; rgN-rnN is the primary. */
struct world {
    struct json *docs;
    struct json *nodes[COPIES];
    struct cluster c;
};

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

static struct json *parsef(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static struct json *parsef(const char *fmt, ...)
{
    struct json *j;
    va_list ap;
    char *text;

    va_start(ap, fmt);
    text = xvasprintf(fmt, ap);
    va_end(ap);
    j = parse(text);
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

static void world_make(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->docs = parse("{\"store\":{\"store\":{\"name\":\"s\",\"engine\":\"redis\",\"partitions\":"
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
                 parse("{\"slots\":[[0,5460]],\"partitions\":5461}"));
        free(id);
    }
}

static void observe(struct world *w)
{
    struct err err = ERR_INIT;

    is_int(meta_to_cluster(w->docs, &w->c, &err), 0);
    for (int i = 0; i < COPIES; i++)
        redis_decode_node(&w->c, &w->c.nodes[i], w->nodes[i]);
    redis_settle_roles(&w->c);
}

static void world_release(struct world *w)
{
    cluster_release(&w->c);
    json_free(w->docs);
    for (int i = 0; i < COPIES; i++)
        json_free(w->nodes[i]);
}

/*
 * One change of the world, as text: "rg1-rn2 state stopped" sets a member of the service's
 * document, "rg1-rn2 .linkUp false" of its live part, "sn1 dir freeBytes 1" of the node's
 * directory, "policy settleSeconds 5", "zone sn3 zn2", "open rg1-rn1 7", and "" nothing. Several
 * are separated by ';'.
 */
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
        json_set(live ? json_get(s, "redis") : s, what + live, parse(value));
    } else if (strncmp(who, "sn", 2) == 0) {
        json_set(json_at(json_get(w->nodes[who[2] - '1'], "storageDirs"), 0), what, parse(value));
    } else if (strcmp(who, "policy") == 0) {
        if (json_get(w->docs, "policy") == NULL)
            json_set(w->docs, "policy", parse("{\"policy\":{\"params\":{}}}"));
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
        ok(false);
        printf("# no such change: %s\n", who);
    }
}

static void change(struct world *w, const char *changes)
{
    char *text = xstrdup(changes), *save = NULL;

    for (char *one = strtok_r(text, ";", &save); one; one = strtok_r(NULL, ";", &save))
        change_one(w, one);
    free(text);
}

static const struct finding *worst(const struct findings *f)
{
    const struct finding *one = NULL;

    for (size_t i = 0; i < f->n; i++) {
        if (one == NULL || f->v[i].severity > one->severity)
            one = &f->v[i];
    }
    return one;
}

struct rule_case {
    const char *what;
    enum verb verb;
    const char *args, *changes;
    enum severity severity; /* SEVERITY_NOTE: it may be done */
    const char *rule, *says;
};

static void run_case(const struct rule_case *rc)
{
    struct world w;
    struct findings f = {0};
    struct json *args = parse(rc->args);
    const struct intent in = {.verb = rc->verb, .args = args};
    const struct finding *one;
    bool good = true;

    world_make(&w);
    change(&w, rc->changes);
    observe(&w);
    redis_check(&in, &w.c, &f);
    one = worst(&f);
    good = is_int(one ? one->severity : SEVERITY_NOTE, rc->severity) && good;
    if (rc->rule != NULL) {
        good = ok(one != NULL) && is_str(one->rule, rc->rule) && good;
        if (one != NULL && rc->says != NULL)
            good = has_str(one->text, rc->says) && good;
        if (one != NULL && one->severity >= SEVERITY_BLOCK)
            good = ok(one->remedy != NULL) && good;
    }
    if (!good) {
        printf("# case: %s [%s]\n", rc->what, rc->changes);
        for (size_t i = 0; i < f.n; i++)
            printf("#   %d %s %s: %s\n", (int)f.v[i].severity, f.v[i].rule, f.v[i].subject,
                   f.v[i].text);
    }
    findings_release(&f);
    json_free(args);
    world_release(&w);
}

#define STOP(list) VERB_STOP_SERVICE, "{\"services\":[" list "]}"
#define RESTART(list) VERB_RESTART_SERVICE, "{\"services\":[" list "]}"
#define FAILOVER(who, mode) VERB_FAILOVER, "{\"services\":[\"" who "\"],\"mode\":\"" mode "\"}"
#define RESTORE(from, to) VERB_NETWORK_RESTORE, "{\"from\":\"" from "\",\"to\":\"" to "\"}"
#define DOWN(who) who " state \"stopped\";" who " pid 0;" who " redis null"

static void going_down(void)
{
    static const struct rule_case cases[] = {
        {"a replica of a sound store", STOP("\"rg1-rn2\""), "", SEVERITY_NOTE, NULL, NULL},
        {"a primary with replicas in sync", STOP("\"rg1-rn1\""), "", SEVERITY_NOTE, NULL, NULL},
        {"its own lost directory", STOP("\"rg1-rn1\""), "rg1-rn1 dirState \"missing\"",
         SEVERITY_NOTE, NULL, NULL},

        {"the last copy but one", STOP("\"rg1-rn3\""),
         DOWN("rg1-rn2") ";policy headroomPercent 80;"
                         "zone sn2 zn2;zone sn3 zn2",
         SEVERITY_NOTE, "one-copy", "one live copy of 3"},
        {"the last copy", STOP("\"rg1-rn1\""), DOWN("rg1-rn2") ";" DOWN("rg1-rn3"),
         SEVERITY_CONFIRM, "last-copy", "0 of 3 left"},
        {"a copy that is being filled is none", STOP("\"rg1-rn1\""),
         DOWN("rg1-rn2") ";rg1-rn3 .syncInProgress true", SEVERITY_CONFIRM, "last-copy", NULL},

        {"one replica linked is enough", STOP("\"rg1-rn1\""), "rg1-rn2 .linkUp false",
         SEVERITY_NOTE, NULL, NULL},
        {"no replica linked", STOP("\"rg1-rn1\""), "rg1-rn2 .linkUp false;rg1-rn3 .linkUp false",
         SEVERITY_BLOCK, "no-replica", "of the 2 other live copies none is in sync"},

        {"two services of one node", STOP("\"rg1-rn2\",\"rg3-rn2\""), "", SEVERITY_NOTE, NULL,
         NULL},
        {"services of two nodes", STOP("\"rg1-rn2\",\"rg3-rn1\""), "", SEVERITY_BLOCK,
         "second-node", "two storage nodes at once"},
        {"services of two nodes in one zone of two", STOP("\"rg1-rn2\",\"rg2-rn3\""),
         "zone sn2 zn2;zone sn3 zn2", SEVERITY_NOTE, NULL, NULL},
        {"another service of the node that is out", STOP("\"rg1-rn2\""), DOWN("rg3-rn2"),
         SEVERITY_NOTE, NULL, NULL},
        {"a service of another shard on another node is out", STOP("\"rg1-rn2\""), DOWN("rg3-rn1"),
         SEVERITY_BLOCK, "second-node", "rg3-rn1 on sn1 is out already (STOPPED)"},
        {"the one that is out is stopped with it", STOP("\"rg1-rn2\",\"rg3-rn1\""), DOWN("rg3-rn1"),
         SEVERITY_NOTE, NULL, NULL},

        {"settled just now", STOP("\"rg1-rn2\""), "policy settleSeconds 5;rg2-rn1 .uptimeS 5",
         SEVERITY_NOTE, NULL, NULL},
        {"not settled yet", STOP("\"rg1-rn2\""), "policy settleSeconds 5;rg2-rn1 .uptimeS 4",
         SEVERITY_BLOCK, "settle", "rg2-rn1 on sn1 started 4 s ago; the store is given 5 s"},
        {"its own start does not count", STOP("\"rg1-rn2\""),
         "policy settleSeconds 5;rg1-rn2 .uptimeS 1", SEVERITY_NOTE, NULL, NULL},

        {"no slot is moving", STOP("\"rg1-rn1\""), "open rg2-rn2 7", SEVERITY_NOTE, NULL, NULL},
        {"a slot is moving", STOP("\"rg1-rn1\""), "open rg1-rn1 7", SEVERITY_BLOCK, "slot-moving",
         "hash slot 7 on rg1-rn1 is half moved"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run_case(&cases[i]);
}

static void headroom(void)
{
    static const struct rule_case cases[] = {
        {"80 % of the memory", STOP("\"rg1-rn1\""), "rg1-rn2 .usedMemory 800;rg1-rn3 .linkUp false",
         SEVERITY_NOTE, NULL, NULL},
        {"81 % of the memory", STOP("\"rg1-rn1\""), "rg1-rn2 .usedMemory 810;rg1-rn3 .linkUp false",
         SEVERITY_BLOCK, "headroom",
         "81 % of its memory in use (810 of 1000 bytes), more than 80 %"},
        {"81 % where 90 are allowed", STOP("\"rg1-rn1\""),
         "policy headroomPercent 90;rg1-rn2 .usedMemory 810;rg1-rn3 .linkUp false", SEVERITY_NOTE,
         NULL, NULL},
        {"no limit, no percentage", STOP("\"rg1-rn1\""),
         "rg1-rn2 .usedMemory 99999;rg1-rn2 .maxMemory 0;rg1-rn3 .linkUp false", SEVERITY_NOTE,
         NULL, NULL},
        {"a full replica that does not take over", STOP("\"rg1-rn1\""), "rg1-rn3 .usedMemory 999",
         SEVERITY_NOTE, NULL, NULL},
        {"80 % of the disk", STOP("\"rg1-rn1\""),
         "sn2 freeBytes 200000;rg1-rn2 .usedMemory 700;rg1-rn2 .maxMemory 0;rg1-rn3 .linkUp false",
         SEVERITY_NOTE, NULL, NULL},
        {"81 % of the disk, and little room for copies", STOP("\"rg1-rn1\""),
         "sn2 freeBytes 190000;rg1-rn2 .usedMemory 20000;rg1-rn2 .maxMemory 0;rg1-rn3 .linkUp "
         "false",
         SEVERITY_BLOCK, "headroom", "81 % of its disk in use, more than 80 %"},
        {"81 % of a large disk", STOP("\"rg1-rn1\""),
         "sn2 freeBytes 190000;rg1-rn2 .usedMemory 700;rg1-rn2 .maxMemory 0;rg1-rn3 .linkUp false",
         SEVERITY_NOTE, NULL, NULL},
        {"the heir's directory is gone", STOP("\"rg1-rn1\""),
         "rg1-rn2 dirState \"missing\";rg1-rn3 .linkUp false", SEVERITY_BLOCK, "headroom",
         "its storage directory /d2/a is missing"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run_case(&cases[i]);
}

/* Two of three primaries without a replica in sync: the third alone is no majority. */
static void majority(void)
{
    static const char unlinked[] = "rg1-rn2 .linkUp false;rg1-rn3 .linkUp false;"
                                   "rg2-rn1 .linkUp false;rg2-rn3 .linkUp false;"
                                   "zone sn1 zn2;zone sn2 zn2";
    static const struct {
        const char *args;
        bool lost;
    } cases[] = {
        {"{\"services\":[\"rg1-rn1\"]}", false},
        {"{\"services\":[\"rg1-rn1\",\"rg2-rn2\"]}", true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world w;
        struct findings f = {0};
        struct json *args = parse(cases[i].args);
        const struct intent in = {.verb = VERB_STOP_SERVICE, .args = args};
        bool found = false;

        world_make(&w);
        change(&w, unlinked);
        observe(&w);
        redis_check(&in, &w.c, &f);
        for (size_t k = 0; k < f.n; k++)
            found = found || (strcmp(f.v[k].rule, "majority") == 0 &&
                              strstr(f.v[k].text, "1 of 3 primaries would be left"));
        is_int(found, cases[i].lost);
        findings_release(&f);
        json_free(args);
        world_release(&w);
    }
}

static void operations(void)
{
    static const struct rule_case cases[] = {
        {"rolling over all nodes", RESTART("\"rg1-rn1\",\"rg1-rn2\",\"rg1-rn3\""), "",
         SEVERITY_NOTE, NULL, NULL},
        {"one that is down is started first", RESTART("\"rg1-rn1\",\"rg1-rn2\""), DOWN("rg1-rn2"),
         SEVERITY_NOTE, NULL, NULL},
        {"another is out", RESTART("\"rg1-rn1\",\"rg1-rn2\""), DOWN("rg2-rn3"), SEVERITY_BLOCK,
         "second-node", "rg2-rn3 on sn3"},
        {"its disk is gone", RESTART("\"rg1-rn2\""), "rg1-rn2 dirState \"missing\"", SEVERITY_BLOCK,
         "dir-unusable", "would stop and not start again"},

        {"graceful", FAILOVER("rg1-rn2", "graceful"), "", SEVERITY_NOTE, NULL, NULL},
        {"graceful, not linked", FAILOVER("rg1-rn2", "graceful"), "rg1-rn2 .linkUp false",
         SEVERITY_FATAL, "no-replica", "not in sync with its primary rg1-rn1"},
        {"graceful, no primary", FAILOVER("rg1-rn2", "graceful"), DOWN("rg1-rn1"), SEVERITY_FATAL,
         "no-primary", NULL},
        {"hard, no primary", FAILOVER("rg1-rn2", "hard"), DOWN("rg1-rn1"), SEVERITY_NOTE,
         "unreplicated", NULL},
        {"hard, the primary answers", FAILOVER("rg1-rn2", "hard"), "", SEVERITY_BLOCK,
         "primary-answers", "rg1-rn1 on sn1 answers as primary of rg1 at 1000"},
        {"hard, as far as the other", FAILOVER("rg1-rn2", "hard"),
         DOWN("rg1-rn1") ";rg1-rn3 .offset 1000", SEVERITY_NOTE, "unreplicated", NULL},
        {"hard, the other is ahead", FAILOVER("rg1-rn2", "hard"),
         DOWN("rg1-rn1") ";rg1-rn3 .offset 1001", SEVERITY_BLOCK, "behind", "1 bytes of changes"},
        {"hard, half copied", FAILOVER("rg1-rn2", "hard"),
         DOWN("rg1-rn1") ";rg1-rn2 .syncInProgress true", SEVERITY_CONFIRM, "last-copy", NULL},
        {"a service that is down", FAILOVER("rg1-rn2", "hard"), DOWN("rg1-rn2"), SEVERITY_FATAL,
         "no-replica", NULL},
        {"the primary itself", FAILOVER("rg1-rn1", "hard"), "", SEVERITY_NOTE, NULL, NULL},

        {"from the primary", RESTORE("rg1-rn1", "rg1-rn2"), "", SEVERITY_NOTE, NULL, NULL},
        {"from a replica", RESTORE("rg1-rn3", "rg1-rn2"), "", SEVERITY_FATAL, "source",
         "in redis a replica copies from its primary only"},
        {"to the primary", RESTORE("rg1-rn2", "rg1-rn1"), "", SEVERITY_FATAL, "is-primary", NULL},
        {"between shards", RESTORE("rg1-rn1", "rg2-rn1"), "", SEVERITY_FATAL, "same-shard", NULL},
        {"onto itself", RESTORE("rg1-rn1", "rg1-rn1"), "", SEVERITY_FATAL, "same-shard", NULL},
        {"from a lost disk", RESTORE("rg1-rn1", "rg1-rn2"), "rg1-rn1 dirState \"missing\"",
         SEVERITY_BLOCK, "source", NULL},
        {"the primary does not answer", RESTORE("rg1-rn1", "rg1-rn2"), DOWN("rg1-rn1"),
         SEVERITY_FATAL, "source", NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run_case(&cases[i]);
}

/* Copies of a shard on one node, or all in one of two zones. */
static void copies_are_apart(void)
{
    static const struct {
        const char *changes, *rule;
        bool found;
    } cases[] = {
        {"", "same-node", false},
        {"rn rg1-rn2 sn1", "same-node", true},
        {"zone sn2 zn2", "same-zone", false},
        {"zone sn2 zn2;rn rg1-rn2 sn1", "same-zone", true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world w;
        struct findings f = {0};
        bool found = false;

        world_make(&w);
        change(&w, cases[i].changes);
        observe(&w);
        redis_verify(&w.c, &f);
        for (size_t k = 0; k < f.n; k++)
            found = found ||
                    (strcmp(f.v[k].rule, cases[i].rule) == 0 && strcmp(f.v[k].subject, "rg1") == 0);
        if (!is_int(found, cases[i].found))
            printf("# case %s\n", cases[i].changes);
        findings_release(&f);
        world_release(&w);
    }
}

int main(void)
{
    TAP_RUN(TAP_TEST(copies_are_apart), TAP_TEST(going_down), TAP_TEST(headroom),
            TAP_TEST(majority), TAP_TEST(operations));
}
