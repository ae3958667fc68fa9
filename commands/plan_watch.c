#include "commands/plan_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/plan_common.h"
#include "kvsh/fs.h"

static const struct out_col cols[] = {
    {"time", "TIME", OUT_TIME, "when it happened, or was seen"},
    {"task", "TASK", OUT_INT, "number of the task; absent: the plan as a whole"},
    {"state", "STATE", OUT_STATE, "the state it is in now"},
    {"what", "STEP", OUT_STR, "what the task does, or the plan's name"},
    {"detail", "DETAIL", OUT_STR, "what it waits for, what came of it, or what went wrong"},
    {0},
};
const struct out_table table_watch = {
    .key = "changes",
    .cols = cols,
    .text = "{time} {?task|task {task} }{state}: {what}{?detail|: {detail}}",
};

/* A task, or the plan itself, as it was seen last. */
struct seen {
    int state; /* -1: not yet */
    int attempts;
    bool in_doubt; /* its runner ended in the middle of it */
    char waiting_for[160];
};

struct watch {
    struct out *out;
    struct seen plan;
    struct seen *tasks;
    size_t n_tasks;
    bool changed;
};

struct watch *watch_new(struct out *out)
{
    struct watch *w = xcalloc(1, sizeof *w);

    w->out = out;
    w->plan.state = -1;
    return w;
}

void watch_free(struct watch *w)
{
    if (w == NULL)
        return;
    free(w->tasks);
    free(w);
}

static struct out_row *add_row(struct watch *w, int64_t time_ms, const char *state,
                               const char *what)
{
    struct out_row *row = out_row(w->out, &table_watch);

    out_int(row, "time", time_ms > 0 ? time_ms : time_now_ms());
    out_str(row, "state", state);
    out_str(row, "what", what);
    w->changed = true;
    return row;
}

static const char *detail_of(const struct task *t)
{
    switch (t->state) {
    case TASK_SUCCEEDED:
        return t->result;
    case TASK_ERROR:
    case TASK_UNKNOWN:
    case TASK_INTERRUPTED:
        return t->error;
    default:
        return NULL;
    }
}

static const char in_doubt[] = "in doubt: the runner ended in its middle";

static void look_at_task(struct watch *w, const struct task *t, struct seen *seen, bool at_rest)
{
    const char *waits =
        t->state == TASK_RUNNING && !at_rest && t->waiting_for != NULL ? t->waiting_for : "";
    bool moved = seen->state != (int)t->state || seen->attempts != t->attempts;
    struct out_row *row;

    if (moved) {
        row = add_row(w, t->state == TASK_RUNNING ? t->started_ms : t->ended_ms,
                      task_state_name(t->state), t->what);
        out_int(row, "task", t->num);
        if (t->state == TASK_RUNNING && at_rest)
            out_str(row, "detail", in_doubt);
        else if (t->state == TASK_RUNNING && t->attempts > 1)
            out_strf(row, "detail", "attempt %d", t->attempts);
        else
            out_str(row, "detail", detail_of(t));
    } else if (t->state == TASK_RUNNING && at_rest && !seen->in_doubt) {
        row = add_row(w, 0, task_state_name(t->state), t->what);
        out_int(row, "task", t->num);
        out_str(row, "detail", in_doubt);
    }
    if (*waits != '\0' && strcmp(waits, seen->waiting_for) != 0) {
        row = add_row(w, 0, task_state_name(t->state), t->what);
        out_int(row, "task", t->num);
        out_strf(row, "detail", "waiting for %s", waits);
    }
    seen->state = (int)t->state;
    seen->attempts = t->attempts;
    seen->in_doubt = t->state == TASK_RUNNING && at_rest;
    if (*waits != '\0' || moved)
        snprintf(seen->waiting_for, sizeof seen->waiting_for, "%s", waits);
}

static void look_at_plan(struct watch *w, const struct plan *p)
{
    const int64_t time_ms = p->state == PLAN_RUNNING ? p->started_ms : p->ended_ms;
    struct out_row *row =
        add_row(w, time_ms ? time_ms : p->created_ms, plan_state_name(p->state), p->name);

    if (p->state == PLAN_RUNNING && p->attempts > 1)
        out_strf(row, "detail", "attempt %d", p->attempts);
    w->plan.state = (int)p->state;
    w->plan.attempts = p->attempts;
}

bool watch_changes(struct watch *w, const struct plan *p)
{
    const bool moved = w->plan.state != (int)p->state || w->plan.attempts != p->attempts;

    w->changed = false;
    if (w->n_tasks < p->n_tasks) {
        w->tasks = xrealloc(w->tasks, p->n_tasks, sizeof *w->tasks);
        for (; w->n_tasks < p->n_tasks; w->n_tasks++)
            w->tasks[w->n_tasks] = (struct seen){.state = TASK_PENDING};
    }
    if (moved && !plan_at_rest(p->state))
        look_at_plan(w, p);
    for (size_t i = 0; i < p->n_tasks; i++)
        look_at_task(w, &p->tasks[i], &w->tasks[i], plan_at_rest(p->state));
    if (moved && plan_at_rest(p->state))
        look_at_plan(w, p); /* its end comes behind those of its tasks */
    return w->changed;
}
