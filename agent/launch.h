/*
 * Everything that is needed to start one redis service, taken out of the agent so that no lock is
 * held meanwhile: its files, its ports, its configuration.
 */
#pragma once

#include "agent/agent.h"
#include "agent/problem.h"
#include "agent/redis_decode.h"

struct launch {
    struct arena arena; /* holds all strings */
    const char *id, *node, *host_ip;
    int port, bus_port;
    const char *storage_dir;
    const char *service_dir; /* <storagedir>/<id> */
    const char *env;         /* <storagedir>/<id>/env */
    const char *conf, *secret_conf, *nodes_conf, *record, *output;
    const char *log_dir, *log; /* log: <log_dir>/<id>_0.log */
    const char *program, *secret;
    const char *maxmemory; /* from the node's memory, when no parameter says; or NULL */
    struct json *params;
    char node_id[REDIS_ID_LEN + 1];
    bool never_started;
};

/* The lock is held, the node is registered. */
void launch_init(struct launch *l, const struct agent *a, const struct service *s);
void launch_release(struct launch *l);

/* The text of redis.conf. Pure; free() it. */
char *launch_conf_text(const struct launch *l);
/* Writes redis.conf and the file with the password, both 0600, and makes the log directory. */
int launch_write(const struct launch *l, struct problem *pb);

/* What a start must not do wrong, in this order: directory there, writable, lock free, ports free,
 * not an empty primary. On success *lock_fd holds the data directory's lock; the caller closes it.
 */
struct guard {
    bool allow_empty;
    int lock_fd;
    struct file_id storage, env;
};
int guard_check(const struct launch *l, struct guard *g, struct problem *pb);

/* What nodes.conf says about this node itself. */
struct identity {
    bool has_file, is_there; /* the file; a line about itself in it */
    char id[REDIS_ID_LEN + 1];
    bool is_primary;
    int slots;
};
void identity_read(const char *path, struct identity *who);

/* The name of the file in a data directory whose lock says that a process uses it. */
#define ENV_LOCK_FILE "kvagentd.lock"

/* The last bytes of a text file, "" when there is none; free() it. */
char *file_tail(const char *path, size_t bytes);
