#include <stdlib.h>
#include <string.h>

#include "kvsh/buf.h"
#include "kvsh/cluster.h"
#include "kvsh/json.h"

struct entry {
    const char *subject, *text;
};

struct entries {
    struct arena arena;
    struct entry *v;
    size_t n;
};

static void add(struct entries *e, const char *subject, const char *text)
{
    *ARENA_PUSH(&e->arena, e->v, e->n) = (struct entry){subject, text};
}

static const char *or_empty(const char *s)
{
    return s != NULL ? s : "";
}

static void add_node(struct entries *e, const struct node *n)
{
    struct arena *a = &e->arena;

    add(e, n->id, status_name(n->status));
    add(e, arena_printf(a, "the place of %s", n->id),
        arena_printf(a, "%s in %s", or_empty(n->url), or_empty(n->zone)));
    for (size_t i = 0; i < n->n_dirs; i++)
        add(e, arena_printf(a, "%s of %s", n->dirs[i].path, n->id), or_empty(n->dirs[i].state));
}

/* "RUNNING,REPLICA"; what is out of the ordinary follows. */
static void add_service(struct entries *e, const struct service *s)
{
    struct arena *a = &e->arena;
    const char *text = status_name(s->status);

    if (s->role != ROLE_NONE)
        text = arena_printf(a, "%s,%s", text, role_name(s->role));
    if (s->role == ROLE_REPLICA && s->status == STATUS_RUNNING && !s->in_sync)
        text = arena_printf(a, "%s, not in sync", text);
    if (s->membership != NULL)
        text = arena_printf(a, "%s, %s", text, s->membership);
    if (s->duties != NULL)
        text = arena_printf(a, "%s, for %s", text, s->duties);
    if (s->stopped_by != 0)
        text = arena_printf(a, "%s, stopped by plan %lld", text, (long long)s->stopped_by);
    if (s->dir_state != NULL && strcmp(s->dir_state, "ok") != 0)
        text = arena_printf(a, "%s, its directory %s", text, s->dir_state);
    add(e, s->id, text);
    add(e, arena_printf(a, "the place of %s", s->id),
        arena_printf(a, "%s of %s", s->storage_dir != NULL ? s->storage_dir : "no directory",
                     or_empty(s->node)));
}

static void add_shard(struct entries *e, const struct shard *s)
{
    struct buf slots;

    buf_init(&slots, 0);
    buf_adds(&slots, s->n_slots > 0 ? "slots" : "without slots");
    for (size_t i = 0; i < s->n_slots; i++)
        buf_addf(&slots, "%s %d-%d", i > 0 ? "," : "", s->slots[i].first, s->slots[i].last);
    add(e, s->id, arena_strdup(&e->arena, slots.data));
    buf_release(&slots);
}

static int by_subject(const void *a_, const void *b_)
{
    const struct entry *a = a_, *b = b_;

    return strcmp(a->subject, b->subject);
}

struct json *cluster_summary(const struct cluster *c)
{
    struct entries e = {0};
    struct json *list = json_array(), *pair;

    add(&e, "the topology", arena_printf(&e.arena, "at sequence %lld", (long long)c->sequence));
    if (c->identity != NULL)
        add(&e, "the store", arena_printf(&e.arena, "%s", c->identity));
    for (size_t i = 0; i < c->n_zones; i++)
        add(&e, c->zones[i].id,
            arena_printf(&e.arena, "%s, copies %d", or_empty(c->zones[i].type), c->zones[i].rf));
    for (size_t i = 0; i < c->n_nodes; i++)
        add_node(&e, &c->nodes[i]);
    for (size_t i = 0; i < c->n_services; i++)
        add_service(&e, &c->services[i]);
    for (size_t i = 0; i < c->n_shards; i++)
        add_shard(&e, &c->shards[i]);
    qsort(e.v, e.n, sizeof *e.v, by_subject);
    for (size_t i = 0; i < e.n; i++) {
        pair = json_array();
        json_push_str(pair, e.v[i].subject);
        json_push_str(pair, e.v[i].text);
        json_push(list, pair);
    }
    arena_release(&e.arena);
    return list;
}

/* --- comparing --- */

struct change_list {
    struct buf *out;
    size_t max, n;
};

static void add_change(struct change_list *l, const char *subject, const char *was, const char *is)
{
    if (l->n++ >= l->max)
        return;
    if (l->n > 1)
        buf_adds(l->out, "; ");
    if (was == NULL)
        buf_addf(l->out, "%s is new: %s", subject, is);
    else if (is == NULL)
        buf_addf(l->out, "%s was %s and is no longer seen", subject, was);
    else
        buf_addf(l->out, "%s was %s and is %s", subject, was, is);
}

static const char *member(const struct json *pair, size_t i)
{
    return or_empty(json_value_str(json_at(pair, i)));
}

size_t summary_changes(const struct json *before, const struct json *now, size_t max,
                       struct buf *out)
{
    struct change_list l = {.out = out, .max = max};
    const struct json *a = json_first(before), *b = json_first(now);

    while (a != NULL || b != NULL) {
        int order = a == NULL ? 1 : b == NULL ? -1 : strcmp(member(a, 0), member(b, 0));

        if (order < 0)
            add_change(&l, member(a, 0), member(a, 1), NULL);
        else if (order > 0)
            add_change(&l, member(b, 0), NULL, member(b, 1));
        else if (strcmp(member(a, 1), member(b, 1)) != 0)
            add_change(&l, member(a, 0), member(a, 1), member(b, 1));
        a = order <= 0 ? json_next(a) : a;
        b = order >= 0 ? json_next(b) : b;
    }
    if (l.n > max)
        buf_addf(out, "; and %zu more", l.n - max);
    return l.n;
}
