/* pool join and pool leave: the same words, one adds and one takes away. */
#pragma once

#include "commands/session.h"

struct pool_opts {
    const char *name;
    struct words sns;
};

extern const struct opt pool_options[];
extern const struct out_table *const pool_join_tables[];
extern const struct out_table *const pool_leave_tables[];

int pool_change(struct session *s, const struct pool_opts *o, bool join, struct out *out,
                struct err *err);
