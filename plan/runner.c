#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"
#include "kvsh/run.h"

#include "lock.h"

enum {
    LOCK_FD = 3, /* where the runner finds what it inherits */
    READY_FD = 4,
    ABOVE_FDS = 16, /* copies wait here while those places are freed */
    WORDS_MAX = 64,
    LOG_MAX = 1 << 20,
    LAST_LINE_MAX = 400,
    BEGIN_TIMEOUT_MS = 60000,
};

/* The message on the ready pipe: READY, or FAILED code '\n' text '\n' advice. */
enum { READY = 'R', FAILED = 'E' };

/* --- the side that starts it --- */

struct launch {
    const char *words[WORDS_MAX];
    char id[24], lock_fd[12], ready_fd[12];
    char program[4096];
    char *log_path;
    off_t log_size; /* before the runner writes to it */
    int lock, ready[2];
};

static int add_word(struct launch *la, size_t *n, const char *word, struct err *err)
{
    if (*n + 1 >= WORDS_MAX)
        return err_set(err, ERR_INTERNAL, "too many words for a runner");
    la->words[(*n)++] = word;
    return 0;
}

static int make_words(struct launch *la, const struct runner_args *a, struct err *err)
{
    const char *const head[] = {"kvsh", "-store", a->store};
    const char *const tail[] = {"run-plan",  "-id",       la->id,      "-lock-fd",
                                la->lock_fd, "-ready-fd", la->ready_fd};
    size_t n = 0;
    int rc = 0;

    snprintf(la->id, sizeof la->id, "%" PRId64, a->plan_id);
    snprintf(la->lock_fd, sizeof la->lock_fd, "%d", LOCK_FD);
    snprintf(la->ready_fd, sizeof la->ready_fd, "%d", READY_FD);
    for (size_t i = 0; i < sizeof head / sizeof *head && rc == 0; i++)
        rc = add_word(la, &n, head[i], err);
    for (size_t i = 0; a->config_args != NULL && a->config_args[i] != NULL && rc == 0; i++)
        rc = add_word(la, &n, a->config_args[i], err);
    for (size_t i = 0; i < sizeof tail / sizeof *tail && rc == 0; i++)
        rc = add_word(la, &n, tail[i], err);
    for (size_t i = 0; a->run_args != NULL && a->run_args[i] != NULL && rc == 0; i++)
        rc = add_word(la, &n, a->run_args[i], err);
    return rc;
}

/* This program by its name; by the kernel's handle when its file has been replaced meanwhile. */
static void find_program(char *out, size_t size)
{
    static const char self[] = "/proc/self/exe", gone[] = " (deleted)";
    ssize_t n = readlink(self, out, size - 1);
    size_t len = n > 0 ? (size_t)n : 0, tail = sizeof gone - 1;

    out[len] = '\0';
    if (len == 0 || len == size - 1 || (len > tail && strcmp(out + len - tail, gone) == 0))
        snprintf(out, size, "%s", self);
}

/* A log that has grown large is put aside; runners that still write to it go on doing so. */
static void turn_log(struct launch *la)
{
    char *aside = xasprintf("%s.1", la->log_path);
    struct stat st;

    la->log_size = 0;
    if (stat(la->log_path, &st) == 0) {
        if (st.st_size > LOG_MAX)
            rename(la->log_path, aside);
        else
            la->log_size = st.st_size;
    }
    free(aside);
}

/* From here to the exec only async-signal-safe calls: the shell may have threads. */
static void become_runner(const struct launch *la) __attribute__((noreturn));

static void become_runner(const struct launch *la)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t none;
    int lock, ready, null, log;

    umask(077);
    lock = fcntl(la->lock, F_DUPFD, ABOVE_FDS);
    ready = fcntl(la->ready[1], F_DUPFD, ABOVE_FDS);
    null = open("/dev/null", O_RDWR);
    log = open(la->log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (lock < 0 || ready < 0 || null < 0 || chdir("/") < 0)
        _exit(1);
    if (dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(log < 0 ? null : log, 2) < 0 ||
        dup2(lock, LOCK_FD) < 0 || dup2(ready, READY_FD) < 0)
        _exit(1);
    close_range(READY_FD + 1, ~0U, 0);
    sigaction(SIGHUP, &ignore, NULL);
    sigaction(SIGINT, &ignore, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(la->program, (char *const *)(uintptr_t)la->words);
    _exit(1);
}

/* The child leads a session of its own and ends at once, so the runner has no terminal and no
 * parent to mind. */
static int launch_runner(const struct launch *la, struct err *err)
{
    pid_t child = fork();
    int status;

    if (child < 0)
        return err_errno(err, ERR_FAILED, errno, "start a process");
    if (child == 0) {
        setsid();
        child = fork();
        if (child == 0)
            become_runner(la);
        _exit(child < 0);
    }
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return 0; /* the caller ignores SIGCHLD; the ready pipe tells the rest */
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_set(err, ERR_FAILED, "start a process: no second process could be made");
    return 0;
}

/* What the runner wrote last into its log since it was started; "" when nothing. */
static void last_log_line(const struct launch *la, char out[LAST_LINE_MAX])
{
    char tail[LAST_LINE_MAX];
    int fd = open(la->log_path, O_RDONLY | O_CLOEXEC);
    off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END), from = end - (off_t)sizeof tail + 1;
    ssize_t n;
    char *line;

    out[0] = '\0';
    if (from < la->log_size)
        from = la->log_size;
    n = fd < 0 || end <= from ? 0 : pread(fd, tail, sizeof tail - 1, from);
    if (fd >= 0)
        close(fd);
    while (n > 0 && (tail[n - 1] == '\n' || tail[n - 1] == ' '))
        n--;
    if (n <= 0)
        return;
    tail[n] = '\0';
    line = strrchr(tail, '\n');
    snprintf(out, LAST_LINE_MAX, ": %.*s", LAST_LINE_MAX - 3, line != NULL ? line + 1 : tail);
}

static int parse_failure(char *message, struct err *err)
{
    char *rest = message + 1;
    const char *code = strsep(&rest, "\n"), *text = strsep(&rest, "\n");
    const char *advice = strsep(&rest, "\n");

    err_set(err, err_by_name(code), "%s",
            text != NULL && *text ? text : "the runner gave no reason");
    return advice != NULL && *advice ? err_advise(err, "%s", advice) : -1;
}

/* Waits for the runner's word. One message fits one write to a pipe, so it arrives whole. */
static int await_ready(const struct launch *la, const struct runner_args *a, struct err *err)
{
    int64_t plan_id = a->plan_id, limit = BEGIN_TIMEOUT_MS + a->wait_ms;
    int64_t deadline = time_mono_ms() + limit, left;
    struct pollfd pfd = {.fd = la->ready[0], .events = POLLIN};
    char message[4096], line[LAST_LINE_MAX];
    ssize_t n = -1;

    while ((left = deadline - time_mono_ms()) > 0) {
        if (poll(&pfd, 1, (int)left) <= 0)
            continue; /* a signal of the shell's, or the end of the time */
        n = read(la->ready[0], message, sizeof message - 1);
        if (n >= 0 || errno != EINTR)
            break;
    }
    if (left <= 0) {
        err_set(err, ERR_TIMEOUT,
                "the runner of plan %" PRId64 " has not begun within %" PRId64 " s", plan_id,
                limit / 1000);
        return err_advise(err, "look at %s", la->log_path);
    }
    if (n > 0 && message[0] == READY)
        return 0;
    if (n > 0) {
        message[n] = '\0';
        return parse_failure(message, err);
    }
    last_log_line(la, line);
    err_set(err, ERR_FAILED, "the runner of plan %" PRId64 " ended before it began%s", plan_id,
            line);
    return err_advise(err, "look at %s; plan execute -id %" PRId64 " tries again", la->log_path,
                      plan_id);
}

int runner_start(const struct runner_args *a, struct plan_lock *l, struct err *err)
{
    struct launch la = {.lock = l->fd, .ready = {-1, -1}};
    int rc = -1;

    if (l->fd < 0)
        return err_set(err, ERR_INTERNAL, "plan %" PRId64 " is to be started without its lock",
                       a->plan_id);
    la.log_path = xasprintf("%s/runner.log", l->dir);
    if (make_words(&la, a, err) < 0)
        goto out;
    if (pipe2(la.ready, O_CLOEXEC) < 0) {
        err_errno(err, ERR_FAILED, errno, "start the runner of plan %" PRId64, a->plan_id);
        goto out;
    }
    find_program(la.program, sizeof la.program);
    turn_log(&la);
    rc = launch_runner(&la, err);
    /* The runner alone keeps the lock and the far end of the pipe: its death is seen here as their
     * end. */
    close(la.ready[1]);
    lock_release(l);
    if (rc == 0)
        rc = await_ready(&la, a, err);
    else
        err_prepend(err, "runner of plan %" PRId64, a->plan_id);
    close(la.ready[0]);
out:
    lock_release(l);
    free(la.log_path);
    return rc;
}

/* --- the runner's side --- */

static atomic_bool stop_requested;

static void request_stop(int sig)
{
    (void)sig;
    atomic_store(&stop_requested, true);
}

bool runner_stop_requested(void)
{
    return atomic_load(&stop_requested);
}

static void set_signals(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction stop = {.sa_handler = request_stop, .sa_flags = SA_RESTART};

    sigaction(SIGHUP, &ignore, NULL);
    sigaction(SIGINT, &ignore, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGTERM, &stop, NULL);
}

int runner_adopt(struct plan_lock *l, int lock_fd, int ready_fd, int64_t plan_id, struct err *err)
{
    l->fd = -1;
    l->dir = NULL;
    if (fcntl(lock_fd, F_SETFD, FD_CLOEXEC) < 0 || lock_byte(lock_fd, plan_id) < 0 ||
        (ready_fd >= 0 && fcntl(ready_fd, F_SETFD, FD_CLOEXEC) < 0)) {
        err_set(err, ERR_USAGE, "run-plan is started by kvsh itself, with the lock of its plan");
        return err_advise(err, "plan execute -id %" PRId64 " starts a plan", plan_id);
    }
    l->fd = lock_fd;
    prctl(PR_SET_NAME, "kvsh"); /* also when its file has been replaced and it runs as "exe" */
    set_signals();
    return 0;
}

/* As one write; the text may not break the lines of the message. */
static void add_line(char *message, size_t size, const char *text)
{
    size_t used = strlen(message);

    snprintf(message + used, size - used, "%s\n", text);
    for (char *p = message + used; *p != '\0' && p[1] != '\0'; p++) {
        if (*p == '\n')
            *p = ' ';
    }
}

void runner_report(int ready_fd, const struct err *err)
{
    char message[2048] = {FAILED};
    ssize_t n;

    if (ready_fd < 0)
        return;
    add_line(message, sizeof message, err_name(err->code));
    add_line(message, sizeof message, err->text);
    add_line(message, sizeof message, err->advice);
    n = write(ready_fd, message, strlen(message));
    (void)n; /* whoever waited may be gone; the journal and the log have it too */
}

void runner_ready(int ready_fd)
{
    char byte = READY;
    ssize_t n = ready_fd < 0 ? 0 : write(ready_fd, &byte, 1);

    (void)n;
}
