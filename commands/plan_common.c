#include "commands/plan_common.h"

#include <stdlib.h>
#include <string.h>

#include "commands/explain.h"

const struct opt plan_options[] = {
    OPT_FLAG(struct plan_opts, wait, "wait", "wait until the plan has ended"),
    OPT_SECONDS(struct plan_opts, timeout_ms, "timeout",
                "stop waiting after so long; the plan goes on", .min = 0, .max = 31536000),
    OPT_FLAG(struct plan_opts, noexecute, "noexecute", "make the plan, do not start it"),
    OPT_STR(struct plan_opts, plan_name, "plan-name", "name of the plan"),
    OPT_FLAG(struct plan_opts, force, "force",
             "do it although a safety check speaks against it; needs -reason"),
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

const struct opt plan_ref_options[] = {
    OPT_INT(struct plan_ref, id, "id", "number of the plan", .min = 1, .max = INT64_MAX,
            .flags = OPT_REQUIRED, .complete = COMPLETE_PLAN, .one_of = 1),
    OPT_FLAG(struct plan_ref, last, "last", "the newest plan", .flags = OPT_REQUIRED, .one_of = 1),
    OPT_END,
};

int64_t plan_resolve(struct session *s, const struct plan_ref *ref, struct err *err)
{
    struct journal *j = session_journal(s, err);
    int64_t id;

    if (j == NULL)
        return 0;
    id = ref->last ? journal_last_plan(j) : ref->id;
    if (id == 0)
        err_set(err, ERR_INPUT, "there are no plans yet");
    return id;
}

/* Data may be lost only by somebody who knows whose. */
static int check_confirm(struct session *s, const struct plan_opts *o, struct err *err)
{
    const char *store = session_store_name(s);

    if (o->confirm == NULL)
        return 0;
    if (!o->force)
        return err_set(err, ERR_USAGE, "-confirm goes with -force");
    if (store != NULL && strcmp(store, o->confirm) == 0)
        return 0;
    err_set(err, ERR_USAGE, "-confirm says \"%s\", but this store is \"%s\"", o->confirm,
            store != NULL ? store : "");
    return err_advise(err, "nothing was done; check which store is meant");
}

int plan_check_opts(struct session *s, const struct plan_opts *o, struct err *err)
{
    if (o->force && (o->reason == NULL || o->reason[0] == '\0')) {
        err_set(err, ERR_USAGE, "-force needs -reason");
        return err_advise(err, "say why in a few words, e.g. -force -reason \"rack 2 is on fire\"; "
                               "it is kept in the history");
    }
    if (o->takeover && (o->reason == NULL || o->reason[0] == '\0')) {
        err_set(err, ERR_USAGE, "-takeover needs -reason");
        return err_advise(err, "say how you know that the other plan's machine is dead");
    }
    if (o->reason != NULL && !o->force && !o->takeover)
        return err_set(err, ERR_USAGE, "-reason goes with -force or -takeover");
    if (o->wait && o->noexecute)
        return err_set(err, ERR_USAGE, "-wait and -noexecute exclude each other");
    if (o->timeout_ms > 0 && !o->wait)
        return err_set(err, ERR_USAGE, "-timeout goes with -wait");
    return check_confirm(s, o, err);
}

/* --- making --- */

/* Ctrl-C ends waiting for other plans. */
bool plan_stopped(void)
{
    return shell_interrupts() > 0;
}

/* Observes, checks, expands; nothing is kept yet. */
static int make(struct session *s, const struct plan_request *r, struct plan *p, struct findings *f,
                struct err *err)
{
    struct journal *j = session_journal(s, err);
    const struct engine *e = j ? session_engine(s, err) : NULL;
    struct planner pl = {.journal = j,
                         .engine = e,
                         .wait_ms = session_is_preview(s) ? 0 : r->opts->lock_wait_ms,
                         .stopped = plan_stopped,
                         .takeover = r->opts->takeover};
    const struct intent in = {.verb = r->verb,
                              .args = r->args,
                              .force = r->opts->force,
                              .confirmed = r->opts->confirm != NULL};
    const char *lacking;

    if (e == NULL)
        return -1;
    lacking = engine_lacks(e, r->verb, r->args);
    if (lacking != NULL && (e->verbs & VERB_BIT(r->verb)))
        return err_set(err, ERR_USAGE, "plan %s of a store of engine %s has no -%s",
                       verb_word(r->verb), e->name, lacking);
    if ((pl.connection = session_connection(s, err)) == NULL)
        return -1;
    p->verb = r->verb;
    p->args = r->args;
    p->force = r->opts->force;
    p->name = arena_strdup(&p->arena, r->opts->plan_name);
    p->reason = r->opts->force ? arena_strdup(&p->arena, r->opts->reason) : NULL;
    p->command = arena_strdup(&p->arena, shell_command_line(session_shell(s)));
    return plan_make(&pl, &in, p, f, err);
}

/* --- starting --- */

/* The words by which the runner finds the same store; it works in another directory. */
static int runner_words(struct session *s, struct arena *a, const char **words, struct err *err)
{
    const struct session_flags *f = session_flags(s);
    char *state = session_state_dir(s, err);

    if (state == NULL)
        return -1;
    *words++ = "-state-dir";
    *words++ = arena_strdup(a, state);
    free(state);
    if (f->config_file != NULL) {
        *words++ = "-config";
        *words++ = f->config_file;
    }
    if (f->timeout_ms > 0) {
        *words++ = "-timeout";
        *words++ = arena_printf(a, "%lld.%03lld", (long long)(f->timeout_ms / 1000),
                                (long long)(f->timeout_ms % 1000));
    }
    *words = NULL;
    return 0;
}

static int start_runner(struct session *s, struct plan_run *run, struct err *err)
{
    const char *words[8], *run_words[8], **next = run_words;
    struct arena arena = {0};
    const struct runner_args a = {.store = session_store_name(s),
                                  .config_args = words,
                                  .run_args = run_words,
                                  .plan_id = run->id,
                                  .wait_ms = run->opts->lock_wait_ms};
    int rc = runner_words(s, &arena, words, err);

    if (run->failed_only)
        *next++ = "-failed-only";
    if (run->opts->takeover) {
        *next++ = "-takeover";
        *next++ = run->opts->reason;
    }
    if (run->opts->lock_wait_ms > 0) {
        *next++ = "-lock-wait";
        *next++ = arena_printf(&arena, "%lld", (long long)(run->opts->lock_wait_ms + 999) / 1000);
    }
    *next = NULL;
    if (rc == 0 && (rc = runner_start(&a, &run->lock, err)) != 0) {
        err_prepend(err, "plan %lld was made but could not be started", (long long)run->id);
        if (err->advice[0] == '\0')
            err_advise(err, "plan execute -id %lld tries again", (long long)run->id);
    }
    arena_release(&arena);
    return rc;
}

int plan_run(struct session *s, struct plan_run *run, struct out *out, struct err *err)
{
    if (start_runner(s, run, err) != 0)
        return -1;
    if (!run->opts->wait) {
        out_int(out_row(out, &table_plan_started), "planId", run->id);
        return 0;
    }
    out_int(out_row(out, &table_plan_waiting), "planId", run->id);
    out_flush(out);
    return plan_follow(s, run->id, run->opts->timeout_ms, out, err);
}

int plan_submit(struct session *s, const struct plan_request *r, struct out *out, struct err *err)
{
    const bool preview = session_is_preview(s), start = !preview && !r->opts->noexecute;
    struct plan_run run = {.lock = {.fd = -1, .stopped = plan_stopped}, .opts = r->opts};
    struct journal *j = session_journal(s, err);
    struct findings f = {0};
    struct plan p = {0};
    int rc = -1;

    plan_own(&p, r->args);
    if (j == NULL || plan_check_opts(s, r->opts, err) != 0)
        goto out;
    if (start && verb_changes_store(r->verb) &&
        lock_store(&run.lock, j, r->opts->lock_wait_ms, err) != 0)
        goto out;
    rc = make(s, r, &p, &f, err);
    if (preview) {
        if (rc == 0 || err->code == ERR_REFUSED || err->code == ERR_LOCKED)
            out_preview(out, &p, &f);
        if (rc == 0 && session_is_explain(s))
            rc = explain_plan(s, &p, out, err);
        goto out;
    }
    out_finding_notes(out, &f, err);
    if (rc != 0 || (rc = journal_plan_create(j, &p, err)) != 0)
        goto out;
    run.id = p.id;
    if (!start)
        out_int(out_row(out, &table_plan_created), "planId", p.id);
    else if ((rc = lock_plan(&run.lock, j, p.id, err)) == 0)
        rc = plan_run(s, &run, out, err);
out:
    lock_release(&run.lock);
    findings_release(&f);
    plan_release(&p);
    return rc;
}
