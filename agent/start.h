/* The operation "start". */
#pragma once

#include "agent/operations.h"

int start_run(struct operation *op, struct problem *pb);

/* Another attempt by the agent itself, later the more have failed; none when the service is not
 * wanted up. The lock is held. */
void service_plan_restart(struct agent *a, struct service *s);
