/*
 * Plans and tasks: data, states, and the table of allowed moves (model/plan.c). Only plan/journal.c
 * changes a state, through journal_plan_move() and journal_task_move(), which consult the table.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvsh/err.h"
#include "kvsh/json.h"
#include "kvsh/mem.h"

enum plan_state {
    PLAN_PENDING,
    PLAN_APPROVED,
    PLAN_RUNNING,
    PLAN_INTERRUPT_REQUESTED,
    PLAN_INTERRUPTED,
    PLAN_SUCCEEDED,
    PLAN_ERROR,
    PLAN_CANCELED,
    PLAN_STATE_COUNT
};

enum task_state {
    TASK_PENDING,
    TASK_RUNNING,
    TASK_SUCCEEDED,
    TASK_ERROR,
    TASK_INTERRUPTED,
    TASK_UNKNOWN,
    TASK_SKIPPED,
    TASK_STATE_COUNT
};

const char *plan_state_name(enum plan_state s);
const char *task_state_name(enum task_state s);
int plan_state_by_name(const char *name, enum plan_state *s);
int task_state_by_name(const char *name, enum task_state *s);
bool plan_may_move(enum plan_state from, enum plan_state to);
bool task_may_move(enum task_state from, enum task_state to);
bool plan_is_over(enum plan_state s); /* SUCCEEDED, CANCELED: nothing moves it any more */
bool plan_at_rest(enum plan_state s); /* no runner is at work on it */

enum verb {
#define VERB(name, word, title, changes) VERB_##name,
#include "../../model/verb.def"
#undef VERB
    VERB_COUNT
};

const char *verb_word(enum verb v);  /* "stop-service" */
const char *verb_title(enum verb v); /* "Stop RepNodes" */
bool verb_changes_store(enum verb v);
int verb_by_word(const char *word, enum verb *v);

/* What the operator asks for. args is a JSON object, e.g. {"services": ["rg1-rn1"]}; borrowed. */
struct intent {
    enum verb verb;
    const struct json *args;
    bool force;
    bool confirmed; /* -confirm with the store's name was given */
};

struct task {
    int num;            /* from 1 */
    int wave;           /* from 1; tasks of a wave may run at the same time */
    const char *type;   /* the engine's word for it: "start", "meet" */
    const char *target; /* what it acts on: "rg1-rn1", "sn3" */
    const char *node; /* which node carries it out ("sn3"); NULL: none, only the journal changes */
    const char *what; /* "start rg1-rn1 on sn1 (127.0.0.1:13230)" */
    const char *why;  /* why it is safe, for the preview; may be NULL */
    const char *degrades;       /* what is worse meanwhile, for the preview; may be NULL */
    const struct json *args;    /* everything perform() needs; NULL: none */
    const struct json *effects; /* meta.h; applied when the task has succeeded; NULL: none */
    /* life */
    enum task_state state;
    int attempts;
    int64_t started_ms, ended_ms;
    int percent;             /* -1: unknown */
    const char *waiting_for; /* what it waits for just now, or NULL */
    enum err_code code;      /* of the last failure */
    const char *error;       /* last error, NULL: none */
    const char *advice;
    const char *result; /* one sentence about the outcome, or NULL */
};

struct plan {
    struct arena arena; /* owns all strings and tasks; JSON values are in `owned` */
    struct json *owned; /* array that keeps intent and task documents alive */
    int64_t id;
    const char *name; /* "Stop RepNodes (9)", or as given by -plan-name */
    enum verb verb;
    const struct json *args; /* of the intent */
    bool force;
    const char *reason;  /* of -force, or NULL */
    const char *command; /* the line as typed, for show plan */
    const char *user;    /* who created it: user@host */
    enum plan_state state;
    int attempts;
    int64_t created_ms, started_ms, ended_ms;
    int64_t runner_pid;          /* while RUNNING */
    bool confirmed;              /* the store's name was given with -confirm */
    const char *digest;          /* of the observation it was made from; NULL: not previewed */
    const struct json *observed; /* that observation's summary (cluster.h); NULL: not kept */
    const char *
        *notes; /* what spoke against it when it was made and was overridden or only a warning */
    size_t n_notes;
    enum err_code code; /* of the last attempt */
    const char *error;
    const char *advice;
    struct task *tasks;
    size_t n_tasks;
};

void plan_release(struct plan *p);

/*
 * Building, for expand(): appends a task of the given wave and returns it for the remaining fields.
 * `what` is formatted into the plan's arena. args and effects are taken over by plan_own() first.
 */
struct task *plan_add_task(struct plan *p, int wave, const char *type, const char *target,
                           const char *node);
void task_what(struct plan *p, struct task *t, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Keeps j alive as long as the plan; returns it. */
const struct json *plan_own(struct plan *p, struct json *j);
int plan_last_wave(const struct plan *p); /* 0 when empty */

struct task_counts {
    int total, succeeded, failed, interrupted, unknown, skipped, running, pending;
    int percent; /* of the whole plan */
};
void plan_count(const struct plan *p, struct task_counts *counts);
/*
 * Did the plan do what it was made for in part? Every task that failed is of the last wave, so that
 * nothing waits for it, and others of that wave succeeded. Never with an unknown outcome.
 */
bool plan_is_partial(const struct plan *p);
/* Did it end because another plan has the store's lease, or had it meanwhile? */
bool plan_is_overtaken(const struct plan *p);
