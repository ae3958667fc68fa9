/* Intents made into tasks for a Couchbase cluster. Pure. Task types and their args are carried out
 * in task.c. */
#include "engines/couchbase/couchbase.h"

#include <string.h>

/* A task of the next wave: the cluster does one thing at a time. node: who it is about, NULL the
 * whole cluster. */
static struct task *add_task(struct plan *p, const struct cluster *c, const char *type,
                             const char *node)
{
    const char *target = node ? node : c->store;

    return plan_add_task(p, plan_last_wave(p) + 1, type, target, node ? node : "cluster");
}

static void push_otps(struct json *args, const char *key, const struct cb_set *set)
{
    struct json *list = json_array();

    for (size_t i = 0; i < set->n; i++)
        json_push_str(list, cb_otp(set->v[i]));
    json_set(args, key, list);
}

/* --- the parts --- */

/*
 * args: eject (otpNodes that leave), leaving (their addresses), members (ids that may be there when
 * it starts), failed (otpNodes whose removal was agreed to). joining: address of a node that an
 * earlier task of the plan adds, or NULL. recovered: failed ones taken back before.
 */
struct rebalance {
    const struct cb_set *leaving, *recovered;
    const char *joining;
};

static struct task *add_rebalance(struct plan *p, const struct cluster *c,
                                  const struct rebalance *r)
{
    struct task *t = add_task(p, c, "rebalance", NULL);
    struct json *args = json_object(), *members = json_array(), *failed = json_array();
    struct json *leaving = json_array();
    static const struct cb_set none;

    push_otps(args, "eject", r->leaving ? r->leaving : &none);
    for (size_t i = 0; r->leaving != NULL && i < r->leaving->n; i++)
        json_push_str(leaving, r->leaving->v[i]->id);
    json_set(args, "leaving", leaving);
    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        json_push_str(members, s->id);
        if (cb_is_failed(s) && !cb_in(r->recovered, s))
            json_push_str(failed, cb_otp(s));
    }
    if (r->joining != NULL)
        json_push_str(members, r->joining);
    json_set(args, "members", members);
    json_set(args, "failed", failed);
    t->args = plan_own(p, args);
    if (r->leaving != NULL && r->leaving->n > 0)
        task_what(p, t, "rebalance, and remove %s", cb_names(&p->arena, r->leaving));
    else
        task_what(p, t, "rebalance");
    t->why = "data moves while the cluster serves; it can be stopped and begun again";
    t->degrades = "nodes are busier while data moves";
    return t;
}

static struct task *add_failover(struct plan *p, const struct cluster *c, const struct cb_set *set,
                                 const struct intent *in)
{
    const char *mode = json_str(in->args, "mode");
    bool hard = mode != NULL && strcmp(mode, "hard") == 0;
    bool unsafe = json_bool(in->args, "unsafe", false);
    struct json *args = json_object();
    struct task *t = add_task(p, c, "failover", set->v[0]->id);

    push_otps(args, "otp", set);
    json_set_str(args, "mode", hard ? "hard" : "graceful");
    json_set_bool(args, "unsafe", unsafe);
    t->args = plan_own(p, args);
    task_what(p, t, "fail over %s %s", cb_names(&p->arena, set),
              unsafe ? "without asking a majority"
              : hard ? "hard"
                     : "gracefully");
    t->why = hard ? "their replicas on other nodes take over"
                  : "the data moves to replicas first, no write is lost";
    t->degrades = "fewer copies until a recovery or a rebalance";
    return t;
}

static void add_recovery(struct plan *p, const struct cluster *c, const struct service *s,
                         const char *type)
{
    struct json *args = json_object();
    struct task *t = add_task(p, c, "set-recovery", s->id);

    json_set_str(args, "otp", cb_otp(s));
    json_set_str(args, "type", type);
    t->args = plan_own(p, args);
    task_what(p, t, "mark %s for %s recovery", s->id, type);
    t->why = "nothing moves before the rebalance";
}

/* --- verbs --- */

static int expand_failover(const struct intent *in, const struct cluster *c, struct plan *p,
                           struct err *err)
{
    const char *mode = json_str(in->args, "mode");
    struct cb_set set = {0};

    if (json_get(in->args, "zones") != NULL && json_get(in->args, "services") == NULL)
        return err_set(err, ERR_INPUT, "a couchbase store fails over nodes, not zones: -service");
    if (mode == NULL)
        return err_set(err, ERR_INPUT, "say -mode graceful or -mode hard");
    if (cb_select(in, c, &p->arena, &set, err) != 0)
        return -1;
    add_failover(p, c, &set, in);
    return 0;
}

static int expand_recover(const struct intent *in, const struct cluster *c, struct plan *p,
                          struct err *err)
{
    const char *type = json_str(in->args, "type");
    struct cb_set set = {0};

    if (cb_select(in, c, &p->arena, &set, err) != 0)
        return -1;
    if (type == NULL)
        type = "delta";
    if (strcmp(type, "delta") != 0 && strcmp(type, "full") != 0)
        return err_set(err, ERR_INPUT, "recovery is full or delta, not \"%s\"", type);
    for (size_t i = 0; i < set.n; i++)
        add_recovery(p, c, set.v[i], type);
    if (json_bool(in->args, "rebalance", false))
        add_rebalance(p, c, &(struct rebalance){.recovered = &set});
    return 0;
}

/* The Enterprise Edition takes nodes in by their secure port only. */
static const char *join_hostname(struct plan *p, const struct cluster *c, const char *address)
{
    const char *port = strrchr(address, ':');
    int host = (int)(port - address);

    if (cb_is_enterprise(c) && (strcmp(port, ":8091") == 0 || strcmp(port, ":18091") == 0))
        return arena_printf(&p->arena, "https://%.*s:18091", host, address);
    return address;
}

/* Services by Couchbase's names, or by those of its command line. */
static int join_services(const struct intent *in, const struct cluster *c, struct json *args,
                         struct err *err)
{
    static const char *const names[][2] = {
        {"kv", "kv"},         {"data", "kv"},           {"n1ql", "n1ql"},
        {"query", "n1ql"},    {"index", "index"},       {"fts", "fts"},
        {"search", "fts"},    {"cbas", "cbas"},         {"analytics", "cbas"},
        {"backup", "backup"}, {"eventing", "eventing"}, {"arbiter", "arbiter"},
    };
    const struct json *given = json_get(in->args, "services");
    struct json *list = json_array();

    JSON_FOREACH (word, given) {
        const char *name = NULL;
        for (size_t i = 0; i < sizeof names / sizeof *names && json_value_str(word); i++)
            name = strcmp(names[i][0], json_value_str(word)) == 0 ? names[i][1] : name;
        if (name == NULL) {
            err_set(err, ERR_INPUT, "there is no service \"%s\"",
                    json_value_str(word) ? json_value_str(word) : "");
            err_advise(err, "services are kv (data), n1ql (query), index, fts (search), cbas "
                            "(analytics), eventing, backup, or arbiter alone");
        } else if (strcmp(name, "arbiter") == 0 && json_len(given) > 1) {
            err_set(err, ERR_INPUT, "an arbiter runs no other service");
        } else if (strcmp(name, "arbiter") == 0 && (cb_version(c) < 706 || !cb_is_enterprise(c))) {
            err_set(err, ERR_INPUT, "arbiters need version 7.6, Enterprise Edition");
        } else {
            json_push_str(list, name);
            continue;
        }
        json_free(list);
        return -1;
    }
    if (json_is_array(given))
        json_set(args, "services", list);
    else
        json_free(list);
    return 0;
}

static int add_join(struct plan *p, const struct cluster *c, const struct intent *in,
                    const char *address, struct err *err)
{
    const char *group = json_str(in->args, "group");
    struct json *args = json_object();
    struct task *t = plan_add_task(p, plan_last_wave(p) + 1, "add-node", address, "cluster");

    t->args = plan_own(p, args);
    if (join_services(in, c, args, err) != 0)
        return -1;
    json_set_str(args, "address", address);
    json_set_str(args, "hostname", join_hostname(p, c, address));
    json_set_str(args, "group", group);
    task_what(p, t, "add %s to the cluster%s%s", address, group ? ", in group " : "",
              group ? group : "");
    t->why = "it carries nothing before the rebalance";
    return 0;
}

static int expand_add(const struct intent *in, const struct cluster *c, struct plan *p,
                      struct err *err)
{
    const char *host = json_str(in->args, "host"), *group = json_str(in->args, "group");
    const char *address;

    if (host == NULL)
        return err_set(err, ERR_INPUT, "no host is named");
    if (group != NULL && cluster_zone(c, group) == NULL)
        return err_set(err, ERR_INPUT, "there is no server group \"%s\"", group);
    address = arena_printf(&p->arena, strchr(host, ':') && host[0] != '[' ? "[%s]:%lld" : "%s:%lld",
                           host, (long long)json_int(in->args, "port", 8091));
    if (add_join(p, c, in, address, err) != 0)
        return -1;
    if (json_bool(in->args, "rebalance", false))
        add_rebalance(p, c, &(struct rebalance){.joining = address});
    return 0;
}

static int expand_remove(const struct intent *in, const struct cluster *c, struct plan *p,
                         struct err *err)
{
    struct cb_set set = {0};
    bool active = false;

    if (cb_select(in, c, &p->arena, &set, err) != 0)
        return -1;
    for (size_t i = 0; i < set.n; i++)
        active = active || cb_is_active(set.v[i]);
    for (size_t i = 0; i < set.n && !active; i++) {
        struct json *args = json_object();
        struct task *t = add_task(p, c, "eject", set.v[i]->id);
        json_set_str(args, "otp", cb_otp(set.v[i]));
        t->args = plan_own(p, args);
        task_what(p, t, "take %s out of the cluster", set.v[i]->id);
        t->why = "it is not active and carries nothing";
    }
    if (active)
        add_rebalance(p, c, &(struct rebalance){.leaving = &set});
    return 0;
}

static int expand_rebalance(const struct intent *in, const struct cluster *c, struct plan *p,
                            struct err *err)
{
    (void)in;
    (void)err;
    add_rebalance(p, c, &(struct rebalance){0});
    return 0;
}

static int expand_stop(const struct intent *in, const struct cluster *c, struct plan *p,
                       struct err *err)
{
    const char *number = json_str(cb_rebalance_task(cb_part(c, "tasks")), "rebalanceId");

    (void)err;
    for (size_t i = 0; i < c->n_activities; i++) {
        const struct activity *a = &c->activities[i];
        struct json *args;
        struct task *t;
        if (!cb_is_stoppable(a))
            continue;
        args = json_object();
        json_set_bool(args, "unsafe", json_bool(in->args, "unsafe", false));
        json_set_bool(args, "retry", !a->excludes_plans);
        /* A task list that is not sure of it does not tell its number. */
        json_set_str(args, a->excludes_plans && number == NULL ? "status" : "id", a->id);
        t = add_task(p, c, "stop-rebalance", NULL);
        t->args = plan_own(p, args);
        task_what(p, t, a->excludes_plans ? "stop the %s that is running" : "cancel the %s",
                  a->kind);
        t->why = "what has moved stays where it is; a rebalance goes on from there";
    }
    return 0;
}

static int expand_swap(const struct intent *in, const struct cluster *c, struct plan *p,
                       struct err *err)
{
    const char *to = json_str(in->args, "to");
    struct service *from = cb_find(c, json_str(in->args, "from"));
    struct cb_set *leaving = arena_alloc(&p->arena, sizeof *leaving);
    struct json *join;

    if (from == NULL)
        return err_set(err, ERR_INPUT, "the cluster has no node \"%s\"",
                       json_str(in->args, "from") ? json_str(in->args, "from") : "");
    if (to == NULL)
        return err_set(err, ERR_INPUT, "no node is named that takes its place");
    *ARENA_PUSH(&p->arena, leaving->v, leaving->n) = from;
    if (cb_find_at(c, to) == NULL) {
        struct intent add = *in;
        const struct node *n = cluster_node(c, from->node);
        if (strchr(to, ':') == NULL)
            to = arena_printf(&p->arena, "%s:8091", to);
        join = json_object();
        if (json_len(json_get(from->raw, "services")) > 0) {
            json_set(join, "services", json_copy(json_get(from->raw, "services")));
        } else { /* without services it is an arbiter */
            struct json *none = json_array();
            json_push_str(none, "arbiter");
            json_set(join, "services", none);
        }
        if (n != NULL && n->zone[0])
            json_set_str(join, "group", n->zone);
        add.args = plan_own(p, join);
        if (add_join(p, c, &add, to, err) != 0)
            return -1;
    }
    add_rebalance(p, c, &(struct rebalance){.leaving = leaving, .joining = to});
    return 0;
}

/* Names of the groups that they are in, as the list of otpNodes has them. */
static void push_groups(struct json *args, const struct cluster *c, const struct cb_set *set)
{
    struct json *list = json_array();

    for (size_t i = 0; i < set->n; i++) {
        const struct node *n = cluster_node(c, set->v[i]->node);
        json_push_str(list, n ? n->zone : "");
    }
    json_set(args, "from", list);
}

static int expand_group(const struct intent *in, const struct cluster *c, struct plan *p,
                        struct err *err)
{
    const char *group = json_str(in->args, "group");
    const struct zone *z = group ? cluster_zone(c, group) : NULL;
    struct cb_set set = {0}, moving = {0};
    struct json *args;
    struct task *t;

    if (cb_select(in, c, &p->arena, &set, err) != 0)
        return -1;
    if (z == NULL) {
        err_set(err, ERR_INPUT, "there is no server group \"%s\"", group ? group : "");
        return err_advise(err, "show groups lists them");
    }
    for (size_t i = 0; i < set.n; i++) {
        const struct node *n = cluster_node(c, set.v[i]->node);
        if (n != NULL && strcmp(n->zone, z->id) != 0)
            *ARENA_PUSH(&p->arena, moving.v, moving.n) = set.v[i];
    }
    if (moving.n == 0)
        return 0;
    args = json_object();
    push_otps(args, "otp", &moving);
    push_groups(args, c, &moving);
    json_set_str(args, "group", z->name);
    t = add_task(p, c, "change-group", moving.v[0]->id);
    t->args = plan_own(p, args);
    task_what(p, t, "move %s to group %s", cb_names(&p->arena, &moving), z->name);
    t->why = "nothing moves before the next rebalance";
    return 0;
}

/* --- processes --- */

/* args: otp; failedOver: it must be failed over when it is stopped. */
static void add_stop(struct plan *p, const struct cluster *c, const struct service *s,
                     bool failed_over)
{
    const char *why, *advice, *url = cb_agent_url(c, s, &why, &advice);
    struct json *args = json_object();
    struct task *t = add_task(p, c, "stop", s->id);

    json_set_str(args, "otp", cb_otp(s));
    json_set_bool(args, "failedOver", failed_over);
    t->args = plan_own(p, args);
    task_what(p, t, "stop couchbase-server on %s through its agent (%s)", s->id, url ? url : "");
    if (failed_over || cb_is_failed(s))
        t->why = "it is failed over and serves nothing";
    else
        t->degrades = "what it serves is missing until it is back, or is failed over";
}

static void add_start(struct plan *p, const struct cluster *c, const struct service *s)
{
    const char *why, *advice, *url = cb_agent_url(c, s, &why, &advice);
    struct json *args = json_object();
    struct task *t = add_task(p, c, "start", s->id);

    json_set_str(args, "otp", cb_otp(s));
    t->args = plan_own(p, args);
    task_what(p, t, "start couchbase-server on %s through its agent (%s), until it is healthy",
              s->id, url ? url : "");
    t->why = "what runs already is left as it is";
}

/* Those that are down already are left out, as far as that is sure. */
static int expand_stop_process(const struct intent *in, const struct cluster *c, struct plan *p,
                               struct err *err)
{
    struct cb_set set = {0};

    if (cb_select(in, c, &p->arena, &set, err) != 0)
        return -1;
    for (size_t i = 0; i < set.n; i++) {
        if (!cb_agent_says_down(c, set.v[i]) || cb_is_healthy(set.v[i]))
            add_stop(p, c, set.v[i], false);
    }
    return 0;
}

static int expand_start_process(const struct intent *in, const struct cluster *c, struct plan *p,
                                struct err *err)
{
    struct cb_set set = {0};

    if (cb_select(in, c, &p->arena, &set, err) != 0)
        return -1;
    for (size_t i = 0; i < set.n; i++) {
        if (!cb_agent_says_up(c, set.v[i]) || !cb_is_healthy(set.v[i]))
            add_start(p, c, set.v[i]);
    }
    return 0;
}

/* Rolling: each node is taken out, restarted and taken back before the next one. */
static int expand_restart(const struct intent *in, const struct cluster *c, struct plan *p,
                          struct err *err)
{
    struct json *args = json_object();
    const struct intent failover = {.verb = VERB_FAILOVER, .args = plan_own(p, args)};
    struct cb_set set = {0};

    json_set_str(args, "mode", "graceful");
    if (cb_select(in, c, &p->arena, &set, err) != 0)
        return -1;
    for (size_t i = 0; i < set.n; i++) {
        struct cb_set *one = arena_alloc(&p->arena, sizeof *one);
        const char *why, *advice;
        *one = (struct cb_set){arena_alloc(&p->arena, sizeof *one->v), 1};
        one->v[0] = set.v[i];
        if (cb_has(set.v[i], "kv"))
            add_failover(p, c, one, &failover);
        if (cb_agent_url(c, set.v[i], &why, &advice) != NULL) {
            add_stop(p, c, set.v[i], cb_has(set.v[i], "kv"));
            add_start(p, c, set.v[i]);
        } else {
            struct task *t = add_task(p, c, "await-restart", set.v[i]->id);
            task_what(p, t, "wait until couchbase-server on %s has been restarted by hand",
                      set.v[i]->id);
            t->why = "the plan sees by the node's uptime that it was";
        }
        if (cb_has(set.v[i], "kv")) {
            add_recovery(p, c, set.v[i], "delta");
            add_rebalance(p, c, &(struct rebalance){.recovered = one});
        }
    }
    return 0;
}

static int expand_cleanup(const struct intent *in, const struct cluster *c, struct plan *p,
                          struct err *err)
{
    const char *only = json_str(in->args, "bucket");
    bool purge = json_bool(in->args, "purge", false), found = false;

    for (size_t i = 0; i < c->n_buckets; i++) {
        const struct bucket *b = &c->buckets[i];
        struct json *args;
        struct task *t;
        if ((only != NULL && strcmp(only, b->name) != 0) ||
            (b->type != NULL && strcmp(b->type, "memcached") == 0))
            continue;
        found = true;
        args = json_object();
        json_set_str(args, "bucket", b->name);
        json_set_bool(args, "purge", purge);
        t = plan_add_task(p, plan_last_wave(p) + 1, "compact", b->name, "cluster");
        t->args = plan_own(p, args);
        task_what(p, t,
                  purge ? "compact bucket %s and forget its deletes"
                        : "compact data and views of bucket %s",
                  b->name);
        t->degrades = "disks are busier";
    }
    if (only != NULL && !found)
        return err_set(err, ERR_INPUT, "there is no bucket \"%s\" to compact", only);
    return 0;
}

int cb_expand(const struct intent *in, const struct cluster *c, struct plan *p, struct err *err)
{
    static int (*const verbs[VERB_COUNT])(const struct intent *, const struct cluster *,
                                          struct plan *, struct err *) = {
        [VERB_FAILOVER] = expand_failover,
        [VERB_RECOVER] = expand_recover,
        [VERB_ADD_NODE] = expand_add,
        [VERB_REMOVE_NODE] = expand_remove,
        [VERB_REBALANCE] = expand_rebalance,
        [VERB_STOP_REBALANCE] = expand_stop,
        [VERB_SWAP_REBALANCE] = expand_swap,
        [VERB_CHANGE_GROUP] = expand_group,
        [VERB_RESTART_SERVICE] = expand_restart,
        [VERB_STOP_SERVICE] = expand_stop_process,
        [VERB_START_SERVICE] = expand_start_process,
        [VERB_CLEANUP] = expand_cleanup,
    };

    if (verbs[in->verb] == NULL)
        return err_set(err, ERR_INPUT, "a couchbase store has no plan %s", verb_word(in->verb));
    return verbs[in->verb](in, c, p, err);
}
