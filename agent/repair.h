/* Taking data away: only of services that do not run, and only where nothing else could use it. */
#pragma once

#include "agent/operations.h"

/* The operation "wipe": empties the data directory; op->mode "identity": forgets who it is in the
 * cluster, too. */
int wipe_run(struct operation *op, struct problem *pb);
