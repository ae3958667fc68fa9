/* Tasks that take things away: data that is copied anew, definitions and members nobody needs. */
#include "engines/redis/doing.h"

#include <string.h>

/* --- wipe --- */

static int check_wipe(struct doing *d, const struct service *s, const struct service *master,
                      struct err *err)
{
    if (s->status == STATUS_RUNNING || s->status == STATUS_STARTING)
        return err_set(err, ERR_FAILED, "%s runs again and is not wiped", s->id);
    if (master == NULL || master == s || !redis_owns_slots(master)) {
        err_set(err, ERR_FAILED,
                "%s is not wiped: no other service serves %s now, it may be the only good copy",
                s->id, s->shard);
        return err_advise(err, "'plan recover' another service of %s first", s->shard);
    }
    if (redis_dir_is_bad(&d->c, master) && !d->p->force) {
        err_set(err, ERR_FAILED,
                "%s is not wiped: %s serves %s, but its storage directory %s is %s", s->id,
                master->id, s->shard, master->storage_dir, redis_dir_state(&d->c, master));
        return err_advise(err, "'plan recover -service %s' first", master->id);
    }
    return 0;
}

static int do_wipe(struct doing *d, struct err *err)
{
    struct node *n;
    struct service *s = doing_target(d, d->t->target, &n, err);
    const struct service *master = s ? cluster_master(&d->c, s->shard) : NULL;
    struct json *body;

    if (s == NULL || check_wipe(d, s, master, err) != 0)
        return -1;
    body = json_object();
    json_set_str(body, "keeper", json_str(redis_live(master), "nodeId"));
    json_set_bool(body, "identity", json_bool(d->t->args, "identity", false));
    return doing_act_and_follow(d, s, "wipe", body, err);
}

/* To empty what is empty is harmless, and what runs again is refused. */
static enum settled repeat(struct doing *d, struct err *err)
{
    (void)d;
    (void)err;
    return SETTLED_NO;
}

/* --- forget --- */

static bool is_alive_member(const struct cluster *c, const char *id)
{
    for (size_t i = 0; i < c->n_services; i++) {
        const char *now = json_str(redis_live(&c->services[i]), "nodeId");
        if (now != NULL && strcmp(now, id) == 0)
            return true;
    }
    return false;
}

/* Owning slots, it is no member to forget: they would belong to nobody. */
static int check_forget(const struct cluster *c, const char *id, struct err *err)
{
    if (is_alive_member(c, id))
        return err_set(err, ERR_FAILED, "member %.8s is alive again and is not forgotten", id);
    for (size_t i = 0; i < c->n_services; i++) {
        if (json_len(json_get(redis_member(&c->services[i], id), "slots")) == 0)
            continue;
        err_set(err, ERR_FAILED, "member %.8s owns hash slots as %s sees it and is not forgotten",
                id, c->services[i].id);
        return err_advise(err, "let another copy of that shard take over first");
    }
    return 0;
}

static int forget_one(struct doing *d, const char *id, struct err *err)
{
    if (check_forget(&d->c, id, err) != 0)
        return -1;
    for (size_t i = 0; i < d->c.n_services; i++) {
        struct service *s = &d->c.services[i];
        struct json *body;

        if (redis_member(s, id) == NULL)
            continue;
        body = json_object();
        json_set_str(body, "nodeId", id);
        if (doing_act(d, s, "forget", body, NULL, err) != 0)
            return -1;
    }
    return 0;
}

static int do_forget(struct doing *d, struct err *err)
{
    JSON_FOREACH (id, json_get(d->t->args, "ids")) {
        if (json_value_str(id) != NULL && forget_one(d, json_value_str(id), err) != 0)
            return -1;
    }
    return 0;
}

/* --- undefine, remove-data --- */

static const struct json *find_stranger(struct doing *d, const struct node *n)
{
    JSON_FOREACH (s, json_get(n->raw, "services")) {
        const char *id = json_str(s, "id");
        if (id != NULL && strcmp(id, d->t->target) == 0)
            return s;
    }
    return NULL;
}

static struct node *find_node(struct doing *d, struct err *err)
{
    struct node *n = cluster_node(&d->c, d->t->node);

    if (n == NULL) {
        err_set(err, ERR_FAILED, "%s is not declared in the store any more", d->t->node);
    } else if (n->status != STATUS_RUNNING) {
        err_set(err, n->cause, "%s", n->detail);
        n = NULL;
    }
    return n;
}

static int do_undefine(struct doing *d, struct err *err)
{
    struct node *n = find_node(d, err);
    struct service stranger = {.id = d->t->target, .node = d->t->node};
    const struct rest r = {
        .method = "DELETE",
        .url = n ? n->url : "",
        .path = arena_printf(&d->c.arena, "/v1/services/%s", d->t->target),
        .who = n ? redis_where(&d->c, n) : "",
    };
    const struct json *raw;

    if (n == NULL)
        return -1;
    if (cluster_service(&d->c, d->t->target) != NULL)
        return err_set(err, ERR_FAILED, "%s is declared meanwhile and stays", d->t->target);
    raw = find_stranger(d, n);
    if (raw == NULL)
        return 0;
    if (json_int(raw, "pid", 0) > 0 && json_len(json_get(json_get(raw, "redis"), "nodes")) == 0) {
        err_set(err, ERR_FAILED, "%s on %s does not say whether it owns hash slots, and stays",
                d->t->target, n->id);
        return err_advise(err, "end its process if it does not come round, then plan execute");
    }
    if (redis_doc_owns_slots(raw)) {
        err_set(err, ERR_FAILED, "%s on %s owns hash slots meanwhile and stays", d->t->target,
                n->id);
        return err_advise(err, "cancel this plan, and look at 'plan preview cleanup' again");
    }
    if (json_str(raw, "storageDir") != NULL &&
        doing_act_and_follow(d, &stranger, "stop", json_object(), err) != 0)
        return -1;
    d->p->result[0] = '\0';
    return doing_send(d, &r, NULL, err);
}

static enum settled undefined(struct doing *d, struct err *err)
{
    struct node *n = find_node(d, err);

    if (n == NULL)
        return SETTLED_UNKNOWN;
    return find_stranger(d, n) == NULL ? SETTLED_YES : SETTLED_NO;
}

int redis_check_leftover(const struct cluster *c, const char *id, struct err *err)
{
    const struct service *s = cluster_service(c, id);

    if (s == NULL || s->shard == NULL || redis_good_copies(c, s->shard, NULL) > 0)
        return 0;
    err_set(err, ERR_FAILED,
            "what is left of %s is not removed: no copy of %s is live now, it may "
            "be the only good one",
            id, s->shard);
    return err_advise(err, "bring a copy of %s back first: 'plan recover'", s->shard);
}

static int do_remove_data(struct doing *d, struct err *err)
{
    struct node *n = find_node(d, err);
    struct rest r = {.method = "POST", .path = "/v1/node/remove-data", .timeout_ms = 60000};
    struct json *body;
    int rc;

    if (n == NULL || (!d->p->confirmed && redis_check_leftover(&d->c, d->t->target, err) != 0))
        return -1;
    body = json_object();
    json_set_str(body, "storageDir", json_str(d->t->args, "storageDir"));
    json_set_str(body, "service", d->t->target);
    r.url = n->url;
    r.who = redis_where(&d->c, n);
    r.body = body;
    rc = doing_send(d, &r, NULL, err);
    json_free(body);
    return rc;
}

const struct task_type redis_repair_tasks[] = {
    {"wipe", do_wipe, repeat},
    {"forget", do_forget, repeat},
    {"undefine", do_undefine, undefined},
    {"remove-data", do_remove_data, repeat},
    {NULL, NULL, NULL},
};
