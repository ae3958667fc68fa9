#include "agent/watch.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "agent/clock.h"
#include "agent/logwatch.h"
#include "agent/operations.h"
#include "agent/services.h"
#include "agent/thread.h"

enum { PROBE_MS = 5000 };

struct watch {
    pthread_t thread;
    pthread_cond_t kick, done;
    int64_t asked, answered; /* numbers of refreshes */
};

const char *dir_fault_kind(enum dir_state state)
{
    static const char *const kinds[] = {
        [DIR_OK] = "dir-ok",
        [DIR_MISSING] = "dir-missing",
        [DIR_REPLACED] = "dir-replaced",
        [DIR_READONLY] = "dir-readonly",
        [DIR_FULL] = "dir-full",
        [DIR_UNREADABLE] = "dir-unreadable",
    };

    return kinds[state];
}

void dir_fault_text(const struct service *s, enum dir_state state, const char *detail, char *text,
                    size_t size)
{
    bool runs = s->proc.pid != 0;

    switch (state) {
    case DIR_OK:
        snprintf(text, size, "storage directory %s is well again", s->storage_dir);
        break;
    case DIR_MISSING:
        snprintf(text, size, "storage directory %s is missing%s%s%s%s", s->storage_dir,
                 detail[0] ? " (" : "", detail, detail[0] ? ")" : "",
                 runs ? ": the service keeps running from a deleted directory and will lose its "
                        "data when it stops"
                      : ": the service cannot start");
        break;
    case DIR_REPLACED:
        snprintf(text, size,
                 "storage directory %s is not the one that the service has open (%s): it keeps "
                 "running from a deleted directory and will lose its data when it stops",
                 s->storage_dir, detail);
        break;
    default:
        snprintf(text, size, "storage directory %s is %s (%s)", s->storage_dir,
                 dir_state_name(state), detail);
    }
}

static void dir_fault_advice(const struct service *s, enum dir_state state, char *advice,
                             size_t size)
{
    advice[0] = '\0';
    if (state == DIR_MISSING && s->proc.pid)
        snprintf(advice, size, "replace the disk, then stop-service and start-service %s", s->id);
    else if (state == DIR_MISSING)
        snprintf(advice, size, "mount or create it, then start-service %s", s->id);
    else if (state == DIR_REPLACED)
        snprintf(advice, size, "stop-service and start-service %s", s->id);
    else if (state == DIR_FULL)
        snprintf(advice, size, "make room on it");
    else if (state == DIR_READONLY)
        snprintf(advice, size, "make it writable, then start-service %s", s->id);
    else if (state == DIR_UNREADABLE)
        snprintf(advice, size,
                 "look at the disk; replace a broken one, then stop-service and "
                 "start-service %s",
                 s->id);
}

/* A line each cycle while it lasts, an event at each change. */
static void tell_service(struct agent *a, struct service *s, enum dir_state state,
                         const char *detail, bool is_cycle)
{
    char text[1400], advice[256];
    struct event ev = {state == DIR_OK ? SEVERITY_INFO : SEVERITY_ERROR, dir_fault_kind(state),
                       s->id, text, advice};
    bool is_change = s->dir_state != state;

    s->dir_state = state;
    snprintf(s->dir_detail, sizeof s->dir_detail, "%s", detail);
    if (!is_change && (state == DIR_OK || !is_cycle))
        return;
    dir_fault_text(s, state, detail, text, sizeof text);
    dir_fault_advice(s, state, advice, sizeof advice);
    if (!advice[0])
        ev.advice = NULL;
    if (is_change)
        agent_event(a, &ev);
    else
        agent_log(a, LOG_ERROR, s->id, "%s; %s", text, advice);
}

/* What a service's data directory is like, seen from the outside. */
struct env_look {
    char id[SERVICE_ID_MAX];
    struct proc proc;
    bool expects_data, has_env, has_data;
    struct file_id env;
};

static void env_look(const char *storage_dir, struct env_look *e)
{
    char *env = xasprintf("%s/%s/env", storage_dir, e->id);
    char *data = xasprintf("%s/appendonlydir/appendonly.aof.manifest", env);

    e->has_env = dir_id(env, &e->env);
    e->has_data = access(data, F_OK) == 0;
    free(data);
    free(env);
}

static enum dir_state judge(const struct dir_health *h, const struct env_look *e, char *detail,
                            size_t size)
{
    const char *what = h->detail;
    enum dir_state state = h->state;

    if (state == DIR_MISSING || state == DIR_UNREADABLE || !e->proc.pid) {
        what = state == DIR_MISSING ? "" : what;
    } else if (!file_id_equal(h->id, e->proc.storage)) {
        state = DIR_REPLACED;
        what = "it was created anew or another disk is mounted";
    } else if (!e->has_env) {
        state = DIR_MISSING;
        what = "the data directory in it is gone";
    } else if (!file_id_equal(e->env, e->proc.env)) {
        state = DIR_REPLACED;
        what = "the data directory in it was created anew";
    } else if (e->expects_data && !e->has_data) {
        state = DIR_MISSING;
        what = "the append-only file in it is gone";
    }
    snprintf(detail, size, "%s", what);
    return state;
}

static void look_service(struct agent *a, struct service *s, bool is_cycle)
{
    int dir = boot_dir_index(&a->boot, s->storage_dir);
    bool is_changed = s->op && s->op->kind != OPERATION_LOOK;
    struct env_look e = {.proc = s->proc, .expects_data = s->state == STATE_RUNNING && !is_changed};
    struct dir_health h;
    char detail[256];
    enum dir_state state;

    memcpy(e.id, s->id, sizeof e.id);
    if (dir < 0)
        return;
    h = a->dirs[dir].health;
    if (h.state == DIR_OK || h.state == DIR_READONLY || h.state == DIR_FULL) {
        pthread_mutex_unlock(&a->lock);
        env_look(a->boot.storage_dirs[dir], &e);
        pthread_mutex_lock(&a->lock);
        s = agent_service(a, e.id);
        if (!s || s->proc.pid != e.proc.pid)
            return; /* next time */
        s->has_data = e.has_data;
    }
    state = judge(&h, &e, detail, sizeof detail);
    tell_service(a, s, state, detail, is_cycle);
}

/* A directory no service uses is told about under its own name. */
static void tell_unused(struct agent *a, size_t i, bool is_cycle)
{
    const char *path = a->boot.storage_dirs[i];
    struct storage_dir *d = &a->dirs[i];
    char text[1400];
    struct event ev = {d->health.state == DIR_OK ? SEVERITY_INFO : SEVERITY_ERROR,
                       dir_fault_kind(d->health.state), path, text, NULL};

    for (size_t k = 0; k < a->n_services; k++)
        if (a->services[k]->storage_dir && strcmp(a->services[k]->storage_dir, path) == 0) {
            d->told = DIR_OK;
            return;
        }
    snprintf(text, sizeof text, "storage directory %s is %s%s%s, no service uses it", path,
             dir_state_name(d->health.state), d->health.detail[0] ? ": " : "", d->health.detail);
    if (d->told != d->health.state)
        agent_event(a, &ev);
    else if (d->told != DIR_OK && is_cycle)
        agent_log(a, LOG_ERROR, "watch", "%s", text);
    d->told = d->health.state;
}

/* What in it could be a service's; NULL when it cannot be read. */
static struct json *list_services(const char *path)
{
    DIR *dir = opendir(path);
    struct json *names;
    const struct dirent *e;

    if (!dir)
        return NULL;
    names = json_array();
    while ((e = readdir(dir)) != NULL && json_len(names) < SERVICES_MAX)
        if (name_is_rn(e->d_name))
            json_push_str(names, e->d_name);
    closedir(dir);
    return names;
}

/* One look at one directory, in a thread of its own: a dead disk holds up whoever asks it. */
struct probe {
    struct agent *agent;
    size_t at;
    bool is_test;
};

static void *probe_run(void *arg)
{
    struct probe *p = arg;
    struct agent *a = p->agent;
    struct storage_dir *d = &a->dirs[p->at];
    struct json *names;
    struct dir_health h;

    if (p->is_test)
        dir_test(a->boot.storage_dirs[p->at], &h);
    else
        dir_look(a->boot.storage_dirs[p->at], &h);
    names = list_services(a->boot.storage_dirs[p->at]);
    pthread_mutex_lock(&a->lock);
    json_free(d->service_dirs);
    d->service_dirs = names;
    /* What only the write test can see stays until the next one. */
    if (!p->is_test && h.state == DIR_OK && d->tested != DIR_OK &&
        file_id_equal(h.id, d->health.id)) {
        h.state = d->tested;
        memcpy(h.detail, d->health.detail, sizeof h.detail);
    } else {
        d->tested = h.state;
    }
    d->health = h;
    d->asked_at = 0;
    a->probes--;
    pthread_cond_broadcast(&a->watch->done);
    pthread_mutex_unlock(&a->lock);
    free(p);
    return NULL;
}

static void probe_start(struct agent *a, size_t i, bool is_test)
{
    struct probe *p = xcalloc(1, sizeof *p);

    *p = (struct probe){a, i, is_test};
    a->dirs[i].asked_at = time_mono_ms();
    a->probes++;
    if (thread_start(NULL, probe_run, p) == 0)
        return;
    a->dirs[i].asked_at = 0; /* next time */
    a->probes--;
    free(p);
}

/* A directory that does not answer is waited for once; then it counts as gone until it does. */
static void look_dir(struct agent *a, size_t i, bool is_cycle)
{
    struct storage_dir *d = &a->dirs[i];
    int64_t deadline = time_mono_ms() + PROBE_MS;

    if (!d->asked_at) {
        probe_start(a, i, is_cycle);
        while (d->asked_at && !a->stopping && cond_wait_until(&a->watch->done, &a->lock, deadline))
            ;
    }
    if (!d->asked_at || a->stopping)
        return;
    d->health.state = DIR_UNREADABLE;
    snprintf(d->health.detail, sizeof d->health.detail, "it has not answered for %d s",
             (int)((time_mono_ms() - d->asked_at) / 1000));
}

/* Without it a service ends as soon as it has to note a change of the cluster. */
static void look_root(struct agent *a)
{
    char *path = a->store[0] ? agent_node_dir(a) : xstrdup(a->boot.root);
    struct dir_health h;
    char text[1400];
    struct event ev = {SEVERITY_INFO, NULL, "agent", text, NULL};

    pthread_mutex_unlock(&a->lock);
    dir_test(path, &h);
    pthread_mutex_lock(&a->lock);
    ev.kind = dir_fault_kind(h.state);
    if (h.state != DIR_OK) {
        ev.severity = SEVERITY_ERROR;
        ev.advice = "bring it back or make room on it: services end when they cannot note a change "
                    "of the cluster";
    }
    snprintf(text, sizeof text, "the agent's directory %s is %s%s%s", path,
             h.state == DIR_OK ? "well again" : dir_state_name(h.state), h.detail[0] ? ": " : "",
             h.detail);
    if (a->root_told != h.state)
        agent_event(a, &ev);
    else if (h.state != DIR_OK)
        agent_log(a, LOG_ERROR, "agent", "%s", text);
    a->root_told = h.state;
    free(path);
}

static void look_all(struct agent *a, bool is_cycle)
{
    if (is_cycle)
        look_root(a);
    for (size_t i = 0; i < a->boot.n_storage_dirs; i++) {
        look_dir(a, i, is_cycle);
        tell_unused(a, i, is_cycle);
    }
    for (size_t i = 0; i < a->n_services; i++)
        if (a->services[i]->kind == SERVICE_REDIS)
            look_service(a, a->services[i], is_cycle);
    if (is_cycle)
        logwatch_cycle(a);
}

static void *watch_run(void *arg)
{
    struct agent *a = arg;
    struct watch *w = a->watch;
    int64_t next_cycle = time_mono_ms();

    pthread_mutex_lock(&a->lock);
    while (!a->stopping) {
        int64_t now = time_mono_ms(), asked = w->asked;
        bool is_cycle = now >= next_cycle;

        if (!is_cycle && w->answered == asked) {
            cond_wait_until(&w->kick, &a->lock, next_cycle);
            continue;
        }
        look_all(a, is_cycle);
        w->answered = asked;
        if (is_cycle)
            next_cycle = now + a->boot.watch_interval * INT64_C(1000);
        pthread_cond_broadcast(&w->done);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

int watch_start(struct agent *a, struct err *err)
{
    struct watch *w = xcalloc(1, sizeof *w);
    int rc;

    cond_init_monotonic(&w->kick);
    cond_init_monotonic(&w->done);
    a->watch = w;
    rc = thread_start(&w->thread, watch_run, a);
    if (rc == 0)
        return 0;
    a->watch = NULL;
    free(w);
    return err_errno(err, ERR_FAILED, rc, "start the watch");
}

void watch_stop(struct agent *a)
{
    int64_t deadline = time_mono_ms() + PROBE_MS;
    struct watch *w = a->watch;
    bool is_stuck;

    if (!w)
        return;
    pthread_mutex_lock(&a->lock);
    pthread_cond_broadcast(&w->kick);
    pthread_cond_broadcast(&w->done);
    pthread_mutex_unlock(&a->lock);
    pthread_join(w->thread, NULL);
    pthread_mutex_lock(&a->lock);
    while (a->probes > 0 && cond_wait_until(&w->done, &a->lock, deadline))
        ;
    is_stuck = a->probes > 0;
    pthread_mutex_unlock(&a->lock);
    if (is_stuck)
        return; /* it may come back yet */
    a->watch = NULL;
    pthread_cond_destroy(&w->kick);
    pthread_cond_destroy(&w->done);
    free(w);
}

void watch_kick(struct agent *a)
{
    if (!a->watch)
        return;
    a->watch->asked++;
    pthread_cond_signal(&a->watch->kick);
}

void watch_refresh(struct agent *a, int wait_ms)
{
    int64_t now = time_mono_ms(), number;
    struct watch *w;

    pthread_mutex_lock(&a->lock);
    w = a->watch;
    if (w && !a->stopping) {
        number = ++w->asked;
        pthread_cond_signal(&w->kick);
        while (w->answered < number && !a->stopping &&
               cond_wait_until(&w->done, &a->lock, now + wait_ms))
            ;
    }
    pthread_mutex_unlock(&a->lock);
}
