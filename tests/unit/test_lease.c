/* The lease of a plan: taken before it runs, renewed, given back; lost to somebody else. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "plan_support.h"
#include "tap.h"

/* What the nodes would say; asked from two threads. */
static atomic_int taken, released,
    refuse_from;             /* refuse_from: the n-th asking is refused; 0: none */
static atomic_bool is_older; /* refused because a later attempt of the plan is known */
static atomic_int slow_ms;   /* a renewal takes so long */
static char owner[200], reason[64];

static int fake_lease(struct connection *cn, const struct json *docs, const struct lease *l,
                      struct err *err)
{
    int n;

    (void)cn;
    (void)docs;
    if (l->release) {
        atomic_fetch_add(&released, 1);
        return 0;
    }
    n = atomic_fetch_add(&taken, 1) + 1;
    if (n == 1) {
        snprintf(owner, sizeof owner, "%s/%lld/%lld", l->owner, (long long)l->plan,
                 (long long)l->epoch);
        snprintf(reason, sizeof reason, "%s", l->takeover ? l->takeover : "");
    }
    if (n > 1)
        time_sleep_ms(slow_ms);
    if (is_older) {
        err_set(err, ERR_STALE, "sn1: attempt 9 of plan 1 follows this one");
        return err_advise(err, "a new plan works");
    }
    if (refuse_from > 0 && n >= refuse_from && l->takeover == NULL)
        return err_set(err, ERR_LOCKED, "sn1: plan 7 of another is changing the store");
    return 0;
}

struct trial {
    struct bench b;
    struct engine engine;
    int64_t id;
    struct err err;
};

static void trial_begin(struct trial *t, const char *args, int refuse)
{
    bench_begin(&t->b);
    t->engine = fake_engine;
    t->engine.lease = fake_lease;
    t->id = stored_plan(&t->b, 2, 1, args);
    t->err = (struct err)ERR_INIT;
    taken = released = 0;
    refuse_from = refuse;
    owner[0] = reason[0] = '\0';
}

/* ttl 0: the usual one. */
static int run_plan(struct trial *t, int ttl_ms, int64_t wait_ms, const char *takeover)
{
    struct plan_lock lock = {.fd = -1};
    struct executor x = {.journal = t->b.journal,
                         .engine = &t->engine,
                         .endpoint = &t->b.endpoint,
                         .plan_id = t->id,
                         .ready_fd = -1,
                         .pause_ms = 1,
                         .takeover = takeover,
                         .lock_wait_ms = wait_ms,
                         .lease_ttl_ms = ttl_ms};
    int rc;

    ok(lock_store(&lock, t->b.journal, 0, &t->err) == 0);
    ok(lock_plan(&lock, t->b.journal, t->id, &t->err) == 0);
    rc = executor_run(&x, &t->err);
    lock_release(&lock);
    return rc;
}

static void it_is_taken_and_given_back(void)
{
    struct trial t;
    char *mine, *want;

    trial_begin(&t, NULL, 0);
    ok(run_plan(&t, 0, 0, NULL) == 0);
    is_int(state_of(&t.b, t.id), PLAN_SUCCEEDED);
    is_int(taken, 1);
    is_int(released, 1);
    mine = journal_owner(t.b.journal);
    want = xasprintf("%s/%lld/1", mine, (long long)t.id);
    is_str(owner, want);
    ok(strpbrk(mine, "/ ") == NULL && strchr(mine, '#') != NULL);
    free(want);
    free(mine);
    bench_end(&t.b);
}

static void a_refusal_leaves_the_plan_as_it_was(void)
{
    struct trial t;

    trial_begin(&t, NULL, 1);
    ok(run_plan(&t, 0, 0, NULL) < 0);
    is_int(t.err.code, ERR_LOCKED);
    has_str(t.err.text, "plan 7 of another");
    has_str(t.err.advice, "-takeover -reason");
    is_int(state_of(&t.b, t.id), PLAN_APPROVED);
    is_int(released, 0);
    err_clear(&t.err);
    ok(run_plan(&t, 0, 0, "that one is dead") == 0);
    is_int(state_of(&t.b, t.id), PLAN_SUCCEEDED);
    is_int(events_like(&t.b, t.id, "that one is dead"), 1);
    bench_end(&t.b);
}

static void it_is_waited_for(void)
{
    int64_t begun = time_mono_ms();
    struct trial t;

    trial_begin(&t, NULL, 1);
    ok(run_plan(&t, 0, 1200, NULL) < 0);
    ok(time_mono_ms() - begun >= 1200);
    ok(taken >= 2);
    is_int(state_of(&t.b, t.id), PLAN_APPROVED);
    is_int(events_like(&t.b, t.id, "is starting it and waits for the store's lease: sn1"), 1);
    bench_end(&t.b);
}

/* As after a journal was restored: waiting would be in vain. */
static void an_older_attempt_is_not_promised_anything(void)
{
    struct trial t;

    trial_begin(&t, NULL, 0);
    is_older = true;
    ok(run_plan(&t, 0, 60000, NULL) < 0);
    is_older = false;
    is_int(taken, 1);
    is_int(t.err.code, ERR_STALE);
    is_str(t.err.advice, "a new plan works; plan cancel -id 1 drops this one");
    is_int(state_of(&t.b, t.id), PLAN_APPROVED);
    is_int(events_like(&t.b, t.id, "not started: sn1: attempt 9"), 1);
    bench_end(&t.b);
}

static void it_is_renewed_and_the_loss_is_noticed(void)
{
    struct trial t;

    trial_begin(&t, "{\"sleepMs\":400}", 0);
    ok(run_plan(&t, 300, 0, NULL) == 0);
    is_int(state_of(&t.b, t.id), PLAN_SUCCEEDED);
    ok(taken >= 3);
    is_int(released, 1);
    bench_end(&t.b);

    trial_begin(&t, "{\"sleepMs\":20000}", 3);
    ok(run_plan(&t, 300, 0, NULL) == 0);
    is_int(state_of(&t.b, t.id), PLAN_ERROR);
    is_int(events_like(&t.b, t.id, "somebody else took the store's lease"), 1);
    is_int(task_of(&t.b, t.id, 1), TASK_INTERRUPTED);
    is_int(task_of(&t.b, t.id, 2), TASK_PENDING);
    bench_end(&t.b);
}

/* The second step would begin while the nodes are being asked, a lease's time after the last
 * answer. */
static void nothing_begins_under_a_lease_that_ran_out(void)
{
    struct trial t;

    trial_begin(&t, "{\"sleepMs\":1000}", 2);
    slow_ms = 2000;
    ok(run_plan(&t, 300, 0, NULL) == 0);
    slow_ms = 0;
    is_int(state_of(&t.b, t.id), PLAN_ERROR);
    is_int(task_of(&t.b, t.id, 2), TASK_PENDING);
    bench_end(&t.b);
}

/* A failure under a lease that is not known to be lost: the nodes are asked why. */
static void what_another_plan_did_explains_a_failure(void)
{
    struct trial t;

    trial_begin(&t, "{\"fails\":1}", 2);
    ok(run_plan(&t, 0, 0, NULL) == 0);
    is_int(taken, 2);
    is_int(state_of(&t.b, t.id), PLAN_ERROR);
    is_int(task_of(&t.b, t.id, 1), TASK_ERROR);
    is_int(events_like(&t.b, t.id, "somebody else took the store's lease: sn1: plan 7"), 1);
    bench_end(&t.b);

    trial_begin(&t, "{\"fails\":1}", 0);
    ok(run_plan(&t, 0, 0, NULL) == 0);
    is_int(state_of(&t.b, t.id), PLAN_ERROR);
    is_int(events_like(&t.b, t.id, "somebody else"), 0);
    bench_end(&t.b);
}

int main(void)
{
    TAP_RUN(TAP_TEST(it_is_taken_and_given_back), TAP_TEST(a_refusal_leaves_the_plan_as_it_was),
            TAP_TEST(it_is_waited_for), TAP_TEST(an_older_attempt_is_not_promised_anything),
            TAP_TEST(it_is_renewed_and_the_loss_is_noticed),
            TAP_TEST(nothing_begins_under_a_lease_that_ran_out),
            TAP_TEST(what_another_plan_did_explains_a_failure));
}
