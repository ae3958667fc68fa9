/*
 * The addresses that the store is configured with, and the members that they are of. The
 * observation's "addresses" is {"urls": [...], "asked": the one that answered}.
 */
#include "engines/couchbase/couchbase.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *cb_url(const struct cluster *c, const struct service *s, bool tls, struct arena *a)
{
    const struct node *n = cluster_node(c, s->node);

    if (n == NULL)
        return NULL;
    return arena_printf(a, strchr(n->host, ':') ? "%s://[%s]:%lld" : "%s://%s:%lld",
                        tls ? "https" : "http", n->host,
                        tls ? (long long)json_int(json_get(s->raw, "ports"), "httpsMgmt", 18091)
                            : (long long)n->port);
}

void cb_note_addresses(const struct connection *cn, struct cluster *c)
{
    struct json *note = json_object(), *urls = json_array();

    for (size_t i = 0; i < cn->n_urls; i++)
        json_push_str(urls, cn->urls[i]);
    json_set(note, "urls", urls);
    json_set_str(note, "asked", cn->base);
    json_set(c->raw, "addresses", note);
}

/* --- whose address it is --- */

static int64_t port_of(const char *address)
{
    const char *colon = address ? strrchr(address, ':') : NULL;

    return colon ? strtoll(colon + 1, NULL, 10) : 0;
}

static bool has_port(const struct cluster *c, const struct service *s, int64_t port)
{
    const struct json *outside = json_get(json_get(s->raw, "alternateAddresses"), "external");
    const struct json *ports = json_get(outside, "ports");
    const struct node *n = cluster_node(c, s->node);
    const int64_t known[] = {n ? n->port : 0, port_of(json_str(s->raw, "hostname")),
                             json_int(json_get(s->raw, "ports"), "httpsMgmt", 0),
                             json_int(ports, "mgmt", 0), json_int(ports, "mgmtSSL", 0)};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i] == port)
            return true;
    }
    return false;
}

/* By its host as agents are, and by its port where several members have that host. NULL: nobody's,
 * or nobody's for sure. */
static const struct service *member_at(const struct cluster *c, const char *url, struct arena *a)
{
    const char *host = agent_host(url, a);
    const struct service *at_host = NULL, *at_port = NULL;
    size_t hosts = 0, ports = 0;

    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        const struct agent_node names = cb_names_of(c, s, a);
        if (!agent_is_host(&names, host))
            continue;
        hosts++;
        at_host = s;
        if (!has_port(c, s, port_of(url)))
            continue;
        ports++;
        at_port = s;
    }
    if (ports == 1)
        return at_port;
    return hosts == 1 ? at_host : NULL;
}

static bool is_standard(int64_t port)
{
    return port == 8091 || port == 18091;
}

/* "HOST[:PORT]" of a node that is to join; it answers by its secure port as well. */
static bool is_joining(const char *joining, const char *url, struct arena *a)
{
    const char *host = joining ? agent_host(joining, a) : NULL;
    bool has = joining != NULL && strchr(joining, ':') != NULL;
    int64_t port = has ? port_of(joining) : 8091, asked = port_of(url);

    return host != NULL && strcasecmp(host, agent_host(url, a)) == 0 &&
           (port == asked || (is_standard(port) && is_standard(asked)));
}

/* --- what is left --- */

static bool leaves(const struct cb_departure *d, const struct service *s)
{
    return cb_in(d->leaving, s) || (d->by_rebalance && cb_is_failed(s) && !cb_in(d->recovered, s));
}

static size_t count_leaving(const struct cluster *c, const struct cb_departure *d)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n_services; i++)
        n += leaves(d, &c->services[i]);
    return n;
}

enum left { LEFT_YES, LEFT_NO, LEFT_UNSURE };

/* Is this address, whose name may tell nothing, of a node that will be there? */
static enum left is_left(const struct cluster *c, const struct cb_departure *d, const char *url,
                         struct arena *a)
{
    const char *asked = json_str(cb_part(c, "addresses"), "asked");
    const struct service *s = member_at(c, url, a);

    if (is_joining(d->joining, url, a) || (s != NULL && !leaves(d, s)))
        return LEFT_YES;
    for (size_t i = 0; i < c->n_services && asked != NULL && strcmp(asked, url) == 0; i++) {
        const struct service *that = &c->services[i];
        if (json_bool(that->raw, "thisNode", false) && !leaves(d, that))
            return LEFT_YES; /* a node that stays has just answered there */
    }
    return s != NULL ? LEFT_NO : LEFT_UNSURE;
}

/* The address of a node that will be there, best one that answers; NULL: nobody's. */
static const char *lasting(const struct cluster *c, const struct cb_departure *d, struct arena *a)
{
    bool tls = json_bool(c->raw, "secure", false);
    const struct service *best = NULL;

    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        if (leaves(d, s))
            continue;
        if (best == NULL || (!cb_is_healthy(best) && cb_is_healthy(s)))
            best = s;
    }
    return best ? cb_url(c, best, tls, a) : NULL;
}

static void advise(const struct cluster *c, const struct cb_departure *d, struct findings *f)
{
    struct arena a = {0};
    const char *url = lasting(c, d, &a), *nodes = "";

    JSON_FOREACH (old, json_get(cb_part(c, "addresses"), "urls"))
        nodes = arena_printf(&a, "%s -node %s", nodes, json_value_str(old));
    if (url != NULL)
        findings_remedy(f,
                        "name a node that stays first: put the line 'node = %s' into [store %s] of "
                        "kvsh.conf; or 'store remove -name %s', then 'store add -name %s -engine "
                        "couchbase%s -node %s' with its other options (store show)",
                        url, c->store, c->store, c->store, nodes, url);
    else
        findings_remedy(f,
                        "name the address of a node that stays first: a line 'node = URL' in "
                        "[store %s] of kvsh.conf",
                        c->store);
    arena_release(&a);
}

void cb_check_addresses(const struct cluster *c, const struct cb_departure *d, struct findings *f)
{
    const struct json *urls = json_get(cb_part(c, "addresses"), "urls");
    const char *gone = "", *unsure = "";
    struct arena a = {0};
    bool left = json_len(urls) == 0 || count_leaving(c, d) == 0;

    JSON_FOREACH (item, urls) {
        const char *url = json_value_str(item);
        enum left is = left ? LEFT_YES : is_left(c, d, url, &a);
        if (is == LEFT_YES)
            left = true;
        else if (is == LEFT_NO)
            gone = arena_printf(&a, "%s%s%s", gone, gone[0] ? ", " : "", url);
        else
            unsure = arena_printf(&a, "%s%s%s", unsure, unsure[0] ? ", " : "", url);
    }
    if (!left && unsure[0])
        findings_add(f, SEVERITY_VIOLATION, "no-address-left", c->store,
                     "no node is known by the store's address %s: if none that stays answers there "
                     "the cluster cannot be asked any more, not even how this ended",
                     unsure);
    else if (!left)
        findings_add(f, SEVERITY_BLOCK, "no-address-left", c->store,
                     "the store names only nodes that leave (%s): the cluster could not be asked "
                     "any more, not even how this ended",
                     gone);
    if (!left)
        advise(c, d, f);
    arena_release(&a);
}
