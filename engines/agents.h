/*
 * Agents (kvagentd) on the hosts of a store that cannot start or stop its own processes: which one
 * stands beside which node, what it says of its unit there, and starting and stopping it.
 *
 * Nobody is asked, and the token is not read, before a plan needs it.
 */
#pragma once

#include "kvsh/engine.h"
#include "kvsh/http.h"
#include "kvsh/mem.h"

/* --- which agent; pure --- */

enum { AGENT_HOSTS_MAX = 4 };

/* How a node may be named: exactly, and by its hosts (without ports). NULL: no such name. */
struct agent_node {
    const char *id, *other_id;
    const char *hosts[AGENT_HOSTS_MAX];
};

struct agent_nodes {
    const struct agent_node *v;
    size_t n;
};

struct agent_list {
    const char *const *v; /* "[NODE=]URL" as configured */
    size_t n;
};

/* url NULL: none, or none for sure; why and advice say so. In the arena. */
struct agent_match {
    const char *url, *why, *advice;
};

/* The agent of node number `which`. */
void agent_match(const struct agent_list *agents, const struct agent_nodes *nodes, size_t which,
                 struct arena *a, struct agent_match *m);

/* --- what it says --- */

struct agents;
struct agents *agents_new(const struct endpoint *ep);
void agents_free(struct agents *ag);
struct agent_list agents_list(const struct agents *ag);

/* One unit of one agent. */
struct agent_unit {
    const char *url, *unit;
};

/* Strings live in the arena given. */
struct agent_answer {
    const char *state;    /* "running", "stopped", "failed", "starting", "stopping", "unknown";
                             NULL: see why */
    const char *detail;   /* what is wrong, or NULL */
    const char *instance; /* by which one running agent can be told from another, or NULL */
    const char *why, *advice;
};

/* The agent's document made into an answer. Pure; foreign bytes. */
void agent_decode(const struct json *doc, const struct agent_unit *u, struct arena *a,
                  struct agent_answer *answer);
/* Its response made into a document; NULL with err as agents_command(). Pure; foreign bytes. */
struct json *agent_response(const struct http_response *resp, const char *method, const char *url,
                            struct err *err);

/* Asks several agents at the same time. -1 only when none could be asked (token not readable). */
int agents_ask(struct agents *ag, const struct agent_unit *units, size_t n, struct arena *a,
               struct agent_answer *answers, struct err *err);

/*
 * Has the agent start or stop the unit ("start", "stop") and follows that to its end; what is so
 * already is a success. ERR_IN_DOUBT when the end could not be seen, ERR_LOCKED while another
 * plan holds the agent's lease.
 */
int agents_command(struct agents *ag, const struct agent_unit *u, const char *action,
                   struct perform *p, struct err *err);

/* Is that one of its hosts? Pure. */
bool agent_is_host(const struct agent_node *n, const char *name);
/* The host in the address of an agent, without brackets; in the arena. Pure. */
const char *agent_host(const char *url, struct arena *a);
