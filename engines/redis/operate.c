/* Operations on a redis store that runs: restart, failover, restore. What speaks against them, and
 * their tasks. Pure. */
#include "engines/redis/redis.h"

#include <string.h>

#include "kvsh/meta.h"

/* --- restart-service --- */

/* Its data alone comes back with the start, but not before a replica has taken over. */
static void check_restart_dir(const struct cluster *c, const struct service *s, struct findings *f)
{
    const char *trouble = redis_dir_trouble(c, s, &f->arena);

    if (redis_only_data_is_bad(c, s)) {
        findings_add(f, SEVERITY_BLOCK, "dir-unusable", s->id,
                     "%s on %s needs more than a restart: %s", s->id, s->node, trouble);
        findings_remedy(f, "%s", redis_way_back(c, s, &f->arena));
        return;
    }
    findings_add(f, SEVERITY_BLOCK, "dir-unusable", s->id,
                 "%s on %s would stop and not start again: %s", s->id, s->node, trouble);
    findings_remedy(f, "'plan stop-service', replace the disk, 'plan start-service'");
}

static void check_restart_one(const struct cluster *c, struct service *s, struct findings *f)
{
    const struct selection alone = {.v = &s, .n = 1};

    if (!redis_rule_reachable(c, s, f))
        return;
    if (redis_dir_is_bad(c, s))
        check_restart_dir(c, s, f);
    if (s->status != STATUS_RUNNING)
        return;
    redis_rule_copies(c, s, &alone, f);
    redis_rule_slots(c, s, f);
}

void redis_check_restart(const struct intent *in, const struct cluster *c, struct findings *f)
{
    struct arena arena = {0};
    struct selection sel = {0};
    struct err err = ERR_INIT;

    if (redis_select(in, c, &arena, &sel, &err) == 0) {
        for (size_t i = 0; i < sel.n; i++)
            check_restart_one(c, sel.v[i], f);
        redis_rule_second_node(c, &sel, false, f);
        redis_rule_settle(c, &sel, f);
    }
    arena_release(&arena);
}

/* Services of one failure domain, at most one per shard, that may restart at the same time. */
struct batch {
    struct service **v;
    size_t n;
};

static bool batch_takes(const struct cluster *c, const struct batch *b, const struct service *s)
{
    for (size_t i = 0; i < b->n; i++) {
        if (!redis_same_domain(c, b->v[i], s) || strcmp(b->v[i]->shard, s->shard) == 0)
            return false;
    }
    return true;
}

/* Takes the next batch of services of that role out of todo (taken: NULL). */
static void next_batch(struct plan *p, const struct cluster *c, struct selection *todo,
                       bool primaries, struct batch *b)
{
    *b = (struct batch){0};
    for (size_t i = 0; i < todo->n; i++) {
        struct service *s = todo->v[i];
        if (s == NULL || (s->role == ROLE_MASTER) != primaries || !batch_takes(c, b, s))
            continue;
        *ARENA_PUSH(&p->arena, b->v, b->n) = s;
        todo->v[i] = NULL;
    }
}

static struct json *batch_names(const struct batch *b)
{
    struct json *names = json_array();

    for (size_t i = 0; i < b->n; i++)
        json_push_str(names, b->v[i]->id);
    return names;
}

/* Stop all of the batch, then start all of it: each start ends when its service is in sync. */
static void add_batch(struct plan *p, const struct cluster *c, const struct batch *b, bool force)
{
    int wave = plan_last_wave(p) + 1;

    for (size_t i = 0; i < b->n; i++) {
        struct task *t = redis_add_stop(p, c, b->v[i], wave);
        redis_task_arg(p, t, "asPrimary", json_boolean(force));
        redis_task_arg(p, t, "together", batch_names(b));
        t->why = "it is no primary, and nothing outside its failure domain is out";
    }
    for (size_t i = 0; i < b->n; i++) {
        struct task *t = redis_add_start(p, c, b->v[i], wave + 1);
        t->why = "the next step waits until it is in sync";
    }
}

static void add_primaries(struct plan *p, const struct cluster *c, const struct batch *b,
                          bool force)
{
    struct selection sel = {.v = b->v, .n = b->n};
    const struct service **heirs = arena_alloc(&p->arena, (b->n + 1) * sizeof(void *));
    int wave = plan_last_wave(p) + 1;

    sel.heirs = arena_alloc(&p->arena, (c->n_nodes + 1) * sizeof *sel.heirs);
    for (size_t i = 0; i < b->n; i++) {
        heirs[i] = redis_successor(c, b->v[i], &sel);
        if (heirs[i] == NULL)
            continue;
        redis_add_handover(p, c, b->v[i], heirs[i], wave);
        sel.heirs[cluster_node(c, heirs[i]->node) - c->nodes]++;
    }
    add_batch(p, c, b, force);
    wave = plan_last_wave(p) + 1;
    for (size_t i = 0; i < b->n; i++) {
        if (heirs[i] != NULL)
            redis_add_handover(p, c, heirs[i], b->v[i], wave)->why =
                "it is back and in sync; the primaries stay spread as they were";
    }
}

int redis_expand_restart(const struct intent *in, const struct cluster *c, struct plan *p,
                         struct err *err)
{
    struct selection todo = {0};
    struct batch b;

    if (redis_select(in, c, &p->arena, &todo, err) != 0)
        return -1;
    for (size_t i = 0; i < todo.n; i++) {
        if (todo.v[i]->status == STATUS_RUNNING)
            continue;
        redis_add_start(p, c, todo.v[i], 1);
        todo.v[i] = NULL;
    }
    for (next_batch(p, c, &todo, false, &b); b.n > 0; next_batch(p, c, &todo, false, &b))
        add_batch(p, c, &b, in->force);
    for (next_batch(p, c, &todo, true, &b); b.n > 0; next_batch(p, c, &todo, true, &b))
        add_primaries(p, c, &b, in->force);
    return 0;
}

/* --- failover --- */

static bool is_hard(const struct intent *in)
{
    const char *mode = json_str(in->args, "mode");

    return mode != NULL && strcmp(mode, "hard") == 0;
}

static bool is_of(const struct service *s, const char *shard)
{
    return s->shard != NULL && strcmp(s->shard, shard) == 0;
}

/* The copy of the shard that has got furthest, among those that run. */
static struct service *furthest(const struct cluster *c, const char *shard)
{
    struct service *best = NULL;

    for (size_t i = 0; i < c->n_services; i++) {
        struct service *s = &c->services[i];
        if (is_of(s, shard) && s->role == ROLE_REPLICA && s->status == STATUS_RUNNING &&
            (best == NULL || s->sequence > best->sequence))
            best = s;
    }
    return best;
}

static void check_graceful(const struct cluster *c, const struct service *s, struct findings *f)
{
    const struct service *master = cluster_master(c, s->shard);
    const struct selection none = {0};

    if (master == NULL) {
        findings_add(f, SEVERITY_FATAL, "no-primary", s->id,
                     "%s has no primary that answers and could hand over to %s", s->shard, s->id);
        findings_remedy(f, "'plan recover' its services, or 'plan failover -service %s -mode hard'",
                        s->id);
    } else if (!s->in_sync) {
        findings_add(f, SEVERITY_FATAL, "no-replica", s->id,
                     "%s is not in sync with its primary %s and cannot take over without loss",
                     s->id, master->id);
        findings_remedy(f, "wait until it is: 'verify configuration'");
    } else if (!redis_is_known_to(master, s)) {
        findings_add(f, SEVERITY_FATAL, "no-replica", s->id,
                     "the primary %s does not know %s, and would drop the hand-over", master->id,
                     s->id);
        findings_remedy(f, "'plan recover -service %s' first", s->id);
    }
    redis_rule_headroom(c, s, f);
    redis_rule_settle(c, &none, f);
}

/* Whoever takes over without a primary must have been filled. */
static bool check_whole(const struct service *heir, struct findings *f)
{
    if (redis_is_whole(heir))
        return true;
    findings_add(f, SEVERITY_CONFIRM, "last-copy", heir->id,
                 "%s has no whole copy of %s (at %lld, %lld keys): what it lacks would be lost for "
                 "good",
                 heir->id, heir->shard, (long long)heir->sequence,
                 (long long)json_int(redis_live(heir), "keys", 0));
    findings_remedy(f, "bring another service of %s back first: 'plan recover'", heir->shard);
    return false;
}

static void check_hard(const struct cluster *c, const struct service *s, struct findings *f)
{
    const struct service *master = cluster_master(c, s->shard), *best = furthest(c, s->shard);
    const char *unseen = redis_unseen_primary(c, s, &f->arena);
    long long at = (long long)s->sequence;
    bool is_whole;

    if (master == NULL && unseen != NULL) {
        findings_add(f, SEVERITY_BLOCK, "primary-answers", s->id,
                     "%s is still linked to its primary at %s, whose agent does not answer: what "
                     "it lacks (it is at %lld) would be lost",
                     s->id, unseen, at);
        findings_remedy(f, "start that agent, then 'plan failover -service %s -mode graceful'",
                        s->id);
    } else if (master != NULL) {
        findings_add(f, SEVERITY_BLOCK, "primary-answers", s->id,
                     "%s on %s answers as primary of %s at %lld; %s is at %lld, and what it lacks "
                     "would be lost",
                     master->id, master->node, s->shard, (long long)master->sequence, s->id, at);
        findings_remedy(f, "'plan failover -service %s -mode graceful' loses nothing", s->id);
    }
    is_whole = check_whole(s, f);
    if (is_whole && best != NULL && best != s && best->sequence > s->sequence) {
        findings_add(f, SEVERITY_BLOCK, "behind", s->id,
                     "%s is at %lld, but %s on %s at %lld: %lld bytes of changes would be lost",
                     s->id, at, best->id, best->node, (long long)best->sequence,
                     (long long)best->sequence - at);
        findings_remedy(f, "'plan failover -service %s -mode hard'", best->id);
    } else if (is_whole && master == NULL) {
        findings_add(f, SEVERITY_NOTE, "unreplicated", s->id,
                     "what the primary of %s acknowledged and %s (at %lld) did not get is lost",
                     s->shard, s->id, at);
    }
    redis_rule_headroom(c, s, f);
}

static void check_failover_one(const struct intent *in, const struct cluster *c,
                               const struct service *s, struct findings *f)
{
    if (!redis_rule_reachable(c, s, f))
        return;
    if (s->role == ROLE_MASTER && redis_owns_slots(s)) {
        findings_add(f, SEVERITY_NOTE, "is-primary", s->id, "%s is the primary of %s already",
                     s->id, s->shard);
        return;
    }
    if (s->status != STATUS_RUNNING || s->role != ROLE_REPLICA) {
        findings_add(f, SEVERITY_FATAL, "no-replica", s->id,
                     "%s cannot take over: it is %s, and no replica of %s", s->id,
                     status_name(s->status), s->shard);
        findings_remedy(f, "'plan recover -service %s', or name another service of %s", s->id,
                        s->shard);
        return;
    }
    redis_rule_slots(c, s, f);
    if (is_hard(in))
        check_hard(c, s, f);
    else
        check_graceful(c, s, f);
}

/* --- failover of zones --- */

static bool is_in_zone(const struct cluster *c, const struct service *s, const char *zone)
{
    const struct node *n = cluster_node(c, s->node);

    return zone != NULL && n != NULL && n->zone != NULL &&
           cluster_zone(c, n->zone) == cluster_zone(c, zone);
}

static bool is_offline_type(const struct json *z)
{
    const char *type = json_str(z, "type");

    return type != NULL && strcmp(type, "offline-secondary") == 0;
}

static bool is_offline(const struct json *zones, const struct cluster *c, const struct service *s)
{
    JSON_FOREACH (z, zones) {
        if (is_offline_type(z) && is_in_zone(c, s, json_str(z, "zone")))
            return true;
    }
    return false;
}

/* The service that takes over a shard whose primary is gone with its zone; NULL: none can. */
static struct service *zone_heir(const struct cluster *c, const struct json *zones,
                                 const char *shard)
{
    struct service *best = NULL;

    for (size_t i = 0; i < c->n_services; i++) {
        struct service *s = &c->services[i];
        if (is_of(s, shard) && s->status == STATUS_RUNNING && s->role == ROLE_REPLICA &&
            !json_bool(redis_live(s), "syncInProgress", false) && !is_offline(zones, c, s) &&
            (best == NULL || s->sequence > best->sequence))
            best = s;
    }
    return best;
}

static void check_zone_list(const struct json *zones, const struct cluster *c, struct findings *f)
{
    size_t offline = 0, primary = 0;

    JSON_FOREACH (z, zones) {
        const char *id = json_str(z, "zone");
        size_t times = 0;

        JSON_FOREACH (other, zones) {
            times += cluster_zone(c, json_str(other, "zone")) == cluster_zone(c, id);
        }
        if (times > 1) {
            findings_add(f, SEVERITY_FATAL, "zone-twice", id, "zone %s is named %zu times", id,
                         times);
            findings_remedy(f, "name each zone once");
        }
        if (is_offline_type(z))
            offline++;
        else
            primary++;
    }
    if (offline == 0 || primary == 0) {
        findings_add(f, SEVERITY_FATAL, "zone-types", c->store,
                     "%zu named as offline-secondary and %zu as primary: one zone of each is "
                     "needed at least",
                     offline, primary);
        findings_remedy(f, "-znname Zone2 -type offline-secondary -znname Zone1 -type primary");
    }
}

static void check_zones(const struct json *zones, const struct cluster *c, struct findings *f)
{
    check_zone_list(zones, c, f);
    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        if (s->kind != KIND_RN || s->status != STATUS_RUNNING || !is_offline(zones, c, s))
            continue;
        findings_add(f, SEVERITY_FATAL, "zone-alive", s->id,
                     "%s on %s answers, so its zone is not offline", s->id, s->node);
        findings_remedy(f, "'plan failover -service ...' hands single shards over without loss");
        return;
    }
    for (size_t i = 0; i < c->n_shards; i++) {
        const char *shard = c->shards[i].id;
        const struct service *heir = zone_heir(c, zones, shard);
        const char *unseen = heir ? redis_unseen_primary(c, heir, &f->arena) : NULL;

        if (cluster_master(c, shard) != NULL)
            continue;
        if (unseen != NULL) {
            findings_add(f, SEVERITY_BLOCK, "zone-alive", heir->id,
                         "%s is still linked to its primary at %s: its zone is not offline",
                         heir->id, unseen);
            findings_remedy(f, "cut the zone off first, or wait until its failure is noticed");
        }
        if (heir != NULL) {
            check_whole(heir, f);
            continue;
        }
        findings_add(f, SEVERITY_BLOCK, "last-copy", shard,
                     "no copy of %s is live outside the offline zones: its %d hash slots stay "
                     "unserved",
                     shard, c->shards[i].partitions);
        findings_remedy(f, "start a service of %s in another zone first", shard);
    }
}

static void check_rivals(const struct selection *sel, size_t at, struct findings *f)
{
    const struct service *s = sel->v[at];

    for (size_t i = 0; i < at && s->shard != NULL; i++) {
        if (!is_of(sel->v[i], s->shard))
            continue;
        findings_add(f, SEVERITY_FATAL, "one-primary", s->id,
                     "%s and %s cannot both be primary of %s", sel->v[i]->id, s->id, s->shard);
        findings_remedy(f, "name one service of each shard");
        return;
    }
}

void redis_check_failover(const struct intent *in, const struct cluster *c, struct findings *f)
{
    struct arena arena = {0};
    struct selection sel = {0};
    struct err err = ERR_INIT;

    if (json_len(json_get(in->args, "zones")) > 0) {
        check_zones(json_get(in->args, "zones"), c, f);
    } else if (redis_select(in, c, &arena, &sel, &err) == 0) {
        for (size_t i = 0; i < sel.n; i++) {
            check_failover_one(in, c, sel.v[i], f);
            check_rivals(&sel, i, f);
        }
    }
    arena_release(&arena);
}

/* --- failover: tasks --- */

/* Without a majority of primaries that vote only a takeover works. */
static const char *hard_mode(const struct cluster *c, const char *shard)
{
    size_t voters = 0;

    for (size_t i = 0; i < c->n_shards; i++)
        voters += strcmp(c->shards[i].id, shard) != 0 && cluster_master(c, c->shards[i].id) != NULL;
    return voters >= c->n_shards / 2 + 1 ? "force" : "takeover";
}

struct task *redis_add_takeover(struct plan *p, const struct cluster *c, const struct service *to,
                                int wave)
{
    const struct service *master = cluster_master(c, to->shard);
    const char *mode = hard_mode(c, to->shard);
    struct task *t = plan_add_task(p, wave, "takeover", to->id, to->node);

    redis_task_arg(p, t, "mode", json_string(mode));
    if (master != NULL)
        redis_task_arg(p, t, "from", json_string(master->id));
    task_what(p, t, "make %s on %s primary of %s, %s", to->id, redis_place(p, c, to), to->shard,
              strcmp(mode, "force") == 0 ? "by vote of the other primaries"
                                         : "without a vote: no majority of primaries is left");
    t->why = master == NULL ? "no primary of the shard answers"
                            : "asked for by force, although the primary answers";
    t->degrades = "what the former primary did not pass on is lost";
    return t;
}

static int expand_zones(const struct json *zones, const struct cluster *c, struct plan *p,
                        struct err *err)
{
    JSON_FOREACH (z, zones) {
        if (json_str(z, "zone") == NULL || cluster_zone(c, json_str(z, "zone")) == NULL)
            return err_set(err, ERR_INPUT, "zone \"%s\" does not exist",
                           json_str(z, "zone") ? json_str(z, "zone") : "");
    }
    for (size_t i = 0; i < c->n_shards; i++) {
        const char *shard = c->shards[i].id;
        const struct service *to =
            cluster_master(c, shard) == NULL ? zone_heir(c, zones, shard) : NULL;
        /* One after the other: two takeovers at once may take the same epoch. */
        if (to != NULL)
            redis_add_takeover(p, c, to, plan_last_wave(p) + 1);
    }
    JSON_FOREACH (z, zones) {
        const struct zone *zone = cluster_zone(c, json_str(z, "zone"));
        const char *type = is_offline_type(z) ? "SECONDARY" : "PRIMARY";
        struct json *merge, *effects;
        struct task *t;

        if (zone->type != NULL && strcmp(zone->type, type) == 0)
            continue;
        merge = json_object();
        effects = json_array();
        json_set_str(merge, "type", type);
        meta_effect_merge(effects, "zone", zone->id, merge);
        t = plan_add_task(p, plan_last_wave(p) + 1, "declare-zone", zone->id, NULL);
        t->effects = plan_own(p, effects);
        task_what(p, t, "declare zone %s as %s", zone->name, type);
    }
    return 0;
}

int redis_expand_failover(const struct intent *in, const struct cluster *c, struct plan *p,
                          struct err *err)
{
    struct selection sel = {0};

    if (json_len(json_get(in->args, "zones")) > 0)
        return expand_zones(json_get(in->args, "zones"), c, p, err);
    if (redis_select(in, c, &p->arena, &sel, err) != 0)
        return -1;
    for (size_t i = 0; i < sel.n; i++) {
        const struct service *s = sel.v[i], *master = cluster_master(c, s->shard);
        if (s == master)
            continue;
        if (is_hard(in))
            redis_add_takeover(p, c, s, plan_last_wave(p) + 1);
        else
            redis_add_handover(p, c, master, s, plan_last_wave(p) + 1);
    }
    return 0;
}

/* --- network-restore --- */

static void check_restore_to(const struct cluster *c, const struct service *from,
                             struct service *to, struct findings *f)
{
    const struct selection sel = {.v = &to, .n = 1};

    if (!redis_rule_reachable(c, to, f))
        return;
    if (to->role == ROLE_MASTER) {
        findings_add(f, SEVERITY_FATAL, "is-primary", to->id,
                     "%s is the primary of %s: to wipe it would wipe its replicas", to->id,
                     to->shard);
        findings_remedy(f, "let another service take over first: 'plan failover -service'");
        return;
    }
    if (redis_dir_is_bad(c, to)) {
        findings_add(f, SEVERITY_FATAL, "dir-unusable", to->id, "%s is not filled: %s", to->id,
                     redis_dir_trouble(c, to, &f->arena));
        if (redis_only_data_is_bad(c, to))
            findings_remedy(f, "%s", redis_way_back(c, to, &f->arena));
        else
            findings_remedy(f, "replace the disk or directory first");
    }
    if (redis_dir_is_bad(c, from)) {
        findings_add(f, SEVERITY_BLOCK, "source", from->id,
                     "%s on %s has no sound storage directory (%s): it may be the only good copy "
                     "soon",
                     from->id, from->node, redis_dir_state(c, from));
        findings_remedy(f, "'plan recover -service %s' first", from->id);
    }
    if (to->status == STATUS_RUNNING)
        redis_rule_copies(c, to, &sel, f);
    redis_rule_second_node(c, &sel, true, f);
    redis_rule_slots(c, to, f);
}

void redis_check_restore(const struct intent *in, const struct cluster *c, struct findings *f)
{
    const struct service *from = cluster_service(c, json_str(in->args, "from"));
    struct service *to = cluster_service(c, json_str(in->args, "to"));

    /* What is not there is expand's to refuse. */
    if (from == NULL || to == NULL || from->kind != KIND_RN || to->kind != KIND_RN)
        return;
    if (from == to) {
        findings_add(f, SEVERITY_FATAL, "same-shard", to->id,
                     "-from and -to are the same service, %s: a copy comes from another service of "
                     "its shard",
                     to->id);
        findings_remedy(f, "'show topology' lists the services of each shard");
        return;
    }
    if (strcmp(from->shard, to->shard) != 0) {
        findings_add(f, SEVERITY_FATAL, "same-shard", to->id,
                     "%s is of shard %s, %s of %s: two copies of one shard are needed", from->id,
                     from->shard, to->id, to->shard);
        findings_remedy(f, "'show topology' lists the services of each shard");
        return;
    }
    if (to->role != ROLE_MASTER && (from->role != ROLE_MASTER || from->status != STATUS_RUNNING)) {
        const struct service *master = cluster_master(c, from->shard);
        findings_add(f, SEVERITY_FATAL, "source", from->id,
                     "%s is %s and not the live primary of %s: in redis a replica copies from its "
                     "primary only",
                     from->id,
                     from->status == STATUS_RUNNING ? "a replica" : status_name(from->status),
                     from->shard);
        if (master != NULL && master != to)
            findings_remedy(f, "'plan network-restore -from %s -to %s'", master->id, to->id);
        else
            findings_remedy(f, "bring the primary of %s back first: 'plan recover'", from->shard);
        return;
    }
    check_restore_to(c, from, to, f);
}

struct task *redis_add_wipe(struct plan *p, const struct cluster *c, const struct service *s,
                            int wave)
{
    const struct service *master = cluster_master(c, s->shard);
    struct task *t = plan_add_task(p, wave, "wipe", s->id, s->node);

    redis_task_arg(p, t, "identity", json_boolean(false));
    task_what(p, t, "empty the data directory of %s in %s on %s", s->id, s->storage_dir,
              redis_place(p, c, s));
    t->why = master != NULL ? arena_printf(&p->arena,
                                           "%s on %s serves the shard; looked at again before it "
                                           "happens",
                                           master->id, master->node)
                            : "only after another copy has taken over";
    t->degrades = arena_printf(&p->arena, "%s has one copy fewer until it is filled", s->shard);
    return t;
}

int redis_expand_restore(const struct intent *in, const struct cluster *c, struct plan *p,
                         struct err *err)
{
    static const char *const names[] = {"from", "to"};
    const struct service *to;

    for (size_t i = 0; i < 2; i++) {
        const char *name = json_str(in->args, names[i]);
        const struct service *s = name ? cluster_service(c, name) : NULL;
        if (s == NULL || s->kind != KIND_RN)
            return err_set(err, ERR_INPUT, "-%s: \"%s\" is no replication node of this store",
                           names[i], name ? name : "");
    }
    to = cluster_service(c, json_str(in->args, "to"));
    redis_add_stop(p, c, to, 1);
    redis_add_wipe(p, c, to, 2);
    redis_add_start(p, c, to, 3)->why = "an empty replica copies its shard from the primary";
    return 0;
}
