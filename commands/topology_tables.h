/* The layout of a store, real or candidate, as show topology and topology view draw it. */
#pragma once

#include "kvsh/cluster.h"
#include "kvsh/err.h"
#include "kvsh/out.h"

extern const struct out_table *const topology_tables[];

/* What is drawn; all of it when nothing is chosen. */
struct topology_parts {
    bool zones, nodes, services, shards;
    bool directories; /* with each service's storage directory */
};

void out_topology(struct out *out, const struct cluster *c, const struct topology_parts *parts);

/* c's declared shards and services are replaced by those of the candidate (meta.h, topology). */
int topology_apply(struct cluster *c, const char *name, struct err *err);
