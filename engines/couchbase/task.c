/*
 * What each type of task does, and how to see whether it did. Each is repeatable: perform() may be
 * called on a cluster where the task, or half of it, has happened already.
 */
#include "engines/couchbase/couchbase.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"

#define STALE_MS 1500 /* older than that no answer is */

static bool in_list(const struct json *list, const char *word)
{
    JSON_FOREACH (item, list) {
        if (json_value_str(item) != NULL && strcmp(json_value_str(item), word) == 0)
            return true;
    }
    return false;
}

/* "a,b" of a list of strings; free() it. */
static char *joined(const struct json *list)
{
    struct buf b;

    buf_init(&b, 0);
    JSON_FOREACH (item, list) {
        if (json_value_str(item) != NULL)
            buf_addf(&b, "%s%s", b.len > 0 ? "," : "", json_value_str(item));
    }
    return buf_take(&b);
}

static char *one_field(const char *name, const char *value)
{
    struct buf b;

    buf_init(&b, 0);
    cb_form(&b, name, value);
    return buf_take(&b);
}

/* The port of HOST:PORT or [HOST]:PORT when it is of that host; else NULL. */
static const char *port_behind(const char *address, const char *host)
{
    const char *port = address ? strrchr(address, ':') : NULL;
    size_t len = port ? (size_t)(port - address) : 0;

    if (len > 1 && address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    }
    return port && len == strlen(host) && strncmp(address, host, len) == 0 ? port + 1 : NULL;
}

/* The member a task is about; NULL when the cluster has it no more. */
static const struct service *target(struct doing *d)
{
    const char *otp = json_str(d->t->args, "otp");

    return otp ? cb_by_otp(&d->c, otp) : cb_find(&d->c, d->t->target);
}

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
        if (json_bool(s->raw, "thisNode", false) && !in_list(victims, cb_otp(s)))
            return d->cn->base;
    }
    for (size_t i = 0; i < d->c.n_services; i++) {
        const struct service *s = &d->c.services[i];
        const char *url = cb_url(&d->c, s, tls, &d->c.arena);
        if (url != NULL && !in_list(victims, cb_otp(s)) && s->status != STATUS_UNREACHABLE)
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

    return (struct cb_operation){
        .kind = hard ? "failover" : "gracefulFailover",
        .path = hard ? "/controller/startFailover" : "/controller/startGracefulFailover",
        .form = failover_form,
        .base = json_bool(d->t->args, "unsafe", false) ? survivor(d) : NULL,
        .stoppable = !hard,
        .allowed = hard ? failover_allowed : NULL,
        .reached = failed_over,
        .effective = failed_over,
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
        if (in_list(json_get(d->t->args, "eject"), cb_otp(s)))
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
        if (cb_is_failed(s) && !in_list(json_get(d->t->args, "failed"), cb_otp(s)) &&
            !in_list(json_get(d->t->args, "eject"), cb_otp(s))) {
            err_set(err, ERR_FAILED, "%s was failed over meanwhile: the rebalance would remove it",
                    s->id);
            return err_advise(err, "'plan recover -service %s' and make the plan anew", s->id);
        }
        if (cb_is_added(s) && strcmp(cb_recovery(s), "none") == 0 && n != NULL &&
            !in_list(json_get(d->t->args, "members"), s->id)) {
            /* A node may call itself by another port than the one it was added by. */
            bool known = false;
            JSON_FOREACH (member, json_get(d->t->args, "members"))
                known = known || port_behind(json_value_str(member), n->host) != NULL;
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
            if (in_list(json_get(d->t->args, "eject"), otp))
                json_push_str(eject, otp);
            else if (!cb_is_failed(&d->c.services[i]))
                json_push_str(keep, otp);
        }
        cb_moves_of(keep, moves);
        buf_init(&b, 0);
        list = joined(known);
        cb_form(&b, "knownNodes", list);
        free(list);
        list = joined(eject);
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

/* --- set-recovery, eject --- */

static bool is_marked(struct doing *d)
{
    const struct service *s = target(d);
    const char *type = json_str(d->t->args, "type");

    return s != NULL && (cb_is_active(s) || (cb_is_added(s) && strcmp(cb_recovery(s), type) == 0));
}

/* What a node tells may be a second old: the next task must see what this one did. */
static int await(struct doing *d, bool (*is_so)(struct doing *d), const char *what, struct err *err)
{
    for (int64_t since = time_mono_ms(); time_mono_ms() - since < 10000;) {
        if (cb_look(d, err) == 0 && is_so(d))
            return 0;
        if (cb_pause(d, -1, what, err) != 0)
            return -1;
    }
    return err_set(err, ERR_IN_DOUBT, "waited in vain for %s", what);
}

static int do_set_recovery(struct doing *d, struct err *err)
{
    const struct service *s = target(d);
    struct buf b;
    int rc;

    if (s == NULL)
        return err_set(err, ERR_FAILED, "%s is not a member of the cluster any more", d->t->target);
    if (is_marked(d))
        return 0;
    buf_init(&b, 0);
    cb_form(&b, "otpNode", cb_otp(s));
    cb_form(&b, "recoveryType", json_str(d->t->args, "type"));
    rc = cb_change(d, "/controller/setRecoveryType", b.data, NULL, err);
    buf_release(&b);
    return rc == 0 ? await(d, is_marked, "the cluster to show it", err) : -1;
}

static bool is_gone(struct doing *d)
{
    return target(d) == NULL;
}

static int do_eject(struct doing *d, struct err *err)
{
    char *form;
    int rc;

    if (is_gone(d))
        return 0;
    form = one_field("otpNode", json_str(d->t->args, "otp"));
    rc = cb_change(d, "/controller/ejectNode", form, NULL, err);
    free(form);
    return rc == 0 ? await(d, is_gone, "the cluster to show it", err) : -1;
}

/* --- add-node --- */

static bool is_member_at(struct doing *d, const char *address)
{
    if (cb_find(&d->c, address) != NULL)
        return true;
    for (size_t i = 0; i < d->c.n_services && address != NULL; i++) {
        const struct service *s = &d->c.services[i];
        const struct node *n = cluster_node(&d->c, s->node);
        const char *port = n ? port_behind(address, n->host) : NULL;
        if (port != NULL &&
            json_int(json_get(s->raw, "ports"), "httpsMgmt", 0) == strtoll(port, NULL, 10))
            return true;
    }
    return false;
}

/* A node added by its secure port may call itself by the plain one. */
static bool is_added_node(struct doing *d)
{
    const char *asked = json_str(d->t->args, "hostname");

    return is_member_at(d, json_str(d->t->args, "address")) ||
           is_member_at(d, asked ? cb_host(asked) : NULL);
}

/* As the cluster wants it; plans made by earlier versions have the address only. */
static const char *join_hostname(struct doing *d)
{
    const char *asked = json_str(d->t->args, "hostname");

    return asked ? asked : json_str(d->t->args, "address");
}

static const char *join_path(struct doing *d)
{
    const char *group = json_str(d->t->args, "group");

    JSON_FOREACH (g, json_get(cb_part(&d->c, "groups"), "groups")) {
        const char *name = json_str(g, "name"), *uri = json_str(g, "addNodeURI");
        if (group != NULL && name != NULL && strcmp(name, group) == 0 && uri != NULL &&
            strncmp(uri, "/pools/default/serverGroups/", 28) == 0)
            return uri;
    }
    return group ? NULL : "/controller/addNode";
}

static int do_add_node(struct doing *d, struct err *err)
{
    const struct json *services = json_get(d->t->args, "services");
    struct cb_send s = {.request = {.method = "POST", .path = join_path(d), .timeout_ms = 60000}};
    struct buf b, shown;
    char *list = joined(services), *made_up = NULL;
    int rc;

    if (is_added_node(d) || s.request.path == NULL) {
        free(list);
        return s.request.path != NULL || is_added_node(d)
                   ? 0
                   : err_set(err, ERR_FAILED, "there is no server group \"%s\" any more",
                             json_str(d->t->args, "group"));
    }
    buf_init(&b, 0);
    buf_init(&shown, 0);
    cb_form(&shown, "hostname", join_hostname(d));
    if (json_is_array(services))
        cb_form(&shown, "services",
                in_list(services, "arbiter") && json_len(services) == 1 ? "" : list);
    buf_adds(&b, shown.data);
    /* A node that belongs to no cluster takes any password. */
    if (d->cn->user != NULL && d->cn->password != NULL) {
        cb_form(&b, "user", d->cn->user);
        cb_form(&b, "password", d->cn->password);
    } else if (d->cn->has_cert) {
        cb_form(&b, "clientCertAuth", "true");
    } else {
        made_up = fs_random_hex(12);
        cb_form(&b, "user", "Administrator");
        cb_form(&b, "password", made_up);
    }
    s.request.form = b.data;
    s.shown = shown.data;
    rc = cb_send(d, &s, NULL, err);
    buf_release(&b);
    buf_release(&shown);
    free(made_up);
    free(list);
    return rc == 0 ? await(d, is_added_node, "the cluster to show the node", err) : -1;
}

/* --- change-group --- */

static bool is_in_group(struct doing *d)
{
    const char *group = json_str(d->t->args, "group");

    JSON_FOREACH (otp, json_get(d->t->args, "otp")) {
        const struct service *s = cb_by_otp(&d->c, json_value_str(otp));
        const struct node *n = s ? cluster_node(&d->c, s->node) : NULL;
        if (n == NULL || group == NULL || strcmp(n->zone, group) != 0)
            return false;
    }
    return true;
}

/* One of those that are to move has left the cluster: its otpNode, or NULL. */
static const char *mover_gone(struct doing *d)
{
    JSON_FOREACH (otp, json_get(d->t->args, "otp")) {
        if (json_value_str(otp) != NULL && cb_by_otp(&d->c, json_value_str(otp)) == NULL)
            return json_value_str(otp);
    }
    return NULL;
}

static int check_movers(struct doing *d, struct err *err)
{
    const char *gone = mover_gone(d);
    const char *first = json_value_str(json_first(json_get(d->t->args, "otp")));

    if (gone == NULL)
        return 0;
    /* The target is the first of them, by the name that people know. */
    err_set(err, ERR_FAILED, "%s is not a member of the cluster any more",
            strcmp(gone, first ? first : "") == 0 ? d->t->target : gone);
    return err_advise(err, "cancel the plan; show topology tells who is left, 'plan change-group' "
                           "moves them");
}

static bool is_decided(struct doing *d)
{
    return is_in_group(d) || mover_gone(d) != NULL;
}

static void push_node(struct json *nodes, const char *otp)
{
    struct json *one = json_object();

    json_set_str(one, "otpNode", otp);
    json_push(nodes, one);
}

/*
 * The whole division of nodes into groups, as the server wants it: as it was at the revision that
 * is sent along. What the member list tells of groups may be a second older, and would undo what
 * somebody did in that second.
 */
static struct json *division(struct doing *d)
{
    const struct json *moving = json_get(d->t->args, "otp");
    const char *group = json_str(d->t->args, "group");
    struct json *body = json_object(), *list = json_array();

    JSON_FOREACH (g, json_get(cb_part(&d->c, "groups"), "groups")) {
        const char *name = json_str(g, "name");
        bool here = name != NULL && group != NULL && strcmp(name, group) == 0;
        struct json *row = json_object(), *nodes = json_array();
        JSON_FOREACH (n, json_get(g, "nodes")) {
            const char *otp = json_str(n, "otpNode");
            if (otp != NULL && !in_list(moving, otp))
                push_node(nodes, otp);
        }
        JSON_FOREACH (otp, here ? moving : NULL) {
            if (json_value_str(otp) != NULL && cb_by_otp(&d->c, json_value_str(otp)) != NULL)
                push_node(nodes, json_value_str(otp));
        }
        json_set_str(row, "uri", json_str(g, "uri"));
        json_set(row, "nodes", nodes);
        json_push(list, row);
    }
    json_set(body, "groups", list);
    return body;
}

static int put_division(struct doing *d, int *status, struct err *err)
{
    const char *uri = json_str(cb_part(&d->c, "groups"), "uri");
    struct json *body;
    char *text;
    int rc;

    if (uri == NULL || strncmp(uri, "/pools/default/serverGroups?", 28) != 0)
        return err_set(err, ERR_FAILED, "the cluster does not tell its server groups");
    body = division(d);
    text = json_print(body);
    rc = cb_send(d,
                 &(struct cb_send){.request = {.method = "PUT",
                                               .path = uri,
                                               .form = text,
                                               .content_type = "application/json"},
                                   .status = status},
                 NULL, err);
    json_free(body);
    free(text);
    return rc;
}

static int do_change_group(struct doing *d, struct err *err)
{
    struct err ignored = ERR_INIT;
    int status = 0;

    for (int attempt = 1; !is_in_group(d); attempt++) {
        if (check_movers(d, err) != 0)
            return -1;
        if (put_division(d, &status, err) == 0)
            return await(d, is_decided, "the cluster to show it", err) == 0 ? check_movers(d, err)
                                                                            : -1;
        if (status == 400 && cb_look(d, &ignored) == 0 && mover_gone(d) != NULL)
            return check_movers(d, err); /* that is what was refused */
        if (status != 409 || attempt > 2)
            return -1;
        if (cb_look(d, err) != 0) /* somebody changed the groups: look again */
            return -1;
    }
    return 0;
}

/* --- await-restart --- */

struct uptime {
    int64_t seconds, at_ms;
};

static int64_t uptime_of(const struct service *s)
{
    const char *text = json_str(s->raw, "uptime");

    return text ? strtoll(text, NULL, 10) : 0;
}

/* A process that has run for less time than has passed since it was looked at was begun anew. */
static bool has_restarted(struct doing *d, const struct uptime *was)
{
    const struct service *s = target(d);
    int64_t passed = (d->c.observed_ms - was->at_ms) / 1000;

    return s != NULL && cb_is_healthy(s) && uptime_of(s) + 2 < was->seconds + passed;
}

static bool read_uptime(const char *memo, struct uptime *was)
{
    struct err ignored = ERR_INIT;
    struct json *j = memo ? json_parse(memo, strlen(memo), &ignored) : NULL;

    was->seconds = json_int(j, "uptime", -1);
    was->at_ms = json_int(j, "at", 0);
    json_free(j);
    return was->seconds >= 0;
}

static int do_await_restart(struct doing *d, struct err *err)
{
    const char *waiting =
        arena_printf(&d->c.arena, "a restart of couchbase-server on %s by hand", d->t->target);
    char *kept = xstrdup(waiting), note[96];
    const struct service *s = target(d);
    struct uptime was;
    int rc = 0;

    if (!read_uptime(d->p->memo, &was)) {
        was = (struct uptime){s ? uptime_of(s) : 0, d->c.observed_ms};
        snprintf(note, sizeof note, "{\"uptime\": %lld, \"at\": %lld}", (long long)was.seconds,
                 (long long)was.at_ms);
        if (d->p->remember != NULL && d->p->remember(d->p, note) != 0)
            rc = err_set(err, ERR_FAILED, "the node's uptime cannot be written into the journal");
    }
    while (rc == 0 && !has_restarted(d, &was)) {
        struct err ignored = ERR_INIT;
        rc = cb_pause(d, -1, kept, err);
        /* The one that restarts may be the one that is asked. */
        if (rc == 0 && cb_look(d, &ignored) == 0 && target(d) == NULL) {
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

static int do_stop_rebalance(struct doing *d, struct err *err)
{
    const char *id = json_str(d->t->args, "id");
    char *escaped, *path;
    int rc;

    if (is_stopped(d))
        return 0;
    if (!json_bool(d->t->args, "retry", false))
        return cb_stop(d, json_bool(d->t->args, "unsafe", false), err);
    escaped = http_escape(id ? id : "");
    path = xasprintf("/controller/cancelRebalanceRetry/%s", escaped);
    rc = cb_change(d, path, NULL, NULL, err);
    free(path);
    free(escaped);
    return rc;
}

/* --- compact --- */

#define COMPACTION_ASKED "{\"compaction\": \"asked for\"}"
#define COMPACTION_BEGUN "{\"compaction\": \"begun\"}"

static bool is_compacting(struct doing *d, int *percent)
{
    const char *bucket = json_str(d->t->args, "bucket");

    JSON_FOREACH (t, cb_part(&d->c, "tasks")) {
        const char *type = json_str(t, "type"), *of = json_str(t, "bucket");
        if (type == NULL || of == NULL || strcmp(of, bucket) != 0 ||
            (strcmp(type, "bucket_compaction") != 0 && strcmp(type, "view_compaction") != 0))
            continue;
        *percent = (int)json_int(t, "progress", -1);
        return true;
    }
    return false;
}

/* What an attempt noted: that it was about to ask, or that the cluster had agreed. */
static bool compaction_is(struct doing *d, const char *noted)
{
    return d->p->memo != NULL && strcmp(d->p->memo, noted) == 0;
}

static int note_compaction(struct doing *d, const char *text, struct err *err)
{
    if (d->p->remember == NULL || d->p->remember(d->p, text) == 0)
        return 0;
    return err_set(err, ERR_FAILED, "what is about to begin cannot be written into the journal");
}

/* Asks for it, unless an attempt before this one did. */
static int ask_to_compact(struct doing *d, struct err *err)
{
    bool purge = json_bool(d->t->args, "purge", false);
    char *name, *path;
    int percent, rc;

    if (compaction_is(d, COMPACTION_ASKED) && is_compacting(d, &percent))
        return 0;
    if (compaction_is(d, COMPACTION_BEGUN))
        return 0;
    if (note_compaction(d, COMPACTION_ASKED, err) != 0)
        return -1;
    name = http_escape(json_str(d->t->args, "bucket"));
    path = xasprintf("/pools/default/buckets/%s/controller/%s", name,
                     purge ? "unsafePurgeBucket" : "compactBucket");
    rc = cb_change(d, path, NULL, NULL, err);
    if (rc == 0)
        rc = note_compaction(d, COMPACTION_BEGUN, err);
    free(path);
    free(name);
    return rc;
}

static int do_compact(struct doing *d, struct err *err)
{
    int percent = -1, rc;

    if (ask_to_compact(d, err) != 0)
        return -1;
    time_sleep_ms(STALE_MS); /* until it shows in the task list, if it is to */
    while ((rc = cb_look(d, err)) == 0 && is_compacting(d, &percent)) {
        if ((rc = cb_pause(d, percent, "the compaction", err)) != 0) {
            err_advise(err, "the compaction goes on in the cluster; 'plan execute' follows it");
            break;
        }
    }
    return rc;
}

/* --- the table --- */

/* What a node tells may be a second old: "no" is said only when it was not so for longer than that.
 */
static enum settled if_so(struct doing *d, bool (*is_so)(struct doing *d), struct err *err)
{
    for (int i = 0; i < 4; i++) {
        if (is_so(d))
            return SETTLED_YES;
        time_sleep_ms(STALE_MS / 3);
        if (cb_look(d, err) != 0)
            return SETTLED_UNKNOWN;
    }
    return SETTLED_NO;
}

static enum settled recovery_settled(struct doing *d, struct err *err)
{
    return if_so(d, is_marked, err);
}

static enum settled eject_settled(struct doing *d, struct err *err)
{
    return if_so(d, is_gone, err);
}

static enum settled add_settled(struct doing *d, struct err *err)
{
    return if_so(d, is_added_node, err);
}

static enum settled group_settled(struct doing *d, struct err *err)
{
    return if_so(d, is_in_group, err);
}

static enum settled stop_settled(struct doing *d, struct err *err)
{
    return if_so(d, is_stopped, err);
}

/* Over is one that was begun and has not been seen for as long as an answer may be old. */
static enum settled compact_settled(struct doing *d, struct err *err)
{
    int percent;

    if (!compaction_is(d, COMPACTION_BEGUN))
        return SETTLED_NO; /* asking twice is harmless */
    for (int i = 0; i < 4; i++) {
        if (is_compacting(d, &percent))
            return SETTLED_NO; /* performing follows it */
        time_sleep_ms(STALE_MS / 3);
        if (cb_look(d, err) != 0)
            return SETTLED_UNKNOWN;
    }
    return SETTLED_YES;
}

static const struct task_type {
    const char *name;
    int (*perform)(struct doing *d, struct err *err);
    enum settled (*settled)(struct doing *d, struct err *err);
} types[] = {
    {"failover", do_failover, failover_settled},
    {"rebalance", do_rebalance, rebalance_settled},
    {"set-recovery", do_set_recovery, recovery_settled},
    {"eject", do_eject, eject_settled},
    {"add-node", do_add_node, add_settled},
    {"change-group", do_change_group, group_settled},
    {"await-restart", do_await_restart, restart_settled},
    {"stop", cb_do_stop, cb_stop_settled},
    {"start", cb_do_start, cb_start_settled},
    {"stop-rebalance", do_stop_rebalance, stop_settled},
    {"compact", do_compact, compact_settled},
};

static const struct task_type *find_type(const struct task *t, struct err *err)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].name, t->type) == 0)
            return &types[i];
    }
    err_set(err, ERR_INTERNAL, "the couchbase engine has no task \"%s\"", t->type);
    return NULL;
}

int cb_perform(struct connection *cn, const struct task *t, struct perform *p, struct err *err)
{
    const struct task_type *type = find_type(t, err);
    struct doing d = {.cn = cn, .t = t, .p = p};
    int rc = type != NULL && cb_look(&d, err) == 0 ? type->perform(&d, err) : -1;

    cluster_release(&d.c);
    return rc;
}

enum settled cb_settled(struct connection *cn, const struct task *t, struct perform *p,
                        struct err *err)
{
    const struct task_type *type = find_type(t, err);
    struct doing d = {.cn = cn, .t = t, .p = p};
    enum settled answer =
        type != NULL && cb_look(&d, err) == 0 ? type->settled(&d, err) : SETTLED_UNKNOWN;

    cluster_release(&d.c);
    return answer;
}
