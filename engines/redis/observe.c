#include "engines/redis/redis.h"

#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"
#include "kvsh/meta.h"

const char *redis_where(struct cluster *c, const struct node *n)
{
    return arena_printf(&c->arena, "%s at %s:%d", n->id, n->host, n->port);
}

const struct json *redis_live(const struct service *s)
{
    const struct json *live = json_get(s->raw, "redis");

    return json_is_object(live) ? live : NULL;
}

bool redis_is_known_to(const struct service *s, const struct service *o)
{
    const char *id = json_str(redis_live(o), "nodeId");

    /* Who knows nobody is no witness. */
    return id == NULL || json_len(json_get(redis_live(s), "nodes")) <= 1 ||
           redis_member(s, id) != NULL;
}

bool redis_member_has_flag(const struct json *member, const char *flag)
{
    JSON_FOREACH (f, json_get(member, "flags")) {
        if (json_value_str(f) != NULL && strcmp(json_value_str(f), flag) == 0)
            return true;
    }
    return false;
}

const struct json *redis_member(const struct service *s, const char *id)
{
    JSON_FOREACH (m, json_get(redis_live(s), "nodes")) {
        const char *member_id = json_str(m, "id");
        if (id != NULL && member_id != NULL && strcmp(member_id, id) == 0)
            return m;
    }
    return NULL;
}

bool redis_owns_slots(const struct service *s)
{
    const struct json *me = redis_member(s, json_str(redis_live(s), "nodeId"));

    return json_len(json_get(me, "slots")) > 0;
}

static void decode_dirs(struct cluster *c, struct node *n, const struct json *dirs)
{
    JSON_FOREACH (d, dirs) {
        const char *path = json_str(d, "path"), *state = json_str(d, "state");
        if (path == NULL || state == NULL)
            continue;
        *ARENA_PUSH(&c->arena, n->dirs, n->n_dirs) = (struct storage_dir){
            .path = path,
            .state = state,
            .detail = json_str(d, "detail"),
            .free_bytes = json_int(d, "freeBytes", -1),
            .total_bytes = json_int(d, "totalBytes", -1),
        };
    }
}

static enum status decode_state(const char *state)
{
    static const struct {
        const char *word;
        enum status status;
    } words[] = {
        {"running", STATUS_RUNNING}, {"starting", STATUS_STARTING}, {"stopping", STATUS_STOPPING},
        {"stopped", STATUS_STOPPED}, {"failed", STATUS_ERROR},
    };

    for (size_t i = 0; state != NULL && i < sizeof words / sizeof *words; i++) {
        if (strcmp(state, words[i].word) == 0)
            return words[i].status;
    }
    return STATUS_UNREPORTED;
}

static void decode_redis(struct service *s)
{
    const struct json *live = redis_live(s);
    const char *role = json_str(live, "role");

    if (s->status != STATUS_RUNNING)
        return;
    if (live == NULL) {
        s->status = STATUS_ERROR;
        s->detail = json_str(s->raw, "error");
        if (s->detail == NULL)
            s->detail = "the process runs but does not answer";
        return;
    }
    if (json_bool(live, "loading", false)) {
        s->status = STATUS_STARTING;
        s->detail = "it is loading its data";
    }
    s->role = ROLE_UNKNOWN;
    if (role != NULL && strcmp(role, "primary") == 0)
        s->role = ROLE_MASTER;
    else if (role != NULL && strcmp(role, "replica") == 0)
        s->role = ROLE_REPLICA;
    s->sequence = json_int(live, "offset", -1);
    s->used_bytes = json_int(live, "usedMemory", -1);
    s->max_bytes = json_int(live, "maxMemory", -1);
    s->version = json_str(live, "version");
    s->in_sync = s->role == ROLE_REPLICA && json_bool(live, "linkUp", false) &&
                 !json_bool(live, "syncInProgress", false);
}

/* What the agent says of one declared service; raw NULL: it does not know it. */
static void decode_service(struct service *s, const struct json *raw)
{
    s->raw = raw;
    if (raw == NULL) {
        s->status = STATUS_UNDEPLOYED;
        s->detail = "its storage node does not know it";
        return;
    }
    s->status = decode_state(json_str(raw, "state"));
    s->detail = json_str(raw, "detail");
    s->dir_state = json_str(raw, "dirState");
    s->started_ms = json_int(raw, "startedMs", 0);
    if (s->kind == KIND_RN)
        decode_redis(s);
}

static const struct json *find_raw_service(const struct json *doc, const char *id)
{
    JSON_FOREACH (s, json_get(doc, "services")) {
        const char *name = json_str(s, "id");
        if (name != NULL && strcmp(name, id) == 0)
            return s;
    }
    return NULL;
}

/* An agent that answers as somebody else than it is declared to be. */
static void check_identity(struct cluster *c, struct node *n)
{
    if (n->reported_id == NULL || n->reported_store == NULL) {
        n->detail = "the agent there belongs to no store; its KVROOT may be new or replaced";
    } else if (strcmp(n->reported_store, c->store) != 0 || strcmp(n->reported_id, n->id) != 0) {
        n->detail = arena_printf(&c->arena, "the agent there is %s of store %s", n->reported_id,
                                 n->reported_store);
    } else {
        return;
    }
    n->status = STATUS_ERROR;
    n->cause = ERR_FAILED;
}

static void decode_lease(struct node *n, const struct json *lease)
{
    n->lease_owner = json_str(lease, "owner");
    n->lease_plan = json_int(lease, "plan", 0);
}

void redis_decode_node(struct cluster *c, struct node *n, const struct json *doc)
{
    const struct json *agent = json_get(doc, "agent"), *node = json_get(doc, "node");
    const struct json *range = json_get(node, "haRange"), *copy = json_get(doc, "metadata");

    n->raw = doc;
    n->status = STATUS_RUNNING;
    n->version = json_str(agent, "version");
    n->started_ms = json_int(agent, "startedMs", 0);
    n->capacity = (int)json_int(node, "capacity", 0);
    n->ha_first = (int)json_value_int(json_at(range, 0), 0);
    n->ha_last = (int)json_value_int(json_at(range, 1), 0);
    n->reported_id = json_str(node, "id");
    n->reported_store = json_str(node, "store");
    n->metadata_version = json_int(copy, "version", -1);
    decode_dirs(c, n, json_get(doc, "storageDirs"));
    if (node == NULL || agent == NULL) {
        n->status = STATUS_ERROR;
        n->cause = ERR_FAILED;
        n->detail =
            "the answer lacks \"agent\" or \"node\": this is no kvagentd of a version kvsh knows";
    } else {
        check_identity(c, n);
    }
    if (n->status == STATUS_RUNNING)
        decode_lease(n, json_get(doc, "lease"));
    for (size_t i = 0; i < c->n_services; i++) {
        struct service *s = &c->services[i];
        if (strcmp(s->node, n->id) != 0)
            continue;
        if (n->status == STATUS_RUNNING) {
            decode_service(s, find_raw_service(doc, s->id));
        } else {
            s->status = STATUS_UNREACHABLE;
            s->detail = n->detail;
        }
    }
}

static void mark_silent(struct cluster *c, struct node *n, const struct err *err)
{
    n->status = STATUS_UNREACHABLE;
    n->cause = err->code;
    n->detail = arena_strdup(&c->arena, err->text);
    for (size_t i = 0; i < c->n_services; i++) {
        struct service *s = &c->services[i];
        if (strcmp(s->node, n->id) == 0) {
            s->status = STATUS_UNREACHABLE;
            s->detail = arena_printf(&c->arena, "the agent of %s does not answer", n->id);
        }
    }
}

/* Of several that call themselves primary of a shard the one with the highest epoch is believed. */
static struct service *believed_primary(struct cluster *c, const char *shard)
{
    struct service *best = NULL;

    for (size_t i = 0; i < c->n_services; i++) {
        struct service *s = &c->services[i];
        if (s->shard == NULL || strcmp(s->shard, shard) != 0 || s->role != ROLE_MASTER)
            continue;
        if (best == NULL || redis_owns_slots(s) > redis_owns_slots(best) ||
            (redis_owns_slots(s) == redis_owns_slots(best) &&
             json_int(redis_live(s), "epoch", 0) > json_int(redis_live(best), "epoch", 0)))
            best = s;
    }
    return best;
}

void redis_settle_roles(struct cluster *c)
{
    for (size_t i = 0; i < c->n_services; i++) {
        struct service *s = &c->services[i];
        const struct service *primary = s->shard ? believed_primary(c, s->shard) : NULL;

        if (s->role == ROLE_MASTER && primary != s)
            s->role = ROLE_UNKNOWN;
        if (s->role == ROLE_MASTER)
            s->in_sync = true;
        if (s->role == ROLE_REPLICA && primary != NULL && s->sequence >= 0)
            s->lag = primary->sequence > s->sequence ? primary->sequence - s->sequence : 0;
    }
}

/* One node's answer has come, or will not. */
static void hear(void *arg, size_t i, struct http_response *resp)
{
    struct cluster *c = arg;
    struct node *n = &c->nodes[i];
    const struct rest r = {.method = "GET", .who = redis_where(c, n)};
    struct json *doc = NULL;
    struct err why = resp->err;

    if (why.code != ERR_OK)
        err_prepend(&why, "%s", r.who);
    if (why.code != ERR_OK || rest_decode(resp, &r, &doc, &why) != 0) {
        mark_silent(c, n, &why);
    } else {
        json_push(c->raw, doc);
        redis_decode_node(c, n, doc);
    }
}

int redis_observe(struct connection *cn, const struct json *docs, struct cluster *c,
                  struct err *err)
{
    struct http_request *reqs = xcalloc(c->n_nodes + 1, sizeof *reqs);
    const struct http_batch batch = {
        .reqs = reqs,
        .n = c->n_nodes,
        .deadline_ms = cn->timeout_ms + 500,
        .done = hear,
        .arg = c,
    };

    (void)docs; /* c was made from them */
    (void)err;
    c->raw = json_array();
    for (size_t i = 0; i < c->n_nodes; i++) {
        reqs[i] = (struct http_request){
            .method = "GET",
            .url = arena_printf(&c->arena, "%s/v1/node", c->nodes[i].url),
            .connect_timeout_ms = cn->timeout_ms < 2000 ? cn->timeout_ms : 2000,
            .timeout_ms = cn->timeout_ms,
        };
    }
    if (c->n_nodes > 0)
        http_perform_each(cn->http, &batch);
    redis_settle_roles(c);
    c->observed_ms = time_now_ms();
    free(reqs);
    return 0;
}

static bool sees_all(const struct cluster *c, const struct service *s, const char **missing)
{
    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *o = &c->services[i];
        const char *id = json_str(redis_live(o), "nodeId");
        const struct json *m;

        if (o->kind != KIND_RN || id == NULL)
            continue;
        *missing = o->id;
        m = redis_member(s, id);
        if (m == NULL || redis_member_has_flag(m, "handshake") ||
            redis_member_has_flag(m, "fail") || redis_member_has_flag(m, "fail?"))
            return false;
    }
    return true;
}

static bool knows_owners(const struct service *s)
{
    return json_int(redis_live(s), "slotsAssigned", 0) == REDIS_SLOTS;
}

bool redis_owners_known(struct cluster *c, const char **why)
{
    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];

        if (s->kind != KIND_RN || s->status != STATUS_RUNNING || knows_owners(s))
            continue;
        *why = arena_printf(&c->arena, "%s to know the owners of all hash slots", s->id);
        return false;
    }
    return true;
}

bool redis_converged(struct cluster *c, const char **why)
{
    const char *missing = NULL;

    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        const struct json *live = redis_live(s);
        const char *state = json_str(live, "clusterState");

        if (s->kind != KIND_RN || s->stopped_by != 0)
            continue;
        if (s->status != STATUS_RUNNING || live == NULL)
            *why = arena_printf(&c->arena, "%s to run (it is %s)", s->id, status_name(s->status));
        else if (!sees_all(c, s, &missing))
            *why = arena_printf(&c->arena, "%s to see %s", s->id, missing);
        else if (!knows_owners(s))
            *why = arena_printf(&c->arena, "%s to know the owners of all hash slots", s->id);
        else if (s->role == ROLE_REPLICA && !s->in_sync)
            *why = arena_printf(&c->arena, "%s to copy its shard", s->id);
        else if (state == NULL || strcmp(state, "ok") != 0)
            *why = arena_printf(&c->arena, "%s to find the cluster in order", s->id);
        else
            continue;
        return false;
    }
    return true;
}
