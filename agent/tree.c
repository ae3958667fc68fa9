#include "agent/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 8 };

struct walk {
    dev_t dev;
    struct tree_count *count;
    struct err *err;
};

static int empty(struct walk *w, int dirfd, const char *keep, int depth);

static int empty_folder(struct walk *w, int dirfd, const char *name, int depth)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int rc;

    if (fd < 0)
        return err_errno(w->err, ERR_FAILED, errno, "open %s", name);
    if (depth >= DEPTH_MAX) {
        close(fd);
        return err_set(w->err, ERR_FAILED, "%s is nested too deeply", name);
    }
    rc = empty(w, fd, NULL, depth + 1); /* closes fd */
    if (rc == 0 && unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        rc = err_errno(w->err, ERR_FAILED, errno, "remove %s", name);
    return rc;
}

static int remove_entry(struct walk *w, int dirfd, const char *name, int depth)
{
    struct stat st;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_errno(w->err, ERR_FAILED, errno, "look at %s", name);
    if (st.st_dev != w->dev)
        return err_set(w->err, ERR_FAILED, "%s is another file system and is not emptied", name);
    if (S_ISDIR(st.st_mode))
        return empty_folder(w, dirfd, name, depth);
    if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
        return err_errno(w->err, ERR_FAILED, errno, "remove %s", name);
    w->count->files++;
    w->count->bytes += (int64_t)st.st_blocks * 512;
    return 0;
}

/* Takes fd. */
static int empty(struct walk *w, int fd, const char *keep, int depth)
{
    DIR *dir = fdopendir(fd);
    struct dirent *e;
    int rc = 0;

    if (!dir) {
        rc = err_errno(w->err, ERR_FAILED, errno, "read a directory");
        close(fd);
        return rc;
    }
    while (rc == 0 && (e = readdir(dir)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            (keep && strcmp(e->d_name, keep) == 0))
            continue;
        rc = remove_entry(w, fd, e->d_name, depth);
    }
    closedir(dir);
    return rc;
}

int tree_empty(int dirfd, const char *keep, struct tree_count *count, struct err *err)
{
    struct walk w = {.count = count, .err = err};
    struct stat st;
    int fd;

    if (fstat(dirfd, &st) < 0)
        return err_errno(err, ERR_FAILED, errno, "look at a directory");
    w.dev = st.st_dev;
    fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, ERR_FAILED, errno, "open a directory");
    return empty(&w, fd, keep, 0);
}
