/* The inside of a session, for session.c and session_open.c alone. */
#pragma once

#include "commands/session.h"

struct session {
    struct session_flags flags;
    char *config_file, *state_dir; /* of flags, with absolute paths */
    struct shell *shell;
    bool have_settings;
    struct settings settings;
    char *store; /* chosen */
    char *bare_node, *bare_token_file;
    bool host_done;
    bool preview, explain;
    /* of the current store */
    struct journal *journal;
    struct connection *connection;
    bool have_endpoint;
    struct endpoint endpoint;
    struct arena endpoint_arena;
};

/* Closes what belongs to the current store. */
void session_leave_store(struct session *s);
