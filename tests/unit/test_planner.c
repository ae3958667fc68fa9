/* Making plans: observe, check, expand; refusals; what is remembered. */
#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "plan_support.h"
#include "tap.h"

/* A store of two services, the first of which runs. */
static struct connection *declare(struct bench *b)
{
    struct err err = ERR_INIT;
    struct json *effects =
        parsed("[{\"kind\":\"store\",\"name\":\"store\",\"doc\":{\"name\":\"s\",\"engine\":"
               "\"fake\"}},"
               "{\"kind\":\"sn\",\"name\":\"sn1\",\"doc\":{\"zone\":\"zn1\",\"host\":\"h1\","
               "\"port\":5001,\"url\":\"http://h1:5001\"}},"
               "{\"kind\":\"rn\",\"name\":\"rg1-rn1\",\"doc\":{\"sn\":\"sn1\",\"shard\":\"rg1\","
               "\"storageDir\":\"/d1\"}},"
               "{\"kind\":\"rn\",\"name\":\"rg1-rn2\",\"doc\":{\"sn\":\"sn2\",\"shard\":\"rg1\","
               "\"storageDir\":\"/d1\"}}]");

    ok(journal_apply(b->journal, effects, &err) == 0);
    json_free(effects);
    world_add(b->world, "done rg1-rn1");
    return fake_engine.open(&b->endpoint, &err);
}

static const struct planner *planner(struct bench *b, struct connection *cn)
{
    static struct planner pl;

    pl = (struct planner){.journal = b->journal, .engine = &fake_engine, .connection = cn};
    return &pl;
}

struct trial {
    struct plan plan;
    struct findings findings;
    struct err err;
};

static int make(struct bench *b, struct connection *cn, const char *args, bool force,
                struct trial *t)
{
    struct json *json = parsed(args);
    struct intent in = {.verb = VERB_START_SERVICE, .args = json, .force = force};
    int rc;

    *t = (struct trial){0};
    rc = plan_make(planner(b, cn), &in, &t->plan, &t->findings, &t->err);
    json_free(json); /* the plan keeps its own */
    return rc;
}

static void trial_end(struct trial *t)
{
    plan_release(&t->plan);
    findings_release(&t->findings);
}

static void a_plan_is_made(void)
{
    struct connection *cn;
    struct trial t;
    struct bench b;

    bench_begin(&b);
    cn = declare(&b);
    ok(make(&b, cn, "{\"tasks\":2,\"warn\":true}", false, &t) == 0);
    is_int(t.plan.state, PLAN_APPROVED);
    is_int(t.plan.verb, VERB_START_SERVICE);
    is_int(json_int(t.plan.args, "tasks", 0), 2);
    is_int(t.plan.n_tasks, 2);
    is_int(strlen(t.plan.digest), 16);
    is_int(t.findings.n, 2);
    is_int(t.plan.n_notes, 1); /* a warning is kept, a note is not */
    is_str(t.plan.notes[0], "rg1 has 1 copy of 3 (rule lonely)");
    is_int(journal_last_plan(b.journal), 0);
    ok(journal_plan_create(b.journal, &t.plan, &t.err) == 0);
    is_int(events_like(&b, 1, "rg1 has 1 copy of 3"), 1);
    trial_end(&t);
    fake_engine.close(cn);
    bench_end(&b);
}

static void what_blocks_refuses(void)
{
    struct connection *cn;
    struct trial t;
    struct bench b;

    bench_begin(&b);
    cn = declare(&b);
    ok(make(&b, cn, "{\"warn\":true,\"block\":true}", false, &t) < 0);
    is_int(t.err.code, ERR_REFUSED);
    is_str(t.err.text, "refused: 1 of 3 primaries would be left (rule majority)");
    is_str(t.err.advice, "start rg1-rn2 first; -force -reason TEXT does it all the same");
    is_int(t.findings.n, 3);
    is_int(t.plan.n_tasks, 0);
    trial_end(&t);

    ok(make(&b, cn, "{\"leaveOut\":true}", false, &t) < 0);
    is_str(t.err.advice, "stop it; -force -reason TEXT recovers the others");
    trial_end(&t);

    ok(make(&b, cn, "{\"warn\":true,\"block\":true}", true, &t) == 0);
    is_int(t.plan.n_notes, 2);
    is_str(t.plan.notes[1], "overridden by force: 1 of 3 primaries would be left (rule majority)");
    ok(t.plan.force);
    trial_end(&t);

    ok(make(&b, cn, "{\"block\":true,\"fatal\":true}", true, &t) < 0);
    is_int(t.err.code, ERR_REFUSED);
    is_str(t.err.text, "refused: the last copy of rg1 would be lost (rule last-copy)");
    is_str(t.err.advice, "");
    trial_end(&t);
    fake_engine.close(cn);
    bench_end(&b);
}

static void only_this_check_counts(void)
{
    struct connection *cn;
    struct json *args;
    struct trial t = {0};
    struct bench b;

    bench_begin(&b);
    cn = declare(&b);
    args = parsed("{}");
    findings_add(&t.findings, SEVERITY_BLOCK, "old", "rg1", "of an earlier check");
    ok(plan_make(planner(&b, cn), &(struct intent){VERB_START_SERVICE, args, false}, &t.plan,
                 &t.findings, &t.err) == 0);
    is_int(t.plan.n_notes, 0);
    json_free(args);
    trial_end(&t);
    fake_engine.close(cn);
    bench_end(&b);
}

static void nonsense_is_refused(void)
{
    struct connection *cn;
    struct json *args = parsed("{}");
    struct trial t;
    struct bench b;

    bench_begin(&b);
    cn = declare(&b);
    ok(make(&b, cn, "{\"tasks\":-1}", false, &t) < 0);
    is_int(t.err.code, ERR_INPUT);
    is_str(t.err.text, "-1 tasks make no sense");
    trial_end(&t);

    t = (struct trial){0};
    ok(plan_make(planner(&b, cn), &(struct intent){VERB_DEPLOY_ZONE, args, false}, &t.plan,
                 &t.findings, &t.err) < 0);
    is_str(t.err.text, "a store of engine fake has no plan deploy-zone");
    is_str(t.err.advice, "it has: start-service, stop-service");
    trial_end(&t);

    world_add(b.world, "nothing can be said");
    ok(make(&b, cn, "{}", false, &t) < 0);
    is_int(t.err.code, ERR_UNREACHABLE);
    trial_end(&t);
    json_free(args);
    fake_engine.close(cn);
    bench_end(&b);
}

static void an_observation_is_remembered(void)
{
    struct err err = ERR_INIT;
    struct connection *cn;
    struct cluster c = {0};
    struct json *states;
    struct bench b;
    int64_t time_ms;

    bench_begin(&b);
    cn = declare(&b);
    ok(store_observe(b.journal, &fake_engine, cn, &c, &err) == 0);
    is_int(c.n_services, 2);
    is_int(c.metadata_version, 1);
    is_int(c.services[0].status, STATUS_RUNNING);
    ok(journal_last_observed(b.journal, &states, &time_ms, &err) == 0);
    is_int(time_ms, c.observed_ms);
    is_str(json_str(json_get(states, "rg1-rn1"), "state"), "RUNNING");
    is_str(json_str(json_get(states, "rg1-rn2"), "state"), "UNREACHABLE");
    json_free(states);
    cluster_release(&c);
    fake_engine.close(cn);
    bench_end(&b);
}

static void a_preview_grows_stale(void)
{
    struct connection *cn;
    struct trial t, u = {0};
    struct bench b;

    bench_begin(&b);
    cn = declare(&b);
    ok(make(&b, cn, "{}", false, &t) == 0);
    ok(plan_recheck(planner(&b, cn), &t.plan, &u.findings, &u.err) == 0);
    ok(journal_plan_create(b.journal, &t.plan, &t.err) == 0);
    plan_release(&t.plan); /* what the journal kept is what is compared */
    ok(journal_plan_load(b.journal, 1, &t.plan, &t.err) == 0);
    world_add(b.world, "done rg1-rn2"); /* somebody started it meanwhile */
    ok(plan_recheck(planner(&b, cn), &t.plan, &u.findings, &u.err) < 0);
    is_int(u.err.code, ERR_STALE);
    has_str(u.err.text, "plan 1 is stale: rg1-rn2 was UNREACHABLE and is RUNNING");
    trial_end(&u);
    trial_end(&t);

    ok(make(&b, cn, "{\"block\":true}", true, &t) == 0);
    t.plan.force = false; /* what was overridden then speaks against it now */
    u = (struct trial){0};
    ok(plan_recheck(planner(&b, cn), &t.plan, &u.findings, &u.err) < 0);
    is_int(u.err.code, ERR_REFUSED);
    trial_end(&u);
    trial_end(&t);
    fake_engine.close(cn);
    bench_end(&b);
}

static bool now(void)
{
    return true;
}

/* What the rules speak of may be the doing of another machine's plan: that one is named, and it is
 * its end that is waited for. */
static void a_plan_of_another_machine_is_waited_for(void)
{
    struct planner pl;
    struct connection *cn;
    struct json *args = parsed("{\"block-while-leased\":true}");
    const struct intent in = {.verb = VERB_STOP_SERVICE, .args = args};
    struct trial t;
    struct bench b;

    bench_begin(&b);
    cn = declare(&b);
    pl = *planner(&b, cn);
    t = (struct trial){0};
    world_leased(b.world, 1);
    ok(plan_make(&pl, &in, &t.plan, &t.findings, &t.err) < 0);
    is_int(t.err.code, ERR_LOCKED);
    is_str(t.err.text, "plan 7 of a@b#1 is changing the store; as it stands, refused: sn2 is out "
                       "already (rule second-node)");
    has_str(t.err.advice, "-lock-wait SECONDS");
    trial_end(&t);

    t = (struct trial){0};
    world_leased(b.world, 2);
    pl.wait_ms = 60000;
    ok(plan_make(&pl, &in, &t.plan, &t.findings, &t.err) == 0);
    is_int(t.err.code, ERR_OK);
    is_int(t.findings.n, 1); /* of the last look alone */
    ok(journal_plan_create(b.journal, &t.plan, &t.err) == 0);

    world_leased(b.world, 1);
    ok(plan_recheck(&pl, &t.plan, &t.findings, &t.err) == 0);
    pl.stopped = now;
    world_leased(b.world, 1);
    ok(plan_recheck(&pl, &t.plan, &t.findings, &t.err) < 0);
    is_int(t.err.code, ERR_INTERRUPTED);
    has_str(t.err.text, "interrupted while waiting: plan 7 of a@b#1");
    trial_end(&t);

    t = (struct trial){0}; /* whoever takes the lease away hears what the rules say */
    pl.takeover = true;
    world_leased(b.world, 1);
    ok(plan_make(&pl, &in, &t.plan, &t.findings, &t.err) < 0);
    is_int(t.err.code, ERR_REFUSED);
    trial_end(&t);
    json_free(args);
    fake_engine.close(cn);
    bench_end(&b);
}

static void what_watches_saw_is_fetched(void)
{
    struct err err = ERR_INIT;
    struct connection *cn;
    struct json *cursors;
    struct bench b;

    bench_begin(&b);
    cn = declare(&b);
    for (int i = 1; i <= 2; i++) {
        ok(store_fetch_events(b.journal, &fake_engine, cn, &err) == 0);
        is_int(events_like(&b, 0, "directory /d1 is missing; replace the disk"), 3 * i);
    }
    ok(journal_cursors(b.journal, &cursors, &err) == 0);
    is_int(json_int(cursors, "sn1", 0), 6);
    json_free(cursors);
    world_add(b.world, "nobody answers");
    ok(store_fetch_events(b.journal, &fake_engine, cn, &err) < 0);
    is_int(err.code, ERR_UNREACHABLE);
    ok(store_fetch_events(b.journal, &(struct engine){.name = "dumb"}, cn, &err) == 0);
    fake_engine.close(cn);
    bench_end(&b);
}

int main(void)
{
    TAP_RUN(TAP_TEST(a_plan_is_made), TAP_TEST(what_blocks_refuses),
            TAP_TEST(only_this_check_counts), TAP_TEST(nonsense_is_refused),
            TAP_TEST(an_observation_is_remembered), TAP_TEST(a_preview_grows_stale),
            TAP_TEST(a_plan_of_another_machine_is_waited_for),
            TAP_TEST(what_watches_saw_is_fetched));
}
