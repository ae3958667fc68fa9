/* Handlers of the lease. */
#include <string.h>

#include "agent/handlers.h"
#include "agent/lease.h"

static int check_owner(const char *owner, struct problem *pb)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@#:+-";
    size_t n = strspn(owner, allowed);

    if (n > 0 && owner[n] == '\0' && n < LEASE_OWNER_MAX)
        return 0;
    return problem_set(pb, PROBLEM_INVALID,
                       "owner must be 1 to %d letters, digits or characters of ._@#:+-",
                       LEASE_OWNER_MAX - 1);
}

static int read_claim(const struct json *body, struct lease_claim *c, struct problem *pb)
{
    c->owner = json_str(body, "owner");
    c->plan = json_int(body, "plan", 0);
    c->epoch = json_int(body, "epoch", 0);
    c->ttl_ms = json_int(body, "ttlMs", 0);
    c->takeover = json_bool(body, "takeover", false);
    c->reason = json_str(body, "reason");
    c->changed = json_bool(body, "changed", false);
    if (check_owner(c->owner, pb) < 0)
        return -1;
    if (c->takeover && (!c->reason || !c->reason[0]))
        return problem_set(pb, PROBLEM_INVALID, "a takeover needs a reason");
    return 0;
}

HANDLER(lease_put)
{
    static const struct field fields[] = {
        {"owner", FIELD_STRING},
        {"plan", FIELD_INT, .min = 1, .max = INT64_C(1) << 53},
        {"epoch", FIELD_INT, .min = 1, .max = INT64_C(1) << 53},
        {"ttlMs", FIELD_INT, .min = LEASE_TTL_MIN_MS, .max = LEASE_TTL_MAX_MS},
        {"takeover", FIELD_BOOL, .is_optional = true},
        {"reason", FIELD_STRING, .is_optional = true},
        {"changed", FIELD_BOOL, .is_optional = true},
        {NULL},
    };
    struct lease_claim c;

    if (body_check(rq->body, fields, pb) < 0 || read_claim(rq->body, &c, pb) < 0 ||
        lease_take(a, &c, pb) < 0)
        return -1;
    pthread_mutex_lock(&a->lock);
    rp->body = lease_json(a);
    pthread_mutex_unlock(&a->lock);
    return 0;
}

HANDLER(lease_delete)
{
    static const struct field fields[] = {
        {"owner", FIELD_STRING},
        {"plan", FIELD_INT, .min = 1, .max = INT64_C(1) << 53},
        {"epoch", FIELD_INT, .min = 1, .max = INT64_C(1) << 53},
        {"changed", FIELD_BOOL, .is_optional = true},
        {NULL},
    };
    struct lease_claim c;

    if (body_check(rq->body, fields, pb) < 0 || read_claim(rq->body, &c, pb) < 0 ||
        lease_drop(a, &c, pb) < 0)
        return -1;
    rp->body = json_object();
    json_set_str(rp->body, "result", "not leased by this plan");
    return 0;
}
