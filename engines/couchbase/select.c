#include "engines/couchbase/couchbase.h"

#include <stdlib.h>
#include <string.h>

/* Is `name` the host of this member, without its port? */
static bool is_host(const struct cluster *c, const struct service *s, const char *name)
{
    const struct node *n = cluster_node(c, s->node);

    return n != NULL && strcmp(n->host, name) == 0;
}

struct service *cb_find(const struct cluster *c, const char *name)
{
    struct service *found = NULL;

    for (size_t i = 0; i < c->n_services && name != NULL; i++) {
        struct service *s = &c->services[i];
        const char *seen = json_str(s->raw, "hostname");
        if (strcmp(s->id, name) == 0 || strcmp(cb_otp(s), name) == 0 ||
            (seen != NULL && strcmp(seen, name) == 0))
            return s;
    }
    for (size_t i = 0; i < c->n_services && name != NULL; i++) {
        if (!is_host(c, &c->services[i], name))
            continue;
        if (found != NULL)
            return NULL; /* two members of one host: the name is not enough */
        found = &c->services[i];
    }
    return found;
}

const char *cb_port_behind(const char *address, const char *host)
{
    const char *port = address ? strrchr(address, ':') : NULL;
    size_t len = port ? (size_t)(port - address) : 0;

    if (len > 1 && address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    }
    return port && len == strlen(host) && strncmp(address, host, len) == 0 ? port + 1 : NULL;
}

struct service *cb_find_at(const struct cluster *c, const char *address)
{
    struct service *found = cb_find(c, address);

    for (size_t i = 0; i < c->n_services && address != NULL && found == NULL; i++) {
        struct service *s = &c->services[i];
        const struct node *n = cluster_node(c, s->node);
        const char *port = n ? cb_port_behind(address, n->host) : NULL;
        if (port != NULL &&
            json_int(json_get(s->raw, "ports"), "httpsMgmt", 0) == strtoll(port, NULL, 10))
            found = s;
    }
    return found;
}

const char *cb_unfinished(struct arena *a, const struct cluster *c)
{
    const char *nodes = "";

    for (size_t i = 0; i < c->n_services; i++) {
        if (json_str(c->services[i].raw, "failoverStatus") != NULL)
            nodes = arena_printf(a, "%s -service %s", nodes, c->services[i].id);
    }
    return nodes[0] ? arena_printf(a, "'plan failover%s -mode hard -unsafe " CB_UNSAFE "'", nodes)
                    : NULL;
}

bool cb_is_stoppable(const struct activity *a)
{
    static const char *const others[] = CB_NO_OPERATION;

    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strcmp(a->kind, others[i]) == 0)
            return false;
    }
    return a->subject == NULL && (a->excludes_plans || strcmp(a->kind, "pending retry") == 0);
}

bool cb_in(const struct cb_set *set, const struct service *s)
{
    for (size_t i = 0; set != NULL && i < set->n; i++) {
        if (set->v[i] == s)
            return true;
    }
    return false;
}

const char *cb_names(struct arena *a, const struct cb_set *set)
{
    const char *text = "";

    for (size_t i = 0; i < set->n; i++)
        text = arena_printf(a, "%s%s%s", text, i ? ", " : "", set->v[i]->id);
    return text;
}

/* A list without members is left out. */
static void expect(struct buf *form, const struct cluster *c, const char *name,
                   bool (*is)(const struct service *s))
{
    struct buf list;

    buf_init(&list, 0);
    for (size_t i = 0; i < c->n_services; i++) {
        if (is(&c->services[i]))
            buf_addf(&list, "%s%s", list.len > 0 ? "," : "", cb_otp(&c->services[i]));
    }
    if (list.len > 0)
        cb_form(form, name, list.data);
    buf_release(&list);
}

void cb_expect_members(struct buf *form, const struct cluster *c)
{
    if (cb_version(c) < 800)
        return;
    expect(form, c, "activeNodes", cb_is_active);
    expect(form, c, "inactiveFailedNodes", cb_is_failed);
    expect(form, c, "inactiveAddedNodes", cb_is_added);
}

static int unknown(const struct cluster *c, const char *name, struct err *err)
{
    struct arena a = {0};
    struct cb_set all = {0};

    for (size_t i = 0; i < c->n_services; i++)
        *ARENA_PUSH(&a, all.v, all.n) = &c->services[i];
    err_set(err, ERR_INPUT, "the cluster has no node \"%s\"", name);
    err_advise(err, "its nodes: %.400s", cb_names(&a, &all));
    arena_release(&a);
    return -1;
}

int cb_select(const struct intent *in, const struct cluster *c, struct arena *a, struct cb_set *set,
              struct err *err)
{
    JSON_FOREACH (item, json_get(in->args, "services")) {
        const char *name = json_value_str(item);
        struct service *s = cb_find(c, name);
        if (s == NULL)
            return unknown(c, name ? name : "", err);
        if (!cb_in(set, s))
            *ARENA_PUSH(a, set->v, set->n) = s;
    }
    for (size_t i = 0; i < c->n_services && json_bool(in->args, "allRns", false); i++) {
        const struct node *n = cluster_node(c, c->services[i].node);
        const char *zone = json_str(in->args, "zone");
        if (cb_is_active(&c->services[i]) && (zone == NULL || strcmp(n->zone, zone) == 0))
            *ARENA_PUSH(a, set->v, set->n) = &c->services[i];
    }
    if (set->n > 0)
        return 0;
    err_set(err, ERR_INPUT, "no node is named");
    return err_advise(err, "name nodes with -service HOST:PORT; show topology lists them");
}
