#include "agent/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

enum { CHILD_LOCK_FD = 3, CHILD_ERROR_FD = 4, CHILD_FIRST_FREE_FD = 5 };

/* What the process reports when it could not become the program. */
enum child_step { STEP_FILES, STEP_RECORD, STEP_EXEC };
struct child_failure {
    int step, errnum;
};

struct child_plan {
    const struct spawn *spawn;
    char *record_tmp;
    char *record_tail; /* the record behind pid and start time */
    int error_fd;
};

static char boot_id[40];
static pthread_once_t boot_id_once = PTHREAD_ONCE_INIT;

static void boot_id_read(void)
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, boot_id, sizeof boot_id - 1);

    boot_id[n > 0 ? n : 0] = '\0';
    boot_id[strcspn(boot_id, " \n")] = '\0';
    if (fd >= 0)
        close(fd);
}

const char *proc_boot_id(void)
{
    pthread_once(&boot_id_once, boot_id_read);
    return boot_id;
}

/* Only calls that are allowed between fork and exec of a program with threads. */
static _Noreturn void child_fail(int error_fd, int step, int errnum)
{
    struct child_failure f = {step, errnum};
    ssize_t n = write(error_fd, &f, sizeof f);

    _exit(n == (ssize_t)sizeof f ? 127 : 126);
}

static ssize_t read_stat(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -1;
    n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n;
}

/* A field of stat from the third on. The name in field 2 may hold anything, so count from its end.
 */
static const char *stat_field(const char *text, int wanted)
{
    const char *p = strrchr(text, ')');
    int field = 2;

    while (p && field < wanted) {
        p = strchr(p + 1, ' ');
        field++;
    }
    return p ? p + 1 : NULL;
}

static const char *stat_start_time(const char *text, size_t *len)
{
    const char *p = stat_field(text, 22);

    *len = p ? strspn(p, "0123456789") : 0;
    return *len ? p : NULL;
}

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static void child_record(const struct child_plan *cp)
{
    char text[1024];
    size_t ticks_len = 0;
    ssize_t n = read_stat("/proc/self/stat", text, sizeof text);
    const char *ticks = n > 0 ? stat_start_time(text, &ticks_len) : NULL;
    int fd = open(cp->record_tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = fd >= 0 && ticks && write_all(fd, text, strspn(text, "0123456789")) &&
                write_all(fd, " ", 1) && write_all(fd, ticks, ticks_len) &&
                write_all(fd, cp->record_tail, strlen(cp->record_tail));
    int errnum = errno;

    if (fd >= 0 && close(fd) < 0)
        good = false;
    if (!good || rename(cp->record_tmp, cp->spawn->record_path) < 0)
        child_fail(CHILD_ERROR_FD, STEP_RECORD, good ? errno : errnum);
}

static void child_close_from(unsigned first)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, first, UINT_MAX, 0) == 0)
        return;
#endif
    long last = sysconf(_SC_OPEN_MAX);

    for (long fd = first; fd < (last > 0 ? last : 1024); fd++)
        close((int)fd);
}

static void child_files(const struct child_plan *cp)
{
    bool has_lock = cp->spawn->lock_fd >= 0;
    int lock = has_lock ? fcntl(cp->spawn->lock_fd, F_DUPFD, 16) : 0;
    int error = fcntl(cp->error_fd, F_DUPFD, 16);
    int null = open("/dev/null", O_RDONLY);
    int out = open(cp->spawn->output_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);

    if (lock < 0 || error < 0 || null < 0 || out < 0)
        child_fail(cp->error_fd, STEP_FILES, errno);
    null = fcntl(null, F_DUPFD, 16);
    out = fcntl(out, F_DUPFD, 16);
    if (dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 ||
        (has_lock && dup2(lock, CHILD_LOCK_FD) < 0) || dup2(error, CHILD_ERROR_FD) < 0)
        child_fail(error, STEP_FILES, errno);
    if (!has_lock)
        close(CHILD_LOCK_FD);
    fcntl(CHILD_ERROR_FD, F_SETFD, FD_CLOEXEC);
    child_close_from(CHILD_FIRST_FREE_FD);
}

static void child_signals(void)
{
    sigset_t none;

    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void child_run(const struct child_plan *cp)
{
    static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    static char lang[] = "LC_ALL=C";
    char *env[] = {path, lang, NULL};

    child_signals();
    setsid();
    umask(077);
    child_files(cp);
    child_record(cp);
    if (chdir("/") < 0)
        child_fail(CHILD_ERROR_FD, STEP_FILES, errno);
    if (cp->spawn->is_unit)
        umask(022);
    execve(cp->spawn->argv[0], (char *const *)(uintptr_t)cp->spawn->argv, env);
    child_fail(CHILD_ERROR_FD, STEP_EXEC, errno);
}

static int spawn_failed(const struct spawn *s, const struct child_failure *f, struct err *err)
{
    static const char *const steps[] = {
        [STEP_FILES] = "prepare the files of",
        [STEP_RECORD] = "record the start of",
        [STEP_EXEC] = "execute",
    };

    unlink(s->record_path);
    return err_errno(err, ERR_FAILED, f->errnum, "%s %s", steps[f->step], s->argv[0]);
}

/* Waits until the process has become the program, or has said why not. */
static int spawn_await(const struct spawn *s, pid_t pid, int fd, struct err *err)
{
    struct child_failure f;
    ssize_t n;

    do
        n = read(fd, &f, sizeof f);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return 0;
    waitpid(pid, NULL, 0);
    if (n != (ssize_t)sizeof f)
        f = (struct child_failure){STEP_EXEC, EIO};
    return spawn_failed(s, &f, err);
}

int proc_spawn(const struct spawn *s, struct proc *p, struct err *err)
{
    struct child_plan cp = {.spawn = s};
    int fds[2] = {-1, -1};
    int64_t now = time_now_ms();
    pid_t pid;
    int rc = -1;

    cp.record_tmp = xasprintf("%s.tmp", s->record_path);
    cp.record_tail = xasprintf(
        " %s %lld %llu %llu %llu %llu\n", proc_boot_id()[0] ? proc_boot_id() : "-", (long long)now,
        (unsigned long long)s->storage.dev, (unsigned long long)s->storage.ino,
        (unsigned long long)s->env.dev, (unsigned long long)s->env.ino);
    if (pipe2(fds, O_CLOEXEC) < 0) {
        err_errno(err, ERR_FAILED, errno, "start %s", s->argv[0]);
        goto out;
    }
    cp.error_fd = fds[1];
    pid = fork();
    if (pid == 0)
        child_run(&cp);
    close(fds[1]);
    if (pid < 0)
        err_errno(err, ERR_FAILED, errno, "start %s", s->argv[0]);
    else
        rc = spawn_await(s, pid, fds[0], err);
    if (rc == 0 && proc_load(s->record_path, p) < 0)
        rc = err_set(err, ERR_FAILED, "the record %s cannot be read back", s->record_path);
    close(fds[0]);
out:
    free(cp.record_tmp);
    free(cp.record_tail);
    return rc;
}

/* The next number of a record; false when there is none. */
static bool next_number(const char **at, uint64_t *n)
{
    char *end;

    errno = 0;
    *n = strtoull(*at, &end, 10);
    if (end == *at || errno || (*end != ' ' && *end != '\n'))
        return false;
    *at = end + 1;
    return true;
}

/* "pid ticks boot-id started dev ino dev ino" */
static bool record_decode(const char *text, struct proc *p)
{
    uint64_t pid, started;
    size_t n;

    if (!next_number(&text, &pid) || pid <= 1 || pid > INT_MAX ||
        !next_number(&text, &p->start_ticks))
        return false;
    n = strcspn(text, " ");
    if (n == 0 || n >= sizeof p->boot_id || text[n] != ' ')
        return false;
    memcpy(p->boot_id, text, n);
    text += n + 1;
    p->pid = (pid_t)pid;
    if (!next_number(&text, &started) || !next_number(&text, &p->storage.dev) ||
        !next_number(&text, &p->storage.ino) || !next_number(&text, &p->env.dev) ||
        !next_number(&text, &p->env.ino))
        return false;
    p->started_ms = (int64_t)started;
    return true;
}

int proc_load(const char *record_path, struct proc *p)
{
    char text[512];

    memset(p, 0, sizeof *p);
    if (read_stat(record_path, text, sizeof text) > 0 && record_decode(text, p))
        return 0;
    memset(p, 0, sizeof *p);
    return -1;
}

int proc_stat_decode(const char *text, struct proc_stat *stat)
{
    size_t len;
    const char *state = stat_field(text, 3), *threads = stat_field(text, 20);
    const char *ticks = stat_start_time(text, &len);

    if (!state || !*state || !threads || !ticks)
        return -1;
    stat->state = *state;
    stat->threads = strtol(threads, NULL, 10);
    stat->start_ticks = strtoull(ticks, NULL, 10);
    return 0;
}

/* The first thread turns into a zombie while others may still hold files and locks. */
static bool has_ended(const struct proc_stat *stat)
{
    return stat->threads <= 1 && (stat->state == 'Z' || stat->state == 'X' || stat->state == 'x');
}

bool proc_is_alive(const struct proc *p)
{
    char path[64], text[1024];
    struct proc_stat stat;

    if (p->pid <= 1 || (proc_boot_id()[0] && strcmp(p->boot_id, proc_boot_id()) != 0))
        return false;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)p->pid);
    if (read_stat(path, text, sizeof text) <= 0 || proc_stat_decode(text, &stat) < 0)
        return false;
    return stat.start_ticks == p->start_ticks && !has_ended(&stat);
}

static int pidfd_open_raw(pid_t pid)
{
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, pid, 0);
#else
    (void)pid;
    errno = ENOSYS;
    return -1;
#endif
}

int proc_watch(const struct proc *p)
{
    int fd = pidfd_open_raw(p->pid);

    /* The pid may have changed hands before it was opened; a zombie is still ours to see. */
    if (fd >= 0 && !proc_is_alive(p)) {
        close(fd);
        errno = ESRCH;
        return -1;
    }
    return fd;
}

bool proc_signal(const struct proc *p, int sig)
{
    int fd = proc_watch(p);
    int rc;

    if (fd < 0)
        return proc_is_alive(p) && kill(p->pid, sig) == 0;
#ifdef SYS_pidfd_send_signal
    rc = (int)syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0);
#else
    rc = kill(p->pid, sig);
#endif
    close(fd);
    return rc == 0;
}

int proc_reap(const struct proc *p)
{
    int status;

    return waitpid(p->pid, &status, WNOHANG) == p->pid ? status : -1;
}
