/* A look at the data: keys go to the primary that says it owns their slot. */
#include "engines/redis/redis.h"

#include <stdlib.h>
#include <string.h>

#include "kvsh/meta.h"

static int see(struct connection *cn, const struct json *docs, struct cluster *c, struct err *err)
{
    if (meta_to_cluster(docs, c, err) != 0 || redis_observe(cn, docs, c, err) != 0)
        return -1;
    if (c->n_shards == 0) {
        err_set(err, ERR_FAILED, "the store has no shards yet");
        return err_advise(err,
                          "deploy a topology first: 'topology create', 'plan deploy-topology'");
    }
    return 0;
}

static bool has_slot(const struct service *s, int slot)
{
    const struct json *me = redis_member(s, json_str(redis_live(s), "nodeId"));

    JSON_FOREACH (range, json_get(me, "slots")) {
        if (slot >= json_value_int(json_at(range, 0), 1) &&
            slot <= json_value_int(json_at(range, 1), 0))
            return true;
    }
    return false;
}

static struct service *owner(const struct cluster *c, int slot)
{
    for (size_t i = 0; i < c->n_services; i++) {
        struct service *s = &c->services[i];
        if (s->role == ROLE_MASTER && s->status == STATUS_RUNNING && has_slot(s, slot))
            return s;
    }
    return NULL;
}

static int request(struct connection *cn, struct cluster *c, const struct service *s,
                   const struct json *body, struct json **answer, struct err *err)
{
    const struct node *n = cluster_node(c, s->node);
    const struct rest r = {
        .method = "POST",
        .url = n->url,
        .path = arena_printf(&c->arena, "/v1/services/%s/data", s->id),
        .who = arena_printf(&c->arena, "%s on %s", s->id, redis_where(c, n)),
        .body = body,
    };

    return rest_call(cn, &r, NULL, answer, err);
}

/* Sends {"op", "key", ...} to the owner of the key. body is taken. */
static int by_key(struct connection *cn, const struct json *docs, const char *key,
                  struct json *body, struct json **answer, struct err *err)
{
    struct cluster c = {0};
    int slot = redis_slot(key), rc = -1;

    json_set_str(body, "key", key);
    if (see(cn, docs, &c, err) == 0) {
        const struct service *s = owner(&c, slot);
        if (s == NULL) {
            err_set(err, ERR_UNREACHABLE, "no running primary owns hash slot %d of key \"%s\"",
                    slot, key);
            err_advise(err, "'verify configuration' shows what is wrong");
        } else {
            rc = request(cn, &c, s, body, answer, err);
        }
    }
    json_free(body);
    cluster_release(&c);
    return rc;
}

static struct json *operation(const char *op)
{
    struct json *body = json_object();

    json_set_str(body, "op", op);
    return body;
}

int redis_put(struct connection *cn, const struct json *docs, struct record *record,
              struct err *err)
{
    struct json *body = operation("put"), *answer = NULL;

    json_set_str(body, "value", record->value);
    if (by_key(cn, docs, record->key, body, &answer, err) != 0)
        return -1;
    record->inserted = json_bool(answer, "inserted", false);
    record->copies = (int)json_int(answer, "copies", 0);
    json_free(answer);
    return 0;
}

int redis_get(struct connection *cn, const struct json *docs, const char *key, struct value *value,
              struct err *err)
{
    struct json *answer = NULL;
    const char *text, *type;
    int rc = 0;

    *value = (struct value){0};
    if (by_key(cn, docs, key, operation("get"), &answer, err) != 0)
        return -1;
    text = json_str(answer, "value");
    if (text == NULL && (type = json_str(answer, "type")) != NULL) {
        value->is_escaped = true;
        text = json_str(answer, "escaped");
        if (text == NULL)
            rc = err_set(err, ERR_FAILED, "the value of \"%s\" is %s and is not shown", key, type);
    }
    value->text = text ? xstrdup(text) : NULL;
    json_free(answer);
    return rc;
}

int redis_del(struct connection *cn, const struct json *docs, const char *key, bool *deleted,
              struct err *err)
{
    struct json *answer = NULL;

    if (by_key(cn, docs, key, operation("delete"), &answer, err) != 0)
        return -1;
    *deleted = json_bool(answer, "deleted", false);
    json_free(answer);
    return 0;
}

/* One page of one shard; *cursor moves on, NULL at the end. */
static int scan_page(struct connection *cn, struct cluster *c, const struct service *s,
                     char **cursor, struct json **answer, struct err *err)
{
    struct json *body = operation("scan");
    const char *next;
    int rc;

    json_set_str(body, "cursor", *cursor);
    json_set_int(body, "count", 500);
    rc = request(cn, c, s, body, answer, err);
    json_free(body);
    if (rc != 0)
        return -1;
    next = json_str(*answer, "cursor");
    free(*cursor);
    *cursor = next && strcmp(next, "0") != 0 ? xstrdup(next) : NULL;
    return 0;
}

static int scan_shard(struct connection *cn, struct cluster *c, const struct service *s,
                      int (*each)(void *arg, const char *key, const char *value), void *arg,
                      struct err *err)
{
    char *cursor = xstrdup("0");
    int rc = 0;

    while (cursor != NULL && rc == 0) {
        struct json *answer = NULL;
        if (scan_page(cn, c, s, &cursor, &answer, err) != 0) {
            rc = -1;
            break;
        }
        JSON_FOREACH (item, json_get(answer, "items")) {
            if (json_str(item, "key") != NULL &&
                (rc = each(arg, json_str(item, "key"), json_str(item, "value"))) != 0)
                break;
        }
        json_free(answer);
    }
    free(cursor);
    return rc < 0 ? -1 : 0;
}

int redis_scan(struct connection *cn, const struct json *docs,
               int (*each)(void *arg, const char *key, const char *value), void *arg,
               struct err *err)
{
    struct cluster c = {0};
    int rc = see(cn, docs, &c, err);

    for (size_t i = 0; rc == 0 && i < c.n_shards; i++) {
        const struct service *s = cluster_master(&c, c.shards[i].id);
        if (s == NULL) {
            rc = err_set(err, ERR_UNREACHABLE, "shard %s has no running primary", c.shards[i].id);
            err_advise(err, "'verify configuration' shows what is wrong");
        } else {
            rc = scan_shard(cn, &c, s, each, arg, err);
        }
    }
    cluster_release(&c);
    return rc;
}
