/* plan recover as a truth table: evidence, and the tasks that follow from it; plan restart-service,
 * cleanup, explanations. */
#include <stdlib.h>

#include "kvsh/buf.h"

#include "engines/redis/redis.h"
#include "tests/unit/redis_world.h"
#include "tests/unit/tap.h"

/* "stop rg1-rn1, start rg1-rn1 | handover rg1-rn1": tasks by wave. */
static char *tasks_text(const struct plan *p)
{
    struct buf b;
    char *text;

    buf_init(&b, 0);
    for (int wave = 1; wave <= plan_last_wave(p); wave++) {
        bool first = true;
        for (size_t i = 0; i < p->n_tasks; i++) {
            const struct task *t = &p->tasks[i];
            if (t->wave != wave)
                continue;
            buf_addf(&b, "%s%s %s", first ? (wave > 1 ? " | " : "") : ", ", t->type, t->target);
            first = false;
        }
    }
    text = buf_take(&b);
    buf_release(&b);
    return text;
}

struct expansion {
    const char *what;
    enum verb verb;
    const char *args, *changes;
    enum severity severity; /* of the check */
    const char *tasks;      /* NULL: refused */
    const char *says;       /* in a finding */
};

static bool finding_says(const struct findings *f, const char *says)
{
    for (size_t i = 0; i < f->n; i++) {
        if (strstr(f->v[i].text, says) != NULL)
            return true;
    }
    return false;
}

static void count_line(void *arg, const char *text)
{
    size_t *lines = arg;

    (*lines)++;
    ok(strchr(text, '\n') == NULL);
    ok(strstr(text, "(null)") == NULL);
}

/* Every task can be told. */
static void explain_all(const struct plan *p, const struct cluster *c)
{
    for (size_t i = 0; i < p->n_tasks; i++) {
        size_t lines = 0;
        redis_explain(&p->tasks[i], c, count_line, &lines);
        if (!ok(lines > 0))
            printf("# no explanation of %s\n", p->tasks[i].type);
    }
}

static void run_expansion(const struct expansion *x)
{
    struct world w;
    struct findings f = {0};
    struct plan p = {0};
    struct err err = ERR_INIT;
    struct json *args = world_json(x->args);
    const struct intent in = {.verb = x->verb, .args = args};
    char *text = NULL;
    bool good;

    world_make(&w);
    world_change(&w, x->changes);
    world_observe(&w);
    redis_check(&in, &w.c, &f);
    good = is_int(findings_worst(&f), x->severity);
    if (x->says != NULL)
        good = ok(finding_says(&f, x->says)) && good;
    if (x->tasks != NULL) {
        good = is_int(redis_expand(&in, &w.c, &p, &err), 0) && good;
        text = tasks_text(&p);
        good = is_str(text, x->tasks) && good;
        explain_all(&p, &w.c);
    }
    if (!good) {
        printf("# case: %s [%s]\n", x->what, x->changes);
        for (size_t i = 0; i < f.n; i++)
            printf("#   %s %s: %s\n", f.v[i].rule, f.v[i].subject, f.v[i].text);
    }
    free(text);
    plan_release(&p);
    findings_release(&f);
    json_free(args);
    world_release(&w);
}

#define RECOVER(who) VERB_RECOVER, "{\"services\":[" who "]}"
#define DOWN(who) who " state \"stopped\";" who " pid 0;" who " redis null"
#define WAS(who, state, primary, slots) \
    who " identity {\"state\":\"" state "\",\"primary\":" primary ",\"slots\":" slots "}"
#define REPLICA(who) WAS(who, "ok", "false", "0")
#define PRIMARY(who) WAS(who, "ok", "true", "5461")
#define REJOIN(who)                                                                       \
    "wipe " who " | forget " who " | start " who " | meet " who " | replicate " who " | " \
    "await " who

/* It has its own idea of who it is, which is no change of identity, and nobody lists it. */
#define FORGOTTEN(who)                                               \
    who " .nodeId \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\";" who \
        " .expectedNodeId \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""

static void recovery(void)
{
    static const struct expansion cases[] = {
        {"it serves", RECOVER("\"rg1-rn2\""), "", SEVERITY_NOTE, "", "it serves"},
        {"it copies", RECOVER("\"rg1-rn2\""), "rg1-rn2 .syncInProgress true", SEVERITY_NOTE,
         "await rg1-rn2", "on its way"},
        {"a replica with its data", RECOVER("\"rg1-rn2\""), DOWN("rg1-rn2") ";" REPLICA("rg1-rn2"),
         SEVERITY_NOTE, "start rg1-rn2", "starts with its data"},
        {"a replica without data", RECOVER("\"rg1-rn2\""),
         DOWN("rg1-rn2") ";rg1-rn2 hasData false;" REPLICA("rg1-rn2"), SEVERITY_NOTE,
         "start rg1-rn2", "starts empty"},
        {"damaged data", RECOVER("\"rg1-rn2\""),
         DOWN("rg1-rn2") ";rg1-rn2 detail \"Bad file format reading the append only file "
                         "x\";" REPLICA("rg1-rn2"),
         SEVERITY_NOTE, "stop rg1-rn2 | wipe rg1-rn2 | start rg1-rn2", "wiped and filled"},
        {"identity lost", RECOVER("\"rg1-rn2\""),
         DOWN("rg1-rn2") ";" WAS("rg1-rn2", "missing", "false", "0"), SEVERITY_NOTE,
         "stop rg1-rn2 | " REJOIN("rg1-rn2"), "joins again as a new member"},
        {"identity of another", RECOVER("\"rg1-rn2\""),
         DOWN("rg1-rn2") ";" WAS("rg1-rn2", "other", "false", "0"), SEVERITY_NOTE,
         "stop rg1-rn2 | " REJOIN("rg1-rn2"), NULL},
        {"a member of its own", RECOVER("\"rg1-rn2\""), "rg1-rn2 .knownNodes 1", SEVERITY_NOTE,
         "stop rg1-rn2 | " REJOIN("rg1-rn2"), "counts for nothing"},
        {"forgotten by all others", RECOVER("\"rg1-rn2\""), FORGOTTEN("rg1-rn2"), SEVERITY_NOTE,
         "meet rg1-rn1, meet rg1-rn3, meet rg2-rn1, meet rg2-rn2, meet rg2-rn3, meet rg3-rn1, meet "
         "rg3-rn2, meet rg3-rn3 | await rg1-rn2",
         "8 other services have forgotten it"},
        {"unknown to one that knows nobody", RECOVER("\"rg1-rn2\""), "rg2-rn1 .nodes []",
         SEVERITY_NOTE, "", "it serves"},
        {"no link though the primary answers", RECOVER("\"rg1-rn2\""), "rg1-rn2 .linkUp false",
         SEVERITY_NOTE, "stop rg1-rn2 | start rg1-rn2", "no link"},
        {"no link for 19 s", RECOVER("\"rg1-rn2\""), "rg1-rn2 .linkUp false;rg1-rn2 .linkDownS 19",
         SEVERITY_NOTE, "await rg1-rn2", "its link broke 19 s ago"},
        {"no link for 20 s", RECOVER("\"rg1-rn2\""), "rg1-rn2 .linkUp false;rg1-rn2 .linkDownS 20",
         SEVERITY_NOTE, "stop rg1-rn2 | start rg1-rn2", "no link"},
        {"frozen", RECOVER("\"rg1-rn2\""), "rg1-rn2 redis null", SEVERITY_NOTE,
         "stop rg1-rn2 | start rg1-rn2", "does not answer"},
        {"a frozen primary", RECOVER("\"rg1-rn1\""), "rg1-rn1 redis null", SEVERITY_NOTE,
         "takeover rg1-rn2 | stop rg1-rn1 | start rg1-rn1", "a replica takes over"},
        {"on deleted files", RECOVER("\"rg1-rn2\""), "rg1-rn2 dirState \"replaced\"", SEVERITY_NOTE,
         "stop rg1-rn2 | start rg1-rn2", "runs on deleted files"},
        {"a primary on deleted files", RECOVER("\"rg1-rn1\""), "rg1-rn1 dirState \"replaced\"",
         SEVERITY_NOTE, "handover rg1-rn1 | stop rg1-rn1 | start rg1-rn1", "takes over"},
        {"the disk is gone", RECOVER("\"rg1-rn2\""),
         DOWN("rg1-rn2") ";sn2 state \"missing\";rg1-rn2 dirState \"missing\"", SEVERITY_FATAL,
         NULL, "its storage directory /d2/a on sn2 is missing"},

        {"the primary with its data", RECOVER("\"rg1-rn1\""),
         DOWN("rg1-rn1") ";" PRIMARY("rg1-rn1"), SEVERITY_NOTE, "start rg1-rn1",
         "is the primary of the shard and has its data"},
        {"the primary without data, a replica lives", RECOVER("\"rg1-rn1\""),
         DOWN("rg1-rn1") ";rg1-rn1 hasData false;" PRIMARY("rg1-rn1"), SEVERITY_NOTE,
         "takeover rg1-rn2 | start rg1-rn1", "a replica takes over"},
        {"a replica without its primary", RECOVER("\"rg1-rn2\""),
         DOWN("rg1-rn1") ";" PRIMARY("rg1-rn1") ";" DOWN("rg1-rn2") ";" REPLICA("rg1-rn2"),
         SEVERITY_FATAL, NULL, "no primary of rg1 answers"},
        {"both", RECOVER("\"rg1-rn1\",\"rg1-rn2\""),
         DOWN("rg1-rn1") ";" PRIMARY("rg1-rn1") ";" DOWN("rg1-rn2") ";" REPLICA("rg1-rn2"),
         SEVERITY_NOTE, "start rg1-rn1 | start rg1-rn2", NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run_expansion(&cases[i]);
}

#define ALONE DOWN("rg1-rn1") ";" DOWN("rg1-rn3") ";" REPLICA("rg1-rn3") ";"

/* Nothing takes the last good copy away. */
static void the_only_good_copy(void)
{
    static const struct expansion cases[] = {
        {"identity lost", RECOVER("\"rg1-rn2\""),
         ALONE DOWN("rg1-rn2") ";" WAS("rg1-rn2", "missing", "false", "0"), SEVERITY_FATAL, NULL,
         "may be the only good copy"},
        {"data damaged", RECOVER("\"rg1-rn2\""),
         ALONE DOWN("rg1-rn2") ";rg1-rn2 detail \"Invalid AOF manifest file format\";" PRIMARY(
             "rg1-rn2"),
         SEVERITY_FATAL, NULL, "may be the only good copy"},
        {"primary without data", RECOVER("\"rg1-rn2\""),
         ALONE DOWN("rg1-rn2") ";rg1-rn2 hasData false;" PRIMARY("rg1-rn2"), SEVERITY_FATAL, NULL,
         "started empty it would wipe them all"},
        {"only its memory", RECOVER("\"rg1-rn1\""),
         DOWN("rg1-rn2") ";" DOWN("rg1-rn3") ";rg1-rn1 dirState \"missing\"", SEVERITY_FATAL, NULL,
         "only its memory holds the shard"},
        {"a whole node, one of it hopeless", VERB_RECOVER, "{\"sn\":\"sn2\"}",
         ALONE DOWN("rg1-rn2") ";rg1-rn2 hasData false;" PRIMARY("rg1-rn2") ";" DOWN(
             "rg2-rn2") ";" PRIMARY("rg2-rn2"),
         SEVERITY_BLOCK, "start rg2-rn2", "rg1-rn2 is not recovered"},
        {"two of one shard cannot take over", VERB_FAILOVER,
         "{\"services\":[\"rg1-rn2\",\"rg1-rn3\"],\"mode\":\"graceful\"}", "", SEVERITY_FATAL, NULL,
         "cannot both be primary of rg1"},
        {"one of each shard can", VERB_FAILOVER,
         "{\"services\":[\"rg1-rn2\",\"rg2-rn1\"],\"mode\":\"graceful\"}", "", SEVERITY_NOTE, NULL,
         NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run_expansion(&cases[i]);
}

/* What verify advises is what helps. */
static void remedies(void)
{
    static const struct {
        const char *changes, *rule, *subject, *says;
    } cases[] = {
        {DOWN("rg1-rn2") ";" REPLICA("rg1-rn2"), "service-down", "rg1-rn2",
         "'plan start-service -service rg1-rn2 -wait'"},
        {DOWN("rg1-rn1") ";" PRIMARY("rg1-rn1"), "service-down", "rg1-rn1",
         "'plan start-service -service rg1-rn1 -wait'"},
        {DOWN("rg1-rn1") ";rg1-rn1 hasData false;" PRIMARY("rg1-rn1"), "service-down", "rg1-rn1",
         "'plan recover -service rg1-rn1 -wait'"},
        {DOWN("rg1-rn1") ";rg1-rn1 hasData false;" PRIMARY("rg1-rn1"), "no-primary", "rg1",
         "'plan failover -service rg1-rn2 -mode hard -wait'"},
        {DOWN("rg1-rn1") ";rg1-rn1 hasData false;" PRIMARY("rg1-rn1"), "replica-link", "rg1-rn2",
         NULL},
        {DOWN("rg1-rn2") ";rg1-rn2 hasData false;" REPLICA("rg1-rn2"), "service-down", "rg1-rn2",
         "'plan start-service -service rg1-rn2 -wait'"},
        {ALONE DOWN("rg1-rn2") ";rg1-rn2 hasData false;" PRIMARY("rg1-rn2"), "service-down",
         "rg1-rn2", "recover another service of the shard first, or bring the data back"},
        {ALONE DOWN("rg1-rn2") ";" PRIMARY("rg1-rn2"), "no-primary", "rg1",
         "'plan start-service -service rg1-rn2 -wait'"},
        {ALONE DOWN("rg1-rn2") ";" PRIMARY("rg1-rn2"), "service-down", "rg1-rn3",
         "'plan recover -service rg1-rn2' first"},
        {"rg1-rn2 dirState \"replaced\"", "dir-unusable", "rg1-rn2",
         "'plan recover -service rg1-rn2 -wait'"},
        {"rg1-rn2 dirState \"missing\"", "dir-unusable", "rg1-rn2",
         "'plan recover -service rg1-rn2 -wait'"},
        {"sn2 state \"missing\";rg1-rn2 dirState \"missing\"", "dir-unusable", "rg1-rn2",
         "'plan stop-service -service rg1-rn2 -wait', replace the disk or directory, 'plan "
         "start-service -service rg1-rn2 -wait'"},
        {"sn2 state \"full\";rg1-rn2 dirState \"full\"", "dir-unusable", "rg1-rn2",
         "make room in /d2/a on sn2"},
        {"sn2 state \"readonly\";rg1-rn2 dirState \"readonly\"", "dir-unusable", "rg1-rn2",
         "make /d2/a on sn2 writable again"},
        {DOWN("rg1-rn2") ";" DOWN("rg1-rn3") ";rg1-rn1 dirState \"missing\"", "dir-unusable",
         "rg1-rn1", "do not stop it: only its memory holds rg1"},
        {DOWN("rg1-rn1") ";" PRIMARY("rg1-rn1") ";sn1 state \"missing\";rg1-rn1 dirState "
                                                "\"missing\"",
         "dir-unusable", "rg1-rn1",
         "mount or create /d1/a on sn1, then 'plan recover -service rg1-rn1 -wait'"},
        {DOWN("rg1-rn2") ";" REPLICA("rg1-rn2") ";sn2 state \"missing\";rg1-rn2 dirState "
                                                "\"missing\"",
         "dir-unusable", "rg1-rn2",
         "mount or create /d2/a on sn2, then 'plan start-service -service rg1-rn2 -wait'"},
        {DOWN("rg1-rn2") ";" REPLICA("rg1-rn2") ";sn2 state \"full\";rg1-rn2 dirState \"full\"",
         "dir-unusable", "rg1-rn2",
         "make room in /d2/a on sn2, then 'plan start-service -service rg1-rn2 -wait'"},
        {FORGOTTEN("rg1-rn2"), "not-a-member", "rg1-rn2", "'plan recover -service rg1-rn2 -wait'"},
        {"open rg1-rn1 7", "open-slot", "rg1-rn1", "'plan cleanup -wait'"},
        {"rg1-rn1 .slotsAssigned 16383", "slots", "rg1-rn1", "'plan cleanup -wait'"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct finding *found = NULL;
        struct findings f = {0};
        struct world w;

        world_make(&w);
        world_change(&w, cases[i].changes);
        world_observe(&w);
        redis_verify(&w.c, &f);
        for (size_t k = 0; k < f.n && found == NULL; k++) {
            if (strcmp(f.v[k].rule, cases[i].rule) == 0 &&
                strcmp(f.v[k].subject, cases[i].subject) == 0)
                found = &f.v[k];
        }
        if (cases[i].says == NULL ? !ok(found == NULL)
                                  : !ok(found != NULL && found->remedy != NULL &&
                                        strstr(found->remedy, cases[i].says) != NULL)) {
            printf("# case: %s\n", cases[i].changes);
            for (size_t k = 0; k < f.n; k++)
                printf("#   %s %s: %s; %s\n", f.v[k].rule, f.v[k].subject, f.v[k].text,
                       f.v[k].remedy ? f.v[k].remedy : "-");
        }
        findings_release(&f);
        world_release(&w);
    }
}

static void other_plans(void)
{
    static const struct expansion cases[] = {
        {"rolling", VERB_RESTART_SERVICE, "{\"allRns\":true}", "", SEVERITY_NOTE,
         "stop rg1-rn2, stop rg3-rn2 | start rg1-rn2, start rg3-rn2 | "
         "stop rg1-rn3, stop rg2-rn3 | start rg1-rn3, start rg2-rn3 | "
         "stop rg2-rn1, stop rg3-rn1 | start rg2-rn1, start rg3-rn1 | "
         "handover rg1-rn1 | stop rg1-rn1 | start rg1-rn1 | handover rg1-rn2 | "
         "handover rg2-rn2 | stop rg2-rn2 | start rg2-rn2 | handover rg2-rn1 | "
         "handover rg3-rn3 | stop rg3-rn3 | start rg3-rn3 | handover rg3-rn1",
         NULL},
        {"a zone of two nodes goes together, a copy of each shard at a time", VERB_RESTART_SERVICE,
         "{\"services\":[\"rg1-rn2\",\"rg1-rn3\",\"rg2-rn3\"]}", "zone sn2 zn2;zone sn3 zn2",
         SEVERITY_NOTE,
         "stop rg1-rn2, stop rg2-rn3 | start rg1-rn2, start rg2-rn3 | stop rg1-rn3 | start rg1-rn3",
         NULL},
        {"restore", VERB_NETWORK_RESTORE, "{\"from\":\"rg1-rn1\",\"to\":\"rg1-rn2\"}", "",
         SEVERITY_NOTE, "stop rg1-rn2 | wipe rg1-rn2 | start rg1-rn2", NULL},
        {"hard, two voters left", VERB_FAILOVER, "{\"services\":[\"rg1-rn2\"],\"mode\":\"hard\"}",
         DOWN("rg1-rn1"), SEVERITY_NOTE, "takeover rg1-rn2", NULL},
        {"a zone is lost", VERB_FAILOVER,
         "{\"zones\":[{\"zone\":\"zn2\",\"type\":\"offline-secondary\"},{\"zone\":\"zn1\","
         "\"type\":\"primary\"}]}",
         "zone sn1 zn2;" DOWN("rg1-rn1") ";" DOWN("rg2-rn1") ";" DOWN("rg3-rn1"), SEVERITY_NOTE,
         "takeover rg1-rn2 | declare-zone zn2", NULL},
        {"a zone is lost, and what is left of a shard was never in step", VERB_FAILOVER,
         "{\"zones\":[{\"zone\":\"zn2\",\"type\":\"offline-secondary\"},{\"zone\":\"zn1\","
         "\"type\":\"primary\"}]}",
         "zone sn1 zn2;" DOWN("rg1-rn1") ";" DOWN("rg2-rn1") ";" DOWN("rg3-rn1") ";" DOWN(
             "rg1-rn3") ";rg1-rn2 .linkUp false;rg1-rn2 .offset 0;rg1-rn2 .keys 0",
         SEVERITY_CONFIRM, NULL, "rg1-rn2 has no whole copy of rg1"},
        {"a zone is lost before anything was written", VERB_FAILOVER,
         "{\"zones\":[{\"zone\":\"zn2\",\"type\":\"offline-secondary\"},{\"zone\":\"zn1\","
         "\"type\":\"primary\"}]}",
         "zone sn1 zn2;" DOWN("rg1-rn1") ";" DOWN("rg2-rn1") ";" DOWN("rg3-rn1") ";" DOWN(
             "rg1-rn3") ";rg1-rn2 .linkUp false;rg1-rn2 .linkDownS 3;rg1-rn2 .offset 0",
         SEVERITY_NOTE, "takeover rg1-rn2 | declare-zone zn2", NULL},
        {"a zone that answers", VERB_FAILOVER,
         "{\"zones\":[{\"zone\":\"zn2\",\"type\":\"offline-secondary\"},{\"zone\":\"zn1\","
         "\"type\":\"primary\"}]}",
         "zone sn1 zn2", SEVERITY_FATAL, NULL, "rg1-rn1 on sn1 answers"},
        {"nothing left behind", VERB_CLEANUP, "{}", "", SEVERITY_NOTE, "tidy-slots s", NULL},
        {"a directory left behind", VERB_CLEANUP, "{}", "sn1 leftovers [\"rg9-rn1\"]",
         SEVERITY_NOTE, "remove-data rg9-rn1 | tidy-slots s",
         "/d1/a/rg9-rn1 on sn1 belongs to no service there"},
        {"which may be the last copy", VERB_CLEANUP, "{}",
         "sn2 leftovers [\"rg1-rn1\"];" DOWN("rg1-rn1") ";" DOWN("rg1-rn2") ";" DOWN("rg1-rn3"),
         SEVERITY_CONFIRM, NULL, "may be the only good copy of rg1"},
        {"data", VERB_VERIFY_DATA, "{\"services\":[\"rg1-rn1\"]}", "", SEVERITY_NOTE,
         "check-data rg1-rn1 | check-copies rg1", NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run_expansion(&cases[i]);
}

/* A plan that is taken up again meets a store that is not the one it was made for. */
static void leftovers_are_looked_at_again(void)
{
    static const struct {
        const char *changes, *id;
        bool may_go;
    } cases[] = {
        {"", "rg1-rn1", true},
        {"", "rg9-rn1", true},
        {DOWN("rg1-rn1") ";" DOWN("rg1-rn2"), "rg1-rn1", true},
        {DOWN("rg1-rn1") ";" DOWN("rg1-rn2") ";" DOWN("rg1-rn3"), "rg1-rn1", false},
        {DOWN("rg1-rn1") ";" DOWN("rg1-rn2") ";rg1-rn3 .syncInProgress true", "rg1-rn1", false},
        {DOWN("rg1-rn1") ";" DOWN("rg1-rn2") ";rg1-rn3 .offset 0;rg1-rn3 .linkUp false", "rg1-rn1",
         false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = ERR_INIT;
        struct world w;

        world_make(&w);
        world_change(&w, cases[i].changes);
        world_observe(&w);
        is_int(redis_check_leftover(&w.c, cases[i].id, &err), cases[i].may_go ? 0 : -1);
        world_release(&w);
    }
}

static void an_heir_is_looked_at_again(void)
{
    static const struct {
        const char *changes;
        bool may_take_over;
    } cases[] = {
        {DOWN("rg1-rn1"), true},
        {DOWN("rg1-rn1") ";rg1-rn2 .linkUp false", true},
        {DOWN("rg1-rn1") ";rg1-rn2 .syncInProgress true", false},
        {DOWN("rg1-rn1") ";rg1-rn2 .offset 0;rg1-rn2 .linkUp false", false},
        {DOWN("rg1-rn1") ";rg1-rn2 .offset 0;rg1-rn2 .linkUp false;rg1-rn2 .linkDownS 0", true},
        {DOWN("rg1-rn1") ";" DOWN("rg1-rn2"), false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = ERR_INIT;
        struct world w;

        world_make(&w);
        world_change(&w, cases[i].changes);
        world_observe(&w);
        is_int(redis_check_whole(cluster_service(&w.c, "rg1-rn2"), &err),
               cases[i].may_take_over ? 0 : -1);
        world_release(&w);
    }
}

/* Two of three primaries out: no majority that could vote. */
static void a_vote_needs_a_majority(void)
{
    static const struct {
        const char *changes, *mode;
    } cases[] = {
        {DOWN("rg1-rn1"), "force"},
        {DOWN("rg1-rn1") ";" DOWN("rg2-rn2"), "takeover"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world w;
        struct plan p = {0};
        struct err err = ERR_INIT;
        struct json *args = world_json("{\"services\":[\"rg1-rn2\"],\"mode\":\"hard\"}");
        const struct intent in = {.verb = VERB_FAILOVER, .args = args};

        world_make(&w);
        world_change(&w, cases[i].changes);
        world_observe(&w);
        is_int(redis_expand(&in, &w.c, &p, &err), 0);
        is_str(json_str(p.tasks[0].args, "mode"), cases[i].mode);
        plan_release(&p);
        json_free(args);
        world_release(&w);
    }
}

/* An agent may control programs that are none of this store's business. */
static void units_are_left_alone(void)
{
    struct world w;
    struct plan p = {0};
    struct findings f = {0}, verified = {0};
    struct err err = ERR_INIT;
    struct json *args = world_json("{}");
    const struct intent in = {.verb = VERB_CLEANUP, .args = args};

    world_make(&w);
    json_push(json_get(w.nodes[0], "services"),
              world_json("{\"id\":\"couchbase\",\"kind\":\"unit\",\"state\":\"running\","
                         "\"storageDir\":null,\"redis\":null}"));
    world_observe(&w);
    redis_check(&in, &w.c, &f);
    is_int(f.n, 0);
    is_int(redis_expand(&in, &w.c, &p, &err), 0);
    for (size_t i = 0; i < p.n_tasks; i++)
        ok(strcmp(p.tasks[i].type, "undefine") != 0);
    redis_verify(&w.c, &verified);
    ok(!finding_says(&verified, "couchbase"));
    plan_release(&p);
    findings_release(&f);
    findings_release(&verified);
    json_free(args);
    world_release(&w);
}

static void a_member_that_is_gone(void)
{
    static const char args_text[] = "{}";
    struct world w;
    struct plan p = {0};
    struct findings f = {0};
    struct err err = ERR_INIT;
    struct json *args = world_json(args_text), *members;
    const struct intent in = {.verb = VERB_CLEANUP, .args = args};

    world_make(&w);
    members = json_get(json_get(json_at(json_get(w.nodes[0], "services"), 0), "redis"), "nodes");
    json_push(members, world_json("{\"id\":\"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\",\"flags\":["
                                  "\"slave\",\"noaddr\"],\"host\":\"\",\"port\":0,\"slots\":[]}"));
    world_observe(&w);
    redis_check(&in, &w.c, &f);
    is_int(f.n, 0);
    is_int(redis_expand(&in, &w.c, &p, &err), 0);
    is_int(p.n_tasks, 2);
    is_str(p.tasks[0].type, "forget");
    plan_release(&p);
    world_release(&w);

    /* While one service cannot be told from it, it stays. */
    world_make(&w);
    world_change(&w, DOWN("rg3-rn3") ";rg3-rn3 nodeId null");
    members = json_get(json_get(json_at(json_get(w.nodes[0], "services"), 0), "redis"), "nodes");
    json_push(members, world_json("{\"id\":\"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\",\"flags\":["
                                  "\"slave\",\"noaddr\"],\"host\":\"\",\"port\":0,\"slots\":[]}"));
    world_observe(&w);
    is_int(redis_expand(&in, &w.c, &p, &err), 0);
    is_int(p.n_tasks, 1);
    plan_release(&p);
    findings_release(&f);
    json_free(args);
    world_release(&w);
}

int main(void)
{
    TAP_RUN(TAP_TEST(recovery), TAP_TEST(the_only_good_copy), TAP_TEST(remedies),
            TAP_TEST(other_plans), TAP_TEST(leftovers_are_looked_at_again),
            TAP_TEST(an_heir_is_looked_at_again), TAP_TEST(a_vote_needs_a_majority),
            TAP_TEST(units_are_left_alone), TAP_TEST(a_member_that_is_gone));
}
