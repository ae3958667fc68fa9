#include "kvsh/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvsh/buf.h"
#include "kvsh/log.h"
#include "kvsh/mem.h"

enum { SECRET_FILE_MAX = 64 * 1024 };

/* Reads fd to its end into b; errno is set on failure. */
static int read_all(int fd, struct buf *b)
{
    char chunk[16384];

    while (!b->overflow) {
        ssize_t n = read(fd, chunk, sizeof chunk);

        if (n == 0)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        buf_add(b, chunk, (size_t)n);
    }
    return 0;
}

char *fs_read(const char *path, size_t limit, size_t *len, struct err *err)
{
    struct buf b = {.limit = limit};
    char *data = NULL;
    int fd;

    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read_all(fd, &b) < 0) {
        err_errno(err, ERR_INPUT, errno, "read %s", path);
        goto out;
    }
    if (b.overflow) {
        err_set(err, ERR_INPUT, "read %s: larger than %zu bytes", path, limit);
        goto out;
    }
    if (len)
        *len = b.len;
    data = buf_take(&b);
out:
    buf_release(&b);
    if (fd >= 0)
        close(fd);
    return data;
}

/* The service manager gives credentials in a directory of the service's own, with modes of its own.
 */
static bool is_credential(const char *path)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    size_t len = dir ? strlen(dir) : 0;

    return len > 1 && strncmp(path, dir, len) == 0 && path[len] == '/' && !strstr(path, "/../");
}

/* 0 when only the owner may read the open file. */
static int check_private(int fd, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_errno(err, ERR_INPUT, errno, "read %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INPUT, "read %s: not a regular file", path);
    if ((st.st_mode & 077) && !is_credential(path)) {
        err_set(err, ERR_DENIED, "secret file %s is open to group or others (mode %04o)", path,
                (unsigned)(st.st_mode & 07777));
        return err_advise(err, "chmod 600 %s", path);
    }
    return 0;
}

char *fs_read_secret(const char *path, struct err *err)
{
    struct buf b = {.limit = SECRET_FILE_MAX};
    char *secret = NULL;
    int fd;

    /* Not blocking: a pipe in the file's place must be refused, not waited for. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        err_errno(err, errno == EACCES ? ERR_DENIED : ERR_INPUT, errno, "read secret file %s",
                  path);
        goto out;
    }
    if (check_private(fd, path, err) < 0)
        goto out;
    if (read_all(fd, &b) < 0) {
        err_errno(err, ERR_INPUT, errno, "read secret file %s", path);
        goto out;
    }
    if (!b.data || strcspn(b.data, "\r\n") == 0) {
        err_set(err, ERR_INPUT, "secret file %s: first line is empty", path);
        goto out;
    }
    secret = xstrndup(b.data, strcspn(b.data, "\r\n"));
    mask_add(secret);
out:
    if (b.data)
        explicit_bzero(b.data, b.cap);
    buf_release(&b);
    if (fd >= 0)
        close(fd);
    return secret;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* The directory of path; free() it. */
static char *dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return xstrdup(".");
    return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

static int sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc;

    if (fd < 0)
        return -1;
    rc = fsync(fd);
    close(fd);
    return rc;
}

int fs_write_atomic(const char *path, const char *data, size_t len, unsigned mode, struct err *err)
{
    char *tmp = xasprintf("%s.XXXXXX", path);
    char *dir = dir_of(path);
    bool is_aside = false;
    int rc = -1;
    int fd;

    fd = mkostemp(tmp, O_CLOEXEC);
    if (fd < 0)
        goto out;
    is_aside = true;
    if (fchmod(fd, (mode_t)mode) < 0 || write_all(fd, data, len) < 0 || fsync(fd) < 0)
        goto out;
    if (rename(tmp, path) < 0)
        goto out;
    is_aside = false;
    if (sync_dir(dir) < 0)
        goto out;
    rc = 0;
out:
    if (rc < 0)
        err_errno(err, ERR_FAILED, errno, "write %s", path);
    if (is_aside)
        unlink(tmp);
    if (fd >= 0)
        close(fd);
    free(dir);
    free(tmp);
    return rc;
}

bool fs_is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int make_dir(const char *path, mode_t mode, struct err *err)
{
    int why;

    if (mkdir(path, mode) == 0)
        return 0;
    why = errno == EEXIST ? ENOTDIR : errno;
    /* A directory above it may say "read-only" or "no permission" though this one is there. */
    if (fs_is_dir(path))
        return 0;
    return err_errno(err, ERR_FAILED, why, "make directory %s", path);
}

int fs_mkdirs(const char *path, unsigned mode, struct err *err)
{
    char *copy = xstrdup(path);
    int rc = 0;

    for (char *p = copy + 1; *copy && *p && rc == 0; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        rc = make_dir(copy, (mode_t)mode, err);
        *p = '/';
    }
    if (rc == 0)
        rc = make_dir(copy, (mode_t)mode, err);
    free(copy);
    return rc;
}

void fs_take_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        /* The lowest free number is fd: those below are open by now. */
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0)
            return;
    }
}

char *fs_random_hex(size_t n)
{
    unsigned char *bytes = xmalloc(n);
    char *hex = xmalloc(2 * n + 1);

    for (size_t done = 0; done < n;) {
        ssize_t got = getrandom(bytes + done, n - done, 0);

        if (got < 0 && errno != EINTR)
            abort(); /* a kernel without random numbers must not make predictable secrets */
        done += got > 0 ? (size_t)got : 0;
    }
    for (size_t i = 0; i < n; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    hex[2 * n] = '\0';
    explicit_bzero(bytes, n);
    free(bytes);
    return hex;
}
