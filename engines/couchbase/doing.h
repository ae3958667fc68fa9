/*
 * One task being carried out: what its functions share. Each type of task is repeatable: perform()
 * may be called on a cluster where the task, or half of it, has happened already.
 *
 *   doing.c           looks, requests, waiting
 *   task.c            finds the type of a task
 *   task_rebalance.c  what the cluster does one of at a time, by operation.c
 *   task_member.c     recovery type, members, server groups
 *   task_compact.c    compaction
 *   process.c         stop, start, restart
 */
#pragma once

#include "engines/couchbase/couchbase.h"
#include "engines/doing.h"

#define CB_POLL_MS 250
#define CB_STALE_MS 1500 /* older than that no answer is */

/* Each ends with a NULL name. */
extern const struct task_type cb_rebalance_tasks[], cb_member_tasks[], cb_process_tasks[],
    cb_compact_tasks[];

/* --- doing.c --- */

/* Asks the cluster anew. */
int cb_look(struct doing *d, struct err *err);
/* A changing request to the address that answered last, guarded by the cluster's uuid, with a line
 * in the history. */
int cb_change(struct doing *d, const char *path, const char *form, struct json **answer,
              struct err *err);
/* The same, and any method, body type, address and status. shown: the body for the history, secrets
 * left out. */
struct cb_send {
    struct cb_request request; /* path without uuid; base NULL: the one that answered last */
    const char *shown;
    int *status; /* or NULL */
};
int cb_send(struct doing *d, const struct cb_send *s, struct json **answer, struct err *err);
/* Reports, sleeps a little; ERR_INTERRUPTED when the plan is to stop. */
int cb_pause(struct doing *d, int percent, const char *waiting_for, struct err *err);

/* The member a task is about; NULL when the cluster has it no more. */
const struct service *cb_target(struct doing *d);
bool cb_in_list(const struct json *list, const char *word);
/* "a,b" of a list of strings; free() it. */
char *cb_joined(const struct json *list);
/* What a node tells may be a second old: "no" is said only when it was not so for longer than that.
 */
enum settled cb_settled_if(struct doing *d, bool (*is_so)(struct doing *d), struct err *err);

/* --- operation.c --- */

/* An operation that the store allows one of at a time. */
struct cb_operation {
    const char *kind; /* subtype in the task list */
    const char *path; /* of the request that begins it */
    /* Its body, from the cluster as seen last; NULL: err. moves: whom it keeps, or fails over. */
    char *(*form)(struct doing *d, char moves[CB_MOVES], struct err *err);
    const char *base; /* whom to ask; NULL: the address that answered last */
    bool stoppable;   /* an interrupt of the plan stops it */
    /* May it begin, as the cluster is now? NULL: the cluster itself refuses what must not be. */
    int (*allowed)(struct doing *d, struct err *err);
    /* Is the store in the state the operation leads to? *why: what is missing. */
    bool (*reached)(struct doing *d, const char **why);
    /* That part of it without which no success is told, whatever the store says of the operation.
     */
    bool (*effective)(struct doing *d, const char **why);
};
int cb_operate(struct doing *d, const struct cb_operation *op, struct err *err);
enum settled cb_operated(struct doing *d, const struct cb_operation *op, struct err *err);
/* Stops whatever runs, and waits until it has stopped. */
int cb_stop(struct doing *d, bool unsafe, struct err *err);
