/* One agent per root: a kernel lock on KVROOT/kvagentd.lock, freed by dying. The file holds the
 * pid. */
#pragma once

#include <sys/types.h>

#include "kvsh/err.h"

/* The descriptor that holds the lock; -1 and ERR_LOCKED, naming the holder, when another has it. */
int rootlock_take(const char *root, struct err *err);
/* Pid of the agent that holds it; 0 when none does. */
pid_t rootlock_holder(const char *root);
