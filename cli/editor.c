#include "cli/editor.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include <histedit.h>

#include "cli/candidates.h"
#include "cli/complete.h"
#include "cli/history.h"
#include "cli/interrupt.h"
#include "cli/keys.h"
#include "cli/lexer.h"
#include "cli/mask.h"
#include "cli/shell_private.h"
#include "cli/terminal.h"
#include "kvsh/buf.h"
#include "kvsh/mem.h"

#define PROMPT "kv-> "
#define PROMPT_CONTINUED "  -> "
#define PASTE_ON "\033[?2004h"
#define PASTE_OFF "\033[?2004l"

struct editor {
    struct shell *sh;
    EditLine *el;
    History *recall;     /* libedit's copy of sh->history, for its keys */
    unsigned generation; /* of sh->history when it was copied */
    struct keys keys;
    struct buf *text; /* the lines before the one being edited, joined by newlines */
    bool terminated;
    bool history_failed; /* said once */
};

static struct editor *editor_of(EditLine *el)
{
    struct editor *e = NULL;

    el_get(el, EL_CLIENTDATA, &e);
    return e;
}

static char *prompt(EditLine *el)
{
    static char first[] = PROMPT, continued[] = PROMPT_CONTINUED;

    return editor_of(el)->text->len == 0 ? first : continued;
}

/* --- characters and signals --- */

static void on_signal(void *arg)
{
    struct editor *e = arg;

    if (interrupt_take(SIGWINCH))
        el_resize(e->el);
    if (interrupt_take(SIGCONT)) { /* somebody else had the terminal meanwhile */
        el_set(e->el, EL_PREP_TERM, 0);
        el_set(e->el, EL_PREP_TERM, 1);
        el_set(e->el, EL_REFRESH);
    }
    if (interrupt_take(SIGTERM) || interrupt_take(SIGHUP))
        e->terminated = true;
}

static bool should_stop(void *arg)
{
    return ((struct editor *)arg)->terminated || shell_interrupts() > 0;
}

static int get_char(EditLine *el, wchar_t *c)
{
    return keys_next(&editor_of(el)->keys, c);
}

static unsigned char insert_paste(EditLine *el, int ch)
{
    wchar_t *piece = keys_paste_piece(&editor_of(el)->keys);
    int ret = *piece ? el_winsertstr(el, piece) : 0;

    (void)ch;
    free(piece);
    return ret < 0 ? CC_ERROR : CC_REFRESH;
}

/* --- completion --- */

/* Replaces what stands before the cursor from byte `start` of the line on. */
static unsigned char replace(EditLine *el, const LineInfo *li, size_t start, const char *word)
{
    size_t typed = (size_t)(li->cursor - li->buffer) - start;
    mbstate_t state = {0};
    const char *s = li->buffer + start;
    size_t characters = mbsnrtowcs(NULL, &s, typed, 0, &state);

    if (characters == (size_t)-1)
        return CC_ERROR;
    if (typed == strlen(word) && strncmp(li->buffer + start, word, typed) == 0)
        return CC_ERROR;
    el_deletestr(el, (int)characters);
    return el_insertstr(el, word) < 0 ? CC_ERROR : CC_REFRESH;
}

/* As much as is certain is typed for the user; where nothing is, the candidates are listed. */
static unsigned char complete_at(EditLine *el, const LineInfo *li, const struct completion *c,
                                 size_t start, struct arena *a)
{
    size_t common = completion_common(c);

    if (c->n == 1) {
        const char *blank = c->items[0].goes_on ? "" : " ";
        const char *word = candidate_written(a, c->items[0].word, c->quote, !c->items[0].goes_on);

        return replace(el, li, start, arena_printf(a, "%s%s", word, blank));
    }
    if (common > strlen(c->typed)) {
        const char *part = arena_strndup(a, c->items[0].word, common);

        return replace(el, li, start, candidate_written(a, part, c->quote, false));
    }
    if (c->n == 0 && !c->hint)
        return CC_ERROR;
    candidates_print(stdout, c, terminal_columns(STDOUT_FILENO), terminal_rows(STDOUT_FILENO));
    /* The line is drawn anew below; CC_REDISPLAY would first wipe as many lines as the line itself
     * has. */
    el_set(el, EL_REFRESH);
    return CC_NORM;
}

static unsigned char complete_key(EditLine *el, int ch)
{
    struct editor *e = editor_of(el);
    const LineInfo *li = el_line(el);
    struct arena a = {0};
    struct completion c;
    size_t before = e->text->len;
    const char *line =
        arena_printf(&a, "%s%.*s", e->text->data, (int)(li->cursor - li->buffer), li->buffer);
    unsigned char ret = CC_ERROR;

    (void)ch;
    complete_line(&c, &e->sh->host, true, line, &a);
    if (c.start >= before) /* a word that began on an earlier line is out of reach */
        ret = complete_at(el, li, &c, c.start - before, &a);
    arena_release(&a);
    return ret;
}

/* --- history --- */

static void recall_add(struct editor *e, const char *line)
{
    HistEvent event;

    history(e->recall, &event, H_ENTER, line);
}

/* The shell's history file may have changed since the last line. */
static void recall_sync(struct editor *e)
{
    const struct line_history *h = &e->sh->history;
    HistEvent event;

    if (e->generation == h->generation)
        return;
    e->generation = h->generation;
    history(e->recall, &event, H_CLEAR);
    for (size_t i = 0; i < h->n; i++)
        recall_add(e, h->lines[i]);
}

/* Appends the line without its joints, as it could have been typed at once. */
static void join(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (text[0] == '\\' && text[1] == '\n')
            text++;
        else
            buf_addc(out, *text == '\n' ? ' ' : *text);
    }
}

static void keep(struct editor *e, const char *text)
{
    struct line_history *h = &e->sh->history;
    size_t before = h->n;
    struct err err = ERR_INIT;
    struct buf line;
    char *masked;

    buf_init(&line, 0);
    join(&line, text);
    masked = mask_line(e->sh->host.cmds, line.data);
    if (masked && line_history_add(h, masked, &err) < 0 && !e->history_failed) {
        e->history_failed = true;
        shell_report(e->sh, "history", &err);
    }
    if (h->n > before)
        recall_add(e, h->lines[h->n - 1]);
    free(masked);
    buf_release(&line);
}

/* --- the editor --- */

struct editor *editor_new(struct shell *sh)
{
    struct editor *e = xcalloc(1, sizeof *e);
    HistEvent event;

    e->sh = sh;
    e->generation = sh->history.generation - 1;
    keys_init(&e->keys, STDIN_FILENO, !terminal_is_dumb());
    e->keys.on_signal = on_signal;
    e->keys.stop = should_stop;
    e->keys.arg = e;
    e->recall = history_init();
    history(e->recall, &event, H_SETSIZE, sh->history.keep ? (int)sh->history.keep : HISTORY_KEEP);
    history(e->recall, &event, H_SETUNIQUE, 1);

    e->el = el_init("kvsh", stdin, stdout, stderr);
    el_set(e->el, EL_CLIENTDATA, e);
    el_set(e->el, EL_PROMPT, prompt);
    el_set(e->el, EL_EDITOR, "emacs");
    el_set(e->el, EL_HIST, history, e->recall);
    el_set(e->el, EL_GETCFN, get_char);
    /* libedit keeps a few bytes for each function added: it is done once. */
    el_set(e->el, EL_ADDFN, "kvsh-complete", "complete the word", complete_key);
    el_set(e->el, EL_ADDFN, "kvsh-paste", "insert what was pasted", insert_paste);
    el_source(e->el, NULL);
    /* "bind -v" in the user's file sets all keys anew, so these come after it. */
    el_set(e->el, EL_BIND, "^I", "kvsh-complete", NULL);
    el_wset(e->el, EL_BIND, (const wchar_t[]){KEYS_PASTE, 0}, L"kvsh-paste", NULL);
    el_wset(e->el, EL_BIND, L"-a", (const wchar_t[]){KEYS_PASTE, 0}, L"kvsh-paste", NULL);
    return e;
}

void editor_free(struct editor *e)
{
    if (!e)
        return;
    el_end(e->el);
    history_end(e->recall);
    keys_release(&e->keys);
    free(e);
}

static void bracketed_paste(const struct editor *e, bool on)
{
    if (!e->keys.bracketed)
        return;
    fputs(on ? PASTE_ON : PASTE_OFF, stdout);
    fflush(stdout);
}

/* One physical line. */
static enum editor_result read_physical(struct editor *e)
{
    const char *line;
    int len = 0;

    /* Before the prompt: a key pressed as soon as it is seen must not be echoed or taken by the
     * line discipline. */
    el_set(e->el, EL_PREP_TERM, 1);
    line = el_gets(e->el, &len);
    if (e->terminated)
        return EDITOR_TERMINATED;
    if (shell_interrupts() > 0)
        return EDITOR_INTERRUPTED;
    if (!line || len <= 0)
        return EDITOR_END;
    while (len > 0 && line[len - 1] == '\n')
        len--;
    buf_add(e->text, line, (size_t)len);
    return EDITOR_LINE;
}

static enum editor_result read_lines(struct editor *e)
{
    enum editor_result result = read_physical(e);

    while (result == EDITOR_LINE && line_continues(e->text->data)) {
        buf_addc(e->text, '\n');
        result = read_physical(e);
    }
    return result;
}

enum editor_result editor_line(struct editor *e, struct buf *text)
{
    enum editor_result result;

    e->text = text;
    buf_clear(text);
    recall_sync(e);
    if (shell_interrupts() >
        0) /* whoever stops a pasted command does not want the ones behind it */
        keys_discard(&e->keys);
    interrupt_reset();
    interrupt_watch(true);
    el_resize(e->el);
    bracketed_paste(e, true);
    result = read_lines(e);
    bracketed_paste(e, false);
    interrupt_watch(false);
    if (result == EDITOR_LINE) {
        keep(e, text->data);
        return result;
    }
    keys_discard(&e->keys);
    el_reset(e->el);
    fputs(result == EDITOR_INTERRUPTED ? "^C\n" : "\n", stdout);
    fflush(stdout);
    return result;
}
