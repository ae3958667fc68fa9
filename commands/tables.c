#include "commands/tables.h"

#include <string.h>

static const struct out_col id_cols[] = {
    {"planId", "ID", OUT_INT, "number of the plan"},
    {0},
};

const struct out_table table_plan_created = {
    .cols = id_cols, .single = true, .text = "Created plan without execution: {planId}"};

const struct out_table table_plan_started = {
    .cols = id_cols,
    .single = true,
    .text = "Started plan {planId}. Use show plan -id {planId} to check status.\n"
            "        To wait for completion, use plan wait -id {planId}",
};

const struct out_table table_plan_waiting = {
    .cols = id_cols,
    .single = true,
    .chatter = true,
    .text = "Executed plan {planId}, waiting for completion...",
};

static const struct out_col ended_cols[] = {
    {"planId", "ID", OUT_INT, "number of the plan"},
    {"name", "NAME", OUT_STR, "name of the plan"},
    {"state", "STATE", OUT_STATE, "its state now"},
    {"outcome", NULL, OUT_STR, "the same in words"},
    {"tasksTotal", NULL, OUT_INT, "tasks of the plan"},
    {"tasksSucceeded", NULL, OUT_INT, "tasks that are done"},
    {"tasksFailed", NULL, OUT_INT, "tasks that failed"},
    {"tasksInterrupted", NULL, OUT_INT, "tasks that were interrupted"},
    {"tasksUnknown", NULL, OUT_INT, "tasks whose outcome is unknown"},
    {"tasksRunning", NULL, OUT_INT, "tasks at work"},
    {"tasksInDoubt", NULL, OUT_INT, "tasks in whose middle the runner ended: done or not done"},
    {"tasksSkipped", NULL, OUT_INT, "tasks that will not be done any more"},
    {"tasksPending", NULL, OUT_INT, "tasks not begun"},
    {"percent", NULL, OUT_PERCENT, "progress of the whole plan"},
    {0},
};

static const struct out_table table_plan_ended = {
    .cols = ended_cols, .single = true, .chatter = true, .text = "Plan {planId} {outcome}"};
/* One that did not succeed is told by its name, too. */
static const struct out_table table_plan_not_ended = {.cols = ended_cols,
                                                      .single = true,
                                                      .chatter = true,
                                                      .text = "Plan {planId} ({name}) {outcome}"};

/* Of a canceled one the command's error says all there is to say. */
static const struct out_table table_plan_canceled = {
    .cols = ended_cols, .single = true, .json_only = true};

static const struct out_col failure_cols[] = {
    {"task", "TASK", OUT_INT, "number of the task"},
    {"target", "TARGET", OUT_STR, "what it acts on"},
    {"what", "STEP", OUT_STR, "what it does"},
    {"state", "STATE", OUT_STATE, "its state"},
    {"error", "ERROR", OUT_STR, "what went wrong"},
    {"advice", "ADVICE", OUT_STR, "what to do"},
    {0},
};

static const struct out_table table_plan_failures = {
    .key = "failures",
    .cols = failure_cols,
    .json_only = true, /* the text says it as the command's error */
};

const struct out_table *const plan_tables[] = {
    &table_plan_created,   &table_plan_started,     &table_plan_waiting,  &table_plan_ended,
    &table_plan_not_ended, &table_plan_canceled,    &table_plan_failures, &table_preview,
    &table_preview_tasks,  &table_preview_findings, &table_explain,       NULL,
};

static const char *outcome_text(const struct plan *p, const struct task_counts *n)
{
    static const char *const text[PLAN_STATE_COUNT] = {
        [PLAN_PENDING] = "has not been approved",
        [PLAN_APPROVED] = "has not been started",
        [PLAN_RUNNING] = "is running",
        [PLAN_INTERRUPT_REQUESTED] = "is being interrupted",
        [PLAN_INTERRUPTED] = "has been interrupted",
        [PLAN_SUCCEEDED] = "ended successfully",
        [PLAN_ERROR] = "ended with errors",
        [PLAN_CANCELED] = "has been canceled",
    };

    if (p->state == PLAN_ERROR && n->unknown > 0)
        return "ended, and what became of a step is UNKNOWN";
    if (p->state == PLAN_ERROR && plan_is_partial(p))
        return "is partly done";
    return text[p->state];
}

static void out_failures(struct out *out, const struct plan *p)
{
    for (size_t i = 0; i < p->n_tasks; i++) {
        const struct task *t = &p->tasks[i];
        struct out_row *row;
        if (t->state != TASK_ERROR && t->state != TASK_UNKNOWN)
            continue;
        row = out_row(out, &table_plan_failures);
        out_int(row, "task", t->num);
        out_str(row, "target", t->target);
        out_str(row, "what", t->what);
        out_str(row, "state", task_state_name(t->state));
        out_str(row, "error", t->error ? t->error : "outcome unknown");
        out_str(row, "advice", t->advice);
    }
}

static const struct out_table *ended_table(const struct plan *p)
{
    if (p->state == PLAN_CANCELED)
        return &table_plan_canceled;
    return p->state == PLAN_SUCCEEDED ? &table_plan_ended : &table_plan_not_ended;
}

void out_plan_ended(struct out *out, const struct plan *p)
{
    struct out_row *row = out_row(out, ended_table(p));
    const bool at_rest = plan_at_rest(p->state);
    struct task_counts n;

    plan_count(p, &n);
    out_int(row, "planId", p->id);
    out_str(row, "name", p->name);
    out_str(row, "state", plan_state_name(p->state));
    out_str(row, "outcome", outcome_text(p, &n));
    out_int(row, "tasksTotal", n.total);
    out_int(row, "tasksSucceeded", n.succeeded);
    out_int(row, "tasksFailed", n.failed);
    out_int(row, "tasksInterrupted", n.interrupted);
    out_int(row, "tasksUnknown", n.unknown);
    out_int(row, "tasksRunning", at_rest ? 0 : n.running);
    out_int(row, "tasksInDoubt", at_rest ? n.running : 0);
    out_int(row, "tasksSkipped", n.skipped);
    out_int(row, "tasksPending", n.pending);
    out_int(row, "percent", n.percent);
    out_failures(out, p);
}

/* --- show plans --- */

static const struct out_col plan_cols[] = {
    {"id", "ID", OUT_INT, "number of the plan"},
    {"name", "NAME", OUT_STR, "name of the plan"},
    {"state", "STATE", OUT_STATE, "state of the plan"},
    {"outcomeUnknown", NULL, OUT_BOOL, "what became of a step is not known"},
    {"created", "CREATED", OUT_TIME, "when it was made"},
    {"ended", "ENDED", OUT_TIME, "when it came to rest"},
    {0},
};

const struct out_table table_plans = {
    .key = "plans",
    .cols = plan_cols,
    .text = "{id:-6} {name:24} {state}{?outcomeUnknown| (outcome UNKNOWN)}",
};

void out_plan_row(struct out *out, const struct plan *p)
{
    struct out_row *row = out_row(out, &table_plans);

    out_int(row, "id", p->id);
    out_str(row, "name", p->name);
    out_str(row, "state", plan_state_name(p->state));
    if (p->state == PLAN_ERROR && p->code == ERR_IN_DOUBT)
        out_bool(row, "outcomeUnknown", true);
    out_int(row, "created", p->created_ms);
    if (p->ended_ms)
        out_int(row, "ended", p->ended_ms);
}

/* --- preview --- */

static const struct out_col preview_cols[] = {
    {"name", "NAME", OUT_STR, "what kind of plan it is"},
    {"tasksTotal", "TASKS", OUT_INT, "number of tasks"},
    {"waves", "WAVES", OUT_INT, "number of waves; the tasks of one may run at the same time"},
    {"digest", "DIGEST", OUT_STR, "fingerprint of the observation it was made from"},
    {0},
};
const struct out_table table_preview = {
    .cols = preview_cols,
    .single = true,
    .text = "Preview of {name} (tasks: {tasksTotal}, waves: {waves}); nothing was changed"
            "{?digest|\n  made from observation {digest}}",
};

static const struct out_col preview_task_cols[] = {
    {"task", "TASK", OUT_INT, "number of the task"},
    {"wave", "WAVE", OUT_INT, "wave it belongs to"},
    {"type", NULL, OUT_STR, "the engine's word for it"},
    {"target", NULL, OUT_STR, "what it acts on"},
    {"what", "STEP", OUT_STR, "what it does"},
    {"why", NULL, OUT_STR, "why it is safe"},
    {"degrades", NULL, OUT_STR, "what is worse meanwhile"},
    {0},
};
const struct out_table table_preview_tasks = {
    .key = "tasks",
    .cols = preview_task_cols,
    .text = "  wave {wave}, task {task} [{target}]: {what}{?why|\n      safe because {why}}"
            "{?degrades|\n      meanwhile {degrades}}",
};

static const struct out_col finding_cols[] = {
    {"severity", "SEVERITY", OUT_STATE, "note, violation, block, confirm or fatal"},
    {"rule", NULL, OUT_STR, "stable short name"},
    {"resourceId", "RESOURCE", OUT_STR, "what it is about"},
    {"description", "DESCRIPTION", OUT_STR, "the sentence"},
    {"remedy", "REMEDY", OUT_STR, "what to do"},
    {0},
};
const struct out_table table_preview_findings = {
    .key = "findings",
    .cols = finding_cols,
    .text = "  {severity}: [{resourceId}] {description} (rule {rule}){?remedy|; {remedy}}",
};

void out_finding(struct out *out, const struct finding *one)
{
    struct out_row *row = out_row(out, &table_preview_findings);

    out_str(row, "severity", severity_name(one->severity));
    out_str(row, "rule", one->rule);
    out_str(row, "resourceId", one->subject);
    out_str(row, "description", one->text);
    out_str(row, "remedy", one->remedy);
}

void out_preview(struct out *out, const struct plan *p, const struct findings *f)
{
    struct out_row *row = out_row(out, &table_preview);

    out_str(row, "name", p->name ? p->name : verb_title(p->verb));
    out_int(row, "tasksTotal", (int64_t)p->n_tasks);
    out_int(row, "waves", plan_last_wave(p));
    out_str(row, "digest", p->digest);
    for (size_t i = 0; i < p->n_tasks; i++) {
        const struct task *t = &p->tasks[i];
        row = out_row(out, &table_preview_tasks);
        out_int(row, "task", t->num);
        out_int(row, "wave", t->wave);
        out_str(row, "type", t->type);
        out_str(row, "target", t->target);
        out_str(row, "what", t->what);
        out_str(row, "why", t->why);
        out_str(row, "degrades", t->degrades);
    }
    for (size_t i = 0; i < f->n; i++)
        out_finding(out, &f->v[i]);
}

void out_finding_notes(struct out *out, const struct findings *f, const struct err *err)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct finding *v = &f->v[i];
        if (err->code != ERR_OK && strstr(err->text, v->text) != NULL)
            continue; /* it is the refusal itself */
        out_note(out, "[%s] %s%s%s", v->subject, v->text, v->remedy ? "; " : "",
                 v->remedy ? v->remedy : "");
    }
}
