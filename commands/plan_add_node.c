#include <stdlib.h>
#include <string.h>

#include "commands/plan_common.h"

/* plan add-node: a host joins a store that keeps its own membership. */
struct opts {
    const char *host, *group;
    int64_t port;
    struct words services;
    bool rebalance;
    struct plan_opts plan;
};

static const struct opt options[] = {
    OPT_STR(struct opts, host, "host", "host of the new node", .flags = OPT_REQUIRED),
    OPT_INT(struct opts, port, "port",
            "its administration port; 8091 means the secure port that goes with it where the store "
            "asks for that",
            .min = 1024, .max = 65535, .def = 8091),
    OPT_LIST(struct opts, services, "services",
             "what it is to do: kv (data), n1ql (query), index, fts (search), cbas (analytics), "
             "eventing, backup, or arbiter (kv when nothing is said)",
             .value = "NAME[,NAME...]"),
    OPT_STR(struct opts, group, "group", "server group it belongs to",
            .complete = COMPLETE_ZONE_NAME),
    OPT_FLAG(struct opts, rebalance, "rebalance", "give it its part of the data at once"),
    PLAN_OPTIONS(struct opts, plan),
    OPT_END,
};

/* "kv,index" and repeated options alike. */
static void add_words(struct json *list, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, ",");
        char *word = xstrndup(text, n);
        if (n > 0)
            json_push_str(list, word);
        free(word);
        text += n + (text[n] == ',');
    }
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct json *args = json_object(), *services = json_array();

    json_set_str(args, "host", o->host);
    json_set_int(args, "port", o->port);
    for (size_t i = 0; i < o->services.n; i++)
        add_words(services, o->services.v[i]);
    if (json_len(services) == 0)
        json_push_str(services, "kv");
    json_set(args, "services", services);
    if (o->group != NULL)
        json_set_str(args, "group", o->group);
    if (o->rebalance)
        json_set_bool(args, "rebalance", true);
    return plan_submit(s, &(struct plan_request){VERB_ADD_NODE, args, &o->plan}, out, err);
}

static const char *const examples[] = {
    "plan add-node -host cb5 -wait",
    "plan add-node -host cb5 -port 18091 -services kv,index -group \"Rack 2\" -rebalance -wait",
    NULL,
};

const struct cmd cmd_plan_add_node = {
    .name = "plan add-node",
    .summary = "take a host into the cluster",
    .description =
        "The node joins and carries nothing until a rebalance, which -rebalance makes part of the "
        "plan. It must belong to no cluster, or accept the store's own credentials.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
