#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"
#include "kvsh/run.h"

#include "journal_internal.h"

/*
 * A lock belongs to the open file description, not to the process: a runner that inherits the
 * descriptor inherits the lock, and the kernel frees it when the last copy is closed, however the
 * process ends. So nothing but the runner may inherit it: descriptors are CLOEXEC everywhere except
 * across that one exec.
 */
enum { NAP_MS = 20, PATIENCE_MS = 2000 };

static int open_lock(const char *dir, int flags)
{
    char *path = xasprintf("%s/lock", dir);
    int fd = open(path, flags | O_CLOEXEC, 0600);
    int e = errno;

    free(path);
    errno = e;
    return fd;
}

int lock_byte(int fd, int64_t byte)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &lock);
}

bool lock_is_held(const char *dir, int64_t plan_id)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)plan_id, .l_len = 1};
    int fd = open_lock(dir, O_RDONLY);
    bool held;

    if (fd < 0)
        return errno != ENOENT; /* who cannot look must not declare a runner dead */
    held = fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type != F_UNLCK;
    close(fd);
    return held;
}

/* --- who holds it --- */

struct holder {
    int64_t plan_id, started_ms, pid; /* plan_id 0: nobody is recorded */
    char name[128];
};

/* The first of those at work that changes the store; one at a time does. */
static void note_holder(void *arg, const struct plan *p)
{
    struct holder *h = arg;

    if (!verb_changes_store(p->verb) || h->plan_id != 0)
        return;
    h->plan_id = p->id;
    h->started_ms = p->started_ms;
    h->pid = p->runner_pid;
    snprintf(h->name, sizeof h->name, "%s", p->name);
}

/* Fills h with the plan that is changing the store; false when none is recorded as doing so. */
static bool find_holder(struct journal *j, struct holder *h)
{
    static const enum plan_state at_work[] = {PLAN_RUNNING, PLAN_INTERRUPT_REQUESTED};
    struct err ignored = ERR_INIT;

    *h = (struct holder){0};
    for (size_t i = 0; i < sizeof at_work / sizeof *at_work; i++)
        journal_plan_list(j, &(struct plan_filter){.state = (int)at_work[i]}, note_holder, h,
                          &ignored);
    return h->plan_id != 0 && lock_is_held(j->dir, h->plan_id);
}

/*
 * A plan whose runner has its lock and is not RUNNING yet: it is taking the store's lease. Found by
 * its byte, so that it has a name, too.
 */
static bool find_starting(struct journal *j, struct holder *h)
{
    struct flock lock = {.l_whence = SEEK_SET, .l_start = 1};
    struct err ignored = ERR_INIT;
    int fd = open_lock(j->dir, O_RDONLY);
    struct plan p;

    *h = (struct holder){0};
    while (fd >= 0 && h->plan_id == 0) {
        lock.l_type = F_WRLCK;
        lock.l_len = 0; /* to the end */
        lock.l_pid = 0; /* as asking demands, and the answer sets */
        if (fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
            break;
        p = (struct plan){0};
        if (journal_plan_load(j, lock.l_start, &p, &ignored) == 0) {
            note_holder(h, &p);
            h->started_ms = 0;
        }
        plan_release(&p);
        lock.l_start += lock.l_len > 0 ? lock.l_len : 1;
    }
    if (fd >= 0)
        close(fd);
    return h->plan_id != 0;
}

static void keep_waiting(void *arg, const struct event *ev)
{
    char **text = arg;
    char since[32];

    if (strcmp(ev->kind, "waiting") != 0)
        return;
    time_text(ev->time_ms, since);
    *text = xasprintf("%s (since %s)", ev->text, since);
}

/* Of a plan that ran before, only the word of its runner tells a new attempt from one that is just
 * ending. */
char *plan_starting(struct journal *j, const struct plan *p)
{
    const struct event_filter newest = {.plan_id = p->id, .num = 1};
    struct err ignored = ERR_INIT;
    char *text = NULL;

    if (!plan_may_move(p->state, PLAN_RUNNING) || !lock_is_held(j->dir, p->id))
        return NULL;
    journal_event_list(j, &newest, keep_waiting, &text, &ignored);
    return text != NULL || p->attempts > 0 ? text : xstrdup("another kvsh is just starting it");
}

static void age_text(int64_t since_ms, char out[32])
{
    int64_t s = (time_now_ms() - since_ms) / 1000;

    if (s < 0) /* the clock was put back */
        s = 0;
    if (s < 60)
        snprintf(out, 32, "%" PRId64 " s", s);
    else if (s < 3600)
        snprintf(out, 32, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
    else
        snprintf(out, 32, "%" PRId64 " h %" PRId64 " min", s / 3600, s / 60 % 60);
}

static int refuse_store(const struct holder *h, struct err *err)
{
    char age[32];

    if (h->plan_id == 0) {
        err_set(err, ERR_LOCKED, "another kvsh is just creating a plan that changes the store");
        return err_advise(err, "repeat in a moment, or give -lock-wait SECONDS");
    }
    age_text(h->started_ms, age);
    if (h->started_ms == 0)
        err_set(err, ERR_LOCKED, "plan %" PRId64 ", %s, is just being started", h->plan_id,
                h->name);
    else
        err_set(err, ERR_LOCKED,
                "plan %" PRId64 ", %s, is changing the store: running for %s as process %" PRId64,
                h->plan_id, h->name, age, h->pid);
    return err_advise(err,
                      "wait for it with plan wait -id %" PRId64
                      ", stop it with plan interrupt -id %" PRId64 ", or give -lock-wait SECONDS",
                      h->plan_id, h->plan_id);
}

static int stop_waiting(const struct holder *h, struct err *err)
{
    if (h->plan_id == 0)
        return err_set(err, ERR_INTERRUPTED, "interrupted while waiting for the store's lock");
    return err_set(err, ERR_INTERRUPTED, "interrupted while waiting for plan %" PRId64 ", %s",
                   h->plan_id, h->name);
}

/* --- taking them --- */

static int lock_file(struct plan_lock *l, struct journal *j, struct err *err)
{
    l->dir = j->dir;
    l->fd = open_lock(j->dir, O_RDWR | O_CREAT);
    return l->fd >= 0 ? 0 : err_errno(err, ERR_FAILED, errno, "open %s/lock", j->dir);
}

static bool is_taken(int error)
{
    return error == EAGAIN || error == EACCES;
}

/*
 * A lock without a plan at work is about to be named or about to be free: somebody is creating a
 * plan, or a runner has written its last state and is ending. So it is worth a moment's patience
 * even without wait_ms.
 */
int lock_store(struct plan_lock *l, struct journal *j, int64_t wait_ms, struct err *err)
{
    int64_t begun = time_mono_ms(), limit;
    struct holder h;

    if (journal_check_kept(j, err) < 0 || lock_file(l, j, err) < 0)
        return -1;
    while (lock_byte(l->fd, 0) < 0) {
        if (!is_taken(errno)) {
            err_errno(err, ERR_FAILED, errno, "lock %s/lock", j->dir);
            lock_release(l);
            return -1;
        }
        limit = wait_ms;
        if (!find_holder(j, &h)) {
            h.plan_id = 0;
            limit = wait_ms > PATIENCE_MS ? wait_ms : PATIENCE_MS;
        }
        if (time_mono_ms() - begun >= limit) {
            if (h.plan_id == 0)
                find_starting(j, &h);
            lock_release(l);
            return refuse_store(&h, err);
        }
        if (l->stopped != NULL && l->stopped()) {
            lock_release(l);
            return stop_waiting(&h, err);
        }
        time_sleep_ms(NAP_MS);
    }
    return 0;
}

static int refuse_plan(int64_t plan_id, enum plan_state state, struct err *err)
{
    if (plan_at_rest(state))
        err_set(err, ERR_LOCKED, "plan %" PRId64 " is just being started by another kvsh", plan_id);
    else
        err_set(err, ERR_LOCKED, "plan %" PRId64 " is already %s", plan_id, plan_state_name(state));
    return err_advise(err, "plan wait -id %" PRId64 " waits for its end", plan_id);
}

int lock_plan(struct plan_lock *l, struct journal *j, int64_t plan_id, struct err *err)
{
    int64_t begun = time_mono_ms();
    enum plan_state state;

    if (journal_check_kept(j, err) < 0 || (l->fd < 0 && lock_file(l, j, err) < 0))
        return -1;
    while (lock_byte(l->fd, plan_id) < 0) {
        if (!is_taken(errno))
            return err_errno(err, ERR_FAILED, errno, "lock %s/lock", j->dir);
        state = journal_plan_state(j, plan_id);
        if (!plan_at_rest(state) || time_mono_ms() - begun >= PATIENCE_MS)
            return refuse_plan(plan_id, state, err);
        time_sleep_ms(NAP_MS);
    }
    return journal_orphan(j, plan_id, err);
}

void lock_release(struct plan_lock *l)
{
    if (l->fd >= 0)
        close(l->fd); /* never F_UNLCK: that would free the lock of a runner that shares it */
    l->fd = -1;
}
