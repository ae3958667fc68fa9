#include "cli/selftest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/find.h"
#include "cli/lexer.h"
#include "kvsh/mem.h"

struct check {
    const struct cmd *const *cmds;
    const struct cmd *cmd; /* the one being looked at */
    size_t index;          /* its place in cmds */
    struct arena arena;    /* of that one */
    size_t defects;
    void (*complain)(void *arg, const char *where, const char *what);
    void *arg;
};

static void complain(struct check *c, const char *option, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void complain(struct check *c, const char *option, const char *fmt, ...)
{
    const char *name = c->cmd->name && *c->cmd->name ? c->cmd->name : "(unnamed)";
    char what[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    c->defects++;
    c->complain(c->arg, option ? arena_printf(&c->arena, "%s -%s", name, option) : name, what);
}

/* --- texts and names --- */

/* One line, lower case at the beginning (an abbreviation may stand there: "ID of ..."), no full
 * stop. */
static void check_phrase(struct check *c, const char *option, const char *kind, const char *text)
{
    size_t len = text ? strlen(text) : 0;

    if (len == 0) {
        complain(c, option, "has no %s", kind);
        return;
    }
    if (strchr(text, '\n'))
        complain(c, option, "%s has more than one line", kind);
    if (text[len - 1] == '.')
        complain(c, option, "%s ends in a full stop", kind);
    if (isupper((unsigned char)text[0]) && islower((unsigned char)text[1]))
        complain(c, option, "%s begins with a capital", kind);
}

/* Words of lower-case letters, digits and dashes, one blank between them. */
static bool is_name(const char *s, bool many)
{
    bool begins = true;

    for (; *s; s++) {
        if (*s == ' ' && many && !begins && s[1] && s[1] != ' ') {
            begins = true;
            continue;
        }
        if (!islower((unsigned char)*s) &&
            (begins || !(isdigit((unsigned char)*s) || strchr("-_", *s))))
            return false;
        begins = false;
    }
    return !begins;
}

static bool is_prefix(const char *name, const char *of)
{
    size_t len = strlen(name);

    return strncmp(name, of, len) == 0 && (of[len] == ' ' || of[len] == '\0');
}

static const char *name_of(const struct cmd *cmd, int which)
{
    return which == 0 ? cmd->name : cmd->alias;
}

/*
 * A name that equals another, or that is the beginning of another: the longer one would swallow its
 * words. `which` of the command's own names is looked at.
 */
static void check_shadowing(struct check *c, int which)
{
    const char *name = name_of(c->cmd, which);

    for (size_t i = 0; c->cmds[i]; i++) {
        for (int w = 0; w < 2; w++) {
            const char *other = name_of(c->cmds[i], w);

            if ((i == c->index && w == which) || !other || !is_prefix(name, other))
                continue;
            if (strcmp(name, other) == 0)
                complain(c, NULL, "its name \"%s\" is also that of \"%s\"", name, c->cmds[i]->name);
            else
                complain(c, NULL, "its name is the beginning of \"%s\"", other);
        }
    }
}

static void check_name(struct check *c, int which)
{
    const char *name = name_of(c->cmd, which);

    if (!is_name(name, true))
        complain(c, NULL, "\"%s\" is no name: lower-case words, one blank between them", name);
    if (strlen(name) >= FIND_NAME_MAX)
        complain(c, NULL, "its name is too long");
    check_shadowing(c, which);
}

/* --- options --- */

static void check_type(struct check *c, const struct opt *o)
{
    bool number = o->type == OPT_TYPE_INT || o->type == OPT_TYPE_SECONDS;
    bool words = o->type == OPT_TYPE_LIST || o->type == OPT_TYPE_REST;

    if (o->type <= OPT_TYPE_END || o->type > OPT_TYPE_GROUP)
        complain(c, o->name, "has no type");
    if (o->type == OPT_TYPE_CHOICE && (!o->choices || !o->choices[0]))
        complain(c, o->name, "has no choices");
    if (o->type != OPT_TYPE_CHOICE && o->choices)
        complain(c, o->name, "has choices but another type");
    if (!number && (o->min || o->max))
        complain(c, o->name, "has a range but is no number");
    if (o->min > o->max)
        complain(c, o->name, "has a range that is upside down");
    if (!number && o->type != OPT_TYPE_TIME && o->def)
        complain(c, o->name, "has a default but is no number");
    if (o->complete != COMPLETE_NONE && !words && o->type != OPT_TYPE_STR &&
        o->type != OPT_TYPE_INT)
        complain(c, o->name, "has a completer but no value to complete");
}

static void check_flags(struct check *c, const struct opt *o)
{
    if (o->type == OPT_TYPE_FLAG && o->flags & OPT_REQUIRED && !o->one_of)
        complain(c, o->name, "is a flag and required: it could as well be left out");
    if (o->type == OPT_TYPE_FLAG && o->flags & OPT_POSITIONAL)
        complain(c, o->name, "is a flag and positional");
    if (o->flags & OPT_HIDDEN && o->flags & OPT_REQUIRED)
        complain(c, o->name, "is required and hidden");
    if (o->flags & OPT_SECRET &&
        (o->flags & OPT_POSITIONAL || o->type == OPT_TYPE_REST || o->type == OPT_TYPE_FLAG))
        complain(c, o->name, "is secret but has no name and value of its own to mask");
}

struct flat {
    const struct opt *opt;
    const struct opt *table;
    size_t offset;
};

struct flat_list {
    struct arena *arena;
    struct flat *v;
    size_t n;
};

static void flat_add(void *arg, const struct opt *opt, const struct opt *table, size_t offset)
{
    struct flat_list *l = arg;

    *ARENA_PUSH(l->arena, l->v, l->n) = (struct flat){opt, table, offset};
}

static size_t member_size(enum opt_type type)
{
    switch (type) {
    case OPT_TYPE_FLAG:
        return sizeof(bool);
    case OPT_TYPE_LIST:
    case OPT_TYPE_REST:
        return sizeof(struct words);
    case OPT_TYPE_INT:
    case OPT_TYPE_SECONDS:
    case OPT_TYPE_TIME:
        return sizeof(int64_t);
    default:
        return sizeof(const char *);
    }
}

static void check_twins(struct check *c, const struct flat_list *l, size_t i)
{
    const struct flat *f = &l->v[i];
    bool alone = f->opt->one_of != 0;

    for (size_t j = 0; j < l->n; j++) {
        const struct flat *other = &l->v[j];

        if (j < i && strcmp(other->opt->name, f->opt->name) == 0)
            complain(c, f->opt->name, "is declared twice");
        if (j < i && other->offset < f->offset + member_size(f->opt->type) &&
            f->offset < other->offset + member_size(other->opt->type))
            complain(c, f->opt->name, "shares its member with -%s", other->opt->name);
        if (j != i && other->table == f->table && other->opt->one_of == f->opt->one_of)
            alone = false;
    }
    if (alone)
        complain(c, f->opt->name, "excludes nothing: no other option has its one_of number");
}

static void check_option(struct check *c, const struct flat_list *l, size_t i)
{
    const struct opt *o = l->v[i].opt;

    if (!is_name(o->name, false))
        complain(c, o->name, "is no name: lower-case letters, digits, dashes");
    for (const struct opt *common = common_options; common->type != OPT_TYPE_END; common++)
        if (strcmp(common->name, o->name) == 0)
            complain(c, o->name, "shadows the option that every command has");
    check_phrase(c, o->name, "meaning", o->meaning);
    check_type(c, o);
    check_flags(c, o);
    if (l->v[i].offset + member_size(o->type) > c->cmd->options_size)
        complain(c, o->name, "lies outside the options struct");
    check_twins(c, l, i);
}

/* A positional word behind an optional or repeatable one could never be told from it. */
static void check_positionals(struct check *c, const struct flat_list *l)
{
    const struct opt *optional = NULL, *last = NULL;

    for (size_t i = 0; i < l->n; i++) {
        const struct opt *o = l->v[i].opt;

        if (!(o->flags & OPT_POSITIONAL))
            continue;
        if (last)
            complain(c, o->name, "stands behind -%s, which takes all words", last->name);
        if (optional && o->flags & OPT_REQUIRED)
            complain(c, o->name, "is required but stands behind -%s, which is not", optional->name);
        if (!(o->flags & OPT_REQUIRED))
            optional = o;
        if (o->type == OPT_TYPE_LIST || o->type == OPT_TYPE_REST)
            last = o;
    }
}

/* False when the tables themselves cannot be walked. */
static bool check_names_set(struct check *c, const struct opt *table)
{
    for (const struct opt *o = table; o && o->type != OPT_TYPE_END; o++) {
        if (o->type == OPT_TYPE_GROUP && !o->group)
            complain(c, o->name, "is a group without options");
        if (o->type != OPT_TYPE_GROUP && (!o->name || !*o->name))
            complain(c, NULL, "an option has no name");
        if (o->type == OPT_TYPE_GROUP ? !o->group || !check_names_set(c, o->group)
                                      : !o->name || !*o->name)
            return false;
    }
    return true;
}

static bool check_options(struct check *c)
{
    struct flat_list l = {.arena = &c->arena};

    if (!check_names_set(c, c->cmd->options))
        return false;
    opt_each(c->cmd->options, 0, flat_add, &l);
    for (size_t i = 0; i < l.n; i++)
        check_option(c, &l, i);
    check_positionals(c, &l);
    return true;
}

/* --- tables and examples --- */

static void check_column(struct check *c, const struct out_table *t, const struct out_col *col)
{
    const char *table = t->key ? t->key : "its table";
    size_t len = strlen(col->key);

    if (col->title && !*col->title)
        complain(c, NULL, "%s: column %s has no title", table, col->key);
    if (!col->meaning || !*col->meaning)
        complain(c, NULL, "%s: column %s has no meaning", table, col->key);
    else if (col->meaning[strlen(col->meaning) - 1] == '.')
        complain(c, NULL, "%s: meaning of column %s ends in a full stop", table, col->key);
    if (col->type == OUT_DURATION && (len < 2 || strcmp(col->key + len - 2, "Ms") != 0))
        complain(c, NULL, "%s: duration %s does not end in Ms", table, col->key);
    for (const struct out_col *other = t->cols; other < col; other++)
        if (strcmp(other->key, col->key) == 0)
            complain(c, NULL, "%s: column %s is declared twice", table, col->key);
}

/* Columns without a title are for JSON alone; a table in columns needs one that is not. */
static bool has_titles(const struct out_table *t)
{
    for (const struct out_col *col = t->cols; col->key; col++)
        if (col->title)
            return true;
    return false;
}

static void check_table(struct check *c, const struct out_table *t)
{
    if (!t->key && !t->single)
        complain(c, NULL, "a table of many rows has no key");
    if (!t->cols || !t->cols[0].key) {
        complain(c, NULL, "table %s has no columns", t->key ? t->key : "(single)");
        return;
    }
    for (const struct out_col *col = t->cols; col->key || col->title || col->meaning; col++) {
        if (!col->key || !*col->key) {
            complain(c, NULL, "a column of %s has no key", t->key ? t->key : "(single)");
            break;
        }
        check_column(c, t, col);
    }
    if (!t->text && !t->json_only && !has_titles(t))
        complain(c, NULL, "no column of %s has a title", t->key ? t->key : "(single)");
    for (const struct out_table *const *other = c->cmd->tables; *other != t; other++)
        if (t->key && (*other)->key && strcmp((*other)->key, t->key) == 0)
            complain(c, NULL, "table %s is declared twice", t->key);
}

static int check_example_command(struct check *c, const struct line_command *line, struct err *err)
{
    const char **words = arena_alloc(&c->arena, line->n * sizeof *words);
    struct find f;
    struct args p;

    for (size_t i = 0; i < line->n; i++)
        words[i] = line->words[i].text;
    find_init(&f, c->cmds, false);
    if (find_words(&f, line->n, words, err) < 0)
        return -1;
    return args_parse(&p, f.cmd, line->n - f.used, words + f.used, &c->arena, err);
}

static void check_example(struct check *c, const char *example)
{
    struct err err = ERR_INIT;
    struct line line;
    size_t at;

    if (line_parse(&line, example, &c->arena, &at, &err) < 0) {
        complain(c, NULL, "example \"%s\": %s", example, err.text);
        return;
    }
    if (line.n == 0)
        complain(c, NULL, "an example is empty");
    for (size_t i = 0; i < line.n; i++)
        if (check_example_command(c, &line.commands[i], &err) < 0)
            complain(c, NULL, "example \"%s\": %s", example, err.text);
}

static void check_command(struct check *c)
{
    const struct cmd *cmd = c->cmd;

    if (!cmd->name || !*cmd->name) {
        complain(c, NULL, "has no name");
        return;
    }
    check_name(c, 0);
    if (cmd->alias)
        check_name(c, 1);
    check_phrase(c, NULL, "summary", cmd->summary);
    if (!cmd->description || !*cmd->description)
        complain(c, NULL, "has no description");
    if (!cmd->run)
        complain(c, NULL, "does nothing: no function to run");
    for (const struct out_table *const *t = cmd->tables; t && *t; t++)
        check_table(c, *t);
    if (!check_options(c))
        return;
    for (const char *const *e = cmd->examples; e && *e; e++)
        check_example(c, *e);
}

size_t selftest_run(const struct cmd *const *cmds,
                    void (*report)(void *arg, const char *where, const char *what), void *arg)
{
    struct check c = {.cmds = cmds, .complain = report, .arg = arg};

    for (; cmds[c.index]; c.index++) {
        c.cmd = cmds[c.index];
        check_command(&c);
        arena_release(&c.arena);
    }
    return c.defects;
}

/* --- the hidden command --- */

static const struct out_col selftest_cols[] = {
    {"where", "WHERE", OUT_STR, "the command, or the command and the option"},
    {"what", "DEFECT", OUT_STR, "what is wrong with its declaration"},
    {0},
};

const struct out_table selftest_table = {
    .key = "defects",
    .cols = selftest_cols,
    .text = "{where}: {what}",
    .chatter = false,
    .empty = "the table of commands is sound",
};

static void fill_row(void *arg, const char *where, const char *what)
{
    struct out_row *row = out_row(arg, &selftest_table);

    out_str(row, "where", where);
    out_str(row, "what", what);
}

int selftest_fill(const struct cmd *const *cmds, struct out *out, struct err *err)
{
    size_t n = selftest_run(cmds, fill_row, out);

    if (n == 0)
        return 0;
    return err_set(err, ERR_FAILED, "%zu defect%s in the table of commands", n, n == 1 ? "" : "s");
}
