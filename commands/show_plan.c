#include "commands/show_plan.h"

#include <stdio.h>
#include <stdlib.h>

#include "commands/explain.h"
#include "commands/plan_common.h"
#include "kvsh/fs.h"

/* show plan: one plan in full. */
struct opts {
    struct plan_ref ref;
    bool watch, explain;
};

static const struct opt options[] = {
    PLAN_REF(struct opts, ref),
    OPT_FLAG(struct opts, watch, "watch", "show each change until the plan has ended", .one_of = 2),
    OPT_FLAG(struct opts, explain, "explain",
             "the commands of the store's own tools that would do the same", .one_of = 2),
    OPT_END,
};

static const struct out_col plan_cols[] = {
    {"id", "ID", OUT_INT, "number of the plan"},
    {"name", "NAME", OUT_STR, "name of the plan"},
    {"state", "STATE", OUT_STATE, "its state"},
    {"attempts", "ATTEMPTS", OUT_INT, "how often it was started"},
    {"command", "COMMAND", OUT_STR, "the line it was made by"},
    {"user", "USER", OUT_STR, "who made it"},
    {"reason", "REASON", OUT_STR, "why it was forced"},
    {"notes", "NOTES", OUT_LIST, "what spoke against it when it was made"},
    {"created", "CREATED", OUT_TIME, "when it was made"},
    {"started", "STARTED", OUT_TIME, "when the last attempt began"},
    {"ended", "ENDED", OUT_TIME, "when the last attempt ended"},
    {"tasksTotal", NULL, OUT_INT, "tasks of the plan"},
    {"percent", NULL, OUT_INT, "progress of the whole plan"},
    {"tasksSucceeded", NULL, OUT_INT, "tasks that are done"},
    {"tasksFailed", NULL, OUT_INT, "tasks that failed"},
    {"tasksInterrupted", NULL, OUT_INT, "tasks that were interrupted"},
    {"tasksUnknown", NULL, OUT_INT, "tasks whose outcome is unknown"},
    {"tasksRunning", NULL, OUT_INT, "tasks at work"},
    {"tasksInDoubt", NULL, OUT_INT, "tasks in whose middle the runner ended: done or not done"},
    {"tasksSkipped", NULL, OUT_INT, "tasks that will not be done any more"},
    {"tasksPending", NULL, OUT_INT, "tasks not begun"},
    {0},
};
const struct out_table table_plan = {
    .cols = plan_cols,
    .single = true,
    .text = "Plan {name}\n"
            "Id:                    {id}\n"
            "State:                 {state}\n"
            "Attempt number:        {attempts}"
            "{?command|\nCommand:               {command}}"
            "{?user|\nCreated by:            {user}}"
            "{?reason|\nForced because:        {reason}}"
            "{?notes|\nNotes:                 {notes}}"
            "\nCreated:               {created}"
            "{?started|\nStarted:               {started}}"
            "{?ended|\nEnded:                 {ended}}"
            "\nTotal tasks:           {tasksTotal}"
            "\n Progress percent:     {percent}"
            "\n Successful:           {tasksSucceeded}"
            "{?tasksFailed|\n Failed:               {tasksFailed}}"
            "{?tasksInterrupted|\n Interrupted:          {tasksInterrupted}}"
            "{?tasksUnknown|\n Outcome unknown:      {tasksUnknown}}"
            "{?tasksRunning|\n Running:              {tasksRunning}}"
            "{?tasksInDoubt|\n In doubt:             {tasksInDoubt}}"
            "{?tasksPending|\n Not started:          {tasksPending}}"
            "{?tasksSkipped|\n Skipped:              {tasksSkipped}}",
};

static const struct out_col error_cols[] = {
    {"error", "ERROR", OUT_STR, "why the last attempt did not come to its end"},
    {"advice", "ADVICE", OUT_STR, "what to do"},
    {"outcome", NULL, OUT_STR, "the same in a word or two"},
    {0},
};
const struct out_table table_plan_attempt_error = {
    .cols = error_cols,
    .single = true,
    .text = "{outcome}:\n        {error}{?advice|\n        {advice}}",
};

static void out_counts(struct out_row *row, const struct task_counts *n, bool at_rest)
{
    out_int(row, "tasksTotal", n->total);
    out_int(row, "percent", n->percent);
    out_int(row, "tasksSucceeded", n->succeeded);
    const struct {
        const char *key;
        int n;
    } counts[] = {
        {"tasksFailed", n->failed},   {"tasksInterrupted", n->interrupted},
        {"tasksUnknown", n->unknown}, {at_rest ? "tasksInDoubt" : "tasksRunning", n->running},
        {"tasksPending", n->pending}, {"tasksSkipped", n->skipped},
    };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        if (counts[i].n > 0)
            out_int(row, counts[i].key, counts[i].n);
    }
}

static void out_plan(struct out *out, const struct plan *p)
{
    struct out_row *row = out_row(out, &table_plan);
    struct task_counts n;

    out_int(row, "id", p->id);
    out_str(row, "name", p->name);
    out_str(row, "state", plan_state_name(p->state));
    out_int(row, "attempts", p->attempts);
    out_str(row, "command", p->command);
    out_str(row, "user", p->user);
    out_str(row, "reason", p->reason);
    for (size_t i = 0; i < p->n_notes; i++)
        out_item(row, "notes", p->notes[i]);
    out_int(row, "created", p->created_ms);
    if (p->started_ms)
        out_int(row, "started", p->started_ms);
    if (p->ended_ms)
        out_int(row, "ended", p->ended_ms);
    plan_count(p, &n);
    out_counts(row, &n, plan_at_rest(p->state));
    /* of a failed task the failures tell, but not that another plan is behind it */
    if ((n.failed + n.unknown == 0 || plan_is_overtaken(p)) && p->error != NULL && p->error[0] &&
        (p->state == PLAN_ERROR || p->state == PLAN_INTERRUPTED)) {
        row = out_row(out, &table_plan_attempt_error);
        out_str(row, "outcome", p->state == PLAN_ERROR ? "Plan failure" : "Interrupted");
        out_str(row, "error", p->error);
        out_str(row, "advice", p->advice);
    }
}

/* Not begun, or not begun again: is somebody about to? */
static void note_start(struct journal *j, const struct plan *p, struct out *out)
{
    char *starting = plan_starting(j, p);

    if (starting != NULL)
        out_note(out, "plan %lld is not running yet: %s; plan wait -id %lld follows it",
                 (long long)p->id, starting, (long long)p->id);
    else if (p->attempts == 0 && plan_may_move(p->state, PLAN_RUNNING))
        out_note(out, "plan %lld has not been started; plan execute -id %lld starts it",
                 (long long)p->id, (long long)p->id);
    free(starting);
}

int show_plan(struct session *s, int64_t id, struct out *out, struct err *err)
{
    const bool all_tasks = shell_is_verbose(session_shell(s));
    struct journal *j = session_journal(s, err);
    struct plan p = {0};
    const struct task_rows rows = {.out = out, .plan = &p, .all = all_tasks};
    int rc = -1;

    if (j == NULL || journal_plan_load(j, id, &p, err) != 0)
        goto out;
    out_plan(out, &p);
    out_plan_tasks(&rows, &table_failed_tasks, 1u << TASK_ERROR | 1u << TASK_UNKNOWN, "Failures:");
    out_plan_tasks(&rows, &table_unfinished_tasks, 1u << TASK_RUNNING | 1u << TASK_INTERRUPTED,
                   "Incomplete tasks:");
    if (p.attempts > 0 || all_tasks)
        out_plan_tasks(&rows, &table_not_started, 1u << TASK_PENDING, "Tasks not started:");
    note_start(j, &p, out);
    if (all_tasks)
        out_plan_tasks(&rows, &table_all_tasks, 1u << TASK_SUCCEEDED | 1u << TASK_SKIPPED,
                       "Finished tasks:");
    rc = 0;
out:
    plan_release(&p);
    return rc;
}

static const struct out_table *const tables[] = {
    &table_plan,
    &table_plan_attempt_error,
    &table_failed_tasks,
    &table_unfinished_tasks,
    &table_not_started,
    &table_all_tasks,
    &table_watch,
    &table_explain,
    NULL,
};

static int explain(struct session *s, int64_t id, struct out *out, struct err *err)
{
    struct journal *j = session_journal(s, err);
    struct plan p = {0};
    int rc = j ? journal_plan_load(j, id, &p, err) : -1;

    if (rc == 0)
        rc = explain_plan(s, &p, out, err);
    plan_release(&p);
    return rc;
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    int64_t id = plan_resolve(s, &o->ref, err);

    if (id == 0)
        return -1;
    if (o->watch)
        return plan_watch(s, id, out, err);
    return o->explain ? explain(s, id, out, err) : show_plan(s, id, out, err);
}

static const char *const examples[] = {"show plan -id 9", "show plan -last -verbose",
                                       "show plan -id 9 -watch", "show plan -id 9 -explain", NULL};

const struct cmd cmd_show_plan = {
    .name = "show plan",
    .summary = "show one plan: state, progress, failures",
    .description =
        "Shows the tasks that failed, are at work or are not begun, and what each waits for; with "
        "-verbose all, with their tries and times.\n\n"
        "-watch shows one line for each change until the plan has ended, and ends with its exit "
        "status. -explain shows for each task what a person could type to do the same; secrets are "
        "left out.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
