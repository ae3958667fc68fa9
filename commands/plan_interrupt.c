#include "commands/plan_common.h"

/* plan interrupt: a running plan stops after the step it is at. */
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
    {"done", NULL, OUT_STR, "what was done, in words"},
    {0},
};
static const struct out_table table = {
    .cols = cols, .single = true, .text = "Plan {planId} {done}"};
static const struct out_table *const tables[] = {&table, NULL};

static int say_interrupted(int64_t id, struct err *err)
{
    err_set(err, ERR_FAILED, "plan %lld is INTERRUPTED already", (long long)id);
    return err_advise(err, "plan execute -id %lld goes on, plan cancel -id %lld drops the rest",
                      (long long)id, (long long)id);
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    int64_t id = plan_resolve(s, &o->plan, err);
    struct journal *j = id ? session_journal(s, err) : NULL;
    enum plan_state to = PLAN_INTERRUPT_REQUESTED, state;
    const char *said = "will be interrupted after its present step";
    struct out_row *row;

    if (j == NULL)
        return -1;
    state = journal_plan_state(j, id);
    if (state == PLAN_INTERRUPTED)
        return say_interrupted(id, err);
    if (state == PLAN_PENDING || state == PLAN_APPROVED) {
        to = PLAN_CANCELED; /* there is nothing to go on with */
        said = "was never started and is canceled now; nothing was changed in the store";
    } else if (state == PLAN_INTERRUPT_REQUESTED) {
        said = "has been asked already; it stops after its present step";
    }
    if (state != PLAN_INTERRUPT_REQUESTED &&
        journal_plan_move(j, id, to, &(struct move){0}, err) != 0)
        return -1;
    row = out_row(out, &table);
    out_int(row, "planId", id);
    out_str(row, "state", plan_state_name(to));
    out_str(row, "done", said);
    if (to == PLAN_INTERRUPT_REQUESTED)
        out_note(out, "plan wait -id %lld tells when it has stopped", (long long)id);
    return 0;
}

static const char *const examples[] = {"plan interrupt -id 9", NULL};

const struct cmd cmd_plan_interrupt = {
    .name = "plan interrupt",
    .summary = "stop a running plan so that it can be resumed",
    .description = "The plan stops where it can be taken up again by plan execute, or given up by "
                   "plan cancel. A plan that was never started is canceled.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
