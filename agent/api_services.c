/* Handlers about services and their life. */
#include <string.h>

#include "agent/handlers.h"
#include "agent/lifecycle.h"
#include "agent/services.h"

/* The operation, or what is the case already. */
static int accepted(struct reply *rp, int64_t operation, const char *already)
{
    if (operation == 0)
        reply_result(rp, already);
    else
        reply_accepted(rp, operation);
    return 0;
}

static int redis_definition(struct definition *d, const struct json *body, struct problem *pb)
{
    static const struct field fields[] = {
        {"kind", FIELD_STRING},
        {"shard", FIELD_STRING},
        {"storageDir", FIELD_STRING, .max = 1024},
        {"port", FIELD_INT, .min = 1, .max = 65535},
        {"busPort", FIELD_INT, .min = 1, .max = 65535},
        {"params", FIELD_OBJECT, .is_optional = true},
        {NULL},
    };
    const struct json *params = json_get(body, "params");

    if (body_check(body, fields, pb) < 0)
        return -1;
    JSON_FOREACH (p, params)
        if (json_get(params, json_key(p)) != p)
            return problem_set(pb, PROBLEM_INVALID, "parameter \"%.64s\" is there twice",
                               json_key(p));
    d->kind = SERVICE_REDIS;
    d->shard = json_str(body, "shard");
    d->storage_dir = json_str(body, "storageDir");
    d->port = (int)json_int(body, "port", 0);
    d->bus_port = (int)json_int(body, "busPort", 0);
    d->params = params;
    return 0;
}

static int definition_of(const struct request *rq, struct definition *d, struct problem *pb)
{
    static const struct field admin_fields[] = {{"kind", FIELD_STRING}, {NULL}};
    const char *kind = json_str(rq->body, "kind");

    d->id = rq->param;
    if (name_is_rn(d->id)) {
        if (!kind || strcmp(kind, "redis") != 0)
            return problem_set(pb, PROBLEM_INVALID, "kind of %s must be redis", d->id);
        return redis_definition(d, rq->body, pb);
    }
    if (!name_is_numbered(d->id, "admin"))
        return problem_set(pb, PROBLEM_INVALID, "service id \"%s\" is not like rg1-rn1 or admin1",
                           d->id);
    if (!kind || strcmp(kind, "admin") != 0)
        return problem_set(pb, PROBLEM_INVALID, "kind of %s must be admin", d->id);
    d->kind = SERVICE_ADMIN;
    return body_check(rq->body, admin_fields, pb);
}

HANDLER(service_put)
{
    struct definition d = {0};
    int rc;

    if (definition_of(rq, &d, pb) < 0)
        return -1;
    pthread_mutex_lock(&a->lock);
    rc = service_define(a, &d, pb);
    pthread_mutex_unlock(&a->lock);
    if (rc < 0)
        return -1;
    rp->status = rc ? 201 : 200;
    reply_result(rp, rc ? "defined" : "already defined");
    return 0;
}

HANDLER(service_delete)
{
    int rc;

    pthread_mutex_lock(&a->lock);
    rc = service_forget(a, rq->param, pb);
    pthread_mutex_unlock(&a->lock);
    if (rc == 0)
        reply_result(rp, "not defined");
    return rc;
}

HANDLER(service_start_post)
{
    static const struct field fields[] = {{"allowEmpty", FIELD_BOOL, .is_optional = true}, {NULL}};
    int64_t operation;
    int rc;

    if (body_check(rq->body, fields, pb) < 0)
        return -1;
    pthread_mutex_lock(&a->lock);
    rc = service_start(a, rq->param, json_bool(rq->body, "allowEmpty", false), &operation, pb);
    pthread_mutex_unlock(&a->lock);
    return rc < 0 ? -1 : accepted(rp, operation, "already running");
}

HANDLER(service_stop_post)
{
    static const struct field fields[] = {{NULL}};
    int64_t operation;
    int rc;

    if (body_check(rq->body, fields, pb) < 0)
        return -1;
    pthread_mutex_lock(&a->lock);
    rc = service_stop(a, rq->param, &operation, pb);
    pthread_mutex_unlock(&a->lock);
    return rc < 0 ? -1 : accepted(rp, operation, "already stopped");
}
