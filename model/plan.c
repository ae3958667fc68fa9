#include "kvsh/plan.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *const plan_names[PLAN_STATE_COUNT] = {
    [PLAN_PENDING] = "PENDING",
    [PLAN_APPROVED] = "APPROVED",
    [PLAN_RUNNING] = "RUNNING",
    [PLAN_INTERRUPT_REQUESTED] = "INTERRUPT_REQUESTED",
    [PLAN_INTERRUPTED] = "INTERRUPTED",
    [PLAN_SUCCEEDED] = "SUCCEEDED",
    [PLAN_ERROR] = "ERROR",
    [PLAN_CANCELED] = "CANCELED",
};

static const char *const task_names[TASK_STATE_COUNT] = {
    [TASK_PENDING] = "PENDING", [TASK_RUNNING] = "RUNNING",         [TASK_SUCCEEDED] = "SUCCEEDED",
    [TASK_ERROR] = "ERROR",     [TASK_INTERRUPTED] = "INTERRUPTED", [TASK_UNKNOWN] = "UNKNOWN",
    [TASK_SKIPPED] = "SKIPPED",
};

#define TO(s) (1u << (s))

/*
 * A runner that died leaves RUNNING for INTERRUPTED without a request. A request that comes when
 * the last task is done leaves a plan that succeeded: there is nothing to go on with.
 */
static const unsigned plan_moves[PLAN_STATE_COUNT] = {
    [PLAN_PENDING] = TO(PLAN_APPROVED) | TO(PLAN_CANCELED),
    [PLAN_APPROVED] = TO(PLAN_RUNNING) | TO(PLAN_CANCELED),
    [PLAN_RUNNING] =
        TO(PLAN_SUCCEEDED) | TO(PLAN_ERROR) | TO(PLAN_INTERRUPT_REQUESTED) | TO(PLAN_INTERRUPTED),
    [PLAN_INTERRUPT_REQUESTED] = TO(PLAN_INTERRUPTED) | TO(PLAN_ERROR) | TO(PLAN_SUCCEEDED),
    [PLAN_INTERRUPTED] = TO(PLAN_RUNNING) | TO(PLAN_CANCELED),
    [PLAN_ERROR] = TO(PLAN_RUNNING) | TO(PLAN_CANCELED),
};

/*
 * RUNNING to RUNNING: the store was asked, the step is not done, it is performed again. UNKNOWN to
 * UNKNOWN: asked again, still no answer. Without being performed, a task becomes SUCCEEDED only
 * where it was in doubt.
 */
static const unsigned task_moves[TASK_STATE_COUNT] = {
    [TASK_PENDING] = TO(TASK_RUNNING) | TO(TASK_SKIPPED),
    [TASK_RUNNING] = TO(TASK_RUNNING) | TO(TASK_SUCCEEDED) | TO(TASK_ERROR) | TO(TASK_INTERRUPTED) |
                     TO(TASK_UNKNOWN),
    [TASK_ERROR] = TO(TASK_RUNNING) | TO(TASK_SKIPPED),
    [TASK_INTERRUPTED] = TO(TASK_RUNNING) | TO(TASK_SKIPPED),
    [TASK_UNKNOWN] = TO(TASK_RUNNING) | TO(TASK_SUCCEEDED) | TO(TASK_INTERRUPTED) |
                     TO(TASK_UNKNOWN) | TO(TASK_SKIPPED),
};

static const struct {
    const char *word, *title;
    bool changes;
} verbs[VERB_COUNT] = {
#define VERB(name, word, title, changes) {word, title, changes},
#include "verb.def"
#undef VERB
};

/* Index of name in names, or -1. */
static int find_name(const char *const *names, int n, const char *name)
{
    for (int i = 0; name != NULL && i < n; i++) {
        if (strcmp(names[i], name) == 0)
            return i;
    }
    return -1;
}

const char *plan_state_name(enum plan_state s)
{
    return (unsigned)s < PLAN_STATE_COUNT ? plan_names[s] : "?";
}

const char *task_state_name(enum task_state s)
{
    return (unsigned)s < TASK_STATE_COUNT ? task_names[s] : "?";
}

int plan_state_by_name(const char *name, enum plan_state *s)
{
    int i = find_name(plan_names, PLAN_STATE_COUNT, name);

    if (i < 0)
        return -1;
    *s = (enum plan_state)i;
    return 0;
}

int task_state_by_name(const char *name, enum task_state *s)
{
    int i = find_name(task_names, TASK_STATE_COUNT, name);

    if (i < 0)
        return -1;
    *s = (enum task_state)i;
    return 0;
}

bool plan_may_move(enum plan_state from, enum plan_state to)
{
    return (unsigned)from < PLAN_STATE_COUNT && (unsigned)to < PLAN_STATE_COUNT &&
           (plan_moves[from] & TO(to)) != 0;
}

bool task_may_move(enum task_state from, enum task_state to)
{
    return (unsigned)from < TASK_STATE_COUNT && (unsigned)to < TASK_STATE_COUNT &&
           (task_moves[from] & TO(to)) != 0;
}

bool plan_is_over(enum plan_state s)
{
    return (unsigned)s < PLAN_STATE_COUNT && plan_moves[s] == 0;
}

bool plan_at_rest(enum plan_state s)
{
    return s != PLAN_RUNNING && s != PLAN_INTERRUPT_REQUESTED;
}

const char *verb_word(enum verb v)
{
    return (unsigned)v < VERB_COUNT ? verbs[v].word : "?";
}

const char *verb_title(enum verb v)
{
    return (unsigned)v < VERB_COUNT ? verbs[v].title : "?";
}

bool verb_changes_store(enum verb v)
{
    return (unsigned)v < VERB_COUNT && verbs[v].changes;
}

int verb_by_word(const char *word, enum verb *v)
{
    for (int i = 0; word != NULL && i < VERB_COUNT; i++) {
        if (strcmp(verbs[i].word, word) == 0) {
            *v = (enum verb)i;
            return 0;
        }
    }
    return -1;
}

void plan_release(struct plan *p)
{
    json_free(p->owned);
    arena_release(&p->arena);
    memset(p, 0, sizeof *p);
}

struct task *plan_add_task(struct plan *p, int wave, const char *type, const char *target,
                           const char *node)
{
    struct task *t = ARENA_PUSH(&p->arena, p->tasks, p->n_tasks);

    t->num = (int)p->n_tasks;
    t->wave = wave;
    t->type = arena_strdup(&p->arena, type);
    t->target = arena_strdup(&p->arena, target);
    t->node = arena_strdup(&p->arena, node);
    t->what = "";
    t->percent = -1;
    return t;
}

void task_what(struct plan *p, struct task *t, const char *fmt, ...)
{
    va_list ap;
    char *s;

    va_start(ap, fmt);
    s = xvasprintf(fmt, ap);
    va_end(ap);
    t->what = arena_strdup(&p->arena, s);
    free(s);
}

const struct json *plan_own(struct plan *p, struct json *j)
{
    if (j == NULL)
        return NULL;
    if (p->owned == NULL)
        p->owned = json_array();
    json_push(p->owned, j);
    return j;
}

int plan_last_wave(const struct plan *p)
{
    int last = 0;

    for (size_t i = 0; i < p->n_tasks; i++) {
        if (p->tasks[i].wave > last)
            last = p->tasks[i].wave;
    }
    return last;
}

/* Where a task that is not done stands, 0..99. */
static int task_percent(const struct task *t)
{
    if (t->state != TASK_RUNNING || t->percent < 0)
        return 0;
    return t->percent > 99 ? 99 : t->percent;
}

void plan_count(const struct plan *p, struct task_counts *counts)
{
    int by_state[TASK_STATE_COUNT] = {0};
    long percent = 0;

    for (size_t i = 0; i < p->n_tasks; i++) {
        const struct task *t = &p->tasks[i];
        by_state[t->state]++;
        percent += t->state == TASK_SUCCEEDED ? 100 : task_percent(t);
    }
    *counts = (struct task_counts){
        .total = (int)p->n_tasks,
        .succeeded = by_state[TASK_SUCCEEDED],
        .failed = by_state[TASK_ERROR],
        .interrupted = by_state[TASK_INTERRUPTED],
        .unknown = by_state[TASK_UNKNOWN],
        .skipped = by_state[TASK_SKIPPED],
        .running = by_state[TASK_RUNNING],
        .pending = by_state[TASK_PENDING],
    };
    if (p->n_tasks > 0)
        counts->percent = (int)(percent / (long)p->n_tasks);
    else
        counts->percent = p->state == PLAN_SUCCEEDED ? 100 : 0;
}

bool plan_is_partial(const struct plan *p)
{
    int last = plan_last_wave(p), failed = 0, done = 0;

    for (size_t i = 0; i < p->n_tasks; i++) {
        const struct task *t = &p->tasks[i];

        if (t->state == TASK_ERROR && t->wave == last)
            failed++;
        else if (t->state != TASK_SUCCEEDED && t->state != TASK_SKIPPED)
            return false;
        else
            done += t->wave == last;
    }
    return failed > 0 && done > 0;
}

bool plan_is_overtaken(const struct plan *p)
{
    return p->state == PLAN_ERROR && (p->code == ERR_LOCKED || p->code == ERR_STALE);
}
