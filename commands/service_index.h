/* The services of a cluster by their node or shard, so that drawing 10,000 nodes stays linear. */
#pragma once

#include "kvsh/cluster.h"

struct service_index {
    const struct service *
        *v; /* by key, within one in the cluster's order; those without a key are left out */
    size_t n;
    const char *(*key)(const struct service *s);
};

const char *service_node(const struct service *s);
const char *service_shard(const struct service *s);

/* Borrows from c; lives in the arena. key: service_node or service_shard. */
void service_index_init(struct service_index *ix, struct arena *a, const struct cluster *c,
                        const char *(*key)(const struct service *s));
/* How many services have that key; *first is where they stand. */
size_t service_index_find(const struct service_index *ix, const char *key,
                          const struct service *const **first);
