/*
 * struct cluster: one store at one moment, normalised for all engines: what is declared (the
 * journal's documents) beside what the nodes said. Everything it holds lives in its arena.
 *
 * All show, verify, ping, completion and safety work on this. A silent node is a fact in here, not
 * an error.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvsh/err.h"
#include "kvsh/mem.h"

struct json;

enum service_kind { KIND_RN, KIND_ADMIN, KIND_OTHER };

/* Oracle's service status values; text in the table status_name(). */
enum status {
    STATUS_UNREPORTED, /* not asked */
    STATUS_RUNNING,
    STATUS_STARTING,
    STATUS_STOPPING,
    STATUS_STOPPED,
    STATUS_ERROR,
    STATUS_UNREACHABLE,
    STATUS_UNDEPLOYED, /* declared, unknown to its node */
};

enum role { ROLE_NONE, ROLE_MASTER, ROLE_REPLICA, ROLE_UNKNOWN };

struct slot_range {
    int first, last; /* inclusive */
};

struct zone {
    const char *id, *name, *type; /* zn1, Zone1, PRIMARY */
    int rf;
};

struct storage_dir {
    const char *path;
    const char *state;  /* "ok", "missing", "replaced", "readonly", "full", "unreadable" */
    const char *detail; /* sentence, or NULL */
    int64_t free_bytes, total_bytes; /* -1: unknown */
};

struct node {
    const char *id, *zone; /* sn1, zn1 */
    const char *host;
    int port;
    const char *url;     /* of its REST interface */
    enum status status;  /* RUNNING, UNREACHABLE, ERROR (answers, but not as it should) */
    enum err_code cause; /* of UNREACHABLE/ERROR */
    const char *detail;  /* why, one sentence; NULL when well */
    const char *version;
    int capacity;
    int ha_first, ha_last;
    const char *reported_id,
        *reported_store; /* what the node itself says it is; NULL: nothing yet */
    struct storage_dir *dirs;
    size_t n_dirs;
    int64_t started_ms;
    int64_t metadata_version; /* of the admin copy it keeps; -1: none */
    /* Whose plan is changing the store, as the node knows; NULL: nobody's, or it does not know. */
    const char *lease_owner;
    int64_t lease_plan;
    const struct json *raw; /* the engine's own document of this node; lives in the cluster */
};

struct service {
    const char *id; /* rg1-rn1, admin1 */
    enum service_kind kind;
    const char *shard; /* rg1; NULL for admins and for services of stores without shards */
    const char *node;  /* sn1 */
    const char *storage_dir;
    int port, bus_port; /* port is the original's haPort */
    bool first_primary; /* declared: holds the shard's slots when the store is deployed */
    int64_t stopped_by; /* id of the plan that stopped it; 0: should run */
    /* observed */
    enum status status;
    enum role role;
    const char *membership; /* the store's own word for its place in the cluster, or NULL */
    const char *duties;     /* what it does there ("kv, index"), or NULL: what its kind says */
    const char *detail;     /* why it is not as it should be; NULL when well */
    const char *dir_state;  /* as storage_dir.state, NULL unknown */
    int64_t sequence;       /* -1: unknown */
    int64_t lag;            /* of a replica, in the unit of sequence; -1 unknown */
    bool in_sync;
    int64_t started_ms;
    int64_t used_bytes, max_bytes; /* memory; -1 unknown, max 0 none */
    const char *version;
    const struct json *raw; /* the engine's own document */
};

struct shard {
    const char *id;           /* rg1 */
    struct slot_range *slots; /* declared */
    size_t n_slots;
    int partitions;
};

struct pool {
    const char *name;
    const char **nodes;
    size_t n_nodes;
};

/* A body of data with settings of its own, in stores that have such. Numbers: -1 unknown. */
struct bucket {
    const char *name, *type;
    int replicas;                                /* further copies of each item */
    int64_t quota_bytes, used_bytes, disk_bytes; /* memory allowed and used; disk used */
    int64_t items, ops;                          /* ops: per second */
    const char *detail;                          /* worth knowing, or NULL */
};

/* What the store itself is doing, whoever began it; or one part of that. */
struct activity {
    const char *id;      /* by which the store knows it; NULL: none */
    const char *kind;    /* "rebalance" */
    const char *subject; /* bucket or node it is about; NULL: the store */
    const char *detail;  /* what moves, or how the last one ended; or NULL */
    int percent;         /* -1: unknown */
    bool running;
    bool excludes_plans; /* while it runs the store refuses other changes of its topology */
};

/* A setting the store keeps itself. */
struct store_setting {
    const char *name, *value;
    const char *meaning; /* with the values allowed here; one line */
    bool read_only;
};

struct cluster {
    struct arena arena;
    const char *store, *engine;
    const char *identity; /* by which a foreign store can be told from another; NULL: none */
    bool is_foreign;      /* zones, nodes and services are the store's own, not declared here */
    const char *title;    /* what a foreign store calls itself, or NULL */
    int64_t observed_ms;  /* 0: declared only, nobody was asked */
    int64_t sequence;     /* of the declared topology */
    int partitions;
    int64_t metadata_version;
    struct zone *zones;
    size_t n_zones;
    struct node *nodes;
    size_t n_nodes;
    struct service *services;
    size_t n_services;
    struct shard *shards;
    size_t n_shards;
    struct pool *pools;
    size_t n_pools;
    struct bucket *buckets;
    size_t n_buckets;
    struct activity *activities;
    size_t n_activities;
    struct store_setting *settings;
    size_t n_settings;
    struct json *doc; /* the declared documents as read (model/meta.h); owned */
    struct json *raw; /* the engine's observation; owned */
};

void cluster_release(struct cluster *c);

/* NULL when there is none, or no id is given. Ids may be given without their prefix where it is
 * unambiguous ("1" for sn1). */
struct zone *cluster_zone(const struct cluster *c, const char *id_or_name);
struct node *cluster_node(const struct cluster *c, const char *id);
struct service *cluster_service(const struct cluster *c, const char *id);
struct shard *cluster_shard(const struct cluster *c, const char *id);
struct pool *cluster_pool(const struct cluster *c, const char *name);

/* Copies of the shard that are RUNNING. */
size_t cluster_live_copies(const struct cluster *c, const char *shard);
/* The service that is MASTER of the shard and RUNNING, or NULL. */
struct service *cluster_master(const struct cluster *c, const char *shard);

/* The first node with a lease of another owner than this; NULL: there is none. */
const struct node *cluster_leased(const struct cluster *c, const char *owner);

const char *status_name(enum status s); /* "RUNNING" */
const char *role_name(enum role r);     /* "MASTER", "REPLICA"; "" for none */

/*
 * Fingerprint (64-bit FNV-1a, hexadecimal) of what matters for a plan: membership, roles, states,
 * ownership; not counters, not times. It detects change, it does not authenticate.
 */
void cluster_digest(const struct cluster *c, char out[17]);

/*
 * The same in words, for naming what changed: [[subject, text], ...] in order of subject, e.g.
 * ["rg1-rn2", "RUNNING,REPLICA"]. New object.
 */
struct json *cluster_summary(const struct cluster *c);
/*
 * Appends what differs between two summaries, "rg1-rn2 was RUNNING,REPLICA and is STOPPED; ...", at
 * most max of them and then how many more. Returns how many there are.
 */
struct buf;
size_t summary_changes(const struct json *before, const struct json *now, size_t max,
                       struct buf *out);
