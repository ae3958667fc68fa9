/*
 * Making, starting and following plans: planner, locks, runner, executor.
 *
 *   shell                                        runner (same binary, own session)
 *   lock_store()     before it looks: ids and choices must not be made twice
 *   plan_make()      observe, check, expand
 *   journal_plan_create()
 *   lock_plan()                           lock and ready descriptors are inherited
 *   runner_start() ------------------------------> runner_adopt(), executor_run()
 *   journal polling (plan wait)  <-- journal --    waves, tasks, moves, effects
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kvsh/engine.h"
#include "kvsh/journal.h"

/* Where plans are made: the store's journal, its engine, and a connection to it. */
struct planner {
    struct journal *journal;
    const struct engine *engine;
    struct connection *connection;
    int64_t wait_ms;       /* how long another machine's plan that is in the way is waited for */
    bool (*stopped)(void); /* asked while waiting: should it be given up (Ctrl-C)? NULL: never */
    bool takeover;         /* that plan's lease is going to be taken away: it is in nobody's way */
};

/*
 * Is a plan of another journal changing the store? A node that says so, with owner and number of
 * that plan; NULL: none does.
 */
const struct node *store_leased(struct journal *j, const struct cluster *c);

/* Does the engine make such plans? ERR_INPUT naming the verb, and those it has. */
int plan_fits(const struct engine *e, enum verb verb, struct err *err);

/*
 * Observes, checks and expands into *p (zero-initialised; verb, args, force, reason, command, name
 * set by the caller through in and p). Findings are added in any case. Refusals (ERR_REFUSED, text
 * of the worst finding) happen here: BLOCK without force, FATAL always. What was overridden or only
 * warned of becomes p->notes, the digest of the observation p->digest; the plan is APPROVED.
 *
 * What would be refused while a plan of another machine is changing the store is refused because of
 * that plan (ERR_LOCKED with its owner and number): what the rules speak of may be its doing, and
 * pass. Within wait_ms the store is observed and the rules are asked again. Given up while waiting:
 * ERR_INTERRUPTED.
 */
int plan_make(const struct planner *pl, const struct intent *in, struct plan *p, struct findings *f,
              struct err *err);

/*
 * Is the store still the one the plan was made for? For a plan that was previewed and is now to be
 * started for the first time: ERR_STALE when the digest differs, ERR_REFUSED as plan_make() when
 * something speaks against it now; either waits for a plan of another machine as plan_make() does.
 */
int plan_recheck(const struct planner *pl, const struct plan *p, struct findings *f,
                 struct err *err);

/*
 * Asked once the plan has the lease and before its first step: between looking and getting the
 * lease a plan of another machine may have changed the store. ERR_REFUSED as plan_make() when
 * something speaks against it now; a change that matters to no rule is left to the tasks.
 */
int plan_still_safe(struct journal *j, const struct engine *e, struct connection *cn,
                    const struct plan *p, struct err *err);

/* Fetches what the nodes' own watches saw since the last time into the journal's events. Engines
 * without: nothing. */
int store_fetch_events(struct journal *j, const struct engine *e, struct connection *cn,
                       struct err *err);

/* What the engine needs to judge this intent beside an observation, added to it. */
int plan_inquire(const struct engine *e, struct connection *cn, const struct intent *in,
                 struct cluster *c, struct err *err);

/*
 * Observes the store as declared in the journal, remembers the observation there, fills *c
 * (zero-initialised). The identity of a foreign store is kept in its document when it is seen for
 * the first time; engines refuse another one from then on.
 */
int store_observe(struct journal *j, const struct engine *e, struct connection *cn,
                  struct cluster *c, struct err *err);

/* --- locks: open-file-description byte locks on DIR/lock; byte 0 the store, byte N plan N --- */

struct plan_lock {
    int fd;                /* -1: not held */
    const char *dir;       /* of the lock file, the journal's; set when it is taken */
    bool (*stopped)(void); /* asked while waiting: should it be given up (Ctrl-C)? NULL: never */
};
/*
 * Takes the store's lock (changing plans), waiting up to wait_ms. Refused: ERR_LOCKED naming plan,
 * name, age and process of the holder. A holder without a plan at work (one that is being created,
 * or a runner that is just ending) is given two seconds in any case. lock_plan() adds the plan's
 * own byte, opening the file when l holds nothing; a plan still marked as at work whose lock it
 * gets has lost its runner, and becomes INTERRUPTED here. On failure what l held before stays held.
 * Given up while waiting: ERR_INTERRUPTED.
 */
int lock_store(struct plan_lock *l, struct journal *j, int64_t wait_ms, struct err *err);
int lock_plan(struct plan_lock *l, struct journal *j, int64_t plan_id, struct err *err);
/* Closes this process's copy; a runner that shares the lock keeps it. */
void lock_release(struct plan_lock *l);
/* Is the plan's byte held by anybody? Opens its own description, so it never disturbs a lock of
 * this process. */
bool lock_is_held(const char *dir, int64_t plan_id);

/*
 * Is a runner or a shell just starting the plan, which is not RUNNING yet? A sentence that says
 * what it waits for, malloc'ed; NULL: nobody is.
 */
char *plan_starting(struct journal *j, const struct plan *p);

/* --- runner --- */

/*
 * Starts this binary again (/proc/self/exe) as the runner of plan id, handing it the locks:
 *
 *     -store STORE [config_args] run-plan -id N -lock-fd F -ready-fd G
 *
 * detached: own session, stdin and stdout /dev/null, stderr appended to DIR/runner.log (0600, put
 * aside as runner.log.1 when over 1 MiB), all other descriptors closed, directory /, umask 077; so
 * files named in config_args need absolute paths. The caller's copy of the lock is released.
 * Returns when the runner has moved the plan to RUNNING, or with the error that kept it from doing
 * so.
 */
struct runner_args {
    const char *store;
    const char *const
        *config_args; /* words to repeat: "-config", "/file"; NULL-terminated; or NULL */
    int64_t plan_id;
    const char *const *run_args; /* further words for run-plan; NULL-terminated; or NULL */
    int64_t wait_ms;             /* it may take so much longer to begin */
};
int runner_start(const struct runner_args *a, struct plan_lock *l, struct err *err);

/*
 * The other end, for the hidden command run-plan: first runner_adopt(), then everything else, at
 * the end runner_report(). runner_adopt() takes over the inherited descriptors, which nobody else
 * inherits from here on, and sets the process's signals: SIGHUP, SIGINT and SIGPIPE are ignored,
 * SIGTERM asks to interrupt the plan. ERR_USAGE when lock_fd does not hold the plan's lock.
 * runner_report() tells the waiting shell why the runner could not begin; after that it does
 * nothing.
 */
int runner_adopt(struct plan_lock *l, int lock_fd, int ready_fd, int64_t plan_id, struct err *err);
void runner_report(int ready_fd, const struct err *err);
/* Has SIGTERM come since runner_adopt()? (The one flag of this process that the signal's handler
 * sets.) */
bool runner_stop_requested(void);

/*
 * Executes the plan in this process, whose lock somebody must hold: for each wave, what is not yet
 * SUCCEEDED; a task found RUNNING or UNKNOWN is settled first. All tasks of a wave are tried, the
 * next wave begins only when all have succeeded. Ends with the plan in SUCCEEDED, ERROR or
 * INTERRUPTED and 0, or with an error when even the journal refuses. open() gives each worker
 * thread a connection of its own. max_parallel 0: 16. Only this thread touches the journal.
 */
struct executor {
    struct journal *journal;
    const struct engine *engine;
    const struct endpoint *endpoint;
    int64_t plan_id;
    int max_parallel;
    int ready_fd; /* written one byte once the plan is RUNNING; -1: none */
    int pause_ms; /* before the store is asked once more about a step in doubt; doubles; 0: 500 */
    const char *takeover; /* why the lease is taken from whoever has it; NULL: it is not */
    int64_t lock_wait_ms; /* how long the lease of another machine's plan is waited for */
    int lease_ttl_ms;     /* 0: 30 s */
    bool failed_only;     /* only what failed or is in doubt; what was not begun stays so */
};
int executor_run(const struct executor *x, struct err *err);

/*
 * Tells how the plan ended: runs argv (argv[0] a path; no shell) with the outcome as one JSON
 * object on its standard input, and waits for it. What does not end within limit_ms (0: 30 s) is
 * killed with its process group. Whatever comes of it is an event and changes nothing else.
 */
struct notify {
    const char *const *argv; /* ends with NULL; NULL: nobody is told */
    const char *store;
    int64_t plan_id;
    int limit_ms;
};
void plan_notify(struct journal *j, const struct notify *n);
