/*
 * Starting, stopping, adopting and reviving services.
 *
 *            start            serves
 *  STOPPED ---------> STARTING ------> RUNNING ---> STOPPING ---> STOPPED
 *     ^                  |                |  stop
 *     |                  v                v  died
 *     +---- stop ----- FAILED <-----------+
 *
 * A service that is FAILED and wanted up is started again after 1, 2, 4, ... 30 s. Units (unit.h)
 * have a manager of their own: the agent neither adopts nor revives them.
 */
#pragma once

#include "agent/agent.h"
#include "agent/problem.h"

/* All: the lock is held. 0 and *operation 0: nothing to do, it is in that state already. */
int service_start(struct agent *a, const char *id, bool allow_empty, int64_t *operation,
                  struct problem *pb);
int service_stop(struct agent *a, const char *id, int64_t *operation, struct problem *pb);

/* At start of the agent: takes over what runs, and plans the start of what should. */
void services_adopt(struct agent *a);
/* The process of s has ended (its watch says so). */
void service_ended(struct agent *a, struct service *s);
/* Starts what is due again; returns milliseconds until the next is, -1 for none. */
int services_revive(struct agent *a);

/* Ends all services of a root whose agent does not run; used by `stop -services`. Prints nothing.
 */
int services_stop_all(struct agent *a, struct err *err);
