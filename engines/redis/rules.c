/* Safety rules: what must stay true while services go down or take over. Pure: looks at the
 * observation only. */
#include "engines/redis/redis.h"

#include <stdlib.h>
#include <string.h>

#include "kvsh/meta.h"

#define HEADROOM_PERCENT 80
#define SETTLE_SECONDS 1
/* A disk with room for so many more copies of the shard has head-room, whatever its percentage. */
#define DISK_COPIES 10

static const struct {
    const char *name;
    int64_t def, max;
} policies[] = {
    {"headroomPercent", HEADROOM_PERCENT, 100},
    {"settleSeconds", SETTLE_SECONDS, 3600},
};

/* false: the value makes no sense, and *n is the default. */
static bool policy(const struct cluster *c, size_t i, int64_t *n)
{
    const struct json *params = json_get(meta_doc(c->doc, "policy", "policy"), "params");
    const char *text = json_str(params, policies[i].name);
    char *end = NULL;

    *n = text ? strtoll(text, &end, 10) : json_int(params, policies[i].name, policies[i].def);
    if (*n >= 0 && *n <= policies[i].max && (text == NULL || (end != text && *end == '\0')))
        return true;
    *n = policies[i].def;
    return false;
}

int64_t redis_headroom_percent(const struct cluster *c)
{
    int64_t n;

    policy(c, 0, &n);
    return n;
}

int64_t redis_settle_seconds(const struct cluster *c)
{
    int64_t n;

    policy(c, 1, &n);
    return n;
}

void redis_verify_policy(const struct cluster *c, struct findings *f)
{
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        int64_t n;

        if (policy(c, i, &n))
            continue;
        findings_add(f, SEVERITY_VIOLATION, "policy", c->store,
                     "policy parameter %s is no number from 0 to %lld; %lld counts instead",
                     policies[i].name, (long long)policies[i].max, (long long)n);
        findings_remedy(f, "'change-policy -params %s=%lld'", policies[i].name, (long long)n);
    }
}

bool redis_is_policy_param(const char *name)
{
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        if (strcmp(policies[i].name, name) == 0)
            return true;
    }
    return false;
}

bool redis_is_process_param(const char *name)
{
    static const char *const known[] = {
        "maxmemory", "maxmemory-policy", "cluster-node-timeout", "repl-backlog-size", "appendfsync",
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i], name) == 0)
            return true;
    }
    return false;
}

static const struct storage_dir *find_dir(const struct cluster *c, const struct service *s)
{
    const struct node *n = cluster_node(c, s->node);

    for (size_t i = 0; n != NULL && s->storage_dir != NULL && i < n->n_dirs; i++) {
        if (strcmp(n->dirs[i].path, s->storage_dir) == 0)
            return &n->dirs[i];
    }
    return NULL;
}

const char *redis_dir_state(const struct cluster *c, const struct service *s)
{
    const struct storage_dir *d = find_dir(c, s);

    if (s->dir_state != NULL)
        return s->dir_state;
    return d != NULL ? d->state : NULL;
}

bool redis_dir_is_bad(const struct cluster *c, const struct service *s)
{
    const char *state = redis_dir_state(c, s);

    return state != NULL && strcmp(state, "ok") != 0;
}

bool redis_only_data_is_bad(const struct cluster *c, const struct service *s)
{
    const struct storage_dir *d = find_dir(c, s);

    return redis_dir_is_bad(c, s) && d != NULL && d->state != NULL && strcmp(d->state, "ok") == 0;
}

const char *redis_dir_trouble(const struct cluster *c, const struct service *s, struct arena *arena)
{
    if (redis_only_data_is_bad(c, s))
        return arena_printf(arena, "the data of %s in %s is %s", s->id, s->storage_dir,
                            redis_dir_state(c, s));
    return arena_printf(arena, "its storage directory %s is %s", s->storage_dir,
                        redis_dir_state(c, s));
}

static const struct zone *zone_of(const struct cluster *c, const struct service *s)
{
    const struct node *n = cluster_node(c, s->node);

    return n != NULL && n->zone != NULL ? cluster_zone(c, n->zone) : NULL;
}

bool redis_same_domain(const struct cluster *c, const struct service *a, const struct service *b)
{
    if (strcmp(a->node, b->node) == 0)
        return true;
    return c->n_zones > 1 && zone_of(c, a) != NULL && zone_of(c, a) == zone_of(c, b);
}

static bool is_of(const struct service *s, const char *shard)
{
    return s->shard != NULL && strcmp(s->shard, shard) == 0;
}

/* One that has had its link in this life of the process has everything as of then; without writes
 * that may be at 0. */
bool redis_is_whole(const struct service *s)
{
    const struct json *live = redis_live(s);

    if (live == NULL || json_bool(live, "syncInProgress", false))
        return false;
    return s->sequence > 0 || json_bool(live, "linkUp", false) ||
           json_int(live, "linkDownS", -1) >= 0;
}

static bool is_at_rest(const struct service *s)
{
    return s->status == STATUS_RUNNING && !json_bool(redis_live(s), "syncInProgress", false);
}

/* A copy that is being filled is none yet, and one that never was is none. */
static bool is_good_copy(const struct service *s)
{
    return is_at_rest(s) && (s->role != ROLE_REPLICA || redis_is_whole(s));
}

size_t redis_good_copies(const struct cluster *c, const char *shard, const struct selection *sel)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        n += is_of(s, shard) && is_good_copy(s) && (sel == NULL || !redis_selected(sel, s));
    }
    return n;
}

bool redis_is_last_copy(const struct cluster *c, const struct service *s)
{
    struct service *self = cluster_service(c, s->id);
    const struct selection alone = {.v = &self, .n = 1};

    return s->shard != NULL && is_at_rest(s) && redis_good_copies(c, s->shard, &alone) == 0;
}

static size_t all_copies(const struct cluster *c, const char *shard)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n_services; i++)
        n += is_of(&c->services[i], shard);
    return n;
}

bool redis_rule_reachable(const struct cluster *c, const struct service *s, struct findings *f)
{
    const struct node *n = cluster_node(c, s->node);

    if (n != NULL && n->status == STATUS_RUNNING)
        return true;
    findings_add(f, SEVERITY_FATAL, "node-unreachable", s->id, "nothing can be done with %s: %s",
                 s->id, n != NULL && n->detail != NULL ? n->detail : "its node is not known");
    findings_remedy(f, "the agent of %s does it; start it first", s->node);
    return false;
}

/* Told once for each shard: of the first of its services in the selection that runs. */
static void rule_last_copy(const struct cluster *c, const struct service *s,
                           const struct selection *sel, struct findings *f)
{
    size_t all = all_copies(c, s->shard), with = 0;

    for (size_t i = 0; i < sel->n; i++) {
        const struct service *o = sel->v[i];
        if (!is_of(o, s->shard) || o->status != STATUS_RUNNING)
            continue;
        if (with++ == 0 && o != s)
            return;
    }
    findings_add(f, SEVERITY_CONFIRM, "last-copy", s->id,
                 "without %s%s shard %s has no live copy: 0 of %zu left, its hash slots are "
                 "served by nobody",
                 s->id, with > 1 ? " and the others named" : "", s->shard, all);
    if (with > 1)
        findings_remedy(f, "leave one of %s running", s->shard);
    else
        findings_remedy(
            f, "bring another service of %s back first: 'verify configuration' says how", s->shard);
}

void redis_rule_copies(const struct cluster *c, const struct service *s,
                       const struct selection *sel, struct findings *f)
{
    size_t left = redis_good_copies(c, s->shard, sel), all = all_copies(c, s->shard);
    const struct service *heir;

    if (left == 0) {
        rule_last_copy(c, s, sel, f);
        return;
    }
    heir = s->role == ROLE_MASTER ? redis_successor(c, s, sel) : NULL;
    if (s->role == ROLE_MASTER && heir == NULL) {
        findings_add(
            f, SEVERITY_BLOCK, "no-replica", s->id,
            "%s is the primary of %s, and of the %zu other live copies none is in sync and "
            "could take over",
            s->id, s->shard, left);
        findings_remedy(f, "wait until a replica of %s is in sync: 'verify configuration'",
                        s->shard);
        return;
    }
    if (heir != NULL)
        redis_rule_headroom(c, heir, f);
    if (left == 1) {
        findings_add(f, SEVERITY_NOTE, "one-copy", s->shard,
                     "shard %s has one live copy of %zu while %s is down", s->shard, all, s->id);
    }
}

void redis_rule_majority(const struct cluster *c, const struct selection *sel, struct findings *f)
{
    size_t left = 0, lost = 0;

    for (size_t i = 0; i < c->n_shards; i++) {
        const struct service *m = cluster_master(c, c->shards[i].id);
        if (m == NULL)
            continue;
        if (redis_selected(sel, m) && redis_successor(c, m, sel) == NULL)
            lost++;
        else
            left++;
    }
    if (lost == 0 || left * 2 > c->n_shards)
        return;
    findings_add(f, SEVERITY_BLOCK, "majority", c->store,
                 "%zu of %zu primaries would be left: no majority, so none that fails later could "
                 "be replaced by itself",
                 left, c->n_shards);
    findings_remedy(f, "stop fewer at once, or bring a replica in sync first");
}

/* --- second-node --- */

static const struct service *first_out(const struct cluster *c, const struct selection *sel,
                                       const struct service *going)
{
    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *o = &c->services[i];
        if (o->kind == KIND_RN && o->status != STATUS_RUNNING && !redis_selected(sel, o) &&
            !redis_same_domain(c, o, going))
            return o;
    }
    return NULL;
}

static const char *why_out(struct findings *f, const struct service *o)
{
    if (o->stopped_by != 0)
        return arena_printf(&f->arena, "stopped by plan %lld", (long long)o->stopped_by);
    return status_name(o->status);
}

static const char *domain_word(const struct cluster *c)
{
    return c->n_zones > 1 ? "zone" : "storage node";
}

void redis_rule_second_node(const struct cluster *c, const struct selection *sel, bool at_once,
                            struct findings *f)
{
    const struct service *going = NULL;

    for (size_t i = 0; i < sel->n; i++) {
        const struct service *s = sel->v[i], *out;
        if (s->status != STATUS_RUNNING)
            continue;
        out = first_out(c, sel, s);
        if (out != NULL) {
            findings_add(f, SEVERITY_BLOCK, "second-node", s->id,
                         "%s on %s is out already (%s): with %s on %s a second %s would be",
                         out->id, out->node, why_out(f, out), s->id, s->node, domain_word(c));
            if (out->status == STATUS_UNREACHABLE)
                findings_remedy(f, "start the agent of %s first", out->node);
            else
                findings_remedy(f, "bring it back first: 'plan recover -service %s'", out->id);
            return;
        }
        if (at_once && going != NULL && !redis_same_domain(c, going, s)) {
            findings_add(f, SEVERITY_BLOCK, "second-node", s->id,
                         "%s on %s and %s on %s would be out together: two %ss at once", going->id,
                         going->node, s->id, s->node, domain_word(c));
            findings_remedy(f, "one %s at a time; 'plan restart-service' does that by itself",
                            domain_word(c));
            return;
        }
        going = going ? going : s;
    }
}

void redis_rule_settle(const struct cluster *c, const struct selection *sel, struct findings *f)
{
    int64_t wanted = redis_settle_seconds(c);

    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        int64_t uptime = json_int(redis_live(s), "uptimeS", -1);

        if (s->kind != KIND_RN || s->status != STATUS_RUNNING || redis_selected(sel, s) ||
            uptime < 0 || uptime >= wanted)
            continue;
        findings_add(f, SEVERITY_BLOCK, "settle", s->id,
                     "%s on %s started %lld s ago; the store is given %lld s to settle after a "
                     "change",
                     s->id, s->node, (long long)uptime, (long long)wanted);
        findings_remedy(f, "repeat in %lld s (policy parameter settleSeconds)",
                        (long long)(wanted - uptime));
        return;
    }
}

/* --- headroom --- */

static void memory_headroom(const struct cluster *c, const struct service *to, struct findings *f)
{
    int64_t limit = redis_headroom_percent(c), percent;

    if (to->max_bytes <= 0 || to->used_bytes < 0)
        return;
    percent = to->used_bytes / (to->max_bytes / 100 > 0 ? to->max_bytes / 100 : 1);
    if (percent <= limit)
        return;
    findings_add(f, SEVERITY_BLOCK, "headroom", to->id,
                 "%s on %s would take over with %lld %% of its memory in use (%lld of %lld bytes), "
                 "more than %lld %%",
                 to->id, to->node, (long long)percent, (long long)to->used_bytes,
                 (long long)to->max_bytes, (long long)limit);
    findings_remedy(f, "raise maxmemory or remove data (policy parameter headroomPercent)");
}

static void disk_headroom(const struct cluster *c, const struct service *to, struct findings *f)
{
    const struct storage_dir *d = find_dir(c, to);
    int64_t limit = redis_headroom_percent(c), copy = to->used_bytes > 0 ? to->used_bytes : 0;
    int64_t percent;

    if (d == NULL || d->total_bytes <= 0 || d->free_bytes < 0)
        return;
    percent = 100 - d->free_bytes / (d->total_bytes / 100 > 0 ? d->total_bytes / 100 : 1);
    if (percent <= limit || d->free_bytes / DISK_COPIES >= copy)
        return;
    findings_add(f, SEVERITY_BLOCK, "headroom", to->id,
                 "%s on %s would take over with %lld %% of its disk in use, more than %lld %%; %s "
                 "has %lld bytes free, and the shard needs %lld",
                 to->id, to->node, (long long)percent, (long long)limit, to->storage_dir,
                 (long long)d->free_bytes, (long long)copy);
    findings_remedy(f, "make room in %s on %s (policy parameter headroomPercent)", to->storage_dir,
                    to->node);
}

void redis_rule_headroom(const struct cluster *c, const struct service *to, struct findings *f)
{
    if (redis_dir_is_bad(c, to)) {
        findings_add(f, SEVERITY_BLOCK, "headroom", to->id, "%s on %s would take over, but %s",
                     to->id, to->node, redis_dir_trouble(c, to, &f->arena));
        findings_remedy(f, "replace it first: 'plan recover -service %s' says how", to->id);
        return;
    }
    memory_headroom(c, to, f);
    disk_headroom(c, to, f);
}

void redis_rule_slots(const struct cluster *c, const struct service *s, struct findings *f)
{
    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *o = &c->services[i];
        if (o->shard == NULL || s->shard == NULL || !is_of(o, s->shard))
            continue;
        JSON_FOREACH (m, json_get(redis_live(o), "nodes")) {
            const struct json *open = json_first(json_get(m, "open"));
            if (open == NULL)
                continue;
            findings_add(f, SEVERITY_BLOCK, "slot-moving", o->id,
                         "hash slot %lld on %s is half moved: its keys would be lost to view if "
                         "the primary of %s changed",
                         (long long)json_int(open, "slot", -1), o->id, s->shard);
            findings_remedy(f, "let the move end, or 'plan cleanup -wait' ends it");
            return;
        }
    }
}

const char *redis_unseen_primary(const struct cluster *c, const struct service *s,
                                 struct arena *arena)
{
    const struct json *live = redis_live(s);
    const char *id = json_str(live, "primaryId");
    const struct json *m = redis_member(s, id);

    if (m == NULL || !json_bool(live, "linkUp", false) || redis_member_has_flag(m, "fail") ||
        redis_member_has_flag(m, "fail?"))
        return NULL;
    /* Whoever can be asked is known by the answer, or by having none. */
    for (size_t i = 0; i < c->n_services; i++) {
        const char *known = json_str(c->services[i].raw, "nodeId");
        if (known != NULL && strcmp(known, id) == 0)
            return NULL;
    }
    return arena_printf(arena, "%s:%lld", json_str(m, "host") ? json_str(m, "host") : "",
                        (long long)json_int(m, "port", 0));
}
