#include "agent/operations.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "agent/clock.h"
#include "agent/thread.h"

enum { DRAIN_MS = 15 * 1000, END_MS = 5000 };

static const char *const states[] = {
    [OPERATION_RUNNING] = "running",
    [OPERATION_SUCCEEDED] = "succeeded",
    [OPERATION_FAILED] = "failed",
};

static struct operation *find(struct agent *a, int64_t id)
{
    struct operation *op = a->operations;

    while (op && op->id != id)
        op = op->next;
    return op;
}

/* The oldest go; one that still runs stays as long as it does. */
static void trim(struct agent *a)
{
    struct operation **at = &a->operations;
    int n = 0;

    while (*at) {
        struct operation *op = *at;

        if (++n > OPERATIONS_KEEP && op->state != OPERATION_RUNNING) {
            *at = op->next;
            free(op);
        } else {
            at = &op->next;
        }
    }
}

/* Outcome first, then the service is free for the next change. */
static void finish(struct operation *op, int rc, const struct problem *pb)
{
    struct agent *a = op->agent;

    pthread_mutex_lock(&a->lock);
    op->state = rc < 0 ? OPERATION_FAILED : OPERATION_SUCCEEDED;
    op->problem = *pb;
    op->ended_ms = time_now_ms();
    op->waiting_for[0] = '\0';
    if (rc == 0)
        op->percent = 100;
    op->service->op = NULL;
    op->service = NULL;
    a->running_operations--;
    agent_changed(a);
    pthread_mutex_unlock(&a->lock);
}

/* A refused request is one, whether the answer was given at once or in the operation. */
static void tell_failure(const struct operation *op, const struct problem *pb)
{
    char *text = xasprintf("refused POST /v1/services/%s/%s: %d %s: %s", op->service_id, op->action,
                           problem_status(pb), problem_name(pb->code), pb->detail);
    struct event ev = {SEVERITY_WARNING, "request-refused", op->service_id, text,
                       pb->advice[0] ? pb->advice : NULL};

    if (op->kind == OPERATION_AUTOMATIC)
        agent_log(op->agent, LOG_ERROR, op->service_id, "%s%s%s", pb->detail,
                  pb->advice[0] ? "; " : "", pb->advice);
    if (op->kind != OPERATION_AUTOMATIC) {
        events_add(op->agent->events, &ev);
        agent_log(op->agent, LOG_WARNING, "rest", "%s", text);
    }
    free(text);
}

static void *thread_run(void *arg)
{
    struct operation *op = arg;
    struct problem pb = {.code = PROBLEM_NONE};
    int rc = op->run(op, &pb);

    if (rc < 0)
        tell_failure(op, &pb);
    finish(op, rc, &pb);
    return NULL;
}

static struct operation *operation_new(struct agent *a, const struct operation_start *os)
{
    struct operation *op = xcalloc(1, sizeof *op);

    op->id = ++a->last_operation;
    op->agent = a;
    op->service = os->service;
    memcpy(op->service_id, os->service->id, sizeof op->service_id);
    op->action = os->action;
    op->run = os->run;
    op->allow_empty = os->allow_empty;
    op->kind = os->kind;
    snprintf(op->mode, sizeof op->mode, "%s", os->mode ? os->mode : "");
    op->percent = -1;
    op->started_ms = time_now_ms();
    return op;
}

/* Does it what os asks for? A graceful failover is no takeover, emptying keeps the identity or does
 * not. */
static bool is_same(const struct operation *op, const struct operation_start *os)
{
    return strcmp(op->action, os->action) == 0 && op->allow_empty == os->allow_empty &&
           strcmp(op->mode, os->mode ? os->mode : "") == 0;
}

int64_t operation_begin(struct agent *a, const struct operation_start *os, struct problem *pb)
{
    struct operation *op = os->service->op;
    int rc;

    if (op && is_same(op, os))
        return op->id;
    if (op) {
        problem_set(pb, PROBLEM_BUSY, "%s of %s is under way", op->action, os->service->id);
        return problem_advise(pb, "wait for its end, then repeat");
    }
    if (a->stopping)
        return problem_set(pb, PROBLEM_BUSY, "the agent is ending");
    op = operation_new(a, os);
    op->next = a->operations;
    a->operations = op;
    os->service->op = op;
    a->running_operations++;
    rc = thread_start(NULL, thread_run, op);
    if (rc != 0) {
        a->operations = op->next;
        os->service->op = NULL;
        a->running_operations--;
        free(op);
        return problem_set(pb, PROBLEM_INTERNAL, "start a thread: %s", strerror(rc));
    }
    trim(a);
    agent_changed(a);
    return op->id;
}

void operation_end(struct agent *a, const char *service_id, enum operation_kind kind)
{
    int64_t deadline = time_mono_ms() + END_MS;
    struct service *s;

    while ((s = agent_service(a, service_id)) != NULL && s->op && s->op->kind == kind) {
        s->op->is_cancelled = true;
        pthread_cond_broadcast(&a->changed);
        if (!cond_wait_until(&a->changed, &a->lock, deadline))
            break;
    }
}

static struct json *to_json(const struct operation *op)
{
    struct json *j = json_object();

    json_set_int(j, "id", op->id);
    json_set_str(j, "service", op->service_id);
    json_set_str(j, "action", op->action);
    json_set_str(j, "state", states[op->state]);
    json_set_int(j, "percent", op->percent);
    json_set_str(j, "waitingFor", op->waiting_for[0] ? op->waiting_for : NULL);
    json_set_str(j, "result", op->result[0] ? op->result : NULL);
    json_set(j, "problem",
             op->state == OPERATION_FAILED ? problem_json(&op->problem) : json_null());
    json_set_int(j, "startedMs", op->started_ms);
    json_set_int(j, "endedMs", op->ended_ms);
    return j;
}

int operation_document(struct agent *a, int64_t id, int wait_ms, struct json **doc,
                       struct problem *pb)
{
    int64_t deadline = time_mono_ms() + wait_ms;
    struct operation *op;
    int rc = 0;

    pthread_mutex_lock(&a->lock);
    while ((op = find(a, id)) != NULL && op->state == OPERATION_RUNNING && !a->stopping &&
           cond_wait_until(&a->changed, &a->lock, deadline))
        ;
    if (op)
        *doc = to_json(op);
    else
        rc =
            problem_set(pb, PROBLEM_UNKNOWN_OPERATION, "there is no operation %lld", (long long)id);
    pthread_mutex_unlock(&a->lock);
    if (rc < 0)
        problem_advise(pb, "operations do not survive a restart of the agent: look at the service");
    return rc;
}

void operation_report(struct operation *op, int percent, const char *fmt, ...)
{
    va_list ap;

    pthread_mutex_lock(&op->agent->lock);
    op->percent = percent;
    va_start(ap, fmt);
    vsnprintf(op->waiting_for, sizeof op->waiting_for, fmt, ap);
    va_end(ap);
    pthread_mutex_unlock(&op->agent->lock);
}

void operation_result(struct operation *op, const char *fmt, ...)
{
    va_list ap;

    pthread_mutex_lock(&op->agent->lock);
    va_start(ap, fmt);
    vsnprintf(op->result, sizeof op->result, fmt, ap);
    va_end(ap);
    pthread_mutex_unlock(&op->agent->lock);
}

bool operation_must_end(const struct operation *op)
{
    return op->is_cancelled || op->agent->stopping;
}

void operations_drain(struct agent *a)
{
    int64_t deadline = time_mono_ms() + DRAIN_MS;

    while (a->running_operations > 0 && cond_wait_until(&a->changed, &a->lock, deadline))
        ;
}

void operations_free(struct agent *a)
{
    while (a->operations) {
        struct operation *op = a->operations;

        a->operations = op->next;
        free(op);
    }
}
