/*
 * The texts redis answers with, decoded. Pure functions: no I/O, any bytes in, nothing trusted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvsh/err.h"
#include "kvsh/mem.h"

enum { REDIS_SLOTS = 16384, REDIS_ID_LEN = 40 };

struct redis_replica {
    char host[64];
    int port;
    char state[24];
    int64_t offset, lag;
};

/* From INFO; what is not said is 0, "" or false. Lives in the arena. */
struct redis_info {
    char version[32];
    bool is_primary;
    bool link_up, sync_in_progress, loading, aof_ok;
    int loading_percent;
    int64_t offset; /* primary: master_repl_offset, replica: slave_repl_offset */
    char replid[REDIS_ID_LEN + 1];
    int64_t used_memory, max_memory, uptime_s, connected_replicas;
    int64_t link_down_s; /* of a replica, since when; -1: it is up, or never was */
    struct redis_replica *replicas;
    size_t n_replicas;
};

struct redis_slots {
    int first, last; /* inclusive */
};

/* A slot on its way: "[69->-ID]" leaves for ID, "[69-<-ID]" comes from ID. */
struct redis_open_slot {
    int slot;
    bool leaving;
    char peer[REDIS_ID_LEN + 1];
};

/* One line of CLUSTER NODES. */
struct redis_node {
    char id[REDIS_ID_LEN + 1];
    char host[64];
    int port, bus_port;
    const char *flags;                 /* "myself,master" */
    char primary_id[REDIS_ID_LEN + 1]; /* "" when it is none's replica */
    bool link_up;
    int64_t epoch;
    struct redis_slots *slots;
    size_t n_slots;
    struct redis_open_slot *open;
    size_t n_open;
};

struct redis_nodes {
    struct redis_node *nodes;
    size_t n;
};

void redis_info_decode(const char *text, struct arena *a, struct redis_info *info);

/* Value of "key:" in an INFO or CLUSTER INFO text, cut to size; false when it is not there. */
bool redis_field(const char *text, const char *key, char *out, size_t size);
int64_t redis_field_int(const char *text, const char *key, int64_t def);

/* How much of its data has been read at start, -1 when it does not say. */
int redis_loading_percent(const char *info);

/* CLUSTER NODES, or the file nodes.conf ("vars" lines are skipped). ERR_INPUT naming the line. */
int redis_nodes_decode(const char *text, struct arena *a, struct redis_nodes *out, struct err *err);

bool redis_node_has_flag(const struct redis_node *n, const char *flag);
/* The line marked "myself", or NULL. */
const struct redis_node *redis_nodes_myself(const struct redis_nodes *nodes);
const struct redis_node *redis_nodes_find(const struct redis_nodes *nodes, const char *id);
int redis_node_slot_count(const struct redis_node *n);
bool redis_id_is_valid(const char *id); /* 40 lower-case hexadecimal digits */

/*
 * Why redis-server ended at once: the telling sentence from what it wrote to stdout and to its log,
 * and what to do about it ("" when there is no particular advice). Pure; out is never empty.
 */
void redis_start_reason(const char *output, const char *log, char *out, size_t size,
                        const char **advice);
