/*
 * Completion: the real lexer, command finder and option parser run over the part of the line before
 * the cursor; what they would take next is what is offered. No second grammar.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kvsh/out.h"

struct arena;
struct shell;
struct shell_host;

struct candidate {
    const char *word;    /* whole, without quotes */
    const char *shown;   /* in a list: the same, or of a path the last part */
    const char *meaning; /* one line, or NULL */
    bool goes_on;        /* a directory: no blank behind it */
};

struct completion {
    struct candidate *items;
    size_t n;
    const char *typed; /* what of the word is there, without quotes */
    size_t start;      /* where that word begins in the line */
    char quote;        /* an unfinished quote in it, or '\0' */
    const char *hint;  /* what is expected here, when nothing can be listed; or NULL */
};

/*
 * Candidates for the end of line; words of commands may be abbreviated when abbreviate. Everything
 * lives in the arena. An impossible line has none.
 */
void complete_line(struct completion *c, const struct shell_host *host, bool abbreviate,
                   const char *line, struct arena *a);

/* Bytes that all candidates have in common at their beginning. */
size_t completion_common(const struct completion *c);

/* For the hidden command `complete`: its table and the function that fills it. */
extern const struct out_table complete_table;
void complete_fill(struct shell *sh, const char *line, struct out *out);
