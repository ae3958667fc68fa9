#include "engines/redis/redis.h"

#include <stdlib.h>
#include <string.h>

static struct connection *redis_open(const struct endpoint *ep, struct err *err)
{
    const struct http_config config = {
        .ca_file = ep->ca_file,
        .cert_file = ep->cert_file,
        .key_file = ep->key_file,
        .bearer_token = ep->token,
        .lease = ep->lease,
        .user = ep->user,
        .password = ep->password,
        .no_tls_verify = ep->no_tls_verify,
    };
    struct http *http = http_open(&config, err);
    struct connection *cn;

    if (http == NULL)
        return NULL;
    cn = xcalloc(1, sizeof *cn);
    cn->http = http;
    cn->timeout_ms = ep->timeout_ms;
    cn->secret_file = ep->secret_file ? xstrdup(ep->secret_file) : NULL;
    cn->nodes = xcalloc(ep->n_nodes + 1, sizeof *cn->nodes);
    for (size_t i = 0; i < ep->n_nodes; i++)
        cn->nodes[cn->n_nodes++] = xstrdup(ep->nodes[i]);
    return cn;
}

static void redis_close(struct connection *cn)
{
    if (cn == NULL)
        return;
    http_close(cn->http);
    for (size_t i = 0; i < cn->n_nodes; i++)
        free(cn->nodes[i]);
    free(cn->nodes);
    free(cn->secret_file);
    free(cn);
}

static const char *url_of_admin(const struct json *docs, const struct json *admin)
{
    const char *sn = json_str(admin, "sn");

    return sn ? json_str(json_get(json_get(docs, "sn"), sn), "url") : NULL;
}

static int redis_publish(struct connection *cn, const struct json *docs, int64_t version,
                         struct err *err)
{
    struct json *body = json_object();
    int rc = 0;

    json_set_int(body, "version", version);
    json_set(body, "docs", json_copy(docs));
    /* Every admin gets its copy; the first failure is told. */
    JSON_FOREACH (admin, json_get(docs, "admin")) {
        const struct rest r = {
            .method = "PUT",
            .url = url_of_admin(docs, admin),
            .path = "/v1/metadata",
            .who = json_key(admin),
            .body = body,
        };
        struct err why = ERR_INIT;
        if (r.url != NULL && rest_call(cn, &r, NULL, NULL, &why) != 0 && rc == 0) {
            *err = why;
            rc = -1;
        }
    }
    json_free(body);
    return rc;
}

/* The copy kept at one address; *docs stays NULL when the agent there belongs to no store yet. */
static int fetch_from(struct connection *cn, const char *url, struct json **docs, int64_t *version,
                      struct err *err)
{
    struct rest r = {.method = "GET", .url = url, .path = "/v1/node", .who = url};
    struct json *node = NULL, *copy = NULL;
    const char *store;
    int rc = -1;

    if (rest_call(cn, &r, NULL, &node, err) != 0)
        goto out;
    store = json_str(json_get(node, "node"), "store");
    if (json_is_null(json_get(node, "metadata")) || store == NULL) {
        if (store == NULL) {
            rc = 0;
        } else {
            err_set(err, ERR_FAILED, "%s belongs to store %s but keeps no copy of its metadata",
                    url, store);
            err_advise(err, "connect to a storage node that has an admin");
        }
        goto out;
    }
    r.path = "/v1/metadata";
    if (rest_call(cn, &r, NULL, &copy, err) != 0)
        goto out;
    *version = json_int(copy, "version", 0);
    *docs = json_copy(json_get(copy, "docs"));
    rc = 0;
out:
    json_free(node);
    json_free(copy);
    return rc;
}

static int redis_fetch(struct connection *cn, struct json **docs, int64_t *version, struct err *err)
{
    int rc = err_set(err, ERR_INPUT, "no node address is configured");

    *docs = NULL;
    *version = 0;
    for (size_t i = 0; i < cn->n_nodes && rc != 0; i++)
        rc = fetch_from(cn, cn->nodes[i], docs, version, err);
    return rc;
}

static void decode_event(const char *node, const struct json *e,
                         void (*add)(void *arg, const struct node_event *ev), void *arg)
{
    const struct node_event ev = {
        .node = node,
        .seq = json_int(e, "seq", 0),
        .time_ms = json_int(e, "timeMs", 0),
        .severity = json_str(e, "severity"),
        .kind = json_str(e, "kind"),
        .subject = json_str(e, "subject"),
        .text = json_str(e, "text"),
        .advice = json_str(e, "advice"),
    };

    if (ev.severity != NULL && ev.kind != NULL && ev.text != NULL)
        add(arg, &ev);
}

/* All pages of one node's events; *after moves on. */
static int node_events(struct connection *cn, const struct json *sn, int64_t *after,
                       void (*add)(void *arg, const struct node_event *ev), void *arg,
                       struct err *err)
{
    enum { PAGE = 500 };
    size_t got = PAGE;

    while (got == PAGE) {
        char *path = xasprintf("/v1/events?after=%lld&limit=%d", (long long)*after, PAGE);
        const struct rest r = {
            .method = "GET", .url = json_str(sn, "url"), .path = path, .who = json_key(sn)};
        struct json *page = NULL;
        int rc = rest_call(cn, &r, NULL, &page, err);

        free(path);
        if (rc != 0)
            return -1;
        got = 0;
        JSON_FOREACH (e, json_get(page, "events")) {
            decode_event(json_key(sn), e, add, arg);
            got++;
        }
        *after = json_int(page, "next", *after);
        json_free(page);
    }
    return 0;
}

static int redis_events(struct connection *cn, const struct json *docs, struct json **cursors,
                        void (*add)(void *arg, const struct node_event *ev), void *arg,
                        struct err *err)
{
    struct json *next = json_is_object(*cursors) ? json_copy(*cursors) : json_object();
    int rc = 0;

    JSON_FOREACH (sn, json_get(docs, "sn")) {
        int64_t after = json_int(next, json_key(sn), 0);
        struct err why = ERR_INIT;
        if (json_str(sn, "url") == NULL)
            continue;
        if (node_events(cn, sn, &after, add, arg, &why) != 0 && rc == 0) {
            *err = why;
            rc = -1;
        }
        json_set_int(next, json_key(sn), after);
    }
    json_free(*cursors);
    *cursors = next;
    return rc;
}

static bool redis_knows_param(const char *name)
{
    return redis_is_process_param(name) || redis_is_policy_param(name);
}

const struct engine engine_redis = {
    .name = "redis",
    .verbs = VERB_BIT(VERB_DEPLOY_ZONE) | VERB_BIT(VERB_DEPLOY_SN) | VERB_BIT(VERB_DEPLOY_ADMIN) |
             VERB_BIT(VERB_DEPLOY_TOPOLOGY) | VERB_BIT(VERB_START_SERVICE) |
             VERB_BIT(VERB_STOP_SERVICE) | VERB_BIT(VERB_RESTART_SERVICE) |
             VERB_BIT(VERB_FAILOVER) | VERB_BIT(VERB_NETWORK_RESTORE) | VERB_BIT(VERB_RECOVER) |
             VERB_BIT(VERB_CLEANUP) | VERB_BIT(VERB_VERIFY_DATA),
    .checks = VERB_BIT(VERB_REMOVE_NODE),
    .open = redis_open,
    .close = redis_close,
    .observe = redis_observe,
    .verify = redis_verify,
    .check = redis_check,
    .expand = redis_expand,
    .perform = redis_perform,
    .settled = redis_settled,
    .explain = redis_explain,
    .lease = redis_lease,
    .publish = redis_publish,
    .fetch = redis_fetch,
    .events = redis_events,
    .put = redis_put,
    .get = redis_get,
    .del = redis_del,
    .scan = redis_scan,
    .knows_param = redis_knows_param,
    .layout = redis_layout,
};
