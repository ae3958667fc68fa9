/* Tasks that change who is a member, how one comes back, and in which server group it stands. */
#include "engines/couchbase/doing.h"

#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"

/* --- set-recovery, eject --- */

static bool is_marked(struct doing *d)
{
    const struct service *s = cb_target(d);
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
    const struct service *s = cb_target(d);
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

static enum settled recovery_settled(struct doing *d, struct err *err)
{
    return cb_settled_if(d, is_marked, err);
}

static bool is_gone(struct doing *d)
{
    return cb_target(d) == NULL;
}

static char *one_field(const char *name, const char *value)
{
    struct buf b;

    buf_init(&b, 0);
    cb_form(&b, name, value);
    return buf_take(&b);
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

static enum settled eject_settled(struct doing *d, struct err *err)
{
    return cb_settled_if(d, is_gone, err);
}

/* --- add-node --- */

/* A node added by its secure port may call itself by the plain one. */
static bool is_added_node(struct doing *d)
{
    const char *asked = json_str(d->t->args, "hostname");

    return cb_find_at(&d->c, json_str(d->t->args, "address")) != NULL ||
           cb_find_at(&d->c, asked ? cb_host(asked) : NULL) != NULL;
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
    char *list = cb_joined(services), *made_up = NULL;
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
                cb_in_list(services, "arbiter") && json_len(services) == 1 ? "" : list);
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

static enum settled add_settled(struct doing *d, struct err *err)
{
    return cb_settled_if(d, is_added_node, err);
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
            if (otp != NULL && !cb_in_list(moving, otp))
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

static enum settled group_settled(struct doing *d, struct err *err)
{
    return cb_settled_if(d, is_in_group, err);
}

const struct task_type cb_member_tasks[] = {
    {"set-recovery", do_set_recovery, recovery_settled},
    {"eject", do_eject, eject_settled},
    {"add-node", do_add_node, add_settled},
    {"change-group", do_change_group, group_settled},
    {0},
};
