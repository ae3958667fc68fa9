/* plan cleanup: what is left behind; plan verify-data: what to look at. Pure. */
#include "engines/redis/redis.h"

#include <string.h>

/* --- what is left behind --- */

static bool is_declared_id(const struct cluster *c, const char *id)
{
    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        const char *now = json_str(redis_live(s), "nodeId"), *known = json_str(s->raw, "nodeId");
        if ((now != NULL && strcmp(now, id) == 0) || (known != NULL && strcmp(known, id) == 0))
            return true;
    }
    return false;
}

/* A service whose identity nobody can tell just now may be this very member. */
static bool may_be_declared(const struct cluster *c, const struct json *m)
{
    const char *host = json_str(m, "host");

    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        const struct node *n = cluster_node(c, s->node);
        if (s->kind == KIND_RN && json_str(s->raw, "nodeId") == NULL && redis_live(s) == NULL &&
            (host == NULL || host[0] == '\0' ||
             (n != NULL && strcmp(n->host, host) == 0 && json_int(m, "port", 0) == s->port)))
            return true;
    }
    return false;
}

/* Calls each() once for every member of the cluster that is no declared service. */
static void each_gone(const struct cluster *c, void (*each)(void *arg, const struct json *member),
                      void *arg)
{
    struct json *seen = json_object();

    for (size_t i = 0; i < c->n_services; i++) {
        JSON_FOREACH (m, json_get(redis_live(&c->services[i]), "nodes")) {
            const char *id = json_str(m, "id");
            if (id == NULL || json_get(seen, id) != NULL || redis_member_has_flag(m, "handshake") ||
                is_declared_id(c, id) || may_be_declared(c, m))
                continue;
            json_set_bool(seen, id, true);
            each(arg, m);
        }
    }
    json_free(seen);
}

bool redis_is_stranger(const struct cluster *c, const struct json *raw)
{
    const char *id = json_str(raw, "id"), *kind = json_str(raw, "kind");

    return id != NULL && kind != NULL &&
           (strcmp(kind, "redis") == 0 || strcmp(kind, "admin") == 0) &&
           cluster_service(c, id) == NULL;
}

bool redis_doc_owns_slots(const struct json *raw)
{
    const struct json *live = json_get(raw, "redis");

    JSON_FOREACH (m, json_get(live, "nodes")) {
        if (redis_member_has_flag(m, "myself") && json_len(json_get(m, "slots")) > 0)
            return true;
    }
    return false;
}

/* --- cleanup: check --- */

static void check_stranger(const struct node *n, const struct json *raw, struct findings *f)
{
    const char *id = json_str(raw, "id");

    if (redis_doc_owns_slots(raw)) {
        findings_add(f, SEVERITY_BLOCK, "owns-slots", id,
                     "%s on %s is not declared, but owns hash slots (%lld keys)", id, n->id,
                     (long long)json_int(json_get(raw, "redis"), "keys", 0));
        findings_remedy(f, "move its slots to declared services first");
    } else {
        findings_add(f, SEVERITY_NOTE, "undeclared", id,
                     "%s on %s is not declared and will be removed", id, n->id);
    }
}

static void check_leftover(const struct cluster *c, const struct node *n, const char *dir,
                           const char *id, struct findings *f)
{
    const struct service *s = cluster_service(c, id);

    if (s != NULL && s->shard != NULL && redis_good_copies(c, s->shard, NULL) == 0) {
        findings_add(f, SEVERITY_CONFIRM, "last-copy", id,
                     "%s/%s on %s may be the only good copy of %s: no other is live", dir, id,
                     n->id, s->shard);
        findings_remedy(f, "bring a copy of %s back first", s->shard);
    } else {
        findings_add(f, SEVERITY_NOTE, "leftover", id, "%s/%s on %s belongs to no service there",
                     dir, id, n->id);
    }
}

static void check_gone(void *arg, const struct json *m)
{
    struct findings *f = arg;
    const char *id = json_str(m, "id");

    if (json_len(json_get(m, "slots")) == 0)
        return;
    findings_add(f, SEVERITY_BLOCK, "owns-slots", id,
                 "member %.8s at %s:%lld is no service of this store, but owns hash slots", id,
                 json_str(m, "host") ? json_str(m, "host") : "", (long long)json_int(m, "port", 0));
    findings_remedy(f, "move its slots to services of the store first");
}

void redis_check_cleanup(const struct intent *in, const struct cluster *c, struct findings *f)
{
    (void)in;
    for (size_t i = 0; i < c->n_nodes; i++) {
        const struct node *n = &c->nodes[i];
        if (n->status != STATUS_RUNNING) {
            findings_add(f, SEVERITY_VIOLATION, "node-unreachable", n->id,
                         "what is left on %s is not cleaned up: %s", n->id, n->detail);
            continue;
        }
        JSON_FOREACH (raw, json_get(n->raw, "services")) {
            if (redis_is_stranger(c, raw))
                check_stranger(n, raw, f);
        }
        JSON_FOREACH (dir, json_get(n->raw, "storageDirs")) {
            JSON_FOREACH (id, json_get(dir, "leftovers")) {
                check_leftover(c, n, json_str(dir, "path"), json_value_str(id), f);
            }
        }
    }
    each_gone(c, check_gone, f);
}

/* --- cleanup: tasks --- */

struct cleaning {
    struct plan *p;
    const struct cluster *c;
    int wave;
};

static void add_remove_data(struct cleaning *k, const struct node *n, const char *dir,
                            const char *id)
{
    struct task *t =
        plan_add_task(k->p, k->wave, "remove-data", arena_strdup(&k->p->arena, id), n->id);

    redis_task_arg(k->p, t, "storageDir", json_string(dir));
    task_what(k->p, t, "remove %s/%s on %s", dir, id, n->id);
    t->why = "no service uses it; the agent refuses while a process holds it";
}

static void add_undefines(struct cleaning *k)
{
    for (size_t i = 0; i < k->c->n_nodes; i++) {
        const struct node *n = &k->c->nodes[i];
        JSON_FOREACH (raw, json_get(n->raw, "services")) {
            const char *id = json_str(raw, "id");
            struct task *t;
            if (n->status != STATUS_RUNNING || !redis_is_stranger(k->c, raw))
                continue;
            t = plan_add_task(k->p, k->wave, "undefine", arena_strdup(&k->p->arena, id), n->id);
            task_what(k->p, t, "stop %s on %s and forget its definition", id, n->id);
            t->why = "the store does not declare it";
        }
    }
}

static void add_removes(struct cleaning *k)
{
    for (size_t i = 0; i < k->c->n_nodes; i++) {
        const struct node *n = &k->c->nodes[i];
        if (n->status != STATUS_RUNNING)
            continue;
        JSON_FOREACH (dir, json_get(n->raw, "storageDirs")) {
            JSON_FOREACH (id, json_get(dir, "leftovers")) {
                add_remove_data(k, n, json_str(dir, "path"), json_value_str(id));
            }
        }
        JSON_FOREACH (raw, json_get(n->raw, "services")) {
            const char *id = json_str(raw, "id"), *dir = json_str(raw, "storageDir");
            if (dir != NULL && redis_is_stranger(k->c, raw))
                add_remove_data(k, n, dir, id);
        }
    }
}

static void add_forget(void *arg, const struct json *m)
{
    struct cleaning *k = arg;
    struct json *ids = json_array();
    struct task *t = plan_add_task(k->p, k->wave, "forget",
                                   arena_strdup(&k->p->arena, json_str(m, "id")), "all");

    json_push_str(ids, json_str(m, "id"));
    redis_task_arg(k->p, t, "ids", ids);
    task_what(k->p, t, "let all members forget %.8s (%s:%lld)", t->target,
              json_str(m, "host") ? json_str(m, "host") : "", (long long)json_int(m, "port", 0));
    t->why = "it is no service of this store and owns no hash slots";
}

int redis_expand_cleanup(const struct intent *in, const struct cluster *c, struct plan *p,
                         struct err *err)
{
    struct cleaning k = {.p = p, .c = c, .wave = 1};
    struct task *t;

    (void)in;
    (void)err;
    if (c->n_shards == 0)
        return 0;
    add_undefines(&k);
    k.wave = plan_last_wave(p) + 1;
    add_removes(&k);
    each_gone(c, add_forget, &k);
    t = plan_add_task(p, plan_last_wave(p) + 1, "tidy-slots", c->store, "all");
    task_what(p, t, "end unfinished moves of hash slots, and bring stray keys home");
    t->why = "a slot goes to the shard it is declared for; no slot changes hands while the other "
             "side holds keys of it";
    return 0;
}

/* --- verify-data --- */

int redis_expand_verify_data(const struct intent *in, const struct cluster *c, struct plan *p,
                             struct err *err)
{
    struct selection sel = {0};
    struct task *t;

    if (redis_select(in, c, &p->arena, &sel, err) != 0)
        return -1;
    for (size_t i = 0; i < sel.n; i++) {
        t = plan_add_task(p, 1, "check-data", sel.v[i]->id, sel.v[i]->node);
        task_what(p, t, "check the files of %s on %s", t->target, redis_place(p, c, sel.v[i]));
        t->why = "of a running service a linked copy is read";
    }
    for (size_t i = 0; i < c->n_shards; i++) {
        const char *shard = c->shards[i].id;
        bool wanted = false;
        for (size_t k = 0; k < sel.n; k++)
            wanted = wanted || strcmp(sel.v[k]->shard, shard) == 0;
        if (!wanted)
            continue;
        t = plan_add_task(p, 2, "check-copies", arena_strdup(&p->arena, shard), "all");
        task_what(p, t, "compare the copies of %s, and look for keys that do not belong there",
                  shard);
    }
    return 0;
}
