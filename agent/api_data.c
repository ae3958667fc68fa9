/* A look at the data: put, get, delete, scan. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/mem.h"

#include "agent/handlers.h"
#include "agent/member.h"
#include "agent/text.h"

enum { ASK_MS = 5000, WAIT_MS = 1000, SCAN_MAX = 1000 };
#define VALUE_MAX (INT64_C(1) << 20)
#define SCAN_BYTES ((size_t)16 << 20)
#define KEY_MAX 65536

/* One request to one service. */
struct look {
    const struct json *body;
    struct member m;
    struct redis *r;
};

static const struct field data_fields[] = {
    {"op", FIELD_STRING},
    {"key", FIELD_STRING, .is_optional = true, .max = KEY_MAX},
    {"value", FIELD_STRING, .is_optional = true, .max = VALUE_MAX},
    {"cursor", FIELD_STRING, .is_optional = true, .max = 20},
    {"count", FIELD_INT, .is_optional = true, .min = 1, .max = SCAN_MAX},
    {NULL},
};

/* Old value and number of connected replicas first; then, on the same connection, WAIT for the
 * write. */
static int data_put(struct look *l, struct reply *rp, struct problem *pb)
{
    const char *key = json_str(l->body, "key"), *value = json_str(l->body, "value");
    const redisReply *set, *wait;
    char wait_ms[16];
    bool has_replica;

    snprintf(wait_ms, sizeof wait_ms, "%d", WAIT_MS);
    redis_add(l->r, "INFO", "replication", NULL);
    redis_add(l->r, "SET", key, value, "GET", NULL);
    redis_exchange(&l->r, 1, ASK_MS);
    set = redis_reply(l->r, 1);
    if (member_reply(&l->m, l->r, set, pb) < 0)
        return -1;
    has_replica = redis_field_int(redis_text(redis_reply(l->r, 0)), "connected_slaves", 0) > 0;
    rp->body = json_object();
    json_set_bool(rp->body, "inserted", set->type == REDIS_REPLY_NIL);
    wait = redis_call(l->r, ASK_MS, "WAIT", has_replica ? "1" : "0", wait_ms, NULL);
    json_set_int(rp->body, "copies", wait && wait->type == REDIS_REPLY_INTEGER ? wait->integer : 0);
    return 0;
}

static void set_binary(struct json *body, const char *bytes, size_t len)
{
    char *text = len <= VALUE_MAX ? text_escape(bytes, len) : NULL;

    json_set_str(body, "value", NULL);
    json_set_str(body, "type", "binary");
    if (text != NULL)
        json_set_str(body, "escaped", text);
    free(text);
}

static int data_get(struct look *l, struct reply *rp, struct problem *pb)
{
    const redisReply *reply = redis_call(l->r, ASK_MS, "GET", json_str(l->body, "key"), NULL);

    if (member_reply(&l->m, l->r, reply, pb) < 0)
        return -1;
    rp->body = json_object();
    if (reply->type == REDIS_REPLY_STRING && !text_is_plain(reply->str, reply->len)) {
        set_binary(rp->body, reply->str, reply->len);
    } else {
        json_set_str(rp->body, "value", reply->type == REDIS_REPLY_STRING ? reply->str : NULL);
    }
    return 0;
}

static int data_delete(struct look *l, struct reply *rp, struct problem *pb)
{
    const redisReply *reply = redis_call(l->r, ASK_MS, "DEL", json_str(l->body, "key"), NULL);

    if (member_reply(&l->m, l->r, reply, pb) < 0)
        return -1;
    rp->body = json_object();
    json_set_bool(rp->body, "deleted", reply->type == REDIS_REPLY_INTEGER && reply->integer > 0);
    return 0;
}

/* One key of a scan; its bytes are copied because the replies of the next exchange replace these.
 */
struct item {
    char *key;
    size_t key_len;
    char type[16];
    int64_t value_len;
};

static struct json *item_json(const struct item *it, const redisReply *value)
{
    struct json *j = json_object();
    char *key = text_escape(it->key, it->key_len);
    bool is_string = strcmp(it->type, "string") == 0;
    bool is_plain = is_string && value && value->type == REDIS_REPLY_STRING &&
                    text_is_plain(value->str, value->len);
    bool is_taken = is_string && value;

    json_set_str(j, "key", key);
    json_set_str(j, "value", is_plain ? value->str : NULL);
    if (!is_plain)
        json_set_str(j, "type", !is_string ? it->type : is_taken ? "binary" : "large");
    free(key);
    return j;
}

static void scan_types(struct look *l, struct item *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *argv[2] = {"TYPE", items[i].key};
        size_t lens[2] = {4, items[i].key_len};

        redis_addv(l->r, 2, argv, lens);
    }
    redis_exchange(&l->r, 1, ASK_MS);
    for (size_t i = 0; i < n; i++)
        snprintf(items[i].type, sizeof items[i].type, "%s", redis_text(redis_reply(l->r, i)));
    for (size_t i = 0; i < n; i++) {
        const char *argv[2] = {"STRLEN", items[i].key};
        size_t lens[2] = {6, items[i].key_len};

        redis_addv(l->r, 2, argv, lens);
    }
    redis_exchange(&l->r, 1, ASK_MS);
    for (size_t i = 0; i < n; i++) {
        const redisReply *len = redis_reply(l->r, i);

        items[i].value_len = len && len->type == REDIS_REPLY_INTEGER ? len->integer : -1;
    }
}

/* Values until the answer would become too large; the others are named without. */
static void scan_values(struct look *l, struct item *items, size_t n, struct json *list)
{
    size_t bytes = 0, at = 0;

    for (size_t i = 0; i < n; i++) {
        const char *argv[2] = {"GET", items[i].key};
        size_t lens[2] = {3, items[i].key_len};

        if (items[i].value_len < 0 || items[i].value_len > VALUE_MAX ||
            bytes + (size_t)items[i].value_len > SCAN_BYTES) {
            items[i].value_len = -1;
            continue;
        }
        bytes += (size_t)items[i].value_len;
        redis_addv(l->r, 2, argv, lens);
    }
    redis_exchange(&l->r, 1, ASK_MS);
    for (size_t i = 0; i < n; i++) {
        const redisReply *value = items[i].value_len < 0 ? NULL : redis_reply(l->r, at++);

        if (strcmp(items[i].type, "none") != 0) /* it went away meanwhile */
            json_push(list, item_json(&items[i], value));
    }
}

static struct item *scan_keys(const redisReply *keys, size_t *n)
{
    struct item *items = xcalloc(keys->elements ? keys->elements : 1, sizeof *items);

    *n = 0;
    for (size_t i = 0; i < keys->elements; i++) {
        const redisReply *key = keys->element[i];

        if (key->type != REDIS_REPLY_STRING)
            continue;
        items[*n].key = xmalloc(key->len + 1);
        memcpy(items[*n].key, key->str, key->len);
        items[*n].key[key->len] = '\0';
        items[(*n)++].key_len = key->len;
    }
    return items;
}

static int data_scan(struct look *l, struct reply *rp, struct problem *pb)
{
    const char *cursor = json_str(l->body, "cursor");
    const redisReply *reply;
    struct item *items;
    char count[16];
    size_t n;

    snprintf(count, sizeof count, "%d", (int)json_int(l->body, "count", 500));
    reply = redis_call(l->r, ASK_MS, "SCAN", cursor ? cursor : "0", "COUNT", count, NULL);
    if (member_reply(&l->m, l->r, reply, pb) < 0)
        return -1;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[1]->type != REDIS_REPLY_ARRAY)
        return problem_set(pb, PROBLEM_STORE_ERROR, "%s answers SCAN with something else", l->m.id);
    rp->body = json_object();
    json_set_str(rp->body, "cursor", redis_text(reply->element[0]));
    json_set(rp->body, "items", json_array());
    items = scan_keys(reply->element[1], &n);
    scan_types(l, items, n);
    scan_values(l, items, n, json_get(rp->body, "items"));
    for (size_t i = 0; i < n; i++)
        free(items[i].key);
    free(items);
    if (redis_result(l->r) != REDIS_ANSWERED)
        return member_reply(&l->m, l->r, NULL, pb);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(struct look *l, struct reply *rp, struct problem *pb);
    bool key, value, cursor;
} ops[] = {
    {"put", data_put, true, true, false},
    {"get", data_get, true, false, false},
    {"delete", data_delete, true, false, false},
    {"scan", data_scan, false, false, true},
};

static int member_fits(const struct json *body, const char *name, bool wanted, bool is_optional,
                       struct problem *pb)
{
    bool there = json_get(body, name) != NULL;

    if (there && !wanted)
        return problem_set(pb, PROBLEM_INVALID, "%s has no place with op %s", name,
                           json_str(body, "op"));
    if (!there && wanted && !is_optional)
        return problem_set(pb, PROBLEM_INVALID, "member \"%s\" is missing", name);
    return 0;
}

/* Number of the op, -1 with the problem. */
static int op_find(const struct json *body, struct problem *pb)
{
    const char *name = json_str(body, "op"), *cursor = json_str(body, "cursor");

    for (int i = 0; i < (int)(sizeof ops / sizeof *ops); i++) {
        if (strcmp(ops[i].name, name) != 0)
            continue;
        if (member_fits(body, "key", ops[i].key, false, pb) < 0 ||
            member_fits(body, "value", ops[i].value, false, pb) < 0 ||
            member_fits(body, "cursor", ops[i].cursor, true, pb) < 0 ||
            member_fits(body, "count", ops[i].cursor, true, pb) < 0)
            return -1;
        if (cursor && (!*cursor || strspn(cursor, "0123456789") != strlen(cursor)))
            return problem_set(pb, PROBLEM_INVALID, "cursor is not a number");
        return i;
    }
    return problem_set(pb, PROBLEM_INVALID, "op is not put, get, delete or scan");
}

HANDLER(data_post)
{
    struct look l = {.body = rq->body};
    int op, rc;

    if (body_check(rq->body, data_fields, pb) < 0 || (op = op_find(rq->body, pb)) < 0 ||
        member_find(a, rq->param, &l.m, pb) < 0)
        return -1;
    l.r = member_connect(&l.m);
    rc = ops[op].run(&l, rp, pb);
    redis_free(l.r);
    return rc;
}
