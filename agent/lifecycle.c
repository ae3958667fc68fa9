#include "agent/lifecycle.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "agent/clock.h"
#include "agent/operations.h"
#include "agent/services.h"
#include "agent/start.h"
#include "agent/stop.h"
#include "agent/unit.h"

enum { BACKOFF_MAX_S = 30, LASTED_MS = 60 * 1000 };

static const char *const states[] = {
    [STATE_STOPPED] = "stopped",   [STATE_STARTING] = "starting", [STATE_RUNNING] = "running",
    [STATE_STOPPING] = "stopping", [STATE_FAILED] = "failed",     [STATE_UNKNOWN] = "unknown",
};

const char *service_state_name(enum service_state s)
{
    return states[s];
}

/* An attempt of the agent's own gives way to what somebody asks for. */
static struct service *find_free(struct agent *a, const char *id)
{
    operation_end(a, id, OPERATION_AUTOMATIC);
    return agent_service(a, id);
}

static struct service *find_redis(struct agent *a, const char *id, struct problem *pb)
{
    struct service *s = agent_service(a, id);

    if (!s)
        problem_set(pb, PROBLEM_UNKNOWN_SERVICE, "there is no service %.40s on this node", id);
    return s;
}

static bool is_up(const struct service *s)
{
    return s->kind == SERVICE_ADMIN || (s->proc.pid && !s->op);
}

int service_start(struct agent *a, const char *id, bool allow_empty, int64_t *operation,
                  struct problem *pb)
{
    struct service *s = find_redis(a, id, pb);
    struct operation_start os = {
        .service = s, .action = "start", .run = start_run, .allow_empty = allow_empty};

    *operation = 0;
    if (!s)
        return -1;
    if (s->kind == SERVICE_UNIT && allow_empty)
        return problem_set(pb, PROBLEM_INVALID, "allowEmpty is of no meaning for %s", id);
    if (s->kind == SERVICE_UNIT)
        return unit_start(a, s, operation, pb);
    if (allow_empty && s->op && s->op->kind == OPERATION_AUTOMATIC) {
        s = find_free(a, id);
        if (!s)
            return problem_set(pb, PROBLEM_UNKNOWN_SERVICE, "%s is gone", id);
    }
    if (is_up(s)) {
        struct err err = ERR_INIT;

        if (!s->wanted_up) {
            s->wanted_up = true;
            if (services_save(a, &err) < 0)
                return problem_from_err(pb, PROBLEM_INTERNAL, &err);
        }
        return 0;
    }
    os.service = s;
    s->failures = 0;
    *operation = operation_begin(a, &os, pb);
    return *operation < 0 ? -1 : 0;
}

int service_stop(struct agent *a, const char *id, int64_t *operation, struct problem *pb)
{
    struct service *s = find_redis(a, id, pb);
    struct operation_start os = {.action = "stop", .run = stop_run};
    struct err err = ERR_INIT;

    *operation = 0;
    if (!s)
        return -1;
    if (s->kind == SERVICE_ADMIN)
        return problem_set(pb, PROBLEM_INVALID, "%s is part of the agent and cannot be stopped",
                           id);
    if (s->kind == SERVICE_UNIT)
        return unit_stop(a, s, operation, pb);
    s = find_free(a, id);
    if (!s)
        return problem_set(pb, PROBLEM_UNKNOWN_SERVICE, "%s is gone", id);
    if (s->wanted_up && (!s->op || strcmp(s->op->action, "stop") == 0)) {
        s->wanted_up = false;
        if (services_save(a, &err) < 0) {
            s->wanted_up = true;
            return problem_from_err(pb, PROBLEM_INTERNAL, &err);
        }
    }
    if (!s->proc.pid && !s->op) {
        s->restart_at = 0;
        s->state = STATE_STOPPED;
        s->detail[0] = '\0';
        return 0;
    }
    os.service = s;
    *operation = operation_begin(a, &os, pb);
    return *operation < 0 ? -1 : 0;
}

static int backoff_ms(int failures)
{
    int s = failures > 5 ? BACKOFF_MAX_S : 1 << (failures > 0 ? failures - 1 : 0);

    return (s > BACKOFF_MAX_S ? BACKOFF_MAX_S : s) * 1000;
}

void service_plan_restart(struct agent *a, struct service *s)
{
    s->failures++;
    s->restart_at = s->wanted_up ? time_mono_ms() + backoff_ms(s->failures) : 0;
    agent_changed(a);
}

static void describe_end(const struct service *s, char *out, size_t size)
{
    if (s->exit_status < 0)
        snprintf(out, size, "its process %d ended", (int)s->proc.pid);
    else if (WIFSIGNALED(s->exit_status))
        snprintf(out, size, "its process %d was ended by signal %d (%s)", (int)s->proc.pid,
                 WTERMSIG(s->exit_status), strsignal(WTERMSIG(s->exit_status)));
    else
        snprintf(out, size, "its process %d ended with exit status %d", (int)s->proc.pid,
                 WEXITSTATUS(s->exit_status));
}

/* Forgets the process; the record goes last, so that no instant shows neither. */
static void drop_process(struct agent *a, struct service *s)
{
    char *record = agent_node_file(a, s->id, ".pid");

    if (s->pidfd >= 0)
        close(s->pidfd);
    s->pidfd = -1;
    s->proc = (struct proc){.pid = 0};
    unlink(record);
    free(record);
}

static void died(struct agent *a, struct service *s, const char *how, bool lasted)
{
    char text[512];
    struct event ev = {SEVERITY_ERROR, "process-died", s->id, text, NULL};

    snprintf(text, sizeof text, "%s is down: %s", s->id, how);
    if (s->wanted_up)
        ev.advice = "the agent starts it again; look at its log for the cause";
    else
        ev.advice = "look at its log for the cause";
    s->state = STATE_FAILED;
    service_detail(s, "%s", how);
    if (lasted)
        s->failures = 0;
    agent_event(a, &ev);
    service_plan_restart(a, s);
}

void service_ended(struct agent *a, struct service *s)
{
    bool lasted = time_now_ms() - s->proc.started_ms > LASTED_MS;
    char how[256];

    s->exit_status = proc_reap(&s->proc);
    describe_end(s, how, sizeof how);
    drop_process(a, s);
    if (s->op && s->state != STATE_RUNNING)
        service_detail(s, "%s", how); /* the operation says the rest */
    else
        died(a, s, how, lasted);
    agent_changed(a);
}

static void adopt(struct agent *a, struct service *s)
{
    char text[256];
    struct event ev = {SEVERITY_INFO, "process-adopted", s->id, text, NULL};

    s->pidfd = proc_watch(&s->proc);
    s->state = STATE_RUNNING;
    snprintf(text, sizeof text, "%s goes on running with pid %d", s->id, (int)s->proc.pid);
    agent_event(a, &ev);
}

void services_adopt(struct agent *a)
{
    for (size_t i = 0; i < a->n_services; i++) {
        struct service *s = a->services[i];
        char *record;

        if (s->kind != SERVICE_REDIS)
            continue;
        record = agent_node_file(a, s->id, ".pid");
        if (proc_load(record, &s->proc) < 0) {
            if (s->wanted_up)
                s->restart_at = time_mono_ms();
        } else if (proc_is_alive(&s->proc)) {
            adopt(a, s);
        } else {
            s->exit_status = -1;
            drop_process(a, s);
            if (s->wanted_up)
                died(a, s, "its process ended while the agent was away", true);
        }
        free(record);
    }
}

/* One that keeps failing for the same reason is an event once; its state tells the rest. */
int services_revive(struct agent *a)
{
    int64_t now = time_mono_ms(), next = -1;

    for (size_t i = 0; i < a->n_services; i++) {
        struct service *s = a->services[i];
        struct operation_start os = {
            .service = s, .action = "start", .run = start_run, .kind = OPERATION_AUTOMATIC};
        struct problem pb;

        if (!s->restart_at || s->proc.pid || !s->wanted_up ||
            (s->op && s->op->kind != OPERATION_LOOK))
            continue;
        if (s->restart_at > now) {
            if (next < 0 || s->restart_at - now < next)
                next = s->restart_at - now;
        } else if (s->op) {
            s->op->is_cancelled = true; /* its end wakes the loop */
        } else {
            s->restart_at = 0;
            atomic_fetch_add(&a->count.restarts, 1);
            operation_begin(a, &os, &pb);
        }
    }
    return next > INT32_MAX ? INT32_MAX : (int)next;
}
