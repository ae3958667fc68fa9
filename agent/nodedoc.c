#include "agent/nodedoc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "agent/launch.h"
#include "agent/lease.h"
#include "agent/metadata.h"
#include "agent/operations.h"
#include "agent/redis.h"
#include "agent/services.h"
#include "agent/unit.h"
#include "agent/watch.h"

enum { ASK_MS = 1000, REFRESH_MS = 300, UNITS_REFRESH_MS = 1000 };

/* One service while it is asked. */
struct asked {
    struct json *doc; /* its entry in the document */
    struct redis *redis;
    const char *host_ip;
    char node_id[REDIS_ID_LEN + 1]; /* expected */
};

static struct json *slots_json(const struct redis_node *n)
{
    struct json *list = json_array();

    for (size_t i = 0; i < n->n_slots; i++) {
        struct json *range = json_array();

        json_push(range, json_number(n->slots[i].first));
        json_push(range, json_number(n->slots[i].last));
        json_push(list, range);
    }
    return list;
}

static struct json *open_json(const struct redis_node *n)
{
    struct json *list = json_array();

    for (size_t i = 0; i < n->n_open; i++) {
        struct json *o = json_object();

        json_set_int(o, "slot", n->open[i].slot);
        json_set_str(o, n->open[i].leaving ? "to" : "from", n->open[i].peer);
        json_push(list, o);
    }
    return list;
}

static struct json *flags_json(const char *flags)
{
    struct json *list = json_array();

    for (const char *p = flags; *p; p += strcspn(p, ","), p += *p == ',') {
        char *flag = xstrndup(p, strcspn(p, ","));

        json_push_str(list, flag);
        free(flag);
    }
    return list;
}

static const char *or_null(const char *s)
{
    return s[0] ? s : NULL;
}

/* A node that has met nobody yet does not know its own address. */
static struct json *nodes_json(const struct redis_nodes *nodes, const char *own_host)
{
    struct json *list = json_array();

    for (size_t i = 0; i < nodes->n; i++) {
        const struct redis_node *n = &nodes->nodes[i];
        struct json *j = json_object();

        json_set_str(j, "id", n->id);
        json_set_str(j, "host",
                     !n->host[0] && redis_node_has_flag(n, "myself") ? own_host : n->host);
        json_set_int(j, "port", n->port);
        json_set_int(j, "busPort", n->bus_port);
        json_set(j, "flags", flags_json(n->flags));
        json_set_str(j, "primaryId", or_null(n->primary_id));
        json_set_bool(j, "linkUp", n->link_up);
        json_set_int(j, "epoch", n->epoch);
        json_set(j, "slots", slots_json(n));
        json_set(j, "open", open_json(n));
        json_push(list, j);
    }
    return list;
}

static struct json *replicas_json(const struct redis_info *info)
{
    struct json *list = json_array();

    for (size_t i = 0; i < info->n_replicas; i++) {
        const struct redis_replica *r = &info->replicas[i];
        struct json *j = json_object();

        json_set_str(j, "host", r->host);
        json_set_int(j, "port", r->port);
        json_set_str(j, "state", r->state);
        json_set_int(j, "offset", r->offset);
        json_set_int(j, "lag", r->lag);
        json_push(list, j);
    }
    return list;
}

static void set_info(struct json *j, const struct redis_info *info)
{
    json_set_str(j, "version", info->version);
    json_set_str(j, "role", info->is_primary ? "primary" : "replica");
    json_set_bool(j, "linkUp", info->link_up);
    json_set_int(j, "linkDownS", info->link_down_s);
    json_set_bool(j, "syncInProgress", info->sync_in_progress);
    json_set_bool(j, "loading", info->loading);
    json_set_int(j, "offset", info->offset);
    json_set_str(j, "replid", info->replid);
    json_set_int(j, "usedMemory", info->used_memory);
    json_set_int(j, "maxMemory", info->max_memory);
    json_set_int(j, "uptimeS", info->uptime_s);
    json_set_bool(j, "aofOk", info->aof_ok);
    json_set_int(j, "connectedReplicas", info->connected_replicas);
    json_set(j, "replicas", replicas_json(info));
}

static void set_cluster(struct json *j, const char *text)
{
    char state[16] = "fail";

    redis_field(text, "cluster_state", state, sizeof state);
    json_set_str(j, "clusterState", state);
    json_set_int(j, "slotsAssigned", redis_field_int(text, "cluster_slots_assigned", 0));
    json_set_int(j, "slotsOk", redis_field_int(text, "cluster_slots_ok", 0));
    json_set_int(j, "knownNodes", redis_field_int(text, "cluster_known_nodes", 0));
    json_set_int(j, "epoch", redis_field_int(text, "cluster_my_epoch", 0));
    json_set_int(j, "currentEpoch", redis_field_int(text, "cluster_current_epoch", 0));
    json_set_int(j, "clusterSize", redis_field_int(text, "cluster_size", 0));
}

enum reply { REPLY_INFO, REPLY_CLUSTER, REPLY_NODES, REPLY_MYID, REPLY_DBSIZE };

static struct asked ask(struct agent *a, const struct service *s, struct json *doc)
{
    struct asked q = {
        .doc = doc, .redis = redis_new(a->host_ip, s->port, a->secret), .host_ip = a->host_ip};

    memcpy(q.node_id, s->node_id, sizeof q.node_id);
    redis_add(q.redis, "INFO", NULL);
    redis_add(q.redis, "CLUSTER", "INFO", NULL);
    redis_add(q.redis, "CLUSTER", "NODES", NULL);
    redis_add(q.redis, "CLUSTER", "MYID", NULL);
    redis_add(q.redis, "DBSIZE", NULL);
    return q;
}

/* While it loads, only INFO answers; the rest is left at its empty values. */
static struct json *redis_json(const struct asked *q)
{
    struct json *j = json_object();
    struct arena arena = {NULL};
    struct redis_info info;
    struct redis_nodes nodes = {NULL, 0};
    struct err err = ERR_INIT;
    const redisReply *size = redis_reply(q->redis, REPLY_DBSIZE);
    const redisReply *table = redis_reply(q->redis, REPLY_NODES);
    const redisReply *id = redis_reply(q->redis, REPLY_MYID);

    redis_info_decode(redis_text(redis_reply(q->redis, REPLY_INFO)), &arena, &info);
    if (!redis_is_error(table) && redis_nodes_decode(redis_text(table), &arena, &nodes, &err) < 0)
        nodes.n = 0;
    json_set_str(j, "nodeId", redis_is_error(id) ? q->node_id : redis_text(id));
    json_set_str(j, "expectedNodeId", or_null(q->node_id));
    set_info(j, &info);
    json_set_str(j, "primaryId", NULL);
    if (redis_nodes_myself(&nodes))
        json_set_str(j, "primaryId", or_null(redis_nodes_myself(&nodes)->primary_id));
    set_cluster(j, redis_text(redis_reply(q->redis, REPLY_CLUSTER)));
    json_set_int(j, "keys", size && size->type == REDIS_REPLY_INTEGER ? size->integer : 0);
    json_set(j, "nodes", nodes_json(&nodes, q->host_ip));
    arena_release(&arena);
    return j;
}

static void take_answer(const struct asked *q)
{
    const redisReply *info = redis_reply(q->redis, REPLY_INFO);

    if (redis_result(q->redis) != REDIS_ANSWERED)
        json_set_str(q->doc, "error", redis_error(q->redis));
    else if (redis_is_error(info))
        json_set_str(q->doc, "error", redis_text(info));
    else
        json_set(q->doc, "redis", redis_json(q));
}

static void ask_all(struct asked *asked, size_t n)
{
    struct redis **rs = xcalloc(n ? n : 1, sizeof *rs);

    for (size_t i = 0; i < n; i++)
        rs[i] = asked[i].redis;
    redis_exchange(rs, n, ASK_MS);
    for (size_t i = 0; i < n; i++) {
        take_answer(&asked[i]);
        redis_free(rs[i]);
    }
    free(rs);
}

/* What is wrong: with the service, or else with its directory. */
static void service_fault(const struct service *s, char *text, size_t size)
{
    unit_silence(s, text, size);
    if (text[0])
        return;
    if (s->detail[0] || s->kind != SERVICE_REDIS || s->dir_state == DIR_OK)
        snprintf(text, size, "%s", s->detail);
    else
        dir_fault_text(s, s->dir_state, s->dir_detail, text, size);
}

static struct json *service_json(const struct service *s)
{
    struct json *j = json_object();
    char fault[1400];
    bool is_admin = s->kind == SERVICE_ADMIN, is_redis = s->kind == SERVICE_REDIS;
    const char *wanted = s->wanted_up ? "up" : "down";

    json_set_str(j, "id", s->id);
    json_set_str(j, "kind", service_kind_name(s->kind));
    json_set_str(j, "shard", or_null(s->shard));
    json_set_int(j, "generation", s->generation);
    json_set_str(j, "wanted", s->unit ? NULL : wanted);
    json_set_str(j, "state", service_state_name(s->state));
    json_set_int(j, "pid", is_admin ? getpid() : s->proc.pid);
    json_set_int(j, "startedMs", s->proc.pid ? s->proc.started_ms : 0);
    service_fault(s, fault, sizeof fault);
    json_set_str(j, "detail", or_null(fault));
    json_set_str(j, "storageDir", s->storage_dir);
    json_set_str(j, "dirState", is_redis ? dir_state_name(s->dir_state) : NULL);
    json_set_int(j, "port", s->port);
    json_set_int(j, "busPort", s->bus_port);
    json_set(j, "params", json_copy(s->params));
    json_set_bool(j, "neverStarted", is_redis && s->never_started);
    json_set_str(j, "busy", s->op ? s->op->action : NULL);
    json_set_str(j, "nodeId", or_null(s->node_id));
    json_set_bool(j, "hasData", s->has_data);
    json_set(j, "identity", json_null());
    json_set(j, "redis", json_null());
    json_set_str(j, "error", NULL);
    return j;
}

/* What a service that has no process would be: read from its nodes.conf, without the lock. */
struct silent {
    struct json *doc;
    char *nodes_conf;
    char node_id[REDIS_ID_LEN + 1];
};

static struct silent silence(const struct agent *a, const struct service *s, struct json *doc)
{
    struct silent q = {.doc = doc, .nodes_conf = agent_node_file(a, s->id, ".nodes.conf")};

    memcpy(q.node_id, s->node_id, sizeof q.node_id);
    return q;
}

static void tell_identity(struct silent *q)
{
    struct json *j = json_object();
    struct identity who;
    const char *state = "ok";

    identity_read(q->nodes_conf, &who);
    if (!who.is_there)
        state = who.has_file ? "damaged" : "missing";
    else if (q->node_id[0] && strcmp(q->node_id, who.id) != 0)
        state = "other";
    json_set_str(j, "state", state);
    json_set_bool(j, "primary", who.is_primary);
    json_set_int(j, "slots", who.slots);
    json_set(q->doc, "identity", j);
    free(q->nodes_conf);
}

static bool is_defined_on(const struct agent *a, const char *id, const char *dir)
{
    for (size_t i = 0; i < a->n_services; i++) {
        const struct service *s = a->services[i];

        if (strcmp(s->id, id) == 0 && s->storage_dir && strcmp(s->storage_dir, dir) == 0)
            return true;
    }
    return false;
}

/* Data directories whose service is not defined here, or elsewhere. */
static struct json *leftovers_json(const struct agent *a, size_t at)
{
    struct json *list = json_array();

    JSON_FOREACH (name, a->dirs[at].service_dirs)
        if (!is_defined_on(a, json_value_str(name), a->boot.storage_dirs[at]))
            json_push_str(list, json_value_str(name));
    return list;
}

static struct json *dir_json(const struct agent *a, size_t at)
{
    const struct storage_dir *d = &a->dirs[at];
    struct json *j = json_object(), *ids = json_array();
    char detail[256];
    enum dir_state state = d->health.state;

    snprintf(detail, sizeof detail, "%s", d->health.detail);
    for (size_t i = 0; i < a->n_services; i++) {
        const struct service *s = a->services[i];

        if (!s->storage_dir || strcmp(s->storage_dir, a->boot.storage_dirs[at]) != 0)
            continue;
        json_push_str(ids, s->id);
        if (state != DIR_OK || !s->proc.pid || file_id_equal(d->health.id, s->proc.storage))
            continue;
        state = DIR_REPLACED;
        snprintf(detail, sizeof detail, "it is not the directory that %s has open", s->id);
    }
    json_set_str(j, "path", a->boot.storage_dirs[at]);
    json_set_str(j, "state", dir_state_name(state));
    json_set_str(j, "detail", or_null(detail));
    json_set_int(j, "freeBytes", d->health.free_bytes);
    json_set_int(j, "totalBytes", d->health.total_bytes);
    json_set(j, "services", ids);
    json_set(j, "leftovers", leftovers_json(a, at));
    return j;
}

static struct json *dirs_json(const struct agent *a)
{
    struct json *list = json_array();

    for (size_t i = 0; i < a->boot.n_storage_dirs; i++)
        json_push(list, dir_json(a, i));
    return list;
}

static struct json *agent_json(struct agent *a)
{
    struct json *j = json_object();

    json_set_str(j, "version", PACKAGE_VERSION);
    json_set_int(j, "pid", getpid());
    json_set_int(j, "startedMs", a->started_ms);
    json_set_str(j, "instance", a->instance);
    json_set_int(j, "eventSeq", events_last(a->events));
    return j;
}

static struct json *identity_json(const struct agent *a)
{
    struct json *j = json_object(), *range = json_array();

    json_set_str(j, "id", or_null(a->node_id));
    json_set_str(j, "store", or_null(a->store));
    json_set_str(j, "zone", or_null(a->zone));
    json_set_str(j, "host", a->boot.host);
    json_set_int(j, "port", a->boot.port);
    json_set_int(j, "capacity", a->boot.capacity);
    json_push(range, json_number(a->boot.ha_first));
    json_push(range, json_number(a->boot.ha_last));
    json_set(j, "haRange", range);
    json_set_int(j, "memoryMb", a->boot.memory_mb);
    json_set_str(j, "root", a->boot.root);
    return j;
}

struct json *node_document(struct agent *a)
{
    struct json *doc = json_object(), *services = json_array();
    struct asked asked[SERVICES_MAX];
    struct silent silent[SERVICES_MAX];
    size_t n = 0, n_silent = 0;

    watch_refresh(a, REFRESH_MS);
    units_refresh(a, UNITS_REFRESH_MS);
    json_set(doc, "agent", agent_json(a));
    pthread_mutex_lock(&a->lock);
    json_set(doc, "node", identity_json(a));
    json_set(doc, "metadata", metadata_summary(a));
    json_set(doc, "lease", lease_json(a));
    json_set(doc, "storageDirs", dirs_json(a));
    for (size_t i = 0; i < a->n_services; i++) {
        struct json *j = service_json(a->services[i]);

        json_push(services, j);
        if (a->services[i]->proc.pid)
            asked[n++] = ask(a, a->services[i], j);
        else if (a->services[i]->kind == SERVICE_REDIS)
            silent[n_silent++] = silence(a, a->services[i], j);
    }
    pthread_mutex_unlock(&a->lock);
    ask_all(asked, n);
    for (size_t i = 0; i < n_silent; i++)
        tell_identity(&silent[i]);
    json_set(doc, "services", services);
    return doc;
}
