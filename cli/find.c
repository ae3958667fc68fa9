#include "cli/find.h"

#include <stdio.h>
#include <string.h>

#include "cli/suggest.h"
#include "kvsh/buf.h"

enum { LIST_TEXT_MAX = 380 }; /* of candidates in an advice */

void find_init(struct find *f, const struct cmd *const *cmds, bool abbreviate)
{
    *f = (struct find){.cmds = cmds, .abbreviate = abbreviate};
}

/* The name behind the words of path: "stop-service" for "plan"; NULL when name does not begin with
 * them. */
static const char *behind(const char *name, const char *path)
{
    size_t len = strlen(path);

    if (!name)
        return NULL;
    if (len == 0)
        return name;
    return strncmp(name, path, len) == 0 && name[len] == ' ' ? name + len + 1 : NULL;
}

bool find_is_below(const struct cmd *cmd, const char *path)
{
    return behind(cmd->name, path) || behind(cmd->alias, path);
}

void find_each_next(const struct find *f,
                    void (*each)(void *arg, const char *word, size_t len, const struct cmd *cmd,
                                 bool last),
                    void *arg)
{
    for (const struct cmd *const *c = f->cmds; *c; c++) {
        const char *names[] = {(*c)->name, (*c)->alias};

        for (int i = 0; i < 2 && !((*c)->needs & CMD_HIDDEN); i++) {
            const char *word = behind(names[i], f->path);
            size_t len = word ? strcspn(word, " ") : 0;

            if (len > 0)
                each(arg, word, len, *c, word[len] == '\0');
        }
    }
}

/* What one word can stand for behind the present path. */
struct matches {
    const struct shell_host *host;
    const char *typed;
    const char *exact; /* NUL or blank behind it, like the others */
    const char *prefix[16];
    size_t n; /* different words in prefix */
};

static bool same_word(const char *a, const char *b)
{
    size_t len = strcspn(a, " ");

    return len == strcspn(b, " ") && strncmp(a, b, len) == 0;
}

static void match_prefix(void *arg, const char *word, size_t len, const struct cmd *cmd, bool last)
{
    struct matches *m = arg;

    (void)last;
    if (m->host && m->host->available && !m->host->available(m->host->session, cmd))
        return;
    if (strlen(m->typed) > len || strncmp(word, m->typed, strlen(m->typed)) != 0)
        return;
    for (size_t i = 0; i < m->n; i++)
        if (same_word(m->prefix[i], word))
            return;
    if (m->n < sizeof m->prefix / sizeof *m->prefix)
        m->prefix[m->n++] = word;
}

/* Hidden commands are found by their full words only. */
static void match(const struct find *f, const char *typed, struct matches *m)
{
    *m = (struct matches){.host = f->host, .typed = typed};
    for (const struct cmd *const *c = f->cmds; *c; c++) {
        const char *names[] = {behind((*c)->name, f->path), behind((*c)->alias, f->path)};

        for (int i = 0; i < 2; i++)
            if (names[i] && same_word(names[i], typed) && !strchr(typed, ' '))
                m->exact = names[i];
    }
    if (*typed)
        find_each_next(f, match_prefix, m);
}

/* Appends the word to the path and looks whether that is a command. */
static void step(struct find *f, const char *word)
{
    size_t len = strlen(f->path);

    snprintf(f->path + len, sizeof f->path - len, "%s%.*s", len ? " " : "", (int)strcspn(word, " "),
             word);
    f->used++;
    f->cmd = NULL;
    for (const struct cmd *const *c = f->cmds; *c; c++)
        if (strcmp((*c)->name, f->path) == 0 || ((*c)->alias && strcmp((*c)->alias, f->path) == 0))
            f->cmd = *c;
}

static void list_add(struct buf *b, const char *word, size_t len)
{
    if (b->overflow)
        return;
    if (b->len + len + 2 > LIST_TEXT_MAX) {
        buf_adds(b, ", ...");
        b->overflow = true;
        return;
    }
    buf_addf(b, "%s%.*s", b->len ? ", " : "", (int)len, word);
}

static int error_ambiguous(const struct find *f, const struct matches *m, struct err *err)
{
    struct buf b;

    buf_init(&b, 0);
    for (size_t i = 0; i < m->n; i++)
        list_add(&b, m->prefix[i], strcspn(m->prefix[i], " "));
    err_set(err, ERR_USAGE, "\"%s%s%s\" is ambiguous", f->path, *f->path ? " " : "", m->typed);
    err_advise(err, "it may mean: %s", b.data);
    buf_release(&b);
    return -1;
}

/* Names that the words may have been meant for. */
struct corrections {
    char name[SUGGEST_MAX][FIND_NAME_MAX];
    size_t n;
};

static void corrections_add(struct corrections *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->name[i], name) == 0)
            return;
    if (c->n < SUGGEST_MAX)
        snprintf(c->name[c->n++], FIND_NAME_MAX, "%s", name);
}

struct near_words {
    struct suggest suggest;
    char words[256][FIND_NAME_MAX];
    size_t n;
};

static void near_add(void *arg, const char *word, size_t len, const struct cmd *cmd, bool last)
{
    struct near_words *w = arg;

    (void)cmd;
    (void)last;
    if (w->n == sizeof w->words / sizeof *w->words)
        return;
    snprintf(w->words[w->n], FIND_NAME_MAX, "%.*s", (int)len, word);
    suggest_add(&w->suggest, w->words[w->n++]);
}

/* Goes on from f with the nearest words wherever a word is wrong; what it comes to is a correction.
 */
static void correct(struct find f, size_t n, const char *const *words, struct corrections *c)
{
    struct near_words near = {.n = 0};
    struct matches m;

    while (!f.cmd && f.used < n) {
        match(&f, words[f.used], &m);
        if (!m.exact)
            break;
        step(&f, m.exact);
    }
    if (f.cmd || f.used == n) {
        corrections_add(c, f.path);
        return;
    }
    suggest_init(&near.suggest, words[f.used]);
    find_each_next(&f, near_add, &near);
    for (size_t i = 0; i < near.suggest.n; i++) {
        struct find next = f;

        step(&next, near.suggest.best[i]);
        correct(next, n, words, c);
    }
    if (c->n == 0 && *f.path)
        corrections_add(c, f.path);
}

/* "stop-service" alone: the commands whose last word is like it. */
static void correct_last_word(const struct find *f, const char *typed, struct corrections *c)
{
    struct suggest s;

    suggest_init(&s, typed);
    for (const struct cmd *const *cmd = f->cmds; *cmd; cmd++)
        if (!((*cmd)->needs & CMD_HIDDEN) && strrchr((*cmd)->name, ' '))
            suggest_add(&s, strrchr((*cmd)->name, ' ') + 1);
    for (size_t i = 0; i < s.n; i++)
        for (const struct cmd *const *cmd = f->cmds; *cmd; cmd++)
            if (strrchr((*cmd)->name, ' ') &&
                strcmp(strrchr((*cmd)->name, ' ') + 1, s.best[i]) == 0)
                corrections_add(c, (*cmd)->name);
}

static int error_unknown(const struct find *f, size_t n, const char *const *words, struct err *err)
{
    struct corrections c = {.n = 0};
    struct find full;
    struct err ignored = ERR_INIT;
    struct buf b;

    err_set(err, ERR_USAGE, "unknown command \"%s%s%s\"", f->path, *f->path ? " " : "",
            words[f->used]);
    find_init(&full, f->cmds, true);
    if (!f->abbreviate && find_words(&full, n, words, &ignored) == 0)
        return err_advise(err, "words may be shortened at the prompt only; write \"%s\"",
                          full.path);

    buf_init(&b, 0);
    correct(*f, n, words, &c);
    if (c.n > 0 && strcmp(c.name[0], f->path) == 0)
        c.n = 0;
    if (c.n == 0)
        correct_last_word(f, words[f->used], &c);
    for (size_t i = 0; i < c.n; i++)
        buf_addf(&b, "%s\"%s\"", i ? " or " : "", c.name[i]);
    if (c.n > 0)
        err_advise(err, "did you mean %s?", b.data);
    else
        err_advise(err, "\"help%s%s\" lists the commands", *f->path ? " " : "", f->path);
    buf_release(&b);
    return -1;
}

struct next_list {
    struct buf text;
    const char *last;
};

static void next_add(void *arg, const char *word, size_t len, const struct cmd *cmd, bool last)
{
    struct next_list *l = arg;

    (void)cmd;
    (void)last;
    if (!l->last || !same_word(l->last, word))
        list_add(&l->text, word, len);
    l->last = word;
}

static int error_incomplete(const struct find *f, struct err *err)
{
    struct next_list l = {.last = NULL};

    if (!*f->path)
        return err_set(err, ERR_USAGE, "a command begins with a word");
    buf_init(&l.text, 0);
    find_each_next(f, next_add, &l);
    err_set(err, ERR_USAGE, "\"%s\" needs another word", f->path);
    err_advise(err, "one of: %s", l.text.data);
    buf_release(&l.text);
    return -1;
}

int find_words(struct find *f, size_t n, const char *const *words, struct err *err)
{
    struct matches m;

    for (; f->used < n && *words[f->used] != '-'; step(f, m.exact)) {
        match(f, words[f->used], &m);
        if (f->cmd && !m.exact)
            return 0;
        if (!m.exact && f->abbreviate && m.n == 1)
            m.exact = m.prefix[0];
        if (!m.exact && f->abbreviate && m.n > 1)
            return error_ambiguous(f, &m, err);
        if (!m.exact)
            return error_unknown(f, n, words, err);
    }
    return f->cmd ? 0 : error_incomplete(f, err);
}
