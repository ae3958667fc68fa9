#include "cli/args.h"

#include <string.h>

#include "cli/suggest.h"
#include "cli/synopsis.h"
#include "cli/value.h"
#include "kvsh/mem.h"

#define TYPOGRAPHIC_DASHES "\xE2\x80\x93\xE2\x80\x94\xE2\x88\x92" /* U+2013, U+2014, U+2212 */

const struct opt common_options[] = {
    OPT_FLAG(struct common_opts, json, "json", "give the result as JSON"),
    OPT_FLAG(struct common_opts, quiet, "quiet", "say nothing when all is well"),
    OPT_FLAG(struct common_opts, verbose, "verbose", "say more"),
    OPT_FLAG(struct common_opts, help, "help", "describe the command instead of running it"),
    OPT_END,
};

void opt_each(const struct opt *table, size_t offset,
              void (*each)(void *arg, const struct opt *opt, const struct opt *table,
                           size_t offset),
              void *arg)
{
    for (const struct opt *o = table; o && o->type != OPT_TYPE_END; o++) {
        if (o->type == OPT_TYPE_GROUP)
            opt_each(o->group, offset + o->offset, each, arg);
        else
            each(arg, o, table, offset + o->offset);
    }
}

struct init {
    struct args *args;
    char *base;
};

static void init_arg(void *arg, const struct opt *opt, const struct opt *table, size_t offset)
{
    struct init *in = arg;
    struct args *p = in->args;
    struct arg *slot = ARENA_PUSH(p->arena, p->list, p->n);

    slot->opt = opt;
    slot->table = table;
    slot->member = in->base + offset;
    if (opt->type == OPT_TYPE_INT || opt->type == OPT_TYPE_SECONDS || opt->type == OPT_TYPE_TIME)
        *(int64_t *)slot->member = opt->def;
}

void args_init(struct args *p, const struct cmd *cmd, struct arena *a)
{
    struct init own, common;

    *p = (struct args){.cmd = cmd, .arena = a};
    p->options = arena_alloc(a, cmd->options_size);
    own = (struct init){p, p->options};
    common = (struct init){p, (char *)&p->common};
    opt_each(cmd->options, 0, init_arg, &own);
    opt_each(common_options, 0, init_arg, &common);
}

bool args_is_option(const char *word)
{
    const char *name = word + (word[0] == '-') + (word[0] == '-' && word[1] == '-');

    return name != word && ((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z')) &&
           !strpbrk(name, " \t\n");
}

static const char *option_name(const char *word)
{
    return word + strspn(word, "-");
}

static struct arg *by_name(const struct args *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (!(p->list[i].opt->flags & OPT_POSITIONAL) && strcmp(p->list[i].opt->name, name) == 0)
            return &p->list[i];
    return NULL;
}

static bool is_repeatable(const struct opt *opt)
{
    return opt->type == OPT_TYPE_LIST;
}

struct arg *args_next_positional(const struct args *p)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct opt *o = p->list[i].opt;

        if (o->flags & OPT_POSITIONAL && (p->list[i].given == 0 || is_repeatable(o)))
            return &p->list[i];
    }
    return NULL;
}

/* Another option that was given and excludes this one. */
static const struct arg *excluding(const struct args *p, const struct arg *arg)
{
    for (size_t i = 0; i < p->n && arg->opt->one_of; i++) {
        const struct arg *other = &p->list[i];

        if (other != arg && other->given > 0 && other->table == arg->table &&
            other->opt->one_of == arg->opt->one_of)
            return other;
    }
    return NULL;
}

bool args_may_give(const struct args *p, const struct arg *arg)
{
    return (arg->given == 0 || is_repeatable(arg->opt)) && !excluding(p, arg);
}

static const char *shown(const struct args *p, const struct arg *arg)
{
    return arg->opt->flags & OPT_POSITIONAL ? value_placeholder(arg->opt, p->arena)
                                            : arena_printf(p->arena, "-%s", arg->opt->name);
}

/* Says how the command is written; where that is too long, where to read it. */
static int advise_usage(const struct args *p, struct err *err)
{
    const char *text = synopsis(p->cmd, p->arena);

    if (strlen(text) + sizeof "usage: " <= sizeof err->advice)
        return err_advise(err, "usage: %s", text);
    return err_advise(err, "\"help %s\" tells how it is used", p->cmd->name);
}

static int error_unknown(const struct args *p, const char *word, struct err *err)
{
    const char *name = option_name(word);
    const char *equals = strchr(name, '=');
    struct suggest s;

    err_set(err, ERR_USAGE, "unknown option \"%s\"", word);
    if (equals && by_name(p, arena_strndup(p->arena, name, (size_t)(equals - name)))) {
        return err_advise(err, "an option and its value are two words: -%.*s %s",
                          (int)(equals - name), name, equals + 1);
    }
    suggest_init(&s, name);
    for (size_t i = 0; i < p->n; i++)
        if (!(p->list[i].opt->flags & (OPT_POSITIONAL | OPT_HIDDEN)))
            suggest_add(&s, p->list[i].opt->name);
    if (s.n == 0)
        return advise_usage(p, err);
    return err_advise(err, "did you mean -%s%s%s%s%s?", s.best[0], s.n > 1 ? " or -" : "",
                      s.n > 1 ? s.best[1] : "", s.n > 2 ? " or -" : "", s.n > 2 ? s.best[2] : "");
}

static int error_unexpected(const struct args *p, const char *word, struct err *err)
{
    err_set(err, ERR_USAGE, "unexpected word \"%s\"", word);
    for (const char *dash = TYPOGRAPHIC_DASHES; *dash; dash += 3)
        if (strncmp(word, dash, 3) == 0)
            return err_advise(err, "it begins with a typographic dash; options begin with \"-\"");
    return advise_usage(p, err);
}

static int check_excluded(const struct args *p, const struct arg *arg, struct err *err)
{
    const struct arg *other = excluding(p, arg);

    if (!other)
        return 0;
    return err_set(err, ERR_USAGE, "%s and %s exclude each other", shown(p, other), shown(p, arg));
}

static int take_value(struct args *p, struct arg *arg, const char *word, struct err *err)
{
    if (!*word && arg->opt->type != OPT_TYPE_REST)
        return err_set(err, ERR_INPUT, "the value of %s is empty", shown(p, arg));
    if (value_set(arg->opt, arg->member, word, p->arena, err) < 0)
        return -1;
    arg->given++;
    return 0;
}

static int take_option(struct args *p, const char *word, struct err *err)
{
    struct arg *arg = by_name(p, option_name(word));

    if (!arg)
        return error_unknown(p, word, err);
    if (check_excluded(p, arg, err) < 0)
        return -1;
    if (arg->given > 0 && !is_repeatable(arg->opt))
        return err_set(err, ERR_USAGE, "option -%s is given twice", arg->opt->name);
    if (arg->opt->type == OPT_TYPE_FLAG) {
        *(bool *)arg->member = true;
        arg->given++;
    } else if (arg->opt->type == OPT_TYPE_REST) {
        p->rest = arg;
    } else {
        p->awaiting = arg;
    }
    return 0;
}

static int error_no_value(const struct args *p, const struct arg *arg, struct err *err)
{
    err_set(err, ERR_USAGE, "option -%s needs a value", arg->opt->name);
    return advise_usage(p, err);
}

/* Behind the words of another command an option that every command has is still this one's. */
static bool is_common(const struct args *p, const char *word)
{
    if (!(p->rest->opt->flags & OPT_COMMON) || !args_is_option(word))
        return false;
    for (const struct opt *o = common_options; o->name; o++) {
        if (strcmp(o->name, option_name(word)) == 0)
            return true;
    }
    return false;
}

int args_word(struct args *p, const char *word, struct err *err)
{
    struct arg *arg = p->awaiting;

    if (p->rest && is_common(p, word))
        return take_option(p, word, err);
    if (p->rest)
        return take_value(p, p->rest, word, err);
    if (arg) {
        if (args_is_option(word) && by_name(p, option_name(word)))
            return error_no_value(p, arg, err);
        p->awaiting = NULL;
        return take_value(p, arg, word, err);
    }
    if (args_is_option(word))
        return take_option(p, word, err);
    arg = args_next_positional(p);
    if (!arg)
        return error_unexpected(p, word, err);
    if (check_excluded(p, arg, err) < 0)
        return -1;
    if (arg->opt->type == OPT_TYPE_REST)
        p->rest = arg;
    return take_value(p, arg, word, err);
}

/* A required option, or one of several that exclude each other, of which none was given. */
static int check_required(const struct args *p, const struct arg *arg, struct err *err)
{
    const char *all = "";

    if (!(arg->opt->flags & OPT_REQUIRED) || arg->given > 0 || excluding(p, arg))
        return 0;
    if (!arg->opt->one_of) {
        err_set(err, ERR_USAGE, "%s%s is required",
                arg->opt->flags & OPT_POSITIONAL ? "" : "option ", shown(p, arg));
        return advise_usage(p, err);
    }
    for (size_t i = 0; i < p->n; i++)
        if (p->list[i].table == arg->table && p->list[i].opt->one_of == arg->opt->one_of)
            all = arena_printf(p->arena, "%s%s%s", all, *all ? ", " : "", shown(p, &p->list[i]));
    err_set(err, ERR_USAGE, "one of these is required: %s", all);
    return advise_usage(p, err);
}

int args_end(struct args *p, struct err *err)
{
    if (p->awaiting)
        return error_no_value(p, p->awaiting, err);
    if (p->rest && p->rest->given == 0)
        return error_no_value(p, p->rest, err);
    for (size_t i = 0; i < p->n; i++)
        if (check_required(p, &p->list[i], err) < 0)
            return -1;
    return 0;
}

/* Whoever asks for help gets it, whatever else is wrong with the words. */
static bool asks_for_help(size_t n, const char *const *words)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(words[i], "-help") == 0 || strcmp(words[i], "--help") == 0)
            return true;
    return false;
}

int args_parse(struct args *p, const struct cmd *cmd, size_t n, const char *const *words,
               struct arena *a, struct err *err)
{
    args_init(p, cmd, a);
    for (size_t i = 0; i < n; i++) {
        int ret = args_word(p, words[i], err);

        if (ret < 0 && asks_for_help(n - i, words + i)) {
            err_clear(err);
            p->common.help = true;
        }
        if (p->common.help)
            return 0;
        if (ret < 0)
            return -1;
    }
    return args_end(p, err);
}
