/* Handlers that take data away or move it. */
#include <string.h>

#include "agent/handlers.h"
#include "agent/operations.h"
#include "agent/redis_decode.h"
#include "agent/repair.h"
#include "agent/services.h"

/* What must be true before anything is taken away. The lock is held. */
static int wipe_check(struct service *s, const char *keeper, struct problem *pb)
{
    if (s->kind != SERVICE_REDIS)
        return problem_set(pb, PROBLEM_INVALID, "%s is no redis service", s->id);
    if (s->proc.pid || s->wanted_up) {
        problem_set(pb, PROBLEM_RUNNING, "wipe %s: it is running, or will be started again", s->id);
        return problem_advise(pb, "stop it first");
    }
    if (strcmp(s->node_id, keeper) == 0)
        return problem_set(pb, PROBLEM_WRONG_ROLE,
                           "wipe %s: it is the very member that is said to keep the data", s->id);
    return 0;
}

HANDLER(wipe_post)
{
    static const struct field fields[] = {
        {"keeper", FIELD_STRING}, {"identity", FIELD_BOOL, .is_optional = true}, {NULL}};
    struct operation_start os = {.action = "wipe", .run = wipe_run};
    const char *keeper = json_str(rq->body, "keeper");
    int64_t operation = -1;

    if (body_check(rq->body, fields, pb) < 0)
        return -1;
    if (!redis_id_is_valid(keeper))
        return problem_set(pb, PROBLEM_INVALID, "keeper is not %d hexadecimal digits",
                           REDIS_ID_LEN);
    os.mode = json_bool(rq->body, "identity", false) ? "identity" : "";
    pthread_mutex_lock(&a->lock);
    os.service = agent_service(a, rq->param);
    if (!os.service)
        problem_set(pb, PROBLEM_UNKNOWN_SERVICE, "there is no service %.40s on this node",
                    rq->param);
    else if (wipe_check(os.service, keeper, pb) == 0)
        operation = operation_begin(a, &os, pb);
    pthread_mutex_unlock(&a->lock);
    if (operation < 0)
        return -1;
    reply_accepted(rp, operation);
    return 0;
}

HANDLER(remove_data_post)
{
    static const struct field fields[] = {
        {"storageDir", FIELD_STRING, .max = 1024}, {"service", FIELD_STRING}, {NULL}};
    const char *id = json_str(rq->body, "service");

    if (body_check(rq->body, fields, pb) < 0)
        return -1;
    if (!name_is_rn(id))
        return problem_set(pb, PROBLEM_INVALID, "service is not like rg1-rn1");
    if (leftover_remove(a, json_str(rq->body, "storageDir"), id, pb) < 0)
        return -1;
    reply_result(rp, "not there");
    return 0;
}

HANDLER(check_data_post)
{
    static const struct field fields[] = {{NULL}};
    struct operation_start os = {
        .action = "check-data", .run = check_data_run, .kind = OPERATION_LOOK};
    int64_t operation = -1;

    if (body_check(rq->body, fields, pb) < 0)
        return -1;
    pthread_mutex_lock(&a->lock);
    os.service = agent_service(a, rq->param);
    if (!os.service)
        problem_set(pb, PROBLEM_UNKNOWN_SERVICE, "there is no service %.40s on this node",
                    rq->param);
    else if (os.service->kind != SERVICE_REDIS)
        problem_set(pb, PROBLEM_INVALID, "%s is no redis service", os.service->id);
    else
        operation = operation_begin(a, &os, pb);
    pthread_mutex_unlock(&a->lock);
    if (operation < 0)
        return -1;
    reply_accepted(rp, operation);
    return 0;
}
