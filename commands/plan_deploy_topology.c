#include "commands/edit.h"
#include "commands/plan_common.h"
#include "kvsh/meta.h"

/* plan deploy-topology: makes a candidate real. */
struct opts {
    const char *name;
    struct plan_opts plan;
};

static const struct opt options[] = {
    OPT_STR(struct opts, name, "name", "name of the topology", .flags = OPT_REQUIRED,
            .complete = COMPLETE_TOPOLOGY),
    PLAN_OPTIONS(struct opts, plan),
    OPT_END,
};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct cluster c = {0};
    struct json *args;
    int rc = -1;

    if (session_declared(s, &c, err) != 0)
        goto out;
    if (meta_doc(c.doc, "topology", o->name) == NULL) {
        no_such_topology(&c, o->name, err);
        goto out;
    }
    args = json_object();
    json_set_str(args, "topology", o->name);
    rc = plan_submit(s, &(struct plan_request){VERB_DEPLOY_TOPOLOGY, args, &o->plan}, out, err);
out:
    cluster_release(&c);
    return rc;
}

static const char *const examples[] = {
    "plan deploy-topology -name store-layout -plan-name RepNode-Deploy -wait",
    "plan preview deploy-topology -name store-layout",
    NULL,
};

const struct cmd cmd_plan_deploy_topology = {
    .name = "plan deploy-topology",
    .summary = "make the shards and replication nodes of a topology",
    .description = "The topology is a candidate made by topology create. Its services are defined "
                   "and started on their nodes, joined, and given their share of the data.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
