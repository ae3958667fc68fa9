/*
 * What is computed from the table of commands: help, the manual page kvsh-commands(7), the bash
 * completion script and the JSON schema of a result.
 *
 * The commands that show these are a few lines each:
 *
 *     help       .tables = help_tables      help_fill(sh, words.n, words.v, out, err)
 *     complete   .tables = complete_table   complete_fill(sh, line, out)    cli/complete.h
 *     self-test  .tables = selftest_table   selftest_fill(cmds, out, err)   cli/selftest.h
 *     history    .tables = history_table    history_fill(sh, last, out)     cli/history.h
 *     load                                  shell_load(sh, path, err)       kvsh/shell.h
 *
 * The words of `help` are best declared as OPT_LIST with OPT_POSITIONAL and COMPLETE_COMMAND.
 */
#pragma once

#include <stddef.h>

#include "kvsh/cmd.h"
#include "kvsh/err.h"
#include "kvsh/out.h"

struct buf;
struct json;
struct shell;

extern const struct out_table *const help_tables[]; /* ends with NULL */

/* Without words: an overview; with the first words of commands: a list of them; with a command: all
 * about it. */
int help_fill(struct shell *sh, size_t n, const char *const *words, struct out *out,
              struct err *err);

/* All about one command as text of at most that many columns: NAME, SYNOPSIS, DESCRIPTION, OPTIONS,
 * EXAMPLES. */
void help_command_text(struct buf *out, const struct cmd *cmd, size_t width);

/* The manual page of all commands that are not hidden, in the man(7) macros. */
void help_man(struct buf *out, const struct cmd *const *cmds);

/* The bash completion script of the program, which asks its hidden command `complete`. */
void help_bash(struct buf *out, const struct cmd *program);

/* JSON schema (2020-12) of what the command gives under -json: the envelope with its returnValue.
 * The caller's to free. */
struct json *help_schema(const struct cmd *cmd);

/* "string", "integer", ...: what a cell of that type is in JSON. */
const char *help_json_type(enum out_type type);
