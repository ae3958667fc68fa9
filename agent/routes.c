#include "agent/routes.h"

#include <stdio.h>
#include <string.h>

#include "agent/handlers.h"
#include "agent/lease.h"
#include "agent/operations.h"

#define SMALL ((size_t)64 << 10)
#define DATA ((size_t)1 << 20)
/* A value of DATA bytes may need six characters for each of them in JSON. */
#define DATA_BODY (6 * DATA + SMALL)
#define METADATA ((size_t)16 << 20)

static const struct route routes[] = {
    {"GET", "/live", live_get, .is_open = true},
    {"GET", "/ready", ready_get, .is_open = true},
    {"GET", "/metrics", metrics_get},
    {"GET", "/v1/node", node_get},
    {"PUT", "/v1/node", node_put, SMALL},
    {"DELETE", "/v1/node", node_delete},
    {"POST", "/v1/node/remove-data", remove_data_post, SMALL},
    {"PUT", "/v1/services/{id}", service_put, SMALL},
    {"DELETE", "/v1/services/{id}", service_delete},
    {"POST", "/v1/services/{id}/start", service_start_post, SMALL},
    {"POST", "/v1/services/{id}/stop", service_stop_post, SMALL},
    {"POST", "/v1/services/{id}/meet", meet_post, SMALL},
    {"POST", "/v1/services/{id}/set-epoch", set_epoch_post, SMALL},
    {"POST", "/v1/services/{id}/add-slots", add_slots_post, SMALL},
    {"POST", "/v1/services/{id}/replicate", replicate_post, SMALL},
    {"POST", "/v1/services/{id}/forget", forget_post, SMALL},
    {"POST", "/v1/services/{id}/failover", failover_post, SMALL},
    {"POST", "/v1/services/{id}/data", data_post, DATA_BODY, .ignores_lease = true},
    {"POST", "/v1/services/{id}/wipe", wipe_post, SMALL},
    {"POST", "/v1/services/{id}/check-data", check_data_post, SMALL, .ignores_lease = true},
    {"POST", "/v1/services/{id}/set-slot", set_slot_post, SMALL},
    {"POST", "/v1/services/{id}/move-keys", move_keys_post, SMALL},
    {"POST", "/v1/services/{id}/count-keys", count_keys_post, DATA, .ignores_lease = true},
    {"GET", "/v1/operations/{n}", operation_get, .query = {"wait"}},
    {"GET", "/v1/events", events_get, .query = {"after", "wait", "limit"}},
    {"PUT", "/v1/lease", lease_put, SMALL, .ignores_lease = true},
    {"DELETE", "/v1/lease", lease_delete, SMALL, .ignores_lease = true},
    {"GET", "/v1/metadata", metadata_get_doc},
    {"PUT", "/v1/metadata", metadata_put_doc, METADATA},
};

enum { ROUTES = sizeof routes / sizeof *routes };

const struct route *route_at(size_t i)
{
    return i < ROUTES ? &routes[i] : NULL;
}

/* A parameter is one segment of harmless characters. */
static bool take_param(const char **path, char param[PARAM_MAX])
{
    size_t n = strspn(*path, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");

    if (n == 0 || n >= PARAM_MAX)
        return false;
    memcpy(param, *path, n);
    param[n] = '\0';
    *path += n;
    return true;
}

static bool matches(const char *pattern, const char *path, char param[PARAM_MAX])
{
    param[0] = '\0';
    while (*pattern && *path) {
        if (*pattern == '{') {
            pattern = strchr(pattern, '}') + 1;
            if (!take_param(&path, param))
                return false;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *pattern == *path;
}

const struct route *route_find(const char *method, const char *path, char param[PARAM_MAX],
                               char allow[64], struct problem *pb)
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;

    allow[0] = '\0';
    for (size_t i = 0; i < ROUTES; i++) {
        if (!matches(routes[i].pattern, path, param))
            continue;
        if (strcmp(routes[i].method, wanted) == 0)
            return &routes[i];
        snprintf(allow + strlen(allow), 64 - strlen(allow), "%s%s", allow[0] ? ", " : "",
                 routes[i].method);
    }
    if (allow[0])
        problem_set(pb, PROBLEM_METHOD_NOT_ALLOWED, "%s is not possible here, but %s", method,
                    allow);
    else
        problem_set(pb, PROBLEM_NOT_FOUND, "there is nothing at %.200s", path);
    return NULL;
}

void reply_problem(struct reply *rp, const struct problem *pb)
{
    reply_release(rp);
    rp->status = problem_status(pb);
    rp->body = problem_json(pb);
    rp->content_type = "application/problem+json";
}

/* Only the plan that has the lease changes something, and a look at the service gives way to it. */
static int begin_change(struct agent *a, const struct route *route, const struct request *rq,
                        struct problem *pb)
{
    if (route->ignores_lease || strcmp(route->method, "GET") == 0)
        return 0;
    if (lease_check(a, rq->lease, pb) < 0)
        return -1;
    pthread_mutex_lock(&a->lock);
    operation_end(a, rq->param, OPERATION_LOOK);
    pthread_mutex_unlock(&a->lock);
    return 0;
}

void route_run(struct agent *a, const struct route *route, const struct request *rq,
               struct reply *rp)
{
    struct problem pb = {.code = PROBLEM_NONE};

    if (query_check(rq, route->query, &pb) < 0 || begin_change(a, route, rq, &pb) < 0 ||
        route->run(a, rq, rp, &pb) < 0) {
        reply_problem(rp, &pb);
        return;
    }
    if (rp->status == 0)
        rp->status = 200;
}
