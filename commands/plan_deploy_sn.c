#include "commands/edit.h"
#include "commands/plan_common.h"

/* plan deploy-sn: takes a node agent into the store. */
struct opts {
    const char *zn, *znname, *host;
    int64_t port;
    struct plan_opts plan;
};

static const struct opt options[] = {
    OPT_STR(struct opts, zn, "zn", "id of the zone", .value = "ID", .flags = OPT_REQUIRED,
            .complete = COMPLETE_ZONE_ID, .one_of = 1),
    OPT_STR(struct opts, znname, "znname", "name of the zone", .flags = OPT_REQUIRED,
            .complete = COMPLETE_ZONE_NAME, .one_of = 1),
    OPT_STR(struct opts, host, "host", "host of the node's agent", .value = "HOST",
            .flags = OPT_REQUIRED),
    OPT_INT(struct opts, port, "port", "port of the node's agent", .min = 1, .max = 65535,
            .flags = OPT_REQUIRED),
    PLAN_OPTIONS(struct opts, plan),
    OPT_END,
};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct cluster c = {0};
    const struct zone *zone;
    struct json *args;
    int rc = -1;

    if (settings_check_host(o->host, err) != 0 || session_declared(s, &c, err) != 0 ||
        (zone = zone_option(&c, o->zn, o->znname, err)) == NULL)
        goto out;
    args = json_object();
    json_set_str(args, "zone", zone->id);
    json_set_str(args, "host", o->host);
    json_set_int(args, "port", o->port);
    rc = plan_submit(s, &(struct plan_request){VERB_DEPLOY_SN, args, &o->plan}, out, err);
out:
    cluster_release(&c);
    return rc;
}

static const char *const examples[] = {
    "plan deploy-sn -zn 1 -host 127.0.0.1 -port 13230 -wait",
    "plan deploy-sn -znname Zone1 -host node02 -port 13230 -wait",
    NULL,
};

const struct cmd cmd_plan_deploy_sn = {
    .name = "plan deploy-sn",
    .summary = "add a storage node to a zone",
    .description =
        "The node's agent must be running at HOST:PORT and belong to no other store. The "
        "new storage node gets the next id: sn1, sn2, ...",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
