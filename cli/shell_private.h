/* The inside of struct shell, for the files of cli/ that make it up. */
#pragma once

#include "cli/args.h"
#include "cli/history.h"
#include "kvsh/shell.h"

struct editor;

/* Where lines come from, the innermost first. */
struct source {
    const char *name; /* of a script; NULL: the prompt */
    size_t line;      /* of the command being run, from 1 */
    size_t depth;     /* scripts around this one */
    struct source *outer;
};

struct shell {
    struct shell_host host;
    struct shell_config config;
    struct line_history history;
    struct source *source;    /* NULL: commands come as words */
    struct common_opts flags; /* of the command being run and of those that loaded it */
    char *command_line;       /* of the command being run; NULL: none */
    struct err failure;       /* of the last command that failed, for whoever loaded it */
    char *failure_position;   /* where that was: "FILE:LINE", or NULL */
    bool failure_shown; /* and has been printed in full, by a script within the command being run */
    bool quit;
    bool paging;      /* a pager has the terminal */
    bool in_progress; /* a progress line stands on the terminal */
};

/* Is the command being run, or the shell as a whole, to give JSON? */
bool shell_gives_json(const struct shell *sh);

/* Reports an error that belongs to no command; operation stands in for its name in JSON. Returns
 * the exit status. */
int shell_report(struct shell *sh, const char *operation, const struct err *err);

/*
 * Runs the commands of a complete line (continuations in it) whose first physical line is number
 * `first` of sh->source. Stops at the first that fails. Returns the exit status of the last one.
 */
int shell_run_line(struct shell *sh, const char *text, size_t first);
