/* The declared store as documents, and what was last observed of it. */
#include <stdlib.h>
#include <string.h>

#include "kvsh/buf.h"
#include "kvsh/meta.h"

#include "journal_internal.h"

/* --- documents --- */

/*
 * The rows as the text of one JSON object; what is stored is valid JSON already. They come in the
 * order of their names, so that nothing depends on which of two tasks ended first.
 */
static int docs_text(struct journal *j, struct buf *b, int64_t *version, struct err *err)
{
    struct db_stmt *st = db_prepare(j->db,
                                    "SELECT c.value, json_quote(o.kind), json_quote(o.name), o.doc"
                                    " FROM counter c LEFT JOIN object o ON true"
                                    " WHERE c.name = 'docs_version' ORDER BY o.kind, o.name",
                                    err);
    char *kind = NULL;
    int rc;

    if (st == NULL)
        return -1;
    buf_addc(b, '{');
    while ((rc = db_step(st, err)) > 0) {
        *version = db_col_int(st, 0);
        if (db_col_is_null(st, 3))
            continue;
        if (kind == NULL || strcmp(kind, db_col_str(st, 1)) != 0) {
            buf_addf(b, "%s%s:{", kind != NULL ? "}," : "", db_col_str(st, 1));
            free(kind);
            kind = xstrdup(db_col_str(st, 1));
        } else {
            buf_addc(b, ',');
        }
        buf_addf(b, "%s:", db_col_str(st, 2));
        buf_adds(b, db_col_str(st, 3));
    }
    db_done(st);
    buf_adds(b, kind != NULL ? "}}" : "}");
    free(kind);
    return rc;
}

int journal_docs(struct journal *j, struct json **docs, int64_t *version, struct err *err)
{
    int64_t ignored;
    struct buf b;

    buf_init(&b, 0);
    *docs = NULL;
    if (docs_text(j, &b, version != NULL ? version : &ignored, err) == 0) {
        *docs = json_parse(b.data, b.len, err);
        if (*docs == NULL)
            err_prepend(err, "documents of the journal");
    }
    buf_release(&b);
    return *docs != NULL ? 0 : -1;
}

int journal_doc_names(struct journal *j, const char *kind, const char *member,
                      void (*each)(void *arg, const char *name), void *arg, struct err *err)
{
    struct db_stmt *st =
        db_prepare(j->db,
                   "SELECT CASE WHEN :path IS NULL THEN name ELSE json_extract(doc, :path) END"
                   " FROM object WHERE kind = :kind ORDER BY name",
                   err);
    char *path = member != NULL ? xasprintf("$.%s", member) : NULL;
    int rc = -1;

    if (st == NULL)
        goto out;
    db_bind_str(st, ":kind", kind);
    db_bind_str(st, ":path", path);
    while ((rc = db_step(st, err)) > 0) {
        if (!db_col_is_null(st, 0))
            each(arg, db_col_str(st, 0));
    }
    db_done(st);
out:
    free(path);
    return rc;
}

/* Documents change: the version they will have, or -1. */
static int64_t raise_version(struct journal *j, int64_t at_least, struct err *err)
{
    struct db_stmt *st = db_prepare(j->db,
                                    "UPDATE counter SET value = max(value + 1, :least)"
                                    " WHERE name = 'docs_version' RETURNING value",
                                    err);
    int64_t version = -1;

    if (st == NULL)
        return -1;
    db_bind_int(st, ":least", at_least);
    if (db_step(st, err) > 0)
        version = db_col_int(st, 0);
    db_done(st);
    return version;
}

static int read_doc(struct journal *j, const char *kind, const char *name, struct json **doc,
                    struct err *err)
{
    struct db_stmt *st =
        db_prepare(j->db, "SELECT doc FROM object WHERE kind = :kind AND name = :name", err);
    int rc;

    *doc = NULL;
    if (st == NULL)
        return -1;
    db_bind_str(st, ":kind", kind);
    db_bind_str(st, ":name", name);
    rc = db_step(st, err);
    if (rc > 0) {
        *doc = json_parse(db_col_str(st, 0), strlen(db_col_str(st, 0)), err);
        rc = *doc != NULL ? 0 : -1;
    }
    db_done(st);
    return rc;
}

/* doc NULL: the document is removed. */
static int write_doc(struct journal *j, const struct json *effect, const struct json *doc,
                     int64_t version, struct err *err)
{
    struct db_stmt *st =
        doc != NULL
            ? db_prepare(j->db,
                         "INSERT INTO object (kind, name, doc, version)"
                         " VALUES (:kind, :name, :doc, :version) ON CONFLICT (kind, name)"
                         " DO UPDATE SET doc = excluded.doc, version = excluded.version",
                         err)
            : db_prepare(j->db, "DELETE FROM object WHERE kind = :kind AND name = :name", err);

    if (st == NULL)
        return -1;
    db_bind_str(st, ":kind", json_str(effect, "kind"));
    db_bind_str(st, ":name", json_str(effect, "name"));
    if (doc != NULL) {
        bind_json(st, ":doc", doc);
        db_bind_int(st, ":version", version);
    }
    return db_run(st, err);
}

static int put_effect(struct journal *j, const struct json *effect, int64_t plan_id,
                      int64_t version, struct err *err)
{
    const char *kind = json_str(effect, "kind"), *name = json_str(effect, "name");
    struct json *present, *result;
    int rc;

    if (kind == NULL || name == NULL)
        return err_set(err, ERR_INTERNAL, "an effect without kind or name");
    if (read_doc(j, kind, name, &present, err) < 0)
        return -1;
    result = meta_effect_result(present, effect, plan_id);
    rc = write_doc(j, effect, result, version, err);
    json_free(result);
    json_free(present);
    return rc;
}

int put_effects(struct journal *j, const struct json *effects, int64_t plan_id, struct err *err)
{
    int64_t version;

    if (json_len(effects) == 0)
        return 0;
    version = raise_version(j, 0, err);
    if (version < 0)
        return -1;
    JSON_FOREACH (effect, effects) {
        if (put_effect(j, effect, plan_id, version, err) < 0)
            return -1;
    }
    return 0;
}

int journal_apply(struct journal *j, const struct json *effects, struct err *err)
{
    if (journal_begin_change(j, err) < 0)
        return -1;
    return journal_end(j, put_effects(j, effects, 0, err), err);
}

static int put_docs(struct journal *j, const struct json *docs, int64_t version, struct err *err)
{
    struct db_stmt *st =
        db_prepare(j->db,
                   "INSERT INTO object (kind, name, doc, version)"
                   " SELECT k.key, d.key, d.value, :version FROM json_each(:docs) k"
                   " JOIN json_each(k.value) d",
                   err);

    if (st == NULL)
        return -1;
    bind_json(st, ":docs", docs);
    db_bind_int(st, ":version", version);
    return db_run(st, err);
}

static int replace_docs(struct journal *j, const struct json *docs, int64_t version,
                        struct err *err)
{
    struct db_stmt *st;

    version = raise_version(j, version, err);
    st = version < 0 ? NULL : db_prepare(j->db, "DELETE FROM object", err);
    if (st == NULL || db_run(st, err) < 0)
        return -1;
    return put_docs(j, docs, version, err);
}

int journal_adopt_docs(struct journal *j, const struct json *docs, int64_t version, struct err *err)
{
    if (journal_begin_change(j, err) < 0)
        return -1;
    return journal_end(j, replace_docs(j, docs, version, err), err);
}

int journal_replace_docs(struct journal *j, const struct json *docs, struct err *err)
{
    return journal_adopt_docs(j, docs, 0, err);
}

/* --- the last observation --- */

static int run_with_states(struct journal *j, const char *sql, const struct json *states,
                           int64_t time_ms, struct err *err)
{
    struct db_stmt *st = db_prepare(j->db, sql, err);

    if (st == NULL)
        return -1;
    if (states != NULL)
        bind_json(st, ":states", states);
    if (time_ms > 0)
        db_bind_int(st, ":time", time_ms);
    return db_run(st, err);
}

static int put_observation(struct journal *j, int64_t time_ms, const struct json *states,
                           struct err *err)
{
    if (run_with_states(j,
                        "DELETE FROM observation"
                        " WHERE service NOT IN (SELECT key FROM json_each(:states))",
                        states, 0, err) < 0)
        return -1;
    if (run_with_states(j,
                        "INSERT INTO observation (service, state, since_ms)"
                        " SELECT key, value, :time FROM json_each(:states) WHERE true"
                        " ON CONFLICT (service) DO UPDATE SET state = excluded.state,"
                        " since_ms = excluded.since_ms WHERE state <> excluded.state",
                        states, time_ms, err) < 0)
        return -1;
    return run_with_states(j, "UPDATE counter SET value = :time WHERE name = 'observed_ms'", NULL,
                           time_ms, err);
}

int journal_observed(struct journal *j, int64_t time_ms, const struct json *states, struct err *err)
{
    if (journal_begin(j, err) < 0)
        return -1;
    return journal_end(j, put_observation(j, time_ms, states, err), err);
}

int journal_last_observed(struct journal *j, struct json **states, int64_t *time_ms,
                          struct err *err)
{
    struct db_stmt *st =
        db_prepare(j->db,
                   "SELECT (SELECT value FROM counter WHERE name = 'observed_ms'),"
                   " json_group_object(service, json_object('state', state, 'sinceMs', since_ms))"
                   " FROM observation",
                   err);

    *states = NULL;
    if (st == NULL)
        return -1;
    if (db_step(st, err) > 0) {
        if (time_ms != NULL)
            *time_ms = db_col_int(st, 0);
        *states = json_parse(db_col_str(st, 1), strlen(db_col_str(st, 1)), err);
    }
    db_done(st);
    return *states != NULL ? 0 : -1;
}
