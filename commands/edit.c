#include "commands/edit.h"

#include <string.h>

#include "kvsh/buf.h"
#include "kvsh/meta.h"

int edit_begin(struct edit *e, struct session *s, struct err *err)
{
    *e = (struct edit){.session = s, .lock = {.fd = -1}};
    e->effects = json_array();
    if ((e->journal = session_journal(s, err)) == NULL ||
        lock_store(&e->lock, e->journal, 0, err) != 0)
        return -1;
    return session_declared(s, &e->cluster, err);
}

/* Copies for the store's admins; without admins there is nobody to tell. */
static void publish(struct edit *e, struct out *out)
{
    const struct engine *engine;
    struct connection *cn;
    struct json *docs = NULL;
    struct err err = ERR_INIT;
    int64_t version;
    bool has_admin = false;

    for (size_t i = 0; i < e->cluster.n_services; i++)
        has_admin |= e->cluster.services[i].kind == KIND_ADMIN;
    if (!has_admin || (engine = session_engine(e->session, &err)) == NULL ||
        engine->publish == NULL)
        return;
    if ((cn = session_connection(e->session, &err)) == NULL ||
        journal_docs(e->journal, &docs, &version, &err) != 0 ||
        engine->publish(cn, docs, version, &err) != 0)
        out_note(out, "the admins' copies of the metadata are older until the next change: %s",
                 err.text);
    json_free(docs);
}

int edit_commit(struct edit *e, const char *subject, const char *text, struct out *out,
                struct err *err)
{
    const struct event ev = {
        .severity = "info", .kind = "metadata", .subject = subject, .text = text};

    if (journal_apply(e->journal, e->effects, err) != 0 || journal_event(e->journal, &ev, err) != 0)
        return -1;
    publish(e, out);
    return 0;
}

void edit_end(struct edit *e)
{
    lock_release(&e->lock);
    cluster_release(&e->cluster);
    json_free(e->effects);
    e->effects = NULL;
}

/* --- what is not there --- */

static void add_name(struct buf *list, const char *name)
{
    buf_addf(list, "%s%s", list->len ? ", " : "", name);
}

/* The sentence, with the list of what there is as advice. */
static int no_such(struct err *err, const char *kind, const char *name, struct buf *list)
{
    err_set(err, ERR_INPUT, "%s \"%s\" does not exist", kind, name);
    if (list->len > 0)
        err_advise(err, "there are: %s", list->data);
    else
        err_advise(err, "there is no %s yet", kind);
    buf_release(list);
    return -1;
}

int no_such_zone(const struct cluster *c, const char *name, struct err *err)
{
    struct buf list;

    buf_init(&list, 0);
    for (size_t i = 0; i < c->n_zones; i++)
        buf_addf(&list, "%s%s (%s)", i ? ", " : "", c->zones[i].id, c->zones[i].name);
    return no_such(err, "zone", name, &list);
}

int no_such_node(const struct cluster *c, const char *id, struct err *err)
{
    struct buf list;

    buf_init(&list, 0);
    for (size_t i = 0; i < c->n_nodes; i++)
        add_name(&list, c->nodes[i].id);
    return no_such(err, "storage node", id, &list);
}

int no_such_pool(const struct cluster *c, const char *name, struct err *err)
{
    struct buf list;

    buf_init(&list, 0);
    for (size_t i = 0; i < c->n_pools; i++)
        add_name(&list, c->pools[i].name);
    return no_such(err, "pool", name, &list);
}

int no_such_topology(const struct cluster *c, const char *name, struct err *err)
{
    struct buf list;

    buf_init(&list, 0);
    JSON_FOREACH (t, json_get(c->doc, "topology"))
        add_name(&list, json_key(t));
    no_such(err, "topology", name, &list);
    if (json_len(json_get(c->doc, "topology")) == 0)
        err_advise(err, "topology create -name NAME -pool POOL makes one");
    return -1;
}

const struct zone *zone_option(const struct cluster *c, const char *id, const char *name,
                               struct err *err)
{
    if (id != NULL) {
        const struct zone *z = cluster_zone(c, id);
        /* cluster_zone() also takes names; -zn is for ids alone */
        if (z != NULL && (strcmp(z->id, id) == 0 || strcmp(z->id + 2, id) == 0))
            return z;
        no_such_zone(c, id, err);
        return NULL;
    }
    for (size_t i = 0; name != NULL && i < c->n_zones; i++) {
        if (strcmp(c->zones[i].name, name) == 0)
            return &c->zones[i];
    }
    no_such_zone(c, name ? name : "", err);
    return NULL;
}
