#include <stdlib.h>
#include <string.h>

#include "commands/edit.h"
#include "kvsh/meta.h"

/* show parameters: the policy, or the facts one service or node was made with. */
struct opts {
    bool policy;
    const char *service;
};

static const struct opt options[] = {
    OPT_FLAG(struct opts, policy, "policy", "parameters for services made from now on",
             .one_of = 1),
    OPT_STR(struct opts, service, "service", "those of one service or storage node", .value = "ID",
            .complete = COMPLETE_SERVICE, .one_of = 1),
    OPT_END,
};

static const struct out_col cols[] = {
    {"name", "NAME", OUT_STR, "name of the parameter"},
    {"value", "VALUE", OUT_STR, "its value"},
    {0},
};
static const struct out_table table = {.key = "parameters",
                                       .cols = cols,
                                       .text = "{name}={value}",
                                       .empty = "There are no parameters."};
static const struct out_table *const tables[] = {&table, NULL};

/* Members in the order of the document; what is no text is shown as JSON. */
static void out_members(struct out *out, const struct json *doc)
{
    JSON_FOREACH (m, doc) {
        struct out_row *row = out_row(out, &table);
        out_str(row, "name", json_key(m));
        if (json_value_str(m) != NULL) {
            out_str(row, "value", json_value_str(m));
        } else {
            char *text = json_print(m);
            out_str(row, "value", text);
            free(text);
        }
    }
}

static const struct json *find_doc(const struct cluster *c, const char *id)
{
    static const char *const kinds[] = {"rn", "admin", "sn"};
    const struct node *node = cluster_node(c, id);

    for (size_t i = 0; i < 3; i++) {
        const struct json *doc = meta_doc(c->doc, kinds[i], id);
        if (doc != NULL)
            return doc;
    }
    return node ? meta_doc(c->doc, "sn", node->id) : NULL;
}

static int no_such_service(const char *id, struct err *err)
{
    err_set(err, ERR_INPUT, "service \"%s\" does not exist", id);
    return err_advise(err, "show topology lists the services and storage nodes");
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    const struct json *doc;
    struct cluster c = {0};
    int rc = -1;

    if (session_declared(s, &c, err) != 0)
        goto out;
    rc = 0;
    if (o->service == NULL)
        out_members(out, json_get(meta_doc(c.doc, "policy", "policy"), "params"));
    else if ((doc = find_doc(&c, o->service)) != NULL)
        out_members(out, doc);
    else
        rc = no_such_service(o->service, err);
out:
    cluster_release(&c);
    return rc;
}

static const char *const examples[] = {"show parameters -policy",
                                       "show parameters -service rg1-rn1", NULL};

const struct cmd cmd_show_parameters = {
    .name = "show parameters",
    .summary = "show the policy, or the parameters of a service",
    .description = "Without an option: the policy.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
