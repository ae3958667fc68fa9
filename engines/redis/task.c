/*
 * What a task does, and how to see whether it did. Each type is repeatable: perform() may be called
 * on a store where the task, or half of it, has happened already.
 */
#include "engines/redis/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"
#include "kvsh/meta.h"

#define POLL_MS 200
#define SETTLE_MS 60000 /* how long the cluster may stand still before waiting is given up */

/* Everything a task's function needs; c is the store as seen last. */
struct doing {
    struct connection *cn;
    const struct task *t;
    struct perform *p;
    struct cluster c;
};

static int look(struct doing *d, struct err *err)
{
    cluster_release(&d->c);
    if (meta_to_cluster(d->p->docs, &d->c, err) != 0)
        return -1;
    return redis_observe(d->cn, d->p->docs, &d->c, err);
}

/* The task's service and its node as seen last; an unreachable agent is an error here. */
static struct service *find_target(struct doing *d, const char *id, struct node **node,
                                   struct err *err)
{
    struct service *s = cluster_service(&d->c, id);

    *node = s ? cluster_node(&d->c, s->node) : NULL;
    if (*node == NULL) {
        err_set(err, ERR_FAILED, "%s is not declared in the store any more", id);
        return NULL;
    }
    if ((*node)->status != STATUS_RUNNING) {
        err_set(err, (*node)->cause, "%s", (*node)->detail);
        err_advise(err, "start the agent of %s, then 'plan execute'", (*node)->id);
        return NULL;
    }
    return s;
}

static int pause_task(struct doing *d, int percent, const char *waiting_for, struct err *err)
{
    d->p->report(d->p, percent, waiting_for);
    if (d->p->interrupted(d->p))
        return err_set(err, ERR_INTERRUPTED, "interrupted while waiting for %s", waiting_for);
    time_sleep_ms(POLL_MS);
    return 0;
}

/* A changing request, with what was sent and what came back in the plan's history. */
static int send_request(struct doing *d, const struct rest *r, struct json **answer,
                        struct err *err)
{
    int status, rc = rest_call(d->cn, r, &status, answer, err);

    if (d->p->event != NULL)
        d->p->event(d->p, rc == 0 ? "info" : "warning",
                    arena_printf(&d->c.arena, "%s: %s %s: %s", r->who, r->method, r->path,
                                 rc != 0 ? err->text : arena_printf(&d->c.arena, "%d", status)));
    return rc;
}

/* POST /v1/services/{id}/{action}; body is taken. The answer, when asked for, is the caller's. */
static int act(struct doing *d, const struct service *s, const char *action, struct json *body,
               struct json **answer, struct err *err)
{
    struct node *n = cluster_node(&d->c, s->node);
    const struct rest r = {
        .method = "POST",
        .url = n->url,
        .path = arena_printf(&d->c.arena, "/v1/services/%s/%s", s->id, action),
        .who = redis_where(&d->c, n),
        .body = body,
    };
    int rc = send_request(d, &r, answer, err);

    json_free(body);
    return rc;
}

static int operation_failed(const struct json *op, const char *who, struct err *err)
{
    const struct json *problem = json_get(op, "problem");
    const char *detail = json_str(problem, "detail"), *advice = json_str(problem, "advice");

    err_set(err, ERR_FAILED, "%s: %s", who, detail ? detail : "failed without a reason");
    if (advice != NULL)
        err_advise(err, "%s", advice);
    return -1;
}

/* Follows an operation of an agent to its end. A lost operation is ERR_IN_DOUBT: the agent may have
 * restarted. */
static int follow(struct doing *d, const struct node *n, int64_t id, struct err *err)
{
    const char *who = redis_where(&d->c, n);
    const char *path = arena_printf(&d->c.arena, "/v1/operations/%lld?wait=1", (long long)id);
    const struct rest r = {
        .method = "GET", .url = n->url, .path = path, .who = who, .timeout_ms = 10000};

    for (;;) {
        struct json *op = NULL;
        const char *state, *waiting;
        int rc = rest_call(d->cn, &r, NULL, &op, err);

        if (rc != 0) {
            err->code = err->code == ERR_DENIED ? ERR_DENIED : ERR_IN_DOUBT;
            return -1;
        }
        state = json_str(op, "state");
        waiting = json_str(op, "waitingFor");
        d->p->report(d->p, (int)json_int(op, "percent", -1), waiting);
        if (state != NULL && strcmp(state, "running") != 0) {
            rc = strcmp(state, "succeeded") == 0 ? 0 : operation_failed(op, who, err);
            json_free(op);
            return rc;
        }
        json_free(op);
        if (d->p->interrupted(d->p))
            return err_set(err, ERR_INTERRUPTED, "interrupted while %s works on %s", n->id,
                           d->t->target);
    }
}

/* act(), and when the agent answers with an operation, follow it. */
static int act_and_follow(struct doing *d, const struct service *s, const char *action,
                          struct json *body, struct err *err)
{
    struct json *answer = NULL;
    int rc = act(d, s, action, body, &answer, err);

    if (rc == 0 && json_get(answer, "operation") != NULL)
        rc = follow(d, cluster_node(&d->c, s->node), json_int(answer, "operation", 0), err);
    json_free(answer);
    return rc;
}

/* --- register-node --- */

/* The password of all processes of the store: made once, kept in the endpoint's secret file. */
static char *store_secret(struct connection *cn, struct err *err)
{
    struct err absent = ERR_INIT;
    char *secret = fs_read_secret(cn->secret_file, &absent), *line;

    if (secret != NULL || absent.code == ERR_DENIED) {
        if (secret == NULL)
            *err = absent;
        return secret;
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
        rc = send_request(d, &r, NULL, err);
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
        rc = send_request(d, &r, NULL, err);
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
        if (engine_redis.knows_param(json_key(param)))
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

/* --- start --- */

/* Somebody else serves this service's shard, and nobody sees slots with it: it may start empty. */
static bool may_start_empty(struct doing *d, const struct service *s)
{
    const struct service *master = cluster_master(&d->c, s->shard);

    return master != NULL && master != s && redis_owns_slots(master);
}

static int check_fresh(const struct service *s, struct err *err)
{
    const struct json *live = redis_live(s);
    int64_t keys = json_int(live, "keys", 0);

    if (keys == 0 || json_int(live, "knownNodes", 1) > 1)
        return 0;
    err_set(err, ERR_FAILED, "%s on %s found %lld keys in %s: the directory was not empty", s->id,
            s->node, (long long)keys, s->storage_dir);
    return err_advise(err, "move what is in %s/%s away, then 'plan execute'", s->storage_dir,
                      s->id);
}

/* In sync as replica, or serving as primary. *why: what is still missing. */
static bool serves(const struct service *s, const char **why)
{
    const struct json *live = redis_live(s);
    const char *state = json_str(live, "clusterState");

    if (s->status == STATUS_STARTING)
        *why = s->detail ? s->detail : "its data to be loaded";
    else if (s->status != STATUS_RUNNING)
        *why = "the process to answer";
    else if (s->role == ROLE_REPLICA && json_bool(live, "syncInProgress", false))
        *why = "the copy of its shard";
    else if (s->role == ROLE_REPLICA && !s->in_sync)
        *why = "its link to the primary";
    else if (s->role != ROLE_REPLICA && !redis_owns_slots(s))
        *why = "its role in the cluster";
    else if (state == NULL || strcmp(state, "ok") != 0)
        *why = "the cluster to be in order";
    else
        return true;
    return false;
}

/* Is the other side slow (then patience), or does nothing move? */
static bool moves(const struct service *s)
{
    const struct json *live = redis_live(s);

    return s->status == STATUS_STARTING || json_bool(live, "loading", false) ||
           json_bool(live, "syncInProgress", false);
}

static int await_service(struct doing *d, struct err *err)
{
    int64_t since = time_mono_ms();
    const char *why = NULL;

    for (;;) {
        struct node *n;
        struct service *s;

        if (look(d, err) != 0 || (s = find_target(d, d->t->target, &n, err)) == NULL)
            return -1;
        if (s->status == STATUS_RUNNING && serves(s, &why) && redis_converged(&d->c, &why))
            return 0;
        if (s->status == STATUS_ERROR || s->status == STATUS_STOPPED)
            return err_set(err, ERR_FAILED, "%s on %s ended again%s%s", s->id, s->node,
                           s->detail ? ": " : "", s->detail ? s->detail : "");
        if (serves(s, &why) && time_mono_ms() - since > SETTLE_MS / 6)
            return 0; /* it does its part; that others are down is not this task's */
        if (moves(s))
            since = time_mono_ms();
        if (time_mono_ms() - since > SETTLE_MS) {
            err_set(err, ERR_FAILED, "%s on %s runs, but waited %d s in vain for %s", s->id,
                    s->node, SETTLE_MS / 1000, why);
            return err_advise(err,
                              "'verify configuration' shows what is wrong; then 'plan execute'");
        }
        if (pause_task(d, -1, why, err) != 0)
            return -1;
    }
}

static int do_start(struct doing *d, struct err *err)
{
    bool fresh = json_bool(d->t->args, "fresh", false);
    struct json *body = json_object();
    struct node *n;
    struct service *s = find_target(d, d->t->target, &n, err);

    if (s == NULL) {
        json_free(body);
        return -1;
    }
    json_set_bool(body, "allowEmpty", may_start_empty(d, s));
    if (act_and_follow(d, s, "start", body, err) != 0)
        return -1;
    if (!fresh) {
        if (await_service(d, err) != 0)
            return -1;
    } else if (look(d, err) != 0 || (s = find_target(d, d->t->target, &n, err)) == NULL ||
               check_fresh(s, err) != 0) {
        return -1;
    }
    s = cluster_service(&d->c, d->t->target);
    snprintf(d->p->result, sizeof d->p->result, "runs on %s port %d%s%s", s->node, s->port,
             fresh ? "" : " as ", fresh ? "" : role_name(s->role));
    return 0;
}

static enum settled started(struct doing *d, struct err *err)
{
    struct node *n;
    const struct service *s = find_target(d, d->t->target, &n, err);
    const char *why;

    if (s == NULL)
        return SETTLED_UNKNOWN;
    if (s->status != STATUS_RUNNING)
        return SETTLED_NO;
    if (json_bool(d->t->args, "fresh", false))
        return check_fresh(s, err) == 0 ? SETTLED_YES : SETTLED_NO;
    return serves(s, &why) ? SETTLED_YES : SETTLED_NO;
}

/* --- stop --- */

static int do_stop(struct doing *d, struct err *err)
{
    struct node *n;
    struct service *s = find_target(d, d->t->target, &n, err);

    if (s == NULL)
        return -1;
    if (s->role == ROLE_MASTER && redis_owns_slots(s) && !d->p->force &&
        !json_bool(d->t->args, "asPrimary", false)) {
        err_set(err, ERR_FAILED, "%s became primary of %s meanwhile and is not stopped", s->id,
                s->shard);
        return err_advise(err, "cancel this plan and run 'plan stop-service -service %s' again",
                          s->id);
    }
    if (act_and_follow(d, s, "stop", json_object(), err) != 0)
        return -1;
    snprintf(d->p->result, sizeof d->p->result, "stopped on %s", s->node);
    return 0;
}

static enum settled stopped(struct doing *d, struct err *err)
{
    struct node *n;
    const struct service *s = find_target(d, d->t->target, &n, err);

    if (s == NULL)
        return SETTLED_UNKNOWN;
    return s->status == STATUS_STOPPED ? SETTLED_YES : SETTLED_NO;
}

/* --- handover --- */

/*
 * A failover is dropped without an answer while the primary does not list the replica, or one of
 * the two has no link to the other (facts of Redis 7.0): both must see each other first.
 */
static bool see_each_other(const struct service *from, const struct service *to, const char **why)
{
    const char *from_id = json_str(redis_live(from), "nodeId");
    const char *to_id = json_str(redis_live(to), "nodeId");
    const struct json *seen_by_from = redis_member(from, to_id);
    const struct json *seen_by_to = redis_member(to, from_id);
    const char *primary = json_str(seen_by_from, "primaryId");

    *why = "primary and replica to see each other";
    if (!json_bool(seen_by_from, "linkUp", false) || !json_bool(seen_by_to, "linkUp", false) ||
        primary == NULL || from_id == NULL || strcmp(primary, from_id) != 0)
        return false;
    *why = "the replica to be in sync";
    return to->in_sync;
}

static enum settled handed_over(struct doing *d, struct err *err)
{
    struct node *n;
    const struct service *to = find_target(d, json_str(d->t->args, "to"), &n, err);

    if (to == NULL)
        return SETTLED_UNKNOWN;
    return to->role == ROLE_MASTER && redis_owns_slots(to) ? SETTLED_YES : SETTLED_NO;
}

/* The former primary follows, and nobody believes otherwise. */
static int await_handover(struct doing *d, struct err *err)
{
    int64_t since = time_mono_ms();

    for (;;) {
        const struct service *from, *to;

        if (look(d, err) != 0)
            return -1;
        from = cluster_service(&d->c, d->t->target);
        to = cluster_service(&d->c, json_str(d->t->args, "to"));
        if (from != NULL && to != NULL && to->role == ROLE_MASTER &&
            (from->status != STATUS_RUNNING || (from->role == ROLE_REPLICA && from->in_sync)))
            return 0;
        if (time_mono_ms() - since > SETTLE_MS)
            return err_set(err, ERR_FAILED, "%s took over, but %s does not follow it",
                           json_str(d->t->args, "to"), d->t->target);
        if (pause_task(d, -1, "the former primary to follow the new one", err) != 0)
            return -1;
    }
}

static int do_handover(struct doing *d, struct err *err)
{
    int64_t since = time_mono_ms();
    struct json *body;

    for (;;) {
        struct node *nf, *nt;
        const struct service *from = find_target(d, d->t->target, &nf, err);
        const struct service *to =
            from ? find_target(d, json_str(d->t->args, "to"), &nt, err) : NULL;
        const char *why = NULL;

        if (to == NULL)
            return -1;
        if (to->role == ROLE_MASTER && redis_owns_slots(to))
            return await_handover(d, err);
        if (see_each_other(from, to, &why))
            break;
        if (time_mono_ms() - since > SETTLE_MS / 2) {
            err_set(err, ERR_FAILED, "%s cannot hand over to %s: waited %d s in vain for %s",
                    from->id, to->id, SETTLE_MS / 2000, why);
            return err_advise(err, "'verify configuration' shows the state of both");
        }
        if (pause_task(d, -1, why, err) != 0 || look(d, err) != 0)
            return -1;
    }
    body = json_object();
    json_set_str(body, "mode", "graceful");
    if (act_and_follow(d, cluster_service(&d->c, json_str(d->t->args, "to")), "failover", body,
                       err) != 0)
        return -1;
    return await_handover(d, err);
}

/* --- forming a cluster --- */

static int do_assign(struct doing *d, struct err *err)
{
    struct node *n;
    struct service *s = find_target(d, d->t->target, &n, err);
    const struct json *live = s ? redis_live(s) : NULL;
    struct json *body;

    if (s == NULL)
        return -1;
    if (live == NULL)
        return err_set(err, ERR_FAILED, "%s on %s does not run", s->id, s->node);
    if (check_fresh(s, err) != 0)
        return -1;
    /* Distinct epochs before the first meeting save the cluster from sorting them out. Once it
     * knows others the chance is gone, and harmless. */
    if (json_int(live, "knownNodes", 1) <= 1) {
        body = json_object();
        json_set_int(body, "epoch", json_int(d->t->args, "epoch", 1));
        if (act(d, s, "set-epoch", body, NULL, err) != 0)
            return -1;
    }
    body = json_object();
    json_set(body, "ranges", json_copy(json_get(d->t->args, "slots")));
    return act(d, s, "add-slots", body, NULL, err);
}

static enum settled assigned(struct doing *d, struct err *err)
{
    struct node *n;
    const struct service *s = find_target(d, d->t->target, &n, err);
    const struct json *mine;

    if (s == NULL)
        return SETTLED_UNKNOWN;
    mine = json_get(redis_member(s, json_str(redis_live(s), "nodeId")), "slots");
    return json_equal(mine, json_get(d->t->args, "slots")) ? SETTLED_YES : SETTLED_NO;
}

static int do_meet(struct doing *d, struct err *err)
{
    struct node *n;
    struct service *s = find_target(d, d->t->target, &n, err);
    const struct json *peers = json_get(d->t->args, "peers");
    size_t done = 0;

    if (s == NULL || check_fresh(s, err) != 0)
        return -1;
    JSON_FOREACH (peer, peers) {
        if (act(d, s, "meet", json_copy(peer), NULL, err) != 0)
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
        struct service *s = find_target(d, d->t->target, &n, err);
        struct service *primary = s ? find_target(d, primary_name, &n, err) : NULL;
        const char *id = primary ? json_str(redis_live(primary), "nodeId") : NULL;
        const struct json *known;

        if (primary == NULL)
            return -1;
        known = redis_member(s, id);
        if (known != NULL && !redis_member_has_flag(known, "handshake") &&
            json_len(json_get(known, "slots")) > 0) {
            struct json *body = json_object();
            json_set_str(body, "nodeId", id);
            return act(d, s, "replicate", body, NULL, err);
        }
        if (time_mono_ms() - since > SETTLE_MS)
            return err_set(err, ERR_FAILED, "%s does not learn of its primary %s", s->id,
                           primary_name);
        if (pause_task(d, -1, arena_printf(&d->c.arena, "%s to learn of %s", s->id, primary_name),
                       err) != 0 ||
            look(d, err) != 0)
            return -1;
    }
}

static enum settled replicates(struct doing *d, struct err *err)
{
    struct node *n;
    const struct service *s = find_target(d, d->t->target, &n, err);
    const struct service *primary =
        s ? find_target(d, json_str(d->t->args, "primary"), &n, err) : NULL;
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
            return err_advise(err,
                              "'verify configuration' shows what is wrong; then 'plan execute'");
        }
        if (pause_task(d, -1, why, err) != 0 || look(d, err) != 0)
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

/* --- the table --- */

static const struct task_type {
    const char *name;
    int (*perform)(struct doing *d, struct err *err);
    enum settled (*settled)(struct doing *d, struct err *err);
} types[] = {
    {"register-node", do_register, registered},
    {"define-admin", do_define_admin, defined},
    {"define", do_define, defined},
    {"start", do_start, started},
    {"stop", do_stop, stopped},
    {"handover", do_handover, handed_over},
    {"assign", do_assign, assigned},
    {"meet", do_meet, met},
    {"replicate", do_replicate, replicates},
    {"await-cluster", do_await_cluster, gathered},
};

static const struct task_type *find_type(const struct task *t, struct err *err)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].name, t->type) == 0)
            return &types[i];
    }
    err_set(err, ERR_INTERNAL, "the redis engine has no task \"%s\"", t->type);
    return NULL;
}

int redis_perform(struct connection *cn, const struct task *t, struct perform *p, struct err *err)
{
    const struct task_type *type = find_type(t, err);
    struct doing d = {.cn = cn, .t = t, .p = p};
    int rc = type != NULL && look(&d, err) == 0 ? type->perform(&d, err) : -1;

    cluster_release(&d.c);
    return rc;
}

enum settled redis_settled(struct connection *cn, const struct task *t, struct perform *p,
                           struct err *err)
{
    const struct task_type *type = find_type(t, err);
    struct doing d = {.cn = cn, .t = t, .p = p};
    enum settled answer =
        type != NULL && look(&d, err) == 0 ? type->settled(&d, err) : SETTLED_UNKNOWN;

    cluster_release(&d.c);
    return answer;
}
