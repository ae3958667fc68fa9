/* verbose, timer, page: settings of the shell that are on or off. */
#pragma once

#include "commands/session.h"

struct toggle_opts {
    const char *value; /* "on", "off" or NULL: the other one */
};

extern const struct opt toggle_options[];
extern const struct out_table *const toggle_tables[];

/* Changes *setting as asked and reports. */
int toggle(bool *setting, const char *name, const struct toggle_opts *o, struct out *out);
