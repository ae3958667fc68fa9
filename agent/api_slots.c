/* Handlers about the hash slots of a redis service. */
#include <stdlib.h>
#include <string.h>

#include "kvsh/mem.h"

#include "agent/handlers.h"
#include "agent/member.h"

HANDLER(set_slot_post)
{
    static const struct field fields[] = {
        {"slot", FIELD_INT, .min = 0, .max = REDIS_SLOTS - 1},
        {"state", FIELD_STRING},
        {"nodeId", FIELD_STRING, .is_optional = true},
        {NULL},
    };
    static const char *const states[] = {"migrating", "importing", "node", "stable"};
    struct slot_order o = {0};
    struct member m;
    bool known = false;

    if (body_check(rq->body, fields, pb) < 0)
        return -1;
    o.slot = (int)json_int(rq->body, "slot", 0);
    o.state = json_str(rq->body, "state");
    o.node_id = json_str(rq->body, "nodeId");
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        known = known || strcmp(states[i], o.state) == 0;
    if (!known)
        return problem_set(pb, PROBLEM_INVALID,
                           "state is not migrating, importing, node or stable");
    if (strcmp(o.state, "stable") != 0 && !redis_id_is_valid(o.node_id))
        return problem_set(pb, PROBLEM_INVALID, "nodeId is not %d hexadecimal digits",
                           REDIS_ID_LEN);
    if (member_find(a, rq->param, &m, pb) < 0 || member_set_slot(&m, &o, pb) < 0)
        return -1;
    reply_result(rp, "done");
    return 0;
}

HANDLER(move_keys_post)
{
    static const struct field fields[] = {
        {"slot", FIELD_INT, .min = 0, .max = REDIS_SLOTS - 1},
        {"host", FIELD_STRING},
        {"port", FIELD_INT, .min = 1, .max = 65535},
        {"keep", FIELD_BOOL, .is_optional = true},
        {"drop", FIELD_BOOL, .is_optional = true},
        {NULL},
    };
    struct err err = ERR_INIT;
    struct key_move k = {0};
    char ip[ADDRESS_MAX];
    struct member m;

    if (body_check(rq->body, fields, pb) < 0 || member_find(a, rq->param, &m, pb) < 0)
        return -1;
    if (address_resolve(json_str(rq->body, "host"), ip, &err) < 0)
        return problem_set(pb, PROBLEM_INVALID, "host: %s", err.text);
    k.slot = (int)json_int(rq->body, "slot", 0);
    k.ip = ip;
    k.port = (int)json_int(rq->body, "port", 0);
    k.keep = json_bool(rq->body, "keep", false);
    k.drop = json_bool(rq->body, "drop", false);
    if (member_move_keys(&m, &k, pb) < 0)
        return -1;
    rp->body = json_object();
    json_set_int(rp->body, "moved", k.moved);
    json_set_int(rp->body, "left", k.left);
    if (k.drop)
        json_set_int(rp->body, "dropped", k.dropped);
    return 0;
}

/* The wanted slots; NULL with the problem filled when one makes no sense. */
static bool *wanted_slots(const struct json *list, struct problem *pb)
{
    bool *wanted = xcalloc(REDIS_SLOTS, sizeof *wanted);

    JSON_FOREACH (item, list) {
        int64_t slot = json_value_int(item, -1);
        if (slot < 0 || slot >= REDIS_SLOTS || !json_is_integer(item)) {
            problem_set(pb, PROBLEM_INVALID, "slots holds something else than 0..%d",
                        REDIS_SLOTS - 1);
            free(wanted);
            return NULL;
        }
        wanted[slot] = true;
    }
    return wanted;
}

HANDLER(count_keys_post)
{
    static const struct field fields[] = {{"slots", FIELD_ARRAY, .is_optional = true}, {NULL}};
    const struct json *slots = json_get(rq->body, "slots");
    struct json *list;
    bool *wanted = NULL;
    struct member m;
    int rc;

    if (body_check(rq->body, fields, pb) < 0 || member_find(a, rq->param, &m, pb) < 0)
        return -1;
    if (slots && !(wanted = wanted_slots(slots, pb)))
        return -1;
    list = json_array();
    rc = member_count_keys(&m, wanted, list, pb);
    free(wanted);
    if (rc < 0) {
        json_free(list);
        return -1;
    }
    rp->body = json_object();
    json_set(rp->body, "slots", list);
    return 0;
}
