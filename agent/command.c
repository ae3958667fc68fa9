#include "agent/command.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "agent/clock.h"
#include "agent/launch.h"
#include "agent/text.h"

enum {
    SLICE_MS = 100,
    GRACE_MS = 2000, /* between SIGTERM and SIGKILL */
    OUTPUT_MAX = 1 << 20,
    TAIL_BYTES = 2048,
};

static char *unit_file(const struct agent *a, const struct boot_unit *u, enum unit_action action,
                       const char *suffix)
{
    return xasprintf("%s/units/%s.%s%s", a->boot.root, u->id, unit_action_name(action), suffix);
}

/* U+0080..U+009F are controls to a terminal as well. */
static bool is_c1(const char *s)
{
    return (unsigned char)s[0] == 0xc2 && (unsigned char)s[1] >= 0x80 && (unsigned char)s[1] < 0xa0;
}

void command_text(const char *text, size_t len, char out[COMMAND_TEXT_MAX + 1])
{
    char *escaped = text_escape(text, len);
    size_t n = 0, skip = 0;

    for (char *p = escaped; *p; p++) {
        bool is_blank = (unsigned char)*p <= ' ' || *p == 0x7f || is_c1(p);

        if (is_c1(p))
            p++;
        if (!is_blank)
            escaped[n++] = *p;
        else if (n > 0 && escaped[n - 1] != ' ')
            escaped[n++] = ' ';
    }
    while (n > 0 && escaped[n - 1] == ' ')
        n--;
    if (n > COMMAND_TEXT_MAX)
        skip = n - COMMAND_TEXT_MAX;
    while (skip < n && ((unsigned char)escaped[skip] & 0xc0) == 0x80)
        skip++; /* not from the middle of a character */
    memcpy(out, escaped + skip, n - skip);
    out[n - skip] = '\0';
    free(escaped);
}

static bool is_stopping(struct agent *a)
{
    bool stopping;

    pthread_mutex_lock(&a->lock);
    stopping = a->stopping;
    pthread_mutex_unlock(&a->lock);
    return stopping;
}

/* True when it has ended; it is not collected yet, so that its number stays its own. */
static bool has_ended(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == pid;
}

/* Waits for its end until the time is over. */
static bool await_end(pid_t pid, int fd, int64_t until)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int64_t left;

    while (!has_ended(pid)) {
        left = until - time_mono_ms();
        if (left <= 0)
            return false;
        if (fd < 0 || poll(&p, 1, (int)left) < 0 || (p.revents && !has_ended(pid)))
            time_sleep_ms(left < 10 ? (int)left : 10);
    }
    return true;
}

static void end_group(pid_t pid, int fd, int grace_ms)
{
    if (grace_ms > 0) {
        kill(-pid, SIGTERM);
        kill(-pid, SIGCONT);
        await_end(pid, fd, time_mono_ms() + grace_ms);
    }
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    await_end(pid, fd, time_mono_ms() + GRACE_MS);
}

static bool floods(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && st.st_size > OUTPUT_MAX;
}

static void take_status(pid_t pid, struct command_result *r)
{
    int status;

    if (waitpid(pid, &status, 0) != pid)
        status = 0;
    if (r->end != COMMAND_EXITED)
        return;
    r->end = WIFSIGNALED(status) ? COMMAND_SIGNALLED : COMMAND_EXITED;
    r->status = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

/* Follows the running command to one of its ends. */
static void follow(struct agent *a, const struct proc *p, int limit_ms, const char *output,
                   struct command_result *r)
{
    int64_t until = time_mono_ms() + limit_ms, slice;
    int fd = proc_watch(p);

    r->end = COMMAND_EXITED;
    for (;;) {
        slice = time_mono_ms() + SLICE_MS;
        if (await_end(p->pid, fd, slice < until ? slice : until))
            break;
        if (is_stopping(a))
            r->end = COMMAND_ABANDONED;
        else if (time_mono_ms() >= until)
            r->end = COMMAND_TIMED_OUT;
        else if (floods(output))
            r->end = COMMAND_FLOODED;
        if (r->end != COMMAND_EXITED)
            break;
    }
    if (r->end == COMMAND_TIMED_OUT || r->end == COMMAND_FLOODED)
        end_group(p->pid, fd, GRACE_MS);
    if (fd >= 0)
        close(fd);
}

void command_run(struct agent *a, const struct boot_unit *u, enum unit_action action,
                 struct command_result *r)
{
    const struct unit_command *c = &u->commands[action];
    char *record = unit_file(a, u, action, ".pid"), *output = unit_file(a, u, action, ".out");
    struct spawn sp = {.argv = (const char *const *)c->argv,
                       .record_path = record,
                       .output_path = output,
                       .lock_fd = -1,
                       .is_unit = true};
    int64_t begin = time_mono_ms();
    struct err err = ERR_INIT;
    struct proc p;
    char *tail;

    memset(r, 0, sizeof *r);
    if (proc_spawn(&sp, &p, &err) < 0) {
        r->end = COMMAND_NOT_STARTED;
        snprintf(r->text, sizeof r->text, "%.*s", COMMAND_TEXT_MAX, err.text);
        goto out;
    }
    follow(a, &p, c->limit_s * 1000, output, r);
    if (r->end == COMMAND_ABANDONED && action != UNIT_STATUS)
        goto out;
    if (r->end == COMMAND_ABANDONED)
        end_group(p.pid, -1, 0);
    take_status(p.pid, r);
    unlink(record);
    tail = file_tail(output, TAIL_BYTES);
    command_text(tail, strlen(tail), r->text);
    free(tail);
out:
    r->took_ms = time_mono_ms() - begin;
    free(record);
    free(output);
}

void command_explain(const struct boot_unit *u, enum unit_action action,
                     const struct command_result *r, char *out, size_t size)
{
    const char *name = unit_action_name(action), *said = r->text[0] ? ": " : "";

    switch (r->end) {
    case COMMAND_EXITED:
        snprintf(out, size, "its %s command ended with exit status %d%s%s", name, r->status, said,
                 r->text);
        break;
    case COMMAND_SIGNALLED:
        snprintf(out, size, "its %s command was ended by signal %d (%s)%s%s", name, r->status,
                 strsignal(r->status), said, r->text);
        break;
    case COMMAND_TIMED_OUT:
        snprintf(out, size, "its %s command had not ended after %d s and was ended%s%s", name,
                 u->commands[action].limit_s, said, r->text);
        break;
    case COMMAND_FLOODED:
        snprintf(out, size, "its %s command wrote more than %d bytes and was ended%s%s", name,
                 OUTPUT_MAX, said, r->text);
        break;
    case COMMAND_ABANDONED:
        snprintf(out, size, "the agent ends, its %s command goes on", name);
        break;
    case COMMAND_NOT_STARTED:
        snprintf(out, size, "its %s command cannot be run: %s", name, r->text);
        break;
    }
}

bool command_await_leftover(struct agent *a, const struct boot_unit *u, enum unit_action action)
{
    char *record = unit_file(a, u, action, ".pid");
    bool was_there = false;
    struct proc p;

    if (proc_load(record, &p) == 0 && proc_is_alive(&p)) {
        int64_t limit = p.started_ms + u->commands[action].limit_s * INT64_C(1000);

        was_there = true;
        while (!a->stopping && proc_is_alive(&p) && time_now_ms() < limit &&
               p.started_ms <= time_now_ms())
            cond_wait_until(&a->changed, &a->lock, time_mono_ms() + SLICE_MS);
        if (!a->stopping && proc_is_alive(&p)) {
            kill(-p.pid, SIGKILL);
            kill(p.pid, SIGKILL);
        }
    }
    if (!a->stopping)
        unlink(record);
    free(record);
    return was_there;
}
