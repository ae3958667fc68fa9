/*
 * What all plan commands share: their options, making and starting a plan, following it to its end.
 *
 * A plan command resolves names, fills an intent and calls plan_submit(); everything else is the
 * same for all.
 */
#pragma once

#include "commands/session.h"
#include "commands/tables.h"
#include "kvsh/run.h"

struct plan_opts {
    bool wait, noexecute, force, takeover;
    int64_t timeout_ms; /* 0: none */
    int64_t lock_wait_ms;
    const char *plan_name, *reason, *confirm;
};

extern const struct opt plan_options[];
#define PLAN_OPTIONS(S, m) OPT_GROUP(S, m, struct plan_opts, plan_options)

/* -force needs -reason, -confirm the name of this store, and the like. */
int plan_check_opts(struct session *s, const struct plan_opts *o, struct err *err);

/* What a plan command asks for; args is taken over. */
struct plan_request {
    enum verb verb;
    struct json *args;
    const struct plan_opts *opts;
};

/*
 * Makes the plan, keeps it in the journal, starts its runner, and waits for it when asked. While
 * the session previews, only shows what it would do.
 */
int plan_submit(struct session *s, const struct plan_request *r, struct out *out, struct err *err);

/* Ctrl-C while waiting for a lock: struct plan_lock asks. */
bool plan_stopped(void);

/* A plan about to be carried out. */
struct plan_run {
    int64_t id;
    struct plan_lock lock; /* of the plan, and of the store when the plan changes it */
    const struct plan_opts *opts;
    bool failed_only; /* what was not begun stays so */
};
/* Starts the runner, which gets the locks; reports that, and waits when asked. */
int plan_run(struct session *s, struct plan_run *run, struct out *out, struct err *err);

/*
 * Waits until the plan is at rest, showing progress, and reports how it ended. ERR_TIMEOUT after
 * timeout_ms (0: never). The outcome is the error: 0 only for a plan that succeeded.
 */
int plan_follow(struct session *s, int64_t id, int64_t timeout_ms, struct out *out,
                struct err *err);

/* The same, with a row of table_watch for each change; the rows tell how it ended, too. */
int plan_watch(struct session *s, int64_t id, struct out *out, struct err *err);
extern const struct out_table table_watch;

/* -id N or -last of plan execute, wait, cancel, interrupt, show plan. 0 with a reason when there is
 * none. */
struct plan_ref {
    int64_t id;
    bool last;
};
extern const struct opt plan_ref_options[];
#define PLAN_REF(S, m) OPT_GROUP(S, m, struct plan_ref, plan_ref_options)
int64_t plan_resolve(struct session *s, const struct plan_ref *ref, struct err *err);
