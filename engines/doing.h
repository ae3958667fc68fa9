/*
 * One task being carried out, and the table of what an engine does. Each type of task is
 * repeatable: perform() may be called on a store where the task, or half of it, has happened
 * already.
 */
#pragma once

#include "kvsh/engine.h"

/* Everything a task's function needs; c is the store as seen last. */
struct doing {
    struct connection *cn;
    const struct task *t;
    struct perform *p;
    struct cluster c;
};

struct task_type {
    const char *name;
    int (*perform)(struct doing *d, struct err *err);
    enum settled (*settled)(struct doing *d, struct err *err);
};

struct task_types {
    const char *engine;
    int (*look)(struct doing *d, struct err *err); /* asks the store anew */
    const struct task_type *const *tables;         /* each ends with a NULL name */
    size_t n;
};

/* As struct engine's perform and settled: looks, then what the task's type says. */
int task_types_perform(const struct task_types *types, struct doing *d, struct err *err);
enum settled task_types_settled(const struct task_types *types, struct doing *d, struct err *err);
