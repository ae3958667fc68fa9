#include "commands/edit.h"
#include "commands/plan_common.h"

/* plan recover: looks at what is left of a service, and does what that calls for. */
struct opts {
    struct words services;
    const char *sn, *type;
    bool rebalance;
    struct plan_opts plan;
};

static const char *const types[] = {"full", "delta", NULL};

static const struct opt options[] = {
    OPT_LIST(struct opts, services, "service", "a service; may be given several times",
             .value = "ID", .flags = OPT_REQUIRED, .complete = COMPLETE_SERVICE, .one_of = 1),
    OPT_STR(struct opts, sn, "sn", "all services of this storage node", .value = "ID",
            .flags = OPT_REQUIRED, .complete = COMPLETE_NODE, .one_of = 1),
    OPT_CHOICE(struct opts, type, "type",
               "couchbase: delta keeps the data that is there, full fills the node anew",
               .choices = types),
    OPT_FLAG(struct opts, rebalance, "rebalance", "couchbase: rebalance afterwards"),
    PLAN_OPTIONS(struct opts, plan),
    OPT_END,
};

static int add_sn(struct session *s, const struct opts *o, struct json *args, struct err *err)
{
    struct cluster c = {0};
    const struct node *n = NULL;
    int rc = session_declared(s, &c, err);

    if (rc == 0 && (n = cluster_node(&c, o->sn)) == NULL)
        rc = no_such_node(&c, o->sn, err);
    if (rc == 0)
        json_set_str(args, "sn", n->id);
    cluster_release(&c);
    return rc;
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct json *args = json_object(), *list;

    if (o->services.n > 0) {
        list = json_array();
        for (size_t i = 0; i < o->services.n; i++)
            json_push_str(list, o->services.v[i]);
        json_set(args, "services", list);
    } else if (add_sn(s, o, args, err) != 0) {
        json_free(args);
        return -1;
    }
    if (o->type != NULL)
        json_set_str(args, "type", o->type);
    if (o->rebalance)
        json_set_bool(args, "rebalance", true);
    return plan_submit(s, &(struct plan_request){VERB_RECOVER, args, &o->plan}, out, err);
}

static const char *const examples[] = {
    "plan recover -service rg1-rn1 -wait",
    "plan recover -sn sn3 -wait",
    "plan preview recover -service rg1-rn1",
    NULL,
};

const struct cmd cmd_plan_recover = {
    .name = "plan recover",
    .summary = "bring services back by what the evidence calls for",
    .description =
        "Looks at process, disk, identity, data and the other members' opinion, and chooses: "
        "start it; start it and wait for its copy; introduce it to those who have forgotten it; "
        "let "
        "it rejoin as a new member; wipe it and fill it from its primary. The tasks say what was "
        "chosen and why: preview the plan to read it "
        "before anything happens.\n\n"
        "Refused where the only good copy would be wiped.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
