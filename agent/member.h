/*
 * Orders to one redis service as a member of its cluster. Each is repeatable: what is the case
 * already is success.
 */
#pragma once

#include "agent/operations.h"
#include "agent/redis.h"
#include "agent/redis_decode.h"

/* How to reach a running service. */
struct member {
    char id[SERVICE_ID_MAX];
    char host_ip[ADDRESS_MAX];
    int port;
    char secret[SECRET_HEX + 1];
};

/* PROBLEM_UNKNOWN_SERVICE, PROBLEM_NOT_RUNNING. Takes the lock. */
int member_find(struct agent *a, const char *id, struct member *m, struct problem *pb);
struct redis *member_connect(const struct member *m);

/* Turns a failed exchange or an error reply into a problem. 0 when reply is a good one. */
int member_reply(const struct member *m, const struct redis *r, const redisReply *reply,
                 struct problem *pb);
/* CLUSTER NODES as this service sees it; lives in the arena. */
int member_nodes(const struct member *m, struct redis *r, struct arena *arena,
                 struct redis_nodes *nodes, struct problem *pb);

/* Each returns a sentence about the outcome, NULL with the problem filled. */
const char *member_meet(const struct member *m, const char *ip, int port, int bus_port,
                        struct problem *pb);
const char *member_set_epoch(const struct member *m, int64_t epoch, struct problem *pb);
/* wanted: REDIS_SLOTS flags. */
const char *member_add_slots(const struct member *m, const bool *wanted, struct problem *pb);
const char *member_replicate(const struct member *m, const char *node_id, struct problem *pb);
const char *member_forget(const struct member *m, const char *node_id, struct problem *pb);

/* Hash slots: slots.c. Each 0, or -1 with the problem filled. */
struct slot_order {
    int slot;
    const char *state;   /* "migrating", "importing", "stable", "node" */
    const char *node_id; /* "" where none is needed */
};
int member_set_slot(const struct member *m, const struct slot_order *o, struct problem *pb);
struct key_move {
    int slot;
    const char *ip;
    int port;
    bool keep; /* a key that is there already stays as it is there, and is an error */
    bool drop; /* with keep: it is removed here instead */
    int64_t moved, left, dropped; /* out */
};
/* One round. */
int member_move_keys(const struct member *m, struct key_move *k, struct problem *pb);
/* Adds {"slot","keys"} to list for each wanted slot with keys (wanted NULL: those it does not own).
 */
int member_count_keys(const struct member *m, const bool *wanted, struct json *list,
                      struct problem *pb);

/* The identity it has now is the one it is meant to have. Takes the lock. */
void member_accept_identity(struct agent *a, const struct member *m);

/* The operation "failover"; op->mode is "graceful", "force" or "takeover". */
int failover_run(struct operation *op, struct problem *pb);
/* True when it is primary already; PROBLEM when it cannot be asked. */
int member_is_primary(const struct member *m, bool *is_primary, struct problem *pb);
