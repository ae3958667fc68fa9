/* Has the store changed since a plan was made with -noexecute? */
#pragma once

#include "commands/plan_common.h"

/*
 * Looks again at the store a plan was made for, which is about to be started for the first time.
 * Changed: ERR_STALE naming what is known to have changed; with -force its tasks are made anew for
 * the store as it is.
 */
int stale_check(struct session *s, const struct plan *p, const struct plan_opts *o, struct out *out,
                struct err *err);
