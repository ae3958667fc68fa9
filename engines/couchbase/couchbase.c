#include "engines/couchbase/couchbase.h"

#include <stdlib.h>
#include <string.h>

static void cb_close(struct connection *cn)
{
    if (cn == NULL)
        return;
    http_close(cn->http);
    agents_free(cn->agents);
    for (size_t i = 0; i < cn->n_urls; i++)
        free(cn->urls[i]);
    free(cn->urls);
    free(cn->base);
    free(cn->store);
    free(cn->user);
    free(cn->password);
    free(cn);
}

static char *without_slash(const char *url)
{
    size_t n = strlen(url);

    while (n > 0 && url[n - 1] == '/')
        n--;
    return xstrndup(url, n);
}

static struct connection *cb_open(const struct endpoint *ep, struct err *err)
{
    const struct http_config config = {
        .ca_file = ep->ca_file,
        .cert_file = ep->cert_file,
        .key_file = ep->key_file,
        .bearer_token = ep->token,
        .user = ep->user,
        .password = ep->password,
        .no_tls_verify = ep->no_tls_verify,
    };
    struct http *http;
    struct connection *cn;

    if (ep->n_nodes == 0) {
        err_set(err, ERR_INPUT, "store %s has no address of a node", ep->store);
        return NULL;
    }
    if ((http = http_open(&config, err)) == NULL)
        return NULL;
    cn = xcalloc(1, sizeof *cn);
    cn->http = http;
    cn->store = xstrdup(ep->store);
    cn->timeout_ms = ep->timeout_ms;
    cn->user = ep->user ? xstrdup(ep->user) : NULL;
    cn->password = ep->password ? xstrdup(ep->password) : NULL;
    cn->agents = agents_new(ep);
    cn->has_cert = ep->cert_file != NULL;
    cn->urls = xcalloc(ep->n_nodes, sizeof *cn->urls);
    for (size_t i = 0; i < ep->n_nodes; i++)
        cn->urls[cn->n_urls++] = without_slash(ep->nodes[i]);
    return cn;
}

static const struct verb_option options[] = {
    {VERB_FAILOVER, "unsafe"},
    {VERB_RECOVER, "type"},
    {VERB_RECOVER, "rebalance"},
    {VERB_RESTART_SERVICE, "pause"},
    {VERB_CLEANUP, "bucket"},
    {VERB_CLEANUP, "purge"},
    {.name = NULL},
};

const struct engine engine_couchbase = {
    .name = "couchbase",
    .options = options,
    .is_foreign = true,
    .verbs = VERB_BIT(VERB_FAILOVER) | VERB_BIT(VERB_RECOVER) | VERB_BIT(VERB_ADD_NODE) |
             VERB_BIT(VERB_REMOVE_NODE) | VERB_BIT(VERB_REBALANCE) | VERB_BIT(VERB_STOP_REBALANCE) |
             VERB_BIT(VERB_SWAP_REBALANCE) | VERB_BIT(VERB_CHANGE_GROUP) |
             VERB_BIT(VERB_RESTART_SERVICE) | VERB_BIT(VERB_STOP_SERVICE) |
             VERB_BIT(VERB_START_SERVICE) | VERB_BIT(VERB_CLEANUP),
    .open = cb_open,
    .close = cb_close,
    .observe = cb_observe,
    .inquire = cb_inquire,
    .verify = cb_verify,
    .check = cb_check,
    .expand = cb_expand,
    .perform = cb_perform,
    .settled = cb_settled,
    .explain = cb_explain,
    .events = cb_events,
    .set_policy = cb_set_policy,
};
