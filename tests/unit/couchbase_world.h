/* A Couchbase cluster for tests of what the engine thinks of it: documents, nothing that runs. */
#pragma once

#include "engines/couchbase/couchbase.h"

struct world {
    struct cluster c;
};

struct json *world_json(const char *text);
/* n nodes, all well, cb1:8091 and so on; more[i]: the members in which node i + 1 differs, or NULL.
 * Documents may be changed before world_observe(). */
void world_make(struct world *w, int n, const char *const *more);
void world_observe(struct world *w);
/* The finding of that rule, or NULL. */
const struct finding *world_finding(const struct findings *f, const char *rule);
