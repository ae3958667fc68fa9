/*
 * Services of kind unit: what is known of their state, and starting and stopping them.
 *
 * Each has a thread that runs its status command: once a cycle of the watch, and when somebody
 * asks. The agent starts and stops a unit on request only; what its manager does by itself is seen
 * and told as an event.
 */
#pragma once

#include "agent/agent.h"
#include "agent/command.h"
#include "agent/problem.h"

/* Makes the services of the boot configuration's units. At start, before anything else runs. */
void units_load(struct agent *a);
int units_start(struct agent *a, struct err *err);
/* Ends the threads; a->stopping is set. The lock is not held. */
void units_stop(struct agent *a);
void unit_free(struct unit *u);

/* Has every unit looked at, unless that was done just now; waits at most wait_ms. The lock is not
 * held. */
void units_refresh(struct agent *a, int wait_ms);
/* Says in detail that the status command of s has not answered; "" when it has. The lock is held.
 */
void unit_silence(const struct service *s, char *out, size_t size);

/* As service_start() and service_stop(), of a unit. The lock is held. */
int unit_start(struct agent *a, struct service *s, int64_t *operation, struct problem *pb);
int unit_stop(struct agent *a, struct service *s, int64_t *operation, struct problem *pb);

/*
 * What the end of a status command means: 0 running, 3 stopped, 1 and 2 failed, as init scripts
 * say it; the one word of systemctl before that. Pure.
 */
enum service_state unit_state_decode(const struct boot_unit *u, const struct command_result *r);
