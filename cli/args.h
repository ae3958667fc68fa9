/*
 * The words behind a command's name: checked against its options and filled into its options
 * struct.
 *
 * The parser takes one word at a time, so that completion can stop it at the cursor and ask what
 * may come.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kvsh/cmd.h"
#include "kvsh/err.h"

struct arena;

/* Options that every command has. */
struct common_opts {
    bool json;
    bool quiet;
    bool verbose;
    bool help;
};
extern const struct opt common_options[];

/* One option of the command, those of groups included. */
struct arg {
    const struct opt *opt;
    const struct opt *table; /* the array it stands in: numbers of one_of belong to it */
    void *member;            /* of the options struct being filled */
    size_t given;            /* how many values, or 1 for a flag */
};

struct args {
    const struct cmd *cmd;
    struct arena *arena;
    void *options; /* cmd->options_size bytes, to be handed to cmd->run() */
    struct common_opts common;
    struct arg *list; /* in the order of declaration, common options last */
    size_t n;
    struct arg *awaiting; /* the next word is its value */
    struct arg *rest;     /* it takes all further words */
};

/* Everything lives in the arena; words are borrowed. */
void args_init(struct args *p, const struct cmd *cmd, struct arena *a);
/* ERR_USAGE: an option that does not exist, is repeated or excludes another; ERR_INPUT: a bad
 * value. */
int args_word(struct args *p, const char *word, struct err *err);
/* After the last word: a missing value or a missing required option is ERR_USAGE. */
int args_end(struct args *p, struct err *err);

/* All of the above; stops early, with 0, once -help was given. */
int args_parse(struct args *p, const struct cmd *cmd, size_t n, const char *const *words,
               struct arena *a, struct err *err);

/* The positional option that the next plain word goes to; NULL: none is left. */
struct arg *args_next_positional(const struct args *p);
/* May the option (still) be given: not given yet or repeatable, and excluded by no other? */
bool args_may_give(const struct args *p, const struct arg *arg);
/* Is this word written like an option: -name or --name? */
bool args_is_option(const char *word);

/* Called for each option of the table and of its groups; offset is within the command's options
 * struct. */
void opt_each(const struct opt *table, size_t offset,
              void (*each)(void *arg, const struct opt *opt, const struct opt *table,
                           size_t offset),
              void *arg);
