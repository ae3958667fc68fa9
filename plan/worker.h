/*
 * Threads that do what blocks: perform() and settled(), each thread with a connection of its own.
 * The main thread hands out jobs and takes them back; it alone decides what becomes of a task and
 * touches the journal.
 */
#pragma once

#include <stdbool.h>

#include "kvsh/engine.h"

struct crew;
struct note;

enum job_kind { JOB_PERFORM, JOB_SETTLE };

struct job {
    struct perform perform; /* first: the engine's callbacks lead back here */
    const struct task *task;
    enum job_kind kind;
    int pause_ms; /* before it begins; an interrupt cuts it short */

    /* The outcome, valid once crew_take() has given the job back. */
    int rc;               /* PERFORM */
    enum settled settled; /* SETTLE */
    struct err err;       /* of a failed PERFORM; of a SETTLE, why it cannot tell */

    /* The crew's own, behind its lock. */
    struct crew *crew;
    struct job *next;
    int percent;
    char waiting_for[160];
    bool has_news;
    struct note *notes, **notes_end;
    int n_notes;
    const char *wish; /* to be remembered; the thread waits until job_remembered() */
    int wish_rc;
    char *memo; /* perform.memo; freed by who owns the job */
};

/* With that many threads, or as many as the system gives. NULL when it gives none. */
struct crew *crew_new(const struct engine *e, const struct endpoint *ep, int *threads,
                      struct err *err);
/* Waits for the threads; no job may be under way. NULL is fine. */
void crew_free(struct crew *crew);

void crew_submit(struct crew *crew, struct job *job);
/* A job that is done, or NULL when none is within timeout_ms, or when a job wants something
 * remembered. */
struct job *crew_take(struct crew *crew, int timeout_ms);
/* From now on perform.interrupted() says true. */
void crew_interrupt(struct crew *crew);

/* What the job last reported; false when that is no news. */
bool job_progress(struct job *job, int *percent, char waiting_for[160]);

/* What the job wants remembered, or NULL. Its thread waits for job_remembered(), rc 0 or -1. */
const char *job_wish(struct job *job);
void job_remembered(struct job *job, int rc);

/* Something the engine wants in the history; see struct perform, event. */
struct note {
    struct note *next;
    const char *severity;
    char text[];
};
/* All notes since the last call, oldest first; the caller frees each. */
struct note *job_take_notes(struct job *job);
