/* Secrets typed as values of OPT_SECRET options: they are not to be kept. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kvsh/cmd.h"

/*
 * Whether the word behind `before` is such a value: `before` names a secret option of any command,
 * so that a mistyped command gives nothing away either.
 */
bool mask_hides_next(const struct cmd *const *cmds, const char *before);

/* The line with secrets replaced, for the history; free() it. NULL when it cannot be told where a
 * secret ends. */
char *mask_line(const struct cmd *const *cmds, const char *line);

/* The words as a line, quoted where needed, secrets replaced; free() it. */
char *mask_words(const struct cmd *const *cmds, size_t n, const char *const *words);
