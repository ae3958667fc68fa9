#include "commands/services.h"

/* plan start-service: brings services up again. */
static int run(struct session *s, const void *options, struct out *out, struct err *err)
{
    return services_submit(s, VERB_START_SERVICE, options, out, err);
}

static const char *const examples[] = {
    "plan start-service -service rg2-rn3 -wait",
    "plan start-service -all-rns -znname Zone1",
    NULL,
};

const struct cmd cmd_plan_start_service = {
    .name = "plan start-service",
    .summary = "start services that were stopped",
    .description =
        "Starting a service whose data is gone lets it fetch a full copy from the other members of "
        "its shard. A service is never started empty while it still counts as the primary of its "
        "shard.\n\n"
        "Starting what runs already is no error.",
    .options = service_options,
    .options_size = sizeof(struct service_opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
