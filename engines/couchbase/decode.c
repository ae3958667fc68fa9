/* Documents of the cluster manager made into a struct cluster. Pure; nothing in them is taken on
 * trust. */
#include "engines/couchbase/couchbase.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NODES_MAX 2000 /* more than any cluster has */

const struct json *cb_part(const struct cluster *c, const char *name)
{
    return json_get(c->raw, name);
}

/* --- members --- */

const char *cb_otp(const struct service *s)
{
    const char *otp = json_str(s->raw, "otpNode");

    return otp ? otp : "";
}

bool cb_has(const struct service *s, const char *duty)
{
    JSON_FOREACH (word, json_get(s->raw, "services")) {
        if (json_value_str(word) != NULL && strcmp(json_value_str(word), duty) == 0)
            return true;
    }
    return false;
}

static bool is_member(const struct service *s, const char *membership)
{
    const char *is = json_str(s->raw, "clusterMembership");

    return is != NULL && strcmp(is, membership) == 0;
}

bool cb_is_active(const struct service *s)
{
    return is_member(s, "active");
}

bool cb_is_failed(const struct service *s)
{
    return is_member(s, "inactiveFailed");
}

bool cb_is_added(const struct service *s)
{
    return is_member(s, "inactiveAdded");
}

bool cb_is_healthy(const struct service *s)
{
    const char *status = json_str(s->raw, "status");

    return status != NULL && strcmp(status, "healthy") == 0;
}

const char *cb_recovery(const struct service *s)
{
    const char *type = json_str(s->raw, "recoveryType");

    return type ? type : "none";
}

struct service *cb_by_otp(const struct cluster *c, const char *otp)
{
    for (size_t i = 0; i < c->n_services && otp != NULL; i++) {
        if (strcmp(cb_otp(&c->services[i]), otp) == 0)
            return &c->services[i];
    }
    return NULL;
}

/* "host:port" or "[v6]:port". */
static void split_address(struct cluster *c, const char *id, struct node *n)
{
    const char *colon = strrchr(id, ':');

    n->port = 8091;
    n->host = arena_strdup(&c->arena, id);
    if (colon == NULL || colon == id)
        return;
    n->port = (int)strtol(colon + 1, NULL, 10);
    n->host = id[0] == '[' && colon[-1] == ']'
                  ? arena_strndup(&c->arena, id + 1, (size_t)(colon - id) - 2)
                  : arena_strndup(&c->arena, id, (size_t)(colon - id));
}

static const char *duties(struct cluster *c, const struct json *services)
{
    const char *text = "";

    JSON_FOREACH (word, services) {
        if (json_value_str(word) != NULL)
            text =
                arena_printf(&c->arena, "%s%s%s", text, text[0] ? ", " : "", json_value_str(word));
    }
    return text[0] ? text : "arbiter";
}

static const char *membership(struct cluster *c, const struct service *s)
{
    const char *is = json_str(s->raw, "clusterMembership");

    if (is != NULL && strcmp(cb_recovery(s), "none") != 0)
        return arena_printf(&c->arena, "%s, %s recovery", is, cb_recovery(s));
    return is;
}

static void decode_status(struct cluster *c, struct node *n, struct service *s)
{
    const char *status = json_str(s->raw, "status");
    bool warmup = status != NULL && strcmp(status, "warmup") == 0;

    n->status = STATUS_RUNNING;
    s->status = STATUS_RUNNING;
    if (!warmup && !cb_is_healthy(s)) {
        n->status = s->status = STATUS_UNREACHABLE;
        n->cause = ERR_UNREACHABLE;
        n->detail = s->detail = "the cluster does not hear from it";
    } else if (warmup) {
        s->status = STATUS_STARTING;
        s->detail = "a bucket is not ready yet";
    }
    if (json_str(s->raw, "failoverStatus") != NULL) {
        s->detail = "an unsafe failover of it was interrupted";
    } else if (cb_is_failed(s) && s->status == STATUS_RUNNING) {
        s->status = STATUS_STOPPED;
        s->detail = "failed over; it waits for recovery, the next rebalance removes it";
    } else if (cb_is_added(s) && s->status == STATUS_RUNNING) {
        s->status = STATUS_STARTING;
        s->detail = arena_printf(&c->arena, "waits for a rebalance (%s)",
                                 strcmp(cb_recovery(s), "none") ? "recovery" : "new");
    }
}

static const char *address_of(const struct json *raw)
{
    const char *name = json_str(raw, "configuredHostname");

    return name ? name : json_str(raw, "hostname");
}

static void decode_node(struct cluster *c, const struct json *raw)
{
    const struct json *stats = json_get(raw, "interestingStats");
    const char *id = address_of(raw), *group = json_str(raw, "serverGroup");
    const char *uptime = json_str(raw, "uptime");
    int64_t seconds = uptime ? strtoll(uptime, NULL, 10) : 0;
    int64_t quota = json_int(cb_part(c, "default"), "memoryQuota", -1);
    struct service *s;
    struct node *n;

    if (id == NULL || id[0] == '\0' || json_str(raw, "otpNode") == NULL ||
        cluster_service(c, id) != NULL || c->n_nodes >= NODES_MAX)
        return;
    n = ARENA_PUSH(&c->arena, c->nodes, c->n_nodes);
    s = ARENA_PUSH(&c->arena, c->services, c->n_services);
    *n = (struct node){.id = id, .zone = group ? group : "", .metadata_version = -1, .raw = raw};
    split_address(c, id, n);
    n->version = json_str(raw, "version");
    *s = (struct service){
        .id = id,
        .kind = KIND_OTHER,
        .node = id,
        .port = n->port,
        .duties = duties(c, json_get(raw, "services")),
        .version = n->version,
        .sequence = -1,
        .lag = -1,
        .used_bytes = json_int(stats, "mem_used", -1),
        .max_bytes = -1,
        .raw = raw,
    };
    s->membership = membership(c, s);
    decode_status(c, n, s);
    if (seconds > 0 && seconds < c->observed_ms / 1000)
        n->started_ms = s->started_ms = (c->observed_ms / 1000 - seconds) * 1000;
    if (cb_has(s, "kv") && quota >= 0 && quota <= INT64_MAX >> 20)
        s->max_bytes = quota * (1 << 20);
}

static void add_zone(struct cluster *c, const char *name)
{
    if (name == NULL || name[0] == '\0' || c->n_zones >= NODES_MAX || cluster_zone(c, name) != NULL)
        return;
    *ARENA_PUSH(&c->arena, c->zones, c->n_zones) =
        (struct zone){.id = name, .name = name, .type = ""};
}

static void decode_zones(struct cluster *c)
{
    JSON_FOREACH (g, json_get(cb_part(c, "groups"), "groups"))
        add_zone(c, json_str(g, "name"));
    for (size_t i = 0; i < c->n_nodes; i++)
        add_zone(c, c->nodes[i].zone);
}

/* --- buckets --- */

static void decode_bucket(struct cluster *c, const struct json *b)
{
    const struct json *stats = json_get(b, "basicStats");
    const char *type = json_str(b, "bucketType"), *backend = json_str(b, "storageBackend");
    const char *eviction = json_str(b, "evictionPolicy");

    if (json_str(b, "name") == NULL)
        return;
    *ARENA_PUSH(&c->arena, c->buckets, c->n_buckets) = (struct bucket){
        .name = json_str(b, "name"),
        .type = type && strcmp(type, "membase") == 0 ? "couchbase" : type,
        .replicas = (int)json_int(b, "replicaNumber", 0),
        .quota_bytes = json_int(json_get(b, "quota"), "ram", -1),
        .used_bytes = json_int(stats, "memUsed", -1),
        .disk_bytes = json_int(stats, "diskUsed", -1),
        .items = json_int(stats, "itemCount", -1),
        .ops = json_int(stats, "opsPerSec", -1),
        .detail = backend || eviction
                      ? arena_printf(&c->arena, "%s%s%s", backend ? backend : "",
                                     backend && eviction ? ", " : "", eviction ? eviction : "")
                      : NULL,
    };
}

/* --- tasks --- */

const struct json *cb_rebalance_task(const struct json *tasks)
{
    JSON_FOREACH (t, tasks) {
        const char *type = json_str(t, "type");
        if (type != NULL && strcmp(type, "rebalance") == 0)
            return t;
    }
    return NULL;
}

bool cb_is_running(const struct json *task, bool *unsure)
{
    const char *status = json_str(task, "status");

    *unsure = status == NULL || json_bool(task, "statusIsStale", false) ||
              json_bool(task, "masterRequestTimedOut", false);
    return status != NULL && strcmp(status, "running") == 0;
}

const char *cb_operation_name(const char *subtype)
{
    static const char *const names[][2] = {
        {"rebalance", "rebalance"},
        {"gracefulFailover", "graceful failover"},
        {"failover", "failover"},
        {"service_upgrade", "service upgrade"},
    };

    for (size_t i = 0; subtype != NULL && i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i][0], subtype) == 0)
            return names[i][1];
    }
    return "operation";
}

/* "bucket b (2 of 3), 40 vBuckets in, 12 out" */
static const char *moves(struct cluster *c, const struct json *task, const char *otp)
{
    const struct json *detail = json_get(task, "detailedProgress");
    const struct json *node = json_get(json_get(detail, "perNode"), otp);
    const struct json *in = json_get(node, "ingoing"), *out = json_get(node, "outgoing");

    if (node == NULL)
        return NULL;
    return arena_printf(
        &c->arena, "vBuckets left: %lld in, %lld out; documents: %lld of %lld in",
        (long long)(json_int(in, "activeVBucketsLeft", 0) + json_int(in, "replicaVBucketsLeft", 0)),
        (long long)(json_int(out, "activeVBucketsLeft", 0) +
                    json_int(out, "replicaVBucketsLeft", 0)),
        (long long)json_int(in, "docsTransferred", 0), (long long)json_int(in, "docsTotal", 0));
}

static void decode_operation(struct cluster *c, const struct json *task)
{
    const struct json *detail = json_get(task, "detailedProgress");
    const char *bucket = json_str(detail, "bucket"), *id = json_str(task, "rebalanceId");
    const char *kind = cb_operation_name(json_str(task, "subtype"));
    bool unsure, running = cb_is_running(task, &unsure);
    const char *text = json_str(task, "errorMessage");

    if (!running && !unsure && text == NULL)
        return;
    if (running && bucket != NULL)
        text = arena_printf(&c->arena, "bucket %s (%lld of %lld)", bucket,
                            (long long)json_int(detail, "bucketNumber", 0),
                            (long long)json_int(detail, "bucketsCount", 0));
    else if (!running && unsure)
        text = "its state is not known: the node that leads it does not answer";
    *ARENA_PUSH(&c->arena, c->activities, c->n_activities) = (struct activity){
        .id = id ? id : json_str(task, "statusId"),
        .kind = kind,
        .detail = text,
        .percent = running ? (int)json_int(task, "progress", -1) : -1,
        .running = running || unsure,
        .excludes_plans = running || unsure,
    };
    if (!running)
        return;
    JSON_FOREACH (node, json_get(task, "perNode")) {
        const struct service *s = cb_by_otp(c, json_key(node));
        *ARENA_PUSH(&c->arena, c->activities, c->n_activities) = (struct activity){
            .kind = kind,
            .subject = s ? s->id : json_key(node),
            .detail = moves(c, task, json_key(node)),
            .percent = (int)json_int(node, "progress", -1),
            .running = true,
        };
    }
}

/* "on cb1:8091, cb2:8091": the nodes of a task, by otpNode or otherwise. */
static const char *on_nodes(struct cluster *c, const struct json *task)
{
    const char *text = NULL;

    JSON_FOREACH (node, json_get(task, "nodes")) {
        const struct service *s = cb_by_otp(c, json_value_str(node));
        const char *name = s ? s->id : json_value_str(node);
        if (name != NULL)
            text = arena_printf(&c->arena, "%s %s",
                                text ? arena_printf(&c->arena, "%s,", text) : "on", name);
    }
    return text;
}

static void decode_task(struct cluster *c, const struct json *task)
{
    const char *type = json_str(task, "type"), *status = json_str(task, "status");
    static const char *const others[] = CB_NO_OPERATION;
    bool orphan = type != NULL && strcmp(type, CB_ORPHAN) == 0, excludes = false;

    if (type == NULL)
        return;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        excludes = excludes || strcmp(type, others[i]) == 0;
    if (strcmp(type, "rebalance") == 0) {
        decode_operation(c, task);
        return;
    }
    *ARENA_PUSH(&c->arena, c->activities, c->n_activities) = (struct activity){
        .id = json_str(task, "task_id"),
        .kind = type,
        .subject = json_str(task, "bucket"),
        .percent = (int)json_int(task, "progress", -1),
        .detail = orphan ? on_nodes(c, task) : NULL,
        .running = !orphan && (status == NULL || strcmp(status, "running") == 0),
        .excludes_plans = excludes,
    };
}

static void decode_retry(struct cluster *c)
{
    const struct json *retry = cb_part(c, "pendingRetry");
    const char *state = json_str(retry, "retry_rebalance"), *type = json_str(retry, "type");

    if (state == NULL || strcmp(state, "pending") != 0)
        return;
    *ARENA_PUSH(&c->arena, c->activities, c->n_activities) = (struct activity){
        .id = json_str(retry, "rebalance_id"),
        .kind = "pending retry",
        .detail = arena_printf(&c->arena, "%s, again in %lld s, %lld attempts left",
                               type ? type : "rebalance",
                               (long long)json_int(retry, "retry_after_secs", 0),
                               (long long)json_int(retry, "attempts_remaining", 0)),
        .percent = -1,
    };
}

/* --- the rest --- */

int cb_version(const struct cluster *c)
{
    int low = 0;

    for (size_t i = 0; i < c->n_services; i++) {
        int64_t compat = json_int(c->services[i].raw, "clusterCompatibility", 0);
        int version = (int)(compat / 65536 % 1000 * 100 + compat % 65536 % 100);
        if (version > 0 && (low == 0 || version < low))
            low = version;
    }
    return low;
}

bool cb_is_enterprise(const struct cluster *c)
{
    return json_bool(cb_part(c, "pools"), "isEnterprise", true);
}

int64_t cb_time(const char *text)
{
    struct tm tm = {0};
    const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    int64_t ms, offset = 0;
    char *end;

    if (rest == NULL)
        return 0;
    ms = (int64_t)timegm(&tm) * 1000;
    if (*rest == '.') {
        long fraction = strtol(rest + 1, &end, 10);
        for (long digits = end - rest - 1; digits < 3; digits++)
            fraction *= 10;
        for (long digits = end - rest - 1; digits > 3; digits--)
            fraction /= 10;
        ms += fraction < 0 || fraction > 999 ? 0 : fraction;
        rest = end;
    }
    if ((*rest == '+' || *rest == '-') && strlen(rest) == 6 && rest[3] == ':')
        offset = (strtol(rest + 1, NULL, 10) * 60 + strtol(rest + 4, NULL, 10)) * 60000;
    return *rest == '-' ? ms + offset : ms - offset;
}

static const char *uuid_of(const struct cluster *c)
{
    const char *uuid = json_str(cb_part(c, "pools"), "uuid");

    return uuid ? uuid : json_str(cb_part(c, "terse"), "clusterUUID");
}

void cb_decode(struct cluster *c)
{
    c->is_foreign = true;
    c->identity = uuid_of(c);
    c->title = json_str(cb_part(c, "default"), "clusterName");
    JSON_FOREACH (raw, json_get(cb_part(c, "default"), "nodes"))
        decode_node(c, raw);
    decode_zones(c);
    JSON_FOREACH (b, cb_part(c, "buckets"))
        decode_bucket(c, b);
    JSON_FOREACH (t, cb_part(c, "tasks"))
        decode_task(c, t);
    decode_retry(c);
    cb_decode_policy(c);
}
