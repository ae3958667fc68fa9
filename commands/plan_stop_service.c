#include "commands/services.h"

/* plan stop-service: takes services down without losing what they hold. */
static int run(struct session *s, const void *options, struct out *out, struct err *err)
{
    return services_submit(s, VERB_STOP_SERVICE, options, out, err);
}

static const char *const examples[] = {
    "plan stop-service -service rg2-rn3 -wait",
    "plan stop-service -service rg1-rn1 -service rg2-rn1 -noexecute",
    "plan preview stop-service -service rg2-rn3",
    NULL,
};

const struct cmd cmd_plan_stop_service = {
    .name = "plan stop-service",
    .summary = "stop services, handing over their duties first",
    .description =
        "A primary hands over to a replica that is in step before it stops. The plan is refused "
        "when that cannot be, or when too few copies of a shard would be left.\n\n"
        "The store remembers which plan stopped a service: verify configuration then gives a note "
        "instead of a violation.",
    .options = service_options,
    .options_size = sizeof(struct service_opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
