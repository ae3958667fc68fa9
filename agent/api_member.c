/* Handlers for orders to redis as a member of its cluster. */
#include <stdlib.h>
#include <string.h>

#include "kvsh/mem.h"

#include "agent/handlers.h"
#include "agent/member.h"

/* The outcome of a synchronous order. */
static int answer(struct reply *rp, const char *result)
{
    if (!result)
        return -1;
    reply_result(rp, result);
    return 0;
}

HANDLER(meet_post)
{
    static const struct field fields[] = {
        {"host", FIELD_STRING},
        {"port", FIELD_INT, .min = 1, .max = 65535},
        {"busPort", FIELD_INT, .min = 1, .max = 65535},
        {NULL},
    };
    struct err err = ERR_INIT;
    char ip[ADDRESS_MAX];
    struct member m;
    const char *result;

    if (body_check(rq->body, fields, pb) < 0 || member_find(a, rq->param, &m, pb) < 0)
        return -1;
    if (address_resolve(json_str(rq->body, "host"), ip, &err) < 0)
        return problem_set(pb, PROBLEM_INVALID, "host: %s", err.text);
    result = member_meet(&m, ip, (int)json_int(rq->body, "port", 0),
                         (int)json_int(rq->body, "busPort", 0), pb);
    if (result)
        member_accept_identity(a, &m);
    return answer(rp, result);
}

HANDLER(set_epoch_post)
{
    static const struct field fields[] = {{"epoch", FIELD_INT, .min = 1, .max = INT64_C(1) << 53},
                                          {NULL}};
    struct member m;

    if (body_check(rq->body, fields, pb) < 0 || member_find(a, rq->param, &m, pb) < 0)
        return -1;
    return answer(rp, member_set_epoch(&m, json_int(rq->body, "epoch", 0), pb));
}

/* Number of an end of a range, -1 when it is none. */
static int slot_of(const struct json *j)
{
    int64_t n = json_value_int(j, -1);

    return n >= 0 && n < REDIS_SLOTS && json_is_integer(j) ? (int)n : -1;
}

static int slots_decode(const struct json *ranges, bool *wanted, struct problem *pb)
{
    JSON_FOREACH (range, ranges) {
        int first = slot_of(json_at(range, 0)), last = slot_of(json_at(range, 1));

        if (!json_is_array(range) || json_len(range) != 2 || first < 0 || last < first)
            return problem_set(pb, PROBLEM_INVALID,
                               "ranges holds something else than [first,last] within 0..%d",
                               REDIS_SLOTS - 1);
        for (int slot = first; slot <= last; slot++)
            wanted[slot] = true;
    }
    return 0;
}

HANDLER(add_slots_post)
{
    static const struct field fields[] = {{"ranges", FIELD_ARRAY}, {NULL}};
    bool *wanted = xcalloc(REDIS_SLOTS, sizeof *wanted);
    struct member m;
    const char *result = NULL;

    if (body_check(rq->body, fields, pb) == 0 &&
        slots_decode(json_get(rq->body, "ranges"), wanted, pb) == 0 &&
        member_find(a, rq->param, &m, pb) == 0)
        result = member_add_slots(&m, wanted, pb);
    free(wanted);
    return answer(rp, result);
}

static int node_id_of(const struct request *rq, const char **node_id, struct problem *pb)
{
    static const struct field fields[] = {{"nodeId", FIELD_STRING}, {NULL}};

    if (body_check(rq->body, fields, pb) < 0)
        return -1;
    *node_id = json_str(rq->body, "nodeId");
    if (!redis_id_is_valid(*node_id))
        return problem_set(pb, PROBLEM_INVALID, "nodeId is not %d hexadecimal digits",
                           REDIS_ID_LEN);
    return 0;
}

HANDLER(replicate_post)
{
    const char *node_id, *result;
    struct member m;

    if (node_id_of(rq, &node_id, pb) < 0 || member_find(a, rq->param, &m, pb) < 0)
        return -1;
    result = member_replicate(&m, node_id, pb);
    if (result)
        member_accept_identity(a, &m);
    return answer(rp, result);
}

HANDLER(forget_post)
{
    const char *node_id;
    struct member m;

    if (node_id_of(rq, &node_id, pb) < 0 || member_find(a, rq->param, &m, pb) < 0)
        return -1;
    return answer(rp, member_forget(&m, node_id, pb));
}

static int failover_begin(struct agent *a, const char *id, const char *mode, int64_t *operation,
                          struct problem *pb)
{
    struct operation_start os = {.action = "failover", .run = failover_run, .mode = mode};
    int rc = -1;

    pthread_mutex_lock(&a->lock);
    os.service = agent_service(a, id);
    if (!os.service)
        problem_set(pb, PROBLEM_UNKNOWN_SERVICE, "%s is gone", id);
    else if ((*operation = operation_begin(a, &os, pb)) >= 0)
        rc = 0;
    pthread_mutex_unlock(&a->lock);
    return rc;
}

HANDLER(failover_post)
{
    static const struct field fields[] = {{"mode", FIELD_STRING}, {NULL}};
    const char *mode = json_str(rq->body, "mode");
    bool is_primary;
    int64_t operation;
    struct member m;

    if (body_check(rq->body, fields, pb) < 0)
        return -1;
    if (strcmp(mode, "graceful") != 0 && strcmp(mode, "force") != 0 &&
        strcmp(mode, "takeover") != 0)
        return problem_set(pb, PROBLEM_INVALID, "mode is not graceful, force or takeover");
    if (member_find(a, rq->param, &m, pb) < 0 || member_is_primary(&m, &is_primary, pb) < 0)
        return -1;
    if (is_primary)
        return answer(rp, "already primary");
    if (failover_begin(a, m.id, mode, &operation, pb) < 0)
        return -1;
    reply_accepted(rp, operation);
    return 0;
}
