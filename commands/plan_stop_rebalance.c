#include "commands/plan_common.h"

/* plan stop-rebalance: stops what the store is doing, whoever began it. */
struct opts {
    bool unsafe;
    struct plan_opts plan;
};

static const struct opt options[] = {
    OPT_FLAG(struct opts, unsafe, "unsafe",
             "also when the node that leads the operation does not answer"),
    PLAN_OPTIONS(struct opts, plan),
    OPT_END,
};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct json *args = json_object();

    if (o->unsafe)
        json_set_bool(args, "unsafe", true);
    return plan_submit(s, &(struct plan_request){VERB_STOP_REBALANCE, args, &o->plan}, out, err);
}

static const char *const examples[] = {"plan stop-rebalance -wait", NULL};

const struct cmd cmd_plan_stop_rebalance = {
    .name = "plan stop-rebalance",
    .summary = "stop the rebalance or graceful failover that is running",
    .description =
        "For operations that somebody else began, or that a plan left behind; it cancels a retry "
        "that is pending, too. What a plan is doing right now is stopped by plan interrupt.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
