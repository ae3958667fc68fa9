/*
 * A small table of commands without any store behind it, for the tests of cli/: every option type,
 * a group of options, options that exclude each other, hidden and interactive commands, and the
 * commands of the shell itself.
 */
#pragma once

#include "kvsh/shell.h"

struct session {
    struct shell *shell; /* to be set once it exists */
    int prepared;        /* commands whose needs were met */
    bool refuse;         /* prepare() fails */
    bool no_topology;    /* "show topology" is not available */
};

extern const struct cmd *const fake_cmds[];
extern const struct cmd fake_program;

/* A host on these commands; live names are zn1.., sn1.., rg1-rn1.., store-a, store-b, pool-1. */
struct shell_host fake_host(struct session *s);
