#include "commands/plan_common.h"

#include <stdio.h>
#include <stdlib.h>

#include "commands/plan_watch.h"
#include "kvsh/buf.h"
#include "kvsh/fs.h"

#define POLL_MS 100
#define RECONCILE_MS 1000
#define SECOND_CTRL_C_MS 2000
#define REFUSALS_MAX 3

/* --- how it ended --- */

#define OTHERS_NAMED 8

static const struct task *first_in(const struct plan *p, enum task_state state)
{
    for (size_t i = 0; i < p->n_tasks; i++) {
        if (p->tasks[i].state == state)
            return &p->tasks[i];
    }
    return NULL;
}

/* Says the first one's cause, and names the others in the same state. */
static void say_task(const struct plan *p, const struct task *t, enum err_code code,
                     struct err *err)
{
    struct buf others;
    size_t n = 0;

    buf_init(&others, 300);
    for (size_t i = 0; i < p->n_tasks; i++) {
        const struct task *other = &p->tasks[i];
        if (other == t || other->state != t->state || n++ >= OTHERS_NAMED)
            continue;
        buf_addf(&others, "%s %s", n > 1 ? "," : " (also", other->target ? other->target : "");
    }
    if (n > OTHERS_NAMED)
        buf_addf(&others, " and %zu more", n - OTHERS_NAMED);
    err_set(err, code, "plan %lld: task %d, %s: %s%s%s", (long long)p->id, t->num, t->what,
            t->error ? t->error : "the outcome is unknown", others.data, n > 0 ? ")" : "");
    buf_release(&others);
}

static int say_failed(const struct plan *p, struct err *err)
{
    enum err_code code = p->code != ERR_OK ? p->code : ERR_FAILED;
    const char *advice = p->advice;
    const struct task *t;

    if ((t = first_in(p, TASK_UNKNOWN)) != NULL) {
        say_task(p, t, ERR_IN_DOUBT, err);
        if (t->advice == NULL || t->advice[0] == '\0')
            return err_advise(err,
                              "look at %s (verify configuration, show plan -id %lld), then "
                              "plan execute -id %lld -wait",
                              t->target ? t->target : "the store", (long long)p->id,
                              (long long)p->id);
        advice = t->advice;
    } else if ((t = first_in(p, TASK_ERROR)) != NULL && !plan_is_overtaken(p)) {
        say_task(p, t, code, err);
        if (t->advice != NULL && t->advice[0])
            advice = t->advice;
    } else {
        err_set(err, code, "plan %lld: %s", (long long)p->id,
                p->error ? p->error : "it ended with errors");
    }
    if (advice != NULL && advice[0])
        return err_advise(err, "%s; then plan execute -id %lld -wait", advice, (long long)p->id);
    return err_advise(err, "show plan -id %lld tells more; plan execute -id %lld -wait tries again",
                      (long long)p->id, (long long)p->id);
}

static int say_interrupted(const struct plan *p, struct err *err)
{
    struct task_counts n;
    char doubt[96] = "";

    plan_count(p, &n);
    if (n.running > 0)
        snprintf(doubt, sizeof doubt, "; its runner ended in the middle of %d more, in doubt now",
                 n.running);
    if (p->code == ERR_PARTIAL)
        err_set(err, ERR_PARTIAL, "plan %lld: %s", (long long)p->id, p->error);
    else
        err_set(err, ERR_INTERRUPTED, "plan %lld was interrupted after %d of %d tasks%s",
                (long long)p->id, n.succeeded + n.skipped, n.total, doubt);
    return err_advise(err,
                      "plan execute -id %lld -wait goes on, plan cancel -id %lld drops the rest",
                      (long long)p->id, (long long)p->id);
}

static int outcome(const struct plan *p, struct err *err)
{
    switch (p->state) {
    case PLAN_SUCCEEDED:
        return 0;
    case PLAN_ERROR:
        return say_failed(p, err);
    case PLAN_INTERRUPTED:
        return say_interrupted(p, err);
    case PLAN_CANCELED:
        err_set(err, ERR_INTERRUPTED, "plan %lld has been canceled", (long long)p->id);
        return err_advise(err, "what it had done stays done; make a new plan for the rest");
    default:
        err_set(err, ERR_FAILED, "plan %lld is not running, its state is %s", (long long)p->id,
                plan_state_name(p->state));
        return err_advise(err, "plan execute -id %lld starts it", (long long)p->id);
    }
}

/* --- waiting --- */

struct follow {
    struct session *session;
    struct journal *journal;
    int64_t id;
    int64_t version; /* of the journal when last looked at */
    int64_t reconciled_ms, deadline_ms;
    int64_t first_ctrl_c_ms; /* 0: none yet */
    bool asked_interrupt;
    int refusals;        /* in a row, of the journal to say whether the runner lives */
    struct err refusal;  /* the last one */
    struct watch *watch; /* NULL: only the end is shown */
    struct out *out;
};

/* With the line of progress out of the way. */
static void show_changes(struct follow *f, const struct plan *p)
{
    if (f->watch == NULL || !watch_changes(f->watch, p))
        return;
    shell_progress(session_shell(f->session), NULL);
    out_flush(f->out);
}

static void show_progress(struct follow *f)
{
    struct plan p = {0};
    struct err err = ERR_INIT;
    const struct task *t = NULL;
    struct task_counts n;
    char line[512], detail[160] = "";

    if (journal_plan_load(f->journal, f->id, &p, &err) != 0)
        goto out;
    show_changes(f, &p);
    for (size_t i = 0; i < p.n_tasks && t == NULL; i++) {
        if (p.tasks[i].state == TASK_RUNNING)
            t = &p.tasks[i];
    }
    plan_count(&p, &n);
    if (t == NULL) {
        snprintf(line, sizeof line, "plan %lld: %d of %d tasks done", (long long)f->id,
                 n.succeeded + n.skipped, n.total);
    } else {
        if (t->waiting_for != NULL && t->waiting_for[0])
            snprintf(detail, sizeof detail, ": %s", t->waiting_for);
        else if (t->percent >= 0)
            snprintf(detail, sizeof detail, ": %d %%", t->percent);
        snprintf(line, sizeof line, "plan %lld: task %d of %d, %s%s", (long long)f->id, t->num,
                 n.total, t->what, detail);
    }
    shell_progress(session_shell(f->session), line);
out:
    plan_release(&p);
}

/* At rest still, but somebody is about to begin it; that can end without a word in the journal. */
static bool is_starting(struct follow *f)
{
    struct plan p = {0};
    struct err ignored = ERR_INIT;
    char *starting = NULL;

    if (journal_plan_load(f->journal, f->id, &p, &ignored) == 0)
        starting = plan_starting(f->journal, &p);
    plan_release(&p);
    free(starting);
    if (starting == NULL)
        return false;
    f->version = -1;
    return true;
}

/* Is it at rest? Looks at the journal only when somebody wrote, and now and then whether the runner
 * lives. */
static bool at_rest(struct follow *f)
{
    int64_t version = journal_data_version(f->journal), now = time_mono_ms();
    struct err err = ERR_INIT;
    enum plan_state state;

    if (now - f->reconciled_ms >= RECONCILE_MS) {
        int moved = journal_reconcile(f->journal, &err);
        f->reconciled_ms = now;
        if (moved > 0)
            f->version = -1;
        f->refusals = moved < 0 ? f->refusals + 1 : 0;
        if (moved < 0)
            f->refusal = err;
    }
    if (version == f->version)
        return false;
    f->version = version;
    state = journal_plan_state(f->journal, f->id);
    if (state == PLAN_STATE_COUNT || plan_at_rest(state))
        return !is_starting(f);
    if (f->first_ctrl_c_ms == 0 || f->asked_interrupt)
        show_progress(f);
    return false;
}

static int stop_waiting(const struct follow *f, enum err_code code, const char *why,
                        struct err *err)
{
    if (f->asked_interrupt) {
        err_set(err, code, "%s; plan %lld stops as soon as its running tasks let it", why,
                (long long)f->id);
        return err_advise(err, "plan wait -id %lld follows it, show plan -id %lld shows it",
                          (long long)f->id, (long long)f->id);
    }
    err_set(err, code, "%s; plan %lld goes on", why, (long long)f->id);
    return err_advise(err,
                      "plan wait -id %lld follows it, show plan -id %lld shows it, plan "
                      "interrupt -id %lld stops it",
                      (long long)f->id, (long long)f->id, (long long)f->id);
}

/* The first Ctrl-C stops the waiting, unless a second one soon asks for more. 1: go on waiting, 0:
 * stop. */
static int ctrl_c(struct follow *f, struct err *err)
{
    int64_t now = time_mono_ms();
    char line[160];
    int n = shell_interrupts();

    if (n == 0)
        return 1;
    if (f->first_ctrl_c_ms == 0) {
        f->first_ctrl_c_ms = now;
        snprintf(line, sizeof line, "plan %lld goes on; press Ctrl-C again to interrupt it",
                 (long long)f->id);
        shell_progress(session_shell(f->session), line);
    }
    if (n >= 2 && !f->asked_interrupt) {
        f->asked_interrupt = true;
        /* refused when it came to rest meanwhile: then there is nothing to interrupt */
        journal_plan_move(f->journal, f->id, PLAN_INTERRUPT_REQUESTED, &(struct move){0}, err);
        err_clear(err);
        f->version = -1;
    }
    if (n >= 3)
        return 0;
    return f->asked_interrupt || now - f->first_ctrl_c_ms < SECOND_CTRL_C_MS;
}

/* Shows how the plan stands; unless that was decided already, the outcome is the error. */
static int report(struct follow *f, bool at_rest, struct err *err)
{
    struct plan p = {0};
    struct err why = ERR_INIT;
    int rc = -1;

    if (journal_plan_load(f->journal, f->id, &p, &why) == 0) {
        if (f->watch == NULL)
            out_plan_ended(f->out, &p);
        show_changes(f, &p);
        rc = at_rest ? outcome(&p, err) : -1;
    } else if (at_rest) {
        *err = why;
    }
    plan_release(&p);
    return rc;
}

static int follow(struct follow *f, int64_t timeout_ms, struct err *err)
{
    int rc = 0;

    f->journal = session_journal(f->session, err);
    if (f->journal == NULL)
        return -1;
    if (journal_is_copy(f->journal) != NULL &&
        !plan_at_rest(journal_plan_state(f->journal, f->id))) {
        *err = *journal_is_copy(f->journal);
        return err_prepend(err, "plan %lld cannot be followed", (long long)f->id);
    }
    f->version = -1;
    f->reconciled_ms = time_mono_ms();
    f->deadline_ms = timeout_ms > 0 ? f->reconciled_ms + timeout_ms : INT64_MAX;
    while (!at_rest(f)) {
        if (!ctrl_c(f, err)) {
            rc = stop_waiting(f, ERR_SIGINT, "stopped waiting", err);
            break;
        }
        if (f->refusals >= REFUSALS_MAX) {
            *err = f->refusal;
            rc = err_prepend(err, "plan %lld cannot be followed", (long long)f->id);
            break;
        }
        if (time_mono_ms() >= f->deadline_ms) {
            rc = stop_waiting(f, ERR_TIMEOUT, "the time for waiting is over", err);
            break;
        }
        shell_pause(POLL_MS);
    }
    shell_progress(session_shell(f->session), NULL);
    return report(f, rc == 0, err);
}

int plan_follow(struct session *s, int64_t id, int64_t timeout_ms, struct out *out, struct err *err)
{
    struct follow f = {.session = s, .id = id, .out = out};

    return follow(&f, timeout_ms, err);
}

int plan_watch(struct session *s, int64_t id, struct out *out, struct err *err)
{
    struct follow f = {.session = s, .id = id, .out = out, .watch = watch_new(out)};
    int rc = follow(&f, 0, err);

    watch_free(f.watch);
    return rc;
}
