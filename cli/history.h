/* The lines typed at the prompt: the latest in memory, and in a file (0600) that grows line by
 * line. */
#pragma once

#include <stddef.h>

#include "kvsh/err.h"
#include "kvsh/out.h"

struct shell;

#define HISTORY_KEEP 1000

struct line_history {
    char **lines; /* oldest first */
    size_t n;
    size_t keep;         /* how many, when it is opened; 0: HISTORY_KEEP */
    char *path;          /* NULL: memory only */
    unsigned generation; /* changes whenever lines other than the newest do */
};

/* Forgets the lines and reads those of path (NULL: none). A file that is not there yet is no error.
 */
int line_history_open(struct line_history *h, const char *path, struct err *err);
void line_history_release(struct line_history *h);

/*
 * Keeps a line that is not empty and not the same as the one before. The line is kept in memory
 * even when -1 says that it could not be written.
 */
int line_history_add(struct line_history *h, const char *line, struct err *err);

/* For the command `history`: the last n lines with their numbers; n 0: all. */
extern const struct out_table history_table;
void history_fill(struct shell *sh, size_t last, struct out *out);
