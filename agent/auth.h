/* Who may ask: a bearer token, a client certificate, or both, as the boot configuration says. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "agent/bootconfig.h"
#include "agent/problem.h"

struct MHD_Connection;

struct auth {
    char *token;                  /* or NULL */
    char *cert, *key, *client_ca; /* PEM, or NULL */
};

/* Reads the files. The key and the token must be 0600. NULL on failure. */
struct auth *auth_new(const struct bootconfig *b, struct err *err);
void auth_free(struct auth *au);

/* -1 and PROBLEM_UNAUTHORIZED when this connection's request may not pass. */
int auth_check(const struct auth *au, struct MHD_Connection *c, struct problem *pb);

/* Takes the same time wherever the first difference is. Pure. */
bool token_equal(const char *a, const char *b);
