/* The executor in this process, on the engine whose world is a file. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/meta.h"

#include "plan_support.h"
#include "tap.h"

static void load(struct bench *b, int64_t id, struct plan *p)
{
    struct err err = ERR_INIT;

    ok(journal_plan_load(b->journal, id, p, &err) == 0);
}

static int docs_of_tasks(struct bench *b)
{
    struct err err = ERR_INIT;
    struct json *docs;
    int n;

    ok(journal_docs(b->journal, &docs, NULL, &err) == 0);
    n = (int)json_len(json_get(docs, "thing"));
    json_free(docs);
    return n;
}

static void waves_come_one_after_the_other(void)
{
    struct err err = ERR_INIT;
    struct plan p = {0};
    struct bench b;
    int64_t id;

    bench_begin(&b);
    id = stored_plan(&b, 6, 2, "{\"sleepMs\":10}");
    ok(execute(&b, id, &err) == 0);
    load(&b, id, &p);
    is_int(p.state, PLAN_SUCCEEDED);
    is_int(p.attempts, 1);
    is_int(p.code, ERR_OK);
    for (size_t i = 0; i < p.n_tasks; i++) {
        const struct task *t = &p.tasks[i];

        is_int(t->state, TASK_SUCCEEDED);
        is_int(t->attempts, 1);
        is_int(t->percent, 100);
        has_str(t->result, "is up");
        for (size_t k = 0; k < i; k++)
            ok(p.tasks[k].wave == t->wave || p.tasks[k].ended_ms <= t->started_ms);
    }
    is_int(docs_of_tasks(&b), 6);
    is_int(world_count(b.world, "perform t3"), 1);
    is_int(world_count(b.world, "publish 6"), 1);
    is_int(events_like(&b, id, "is RUNNING"), 7);
    is_int(events_like(&b, id, "is SUCCEEDED"), 7);
    ok(!lock_is_held(b.dir, id));
    plan_release(&p);
    ok(execute(&b, id, &err) < 0);
    is_str(err.text, "plan 1 is SUCCEEDED and cannot be executed");
    bench_end(&b);
}

static void a_wave_runs_at_the_same_time(void)
{
    struct err err = ERR_INIT;
    struct plan p = {0};
    struct bench b;
    int overlaps = 0;
    int64_t id;

    bench_begin(&b);
    id = stored_plan(&b, 24, 24, "{\"sleepMs\":60}"); /* more than there are threads */
    ok(execute(&b, id, &err) == 0);
    load(&b, id, &p);
    is_int(p.state, PLAN_SUCCEEDED);
    for (size_t i = 1; i < p.n_tasks; i++)
        overlaps += p.tasks[i].started_ms < p.tasks[0].ended_ms;
    ok(overlaps >= 8 && overlaps < 24);
    plan_release(&p);
    bench_end(&b);
}

static void an_empty_plan_succeeds(void)
{
    struct err err = ERR_INIT;
    struct bench b;

    bench_begin(&b);
    stored_plan(&b, 0, 1, NULL);
    ok(execute(&b, 1, &err) == 0);
    is_int(state_of(&b, 1), PLAN_SUCCEEDED);
    bench_end(&b);
}

static void a_task_without_a_node_is_its_effects(void)
{
    struct err err = ERR_INIT;
    struct plan p = {0};
    struct bench b;

    bench_begin(&b);
    plan_of(&p, VERB_START_SERVICE, 2, 1, NULL);
    p.tasks[0].node = NULL;
    p.state = PLAN_PENDING;
    ok(journal_plan_create(b.journal, &p, &err) == 0);
    plan_release(&p);
    ok(execute(&b, 1, &err) == 0);
    is_int(state_of(&b, 1), PLAN_SUCCEEDED);
    is_int(task_of(&b, 1, 1), TASK_SUCCEEDED);
    is_int(docs_of_tasks(&b), 2);
    is_int(world_count(b.world, "perform t1"), 0);
    is_int(world_count(b.world, "perform t2"), 1);
    bench_end(&b);
}

static void a_failure_stops_after_its_wave(void)
{
    struct err err = ERR_INIT;
    struct plan p = {0};
    struct bench b;

    bench_begin(&b);
    plan_of(&p, VERB_START_SERVICE, 5, 3, NULL);
    p.tasks[1].args = plan_own(&p, parsed("{\"fails\":1}"));
    p.tasks[2].args = plan_own(&p, parsed("{\"fails\":1,\"sleepMs\":20}"));
    ok(journal_plan_create(b.journal, &p, &err) == 0);
    plan_release(&p);
    ok(execute(&b, 1, &err) == 0);
    load(&b, 1, &p);
    is_int(p.state, PLAN_ERROR);
    is_int(p.code, ERR_UNREACHABLE);
    is_str(p.error, "task 2 (start t2 on sn1): connect to sn1: connection refused; also failed: "
                    "task 3 (start t3 on sn1)");
    is_str(p.advice, "start the agent of sn1");
    is_int(p.tasks[0].state, TASK_SUCCEEDED);
    is_int(p.tasks[1].state, TASK_ERROR);
    is_str(p.tasks[1].error, "connect to sn1: connection refused");
    is_int(p.tasks[3].state, TASK_PENDING);
    is_int(docs_of_tasks(&b), 1);
    is_int(world_count(b.world, "publish 1"),
           1); /* what was changed is told, also after a failure */
    plan_release(&p);
    ok(execute(&b, 1, &err) == 0);
    load(&b, 1, &p);
    is_int(p.state, PLAN_SUCCEEDED);
    ok(p.error == NULL);
    is_int(p.attempts, 2);
    is_int(p.tasks[0].attempts, 1);
    is_int(p.tasks[1].attempts, 2);
    ok(p.tasks[1].error == NULL);
    is_int(world_count(b.world, "perform t1"), 1);
    is_int(world_count(b.world, "settled t2 no"), 0); /* a known failure is simply tried again */
    plan_release(&p);
    bench_end(&b);
}

static void a_lost_answer_is_looked_up(void)
{
    struct err err = ERR_INIT;
    struct plan p = {0};
    struct bench b;

    bench_begin(&b);
    stored_plan(&b, 1, 1, "{\"losesAfter\":1}");
    ok(execute(&b, 1, &err) == 0);
    load(&b, 1, &p);
    is_int(p.state, PLAN_SUCCEEDED);
    is_int(p.tasks[0].attempts, 1);
    is_str(p.tasks[0].result, "found done when the store was asked");
    is_int(world_count(b.world, "perform t1"), 1);
    is_int(world_count(b.world, "settled t1 yes"), 1);
    plan_release(&p);

    stored_plan(&b, 2, 2, "{\"losesBefore\":2}"); /* t1 stands from before */
    ok(execute(&b, 2, &err) == 0);
    is_int(state_of(&b, 2), PLAN_SUCCEEDED);
    load(&b, 2, &p);
    is_int(p.tasks[1].attempts, 3);
    is_int(world_count(b.world, "perform t2"), 3);
    is_int(world_count(b.world, "settled t2 no"), 2);
    ok(world_is_careful(b.world));
    plan_release(&p);
    bench_end(&b);
}

static void a_step_is_repeated_three_times_at_most(void)
{
    struct err err = ERR_INIT;
    struct plan p = {0};
    struct bench b;

    bench_begin(&b);
    stored_plan(&b, 1, 1, "{\"losesBefore\":99}");
    ok(execute(&b, 1, &err) == 0);
    load(&b, 1, &p);
    is_int(p.state, PLAN_ERROR);
    is_int(p.code, ERR_FAILED); /* known: it is not done */
    is_str(p.error, "task 1 (start t1 on sn1): performed 4 times without an answer and still not "
                    "done: t1: the answer was lost");
    is_int(p.tasks[0].state, TASK_ERROR);
    is_int(world_count(b.world, "perform t1"), 4);
    ok(world_is_careful(b.world));
    plan_release(&p);
    bench_end(&b);
}

static void what_cannot_be_told_is_unknown(void)
{
    struct err err = ERR_INIT;
    struct plan p = {0};
    struct bench b;

    bench_begin(&b);
    stored_plan(&b, 2, 1, "{\"losesAfter\":1,\"cannotTell\":5}");
    ok(execute(&b, 1, &err) == 0);
    load(&b, 1, &p);
    is_int(p.state, PLAN_ERROR);
    is_int(p.code, ERR_IN_DOUBT);
    is_str(p.error, "task 1 (start t1 on sn1): it cannot be told whether this took effect: t1 does "
                    "not answer");
    is_str(p.advice, "look at t1; plan execute -id 1 asks the store before it repeats anything");
    is_int(p.tasks[0].state, TASK_UNKNOWN);
    is_int(p.tasks[1].state, TASK_PENDING);
    is_int(world_count(b.world, "settled-unknown t1"), 4);
    is_int(docs_of_tasks(&b), 0);
    plan_release(&p);
    ok(execute(&b, 1, &err) == 0); /* once more without an answer, then it is told */
    load(&b, 1, &p);
    is_int(p.tasks[0].state, TASK_SUCCEEDED);
    is_int(p.tasks[0].attempts, 1);
    is_int(p.tasks[1].state, TASK_UNKNOWN);
    is_int(world_count(b.world, "perform t1"), 1);
    plan_release(&p);
    bench_end(&b);
}

static void an_unknown_outcome_comes_first(void)
{
    struct err err = ERR_INIT;
    struct plan p = {0};
    struct bench b;

    bench_begin(&b);
    plan_of(&p, VERB_START_SERVICE, 2, 2, NULL);
    p.tasks[0].args = plan_own(&p, parsed("{\"fails\":1}"));
    p.tasks[1].args = plan_own(&p, parsed("{\"losesAfter\":1,\"cannotTell\":99}"));
    ok(journal_plan_create(b.journal, &p, &err) == 0);
    plan_release(&p);
    ok(execute(&b, 1, &err) == 0);
    load(&b, 1, &p);
    is_int(p.code, ERR_IN_DOUBT);
    has_str(p.error, "task 2 (start t2 on sn1): it cannot be told");
    has_str(p.error, "; also failed: task 1 (start t1 on sn1)");
    plan_release(&p);
    bench_end(&b);
}

/* --- interrupts: the plan runs in a thread of its own with a journal of its own --- */

struct running {
    struct bench *b;
    int64_t id;
    pthread_t thread;
    int rc;
    struct err err;
};

static void *run(void *arg)
{
    struct running *r = arg;
    struct bench own = *r->b;

    own.endpoint.nodes = own.nodes;
    own.journal = journal_open(r->b->dir, false, &r->err);
    r->rc = own.journal != NULL ? execute(&own, r->id, &r->err) : -1;
    journal_close(own.journal);
    return NULL;
}

static void start(struct running *r, struct bench *b, int64_t id)
{
    *r = (struct running){.b = b, .id = id};
    ok(pthread_create(&r->thread, NULL, run, r) == 0);
    ok(wait_state(b, id, PLAN_RUNNING));
}

static bool wait_line(struct bench *b, const char *line)
{
    for (int i = 0; i < 2000; i++) {
        if (world_count(b->world, line) > 0)
            return true;
        time_sleep_ms(5);
    }
    return false;
}

static void an_interrupt_reaches_the_task(void)
{
    struct err err = ERR_INIT;
    struct running r;
    struct plan p = {0};
    struct bench b;
    int64_t asked;

    bench_begin(&b);
    stored_plan(&b, 2, 1, "{\"sleepMs\":30000}");
    start(&r, &b, 1);
    ok(wait_line(&b, "perform t1"));
    asked = time_mono_ms();
    ok(journal_plan_move(b.journal, 1, PLAN_INTERRUPT_REQUESTED, NULL, &err) == 0);
    pthread_join(r.thread, NULL);
    ok(time_mono_ms() - asked < 20000);
    is_int(r.rc, 0);
    load(&b, 1, &p);
    is_int(p.state, PLAN_INTERRUPTED);
    is_int(p.code, ERR_INTERRUPTED);
    is_str(p.advice, "plan execute -id 1 goes on from the first unfinished task");
    is_int(p.tasks[0].state, TASK_INTERRUPTED);
    is_str(p.tasks[0].error, "t1: interrupted in the middle");
    is_int(p.tasks[1].state, TASK_PENDING);
    plan_release(&p);
    bench_end(&b);
}

static void a_task_that_must_end_ends(void)
{
    struct err err = ERR_INIT;
    struct running r;
    struct bench b;

    bench_begin(&b);
    stored_plan(&b, 2, 1, "{\"sleepMs\":500,\"deaf\":true}");
    start(&r, &b, 1);
    ok(wait_line(&b, "perform t1"));
    ok(journal_plan_move(b.journal, 1, PLAN_INTERRUPT_REQUESTED, NULL, &err) == 0);
    pthread_join(r.thread, NULL);
    is_int(state_of(&b, 1), PLAN_INTERRUPTED);
    is_int(task_of(&b, 1, 1), TASK_SUCCEEDED);
    is_int(task_of(&b, 1, 2), TASK_PENDING);
    ok(execute(&b, 1, &err) == 0);
    is_int(state_of(&b, 1), PLAN_SUCCEEDED);
    is_int(world_count(b.world, "perform t1"), 1);
    bench_end(&b);
}

static void an_interrupt_that_comes_late_changes_nothing(void)
{
    struct err err = ERR_INIT;
    struct running r;
    struct bench b;

    bench_begin(&b);
    stored_plan(&b, 1, 1, "{\"sleepMs\":400,\"deaf\":true}");
    start(&r, &b, 1);
    ok(wait_line(&b, "perform t1"));
    ok(journal_plan_move(b.journal, 1, PLAN_INTERRUPT_REQUESTED, NULL, &err) == 0);
    pthread_join(r.thread, NULL);
    is_int(state_of(&b, 1), PLAN_SUCCEEDED);
    bench_end(&b);
}

static void progress_is_seen_while_it_runs(void)
{
    struct err err = ERR_INIT;
    struct running r;
    struct plan p = {0};
    struct bench b;
    bool seen = false;

    bench_begin(&b);
    stored_plan(&b, 1, 1, "{\"sleepMs\":30000,\"tells\":true}");
    start(&r, &b, 1);
    for (int i = 0; i < 1000 && !seen; i++) {
        load(&b, 1, &p);
        seen = p.tasks[0].waiting_for != NULL && strcmp(p.tasks[0].waiting_for, "the clock") == 0 &&
               p.tasks[0].percent >= 0;
        plan_release(&p);
        time_sleep_ms(5);
    }
    ok(seen);
    ok(journal_plan_move(b.journal, 1, PLAN_INTERRUPT_REQUESTED, NULL, &err) == 0);
    pthread_join(r.thread, NULL);
    load(&b, 1, &p);
    ok(p.tasks[0].waiting_for == NULL);
    is_int(events_like(&b, 1, "POST /start: 202"), 1);
    plan_release(&p);
    bench_end(&b);
}

/* A step that failed finds at its next attempt what it noted, as does the question whether it took
 * effect. */
static void what_a_task_noted_is_there_again(void)
{
    struct err err = ERR_INIT;
    struct bench b;

    bench_begin(&b);
    stored_plan(&b, 1, 1, "{\"remembers\":true,\"fails\":1}");
    ok(execute(&b, 1, &err) == 0);
    is_int(state_of(&b, 1), PLAN_ERROR);
    is_int(world_count(b.world, "memo none"), 1);
    is_int(world_count(b.world, "memo operation 1"), 1);
    bench_reopen(&b);
    ok(execute(&b, 1, &err) == 0);
    is_int(state_of(&b, 1), PLAN_SUCCEEDED);
    is_int(world_count(b.world, "memo operation 1"), 2);
    is_int(world_count(b.world, "memo operation 2"), 1);
    is_int(events_like(&b, 1, "operation 1"), 1);
    bench_end(&b);
}

/* --- what surrounds it --- */

static void without_its_lock_nothing_runs(void)
{
    struct err err = ERR_INIT;
    struct bench b;
    struct executor x;

    bench_begin(&b);
    x = (struct executor){.journal = b.journal,
                          .engine = &fake_engine,
                          .endpoint = &b.endpoint,
                          .plan_id = stored_plan(&b, 1, 1, NULL),
                          .ready_fd = -1};
    ok(executor_run(&x, &err) < 0);
    is_int(err.code, ERR_INTERNAL);
    is_int(state_of(&b, 1), PLAN_APPROVED);
    is_int(world_count(b.world, "perform t1"), 0);
    bench_end(&b);
}

static void a_store_out_of_reach_is_an_error(void)
{
    struct err err = ERR_INIT;
    struct plan p = {0};
    struct bench b;

    bench_begin(&b);
    world_add(b.world, "nobody answers");
    stored_plan(&b, 1, 1, NULL);
    ok(execute(&b, 1, &err) == 0);
    load(&b, 1, &p);
    is_int(p.state, PLAN_ERROR);
    is_int(p.code, ERR_UNREACHABLE);
    is_int(p.tasks[0].state, TASK_ERROR);
    plan_release(&p);
    bench_end(&b);
}

static void copies_that_fail_are_a_warning(void)
{
    struct err err = ERR_INIT;
    struct bench b;

    bench_begin(&b);
    world_add(b.world, "admins are away");
    stored_plan(&b, 1, 1, NULL);
    ok(execute(&b, 1, &err) == 0);
    is_int(state_of(&b, 1), PLAN_SUCCEEDED);
    is_int(events_like(&b, 1, "copies of version 1 are not all written: admin1 does not answer"),
           1);
    bench_end(&b);
}

/* The journal refuses in the middle: the executor stops, and says what is in doubt by leaving it
 * so. */
static void a_plan_taken_away_is_left(void)
{
    struct err err = ERR_INIT;
    struct running r;
    struct bench b;

    bench_begin(&b);
    stored_plan(&b, 2, 1, "{\"sleepMs\":30000}");
    start(&r, &b, 1);
    ok(wait_line(&b, "perform t1"));
    ok(journal_plan_move(b.journal, 1, PLAN_INTERRUPTED, NULL, &err) == 0);
    pthread_join(r.thread, NULL);
    is_int(r.rc, -1);
    is_str(r.err.text, "plan 1 was made INTERRUPTED while it was running");
    is_int(state_of(&b, 1), PLAN_INTERRUPTED);
    is_int(task_of(&b, 1, 1), TASK_RUNNING);
    bench_end(&b);
}

int main(void)
{
    TAP_RUN(TAP_TEST(waves_come_one_after_the_other), TAP_TEST(a_wave_runs_at_the_same_time),
            TAP_TEST(an_empty_plan_succeeds), TAP_TEST(a_task_without_a_node_is_its_effects),
            TAP_TEST(a_failure_stops_after_its_wave), TAP_TEST(a_lost_answer_is_looked_up),
            TAP_TEST(a_step_is_repeated_three_times_at_most),
            TAP_TEST(what_cannot_be_told_is_unknown), TAP_TEST(an_unknown_outcome_comes_first),
            TAP_TEST(an_interrupt_reaches_the_task), TAP_TEST(a_task_that_must_end_ends),
            TAP_TEST(an_interrupt_that_comes_late_changes_nothing),
            TAP_TEST(progress_is_seen_while_it_runs), TAP_TEST(what_a_task_noted_is_there_again),
            TAP_TEST(without_its_lock_nothing_runs), TAP_TEST(a_store_out_of_reach_is_an_error),
            TAP_TEST(copies_that_fail_are_a_warning), TAP_TEST(a_plan_taken_away_is_left));
}
