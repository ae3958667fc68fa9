/*
 * Tasks about hash slots and data: half moved slots, stray keys, comparison of copies.
 *
 * A half moved slot is recognised by what the primaries say of themselves and by who holds keys of
 * it, not by what anybody remembers (a move does not survive a failover). It goes to the shard it
 * is declared for:
 *
 *   owner is the declared one   a move under way is ended and undone, so that no key is ever out of
 *                               sight; stray keys come back; flags are cleared
 *   owner is another            its keys go on to the declared one; that one, then the owner,
 *                               hears who owns it
 *   nobody says it owns it      who holds its keys gets it, else the declared one
 */
#include "engines/redis/doing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"

#define COMPARE_TRIES 20

/* --- the primaries --- */

struct tidying {
    struct doing *d;
    struct service **masters;
    size_t n;
    int slot;
    struct service *owner, *declared;
    size_t slots_done;
    int64_t keys_moved, keys_dropped;
};

static const struct json *myself(const struct service *s)
{
    return redis_member(s, json_str(redis_live(s), "nodeId"));
}

static bool has_slot(const struct json *member, int slot)
{
    JSON_FOREACH (range, json_get(member, "slots")) {
        if (slot >= json_value_int(json_at(range, 0), -1) &&
            slot <= json_value_int(json_at(range, 1), -2))
            return true;
    }
    return false;
}

static bool owns_slot(const struct service *s, int slot)
{
    return has_slot(myself(s), slot);
}

/* Does s know that o owns it? */
static bool knows_owner(const struct service *s, const struct service *o, int slot)
{
    return has_slot(redis_member(s, json_str(redis_live(o), "nodeId")), slot);
}

static const struct json *open_flag(const struct service *s, int slot)
{
    JSON_FOREACH (open, json_get(myself(s), "open")) {
        if (json_int(open, "slot", -1) == slot)
            return open;
    }
    return NULL;
}

static int find_masters(struct tidying *t, struct err *err)
{
    struct cluster *c = &t->d->c;

    t->masters = NULL;
    t->n = 0;
    for (size_t i = 0; i < c->n_shards; i++) {
        struct service *m = cluster_master(c, c->shards[i].id);
        if (m == NULL) {
            err_set(err, ERR_FAILED, "shard %s has no primary: its slots cannot be tidied",
                    c->shards[i].id);
            return err_advise(err, "'plan recover' its services, then 'plan execute'");
        }
        *ARENA_PUSH(&c->arena, t->masters, t->n) = m;
    }
    return 0;
}

static struct service *declared_master(struct tidying *t)
{
    const struct cluster *c = &t->d->c;

    for (size_t i = 0; i < c->n_shards; i++) {
        for (size_t k = 0; k < c->shards[i].n_slots; k++) {
            if (t->slot >= c->shards[i].slots[k].first && t->slot <= c->shards[i].slots[k].last)
                return cluster_master(c, c->shards[i].id);
        }
    }
    return NULL;
}

/* --- orders --- */

static int set_slot(struct tidying *t, const struct service *s, const char *state,
                    const struct service *of, struct err *err)
{
    struct json *body = json_object();

    json_set_int(body, "slot", t->slot);
    json_set_str(body, "state", state);
    if (of != NULL)
        json_set_str(body, "nodeId", json_str(redis_live(of), "nodeId"));
    return doing_act(t->d, s, "set-slot", body, NULL, err);
}

static int count_keys(struct tidying *t, const struct service *s, int64_t *keys, struct err *err)
{
    struct json *body = json_object(), *slots = json_array(), *answer = NULL;
    int rc;

    json_push(slots, json_number(t->slot));
    json_set(body, "slots", slots);
    rc = doing_act(t->d, s, "count-keys", body, &answer, err);
    *keys = json_int(json_at(json_get(answer, "slots"), 0), "keys", 0);
    json_free(answer);
    return rc;
}

/* What becomes of a key that the target has already. */
enum rival { RIVAL_REPLACE, RIVAL_KEEP, RIVAL_DROP_HERE };

/* All keys of the slot. */
static int move_keys(struct tidying *t, const struct service *from, const struct service *to,
                     enum rival rival, struct err *err)
{
    const struct node *n = cluster_node(&t->d->c, to->node);
    int64_t left = 1;

    while (left > 0) {
        struct json *body = json_object(), *answer = NULL;
        int rc;

        json_set_int(body, "slot", t->slot);
        json_set_str(body, "host", n->host);
        json_set_int(body, "port", to->port);
        json_set_bool(body, "keep", rival != RIVAL_REPLACE);
        if (rival == RIVAL_DROP_HERE)
            json_set_bool(body, "drop", true);
        rc = doing_act(t->d, from, "move-keys", body, &answer, err);
        t->keys_moved += json_int(answer, "moved", 0);
        t->keys_dropped += json_int(answer, "dropped", 0);
        left = json_int(answer, "left", 0);
        json_free(answer);
        if (rc != 0)
            return -1;
        if (t->d->p->interrupted(t->d->p))
            return err_set(err, ERR_INTERRUPTED, "interrupted while moving keys of slot %d",
                           t->slot);
    }
    return 0;
}

/* --- one slot --- */

/*
 * Of two that claim a slot redis believes the higher epoch, and the other one deletes its keys. Who
 * takes a slot gets an epoch above all it has heard of: so it must have heard of the owner's, which
 * may be as young as the owner's own claim.
 */
static int await_epoch(struct tidying *t, const struct service *from, const struct service *to,
                       struct err *err)
{
    struct doing look = {.cn = t->d->cn, .t = t->d->t, .p = t->d->p};
    int64_t since = time_mono_ms();
    const char *why = arena_printf(&t->d->c.arena, "%s to hear of %s", to->id, from->id);
    int rc = -1;

    while (doing_look(&look, err) == 0) {
        const struct service *f = cluster_service(&look.c, from->id);
        const struct service *o = cluster_service(&look.c, to->id);
        int64_t epoch = f ? json_int(redis_live(f), "epoch", INT64_MAX) : INT64_MAX;

        if (o != NULL && json_int(redis_live(o), "currentEpoch", -1) >= epoch) {
            rc = 0;
            break;
        }
        if (time_mono_ms() - since > SETTLE_MS) {
            err_set(err, ERR_FAILED, "waited %d s in vain for %s", SETTLE_MS / 1000, why);
            break;
        }
        if (doing_pause(&look, -1, why, err) != 0)
            break;
    }
    cluster_release(&look.c);
    return rc;
}

/*
 * While a slot is importing, redis does not listen to who owns it: when the owner's shard has a new
 * primary, the target knows no owner, and takes no keys. Without the flag it hears of the new one.
 */
static int await_owner_known(struct tidying *t, const struct service *from,
                             const struct service *to, struct err *err)
{
    struct doing look = {.cn = t->d->cn, .t = t->d->t, .p = t->d->p};
    const char *why =
        arena_printf(&t->d->c.arena, "%s to hear that %s owns the hash slot", to->id, from->id);
    int64_t since = time_mono_ms();
    int rc = set_slot(t, to, "stable", NULL, err) == 0 ? 1 : -1;

    while (rc > 0) {
        const struct service *f, *o;

        if (doing_look(&look, err) != 0) {
            rc = -1;
            break;
        }
        f = cluster_service(&look.c, from->id);
        o = cluster_service(&look.c, to->id);
        if (f != NULL && o != NULL && knows_owner(o, f, t->slot))
            rc = 0;
        else if (time_mono_ms() - since > SETTLE_MS)
            rc = err_set(err, ERR_FAILED, "waited %d s in vain for %s", SETTLE_MS / 1000, why);
        else if (doing_pause(&look, -1, why, err) != 0)
            rc = -1;
    }
    cluster_release(&look.c);
    return rc;
}

/* Who loses a slot deletes what it holds of it, and only the owner's own agent would refuse. A new
 * primary of the owner's shard knows of no move: it takes writes while the others are waited for.
 */
static int check_moved(struct tidying *t, const struct service *from, const struct service *to,
                       struct err *err)
{
    int64_t keys;

    if (count_keys(t, from, &keys, err) != 0)
        return -1;
    if (keys == 0)
        return 0;
    err_set(err, ERR_FAILED,
            "it is not given to %s: %s holds %lld of its keys again, the primary of %s has changed "
            "meanwhile",
            to->id, from->id, (long long)keys, from->shard);
    return err_advise(err, "'verify configuration' shows who is primary now");
}

/* The owner gives the slot away. Clients find each key all the time, and what the owner has counts.
 */
static int move_slot(struct tidying *t, const struct service *from, const struct service *to,
                     struct err *err)
{
    if (from == t->owner && !knows_owner(to, from, t->slot) &&
        await_owner_known(t, from, to, err) != 0)
        return -1;
    if (set_slot(t, to, "importing", from, err) != 0 ||
        set_slot(t, from, "migrating", to, err) != 0 ||
        move_keys(t, from, to, RIVAL_REPLACE, err) != 0 || await_epoch(t, from, to, err) != 0 ||
        check_moved(t, from, to, err) != 0 || set_slot(t, to, "node", to, err) != 0 ||
        set_slot(t, from, "node", to, err) != 0)
        return -1;
    return 0;
}

/* The flag that stray keys need is not taken for a move under way when it is found again. */
static const char *stray_memo(struct tidying *t)
{
    return arena_printf(&t->d->c.arena, "stray %d", t->slot);
}

static int note_stray(struct tidying *t, struct err *err)
{
    struct perform *p = t->d->p;

    if (p->remember != NULL && p->remember(p, stray_memo(t)) != 0)
        return err_set(err, ERR_FAILED, "the plan's journal cannot be written");
    return 0;
}

static bool is_stray(struct tidying *t)
{
    return t->d->p->memo != NULL && strcmp(t->d->p->memo, stray_memo(t)) == 0;
}

/* Keys that nobody could read, because their slot is another's and no move is under way. */
static int bring_strays(struct tidying *t, const struct service *m, const struct service *home,
                        struct err *err)
{
    /* What a move under way has left on both sides is newer at the owner, whose keys went home. */
    bool moving = open_flag(m, t->slot) != NULL && !is_stray(t);
    enum rival rival = t->d->p->force || moving ? RIVAL_DROP_HERE : RIVAL_KEEP;
    struct err ignored = ERR_INIT;

    if ((!moving && note_stray(t, err) != 0) || set_slot(t, m, "importing", home, err) != 0)
        return -1;
    if (move_keys(t, m, home, rival, err) == 0)
        return set_slot(t, m, "stable", NULL, err);
    set_slot(t, m, "stable", NULL, &ignored);
    if (strstr(err->text, "BUSYKEY") == NULL)
        return -1;
    err_set(err, ERR_FAILED,
            "%s and %s both hold a key of it: clients read the one at %s, the one at %s is older",
            m->id, home->id, home->id, m->id);
    return err_advise(err,
                      "'plan cleanup -force -reason TEXT' keeps what is at %s and drops such "
                      "keys at %s",
                      home->id, m->id);
}

/* What others hold comes to `home`, which owns the slot, and flags are cleared. */
static int bring_home(struct tidying *t, const struct service *home, struct err *err)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct service *m = t->masters[i];
        bool open = open_flag(m, t->slot) != NULL;
        int64_t keys;

        if (m == home)
            continue;
        if (count_keys(t, m, &keys, err) != 0)
            return -1;
        /* Keys of a move under way are never out of sight: the move is ended, then undone. */
        if (keys > 0 && t->owner == home && !is_stray(t) &&
            (open || open_flag(home, t->slot) != NULL)) {
            if (move_slot(t, home, m, err) != 0 || move_slot(t, m, home, err) != 0)
                return -1;
        } else if (keys > 0) {
            if (bring_strays(t, m, home, err) != 0)
                return -1;
        } else if (open && set_slot(t, m, "stable", NULL, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Nobody says it owns the slot: who alone holds keys of it shall, or else the declared one. */
static int find_owner(struct tidying *t, struct err *err)
{
    struct service *holder = NULL;
    size_t holders = 0;

    for (size_t i = 0; i < t->n; i++) {
        int64_t keys;
        if (count_keys(t, t->masters[i], &keys, err) != 0)
            return -1;
        holder = keys > 0 ? t->masters[i] : holder;
        holders += keys > 0;
    }
    t->owner = holders == 1 ? holder : t->declared;
    return set_slot(t, t->owner, "node", t->owner, err);
}

static int tidy_slot(struct tidying *t, struct err *err)
{
    const struct service *home;

    t->owner = NULL;
    t->declared = declared_master(t);
    for (size_t i = 0; i < t->n; i++) {
        if (owns_slot(t->masters[i], t->slot))
            t->owner = t->masters[i];
    }
    if ((home = t->declared) == NULL)
        return 0;
    t->slots_done++;
    if ((t->owner == NULL && find_owner(t, err) != 0) ||
        (t->owner != home && move_slot(t, t->owner, home, err) != 0) ||
        bring_home(t, home, err) != 0)
        return -1;
    /* One that had begun to give the slot away keeps that flag when it gets it back. */
    return open_flag(home, t->slot) != NULL ? set_slot(t, home, "stable", NULL, err) : 0;
}

/* --- tidy-slots --- */

/* Slots whose declared shard does not own them: another does, or nobody. */
static void find_elsewhere(const struct tidying *t, bool *untidy)
{
    const struct cluster *c = &t->d->c;

    for (size_t i = 0; i < c->n_shards; i++) {
        const struct service *m = cluster_master(c, c->shards[i].id);
        for (size_t k = 0; m != NULL && k < c->shards[i].n_slots; k++) {
            const struct slot_range *r = &c->shards[i].slots[k];
            for (int slot = r->first; slot <= r->last && slot < REDIS_SLOTS; slot++)
                untidy[slot] = untidy[slot] || !owns_slot(m, slot);
        }
    }
}

/* Marks slots with flags, slots that are elsewhere, and slots in which a primary holds keys it does
 * not own.
 */
static int find_untidy(struct tidying *t, bool *untidy, struct err *err)
{
    find_elsewhere(t, untidy);
    for (size_t i = 0; i < t->n; i++) {
        struct json *answer = NULL;

        JSON_FOREACH (open, json_get(myself(t->masters[i]), "open")) {
            int64_t slot = json_int(open, "slot", -1);
            if (slot >= 0 && slot < REDIS_SLOTS)
                untidy[slot] = true;
        }
        if (doing_act(t->d, t->masters[i], "count-keys", json_object(), &answer, err) != 0)
            return -1;
        JSON_FOREACH (stray, json_get(answer, "slots")) {
            int64_t slot = json_int(stray, "slot", -1);
            if (slot >= 0 && slot < REDIS_SLOTS)
                untidy[slot] = true;
        }
        json_free(answer);
    }
    return 0;
}

static int do_tidy_slots(struct doing *d, struct err *err)
{
    struct tidying t = {.d = d};
    bool *untidy = xcalloc(REDIS_SLOTS, sizeof *untidy);
    int rc = find_masters(&t, err);

    if (rc == 0)
        rc = find_untidy(&t, untidy, err);
    for (t.slot = 0; rc == 0 && t.slot < REDIS_SLOTS; t.slot++) {
        if (!untidy[t.slot])
            continue;
        d->p->report(d->p, t.slot * 100 / REDIS_SLOTS, NULL);
        rc = tidy_slot(&t, err);
        if (rc != 0)
            err_prepend(err, "hash slot %d", t.slot);
    }
    free(untidy);
    if (rc == 0 && t.slots_done > 0)
        snprintf(d->p->result, sizeof d->p->result,
                 "%zu slots tidied, %lld keys moved, %lld older ones dropped", t.slots_done,
                 (long long)t.keys_moved, (long long)t.keys_dropped);
    else if (rc == 0)
        snprintf(d->p->result, sizeof d->p->result, "all slots and keys are where they belong");
    return rc;
}

/* Looking is part of each of these, and doing them twice ends in the same place. */
static enum settled repeat(struct doing *d, struct err *err)
{
    (void)d;
    (void)err;
    return SETTLED_NO;
}

/* --- verify-data --- */

static int do_check_data(struct doing *d, struct err *err)
{
    struct node *n;
    struct service *s = doing_target(d, d->t->target, &n, err);

    return s == NULL ? -1 : doing_act_and_follow(d, s, "check-data", json_object(), err);
}

/* 1: as many keys at the same offset; 0: one of the two moves; -1: they differ. */
static int compare(const struct service *master, const struct service *s, struct err *err)
{
    int64_t keys = json_int(redis_live(s), "keys", -1);
    int64_t wanted = json_int(redis_live(master), "keys", -1);

    if (s->sequence != master->sequence)
        return 0;
    if (keys == wanted)
        return 1;
    err_set(err, ERR_FAILED, "%s has %lld keys, its primary %s has %lld, both at offset %lld",
            s->id, (long long)keys, master->id, (long long)wanted, (long long)s->sequence);
    err_advise(err, "'plan network-restore -from %s -to %s' makes it a copy again", master->id,
               s->id);
    return -1;
}

static int check_strays(struct doing *d, const struct service *master, struct err *err)
{
    struct json *answer = NULL;
    int64_t keys = 0;
    size_t slots;
    int rc = doing_act(d, master, "count-keys", json_object(), &answer, err);

    JSON_FOREACH (stray, json_get(answer, "slots")) {
        keys += json_int(stray, "keys", 0);
    }
    slots = json_len(json_get(answer, "slots"));
    json_free(answer);
    if (rc == 0 && slots > 0) {
        rc = err_set(err, ERR_FAILED,
                     "%s holds %lld keys in %zu hash slots it does not own: "
                     "nobody can read them",
                     master->id, (long long)keys, slots);
        err_advise(err, "'plan cleanup -wait' brings them home");
    }
    return rc;
}

/* The copies that run and have not been found equal yet; -1 when one differs. */
static int compare_copies(struct doing *d, const struct service *master, struct json *equal,
                          struct err *err)
{
    int moving = 0;

    for (size_t i = 0; i < d->c.n_services; i++) {
        const struct service *s = &d->c.services[i];
        int rc;

        if (s == master || s->shard == NULL || strcmp(s->shard, d->t->target) != 0 ||
            s->status != STATUS_RUNNING || json_get(equal, s->id) != NULL)
            continue;
        if (!s->in_sync) {
            err_set(err, ERR_FAILED, "%s is not in sync with its primary %s", s->id, master->id);
            return -1;
        }
        rc = compare(master, s, err);
        if (rc < 0)
            return -1;
        if (rc > 0)
            json_set_bool(equal, s->id, true);
        moving += rc == 0;
    }
    return moving;
}

static int do_check_copies(struct doing *d, struct err *err)
{
    struct json *equal = json_object();
    const struct service *master = NULL;
    int moving = 1, rc = 0;

    for (int i = 0; i < COMPARE_TRIES && moving > 0 && rc == 0; i++) {
        if (i > 0 &&
            (doing_pause(d, -1, "a moment without writes", err) != 0 || doing_look(d, err) != 0)) {
            rc = -1;
            break;
        }
        master = cluster_master(&d->c, d->t->target);
        if (master == NULL)
            rc = err_set(err, ERR_FAILED, "shard %s has no primary to compare with", d->t->target);
        else if ((moving = compare_copies(d, master, equal, err)) < 0)
            rc = -1;
    }
    if (rc == 0)
        rc = check_strays(d, master, err);
    if (rc == 0)
        snprintf(d->p->result, sizeof d->p->result,
                 moving > 0 ? "%zu copies as their primary; %d in sync, but never at rest to be "
                              "counted"
                            : "%zu copies as their primary",
                 json_len(equal), moving);
    json_free(equal);
    return rc;
}

const struct task_type redis_slot_tasks[] = {
    {"tidy-slots", do_tidy_slots, repeat},
    {"check-data", do_check_data, repeat},
    {"check-copies", do_check_copies, repeat},
    {NULL, NULL, NULL},
};
