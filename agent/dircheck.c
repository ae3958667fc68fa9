#include "agent/dircheck.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FULL_BYTES (INT64_C(64) << 20)
#define TEST_FILE ".kvagentd-test"
enum { FULL_PERCENT = 1, TEST_BYTES = 4096 };

static const char *const states[] = {
    [DIR_OK] = "ok",
    [DIR_MISSING] = "missing",
    [DIR_REPLACED] = "replaced",
    [DIR_READONLY] = "readonly",
    [DIR_FULL] = "full",
    [DIR_UNREADABLE] = "unreadable",
};

const char *dir_state_name(enum dir_state s)
{
    return states[s];
}

bool file_id_equal(struct file_id a, struct file_id b)
{
    return a.dev == b.dev && a.ino == b.ino;
}

bool dir_id(const char *path, struct file_id *id)
{
    struct stat st;

    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return false;
    *id = (struct file_id){st.st_dev, st.st_ino};
    return true;
}

bool dir_is_full(int64_t free_bytes, int64_t total_bytes)
{
    return free_bytes < FULL_BYTES && free_bytes < total_bytes / 100 * FULL_PERCENT;
}

static void bad(struct dir_health *h, enum dir_state state, const char *why)
{
    h->state = state;
    snprintf(h->detail, sizeof h->detail, "%s", why);
}

static enum dir_state state_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        return DIR_MISSING;
    case EROFS:
    case EACCES:
    case EPERM:
        return DIR_READONLY;
    case ENOSPC:
    case EDQUOT:
        return DIR_FULL;
    default:
        return DIR_UNREADABLE;
    }
}

void dir_look(const char *path, struct dir_health *h)
{
    struct statvfs vfs;
    struct stat st;

    *h = (struct dir_health){.state = DIR_OK, .free_bytes = -1, .total_bytes = -1};
    if (stat(path, &st) < 0) {
        bad(h, errno == ENOENT || errno == ENOTDIR ? DIR_MISSING : DIR_UNREADABLE, strerror(errno));
        return;
    }
    if (!S_ISDIR(st.st_mode)) {
        bad(h, DIR_MISSING, "it is not a directory");
        return;
    }
    h->id = (struct file_id){st.st_dev, st.st_ino};
    if (statvfs(path, &vfs) < 0)
        return;
    h->free_bytes = (int64_t)(vfs.f_bavail * vfs.f_frsize);
    h->total_bytes = (int64_t)(vfs.f_blocks * vfs.f_frsize);
    if (dir_is_full(h->free_bytes, h->total_bytes))
        bad(h, DIR_FULL, "less than 64 MiB and less than 1 % of it is free");
}

/* 0, or the errno value of the first step that did not work. */
static int write_test(const char *path)
{
    static const char zeros[TEST_BYTES];
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = dir < 0 ? -1
                     : openat(dir, TEST_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                              0600);
    int errnum = fd < 0 ? errno : 0;

    if (fd >= 0) {
        ssize_t n = write(fd, zeros, sizeof zeros);

        if (n != (ssize_t)sizeof zeros)
            errnum = n < 0 ? errno : ENOSPC;
        else if (fsync(fd) < 0)
            errnum = errno;
        close(fd);
        if (unlinkat(dir, TEST_FILE, 0) < 0 && errnum == 0 && errno != ENOENT)
            errnum = errno;
    }
    if (dir >= 0)
        close(dir);
    return errnum;
}

void dir_test(const char *path, struct dir_health *h)
{
    int errnum;

    dir_look(path, h);
    if (h->state != DIR_OK && h->state != DIR_FULL)
        return;
    errnum = write_test(path);
    if (errnum)
        bad(h, state_of_errno(errnum), strerror(errnum));
}
