/* The program itself, declared as a command: its options stand before the first command word. */
#pragma once

#include "kvsh/cmd.h"

struct program_opts {
    const char *store, *host, *config, *state_dir, *color;
    int64_t port, timeout_ms;
    bool version;
    struct words command;
};

extern const struct cmd program;
