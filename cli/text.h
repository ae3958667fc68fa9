/* Text on a terminal: how wide it is, and how it is cut and wrapped. Widths are in columns; locale:
 * LC_CTYPE. */
#pragma once

#include <stddef.h>

struct buf;

/* Columns of the first len bytes of s; an invalid byte counts as one, a control character as none.
 */
size_t text_width_n(const char *s, size_t len);
size_t text_width(const char *s);

/* Bytes of the longest beginning of s that is at most that many columns wide. */
size_t text_fit(const char *s, size_t columns);

/* Appends s, cut to at most that many columns ("..." at the end shows a cut). */
void text_cut(struct buf *out, const char *s, size_t columns);

/*
 * Appends text in lines of at most width columns, each indented. Paragraphs (separated by an empty
 * line) stay apart; words are never cut. Lines that begin with a blank in the source are kept as
 * they are.
 */
void text_wrap(struct buf *out, const char *text, size_t indent, size_t width);

/* Blanks. */
void text_pad(struct buf *out, size_t n);
