#include "agent/rootlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kvsh/mem.h"

static int lock_open(const char *root, int flags)
{
    char *path = xasprintf("%s/kvagentd.lock", root);
    int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    int errnum = errno;

    free(path);
    errno = errnum;
    return fd;
}

/* The pid changes hands a moment after the lock: 1 stands for a holder that has not said it yet. */
static pid_t holder_of(int fd)
{
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char text[16] = "";
    long pid = 0;

    if (fcntl(fd, F_OFD_GETLK, &fl) < 0 || fl.l_type == F_UNLCK)
        return 0;
    if (pread(fd, text, sizeof text - 1, 0) > 0)
        pid = strtol(text, NULL, 10);
    return pid > 1 ? (pid_t)pid : 1;
}

int rootlock_take(const char *root, struct err *err)
{
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = lock_open(root, O_RDWR | O_CREAT);
    char text[16];
    int n;

    if (fd < 0)
        return err_errno(err, ERR_FAILED, errno, "open %s/kvagentd.lock", root);
    if (fcntl(fd, F_OFD_SETLK, &fl) < 0) {
        err_set(err, ERR_LOCKED, "an agent runs on %s already (pid %d)", root, (int)holder_of(fd));
        err_advise(err, "kvagentd stop -root %s ends it", root);
        close(fd);
        return -1;
    }
    n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n) {
        err_errno(err, ERR_FAILED, errno, "write %s/kvagentd.lock", root);
        close(fd);
        return -1;
    }
    return fd;
}

pid_t rootlock_holder(const char *root)
{
    int fd = lock_open(root, O_RDWR);
    pid_t pid = fd < 0 ? 0 : holder_of(fd);

    if (fd >= 0)
        close(fd);
    return pid;
}
