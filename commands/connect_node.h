/* Getting to know a store from one of its nodes. */
#pragma once

#include "commands/session.h"

struct node_address {
    const char *host;
    int64_t port;
    const char *token_file; /* NULL: the one of [kvsh], if any */
    const char *store;      /* the store it has to belong to; NULL: any, or none yet */
};

struct connected {
    char store[256]; /* "" when the node belongs to no store yet */
};

/*
 * Asks that node. When it belongs to a store, the store is configured (its section is
 * written when it is not there), its documents are taken over if they are newer than the journal's,
 * and it becomes the current one. Otherwise the node is remembered for `configure`.
 */
int connect_node(struct session *s, const struct node_address *at, struct connected *result,
                 struct err *err);

/* The same for -host and -port of the program. */
int connect_host(struct session *s, struct err *err);

/* Makes the directories above a configuration file. */
int config_make_dir(const char *file, struct err *err);
/* Writes [store NAME] to the user's configuration, replacing the one there. */
int store_write_section(struct session *s, const struct store_settings *store, struct err *err);
