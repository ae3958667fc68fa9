/*
 * Carries out one plan. The main thread is a small state machine per task; whatever blocks is a job
 * of the crew.
 *
 *   PENDING, ERROR, INTERRUPTED --begin--> RUNNING --perform-->  done          SUCCEEDED (effects)
 *                                            ^  |                failed        ERROR
 *                                            |  |                interrupted   INTERRUPTED
 *                                 not done,  |  v
 *                                 again    settled? <------- answer lost; found RUNNING or UNKNOWN
 *                                               |            done: SUCCEEDED, cannot tell: UNKNOWN
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"
#include "kvsh/run.h"

#include "lease.h"
#include "runner.h"
#include "worker.h"

enum {
    PARALLEL_DEFAULT = 16,
    TICK_MS = 100,     /* how soon a request to interrupt is noticed */
    PROGRESS_MS = 250, /* between two progress writes of one task */
    PAUSE_MS = 500,
    ASK_MAX = 4,   /* times the store is asked about one step before it counts as unknown */
    AGAIN_MAX = 3, /* times a step whose answer was lost is performed again */
};

enum phase { FRESH, UNDER_WAY, OVER };

/* One task during this run. */
struct step {
    struct job job; /* first */
    struct task *task;
    enum phase phase;
    bool failed; /* ended in ERROR or UNKNOWN */
    int asked, again;
    struct err doubt; /* why the outcome is in doubt */
    int64_t progress_ms;
};

struct exec {
    const struct executor *x;
    struct plan plan;
    struct json *docs; /* as declared when the wave began */
    struct crew *crew;
    struct step *steps; /* one per task */
    int under_way, most;
    bool stopping; /* no task begins any more */
    bool asked_to_stop;
    bool failed;              /* a task of this run did not end well */
    bool broken;              /* the journal refused: nothing is recorded any more */
    struct err *err;          /* why */
    struct endpoint endpoint; /* with the lease */
    struct lease_keeper *lease;
    struct err lost; /* code OK: the lease was not lost */
};

/* --- the journal --- */

static int give_up(struct exec *e)
{
    e->broken = true;
    e->stopping = true;
    if (e->crew != NULL)
        crew_interrupt(e->crew);
    return -1;
}

static void stop(struct exec *e)
{
    e->stopping = true;
    if (e->crew != NULL)
        crew_interrupt(e->crew);
}

/* Records the move, then knows it. After a refusal nothing more is recorded: whoever opens the
 * journal next finds what is in doubt. */
static int move(struct exec *e, struct step *s, enum task_state to, const struct move *m)
{
    struct err err = ERR_INIT;

    if (e->broken)
        return -1;
    if (journal_task_move(e->x->journal, e->plan.id, s->task->num, to, m, &err) == 0) {
        s->task->state = to;
        return 0;
    }
    if (err.code == ERR_INTERRUPTED) {
        stop(e);
        return -1;
    }
    *e->err = err;
    return give_up(e);
}

static void write_notes(struct exec *e, struct step *s)
{
    struct note *note = job_take_notes(&s->job), *next;
    struct err ignored = ERR_INIT; /* a line of history less does not stop a plan */

    for (; note != NULL; note = next) {
        struct event ev = {.severity = note->severity,
                           .plan_id = e->plan.id,
                           .task_num = s->task->num,
                           .kind = "request",
                           .subject = s->task->target,
                           .text = note->text};

        next = note->next;
        if (!e->broken)
            journal_event(e->x->journal, &ev, &ignored);
        free(note);
    }
}

static void write_progress(struct exec *e, struct step *s, int64_t now)
{
    char waiting_for[sizeof s->job.waiting_for];
    struct err ignored = ERR_INIT;
    int percent;

    if (now - s->progress_ms < PROGRESS_MS || e->broken ||
        !job_progress(&s->job, &percent, waiting_for))
        return;
    s->progress_ms = now;
    journal_task_progress(e->x->journal, e->plan.id, s->task->num, percent,
                          *waiting_for ? waiting_for : NULL, &ignored);
}

/* A wish that cannot be written down is told to the engine, and stops the plan as any refusal of
 * the journal does. */
static void grant_wish(struct exec *e, struct step *s)
{
    const char *wish = job_wish(&s->job);
    struct event ev = {.severity = "info",
                       .plan_id = e->plan.id,
                       .task_num = s->task->num,
                       .kind = "memo",
                       .subject = s->task->target,
                       .text = wish};

    if (wish == NULL)
        return;
    if (!e->broken && journal_event(e->x->journal, &ev, e->err) < 0)
        give_up(e);
    job_remembered(&s->job, e->broken ? -1 : 0);
}

/* --- one step --- */

static void submit(struct exec *e, struct step *s, enum job_kind kind, int pause_ms)
{
    s->job.kind = kind;
    s->job.pause_ms = pause_ms;
    s->job.task = s->task;
    s->job.perform.plan_id = e->plan.id;
    s->job.perform.force = e->plan.force;
    s->job.perform.confirmed = e->plan.confirmed;
    s->job.perform.docs = e->docs;
    s->phase = UNDER_WAY;
    e->under_way++;
    crew_submit(e->crew, &s->job);
}

static int pause_ms(const struct exec *e, int times)
{
    int first = e->x->pause_ms > 0 ? e->x->pause_ms : PAUSE_MS;

    return times == 0 ? 0 : first << (times - 1);
}

static void succeed(struct exec *e, struct step *s, const char *result)
{
    move(e, s, TASK_SUCCEEDED, &(struct move){.result = *result ? result : NULL});
}

static void fail(struct exec *e, struct step *s, enum task_state to, const struct err *why)
{
    e->failed = s->failed = true;
    s->doubt = *why;
    move(e, s, to, &(struct move){.why = why});
}

/* Known not to be done, and not to be done now. */
static void leave(struct exec *e, struct step *s, const struct err *why)
{
    stop(e);
    move(e, s, TASK_INTERRUPTED, &(struct move){.why = why});
}

static void ask_again(struct exec *e, struct step *s)
{
    struct err why = s->job.err;

    if (++s->asked < ASK_MAX && !e->stopping) {
        submit(e, s, JOB_SETTLE, pause_ms(e, s->asked));
        return;
    }
    if (why.code == ERR_OK)
        why = s->doubt;
    why.code = ERR_IN_DOUBT;
    err_prepend(&why, "it cannot be told whether this took effect");
    if (!*why.advice)
        err_advise(&why,
                   "look at %s; plan execute -id %" PRId64 " asks the store before it repeats "
                   "anything",
                   s->task->target, e->plan.id);
    fail(e, s, TASK_UNKNOWN, &why);
}

/* The store says that the step is not done. */
static void perform_again(struct exec *e, struct step *s)
{
    struct err why = s->doubt;

    if (e->stopping) {
        leave(e, s, NULL);
    } else if (s->again++ < AGAIN_MAX) {
        s->asked = 0;
        if (move(e, s, TASK_RUNNING, NULL) == 0)
            submit(e, s, JOB_PERFORM, pause_ms(e, s->again - 1));
        else if (!e->broken)
            leave(e, s, NULL);
    } else {
        why.code = ERR_FAILED; /* the state is known: not done */
        err_prepend(&why, "performed %d times without an answer and still not done", AGAIN_MAX + 1);
        fail(e, s, TASK_ERROR, &why);
    }
}

static void finish_settle(struct exec *e, struct step *s)
{
    switch (s->job.settled) {
    case SETTLED_YES:
        succeed(e, s,
                *s->job.perform.result ? s->job.perform.result
                                       : "found done when the store was asked");
        break;
    case SETTLED_NO:
        perform_again(e, s);
        break;
    default:
        ask_again(e, s);
    }
}

static void finish_perform(struct exec *e, struct step *s)
{
    if (s->job.rc == 0) {
        succeed(e, s, s->job.perform.result);
    } else if (s->job.err.code == ERR_IN_DOUBT) {
        s->doubt = s->job.err;
        submit(e, s, JOB_SETTLE, 0);
    } else if (s->job.err.code == ERR_INTERRUPTED) {
        leave(e, s, &s->job.err);
    } else {
        fail(e, s, TASK_ERROR, &s->job.err);
    }
}

static void finish(struct exec *e, struct step *s)
{
    e->under_way--;
    s->phase = OVER; /* unless another job follows */
    write_notes(e, s);
    if (e->broken)
        return;
    if (s->job.kind == JOB_PERFORM)
        finish_perform(e, s);
    else
        finish_settle(e, s);
}

static bool is_in_doubt(const struct task *t)
{
    return t->state == TASK_RUNNING || t->state == TASK_UNKNOWN;
}

static bool is_left_out(const struct exec *e, const struct task *t)
{
    if (t->state == TASK_SUCCEEDED || t->state == TASK_SKIPPED)
        return true;
    return e->x->failed_only && t->state != TASK_ERROR && !is_in_doubt(t);
}

/* A task without a node is nothing but its effects, and those are in the journal or are not. */
static void begin(struct exec *e, struct step *s)
{
    struct task *t = s->task;

    s->phase = OVER;
    if (is_left_out(e, t))
        return;
    if (t->node == NULL) {
        if (t->state == TASK_RUNNING || move(e, s, TASK_RUNNING, NULL) == 0)
            succeed(e, s, "");
        return;
    }
    if (t->attempts > 0 &&
        journal_task_memo(e->x->journal, e->plan.id, t->num, &s->job.memo, e->err) < 0) {
        give_up(e);
        return;
    }
    if (is_in_doubt(t)) {
        err_set(&s->doubt, ERR_IN_DOUBT, "%s", t->error ? t->error : "the runner ended meanwhile");
        submit(e, s, JOB_SETTLE, 0);
    } else if (move(e, s, TASK_RUNNING, NULL) == 0) {
        submit(e, s, JOB_PERFORM, 0);
    }
}

/* --- waves --- */

/* Sees requests to interrupt, from the journal or by signal. */
static void watch(struct exec *e)
{
    struct err why = ERR_INIT;
    enum plan_state state;

    if (e->broken)
        return;
    if (runner_stop_requested() && !e->asked_to_stop) {
        e->asked_to_stop = true;
        err_set(&why, ERR_INTERRUPTED, "the runner was asked to end (SIGTERM)");
        /* Refused when the operator was faster; then the look below sees that. */
        journal_plan_move(e->x->journal, e->plan.id, PLAN_INTERRUPT_REQUESTED,
                          &(struct move){.why = &why}, &(struct err)ERR_INIT);
        stop(e);
    }
    if (e->lease != NULL && e->lost.code == ERR_OK && lease_lost(e->lease, INT64_MAX, &e->lost))
        stop(e);
    state = journal_plan_state(e->x->journal, e->plan.id);
    if (state == PLAN_INTERRUPT_REQUESTED) {
        stop(e);
    } else if (state != PLAN_RUNNING && state != PLAN_STATE_COUNT) {
        err_set(e->err, ERR_FAILED, "plan %" PRId64 " was made %s while it was running", e->plan.id,
                plan_state_name(state));
        give_up(e);
    }
}

static void begin_some(struct exec *e, int wave)
{
    for (size_t i = 0; i < e->plan.n_tasks && e->under_way < e->most && !e->stopping; i++) {
        struct step *s = &e->steps[i];

        if (s->task->wave == wave && s->phase == FRESH)
            begin(e, s);
    }
}

static void run_wave(struct exec *e, int wave)
{
    int64_t watched_ms = time_mono_ms(), now;
    struct job *job;

    json_free(e->docs);
    e->docs = NULL;
    if (journal_docs(e->x->journal, &e->docs, NULL, e->err) < 0) {
        give_up(e);
        return;
    }
    if (e->lease != NULL)
        lease_docs(e->lease, e->docs);
    watch(e);
    for (begin_some(e, wave); e->under_way > 0; begin_some(e, wave)) {
        job = crew_take(e->crew, TICK_MS);
        if (job != NULL)
            finish(e, (struct step *)job);
        for (size_t i = 0; i < e->plan.n_tasks; i++) {
            if (e->steps[i].phase == UNDER_WAY)
                grant_wish(e, &e->steps[i]);
        }
        now = time_mono_ms();
        if (now - watched_ms < TICK_MS)
            continue;
        watched_ms = now;
        watch(e);
        for (size_t i = 0; i < e->plan.n_tasks; i++) {
            if (e->steps[i].phase == UNDER_WAY) {
                write_notes(e, &e->steps[i]);
                write_progress(e, &e->steps[i], now);
            }
        }
    }
}

/* --- the end --- */

static bool has_effects(const struct exec *e)
{
    for (size_t i = 0; i < e->plan.n_tasks; i++) {
        const struct task *t = &e->plan.tasks[i];
        if (t->state == TASK_SUCCEEDED && json_len(t->effects) > 0)
            return true;
    }
    return false;
}

/* Copies for the store's admins, as well as it goes: a plan does not fail because a copy is old. */
static void publish(struct exec *e)
{
    const struct engine *engine = e->x->engine;
    struct err err = ERR_INIT, ignored = ERR_INIT;
    struct event ev = {.severity = "warning", .plan_id = e->plan.id, .kind = "publish"};
    struct connection *cn = NULL;
    struct json *docs = NULL;
    char text[sizeof err.text + 80];
    int64_t version = 0;

    if (engine->publish == NULL || !has_effects(e))
        return;
    if (journal_docs(e->x->journal, &docs, &version, &err) == 0 &&
        (cn = engine->open(&e->endpoint, &err)) != NULL &&
        engine->publish(cn, docs, version, &err) == 0)
        goto out;
    snprintf(text, sizeof text, "the admins' copies of version %" PRId64 " are not all written: %s",
             version, err.text);
    ev.subject = e->plan.name;
    ev.text = text;
    journal_event(e->x->journal, &ev, &ignored);
out:
    if (cn != NULL)
        engine->close(cn);
    json_free(docs);
}

/* The step the plan's error speaks of: one with an unknown outcome before others, then the first.
 */
static const struct step *main_failure(const struct exec *e)
{
    const struct step *first = NULL;

    for (size_t i = 0; i < e->plan.n_tasks; i++) {
        const struct step *s = &e->steps[i];
        if (!s->failed)
            continue;
        if (s->task->state == TASK_UNKNOWN)
            return s;
        if (first == NULL)
            first = s;
    }
    return first;
}

static void explain_failure(const struct exec *e, struct err *why)
{
    const struct step *main = main_failure(e);
    size_t used;
    int others = 0;

    *why = main->doubt;
    if (plan_is_partial(&e->plan))
        why->code = ERR_PARTIAL;
    err_prepend(why, "task %d (%s)", main->task->num, main->task->what);
    for (size_t i = 0; i < e->plan.n_tasks; i++) {
        const struct step *s = &e->steps[i];
        if (!s->failed || s == main)
            continue;
        used = strlen(why->text);
        snprintf(why->text + used, sizeof why->text - used, "%s task %d (%s)",
                 others++ == 0 ? "; also failed:" : ",", s->task->num, s->task->what);
    }
}

static bool is_complete(const struct exec *e)
{
    for (size_t i = 0; i < e->plan.n_tasks; i++) {
        if (e->plan.tasks[i].state != TASK_SUCCEEDED && e->plan.tasks[i].state != TASK_SKIPPED)
            return false;
    }
    return true;
}

/* Stopped before its end: by a request, or because no more was asked for. */
static void explain_rest(const struct exec *e, struct err *why)
{
    struct task_counts n;

    plan_count(&e->plan, &n);
    if (e->stopping)
        err_set(why, ERR_INTERRUPTED, "interrupted as asked");
    else
        err_set(why, ERR_PARTIAL, "what had failed is done; %d of %d tasks are not begun",
                n.total - n.succeeded - n.skipped, n.total);
    err_advise(why, "plan execute -id %" PRId64 " goes on from the first unfinished task",
               e->plan.id);
}

/* A store that another plan has changed meanwhile explains most failures; an outcome that is not
 * known it does not. */
static bool is_overtaken(struct exec *e)
{
    if (e->failed && e->lease != NULL && e->lost.code == ERR_OK)
        lease_lost(e->lease, 0, &e->lost);
    if (e->lost.code == ERR_OK || is_complete(e))
        return false;
    return !e->failed || main_failure(e)->task->state != TASK_UNKNOWN;
}

/* The plan's last state, the copies first: whoever waits for the end finds them there. */
static int conclude(struct exec *e)
{
    struct err why = ERR_INIT;
    struct move m = {.why = &why};
    enum plan_state to = PLAN_SUCCEEDED;
    bool overtaken = is_overtaken(e);

    publish(e);
    lease_end(e->lease); /* whoever sees the plan at its end may begin the next one at once */
    e->lease = NULL;
    if (overtaken) {
        to = PLAN_ERROR;
        why = e->lost;
        err_prepend(&why, "somebody else took the store's lease");
    } else if (e->failed) {
        to = PLAN_ERROR;
        explain_failure(e, &why);
    } else if (!is_complete(e)) {
        to = PLAN_INTERRUPTED;
        explain_rest(e, &why);
    } else {
        m.why = NULL;
    }
    return journal_plan_move(e->x->journal, e->plan.id, to, &m, e->err);
}

/* --- the beginning --- */

/* A thread for each task of the widest wave, within the limit. */
static int threads_needed(const struct exec *e)
{
    int most = e->x->max_parallel > 0 ? e->x->max_parallel : PARALLEL_DEFAULT, widest = 0;

    for (int wave = plan_last_wave(&e->plan); wave > 0; wave--) {
        int width = 0;
        for (size_t i = 0; i < e->plan.n_tasks; i++) {
            const struct task *t = &e->plan.tasks[i];
            width += t->wave == wave && t->node != NULL && t->state != TASK_SUCCEEDED;
        }
        if (width > widest)
            widest = width;
    }
    return widest < most ? widest : most;
}

/* The plan stays as it is. Another one's lease ends; a later attempt of the plan itself does not.
 */
static int not_started(const struct exec *e)
{
    struct event ev = {
        .severity = "warning", .plan_id = e->plan.id, .kind = "lease", .subject = e->plan.name};
    char advice[sizeof e->err->advice], *text;

    if (e->err->code != ERR_LOCKED && e->err->code != ERR_STALE)
        return -1;
    ev.text = text = xasprintf("not started: %s", e->err->text);
    journal_event(e->x->journal, &ev, &(struct err)ERR_INIT);
    free(text);
    if (e->err->code == ERR_STALE) {
        memcpy(advice, e->err->advice, sizeof advice);
        return err_advise(e->err, "%s%splan cancel -id %" PRId64 " drops this one", advice,
                          advice[0] ? "; " : "", e->plan.id);
    }
    return err_advise(e->err,
                      "it stays %s: plan execute -id %" PRId64 " -lock-wait SECONDS starts it "
                      "when that one has ended; when the other machine is dead, add -takeover "
                      "-reason TEXT; plan cancel -id %" PRId64 " drops it",
                      plan_state_name(e->plan.state), e->plan.id, e->plan.id);
}

/* For show plan, as long as the runner lives (plan_starting). */
static void note_waiting(void *arg, const struct err *why)
{
    const struct exec *e = arg;
    struct event ev = {
        .severity = "info", .plan_id = e->plan.id, .kind = "waiting", .subject = e->plan.name};
    char *text = xasprintf("process %d is starting it and waits for the store's lease: %s",
                           (int)getpid(), why->text);

    ev.text = text;
    journal_event(e->x->journal, &ev, &(struct err)ERR_INIT);
    free(text);
}

/* Keeps plans of other machines away; says in the history when one was pushed aside. */
static int take_lease(struct exec *e)
{
    const struct executor *x = e->x;
    struct lease_wish w = {.engine = x->engine,
                           .endpoint = x->endpoint,
                           .plan_id = e->plan.id,
                           .epoch = e->plan.attempts + 1,
                           .wait_ms = x->lock_wait_ms,
                           .takeover = x->takeover,
                           .ttl_ms = x->lease_ttl_ms,
                           .waits = note_waiting,
                           .arg = e};
    struct event ev = {
        .severity = "warning", .plan_id = e->plan.id, .kind = "lease", .subject = e->plan.name};
    struct json *docs = NULL;
    char *owner, *text;

    if (journal_docs(x->journal, &docs, NULL, e->err) < 0)
        return -1;
    w.docs = docs;
    w.owner = owner = journal_owner(x->journal);
    e->lease = lease_begin(&w, e->err);
    free(owner);
    json_free(docs);
    if (e->lease == NULL)
        return not_started(e);
    e->endpoint.lease = lease_header(e->lease);
    if (x->takeover == NULL)
        return 0;
    ev.text = text = xasprintf("the store's lease is taken from whoever has it: %s", x->takeover);
    journal_event(x->journal, &ev, &(struct err)ERR_INIT);
    free(text);
    return 0;
}

/* Before the first step of all. */
static int look_again(struct exec *e)
{
    const struct engine *engine = e->x->engine;
    struct connection *cn = engine->open(&e->endpoint, e->err);
    int rc = -1;

    if (cn == NULL)
        return -1;
    rc = plan_still_safe(e->x->journal, engine, cn, &e->plan, e->err);
    engine->close(cn);
    return rc;
}

static int secure_store(struct exec *e)
{
    e->endpoint = *e->x->endpoint;
    if (e->x->engine->lease == NULL || !verb_changes_store(e->plan.verb))
        return 0;
    if (take_lease(e) < 0)
        return -1;
    return e->plan.attempts == 0 ? look_again(e) : 0;
}

static int prepare(struct exec *e)
{
    struct journal *j = e->x->journal;
    struct move m = {.runner_pid = getpid()};

    if (!lock_is_held(journal_dir(j), e->x->plan_id))
        return err_set(e->err, ERR_INTERNAL, "plan %" PRId64 " is executed without its lock",
                       e->x->plan_id);
    if (journal_plan_load(j, e->x->plan_id, &e->plan, e->err) < 0)
        return -1;
    if (secure_store(e) < 0)
        return -1;
    e->steps = xcalloc(e->plan.n_tasks, sizeof *e->steps);
    for (size_t i = 0; i < e->plan.n_tasks; i++)
        e->steps[i].task = &e->plan.tasks[i];
    e->most = threads_needed(e);
    if (e->most == 0)
        e->most = 1; /* tasks without a node are never under way */
    else if ((e->crew = crew_new(e->x->engine, &e->endpoint, &e->most, e->err)) == NULL)
        return -1;
    if (e->plan.state == PLAN_PENDING &&
        journal_plan_move(j, e->plan.id, PLAN_APPROVED, NULL, e->err) < 0)
        return -1;
    return journal_plan_move(j, e->plan.id, PLAN_RUNNING, &m, e->err);
}

int executor_run(const struct executor *x, struct err *err)
{
    struct exec e = {.x = x, .err = err};
    int last, rc = -1;

    if (prepare(&e) < 0) {
        runner_report(x->ready_fd, err);
        goto out;
    }
    runner_ready(x->ready_fd);
    last = plan_last_wave(&e.plan);
    for (int wave = 1; wave <= last && !e.failed && !e.stopping; wave++)
        run_wave(&e, wave);
    rc = e.broken ? -1 : conclude(&e);
out:
    crew_free(e.crew);
    lease_end(e.lease);
    for (size_t i = 0; e.steps != NULL && i < e.plan.n_tasks; i++)
        free(e.steps[i].job.memo);
    free(e.steps);
    json_free(e.docs);
    plan_release(&e.plan);
    return rc;
}
