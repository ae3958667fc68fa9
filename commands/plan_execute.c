#include <stdlib.h>

#include "commands/plan_common.h"
#include "commands/stale.h"

/* plan execute: starts a plan made with -noexecute, or goes on with one that stopped. */
struct opts {
    struct plan_ref ref;
    struct plan_opts plan;
};

static const struct opt options[] = {
    PLAN_REF(struct opts, ref),
    OPT_FLAG(struct opts, plan.wait, "wait", "wait until the plan has ended"),
    OPT_SECONDS(struct opts, plan.timeout_ms, "timeout",
                "stop waiting after so long; the plan goes on", .min = 0, .max = 31536000),
    OPT_FLAG(struct opts, plan.force, "force",
             "carry it out although the store changed since it was made; needs -reason"),
    OPT_STR(struct opts, plan.reason, "reason", "why it is forced; kept in the history",
            .value = "TEXT"),
    OPT_STR(struct opts, plan.confirm, "confirm",
            "name of this store: do even what could lose data; goes with -force", .value = "STORE"),
    OPT_SECONDS(struct opts, plan.lock_wait_ms, "lock-wait", "wait so long for another plan to end",
                .min = 0, .max = 86400),
    OPT_END,
};

/* ERROR, INTERRUPTED and APPROVED may be started; the others each have their own answer. */
static int check_state(const struct plan *p, struct err *err)
{
    long long id = (long long)p->id;

    if (plan_may_move(p->state, PLAN_RUNNING))
        return 0;
    err_set(err, ERR_FAILED, "plan %lld cannot be executed, its state is %s", id,
            plan_state_name(p->state));
    if (plan_is_over(p->state))
        return err_advise(err, "make a new plan instead");
    return err_advise(err, "plan wait -id %lld follows it", id);
}

static int note_reason(struct journal *j, const struct plan *p, const char *reason, struct err *err)
{
    struct event ev = {.severity = "warning", .plan_id = p->id, .kind = "plan"};
    char *text = xasprintf("execution forced: %s", reason);
    int rc;

    ev.subject = p->name;
    ev.text = text;
    rc = journal_event(j, &ev, err);
    free(text);
    return rc;
}

/* Under the store's lock: is the plan (still) one that may run, and is the store what it was made
 * for? */
static int prepare(struct session *s, struct plan_run *run, struct out *out, struct err *err)
{
    const struct plan_opts *o = run->opts;
    struct journal *j = session_journal(s, err);
    struct plan p = {0};
    int rc = -1;

    if (journal_plan_load(j, run->id, &p, err) != 0 || check_state(&p, err) != 0)
        goto out;
    if (verb_changes_store(p.verb) && lock_store(&run->lock, j, o->lock_wait_ms, err) != 0)
        goto out;
    if (p.attempts == 0 && p.digest != NULL && stale_check(s, &p, o, out, err) != 0)
        goto out;
    if (o->force && note_reason(j, &p, o->reason, err) != 0)
        goto out;
    rc = lock_plan(&run->lock, j, run->id, err);
out:
    plan_release(&p);
    return rc;
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct plan_run run = {.lock = {.fd = -1, .stopped = plan_stopped}, .opts = &o->plan};
    int rc = -1;

    if (plan_check_opts(s, &o->plan, err) == 0 && (run.id = plan_resolve(s, &o->ref, err)) != 0 &&
        prepare(s, &run, out, err) == 0)
        rc = plan_run(s, &run, out, err);
    lock_release(&run.lock);
    return rc;
}

static const char *const examples[] = {"plan execute -id 10 -wait", "plan execute -last", NULL};

const struct cmd cmd_plan_execute = {
    .name = "plan execute",
    .summary = "start or resume a plan",
    .description =
        "Starts a plan made with -noexecute, or goes on with one that ended in ERROR or was "
        "interrupted, from the first task that is not done. A task whose outcome is unknown is "
        "looked at first and repeated only when it did not take effect.\n\n"
        "A plan made with -noexecute is refused (exit status 7) when the store has changed since.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
