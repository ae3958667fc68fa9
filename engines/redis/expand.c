/* Intents made into tasks for a redis store. Pure. Task types and their args are carried out in
 * task.c. */
#include "engines/redis/redis.h"

#include <stdlib.h>
#include <string.h>

#include "kvsh/meta.h"

/* The next number of a series of ids; numbers of removed things are not used again. */
static int64_t next_serial(const struct cluster *c, const char *prefix)
{
    const struct json *store = meta_doc(c->doc, "store", "store");

    return json_int(json_get(store, "serial"), prefix, 0) + 1;
}

static void effect_serial(const struct cluster *c, struct json *effects, const char *prefix,
                          int64_t n)
{
    const struct json *present = json_get(meta_doc(c->doc, "store", "store"), "serial");
    struct json *serial = json_is_object(present) ? json_copy(present) : json_object();
    struct json *merge = json_object();

    json_set_int(serial, prefix, n);
    json_set(merge, "serial", serial);
    meta_effect_merge(effects, "store", "store", merge);
}

static int expand_deploy_zone(const struct intent *in, const struct cluster *c, struct plan *p,
                              struct err *err)
{
    const char *name = json_str(in->args, "name");
    const char *type = json_str(in->args, "type");
    struct json *doc = json_object(), *effects = json_array();
    int64_t n = next_serial(c, "zn");
    const char *id = arena_printf(&p->arena, "zn%lld", (long long)n);
    struct task *t;

    (void)err;
    json_set_str(doc, "name", name);
    json_set_int(doc, "rf", json_int(in->args, "rf", 1));
    json_set_str(doc, "type", type ? type : "PRIMARY");
    meta_effect(effects, "zone", id, doc);
    effect_serial(c, effects, "zn", n);
    t = plan_add_task(p, 1, "declare-zone", id, NULL);
    t->effects = plan_own(p, effects);
    task_what(p, t, "declare zone %s as %s with %lld copies of each shard", name, id,
              (long long)json_int(in->args, "rf", 1));
    t->why = "only the journal changes";
    return 0;
}

static int expand_deploy_sn(const struct intent *in, const struct cluster *c, struct plan *p,
                            struct err *err)
{
    const char *host = json_str(in->args, "host"), *zone = json_str(in->args, "zone");
    const struct zone *z = zone ? cluster_zone(c, zone) : NULL;
    int64_t port = json_int(in->args, "port", 0), n = next_serial(c, "sn");
    const char *id = arena_printf(&p->arena, "sn%lld", (long long)n);
    const char *scheme = json_bool(in->args, "tls", false) ? "https" : "http";
    struct json *doc = json_object(), *effects = json_array();
    struct task *t;

    if (z == NULL) {
        json_free(doc);
        json_free(effects);
        return err_set(err, ERR_INPUT, "zone \"%s\" does not exist", zone ? zone : "");
    }
    json_set_str(doc, "zone", z->id);
    json_set_str(doc, "host", host);
    json_set_int(doc, "port", port);
    json_set_str(doc, "url",
                 arena_printf(&p->arena, strchr(host, ':') ? "%s://[%s]:%lld" : "%s://%s:%lld",
                              scheme, host, (long long)port));
    t = plan_add_task(p, 1, "register-node", id, id);
    t->args = plan_own(p, json_copy(doc));
    meta_effect(effects, "sn", id, doc);
    effect_serial(c, effects, "sn", n);
    t->effects = plan_own(p, effects);
    task_what(p, t, "register the agent at %s:%lld as %s in %s", host, (long long)port, id, z->id);
    t->why = "an agent that belongs to another store refuses";
    return 0;
}

static int expand_deploy_admin(const struct intent *in, const struct cluster *c, struct plan *p,
                               struct err *err)
{
    const char *sn = json_str(in->args, "sn");
    const struct node *node = sn ? cluster_node(c, sn) : NULL;
    int64_t n = next_serial(c, "admin");
    const char *id = arena_printf(&p->arena, "admin%lld", (long long)n);
    struct json *doc, *effects;
    struct task *t;

    if (node == NULL)
        return err_set(err, ERR_INPUT, "storage node \"%s\" does not exist", sn ? sn : "");
    doc = json_object();
    effects = json_array();
    json_set_str(doc, "sn", node->id);
    if (json_int(in->args, "port", 0) > 0)
        json_set_int(doc, "port", json_int(in->args, "port", 0));
    meta_effect(effects, "admin", id, doc);
    effect_serial(c, effects, "admin", n);
    t = plan_add_task(p, 1, "define-admin", id, node->id);
    t->effects = plan_own(p, effects);
    task_what(p, t, "keep a copy of the store's metadata on %s as %s", node->id, id);
    return 0;
}

/* --- deploy-topology --- */

struct deployment {
    const struct cluster *c;
    struct plan *p;
    const struct json *candidate;
    const char *name;
};

static const struct node *rn_node(const struct deployment *d, const struct json *rn)
{
    return cluster_node(d->c, json_str(rn, "sn"));
}

static void add_define(struct deployment *d, const struct json *rn)
{
    struct json *effects = json_array();
    struct task *t = plan_add_task(d->p, 1, "define", json_key(rn), json_str(rn, "sn"));

    t->args = plan_own(d->p, json_copy(rn));
    meta_effect(effects, "rn", json_key(rn), json_copy(rn));
    t->effects = plan_own(d->p, effects);
    task_what(d->p, t, "define %s on %s in %s, port %lld", t->target, t->node,
              json_str(rn, "storageDir"), (long long)json_int(rn, "port", 0));
    t->why = "nothing starts yet; the same definition twice is accepted, another one refused";
}

static void add_start_new(struct deployment *d, const struct json *rn)
{
    struct json *args = json_object();
    struct task *t = plan_add_task(d->p, 2, "start", json_key(rn), json_str(rn, "sn"));

    json_set_bool(args, "fresh", true);
    t->args = plan_own(d->p, args);
    task_what(d->p, t, "start %s on %s, empty", t->target, t->node);
    t->why = "stops if the directory holds data already";
}

static void add_assign(struct deployment *d, const struct json *rn, int epoch)
{
    const char *shard = json_str(rn, "shard");
    const struct json *doc = json_get(json_get(d->candidate, "shards"), shard);
    struct json *effects = json_array(), *args = json_object();
    struct task *t = plan_add_task(d->p, 3, "assign", json_key(rn), json_str(rn, "sn"));

    json_set(args, "slots", json_copy(json_get(doc, "slots")));
    json_set_int(args, "epoch", epoch);
    t->args = plan_own(d->p, args);
    meta_effect(effects, "shard", shard, json_copy(doc));
    t->effects = plan_own(d->p, effects);
    task_what(d->p, t, "give %lld partitions of %s to %s",
              (long long)json_int(doc, "partitions", 0), shard, t->target);
    t->why = "only to a process without data";
}

static void add_meet(struct deployment *d, const struct json *rn)
{
    struct json *peers = json_array(), *args = json_object();
    struct task *t = plan_add_task(d->p, 4, "meet", json_key(rn), json_str(rn, "sn"));

    JSON_FOREACH (other, json_get(d->candidate, "rns")) {
        const struct node *n = rn_node(d, other);
        struct json *peer;
        if (other == rn || n == NULL)
            continue;
        peer = json_object();
        json_set_str(peer, "host", n->host);
        json_set_int(peer, "port", json_int(other, "port", 0));
        json_set_int(peer, "busPort", json_int(other, "busPort", 0));
        json_push(peers, peer);
    }
    json_set(args, "peers", peers);
    t->args = plan_own(d->p, args);
    task_what(d->p, t, "introduce %s to the other %zu services", t->target, json_len(peers));
}

static void add_replicate(struct deployment *d, const struct json *rn, const char *primary)
{
    struct json *args = json_object();
    struct task *t = plan_add_task(d->p, 5, "replicate", json_key(rn), json_str(rn, "sn"));

    json_set_str(args, "primary", primary);
    t->args = plan_own(d->p, args);
    task_what(d->p, t, "make %s a replica of %s", t->target, primary);
}

static void add_commit(struct deployment *d)
{
    struct json *effects = json_array(), *merge = json_object();
    struct task *t = plan_add_task(d->p, 6, "await-cluster", d->c->store, NULL);

    t->node = "all";
    task_what(d->p, t, "wait until all services agree and every replica is in sync");
    t = plan_add_task(d->p, 7, "declare-topology", d->name, NULL);
    json_set_int(merge, "sequence", d->c->sequence + 1);
    json_set_str(merge, "topology", d->name);
    meta_effect_merge(effects, "store", "store", merge);
    t->effects = plan_own(d->p, effects);
    task_what(d->p, t, "declare topology %s as deployed, sequence %lld", d->name,
              (long long)d->c->sequence + 1);
}

static const char *first_primary(const struct json *rns, const char *shard)
{
    JSON_FOREACH (rn, rns) {
        const char *of = json_str(rn, "shard");
        if (of != NULL && strcmp(of, shard) == 0 && json_bool(rn, "firstPrimary", false))
            return json_key(rn);
    }
    return NULL;
}

static int expand_deploy_topology(const struct intent *in, const struct cluster *c, struct plan *p,
                                  struct err *err)
{
    const char *name = json_str(in->args, "topology");
    const char *deployed = json_str(meta_doc(c->doc, "store", "store"), "topology");
    struct deployment d = {.c = c, .p = p, .name = name};
    const struct json *rns;
    int epoch = 0;

    d.candidate = name ? meta_doc(c->doc, "topology", name) : NULL;
    if (d.candidate == NULL) {
        err_set(err, ERR_INPUT, "topology \"%s\" does not exist", name ? name : "");
        return err_advise(err, "'topology list' names them, 'topology create' makes one");
    }
    if (deployed != NULL && strcmp(deployed, name) == 0)
        return 0;
    d.name = arena_strdup(&p->arena, name);
    rns = json_get(d.candidate, "rns");
    JSON_FOREACH (rn, rns) {
        add_define(&d, rn);
    }
    JSON_FOREACH (rn, rns) {
        add_start_new(&d, rn);
    }
    JSON_FOREACH (rn, rns) {
        if (json_bool(rn, "firstPrimary", false))
            add_assign(&d, rn, ++epoch);
    }
    JSON_FOREACH (rn, rns) {
        add_meet(&d, rn);
    }
    JSON_FOREACH (rn, rns) {
        if (!json_bool(rn, "firstPrimary", false))
            add_replicate(&d, rn, first_primary(rns, json_str(rn, "shard")));
    }
    add_commit(&d);
    return 0;
}

/* --- start and stop --- */

static void effect_stopped(struct plan *p, struct task *t, bool stopped)
{
    struct json *effects = json_array(), *merge = json_object();

    json_set(merge, "stoppedBy", stopped ? json_string("@plan") : json_null());
    meta_effect_merge(effects, "rn", t->target, merge);
    t->effects = plan_own(p, effects);
}

const char *redis_place(struct plan *p, const struct cluster *c, const struct service *s)
{
    const struct node *n = cluster_node(c, s->node);

    return n ? arena_printf(&p->arena, "%s (%s:%d)", n->id, n->host, n->port) : s->node;
}

void redis_task_arg(struct plan *p, struct task *t, const char *name, struct json *value)
{
    struct json *args = t->args ? json_copy(t->args) : json_object();

    json_set(args, name, value);
    t->args = plan_own(p, args);
}

struct task *redis_add_start(struct plan *p, const struct cluster *c, const struct service *s,
                             int wave)
{
    struct task *t = plan_add_task(p, wave, "start", s->id, s->node);

    redis_task_arg(p, t, "fresh", json_boolean(false));
    effect_stopped(p, t, false);
    task_what(p, t, "start %s on %s", s->id, redis_place(p, c, s));
    t->why = "an empty primary is never started; an empty replica copies its shard again";
    return t;
}

static int expand_start(const struct intent *in, const struct cluster *c, struct plan *p,
                        struct err *err)
{
    struct selection sel = {0};

    if (redis_select(in, c, &p->arena, &sel, err) != 0)
        return -1;
    for (size_t i = 0; i < sel.n; i++) {
        if (sel.v[i]->status != STATUS_RUNNING || sel.v[i]->stopped_by != 0)
            redis_add_start(p, c, sel.v[i], 1);
    }
    return 0;
}

struct task *redis_add_handover(struct plan *p, const struct cluster *c, const struct service *s,
                                const struct service *to, int wave)
{
    struct json *args = json_object();
    struct task *t = plan_add_task(p, wave, "handover", s->id, to->node);

    json_set_str(args, "to", to->id);
    t->args = plan_own(p, args);
    task_what(p, t, "hand shard %s over from %s to %s on %s", s->shard, s->id, to->id,
              redis_place(p, c, to));
    t->why = "the replica is in sync; the primary holds writes back until it has everything";
    t->degrades = "writes to the shard pause for about 50 ms";
    return t;
}

struct task *redis_add_stop(struct plan *p, const struct cluster *c, const struct service *s,
                            int wave)
{
    struct task *t = plan_add_task(p, wave, "stop", s->id, s->node);

    redis_task_arg(p, t, "asPrimary", json_boolean(false));
    effect_stopped(p, t, true);
    task_what(p, t, "stop %s on %s", s->id, redis_place(p, c, s));
    t->degrades = arena_printf(&p->arena, "shard %s has one copy fewer", s->shard);
    return t;
}

/* Primaries hand over first. Answers the wave that comes then. */
static int add_handovers(struct plan *p, const struct cluster *c, struct selection *sel)
{
    int wave = 1;

    sel->heirs = arena_alloc(&p->arena, (c->n_nodes + 1) * sizeof *sel->heirs);
    for (size_t i = 0; i < sel->n && !sel->whole_store; i++) {
        const struct service *s = sel->v[i];
        const struct service *to = s->role == ROLE_MASTER && s->status == STATUS_RUNNING
                                       ? redis_successor(c, s, sel)
                                       : NULL;
        if (to == NULL)
            continue;
        redis_add_handover(p, c, s, to, 1);
        sel->heirs[cluster_node(c, to->node) - c->nodes]++;
        wave = 2;
    }
    return wave;
}

static int expand_stop(const struct intent *in, const struct cluster *c, struct plan *p,
                       struct err *err)
{
    struct selection sel = {0};
    struct task *t;
    int wave;

    if (redis_select(in, c, &p->arena, &sel, err) != 0)
        return -1;
    wave = add_handovers(p, c, &sel);
    /* The whole store: replicas first, so that no primary loses copies it still feeds while it
     * stops. */
    for (int primaries = 0; primaries <= (sel.whole_store ? 1 : 0); primaries++) {
        for (size_t i = 0; i < sel.n; i++) {
            const struct service *s = sel.v[i];
            if (s->status == STATUS_STOPPED && s->stopped_by != 0)
                continue;
            if (sel.whole_store && (s->role == ROLE_MASTER) != (primaries == 1))
                continue;
            t = redis_add_stop(p, c, s, wave + primaries);
            redis_task_arg(p, t, "asPrimary", json_boolean(sel.whole_store || in->force));
            redis_task_arg(p, t, "mayBeLast", json_boolean(sel.whole_store));
            if (sel.whole_store)
                t->why = "the whole store stops, replicas before their primaries";
            else if (!in->force)
                t->why = "it is no primary by then; its node is asked once more just before";
        }
    }
    return 0;
}

int redis_expand(const struct intent *in, const struct cluster *c, struct plan *p, struct err *err)
{
    static int (*const expanders[VERB_COUNT])(const struct intent *, const struct cluster *,
                                              struct plan *, struct err *) = {
        [VERB_DEPLOY_ZONE] = expand_deploy_zone,
        [VERB_DEPLOY_SN] = expand_deploy_sn,
        [VERB_DEPLOY_ADMIN] = expand_deploy_admin,
        [VERB_DEPLOY_TOPOLOGY] = expand_deploy_topology,
        [VERB_START_SERVICE] = expand_start,
        [VERB_STOP_SERVICE] = expand_stop,
        [VERB_RESTART_SERVICE] = redis_expand_restart,
        [VERB_FAILOVER] = redis_expand_failover,
        [VERB_NETWORK_RESTORE] = redis_expand_restore,
        [VERB_RECOVER] = redis_expand_recover,
        [VERB_CLEANUP] = redis_expand_cleanup,
        [VERB_VERIFY_DATA] = redis_expand_verify_data,
    };

    if (expanders[in->verb] == NULL)
        return err_set(err, ERR_USAGE, "a redis store has no plan %s", verb_word(in->verb));
    return expanders[in->verb](in, c, p, err);
}
