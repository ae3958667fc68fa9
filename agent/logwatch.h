/* Reads what the services' logs have gained and makes events of what matters. */
#pragma once

#include "agent/agent.h"

/* Once per cycle. Called with the lock held; lets go of it while it reads. */
void logwatch_cycle(struct agent *a);

/* Where reading goes on after an agent restart. The lock is held. */
void logwatch_load(struct agent *a, struct service *s);
