/* Taking data away: only of services that do not run, and only where nothing else could use it. */
#pragma once

#include "agent/operations.h"

/* The operation "wipe": empties the data directory; op->mode "identity": forgets who it is in the
 * cluster, too. */
int wipe_run(struct operation *op, struct problem *pb);

/* Removes <storage_dir>/<id>, which belongs to no service of this node. Repeatable. The lock is not
 * held. */
int leftover_remove(struct agent *a, const char *storage_dir, const char *id, struct problem *pb);

/*
 * The operation "check-data": runs the store's own checker over the files of a service. Of one that
 * runs a copy is checked: links to the files that do not change any more, and the newest file as
 * long as it is now.
 */
int check_data_run(struct operation *op, struct problem *pb);
