/*
 * The moves: one function for plans, one for tasks. Each checks the table, writes the state with
 * its times and an event into one transaction, and reports only after the commit. Nothing else
 * writes a state.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kvsh/fs.h"

#include "journal_internal.h"

/* The part of a plan's row that moves change. */
struct plan_row {
    int64_t id, started_ms, ended_ms, runner_pid;
    char name[128];
    enum plan_state state;
    int attempts;
    struct err last; /* of the last attempt */
};

struct task_row {
    int64_t plan_id, started_ms, ended_ms;
    int num, attempts, percent;
    char target[128], what[256], result[256];
    enum task_state state;
    enum plan_state plan_state;
    struct err last;
    struct json *effects; /* owned */
};

static void copy_text(char *out, size_t size, const char *s)
{
    snprintf(out, size, "%s", s != NULL ? s : "");
}

static void read_err(struct err *e, struct db_stmt *st, int col)
{
    e->code = err_by_name(db_col_str(st, col));
    copy_text(e->text, sizeof e->text, db_col_str(st, col + 1));
    copy_text(e->advice, sizeof e->advice, db_col_str(st, col + 2));
}

static void bind_err(struct db_stmt *st, const struct err *e)
{
    db_bind_str(st, ":code", err_name(e->code));
    db_bind_str(st, ":error", *e->text ? e->text : NULL);
    db_bind_str(st, ":advice", *e->advice ? e->advice : NULL);
}

/* --- plans --- */

static int read_plan_row(struct journal *j, int64_t id, struct plan_row *row, struct err *err)
{
    struct db_stmt *st = db_prepare(j->db,
                                    "SELECT name, state, attempts, started_ms, ended_ms,"
                                    " runner_pid, code, error, advice FROM plan WHERE id = :id",
                                    err);
    int rc;

    if (st == NULL)
        return -1;
    db_bind_int(st, ":id", id);
    rc = db_step(st, err);
    if (rc > 0) {
        *row = (struct plan_row){.id = id};
        copy_text(row->name, sizeof row->name, db_col_str(st, 0));
        plan_state_by_name(db_col_str(st, 1), &row->state); /* the table admits no other name */
        row->attempts = (int)db_col_int(st, 2);
        row->started_ms = db_col_int(st, 3);
        row->ended_ms = db_col_int(st, 4);
        row->runner_pid = db_col_int(st, 5);
        read_err(&row->last, st, 6);
    }
    db_done(st);
    if (rc == 0)
        return err_set(err, ERR_INPUT, "plan %" PRId64 " does not exist", id);
    return rc < 0 ? -1 : 0;
}

/* What can be done with a plan in this state; the id is filled in. */
static const char *const plan_ways_out[PLAN_STATE_COUNT] = {
    [PLAN_PENDING] = "plan execute -id %" PRId64 " starts it, plan cancel gives it up",
    [PLAN_APPROVED] = "plan execute -id %" PRId64 " starts it, plan cancel gives it up",
    [PLAN_RUNNING] = "plan wait -id %" PRId64 " waits for its end, plan interrupt stops it",
    [PLAN_INTERRUPT_REQUESTED] =
        "it stops as soon as its present tasks allow; plan wait -id %" PRId64 " waits for that",
    [PLAN_INTERRUPTED] = "plan execute -id %" PRId64
                         " goes on from the first unfinished task, plan cancel gives it up",
    [PLAN_SUCCEEDED] = "plan %" PRId64 " is over; to do the same again, make a new plan",
    [PLAN_ERROR] = "plan execute -id %" PRId64
                   " goes on from the first unfinished task, plan cancel gives it up",
    [PLAN_CANCELED] = "plan %" PRId64 " is over; to do the same again, make a new plan",
};

static int refuse_plan_move(const struct plan_row *row, enum plan_state to, struct err *err)
{
    static const char *const participles[PLAN_STATE_COUNT] = {
        [PLAN_PENDING] = "put back",
        [PLAN_APPROVED] = "approved",
        [PLAN_RUNNING] = "executed",
        [PLAN_INTERRUPT_REQUESTED] = "interrupted",
        [PLAN_INTERRUPTED] = "interrupted",
        [PLAN_SUCCEEDED] = "ended",
        [PLAN_ERROR] = "ended",
        [PLAN_CANCELED] = "canceled",
    };

    err_set(err, ERR_FAILED, "plan %" PRId64 " is %s and cannot be %s", row->id,
            plan_state_name(row->state), participles[to]);
    return err_advise(err, plan_ways_out[row->state], row->id);
}

/* What the move makes of the row. */
static void change_plan_row(struct plan_row *row, enum plan_state to, const struct move *m)
{
    static const struct err none = ERR_INIT;

    row->state = to;
    if (to == PLAN_APPROVED || to == PLAN_INTERRUPT_REQUESTED)
        return;
    row->runner_pid = to == PLAN_RUNNING ? m->runner_pid : 0;
    if (to == PLAN_RUNNING) {
        row->attempts++;
        row->started_ms = time_now_ms();
        row->ended_ms = 0;
        row->last = none;
    } else {
        row->ended_ms = time_now_ms();
        if (to != PLAN_CANCELED) /* a plan given up keeps what went wrong */
            row->last = m->why != NULL ? *m->why : none;
    }
}

static int write_plan_row(struct journal *j, const struct plan_row *row, struct err *err)
{
    struct db_stmt *st =
        db_prepare(j->db,
                   "UPDATE plan SET state = :state, attempts = :attempts, started_ms = :started,"
                   " ended_ms = :ended, runner_pid = :pid, code = :code, error = :error,"
                   " advice = :advice WHERE id = :id",
                   err);

    if (st == NULL)
        return -1;
    db_bind_int(st, ":id", row->id);
    db_bind_str(st, ":state", plan_state_name(row->state));
    db_bind_int(st, ":attempts", row->attempts);
    db_bind_int(st, ":started", row->started_ms);
    db_bind_int(st, ":ended", row->ended_ms);
    db_bind_int(st, ":pid", row->runner_pid);
    bind_err(st, &row->last);
    return db_run(st, err);
}

static const char *plan_severity(enum plan_state to)
{
    if (to == PLAN_ERROR)
        return "error";
    return to == PLAN_INTERRUPTED ? "warning" : "info";
}

static int put_plan_event(struct journal *j, const struct plan_row *row, const struct err *why,
                          struct err *err)
{
    char text[sizeof why->text + 128];
    struct event ev = {
        .severity = plan_severity(row->state),
        .plan_id = row->id,
        .kind = "plan",
        .subject = row->name,
        .text = text,
    };

    if (row->state == PLAN_RUNNING)
        snprintf(text, sizeof text, "plan %" PRId64 " is RUNNING: attempt %d, process %" PRId64,
                 row->id, row->attempts, row->runner_pid);
    else
        snprintf(text, sizeof text, "plan %" PRId64 " is %s%s%s", row->id,
                 plan_state_name(row->state), why != NULL ? ": " : "",
                 why != NULL ? why->text : "");
    return put_event(j, &ev, 0, err);
}

static int settle_canceled(struct journal *j, int64_t plan_id, struct err *err);

int move_plan(struct journal *j, int64_t id, enum plan_state to, const struct move *m,
              struct err *err)
{
    struct move none = {0};
    struct plan_row row;

    if (m == NULL)
        m = &none;
    if (read_plan_row(j, id, &row, err) < 0)
        return -1;
    if (!plan_may_move(row.state, to))
        return refuse_plan_move(&row, to, err);
    if (to == PLAN_CANCELED && settle_canceled(j, id, err) < 0)
        return -1;
    change_plan_row(&row, to, m);
    if (write_plan_row(j, &row, err) < 0)
        return -1;
    return put_plan_event(j, &row, m->why, err);
}

int journal_plan_move(struct journal *j, int64_t id, enum plan_state to, const struct move *m,
                      struct err *err)
{
    if (journal_begin_change(j, err) < 0)
        return -1;
    return journal_end(j, move_plan(j, id, to, m, err), err);
}

enum plan_state journal_plan_state(struct journal *j, int64_t id)
{
    struct err err = ERR_INIT;
    struct plan_row row;

    return read_plan_row(j, id, &row, &err) == 0 ? row.state : PLAN_STATE_COUNT;
}

/* --- tasks --- */

static int read_effects(struct task_row *row, const char *text, struct err *err)
{
    if (text == NULL)
        return 0;
    row->effects = json_parse(text, strlen(text), err);
    return row->effects != NULL
               ? 0
               : err_prepend(err, "task %d of plan %" PRId64 ": effects", row->num, row->plan_id);
}

static int read_task_row(struct journal *j, struct task_row *row, struct err *err)
{
    struct db_stmt *st =
        db_prepare(j->db,
                   "SELECT t.state, p.state, t.target, t.what, t.attempts, t.started_ms,"
                   " t.ended_ms, t.percent, t.result, t.code, t.error, t.advice, t.effects"
                   " FROM task t JOIN plan p ON p.id = t.plan_id"
                   " WHERE t.plan_id = :plan AND t.num = :num",
                   err);
    int rc;

    if (st == NULL)
        return -1;
    db_bind_int(st, ":plan", row->plan_id);
    db_bind_int(st, ":num", row->num);
    rc = db_step(st, err);
    if (rc > 0) {
        task_state_by_name(db_col_str(st, 0), &row->state);
        plan_state_by_name(db_col_str(st, 1), &row->plan_state);
        copy_text(row->target, sizeof row->target, db_col_str(st, 2));
        copy_text(row->what, sizeof row->what, db_col_str(st, 3));
        row->attempts = (int)db_col_int(st, 4);
        row->started_ms = db_col_int(st, 5);
        row->ended_ms = db_col_int(st, 6);
        row->percent = (int)db_col_int(st, 7);
        copy_text(row->result, sizeof row->result, db_col_str(st, 8));
        read_err(&row->last, st, 9);
        if (read_effects(row, db_col_str(st, 12), err) < 0)
            rc = -1;
    }
    db_done(st);
    if (rc == 0)
        return err_set(err, ERR_INPUT, "plan %" PRId64 " has no task %d", row->plan_id, row->num);
    return rc < 0 ? -1 : 0;
}

/* Tasks move only while their plan is at work, and none begins once an interrupt is asked for. */
static int check_task_move(const struct task_row *row, enum task_state to, struct err *err)
{
    if (plan_at_rest(row->plan_state)) {
        err_set(err, ERR_FAILED, "plan %" PRId64 " is %s: its tasks do not move", row->plan_id,
                plan_state_name(row->plan_state));
        return err_advise(err, plan_ways_out[row->plan_state], row->plan_id);
    }
    if (to == TASK_RUNNING && row->plan_state == PLAN_INTERRUPT_REQUESTED)
        return err_set(err, ERR_INTERRUPTED,
                       "plan %" PRId64 " is to be interrupted: task %d is not started",
                       row->plan_id, row->num);
    if (!task_may_move(row->state, to))
        return err_set(err, ERR_FAILED, "task %d of plan %" PRId64 " is %s and cannot become %s",
                       row->num, row->plan_id, task_state_name(row->state), task_state_name(to));
    return 0;
}

/* The last error stays visible while a task is tried again, and goes when it has succeeded. */
static void change_task_row(struct task_row *row, enum task_state to, const struct move *m)
{
    static const struct err none = ERR_INIT;

    row->state = to;
    if (to == TASK_RUNNING) {
        row->attempts++;
        row->started_ms = time_now_ms();
        row->ended_ms = 0;
        row->percent = -1;
        return;
    }
    row->ended_ms = time_now_ms();
    if (to == TASK_SUCCEEDED) {
        row->percent = 100;
        copy_text(row->result, sizeof row->result, m->result);
    }
    row->last = m->why != NULL ? *m->why : none;
}

static int write_task_row(struct journal *j, const struct task_row *row, struct err *err)
{
    struct db_stmt *st =
        db_prepare(j->db,
                   "UPDATE task SET state = :state, attempts = :attempts, started_ms = :started,"
                   " ended_ms = :ended, percent = :percent, waiting_for = NULL, result = :result,"
                   " code = :code, error = :error, advice = :advice"
                   " WHERE plan_id = :plan AND num = :num",
                   err);

    if (st == NULL)
        return -1;
    db_bind_int(st, ":plan", row->plan_id);
    db_bind_int(st, ":num", row->num);
    db_bind_str(st, ":state", task_state_name(row->state));
    db_bind_int(st, ":attempts", row->attempts);
    db_bind_int(st, ":started", row->started_ms);
    db_bind_int(st, ":ended", row->ended_ms);
    db_bind_int(st, ":percent", row->percent);
    db_bind_str(st, ":result", *row->result ? row->result : NULL);
    bind_err(st, &row->last);
    return db_run(st, err);
}

static const char *task_severity(enum task_state to)
{
    if (to == TASK_ERROR || to == TASK_UNKNOWN)
        return "error";
    return to == TASK_INTERRUPTED ? "warning" : "info";
}

static int put_task_event(struct journal *j, const struct task_row *row, const struct move *m,
                          struct err *err)
{
    const char *detail = m->why != NULL ? m->why->text : m->result;
    char text[sizeof m->why->text + sizeof row->what + 128];
    struct event ev = {
        .severity = task_severity(row->state),
        .plan_id = row->plan_id,
        .task_num = row->num,
        .kind = "task",
        .subject = row->target,
        .text = text,
    };

    if (row->state == TASK_RUNNING && row->attempts > 1)
        snprintf(text, sizeof text, "task %d (%s) is RUNNING: attempt %d", row->num, row->what,
                 row->attempts);
    else
        snprintf(text, sizeof text, "task %d (%s) is %s%s%s", row->num, row->what,
                 task_state_name(row->state), detail != NULL && *detail ? ": " : "",
                 detail != NULL ? detail : "");
    return put_event(j, &ev, 0, err);
}

/* Writes a move that has been checked. */
static int put_task_move(struct journal *j, struct task_row *row, enum task_state to,
                         const struct move *m, struct err *err)
{
    change_task_row(row, to, m);
    if (write_task_row(j, row, err) < 0 || put_task_event(j, row, m, err) < 0)
        return -1;
    if (to != TASK_SUCCEEDED)
        return 0;
    return put_effects(j, row->effects, row->plan_id, err);
}

static int move_task(struct journal *j, struct task_row *row, enum task_state to,
                     const struct move *m, struct err *err)
{
    int rc = -1;

    if (read_task_row(j, row, err) == 0 && check_task_move(row, to, err) == 0)
        rc = put_task_move(j, row, to, m, err);
    json_free(row->effects);
    return rc;
}

int journal_task_move(struct journal *j, int64_t plan_id, int num, enum task_state to,
                      const struct move *m, struct err *err)
{
    struct task_row row = {.plan_id = plan_id, .num = num};
    struct move none = {0};

    if (journal_begin_change(j, err) < 0)
        return -1;
    return journal_end(j, move_task(j, &row, to, m != NULL ? m : &none, err), err);
}

/* --- tasks of a plan given up --- */

/* The first task after `after` that is PENDING or RUNNING: its number, 0: none, -1: failed. */
static int next_open_task(struct journal *j, int64_t plan_id, int after, struct err *err)
{
    struct db_stmt *st = db_prepare(j->db,
                                    "SELECT num FROM task WHERE plan_id = :plan AND num > :after"
                                    " AND state IN ('PENDING','RUNNING') ORDER BY num LIMIT 1",
                                    err);
    int num = 0, rc;

    if (st == NULL)
        return -1;
    db_bind_int(st, ":plan", plan_id);
    db_bind_int(st, ":after", after);
    rc = db_step(st, err);
    if (rc > 0)
        num = (int)db_col_int(st, 0);
    db_done(st);
    return rc < 0 ? -1 : num;
}

static int settle_canceled_task(struct journal *j, struct task_row *row, struct err *err)
{
    struct err why = ERR_INIT;
    enum task_state to = TASK_SKIPPED;
    int rc = -1;

    if (read_task_row(j, row, err) < 0)
        goto out;
    if (row->state == TASK_RUNNING) {
        to = TASK_UNKNOWN;
        err_set(&why, ERR_IN_DOUBT,
                "its runner ended in the middle, and the plan was canceled before the store was "
                "asked");
        err_advise(&why, "look at %s before doing the same again",
                   *row->target ? row->target : "the store");
    }
    rc = put_task_move(j, row, to, &(struct move){.why = to == TASK_UNKNOWN ? &why : NULL}, err);
out:
    json_free(row->effects);
    return rc;
}

/* What was not begun is SKIPPED; what was found in doubt stays unknown for good. */
static int settle_canceled(struct journal *j, int64_t plan_id, struct err *err)
{
    struct task_row row;

    for (int num = 0;;) {
        num = next_open_task(j, plan_id, num, err);
        if (num <= 0)
            return num;
        row = (struct task_row){.plan_id = plan_id, .num = num};
        if (settle_canceled_task(j, &row, err) < 0)
            return -1;
    }
}

/* One statement, one commit of its own: progress is no state and has no event. */
int journal_task_progress(struct journal *j, int64_t plan_id, int num, int percent,
                          const char *waiting_for, struct err *err)
{
    struct db_stmt *st = db_prepare(j->db,
                                    "UPDATE task SET percent = :percent, waiting_for = :waiting"
                                    " WHERE plan_id = :plan AND num = :num AND state = 'RUNNING'",
                                    err);

    if (st == NULL)
        return -1;
    db_bind_int(st, ":plan", plan_id);
    db_bind_int(st, ":num", num);
    db_bind_int(st, ":percent", percent < 0 ? -1 : percent > 100 ? 100 : percent);
    db_bind_str(st, ":waiting", waiting_for);
    return db_run(st, err);
}
