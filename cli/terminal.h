/* What the terminal can do and how large it is; colour, pager and the progress line follow from
 * that. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* No cursor movements: TERM is unset, empty or "dumb". */
bool terminal_is_dumb(void);

/* Of the terminal behind fd; 80 by 24 when it does not say. */
size_t terminal_columns(int fd);
size_t terminal_rows(int fd);

/* Width for running text on stdout: at most `most`, less on a narrow terminal. */
size_t terminal_text_width(size_t most);

/* Colour on stream f when nobody asked for or against it: a terminal that is not dumb, and no
 * NO_COLOR. */
bool terminal_has_color(FILE *f);

/* Replaces the progress line on stderr, cut to the terminal's width; NULL clears it. */
void terminal_progress(const char *line);
