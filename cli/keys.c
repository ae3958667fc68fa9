#include "cli/keys.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/interrupt.h"
#include "kvsh/buf.h"
#include "kvsh/mem.h"

enum {
    SEQUENCE_MS = 100, /* bytes of one key come together; a lone ESC is the key itself */
    PASTE_LIMIT = 1 << 20,
};

#define PASTE_BEGIN "\033[200~"
#define PASTE_END "\033[201~"

void keys_init(struct keys *k, int fd, bool bracketed)
{
    *k = (struct keys){.fd = fd, .bracketed = bracketed};
}

void keys_release(struct keys *k)
{
    keys_discard(k);
}

void keys_discard(struct keys *k)
{
    free(k->paste);
    k->paste = NULL;
    k->paste_len = k->paste_pos = 0;
    k->queued = 0;
}

/* Waits for input. 1: there is some; 0: none within ms; -1: reading is to end. */
static int wait_input(struct keys *k, int ms)
{
    struct pollfd p[] = {{.fd = k->fd, .events = POLLIN}, {.fd = interrupt_fd(), .events = POLLIN}};

    for (;;) {
        int n = poll(p, 2, ms);

        if (n < 0 && errno != EINTR)
            return -1;
        if (n < 0 || (n > 0 && p[1].revents))
            interrupt_drain();
        /* Asked every time: a signal that came while poll() returned was handled before it did. */
        k->on_signal(k->arg);
        if (k->stop(k->arg))
            return -1;
        if (n == 0 || (n > 0 && p[0].revents))
            return n > 0;
    }
}

/* One byte from the terminal: 1, 0 (the end, or none within ms), -1. */
static int read_byte(struct keys *k, int ms, unsigned char *byte)
{
    for (;;) {
        int ready = wait_input(k, ms);
        ssize_t n;

        if (ready <= 0)
            return ready;
        n = read(k->fd, byte, 1);
        if (n >= 0)
            return (int)n;
        if (errno != EINTR && errno != EAGAIN)
            return 0; /* a terminal that hung up */
    }
}

/* The same, what was read ahead first. */
static int next_byte(struct keys *k, int ms, unsigned char *byte)
{
    if (k->queued == 0)
        return read_byte(k, ms, byte);
    *byte = k->queue[0];
    memmove(k->queue, k->queue + 1, --k->queued);
    return 1;
}

/* Text as it may be inserted: line ends are \n, a tab is a blank, other control characters are
 * dropped. */
static void paste_set(struct keys *k, const char *text, size_t len)
{
    mbstate_t state = {0};

    k->paste = xcalloc(len + 1, sizeof *k->paste);
    for (size_t i = 0; i < len;) {
        wchar_t c;
        size_t n = mbrtowc(&c, text + i, len - i, &state);

        if (n == 0 || n == (size_t)-1 || n == (size_t)-2) {
            state = (mbstate_t){0};
            i++;
            continue;
        }
        i += n;
        if (c == L'\r') {
            c = L'\n';
            i += i < len && text[i] == '\n';
        }
        if (c == L'\t')
            c = L' ';
        if (c == L'\n' || !(c < L' ' || (c >= 0x7f && c < 0xa0)))
            k->paste[k->paste_len++] = c;
    }
}

/* Behind ESC [200~: everything up to ESC [201~. */
static int read_paste(struct keys *k)
{
    struct buf text;
    unsigned char byte;
    int got;

    buf_init(&text, PASTE_LIMIT);
    while ((got = next_byte(k, -1, &byte)) > 0) {
        size_t end = strlen(PASTE_END);

        buf_addc(&text, (char)byte);
        if (text.overflow ||
            (text.len >= end && strcmp(text.data + text.len - end, PASTE_END) == 0))
            break;
    }
    if (got > 0)
        paste_set(k, text.data, text.len - (text.overflow ? 0 : strlen(PASTE_END)));
    buf_release(&text);
    return got;
}

/* At ESC: is it the beginning of a paste? If not, all that was read ahead stays in the queue. */
static int begins_paste(struct keys *k, bool *yes)
{
    size_t matched = 1;

    *yes = false;
    while (matched < strlen(PASTE_BEGIN)) {
        unsigned char byte;
        int got;

        if (matched - 1 < k->queued) {
            byte = k->queue[matched - 1];
        } else {
            got = read_byte(k, SEQUENCE_MS, &byte);
            if (got <= 0)
                return got;
            k->queue[k->queued++] = byte;
        }
        if (byte != (unsigned char)PASTE_BEGIN[matched])
            return 0;
        matched++;
    }
    k->queued = 0;
    *yes = true;
    return 0;
}

/* The rest of a character that begins with byte. Broken bytes are skipped. */
static int decode(struct keys *k, unsigned char byte, wchar_t *c)
{
    mbstate_t state = {0};
    int got = 1;

    for (int i = 0; i < MB_LEN_MAX && got > 0; i++) {
        size_t n = mbrtowc(c, (const char *)&byte, 1, &state);

        if (n == 0 || n == 1)
            return 1;
        if (n == (size_t)-1)
            state = (mbstate_t){0};
        got = next_byte(k, -1, &byte);
    }
    *c = L' ';
    return got;
}

int keys_next(struct keys *k, wchar_t *c)
{
    unsigned char byte;
    bool pasted;
    int got;

    if (k->paste_pos < k->paste_len) {
        bool enter = k->paste[k->paste_pos] == L'\n';

        k->paste_pos += enter;
        *c = enter ? L'\n' : (wchar_t)KEYS_PASTE;
        return 1;
    }
    got = next_byte(k, -1, &byte);
    if (got <= 0)
        return got;
    if (byte == '\033' && k->bracketed) {
        if (begins_paste(k, &pasted) < 0)
            return -1;
        if (pasted) {
            keys_discard(k);
            got = read_paste(k);
            return got > 0 ? keys_next(k, c) : got;
        }
    }
    return decode(k, byte, c);
}

wchar_t *keys_paste_piece(struct keys *k)
{
    size_t len = 0, left = k->paste_len - k->paste_pos;
    wchar_t *piece;

    while (len < left && k->paste[k->paste_pos + len] != L'\n')
        len++;
    piece = xcalloc(len + 1, sizeof *piece);
    if (len > 0)
        wmemcpy(piece, k->paste + k->paste_pos, len);
    k->paste_pos += len;
    return piece;
}
