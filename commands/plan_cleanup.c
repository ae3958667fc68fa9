#include "commands/plan_common.h"

/* plan cleanup: what interrupted or removed things have left behind. */
struct opts {
    const char *bucket;
    bool purge;
    struct plan_opts plan;
};

static const struct opt options[] = {
    OPT_STR(struct opts, bucket, "bucket", "couchbase: only this bucket"),
    OPT_FLAG(struct opts, purge, "purge", "couchbase: forget deletes, too"),
    PLAN_OPTIONS(struct opts, plan),
    OPT_END,
};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct json *args = json_object();

    if (o->bucket != NULL)
        json_set_str(args, "bucket", o->bucket);
    if (o->purge)
        json_set_bool(args, "purge", true);
    return plan_submit(s, &(struct plan_request){VERB_CLEANUP, args, &o->plan}, out, err);
}

static const char *const examples[] = {"plan preview cleanup", "plan cleanup -wait",
                                       "plan cleanup -bucket travel -wait", NULL};

const struct cmd cmd_plan_cleanup = {
    .name = "plan cleanup",
    .summary = "remove what interrupted or removed things have left behind",
    .description =
        "Definitions of services that the store does not declare, data directories without a "
        "service, cluster members that are gone, hash slots whose move was not finished. "
        "plan preview cleanup lists them first. Where two primaries hold a key of the same name, "
        "-force -reason keeps the one that clients see.\n\n"
        "On a couchbase store it compacts the data and views of the buckets.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
