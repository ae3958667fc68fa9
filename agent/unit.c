#include "agent/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "agent/clock.h"
#include "agent/operations.h"
#include "agent/services.h"
#include "agent/thread.h"

enum {
    FRESH_MS = 500,        /* a look as young as this is as good as a new one */
    ASK_MS = 1000,         /* a request waits that long for a look */
    SETTLE_MS = 10 * 1000, /* the command has succeeded, the status says otherwise yet */
    PAUSE_MS = 250,
};

struct unit {
    const struct boot_unit *boot;
    struct agent *agent;
    struct service *service;
    pthread_t thread;
    bool has_thread;
    pthread_cond_t kick, done;
    int64_t asked, answered;        /* numbers of looks */
    int64_t began_ms;               /* of time_mono_ms(): the look under way; 0: none is */
    int64_t seen_ms;                /* the last look ended; 0: none yet */
    enum service_state seen, known; /* by the last look; by the last one that could tell */
    char text[512];                 /* what is wrong, as seen */
    const char *leftover;           /* a command that an earlier agent began and that goes on */
};

static const struct {
    const char *word;
    enum service_state state;
} words[] = {
    {"active", STATE_RUNNING},        {"reloading", STATE_RUNNING},
    {"refreshing", STATE_RUNNING},    {"inactive", STATE_STOPPED},
    {"failed", STATE_FAILED},         {"activating", STATE_STARTING},
    {"deactivating", STATE_STOPPING}, {"maintenance", STATE_STOPPING},
};

/* Itself, or through another program such as sudo. */
static bool is_systemctl(const struct boot_unit *u)
{
    const struct unit_command *c = &u->commands[UNIT_STATUS];

    for (size_t i = 0; i < c->n; i++) {
        const char *slash = strrchr(c->argv[i], '/');

        if (slash && strcmp(slash, "/systemctl") == 0)
            return true;
    }
    return false;
}

enum service_state unit_state_decode(const struct boot_unit *u, const struct command_result *r)
{
    if (r->end != COMMAND_EXITED)
        return STATE_UNKNOWN;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(r->text, words[i].word) == 0)
            return words[i].state;
    if (is_systemctl(u) && r->status != 0)
        return STATE_UNKNOWN; /* it did not reach systemd */
    switch (r->status) {
    case 0:
        return STATE_RUNNING;
    case 1:
    case 2:
        return STATE_FAILED;
    case 3:
        return STATE_STOPPED;
    default:
        return STATE_UNKNOWN;
    }
}

/* --- looking --- */

static bool is_down(enum service_state s)
{
    return s == STATE_STOPPED || s == STATE_FAILED;
}

static void tell_change(struct unit *u, enum service_state now)
{
    const char *id = u->service->id;
    char text[1024];
    struct event ev = {SEVERITY_INFO, NULL, id, text, NULL};

    if (now == STATE_UNKNOWN && u->seen != STATE_UNKNOWN) {
        ev = (struct event){SEVERITY_WARNING, "status-unknown", id, text,
                            "run its status command by hand"};
        snprintf(text, sizeof text, "the state of %s cannot be told: %s", id, u->text);
    } else if (now == STATE_RUNNING && u->seen_ms && u->known != STATE_RUNNING) {
        ev.kind = "process-started";
        snprintf(text, sizeof text, "%s is running; it was not started by this agent", id);
    } else if (is_down(now) && u->seen_ms && !is_down(u->known)) {
        ev = (struct event){SEVERITY_WARNING, "process-stopped", id, text,
                            "the agent does not start it by itself"};
        if (now == STATE_FAILED)
            ev = (struct event){SEVERITY_ERROR, "process-died", id, text,
                                "look at its own log; the agent does not start it by itself"};
        snprintf(text, sizeof text, "%s is down; it was not stopped by this agent: %s", id,
                 u->text);
    } else if (now == STATE_RUNNING && u->seen_ms && u->seen == STATE_UNKNOWN) {
        ev.kind = "status-known";
        snprintf(text, sizeof text, "%s answers its status command again: it is running", id);
    }
    if (ev.kind)
        agent_event(u->agent, &ev);
}

/* The first look tells nothing new: whatever is the case was so before. */
static void take_look(struct unit *u, const struct command_result *r)
{
    enum service_state now = unit_state_decode(u->boot, r);
    struct service *s = u->service;

    u->text[0] = '\0';
    if (now != STATE_RUNNING)
        command_explain(u->boot, UNIT_STATUS, r, u->text, sizeof u->text);
    if (!s->op) {
        tell_change(u, now);
        s->state = now;
        service_detail(s, "%s", now == STATE_STOPPED ? "" : u->text);
    }
    u->seen = now;
    if (now != STATE_UNKNOWN)
        u->known = now;
    u->seen_ms = time_mono_ms();
}

static void look(struct unit *u)
{
    struct agent *a = u->agent;
    struct command_result r;
    int64_t number = u->asked;

    u->began_ms = time_mono_ms();
    pthread_mutex_unlock(&a->lock);
    command_run(a, u->boot, UNIT_STATUS, &r);
    pthread_mutex_lock(&a->lock);
    u->began_ms = 0;
    if (r.end == COMMAND_ABANDONED)
        return;
    take_look(u, &r);
    u->answered = number;
    pthread_cond_broadcast(&u->done);
    agent_changed(a);
}

/* What an earlier agent began is let come to its end first. */
static void await_leftovers(struct unit *u)
{
    for (int action = 0; action < UNIT_ACTIONS && !u->agent->stopping; action++) {
        u->leftover = unit_action_name((enum unit_action)action);
        if (command_await_leftover(u->agent, u->boot, (enum unit_action)action))
            agent_log(u->agent, LOG_INFO, u->service->id,
                      "the %s command that an earlier agent began has ended", u->leftover);
    }
    u->leftover = NULL;
}

static void *unit_run(void *arg)
{
    struct unit *u = arg;
    struct agent *a = u->agent;
    int64_t next_cycle = 0;

    pthread_mutex_lock(&a->lock);
    await_leftovers(u);
    while (!a->stopping) {
        if (u->answered == u->asked && time_mono_ms() < next_cycle) {
            cond_wait_until(&u->kick, &a->lock, next_cycle);
            continue;
        }
        look(u);
        next_cycle = time_mono_ms() + a->boot.watch_interval * INT64_C(1000);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static int64_t ask(struct unit *u)
{
    int64_t number = ++u->asked;

    pthread_cond_signal(&u->kick);
    return number;
}

/* False when the look has not ended in time. The lock is held. */
static bool await_look(struct unit *u, int64_t number, int64_t until)
{
    while (u->answered < number && !u->agent->stopping &&
           cond_wait_until(&u->done, &u->agent->lock, until))
        ;
    return u->answered >= number;
}

void units_refresh(struct agent *a, int wait_ms)
{
    int64_t now = time_mono_ms(), numbers[BOOT_UNITS_MAX];
    struct unit *units[BOOT_UNITS_MAX];
    size_t n = 0;

    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->n_services && n < BOOT_UNITS_MAX; i++) {
        struct unit *u = a->services[i]->unit;

        if (!u || !u->has_thread || (u->seen_ms && now - u->seen_ms < FRESH_MS))
            continue;
        units[n] = u;
        numbers[n++] = ask(u);
    }
    for (size_t i = 0; i < n; i++)
        await_look(units[i], numbers[i], now + wait_ms);
    pthread_mutex_unlock(&a->lock);
}

void unit_silence(const struct service *s, char *out, size_t size)
{
    const struct unit *u = s->unit;
    int64_t ms = u && u->began_ms ? time_mono_ms() - u->began_ms : 0;

    out[0] = '\0';
    if (u && u->leftover)
        snprintf(out, size, "the %s command that an earlier agent began goes on", u->leftover);
    else if (ms >= ASK_MS)
        snprintf(out, size, "its status command has not answered for %d s", (int)(ms / 1000));
}

/* --- starting and stopping --- */

struct change {
    struct operation *op;
    struct unit *u;
    enum unit_action action;
    struct command_result r;
};

static bool is_reached(const struct change *c)
{
    return c->action == UNIT_START ? c->u->seen == STATE_RUNNING : is_down(c->u->seen);
}

/* The state changes to what the operation wants, of its own accord. */
static bool is_on_its_way(const struct change *c)
{
    return c->u->seen == (c->action == UNIT_START ? STATE_STARTING : STATE_STOPPING);
}

/* A new look; -1 when the agent ends. The lock is held. */
static int look_again(struct change *c)
{
    struct unit *u = c->u;
    int64_t limit = u->boot->commands[UNIT_STATUS].limit_s * INT64_C(2000) + SETTLE_MS;

    if (!await_look(u, ask(u), time_mono_ms() + limit) || operation_must_end(c->op))
        return -1;
    return 0;
}

/* After the command: until its status agrees. The lock is held. */
static void await_state(struct change *c)
{
    int64_t begin = time_mono_ms();
    int64_t limit = begin + c->u->boot->commands[c->action].limit_s * INT64_C(1000);

    while (look_again(c) == 0 && !is_reached(c)) {
        int64_t until = is_on_its_way(c) ? limit : begin + SETTLE_MS;
        int64_t pause = time_mono_ms() + PAUSE_MS;

        /* A command that failed is not waited for. */
        if (time_mono_ms() >= until || c->r.end != COMMAND_EXITED || c->r.status != 0)
            return;
        while (!operation_must_end(c->op) &&
               cond_wait_until(&c->u->done, &c->u->agent->lock, pause))
            ;
    }
}

/* The outcome as an event and in the service. The lock is held. */
static void reached(struct change *c, bool was_so)
{
    struct service *s = c->u->service;
    bool start = c->action == UNIT_START;
    bool clean = c->r.end == COMMAND_EXITED && c->r.status == 0;
    char why[512] = "";
    struct event ev = {SEVERITY_INFO, start ? "process-started" : "process-stopped", s->id,
                       c->op->result, NULL};

    if (!was_so && !clean) {
        command_explain(c->u->boot, c->action, &c->r, why, sizeof why);
        ev.severity = SEVERITY_WARNING;
    }
    snprintf(c->op->result, sizeof c->op->result, "%s is %s%s%s%s", s->id,
             start ? "running" : "stopped", was_so ? " already" : "", why[0] ? ", though " : "",
             why);
    if (!was_so)
        agent_event(c->u->agent, &ev);
}

static int not_reached(struct change *c, struct problem *pb)
{
    struct unit *u = c->u;
    const char *name = unit_action_name(c->action);
    enum problem_code code = c->action == UNIT_START ? PROBLEM_START_FAILED : PROBLEM_STORE_ERROR;
    char why[512];

    if (c->r.end != COMMAND_EXITED || c->r.status != 0) {
        command_explain(u->boot, c->action, &c->r, why, sizeof why);
        if (c->r.end == COMMAND_TIMED_OUT)
            code = PROBLEM_TIMEOUT;
        if (c->r.end == COMMAND_ABANDONED)
            code = PROBLEM_INTERNAL;
        problem_set(pb, code, "%s %s: %s", name, u->service->id, why);
    } else if (u->seen == STATE_UNKNOWN) {
        problem_set(pb, PROBLEM_TIMEOUT,
                    "%s %s: the command succeeded, but its state cannot be told: %s", name,
                    u->service->id, u->text);
    } else {
        problem_set(pb, code, "%s %s: the command succeeded, but it is %s: %s", name,
                    u->service->id, service_state_name(u->seen),
                    u->text[0] ? u->text : "says its status command");
    }
    problem_advise(pb, "look at its own log, and run the command by hand: %s",
                   u->boot->commands[c->action].argv[0]);
    return -1;
}

static int change_run(struct operation *op, struct problem *pb)
{
    struct agent *a = op->agent;
    struct change c = {.op = op, .u = op->service->unit};
    struct service *s = op->service;
    char why[1024];
    bool was_so;
    int rc = 0;

    c.action = strcmp(op->action, "start") == 0 ? UNIT_START : UNIT_STOP;
    pthread_mutex_lock(&a->lock);
    was_so = look_again(&c) == 0 && is_reached(&c);
    if (!was_so && !operation_must_end(op)) {
        s->state = c.action == UNIT_START ? STATE_STARTING : STATE_STOPPING;
        s->detail[0] = '\0';
        snprintf(op->waiting_for, sizeof op->waiting_for, "the %s command of %s",
                 unit_action_name(c.action), s->id);
        agent_changed(a);
        pthread_mutex_unlock(&a->lock);
        command_run(a, c.u->boot, c.action, &c.r);
        pthread_mutex_lock(&a->lock);
        command_explain(c.u->boot, c.action, &c.r, why, sizeof why);
        agent_log(a, LOG_INFO, s->id, "%s, after %lld ms", why, (long long)c.r.took_ms);
        snprintf(op->waiting_for, sizeof op->waiting_for, "the state of %s", s->id);
        await_state(&c);
    }
    if (operation_must_end(op) && !is_reached(&c))
        rc = problem_set(pb, PROBLEM_INTERNAL, "%s %s: given up, the agent is ending", op->action,
                         s->id);
    else if (is_reached(&c))
        reached(&c, was_so);
    else
        rc = not_reached(&c, pb);
    s->state = c.u->seen;
    service_detail(s, "%s", rc < 0 ? pb->detail : "");
    agent_changed(a);
    pthread_mutex_unlock(&a->lock);
    return rc;
}

/* Nothing to do when a fresh look says so. */
static int change_begin(struct agent *a, struct service *s, enum unit_action action,
                        int64_t *operation, struct problem *pb)
{
    struct operation_start os = {
        .service = s, .action = unit_action_name(action), .run = change_run};
    struct unit *u = s->unit;
    struct change c = {.u = u, .action = action};

    *operation = 0;
    if (u->leftover) {
        problem_set(pb, PROBLEM_BUSY, "the %s command of %s that an earlier agent began goes on",
                    u->leftover, s->id);
        return problem_advise(pb, "wait for its end, then repeat");
    }
    if (!s->op && await_look(u, ask(u), time_mono_ms() + ASK_MS) && !s->op && is_reached(&c))
        return 0;
    *operation = operation_begin(a, &os, pb);
    return *operation < 0 ? -1 : 0;
}

int unit_start(struct agent *a, struct service *s, int64_t *operation, struct problem *pb)
{
    return change_begin(a, s, UNIT_START, operation, pb);
}

int unit_stop(struct agent *a, struct service *s, int64_t *operation, struct problem *pb)
{
    return change_begin(a, s, UNIT_STOP, operation, pb);
}

/* --- life --- */

void units_load(struct agent *a)
{
    for (size_t i = 0; i < a->boot.n_units && a->n_services < SERVICES_MAX; i++) {
        struct definition d = {.id = a->boot.units[i].id, .kind = SERVICE_UNIT};
        struct service *s = service_new(&d);
        struct unit *u = xcalloc(1, sizeof *u);

        *u = (struct unit){.boot = &a->boot.units[i], .agent = a, .service = s};
        u->seen = u->known = STATE_UNKNOWN;
        cond_init_monotonic(&u->kick);
        cond_init_monotonic(&u->done);
        s->unit = u;
        a->services[a->n_services++] = s;
    }
}

int units_start(struct agent *a, struct err *err)
{
    char *dir = xasprintf("%s/units", a->boot.root);
    int rc = a->boot.n_units ? fs_mkdirs(dir, 0700, err) : 0;

    for (size_t i = 0; i < a->n_services && rc == 0; i++) {
        struct unit *u = a->services[i]->unit;
        int errnum = u ? thread_start(&u->thread, unit_run, u) : 0;

        if (errnum != 0)
            rc = err_errno(err, ERR_FAILED, errnum, "start the watch of %s", u->boot->id);
        else if (u)
            u->has_thread = true;
    }
    free(dir);
    return rc;
}

void units_stop(struct agent *a)
{
    for (size_t i = 0; i < a->n_services; i++) {
        struct unit *u = a->services[i]->unit;

        if (!u || !u->has_thread)
            continue;
        pthread_mutex_lock(&a->lock);
        pthread_cond_broadcast(&u->kick);
        pthread_cond_broadcast(&u->done);
        pthread_mutex_unlock(&a->lock);
        pthread_join(u->thread, NULL);
        u->has_thread = false;
    }
}

void unit_free(struct unit *u)
{
    if (!u)
        return;
    pthread_cond_destroy(&u->kick);
    pthread_cond_destroy(&u->done);
    free(u);
}
