#include "commands/services.h"

/* plan restart-service: all of it stays in service while each process is restarted. */
struct opts {
    struct service_opts which;
    bool pause;
};

static const struct opt options[] = {
    OPT_GROUP(struct opts, which, struct service_opts, service_options),
    OPT_FLAG(struct opts, pause, "pause",
             "couchbase: wait at each node without an agent until it was restarted by hand"),
    OPT_END,
};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct json *args = json_object();

    if (services_args(s, &o->which, args, err) != 0) {
        json_free(args);
        return -1;
    }
    if (o->pause)
        json_set_bool(args, "pause", true);
    return plan_submit(s, &(struct plan_request){VERB_RESTART_SERVICE, args, &o->which.plan}, out,
                       err);
}

static const char *const examples[] = {
    "plan restart-service -service rg1-rn2 -wait",
    "plan restart-service -all-rns -wait",
    "plan preview restart-service -all-rns -znname Zone1",
    NULL,
};

const struct cmd cmd_plan_restart_service = {
    .name = "plan restart-service",
    .summary = "restart services one failure domain after the other",
    .description =
        "Rolling: replicas first, a primary after it has handed over, and each step waits until "
        "what it restarted is in sync. Services of different shards on one storage node (in one "
        "zone, where there are several) go together. Primaries get their role back, so that the "
        "store ends laid out as it began.\n\n"
        "Something else that goes down meanwhile stops the plan before its next step.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
