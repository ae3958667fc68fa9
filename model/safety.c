#include "kvsh/safety.h"

#include <stdlib.h>
#include <string.h>

#include "kvsh/json.h"

void safety_ask(const struct safety *s, const char *const *services, size_t n, struct findings *f)
{
    struct json *args = json_object(), *list = json_array();
    const struct intent in = {.verb = s->verb, .args = args};

    for (size_t i = 0; i < n; i++)
        json_push_str(list, services[i]);
    json_set(args, "services", list);
    if (s->verb == VERB_FAILOVER)
        json_set_str(args, "mode", "graceful");
    s->check(&in, s->cluster, f);
    json_free(args);
}

static bool is_safe(const struct safety *s, const char *const *services, size_t n)
{
    struct findings f = {0};
    bool safe;

    safety_ask(s, services, n, &f);
    safe = findings_worst(&f) < SEVERITY_BLOCK;
    findings_release(&f);
    return safe;
}

size_t safety_together(const struct safety *s, const char *const *candidates, size_t n, size_t max,
                       bool *chosen)
{
    const char **taken = xcalloc(n + 1, sizeof *taken);
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        chosen[i] = false;
        if (count >= max)
            continue;
        taken[count] = candidates[i];
        chosen[i] = is_safe(s, taken, count + 1);
        count += chosen[i];
    }
    free(taken);
    return count;
}

/* --- candidates --- */

struct candidate {
    const char *id;
    int rank;
    size_t place; /* in the cluster: keeps the order among equals */
};

static bool same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static const char *zone_of(const struct cluster *c, const struct service *s)
{
    const struct node *n = cluster_node(c, s->node);

    return n != NULL ? n->zone : NULL;
}

static bool is_given(const struct service *s, const char *const *given, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(s->id, given[i]) == 0)
            return true;
    }
    return false;
}

static int compare(const void *a_, const void *b_)
{
    const struct candidate *a = a_, *b = b_;

    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

const char **safety_candidates(const struct cluster *c, const char *const *given, size_t n_given,
                               struct arena *a, size_t *n)
{
    const struct service *first = n_given > 0 ? cluster_service(c, given[0]) : NULL;
    const char *zone = first != NULL ? zone_of(c, first) : NULL;
    struct candidate *all = NULL;
    const char **ids;
    size_t count = 0;

    for (size_t i = 0; i < c->n_services; i++) {
        const struct service *s = &c->services[i];
        int rank = first == NULL ? 0 : same(s->node, first->node) ? 0 : 1;

        if (s->status != STATUS_RUNNING || is_given(s, given, n_given) ||
            (first != NULL ? s->kind != first->kind : s->kind == KIND_ADMIN))
            continue;
        if (rank > 0 && zone != NULL && !same(zone_of(c, s), zone))
            rank = 2;
        *ARENA_PUSH(a, all, count) =
            (struct candidate){s->id, rank * 2 + (s->role == ROLE_MASTER), i};
    }
    if (count > 0)
        qsort(all, count, sizeof *all, compare);
    ids = arena_alloc(a, (count + 1) * sizeof *ids);
    for (size_t i = 0; i < count; i++)
        ids[i] = all[i].id;
    *n = count;
    return ids;
}
