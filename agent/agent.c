#include "agent/agent.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "agent/clock.h"
#include "agent/lease.h"
#include "agent/lifecycle.h"
#include "agent/logwatch.h"
#include "agent/metadata.h"
#include "agent/operations.h"
#include "agent/rootlock.h"
#include "agent/server.h"
#include "agent/services.h"
#include "agent/unit.h"
#include "agent/watch.h"

enum { TICK_MS = 1000, OPERATIONS_PER_START = 1000000 };

void eventfd_wake(int fd)
{
    uint64_t one = 1;

    /* A full counter wakes as well. */
    if (write(fd, &one, sizeof one) < 0)
        return;
}

void agent_changed(struct agent *a)
{
    pthread_cond_broadcast(&a->changed);
    eventfd_wake(a->wake_fd);
}

void agent_log(struct agent *a, enum log_level level, const char *component, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    logfile_line(a->log, level, component, fmt, ap);
    va_end(ap);
}

void agent_event(struct agent *a, const struct event *ev)
{
    static const enum log_level levels[] = {
        [SEVERITY_INFO] = LOG_INFO,
        [SEVERITY_WARNING] = LOG_WARNING,
        [SEVERITY_ERROR] = LOG_ERROR,
    };

    events_add(a->events, ev);
    agent_log(a, levels[ev->severity], ev->subject, "%s%s%s", ev->text, ev->advice ? "; " : "",
              ev->advice ? ev->advice : "");
}

/* A daemon ignores the hangup; in the foreground it ends the agent, as closing the terminal should.
 */
static int signals_take(void)
{
    struct sigaction hangup;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (sigaction(SIGHUP, NULL, &hangup) < 0 || hangup.sa_handler != SIG_IGN)
        sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int open_log(struct agent *a, struct err *err)
{
    char *dir = a->store[0] ? agent_log_dir(a, NULL) : xasprintf("%s/log", a->boot.root);
    int rc = logfile_open(a->log, dir, a->store[0] ? a->node_id : "kvagentd.log", err);

    free(dir);
    return rc;
}

static int open_events(struct agent *a, struct err *err)
{
    char *path = xasprintf("%s/events.jsonl", a->boot.root);

    a->events = events_open(path, err);
    free(path);
    return a->events ? 0 : -1;
}

static int open_all(struct agent *a, struct err *err)
{
    char *instance;

    if (!fs_is_dir(a->boot.root))
        return err_set(err, ERR_INPUT, "%s is not a directory", a->boot.root);
    /* Before the lock: whoever sees the lock may already ask for an orderly end. */
    a->signal_fd = signals_take();
    if (a->signal_fd < 0)
        return err_errno(err, ERR_FAILED, errno, "signalfd");
    a->lock_fd = rootlock_take(a->boot.root, err);
    if (a->lock_fd < 0)
        return -1;
    if (address_resolve(a->boot.host, a->host_ip, err) < 0)
        return -1;
    a->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (a->wake_fd < 0)
        return err_errno(err, ERR_FAILED, errno, "eventfd");
    units_load(a);
    if (services_load(a, err) < 0 || open_log(a, err) < 0 || open_events(a, err) < 0)
        return -1;
    instance = fs_random_hex(8);
    snprintf(a->instance, sizeof a->instance, "%s", instance);
    free(instance);
    a->started_ms = time_now_ms();
    return 0;
}

struct agent *agent_open(struct bootconfig *boot, bool tee, struct err *err)
{
    struct agent *a = xcalloc(1, sizeof *a);

    a->boot = *boot;
    memset(boot, 0, sizeof *boot);
    a->lock_fd = a->wake_fd = a->signal_fd = -1;
    pthread_mutex_init(&a->lock, NULL);
    pthread_mutex_init(&a->metadata_lock, NULL);
    cond_init_monotonic(&a->changed);
    a->log = logfile_new(tee);
    if (!a->boot.redis_server)
        a->boot.redis_server = boot_find_redis(getenv("PATH"));
    if (open_all(a, err) == 0)
        return a;
    agent_close(a);
    return NULL;
}

bool agent_is_stuck(struct agent *a)
{
    bool stuck;

    pthread_mutex_lock(&a->lock);
    stuck = a->probes > 0 || a->running_operations > 0;
    pthread_mutex_unlock(&a->lock);
    return stuck;
}

void agent_close(struct agent *a)
{
    if (!a)
        return;
    operations_free(a);
    services_free(a);
    events_free(a->events);
    logfile_free(a->log);
    if (a->wake_fd >= 0)
        close(a->wake_fd);
    if (a->signal_fd >= 0)
        close(a->signal_fd);
    if (a->lock_fd >= 0)
        close(a->lock_fd);
    if (a->secret)
        explicit_bzero(a->secret, strlen(a->secret));
    for (size_t i = 0; i < BOOT_DIRS_MAX; i++)
        json_free(a->dirs[i].service_dirs);
    free(a->secret);
    boot_release(&a->boot);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->metadata_lock);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

/* What the main loop waits for. */
struct waits {
    struct pollfd fds[2 + SERVICES_MAX];
    pid_t pids[2 + SERVICES_MAX];
    nfds_t n;
    int timeout_ms;
};

enum { WAIT_SIGNAL, WAIT_WAKE, WAIT_SERVICES };

static int sooner(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* The lock is held. A process the kernel cannot watch is looked at once a second. */
static void waits_fill(struct agent *a, struct waits *w)
{
    w->n = WAIT_SERVICES;
    w->timeout_ms = services_revive(a);
    for (size_t i = 0; i < a->n_services; i++) {
        struct service *s = a->services[i];

        if (s->proc.pid && s->pidfd < 0) {
            if (proc_is_alive(&s->proc))
                w->timeout_ms = sooner(w->timeout_ms, TICK_MS);
            else
                service_ended(a, s);
        } else if (s->pidfd >= 0) {
            w->fds[w->n] = (struct pollfd){.fd = s->pidfd, .events = POLLIN};
            w->pids[w->n++] = s->proc.pid;
        }
    }
}

static void take_ended(struct agent *a, const struct waits *w)
{
    for (nfds_t k = WAIT_SERVICES; k < w->n; k++)
        for (size_t i = 0; w->fds[k].revents && i < a->n_services; i++)
            if (a->services[i]->pidfd == w->fds[k].fd && a->services[i]->proc.pid == w->pids[k]) {
                service_ended(a, a->services[i]);
                break;
            }
}

static void main_loop(struct agent *a, struct server *server)
{
    struct waits w = {.fds = {[WAIT_SIGNAL] = {.fd = a->signal_fd, .events = POLLIN},
                              [WAIT_WAKE] = {.fd = a->wake_fd, .events = POLLIN}}};
    uint64_t count;

    for (;;) {
        pthread_mutex_lock(&a->lock);
        waits_fill(a, &w);
        pthread_mutex_unlock(&a->lock);
        if (server_tick(server) > 0)
            w.timeout_ms = sooner(w.timeout_ms, TICK_MS);
        if (poll(w.fds, w.n, w.timeout_ms) < 0 && errno != EINTR)
            return;
        if (w.fds[WAIT_SIGNAL].revents)
            return;
        if (w.fds[WAIT_WAKE].revents && read(a->wake_fd, &count, sizeof count) < 0)
            continue;
        pthread_mutex_lock(&a->lock);
        take_ended(a, &w);
        pthread_mutex_unlock(&a->lock);
    }
}

/* Services are left as they are. */
static void shut_down(struct agent *a, struct server *server)
{
    struct event ev = {SEVERITY_INFO, "agent-stopped", "agent",
                       "the agent has ended; its services go on", NULL};

    pthread_mutex_lock(&a->lock);
    a->stopping = true;
    agent_changed(a);
    pthread_mutex_unlock(&a->lock);
    events_shutdown(a->events);
    server_stop(server);
    pthread_mutex_lock(&a->lock);
    operations_drain(a);
    pthread_mutex_unlock(&a->lock);
    watch_stop(a);
    units_stop(a);
    agent_event(a, &ev);
}

static void begin(struct agent *a)
{
    char text[512];
    struct event ev = {SEVERITY_INFO, "agent-started", "agent", text, NULL};

    snprintf(text, sizeof text, "kvagentd %s runs with pid %d on %s", PACKAGE_VERSION,
             (int)getpid(), a->boot.root);
    agent_event(a, &ev);
    pthread_mutex_lock(&a->lock);
    a->last_operation = events_last(a->events) * OPERATIONS_PER_START;
    services_adopt(a);
    for (size_t i = 0; i < a->n_services; i++)
        if (a->services[i]->kind == SERVICE_REDIS)
            logwatch_load(a, a->services[i]);
    pthread_mutex_unlock(&a->lock);
    metadata_load(a);
    lease_load(a);
}

int agent_run(struct agent *a, void (*ready)(void *arg), void *arg, struct err *err)
{
    struct server *server = server_open(a, err);
    int rc = -1;

    if (!server)
        return -1;
    begin(a);
    if (watch_start(a, err) == 0 && units_start(a, err) == 0 && server_start(server, err) == 0) {
        ready(arg);
        main_loop(a, server);
        rc = 0;
    }
    shut_down(a, server);
    return rc;
}
