#include "commands/plan_common.h"

/* plan swap-rebalance: one node takes the place of another. */
struct opts {
    const char *from, *to;
    struct plan_opts plan;
};

static const struct opt options[] = {
    OPT_STR(struct opts, from, "from", "the node that leaves", .value = "ID", .flags = OPT_REQUIRED,
            .complete = COMPLETE_SERVICE),
    OPT_STR(struct opts, to, "to", "the node that comes, added already or not",
            .value = "HOST[:PORT]", .flags = OPT_REQUIRED),
    PLAN_OPTIONS(struct opts, plan),
    OPT_END,
};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct json *args = json_object();

    json_set_str(args, "from", o->from);
    json_set_str(args, "to", o->to);
    return plan_submit(s, &(struct plan_request){VERB_SWAP_REBALANCE, args, &o->plan}, out, err);
}

static const char *const examples[] = {"plan swap-rebalance -from cb2:8091 -to cb5:8091 -wait",
                                       NULL};

const struct cmd cmd_plan_swap_rebalance = {
    .name = "plan swap-rebalance",
    .summary = "put one node in the place of another",
    .description =
        "The new node gets the services and the server group of the old one, unless it was added "
        "before. The data moves from one to the other, the rest stays where it is.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
