#include "commands/service_index.h"

#include <stdlib.h>
#include <string.h>

const char *service_node(const struct service *s)
{
    return s->node;
}

const char *service_shard(const struct service *s)
{
    return s->shard;
}

/* Services stand in one array: where they stand is their order. */
static int compare(const char *key_a, const char *key_b, const struct service *a,
                   const struct service *b)
{
    int d = strcmp(key_a, key_b);

    return d != 0 ? d : a < b ? -1 : a > b;
}

static int by_node(const void *a_, const void *b_)
{
    const struct service *a = *(const struct service *const *)a_,
                         *b = *(const struct service *const *)b_;

    return compare(a->node, b->node, a, b);
}

static int by_shard(const void *a_, const void *b_)
{
    const struct service *a = *(const struct service *const *)a_,
                         *b = *(const struct service *const *)b_;

    return compare(a->shard, b->shard, a, b);
}

void service_index_init(struct service_index *ix, struct arena *a, const struct cluster *c,
                        const char *(*key)(const struct service *s))
{
    *ix = (struct service_index){.key = key};
    ix->v = arena_alloc(a, (c->n_services + 1) * sizeof *ix->v);
    for (size_t i = 0; i < c->n_services; i++) {
        if (key(&c->services[i]) != NULL)
            ix->v[ix->n++] = &c->services[i];
    }
    qsort(ix->v, ix->n, sizeof *ix->v, key == service_node ? by_node : by_shard);
}

size_t service_index_find(const struct service_index *ix, const char *key,
                          const struct service *const **first)
{
    size_t low = 0, high = ix->n, n = 0;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(ix->key(ix->v[middle]), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *first = (const struct service *const *)(ix->v + low);
    while (low + n < ix->n && strcmp(ix->key(ix->v[low + n]), key) == 0)
        n++;
    return n;
}
