/*
 * The session: what commands share. It finds the store, opens its journal and, when a command asks
 * the nodes, a connection. Nothing is opened before it is needed.
 *
 * The current store, in this order: what -store, `store use`, `connect` or `configure` chose · the
 * node given by -host and -port (contacted at the first need) · KVSH_STORE · `store` of [kvsh] ·
 * the only store configured.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "commands/settings.h"
#include "kvsh/engine.h"
#include "kvsh/journal.h"
#include "kvsh/shell.h"

/* Flags of the program; strings are borrowed and live as long as the session. */
struct session_flags {
    const char *store, *host, *config_file, *state_dir;
    int64_t port;
    int64_t timeout_ms; /* for one answer of a node; 0: as configured */
};

struct session;

struct session *session_new(const struct session_flags *flags);
void session_free(struct session *s);

/* The callbacks of the shell, with the table of all commands. */
struct shell_host session_shell_host(struct session *s);
void session_attach(struct session *s, struct shell *sh);
struct shell *session_shell(const struct session *s);
const struct session_flags *session_flags(const struct session *s);

/* The configuration, read at first need; borrowed, until session_reread(). NULL on failure. */
const struct settings *session_settings(struct session *s, struct err *err);
/* Forgets the configuration after it was edited. */
void session_reread(struct session *s);
/* The file changes go to, or NULL with a reason: no home, or -config is not writable is found
 * later. */
const char *session_edit_file(struct session *s, struct err *err);

/* Gives the shell the history file of the current store, or of none; without a state directory
 * there is none. */
void session_use_history(struct session *s);

/* Directory of the state of all stores, and of one; malloc'ed, NULL with a reason. */
char *session_state_dir(struct session *s, struct err *err);
char *session_store_dir(struct session *s, const char *store, struct err *err);

/* The current store. session_store() resolves it (and reports when none is chosen); the other only
 * looks. */
const struct store_settings *session_store(struct session *s, struct err *err);
const char *session_store_name(const struct session *s); /* NULL: none yet */
/* The configured store of that name; NULL: the current one. */
const struct store_settings *session_named_store(struct session *s, const char *name,
                                                 struct err *err);
/* The store is configured no more: it cannot be the current one. */
void session_forget(struct session *s, const char *store);
/* Makes a configured store the current one; its journal is opened at first need. */
void session_use(struct session *s, const char *store);

/* A node that was connected to and belongs to no store yet: `configure` takes it. NULL: none. */
const char *session_bare_node(const struct session *s);
void session_set_bare_node(struct session *s, const char *url, const char *token_file);
const char *session_bare_token_file(const struct session *s);
/* Connects to the node of -host and -port, once; nothing when they were not given. */
int session_meet_host(struct session *s, struct err *err);
bool session_waits_for_host(const struct session *s); /* it was given and not yet contacted */

/* Of the current store; NULL on failure. The session's. */
struct journal *session_journal(struct session *s, struct err *err);
/* Why the journal that is open can only be looked at (journal_is_copy()); NULL: it can be changed.
 */
const struct err *session_copied(const struct session *s);
/* Closes it, to be opened anew at the next need; the other only when it is a copy. */
void session_leave_journal(struct session *s);
void session_leave_copy(struct session *s);
const struct engine *session_engine(struct session *s, struct err *err);
const struct endpoint *session_endpoint(struct session *s, struct err *err);
struct connection *session_connection(struct session *s, struct err *err);

/* An endpoint for these settings; strings live in the arena, secrets included. */
int endpoint_fill(struct endpoint *ep, struct arena *a, struct session *s,
                  const struct store_settings *store, struct err *err);

/* Fills c (zero-initialised): what is declared, without asking anybody; or what the nodes say now.
 */
int session_declared(struct session *s, struct cluster *c, struct err *err);
int session_observe(struct session *s, struct cluster *c, struct err *err);

/* While set, plan commands show what they would do and leave nothing behind (plan preview). */
void session_set_preview(struct session *s, bool on);
bool session_is_preview(const struct session *s);
/* Beside that: are the commands of the store's own tools asked for? */
void session_set_explain(struct session *s, bool on);
bool session_is_explain(const struct session *s);
