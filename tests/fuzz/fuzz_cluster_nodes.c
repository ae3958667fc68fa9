/* Whatever stands in CLUSTER NODES or nodes.conf: it is a table that keeps its promises, or an
 * error. */
#include <string.h>

#include "agent/redis_decode.h"
#include "fuzz.h"
#include "kvsh/mem.h"

static void check_node(const struct redis_node *n)
{
    FUZZ_CHECK(redis_id_is_valid(n->id));
    FUZZ_CHECK(!n->primary_id[0] || redis_id_is_valid(n->primary_id));
    FUZZ_CHECK(n->port >= 0 && n->port <= 65535 && n->bus_port >= 0 && n->bus_port <= 65535);
    FUZZ_CHECK(strlen(n->host) < sizeof n->host && n->flags && n->epoch >= 0);
    for (size_t i = 0; i < n->n_slots; i++)
        FUZZ_CHECK(n->slots[i].first >= 0 && n->slots[i].first <= n->slots[i].last &&
                   n->slots[i].last < REDIS_SLOTS);
    for (size_t i = 0; i < n->n_open; i++)
        FUZZ_CHECK(n->open[i].slot >= 0 && n->open[i].slot < REDIS_SLOTS &&
                   redis_id_is_valid(n->open[i].peer));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = xstrndup((const char *)data, size);
    struct arena a = {NULL};
    struct redis_nodes nodes;
    struct err err = ERR_INIT;

    if (redis_nodes_decode(text, &a, &nodes, &err) < 0) {
        FUZZ_CHECK(err.code == ERR_INPUT && err.text[0]);
    } else {
        for (size_t i = 0; i < nodes.n; i++) {
            check_node(&nodes.nodes[i]);
            FUZZ_CHECK(redis_nodes_find(&nodes, nodes.nodes[i].id));
        }
        FUZZ_CHECK(!redis_nodes_myself(&nodes) ||
                   redis_node_has_flag(redis_nodes_myself(&nodes), "myself"));
    }
    arena_release(&a);
    free(text);
    return 0;
}
