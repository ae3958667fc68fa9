/*
 * The engine contract: what kvsh asks of the code that knows one kind of system.
 *
 *   observe   reads the store; nothing but it and inquire looks at the store before a plan
 *   inquire   adds what only this intent needs to be judged; optional
 *   check     (intent, cluster) -> findings   pure, no I/O
 *   expand    (intent, cluster) -> tasks      pure, no I/O
 *   perform   does one task, once; repeatable: doing it twice ends in the same place
 *   settled   did this task already take effect?
 *
 * Functions marked optional may be NULL; callers ask for that or for the capability, never for the
 * engine's name. All engines pass the same contract tests (tests/engine).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kvsh/cluster.h"
#include "kvsh/err.h"
#include "kvsh/finding.h"
#include "kvsh/json.h"
#include "kvsh/plan.h"

/* How to reach one store: section [store NAME] of the configuration, secrets already read. Borrowed
 * by open(). */
struct endpoint {
    const char *store;
    const char *engine;
    const char **nodes; /* URLs as configured */
    size_t n_nodes;
    const char *token, *user, *password; /* or NULL */
    /* Agents on the hosts of a foreign store, "[NODE=]URL" as configured, and the 0600 file with
     * their token (NULL: none): neither asked nor read before a plan needs them. */
    const char **agents;
    size_t n_agents;
    const char *agent_token_file;
    const char *ca_file, *cert_file, *key_file;
    bool no_tls_verify;
    int timeout_ms;          /* for one answer; > 0 */
    const char *lease;       /* under which changes are made, "owner/plan/epoch"; NULL: none */
    const char *secret_file; /* 0600 file in the state directory for what the engine must remember
                                in secret */
};

/* An open connection; the engine's private state. Used by one thread at a time; perform() and
 * settled() get a connection of their own per worker thread. */
struct connection;

/* What a running task may use. */
struct perform {
    /* Reports progress: percent (-1 unknown) and what is waited for (NULL: nothing). Cheap; call
     * often. */
    void (*report)(struct perform *p, int percent, const char *waiting_for);
    /* True when the plan is to stop: return soon with ERR_INTERRUPTED, leaving a state that can be
     * resumed. */
    bool (*interrupted)(struct perform *p);
    /* Writes a line into the plan's history: what was sent, what came back. severity "info",
     * "warning", "error". May be NULL where there is no history (tests). */
    void (*event)(struct perform *p, const char *severity, const char *text);
    /*
     * Notes text durably, replacing what this task noted before, and makes it p->memo: the number
     * of an operation begun in the store, say, which settled() and later attempts find after any
     * crash. -1: it could not be written, and nothing may be begun. NULL where nothing is kept
     * (tests).
     */
    int (*remember)(struct perform *p, const char *text);
    const char *memo; /* what this task noted last, in whichever attempt; NULL: nothing */
    int64_t plan_id;
    bool force;
    bool confirmed;          /* goes with force: even what could lose data */
    const struct json *docs; /* declared documents as its wave began */
    char result[256];        /* one sentence about the outcome, for show plan; may stay empty */
};

/*
 * What keeps plans of different machines apart: the nodes of a store remember the one plan that is
 * changing it, and refuse what others ask for. It is taken again before ttl_ms is over.
 */
struct lease {
    const char *owner;   /* user, host and journal; without '/' and blanks */
    int64_t plan, epoch; /* epoch: the attempt; a later one ends an earlier one */
    int ttl_ms;
    const char *takeover; /* the reason for taking it from somebody else, or NULL */
    bool held;            /* it was taken before: renew it */
    bool release;         /* give it back instead */
};

enum settled { SETTLED_NO, SETTLED_YES, SETTLED_UNKNOWN };

/* One thing a node's own watch reported. */
struct node_event {
    const char *node; /* sn3 */
    int64_t seq;      /* the node's own number */
    int64_t time_ms;
    const char *severity; /* "info", "warning", "error" */
    const char *kind;     /* "dir-missing", "process-died", "log" */
    const char *subject;  /* rg1-rn3, or a path */
    const char *text, *advice;
};

/* What get() found. */
struct value {
    char *text;      /* malloc'ed; NULL: there is no such key */
    bool is_escaped; /* it is no text: \xNN stands for a byte that is no UTF-8 */
};

/* What put() writes, and what came of it. */
struct record {
    const char *key, *value;
    bool inserted; /* the key was new */
    int copies;    /* replicas that have it */
};

#define VERB_BIT(v) (1u << (v))

/* A member of the args of that verb's intents. */
struct verb_option {
    enum verb verb;
    const char *name;
};

struct engine {
    const char *name;
    unsigned verbs;  /* VERB_BIT(): the plans it can make */
    unsigned checks; /* VERB_BIT(): what check() judges beside these, although there is no plan */
    /* Options of plans that not every engine has, and this one does; the last has no name. One that
     * only others have is refused. NULL: none. */
    const struct verb_option *options;
    bool is_foreign; /* its stores keep their own topology, and others than kvsh change it, too */

    /* Prepares a connection; need not contact anybody. NULL on failure. */
    struct connection *(*open)(const struct endpoint *ep, struct err *err);
    void (*close)(struct connection *cn);

    /*
     * Asks the nodes (in parallel, within the endpoint's time limit) and fills c, which
     * meta_to_cluster() has prepared from docs. Silent and broken nodes are facts in c. -1 only
     * when nothing can be said at all.
     */
    int (*observe)(struct connection *cn, const struct json *docs, struct cluster *c,
                   struct err *err);

    /*
     * Optional: asks for what this intent needs to be judged beside what observe() asked for, and
     * adds it to c; a silent node is a fact there. The digest does not depend on it.
     */
    int (*inquire)(struct connection *cn, const struct intent *in, struct cluster *c,
                   struct err *err);

    /* All findings about the cluster as it is: what verify shows. Pure. */
    void (*verify)(const struct cluster *c, struct findings *f);
    /* What speaks against this intent. Pure. */
    void (*check)(const struct intent *in, const struct cluster *c, struct findings *f);
    /* Adds the tasks to p. No tasks: nothing to do. Pure. ERR_INPUT when the intent makes no sense.
     */
    int (*expand)(const struct intent *in, const struct cluster *c, struct plan *p,
                  struct err *err);

    /* Both block. perform: ERR_IN_DOUBT when the answer was lost, so that settled() is asked. */
    int (*perform)(struct connection *cn, const struct task *t, struct perform *p, struct err *err);
    enum settled (*settled)(struct connection *cn, const struct task *t, struct perform *p,
                            struct err *err);

    /* Optional: the same with the store's own tools: calls line() with each command a person could
     * type, secrets left out ("$PASSWORD" or a file stands for them). Pure. */
    void (*explain)(const struct task *t, const struct cluster *c,
                    void (*line)(void *arg, const char *text), void *arg);

    /*
     * Optional: takes, renews or gives back the lease at the nodes that answer. ERR_LOCKED, and
     * nothing taken, when another owner has it: of several that ask at the same moment one gets it.
     * ERR_STALE when the nodes know a later attempt of this plan: that refusal does not end.
     */
    int (*lease)(struct connection *cn, const struct json *docs, const struct lease *l,
                 struct err *err);

    /* Optional: after a change of the documents, copies for the store's admins. docs carry their
     * version. */
    int (*publish)(struct connection *cn, const struct json *docs, int64_t version,
                   struct err *err);
    /* Optional: fetches the copy a node keeps (connect on a new machine). New object in *docs; NULL
     * there when the node belongs to no store yet. */
    int (*fetch)(struct connection *cn, struct json **docs, int64_t *version, struct err *err);
    /* Optional: what the nodes' watches saw after `cursors` ({"sn1": seq}); returns the new cursors
     * in *cursors. */
    int (*events)(struct connection *cn, const struct json *docs, struct json **cursors,
                  void (*add)(void *arg, const struct node_event *ev), void *arg, struct err *err);

    /* Optional: a look at the data. A value of get that is too large to be shown is an error; one
     * of scan that is no text, or too large, is NULL. */
    int (*put)(struct connection *cn, const struct json *docs, struct record *record,
               struct err *err);
    int (*get)(struct connection *cn, const struct json *docs, const char *key, struct value *value,
               struct err *err);
    int (*del)(struct connection *cn, const struct json *docs, const char *key, bool *deleted,
               struct err *err);
    int (*scan)(struct connection *cn, const struct json *docs,
                int (*each)(void *arg, const char *key, const char *value), void *arg,
                struct err *err);

    /*
     * Optional, for stores that keep their settings themselves (cluster.settings): checks params
     * ({name: text}) against what this store allows (ERR_INPUT) and, unless dry_run, sets them.
     */
    int (*set_policy)(struct connection *cn, const struct cluster *c, const struct json *params,
                      bool dry_run, struct err *err);
    /* Optional: does the store know this parameter? (change-policy: others are kept and noted.) */
    bool (*knows_param)(const char *name);
    /* Optional: a layout for a pool: fills the candidate document (meta.h). Pure. */
    int (*layout)(const struct cluster *c, const char *pool, int partitions, struct json *candidate,
                  struct findings *f, struct err *err);
};

/* NULL for an unknown name. engine_names(): NULL-terminated. */
const struct engine *engine_by_name(const char *name);
const char *const *engine_names(void);
/* The first of an intent's args that other engines have for its verb and this one has not; NULL:
 * there is none. */
const char *engine_lacks(const struct engine *e, enum verb verb, const struct json *args);
