#include "cli/lexer.h"

#include <string.h>

#include "kvsh/buf.h"
#include "kvsh/mem.h"

struct lexer {
    const char *text;
    size_t pos;
    struct arena *arena;
    struct line *line;
    struct buf word; /* the one being read */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_blank_or_end(char c)
{
    return c == '\0' || is_blank(c);
}

struct line_position line_position(const char *text, size_t at)
{
    struct line_position p = {1, 1};

    for (size_t i = 0; i < at && text[i]; i++) {
        if (text[i] == '\n') {
            p.line++;
            p.column = 1;
        } else if ((text[i] & 0xc0) != 0x80) {
            p.column++;
        }
    }
    return p;
}

/* Behind a backslash: is this the end of a line (or of the text)? Returns the bytes to skip, 0 when
 * not. */
static size_t line_end(const char *s)
{
    size_t n = s[0] == '\r' ? 1 : 0;

    if (s[n] == '\n')
        return n + 1;
    return s[n] == '\0' ? n : 0;
}

static bool at_line_end(const char *s)
{
    return line_end(s) > 0 || *s == '\0';
}

/* At a backslash that ends a line: skips both. */
static void skip_join(struct lexer *l)
{
    l->pos++;
    l->line->continues = l->text[l->pos + line_end(l->text + l->pos)] == '\0';
    l->pos += line_end(l->text + l->pos);
}

static bool is_join(const struct lexer *l)
{
    return l->text[l->pos] == '\\' && at_line_end(l->text + l->pos + 1);
}

/* A ';' separates where it touches a blank or an end; "a;b" stays a word. */
static bool is_separator(const struct lexer *l, bool word_begins)
{
    return l->text[l->pos] == ';' && (word_begins || is_blank_or_end(l->text[l->pos + 1]));
}

static int escape(struct lexer *l, struct err *err)
{
    static const char from[] = "\"\\nt", to[] = "\"\\\n\t";
    char c = l->text[l->pos + 1];
    const char *p = c ? strchr(from, c) : NULL;

    if (!p)
        return err_set(err, ERR_USAGE, "unknown escape \"\\%.*s\" in column %zu",
                       (unsigned char)c < 0x80 ? 1 : 0, &l->text[l->pos + 1],
                       line_position(l->text, l->pos).column);
    buf_addc(&l->word, to[p - from]);
    l->pos += 2;
    return 0;
}

/* At an opening quote: reads up to the closing one, or to the end of the line it cannot cross. */
static int quoted(struct lexer *l, struct err *err)
{
    char quote = l->text[l->pos];
    size_t open = l->pos++;

    for (;;) {
        char c = l->text[l->pos];

        if (c == quote) {
            l->pos++;
            return 0;
        }
        if (c == '\0' || c == '\n') {
            l->line->quote = quote;
            l->line->quote_open = open;
            return 0;
        }
        if (quote == '"' && is_join(l)) {
            skip_join(l);
        } else if (quote == '"' && c == '\\') {
            if (escape(l, err) < 0)
                return -1;
        } else {
            buf_addc(&l->word, c);
            l->pos++;
        }
    }
}

/* Reads one word into the tail. */
static int word(struct lexer *l, struct err *err)
{
    struct line_command *tail = &l->line->tail;
    struct word *w = ARENA_PUSH(l->arena, tail->words, tail->n);

    w->start = l->pos;
    buf_clear(&l->word);
    while (!is_blank_or_end(l->text[l->pos]) && !is_separator(l, false)) {
        char c = l->text[l->pos];

        if (is_join(l)) {
            skip_join(l);
        } else if (c == '"' || c == '\'') {
            if (quoted(l, err) < 0)
                return -1;
            if (l->line->quote)
                break;
        } else {
            buf_addc(&l->word, c);
            l->pos++;
        }
    }
    w->end = l->pos;
    w->text = arena_strndup(l->arena, l->word.data, l->word.len);
    l->line->in_word = l->text[l->pos] == '\0';
    return 0;
}

static void command_end(struct lexer *l)
{
    struct line *line = l->line;

    if (line->tail.n > 0)
        *ARENA_PUSH(l->arena, line->commands, line->n) = line->tail;
}

static int split(struct lexer *l, struct err *err)
{
    struct line *line = l->line;

    while (l->text[l->pos]) {
        char c = l->text[l->pos];

        if (line->in_comment && c != '\n') {
            l->pos++;
        } else if (is_blank(c)) {
            line->in_comment = false;
            l->pos++;
        } else if (is_join(l)) {
            skip_join(l);
        } else if (c == '#') {
            line->in_comment = true;
        } else if (is_separator(l, true)) {
            command_end(l);
            line->tail = (struct line_command){0};
            l->pos++;
        } else if (word(l, err) < 0) {
            return -1;
        } else if (line->quote) {
            break;
        }
    }
    command_end(l);
    return 0;
}

int line_split(struct line *line, const char *text, struct arena *a, size_t *at, struct err *err)
{
    struct lexer l = {.text = text, .arena = a, .line = line};
    int ret;

    *line = (struct line){0};
    buf_init(&l.word, 0);
    ret = split(&l, err);
    *at = line->quote ? line->quote_open : l.pos;
    buf_release(&l.word);
    return ret;
}

int line_parse(struct line *line, const char *text, struct arena *a, size_t *at, struct err *err)
{
    if (line_split(line, text, a, at, err) < 0)
        return -1;
    if (line->quote)
        return err_set(err, ERR_USAGE, "unterminated %s quote in column %zu",
                       line->quote == '"' ? "double" : "single", line_position(text, *at).column);
    return 0;
}

bool line_continues(const char *text)
{
    struct err ignored = ERR_INIT;
    struct arena a = {0};
    struct line line;
    bool more;
    size_t at;

    more = line_split(&line, text, &a, &at, &ignored) == 0 && line.continues;
    arena_release(&a);
    return more;
}

const char *line_quote(struct arena *a, const char *text)
{
    struct buf b;
    const char *quoted_text;

    if (*text && *text != '#' && !text[strcspn(text, " \t\r\n\"'\\;")])
        return text;
    buf_init(&b, 0);
    buf_addc(&b, '"');
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\')
            buf_addc(&b, '\\');
        if (*p == '\n')
            buf_adds(&b, "\\n");
        else if (*p == '\t')
            buf_adds(&b, "\\t");
        else
            buf_addc(&b, *p);
    }
    buf_addc(&b, '"');
    quoted_text = arena_strdup(a, b.data);
    buf_release(&b);
    return quoted_text;
}
