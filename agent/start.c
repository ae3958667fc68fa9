#include "agent/start.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "agent/clock.h"
#include "agent/launch.h"
#include "agent/redis.h"
#include "agent/services.h"
#include "agent/watch.h"

enum {
    ASK_MS = 1000,
    POLL_FIRST_MS = 10,
    POLL_MAX_MS = 250,
    SILENCE_MS = 60 * 1000,
    TAIL_BYTES = 8192,
};

/* What one start carries along. */
struct start {
    struct operation *op;
    struct agent *a;
    struct service *s; /* look at it with the lock held */
    struct launch l;
    struct guard g;
    struct proc proc;
    off_t log_from; /* where this start's lines begin in the log */
    bool was_spawned;
};

/* Intention before effect: an agent that dies now starts the service again. */
static int record_wanted(struct start *st, struct problem *pb)
{
    struct service *s = st->s;
    struct err err = ERR_INIT;
    bool was_up, never;
    int rc = 0;

    pthread_mutex_lock(&st->a->lock);
    was_up = s->wanted_up;
    never = s->never_started;
    s->wanted_up = true;
    s->never_started = false;
    if (!was_up || never)
        rc = services_save(st->a, &err);
    if (rc < 0) {
        s->wanted_up = was_up;
        s->never_started = never;
        problem_from_err(pb, PROBLEM_INTERNAL, &err);
    } else {
        s->state = STATE_STARTING;
        s->detail[0] = '\0';
        s->restart_at = 0;
        agent_changed(st->a);
    }
    pthread_mutex_unlock(&st->a->lock);
    return rc;
}

static off_t file_size(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? st.st_size : 0;
}

/* The process is known to the agent from here on, whatever becomes of this operation. One that
 * cannot be watched (it ended already) is looked at by the main loop. */
static void take_process(struct start *st)
{
    pthread_mutex_lock(&st->a->lock);
    st->s->proc = st->proc;
    st->s->elected_at = 0;
    st->s->pidfd = proc_watch(&st->proc);
    agent_changed(st->a);
    pthread_mutex_unlock(&st->a->lock);
}

static int spawn(struct start *st, struct problem *pb)
{
    const struct launch *l = &st->l;
    const char *const argv[] = {l->program, l->conf, NULL};
    struct spawn sp = {
        .argv = argv,
        .record_path = l->record,
        .output_path = l->output,
        .lock_fd = st->g.lock_fd,
        .storage = st->g.storage,
        .env = st->g.env,
    };
    struct err err = ERR_INIT;

    st->log_from = file_size(l->log);
    if (proc_spawn(&sp, &st->proc, &err) < 0) {
        return problem_set(pb, PROBLEM_START_FAILED, "start %s on %s: %s", l->id, l->node,
                           err.text);
    }
    st->was_spawned = true;
    take_process(st);
    return 0;
}

/* Why it ended, from what it wrote since it was started. */
static int explain(struct start *st, struct problem *pb)
{
    const struct launch *l = &st->l;
    off_t end = file_size(l->log);
    size_t wrote = end > st->log_from ? (size_t)(end - st->log_from) : 0;
    char *log = file_tail(l->log, wrote < TAIL_BYTES ? wrote : TAIL_BYTES);
    char *output = file_tail(l->output, TAIL_BYTES);
    const char *advice;
    char reason[512];

    redis_start_reason(output, log, reason, sizeof reason, &advice);
    problem_set(pb, PROBLEM_START_FAILED, "start %s on %s: %s", l->id, l->node, reason);
    problem_advise(pb, "%s", advice);
    free(output);
    free(log);
    return -1;
}

/* 1: goes on; 0: the process is gone; -1: the operation must end. Sleeps up to ms. */
static int still_there(struct start *st, int ms)
{
    int64_t until = time_mono_ms() + ms;
    int rc = 1;

    pthread_mutex_lock(&st->a->lock);
    while (st->s->proc.pid && !operation_must_end(st->op) &&
           cond_wait_until(&st->a->changed, &st->a->lock, until))
        ;
    if (!st->s->proc.pid)
        rc = 0;
    else if (operation_must_end(st->op))
        rc = -1;
    pthread_mutex_unlock(&st->a->lock);
    return rc;
}

enum answer { ANSWER_NONE, ANSWER_LOADING, ANSWER_SERVES, ANSWER_DENIED };

/* Asks once. Whatever answers in the protocol lives, even with an error. */
static enum answer ask(struct start *st, char *my_id, size_t size)
{
    struct redis *r = redis_new(st->l.host_ip, st->l.port, st->l.secret);
    enum answer answer = ANSWER_NONE;
    int percent;

    redis_add(r, "INFO", "persistence", NULL);
    redis_add(r, "CLUSTER", "MYID", NULL);
    redis_exchange(&r, 1, ASK_MS);
    if (redis_result(r) == REDIS_DENIED) {
        answer = ANSWER_DENIED;
    } else if (redis_result(r) == REDIS_ANSWERED) {
        const char *info = redis_text(redis_reply(r, 0));
        answer = redis_field_int(info, "loading", 1) ? ANSWER_LOADING : ANSWER_SERVES;
        percent = redis_loading_percent(info);
        snprintf(my_id, size, "%s", redis_text(redis_reply(r, 1)));
        if (answer == ANSWER_LOADING)
            operation_report(st->op, percent, "loading the dataset, %d %%", percent);
    }
    redis_free(r);
    return answer;
}

static int await_ready(struct start *st, char *my_id, size_t size, struct problem *pb)
{
    int64_t silent_since = time_mono_ms();
    int pause = POLL_FIRST_MS;

    operation_report(st->op, -1, "waiting for an answer of %s", st->l.id);
    for (;;) {
        int there = still_there(st, pause);
        enum answer answer;

        if (there == 0)
            return explain(st, pb);
        if (there < 0)
            return problem_set(pb, PROBLEM_INTERNAL, "start %s: given up, its process goes on",
                               st->l.id);
        answer = ask(st, my_id, size);
        if (answer == ANSWER_SERVES)
            return 0;
        if (answer == ANSWER_DENIED)
            return problem_set(pb, PROBLEM_START_FAILED,
                               "start %s on %s: it refuses the store's password", st->l.id,
                               st->l.node);
        if (answer == ANSWER_LOADING)
            silent_since = time_mono_ms();
        if (time_mono_ms() - silent_since > SILENCE_MS)
            return problem_set(pb, PROBLEM_TIMEOUT,
                               "start %s on %s: process %d runs, but has not answered for %d s",
                               st->l.id, st->l.node, (int)st->proc.pid, SILENCE_MS / 1000);
        pause = pause * 2 < POLL_MAX_MS ? pause * 2 : POLL_MAX_MS;
    }
}

/* Remembers who it is in the cluster, the first time; later another one is told, not hidden. */
static void compare_identity(struct start *st, const char *my_id)
{
    struct service *s = st->s;
    struct err err = ERR_INIT;
    char text[256];
    struct event ev = {
        SEVERITY_WARNING, "identity-changed", st->l.id, text,
        "make it a member of the cluster again, and let the others forget the old one"};

    if (!redis_id_is_valid(my_id))
        return;
    pthread_mutex_lock(&st->a->lock);
    if (!s->node_id[0]) {
        memcpy(s->node_id, my_id, REDIS_ID_LEN + 1);
        if (services_save(st->a, &err) < 0)
            agent_log(st->a, LOG_ERROR, s->id, "%s", err.text);
    } else if (strcmp(s->node_id, my_id) != 0) {
        snprintf(text, sizeof text, "%s is %.40s in the cluster now, it was %.40s", s->id, my_id,
                 s->node_id);
        agent_event(st->a, &ev);
    }
    pthread_mutex_unlock(&st->a->lock);
}

/* False when it has ended in the very last moment. */
static bool started(struct start *st)
{
    char text[256];
    struct event ev = {SEVERITY_INFO, "process-started", st->l.id, text, NULL};
    bool is_there;

    snprintf(text, sizeof text, "%s serves with pid %d on port %d", st->l.id, (int)st->proc.pid,
             st->l.port);
    pthread_mutex_lock(&st->a->lock);
    is_there = st->s->proc.pid != 0;
    if (is_there) {
        st->s->state = STATE_RUNNING;
        st->s->detail[0] = '\0';
        agent_event(st->a, &ev);
        watch_kick(st->a);
    }
    pthread_mutex_unlock(&st->a->lock);
    if (is_there)
        operation_result(st->op, "%s", text);
    return is_there;
}

/* What is left when a start did not come to its end. */
static void not_started(struct start *st, const struct problem *pb)
{
    struct service *s = st->s;

    pthread_mutex_lock(&st->a->lock);
    if (s->proc.pid) {
        s->state = STATE_RUNNING; /* the process is there; what it answers is asked live */
        service_detail(s, "%s", pb->detail);
    } else if (!st->op->is_cancelled || st->was_spawned) {
        s->state = STATE_FAILED;
        service_detail(s, "%s", pb->detail);
        if (s->wanted_up)
            service_plan_restart(st->a, s);
    }
    agent_changed(st->a);
    pthread_mutex_unlock(&st->a->lock);
}

static int start_steps(struct start *st, struct problem *pb)
{
    char my_id[64] = "";

    if (!st->l.program) {
        problem_set(pb, PROBLEM_START_FAILED, "start %s on %s: there is no redis-server", st->l.id,
                    st->l.node);
        return problem_advise(pb,
                              "install redis-server (or valkey-server), restart the agent, then "
                              "repeat the start");
    }
    if (!st->l.secret)
        return problem_set(pb, PROBLEM_START_FAILED,
                           "start %s on %s: the node keeps no secret of the store", st->l.id,
                           st->l.node);
    if (guard_check(&st->l, &st->g, pb) < 0)
        return -1;
    if (launch_write(&st->l, pb) < 0 || record_wanted(st, pb) < 0 || spawn(st, pb) < 0)
        return -1;
    /* Only the service holds its data directory now. */
    close(st->g.lock_fd);
    st->g.lock_fd = -1;
    if (await_ready(st, my_id, sizeof my_id, pb) < 0)
        return -1;
    compare_identity(st, my_id);
    return 0;
}

int start_run(struct operation *op, struct problem *pb)
{
    struct start st = {.op = op,
                       .a = op->agent,
                       .s = op->service,
                       .g = {.allow_empty = op->allow_empty, .lock_fd = -1}};
    int rc;

    pthread_mutex_lock(&st.a->lock);
    launch_init(&st.l, st.a, st.s);
    pthread_mutex_unlock(&st.a->lock);
    rc = start_steps(&st, pb);
    if (st.g.lock_fd >= 0)
        close(st.g.lock_fd);
    if (rc == 0 && !started(&st))
        rc = explain(&st, pb);
    if (rc < 0)
        not_started(&st, pb);
    launch_release(&st.l);
    return rc;
}
