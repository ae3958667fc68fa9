/*
 * Making, starting and following plans: planner, locks, runner, executor.
 *
 *   shell                                        runner (same binary, own session)
 *   plan_make()      observe, check, expand
 *   lock_take()      store and plan bytes
 *   journal_plan_create()                 lock and ready descriptors are inherited
 *   runner_start() ------------------------------> executor_run()
 *   journal polling (plan wait)  <-- journal --    waves, tasks, moves, effects
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kvsh/engine.h"
#include "kvsh/journal.h"

/*
 * Observes, checks and expands into *p (zero-initialised; verb, args, force, reason, command, name set by the caller through in
 * and p). Findings are added in any case. Refusals (ERR_REFUSED, text of the worst finding) happen here:
 * BLOCK without force, FATAL always.
 */
int plan_make(struct journal *j, const struct engine *e, struct connection *cn,
              const struct intent *in, struct plan *p, struct findings *f, struct err *err);

/* Observes the store as declared in the journal, remembers the observation there, fills *c (zero-initialised). */
int store_observe(struct journal *j, const struct engine *e, struct connection *cn,
                  struct cluster *c, struct err *err);

/* --- locks: open-file-description byte locks on DIR/lock; byte 0 the store, byte N plan N --- */

struct plan_lock {
    int fd; /* -1: not held */
};
/*
 * Takes the store's lock (changing plans), waiting up to wait_ms. Refused: ERR_LOCKED naming plan, name, age and
 * process of the holder. lock_plan() adds the plan's own byte.
 */
int lock_store(struct plan_lock *l, struct journal *j, int64_t wait_ms, struct err *err);
int lock_plan(struct plan_lock *l, struct journal *j, int64_t plan_id, struct err *err);
void lock_release(struct plan_lock *l);
/* Is the plan's byte held by anybody? Opens its own description, so it never disturbs a lock of this process. */
bool lock_is_held(const char *dir, int64_t plan_id);

/* --- runner --- */

/* Starts this binary again as the runner of plan id, detached (own session, stdio from /dev/null, log in DIR/runner.log),
 * handing it the locks; argv0 is the path of the program, store and config what it needs to open the same store. The caller's copy of
 * the lock is released. Returns when the runner has moved the plan to RUNNING or has failed to. */
struct runner_args {
    const char *store;
    const char *const *config_args; /* words to repeat: "-config", "file"; NULL-terminated */
    int64_t plan_id;
};
int runner_start(const struct runner_args *a, struct plan_lock *l, struct err *err);

/*
 * Executes the plan in this process: for each wave, what is not yet SUCCEEDED; a task found RUNNING or UNKNOWN is settled first. Ends
 * with the plan in SUCCEEDED, ERROR or INTERRUPTED, or with an error when even the journal refuses.
 * open() gives each worker thread a connection of its own. max_parallel 0: 16.
 */
struct executor {
    struct journal *journal;
    const struct engine *engine;
    const struct endpoint *endpoint;
    int64_t plan_id;
    int max_parallel;
    int ready_fd; /* written one byte once the plan is RUNNING; -1: none */
};
int executor_run(const struct executor *x, struct err *err);
