#include "commands/show_plan.h"

#include <stdio.h>

#include "kvsh/fs.h"

static const struct out_col task_cols[] = {
    {"task", "TASK", OUT_INT, "number of the task"},
    {"wave", "WAVE", OUT_INT, "wave it belongs to"},
    {"type", "TYPE", OUT_STR, "the engine's word for it"},
    {"target", "TARGET", OUT_STR, "what it acts on"},
    {"what", "STEP", OUT_STR, "what it does"},
    {"state", "STATE", OUT_STATE, "its state"},
    {"inDoubt", NULL, OUT_BOOL, "the runner ended in its middle: it is done, or it is not"},
    {"stateText", NULL, OUT_STATE, "the state in words: IN DOUBT instead of RUNNING then"},
    {"attempts", "ATTEMPTS", OUT_INT, "how often it was begun"},
    {"started", "STARTED", OUT_TIME, "when it was begun"},
    {"ended", "ENDED", OUT_TIME, "when it ended"},
    {"tries", NULL, OUT_STR, "the same in words, where it is worth saying"},
    {"percent", "PERCENT", OUT_PERCENT, "its progress, where known"},
    {"waitingFor", "WAITING FOR", OUT_STR, "what it waits for"},
    {"result", "RESULT", OUT_STR, "what came of it"},
    {"error", "ERROR", OUT_STR, "what went wrong last"},
    {"advice", "ADVICE", OUT_STR, "what to do"},
    {"heading", NULL, OUT_STR, "title of the first row in text"},
    {0},
};

#define TASK_TEXT                                                                     \
    "{?heading|\n{heading}\n}   Task {task} [wave {wave}] {stateText}: {what}"        \
    "{?tries|\n        {tries}}"                                                      \
    "{?percent|\n        {percent}}{?waitingFor|\n        waiting for: {waitingFor}}" \
    "{?result|\n        {result}}{?error|\n        {error}}{?advice|\n        {advice}}"

const struct out_table table_failed_tasks = {
    .key = "failures", .cols = task_cols, .text = TASK_TEXT};
const struct out_table table_unfinished_tasks = {
    .key = "incompleteTasks", .cols = task_cols, .text = TASK_TEXT};
const struct out_table table_not_started = {
    .key = "tasksNotStarted", .cols = task_cols, .text = TASK_TEXT};
const struct out_table table_all_tasks = {
    .key = "finishedTasks", .cols = task_cols, .text = TASK_TEXT};

/* "2 tries, the last one from 2025-12-30 14:20:01 UTC to 2025-12-30 14:20:03 UTC" */
static void out_tries(struct out_row *row, const struct task *t)
{
    char begun[32], ended[32];

    if (t->attempts == 0)
        return;
    time_text(t->started_ms, begun);
    time_text(t->ended_ms, ended);
    if (t->ended_ms == 0)
        out_strf(row, "tries", "try %d, since %s", t->attempts, begun);
    else
        out_strf(row, "tries", "%d %s, the last one from %s to %s", t->attempts,
                 t->attempts == 1 ? "try" : "tries", begun, ended);
}

/* At work, says the journal, but nobody works on it: its runner ended in the middle. */
static bool is_in_doubt(const struct plan *p, const struct task *t)
{
    return t->state == TASK_RUNNING && plan_at_rest(p->state);
}

/* What a task that is not begun waits for: the waves before it. */
static const char *wait_reason(const struct plan *p, const struct task *t, char text[64])
{
    if (is_in_doubt(p, t))
        return "plan execute, which asks the store what became of it";
    if (t->state == TASK_RUNNING)
        return t->waiting_for;
    if (t->state != TASK_PENDING || p->attempts == 0)
        return NULL;
    if (plan_at_rest(p->state))
        return "plan execute";
    for (size_t i = 0; i < p->n_tasks; i++) {
        const struct task *other = &p->tasks[i];
        if (other->wave < t->wave && other->state != TASK_SUCCEEDED &&
            other->state != TASK_SKIPPED) {
            snprintf(text, 64, "task %d of wave %d", other->num, other->wave);
            return text;
        }
    }
    return "its turn";
}

static void out_task(const struct task_rows *rows, const struct out_table *table,
                     const struct task *t, const char *heading)
{
    struct out_row *row = out_row(rows->out, table);
    const struct plan *p = rows->plan;
    char waits[64];

    out_int(row, "task", t->num);
    out_int(row, "wave", t->wave);
    out_str(row, "type", t->type);
    out_str(row, "target", t->target);
    out_str(row, "what", t->what);
    out_str(row, "state", task_state_name(t->state));
    out_str(row, "stateText", is_in_doubt(p, t) ? "IN DOUBT" : task_state_name(t->state));
    if (is_in_doubt(p, t))
        out_bool(row, "inDoubt", true);
    out_int(row, "attempts", t->attempts);
    if (t->started_ms)
        out_int(row, "started", t->started_ms);
    if (t->ended_ms)
        out_int(row, "ended", t->ended_ms);
    if (t->state == TASK_RUNNING && t->percent >= 0)
        out_int(row, "percent", t->percent);
    out_str(row, "waitingFor", wait_reason(p, t, waits));
    if (t->state != TASK_PENDING && (rows->all || t->attempts > 1))
        out_tries(row, t);
    out_str(row, "result", t->result);
    if (t->state != TASK_SUCCEEDED) {
        out_str(row, "error", t->error);
        out_str(row, "advice", t->advice);
    }
    out_str(row, "heading", heading);
}

void out_plan_tasks(const struct task_rows *rows, const struct out_table *table, unsigned states,
                    const char *heading)
{
    const struct plan *p = rows->plan;

    for (size_t i = 0; i < p->n_tasks; i++) {
        if (!(states & (1u << p->tasks[i].state)))
            continue;
        out_task(rows, table, &p->tasks[i], heading);
        heading = NULL;
    }
}
