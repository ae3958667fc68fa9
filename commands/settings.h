/*
 * The configuration of the shell, as the commands use it: sections [kvsh] and [store NAME], read
 * from the system's and the user's file, or from the one given by -config. A later file overrides
 * single keys of an earlier one; its `node` and `agent` lines replace those of the earlier file.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvsh/cmd.h"
#include "kvsh/err.h"
#include "kvsh/mem.h"

struct store_settings {
    const char *name, *engine;
    struct words nodes;
    struct words agents; /* [NODE=]URL of the kvagentd beside a node of a foreign store */
    const char *agent_token_file;
    const char *user, *password_file, *token_file, *ca_file, *cert_file, *key_file;
    const char *notify_command; /* words, of which the first is an absolute path; or NULL */
    int64_t timeout_ms;         /* 0: not set */
    bool no_tls_verify;
    const char *file;        /* where the section (first) stands */
    const char *agents_file; /* where its agents stand */
};

struct settings {
    struct arena arena;
    const char *edit_file; /* where changes are written; NULL: there is no user file (no home) */
    const char *store;     /* the default, or NULL */
    const char *state_dir, *token_file, *notify_command;
    int64_t history_size; /* 0: not set */
    struct store_settings *stores;
    size_t n_stores;
};

/* Reads the files. config_file NULL: the system's and the user's; absent files are as empty ones.
 */
int settings_read(struct settings *st, const char *config_file, struct err *err);
void settings_release(struct settings *st);

/* NULL when there is none. */
const struct store_settings *settings_store(const struct settings *st, const char *name);

/* Letters, digits, '.', '_', '-', beginning with a letter or digit: it is also the name of a
 * directory. */
int settings_check_name(const char *name, struct err *err);
/* The name of a pool, zone or topology (what), which people type and scripts read: not empty, no
 * control characters, no '-' in front, at most 255 bytes. */
int settings_check_label(const char *what, const char *name, struct err *err);

/* path as seen from directory dir (NULL: the working directory) with that directory before it;
 * malloc'ed. */
char *path_absolute(const char *dir, const char *path);

/* Home, configuration and state directories of the user; NULL when the machine knows no home.
 * malloc'ed. */
char *settings_user_file(void);
char *settings_user_state(void);

/* A name or an address; what has a scheme, a port, a path or blanks in it is refused: it would lead
 * elsewhere once it is part of a URL. An IPv6 address is given without brackets. */
int settings_check_host(const char *host, struct err *err);

/* The address of a node as configured, http://HOST[:PORT] or https://...; credentials do not belong
 * into it. what: "a node", "an agent". */
int settings_check_url(const char *url, const char *what, struct err *err);
/* [NODE=]URL. */
int settings_check_agent(const char *agent, struct err *err);

/* "http://HOST:PORT" as nodes are written; malloc'ed. An IPv6 address gets its brackets. */
char *settings_url(const char *host, int64_t port);
