/* Tasks that begin or end an operation of which the cluster has one at a time. */
#include "engines/couchbase/doing.h"

#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"

#define NUMBER_MS 10000 /* how long a task list may be stale */

/* --- failover --- */

static bool failed_over(struct doing *d, const char **why)
{
    JSON_FOREACH (otp, json_get(d->t->args, "otp")) {
        const struct service *s = cb_by_otp(&d->c, json_value_str(otp));
        if (s != NULL && (cb_is_active(s) || json_str(s->raw, "failoverStatus") != NULL)) {
            *why = arena_printf(&d->c.arena, "%s is still active", s->id);
            return false;
        }
    }
    return true;
}

/* Without a majority they are not marked, but removed. */
static bool thrown_out(struct doing *d, const char **why)
{
    JSON_FOREACH (otp, json_get(d->t->args, "otp")) {
        const struct service *s = cb_by_otp(&d->c, json_value_str(otp));
        if (s != NULL) {
            *why = arena_printf(&d->c.arena, "%s is still a member", s->id);
            return false;
        }
    }
    return true;
}

static char *failover_form(struct doing *d, char moves[CB_MOVES], struct err *err)
{
    bool unsafe = json_bool(d->t->args, "unsafe", false);
    struct buf b;

    cb_moves_of(json_get(d->t->args, "otp"), moves);
    buf_init(&b, 0);
    JSON_FOREACH (otp, json_get(d->t->args, "otp")) {
        const char *name = json_value_str(otp);
        if (name == NULL || cb_by_otp(&d->c, name) == NULL) {
            err_set(err, ERR_FAILED, "%s is not a member of the cluster any more",
                    name ? name : "the node");
            buf_release(&b);
            return NULL;
        }
        cb_form(&b, "otpNode", name);
    }
    if (unsafe) /* who is left without a majority may see other members than we do */
        cb_form(&b, "allowUnsafe", "true");
    else
        cb_expect_members(&b, &d->c);
    return buf_take(&b);
}

/* An unsafe failover has to be asked of a node that stays: the address of one that answers. */
static const char *survivor(struct doing *d)
{
    const struct json *victims = json_get(d->t->args, "otp");
    bool tls = strncmp(d->cn->base, "https:", 6) == 0;

    for (size_t i = 0; i < d->c.n_services; i++) {
        const struct service *s = &d->c.services[i];
        if (json_bool(s->raw, "thisNode", false) && !cb_in_list(victims, cb_otp(s)))
            return d->cn->base;
    }
    for (size_t i = 0; i < d->c.n_services; i++) {
        const struct service *s = &d->c.services[i];
        const char *url = cb_url(&d->c, s, tls, &d->c.arena);
        if (url != NULL && !cb_in_list(victims, cb_otp(s)) && s->status != STATUS_UNREACHABLE)
            return url;
    }
    return d->cn->base;
}

/*
 * The rules once more, for those that are still to go: a plan may be executed long after it was
 * made, and the cluster does not refuse a hard failover that loses data.
 */
static int failover_allowed(struct doing *d, struct err *err)
{
    struct json *args = json_copy(d->t->args), *services = json_array();
    const struct intent in = {.verb = VERB_FAILOVER, .args = args};
    struct findings f = {0};
    int rc = 0;

    JSON_FOREACH (otp, json_get(d->t->args, "otp")) {
        const struct service *s = cb_by_otp(&d->c, json_value_str(otp));
        if (s != NULL && cb_is_active(s))
            json_push_str(services, s->id);
    }
    if (json_len(services) > 0) {
        json_set(args, "services", services);
        cb_check(&in, &d->c, &f);
    } else {
        json_free(services);
    }
    for (size_t i = 0; i < f.n && rc == 0; i++) {
        const struct finding *bad = &f.v[i];
        if (bad->severity < SEVERITY_BLOCK || (d->p->force && bad->severity < SEVERITY_FATAL))
            continue;
        rc = err_set(err, ERR_REFUSED, "%s (rule %s)", bad->text, bad->rule);
        if (bad->remedy != NULL)
            err_advise(err, "%s", bad->remedy);
    }
    findings_release(&f);
    json_free(args);
    return rc;
}

static struct cb_operation failover_operation(struct doing *d)
{
    const char *mode = json_str(d->t->args, "mode");
    bool hard = mode != NULL && strcmp(mode, "hard") == 0;
    bool unsafe = json_bool(d->t->args, "unsafe", false);

    return (struct cb_operation){
        .kind = hard ? "failover" : "gracefulFailover",
        .path = hard ? "/controller/startFailover" : "/controller/startGracefulFailover",
        .form = failover_form,
        .base = unsafe ? survivor(d) : NULL,
        .stoppable = !hard,
        .allowed = hard ? failover_allowed : NULL,
        .reached = unsafe ? thrown_out : failed_over,
        .effective = unsafe ? thrown_out : failed_over,
    };
}

static int do_failover(struct doing *d, struct err *err)
{
    const struct cb_operation op = failover_operation(d);

    return cb_operate(d, &op, err);
}

static enum settled failover_settled(struct doing *d, struct err *err)
{
    const struct cb_operation op = failover_operation(d);

    return cb_operated(d, &op, err);
}

/* --- rebalance --- */

static bool rebalanced(struct doing *d, const char **why)
{
    for (size_t i = 0; i < d->c.n_services; i++) {
        const struct service *s = &d->c.services[i];
        if (cb_in_list(json_get(d->t->args, "eject"), cb_otp(s)))
            *why = arena_printf(&d->c.arena, "%s is still a member", s->id);
        else if (!cb_is_active(s))
            *why = arena_printf(&d->c.arena, "%s is %s", s->id, s->membership);
        else
            continue;
        return false;
    }
    *why = "the cluster is not balanced";
    return json_bool(cb_part(&d->c, "default"), "balanced", false);
}

/* Nobody may have come or been failed over since the plan was made: a rebalance would take him in,
 * or out. */
static int check_members(struct doing *d, struct err *err)
{
    for (size_t i = 0; i < d->c.n_services; i++) {
        const struct service *s = &d->c.services[i];
        const struct node *n = cluster_node(&d->c, s->node);
        if (cb_is_failed(s) && !cb_in_list(json_get(d->t->args, "failed"), cb_otp(s)) &&
            !cb_in_list(json_get(d->t->args, "eject"), cb_otp(s))) {
            err_set(err, ERR_FAILED, "%s was failed over meanwhile: the rebalance would remove it",
                    s->id);
            return err_advise(err, "'plan recover -service %s' and make the plan anew", s->id);
        }
        if (cb_is_added(s) && strcmp(cb_recovery(s), "none") == 0 && n != NULL &&
            !cb_in_list(json_get(d->t->args, "members"), s->id)) {
            /* A node may call itself by another port than the one it was added by. */
            bool known = false;
            JSON_FOREACH (member, json_get(d->t->args, "members"))
                known = known || cb_port_behind(json_value_str(member), n->host) != NULL;
            if (!known) {
                err_set(err, ERR_FAILED, "%s was added meanwhile: the rebalance would take it in",
                        s->id);
                return err_advise(err, "make the plan anew, if that is meant");
            }
        }
    }
    return 0;
}

/* What a rebalance is for: who was to leave has left. */
static bool ejected(struct doing *d, const char **why)
{
    JSON_FOREACH (otp, json_get(d->t->args, "eject")) {
        const struct service *s = cb_by_otp(&d->c, json_value_str(otp));
        if (s == NULL)
            continue;
        *why = arena_printf(&d->c.arena, "%s is still a member", s->id);
        return false;
    }
    return true;
}

static char *rebalance_form(struct doing *d, char moves[CB_MOVES], struct err *err)
{
    struct json *known = json_array(), *eject = json_array(), *keep = json_array();
    char *text = NULL, *list;
    struct buf b;

    if (check_members(d, err) == 0) {
        for (size_t i = 0; i < d->c.n_services; i++) {
            const char *otp = cb_otp(&d->c.services[i]);
            json_push_str(known, otp);
            if (cb_in_list(json_get(d->t->args, "eject"), otp))
                json_push_str(eject, otp);
            else if (!cb_is_failed(&d->c.services[i]))
                json_push_str(keep, otp);
        }
        cb_moves_of(keep, moves);
        buf_init(&b, 0);
        list = cb_joined(known);
        cb_form(&b, "knownNodes", list);
        free(list);
        list = cb_joined(eject);
        cb_form(&b, "ejectedNodes", list);
        free(list);
        if (cb_is_enterprise(&d->c))
            cb_expect_members(&b, &d->c);
        text = buf_take(&b);
    }
    json_free(known);
    json_free(eject);
    json_free(keep);
    return text;
}

static const struct cb_operation rebalance_operation = {
    .kind = "rebalance",
    .path = "/controller/rebalance",
    .form = rebalance_form,
    .stoppable = true,
    .reached = rebalanced,
    .effective = ejected,
};

static int do_rebalance(struct doing *d, struct err *err)
{
    return cb_operate(d, &rebalance_operation, err);
}

static enum settled rebalance_settled(struct doing *d, struct err *err)
{
    return cb_operated(d, &rebalance_operation, err);
}

/* --- stop-rebalance --- */

static const struct json *running_task(struct doing *d)
{
    const struct json *task = cb_rebalance_task(cb_part(&d->c, "tasks"));
    bool unsure;

    return cb_is_running(task, &unsure) || unsure ? task : NULL;
}

/* Only what was seen when the plan was made: something begun since is not this plan's business. */
static bool is_stopped(struct doing *d)
{
    const struct json *task = running_task(d);
    const char *id = json_str(d->t->args, "id"), *status = json_str(d->t->args, "status");
    const char *now = json_str(task, id != NULL ? "rebalanceId" : "statusId");
    const char *was = id != NULL ? id : status;

    if (json_bool(d->t->args, "retry", false)) {
        const char *pending = json_str(cb_part(&d->c, "pendingRetry"), "rebalance_id");
        return pending == NULL || id == NULL || strcmp(pending, id) != 0;
    }
    return task == NULL || (was != NULL && now != NULL && strcmp(was, now) != 0);
}

/* The number of what runs is looked for, and a list from a node that has not heard does not tell
 * it.
 */
static bool is_number_hidden(struct doing *d)
{
    const struct json *task = running_task(d);

    return json_str(d->t->args, "id") != NULL && task != NULL &&
           json_str(task, "rebalanceId") == NULL;
}

/* Waits for a list that tells what runs: it may be another operation by now. */
static int await_number(struct doing *d, bool unsafe, struct err *err)
{
    int64_t since = time_mono_ms();

    while (is_number_hidden(d) && time_mono_ms() - since < NUMBER_MS) {
        if (cb_pause(d, -1, "a task list that is not stale", err) != 0 || cb_look(d, err) != 0)
            return -1;
    }
    if (!is_number_hidden(d) || unsafe)
        return 0;
    err_set(err, ERR_FAILED,
            "it cannot be seen whether what runs is still what this plan is to stop: the node that "
            "leads it does not answer");
    return err_advise(err, "wait until it answers, or another node leads; show tasks tells; then "
                           "make the plan anew");
}

static int do_stop_rebalance(struct doing *d, struct err *err)
{
    const char *id = json_str(d->t->args, "id");
    bool unsafe = json_bool(d->t->args, "unsafe", false);
    bool retry = json_bool(d->t->args, "retry", false);
    char *escaped, *path;
    int rc;

    if (!retry && await_number(d, unsafe, err) != 0)
        return -1;
    if (is_stopped(d))
        return 0;
    if (!retry)
        return cb_stop(d, unsafe, err);
    escaped = http_escape(id ? id : "");
    path = xasprintf("/controller/cancelRebalanceRetry/%s", escaped);
    rc = cb_change(d, path, NULL, NULL, err);
    free(path);
    free(escaped);
    return rc;
}

static enum settled stop_settled(struct doing *d, struct err *err)
{
    return cb_settled_if(d, is_stopped, err);
}

const struct task_type cb_rebalance_tasks[] = {
    {"failover", do_failover, failover_settled},
    {"rebalance", do_rebalance, rebalance_settled},
    {"stop-rebalance", do_stop_rebalance, stop_settled},
    {0},
};
