#include <stdlib.h>

#include "commands/session.h"
#include "kvsh/run.h"

/* show events: what happened, here and on the nodes. */
struct opts {
    int64_t from_ms, to_ms, num, plan;
    const char *severity;
    bool local;
};

#define DEFAULT_NUM 50

static const char *const severities[] = {"info", "warning", "error", NULL};

static const struct opt options[] = {
    OPT_TIME(struct opts, from_ms, "from", "at or after this time"),
    OPT_TIME(struct opts, to_ms, "to", "before this time"),
    OPT_INT(struct opts, num, "num", "the newest so many (50 when nothing is asked for)", .min = 1,
            .max = 1000000),
    OPT_INT(struct opts, plan, "plan", "only those of this plan", .min = 1, .max = INT64_MAX,
            .complete = COMPLETE_PLAN),
    OPT_CHOICE(struct opts, severity, "severity", "at least so grave", .choices = severities),
    OPT_FLAG(struct opts, local, "local", "only what is known here already: ask no node"),
    OPT_END,
};

static const struct out_col cols[] = {
    {"id", "ID", OUT_INT, "number of the event"},
    {"time", "TIME", OUT_TIME, "when it happened"},
    {"severity", "SEVERITY", OUT_STATE, "info, warning or error"},
    {"who", "WHO", OUT_STR, "who caused it, or which node saw it"},
    {"plan", "PLAN", OUT_INT, "the plan it belongs to"},
    {"task", "TASK", OUT_INT, "the task it belongs to"},
    {"kind", "KIND", OUT_STR, "plan, task, request, node, metadata or what a node calls it"},
    {"subject", "SUBJECT", OUT_STR, "what it is about"},
    {"text", "TEXT", OUT_STR, "the sentence"},
    {0},
};
static const struct out_table table = {
    .key = "events",
    .cols = cols,
    .text = "{time} {severity:7} {who}{?plan| plan {plan}}{?task| task {task}}"
            "{?subject| [{subject}]} {text}",
    .empty = "There are no such events.",
};
static const struct out_table *const tables[] = {&table, NULL};

/* Takes what the nodes' watches saw into the journal. A node that does not answer is a note. */
static int fetch(struct session *s, struct out *out, struct err *err)
{
    struct journal *j = session_journal(s, err);
    const struct engine *e = j ? session_engine(s, err) : NULL;
    struct connection *cn = NULL;
    struct err why = ERR_INIT;

    if (e == NULL)
        return -1;
    if ((cn = session_connection(s, &why)) == NULL || store_fetch_events(j, e, cn, &why) != 0)
        out_note(out, "not every node told its events: %s", why.text);
    return 0;
}

/* Plans are numbered from 1 without gaps. */
static int check_plan(struct session *s, int64_t plan, struct err *err)
{
    struct journal *j = session_journal(s, err);

    if (j == NULL)
        return -1;
    if (plan > journal_last_plan(j))
        return err_set(err, ERR_INPUT, "plan %lld does not exist", (long long)plan);
    return 0;
}

/* Events as they are read: what a node saw comes to the journal later than it happened. */
struct listing {
    struct arena arena;
    struct event *events;
    size_t n;
};

static void keep(void *arg, const struct event *ev)
{
    struct listing *l = arg;
    struct event *kept = ARENA_PUSH(&l->arena, l->events, l->n);

    *kept = *ev;
    kept->severity = arena_strdup(&l->arena, ev->severity);
    kept->who = arena_strdup(&l->arena, ev->who);
    kept->kind = arena_strdup(&l->arena, ev->kind);
    kept->subject = arena_strdup(&l->arena, ev->subject);
    kept->text = arena_strdup(&l->arena, ev->text);
}

static int compare(const void *a_, const void *b_)
{
    const struct event *a = a_, *b = b_;

    if (a->time_ms != b->time_ms)
        return a->time_ms < b->time_ms ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static void out_event(struct out *out, const struct event *ev)
{
    struct out_row *row = out_row(out, &table);

    out_int(row, "id", ev->id);
    out_int(row, "time", ev->time_ms);
    out_str(row, "severity", ev->severity);
    out_str(row, "who", ev->who);
    if (ev->plan_id)
        out_int(row, "plan", ev->plan_id);
    if (ev->task_num)
        out_int(row, "task", ev->task_num);
    out_str(row, "kind", ev->kind);
    out_str(row, "subject", ev->subject);
    out_str(row, "text", ev->text);
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct event_filter f = {
        .from_ms = o->from_ms,
        .to_ms = o->to_ms,
        .plan_id = o->plan,
        .num = o->num,
        .severity = o->severity,
    };
    struct listing l = {0};
    int rc;

    if (check_plan(s, o->plan, err) != 0)
        return -1;
    if (o->num == 0 && o->from_ms == 0 && o->to_ms == 0 && o->plan == 0)
        f.num = DEFAULT_NUM;
    if (!o->local && o->plan == 0 && fetch(s, out, err) != 0)
        return -1;
    rc = journal_event_list(session_journal(s, err), &f, keep, &l, err);
    if (l.n > 1)
        qsort(l.events, l.n, sizeof *l.events, compare);
    for (size_t i = 0; i < l.n; i++)
        out_event(out, &l.events[i]);
    arena_release(&l.arena);
    return rc;
}

static const char *const examples[] = {"show events", "show events -severity error -num 20",
                                       "show events -plan 9",
                                       "show events -from \"2026-01-02 03:00\" -local", NULL};

const struct cmd cmd_show_events = {
    .name = "show events",
    .summary = "show what happened to the store",
    .description =
        "Asks the nodes what their watches saw since the last time, keeps that in the "
        "journal, and shows it together with what the plans did. With -local or -plan no "
        "node is asked.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
