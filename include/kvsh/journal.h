/*
 * The journal: the SQLite file that owns the plans, tasks, events, documents and last observation
 * of one store. It is the only writer of plan and task states. Every function opens and commits its
 * own short transaction.
 *
 * Files: DIR/journal.db (0600), DIR/lock (kernel locks, plan/lock.h); DIR is 0700.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvsh/err.h"
#include "kvsh/json.h"
#include "kvsh/plan.h"

struct journal;

/*
 * Opens the journal in directory dir; with create makes both. Then reconciles: a plan found RUNNING
 * or INTERRUPT_REQUESTED whose kernel lock nobody holds becomes INTERRUPTED (an event says so; its
 * RUNNING tasks stay RUNNING: they are in doubt until somebody asks the store).
 */
struct journal *journal_open(const char *dir, bool create, struct err *err);
/*
 * A journal that cannot be written (read-only file system, full disk, no permission) is read into
 * memory, so that it can be looked at: why it cannot be written, else NULL. It stays as it was when
 * it was opened; observations and what nodes saw are forgotten again, and every other change is
 * refused, as are its locks.
 */
const struct err *journal_is_copy(const struct journal *j);
void journal_close(struct journal *j);
const char *journal_dir(const struct journal *j);
/* By which other machines know whose plan it is: "user@host#1a2b3c4d", the number being this
 * journal's own; malloc'ed. */
char *journal_owner(struct journal *j);
/* Changes when somebody else wrote: cheap polling. */
int64_t journal_data_version(struct journal *j);
/* Repeats the reconciliation, for those who wait. Returns how many plans were moved. */
int journal_reconcile(struct journal *j, struct err *err);

/* --- documents (meta.h) --- */

/* The whole set {kind: {name: doc}} and the version, which grows with each change. New object. */
int journal_docs(struct journal *j, struct json **docs, int64_t *version, struct err *err);
/* The names of the documents of a kind, or a member of each (NULL: the name): quick, nothing is
 * decoded. */
int journal_doc_names(struct journal *j, const char *kind, const char *member,
                      void (*each)(void *arg, const char *name), void *arg, struct err *err);
/* Applies effects (meta.h) in one transaction. */
int journal_apply(struct journal *j, const struct json *effects, struct err *err);
/* Replaces the whole set. */
int journal_replace_docs(struct journal *j, const struct json *docs, struct err *err);
/* The same with the version of a copy an admin kept (connect): the journal's version becomes at
 * least that, so that what is published later counts as newer. */
int journal_adopt_docs(struct journal *j, const struct json *docs, int64_t version,
                       struct err *err);

/* --- plans --- */

/* Stores plan and tasks in the state it has (APPROVED or PENDING), in one transaction; sets p->id,
 * created_ms, user when NULL and, when p->name is NULL, the default name "TITLE (ID)". Consumes the
 * next id only when it succeeds. */
int journal_plan_create(struct journal *j, struct plan *p, struct err *err);
/* Replaces the tasks of a plan never started (stale preview, expanded anew), and whether it is
 * forced. */
int journal_plan_replace_tasks(struct journal *j, const struct plan *p, struct err *err);
/* Loads plan and tasks into *p (zero-initialised; released again on failure). ERR_INPUT "plan 7
 * does not exist". */
int journal_plan_load(struct journal *j, int64_t id, struct plan *p, struct err *err);
int64_t journal_last_plan(struct journal *j); /* 0: none */

struct plan_filter {
    int64_t from_ms, to_ms; /* creation; 0: open */
    int64_t num;            /* the newest so many; 0: all */
    int state;              /* enum plan_state, or -1 */
};
/* Rows in ascending order of id; the struct plan has no tasks, args and notes and is valid during
 * the call only, in which each() must not call the journal. */
int journal_plan_list(struct journal *j, const struct plan_filter *f,
                      void (*each)(void *arg, const struct plan *p), void *arg, struct err *err);

/* Details of a move; unused members zero. */
struct move {
    const struct err *why; /* for ERROR, UNKNOWN: code, text and advice are kept */
    int64_t runner_pid;    /* plan to RUNNING */
    const char *result;    /* task to SUCCEEDED */
};
/*
 * Check the table, commit state, times, attempts and an event, then report. ERR_FAILED naming both
 * states when the move is not allowed. A task that becomes SUCCEEDED has its effects applied in the
 * same transaction. A task moves only while its plan is at work; to RUNNING only without a request
 * to interrupt (else ERR_INTERRUPTED). With a plan that becomes CANCELED its PENDING tasks become
 * SKIPPED and its RUNNING ones UNKNOWN.
 */
int journal_plan_move(struct journal *j, int64_t id, enum plan_state to, const struct move *m,
                      struct err *err);
int journal_task_move(struct journal *j, int64_t plan_id, int num, enum task_state to,
                      const struct move *m, struct err *err);
/* Percent and what is waited for; not a state, and at most a few times a second. */
int journal_task_progress(struct journal *j, int64_t plan_id, int num, int percent,
                          const char *waiting_for, struct err *err);
enum plan_state journal_plan_state(struct journal *j, int64_t id); /* PLAN_STATE_COUNT: unknown */

/* --- events --- */

struct event {
    int64_t id, time_ms;
    const char *severity; /* "info", "warning", "error" */
    const char *who;      /* user@host, or node for what an agent saw */
    int64_t plan_id;      /* 0: none */
    int task_num;         /* 0: none */
    const char *kind;     /* "plan", "task", "request", "node", ... */
    const char *subject;
    const char *text;
};
/* Appends; secrets are masked. id and, when 0, time are filled in by the journal. */
int journal_event(struct journal *j, const struct event *ev, struct err *err);
/* What a task noted last (an event of kind "memo"); malloc'ed, NULL when it noted nothing. */
int journal_task_memo(struct journal *j, int64_t plan_id, int num, char **memo, struct err *err);
/* Appends what a node's watch saw and remembers the cursor, in one transaction; a seq seen before
 * is ignored. */
int journal_node_events(struct journal *j, const struct event *evs, const int64_t *seqs, size_t n,
                        const struct json *cursors, struct err *err);
int journal_cursors(struct journal *j, struct json **cursors, struct err *err);

struct event_filter {
    int64_t from_ms, to_ms, after_id, plan_id;
    int64_t num;          /* the newest so many; 0: all */
    const char *severity; /* at least: "warning" gives warning and error; NULL all */
};
/* In order of time, then of id; the struct event is valid during the call only, in which each()
 * must not call the journal. */
int journal_event_list(struct journal *j, const struct event_filter *f,
                       void (*each)(void *arg, const struct event *ev), void *arg, struct err *err);

/* --- last observation: names for completion, and since when each service is up or down --- */

/* states: {"rg1-rn1": "RUNNING", ...}. Keeps `since` of entries whose state did not change. */
int journal_observed(struct journal *j, int64_t time_ms, const struct json *states,
                     struct err *err);
/* {"rg1-rn1": {"state", "sinceMs"}}; new object; empty when never observed. */
int journal_last_observed(struct journal *j, struct json **states, int64_t *time_ms,
                          struct err *err);
