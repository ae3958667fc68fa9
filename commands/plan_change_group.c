#include "commands/plan_common.h"

/* plan change-group: nodes move to another server group. */
struct opts {
    struct words services;
    const char *group;
    struct plan_opts plan;
};

static const struct opt options[] = {
    OPT_LIST(struct opts, services, "service", "a node; may be given several times", .value = "ID",
             .flags = OPT_REQUIRED, .complete = COMPLETE_SERVICE),
    OPT_STR(struct opts, group, "group", "the group they are to be in", .flags = OPT_REQUIRED,
            .complete = COMPLETE_ZONE_NAME),
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
    json_set_str(args, "group", o->group);
    return plan_submit(s, &(struct plan_request){VERB_CHANGE_GROUP, args, &o->plan}, out, err);
}

static const char *const examples[] = {
    "plan change-group -service cb3:8091 -group \"Rack 2\" -wait", NULL};

const struct cmd cmd_plan_change_group = {
    .name = "plan change-group",
    .summary = "move nodes to another server group",
    .description = "Copies of the data follow with the next plan rebalance.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
