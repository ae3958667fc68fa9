/*
 * Rebalances and failovers. The store does one at a time and keeps the last one's message until the
 * next begins, so nothing but its identity tells an operation from somebody else's:
 *
 *   before the request   statusId and newest event are noted; nothing noted: nothing was asked for
 *   after it             the rebalanceId: from the answer (7.6 and later), else from the task list,
 *                        else from the one event of this kind that came after the noted one
 *   its end              the event or the report with that id; without them the statusId, and what
 *                        the cluster is
 */
#include "engines/couchbase/doing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"
#include "kvsh/meta.h"

#define SILENCE_MS 60000 /* how long nobody may answer before the outcome is in doubt */
#define GRACE_MS 10000   /* how long reports may be late */
#define FRESH_MS 1100    /* after that the answer to a question is not older than the question */
#define STOP_MS 60000

/* --- what was noted --- */

static int note(struct doing *d, const struct cb_memo *m, struct err *err)
{
    char *text = cb_memo_write(m);
    int rc = d->p->remember ? d->p->remember(d->p, text) : 0;

    free(text);
    return rc == 0 ? 0
                   : err_set(err, ERR_FAILED,
                             "what is about to begin cannot be written into the journal");
}

/* An outcome that was told is not told again: the next attempt begins anew. */
static void forget(struct doing *d)
{
    if (d->p->remember != NULL)
        d->p->remember(d->p, "{}");
}

/* --- how it stands --- */

struct standing {
    enum cb_outcome outcome;
    char why[400];
    int percent;
    const char *moving; /* what moves; in the arena of the cluster */
    bool unsure, other_runs;
    char status_id[80];
    bool has_message; /* of a failure, of whichever operation */
};

static const char *progress_text(struct doing *d, const struct json *task)
{
    const struct json *detail = json_get(task, "detailedProgress");
    const char *bucket = json_str(detail, "bucket");
    struct arena *a = &d->c.arena;
    const char *text = cb_operation_name(json_str(task, "subtype"));

    if (bucket != NULL)
        text = arena_printf(a, "%s of bucket %s (%lld of %lld)", text, bucket,
                            (long long)json_int(detail, "bucketNumber", 0),
                            (long long)json_int(detail, "bucketsCount", 0));
    JSON_FOREACH (node, json_get(task, "perNode")) {
        const struct service *s = cb_by_otp(&d->c, json_key(node));
        text = arena_printf(a, "%s, %s %lld %%", text, s ? s->id : json_key(node),
                            (long long)json_int(node, "progress", 0));
    }
    return text;
}

static struct json *events_since(struct doing *d, const struct cb_memo *m)
{
    struct err ignored = ERR_INIT;
    struct json *events = NULL;
    char *since = http_escape(m->since), *path;

    path = m->since[0] ? xasprintf("/events?sinceTime=%s&limit=-1", since)
                       : xstrdup("/events?limit=-1");
    cb_get(d->cn, d->cn->base, path, &events, &ignored);
    free(path);
    free(since);
    return events;
}

static void look_into_events(struct doing *d, struct cb_memo *m, const char *kind,
                             struct standing *st)
{
    struct json *events = events_since(d, m);
    const char *why = NULL, *id = m->id[0] ? m->id : cb_begun_since(events, m, kind);

    if (id != NULL && id != m->id)
        snprintf(m->id, sizeof m->id, "%s", id);
    st->outcome = cb_outcome_of_events(events, m->id, &why);
    snprintf(st->why, sizeof st->why, "%s", why ? why : "");
    json_free(events);
}

static void look_into_report(struct doing *d, const struct cb_memo *m, const struct json *task,
                             struct standing *st)
{
    const char *uri = json_str(task, "lastReportURI"), *why = NULL;
    struct err ignored = ERR_INIT;
    struct json *report = NULL;
    enum cb_outcome outcome;

    if (uri == NULL || strncmp(uri, "/logs/rebalanceReport?", 22) != 0 ||
        cb_get(d->cn, d->cn->base, uri, &report, &ignored) != 0)
        return;
    outcome = cb_outcome_of_report(report, m->id, &why);
    if (outcome != CB_UNKNOWN) {
        st->outcome = outcome;
        snprintf(st->why, sizeof st->why, "%s", why);
    }
    json_free(report);
}

/* What runs, is it ours? In 7.2, and for failovers, the task list is where its number is first
 * seen. */
static bool is_ours(struct cb_memo *m, const struct json *task, const char *kind)
{
    const char *id = json_str(task, "rebalanceId"), *status = json_str(task, "statusId");
    const char *subtype = json_str(task, "subtype");

    if (id == NULL)
        return false;
    if (m->id[0])
        return strcmp(m->id, id) == 0;
    if (status == NULL || strcmp(status, m->before) == 0 || subtype == NULL ||
        strcmp(subtype, kind) != 0 || cb_moves_differ(json_get(task, "nodesInfo"), m, kind))
        return false;
    snprintf(m->id, sizeof m->id, "%s", id);
    return true;
}

static int stand(struct doing *d, struct cb_memo *m, const char *kind, struct standing *st,
                 struct err *err)
{
    struct json *tasks = NULL;
    const struct json *task;
    const char *status;
    bool running;

    *st = (struct standing){.outcome = CB_UNKNOWN, .percent = -1};
    if (cb_get(d->cn, d->cn->base, "/pools/default/tasks?rebalanceStatusTimeout=2000", &tasks,
               err) != 0)
        return -1;
    task = cb_rebalance_task(tasks);
    status = json_str(task, "statusId");
    snprintf(st->status_id, sizeof st->status_id, "%s", status ? status : "");
    st->has_message = json_str(task, "errorMessage") != NULL;
    running = cb_is_running(task, &st->unsure);
    if (running && is_ours(m, task, kind)) {
        st->outcome = CB_RUNNING;
        st->percent = (int)json_int(task, "progress", -1);
        st->moving = progress_text(d, task);
    } else if (!st->unsure || running) {
        st->other_runs = running;
        look_into_events(d, m, kind, st);
        if (st->outcome == CB_UNKNOWN || st->outcome == CB_RUNNING)
            look_into_report(d, m, task, st);
    }
    json_free(tasks);
    return 0;
}

/* --- ends --- */

static int ended_badly(struct doing *d, const struct cb_operation *op, const struct standing *st,
                       struct err *err)
{
    const char *name = cb_operation_name(op->kind);

    forget(d);
    if (st->outcome == CB_STOPPED)
        err_set(err, ERR_FAILED, "the %s was stopped%s%s", name, st->why[0] ? ": " : "", st->why);
    else
        err_set(err, ERR_FAILED, "the %s failed%s%s", name, st->why[0] ? ": " : "", st->why);
    return err_advise(err, "show events tells why; executing the plan begins it anew");
}

static int ended_well(struct doing *d, const struct cb_operation *op, const struct cb_memo *m,
                      struct err *err)
{
    const char *why = NULL;

    for (int64_t since = time_mono_ms(); time_mono_ms() - since < GRACE_MS / 2;) {
        why = NULL;
        if (cb_look(d, err) == 0 && op->reached(d, &why)) {
            why = NULL;
            break;
        }
        time_sleep_ms(CB_POLL_MS); /* what a node tells may be a second old */
    }
    if (why != NULL && op->effective != NULL && !op->effective(d, &why)) {
        err_set(err, ERR_FAILED, "the cluster says that the %s completed, but %s",
                cb_operation_name(op->kind), why);
        return err_advise(err, "show topology and show events tell more");
    }
    snprintf(d->p->result, sizeof d->p->result, "%s %.32s completed%s%.100s",
             cb_operation_name(op->kind), m->id, why ? "; still open: " : "", why ? why : "");
    return 0;
}

/* Of what this attempt followed: that it had no effect is told once, the next attempt begins anew.
 */
static int end_of_ours(struct doing *d, const struct cb_operation *op, const struct cb_memo *m,
                       struct err *err)
{
    int rc = ended_well(d, op, m, err);

    if (rc != 0)
        forget(d);
    return rc;
}

/* Only one thing runs at a time: what runs is not ours, and no trace of ours came before it. */
static int ended_by_others(struct doing *d, const struct cb_operation *op, struct err *err)
{
    forget(d);
    err_set(
        err, ERR_FAILED,
        "the cluster began no %s for this plan: an operation that is not this plan's was at work",
        cb_operation_name(op->kind));
    return err_advise(err, "show tasks follows it; execute the plan when it has ended");
}

/* Nothing tells how it ended: the state of the cluster has to. */
static int ended_unseen(struct doing *d, const struct cb_operation *op, const struct cb_memo *m,
                        const struct standing *st, struct err *err)
{
    const char *why = NULL;

    if (cb_look(d, err) != 0)
        return -1;
    if ((!st->other_runs || m->id[0]) && op->reached(d, &why)) {
        snprintf(d->p->result, sizeof d->p->result,
                 "the cluster is as it should be; which operation made it so is not known");
        return 0;
    }
    if (strcmp(st->status_id, m->before) != 0 && st->has_message) {
        struct standing failed = *st;
        failed.outcome = CB_FAILED;
        return ended_badly(d, op, &failed, err);
    }
    err_set(err, ERR_IN_DOUBT, "the %s is not running any more and nothing tells how it ended%s%s",
            cb_operation_name(op->kind), why ? ": " : "", why ? why : "");
    return err_advise(err, "show tasks and show events tell more");
}

/* --- stopping --- */

int cb_stop(struct doing *d, bool unsafe, struct err *err)
{
    int64_t since = time_mono_ms();
    bool unsure = true;

    if (cb_change(d, "/controller/stopRebalance", unsafe ? "allowUnsafe=true" : "allowUnsafe=false",
                  NULL, err) != 0)
        return -1;
    while (time_mono_ms() - since < STOP_MS) {
        struct json *tasks = NULL;
        bool running = true;
        if (cb_get(d->cn, d->cn->base, "/pools/default/tasks?rebalanceStatusTimeout=2000", &tasks,
                   err) == 0)
            running = cb_is_running(cb_rebalance_task(tasks), &unsure);
        json_free(tasks);
        if (!running && !unsure)
            return 0;
        d->p->report(d->p, -1, "the operation to stop");
        time_sleep_ms(CB_POLL_MS);
    }
    err_set(err, ERR_IN_DOUBT, "the operation was asked to stop, but %d s later it still runs",
            STOP_MS / 1000);
    return err_advise(err, "show tasks follows it");
}

/* Ours, or about to be seen: 0. Otherwise how it stands, and nothing is to be stopped. */
static int may_stop(struct doing *d, const struct cb_operation *op, struct cb_memo *m,
                    struct err *err)
{
    const char *name = cb_operation_name(op->kind);
    struct standing st = {0};
    struct err why = ERR_INIT;

    if (!op->stoppable) {
        err_set(err, ERR_INTERRUPTED, "the %s goes on in the cluster", name);
        return err_advise(err, "'plan execute' finds out how it ended");
    }
    if (stand(d, m, op->kind, &st, &why) == 0 && !st.other_runs)
        return 0;
    if (why.code == ERR_OK)
        err_set(err, ERR_INTERRUPTED, "what runs in the cluster is not this plan's %s, and goes on",
                name);
    else
        err_set(err, ERR_INTERRUPTED, "the %s may go on in the cluster: %s", name, why.text);
    return err_advise(err, "show tasks follows it; 'plan execute' finds out how the plan's ended");
}

/* The plan is to stop, and with it what it began. */
static int interrupted(struct doing *d, const struct cb_operation *op, struct cb_memo *m,
                       struct err *err)
{
    const char *name = cb_operation_name(op->kind);
    struct standing st = {0};
    struct err why = ERR_INIT;

    if (may_stop(d, op, m, err) != 0)
        return -1;
    if (cb_stop(d, false, &why) != 0) {
        err_set(err, ERR_INTERRUPTED, "the %s goes on in the cluster: it could not be stopped: %s",
                name, why.text);
        return err_advise(err, "'plan stop-rebalance' tries again, with -unsafe also without the "
                               "node that leads it");
    }
    if (stand(d, m, op->kind, &st, &why) == 0 && st.outcome == CB_SUCCEEDED)
        return end_of_ours(d, op, m, err);
    forget(d);
    err_set(err, ERR_INTERRUPTED, "the %s was stopped as asked", name);
    return err_advise(err, "'plan execute' begins it again and goes on where it was");
}

/* --- following --- */

struct patience {
    int64_t heard_ms, idle_ms; /* last answer; since when it does not run */
    bool others;               /* something ran that is not ours */
};

/* One look. 1: go on waiting; 0, -1: the end. */
static int follow_once(struct doing *d, const struct cb_operation *op, struct cb_memo *m,
                       struct patience *w, struct err *err)
{
    char known[sizeof m->id];
    struct standing st;

    snprintf(known, sizeof known, "%s", m->id);
    if (stand(d, m, op->kind, &st, err) != 0) {
        struct err ignored = ERR_INIT;
        cb_look(d, &ignored); /* finds another address, when there is one */
        if (time_mono_ms() - w->heard_ms > SILENCE_MS) {
            err->code = ERR_IN_DOUBT;
            return -1;
        }
        st = (struct standing){.outcome = CB_RUNNING, .percent = -1, .moving = "an answer"};
    } else {
        w->heard_ms = time_mono_ms();
    }
    if (strcmp(known, m->id) != 0 && note(d, m, err) != 0)
        return -1;
    if (st.outcome == CB_SUCCEEDED)
        return end_of_ours(d, op, m, err);
    if (st.outcome == CB_FAILED || st.outcome == CB_STOPPED)
        return ended_badly(d, op, &st, err);
    w->others = w->others || st.other_runs;
    if (st.moving != NULL || st.unsure)
        w->idle_ms = time_mono_ms();
    else if (time_mono_ms() - w->idle_ms > GRACE_MS)
        return w->others && m->id[0] == '\0' && !m->blind ? ended_by_others(d, op, err)
                                                          : ended_unseen(d, op, m, &st, err);
    d->p->report(d->p, st.percent,
                 st.moving   ? st.moving
                 : st.unsure ? "the node that leads the operation"
                             : "the operation to be seen");
    if (d->p->interrupted(d->p))
        return interrupted(d, op, m, err);
    time_sleep_ms(CB_POLL_MS);
    return 1;
}

static int follow(struct doing *d, const struct cb_operation *op, struct cb_memo *m,
                  struct err *err)
{
    struct patience w = {.heard_ms = time_mono_ms(), .idle_ms = time_mono_ms()};
    int rc;

    while ((rc = follow_once(d, op, m, &w, err)) == 1)
        continue;
    return rc;
}

/* --- beginning --- */

static const struct activity *busy_with(const struct cluster *c)
{
    for (size_t i = 0; i < c->n_activities; i++) {
        if (c->activities[i].running && c->activities[i].excludes_plans)
            return &c->activities[i];
    }
    return NULL;
}

/* The task list comes from a node that has not heard from the one that leads operations. */
static bool list_is_stale(const struct cluster *c)
{
    const struct json *task = cb_rebalance_task(cb_part(c, "tasks"));
    bool unsure = false;

    return task != NULL && !cb_is_running(task, &unsure) && unsure;
}

static int refuse_busy(struct doing *d, struct err *err)
{
    int64_t since = time_mono_ms();
    const struct activity *a;

    while ((a = busy_with(&d->c)) != NULL && list_is_stale(&d->c) &&
           time_mono_ms() - since < GRACE_MS) {
        if (cb_pause(d, -1, "a task list that is not stale", err) != 0 || cb_look(d, err) != 0)
            return -1;
    }
    if (a == NULL)
        return 0;
    if (list_is_stale(&d->c)) {
        err_set(err, ERR_FAILED, "it cannot be seen whether a %s is running: %s", a->kind,
                a->detail);
        return err_advise(err, "wait until it answers, or another node leads; if it is lost for "
                               "good, 'plan stop-rebalance -unsafe' first");
    }
    err_set(err, ERR_FAILED, "a %s that is not this plan's is running%s%s", a->kind,
            a->id ? ": " : "", a->id ? a->id : "");
    return err_advise(err, "show tasks follows it; execute the plan when it has ended");
}

/* How things are before anything is asked for. */
static void mark(struct doing *d, struct cb_memo *m)
{
    const struct json *task = cb_rebalance_task(cb_part(&d->c, "tasks"));
    const char *status = json_str(task, "statusId");
    struct json *events = NULL;
    struct err ignored = ERR_INIT;

    *m = (struct cb_memo){0};
    snprintf(m->before, sizeof m->before, "%s", status ? status : "none");
    /* Without a limit the newest may be missing, and what came behind those told taken for ours. */
    cb_get(d->cn, d->cn->base, "/events?limit=-1", &events, &ignored);
    cb_memo_mark(m, events);
    json_free(events);
}

/* Began nothing, because the members are not those of the look before; for a rebalance, whose body
 * names them all, the look may just have been a second old. */
static bool is_mismatch(const struct cb_operation *op, int status, const struct err *err)
{
    return status == 400 && strcmp(op->kind, "rebalance") == 0 &&
           (strstr(err->text, "list of members is not") != NULL ||
            strstr(err->text, "Expected topology mismatch") != NULL);
}

/* Sends the request once; after a mismatch once more with the members as they are now. */
static int ask(struct doing *d, const struct cb_operation *op, struct cb_memo *m,
               struct json **answer, struct err *err)
{
    for (int attempt = 1;; attempt++) {
        char *form = op->form(d, m->moves, err);
        struct cb_send s = {
            .request = {.method = "POST", .base = op->base, .path = op->path, .form = form}};
        int status = 0, rc;
        if (form == NULL)
            return -1;
        s.status = &status;
        rc = note(d, m, err);
        if (rc == 0)
            rc = cb_send(d, &s, answer, err);
        free(form);
        if (rc == 0 || attempt > 1 || !is_mismatch(op, status, err))
            return rc;
        time_sleep_ms(FRESH_MS);
        if (cb_look(d, err) != 0)
            return -1;
    }
}

static int begin(struct doing *d, const struct cb_operation *op, struct cb_memo *m, struct err *err)
{
    bool tells = cb_version(&d->c) >= 706 && strcmp(op->kind, "rebalance") == 0;
    struct json *answer = NULL;
    const char *id;
    int rc;

    mark(d, m);
    rc = ask(d, op, m, &answer, err);
    if (rc != 0) {
        if (err->code != ERR_IN_DOUBT)
            forget(d);
        return -1;
    }
    id = json_str(answer, "rebalance_id");
    if (id != NULL) {
        snprintf(m->id, sizeof m->id, "%s", id);
        rc = note(d, m, err);
    } else if (tells && answer != NULL) {
        rc = err_set(err, ERR_IN_DOUBT, "the cluster's answer does not tell what it began");
    } else if (tells) {
        forget(d);
        rc = err_set(err, ERR_FAILED,
                     "the cluster began nothing: another rebalance is running already");
        err_advise(err, "show tasks follows it; execute the plan when it has ended");
    }
    json_free(answer);
    return rc;
}

int cb_operate(struct doing *d, const struct cb_operation *op, struct err *err)
{
    struct standing st;
    struct cb_memo m;
    const char *why;

    cb_memo_read(&m, d->p->memo);
    if (m.before[0]) { /* an attempt before this one asked, or was about to */
        if (stand(d, &m, op->kind, &st, err) != 0)
            return -1;
        if (st.outcome != CB_UNKNOWN)
            return follow(d, op, &m, err);
    }
    if (op->reached(d, &why)) {
        snprintf(d->p->result, sizeof d->p->result, "found so: nothing had to be done");
        return 0;
    }
    if (refuse_busy(d, err) != 0 || (op->allowed != NULL && op->allowed(d, err) != 0) ||
        begin(d, op, &m, err) != 0)
        return -1;
    return follow(d, op, &m, err);
}

enum settled cb_operated(struct doing *d, const struct cb_operation *op, struct err *err)
{
    struct standing st;
    struct cb_memo m;
    const char *why;

    cb_memo_read(&m, d->p->memo);
    if (m.before[0] == '\0')
        return SETTLED_NO; /* noted before anything is asked for */
    if (stand(d, &m, op->kind, &st, err) != 0)
        return SETTLED_UNKNOWN;
    if (st.outcome == CB_SUCCEEDED) {
        if (ended_well(d, op, &m, err) == 0)
            return SETTLED_YES;
        /* Nothing is repeated that did happen: whoever undid it had a reason. */
        err_advise(err,
                   "if somebody has undone it since, give this plan up with 'plan cancel'; show "
                   "events tells more");
        return SETTLED_UNKNOWN;
    }
    if (st.outcome != CB_UNKNOWN)
        return SETTLED_NO; /* performing follows it, or tells how it ended */
    if (op->reached(d, &why))
        return SETTLED_YES;
    if (st.other_runs && m.id[0] == '\0' && !m.blind)
        return SETTLED_NO; /* one at a time: what runs moves other nodes, and ours left no trace */
    if (!st.unsure && !st.other_runs && strcmp(st.status_id, m.before) == 0)
        return SETTLED_NO; /* nothing has happened since */
    err_set(err, ERR_IN_DOUBT,
            "the cluster has done something since, and nothing tells whether it "
            "was the %s of this plan",
            cb_operation_name(op->kind));
    return SETTLED_UNKNOWN;
}
