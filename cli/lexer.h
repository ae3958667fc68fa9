/*
 * The line language: text in, commands made of words out.
 *
 *   blanks         space, tab and carriage return separate words
 *   "..."          one word or part of one; \" \\ \n \t inside, any other \x is an error
 *   '...'          the same, everything inside literal
 *   #              at the beginning of a word: comment up to the end of the line
 *   ;              with a blank or the end of the line on either side: ends a command; within a
 *                  word: itself
 *   \              at the end of a line: joins the next line; elsewhere outside quotes: itself
 *
 * A quoted text ends on its line, unless a "..." line ends in a backslash. All other bytes,
 * non-ASCII ones too, pass through untouched.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kvsh/err.h"

struct arena;

struct word {
    const char *text; /* without quotes and escapes */
    size_t start;     /* where it stands in the line: offset of its first byte, quote included */
    size_t end;       /* and behind its last one */
};

struct line_command {
    struct word *words;
    size_t n;
};

struct line {
    struct line_command *commands; /* those with words */
    size_t n;
    /* The end of the text, for continuation and completion. */
    struct line_command tail; /* the command that the end of the text belongs to; may be empty */
    bool in_word;             /* the text ends inside the tail's last word */
    bool in_comment;
    bool continues;    /* ends in a backslash: the next line belongs to it */
    char quote;        /* ends inside quotes of this kind; '\0': outside */
    size_t quote_open; /* offset of that quote */
};

/*
 * Splits text, which may hold several joined physical lines (with the backslash and the newline
 * still in it). Everything lives in the arena. An open quote is no error here but line->quote, so
 * that completion can look at an unfinished line. On error, *at is the offset it was found at.
 */
int line_split(struct line *line, const char *text, struct arena *a, size_t *at, struct err *err);

/* As line_split() for a line that is complete: an open quote is an error. */
int line_parse(struct line *line, const char *text, struct arena *a, size_t *at, struct err *err);

/* Does the line go on in the next one? For whoever reads lines; an impossible line ends here. */
bool line_continues(const char *text);

/* Position of an offset: line and column from 1, the column in characters. */
struct line_position {
    size_t line;
    size_t column;
};
struct line_position line_position(const char *text, size_t at);

/* text as one word that line_split() reads back as the same: unchanged, or in quotes. */
const char *line_quote(struct arena *a, const char *text);
