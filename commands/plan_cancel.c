#include "commands/plan_common.h"

/* plan cancel: a plan that is not running will not be carried out any more. */
struct opts {
    struct plan_ref plan;
};

static const struct opt options[] = {
    PLAN_REF(struct opts, plan),
    OPT_END,
};

static const struct out_col cols[] = {
    {"planId", "ID", OUT_INT, "number of the plan"},
    {"state", "STATE", OUT_STATE, "its state now"},
    {0},
};
static const struct out_table table = {
    .cols = cols, .single = true, .text = "Plan {planId} was canceled"};
static const struct out_table *const tables[] = {&table, NULL};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    int64_t id = plan_resolve(s, &o->plan, err);
    struct journal *j = id ? session_journal(s, err) : NULL;
    enum plan_state state;
    struct out_row *row;

    if (j == NULL)
        return -1;
    state = journal_plan_state(j, id);
    if (state == PLAN_RUNNING || state == PLAN_INTERRUPT_REQUESTED) {
        err_set(err, ERR_FAILED,
                "plan %lld is running: it must be interrupted before it can be "
                "canceled",
                (long long)id);
        return err_advise(err, "plan interrupt -id %lld", (long long)id);
    }
    if (journal_plan_move(j, id, PLAN_CANCELED, &(struct move){0}, err) != 0)
        return -1;
    row = out_row(out, &table);
    out_int(row, "planId", id);
    out_str(row, "state", plan_state_name(PLAN_CANCELED));
    return 0;
}

static const char *const examples[] = {"plan cancel -id 9", NULL};

const struct cmd cmd_plan_cancel = {
    .name = "plan cancel",
    .summary = "give up a plan that is not running",
    .description = "What the plan has done so far stays done.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
