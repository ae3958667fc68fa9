#include "agent/stop.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "agent/clock.h"
#include "agent/lifecycle.h"
#include "agent/watch.h"

enum { SECOND_MS = 15 * 1000, KILL_MS = 30 * 1000, DEAD_MS = 45 * 1000, LOOK_MS = 20 };

static const struct {
    int after_ms, sig;
    const char *name;
} signals[] = {
    {0, SIGTERM, "SIGTERM"},
    {SECOND_MS, SIGTERM, "a second SIGTERM"},
    {KILL_MS, SIGKILL, "SIGKILL"},
};

enum { SIGNALS = sizeof signals / sizeof *signals };

/* A frozen process takes a signal only when it runs again. */
static void send_signal(const struct proc *p, int sig)
{
    proc_signal(p, sig);
    proc_signal(p, SIGCONT);
}

/* 0 when it has ended. The lock is held. */
static int await_end(struct operation *op, int64_t until)
{
    struct agent *a = op->agent;

    while (op->service->proc.pid && !operation_must_end(op) &&
           cond_wait_until(&a->changed, &a->lock, until))
        ;
    return op->service->proc.pid ? -1 : 0;
}

/* Number of signals it took, -1 when it goes on. The lock is held. */
static int end_process(struct operation *op)
{
    struct agent *a = op->agent;
    int64_t begin = time_mono_ms();

    for (int i = 0; i < SIGNALS; i++) {
        int64_t until = begin + (i + 1 < SIGNALS ? signals[i + 1].after_ms : DEAD_MS);
        struct proc p = op->service->proc;

        send_signal(&p, signals[i].sig);
        snprintf(op->waiting_for, sizeof op->waiting_for, "the end of process %d after %s",
                 (int)p.pid, signals[i].name);
        if (await_end(op, until) == 0)
            return i + 1;
        if (operation_must_end(op))
            break;
    }
    pthread_cond_broadcast(&a->changed);
    return -1;
}

static void stopped(struct operation *op, int n_signals, bool data_was_gone)
{
    struct service *s = op->service;
    struct event ev = {SEVERITY_INFO, "process-stopped", s->id, op->result, NULL};

    s->state = STATE_STOPPED;
    s->detail[0] = '\0';
    s->failures = 0;
    s->restart_at = 0;
    snprintf(op->result, sizeof op->result, "%s is stopped%s%s%s", s->id,
             n_signals > 1 ? " after " : "", n_signals > 1 ? signals[n_signals - 1].name : "",
             data_was_gone ? "; its data directory was gone, what only it held is lost" : "");
    if (data_was_gone || n_signals == SIGNALS)
        ev.severity = SEVERITY_WARNING;
    agent_event(op->agent, &ev);
    watch_kick(op->agent);
}

int stop_run(struct operation *op, struct problem *pb)
{
    struct agent *a = op->agent;
    struct service *s = op->service;
    bool data_was_gone;
    int n = 0, rc = 0;

    pthread_mutex_lock(&a->lock);
    data_was_gone = s->dir_state == DIR_MISSING || s->dir_state == DIR_REPLACED;
    s->state = STATE_STOPPING;
    if (s->proc.pid)
        n = end_process(op);
    if (n >= 0) {
        stopped(op, n, data_was_gone);
    } else {
        s->state = STATE_RUNNING;
        service_detail(s, "process %d did not end", (int)s->proc.pid);
        rc = problem_set(pb, operation_must_end(op) ? PROBLEM_INTERNAL : PROBLEM_TIMEOUT,
                         "stop %s: process %d has not ended yet", s->id, (int)s->proc.pid);
    }
    agent_changed(a);
    pthread_mutex_unlock(&a->lock);
    return rc;
}

/* Sends sig to all that still run; how many they are. */
static int signal_all(struct agent *a, int sig)
{
    int n = 0;

    for (size_t i = 0; i < a->n_services; i++) {
        struct service *s = a->services[i];

        if (!s->proc.pid || !proc_is_alive(&s->proc))
            continue;
        n++;
        if (sig)
            send_signal(&s->proc, sig);
    }
    return n;
}

static int await_all(struct agent *a, int64_t until)
{
    int n;

    while ((n = signal_all(a, 0)) > 0 && time_mono_ms() < until)
        time_sleep_ms(LOOK_MS);
    return n;
}

int services_stop_all(struct agent *a, struct err *err)
{
    int64_t begin = time_mono_ms();
    int left = 0;

    for (size_t i = 0; i < a->n_services; i++) {
        char *record;

        if (a->services[i]->kind != SERVICE_REDIS)
            continue;
        record = agent_node_file(a, a->services[i]->id, ".pid");
        proc_load(record, &a->services[i]->proc);
        free(record);
    }
    for (int i = 0; i < SIGNALS && signal_all(a, signals[i].sig) > 0; i++) {
        left = await_all(a, begin + (i + 1 < SIGNALS ? signals[i + 1].after_ms : DEAD_MS));
        if (left == 0)
            break;
    }
    if (left > 0)
        return err_set(err, ERR_FAILED, "%d services did not end", left);
    return 0;
}
