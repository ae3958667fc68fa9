/*
 * Runs one fixed argument vector to its end, or ends it after its limit.
 *
 * The program runs in a session of its own, with nothing of the agent's open and an environment of
 * PATH and LC_ALL alone. What it writes goes to KVROOT/units/ID.ACTION.out, not to a pipe: a
 * program that it leaves running may keep writing, whatever becomes of the agent.
 */
#pragma once

#include "agent/agent.h"
#include "agent/bootunit.h"

enum { COMMAND_TEXT_MAX = 400 };

enum command_end {
    COMMAND_EXITED,      /* status */
    COMMAND_SIGNALLED,   /* status: the signal */
    COMMAND_TIMED_OUT,   /* ended, with its process group */
    COMMAND_FLOODED,     /* wrote too much: ended likewise */
    COMMAND_ABANDONED,   /* the agent ends: the program goes on, unless it was asked for a status */
    COMMAND_NOT_STARTED, /* text says why */
};

struct command_result {
    enum command_end end;
    int status;
    int64_t took_ms;
    char text[COMMAND_TEXT_MAX + 1]; /* the last of what it wrote, as one line */
};

/* The lock is not held. */
void command_run(struct agent *a, const struct boot_unit *u, enum unit_action action,
                 struct command_result *r);
/* A sentence about a result that is not exit status 0. */
void command_explain(const struct boot_unit *u, enum unit_action action,
                     const struct command_result *r, char *out, size_t size);

/*
 * Waits until a command that an earlier agent began has ended, and ends it after its limit. False
 * when there is none. The lock is held; it is given up while waiting.
 */
bool command_await_leftover(struct agent *a, const struct boot_unit *u, enum unit_action action);

/* The last max bytes of text as one line without control characters; bytes that are no UTF-8 as
 * \xNN. Pure. */
void command_text(const char *text, size_t len, char out[COMMAND_TEXT_MAX + 1]);
