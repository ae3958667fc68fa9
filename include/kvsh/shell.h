/*
 * The shell: lines in, commands out. One path for the prompt, scripts, `load -file`, stdin and
 * argv: all end in shell_exec().
 *
 * Line language (cli/lexer.h): words separated by blanks; "..." with \" \\ \n \t, '...' literal;
 * '#' starts a comment at the beginning of a word; a backslash at the end of a line continues it;
 * ';' touching a blank or the end of the line ends a command, as users of the original type it.
 * Errors name the column. Options are written -name value or --name value.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "kvsh/cmd.h"
#include "kvsh/err.h"

/* What the shell asks of the world behind it; implemented in commands/session.c, faked in tests. */
struct shell_host {
    struct session *session;
    const struct cmd *const *cmds; /* ends with NULL; order of declaration */
    /* The program itself as a command: its options stand before the first command word. For the
     * completion of argv; may be NULL. */
    const struct cmd *program;
    /* Meets cmd->needs before run(): opens the store's journal. */
    int (*prepare)(struct session *s, const struct cmd *cmd, struct err *err);
    /* A sentence that goes with whatever the command just run said; malloc'ed, or NULL. May be
     * NULL. */
    char *(*notice)(struct session *s, const struct err *outcome);
    /* Calls add() for each candidate of kind `what` (all of them; the shell filters by prefix).
     * Never blocks on a network, never changes anything, prints nothing. */
    void (*complete)(struct session *s, enum completer what,
                     void (*add)(void *arg, const char *candidate), void *arg);
    /* Is this command meaningful on the current store? help leaves out what is not. May be NULL. */
    bool (*available)(struct session *s, const struct cmd *cmd);
};

struct shell_config {
    bool json;
    bool quiet;
    bool verbose;
    bool timer;
    bool page;
    enum { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER } color;
    const char *history_file; /* NULL: history in memory only */
    size_t history_size;      /* lines that are kept; 0: 1000. Counts when the file is opened */
};

struct shell;

/* Also sets the process's LC_CTYPE (C.UTF-8 when the environment asks for no UTF-8), and counts
 * SIGINT instead of dying of it until shell_free(). What config points to is copied. */
struct shell *shell_new(const struct shell_host *host, const struct shell_config *config);
void shell_free(struct shell *sh);

/* The settings, for `verbose`, `timer`, `page` to read and change. */
struct shell_config *shell_config(struct shell *sh);
/* Is more to be said: by the setting, or by -verbose on the command being run (or on the `load`
 * around it)? */
bool shell_is_verbose(const struct shell *sh);
const struct shell_host *shell_host(const struct shell *sh);
/* The store's history file is known only later (store use): switches to it. */
void shell_set_history_file(struct shell *sh, const char *path);

/*
 * Runs one command given as words. Prints its output and its error. Returns the exit status. At the
 * prompt (shell_is_prompt) command words may be abbreviated to a unique prefix, elsewhere not.
 */
int shell_exec(struct shell *sh, size_t n, const char *const *words);

/* Runs a script (continuations, comments); stops at the first error, printing "FILE:LINE: " before
 * it. Nested calls print the chain: the inner file and line, then "loaded from OUTER:LINE". Returns
 * the exit status. */
int shell_run_stream(struct shell *sh, FILE *in, const char *name);

/*
 * shell_run_stream() for the command `load`. When a line of the script fails, that has been
 * printed, and *err carries its code; under -json also its text, for the envelope of `load` itself.
 */
int shell_load(struct shell *sh, const char *path, struct err *err);

/* The prompt: line editor, history, completion. Returns the status of the last command, as ksh
 * does. */
int shell_run_prompt(struct shell *sh);

bool shell_is_prompt(const struct shell *sh);
/* The line of the command being run, quoted where needed, values of secret options masked: what a
 * plan remembers as "typed". Without the program's own flags. "" when none runs. */
const char *shell_command_line(const struct shell *sh);
bool shell_wants_quit(const struct shell *sh);

/* Completion without a terminal: candidates (whole words) for the end of `line`; for `complete` and
 * for tests. */
void shell_complete(struct shell *sh, const char *line,
                    void (*add)(void *arg, const char *word, const char *meaning), void *arg);

/* `help [words]`: text into out's table; used by the help command. See cli/help.h for manual and
 * schema. */

/*
 * Ctrl-C. SIGINT never kills the shell: while a command runs it is counted. A command that waits
 * asks shell_interrupts() (how many since the command began) and lets waits end early by
 * shell_pause().
 */
int shell_interrupts(void);
/* Sleeps up to ms; returns early, with true, when a SIGINT arrives. */
bool shell_pause(int ms);

/*
 * Progress on a terminal (stderr): replaces the present progress line; NULL clears it. Nothing
 * happens when stderr is no terminal or under -json, -quiet.
 */
void shell_progress(struct shell *sh, const char *line);
