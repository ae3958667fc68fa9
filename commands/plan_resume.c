#include "commands/plan_resume.h"

#include <stdlib.h>

#include "commands/stale.h"

const struct opt resume_options[] = {
    OPT_FLAG(struct plan_opts, wait, "wait", "wait until the plan has ended"),
    OPT_SECONDS(struct plan_opts, timeout_ms, "timeout",
                "stop waiting after so long; the plan goes on", .min = 0, .max = 31536000),
    OPT_FLAG(struct plan_opts, force, "force",
             "carry it out although the store changed since it was made; needs -reason"),
    OPT_STR(struct plan_opts, reason, "reason",
            "why it is forced or taken over; kept in the history", .value = "TEXT"),
    OPT_STR(struct plan_opts, confirm, "confirm",
            "name of this store: do even what could lose data; goes with -force", .value = "STORE"),
    OPT_FLAG(struct plan_opts, takeover, "takeover",
             "take the store's lease from a plan of another, dead machine; needs -reason"),
    OPT_SECONDS(struct plan_opts, lock_wait_ms, "lock-wait", "wait so long for another plan to end",
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

/* plan retry is for what was tried; a plan that is only to be started has plan execute. */
static int check_retry(const struct plan *p, const struct resume *r, struct err *err)
{
    struct task_counts n;
    int doubtful;

    plan_count(p, &n);
    doubtful = n.failed + n.unknown + n.running;
    if (!r->retry || (p->attempts > 0 && (!r->failed_only || doubtful > 0)))
        return 0;
    if (p->attempts == 0)
        err_set(err, ERR_FAILED, "plan %lld was never started, there is nothing to retry",
                (long long)p->id);
    else
        err_set(err, ERR_FAILED, "plan %lld has no task that failed", (long long)p->id);
    return err_advise(err, "plan execute -id %lld starts what is not begun", (long long)p->id);
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
static int prepare(struct session *s, const struct resume *r, struct plan_run *run, struct out *out,
                   struct err *err)
{
    const struct plan_opts *o = run->opts;
    struct journal *j = session_journal(s, err);
    struct plan p = {0};
    int rc = -1;

    if (journal_plan_load(j, run->id, &p, err) != 0 || check_state(&p, err) != 0 ||
        check_retry(&p, r, err) != 0)
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

int plan_resume(struct session *s, const struct resume *r, struct out *out, struct err *err)
{
    struct plan_run run = {.lock = {.fd = -1, .stopped = plan_stopped},
                           .opts = r->opts,
                           .failed_only = r->failed_only};
    int rc = -1;

    if (plan_check_opts(s, r->opts, err) == 0 && (run.id = plan_resolve(s, r->ref, err)) != 0 &&
        prepare(s, r, &run, out, err) == 0)
        rc = plan_run(s, &run, out, err);
    lock_release(&run.lock);
    return rc;
}
