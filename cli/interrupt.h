/*
 * Signals, as far as the shell takes them. State of the process, not of an object: there is one
 * SIGINT.
 *
 * Each signal is counted and written into a pipe that never blocks, so that whoever waits can
 * poll() for it together with the terminal and no signal is lost between a look and a wait.
 */
#pragma once

#include <stdbool.h>

/*
 * Counts SIGINT from now on instead of dying of it (where it is not ignored: a background job stays
 * one), and has writes to a pager that was left fail instead of ending the shell (SIGPIPE). Calls
 * nest.
 */
void interrupt_install(void);
void interrupt_uninstall(void);

/* A new line begins at the prompt: none so far. */
void interrupt_reset(void);

/* While the line editor reads, the terminal's other signals (size, continue, terminate, hang up)
 * are noted as well. */
void interrupt_watch(bool on);
/* Has that signal come since it was last asked for? */
bool interrupt_take(int signo);

/* Readable once a signal came; interrupt_drain() empties it. -1 when nothing is installed. */
int interrupt_fd(void);
void interrupt_drain(void);
