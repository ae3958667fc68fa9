/* The table of commands checks itself: what is missing, impossible or ambiguous in the
 * declarations. */
#pragma once

#include <stddef.h>

#include "kvsh/cmd.h"
#include "kvsh/err.h"
#include "kvsh/out.h"

/* Calls complain() for each defect: where is the command or "command -option". Returns how many
 * there were. */
size_t selftest_run(const struct cmd *const *cmds,
                    void (*complain)(void *arg, const char *where, const char *what), void *arg);

/* For the hidden command `self-test`: a row per defect; -1 and ERR_FAILED when there is any. */
extern const struct out_table selftest_table;
int selftest_fill(const struct cmd *const *cmds, struct out *out, struct err *err);
