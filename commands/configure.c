#include <stdlib.h>
#include <string.h>

#include "commands/commands.h"
#include "commands/connect_node.h"
#include "kvsh/conf.h"
#include "kvsh/meta.h"

/* configure: makes a new, empty store. */
struct opts {
    const char *name;
};

static const struct opt options[] = {
    OPT_STR(struct opts, name, "name", "name of the new store", .flags = OPT_REQUIRED),
    OPT_END,
};

static const struct out_col cols[] = {
    {"storeName", "STORE", OUT_STR, "name of the store"},
    {0},
};
static const struct out_table table = {
    .cols = cols, .single = true, .text = "Store configured: {storeName}"};
static const struct out_table *const tables[] = {&table, NULL};

/* The node this session was connected to becomes the store's first address. */
static int write_section(struct session *s, const char *name, struct err *err)
{
    const char *node = session_bare_node(s);
    const struct store_settings store = {
        .name = name,
        .engine = "redis",
        .nodes = {&node, node != NULL},
        .token_file = session_bare_token_file(s),
    };

    return store_write_section(s, &store, err);
}

static struct json *new_document(const char *name)
{
    struct json *doc = json_object(), *serial = json_object();

    json_set_int(serial, "zn", 0);
    json_set_int(serial, "sn", 0);
    json_set_int(serial, "admin", 0);
    json_set_int(serial, "rg", 0);
    json_set_str(doc, "name", name);
    json_set_str(doc, "engine", "redis");
    json_set_int(doc, "partitions", 16384);
    json_set_int(doc, "sequence", 0);
    json_set(doc, "serial", serial);
    return doc;
}

/* A journal with a store in it is a store that exists. */
static int check_new(struct journal *j, const char *name, bool has_section, struct err *err)
{
    struct json *docs = NULL;
    int64_t version;
    int rc = journal_docs(j, &docs, &version, err);

    if (rc == 0 && meta_doc(docs, "store", "store") != NULL) {
        err_set(err, ERR_INPUT,
                has_section ? "store %s is already configured"
                            : "store %s was configured before: its journal is still there",
                name);
        rc = err_advise(err, "choose another name; %s -name %s goes on with this one",
                        has_section ? "store use" : "store add", name);
    }
    json_free(docs);
    return rc;
}

static int make_store(struct session *s, const char *name, bool has_section, struct err *err)
{
    char *dir = session_store_dir(s, name, err);
    struct journal *j = dir ? journal_open(dir, true, err) : NULL;
    struct json *effects = json_array();
    int rc = -1;

    if (j == NULL || check_new(j, name, has_section, err) != 0)
        goto out;
    if (!has_section && write_section(s, name, err) != 0)
        goto out;
    meta_effect(effects, "store", "store", new_document(name));
    rc = journal_apply(j, effects, err);
out:
    json_free(effects);
    journal_close(j);
    free(dir);
    return rc;
}

static int use_as_default(struct session *s, const char *name, struct err *err)
{
    const struct settings *st = session_settings(s, err);

    if (st == NULL)
        return -1;
    if (st->store != NULL)
        return 0;
    return conf_edit_key(st->edit_file, "kvsh", "", "store", name, err);
}

/* The node given by -host and -port must be free for a new store. */
static int meet_host(struct session *s, struct err *err)
{
    if (session_meet_host(s, err) != 0)
        return -1;
    if (session_flags(s)->host != NULL && session_bare_node(s) == NULL &&
        session_store_name(s) != NULL) {
        err_set(err, ERR_INPUT, "the node at %s:%lld belongs to store %s already",
                session_flags(s)->host, (long long)session_flags(s)->port, session_store_name(s));
        return err_advise(err, "leave out -host, or give a node that belongs to no store");
    }
    return 0;
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    const struct store_settings *known;
    const struct settings *st;
    bool has_section;

    if (settings_check_name(o->name, err) != 0 || meet_host(s, err) != 0 ||
        (st = session_settings(s, err)) == NULL)
        return -1;
    known = settings_store(st, o->name);
    has_section = known != NULL;
    if (known != NULL && strcmp(known->engine, "redis") != 0)
        return err_set(err, ERR_INPUT,
                       "store %s is one of engine %s, which is not set up from here", o->name,
                       known->engine);
    if (make_store(s, o->name, has_section, err) != 0 || use_as_default(s, o->name, err) != 0)
        return -1;
    session_reread(s);
    session_use(s, o->name);
    out_str(out_row(out, &table), "storeName", o->name);
    return 0;
}

static const char *const examples[] = {"configure -name mystore", NULL};

const struct cmd cmd_configure = {
    .name = "configure",
    .summary = "make a new, empty store",
    .description =
        "Adds the store to the configuration, makes its journal and makes it the current store "
        "(and the default one when there is no default yet). Zones and storage nodes are added "
        "by plan deploy-zone and plan deploy-sn.\n\n"
        "The new store is one of engine redis: replicated, sharded redis-server processes that run "
        "under the node agents.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .run = run,
};
