#include <stdlib.h>

#include "commands/plan_common.h"
#include "commands/show_plan.h"

/* show plans: the list, or one plan. */
struct opts {
    int64_t id, from_ms, to_ms, num;
    const char *state;
    bool last;
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
    OPT_END,
};

static const struct out_table *const tables[] = {
    &table_plans,
    &table_plan,
    &table_plan_attempt_error,
    &table_failed_tasks,
    &table_unfinished_tasks,
    &table_not_started,
    &table_all_tasks,
    NULL,
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

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    const struct plan_ref ref = {.id = o->id, .last = o->last};
    int64_t id;

    if (o->id == 0 && !o->last)
        return list(s, o, out, err);
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
