/*
 * The agents beside the nodes. The observation's "agents" is an object by node id:
 *
 *   {"url"}                                      the one agent that belongs to it
 *   {"url", "state", "detail"?, "instance"?}     ... and what it answered
 *   {"url", "why", "advice"?}                    ... or why it could not
 *   {"why", "advice"}                            none, or none for sure
 *
 * Where no agent is configured at all there is no such object.
 */
#include "engines/couchbase/doing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"

#define SILENT_MS 60000 /* until a stopped node must be missed by the cluster */
#define HEARD_MS 300000 /* until a started node must be heard */
#define ASK_AGAIN_MS 5000

/* --- whom to ask --- */

static const char *bare_host(const char *address, struct arena *a)
{
    const char *colon = address ? strrchr(address, ':') : NULL;

    if (address == NULL)
        return NULL;
    if (address[0] == '[')
        return arena_strndup(a, address + 1, strcspn(address + 1, "]"));
    return colon ? arena_strndup(a, address, (size_t)(colon - address)) : address;
}

struct agent_node cb_names_of(const struct cluster *c, const struct service *s, struct arena *a)
{
    const struct node *n = cluster_node(c, s->node);
    const struct json *outside = json_get(json_get(s->raw, "alternateAddresses"), "external");
    const char *at = strchr(cb_otp(s), '@');

    return (struct agent_node){.id = s->id,
                               .other_id = cb_otp(s),
                               .hosts = {n ? n->host : NULL, at ? at + 1 : NULL,
                                         bare_host(json_str(s->raw, "hostname"), a),
                                         json_str(outside, "hostname")}};
}

void cb_match_agents(struct cluster *c, const struct agent_list *agents)
{
    struct agent_node *v = arena_alloc(&c->arena, (c->n_services + 1) * sizeof *v);
    const struct agent_nodes nodes = {v, c->n_services};
    struct json *list;

    if (agents->n == 0)
        return;
    list = json_object();
    for (size_t i = 0; i < c->n_services; i++)
        v[i] = cb_names_of(c, &c->services[i], &c->arena);
    for (size_t i = 0; i < c->n_services; i++) {
        struct json *entry = json_object();
        struct agent_match m;

        agent_match(agents, &nodes, i, &c->arena, &m);
        if (m.url != NULL)
            json_set_str(entry, "url", m.url);
        else
            json_set_str(entry, "why", m.why);
        if (m.advice != NULL)
            json_set_str(entry, "advice", m.advice);
        json_set(list, c->services[i].id, entry);
    }
    json_set(c->raw, "agents", list);
}

const struct json *cb_agent(const struct cluster *c, const struct service *s)
{
    return json_get(cb_part(c, "agents"), s->id);
}

const char *cb_agent_url(const struct cluster *c, const struct service *s, const char **why,
                         const char **advice)
{
    const struct json *entry = cb_agent(c, s);
    const char *state = json_str(entry, "state"), *detail = json_str(entry, "detail");

    *why = json_str(entry, "why");
    *advice = json_str(entry, "advice");
    if (entry == NULL)
        *why = "no agent is configured for it";
    if (state != NULL && strcmp(state, "unknown") == 0) {
        *why = detail ? detail : "its agent cannot tell its state";
        *advice = "run the status command of the agent's boot configuration by hand";
    }
    return *why == NULL ? json_str(entry, "url") : NULL;
}

static bool says(const struct cluster *c, const struct service *s, const char *a, const char *b)
{
    const char *state = json_str(cb_agent(c, s), "state");

    return state != NULL && (strcmp(state, a) == 0 || strcmp(state, b) == 0);
}

bool cb_agent_says_down(const struct cluster *c, const struct service *s)
{
    return says(c, s, "stopped", "failed");
}

bool cb_agent_says_up(const struct cluster *c, const struct service *s)
{
    return says(c, s, "running", "running");
}

static void keep_answer(struct json *entry, const struct agent_answer *answer)
{
    const struct {
        const char *key, *value;
    } members[] = {{"state", answer->state},
                   {"detail", answer->detail},
                   {"instance", answer->instance},
                   {"why", answer->why},
                   {"advice", answer->advice}};

    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (members[i].value != NULL)
            json_set_str(entry, members[i].key, members[i].value);
    }
}

int cb_inquire(struct connection *cn, const struct intent *in, struct cluster *c, struct err *err)
{
    const unsigned needed =
        VERB_BIT(VERB_STOP_SERVICE) | VERB_BIT(VERB_START_SERVICE) | VERB_BIT(VERB_RESTART_SERVICE);
    struct arena a = {0};
    struct cb_set set = {0};
    struct err ignored = ERR_INIT;
    struct agent_unit *units;
    struct agent_answer *answers;
    struct json **entries;
    size_t n = 0;
    int rc = 0;

    /* What cannot be selected is expand's to refuse. */
    if (!(needed & VERB_BIT(in->verb)) || cb_select(in, c, &a, &set, &ignored) != 0)
        goto out;
    units = arena_alloc(&a, (set.n + 1) * sizeof *units);
    answers = arena_alloc(&a, (set.n + 1) * sizeof *answers);
    entries = arena_alloc(&a, (set.n + 1) * sizeof *entries);
    for (size_t i = 0; i < set.n; i++) {
        struct json *entry = json_get(json_get(c->raw, "agents"), set.v[i]->id);
        if (json_str(entry, "url") == NULL)
            continue;
        entries[n] = entry;
        units[n++] = (struct agent_unit){json_str(entry, "url"), CB_UNIT};
    }
    if (n > 0)
        rc = agents_ask(cn->agents, units, n, &a, answers, err);
    for (size_t i = 0; i < n && rc == 0; i++)
        keep_answer(entries[i], &answers[i]);
out:
    arena_release(&a);
    return rc;
}

/* --- tasks --- */

static const struct service *member(struct doing *d)
{
    return cb_by_otp(&d->c, json_str(d->t->args, "otp"));
}

/* A member that is gone has no agent that could be told from others. */
static int find_unit(struct doing *d, struct agent_unit *u, struct err *err)
{
    const struct service *s = member(d);
    const char *why, *advice;

    u->unit = CB_UNIT;
    if (s == NULL)
        return err_set(err, ERR_FAILED, "%s is not a member of the cluster any more", d->t->target);
    u->url = arena_strdup(&d->c.arena, cb_agent_url(&d->c, s, &why, &advice));
    if (u->url != NULL)
        return 0;
    err_set(err, ERR_FAILED, "%s", why);
    return advice ? err_advise(err, "%s", advice) : -1;
}

/* What its agent says now, kept in an arena of its own: looks at the cluster come and go. */
static int ask_now(struct doing *d, const struct agent_unit *u, struct arena *a,
                   struct agent_answer *answer, struct err *err)
{
    if (agents_ask(d->cn->agents, u, 1, a, answer, err) != 0)
        return -1;
    if (answer->why == NULL)
        return 0;
    err_set(err, ERR_UNREACHABLE, "%s", answer->why);
    return answer->advice ? err_advise(err, "%s", answer->advice) : -1;
}

static bool is_word(const char *word, const char *a, const char *b)
{
    return word != NULL && (strcmp(word, a) == 0 || strcmp(word, b) == 0);
}

static bool is_heard(const struct service *s)
{
    const char *status = s ? json_str(s->raw, "status") : NULL;

    return is_word(status, "healthy", "warmup");
}

/*
 * The process is down, says the agent: then the cluster must come to miss the node. A cluster that
 * does not answer meanwhile is no objection.
 */
static int await_silence(struct doing *d, const struct agent_unit *u, struct err *err)
{
    int64_t since = time_mono_ms();
    char *waiting = xasprintf("the cluster to miss %s", d->t->target);
    int rc = 1;

    while (rc > 0) {
        struct err ignored = ERR_INIT;
        bool seen = cb_look(d, &ignored) == 0;

        if (seen && !is_heard(member(d)))
            rc = 0;
        else if (time_mono_ms() - since <= SILENT_MS)
            rc = cb_pause(d, -1, waiting, err) == 0 ? 1 : -1;
        else if (!seen)
            rc = 0;
        else {
            rc = err_set(err, ERR_FAILED,
                         "the agent %s has stopped its %s, but the cluster still hears %s: is it "
                         "the agent of another host?",
                         u->url, CB_UNIT, d->t->target);
            err_advise(err, "start again what was stopped there, and mend 'agent' in kvsh.conf");
        }
    }
    free(waiting);
    return rc;
}

/* In a rolling plan it was failed over before; somebody may have taken it back since. */
static int check_failed_over(struct doing *d, struct err *err)
{
    const struct service *s = member(d);

    if (!json_bool(d->t->args, "failedOver", false) || s == NULL || !cb_is_active(s) ||
        !is_heard(s) || d->p->force)
        return 0;
    err_set(err, ERR_FAILED, "%s was taken back into service meanwhile and is not stopped", s->id);
    return err_advise(err, "cancel this plan and run 'plan restart-service -service %s' again",
                      s->id);
}

static int do_stop(struct doing *d, struct err *err)
{
    struct agent_unit u;
    char *url;
    int rc;

    if (find_unit(d, &u, err) != 0 || check_failed_over(d, err) != 0)
        return -1;
    u.url = url = xstrdup(u.url);
    rc = agents_command(d->cn->agents, &u, "stop", d->p, err);
    if (rc == 0)
        rc = await_silence(d, &u, err);
    if (rc == 0)
        snprintf(d->p->result, sizeof d->p->result, "stopped by its agent %s", url);
    free(url);
    return rc;
}

static enum settled stop_settled(struct doing *d, struct err *err)
{
    struct agent_answer answer;
    struct agent_unit u;

    if (find_unit(d, &u, err) != 0 || ask_now(d, &u, &d->c.arena, &answer, err) != 0)
        return SETTLED_UNKNOWN;
    return is_word(answer.state, "stopped", "failed") && !is_heard(member(d)) ? SETTLED_YES
                                                                              : SETTLED_NO;
}

/* Did the process end again? Only a sure answer counts. */
static int check_runs(struct doing *d, const struct agent_unit *u, struct err *err)
{
    struct arena a = {0};
    struct err ignored = ERR_INIT;
    struct agent_answer answer;
    int rc = 0;

    if (ask_now(d, u, &a, &answer, &ignored) == 0 && is_word(answer.state, "stopped", "failed")) {
        rc = err_set(err, ERR_FAILED, "couchbase-server on %s ended again%s%s", d->t->target,
                     answer.detail ? ": " : "", answer.detail ? answer.detail : "");
        err_advise(err, "look at its own log on that host, then 'plan execute'");
    }
    arena_release(&a);
    return rc;
}

static int await_health(struct doing *d, const struct agent_unit *u, struct err *err)
{
    int64_t heard = time_mono_ms(), asked = time_mono_ms();
    char *waiting = xasprintf("%s to be healthy", d->t->target);
    int rc = 1;

    while (rc > 0) {
        struct err ignored = ERR_INIT;
        bool seen = cb_look(d, &ignored) == 0;
        const struct service *s = seen ? member(d) : NULL;

        if (is_heard(s))
            heard = time_mono_ms();
        if (seen && (s == NULL || cb_is_healthy(s))) {
            rc = 0;
            break;
        }
        if (time_mono_ms() - heard > HEARD_MS) {
            rc = err_set(err, ERR_FAILED,
                         "couchbase-server on %s runs, says its agent, but the cluster has not "
                         "heard of it for %d s",
                         d->t->target, HEARD_MS / 1000);
            err_advise(err, "look at its own log on that host, and at the network");
            break;
        }
        if (time_mono_ms() - asked > ASK_AGAIN_MS) {
            asked = time_mono_ms();
            rc = check_runs(d, u, err) == 0 ? 1 : -1;
        }
        if (rc > 0)
            rc = cb_pause(d, -1, waiting, err) == 0 ? 1 : -1;
    }
    free(waiting);
    return rc;
}

static int do_start(struct doing *d, struct err *err)
{
    const struct service *s;
    struct agent_unit u;
    char *url;
    int rc;

    if (find_unit(d, &u, err) != 0)
        return -1;
    u.url = url = xstrdup(u.url);
    rc = agents_command(d->cn->agents, &u, "start", d->p, err);
    if (rc == 0)
        rc = await_health(d, &u, err);
    s = rc == 0 ? member(d) : NULL;
    if (rc == 0)
        snprintf(d->p->result, sizeof d->p->result, "started by its agent, and healthy%s",
                 s && cb_is_failed(s) ? "; failed over until it is recovered" : "");
    free(url);
    return rc;
}

static enum settled start_settled(struct doing *d, struct err *err)
{
    const struct service *s = member(d);

    (void)err;
    return s != NULL && cb_is_healthy(s) ? SETTLED_YES : SETTLED_NO;
}

/* --- await-restart --- */

/* A node's uptime comes with its heartbeats: what is told of it is that old at most. */
#define LAG_S 10
#define UPTIME_MAX INT64_C(4102444800) /* more is nonsense */

struct uptime {
    int64_t seconds, at_ms;
    bool down; /* it was not heard then */
};

static int64_t uptime_of(const struct service *s)
{
    const char *text = json_str(s->raw, "uptime");
    int64_t seconds = text ? strtoll(text, NULL, 10) : 0;

    return seconds > 0 && seconds < UPTIME_MAX ? seconds : 0;
}

/* A process was begun anew when it has run for less time than it had before, or than has passed
 * since; one that was down then, when it has run for no longer than that. */
static bool has_restarted(struct doing *d, const struct uptime *was)
{
    const struct service *s = cb_target(d);
    int64_t passed = (d->c.observed_ms - was->at_ms) / 1000, now = s ? uptime_of(s) : 0;

    if (s == NULL || !cb_is_healthy(s))
        return false;
    return was->down ? now - LAG_S < passed
                     : now < was->seconds || now + LAG_S < was->seconds + passed;
}

static bool read_uptime(const char *memo, struct uptime *was)
{
    struct err ignored = ERR_INIT;
    struct json *j = memo ? json_parse(memo, strlen(memo), &ignored) : NULL;

    was->seconds = json_int(j, "uptime", -1);
    was->at_ms = json_int(j, "at", 0);
    was->down = json_bool(j, "down", false);
    json_free(j);
    return was->seconds >= 0;
}

static int do_await_restart(struct doing *d, struct err *err)
{
    const char *waiting =
        arena_printf(&d->c.arena, "a restart of couchbase-server on %s by hand", d->t->target);
    char *kept = xstrdup(waiting), note[96];
    const struct service *s = cb_target(d);
    struct uptime was;
    int rc = 0;

    if (!read_uptime(d->p->memo, &was)) {
        was = (struct uptime){s ? uptime_of(s) : 0, d->c.observed_ms, !is_heard(s)};
        snprintf(note, sizeof note, "{\"uptime\": %lld, \"at\": %lld, \"down\": %s}",
                 (long long)was.seconds, (long long)was.at_ms, was.down ? "true" : "false");
        if (d->p->remember != NULL && d->p->remember(d->p, note) != 0)
            rc = err_set(err, ERR_FAILED, "the node's uptime cannot be written into the journal");
    }
    while (rc == 0 && !has_restarted(d, &was)) {
        struct err ignored = ERR_INIT;
        rc = cb_pause(d, -1, kept, err);
        /* The one that restarts may be the one that is asked. */
        if (rc == 0 && cb_look(d, &ignored) == 0 && cb_target(d) == NULL) {
            rc = err_set(err, ERR_FAILED, "%s is not a member of the cluster any more",
                         d->t->target);
            err_advise(err, "somebody took it out meanwhile: cancel the plan, and add it again "
                            "with 'plan add-node'");
        }
    }
    free(kept);
    if (rc == 0)
        snprintf(d->p->result, sizeof d->p->result, "restarted, and answers again");
    return rc;
}

static enum settled restart_settled(struct doing *d, struct err *err)
{
    struct uptime was;

    (void)err;
    return read_uptime(d->p->memo, &was) && has_restarted(d, &was) ? SETTLED_YES : SETTLED_NO;
}

const struct task_type cb_process_tasks[] = {
    {"stop", do_stop, stop_settled},
    {"start", do_start, start_settled},
    {"await-restart", do_await_restart, restart_settled},
    {0},
};
