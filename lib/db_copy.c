/*
 * Reading a database that cannot be written. SQLite wants to make files beside one with a
 * write-ahead log, and without them reads the file only when it is told that nothing changes; then
 * it leaves the log out, and with it what was committed last. Here the log is read, too: under
 * exclusive locking its index is kept in memory, and the file system that takes no locks for files
 * opened for reading needs none. Whether somebody wrote meanwhile is seen afterwards.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "db_file.h"
#include "kvsh/buf.h"
#include "kvsh/fs.h"
#include "kvsh/mem.h"

enum { TRIES = 10, NAP_MS = 50, SPACE_NEEDED = 64 << 10 };

/* A file as it was at one moment. */
struct look {
    struct stat db, log;
};

static struct look look_at(const char *path)
{
    char *log = xasprintf("%s-wal", path);
    struct look l;

    memset(&l, 0, sizeof l);
    if (stat(path, &l.db) != 0)
        l.db.st_size = 0;
    if (stat(log, &l.log) != 0)
        l.log.st_size = 0;
    free(log);
    return l;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static bool is_same(const struct look *a, const struct look *b)
{
    return is_same_file(&a->db, &b->db) && is_same_file(&a->log, &b->log);
}

/* The path as a URI, whatever it holds. */
static char *uri_of(const char *path, const char *parameters)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-";
    struct buf b;

    buf_init(&b, 0);
    buf_adds(&b, *path == '/' ? "file://" : "file:");
    for (const char *p = path; *p != '\0'; p++) {
        if (strchr(plain, *p) != NULL)
            buf_addc(&b, *p);
        else
            buf_addf(&b, "%%%02X", (unsigned char)*p);
    }
    buf_addf(&b, "?%s", parameters);
    return buf_take(&b);
}

static int open_source(sqlite3 **source, const char *path, bool has_log, const char *what,
                       struct err *err)
{
    const int flags =
        SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    char *uri = uri_of(path, has_log ? "mode=ro" : "mode=ro&immutable=1");
    int rc = 0;

    if (sqlite3_open_v2(uri, source, flags, has_log ? "unix-none" : NULL) != SQLITE_OK ||
        (has_log &&
         sqlite3_exec(*source, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL, NULL) != SQLITE_OK))
        rc = db_file_error(*source, path, what, err);
    free(uri);
    return rc;
}

static int copy_pages(sqlite3 *memory, sqlite3 *source, const char *path, const char *what,
                      struct err *err)
{
    sqlite3_backup *backup = sqlite3_backup_init(memory, "main", source, "main");
    int rc;

    if (backup == NULL)
        return db_file_error(memory, path, what, err);
    rc = sqlite3_backup_step(backup, -1);
    sqlite3_backup_finish(backup);
    return rc == SQLITE_DONE ? 0 : db_file_error(memory, path, what, err);
}

static int copy_once(sqlite3 **memory, const char *path, const struct db_schema *schema,
                     struct db_file_head *head, struct err *err)
{
    const struct look l = look_at(path);
    sqlite3 *source = NULL;
    int rc = -1;

    if (open_source(&source, path, l.log.st_size > 0, schema->what, err) < 0 ||
        db_file_check(source, path, schema, head, err) < 0)
        goto out;
    if (head->is_empty) {
        err_set(err, ERR_INPUT, "%s %s is empty", schema->what, path);
        goto out;
    }
    if (sqlite3_open_v2(":memory:", memory,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                        NULL) != SQLITE_OK)
        rc = db_file_error(*memory, path, schema->what, err);
    else
        rc = copy_pages(*memory, source, path, schema->what, err);
out:
    sqlite3_close(source);
    return rc;
}

int db_file_copy(sqlite3 **memory, const char *path, const struct db_schema *schema,
                 struct db_file_head *head, struct err *err)
{
    for (int i = 0; i < TRIES; i++) {
        const struct look before = look_at(path);
        int rc = copy_once(memory, path, schema, head, err);
        const struct look after = look_at(path);

        if (is_same(&before, &after))
            return rc;
        sqlite3_close(*memory);
        *memory = NULL;
        err_clear(err);
        time_sleep_ms(NAP_MS);
    }
    return err_set(err, ERR_FAILED, "%s %s is being written by another process", schema->what,
                   path);
}

bool db_is_unwritable(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir =
        slash != NULL ? xstrndup(path, (size_t)(slash - path) + (slash == path)) : xstrdup(".");
    struct statvfs fs;
    bool is = access(path, W_OK) != 0 || access(dir, W_OK) != 0;

    if (!is && statvfs(dir, &fs) == 0)
        is = (fs.f_flag & ST_RDONLY) != 0 || fs.f_bavail * fs.f_frsize < SPACE_NEEDED ||
             (fs.f_files > 0 && fs.f_favail == 0);
    free(dir);
    return is;
}
