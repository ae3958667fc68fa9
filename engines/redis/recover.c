/*
 * plan recover: from evidence to a choice. Pure.
 *
 *   process    pid and state, as the agent says
 *   disk       state of the storage directory
 *   identity   what nodes.conf says of itself
 *   data       is there an append-only file?
 *   members    role, link, slots: what the others believe
 */
#include "engines/redis/redis.h"

#include <string.h>

#define LINK_YOUNG_S 20

enum choice {
    CHOICE_NOTHING,
    CHOICE_AWAIT, /* it is on its way */
    CHOICE_START,
    CHOICE_RESTART, /* stop, start */
    CHOICE_REFILL,  /* stop, wipe, start: copies from the primary */
    CHOICE_REJOIN,  /* stop, wipe with identity, join again */
    CHOICE_MEET,    /* introduce it to those who have forgotten it */
    CHOICE_NONE,    /* nothing that kvsh should do by itself */
};

struct diagnosis {
    enum choice choice;
    const char *evidence; /* what was seen */
    const char *why;      /* why the choice follows; of CHOICE_NONE: why there is none */
    const char *remedy;   /* of CHOICE_NONE */
    struct service *heir; /* takes over first; NULL: nobody need to */
    bool by_handover;     /* the primary answers and hands over itself */
    bool after_primary;   /* its primary is started by the same plan */
};

struct patient {
    const struct cluster *c;
    const struct service *s;
    const struct selection *sel;
    struct arena *arena;
    const struct service *other; /* serves the shard, and is not the patient */
    struct service *heir;        /* a live replica that has got furthest */
    bool has_data, has_process;
    const char *identity;
};

static struct diagnosis none(const char *why, const char *remedy)
{
    return (struct diagnosis){.choice = CHOICE_NONE, .why = why, .remedy = remedy};
}

static struct service *find_heir(const struct cluster *c, const struct service *s)
{
    struct service *best = NULL;

    for (size_t i = 0; i < c->n_services; i++) {
        struct service *o = &c->services[i];
        if (o != s && o->shard != NULL && strcmp(o->shard, s->shard) == 0 &&
            o->role == ROLE_REPLICA && o->status == STATUS_RUNNING && o->sequence > 0 &&
            !json_bool(redis_live(o), "syncInProgress", false) && !redis_dir_is_bad(c, o) &&
            (best == NULL || o->sequence > best->sequence))
            best = o;
    }
    return best;
}

/* The state of the storage directory itself, not of what is in it. */
static const char *disk_state(const struct patient *p)
{
    const struct node *n = cluster_node(p->c, p->s->node);

    for (size_t i = 0; n != NULL && i < n->n_dirs; i++) {
        if (p->s->storage_dir != NULL && strcmp(n->dirs[i].path, p->s->storage_dir) == 0)
            return n->dirs[i].state;
    }
    return "unknown";
}

/* --- it runs --- */

static struct diagnosis lost_files(const struct patient *p)
{
    struct diagnosis d = {.choice = CHOICE_RESTART};

    if (p->s->role == ROLE_MASTER && p->other == NULL) {
        struct service *self = cluster_service(p->c, p->s->id);
        const struct selection alone = {.v = &self, .n = 1};
        d.heir = redis_successor(p->c, p->s, &alone);
        d.by_handover = true;
        if (d.heir == NULL)
            return none("its files are gone, and only its memory holds the shard: no replica is in "
                        "sync",
                        "do not stop it; bring a replica in sync first");
        d.why = "a replica in sync takes over, then it starts anew and copies the shard";
    } else if (p->other == NULL) {
        return none("its files are gone, and no primary of the shard answers to copy from",
                    "recover the primary of the shard first");
    } else {
        d.why = "it runs on deleted files; it starts anew and copies the shard from its primary";
    }
    return d;
}

static struct diagnosis lone_member(const struct patient *p)
{
    if (p->other == NULL)
        return none("it is not the member it was, and no other primary of the shard answers",
                    "recover the primary of the shard first");
    return (struct diagnosis){.choice = CHOICE_REJOIN,
                              .why = "what it holds counts for nothing in the cluster: it joins "
                                     "again as a new member and copies the shard"};
}

/* It will come back by itself, and a restart would cost a full resync. */
static bool link_is_young(const struct json *live)
{
    int64_t down = json_int(live, "linkDownS", -1);

    return down >= 0 && down < LINK_YOUNG_S;
}

/* Services that run and do not know the patient: they were told to forget it. */
static size_t strangers_to(const struct patient *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->c->n_services; i++)
        n += &p->c->services[i] != p->s && !redis_is_known_to(&p->c->services[i], p->s);
    return n;
}

static struct diagnosis running(const struct patient *p)
{
    const struct json *live = redis_live(p->s);
    const char *id = json_str(live, "nodeId"), *expected = json_str(live, "expectedNodeId");

    if (redis_dir_is_bad(p->c, p->s))
        return lost_files(p);
    if (p->s->status == STATUS_STARTING || json_bool(live, "syncInProgress", false))
        return (struct diagnosis){.choice = CHOICE_AWAIT,
                                  .why = "it is on its way: it loads its data, or copies its "
                                         "shard (a full resync)"};
    if ((id != NULL && expected != NULL && strcmp(id, expected) != 0) ||
        json_int(live, "knownNodes", 2) <= 1 ||
        (p->s->role != ROLE_REPLICA && !redis_owns_slots(p->s)) || p->s->role == ROLE_UNKNOWN)
        return lone_member(p);
    if (strangers_to(p) > 0)
        return (struct diagnosis){
            .choice = CHOICE_MEET,
            .why = arena_printf(p->arena,
                                "it runs with its data, but %zu other services have "
                                "forgotten it",
                                strangers_to(p))};
    if (p->s->role == ROLE_REPLICA && !p->s->in_sync && p->other == NULL)
        return none("it is a replica whose primary does not answer",
                    "recover its primary, or make it primary: plan failover -mode hard");
    if (p->s->role == ROLE_REPLICA && !p->s->in_sync && link_is_young(live))
        return (struct diagnosis){
            .choice = CHOICE_AWAIT,
            .why = arena_printf(p->arena,
                                "its link broke %lld s ago and it tries again each second: a "
                                "partial resync, where the primary still holds what it missed",
                                (long long)json_int(live, "linkDownS", 0))};
    if (p->s->role == ROLE_REPLICA && !p->s->in_sync)
        return (struct diagnosis){.choice = CHOICE_RESTART,
                                  .why = "its primary answers, and yet it has no link to it"};
    return (struct diagnosis){.choice = CHOICE_NOTHING, .why = "it serves"};
}

static struct diagnosis frozen(const struct patient *p)
{
    struct diagnosis d = {.choice = CHOICE_RESTART,
                          .why = "its process does not answer: it is ended and started again"};

    if (p->other == NULL && p->heir != NULL) {
        d.heir = p->heir;
        d.why = "its process does not answer: a replica takes over, then it is started again";
    }
    return d;
}

/* --- it does not run --- */

static bool data_is_damaged(const struct service *s)
{
    static const char *const signs[] = {
        "Bad file format reading the append only file",
        "Unexpected end of file reading",
        "Unable to obtain the AOF file",
        "Invalid AOF manifest file format",
        "Short read or OOM loading DB",
    };

    for (size_t i = 0; s->detail != NULL && i < sizeof signs / sizeof *signs; i++) {
        if (strstr(s->detail, signs[i]) != NULL)
            return true;
    }
    return false;
}

/* What only another copy can help with; the heir becomes primary first where none is. */
static struct diagnosis by_others(const struct patient *p, enum choice choice, const char *why)
{
    struct diagnosis d = {.choice = choice, .why = why};

    if (p->other == NULL)
        d.heir = p->heir;
    return d;
}

static const struct service *sleeping_primary(const struct patient *p)
{
    for (size_t i = 0; i < p->c->n_services; i++) {
        const struct service *o = &p->c->services[i];
        const struct json *identity = json_get(o->raw, "identity");
        if (o != p->s && o->shard != NULL && strcmp(o->shard, p->s->shard) == 0 &&
            json_bool(identity, "primary", false) && json_int(identity, "slots", 0) > 0)
            return o;
    }
    return NULL;
}

static struct diagnosis without_primary(const struct patient *p)
{
    const struct service *primary = sleeping_primary(p);
    struct diagnosis d = {.choice = CHOICE_START,
                          .after_primary = true,
                          .why = "after its primary, which it follows"};

    if (primary != NULL && redis_selected(p->sel, primary))
        return d;
    return none(
        arena_printf(p->arena, "it is a replica, and no primary of %s answers", p->s->shard),
        primary ? arena_printf(p->arena, "'plan recover -service %s' first", primary->id)
                : "start the other services of the shard first");
}

static struct diagnosis lost_identity(const struct patient *p)
{
    if (p->other == NULL && p->heir == NULL)
        return none(arena_printf(p->arena,
                                 "its identity file is %s and no other copy of %s is live: what is "
                                 "in %s may be the only good copy",
                                 p->identity, p->s->shard, p->s->storage_dir),
                    "bring the identity file (nodes.conf) back, or another copy of the shard");
    return by_others(p, CHOICE_REJOIN,
                     "with data and without identity it would claim slots of others: it joins "
                     "again as a new member and copies the shard");
}

static struct diagnosis asleep(const struct patient *p)
{
    const struct json *identity = json_get(p->s->raw, "identity");
    bool was_primary = json_bool(identity, "primary", false) && json_int(identity, "slots", 0) > 0;

    if (strcmp(p->identity, "ok") != 0)
        return lost_identity(p);
    if (p->has_data && data_is_damaged(p->s)) {
        if (p->other == NULL && p->heir == NULL)
            return none("its data is damaged, and no other copy of the shard is live: it may be "
                        "the only good copy",
                        "keep a copy of its files, then repair them with redis-check-aof --fix");
        return by_others(p, CHOICE_REFILL,
                         "its data is damaged: it is wiped and filled from the primary");
    }
    if (p->other != NULL)
        return (struct diagnosis){
            .choice = CHOICE_START,
            .why = p->has_data ? "it starts with its data and its primary brings it up to date: a "
                                 "full resync, as its files keep no position"
                               : "its data is gone: it starts empty and copies the whole shard"};
    if (p->has_data && was_primary)
        return (struct diagnosis){.choice = CHOICE_START,
                                  .why = "it is the primary of the shard and has its data"};
    if (!p->has_data && was_primary && p->heir != NULL)
        return by_others(p, CHOICE_START,
                         "it was the primary and its data is gone: a replica takes over, then it "
                         "starts empty and copies the shard");
    if (!p->has_data && was_primary)
        return none("it was the primary, its data is gone and no other copy of the shard is live: "
                    "started empty it would wipe them all",
                    "recover another service of the shard first, or bring the data back");
    return without_primary(p);
}

/* --- putting it together --- */

static const char *evidence(const struct patient *p)
{
    const struct service *s = p->s;
    const struct json *live = redis_live(s);

    if (live != NULL)
        return arena_printf(p->arena, "process runs; disk %s; %s, link %s, at %lld (%lld behind)",
                            disk_state(p), *role_name(s->role) ? role_name(s->role) : "no role",
                            s->role == ROLE_MASTER || json_bool(live, "linkUp", false) ? "up"
                                                                                       : "down",
                            (long long)s->sequence, (long long)(s->lag > 0 ? s->lag : 0));
    return arena_printf(
        p->arena, "process %s; disk %s; identity %s%s; data %s; primary of %s: %s",
        p->has_process ? "does not answer" : "is not there", disk_state(p), p->identity,
        json_bool(json_get(s->raw, "identity"), "primary", false) ? " of a primary" : "",
        p->has_data ? "there" : "gone", s->shard, p->other ? p->other->id : "none");
}

static const char *disk_remedy(const struct patient *p, const char *disk)
{
    const char *path = p->s->storage_dir;

    if (strcmp(disk, "full") == 0)
        return arena_printf(p->arena, "make room in %s, then recover again", path);
    if (strcmp(disk, "readonly") == 0)
        return arena_printf(p->arena, "make %s writable, then recover again", path);
    return arena_printf(p->arena, "%sreplace the disk or directory, then recover again",
                        p->has_process ? "'plan stop-service' it, " : "");
}

static struct diagnosis diagnose(struct patient *p)
{
    const struct service *master = cluster_master(p->c, p->s->shard);
    const char *disk = disk_state(p), *state = json_str(json_get(p->s->raw, "identity"), "state");
    struct diagnosis d;

    p->other = master != NULL && master != p->s && redis_owns_slots(master) ? master : NULL;
    p->heir = find_heir(p->c, p->s);
    p->has_data = json_bool(p->s->raw, "hasData", false);
    p->has_process = json_int(p->s->raw, "pid", 0) > 0;
    p->identity = state ? state : "unknown";
    if (strcmp(disk, "ok") != 0 && strcmp(disk, "replaced") != 0)
        d = none(arena_printf(p->arena, "its storage directory %s on %s is %s", p->s->storage_dir,
                              p->s->node, disk),
                 disk_remedy(p, disk));
    else if (p->s->status == STATUS_UNDEPLOYED)
        d = none("its storage node does not know it", "finish its plan: 'show plans'");
    else if (redis_live(p->s) != NULL)
        d = running(p);
    else if (p->has_process)
        d = frozen(p);
    else
        d = asleep(p);
    d.evidence = evidence(p);
    return d;
}

const char *redis_way_back(const struct cluster *c, const struct service *s, struct arena *arena)
{
    struct patient p = {.c = c, .s = s, .sel = &(struct selection){0}, .arena = arena};
    struct diagnosis d = diagnose(&p);

    switch (d.choice) {
    case CHOICE_NOTHING:
    case CHOICE_AWAIT:
        return "wait, and verify again";
    case CHOICE_NONE:
        return d.remedy;
    case CHOICE_START:
        if (d.heir == NULL && !d.after_primary)
            return arena_printf(arena, "'plan start-service -service %s -wait'", s->id);
        /* fall through */
    default:
        return arena_printf(arena, "'plan recover -service %s -wait' (%s)", s->id, d.why);
    }
}

const char *redis_start_obstacle(const struct cluster *c, const struct service *s,
                                 const struct selection *sel, struct arena *arena)
{
    struct patient p = {.c = c, .s = s, .sel = sel, .arena = arena};
    struct diagnosis d;

    if (s->raw == NULL || redis_live(s) != NULL || json_int(s->raw, "pid", 0) > 0)
        return NULL;
    d = diagnose(&p);
    return d.choice == CHOICE_START && d.heir == NULL ? NULL : d.why;
}

const char *redis_way_to_primary(const struct cluster *c, const char *shard, struct arena *arena)
{
    const struct service *best = NULL, *dead = NULL;

    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        struct patient p = {.c = c, .s = s, .sel = &(struct selection){0}, .arena = arena};

        if (s->shard == NULL || strcmp(s->shard, shard) != 0)
            continue;
        if (s->role == ROLE_REPLICA && s->status == STATUS_RUNNING &&
            (best == NULL || s->sequence > best->sequence))
            best = s;
        else if (s->status != STATUS_RUNNING && diagnose(&p).choice != CHOICE_NONE)
            dead = s;
    }
    if (best != NULL)
        return arena_printf(arena,
                            "give the other primaries a moment to elect one, or 'plan failover "
                            "-service %s -mode hard -wait'",
                            best->id);
    if (dead != NULL)
        return redis_way_back(c, dead, arena);
    return "bring back one of its services; their own findings say what each needs";
}

static int select_patients(const struct intent *in, const struct cluster *c, struct arena *arena,
                           struct selection *sel, struct err *err)
{
    const char *sn = json_str(in->args, "sn");

    if (sn == NULL)
        return redis_select(in, c, arena, sel, err);
    if (cluster_node(c, sn) == NULL)
        return err_set(err, ERR_INPUT, "storage node \"%s\" does not exist", sn);
    for (size_t i = 0; i < c->n_services; i++) {
        struct service *s = &c->services[i];
        if (s->kind == KIND_RN && cluster_node(c, s->node) == cluster_node(c, sn))
            *ARENA_PUSH(arena, sel->v, sel->n) = s;
    }
    return 0;
}

static const char *choice_text(const struct patient *p, const struct diagnosis *d)
{
    static const char *const words[] = {
        [CHOICE_NOTHING] = "nothing to do",
        [CHOICE_AWAIT] = "wait until it is in sync",
        [CHOICE_START] = "start",
        [CHOICE_RESTART] = "stop and start",
        [CHOICE_REFILL] = "wipe and refill from the primary",
        [CHOICE_REJOIN] = "wipe and rejoin with a new identity",
        [CHOICE_MEET] = "introduce it to the others again",
        [CHOICE_NONE] = "none",
    };
    const char *word = words[d->choice];

    if (d->choice == CHOICE_START && p->other != NULL)
        word = "start and wait for a full resync";
    if (d->heir == NULL)
        return word;
    return arena_printf(p->arena, "%s takes over from it, then %s", d->heir->id, word);
}

void redis_check_recover(const struct intent *in, const struct cluster *c, struct findings *f)
{
    bool whole_node = json_str(in->args, "sn") != NULL;
    struct arena arena = {0};
    struct selection sel = {0};
    struct err err = ERR_INIT;
    size_t hopeless = 0;

    if (select_patients(in, c, &arena, &sel, &err) != 0)
        sel.n = 0;
    for (size_t i = 0; i < sel.n; i++) {
        struct patient p = {.c = c, .s = sel.v[i], .sel = &sel, .arena = &arena};
        struct diagnosis d;

        if (!redis_rule_reachable(c, p.s, f))
            continue;
        d = diagnose(&p);
        if (d.choice != CHOICE_NONE) {
            findings_add(f, SEVERITY_NOTE, "evidence", p.s->id, "seen: %s; choice: %s (%s)",
                         d.evidence, choice_text(&p, &d), d.why);
            continue;
        }
        hopeless++;
        /* Of a whole node the others can be helped, which is less than was asked for. */
        findings_add(f, whole_node && hopeless < sel.n ? SEVERITY_BLOCK : SEVERITY_FATAL,
                     "evidence", p.s->id, "%s is not recovered: %s (%s)", p.s->id, d.why,
                     d.evidence);
        findings_remedy(f, "%s%s", d.remedy,
                        whole_node ? "; -force -reason TEXT recovers the others without it" : "");
    }
    arena_release(&arena);
}

static int add_heir(struct plan *p, const struct cluster *c, const struct service *s,
                    const struct diagnosis *d)
{
    if (d->heir == NULL)
        return 1;
    if (d->by_handover)
        redis_add_handover(p, c, s, d->heir, 1);
    else
        redis_add_takeover(p, c, d->heir, 1);
    return 2;
}

static struct json *peer_of(const struct cluster *c, const struct service *s)
{
    struct json *peer = json_object();

    json_set_str(peer, "host", cluster_node(c, s->node)->host);
    json_set_int(peer, "port", s->port);
    json_set_int(peer, "busPort", s->bus_port);
    return peer;
}

static struct json *peers_of(const struct cluster *c, const struct service *s)
{
    struct json *peers = json_array();

    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *o = &c->services[i];
        if (o != s && o->status == STATUS_RUNNING && o->kind == KIND_RN &&
            cluster_node(c, o->node) != NULL)
            json_push(peers, peer_of(c, o));
    }
    return peers;
}

/* Who does not know it asks for it: it knows them, and would not ask. */
static void add_introductions(struct plan *p, const struct cluster *c, const struct service *s,
                              const char *why)
{
    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *o = &c->services[i];
        struct json *peers;
        struct task *t;

        if (o == s || o->status != STATUS_RUNNING || redis_is_known_to(o, s))
            continue;
        peers = json_array();
        json_push(peers, peer_of(c, s));
        t = plan_add_task(p, 1, "meet", o->id, o->node);
        redis_task_arg(p, t, "peers", peers);
        task_what(p, t, "introduce %s to %s", s->id, o->id);
        t->why = why;
    }
}

/* Forgotten by the others, started as nobody, introduced, told whom to follow. */
static void add_rejoin(struct plan *p, const struct cluster *c, const struct service *s,
                       const struct diagnosis *d, int wave)
{
    const struct service *master = d->heir ? d->heir : cluster_master(c, s->shard);
    struct json *ids = json_array();
    struct task *t = redis_add_wipe(p, c, s, wave);

    redis_task_arg(p, t, "identity", json_boolean(true));
    if (json_str(s->raw, "nodeId") != NULL)
        json_push_str(ids, json_str(s->raw, "nodeId"));
    if (redis_live(s) != NULL)
        json_push_str(ids, json_str(redis_live(s), "nodeId"));
    t = plan_add_task(p, wave + 1, "forget", s->id, s->node);
    redis_task_arg(p, t, "ids", ids);
    task_what(p, t, "let all members forget the former identity of %s", s->id);
    t->why = "nobody can be that member any more";
    redis_task_arg(p, redis_add_start(p, c, s, wave + 2), "fresh", json_boolean(true));
    t = plan_add_task(p, wave + 3, "meet", s->id, s->node);
    redis_task_arg(p, t, "peers", peers_of(c, s));
    task_what(p, t, "introduce %s to the other services", s->id);
    t = plan_add_task(p, wave + 4, "replicate", s->id, s->node);
    redis_task_arg(p, t, "primary", json_string(master ? master->id : ""));
    task_what(p, t, "make %s a replica of %s", s->id, master ? master->id : "its primary");
    t = plan_add_task(p, wave + 5, "await", s->id, s->node);
    task_what(p, t, "wait until %s is in sync", s->id);
}

static void add_treatment(struct plan *p, const struct cluster *c, const struct service *s,
                          const struct diagnosis *d)
{
    const char *why = arena_printf(&p->arena, "%s: %s", d->evidence, d->why);
    int wave = add_heir(p, c, s, d);
    struct task *t;

    if (d->choice == CHOICE_NOTHING || d->choice == CHOICE_NONE)
        return;
    if (d->choice == CHOICE_MEET) {
        add_introductions(p, c, s, why);
        wave = 2;
    }
    if (d->choice == CHOICE_AWAIT || d->choice == CHOICE_MEET) {
        t = plan_add_task(p, wave, "await", s->id, s->node);
        task_what(p, t, "wait until %s is in sync", s->id);
        t->why = why;
        return;
    }
    if (d->choice != CHOICE_START) {
        t = redis_add_stop(p, c, s, wave++);
        redis_task_arg(p, t, "asPrimary", json_boolean(d->heir == NULL));
        redis_task_arg(p, t, "mayBeLast", json_boolean(d->heir == NULL));
        t->why = why;
    }
    if (d->choice == CHOICE_REJOIN) {
        add_rejoin(p, c, s, d, wave);
        return;
    }
    if (d->choice == CHOICE_REFILL)
        redis_add_wipe(p, c, s, wave++);
    redis_add_start(p, c, s, wave + (d->after_primary ? 1 : 0))->why = why;
}

int redis_expand_recover(const struct intent *in, const struct cluster *c, struct plan *p,
                         struct err *err)
{
    struct selection sel = {0};

    if (select_patients(in, c, &p->arena, &sel, err) != 0)
        return -1;
    for (size_t i = 0; i < sel.n; i++) {
        struct patient patient = {.c = c, .s = sel.v[i], .sel = &sel, .arena = &p->arena};
        struct diagnosis d = diagnose(&patient);
        add_treatment(p, c, sel.v[i], &d);
    }
    return 0;
}
