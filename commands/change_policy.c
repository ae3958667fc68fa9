#include <stdlib.h>
#include <string.h>

#include "commands/edit.h"
#include "kvsh/meta.h"

/* change-policy: parameters that services made from now on will have, or settings a store keeps
 * itself. */
struct opts {
    bool dry_run;
    struct words params;
};

static const struct opt options[] = {
    OPT_FLAG(struct opts, dry_run, "dry-run", "show the outcome, change nothing"),
    OPT_REST(struct opts, params, "params", "the parameters, up to the end of the line",
             .value = "NAME=VALUE", .flags = OPT_REQUIRED),
    OPT_END,
};

static const struct out_col cols[] = {
    {"name", "NAME", OUT_STR, "name of the parameter"},
    {"value", "VALUE", OUT_STR, "its value from now on"},
    {0},
};
static const struct out_table table = {.key = "parameters", .cols = cols, .text = "{name}={value}"};
static const struct out_table *const tables[] = {&table, NULL};

/* name=value into params. A name is what stands before the first '='. */
static int add_param(struct json *params, const char *word, char **name_out, struct err *err)
{
    const char *eq = strchr(word, '=');

    if (eq == NULL || eq == word) {
        err_set(err, ERR_INPUT, "\"%s\" is no parameter", word);
        return err_advise(err, "parameters are written name=value, e.g. cacheSize=10000000");
    }
    *name_out = xstrndup(word, (size_t)(eq - word));
    json_set_str(params, *name_out, eq + 1);
    return 0;
}

/* All of them into params, and into given unless that is NULL. */
static int add_params(const struct words *words, struct json *params, struct json *given,
                      struct err *err)
{
    for (size_t i = 0; i < words->n; i++) {
        char *name = NULL;
        if (add_param(params, words->v[i], &name, err) != 0)
            return -1;
        if (given != NULL)
            json_set_str(given, name, json_str(params, name));
        free(name);
    }
    return 0;
}

/* What is told once nothing speaks against it any more. */
static void show_params(const struct engine *e, const struct json *given, struct out *out)
{
    JSON_FOREACH (param, given) {
        const char *name = json_key(param);
        struct out_row *row = out_row(out, &table);
        out_str(row, "name", name);
        out_str(row, "value", json_value_str(param));
        if (e->set_policy == NULL && e->knows_param != NULL && !e->knows_param(name))
            out_note(out, "%s is kept and has no effect on a %s store", name, e->name);
    }
}

/* A store that keeps its settings itself is told. */
static int set_in_store(struct session *s, const struct opts *o, struct out *out, struct err *err)
{
    const struct engine *e = session_engine(s, err);
    struct connection *cn = session_connection(s, err);
    struct json *params = json_object();
    struct cluster c = {0};
    struct edit edit;
    int rc = edit_begin(&edit, s, err);

    if (rc == 0 &&
        (cn == NULL || add_params(&o->params, params, NULL, err) != 0 ||
         session_observe(s, &c, err) != 0 || e->set_policy(cn, &c, params, o->dry_run, err) != 0))
        rc = -1;
    if (rc == 0)
        show_params(e, params, out);
    if (rc == 0 && !o->dry_run) {
        char *text = json_print(params);
        rc = edit_commit(&edit, "policy",
                         arena_printf(&edit.cluster.arena, "settings of the store: %s", text), out,
                         err);
        free(text);
    }
    edit_end(&edit);
    cluster_release(&c);
    json_free(params);
    return rc;
}

/* The policy kept here. */
static int set_here(struct session *s, const struct opts *o, struct out *out, struct err *err)
{
    struct json *doc = NULL, *params, *given = json_object();
    struct edit e;
    int rc = -1;

    if (edit_begin(&e, s, err) != 0)
        goto out;
    doc = json_copy(meta_doc(e.cluster.doc, "policy", "policy"));
    if (doc == NULL)
        doc = json_object();
    if ((params = json_get(doc, "params")) == NULL) {
        params = json_object();
        json_set(doc, "params", params);
    }
    if (add_params(&o->params, params, given, err) != 0)
        goto out;
    show_params(session_engine(s, err), given, out);
    if (o->dry_run) {
        rc = 0;
        goto out;
    }
    meta_effect(e.effects, "policy", "policy", doc);
    doc = NULL;
    rc = edit_commit(&e, "policy",
                     arena_printf(&e.cluster.arena, "policy: %s%s", o->params.v[0],
                                  o->params.n > 1 ? " and others" : ""),
                     out, err);
out:
    edit_end(&e);
    json_free(doc);
    json_free(given);
    return rc;
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct engine *e = session_engine(s, err);

    if (e == NULL)
        return -1;
    return e->set_policy ? set_in_store(s, options_, out, err) : set_here(s, options_, out, err);
}

static const char *const examples[] = {
    "change-policy -params maxmemory=1gb maxmemory-policy=noeviction",
    "change-policy -params \"loggingConfigProps=oracle.kv.level=INFO;\"",
    "change-policy -params autoFailover.enabled=true autoFailover.timeout=60",
    NULL,
};

const struct cmd cmd_change_policy = {
    .name = "change-policy",
    .summary = "set parameters for services made from now on, or settings of the store",
    .description =
        "Parameters the engine does not know are kept, shown by show parameters, and noted "
        "as having no effect. A store that keeps its settings itself is told at once; show policy "
        "lists them with what is allowed.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
