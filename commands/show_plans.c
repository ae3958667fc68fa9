#include <stdlib.h>
#include <string.h>

#include "commands/plan_common.h"
#include "commands/show_plan.h"

/* show plans: the list, or one plan. */
struct opts {
    int64_t id, from_ms, to_ms, num;
    const char *state;
    bool last, local;
};

#define DEFAULT_NUM 10

static const char *const states[] = {"pending",     "approved",  "running", "interrupt_requested",
                                     "interrupted", "succeeded", "error",   "canceled",
                                     NULL};

static const struct opt options[] = {
    OPT_INT(struct opts, id, "id", "only this plan, in full", .min = 1, .max = INT64_MAX,
            .complete = COMPLETE_PLAN, .one_of = 1),
    OPT_FLAG(struct opts, last, "last", "only the newest plan, in full", .one_of = 1),
    OPT_INT(struct opts, num, "num", "the newest so many (10 when nothing is asked for)", .min = 1,
            .max = 1000000),
    OPT_TIME(struct opts, from_ms, "from", "made at or after this time"),
    OPT_TIME(struct opts, to_ms, "to", "made before this time"),
    OPT_CHOICE(struct opts, state, "state", "only plans in this state", .value = "STATE",
               .choices = states),
    OPT_FLAG(struct opts, local, "local", "only what is known here: ask no node"),
    OPT_END,
};

static const struct out_col operation_cols[] = {
    {"operation", "OPERATION", OUT_STR, "what it is"},
    {"startedBy", "STARTED BY", OUT_STR, "a plan of this store, or others"},
    {"planId", "PLAN", OUT_INT, "that plan"},
    {"state", "STATE", OUT_STATE, "RUNNING"},
    {"percent", "PROGRESS", OUT_PERCENT, "how far it is"},
    {"operationId", "ID", OUT_STR, "by which the store knows it"},
    {0},
};
static const struct out_table operation_table = {
    .key = "operations",
    .cols = operation_cols,
    .text = "     - {operation} (started by {startedBy}{?planId| {planId}}) {state}"
            "{?percent|, {percent}}{?operationId|, id {operationId}}",
};

static const struct out_table *const tables[] = {
    &operation_table,          &table_plans,        &table_plan,
    &table_plan_attempt_error, &table_failed_tasks, &table_unfinished_tasks,
    &table_not_started,        &table_all_tasks,    NULL,
};

struct listing {
    struct out *out;
    size_t skip; /* rows before those asked for: they only tell that there are more */
    size_t rows;
};

static void add_row(void *arg, const struct plan *p)
{
    struct listing *l = arg;

    if (l->skip > 0)
        l->skip--;
    else
        out_plan_row(l->out, p), l->rows++;
}

static void count_row(void *arg, const struct plan *p)
{
    (void)p;
    ++*(int64_t *)arg;
}

static int find_state(const char *name, int *state)
{
    for (int i = 0; states[i] != NULL; i++) {
        if (states[i] == name)
            return *state = i;
    }
    return *state = -1;
}

static int list(struct session *s, const struct opts *o, struct out *out, struct err *err)
{
    struct journal *j = session_journal(s, err);
    struct plan_filter f = {.from_ms = o->from_ms, .to_ms = o->to_ms, .num = o->num};
    struct listing l = {.out = out};
    int64_t n = 0;

    if (j == NULL)
        return -1;
    find_state(o->state, &f.state);
    if (o->num == 0 && o->from_ms == 0 && o->to_ms == 0 && o->state == NULL) {
        f.num = DEFAULT_NUM + 1;
        if (journal_plan_list(j, &f, count_row, &n, err) != 0)
            return -1;
        l.skip = n > DEFAULT_NUM;
    }
    if (journal_plan_list(j, &f, add_row, &l, err) != 0)
        return -1;
    if (n > DEFAULT_NUM)
        out_note(out, "these are the newest %d of %lld plans; -num N shows more", DEFAULT_NUM,
                 (long long)journal_last_plan(j));
    if (l.rows == 0)
        out_note(out, "there are no %splans", journal_last_plan(j) ? "such " : "");
    return 0;
}

/* --- what others do --- */

struct plan_ids {
    struct arena arena;
    int64_t *plans;
    size_t n;
};

static void add_plan(void *arg, const struct plan *p)
{
    struct plan_ids *w = arg;

    *ARENA_PUSH(&w->arena, w->plans, w->n) = p->id;
}

static bool noted(struct journal *j, const struct plan *p, const char *id)
{
    struct err ignored = ERR_INIT;
    bool found = false;

    for (size_t k = 0; k < p->n_tasks && !found; k++) {
        char *memo = NULL;
        if (p->tasks[k].attempts > 0 &&
            journal_task_memo(j, p->id, p->tasks[k].num, &memo, &ignored) == 0 && memo != NULL)
            found = strstr(memo, id) != NULL;
        free(memo);
    }
    return found;
}

/* The plan that noted the operation as its own; one that was left lying may have, too. */
static int64_t plan_of(struct journal *j, const char *id)
{
    const struct plan_filter newest = {.num = DEFAULT_NUM, .state = -1};
    struct plan_ids w = {0};
    struct err ignored = ERR_INIT;
    int64_t found = 0;

    if (id != NULL)
        journal_plan_list(j, &newest, add_plan, &w, &ignored);
    for (size_t i = w.n; i-- > 0 && found == 0;) {
        struct plan p = {0};
        if (journal_plan_load(j, w.plans[i], &p, &ignored) == 0 && noted(j, &p, id))
            found = p.id;
        plan_release(&p);
    }
    arena_release(&w.arena);
    return found;
}

/* Operations of a foreign store, which others may have begun. That it does not answer is a note. */
static void list_operations(struct session *s, struct out *out)
{
    struct err why = ERR_INIT;
    struct journal *j = session_journal(s, &why);
    struct cluster c = {0};

    if (j == NULL || session_observe(s, &c, &why) != 0)
        out_note(out, "the store cannot be asked what others do: %s", why.text);
    for (size_t i = 0; i < c.n_activities; i++) {
        const struct activity *a = &c.activities[i];
        int64_t plan = a->excludes_plans && a->running ? plan_of(j, a->id) : 0;
        struct out_row *row;
        if (!a->excludes_plans || !a->running)
            continue;
        row = out_row(out, &operation_table);
        out_str(row, "operation", a->kind);
        out_str(row, "startedBy", plan ? "plan" : "others");
        if (plan)
            out_int(row, "planId", plan);
        out_str(row, "state", "RUNNING");
        if (a->percent >= 0)
            out_int(row, "percent", a->percent > 100 ? 100 : a->percent);
        out_str(row, "operationId", a->id);
    }
    cluster_release(&c);
}

/* One plan is shown in full, whatever chooses among several. The table cannot say that of -id and
 * -last alone: those that choose do not exclude each other. */
static int check_choice(const struct opts *o, struct err *err)
{
    const struct {
        const char *name;
        bool given;
    } choices[] = {{"num", o->num != 0},
                   {"from", o->from_ms != 0},
                   {"to", o->to_ms != 0},
                   {"state", o->state != NULL}};

    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        if (!choices[i].given || (o->id == 0 && !o->last))
            continue;
        err_set(err, ERR_USAGE, "-%s and -%s exclude each other", o->last ? "last" : "id",
                choices[i].name);
        return err_advise(err, "-id and -last show one plan in full, the others list plans");
    }
    return 0;
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    const struct plan_ref ref = {.id = o->id, .last = o->last};
    int64_t id;

    if (check_choice(o, err) != 0)
        return -1;
    if (o->id == 0 && !o->last) {
        const struct engine *e = session_engine(s, err);
        if (e == NULL)
            return -1;
        if (e->is_foreign && !o->local)
            list_operations(s, out);
        return list(s, o, out, err);
    }
    if ((id = plan_resolve(s, &ref, err)) == 0)
        return -1;
    return show_plan(s, id, out, err);
}

static const char *const examples[] = {"show plans", "show plans -num 50",
                                       "show plans -state error", "show plans -last", NULL};

const struct cmd cmd_show_plans = {
    .name = "show plans",
    .summary = "list plans and their states",
    .description = "Shows the newest ten when nothing else is asked for.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
