#include "commands/plan_common.h"
#include "commands/settings.h"

/* plan deploy-zone: a new failure domain. */
struct opts {
    const char *name, *type;
    int64_t rf;
    struct plan_opts plan;
};

static const char *const types[] = {"primary", "secondary", NULL};

static const struct opt options[] = {
    OPT_STR(struct opts, name, "name", "name of the zone", .flags = OPT_REQUIRED),
    OPT_INT(struct opts, rf, "rf", "copies of each shard in this zone", .min = 1, .max = 20,
            .flags = OPT_REQUIRED),
    OPT_CHOICE(struct opts, type, "type", "what its copies may become (primary)", .choices = types),
    PLAN_OPTIONS(struct opts, plan),
    OPT_END,
};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    bool secondary = o->type != NULL && o->type[0] == 's';
    struct json *args;

    if (settings_check_label("zone", o->name, err) != 0)
        return -1;
    args = json_object();
    json_set_str(args, "name", o->name);
    json_set_int(args, "rf", o->rf);
    json_set_str(args, "type", secondary ? "SECONDARY" : "PRIMARY");
    return plan_submit(s, &(struct plan_request){VERB_DEPLOY_ZONE, args, &o->plan}, out, err);
}

static const char *const examples[] = {"plan deploy-zone -name Zone1 -rf 3 -wait", NULL};

const struct cmd cmd_plan_deploy_zone = {
    .name = "plan deploy-zone",
    .summary = "add a zone to the store",
    .description = "A zone is a failure domain: a data centre, a rack, a server group. Its "
                   "replication factor is the number of copies of each shard it holds.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
