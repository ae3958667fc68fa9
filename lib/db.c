#include "kvsh/db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "db_file.h"
#include "kvsh/fault.h"
#include "kvsh/fs.h"
#include "kvsh/mem.h"

enum { BUSY_TIMEOUT_MS = 10000, BUSY_NAP_MS = 5 };

struct db_stmt {
    struct db *db;
    sqlite3_stmt *handle;
    const char *sql;
    bool is_in_use; /* between db_prepare() and db_done() */
};

struct db {
    sqlite3 *handle;
    const struct db_schema *schema;
    char *path;
    struct db_stmt **stmts;
    size_t stmt_count;
};

/* What the last call on the handle said, as a sentence. Returns -1. */
static int fail(struct db *db, struct err *err)
{
    return db_file_error(db->handle, db->path, db->schema->what, err);
}

static int run_text(struct db *db, const char *sql, struct err *err)
{
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(db, err);
}

static int run_format(struct db *db, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int run_format(struct db *db, struct err *err, const char *fmt, ...)
{
    va_list ap;
    char *sql;
    int rc;

    va_start(ap, fmt);
    sql = xvasprintf(fmt, ap);
    va_end(ap);
    rc = run_text(db, sql, err);
    free(sql);
    return rc;
}

static int read_int(struct db *db, const char *sql, int64_t *value, struct err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = -1;

    if (sqlite3_prepare_v2(db->handle, sql, -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW) {
        *value = sqlite3_column_int64(st, 0);
        rc = 0;
    } else {
        fail(db, err);
    }
    sqlite3_finalize(st);
    return rc;
}

static int newest_version(const struct db_schema *schema)
{
    int version = 0;

    for (const struct db_migration *m = schema->migrations; m->sql; m++)
        version = m->version;
    return version;
}

static int check_version(struct db *db, int64_t version, struct err *err)
{
    int known = newest_version(db->schema);

    if (version <= known)
        return 0;
    err_set(err, ERR_INPUT,
            "%s %s has format %lld, this kvsh knows formats up to %d: a newer kvsh wrote it",
            db->schema->what, db->path, (long long)version, known);
    return err_advise(err, "use that newer kvsh; the file was not changed");
}

/* One step of the schema, unless another process was faster. */
static int migrate(struct db *db, const struct db_migration *m, struct err *err)
{
    int64_t version;

    if (db_begin(db, err) < 0)
        return -1;
    if (read_int(db, "PRAGMA user_version", &version, err) < 0)
        goto out;
    if (version < m->version && (run_text(db, m->sql, err) < 0 ||
                                 run_format(db, err, "PRAGMA user_version = %d", m->version) < 0)) {
        err_prepend(err, "to format %d", m->version);
        goto out;
    }
    return db_commit(db, err);
out:
    db_rollback(db);
    return -1;
}

/*
 * Marks a file of no pages as ours while it still has a rollback journal, so that the mark is in
 * the file itself from its first commit on, whatever the write-ahead log may hold later. Asking for
 * the pages rolls back a first commit that was cut short: a file that seemed marked is empty again.
 */
static int claim(struct db *db, struct err *err)
{
    int64_t pages;

    if (read_int(db, "PRAGMA page_count", &pages, err) < 0)
        return -1;
    if (pages > 0)
        return 0;
    if (db_begin(db, err) < 0)
        return -1;
    if (run_format(db, err, "PRAGMA application_id = %d", (int)db->schema->application_id) < 0) {
        db_rollback(db);
        return -1;
    }
    return db_commit(db, err);
}

/* Switching the mode does not wait for other openers by itself. */
static int set_wal(struct db *db, struct err *err)
{
    int64_t deadline = time_mono_ms() + BUSY_TIMEOUT_MS;
    struct err busy = ERR_INIT;
    sqlite3_stmt *st = NULL;
    bool is_wal = false;
    int rc;

    do {
        rc = sqlite3_prepare_v2(db->handle, "PRAGMA journal_mode = WAL", -1, &st, NULL);
        if (rc == SQLITE_OK)
            rc = sqlite3_step(st);
        if (rc == SQLITE_ROW)
            is_wal = strcmp((const char *)sqlite3_column_text(st, 0), "wal") == 0;
        else
            fail(db, &busy);
        sqlite3_finalize(st);
        if ((rc & 0xff) != SQLITE_BUSY)
            break;
        time_sleep_ms(BUSY_NAP_MS);
    } while (time_mono_ms() < deadline);
    if (rc != SQLITE_ROW) {
        *err = busy;
        return -1;
    }
    if (is_wal)
        return 0;
    err_set(err, ERR_FAILED, "%s %s: its file system cannot share memory between processes",
            db->schema->what, db->path);
    return err_advise(err, "keep it on a local file system");
}

/* The steps of the schema that a database of that version lacks. */
static int upgrade(struct db *db, int64_t version, struct err *err)
{
    if (run_text(db, "PRAGMA foreign_keys = ON", err) < 0)
        return -1;
    for (const struct db_migration *m = db->schema->migrations; m->sql; m++)
        if (m->version > version && migrate(db, m, err) < 0)
            return -1;
    return 0;
}

/* Brings an accepted file into use: settings, then the steps of the schema it lacks. */
static int prepare_file(struct db *db, struct err *err)
{
    int64_t version;

    if (claim(db, err) < 0)
        return -1;
    if (read_int(db, "PRAGMA user_version", &version, err) < 0 ||
        check_version(db, version, err) < 0)
        return -1;
    /* From here on the file is known to be ours: closing may tidy up its log again. */
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    if (set_wal(db, err) < 0 || run_text(db, "PRAGMA synchronous = FULL", err) < 0)
        return -1;
    return upgrade(db, version, err);
}

struct db *db_open(const char *path, bool create, const struct db_schema *schema, struct err *err)
{
    struct db *db = xcalloc(1, sizeof *db);
    struct db_file_head head;

    db->schema = schema;
    db->path = xstrdup(path);
    if (db_file_open(&db->handle, path, create, schema->what, err) < 0)
        goto fail;
    sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (db_file_check(db->handle, path, schema, &head, err) < 0)
        goto fail;
    if (head.is_empty && !create) {
        err_set(err, ERR_INPUT, "%s %s is empty", schema->what, path);
        goto fail;
    }
    if (db_file_writable(db->handle, path, schema->what, err) < 0 ||
        check_version(db, head.user_version, err) < 0 || prepare_file(db, err) < 0)
        goto fail;
    return db;
fail:
    db_close(db);
    return NULL;
}

struct db *db_open_copy(const char *path, const struct db_schema *schema, struct err *err)
{
    struct db *db = xcalloc(1, sizeof *db);
    struct db_file_head head;
    int64_t version;

    db->schema = schema;
    db->path = xstrdup(path);
    if (db_file_copy(&db->handle, path, schema, &head, err) == 0 &&
        check_version(db, head.user_version, err) == 0 &&
        read_int(db, "PRAGMA user_version", &version, err) == 0 &&
        check_version(db, version, err) == 0 && upgrade(db, version, err) == 0)
        return db;
    db_close(db);
    return NULL;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    for (size_t i = 0; i < db->stmt_count; i++) {
        sqlite3_finalize(db->stmts[i]->handle);
        free(db->stmts[i]);
    }
    sqlite3_close(db->handle);
    free(db->stmts);
    free(db->path);
    free(db);
}

int db_exec(struct db *db, const char *sql, struct err *err)
{
    return run_text(db, sql, err);
}

/* A statement of that text which nobody is stepping through. */
static struct db_stmt *find_stmt(struct db *db, const char *sql)
{
    for (size_t i = 0; i < db->stmt_count; i++)
        if (db->stmts[i]->sql == sql && !db->stmts[i]->is_in_use)
            return db->stmts[i];
    for (size_t i = 0; i < db->stmt_count; i++)
        if (strcmp(db->stmts[i]->sql, sql) == 0 && !db->stmts[i]->is_in_use)
            return db->stmts[i];
    return NULL;
}

struct db_stmt *db_prepare(struct db *db, const char *sql, struct err *err)
{
    struct db_stmt *st = find_stmt(db, sql);
    sqlite3_stmt *handle = NULL;

    if (!st) {
        if (sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &handle, NULL) !=
            SQLITE_OK) {
            fail(db, err);
            return NULL;
        }
        st = xcalloc(1, sizeof *st);
        *st = (struct db_stmt){.db = db, .handle = handle, .sql = sql};
        db->stmts = xrealloc(db->stmts, db->stmt_count + 1, sizeof *db->stmts);
        db->stmts[db->stmt_count++] = st;
    }
    st->is_in_use = true;
    return st;
}

/* The parameter's number; a name the statement lacks is a programming error. */
static int parameter(struct db_stmt *st, const char *name)
{
    int i = sqlite3_bind_parameter_index(st->handle, name);

    if (i == 0) {
        fprintf(stderr, "statement has no parameter %s: %s\n", name, st->sql);
        abort();
    }
    return i;
}

void db_bind_int(struct db_stmt *st, const char *name, int64_t value)
{
    sqlite3_bind_int64(st->handle, parameter(st, name), value);
}

void db_bind_str(struct db_stmt *st, const char *name, const char *value)
{
    if (value)
        sqlite3_bind_text(st->handle, parameter(st, name), value, -1, SQLITE_TRANSIENT);
    else
        sqlite3_bind_null(st->handle, parameter(st, name));
}

int db_step(struct db_stmt *st, struct err *err)
{
    sqlite3 *handle = st->db->handle;
    bool commits = sqlite3_get_autocommit(handle) && !sqlite3_stmt_readonly(st->handle);
    int rc;

    if (commits)
        fault_point("commit.before");
    rc = sqlite3_step(st->handle);
    if (commits)
        fault_point("commit.after");
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        return rc == SQLITE_ROW;
    return fail(st->db, err);
}

int64_t db_col_int(struct db_stmt *st, int col)
{
    return sqlite3_column_int64(st->handle, col);
}

const char *db_col_str(struct db_stmt *st, int col)
{
    return (const char *)sqlite3_column_text(st->handle, col);
}

bool db_col_is_null(struct db_stmt *st, int col)
{
    return sqlite3_column_type(st->handle, col) == SQLITE_NULL;
}

void db_done(struct db_stmt *st)
{
    if (!st)
        return;
    sqlite3_reset(st->handle);
    sqlite3_clear_bindings(st->handle);
    st->is_in_use = false;
}

int db_run(struct db_stmt *st, struct err *err)
{
    int rc;

    while ((rc = db_step(st, err)) > 0)
        ;
    db_done(st);
    return rc;
}

int db_begin(struct db *db, struct err *err)
{
    return run_text(db, "BEGIN IMMEDIATE", err);
}

int db_commit(struct db *db, struct err *err)
{
    int rc;

    fault_point("commit.before");
    rc = run_text(db, "COMMIT", err);
    if (rc < 0)
        db_rollback(db);
    fault_point("commit.after");
    return rc;
}

void db_rollback(struct db *db)
{
    if (!sqlite3_get_autocommit(db->handle))
        sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

int64_t db_last_id(const struct db *db)
{
    return sqlite3_last_insert_rowid(db->handle);
}

int64_t db_data_version(struct db *db)
{
    struct err err = ERR_INIT;
    struct db_stmt *st = db_prepare(db, "PRAGMA data_version", &err);
    int64_t version = -1;

    if (st && db_step(st, &err) == 1)
        version = db_col_int(st, 0);
    db_done(st);
    return version;
}
