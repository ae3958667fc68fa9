#include "cli/complete.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/args.h"
#include "cli/find.h"
#include "cli/lexer.h"
#include "cli/synopsis.h"
#include "cli/value.h"
#include "kvsh/mem.h"
#include "kvsh/shell.h"

enum { FILES_MAX = 20000 }; /* a directory's names beyond these are not offered */

struct completer_state {
    struct completion *c;
    const struct shell_host *host;
    bool abbreviate;
    struct arena *arena;
    const struct words *except; /* values given already; or NULL */
};

static void add(struct completer_state *s, const char *word, const char *meaning)
{
    struct candidate *item;

    if (strncmp(word, s->c->typed, strlen(s->c->typed)) != 0)
        return;
    for (size_t i = 0; s->except && i < s->except->n; i++)
        if (strcmp(s->except->v[i], word) == 0)
            return;
    item = ARENA_PUSH(s->arena, s->c->items, s->c->n);
    item->word = item->shown = arena_strdup(s->arena, word);
    item->meaning = meaning;
}

static void add_live(void *arg, const char *candidate)
{
    add(arg, candidate, NULL);
}

/* --- words of commands --- */

/* The next words of commands: several commands below one word ("plan") are one candidate. */
struct next_word {
    const char *word;
    size_t len;
    const char *meaning; /* of the command that ends there */
    size_t below;        /* commands that go on behind it */
};

struct next_words {
    struct completer_state *state;
    struct next_word *list;
    size_t n;
};

static void next_word_add(void *arg, const char *word, size_t len, const struct cmd *cmd, bool last)
{
    struct next_words *w = arg;
    const struct shell_host *host = w->state->host;
    struct next_word *entry = NULL;

    if (host->available && !host->available(host->session, cmd))
        return;
    for (size_t i = 0; i < w->n && !entry; i++)
        if (w->list[i].len == len && strncmp(w->list[i].word, word, len) == 0)
            entry = &w->list[i];
    if (!entry)
        entry = ARENA_PUSH(w->state->arena, w->list, w->n);
    entry->word = word;
    entry->len = len;
    if (last)
        entry->meaning = cmd->summary;
    else
        entry->below++;
}

static void add_next_words(struct completer_state *s, const struct find *f)
{
    struct next_words w = {.state = s};

    find_each_next(f, next_word_add, &w);
    for (size_t i = 0; i < w.n; i++) {
        const struct next_word *e = &w.list[i];
        const char *meaning = e->meaning;

        if (!meaning)
            meaning = arena_printf(s->arena, "%zu command%s", e->below, e->below == 1 ? "" : "s");
        add(s, arena_strndup(s->arena, e->word, e->len), meaning);
    }
}

/* The words of `help`: what may stand behind those given already. */
static void add_commands(struct completer_state *s, const struct words *given)
{
    struct find f;
    struct err ignored = ERR_INIT;

    find_init(&f, s->host->cmds, s->abbreviate);
    f.host = s->host;
    if (find_words(&f, given->n, given->v, &ignored) < 0 && f.used < given->n)
        return;
    add_next_words(s, &f);
}

/* --- files --- */

static int by_word(const void *a, const void *b)
{
    return strcmp(((const struct candidate *)a)->word, ((const struct candidate *)b)->word);
}

static bool is_directory(const char *path, const struct dirent *e)
{
    struct stat st;

    if (e->d_type != DT_UNKNOWN && e->d_type != DT_LNK)
        return e->d_type == DT_DIR;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void add_file(struct completer_state *s, const char *dir, const char *shown_dir,
                     const struct dirent *e)
{
    bool is_dir = is_directory(arena_printf(s->arena, "%s/%s", dir, e->d_name), e);
    size_t before = s->c->n;

    add(s, arena_printf(s->arena, "%s%s%s", shown_dir, e->d_name, is_dir ? "/" : ""), NULL);
    if (s->c->n == before)
        return;
    s->c->items[before].goes_on = is_dir;
    s->c->items[before].shown += strlen(shown_dir);
}

static void add_files(struct completer_state *s)
{
    const char *slash = strrchr(s->c->typed, '/');
    const char *shown_dir =
        slash ? arena_strndup(s->arena, s->c->typed, (size_t)(slash - s->c->typed) + 1) : "";
    const char *base = slash ? slash + 1 : s->c->typed;
    const char *home = getenv("HOME");
    const char *dir = *shown_dir ? shown_dir : ".";
    const struct dirent *e;
    DIR *d;

    if (strncmp(shown_dir, "~/", 2) == 0 && home)
        dir = arena_printf(s->arena, "%s%s", home, shown_dir + 1);
    d = opendir(dir);
    if (!d)
        return;
    while ((e = readdir(d)) != NULL && s->c->n < FILES_MAX) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if ((e->d_name[0] == '.' && *base != '.') || strncmp(e->d_name, base, strlen(base)) != 0)
            continue;
        add_file(s, dir, shown_dir, e);
    }
    closedir(d);
    if (s->c->n > 1)
        qsort(s->c->items, s->c->n, sizeof *s->c->items, by_word);
}

/* --- options and their values --- */

static const char *hint_of(const struct opt *opt, struct arena *a)
{
    return arena_printf(a, "%s: %s%s", synopsis_option(opt, a), opt->meaning, value_note(opt, a));
}

static void add_values(struct completer_state *s, const struct arg *arg)
{
    const struct opt *opt = arg->opt;

    s->c->hint = hint_of(opt, s->arena);
    for (const char *const *choice = opt->choices; choice && *choice; choice++)
        add(s, *choice, NULL);
    if (opt->type == OPT_TYPE_FILE) {
        add_files(s);
    } else if (opt->complete == COMPLETE_COMMAND) {
        static const struct words none;

        add_commands(s, opt->type == OPT_TYPE_LIST || opt->type == OPT_TYPE_REST ? arg->member
                                                                                 : &none);
    } else if (opt->complete != COMPLETE_NONE && s->host->complete) {
        s->except = opt->type == OPT_TYPE_LIST ? arg->member : NULL;
        s->host->complete(s->host->session, opt->complete, add_live, s);
        s->except = NULL;
    }
}

static bool is_common(const struct opt *opt)
{
    for (const struct opt *o = common_options; o->type != OPT_TYPE_END; o++)
        if (o == opt)
            return true;
    return false;
}

/* The common ones would drown the command's own: they come when a dash was typed. */
static void add_options(struct completer_state *s, const struct args *p)
{
    const char *dashes = strncmp(s->c->typed, "--", 2) == 0 ? "--" : "-";

    for (size_t i = 0; i < p->n; i++) {
        const struct opt *opt = p->list[i].opt;

        if (opt->flags & (OPT_HIDDEN | OPT_POSITIONAL) || !args_may_give(p, &p->list[i]))
            continue;
        if (is_common(opt) && !*s->c->typed)
            continue;
        add(s, arena_printf(s->arena, "%s%s", dashes, opt->name), opt->meaning);
    }
}

static void complete_args(struct completer_state *s, const struct cmd *cmd, size_t n,
                          const char *const *words)
{
    struct args p;
    struct err ignored = ERR_INIT;
    const struct arg *positional;

    args_init(&p, cmd, s->arena);
    for (size_t i = 0; i < n; i++)
        if (args_word(&p, words[i], &ignored) < 0)
            return;
    if (p.rest || p.awaiting) {
        add_values(s, p.rest ? p.rest : p.awaiting);
        return;
    }
    positional = args_next_positional(&p);
    if (positional && *s->c->typed != '-')
        add_values(s, positional);
    if (!*s->c->typed || *s->c->typed == '-')
        add_options(s, &p);
}

static void complete_words(struct completer_state *s, size_t n, const char *const *words)
{
    struct find f;
    struct err ignored = ERR_INIT;
    const char *first = n > 0 ? words[0] : s->c->typed;

    if (*first == '-' && s->host->program) {
        complete_args(s, s->host->program, n, words);
        return;
    }
    find_init(&f, s->host->cmds, s->abbreviate);
    f.host = s->host;
    if (find_words(&f, n, words, &ignored) == 0)
        complete_args(s, f.cmd, n - f.used, words + f.used);
    if (f.used == n)
        add_next_words(s, &f);
}

void complete_line(struct completion *c, const struct shell_host *host, bool abbreviate,
                   const char *line, struct arena *a)
{
    struct completer_state s = {.c = c, .host = host, .abbreviate = abbreviate, .arena = a};
    struct err ignored = ERR_INIT;
    const struct word *last;
    const char **words;
    struct line l;
    size_t n, at;

    *c = (struct completion){.typed = "", .start = strlen(line)};
    if (line_split(&l, line, a, &at, &ignored) < 0 || l.in_comment || l.continues)
        return;
    n = l.tail.n;
    if (l.in_word) {
        last = &l.tail.words[--n];
        c->typed = last->text;
        c->start = last->start;
        c->quote = l.quote;
    }
    words = arena_alloc(a, (n + 1) * sizeof *words);
    for (size_t i = 0; i < n; i++)
        words[i] = l.tail.words[i].text;
    complete_words(&s, n, words);
    if (c->n > 0)
        c->hint = NULL;
}

size_t completion_common(const struct completion *c)
{
    size_t len = c->n > 0 ? strlen(c->items[0].word) : 0;

    for (size_t i = 1; i < c->n; i++) {
        size_t same = 0;

        while (same < len && c->items[i].word[same] == c->items[0].word[same])
            same++;
        len = same;
    }
    while (c->n > 0 && len > 0 &&
           (c->items[0].word[len] & 0xc0) == 0x80) /* not within a character */
        len--;
    if (len == 1 && c->items[0].word[0] == '-') /* says only that options follow */
        return 0;
    return len;
}

/* --- the hidden command --- */

static const struct out_col complete_cols[] = {
    {"word", "WORD", OUT_STR, "a whole word that may stand at the end of the line"},
    {"meaning", "MEANING", OUT_STR, "what it is, where that is known"},
    {0},
};

const struct out_table complete_table = {
    .key = "candidates",
    .cols = complete_cols,
    .text = "{word}{?meaning|\t{meaning}}",
};

static void fill_row(void *arg, const char *word, const char *meaning)
{
    struct out_row *row = out_row(arg, &complete_table);

    out_str(row, "word", word);
    out_str(row, "meaning", meaning);
}

void complete_fill(struct shell *sh, const char *line, struct out *out)
{
    shell_complete(sh, line, fill_row, out);
}
