#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kvsh/log.h"
#include "kvsh/mem.h"

enum { NOTES_MAX = 200 }; /* not taken yet, of one job */

struct queue {
    struct job *first, **end;
};

struct crew {
    const struct engine *engine;
    const struct endpoint *endpoint;
    pthread_mutex_t lock;
    pthread_cond_t work; /* there is a job, an interrupt, or the end */
    pthread_cond_t done; /* a job is done, or wants something remembered */
    pthread_cond_t kept; /* something was remembered, or could not be */
    int wishes;          /* jobs that wait for it */
    struct queue todo, finished;
    bool interrupted, ending;
    pthread_t *threads;
    int n_threads;
};

static void queue_add(struct queue *q, struct job *job)
{
    job->next = NULL;
    *q->end = job;
    q->end = &job->next;
}

static struct job *queue_pop(struct queue *q)
{
    struct job *job = q->first;

    if (job != NULL) {
        q->first = job->next;
        if (q->first == NULL)
            q->end = &q->first;
    }
    return job;
}

static struct timespec after_ms(int ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* --- what an engine calls --- */

static void report(struct perform *p, int percent, const char *waiting_for)
{
    struct job *job = (struct job *)p;
    char text[sizeof job->waiting_for] = "";

    if (waiting_for != NULL)
        snprintf(text, sizeof text, "%s", waiting_for);
    pthread_mutex_lock(&job->crew->lock);
    if (percent != job->percent || strcmp(text, job->waiting_for) != 0) {
        job->percent = percent;
        memcpy(job->waiting_for, text, sizeof text);
        job->has_news = true;
    }
    pthread_mutex_unlock(&job->crew->lock);
}

static bool interrupted(struct perform *p)
{
    struct job *job = (struct job *)p;
    bool yes;

    pthread_mutex_lock(&job->crew->lock);
    yes = job->crew->interrupted;
    pthread_mutex_unlock(&job->crew->lock);
    return yes;
}

static const char *known_severity(const char *severity)
{
    static const char *const known[] = {"info", "warning", "error"};

    for (size_t i = 0; severity != NULL && i < sizeof known / sizeof *known; i++) {
        if (strcmp(severity, known[i]) == 0)
            return known[i];
    }
    return known[0];
}

static void event(struct perform *p, const char *severity, const char *text)
{
    struct job *job = (struct job *)p;
    size_t len = strlen(text) + 1;
    struct note *note = xmalloc(sizeof *note + len);

    note->next = NULL;
    note->severity = known_severity(severity);
    memcpy(note->text, text, len);
    pthread_mutex_lock(&job->crew->lock);
    if (job->n_notes < NOTES_MAX) {
        *job->notes_end = note;
        job->notes_end = &note->next;
        job->n_notes++;
        note = NULL;
    }
    pthread_mutex_unlock(&job->crew->lock);
    free(note);
}

static int remember(struct perform *p, const char *text)
{
    struct job *job = (struct job *)p;
    int rc;

    pthread_mutex_lock(&job->crew->lock);
    job->wish = text;
    job->crew->wishes++;
    pthread_cond_signal(&job->crew->done);
    while (job->wish != NULL)
        pthread_cond_wait(&job->crew->kept, &job->crew->lock);
    rc = job->wish_rc;
    pthread_mutex_unlock(&job->crew->lock);
    return rc;
}

/* --- the threads --- */

static void do_job(struct crew *crew, struct job *job, struct connection **cn)
{
    err_clear(&job->err);
    job->rc = -1;
    job->settled = SETTLED_UNKNOWN;
    job->perform.result[0] = '\0';
    if (*cn == NULL)
        *cn = crew->engine->open(crew->endpoint, &job->err);
    if (*cn == NULL)
        return;
    if (job->kind == JOB_PERFORM)
        job->rc = crew->engine->perform(*cn, job->task, &job->perform, &job->err);
    else
        job->settled = crew->engine->settled(*cn, job->task, &job->perform, &job->err);
}

/* With the lock held: sleeps before a job, unless everything is to stop. */
static void pause_before(struct crew *crew, int ms)
{
    struct timespec until = after_ms(ms);

    while (ms > 0 && !crew->interrupted && !crew->ending) {
        if (pthread_cond_timedwait(&crew->work, &crew->lock, &until) == ETIMEDOUT)
            return;
    }
}

static void *work(void *arg)
{
    struct crew *crew = arg;
    struct connection *cn = NULL;
    struct job *job;

    pthread_mutex_lock(&crew->lock);
    for (;;) {
        while ((job = queue_pop(&crew->todo)) == NULL && !crew->ending)
            pthread_cond_wait(&crew->work, &crew->lock);
        if (job == NULL)
            break;
        pause_before(crew, job->pause_ms);
        pthread_mutex_unlock(&crew->lock);
        do_job(crew, job, &cn);
        pthread_mutex_lock(&crew->lock);
        queue_add(&crew->finished, job);
        pthread_cond_signal(&crew->done);
    }
    pthread_mutex_unlock(&crew->lock);
    if (cn != NULL)
        crew->engine->close(cn);
    return NULL;
}

/* Signals are the main thread's. */
static void start_threads(struct crew *crew, int threads)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (crew->n_threads < threads) {
        if (pthread_create(&crew->threads[crew->n_threads], NULL, work, crew) != 0)
            break; /* fewer will do */
        crew->n_threads++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

struct crew *crew_new(const struct engine *e, const struct endpoint *ep, int *threads,
                      struct err *err)
{
    struct crew *crew = xcalloc(1, sizeof *crew);
    pthread_condattr_t monotonic;

    crew->engine = e;
    crew->endpoint = ep;
    crew->todo.end = &crew->todo.first;
    crew->finished.end = &crew->finished.first;
    crew->threads = xcalloc((size_t)*threads, sizeof *crew->threads);
    pthread_mutex_init(&crew->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&crew->work, &monotonic);
    pthread_cond_init(&crew->done, &monotonic);
    pthread_cond_init(&crew->kept, &monotonic);
    pthread_condattr_destroy(&monotonic);
    start_threads(crew, *threads);
    *threads = crew->n_threads;
    if (crew->n_threads == 0) {
        err_set(err, ERR_FAILED, "start a thread: the system has none left");
        crew_free(crew);
        return NULL;
    }
    return crew;
}

void crew_free(struct crew *crew)
{
    if (crew == NULL)
        return;
    pthread_mutex_lock(&crew->lock);
    crew->ending = true;
    pthread_cond_broadcast(&crew->work);
    pthread_mutex_unlock(&crew->lock);
    for (int i = 0; i < crew->n_threads; i++)
        pthread_join(crew->threads[i], NULL);
    pthread_cond_destroy(&crew->work);
    pthread_cond_destroy(&crew->done);
    pthread_cond_destroy(&crew->kept);
    pthread_mutex_destroy(&crew->lock);
    free(crew->threads);
    free(crew);
}

/* --- the main thread's side --- */

void crew_submit(struct crew *crew, struct job *job)
{
    job->perform.report = report;
    job->perform.interrupted = interrupted;
    job->perform.event = event;
    job->perform.remember = remember;
    job->perform.memo = job->memo;
    pthread_mutex_lock(&crew->lock);
    job->crew = crew;
    job->percent = -1;
    job->waiting_for[0] = '\0';
    job->has_news = false;
    if (job->notes == NULL)
        job->notes_end = &job->notes;
    queue_add(&crew->todo, job);
    pthread_cond_broadcast(&crew->work); /* a thread that pauses must not swallow the only signal */
    pthread_mutex_unlock(&crew->lock);
}

struct job *crew_take(struct crew *crew, int timeout_ms)
{
    struct timespec until = after_ms(timeout_ms);
    struct job *job;

    pthread_mutex_lock(&crew->lock);
    while ((job = queue_pop(&crew->finished)) == NULL && crew->wishes == 0) {
        if (pthread_cond_timedwait(&crew->done, &crew->lock, &until) == ETIMEDOUT)
            break;
    }
    if (job == NULL)
        job = queue_pop(&crew->finished);
    pthread_mutex_unlock(&crew->lock);
    return job;
}

void crew_interrupt(struct crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    crew->interrupted = true;
    pthread_cond_broadcast(&crew->work);
    pthread_mutex_unlock(&crew->lock);
}

bool job_progress(struct job *job, int *percent, char waiting_for[160])
{
    bool news;

    pthread_mutex_lock(&job->crew->lock);
    news = job->has_news;
    job->has_news = false;
    *percent = job->percent;
    memcpy(waiting_for, job->waiting_for, sizeof job->waiting_for);
    pthread_mutex_unlock(&job->crew->lock);
    return news;
}

const char *job_wish(struct job *job)
{
    const char *wish;

    pthread_mutex_lock(&job->crew->lock);
    wish = job->wish;
    pthread_mutex_unlock(&job->crew->lock);
    return wish;
}

void job_remembered(struct job *job, int rc)
{
    pthread_mutex_lock(&job->crew->lock);
    if (rc == 0) {
        free(job->memo);
        job->memo = xstrdup(job->wish);
        job->perform.memo = job->memo;
    }
    job->wish_rc = rc;
    job->wish = NULL;
    job->crew->wishes--;
    pthread_cond_broadcast(&job->crew->kept);
    pthread_mutex_unlock(&job->crew->lock);
}

struct note *job_take_notes(struct job *job)
{
    struct note *notes;

    pthread_mutex_lock(&job->crew->lock);
    notes = job->notes;
    job->notes = NULL;
    job->notes_end = &job->notes;
    job->n_notes = 0;
    pthread_mutex_unlock(&job->crew->lock);
    return notes;
}
