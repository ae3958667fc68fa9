/* The file under a struct db: opening it, judging it before anything may touch it, and what its
 * errors mean. */
#pragma once

#include <sqlite3.h>

#include "kvsh/db.h"

struct db_file_head {
    bool is_empty; /* no bytes yet */
    uint32_t user_version;
};

/* Opens (with create: makes, mode 0600) the file without reading or changing it. */
int db_file_open(sqlite3 **handle, const char *path, bool create, const char *what,
                 struct err *err);

/* Reads the file's first page head. Refuses what is no database, cut or foreign. */
int db_file_check(sqlite3 *handle, const char *path, const struct db_schema *schema,
                  struct db_file_head *head, struct err *err);

/* Refuses what was opened read-only because more is not allowed. */
int db_file_writable(sqlite3 *handle, const char *path, const char *what, struct err *err);

/* Copies the file, its log included, into a new database in memory, without any file beside it. */
int db_file_copy(sqlite3 **memory, const char *path, const struct db_schema *schema,
                 struct db_file_head *head, struct err *err);

/* The handle's last error as a sentence about the file at path; returns -1. */
int db_file_error(sqlite3 *handle, const char *path, const char *what, struct err *err);
