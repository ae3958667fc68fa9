/* The command line of kvagentd: one table of verbs, one of options; usage and checks come from
 * them. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "agent/bootconfig.h"

enum verb {
    VERB_MAKEBOOTCONFIG,
    VERB_START,
    VERB_STOP,
    VERB_STATUS,
    VERB_VERSION,
    VERB_COUNT,
};

struct options {
    enum verb verb;
    struct bootconfig boot; /* root is set; the rest for makebootconfig */
    char *config;           /* file name below the root */
    char *ha_range;
    char *units[BOOT_DIRS_MAX]; /* ID=NAME or ID=/PATH */
    size_t n_units;
    bool daemon, services, help;
};

/* Fills a zeroed struct. ERR_USAGE. With "help" set, nothing else is checked. */
int options_parse(struct options *o, int argc, char **argv, struct err *err);
void options_release(struct options *o);
void options_usage(FILE *out);
