#include "commands/plan_common.h"

/* plan network-restore: a replica's data is thrown away and copied anew. */
struct opts {
    const char *from, *to;
    struct plan_opts plan;
};

static const struct opt options[] = {
    OPT_STR(struct opts, from, "from", "the service it copies from", .value = "ID",
            .flags = OPT_REQUIRED, .complete = COMPLETE_SERVICE),
    OPT_STR(struct opts, to, "to", "the service that is wiped and filled", .value = "ID",
            .flags = OPT_REQUIRED, .complete = COMPLETE_SERVICE),
    PLAN_OPTIONS(struct opts, plan),
    OPT_END,
};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct json *args = json_object();

    json_set_str(args, "from", o->from);
    json_set_str(args, "to", o->to);
    return plan_submit(s, &(struct plan_request){VERB_NETWORK_RESTORE, args, &o->plan}, out, err);
}

static const char *const examples[] = {
    "plan network-restore -from rg1-rn1 -to rg1-rn3 -wait",
    "plan preview network-restore -from rg1-rn1 -to rg1-rn3",
    NULL,
};

const struct cmd cmd_plan_network_restore = {
    .name = "plan network-restore",
    .summary = "wipe a replica and fill it from its primary",
    .description = "For a copy whose files are not to be trusted. Refused when it is the primary, "
                   "and when the source is not the live primary of the same shard.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
