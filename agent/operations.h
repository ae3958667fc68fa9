/*
 * What takes time: changes, and looks that give way to changes. Each runs in a thread of its own,
 * at most one per service; its outcome stays readable until OPERATIONS_KEEP newer ones have come.
 */
#pragma once

#include "agent/agent.h"
#include "agent/problem.h"

enum { OPERATIONS_KEEP = 256 };

enum operation_kind {
    OPERATION_ASKED_FOR,
    OPERATION_AUTOMATIC, /* a start by the agent itself */
    OPERATION_LOOK,      /* changes nothing */
};

enum operation_state { OPERATION_RUNNING, OPERATION_SUCCEEDED, OPERATION_FAILED };

struct operation {
    int64_t id;
    struct agent *agent;
    struct service *service; /* valid while it runs */
    char service_id[SERVICE_ID_MAX];
    const char *action; /* "start", "stop", "failover" */
    int (*run)(struct operation *op, struct problem *pb);
    enum operation_kind kind;
    bool allow_empty; /* start */
    char mode[16];    /* failover, wipe */

    enum operation_state state;
    bool is_cancelled; /* end soon */
    int percent;       /* -1: unknown */
    char waiting_for[160], result[256];
    struct problem problem;
    int64_t started_ms, ended_ms;
    struct operation *next; /* older */
};

/* What to do; copied. */
struct operation_start {
    struct service *service;
    const char *action;
    int (*run)(struct operation *op, struct problem *pb); /* in its own thread, without the lock */
    enum operation_kind kind;
    bool allow_empty;
    const char *mode;
};

/*
 * Begins one and returns its number. When the same action in the same mode is under way already,
 * its number; when another is: -1 and PROBLEM_BUSY. The lock is held.
 */
int64_t operation_begin(struct agent *a, const struct operation_start *os, struct problem *pb);

/*
 * Asks the service's operation to end if it is of that kind, and waits until it has, 5 s at most.
 * The lock is held, and given up meanwhile: the service may be gone afterwards.
 */
void operation_end(struct agent *a, const char *service_id, enum operation_kind kind);

/* The document for GET /v1/operations/{n}; waits up to wait_ms for its end. The lock is not held.
 */
int operation_document(struct agent *a, int64_t id, int wait_ms, struct json **doc,
                       struct problem *pb);

/* Both for run(); the lock is not held. */
void operation_report(struct operation *op, int percent, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void operation_result(struct operation *op, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* True when run() should end now: cancelled, or the agent stops. The lock is held. */
bool operation_must_end(const struct operation *op);

/* Waits until none runs, but not for ever: one may wait for a dead disk. a->stopping is set. The
 * lock is held. */
void operations_drain(struct agent *a);
void operations_free(struct agent *a);
