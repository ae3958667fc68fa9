/* Tasks that make a store: nodes, services, members of a cluster. */
#include "engines/redis/doing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/meta.h"

/* --- register-node --- */

/* The password of all processes of the store: made once, kept in the endpoint's secret file. */
static char *store_secret(struct connection *cn, struct err *err)
{
    struct err absent = ERR_INIT;
    char *secret = fs_read_secret(cn->secret_file, &absent), *line;

    if (secret != NULL)
        return secret;
    /* Another one in the place of one that cannot be read would not be that of the processes. */
    if (access(cn->secret_file, F_OK) == 0 || errno != ENOENT) {
        *err = absent;
        return NULL;
    }
    secret = fs_random_hex(32);
    line = xasprintf("%s\n", secret);
    if (fs_write_atomic(cn->secret_file, line, strlen(line), 0600, err) != 0) {
        free(secret);
        secret = NULL;
    }
    free(line);
    return secret;
}

/* Is a kvagentd there? Asked before the store's secret goes to an address somebody typed. */
static int meet_agent(struct doing *d, const struct rest *r, struct err *err)
{
    struct rest question = {.method = "GET", .url = r->url, .path = r->path, .who = r->who};
    struct json *doc = NULL;
    int rc = rest_call(d->cn, &question, NULL, &doc, err);

    if (rc == 0 && (json_str(json_get(doc, "agent"), "version") == NULL ||
                    !json_is_object(json_get(doc, "node")))) {
        rc = err_set(err, ERR_UNREACHABLE, "%s: answers, but not as a kvagentd does", r->who);
        err_advise(err, "check that host and port are those of a kvagentd");
    }
    json_free(doc);
    return rc;
}

static int do_register(struct doing *d, struct err *err)
{
    const char *host = json_str(d->t->args, "host");
    struct rest r = {.method = "PUT", .url = json_str(d->t->args, "url"), .path = "/v1/node"};
    struct json *body = json_object();
    char *secret = NULL;
    int rc = -1;

    r.who = arena_printf(&d->c.arena, "%s at %s:%lld", d->t->target, host,
                         (long long)json_int(d->t->args, "port", 0));
    if (meet_agent(d, &r, err) == 0 && (secret = store_secret(d->cn, err)) != NULL) {
        json_set_str(body, "store", d->c.store);
        json_set_str(body, "id", d->t->target);
        json_set_str(body, "zone", json_str(d->t->args, "zone"));
        json_set_str(body, "secret", secret);
        r.body = body;
        rc = doing_send(d, &r, NULL, err);
    }
    json_free(body);
    free(secret);
    return rc;
}

static enum settled registered(struct doing *d, struct err *err)
{
    const struct rest r = {.method = "GET",
                           .url = json_str(d->t->args, "url"),
                           .path = "/v1/node",
                           .who = d->t->target};
    struct json *doc = NULL;
    const char *id, *store;
    enum settled answer;

    if (rest_call(d->cn, &r, NULL, &doc, err) != 0)
        return SETTLED_UNKNOWN;
    id = json_str(json_get(doc, "node"), "id");
    store = json_str(json_get(doc, "node"), "store");
    answer = id && store && strcmp(id, d->t->target) == 0 && strcmp(store, d->c.store) == 0
                 ? SETTLED_YES
                 : SETTLED_NO;
    json_free(doc);
    return answer;
}

/* --- define-admin, define --- */

static int put_service(struct doing *d, struct json *body, struct err *err)
{
    struct node *n = cluster_node(&d->c, d->t->node);
    const struct rest r = {
        .method = "PUT",
        .url = n ? n->url : "",
        .path = arena_printf(&d->c.arena, "/v1/services/%s", d->t->target),
        .who = n ? redis_where(&d->c, n) : "",
        .body = body,
    };
    int rc;

    if (n == NULL)
        rc = err_set(err, ERR_FAILED, "%s is not declared in the store", d->t->node);
    else
        rc = doing_send(d, &r, NULL, err);
    json_free(body);
    return rc;
}

static int do_define_admin(struct doing *d, struct err *err)
{
    struct json *body = json_object();

    json_set_str(body, "kind", "admin");
    return put_service(d, body, err);
}

/* What a store's policy says about its processes goes into their definition. */
static struct json *service_params(const struct doing *d)
{
    const struct json *policy = json_get(meta_doc(d->c.doc, "policy", "policy"), "params");
    struct json *params = json_object();

    JSON_FOREACH (param, policy) {
        if (redis_is_process_param(json_key(param)))
            json_set(params, json_key(param), json_copy(param));
    }
    return params;
}

static int do_define(struct doing *d, struct err *err)
{
    struct json *body = json_object();

    json_set_str(body, "kind", "redis");
    json_set_str(body, "shard", json_str(d->t->args, "shard"));
    json_set_str(body, "storageDir", json_str(d->t->args, "storageDir"));
    json_set_int(body, "port", json_int(d->t->args, "port", 0));
    json_set_int(body, "busPort", json_int(d->t->args, "busPort", 0));
    json_set(body, "params", service_params(d));
    return put_service(d, body, err);
}

static enum settled defined(struct doing *d, struct err *err)
{
    const struct node *n = cluster_node(&d->c, d->t->node);

    if (n == NULL || n->status != STATUS_RUNNING) {
        err_set(err, ERR_IN_DOUBT, "%s", n ? n->detail : "its node is not declared");
        return SETTLED_UNKNOWN;
    }
    JSON_FOREACH (s, json_get(n->raw, "services")) {
        const char *id = json_str(s, "id");
        if (id != NULL && strcmp(id, d->t->target) == 0)
            return SETTLED_YES;
    }
    return SETTLED_NO;
}

/* --- forming a cluster --- */

static int do_assign(struct doing *d, struct err *err)
{
    struct node *n;
    struct service *s = doing_target(d, d->t->target, &n, err);
    const struct json *live = s ? redis_live(s) : NULL;
    struct json *body;

    if (s == NULL)
        return -1;
    if (live == NULL)
        return err_set(err, ERR_FAILED, "%s on %s does not run", s->id, s->node);
    if (redis_check_fresh(s, err) != 0)
        return -1;
    /* Distinct epochs before the first meeting save the cluster from sorting them out. Once it
     * knows others the chance is gone, and harmless. */
    if (json_int(live, "knownNodes", 1) <= 1) {
        body = json_object();
        json_set_int(body, "epoch", json_int(d->t->args, "epoch", 1));
        if (doing_act(d, s, "set-epoch", body, NULL, err) != 0)
            return -1;
    }
    body = json_object();
    json_set(body, "ranges", json_copy(json_get(d->t->args, "slots")));
    return doing_act(d, s, "add-slots", body, NULL, err);
}

static enum settled assigned(struct doing *d, struct err *err)
{
    struct node *n;
    const struct service *s = doing_target(d, d->t->target, &n, err);
    const struct json *mine;

    if (s == NULL)
        return SETTLED_UNKNOWN;
    mine = json_get(redis_member(s, json_str(redis_live(s), "nodeId")), "slots");
    return json_equal(mine, json_get(d->t->args, "slots")) ? SETTLED_YES : SETTLED_NO;
}

static int do_meet(struct doing *d, struct err *err)
{
    struct node *n;
    struct service *s = doing_target(d, d->t->target, &n, err);
    const struct json *peers = json_get(d->t->args, "peers");
    size_t done = 0;

    if (s == NULL || redis_check_fresh(s, err) != 0)
        return -1;
    JSON_FOREACH (peer, peers) {
        if (doing_act(d, s, "meet", json_copy(peer), NULL, err) != 0)
            return -1;
        d->p->report(d->p, (int)(++done * 100 / json_len(peers)), NULL);
    }
    return 0;
}

/* Meeting twice is harmless; whether it "took" shows in await-cluster. */
static enum settled met(struct doing *d, struct err *err)
{
    (void)d;
    (void)err;
    return SETTLED_NO;
}

static int do_replicate(struct doing *d, struct err *err)
{
    const char *primary_name = json_str(d->t->args, "primary");
    int64_t since = time_mono_ms();

    for (;;) {
        struct node *n;
        struct service *s = doing_target(d, d->t->target, &n, err);
        struct service *primary = s ? doing_target(d, primary_name, &n, err) : NULL;
        const char *id = primary ? json_str(redis_live(primary), "nodeId") : NULL;
        const struct json *known;

        if (primary == NULL)
            return -1;
        known = redis_member(s, id);
        if (known != NULL && !redis_member_has_flag(known, "handshake") &&
            json_len(json_get(known, "slots")) > 0) {
            struct json *body = json_object();
            json_set_str(body, "nodeId", id);
            return doing_act(d, s, "replicate", body, NULL, err);
        }
        if (time_mono_ms() - since > SETTLE_MS)
            return err_set(err, ERR_FAILED, "%s does not learn of its primary %s", s->id,
                           primary_name);
        if (doing_pause(d, -1, arena_printf(&d->c.arena, "%s to learn of %s", s->id, primary_name),
                        err) != 0 ||
            doing_look(d, err) != 0)
            return -1;
    }
}

static enum settled replicates(struct doing *d, struct err *err)
{
    struct node *n;
    const struct service *s = doing_target(d, d->t->target, &n, err);
    const struct service *primary =
        s ? doing_target(d, json_str(d->t->args, "primary"), &n, err) : NULL;
    const char *follows = s ? json_str(redis_live(s), "primaryId") : NULL;
    const char *id = primary ? json_str(redis_live(primary), "nodeId") : NULL;

    if (primary == NULL)
        return SETTLED_UNKNOWN;
    return follows && id && strcmp(follows, id) == 0 ? SETTLED_YES : SETTLED_NO;
}

static int do_await_cluster(struct doing *d, struct err *err)
{
    int64_t since = time_mono_ms();
    const char *why = "the services";

    while (!redis_converged(&d->c, &why)) {
        if (time_mono_ms() - since > SETTLE_MS) {
            err_set(err, ERR_FAILED, "the cluster did not come together: waited %d s for %s",
                    SETTLE_MS / 1000, why);
            return err_advise(err, "'verify configuration' shows what is wrong");
        }
        if (doing_pause(d, -1, why, err) != 0 || doing_look(d, err) != 0)
            return -1;
    }
    return 0;
}

static enum settled gathered(struct doing *d, struct err *err)
{
    const char *why;

    (void)err;
    return redis_converged(&d->c, &why) ? SETTLED_YES : SETTLED_NO;
}

const struct task_type redis_form_tasks[] = {
    {"register-node", do_register, registered},
    {"define-admin", do_define_admin, defined},
    {"define", do_define, defined},
    {"assign", do_assign, assigned},
    {"meet", do_meet, met},
    {"replicate", do_replicate, replicates},
    {"await-cluster", do_await_cluster, gathered},
    {NULL, NULL, NULL},
};
