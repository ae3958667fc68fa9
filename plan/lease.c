#include "lease.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "kvsh/fs.h"
#include "kvsh/run.h"

enum { TTL_MS = 30000, NAP_MS = 500 };

struct lease_keeper {
    const struct engine *engine;
    struct connection *cn;
    struct lease lease;
    char *owner, *header;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool has_thread, ending, lost;
    int64_t asked_ms; /* when the nodes were asked the last time, see passed_ms() */
    bool is_overdue;  /* they are to be asked at once */
    struct json *docs;
    struct err why; /* it is lost */
};

/* Goes on while the machine sleeps, as the clocks of the nodes do. */
static int64_t passed_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int ask(struct lease_keeper *k, const struct json *docs, struct err *err)
{
    return k->engine->lease(k->cn, docs, &k->lease, err);
}

/* --- renewing --- */

/* With the lock held: a third of its time, or until the end. */
static void wait_third(struct lease_keeper *k)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += k->lease.ttl_ms / 3000;
    until.tv_nsec += (long)(k->lease.ttl_ms / 3 % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!k->ending && !k->is_overdue) {
        if (pthread_cond_timedwait(&k->wake, &k->lock, &until) == ETIMEDOUT)
            return;
    }
}

/* Nodes that do not answer get it at the next renewal; a refusal is the end of it. */
static void *renew(void *arg)
{
    struct lease_keeper *k = arg;
    struct json *docs;

    pthread_mutex_lock(&k->lock);
    for (wait_third(k); !k->ending && !k->lost; wait_third(k)) {
        struct err err = ERR_INIT;
        int64_t begun = passed_ms();
        int rc;

        docs = json_copy(k->docs);
        pthread_mutex_unlock(&k->lock);
        rc = ask(k, docs, &err);
        json_free(docs);
        pthread_mutex_lock(&k->lock);
        k->asked_ms = begun;
        k->is_overdue = false;
        pthread_cond_broadcast(&k->wake);
        if (rc < 0 && (err.code == ERR_LOCKED || err.code == ERR_STALE)) {
            k->lost = true;
            k->why = err;
        }
    }
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

/* Signals are the main thread's. */
static int start_thread(struct lease_keeper *k, struct err *err)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    k->has_thread = pthread_create(&k->thread, NULL, renew, k) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return k->has_thread ? 0 : err_set(err, ERR_FAILED, "start a thread: the system has none left");
}

/* --- taking and giving back --- */

static struct lease_keeper *keeper_new(const struct lease_wish *w)
{
    struct lease_keeper *k = xcalloc(1, sizeof *k);
    pthread_condattr_t monotonic;

    k->engine = w->engine;
    k->owner = xstrdup(w->owner);
    k->header = xasprintf("%s/%" PRId64 "/%" PRId64, w->owner, w->plan_id, w->epoch);
    k->docs = json_copy(w->docs);
    k->lease = (struct lease){.owner = k->owner,
                              .plan = w->plan_id,
                              .epoch = w->epoch,
                              .ttl_ms = w->ttl_ms > 0 ? w->ttl_ms : TTL_MS,
                              .takeover = w->takeover};
    pthread_mutex_init(&k->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&k->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return k;
}

static void keeper_free(struct lease_keeper *k)
{
    if (k->cn != NULL)
        k->engine->close(k->cn);
    pthread_cond_destroy(&k->wake);
    pthread_mutex_destroy(&k->lock);
    json_free(k->docs);
    free(k->header);
    free(k->owner);
    free(k);
}

struct lease_keeper *lease_begin(const struct lease_wish *w, struct err *err)
{
    struct lease_keeper *k = keeper_new(w);
    int64_t deadline = time_mono_ms() + w->wait_ms;
    int rc = -1;

    k->asked_ms = passed_ms();
    k->cn = w->engine->open(w->endpoint, err);
    for (bool told = false;
         k->cn != NULL && (rc = ask(k, k->docs, err)) < 0 && err->code == ERR_LOCKED &&
         time_mono_ms() < deadline && !runner_stop_requested();
         told = true, k->asked_ms = passed_ms()) {
        if (!told && w->waits != NULL)
            w->waits(w->arg, err);
        time_sleep_ms(NAP_MS);
    }
    k->lease.takeover = NULL; /* said once, it must not be said again by a renewal */
    k->lease.held = rc == 0;
    if (rc == 0)
        rc = start_thread(k, err);
    if (rc == 0)
        return k;
    keeper_free(k);
    return NULL;
}

void lease_docs(struct lease_keeper *k, const struct json *docs)
{
    struct json *mine = json_copy(docs), *old;

    pthread_mutex_lock(&k->lock);
    old = k->docs;
    k->docs = mine;
    pthread_mutex_unlock(&k->lock);
    json_free(old);
}

bool lease_lost(struct lease_keeper *k, int64_t age_ms, struct err *err)
{
    int64_t since = passed_ms() - (age_ms < k->lease.ttl_ms ? age_ms : k->lease.ttl_ms);
    bool lost;

    pthread_mutex_lock(&k->lock);
    while (!k->lost && k->asked_ms < since) {
        k->is_overdue = true;
        pthread_cond_broadcast(&k->wake);
        pthread_cond_wait(&k->wake, &k->lock);
    }
    lost = k->lost;
    if (lost)
        *err = k->why;
    pthread_mutex_unlock(&k->lock);
    return lost;
}

void lease_end(struct lease_keeper *k)
{
    struct err ignored = ERR_INIT; /* what is not given back runs out */

    if (k == NULL)
        return;
    pthread_mutex_lock(&k->lock);
    k->ending = true;
    pthread_cond_broadcast(&k->wake);
    pthread_mutex_unlock(&k->lock);
    pthread_join(k->thread, NULL);
    k->lease.release = true;
    ask(k, k->docs, &ignored);
    keeper_free(k);
}

const char *lease_header(const struct lease_keeper *k)
{
    return k->header;
}
