/*
 * Asks one address after another until one answers for the cluster, and believes one that hears a
 * majority before one that does not: a member that was cut off, or removed without hearing of it,
 * still describes a cluster.
 */
#include "engines/couchbase/couchbase.h"

#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"
#include "kvsh/meta.h"

static bool has_members(const struct json *doc)
{
    return json_str(json_first(json_get(doc, "nodes")), "otpNode") != NULL;
}

static bool has_operation(const struct json *doc)
{
    return cb_rebalance_task(doc) != NULL;
}

static const struct part {
    const char *name, *path;
    bool needed;
    bool (*tells)(const struct json *doc); /* what it is asked for; NULL: anything will do */
} parts[] = {
    {"default", "/pools/default", true, has_members},
    {"tasks", "/pools/default/tasks?rebalanceStatusTimeout=2000", true, has_operation},
    {"nodeStatuses", "/nodeStatuses", false, json_is_object},
    {"terse", "/pools/default/terseClusterInfo", false, json_is_object},
    {"buckets", "/pools/default/buckets?skipMap=true", true, json_is_array},
    {"groups", "/pools/default/serverGroups", false, json_is_object},
    {"autoFailover", "/settings/autoFailover", false, json_is_object},
    {"pendingRetry", "/pools/default/pendingRetryRebalance", false, json_is_object},
};
#define N_PARTS (sizeof parts / sizeof *parts)

struct gathering {
    struct json *raw;
    const char *base;
    struct err err; /* of the first needed part that is missing */
    bool denied;    /* credentials were not accepted */
    /* What is being asked, and what of it is to be asked once more. */
    size_t asked[N_PARTS], again[N_PARTS];
    size_t n_asked, n_again;
    bool is_last;
};

static void gather(void *arg, size_t i, struct http_response *resp)
{
    struct gathering *g = arg;
    const struct part *part = &parts[g->asked[i]];
    const struct cb_request r = {.method = "GET", .base = g->base, .path = part->path};
    struct err why = resp->err;
    struct json *doc = NULL;

    if (!g->is_last && cb_is_dropped(resp)) {
        g->again[g->n_again++] = g->asked[i];
        return;
    }
    if (why.code == ERR_OK && resp->status != 200) {
        cb_refused(resp, &r, &why);
        g->denied = g->denied || why.code == ERR_DENIED;
    } else if (why.code == ERR_OK && (doc = json_parse(resp->body, resp->len, &why)) == NULL) {
        err_set(&why, ERR_UNREACHABLE, "%s: answers %s with what is no JSON", cb_host(g->base),
                part->path);
    } else if (why.code != ERR_OK) {
        why.code = why.code == ERR_IN_DOUBT ? ERR_UNREACHABLE : why.code;
        err_prepend(&why, "%s", cb_host(g->base));
    }
    if (doc != NULL && part->tells != NULL && !part->tells(doc)) {
        err_set(&why, ERR_UNREACHABLE, "%s: answers %s with what a cluster manager does not say",
                cb_host(g->base), part->path);
        json_free(doc);
        doc = NULL;
    }
    if (doc != NULL)
        json_set(g->raw, part->name, doc);
    else if (part->needed && g->err.code == ERR_OK)
        g->err = why;
}

static void gather_once(struct connection *cn, struct gathering *g)
{
    struct http_request reqs[N_PARTS] = {0};
    char *urls[N_PARTS];
    const struct http_batch batch = {.reqs = reqs,
                                     .n = g->n_asked,
                                     .max_parallel = N_PARTS,
                                     .deadline_ms = cn->timeout_ms + 500,
                                     .done = gather,
                                     .arg = g};

    for (size_t i = 0; i < g->n_asked; i++) {
        urls[i] = xasprintf("%s%s", g->base, parts[g->asked[i]].path);
        reqs[i] = (struct http_request){.method = "GET",
                                        .url = urls[i],
                                        .connect_timeout_ms =
                                            cn->timeout_ms < 2000 ? cn->timeout_ms : 2000,
                                        .timeout_ms = cn->timeout_ms};
    }
    http_perform_each(cn->http, &batch);
    for (size_t i = 0; i < g->n_asked; i++)
        free(urls[i]);
}

static int gather_all(struct connection *cn, struct gathering *g)
{
    for (g->n_asked = 0; g->n_asked < N_PARTS; g->n_asked++)
        g->asked[g->n_asked] = g->n_asked;
    gather_once(cn, g);
    if (g->n_again > 0) {
        memcpy(g->asked, g->again, sizeof g->asked);
        g->n_asked = g->n_again;
        g->is_last = true;
        gather_once(cn, g);
    }
    return g->err.code == ERR_OK ? 0 : -1;
}

/* Is what answers there the cluster this store is? */
static int check_identity(const char *base, const struct json *pools, const struct json *docs,
                          struct err *err)
{
    const char *uuid = json_str(pools, "uuid");
    const char *known = json_str(meta_doc(docs, "store", "store"), "uuid");

    if (json_get(pools, "pools") == NULL) {
        err_set(err, ERR_UNREACHABLE, "%s: what answers there is no Couchbase cluster manager",
                cb_host(base));
        return err_advise(err, "check host and port: 8091, or 18091 with https");
    }
    if (json_len(json_get(pools, "pools")) == 0) {
        err_set(err, ERR_REFUSED, "%s: this node belongs to no cluster", cb_host(base));
        return err_advise(err, "it was reset, or never initialised; check the addresses of the "
                               "store (store show)");
    }
    if (known != NULL && (uuid == NULL || strcmp(uuid, known) != 0)) {
        err_set(err, ERR_REFUSED,
                "%s: another cluster answers there: its uuid is %s, that of this store is %s",
                cb_host(base), uuid ? uuid : "unknown", known);
        return err_advise(err, "check the addresses of the store (store show); for a new cluster "
                               "add a store of another name");
    }
    return 0;
}

/* With the map of the vBuckets where a hard failover is near, or copies that are asked for may be
 * missing: it says exactly what has no other copy. */
static bool needs_map(const struct json *raw)
{
    const struct json *pool = json_get(raw, "default");

    if (!json_bool(pool, "balanced", false))
        return true;
    JSON_FOREACH (said, json_get(raw, "nodeStatuses")) {
        if (!json_bool(said, "gracefulFailoverPossible", true))
            return true;
    }
    JSON_FOREACH (n, json_get(pool, "nodes")) {
        const char *status = json_str(n, "status"), *is = json_str(n, "clusterMembership");
        if (status == NULL || is == NULL || strcmp(status, "unhealthy") == 0 ||
            strcmp(is, "inactiveFailed") == 0)
            return true;
    }
    return false;
}

/* Everything one address says; NULL with a reason. */
static struct json *ask(struct connection *cn, const char *base, const struct json *docs,
                        struct err *err)
{
    struct gathering g = {.raw = json_object(), .base = base};
    struct json *pools = NULL, *buckets = NULL;
    struct err ignored = ERR_INIT;

    cn->was_denied = false;
    if (cb_get(cn, base, "/pools", &pools, err) != 0 ||
        check_identity(base, pools, docs, err) != 0) {
        json_free(pools);
        json_free(g.raw);
        return NULL;
    }
    json_set(g.raw, "pools", pools);
    json_set_bool(g.raw, "secure", strncmp(base, "https:", 6) == 0);
    if (gather_all(cn, &g) != 0) {
        *err = g.err;
        cn->was_denied = g.denied;
        json_free(g.raw);
        return NULL;
    }
    if (needs_map(g.raw) && cb_get(cn, base, "/pools/default/buckets", &buckets, &ignored) == 0 &&
        json_is_array(buckets)) {
        json_set(g.raw, "buckets", buckets);
        buckets = NULL;
    }
    json_free(buckets);
    return g.raw;
}

/* Does the node that gave this hear a majority of the active members? */
static bool hears_majority(const struct json *raw)
{
    size_t active = 0, heard = 0;

    JSON_FOREACH (n, json_get(json_get(raw, "default"), "nodes")) {
        const char *status = json_str(n, "status"), *is = json_str(n, "clusterMembership");
        if (is == NULL || strcmp(is, "active") != 0)
            continue;
        active++;
        heard += status != NULL && strcmp(status, "unhealthy") != 0;
    }
    return heard * 2 > active;
}

static void use(struct connection *cn, const char *base)
{
    char *copy = xstrdup(base);

    free(cn->base);
    cn->base = copy;
}

int cb_observe(struct connection *cn, const struct json *docs, struct cluster *c, struct err *err)
{
    struct err first = ERR_INIT;
    struct agent_list agents;

    for (size_t i = 0; i < cn->n_urls; i++) {
        struct err why = ERR_INIT;
        struct json *raw = ask(cn, cn->urls[i], docs, &why);

        if (raw == NULL) {
            if (first.code == ERR_OK || (first.code == ERR_UNREACHABLE && why.code != first.code))
                first = why;
            if (why.code == ERR_DENIED && cn->was_denied)
                break; /* the same credentials would be refused everywhere, and may lock the user */
            continue;
        }
        if (c->raw == NULL || (!hears_majority(c->raw) && hears_majority(raw))) {
            json_free(c->raw);
            c->raw = raw;
            use(cn, cn->urls[i]);
        } else {
            json_free(raw);
        }
        if (hears_majority(c->raw))
            break;
    }
    if (c->raw == NULL) {
        *err = first;
        if (cn->n_urls > 1 && first.code == ERR_UNREACHABLE)
            err_prepend(err, "none of %zu addresses answers", cn->n_urls);
        return -1;
    }
    if (c->store == NULL)
        c->store = arena_strdup(&c->arena, cn->store);
    if (c->engine == NULL)
        c->engine = engine_couchbase.name;
    c->observed_ms = time_now_ms();
    cb_decode(c);
    cb_note_addresses(cn, c);
    agents = agents_list(cn->agents);
    cb_match_agents(c, &agents);
    return 0;
}
