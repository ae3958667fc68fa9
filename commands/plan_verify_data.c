#include "commands/services.h"

/* plan verify-data: looks at the data itself; changes nothing. */
static int run(struct session *s, const void *options, struct out *out, struct err *err)
{
    return services_submit(s, VERB_VERIFY_DATA, options, out, err);
}

static const char *const examples[] = {
    "plan verify-data -all-rns -wait",
    "plan verify-data -service rg1-rn2 -wait",
    NULL,
};

const struct cmd cmd_plan_verify_data = {
    .name = "plan verify-data",
    .summary = "check the data of services: files, copies, ownership",
    .description =
        "Checks the files on disk with the store's own tool (of a running service a linked copy), "
        "compares the copies of each shard with their primary, and looks for keys where they do "
        "not belong. It changes nothing and takes no lock; what is wrong fails its task.",
    .options = service_options,
    .options_size = sizeof(struct service_opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
