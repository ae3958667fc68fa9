#include "commands/plan_common.h"

/* plan remove-node: nodes leave a store that keeps its own membership, their data first. */
struct opts {
    struct words services;
    struct plan_opts plan;
};

static const struct opt options[] = {
    OPT_LIST(struct opts, services, "service", "a node; may be given several times", .value = "ID",
             .flags = OPT_REQUIRED, .complete = COMPLETE_SERVICE),
    PLAN_OPTIONS(struct opts, plan),
    OPT_END,
};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct json *args = json_object(), *list = json_array();

    for (size_t i = 0; i < o->services.n; i++)
        json_push_str(list, o->services.v[i]);
    json_set(args, "services", list);
    return plan_submit(s, &(struct plan_request){VERB_REMOVE_NODE, args, &o->plan}, out, err);
}

static const char *const examples[] = {"plan remove-node -service cb4:8091 -wait",
                                       "plan preview remove-node -service cb4:8091", NULL};

const struct cmd cmd_plan_remove_node = {
    .name = "plan remove-node",
    .summary = "take nodes out of the cluster, their data first",
    .description =
        "An active node leaves by a rebalance that moves its data to the others; refused when "
        "those could not carry it. A node that waits to join, or is failed over, leaves at once.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
