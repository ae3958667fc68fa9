/*
 * What the line editor reads from the terminal: characters, with pasted text taken out of the
 * stream.
 *
 * A terminal that was asked to (bracketed paste) sends pasted text between ESC [200~ and ESC [201~.
 * It is kept here and handed on piece by piece: KEYS_PASTE stands for "insert the next piece,
 * keys_paste_piece()", a newline between pieces is the Enter key. So a pasted line is run, the next
 * one stands at the next prompt, and an unfinished last line stays to be edited. No pasted byte is
 * ever taken for an editing key.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <wchar.h>

#define KEYS_PASTE 0x80 /* a C1 control: no key of a UTF-8 terminal sends it */

struct keys {
    int fd;
    bool bracketed;          /* look for pasted text */
    unsigned char queue[16]; /* read ahead and not handed on */
    size_t queued;
    wchar_t *paste; /* what was pasted and not handed on */
    size_t paste_len, paste_pos;
    void (*on_signal)(void *arg); /* called whenever reading has waited: a signal may have come */
    bool (*stop)(void *arg);      /* after that: should reading end? */
    void *arg;
};

void keys_init(struct keys *k, int fd, bool bracketed);
void keys_release(struct keys *k);

/* The next character: 1 and *c; 0 at the end of the input; -1 when stop() said so. */
int keys_next(struct keys *k, wchar_t *c);

/* After KEYS_PASTE: the piece to insert, up to the end of its line; free() it. */
wchar_t *keys_paste_piece(struct keys *k);

/* Throws away what was pasted and read ahead. */
void keys_discard(struct keys *k);
