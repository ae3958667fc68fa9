/* Candidates of a completion: how they are written into the line, and how they are listed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct arena;
struct completion;

/*
 * The word as it is to stand in the line: in the quotes it was begun in, or in quotes where it
 * needs them. When not closed, the quotes stay open: more of the word is to come.
 */
const char *candidate_written(struct arena *a, const char *word, char quote, bool closed);

/*
 * Lists them below the line: with meanings one per line, without in columns, cut to the terminal.
 * What would scroll away is only counted. Without candidates the hint is shown.
 */
void candidates_print(FILE *out, const struct completion *c, size_t columns, size_t rows);
