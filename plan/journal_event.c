/* Events: what happened, appended and never changed; and where each node's own watch has been read
 * up to. */
#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"
#include "kvsh/log.h"
#include "kvsh/mem.h"

#include "journal_internal.h"

static void bind_id(struct db_stmt *st, const char *name, int64_t id)
{
    if (id > 0)
        db_bind_int(st, name, id);
    else
        db_bind_str(st, name, NULL);
}

/* A node that reports an event again repeats its time too; a node set up anew begins with the same
 * numbers. */
int put_event(struct journal *j, const struct event *ev, int64_t seq, struct err *err)
{
    struct db_stmt *st =
        db_prepare(j->db,
                   "INSERT INTO event (time_ms, severity, who, plan_id, task_num, kind, subject,"
                   " text, seq) SELECT :time, :severity, :who, :plan, :task, :kind, :subject,"
                   " :text, :seq WHERE :seq IS NULL OR NOT EXISTS (SELECT 1 FROM event"
                   " WHERE who = :who AND seq = :seq AND time_ms = :time)",
                   err);
    char *text;

    if (st == NULL)
        return -1;
    text = xstrdup(ev->text != NULL ? ev->text : "");
    mask_apply(text);
    db_bind_int(st, ":time", ev->time_ms > 0 ? ev->time_ms : time_now_ms());
    db_bind_str(st, ":severity", ev->severity != NULL ? ev->severity : "info");
    db_bind_str(st, ":who", ev->who != NULL ? ev->who : j->who);
    bind_id(st, ":plan", ev->plan_id);
    bind_id(st, ":task", ev->task_num);
    db_bind_str(st, ":kind", ev->kind);
    db_bind_str(st, ":subject", ev->subject);
    db_bind_str(st, ":text", text);
    bind_id(st, ":seq", seq);
    free(text);
    return db_run(st, err);
}

int journal_event(struct journal *j, const struct event *ev, struct err *err)
{
    if (journal_begin_change(j, err) < 0)
        return -1;
    return journal_end(j, put_event(j, ev, 0, err), err);
}

static int put_cursor(struct journal *j, const struct json *cursor, struct err *err)
{
    struct db_stmt *st = db_prepare(j->db,
                                    "INSERT INTO cursor (node, value) VALUES (:node, :value)"
                                    " ON CONFLICT (node) DO UPDATE SET value = excluded.value",
                                    err);

    if (st == NULL)
        return -1;
    db_bind_str(st, ":node", json_key(cursor));
    bind_json(st, ":value", cursor);
    return db_run(st, err);
}

int journal_node_events(struct journal *j, const struct event *evs, const int64_t *seqs, size_t n,
                        const struct json *cursors, struct err *err)
{
    int rc = 0;

    if (journal_begin(j, err) < 0)
        return -1;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = put_event(j, &evs[i], seqs[i], err);
    JSON_FOREACH (cursor, cursors) {
        if (rc == 0)
            rc = put_cursor(j, cursor, err);
    }
    return journal_end(j, rc, err);
}

int journal_cursors(struct journal *j, struct json **cursors, struct err *err)
{
    struct db_stmt *st =
        db_prepare(j->db, "SELECT json_group_object(node, json(value)) FROM cursor", err);
    const char *text;

    *cursors = NULL;
    if (st == NULL)
        return -1;
    if (db_step(st, err) > 0) {
        text = db_col_str(st, 0);
        *cursors = json_parse(text, strlen(text), err);
    }
    db_done(st);
    return *cursors != NULL ? 0 : -1;
}

int journal_task_memo(struct journal *j, int64_t plan_id, int num, char **memo, struct err *err)
{
    struct db_stmt *st =
        db_prepare(j->db,
                   "SELECT text FROM event WHERE plan_id = :plan AND task_num = :num"
                   " AND kind = 'memo' ORDER BY id DESC LIMIT 1",
                   err);
    int rc;

    *memo = NULL;
    if (st == NULL)
        return -1;
    db_bind_int(st, ":plan", plan_id);
    db_bind_int(st, ":num", num);
    rc = db_step(st, err);
    if (rc > 0)
        *memo = xstrdup(db_col_str(st, 0));
    db_done(st);
    return rc < 0 ? -1 : 0;
}

/* The level of a severity, as the statements below compute it; an unknown word asks for everything.
 */
static int64_t level(const char *severity)
{
    if (severity != NULL && strcmp(severity, "error") == 0)
        return 2;
    return severity != NULL && strcmp(severity, "warning") == 0;
}

#define EVENTS_WHERE(first)                                                                    \
    "SELECT * FROM (SELECT id, time_ms, severity, who, plan_id, task_num, kind, subject, text" \
    " FROM event WHERE " first " AND id > :after AND time_ms >= :from AND time_ms <= :to"      \
    " AND CASE severity WHEN 'error' THEN 2 WHEN 'warning' THEN 1 ELSE 0 END >= :level"        \
    " ORDER BY time_ms DESC, id DESC LIMIT :num) ORDER BY time_ms, id"

int journal_event_list(struct journal *j, const struct event_filter *f,
                       void (*each)(void *arg, const struct event *ev), void *arg, struct err *err)
{
    struct db_stmt *st = f->plan_id > 0 ? db_prepare(j->db, EVENTS_WHERE("plan_id = :plan"), err)
                                        : db_prepare(j->db, EVENTS_WHERE("true"), err);
    struct event ev;
    int rc;

    if (st == NULL)
        return -1;
    if (f->plan_id > 0)
        db_bind_int(st, ":plan", f->plan_id);
    db_bind_int(st, ":after", f->after_id);
    db_bind_int(st, ":from", f->from_ms);
    db_bind_int(st, ":to", f->to_ms > 0 ? f->to_ms : INT64_MAX);
    db_bind_int(st, ":level", level(f->severity));
    db_bind_int(st, ":num", f->num > 0 ? f->num : -1);
    while ((rc = db_step(st, err)) > 0) {
        ev = (struct event){
            .id = db_col_int(st, 0),
            .time_ms = db_col_int(st, 1),
            .severity = db_col_str(st, 2),
            .who = db_col_str(st, 3),
            .plan_id = db_col_int(st, 4),
            .task_num = (int)db_col_int(st, 5),
            .kind = db_col_str(st, 6),
            .subject = db_col_str(st, 7),
            .text = db_col_str(st, 8),
        };
        each(arg, &ev);
    }
    db_done(st);
    return rc;
}
