#include "commands/edit.h"
#include "commands/plan_common.h"

/* plan deploy-admin: a copy of the store's metadata on a node. */
struct opts {
    const char *sn;
    int64_t port;
    struct plan_opts plan;
};

static const struct opt options[] = {
    OPT_STR(struct opts, sn, "sn", "the storage node", .value = "ID", .flags = OPT_REQUIRED,
            .complete = COMPLETE_NODE),
    OPT_INT(struct opts, port, "port", "accepted for old scripts; kept, of no effect", .min = 1,
            .max = 65535),
    PLAN_OPTIONS(struct opts, plan),
    OPT_END,
};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct cluster c = {0};
    const struct node *node;
    struct json *args;
    int rc = -1;

    if (session_declared(s, &c, err) != 0)
        goto out;
    if ((node = cluster_node(&c, o->sn)) == NULL) {
        no_such_node(&c, o->sn, err);
        goto out;
    }
    args = json_object();
    json_set_str(args, "sn", node->id);
    if (o->port > 0)
        json_set_int(args, "port", o->port);
    rc = plan_submit(s, &(struct plan_request){VERB_DEPLOY_ADMIN, args, &o->plan}, out, err);
out:
    cluster_release(&c);
    return rc;
}

static const char *const examples[] = {"plan deploy-admin -sn sn1 -wait", NULL};

const struct cmd cmd_plan_deploy_admin = {
    .name = "plan deploy-admin",
    .summary = "keep a copy of the store's metadata on a storage node",
    .description = "Another machine can then connect to the store through that node. Three admins "
                   "on different nodes are enough for most stores.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
