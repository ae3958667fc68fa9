/* The safety rules of the redis engine as a truth table: each with a case just inside and one just
 * outside. */
#include <stdlib.h>

#include "engines/redis/redis.h"
#include "tests/unit/redis_world.h"
#include "tests/unit/tap.h"

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
    struct json *args = world_json(rc->args);
    const struct intent in = {.verb = rc->verb, .args = args};
    const struct finding *one;
    bool good = true;

    world_make(&w);
    world_change(&w, rc->changes);
    world_observe(&w);
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
#define START(who) VERB_START_SERVICE, "{\"services\":[\"" who "\"]}"
#define FAILOVER(who, mode) VERB_FAILOVER, "{\"services\":[\"" who "\"],\"mode\":\"" mode "\"}"
#define RESTORE(from, to) VERB_NETWORK_RESTORE, "{\"from\":\"" from "\",\"to\":\"" to "\"}"
#define ZONES(one, other)                                                               \
    VERB_FAILOVER, "{\"zones\":[{\"zone\":\"" one "\",\"type\":\"offline-secondary\"}," \
                   "{\"zone\":\"" other "\",\"type\":\"primary\"}]}"
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
        {"all copies at once", STOP("\"rg1-rn1\",\"rg1-rn2\",\"rg1-rn3\""), "", SEVERITY_CONFIRM,
         "last-copy", "without rg1-rn1 and the others named shard rg1"},
        {"the whole store, as it is said", VERB_STOP_SERVICE, "{\"allRns\":true}", "",
         SEVERITY_VIOLATION, "store-down", "all 9 replication nodes of s are down then"},
        {"the whole store, one agent silent", VERB_STOP_SERVICE, "{\"allRns\":true}",
         DOWN("rg1-rn2"), SEVERITY_VIOLATION, "store-down", NULL},
        {"the rest of the store", STOP("\"rg1-rn1\",\"rg2-rn1\",\"rg3-rn1\""), "", SEVERITY_NOTE,
         NULL, NULL},
        {"a copy that was never filled is none", STOP("\"rg1-rn2\""),
         DOWN("rg1-rn1") ";rg1-rn3 .offset 0;rg1-rn3 .linkUp false", SEVERITY_CONFIRM, "last-copy",
         NULL},
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

        {"its agent answers, another of its zone does not", STOP("\"rg1-rn2\""),
         "silent sn3;zone sn2 zn2;zone sn3 zn2", SEVERITY_NOTE, "one-copy", NULL},
        {"its agent does not answer", STOP("\"rg1-rn2\""), "silent sn2", SEVERITY_FATAL,
         "node-unreachable", "nothing can be done with rg1-rn2: connection refused"},

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
        {"81 % of the disk, and room for ten copies", STOP("\"rg1-rn1\""),
         "sn2 freeBytes 190000;rg1-rn2 .usedMemory 19000;rg1-rn2 .maxMemory 0;rg1-rn3 .linkUp "
         "false",
         SEVERITY_NOTE, NULL, NULL},
        {"81 % of the disk, and room for not quite ten copies", STOP("\"rg1-rn1\""),
         "sn2 freeBytes 190000;rg1-rn2 .usedMemory 19001;rg1-rn2 .maxMemory 0;rg1-rn3 .linkUp "
         "false",
         SEVERITY_BLOCK, "headroom", "81 % of its disk in use, more than 80 %"},
        {"81 % of a large disk", STOP("\"rg1-rn1\""),
         "sn2 freeBytes 190000;rg1-rn2 .usedMemory 700;rg1-rn2 .maxMemory 0;rg1-rn3 .linkUp false",
         SEVERITY_NOTE, NULL, NULL},
        {"the heir's directory is gone", STOP("\"rg1-rn1\""),
         "sn2 state \"missing\";rg1-rn2 dirState \"missing\";rg1-rn3 .linkUp false", SEVERITY_BLOCK,
         "headroom", "its storage directory /d2/a is missing"},
        {"the heir's data is gone", STOP("\"rg1-rn1\""),
         "rg1-rn2 dirState \"missing\";rg1-rn3 .linkUp false", SEVERITY_BLOCK, "headroom",
         "rg1-rn2 on sn2 would take over, but the data of rg1-rn2 in /d2/a is missing"},
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
        struct json *args = world_json(cases[i].args);
        const struct intent in = {.verb = VERB_STOP_SERVICE, .args = args};
        bool found = false;

        world_make(&w);
        world_change(&w, unlinked);
        world_observe(&w);
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
        {"its disk is gone", RESTART("\"rg1-rn2\""),
         "sn2 state \"missing\";rg1-rn2 dirState \"missing\"", SEVERITY_BLOCK, "dir-unusable",
         "would stop and not start again: its storage directory /d2/a is missing"},
        {"its data is gone, its disk is not", RESTART("\"rg1-rn2\""),
         "rg1-rn2 dirState \"missing\"", SEVERITY_BLOCK, "dir-unusable",
         "needs more than a restart: the data of rg1-rn2 in /d2/a is missing"},

        {"graceful", FAILOVER("rg1-rn2", "graceful"), "", SEVERITY_NOTE, NULL, NULL},
        {"graceful, not linked", FAILOVER("rg1-rn2", "graceful"), "rg1-rn2 .linkUp false",
         SEVERITY_FATAL, "no-replica", "not in sync with its primary rg1-rn1"},
        {"graceful, no primary", FAILOVER("rg1-rn2", "graceful"), DOWN("rg1-rn1"), SEVERITY_FATAL,
         "no-primary", NULL},
        {"hard, no primary", FAILOVER("rg1-rn2", "hard"), DOWN("rg1-rn1"), SEVERITY_NOTE,
         "unreplicated", NULL},
        {"hard, the primary answers", FAILOVER("rg1-rn2", "hard"), "", SEVERITY_BLOCK,
         "primary-answers", "rg1-rn1 on sn1 answers as primary of rg1 at 1000"},
        {"hard, the primary is linked though its agent is silent", FAILOVER("rg1-rn2", "hard"),
         DOWN("rg1-rn1") ";rg1-rn1 nodeId null;rg1-rn2 .primaryId "
                         "\"1111111111111111111111111111111111111111\"",
         SEVERITY_BLOCK, "primary-answers", "still linked to its primary at 127.0.0.1:6000"},
        {"hard, the agent is silent and the link is down", FAILOVER("rg1-rn2", "hard"),
         DOWN("rg1-rn1") ";rg1-rn1 nodeId null;rg1-rn2 .linkUp false;rg1-rn2 .primaryId "
                         "\"1111111111111111111111111111111111111111\"",
         SEVERITY_NOTE, "unreplicated", NULL},
        {"hard, as far as the other", FAILOVER("rg1-rn2", "hard"),
         DOWN("rg1-rn1") ";rg1-rn3 .offset 1000", SEVERITY_NOTE, "unreplicated", NULL},
        {"hard, the other is ahead", FAILOVER("rg1-rn2", "hard"),
         DOWN("rg1-rn1") ";rg1-rn3 .offset 1001", SEVERITY_BLOCK, "behind", "1 bytes of changes"},
        {"hard, half copied", FAILOVER("rg1-rn2", "hard"),
         DOWN("rg1-rn1") ";rg1-rn2 .syncInProgress true", SEVERITY_CONFIRM, "last-copy", NULL},
        {"a service that is down", FAILOVER("rg1-rn2", "hard"), DOWN("rg1-rn2"), SEVERITY_FATAL,
         "no-replica", NULL},
        {"graceful, the primary has forgotten it", FAILOVER("rg1-rn2", "graceful"),
         "rg1-rn2 .nodeId \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"", SEVERITY_FATAL,
         "no-replica", "the primary rg1-rn1 does not know rg1-rn2"},
        {"start, with its data", START("rg1-rn1"),
         DOWN("rg1-rn1") ";rg1-rn1 identity {\"state\":\"ok\",\"primary\":true,\"slots\":5}",
         SEVERITY_NOTE, NULL, NULL},
        {"start, a primary without its data", START("rg1-rn1"),
         DOWN("rg1-rn1") ";rg1-rn1 hasData false;rg1-rn1 identity "
                         "{\"state\":\"ok\",\"primary\":true,\"slots\":5}",
         SEVERITY_VIOLATION, "start", "it was the primary and its data is gone"},
        {"hard, never filled", FAILOVER("rg1-rn2", "hard"),
         DOWN("rg1-rn1") ";rg1-rn2 .linkUp false;rg1-rn2 .offset 0", SEVERITY_CONFIRM, "last-copy",
         "rg1-rn2 has no whole copy of rg1"},
        {"hard, being filled", FAILOVER("rg1-rn2", "hard"),
         DOWN("rg1-rn1") ";rg1-rn2 .linkUp false;rg1-rn2 .syncInProgress true", SEVERITY_CONFIRM,
         "last-copy", NULL},
        {"hard, before anything was written", FAILOVER("rg1-rn2", "hard"),
         DOWN("rg1-rn1") ";" DOWN("rg1-rn3") ";rg1-rn2 .linkUp false;rg1-rn2 .linkDownS 3;"
                                             "rg1-rn2 .offset 0",
         SEVERITY_NOTE, "unreplicated", NULL},
        {"the primary itself", FAILOVER("rg1-rn1", "hard"), "", SEVERITY_NOTE, NULL, NULL},
        {"one of each shard", FAILOVER("rg1-rn2\",\"rg2-rn1", "graceful"), "", SEVERITY_NOTE, NULL,
         NULL},
        {"two of one shard", FAILOVER("rg1-rn2\",\"rg1-rn3", "graceful"), "", SEVERITY_FATAL,
         "one-primary", "rg1-rn2 and rg1-rn3 cannot both be primary of rg1"},

        {"from the primary", RESTORE("rg1-rn1", "rg1-rn2"), "", SEVERITY_NOTE, NULL, NULL},
        {"from a replica", RESTORE("rg1-rn3", "rg1-rn2"), "", SEVERITY_FATAL, "source",
         "in redis a replica copies from its primary only"},
        {"to the primary", RESTORE("rg1-rn2", "rg1-rn1"), "", SEVERITY_FATAL, "is-primary", NULL},
        {"between shards", RESTORE("rg1-rn1", "rg2-rn1"), "", SEVERITY_FATAL, "same-shard", NULL},
        {"onto itself", RESTORE("rg1-rn1", "rg1-rn1"), "", SEVERITY_FATAL, "same-shard",
         "-from and -to are the same service, rg1-rn1"},
        {"from a lost disk", RESTORE("rg1-rn1", "rg1-rn2"), "rg1-rn1 dirState \"missing\"",
         SEVERITY_BLOCK, "source", NULL},
        {"to a lost disk", RESTORE("rg1-rn1", "rg1-rn2"),
         "sn2 state \"missing\";rg1-rn2 dirState \"missing\"", SEVERITY_FATAL, "dir-unusable",
         "rg1-rn2 is not filled: its storage directory /d2/a is missing"},
        {"to lost data", RESTORE("rg1-rn1", "rg1-rn2"), "rg1-rn2 dirState \"missing\"",
         SEVERITY_FATAL, "dir-unusable",
         "rg1-rn2 is not filled: the data of rg1-rn2 in /d2/a is missing"},
        {"the primary does not answer", RESTORE("rg1-rn1", "rg1-rn2"), DOWN("rg1-rn1"),
         SEVERITY_FATAL, "source", NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run_case(&cases[i]);
}

/* The zone form of a failover: sn3, where the primary of rg3 is, is a zone of its own. */
static void zones(void)
{
#define LOST "zone sn3 zn2;silent sn3;"
    static const struct rule_case cases[] = {
        {"a zone that is away", ZONES("zn2", "zn1"),
         LOST "rg3-rn1 .linkUp false;rg3-rn2 .linkUp false", SEVERITY_NOTE, NULL, NULL},
        {"a zone that answers", ZONES("zn2", "zn1"), "zone sn3 zn2", SEVERITY_FATAL, "zone-alive",
         "rg1-rn3 on sn3 answers, so its zone is not offline"},
        {"only its agent is away", ZONES("zn2", "zn1"),
         LOST "rg3-rn1 .primaryId \"9999999999999999999999999999999999999999\"", SEVERITY_BLOCK,
         "zone-alive", "rg3-rn1 is still linked to its primary"},
        {"one copy outside", ZONES("zn2", "zn1"), LOST "rg3-rn1 .linkUp false;" DOWN("rg3-rn2"),
         SEVERITY_NOTE, NULL, NULL},
        {"no copy outside", ZONES("zn2", "zn1"), LOST DOWN("rg3-rn1") ";" DOWN("rg3-rn2"),
         SEVERITY_BLOCK, "last-copy", "no copy of rg3 is live outside the offline zones"},
        {"the same zone twice", ZONES("zn1", "zn1"), "", SEVERITY_FATAL, "zone-twice", NULL},
        {"nothing that would take over", VERB_FAILOVER,
         "{\"zones\":[{\"zone\":\"zn2\",\"type\":\"offline-secondary\"}]}",
         LOST "rg3-rn1 .linkUp false;rg3-rn2 .linkUp false", SEVERITY_FATAL, "zone-types",
         "1 named as offline-secondary and 0 as primary"},
    };
#undef LOST

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run_case(&cases[i]);
}

static void policies_are_numbers(void)
{
    static const struct {
        const char *changes;
        int percent;
        bool found;
    } cases[] = {
        {"", 80, false},
        {"policy headroomPercent 100", 100, false},
        {"policy headroomPercent 101", 80, true},
        {"policy headroomPercent 9x", 80, true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world w;
        struct findings f = {0};

        world_make(&w);
        world_change(&w, cases[i].changes);
        world_observe(&w);
        is_int(redis_headroom_percent(&w.c), cases[i].percent);
        redis_verify_policy(&w.c, &f);
        is_int(f.n, cases[i].found);
        findings_release(&f);
        world_release(&w);
    }
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
        world_change(&w, cases[i].changes);
        world_observe(&w);
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
    TAP_RUN(TAP_TEST(copies_are_apart), TAP_TEST(policies_are_numbers), TAP_TEST(going_down),
            TAP_TEST(headroom), TAP_TEST(majority), TAP_TEST(operations), TAP_TEST(zones));
}
