/* What a task does, as commands a person could type: redis-cli and curl. Secrets stay in their
 * files. Pure. */
#include "engines/redis/redis.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/meta.h"

struct telling {
    const struct task *t;
    const struct cluster *c;
    void (*line)(void *arg, const char *text);
    void *arg;
};

static void tell(const struct telling *x, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void tell(const struct telling *x, const char *fmt, ...)
{
    va_list ap;
    char *text;

    va_start(ap, fmt);
    text = xvasprintf(fmt, ap);
    va_end(ap);
    x->line(x->arg, text);
    free(text);
}

static const struct node *node_of(const struct telling *x, const char *service)
{
    const struct service *s = service ? cluster_service(x->c, service) : NULL;

    return cluster_node(x->c, s ? s->node : x->t->node);
}

/* A request to the agent of the service's node; the token comes from its file. */
static void tell_rest(const struct telling *x, const char *service, const char *method,
                      const char *path, const struct json *body)
{
    const struct node *n = node_of(x, service);
    const char *url = n ? n->url : json_str(x->t->args, "url");
    char *text = body ? json_print(body) : NULL;

    tell(x, "curl -H \"Authorization: Bearer $(cat TOKEN_FILE)\" -X %s%s%s%s %s%s", method,
         text ? " -H 'Content-Type: application/json' -d '" : "", text ? text : "", text ? "'" : "",
         url ? url : "http://HOST:PORT", path);
    free(text);
}

static void tell_action(const struct telling *x, const char *service, const char *action)
{
    struct json *empty = json_object();
    char *path = xasprintf("/v1/services/%s/%s", service, action);

    tell_rest(x, service, "POST", path, empty);
    free(path);
    json_free(empty);
}

static void tell_auth(const struct telling *x)
{
    tell(x, "export REDISCLI_AUTH=\"$(cat KVROOT/%s/secret)\"",
         x->c->store ? x->c->store : "STORE");
}

static void tell_redis(const struct telling *x, const char *service, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void tell_redis(const struct telling *x, const char *service, const char *fmt, ...)
{
    const struct service *s = service ? cluster_service(x->c, service) : NULL;
    const struct node *n = node_of(x, service);
    va_list ap;
    char *text;

    va_start(ap, fmt);
    text = xvasprintf(fmt, ap);
    va_end(ap);
    tell(x, "redis-cli -h %s -p %d %s", n ? n->host : "HOST",
         s ? s->port : (int)json_int(x->t->args, "port", 0), text);
    free(text);
}

static const char *id_of(const struct telling *x, const char *service)
{
    const struct service *s = service ? cluster_service(x->c, service) : NULL;
    const char *id = json_str(redis_live(s ? s : &(struct service){0}), "nodeId");

    return id ? id : "NODE_ID";
}

/* --- types --- */

static void explain_register(const struct telling *x)
{
    const char *zone = json_str(x->t->args, "zone");

    tell(x,
         "jq -n --rawfile s SECRET_FILE '{store:\"%s\",id:\"%s\",zone:\"%s\",secret:($s|rtrimstr("
         "\"\\n\"))}' | curl -H \"Authorization: Bearer $(cat TOKEN_FILE)\" -X PUT -d @- "
         "%s/v1/node",
         x->c->store ? x->c->store : "STORE", x->t->target, zone ? zone : "ZONE",
         json_str(x->t->args, "url") ? json_str(x->t->args, "url") : "URL");
}

static void explain_define(const struct telling *x)
{
    struct json *body = json_object();
    char *path = xasprintf("/v1/services/%s", x->t->target);
    bool is_admin = strcmp(x->t->type, "define-admin") == 0;
    static const char *const members[] = {"shard", "storageDir", "port", "busPort"};

    json_set_str(body, "kind", is_admin ? "admin" : "redis");
    for (size_t i = 0; !is_admin && i < sizeof members / sizeof *members; i++) {
        if (json_get(x->t->args, members[i]) != NULL)
            json_set(body, members[i], json_copy(json_get(x->t->args, members[i])));
    }
    tell_rest(x, NULL, "PUT", path, body);
    free(path);
    json_free(body);
}

static void explain_start(const struct telling *x)
{
    tell_action(x, x->t->target, "start");
    tell_auth(x);
    tell_redis(x, x->t->target, "INFO replication");
}

static void explain_stop(const struct telling *x)
{
    tell_action(x, x->t->target, "stop");
}

static void explain_handover(const struct telling *x)
{
    const char *to = json_str(x->t->args, "to");

    tell_auth(x);
    tell_redis(x, to, "CLUSTER FAILOVER");
    tell_redis(x, to, "INFO replication | grep role");
}

static void explain_takeover(const struct telling *x)
{
    const char *mode = json_str(x->t->args, "mode");

    tell_auth(x);
    tell_redis(x, x->t->target, "CLUSTER FAILOVER %s",
               mode && strcmp(mode, "force") == 0 ? "FORCE" : "TAKEOVER");
    tell_redis(x, x->t->target, "INFO replication | grep role");
}

static void explain_await(const struct telling *x)
{
    tell_auth(x);
    tell_redis(x, x->t->target, "INFO replication | grep -E 'role|master_link_status'");
}

static void explain_assign(const struct telling *x)
{
    tell_auth(x);
    tell_redis(x, x->t->target, "CLUSTER SET-CONFIG-EPOCH %lld",
               (long long)json_int(x->t->args, "epoch", 1));
    JSON_FOREACH (range, json_get(x->t->args, "slots")) {
        tell_redis(x, x->t->target, "CLUSTER ADDSLOTSRANGE %lld %lld",
                   (long long)json_value_int(json_at(range, 0), 0),
                   (long long)json_value_int(json_at(range, 1), 0));
    }
}

static void explain_meet(const struct telling *x)
{
    tell_auth(x);
    JSON_FOREACH (peer, json_get(x->t->args, "peers")) {
        tell_redis(x, x->t->target, "CLUSTER MEET %s %lld %lld",
                   json_str(peer, "host") ? json_str(peer, "host") : "HOST",
                   (long long)json_int(peer, "port", 0), (long long)json_int(peer, "busPort", 0));
    }
}

static void explain_replicate(const struct telling *x)
{
    tell_auth(x);
    tell_redis(x, x->t->target, "CLUSTER REPLICATE %s", id_of(x, json_str(x->t->args, "primary")));
}

static void each_service(const struct telling *x, const char *command)
{
    tell_auth(x);
    for (size_t i = 0; i < x->c->n_services; i++) {
        if (x->c->services[i].kind == KIND_RN)
            tell_redis(x, x->c->services[i].id, "%s", command);
    }
}

static void explain_await_cluster(const struct telling *x)
{
    each_service(x, "CLUSTER INFO | grep -E 'cluster_state|cluster_slots_ok|cluster_known_nodes'");
}

static void explain_wipe(const struct telling *x)
{
    const struct service *s = cluster_service(x->c, x->t->target);
    const struct node *n = node_of(x, x->t->target);

    tell(x, "ssh %s 'find %s/%s/env -mindepth 1 ! -name kvagentd.lock -delete'",
         n ? n->host : "HOST", s && s->storage_dir ? s->storage_dir : "STORAGEDIR", x->t->target);
    if (json_bool(x->t->args, "identity", false))
        tell(x, "ssh %s 'rm -f KVROOT/%s/%s/%s.nodes.conf'", n ? n->host : "HOST",
             x->c->store ? x->c->store : "STORE", x->t->node, x->t->target);
}

static void explain_forget(const struct telling *x)
{
    JSON_FOREACH (id, json_get(x->t->args, "ids")) {
        char *command =
            xasprintf("CLUSTER FORGET %s", json_value_str(id) ? json_value_str(id) : "");
        each_service(x, command);
        free(command);
    }
}

static void explain_undefine(const struct telling *x)
{
    char *path = xasprintf("/v1/services/%s", x->t->target);

    tell_action(x, x->t->target, "stop");
    tell_rest(x, NULL, "DELETE", path, NULL);
    free(path);
}

static void explain_remove_data(const struct telling *x)
{
    const struct node *n = node_of(x, NULL);
    const char *dir = json_str(x->t->args, "storageDir");

    tell(x, "ssh %s 'rm -r %s/%s'", n ? n->host : "HOST", dir ? dir : "STORAGEDIR", x->t->target);
}

static void explain_tidy(const struct telling *x)
{
    tell_auth(x);
    for (size_t i = 0; i < x->c->n_shards; i++) {
        const struct service *m = cluster_master(x->c, x->c->shards[i].id);
        if (m != NULL)
            tell_redis(x, m->id, "CLUSTER NODES | grep myself");
    }
    tell(x, "redis-cli --cluster check HOST:PORT");
    tell(x, "redis-cli --cluster fix HOST:PORT");
}

static void explain_check_data(const struct telling *x)
{
    const struct service *s = cluster_service(x->c, x->t->target);
    const struct node *n = node_of(x, x->t->target);

    tell(x, "ssh %s 'redis-check-aof %s/%s/env/appendonlydir/appendonly.aof.manifest'",
         n ? n->host : "HOST", s && s->storage_dir ? s->storage_dir : "STORAGEDIR", x->t->target);
}

static void explain_check_copies(const struct telling *x)
{
    tell_auth(x);
    for (size_t i = 0; i < x->c->n_services; i++) {
        const struct service *s = &x->c->services[i];
        if (s->shard == NULL || strcmp(s->shard, x->t->target) != 0)
            continue;
        tell_redis(x, s->id, "DBSIZE");
        tell_redis(x, s->id, "INFO replication | grep repl_offset");
    }
}

static void explain_declare(const struct telling *x)
{
    tell(x, "# only what the store declares changes: %s", x->t->what ? x->t->what : x->t->target);
}

static const struct {
    const char *type;
    void (*explain)(const struct telling *x);
} explanations[] = {
    {"register-node", explain_register},
    {"define-admin", explain_define},
    {"define", explain_define},
    {"start", explain_start},
    {"stop", explain_stop},
    {"handover", explain_handover},
    {"takeover", explain_takeover},
    {"await", explain_await},
    {"assign", explain_assign},
    {"meet", explain_meet},
    {"replicate", explain_replicate},
    {"await-cluster", explain_await_cluster},
    {"wipe", explain_wipe},
    {"forget", explain_forget},
    {"undefine", explain_undefine},
    {"remove-data", explain_remove_data},
    {"tidy-slots", explain_tidy},
    {"check-data", explain_check_data},
    {"check-copies", explain_check_copies},
};

void redis_explain(const struct task *t, const struct cluster *c,
                   void (*line)(void *arg, const char *text), void *arg)
{
    const struct telling x = {.t = t, .c = c, .line = line, .arg = arg};

    for (size_t i = 0; i < sizeof explanations / sizeof *explanations; i++) {
        if (strcmp(explanations[i].type, t->type) == 0) {
            explanations[i].explain(&x);
            return;
        }
    }
    explain_declare(&x);
}
