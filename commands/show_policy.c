#include "commands/session.h"
#include "kvsh/meta.h"

/* show policy: settings the store keeps itself, or those kept here for services made from now on.
 */
static const struct out_col cols[] = {
    {"name", "NAME", OUT_STR, "name of the setting"},
    {"value", "VALUE", OUT_STR, "its value"},
    {"readOnly", NULL, OUT_BOOL, "true: change-policy cannot change it"},
    {"meaning", "MEANING", OUT_STR, "what it does, and what is allowed"},
    {0},
};
static const struct out_table table = {
    .key = "settings", .cols = cols, .empty = "No policy is set."};
static const struct out_table *const tables[] = {&table, NULL};

static void out_declared(struct out *out, const struct cluster *c)
{
    JSON_FOREACH (param, json_get(meta_doc(c->doc, "policy", "policy"), "params")) {
        struct out_row *row = out_row(out, &table);
        out_str(row, "name", json_key(param));
        out_str(row, "value", json_value_str(param));
    }
}

static int run(struct session *s, const void *options, struct out *out, struct err *err)
{
    const struct engine *e = session_engine(s, err);
    struct cluster c = {0};
    int rc = -1;

    (void)options;
    if (e != NULL)
        rc = e->set_policy ? session_observe(s, &c, err) : session_declared(s, &c, err);
    if (rc == 0 && e->set_policy == NULL)
        out_declared(out, &c);
    for (size_t i = 0; rc == 0 && i < c.n_settings; i++) {
        const struct store_setting *set = &c.settings[i];
        struct out_row *row = out_row(out, &table);
        out_str(row, "name", set->name);
        out_str(row, "value", set->value);
        out_bool(row, "readOnly", set->read_only);
        out_str(row, "meaning", set->meaning);
    }
    cluster_release(&c);
    return rc;
}

static const char *const examples[] = {"show policy", NULL};

const struct cmd cmd_show_policy = {
    .name = "show policy",
    .summary = "show the settings that change-policy changes",
    .description =
        "A store that keeps its settings itself is asked; of another the parameters for services "
        "made from now on are shown.",
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
