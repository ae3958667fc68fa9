#include "agent/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

enum { LINE_SIZE = 4096 };

struct logfile {
    pthread_mutex_t lock;
    bool tee;
    int fd;
    char *dir, *stem;
};

struct logfile *logfile_new(bool tee)
{
    struct logfile *l = xcalloc(1, sizeof *l);

    pthread_mutex_init(&l->lock, NULL);
    l->tee = tee;
    l->fd = -1;
    return l;
}

void logfile_free(struct logfile *l)
{
    if (!l)
        return;
    if (l->fd >= 0)
        close(l->fd);
    free(l->dir);
    free(l->stem);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

/* A stem that is a whole file name ("kvagentd.log") stands for its number 0. */
static char *log_path(const char *dir, const char *stem, int number)
{
    const char *end = strstr(stem, ".log");

    if (!end)
        return xasprintf("%s/%s_%d.log", dir, stem, number);
    if (number == 0)
        return xasprintf("%s/%s", dir, stem);
    return xasprintf("%s/%.*s_%d.log", dir, (int)(end - stem), stem, number);
}

static int log_open(const char *dir, const char *stem)
{
    char *path = log_path(dir, stem, 0);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    free(path);
    return fd;
}

/* The number of the descriptor stays, because log_msg() writes to it too. */
static void fd_replace(struct logfile *l, int fd)
{
    if (fd < 0)
        return;
    if (l->fd < 0) {
        l->fd = fd;
        log_set_fd(fd);
        return;
    }
    dup3(fd, l->fd, O_CLOEXEC);
    close(fd);
}

int logfile_open(struct logfile *l, const char *dir, const char *stem, struct err *err)
{
    int fd;

    if (fs_mkdirs(dir, 0700, err) < 0)
        return -1;
    fd = log_open(dir, stem);
    if (fd < 0)
        return err_errno(err, ERR_FAILED, errno, "open the log of %s in %s", stem, dir);
    pthread_mutex_lock(&l->lock);
    fd_replace(l, fd);
    free(l->dir);
    free(l->stem);
    l->dir = xstrdup(dir);
    l->stem = xstrdup(stem);
    pthread_mutex_unlock(&l->lock);
    return 0;
}

void logfile_rotate(const char *dir, const char *stem)
{
    for (int i = LOGFILE_KEEP - 1; i > 0; i--) {
        char *to = log_path(dir, stem, i);
        char *from = log_path(dir, stem, i - 1);

        rename(from, to); /* one that is not there yet is no loss */
        free(to);
        free(from);
    }
}

/* A log file that was removed or has grown too large gets a fresh one. */
static void log_renew(struct logfile *l)
{
    struct stat st;

    if (l->fd < 0 || fstat(l->fd, &st) < 0)
        return;
    if ((size_t)st.st_size >= LOGFILE_SIZE)
        logfile_rotate(l->dir, l->stem);
    else if (st.st_nlink > 0)
        return;
    fd_replace(l, log_open(l->dir, l->stem));
}

void logfile_line(struct logfile *l, enum log_level level, const char *component, const char *fmt,
                  va_list ap)
{
    struct buf line;
    bool written;

    buf_init(&line, LINE_SIZE);
    log_format(&line, level, component, fmt, ap);
    pthread_mutex_lock(&l->lock);
    log_renew(l);
    /* A log that cannot be written must not stop the agent; standard error is the only other ear.
     */
    written = l->fd >= 0 && write(l->fd, line.data, line.len) >= 0;
    if (l->tee && write(STDERR_FILENO, line.data, line.len) < 0 && !written)
        l->tee = false;
    pthread_mutex_unlock(&l->lock);
    buf_release(&line);
}

void logfile_detach(struct logfile *l)
{
    pthread_mutex_lock(&l->lock);
    l->tee = false;
    pthread_mutex_unlock(&l->lock);
}
