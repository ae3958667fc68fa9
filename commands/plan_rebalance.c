#include "commands/plan_common.h"

/* plan rebalance: data and services are spread anew over the members. */
struct opts {
    struct plan_opts plan;
};

static const struct opt options[] = {
    PLAN_OPTIONS(struct opts, plan),
    OPT_END,
};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;

    return plan_submit(s, &(struct plan_request){VERB_REBALANCE, json_object(), &o->plan}, out,
                       err);
}

static const char *const examples[] = {"plan rebalance -wait", "plan preview rebalance", NULL};

const struct cmd cmd_plan_rebalance = {
    .name = "plan rebalance",
    .summary = "spread data and services anew over the members",
    .description =
        "Takes in nodes that were added or marked for recovery, and removes those that are failed "
        "over: the plan says so before. plan interrupt stops it; plan execute goes on from there.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
