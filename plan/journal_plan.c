/* Plans and tasks as rows: written once when they are made, read many times. Their states are
 * journal_move.c's. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"
#include "kvsh/log.h"

#include "journal_internal.h"

/* --- writing --- */

/* Binds text that a person typed or an engine made, without the secrets it might hold. */
static void bind_masked(struct db_stmt *st, const char *name, const char *text)
{
    char *copy = text != NULL ? xstrdup(text) : NULL;

    if (copy != NULL)
        mask_apply(copy);
    db_bind_str(st, name, copy);
    free(copy);
}

static void bind_notes(struct db_stmt *st, const struct plan *p)
{
    struct json *notes = NULL;

    if (p->n_notes > 0) {
        notes = json_array();
        for (size_t i = 0; i < p->n_notes; i++)
            json_push_str(notes, p->notes[i]);
    }
    bind_json(st, ":notes", notes);
    json_free(notes);
}

static int64_t next_id(struct journal *j, struct err *err)
{
    struct db_stmt *st = db_prepare(j->db, "SELECT coalesce(max(id), 0) + 1 FROM plan", err);
    int64_t id = -1;

    if (st == NULL)
        return -1;
    if (db_step(st, err) > 0)
        id = db_col_int(st, 0);
    db_done(st);
    return id;
}

/* The plan as it is to be stored: id, name, user and creation time filled in. */
static int put_plan(struct journal *j, const struct plan *p, struct err *err)
{
    struct db_stmt *st =
        db_prepare(j->db,
                   "INSERT INTO plan (id, name, verb, args, force, reason, command, creator,"
                   " state, created_ms, digest, notes, observed, confirmed) VALUES (:id, :name,"
                   " :verb, :args, :force, :reason, :command, :creator, :state, :created, :digest,"
                   " :notes, :observed, :confirmed)",
                   err);

    if (st == NULL)
        return -1;
    db_bind_int(st, ":id", p->id);
    bind_masked(st, ":name", p->name);
    db_bind_str(st, ":verb", verb_word(p->verb));
    bind_json(st, ":args", p->args);
    db_bind_int(st, ":force", p->force);
    bind_masked(st, ":reason", p->reason);
    bind_masked(st, ":command", p->command);
    db_bind_str(st, ":creator", p->user);
    db_bind_str(st, ":state", plan_state_name(p->state));
    db_bind_int(st, ":created", p->created_ms);
    db_bind_str(st, ":digest", p->digest);
    bind_notes(st, p);
    bind_json(st, ":observed", p->observed);
    db_bind_int(st, ":confirmed", p->confirmed);
    return db_run(st, err);
}

static int put_task(struct journal *j, int64_t plan_id, const struct task *t, struct err *err)
{
    struct db_stmt *st =
        db_prepare(j->db,
                   "INSERT INTO task (plan_id, num, wave, type, target, node, what, why, degrades,"
                   " args, effects, state) VALUES (:plan, :num, :wave, :type, :target, :node,"
                   " :what, :why, :degrades, :args, :effects, 'PENDING')",
                   err);

    if (st == NULL)
        return -1;
    db_bind_int(st, ":plan", plan_id);
    db_bind_int(st, ":num", t->num);
    db_bind_int(st, ":wave", t->wave);
    db_bind_str(st, ":type", t->type);
    db_bind_str(st, ":target", t->target);
    db_bind_str(st, ":node", t->node);
    bind_masked(st, ":what", t->what);
    bind_masked(st, ":why", t->why);
    bind_masked(st, ":degrades", t->degrades);
    bind_json(st, ":args", t->args);
    bind_json(st, ":effects", t->effects);
    return db_run(st, err);
}

static int put_tasks(struct journal *j, const struct plan *p, struct err *err)
{
    for (size_t i = 0; i < p->n_tasks; i++) {
        if (put_task(j, p->id, &p->tasks[i], err) < 0)
            return -1;
    }
    return 0;
}

static int put_creation_events(struct journal *j, const struct plan *p, struct err *err)
{
    char *text = xasprintf("plan %" PRId64 " is created with %zu %s%s%s", p->id, p->n_tasks,
                           p->n_tasks == 1 ? "task" : "tasks", p->force ? ", forced: " : "",
                           p->force && p->reason != NULL ? p->reason : "");
    struct event ev = {
        .severity = "info", .plan_id = p->id, .kind = "plan", .subject = p->name, .text = text};
    int rc = put_event(j, &ev, 0, err);

    for (size_t i = 0; i < p->n_notes && rc == 0; i++) {
        struct event note = {.severity = "warning",
                             .plan_id = p->id,
                             .kind = "finding",
                             .subject = p->name,
                             .text = p->notes[i]};
        rc = put_event(j, &note, 0, err);
    }
    free(text);
    return rc;
}

static int create(struct journal *j, struct plan *p, struct err *err)
{
    p->id = next_id(j, err);
    if (p->id < 0)
        return -1;
    if (p->name == NULL)
        p->name = arena_printf(&p->arena, "%s (%" PRId64 ")", verb_title(p->verb), p->id);
    if (put_plan(j, p, err) < 0 || put_tasks(j, p, err) < 0)
        return -1;
    return put_creation_events(j, p, err);
}

int journal_plan_create(struct journal *j, struct plan *p, struct err *err)
{
    struct plan row = *p; /* what the caller sees changes only after the commit */
    int rc;

    if (row.state != PLAN_PENDING && row.state != PLAN_APPROVED)
        return err_set(err, ERR_INTERNAL, "a plan cannot be created as %s",
                       plan_state_name(row.state));
    if (row.user == NULL)
        row.user = arena_strdup(&row.arena, j->who);
    row.created_ms = time_now_ms();
    rc = journal_begin_change(j, err);
    if (rc == 0)
        rc = journal_end(j, create(j, &row, err), err);
    p->arena = row.arena;
    if (rc == 0)
        *p = row;
    return rc;
}

static int check_replaceable(struct journal *j, int64_t id, struct err *err)
{
    struct db_stmt *st = db_prepare(j->db, "SELECT state, attempts FROM plan WHERE id = :id", err);
    enum plan_state state = PLAN_STATE_COUNT;
    int64_t attempts = 0;
    int rc;

    if (st == NULL)
        return -1;
    db_bind_int(st, ":id", id);
    rc = db_step(st, err);
    if (rc > 0) {
        plan_state_by_name(db_col_str(st, 0), &state);
        attempts = db_col_int(st, 1);
    }
    db_done(st);
    if (rc == 0)
        return err_set(err, ERR_INPUT, "plan %" PRId64 " does not exist", id);
    if (rc > 0 && (attempts > 0 || (state != PLAN_PENDING && state != PLAN_APPROVED)))
        return err_set(err, ERR_FAILED,
                       "plan %" PRId64 " is %s: its tasks cannot be replaced any more", id,
                       plan_state_name(state));
    return rc < 0 ? -1 : 0;
}

static int replace_tasks(struct journal *j, const struct plan *p, struct err *err)
{
    struct event ev = {.severity = "info",
                       .plan_id = p->id,
                       .kind = "plan",
                       .subject = p->name,
                       .text = "the tasks are replaced after a new observation"};
    struct db_stmt *st;

    if (check_replaceable(j, p->id, err) < 0)
        return -1;
    st = db_prepare(j->db, "DELETE FROM task WHERE plan_id = :id", err);
    if (st == NULL)
        return -1;
    db_bind_int(st, ":id", p->id);
    if (db_run(st, err) < 0)
        return -1;
    st = db_prepare(j->db,
                    "UPDATE plan SET digest = :digest, notes = :notes, observed = :observed,"
                    " force = :force, confirmed = :confirmed, reason = coalesce(:reason, reason)"
                    " WHERE id = :id",
                    err);
    if (st == NULL)
        return -1;
    db_bind_int(st, ":id", p->id);
    db_bind_str(st, ":digest", p->digest);
    bind_notes(st, p);
    bind_json(st, ":observed", p->observed);
    db_bind_int(st, ":force", p->force);
    db_bind_int(st, ":confirmed", p->confirmed);
    bind_masked(st, ":reason", p->reason);
    if (db_run(st, err) < 0 || put_tasks(j, p, err) < 0)
        return -1;
    return put_event(j, &ev, 0, err);
}

int journal_plan_replace_tasks(struct journal *j, const struct plan *p, struct err *err)
{
    if (journal_begin_change(j, err) < 0)
        return -1;
    return journal_end(j, replace_tasks(j, p, err), err);
}

/* --- reading --- */

#define PLAN_COLUMNS                                                                            \
    "id, name, verb, force, reason, command, creator, state, attempts, created_ms, started_ms," \
    " ended_ms, runner_pid, digest, code, error, advice, confirmed"
enum { COL_ARGS = 18, COL_NOTES, COL_OBSERVED };

/* Strings are borrowed from the statement, or copied into the arena when there is one. */
static const char *keep(struct arena *a, const char *s)
{
    return a != NULL ? arena_strdup(a, s) : s;
}

static void read_plan(struct db_stmt *st, struct arena *a, struct plan *p)
{
    p->id = db_col_int(st, 0);
    p->name = keep(a, db_col_str(st, 1));
    if (verb_by_word(db_col_str(st, 2), &p->verb) < 0)
        p->verb = VERB_COUNT;
    p->force = db_col_int(st, 3) != 0;
    p->reason = keep(a, db_col_str(st, 4));
    p->command = keep(a, db_col_str(st, 5));
    p->user = keep(a, db_col_str(st, 6));
    plan_state_by_name(db_col_str(st, 7), &p->state);
    p->attempts = (int)db_col_int(st, 8);
    p->created_ms = db_col_int(st, 9);
    p->started_ms = db_col_int(st, 10);
    p->ended_ms = db_col_int(st, 11);
    p->runner_pid = db_col_int(st, 12);
    p->digest = keep(a, db_col_str(st, 13));
    p->code = err_by_name(db_col_str(st, 14));
    p->error = keep(a, db_col_str(st, 15));
    p->advice = keep(a, db_col_str(st, 16));
    p->confirmed = db_col_int(st, 17) != 0;
}

/* A column of JSON, owned by the plan; NULL for NULL. */
static int read_json(struct db_stmt *st, int col, struct plan *p, const struct json **value,
                     struct err *err)
{
    const char *text = db_col_str(st, col);
    struct json *j;

    *value = NULL;
    if (text == NULL)
        return 0;
    j = json_parse(text, strlen(text), err);
    if (j == NULL)
        return err_prepend(err, "plan %" PRId64, p->id);
    *value = plan_own(p, j);
    return 0;
}

static int read_task(struct db_stmt *st, struct plan *p, struct err *err)
{
    struct task *t = ARENA_PUSH(&p->arena, p->tasks, p->n_tasks);
    struct arena *a = &p->arena;

    t->num = (int)db_col_int(st, 0);
    t->wave = (int)db_col_int(st, 1);
    t->type = keep(a, db_col_str(st, 2));
    t->target = keep(a, db_col_str(st, 3));
    t->node = keep(a, db_col_str(st, 4));
    t->what = keep(a, db_col_str(st, 5));
    t->why = keep(a, db_col_str(st, 6));
    t->degrades = keep(a, db_col_str(st, 7));
    task_state_by_name(db_col_str(st, 8), &t->state);
    t->attempts = (int)db_col_int(st, 9);
    t->started_ms = db_col_int(st, 10);
    t->ended_ms = db_col_int(st, 11);
    t->percent = (int)db_col_int(st, 12);
    t->waiting_for = keep(a, db_col_str(st, 13));
    t->code = err_by_name(db_col_str(st, 14));
    t->error = keep(a, db_col_str(st, 15));
    t->advice = keep(a, db_col_str(st, 16));
    t->result = keep(a, db_col_str(st, 17));
    if (read_json(st, 18, p, &t->args, err) < 0)
        return -1;
    return read_json(st, 19, p, &t->effects, err);
}

static int load_tasks(struct journal *j, struct plan *p, struct err *err)
{
    struct db_stmt *st =
        db_prepare(j->db,
                   "SELECT num, wave, type, target, node, what, why, degrades, state, attempts,"
                   " started_ms, ended_ms, percent, waiting_for, code, error, advice, result,"
                   " args, effects FROM task WHERE plan_id = :id ORDER BY num",
                   err);
    int rc;

    if (st == NULL)
        return -1;
    db_bind_int(st, ":id", p->id);
    while ((rc = db_step(st, err)) > 0) {
        if (read_task(st, p, err) < 0) {
            rc = -1;
            break;
        }
    }
    db_done(st);
    return rc;
}

static int load_plan(struct journal *j, struct plan *p, struct err *err)
{
    struct db_stmt *st = db_prepare(
        j->db, "SELECT " PLAN_COLUMNS ", args, notes, observed FROM plan WHERE id = :id", err);
    const struct json *notes;
    int64_t id = p->id;
    int rc;

    if (st == NULL)
        return -1;
    db_bind_int(st, ":id", id);
    rc = db_step(st, err);
    if (rc > 0) {
        read_plan(st, &p->arena, p);
        if (p->verb == VERB_COUNT)
            rc = err_set(err, ERR_INPUT, "plan %" PRId64 ": this version knows no plan %s", id,
                         db_col_str(st, 2));
        else if (read_json(st, COL_ARGS, p, &p->args, err) < 0 ||
                 read_json(st, COL_NOTES, p, &notes, err) < 0 ||
                 read_json(st, COL_OBSERVED, p, &p->observed, err) < 0)
            rc = -1;
        else
            JSON_FOREACH (note, notes)
                *ARENA_PUSH(&p->arena, p->notes, p->n_notes) = json_value_str(note);
    }
    db_done(st);
    if (rc == 0)
        return err_set(err, ERR_INPUT, "plan %" PRId64 " does not exist", id);
    return rc < 0 ? -1 : 0;
}

int journal_plan_load(struct journal *j, int64_t id, struct plan *p, struct err *err)
{
    p->id = id;
    if (load_plan(j, p, err) == 0 && load_tasks(j, p, err) == 0)
        return 0;
    plan_release(p);
    return -1;
}

int64_t journal_last_plan(struct journal *j)
{
    struct err err = ERR_INIT;
    int64_t next = next_id(j, &err);

    return next > 0 ? next - 1 : 0;
}

#define PLANS_WHERE                                                              \
    "SELECT " PLAN_COLUMNS " FROM plan WHERE (:state IS NULL OR state = :state)" \
    " AND created_ms >= :from AND created_ms <= :to"

int journal_plan_list(struct journal *j, const struct plan_filter *f,
                      void (*each)(void *arg, const struct plan *p), void *arg, struct err *err)
{
    static const char all[] = PLANS_WHERE " ORDER BY id";
    static const char newest[] =
        "SELECT * FROM (" PLANS_WHERE " ORDER BY id DESC LIMIT :num) ORDER BY id";
    struct db_stmt *st = db_prepare(j->db, f->num > 0 ? newest : all, err);
    struct plan p;
    int rc;

    if (st == NULL)
        return -1;
    db_bind_str(st, ":state", f->state >= 0 ? plan_state_name((enum plan_state)f->state) : NULL);
    db_bind_int(st, ":from", f->from_ms);
    db_bind_int(st, ":to", f->to_ms > 0 ? f->to_ms : INT64_MAX);
    if (f->num > 0)
        db_bind_int(st, ":num", f->num);
    while ((rc = db_step(st, err)) > 0) {
        p = (struct plan){0};
        read_plan(st, NULL, &p);
        each(arg, &p);
    }
    db_done(st);
    return rc;
}
