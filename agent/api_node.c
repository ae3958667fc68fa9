/* Handlers about the node as a whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/handlers.h"
#include "agent/metadata.h"
#include "agent/nodedoc.h"
#include "agent/operations.h"
#include "agent/services.h"

enum { WAIT_MAX_S = 60 };

static const int64_t wait_range[2] = {0, WAIT_MAX_S};

HANDLER(live_get)
{
    (void)a, (void)rq, (void)pb;
    reply_result(rp, "live");
    return 0;
}

HANDLER(ready_get)
{
    bool stopping;

    (void)rq;
    pthread_mutex_lock(&a->lock);
    stopping = a->stopping;
    pthread_mutex_unlock(&a->lock);
    if (stopping)
        return problem_set(pb, PROBLEM_TOO_MANY, "the agent is ending");
    reply_result(rp, "ready");
    return 0;
}

HANDLER(node_get)
{
    (void)rq, (void)pb;
    rp->body = node_document(a);
    return 0;
}

static void open_node_log(struct agent *a)
{
    struct err err = ERR_INIT;
    char *dir = agent_log_dir(a, NULL);

    if (logfile_open(a->log, dir, a->node_id, &err) < 0)
        agent_log(a, LOG_ERROR, "agent", "%s", err.text);
    free(dir);
}

static void registered(struct agent *a)
{
    char text[512];
    struct event ev = {SEVERITY_INFO, "node-registered", a->node_id, text, NULL};

    open_node_log(a);
    snprintf(text, sizeof text, "this node is %s of store %s, zone %s", a->node_id, a->store,
             a->zone);
    agent_event(a, &ev);
}

HANDLER(node_put)
{
    static const struct field fields[] = {
        {"store", FIELD_STRING},
        {"id", FIELD_STRING},
        {"zone", FIELD_STRING},
        {"secret", FIELD_STRING, .is_optional = true},
        {NULL},
    };
    struct registration r;
    bool was_registered;
    int rc;

    if (body_check(rq->body, fields, pb) < 0)
        return -1;
    r = (struct registration){json_str(rq->body, "store"), json_str(rq->body, "id"),
                              json_str(rq->body, "zone"), json_str(rq->body, "secret")};
    pthread_mutex_lock(&a->lock);
    was_registered = a->store[0];
    rc = node_register(a, &r, pb);
    if (rc == 0 && !was_registered)
        registered(a);
    pthread_mutex_unlock(&a->lock);
    if (rc == 0)
        reply_result(rp, was_registered ? "already registered" : "registered");
    return rc;
}

HANDLER(node_delete)
{
    struct err err = ERR_INIT;
    char dir[4096];
    int rc;

    (void)rq;
    pthread_mutex_lock(&a->lock);
    rc = node_unregister(a, pb);
    pthread_mutex_unlock(&a->lock);
    if (rc < 0)
        return rc;
    snprintf(dir, sizeof dir, "%s/log", a->boot.root);
    if (logfile_open(a->log, dir, "kvagentd.log", &err) < 0)
        agent_log(a, LOG_ERROR, "agent", "%s", err.text);
    reply_result(rp, "not registered");
    return 0;
}

HANDLER(operation_get)
{
    int64_t wait = 0, id = 0;

    if (query_int(rq, "wait", wait_range, &wait, pb) < 0)
        return -1;
    if (strlen(rq->param) > 15 || strspn(rq->param, "0123456789") != strlen(rq->param))
        return problem_set(pb, PROBLEM_UNKNOWN_OPERATION, "there is no operation %s", rq->param);
    id = strtoll(rq->param, NULL, 10);
    return operation_document(a, id, (int)wait * 1000, &rp->body, pb);
}

HANDLER(events_get)
{
    static const int64_t after_range[2] = {0, INT64_C(1) << 53};
    static const int64_t limit_range[2] = {1, EVENTS_PAGE_MAX};
    int64_t after = 0, wait = 0, limit = 500;

    if (query_int(rq, "after", after_range, &after, pb) < 0 ||
        query_int(rq, "wait", wait_range, &wait, pb) < 0 ||
        query_int(rq, "limit", limit_range, &limit, pb) < 0)
        return -1;
    rp->body = events_read(a->events, after, (int)limit, (int)wait * 1000);
    json_set_str(rp->body, "instance", a->instance);
    return 0;
}

HANDLER(metadata_get_doc)
{
    (void)rq;
    if (metadata_get(a, &rp->body, pb) < 0)
        return -1;
    snprintf(rp->etag, sizeof rp->etag, "\"%lld\"", (long long)json_int(rp->body, "version", 0));
    return 0;
}

/* If-Match: "7", or *. */
static int if_match_decode(const char *text, int64_t *version, struct problem *pb)
{
    char *end;

    *version = -1;
    if (!text || strcmp(text, "*") == 0)
        return 0;
    if (*text == '"' && text[1] >= '0' && text[1] <= '9') {
        *version = strtoll(text + 1, &end, 10);
        if (strcmp(end, "\"") == 0)
            return 0;
    }
    return problem_set(pb, PROBLEM_INVALID, "If-Match is not a version in quotes");
}

HANDLER(metadata_put_doc)
{
    static const struct field fields[] = {
        {"version", FIELD_INT, .min = 1, .max = INT64_C(1) << 53},
        {"docs", FIELD_OBJECT},
        {NULL},
    };
    int64_t if_match, version;

    if (body_check(rq->body, fields, pb) < 0 || if_match_decode(rq->if_match, &if_match, pb) < 0 ||
        metadata_put(a, rq->body, if_match, pb) < 0)
        return -1;
    version = json_int(rq->body, "version", 0);
    snprintf(rp->etag, sizeof rp->etag, "\"%lld\"", (long long)version);
    rp->body = json_object();
    json_set_int(rp->body, "version", version);
    return 0;
}
