/*
 * The line editor at the prompt (libedit): editing keys of emacs or vi as in the user's ~/.editrc,
 * history, completion with TAB, bracketed paste.
 */
#pragma once

struct buf;
struct editor;
struct shell;

enum editor_result {
    EDITOR_LINE,        /* a line was entered, with its continuations */
    EDITOR_INTERRUPTED, /* Ctrl-C: what was typed is thrown away */
    EDITOR_END,         /* Ctrl-D, or the terminal is gone */
    EDITOR_TERMINATED,  /* SIGTERM or SIGHUP */
};

struct editor *editor_new(struct shell *sh);
void editor_free(struct editor *e);

/* Reads one line into text (replacing what was there). The terminal is in its usual mode before and
 * after. */
enum editor_result editor_line(struct editor *e, struct buf *text);
