/* Tasks in the life of a service: start, stop, change of the primary. */
#include "engines/redis/doing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

/* --- start --- */

bool redis_is_replaceable(const struct cluster *c, const struct service *s)
{
    const struct service *master = cluster_master(c, s->shard);

    return master != NULL && master != s && redis_owns_slots(master);
}

int redis_check_fresh(const struct service *s, struct err *err)
{
    const struct json *live = redis_live(s);
    int64_t keys = json_int(live, "keys", 0);

    if (keys == 0 || json_int(live, "knownNodes", 1) > 1)
        return 0;
    err_set(err, ERR_FAILED, "%s on %s found %lld keys in %s: the directory was not empty", s->id,
            s->node, (long long)keys, s->storage_dir);
    return err_advise(err, "move what is in %s/%s away", s->storage_dir, s->id);
}

bool redis_serves(const struct service *s, const char **why)
{
    const struct json *live = redis_live(s);
    const char *state = json_str(live, "clusterState");

    if (s->status == STATUS_STARTING)
        *why = s->detail ? s->detail : "its data to be loaded";
    else if (s->status != STATUS_RUNNING)
        *why = "the process to answer";
    else if (s->role == ROLE_REPLICA && json_bool(live, "syncInProgress", false))
        *why = "the copy of its shard";
    else if (s->role == ROLE_REPLICA && !s->in_sync)
        *why = "its link to the primary";
    else if (s->role != ROLE_REPLICA && !redis_owns_slots(s))
        *why = "its role in the cluster";
    else if (state == NULL || strcmp(state, "ok") != 0)
        *why = "the cluster to be in order";
    else
        return true;
    return false;
}

/* Is the other side slow (then patience), or does nothing move? */
static bool moves(const struct service *s)
{
    const struct json *live = redis_live(s);

    return s->status == STATUS_STARTING || json_bool(live, "loading", false) ||
           json_bool(live, "syncInProgress", false);
}

/* A frozen or slow process is there, though it does not answer. */
static bool has_process(const struct service *s)
{
    return json_int(s->raw, "pid", 0) > 0;
}

/* A process that has just begun is given the store's settle time before it counts. */
static bool has_settled(const struct cluster *c, const struct service *s, const char **why)
{
    *why = "the store to settle";
    return json_int(redis_live(s), "uptimeS", INT64_MAX) >= redis_settle_seconds(c);
}

/* "; sn2, sn3 do not answer": why waiting may have been in vain. "" when all nodes do. */
static const char *silent_nodes(struct doing *d)
{
    const char *names = "";
    size_t n = 0;

    for (size_t i = 0; i < d->c.n_nodes; i++) {
        if (d->c.nodes[i].status == STATUS_RUNNING)
            continue;
        names = arena_printf(&d->c.arena, "%s%s%s", names, n++ ? ", " : "; ", d->c.nodes[i].id);
    }
    return n ? arena_printf(&d->c.arena, "%s %s not answer", names, n > 1 ? "do" : "does") : "";
}

int doing_await_service(struct doing *d, const char *id, struct err *err)
{
    int64_t since = time_mono_ms();
    const char *why = NULL;

    for (;;) {
        struct node *n;
        struct service *s;

        if (doing_look(d, err) != 0 || (s = doing_target(d, id, &n, err)) == NULL)
            return -1;
        if (s->status == STATUS_RUNNING && redis_serves(s, &why) && has_settled(&d->c, s, &why) &&
            redis_converged(&d->c, &why))
            return 0;
        if (s->status == STATUS_STOPPED || (s->status == STATUS_ERROR && !has_process(s)))
            return err_set(err, ERR_FAILED, "%s on %s ended again%s%s", s->id, s->node,
                           s->detail ? ": " : "", s->detail ? s->detail : "");
        if (redis_serves(s, &why) && time_mono_ms() - since > SETTLE_MS / 6)
            return 0; /* it does its part; that others are down is not this task's */
        if (moves(s))
            since = time_mono_ms();
        if (time_mono_ms() - since > SETTLE_MS) {
            err_set(err, ERR_FAILED, "%s on %s runs, but waited %d s in vain for %s%s", s->id,
                    s->node, SETTLE_MS / 1000, why, silent_nodes(d));
            return err_advise(err, "'verify configuration' shows what is wrong");
        }
        if (doing_pause(d, -1, why, err) != 0)
            return -1;
    }
}

static int do_start(struct doing *d, struct err *err)
{
    bool fresh = json_bool(d->t->args, "fresh", false);
    struct json *body = json_object();
    struct node *n;
    struct service *s = doing_target(d, d->t->target, &n, err);

    if (s == NULL) {
        json_free(body);
        return -1;
    }
    json_set_bool(body, "allowEmpty", redis_is_replaceable(&d->c, s));
    if (doing_act_and_follow(d, s, "start", body, err) != 0)
        return -1;
    if (!fresh) {
        if (doing_await_service(d, d->t->target, err) != 0)
            return -1;
    } else if (doing_look(d, err) != 0 || (s = doing_target(d, d->t->target, &n, err)) == NULL ||
               redis_check_fresh(s, err) != 0) {
        return -1;
    }
    s = cluster_service(&d->c, d->t->target);
    snprintf(d->p->result, sizeof d->p->result, "runs on %s port %d%s%s", s->node, s->port,
             fresh ? "" : " as ", fresh ? "" : role_name(s->role));
    return 0;
}

static enum settled started(struct doing *d, struct err *err)
{
    struct node *n;
    const struct service *s = doing_target(d, d->t->target, &n, err);
    const char *why;

    if (s == NULL)
        return SETTLED_UNKNOWN;
    if (s->status != STATUS_RUNNING)
        return SETTLED_NO;
    if (json_bool(d->t->args, "fresh", false))
        return redis_check_fresh(s, err) == 0 ? SETTLED_YES : SETTLED_NO;
    return redis_serves(s, &why) ? SETTLED_YES : SETTLED_NO;
}

/* --- handover --- */

/*
 * A failover is dropped without an answer while the primary does not list the replica, or one of
 * the two has no link to the other (facts of Redis 7.0): both must see each other first.
 */
static bool see_each_other(const struct service *from, const struct service *to, const char **why)
{
    const char *from_id = json_str(redis_live(from), "nodeId");
    const char *to_id = json_str(redis_live(to), "nodeId");
    const struct json *seen_by_from = redis_member(from, to_id);
    const struct json *seen_by_to = redis_member(to, from_id);
    const char *primary = json_str(seen_by_from, "primaryId");

    *why = "primary and replica to see each other";
    if (!json_bool(seen_by_from, "linkUp", false) || !json_bool(seen_by_to, "linkUp", false) ||
        primary == NULL || from_id == NULL || strcmp(primary, from_id) != 0)
        return false;
    *why = "the replica to be in sync";
    return to->in_sync;
}

static enum settled handed_over(struct doing *d, struct err *err)
{
    struct node *n;
    const struct service *to = doing_target(d, json_str(d->t->args, "to"), &n, err);

    if (to == NULL)
        return SETTLED_UNKNOWN;
    return to->role == ROLE_MASTER && redis_owns_slots(to) ? SETTLED_YES : SETTLED_NO;
}

/*
 * The former primary follows, and everybody knows. A node that hears of the former one before the
 * new one says what it owns knows no owner for those hash slots, and refuses their keys; one that
 * does not hear at all is verify's to tell.
 */
static int await_handover(struct doing *d, const char *from_id, const char *to_id, struct err *err)
{
    int64_t since = time_mono_ms();
    const char *why = "the former primary to follow the new one";

    for (;;) {
        const struct service *from, *to;

        if (doing_look(d, err) != 0)
            return -1;
        from = cluster_service(&d->c, from_id);
        to = cluster_service(&d->c, to_id);
        if (from != NULL && to != NULL && to->role == ROLE_MASTER &&
            (from->status != STATUS_RUNNING || (from->role == ROLE_REPLICA && from->in_sync)) &&
            (redis_owners_known(&d->c, &why) || time_mono_ms() - since > SETTLE_MS / 6))
            return 0;
        if (time_mono_ms() - since > SETTLE_MS)
            return err_set(err, ERR_FAILED,
                           to != NULL && to->role == ROLE_MASTER
                               ? "%s took over, but %s does not follow it"
                               : "%s took over, but has not stayed primary: %s is it again",
                           to_id, from_id);
        if (doing_pause(d, -1, why, err) != 0)
            return -1;
    }
}

/* from_id was the primary when the plan was made; whoever is it now hands over. */
static int hand_over(struct doing *d, const char *from_id, const char *to_id, struct err *err)
{
    int64_t since = time_mono_ms();
    struct json *body;

    for (;;) {
        struct node *nf, *nt;
        const struct service *from = doing_target(d, from_id, &nf, err), *now;
        const struct service *to = from ? doing_target(d, to_id, &nt, err) : NULL;
        const char *why = NULL;

        if (to == NULL)
            return -1;
        if (to->role == ROLE_MASTER && redis_owns_slots(to))
            return await_handover(d, from_id, to_id, err);
        now = cluster_master(&d->c, to->shard);
        if (now != NULL && redis_owns_slots(now))
            from = now;
        if (see_each_other(from, to, &why))
            break;
        if (time_mono_ms() - since > SETTLE_MS / 2) {
            err_set(err, ERR_FAILED, "%s cannot hand over to %s: waited %d s in vain for %s",
                    from->id, to->id, SETTLE_MS / 2000, why);
            return err_advise(err, "'verify configuration' shows the state of both");
        }
        if (doing_pause(d, -1, why, err) != 0 || doing_look(d, err) != 0)
            return -1;
    }
    body = json_object();
    json_set_str(body, "mode", "graceful");
    if (doing_act_and_follow(d, cluster_service(&d->c, to_id), "failover", body, err) != 0)
        return -1;
    return await_handover(d, from_id, to_id, err);
}

static int do_handover(struct doing *d, struct err *err)
{
    return hand_over(d, d->t->target, json_str(d->t->args, "to"), err);
}

/* --- stop --- */

/* In a rolling plan: whatever went wrong since the plan was made, only one failure domain goes
 * down. */
static int check_alone(struct doing *d, const struct service *s, struct err *err)
{
    const struct json *together = json_get(d->t->args, "together");

    for (size_t i = 0; i < d->c.n_services && together != NULL && !d->p->force; i++) {
        const struct service *o = &d->c.services[i];
        bool expected = false;

        JSON_FOREACH (name, together) {
            expected = expected || strcmp(json_value_str(name), o->id) == 0;
        }
        if (expected || o->kind != KIND_RN || o->status == STATUS_RUNNING ||
            redis_same_domain(&d->c, o, s))
            continue;
        err_set(err, ERR_FAILED, "%s is not stopped: %s on %s is out meanwhile (%s)", s->id, o->id,
                o->node, status_name(o->status));
        if (o->status == STATUS_UNREACHABLE)
            return err_advise(err, "start the agent of %s", o->node);
        return err_advise(err, "'plan recover -service %s'", o->id);
    }
    return 0;
}

/* An election made it the primary since the plan was made. In a rolling plan, where the other
 * copies stay, one of them takes over first, as it would have in a plan made now. */
static int hand_over_first(struct doing *d, const struct service *s, struct err *err)
{
    bool rolling = json_get(d->t->args, "together") != NULL;
    const struct selection none = {0};
    const struct service *heir = rolling ? redis_successor(&d->c, s, &none) : NULL;
    char *to;
    int rc;

    if (heir == NULL) {
        err_set(err, ERR_FAILED, "%s became primary of %s meanwhile and is not stopped", s->id,
                s->shard);
        return err_advise(err, "cancel this plan and run 'plan %s -service %s' again",
                          rolling ? "restart-service" : "stop-service", s->id);
    }
    to = xstrdup(heir->id);
    rc = hand_over(d, d->t->target, to, err);
    free(to);
    return rc;
}

/* The rules saw other copies when the plan was made; taken up days later there may be none. Being
 * forced is not enough for that. */
static int check_last(struct doing *d, const struct service *s, struct err *err)
{
    bool planned = json_bool(d->t->args, "mayBeLast", false) ||
                   (!d->p->force && json_bool(d->t->args, "asPrimary", false));

    if (planned || d->p->confirmed || !redis_is_last_copy(&d->c, s))
        return 0;
    err_set(err, ERR_FAILED, "%s is not stopped: it is the last live copy of %s meanwhile", s->id,
            s->shard);
    return err_advise(err, "bring another service of %s back first: 'plan recover'", s->shard);
}

static int do_stop(struct doing *d, struct err *err)
{
    struct node *n;
    struct service *s = doing_target(d, d->t->target, &n, err);
    bool may_be_primary = json_bool(d->t->args, "asPrimary", false);

    if (s == NULL)
        return -1;
    if (check_last(d, s, err) != 0)
        return -1;
    if (s->role == ROLE_MASTER && redis_owns_slots(s) && !d->p->force && !may_be_primary) {
        if (check_alone(d, s, err) != 0 || hand_over_first(d, s, err) != 0 ||
            (s = doing_target(d, d->t->target, &n, err)) == NULL)
            return -1;
    }
    if (s->status == STATUS_RUNNING && check_alone(d, s, err) != 0)
        return -1;
    if (doing_act_and_follow(d, s, "stop", json_object(), err) != 0)
        return -1;
    snprintf(d->p->result, sizeof d->p->result, "stopped on %s", s->node);
    return 0;
}

static enum settled stopped(struct doing *d, struct err *err)
{
    struct node *n;
    const struct service *s = doing_target(d, d->t->target, &n, err);

    if (s == NULL)
        return SETTLED_UNKNOWN;
    return s->status == STATUS_STOPPED ? SETTLED_YES : SETTLED_NO;
}

/* --- takeover: a replica becomes primary without the primary's consent --- */

/* Some other copy became the primary, which nobody asked for: its data would be thrown away. */
static int check_rival(struct doing *d, const struct service *to, struct err *err)
{
    const char *from = json_str(d->t->args, "from");
    const struct service *master = cluster_master(&d->c, to->shard);
    const char *unseen = redis_unseen_primary(&d->c, to, &d->c.arena);

    if (master == NULL && unseen != NULL && !d->p->force) {
        err_set(err, ERR_FAILED, "%s is still linked to its primary at %s and does not take over",
                to->id, unseen);
        return err_advise(err, "start the agent of that node, and look again");
    }
    if (master == NULL || master == to || !redis_owns_slots(master) ||
        (from != NULL && strcmp(master->id, from) == 0))
        return 0;
    err_set(err, ERR_FAILED, "%s became primary of %s meanwhile, %s does not take over", master->id,
            to->shard, to->id);
    return err_advise(err, "cancel this plan; 'plan failover -service %s' hands over without loss",
                      to->id);
}

int redis_check_whole(const struct service *s, struct err *err)
{
    if (redis_is_whole(s))
        return 0;
    if (redis_live(s) == NULL) {
        err_set(err, ERR_FAILED, "%s on %s is %s and does not take over", s->id, s->node,
                status_name(s->status));
        return err_advise(err, "'plan recover -service %s', or name another service of %s", s->id,
                          s->shard);
    }
    err_set(err, ERR_FAILED,
            "%s has no whole copy of %s (at %lld, %lld keys) and does not take over: what it lacks "
            "would be lost for good",
            s->id, s->shard, (long long)s->sequence, (long long)json_int(redis_live(s), "keys", 0));
    return err_advise(err, "bring another service of %s back first: 'plan recover'", s->shard);
}

/* The other copies that live follow, and the new primary serves. */
static int await_takeover(struct doing *d, struct err *err)
{
    int64_t since = time_mono_ms();
    const char *why;

    for (;;) {
        struct node *n;
        const struct service *to;
        bool done;

        if (doing_look(d, err) != 0 || (to = doing_target(d, d->t->target, &n, err)) == NULL)
            return -1;
        done = to->role == ROLE_MASTER && redis_serves(to, &why) && redis_owners_known(&d->c, &why);
        for (size_t i = 0; i < d->c.n_services && done; i++) {
            const struct service *o = &d->c.services[i];
            if (o == to || o->shard == NULL || strcmp(o->shard, to->shard) != 0 ||
                o->status != STATUS_RUNNING)
                continue;
            done = o->role == ROLE_REPLICA && o->in_sync;
            why = "the other copies to follow";
        }
        /* It serves; a copy that cannot follow is verify's to tell. */
        if (done || (to->role == ROLE_MASTER && redis_owns_slots(to) &&
                     time_mono_ms() - since > SETTLE_MS / 6))
            return 0;
        if (time_mono_ms() - since > SETTLE_MS)
            return err_set(err, ERR_FAILED, "%s took over, but waited %d s in vain for %s", to->id,
                           SETTLE_MS / 1000, why);
        if (doing_pause(d, -1, why, err) != 0)
            return -1;
    }
}

static int do_takeover(struct doing *d, struct err *err)
{
    struct node *n;
    struct service *to = doing_target(d, d->t->target, &n, err);
    struct json *body;

    if (to == NULL)
        return -1;
    if (to->role != ROLE_MASTER || !redis_owns_slots(to)) {
        if (check_rival(d, to, err) != 0 || (!d->p->confirmed && redis_check_whole(to, err) != 0))
            return -1;
        body = json_object();
        json_set_str(body, "mode", json_str(d->t->args, "mode"));
        if (doing_act_and_follow(d, to, "failover", body, err) != 0)
            return -1;
    }
    if (await_takeover(d, err) != 0)
        return -1;
    snprintf(d->p->result, sizeof d->p->result, "%s is primary of %s now", d->t->target,
             cluster_service(&d->c, d->t->target)->shard);
    return 0;
}

static enum settled taken_over(struct doing *d, struct err *err)
{
    struct node *n;
    const struct service *to = doing_target(d, d->t->target, &n, err);

    if (to == NULL)
        return SETTLED_UNKNOWN;
    return to->role == ROLE_MASTER && redis_owns_slots(to) ? SETTLED_YES : SETTLED_NO;
}

/* --- await: nothing to do but to see it through --- */

static int do_await(struct doing *d, struct err *err)
{
    const struct service *s;

    if (doing_await_service(d, d->t->target, err) != 0)
        return -1;
    s = cluster_service(&d->c, d->t->target);
    snprintf(d->p->result, sizeof d->p->result, "runs on %s as %s", s->node, role_name(s->role));
    return 0;
}

const struct task_type redis_life_tasks[] = {
    {"start", do_start, started},           {"stop", do_stop, stopped},
    {"handover", do_handover, handed_over}, {"takeover", do_takeover, taken_over},
    {"await", do_await, started},           {NULL, NULL, NULL},
};
