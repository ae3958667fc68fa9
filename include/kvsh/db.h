/*
 * SQLite, thinly (the only user of it is lib/db.c).
 *
 * Opening sets WAL, synchronous=FULL, foreign_keys, a busy time-out of 10 s, and checks
 * application_id and user_version. Statements are prepared once and cached by their text.
 * Parameters are always bound. Writers use db_begin() (BEGIN IMMEDIATE) .. db_commit().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvsh/err.h"

struct db;
struct db_stmt;

struct db_migration {
    int version;     /* user_version after this step: 1, 2, 3 ... */
    const char *sql; /* run in one transaction */
};

struct db_schema {
    int32_t application_id;
    const char *what;                      /* for errors: "journal" */
    const struct db_migration *migrations; /* ends with {0, NULL} */
};

/*
 * Opens path; with create, makes it (mode 0600, also its -wal and -shm) when absent. A file that is
 * no SQLite file, corrupt, foreign (other application_id) or of a newer version is refused with
 * ERR_INPUT and a sentence and never changed; what the file system refuses is ERR_FAILED.
 * Without create an absent file is ERR_INPUT.
 */
struct db *db_open(const char *path, bool create, const struct db_schema *schema, struct err *err);
/*
 * The whole of a file that cannot be written (read-only file system, full disk), read once into
 * memory, its log included; brought to the present format there. What is written to it is gone with
 * db_close(). Refused as by db_open(). No other connection of this process may have the file open.
 */
struct db *db_open_copy(const char *path, const struct db_schema *schema, struct err *err);
/* Can there be nothing written at path just now: no permission, a read-only file system, no space
 * left? Whoever asks has seen db_open() or a write fail. */
bool db_is_unwritable(const char *path);
void db_close(struct db *db);

int db_exec(struct db *db, const char *sql, struct err *err);

/*
 * A statement for sql (a string with static lifetime: the cache compares the pointer first). It
 * stays the db's; db_done() resets it and clears the bindings. Bind by name (":id"); strings are
 * copied.
 */
struct db_stmt *db_prepare(struct db *db, const char *sql, struct err *err);
void db_bind_int(struct db_stmt *st, const char *name, int64_t value);
void db_bind_str(struct db_stmt *st, const char *name, const char *value); /* NULL binds NULL */
/* 1: a row is there, 0: no more rows, -1: failed (disk full, I/O error, busy: ERR_FAILED). */
int db_step(struct db_stmt *st, struct err *err);
int64_t db_col_int(struct db_stmt *st, int col);
/* NULL for NULL; valid until the next db_step() or db_done(). */
const char *db_col_str(struct db_stmt *st, int col);
bool db_col_is_null(struct db_stmt *st, int col);
void db_done(struct db_stmt *st);
/* Steps a statement that gives no rows, then db_done(). */
int db_run(struct db_stmt *st, struct err *err);

int db_begin(struct db *db, struct err *err);
int db_commit(struct db *db, struct err *err); /* on failure it has rolled back */
void db_rollback(struct db *db);
int64_t db_last_id(const struct db *db);
/* Changes whenever another connection committed: cheap polling (PRAGMA data_version). */
int64_t db_data_version(struct db *db);
