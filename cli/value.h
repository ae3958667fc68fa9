/* One option's value: from a word to the type the option declares. */
#pragma once

#include "kvsh/cmd.h"
#include "kvsh/err.h"

struct arena;

/* Checks the word and stores it in the member. ERR_INPUT naming the option and what it takes. */
int value_set(const struct opt *opt, void *member, const char *word, struct arena *a,
              struct err *err);

/* What the option takes, for the synopsis: its own word, its choices or one by type; "" for a flag.
 */
const char *value_placeholder(const struct opt *opt, struct arena *a);

/* What the option takes, as a sentence part: "a whole number from 1 to 20"; NULL when any text will
 * do. */
const char *value_rule(const struct opt *opt, struct arena *a);

/* The same in parentheses behind a meaning: " (a whole number from 1 to 20)"; "" when the
 * placeholder says it. */
const char *value_note(const struct opt *opt, struct arena *a);
