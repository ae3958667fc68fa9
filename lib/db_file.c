#include "db_file.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kvsh/mem.h"

/*
 * The head of a database file, as far as it is looked at:
 *
 *    0  "SQLite format 3" NUL        28  pages in the file (big endian, like all below)
 *   16  page size (1: 65536)         60  user version
 *   21  64, 32, 32 (fixed)           68  application id
 *   24  change counter               92  change counter for which "pages" is right
 */
enum { HEAD_SIZE = 100 };

/* Guards making a file: closing it would drop the locks that another opener here got in between. */
static pthread_mutex_t create_lock = PTHREAD_MUTEX_INITIALIZER;

/*
 * SQLite takes memory it does not get for a NULL value here and there (a text that is bound or read
 * would silently be missing): here that ends the process as everywhere else. What was not committed
 * is rolled back by whoever opens the file next.
 */
static void *memory_get(int size)
{
    return xmalloc((size_t)size);
}

static void *memory_resize(void *p, int size)
{
    return xrealloc(p, (size_t)size, 1);
}

static int memory_size(void *p)
{
    return (int)malloc_usable_size(p);
}

static int memory_roundup(int size)
{
    return (size + 7) & ~7;
}

static int memory_init(void *unused)
{
    (void)unused;
    return SQLITE_OK;
}

static void memory_shutdown(void *unused)
{
    (void)unused;
}

static void use_own_memory(void) __attribute__((constructor));

static void use_own_memory(void)
{
    static const sqlite3_mem_methods memory = {
        .xMalloc = memory_get,
        .xFree = free,
        .xRealloc = memory_resize,
        .xSize = memory_size,
        .xRoundup = memory_roundup,
        .xInit = memory_init,
        .xShutdown = memory_shutdown,
    };

    sqlite3_config(SQLITE_CONFIG_MALLOC, &memory);
}

static char *directory(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? xstrndup(path, (size_t)(slash - path) + (slash == path)) : xstrdup(".");
}

static int advise_directory(const char *path, struct err *err)
{
    char *dir = directory(path);

    err_advise(err, "check that directory %s exists and that you may write in it", dir);
    free(dir);
    return -1;
}

/* Makes the file with mode 0600 (its -wal and -shm get the same mode); one that is there stays. */
static int make_file(const char *path, const char *what, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd >= 0) {
        close(fd);
        return 0;
    }
    if (errno == EEXIST)
        return 0;
    err_errno(err, ERR_FAILED, errno, "make %s %s", what, path);
    return advise_directory(path, err);
}

static int open_error(sqlite3 *handle, const char *path, const char *what, struct err *err)
{
    int e = handle ? sqlite3_system_errno(handle) : 0;

    if (e == ENOENT)
        return err_set(err, ERR_INPUT, "%s %s: no such file", what, path);
    if (e == 0)
        return db_file_error(handle, path, what, err);
    err_errno(err, ERR_FAILED, e, "open %s %s", what, path);
    return advise_directory(path, err);
}

int db_file_open(sqlite3 **handle, const char *path, bool create, const char *what, struct err *err)
{
    int rc;

    pthread_mutex_lock(&create_lock);
    rc = create ? make_file(path, what, err) : 0;
    if (rc == 0 &&
        sqlite3_open_v2(path, handle,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                        NULL) != SQLITE_OK)
        rc = open_error(*handle, path, what, err);
    pthread_mutex_unlock(&create_lock);
    return rc;
}

static uint32_t be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int refuse_corrupt(const char *path, const char *what, const char *why, struct err *err)
{
    err_set(err, ERR_INPUT, "%s %s is corrupt (%s)", what, path, why);
    return err_advise(err, "nothing was repaired; restore it from a backup, or move it away to "
                           "begin with an empty one");
}

static bool has_log(const char *path)
{
    char *wal = xasprintf("%s-wal", path);
    struct stat st;
    bool has = stat(wal, &st) == 0 && st.st_size > 0;

    free(wal);
    return has;
}

/* NULL when head may begin a database of that many bytes, otherwise what is wrong. */
static const char *head_fault(const unsigned char *head, sqlite3_int64 size, bool has_wal)
{
    uint32_t page = (uint32_t)head[16] << 8 | head[17];

    if (page == 1)
        page = 65536;
    if (memcmp(head, "SQLite format 3", 16) != 0)
        return "no database file";
    if (page < 512 || (page & (page - 1)) || memcmp(head + 21, "\x40\x20\x20", 3) != 0)
        return "damaged head";
    /* While there is a log, the file itself may be behind. */
    if (has_wal)
        return NULL;
    if (size % page || (be32(head + 24) == be32(head + 92) && size / page < be32(head + 28)))
        return "cut off";
    return NULL;
}

/*
 * The file is read through SQLite's own file object: opening and closing it a second time in this
 * process would drop the locks other connections hold.
 */
int db_file_check(sqlite3 *handle, const char *path, const struct db_schema *schema,
                  struct db_file_head *head, struct err *err)
{
    unsigned char h[HEAD_SIZE] = {0};
    sqlite3_file *file = NULL;
    sqlite3_int64 size = 0;
    const char *fault;
    int rc;

    *head = (struct db_file_head){0};
    sqlite3_file_control(handle, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (!file || !file->pMethods)
        return err_set(err, ERR_INTERNAL, "%s %s: no file behind it", schema->what, path);
    rc = file->pMethods->xFileSize(file, &size);
    if (rc == SQLITE_OK && size > 0)
        rc = file->pMethods->xRead(file, h, HEAD_SIZE, 0);
    if (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ)
        return err_set(err, ERR_FAILED, "read %s %s: %s", schema->what, path, sqlite3_errstr(rc));
    head->is_empty = size == 0;
    if (size > 0) {
        fault = head_fault(h, size, has_log(path));
        if (fault)
            return refuse_corrupt(path, schema->what, fault, err);
        if (be32(h + 68) != (uint32_t)schema->application_id) {
            err_set(err, ERR_INPUT, "%s is a database of another program, not a kvsh %s", path,
                    schema->what);
            return err_advise(err, "it was not changed; check the path");
        }
    }
    head->user_version = be32(h + 60);
    return 0;
}

int db_file_writable(sqlite3 *handle, const char *path, const char *what, struct err *err)
{
    struct statvfs fs;

    if (sqlite3_db_readonly(handle, "main") == 1) {
        if (statvfs(path, &fs) == 0 && (fs.f_flag & ST_RDONLY) != 0) {
            err_set(err, ERR_FAILED, "%s %s is on a read-only file system", what, path);
            return err_advise(err, "find out why it is read-only, mount it for writing and repeat");
        }
        err_set(err, ERR_FAILED, "%s %s is not writable", what, path);
        return err_advise(err, "check the owner and mode of the file and of its file system");
    }
    return 0;
}

/* With nothing left, SQLite cannot even make the files beside it that reading needs. */
static bool is_full(sqlite3 *handle, const char *path)
{
    int why = sqlite3_system_errno(handle);
    struct statvfs fs;

    return why == ENOSPC || why == EDQUOT || (statvfs(path, &fs) == 0 && fs.f_bavail == 0);
}

static int refuse_full(const char *path, const char *what, struct err *err)
{
    err_set(err, ERR_FAILED, "write %s %s: no space left", what, path);
    return err_advise(err, "free space on its file system and repeat; nothing is half done");
}

static bool is_file(const char *path, const char *end, dev_t device, uint64_t inode)
{
    char *name = xasprintf("%s%s", path, end);
    struct stat st;
    bool is_it = stat(name, &st) == 0 && st.st_ino == inode && st.st_dev == device;

    free(name);
    return is_it;
}

/* From a line like "1: POSIX  ADVISORY  WRITE 4711 fe:00:9977889 120 120". */
static bool is_writer_of(const char *line, const char *path, long *pid)
{
    static const char kind[] = "POSIX  ADVISORY  WRITE ";
    const char *at = strstr(line, kind);
    unsigned long disk, part;
    uint64_t inode;
    char *end;

    if (at == NULL)
        return false;
    *pid = strtol(at + strlen(kind), &end, 10);
    disk = strtoul(end, &end, 16);
    if (*end != ':')
        return false;
    part = strtoul(end + 1, &end, 16);
    if (*end != ':')
        return false;
    inode = strtoull(end + 1, &end, 10);
    return is_file(path, "", makedev(disk, part), inode) ||
           is_file(path, "-shm", makedev(disk, part), inode);
}

/*
 * The process that may write at present, by the kernel's list of locks, proc_locks(5): in the file
 * itself, or in the index of its log. 0: none that can be named. Asking with a descriptor of our
 * own would drop SQLite's locks when it is closed.
 */
static long find_writer(const char *path)
{
    FILE *f = fopen("/proc/locks", "re");
    char line[256];
    long writer = 0, pid;

    while (f != NULL && writer == 0 && fgets(line, sizeof line, f) != NULL) {
        if (is_writer_of(line, path, &pid) && pid > 0 && pid != getpid())
            writer = pid;
    }
    if (f != NULL)
        fclose(f);
    return writer;
}

static int refuse_locked(const char *path, const char *what, struct err *err)
{
    long writer = find_writer(path);

    if (writer == 0) {
        err_set(err, ERR_FAILED, "%s %s is kept locked by another process", what, path);
        return err_advise(err, "repeat when the other kvsh is done");
    }
    err_set(err, ERR_FAILED, "%s %s is kept locked by process %ld", what, path, writer);
    return err_advise(err, "repeat when it is done; 'ps %ld' shows whether it is stopped", writer);
}

int db_file_error(sqlite3 *handle, const char *path, const char *what, struct err *err)
{
    int code = sqlite3_errcode(handle);

    switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return refuse_corrupt(path, what, sqlite3_errmsg(handle), err);
    case SQLITE_FULL:
        return refuse_full(path, what, err);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return refuse_locked(path, what, err);
    case SQLITE_READONLY:
        err_set(err, ERR_FAILED, "%s %s is not writable", what, path);
        return advise_directory(path, err);
    case SQLITE_CANTOPEN:
        err_set(err, ERR_FAILED, "%s %s: cannot make files beside it", what, path);
        return advise_directory(path, err);
    case SQLITE_IOERR:
        if (is_full(handle, path))
            return refuse_full(path, what, err);
        err_set(err, ERR_FAILED, "%s %s: %s", what, path, sqlite3_errmsg(handle));
        return err_advise(err, "check the disk and the file system");
    case SQLITE_NOMEM:
        return err_set(err, ERR_FAILED, "%s %s: out of memory", what, path);
    case SQLITE_CONSTRAINT:
        return err_set(err, ERR_FAILED, "%s %s: %s", what, path, sqlite3_errmsg(handle));
    default:
        return err_set(err, ERR_INTERNAL, "%s %s: %s", what, path, sqlite3_errmsg(handle));
    }
}
