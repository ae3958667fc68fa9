/* Telling others how a plan ended: an executable gets the outcome as JSON on its standard input. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/log.h"
#include "kvsh/run.h"

enum { NOTIFY_LIMIT_MS = 30000, ENV_MAX = 512, KEPT_FDS = 3 };

static void set_time(struct json *doc, const char *key, int64_t ms)
{
    char text[32];

    if (ms == 0)
        return;
    time_rfc3339(ms, text);
    json_set_str(doc, key, text);
}

static struct json *failures_of(const struct plan *p)
{
    struct json *list = json_array(), *one;

    for (size_t i = 0; i < p->n_tasks; i++) {
        const struct task *t = &p->tasks[i];

        if (t->state != TASK_ERROR && t->state != TASK_UNKNOWN)
            continue;
        one = json_object();
        json_set_int(one, "task", t->num);
        json_set_str(one, "target", t->target);
        json_set_str(one, "what", t->what);
        json_set_str(one, "state", task_state_name(t->state));
        json_set_str(one, "error", t->error);
        json_set_str(one, "advice", t->advice);
        json_push(list, one);
    }
    return list;
}

/* The outcome, without secrets; free() it. */
static char *outcome_text(const struct plan *p, const char *store)
{
    struct json *doc = json_object();
    struct task_counts n;
    char *text;

    plan_count(p, &n);
    json_set_str(doc, "schema", "kvsh/1");
    json_set_str(doc, "event", "plan-ended");
    json_set_str(doc, "store", store);
    json_set_int(doc, "planId", p->id);
    json_set_str(doc, "name", p->name);
    json_set_str(doc, "verb", verb_word(p->verb));
    json_set_str(doc, "state", plan_state_name(p->state));
    json_set_int(doc, "exitStatus",
                 p->state == PLAN_SUCCEEDED ? 0 : err_exit_status(p->code ? p->code : ERR_FAILED));
    json_set_str(doc, "command", p->command);
    json_set_str(doc, "user", p->user);
    json_set_int(doc, "attempts", p->attempts);
    set_time(doc, "created", p->created_ms);
    set_time(doc, "started", p->started_ms);
    set_time(doc, "ended", p->ended_ms);
    json_set_int(doc, "tasksTotal", n.total);
    json_set_int(doc, "tasksSucceeded", n.succeeded + n.skipped);
    json_set_int(doc, "tasksFailed", n.failed);
    json_set_int(doc, "tasksUnknown", n.unknown);
    json_set_int(doc, "tasksInDoubt", plan_at_rest(p->state) ? n.running : 0);
    json_set_str(doc, "error", p->error);
    json_set_str(doc, "advice", p->advice);
    json_set(doc, "failures", failures_of(p));
    text = json_print(doc);
    mask_apply(text);
    json_free(doc);
    return text;
}

/* A file in memory: whoever does not read it keeps nobody waiting. */
static int text_fd(const char *text)
{
    size_t len = strlen(text);
    int fd = memfd_create("kvsh-outcome", MFD_CLOEXEC);

    if (fd < 0)
        return -1;
    if (write(fd, text, len) != (ssize_t)len || write(fd, "\n", 1) != 1 ||
        lseek(fd, 0, SEEK_SET) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* What concerns kvsh itself is nobody else's. */
static void fill_environment(char *env[ENV_MAX])
{
    size_t n = 0;

    for (char **e = environ; *e != NULL && n + 1 < ENV_MAX; e++) {
        if (strncmp(*e, "KVSH_", 5) != 0)
            env[n++] = *e;
    }
    env[n] = NULL;
}

/* Between fork and exec only what a signal handler might call. */
static void become_hook(const char *const *argv, char *const env[], int input)
    __attribute__((noreturn));

static void become_hook(const char *const *argv, char *const env[], int input)
{
    struct sigaction normal = {.sa_handler = SIG_DFL};
    sigset_t none;

    setpgid(0, 0);
    for (int sig = 1; sig < 32; sig++)
        sigaction(sig, &normal, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(input, 0) < 0)
        _exit(127);
    close_range(KEPT_FDS, ~0U, 0);
    execve(argv[0], (char *const *)(uintptr_t)argv, env);
    _exit(127);
}

/* Waits within the limit; a process that is still there then is killed with its group. */
static int await_hook(pid_t pid, int limit_ms, int *status)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    int64_t deadline = time_mono_ms() + limit_ms, left = limit_ms;
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    bool late = true;

    while (left > 0) {
        if (fd < 0)
            time_sleep_ms(20);
        else
            poll(&pfd, 1, (int)left);
        if (waitpid(pid, status, WNOHANG) == pid) {
            late = false;
            break;
        }
        left = deadline - time_mono_ms();
    }
    if (late) {
        kill(-pid, SIGKILL);
        while (waitpid(pid, status, 0) < 0 && errno == EINTR)
            continue;
    }
    if (fd >= 0)
        close(fd);
    return late ? -1 : 0;
}

static int run_hook(const char *const *argv, const char *text, int limit_ms, struct err *err)
{
    char *env[ENV_MAX];
    int input = text_fd(text), status = 0;
    pid_t pid;

    if (input < 0)
        return err_errno(err, ERR_FAILED, errno, "keep the outcome for %s", argv[0]);
    fill_environment(env);
    pid = fork();
    if (pid == 0)
        become_hook(argv, env, input);
    close(input);
    if (pid < 0)
        return err_errno(err, ERR_FAILED, errno, "start %s", argv[0]);
    setpgid(pid, pid); /* whichever of the two comes first */
    if (await_hook(pid, limit_ms, &status) < 0)
        return err_set(err, ERR_TIMEOUT, "%s did not end within %g s and was killed", argv[0],
                       limit_ms / 1000.0);
    if (WIFSIGNALED(status))
        return err_set(err, ERR_FAILED, "%s was ended by signal %d", argv[0], WTERMSIG(status));
    if (WEXITSTATUS(status) == 127)
        return err_set(err, ERR_FAILED, "%s could not be run", argv[0]);
    if (WEXITSTATUS(status) != 0)
        return err_set(err, ERR_FAILED, "%s ended with status %d", argv[0], WEXITSTATUS(status));
    return 0;
}

void plan_notify(struct journal *j, const struct notify *n)
{
    struct err err = ERR_INIT, ignored = ERR_INIT;
    struct event ev = {.severity = "info", .plan_id = n->plan_id, .kind = "notify"};
    struct plan p = {0};
    char *outcome, text[sizeof err.text + 64];

    if (n->argv == NULL || n->argv[0] == NULL ||
        journal_plan_load(j, n->plan_id, &p, &ignored) != 0)
        return;
    outcome = outcome_text(&p, n->store);
    if (run_hook(n->argv, outcome, n->limit_ms > 0 ? n->limit_ms : NOTIFY_LIMIT_MS, &err) == 0) {
        snprintf(text, sizeof text, "%s was told", n->argv[0]);
    } else {
        ev.severity = "warning";
        snprintf(text, sizeof text, "nobody may have been told: %s", err.text);
    }
    ev.subject = p.name;
    ev.text = text;
    journal_event(j, &ev, &ignored);
    free(outcome);
    plan_release(&p);
}
