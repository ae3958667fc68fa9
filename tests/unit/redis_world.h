/* A redis store for tests of what the engine thinks of it: documents and agents' answers, nothing
 * that runs. */
#pragma once

#include "engines/redis/redis.h"

enum { SHARDS = 3, COPIES = 3 };

/* Three shards, three storage nodes, a copy of each shard on each; rgN-rnN is the primary. */
struct world {
    struct json *docs;
    struct json *nodes[COPIES];
    bool is_silent[COPIES];
    struct cluster c;
};

struct json *world_json(const char *text);
void world_make(struct world *w);
/* Makes the cluster of it. */
void world_observe(struct world *w);
void world_release(struct world *w);

/*
 * Changes of the world, as text: "rg1-rn2 state stopped" sets a member of the service's
 * document, "rg1-rn2 .linkUp false" of its live part, "sn1 dir freeBytes 1" of the node's
 * directory, "policy settleSeconds 5", "zone sn3 zn2", "open rg1-rn1 7", "silent sn2" an agent that
 * does not answer, and "" nothing. Several are separated by ';'.
 */
void world_change(struct world *w, const char *changes);
