#include "commands/stale.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/buf.h"

#define NAMED_MAX 5

struct plans_since {
    int64_t ms, own;
    struct buf *list;
    size_t n;
};

static void name_plan(void *arg, const struct plan *p)
{
    struct plans_since *since = arg;

    if (p->id == since->own || p->started_ms <= since->ms || since->n >= NAMED_MAX)
        return;
    buf_addf(since->list, "%splan %lld (%s)", since->n ? ", " : "", (long long)p->id, p->name);
    since->n++;
}

/* Adds to the refusal the plans that were carried out since, and the ways out. */
static int name_changes(struct session *s, const struct plan *p, struct err *err)
{
    struct journal *j = session_journal(s, err);
    const struct plan_filter filter = {.state = -1};
    struct err ignored = ERR_INIT, why = *err;
    struct buf plans;
    struct plans_since since = {.ms = p->created_ms, .own = p->id, .list = &plans};

    buf_init(&plans, 512);
    journal_plan_list(j, &filter, name_plan, &since, &ignored);
    if (plans.len > 0)
        err_set(err, ERR_STALE, "%s; carried out since: %s", why.text, plans.data);
    err_advise(err,
               "cancel it (plan cancel -id %lld) and make it again, or have it made anew for the "
               "store as it is with plan execute -id %lld -force -reason TEXT",
               (long long)p->id, (long long)p->id);
    buf_release(&plans);
    return -1;
}

/* With the connection missing when there is none. */
static struct planner planner_of(struct session *s, const struct plan_opts *o, struct err *err)
{
    struct planner pl = {.journal = session_journal(s, err),
                         .engine = session_engine(s, err),
                         .wait_ms = o->lock_wait_ms,
                         .stopped = plan_stopped,
                         .takeover = o->takeover};

    pl.connection = pl.engine ? session_connection(s, err) : NULL;
    return pl;
}

/* The same intent for the store as it is now; the plan keeps its number and name. */
static int make_anew(struct session *s, const struct plan *p, const struct plan_opts *o,
                     struct out *out, struct err *err)
{
    const struct planner pl = planner_of(s, o, err);
    struct intent in = {
        .verb = p->verb, .args = p->args, .force = true, .confirmed = o->confirm != NULL};
    struct plan fresh = {
        .id = p->id, .verb = p->verb, .args = p->args, .force = true, .reason = o->reason};
    struct findings f = {0};
    int rc = -1;

    if (pl.connection == NULL)
        goto out;
    rc = plan_make(&pl, &in, &fresh, &f, err);
    out_finding_notes(out, &f, err);
    if (rc == 0)
        rc = journal_plan_replace_tasks(pl.journal, &fresh, err);
    if (rc == 0)
        out_note(out,
                 "the store changed since plan %lld was made; its tasks were made anew: %zu "
                 "instead of %zu",
                 (long long)p->id, fresh.n_tasks, p->n_tasks);
out:
    findings_release(&f);
    plan_release(&fresh);
    return rc;
}

int stale_check(struct session *s, const struct plan *p, const struct plan_opts *o, struct out *out,
                struct err *err)
{
    const struct planner pl = planner_of(s, o, err);
    struct findings f = {0};
    int rc;

    if (pl.connection == NULL)
        return -1;
    rc = plan_recheck(&pl, p, &f, err);
    if (rc != 0 && o->force && (err->code == ERR_STALE || err->code == ERR_REFUSED)) {
        err_clear(err);
        rc = make_anew(s, p, o, out, err);
    } else {
        out_finding_notes(out, &f, err);
        if (rc != 0 && err->code == ERR_STALE)
            rc = name_changes(s, p, err);
    }
    findings_release(&f);
    return rc;
}
