/*
 * The couchbase engine: a Couchbase Server cluster through its cluster manager's REST API. Private
 * to engines/couchbase; the rest of the program sees engine_couchbase only.
 *
 *   rest.c       one exchange with one address, or with the first that answers
 *   answer.c     refusals of all shapes made into sentences         pure, foreign bytes
 *   decode.c     documents made into a struct cluster               pure, foreign bytes
 *   outcome.c    how an operation ended, from tasks, events, reports pure, foreign bytes
 *   observe.c    asks, and chooses whom to believe
 *   address.c    the store's addresses, and whose they are               pure
 *   figures.c    capacity, copies, quorum                           pure
 *   select.c     names made into members                            pure
 *   verify.c check.c expand.c explain.c                             pure
 *   operation.c  rebalances and failovers: begun once, followed by identity
 *   process.c    the agents beside the nodes: whom to ask, start, stop; process_check.c what speaks
 *                against it (pure)
 *   task.c       perform and settled of each type of task
 *   events.c policy.c
 *
 * Mapping: zone = server group, node = service = member of the cluster; its id is its configured
 * host:port. The whole observation is kept in cluster.raw, an object of the documents as they came:
 *
 *   pools  default  nodeStatuses  tasks  terse  buckets  groups  autoFailover  pendingRetry
 *
 * and secure: whether it came over https; addresses: see address.c; agents: see process.c.
 */
#pragma once

#include "kvsh/buf.h"
#include "kvsh/engine.h"
#include "kvsh/http.h"

#include "engines/agents.h"

#define CB_THRESHOLD 80 /* percent of capacity that should not be exceeded */

extern const struct engine engine_couchbase;

struct connection {
    struct http *http;
    char *store;
    char **urls;
    size_t n_urls;
    char *base;            /* the address that answered last; NULL: none yet */
    char *user, *password; /* for nodes that are to join; NULL: log in by certificate or token */
    bool has_cert;
    bool was_denied; /* the last question was refused to this user, by whom does not matter */
    int timeout_ms;
    struct agents *agents;
};

/* --- rest.c --- */

struct cb_request {
    const char *method;
    const char *base;         /* scheme://host:port */
    const char *path;         /* with query */
    const char *form;         /* body; NULL: none */
    const char *content_type; /* of it; NULL: application/x-www-form-urlencoded */
    int timeout_ms;           /* 0: the connection's */
};

/*
 * One exchange. 0 and the answer (release it) when a complete one came, whatever its status.
 * Otherwise -1 as http_perform(), with the address before the text; a question without answer is
 * ERR_UNREACHABLE, after it was asked once more where the first answer was dropped.
 */
int cb_exchange(struct connection *cn, const struct cb_request *r, struct http_response *resp,
                struct err *err);
/* Was this answer to a question cut, or empty? */
bool cb_is_dropped(const struct http_response *resp);
/* A question to one address: *doc is the caller's. Errors as cb_refused(); what is no JSON is
 * ERR_UNREACHABLE. */
int cb_get(struct connection *cn, const char *base, const char *path, struct json **doc,
           struct err *err);
/* "host:port" of an address; within it. */
const char *cb_host(const char *url);

/* Form bodies: name and value percent-encoded. */
void cb_form(struct buf *b, const char *name, const char *value);

/* --- answer.c --- */

/* The sentence in the body of a refusal, whatever its shape; "" when there is none. Control
 * characters become blanks. */
void cb_sentence(const char *body, size_t len, char *out, size_t size);
/*
 * Fills err from an answer of status >= 300, with advice where the sentence alone leaves one
 * helpless: 401, 403 ERR_DENIED; 500 and more of a change whose effect is open ERR_IN_DOUBT, of a
 * question ERR_UNREACHABLE; else ERR_FAILED.
 */
int cb_refused(const struct http_response *resp, const struct cb_request *r, struct err *err);

/* --- decode.c --- */

/* Fills c from c->raw: everything but store, engine and the time. */
void cb_decode(struct cluster *c);
/* A document of the observation, or NULL. */
const struct json *cb_part(const struct cluster *c, const char *name);
/* Entry of the task list that stands for rebalances and failovers, or NULL. */
const struct json *cb_rebalance_task(const struct json *tasks);
/* Type of an entry that stands for data of a bucket that the cluster does not have: nothing runs.
 */
#define CB_ORPHAN "orphanBucket"
/* Types of entries that exclude rebalances and failovers without being one: stopRebalance does not
 * end them. */
#define CB_NO_OPERATION           \
    {                             \
        "recovery", "hibernation" \
    }
/* Does that entry say that something runs? *unsure: the answering node could not find out. */
bool cb_is_running(const struct json *task, bool *unsure);
/* "rebalance", "graceful failover", ...: the words for a subtype. */
const char *cb_operation_name(const char *subtype);
/* 7.6 is 706; 0 unknown. */
int cb_version(const struct cluster *c);
bool cb_is_enterprise(const struct cluster *c);
const char *cb_otp(const struct service *s);
bool cb_has(const struct service *s, const char *duty);
bool cb_is_active(const struct service *s);
bool cb_is_failed(const struct service *s); /* failed over, not yet recovered */
bool cb_is_added(const struct service *s);
bool cb_is_healthy(const struct service *s);
const char *cb_recovery(const struct service *s); /* "none", "full", "delta" */
struct service *cb_by_otp(const struct cluster *c, const char *otp);
/* Milliseconds of "2026-01-02T03:04:05.678Z" (or with an offset); 0: no such time. */
int64_t cb_time(const char *text);

/* --- outcome.c --- */

enum cb_outcome { CB_UNKNOWN, CB_RUNNING, CB_SUCCEEDED, CB_FAILED, CB_STOPPED };

#define CB_MOVES 17 /* 16 hexadecimal digits */

/* What was noted about one operation before and after it was asked for. */
struct cb_memo {
    char id[80];          /* rebalanceId, operation_id; "" unknown */
    char before[80];      /* statusId when it was asked for */
    char since[40];       /* time of the newest event then, on the store's clock */
    char last[80];        /* uuid of that event */
    char moves[CB_MOVES]; /* digest of the nodes that it keeps, or fails over */
    bool blind;           /* the events could not be read then */
};
void cb_memo_read(struct cb_memo *m, const char *text); /* NULL or nonsense: empty */
char *cb_memo_write(const struct cb_memo *m);

/* How the operation m->id ended, from a list of events; *why is the completion message, if any,
 * within events. */
enum cb_outcome cb_outcome_of_events(const struct json *events, const char *id, const char **why);
/* The same from one report. */
enum cb_outcome cb_outcome_of_report(const struct json *report, const char *id, const char **why);
/*
 * The one operation of this kind that was begun after m was written, from events; NULL when there
 * is none or more than one. kind: "rebalance", "gracefulFailover", "failover".
 */
const char *cb_begun_since(const struct json *events, const struct cb_memo *m, const char *kind);
/* Digest of a list of otpNodes, in whichever order. */
void cb_moves_of(const struct json *names, char out[CB_MOVES]);
/* Does an operation of this kind, by the nodes that come with it in tasks and events, move
 * something else than the one noted? False where the store does not tell. */
bool cb_moves_differ(const struct json *info, const struct cb_memo *m, const char *kind);
/* Notes the newest event; NULL: they could not be read. */
void cb_memo_mark(struct cb_memo *m, const struct json *events);

/* --- observe.c --- */

int cb_observe(struct connection *cn, const struct json *docs, struct cluster *c, struct err *err);
int cb_events(struct connection *cn, const struct json *docs, struct json **cursors,
              void (*add)(void *arg, const struct node_event *ev), void *arg, struct err *err);
/* One page of /events or /logs made into events; new ones after *cursor, which moves on. Pure. */
void cb_decode_events(const struct json *page, int64_t *cursor,
                      void (*add)(void *arg, const struct node_event *ev), void *arg);
int cb_set_policy(struct connection *cn, const struct cluster *c, const struct json *params,
                  bool dry_run, struct err *err);
/* The settings as c has them, into c->settings. */
void cb_decode_policy(struct cluster *c);

/* --- address.c --- */

/* Where a member answers as it is configured; NULL: unknown. */
const char *cb_url(const struct cluster *c, const struct service *s, bool tls, struct arena *a);
/* Keeps the store's addresses in the observation. */
void cb_note_addresses(const struct connection *cn, struct cluster *c);
/* Who is no member any more once it is done. */
struct cb_departure {
    const struct cb_set *leaving;
    bool by_rebalance;              /* all that are failed over leave, too ... */
    const struct cb_set *recovered; /* ... but for these */
    const char *joining;            /* HOST[:PORT] that comes, or NULL */
};
/* Is a node left that the store names? */
void cb_check_addresses(const struct cluster *c, const struct cb_departure *d, struct findings *f);

/* --- select.c --- */

struct cb_set {
    struct service **v;
    size_t n;
    bool by_rebalance; /* they leave by a rebalance, which takes added ones in */
};
/*
 * The members named by args "services", or with "allRns" all active ones (of a "zone"). A name is
 * host:port as configured, the host alone where that is enough, or the otpNode; ERR_INPUT with
 * those there are.
 */
int cb_select(const struct intent *in, const struct cluster *c, struct arena *a, struct cb_set *set,
              struct err *err);
struct service *cb_find(const struct cluster *c, const char *name);
/* The same, or the member whose secure port is at that HOST:PORT. */
struct service *cb_find_at(const struct cluster *c, const char *address);
/* The port of HOST:PORT or [HOST]:PORT when it is of that host; else NULL. */
const char *cb_port_behind(const char *address, const char *host);
bool cb_in(const struct cb_set *set, const struct service *s);
/* What goes with -unsafe. */
#define CB_UNSAFE "-force -reason TEXT -confirm STORENAME"
/* What repeats the unsafe failover that was interrupted, with all its nodes; NULL: none was. */
const char *cb_unfinished(struct arena *a, const struct cluster *c);
/* Something that 'plan stop-rebalance' ends: what runs, or will be tried again. */
bool cb_is_stoppable(const struct activity *a);
/* The members as they were seen last, so that a cluster of 8.0 or later refuses what was decided on
 * others. */
void cb_expect_members(struct buf *form, const struct cluster *c);
/* "cb1:8091, cb2:8091", in a. */
const char *cb_names(struct arena *a, const struct cb_set *set);

/* --- figures.c --- */

/* Load of the active data nodes now, and once those of the set are gone. Percentages; -1 unknown.
 */
struct cb_load {
    int nodes_now, nodes_after;
    int memory_now, memory_after; /* of the data quota */
    int cpu_now, cpu_after;
    int64_t ops_now, ops_after; /* per node and second */
};
void cb_load(const struct cluster *c, const struct cb_set *leaving, struct cb_load *l);
/* Percent of a bucket whose every copy is on the set. *exact: counted in the map, else reckoned
 * from the number of replicas. */
double cb_share_lost(const struct cluster *c, const struct json *bucket, const struct cb_set *set,
                     bool *exact);
/* Active members that run a duty (NULL: any), the set left out; with those that join meanwhile. */
size_t cb_active_with(const struct cluster *c, const char *duty, const struct cb_set *but);
/* Those of them that the cluster hears from. */
size_t cb_served_with(const struct cluster *c, const char *duty, const struct cb_set *but);
struct cb_quorum {
    size_t active, healthy, needed;
};
void cb_quorum(const struct cluster *c, struct cb_quorum *q);
/* Groups that still have an active member when the set is gone. */
size_t cb_groups_left(const struct cluster *c, const struct cb_set *but);
bool cb_versions_mixed(const struct cluster *c, const char **low, const char **high);

/* --- the pure parts --- */

void cb_verify(const struct cluster *c, struct findings *f);
void cb_check(const struct intent *in, const struct cluster *c, struct findings *f);
int cb_expand(const struct intent *in, const struct cluster *c, struct plan *p, struct err *err);
void cb_explain(const struct task *t, const struct cluster *c,
                void (*line)(void *arg, const char *text), void *arg);

/* What several verbs' checks ask (check.c). */
void cb_check_busy(const struct cluster *c, struct findings *f);
void cb_check_capacity(const struct cluster *c, const struct cb_set *set, struct findings *f);
void cb_check_services(const struct cluster *c, const struct cb_set *set, struct findings *f);
/* What the cluster does by itself about these while they are down, active as they are. */
void cb_check_automatic(const struct cluster *c, const struct cb_set *set, struct findings *f);
void cb_check_auto_failover(const struct cluster *c, struct findings *f);

/* --- process.c, process_check.c --- */

#define CB_UNIT "couchbase" /* the agents' name for the server */

/*
 * Says in the observation which agent belongs to which node, asking nobody: "agents" becomes
 * {id: {"url"} or {"why", "advice"}}. Pure.
 */
void cb_match_agents(struct cluster *c, const struct agent_list *agents);
/* The same with what the agents of the nodes of this intent answer: "state", "detail", "instance",
 * or "why". */
int cb_inquire(struct connection *cn, const struct intent *in, struct cluster *c, struct err *err);
/* All names that an address of it may have. */
struct agent_node cb_names_of(const struct cluster *c, const struct service *s, struct arena *a);
/* Its entry, or NULL. */
const struct json *cb_agent(const struct cluster *c, const struct service *s);
/* Its address; NULL when there is none that can be worked with: *why and *advice. An agent that was
 * not asked counts as one that can. */
const char *cb_agent_url(const struct cluster *c, const struct service *s, const char **why,
                         const char **advice);
/* Does its agent say that the process is down? up? Neither, when it was not asked. */
bool cb_agent_says_down(const struct cluster *c, const struct service *s);
bool cb_agent_says_up(const struct cluster *c, const struct service *s);

void cb_check_stop(const struct intent *in, const struct cluster *c, const struct cb_set *set,
                   struct findings *f);
void cb_check_start(const struct intent *in, const struct cluster *c, const struct cb_set *set,
                    struct findings *f);
/* Can each be restarted through its agent? With pause the others are told as done by hand. */
void cb_check_agents(const struct cluster *c, const struct cb_set *set, bool pause,
                     struct findings *f);

/* --- task.c --- */

int cb_perform(struct connection *cn, const struct task *t, struct perform *p, struct err *err);
enum settled cb_settled(struct connection *cn, const struct task *t, struct perform *p,
                        struct err *err);
