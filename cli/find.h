/* From the words of a line to the command they name. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kvsh/cmd.h"
#include "kvsh/err.h"
#include "kvsh/shell.h"

#define FIND_NAME_MAX 96 /* longest command name, all words together */

/* How far words lead into the table of commands. */
struct find {
    const struct cmd *const *cmds; /* ends with NULL */
    bool abbreviate;               /* unique prefixes stand for the full word */
    /* What the present store cannot do does not make an abbreviation ambiguous; NULL: all counts.
     */
    const struct shell_host *host;
    char path[FIND_NAME_MAX]; /* the words so far, spelled out: "plan stop-service" */
    const struct cmd *cmd; /* the command of that name; NULL: path is only the beginning of names */
    size_t used;           /* words that made up path */
};

void find_init(struct find *f, const struct cmd *const *cmds, bool abbreviate);

/*
 * Takes words as long as they lead to a command (f->cmd, f->used). -1 and ERR_USAGE when they do
 * not: an unknown word, an ambiguous abbreviation (with the candidates), an abbreviation where none
 * is allowed (with the full form), or too few words; then f->path is the beginning that is right,
 * and the next word may be -help.
 */
int find_words(struct find *f, size_t n, const char *const *words, struct err *err);

/*
 * Calls each() for every name (aliases too) that goes on behind f->path: word is the next word of
 * it (not NUL-terminated, len bytes), cmd its command, last whether the name ends there. Hidden
 * commands are left out. A word is reported once per command.
 */
void find_each_next(const struct find *f,
                    void (*each)(void *arg, const char *word, size_t len, const struct cmd *cmd,
                                 bool last),
                    void *arg);

/* Does the name of cmd, or its alias, begin with all words of path ("" is the beginning of all)? */
bool find_is_below(const struct cmd *cmd, const char *path);
