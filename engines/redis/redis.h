/*
 * The redis engine: a store of redis-server processes in cluster mode, run through node agents.
 * Private to engines/redis; the rest of the program sees engine_redis only.
 *
 *   rest.c      one call to an agent, its problems made into errors
 *   observe.c   agents' answers made into a struct cluster
 *   verify.c    findings about a cluster as it is
 *   rules.c     safety rules about services that go down or take over
 *   check.c     findings about an intent
 *   expand.c    intents made into tasks: deployment, start, stop
 *   operate.c   the same: restart, failover, network-restore
 *   cleanup.c   the same: cleanup, verify-data
 *   recover.c   what is wrong with a service and what would help
 *   layout.c    shards, copies, directories and ports for a pool
 *   doing.h     perform and settled of each type of task
 *   explain.c   the same with the store's own tools
 *   data.c      put, get, delete, scan
 *
 * Mapping: storage node = agent, shard rgN = a primary and its replicas, replication node = one
 * process, partitions = 16384 hash slots, sequence number = replication offset.
 */
#pragma once

#include "kvsh/engine.h"
#include "kvsh/http.h"

#define REDIS_SLOTS 16384

extern const struct engine engine_redis;

struct connection {
    struct http *http;
    char **nodes; /* configured addresses, for fetch */
    size_t n_nodes;
    char *secret_file;
    int timeout_ms;
};

/* --- rest.c --- */

/*
 * One exchange with the agent at `url`. who names it in errors ("sn1 at 127.0.0.1:13230"). On
 * success *answer (may be NULL) is the body, the caller's. A problem answer becomes its detail and
 * advice: 401 ERR_DENIED, 422 ERR_INPUT, code leased ERR_LOCKED, others ERR_FAILED. *status (may be
 * NULL) tells the HTTP status of any complete answer, 0 otherwise.
 */
struct rest {
    const char *method;
    const char *url;
    const char *path;
    const char *who;
    const struct json *body; /* NULL: none */
    int timeout_ms;          /* 0: the connection's */
};
int rest_call(struct connection *cn, const struct rest *r, int *status, struct json **answer,
              struct err *err);
/* Makes an answer of http_perform(_all) into JSON; the same errors as rest_call(). */
int rest_decode(const struct http_response *resp, const struct rest *r, struct json **answer,
                struct err *err);

/* --- observe.c --- */

int redis_observe(struct connection *cn, const struct json *docs, struct cluster *c,
                  struct err *err);
/* Fills one node and its services from the agent's document; exposed for tests and fuzzing. Pure.
 */
void redis_decode_node(struct cluster *c, struct node *n, const struct json *doc);
/* Roles, lags and sync of all services, once every node is decoded. Pure. */
void redis_settle_roles(struct cluster *c);

/* The live part {"nodeId", "role", ...} of a service, or NULL when redis could not be asked. */
const struct json *redis_live(const struct service *s);
/* Does the service itself say that it owns hash slots? */
bool redis_owns_slots(const struct service *s);
/* The same of an agent's document of a service, declared or not. */
bool redis_doc_owns_slots(const struct json *raw);
/* Entry of node id `id` in the list of members that s reports, or NULL. */
const struct json *redis_member(const struct service *s, const char *id);
/* Does s, as far as it was asked, list o? A hand-over to whom it does not know is dropped. */
bool redis_is_known_to(const struct service *s, const struct service *o);
bool redis_member_has_flag(const struct json *member, const char *flag);
/* "sn1 at 127.0.0.1:13230", in the cluster's arena. */
const char *redis_where(struct cluster *c, const struct node *n);
/* Does every replication node that runs know an owner of each hash slot? Else *why says who not. */
bool redis_owners_known(struct cluster *c, const char **why);
/* All replication nodes agree on members and slots and serve; else *why says what is missing. */
bool redis_converged(struct cluster *c, const char **why);

/* --- lease.c --- */

int redis_lease(struct connection *cn, const struct json *docs, const struct lease *l,
                struct err *err);

/* --- pure parts --- */

void redis_verify(const struct cluster *c, struct findings *f);
void redis_check(const struct intent *in, const struct cluster *c, struct findings *f);
int redis_expand(const struct intent *in, const struct cluster *c, struct plan *p, struct err *err);
int redis_layout(const struct cluster *c, const char *pool, int partitions, struct json *candidate,
                 struct findings *f, struct err *err);

/*
 * The services an intent means: args "services", or "allRns" with an optional "zone". Pointers into
 * c, array in *arena. Unknown names: ERR_INPUT with near names.
 */
struct selection {
    struct service **v;
    size_t n;
    bool whole_store; /* all replication nodes, no zone named */
    int *heirs; /* per node, in the order of c->nodes: primaries it is already to take over; or NULL
                 */
};
int redis_select(const struct intent *in, const struct cluster *c, struct arena *arena,
                 struct selection *sel, struct err *err);
bool redis_selected(const struct selection *sel, const struct service *s);
/* The replica that should take over from primary s when the selection stops; NULL when there is
 * none in sync. */
struct service *redis_successor(const struct cluster *c, const struct service *s,
                                const struct selection *sel);

/* CRC16 (XMODEM) of the key or of its {hash tag}, modulo 16384: Redis Cluster specification, "Key
 * distribution model". */
int redis_slot(const char *key);

/* --- rules.c: each finding names the rule, the numbers looked at and the way out. Pure. --- */

/* Policy parameters (change-policy): how full one that takes over may be, and how long a process
 * counts as new. */
int64_t redis_headroom_percent(const struct cluster *c); /* headroomPercent, 80 */
int64_t redis_settle_seconds(const struct cluster *c);   /* settleSeconds, 1 */
void redis_verify_policy(const struct cluster *c, struct findings *f);
bool redis_is_policy_param(const char *name);
/* Parameters that reach a process; the agent checks the values. */
bool redis_is_process_param(const char *name);

/* "ok", "missing", ... of the service's storage directory, NULL unknown. */
const char *redis_dir_state(const struct cluster *c, const struct service *s);
bool redis_dir_is_bad(const struct cluster *c, const struct service *s);
/* The storage directory is well, and what the service has in it is not. */
bool redis_only_data_is_bad(const struct cluster *c, const struct service *s);
/* "the data of rg1-rn1 in /d1 is missing" then, else "its storage directory /d1 is missing". */
const char *redis_dir_trouble(const struct cluster *c, const struct service *s,
                              struct arena *arena);
/* One failure takes both: the same storage node, or the same zone of a store of several. */
bool redis_same_domain(const struct cluster *c, const struct service *a, const struct service *b);
/* Has the replica been filled, as of some moment? */
bool redis_is_whole(const struct service *s);
/* Copies of the shard that serve or are in step, without those selected (NULL: none). */
size_t redis_good_copies(const struct cluster *c, const char *shard, const struct selection *sel);
/* Would its shard have none left without it? */
bool redis_is_last_copy(const struct cluster *c, const struct service *s);

/* The agent that has to do it must answer: FATAL node-unreachable. True when it does. */
bool redis_rule_reachable(const struct cluster *c, const struct service *s, struct findings *f);
/* last-copy, no-replica, headroom of the successor, one-copy: running service s goes down with the
 * selection. */
void redis_rule_copies(const struct cluster *c, const struct service *s,
                       const struct selection *sel, struct findings *f);
/* majority: the primaries that no copy replaces. */
void redis_rule_majority(const struct cluster *c, const struct selection *sel, struct findings *f);
/* second-node: nothing else may be out; at_once: nor may the selection span several failure
 * domains. */
void redis_rule_second_node(const struct cluster *c, const struct selection *sel, bool at_once,
                            struct findings *f);
void redis_rule_settle(const struct cluster *c, const struct selection *sel, struct findings *f);
void redis_rule_headroom(const struct cluster *c, const struct service *to, struct findings *f);
/*
 * The primary that replica s follows lives, although nobody could ask it: the agent of its node is
 * silent, but the link is up and the members do not take it for failed. Its address, in the arena;
 * NULL: no.
 */
const char *redis_unseen_primary(const struct cluster *c, const struct service *s,
                                 struct arena *arena);
/* slot-moving: hash slots of the service's shard are half moved. */
void redis_rule_slots(const struct cluster *c, const struct service *s, struct findings *f);

/* --- operate.c, recover.c: expanders, and checks of what is theirs alone. Pure. --- */

int redis_expand_restart(const struct intent *in, const struct cluster *c, struct plan *p,
                         struct err *err);
int redis_expand_failover(const struct intent *in, const struct cluster *c, struct plan *p,
                          struct err *err);
int redis_expand_restore(const struct intent *in, const struct cluster *c, struct plan *p,
                         struct err *err);
void redis_check_restart(const struct intent *in, const struct cluster *c, struct findings *f);
void redis_check_failover(const struct intent *in, const struct cluster *c, struct findings *f);
void redis_check_restore(const struct intent *in, const struct cluster *c, struct findings *f);

int redis_expand_recover(const struct intent *in, const struct cluster *c, struct plan *p,
                         struct err *err);
int redis_expand_cleanup(const struct intent *in, const struct cluster *c, struct plan *p,
                         struct err *err);
int redis_expand_verify_data(const struct intent *in, const struct cluster *c, struct plan *p,
                             struct err *err);
void redis_check_recover(const struct intent *in, const struct cluster *c, struct findings *f);
/* What brings service s back, as a command that will not be refused, or what is to be done first.
 */
const char *redis_way_back(const struct cluster *c, const struct service *s, struct arena *arena);
/* Why a start of s together with the selection will not do, or NULL. */
const char *redis_start_obstacle(const struct cluster *c, const struct service *s,
                                 const struct selection *sel, struct arena *arena);
/* What brings a shard without a primary back. */
const char *redis_way_to_primary(const struct cluster *c, const char *shard, struct arena *arena);
void redis_check_cleanup(const struct intent *in, const struct cluster *c, struct findings *f);

/* A service of a node's agent that would be this store's, but that the store does not declare. What
 * else the agent controls on that host is none of the store's business. */
bool redis_is_stranger(const struct cluster *c, const struct json *raw);

/* Tasks that several plans are made of. */
struct task *redis_add_start(struct plan *p, const struct cluster *c, const struct service *s,
                             int wave);
struct task *redis_add_stop(struct plan *p, const struct cluster *c, const struct service *s,
                            int wave);
struct task *redis_add_handover(struct plan *p, const struct cluster *c, const struct service *s,
                                const struct service *to, int wave);
struct task *redis_add_takeover(struct plan *p, const struct cluster *c, const struct service *to,
                                int wave);
struct task *redis_add_wipe(struct plan *p, const struct cluster *c, const struct service *s,
                            int wave);
/* "sn1 (127.0.0.1:13230)" */
const char *redis_place(struct plan *p, const struct cluster *c, const struct service *s);
void redis_task_arg(struct plan *p, struct task *t, const char *name, struct json *value);

/* --- explain.c --- */

void redis_explain(const struct task *t, const struct cluster *c,
                   void (*line)(void *arg, const char *text), void *arg);

/* --- task_*.c, data.c --- */

int redis_check_fresh(const struct service *s, struct err *err);
/* Is the replica one that could take over, as things are now? */
int redis_check_whole(const struct service *s, struct err *err);
/* Data of service id that lies where it does not belong: may it go, as things are now? */
int redis_check_leftover(const struct cluster *c, const char *id, struct err *err);

int redis_perform(struct connection *cn, const struct task *t, struct perform *p, struct err *err);
enum settled redis_settled(struct connection *cn, const struct task *t, struct perform *p,
                           struct err *err);
int redis_put(struct connection *cn, const struct json *docs, struct record *record,
              struct err *err);
int redis_get(struct connection *cn, const struct json *docs, const char *key, struct value *value,
              struct err *err);
int redis_del(struct connection *cn, const struct json *docs, const char *key, bool *deleted,
              struct err *err);
int redis_scan(struct connection *cn, const struct json *docs,
               int (*each)(void *arg, const char *key, const char *value), void *arg,
               struct err *err);
