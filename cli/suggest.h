/* The names nearest to a mistyped one: for "did you mean", never for running a guess. */
#pragma once

#include <stddef.h>

#define SUGGEST_MAX 3

struct suggest {
    const char *typed;
    const char *best[SUGGEST_MAX]; /* borrowed from the caller, nearest first come */
    size_t n;
    unsigned distance; /* of those in best */
};

void suggest_init(struct suggest *s, const char *typed);
/* Considers one candidate; keeps it when no other is nearer and it is near at all. */
void suggest_add(struct suggest *s, const char *candidate);

/* Edits (insert, delete, replace, swap neighbours; case costs nothing) between a and b. */
unsigned edit_distance(const char *a, const char *b);
