/*
 * The watch: a thread that looks at storage directories and logs, once a cycle.
 *
 * While a fault lasts there is one line per cycle in the log, naming service and directory; one
 * event when it begins and one when it ends.
 */
#pragma once

#include "agent/agent.h"

int watch_start(struct agent *a, struct err *err);
/* Ends the thread; a->stopping is set. The lock is not held. */
void watch_stop(struct agent *a);

/* Looks at the directories now, and waits for it at most wait_ms. The lock is not held. */
void watch_refresh(struct agent *a, int wait_ms);

/* The directories are to be looked at soon, because a service has changed. The lock is held. */
void watch_kick(struct agent *a);

/*
 * What the state of a service's directory means, as a sentence and an advice. Pure.
 */
void dir_fault_text(const struct service *s, enum dir_state state, const char *detail, char *text,
                    size_t size);
const char *dir_fault_kind(enum dir_state state); /* of the event */
