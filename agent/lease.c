#include "agent/lease.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

enum { LEASE_FILE_MAX = 1 << 14 };

static bool stands(const struct lease *l)
{
    return l->owner[0] && time_mono_ms() < l->deadline_ms;
}

static struct json *to_json(const struct lease *l)
{
    struct json *j = json_object();

    json_set_str(j, "owner", l->owner);
    json_set_int(j, "plan", l->plan);
    json_set_int(j, "epoch", l->epoch);
    json_set_int(j, "sinceMs", l->since_ms);
    json_set_int(j, "expiresMs", l->expires_ms);
    return j;
}

struct json *lease_json(const struct agent *a)
{
    return stands(&a->lease) ? to_json(&a->lease) : json_null();
}

/* --- on disk --- */

static char *lease_path(const struct agent *a)
{
    return xasprintf("%s/lease.json", a->boot.root);
}

static struct json *before_json(const struct lease *l)
{
    struct json *list = json_array();

    for (size_t i = 0; i < LEASE_BEFORE_MAX && l->before[i].owner[0]; i++) {
        const struct lease_before *b = &l->before[i];
        struct json *j = json_object();

        json_set_str(j, "owner", b->owner);
        json_set_int(j, "plan", b->plan);
        json_set_int(j, "epoch", b->epoch);
        json_set_bool(j, "hasChanged", b->has_changed);
        json_push(list, j);
    }
    return list;
}

static int save(struct agent *a, const struct lease *l, struct problem *pb)
{
    char *path = lease_path(a), *text;
    struct json *j = to_json(l);
    struct err err = ERR_INIT;
    int rc;

    json_set_int(j, "ttlMs", l->ttl_ms);
    json_set_bool(j, "givenBack", l->is_given_back);
    json_set(j, "before", before_json(l));
    text = json_print(j);
    rc = fs_write_atomic(path, text, strlen(text), 0600, &err);
    free(text);
    json_free(j);
    free(path);
    return rc < 0 ? problem_from_err(pb, PROBLEM_INTERNAL, &err) : 0;
}

static void load_before(struct lease *l, const struct json *list)
{
    size_t n = 0;

    JSON_FOREACH (j, list) {
        const char *owner = json_str(j, "owner");
        struct lease_before *b = &l->before[n];

        if (n == LEASE_BEFORE_MAX)
            break;
        if (!owner || !owner[0] || strlen(owner) >= sizeof b->owner)
            continue;
        snprintf(b->owner, sizeof b->owner, "%s", owner);
        b->plan = json_int(j, "plan", 0);
        b->epoch = json_int(j, "epoch", 0);
        b->has_changed = json_bool(j, "hasChanged", false);
        n++;
    }
}

/* However the clock was set meanwhile, it stands for its whole time at most. */
void lease_load(struct agent *a)
{
    char *path = lease_path(a);
    struct err err = ERR_INIT;
    size_t len;
    char *text = access(path, F_OK) == 0 ? fs_read(path, LEASE_FILE_MAX, &len, &err) : NULL;
    struct json *j = text ? json_parse(text, len, &err) : NULL;
    const char *owner = json_str(j, "owner");
    struct lease *l = &a->lease;
    int64_t left;

    if (owner && strlen(owner) < sizeof l->owner) {
        snprintf(l->owner, sizeof l->owner, "%s", owner);
        l->plan = json_int(j, "plan", 0);
        l->epoch = json_int(j, "epoch", 0);
        l->ttl_ms = json_int(j, "ttlMs", 0);
        l->since_ms = json_int(j, "sinceMs", 0);
        l->expires_ms = json_int(j, "expiresMs", 0);
        left = l->expires_ms - time_now_ms();
        l->deadline_ms = time_mono_ms() + (left < l->ttl_ms ? left : l->ttl_ms);
        l->is_given_back = json_bool(j, "givenBack", false);
        load_before(l, json_get(j, "before"));
    } else if (text) {
        agent_log(a, LOG_WARNING, "lease", "%s cannot be read and is ignored", path);
    }
    json_free(j);
    free(text);
    free(path);
}

/* --- who has it --- */

static bool same_plan(const struct lease *l, const struct lease_claim *c)
{
    return strcmp(l->owner, c->owner) == 0 && l->plan == c->plan;
}

static int refuse(const struct lease *l, struct problem *pb)
{
    int64_t age = (time_now_ms() - l->since_ms) / 1000;
    int64_t left = (l->deadline_ms - time_mono_ms() + 999) / 1000;

    problem_set(pb, PROBLEM_LEASED,
                "plan %" PRId64 " of %s is changing the store: for %" PRId64
                " s, its lease runs out in %" PRId64 " s unless it is renewed",
                l->plan, l->owner, age > 0 ? age : 0, left > 0 ? left : 0);
    return problem_advise(pb, "wait until it has ended; when its machine is dead, the lease runs "
                              "out, or is taken over with a reason");
}

/* Waiting does not help: the number of this attempt has been used up. */
static int refuse_older(const struct lease *l, struct problem *pb)
{
    problem_set(pb, PROBLEM_SUPERSEDED, "attempt %" PRId64 " of plan %" PRId64 " follows this one",
                l->epoch, l->plan);
    return problem_advise(pb, "the journal does not know of that attempt: it was restored from an "
                              "older state, or another copy of it went on with the plan; "
                              "a new plan works");
}

/* --- who had it before --- */

static bool is_of(const struct lease_before *b, const struct lease_claim *c)
{
    return strcmp(b->owner, c->owner) == 0 && b->plan == c->plan && b->epoch == c->epoch;
}

/* Whoever is late comes back to another store than it left: that of the plan that came between. */
static int check_before(const struct lease *l, const struct lease_claim *c, struct problem *pb)
{
    size_t i = 0;

    while (i < LEASE_BEFORE_MAX && !is_of(&l->before[i], c))
        i++;
    if (i == LEASE_BEFORE_MAX || !l->before[i].has_changed)
        return 0;
    problem_set(pb, PROBLEM_LEASED,
                "plan %" PRId64 " of %s had the lease meanwhile, and the store has been changed",
                l->plan, l->owner);
    return problem_advise(pb, "see what it has done, then go on with a new attempt");
}

/* The one that takes it has had it before no longer. */
static void remember_before(struct lease *next, const struct lease *old,
                            const struct lease_claim *c)
{
    size_t n = 0;

    if (old->owner[0] && strcmp(old->owner, c->owner) != 0 && !old->is_given_back) {
        struct lease_before *b = &next->before[n++];

        memcpy(b->owner, old->owner, sizeof b->owner);
        b->plan = old->plan;
        b->epoch = old->epoch;
    }
    for (size_t i = 0; i < LEASE_BEFORE_MAX && n < LEASE_BEFORE_MAX; i++) {
        if (old->before[i].owner[0] && !is_of(&old->before[i], c))
            next->before[n++] = old->before[i];
    }
}

/* Those who had it before come back to another store. True when that is news. */
static bool mark_changed(struct lease *l)
{
    bool is_news = false;

    for (size_t i = 0; i < LEASE_BEFORE_MAX; i++) {
        if (l->before[i].owner[0] && !l->before[i].has_changed)
            l->before[i].has_changed = is_news = true;
    }
    return is_news;
}

static void tell_takeover(struct agent *a, const struct lease *old, const struct lease_claim *c)
{
    char text[512];
    struct event ev = {SEVERITY_WARNING, "lease-taken-over", "agent", text, NULL};

    snprintf(text, sizeof text,
             "plan %" PRId64 " of %s took the lease from plan %" PRId64 " of %s: %.200s", c->plan,
             c->owner, old->plan, old->owner, c->reason ? c->reason : "");
    agent_event(a, &ev);
}

int lease_take(struct agent *a, const struct lease_claim *c, struct problem *pb)
{
    struct lease next = {.plan = c->plan, .epoch = c->epoch, .ttl_ms = c->ttl_ms}, old;
    bool is_renewal, is_foreign;
    int rc = -1;

    snprintf(next.owner, sizeof next.owner, "%s", c->owner);
    pthread_mutex_lock(&a->lock);
    old = a->lease;
    is_foreign = stands(&old) && strcmp(old.owner, c->owner) != 0;
    if (is_foreign && !c->takeover) {
        refuse(&old, pb);
        goto out;
    }
    if (same_plan(&old, c) && c->epoch < old.epoch) {
        refuse_older(&old, pb);
        goto out;
    }
    if (!c->takeover && check_before(&old, c, pb) < 0)
        goto out;
    is_renewal = stands(&old) && same_plan(&old, c) && old.epoch == c->epoch;
    remember_before(&next, &old, c);
    if (c->changed)
        mark_changed(&next);
    next.since_ms = is_renewal ? old.since_ms : time_now_ms();
    next.expires_ms = time_now_ms() + c->ttl_ms;
    next.deadline_ms = time_mono_ms() + c->ttl_ms;
    rc = save(a, &next, pb);
    if (rc == 0) {
        a->lease = next;
        if (is_foreign)
            tell_takeover(a, &old, c);
    }
out:
    pthread_mutex_unlock(&a->lock);
    return rc;
}

/* The epoch stays known: what an earlier attempt still sends is refused. */
int lease_drop(struct agent *a, const struct lease_claim *c, struct problem *pb)
{
    struct lease next;
    int rc = 0;

    pthread_mutex_lock(&a->lock);
    next = a->lease;
    if (same_plan(&next, c) && next.epoch == c->epoch) {
        next.expires_ms = time_now_ms();
        next.deadline_ms = time_mono_ms();
        next.is_given_back = true;
        if (c->changed)
            mark_changed(&next);
        rc = save(a, &next, pb);
        if (rc == 0)
            a->lease = next;
    }
    pthread_mutex_unlock(&a->lock);
    return rc;
}

/* Splits "owner/plan/epoch"; the owner may hold no slash. */
static bool parse_header(const char *header, char owner[LEASE_OWNER_MAX], int64_t *plan,
                         int64_t *epoch)
{
    const char *slash = strchr(header, '/');
    char *end;

    if (!slash || slash == header || (size_t)(slash - header) >= LEASE_OWNER_MAX)
        return false;
    memcpy(owner, header, (size_t)(slash - header));
    owner[slash - header] = '\0';
    *plan = strtoll(slash + 1, &end, 10);
    if (end == slash + 1 || *end != '/')
        return false;
    slash = end;
    *epoch = strtoll(slash + 1, &end, 10);
    return end != slash + 1 && *end == '\0';
}

/* That it cannot be written keeps nobody from changing something: it is known as long as the agent
 * lives. */
static void note_change(struct agent *a)
{
    struct problem ignored;

    if (mark_changed(&a->lease))
        save(a, &a->lease, &ignored);
}

int lease_check(struct agent *a, const char *header, struct problem *pb)
{
    char owner[LEASE_OWNER_MAX] = "";
    struct lease_claim c = {.owner = owner};
    bool is_ours;
    int rc = 0;

    if (header && !parse_header(header, owner, &c.plan, &c.epoch))
        return problem_set(pb, PROBLEM_INVALID, "%s is not like owner/plan/epoch", LEASE_HEADER);
    pthread_mutex_lock(&a->lock);
    is_ours = header && same_plan(&a->lease, &c);
    if (is_ours && c.epoch < a->lease.epoch)
        rc = problem_set(pb, PROBLEM_LEASED,
                         "this request is of attempt %" PRId64 " of plan %" PRId64
                         ", attempt %" PRId64 " follows it",
                         c.epoch, c.plan, a->lease.epoch);
    else if (stands(&a->lease) && !is_ours)
        rc = refuse(&a->lease, pb);
    else if (header)
        rc = check_before(&a->lease, &c, pb);
    if (rc == 0 && is_ours)
        note_change(a);
    pthread_mutex_unlock(&a->lock);
    return rc;
}
