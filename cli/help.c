#include "cli/help.h"

#include <inttypes.h>
#include <string.h>

#include "cli/args.h"
#include "cli/find.h"
#include "cli/shell_private.h"
#include "cli/synopsis.h"
#include "cli/terminal.h"
#include "cli/text.h"
#include "cli/value.h"
#include "kvsh/buf.h"
#include "kvsh/mem.h"
#include "kvsh/shell.h"

enum { INDENT = 4, TEXT_WIDTH = 79, NAME_COLUMN = 16 };

/* --- tables: one of text lines, the others for JSON --- */

static const struct out_col text_cols[] = {
    {"line", "LINE", OUT_STR, "one line of help"},
    {0},
};
static const struct out_table text_table = {.key = "text", .cols = text_cols, .text = "{line}"};

static const struct out_col command_cols[] = {
    {"name", "NAME", OUT_STR, "full name of the command"},
    {"alias", "ALIAS", OUT_STR, "a second name"},
    {"summary", "SUMMARY", OUT_STR, "what it does, in one line"},
    {"synopsis", "SYNOPSIS", OUT_STR, "how it is written"},
    {"description", "DESCRIPTION", OUT_STR, "what it does, in full"},
    {"examples", "EXAMPLES", OUT_LIST, "whole lines that show its use"},
    {0},
};
static const struct out_table command_table = {
    .key = "commands", .cols = command_cols, .json_only = true};

static const struct out_col option_cols[] = {
    {"name", "NAME", OUT_STR, "the option's name, without dash"},
    {"type", "TYPE", OUT_STR, "flag, text, integer, seconds, choice, file, time, list or words"},
    {"value", "VALUE", OUT_STR, "what its value is called in the synopsis"},
    {"meaning", "MEANING", OUT_STR, "what it says"},
    {"required", "REQUIRED", OUT_BOOL, "whether the command needs it, or one of those it excludes"},
    {"positional", "POSITIONAL", OUT_BOOL, "whether it is written without its name"},
    {"repeatable", "REPEATABLE", OUT_BOOL, "whether it may be given more than once"},
    {"minimum", "MINIMUM", OUT_INT, "the smallest number it takes"},
    {"maximum", "MAXIMUM", OUT_INT, "the largest number it takes"},
    {"choices", "CHOICES", OUT_LIST, "the words it takes"},
    {0},
};
static const struct out_table option_table = {
    .key = "options", .cols = option_cols, .json_only = true};

const struct out_table *const help_tables[] = {&text_table, &command_table, &option_table, NULL};

static void add_text(struct out *out, struct buf *text)
{
    char *save = NULL;

    /* strtok_r() would swallow empty lines. */
    for (char *line = text->data; line && *line; line = save) {
        save = strchr(line, '\n');
        if (save)
            *save++ = '\0';
        out_str(out_row(out, &text_table), "line", line);
    }
}

/* --- one command --- */

static void text_synopsis(struct buf *out, const struct cmd *cmd, size_t width, struct arena *a)
{
    struct words parts = synopsis_parts(cmd, a);
    size_t column = 0;

    for (size_t i = 0; i < parts.n; i++) {
        size_t w = text_width(parts.v[i]);

        if (i > 0 && column + 1 + w > width) {
            buf_addc(out, '\n');
            text_pad(out, 2 * INDENT);
            column = 2 * INDENT;
        } else {
            text_pad(out, i == 0 ? INDENT : 1);
            column += i == 0 ? INDENT : 1;
        }
        buf_adds(out, parts.v[i]);
        column += w;
    }
    buf_addc(out, '\n');
}

struct option_text {
    struct buf *out;
    size_t width;
    struct arena *arena;
    bool any;
};

static void text_option(void *arg, const struct opt *opt, const struct opt *table, size_t offset)
{
    struct option_text *t = arg;

    (void)table;
    (void)offset;
    if (opt->flags & OPT_HIDDEN)
        return;
    if (!t->any)
        buf_adds(t->out, "\nOPTIONS\n");
    t->any = true;
    text_pad(t->out, INDENT);
    buf_addf(t->out, "%s\n", synopsis_option(opt, t->arena));
    text_wrap(t->out, arena_printf(t->arena, "%s%s", opt->meaning, value_note(opt, t->arena)),
              2 * INDENT, t->width);
}

void help_command_text(struct buf *out, const struct cmd *cmd, size_t width)
{
    struct arena a = {0};
    struct option_text options = {.out = out, .width = width, .arena = &a};

    buf_adds(out, "NAME\n");
    text_wrap(out,
              arena_printf(&a, "%s%s%s - %s", cmd->name, cmd->alias ? ", " : "",
                           cmd->alias ? cmd->alias : "", cmd->summary),
              INDENT, width);
    buf_adds(out, "\nSYNOPSIS\n");
    text_synopsis(out, cmd, width, &a);
    if (cmd->description && *cmd->description) {
        buf_adds(out, "\nDESCRIPTION\n");
        text_wrap(out, cmd->description, INDENT, width);
    }
    opt_each(cmd->options, 0, text_option, &options);
    if (cmd->examples && cmd->examples[0])
        buf_adds(out, "\nEXAMPLES\n");
    for (const char *const *e = cmd->examples; e && *e; e++) {
        text_pad(out, INDENT);
        buf_addf(out, "%s\n", *e);
    }
    arena_release(&a);
}

static void row_command(struct out *out, const struct cmd *cmd, bool full)
{
    struct out_row *row = out_row(out, &command_table);
    struct arena a = {0};

    out_str(row, "name", cmd->name);
    out_str(row, "alias", cmd->alias);
    out_str(row, "summary", cmd->summary);
    if (full) {
        out_str(row, "synopsis", synopsis(cmd, &a));
        out_str(row, "description", cmd->description);
        for (const char *const *e = cmd->examples; e && *e; e++)
            out_item(row, "examples", *e);
    }
    arena_release(&a);
}

static const char *type_name(enum opt_type type)
{
    static const char *const names[] = {
        [OPT_TYPE_FLAG] = "flag",       [OPT_TYPE_STR] = "text",      [OPT_TYPE_INT] = "integer",
        [OPT_TYPE_SECONDS] = "seconds", [OPT_TYPE_CHOICE] = "choice", [OPT_TYPE_FILE] = "file",
        [OPT_TYPE_TIME] = "time",       [OPT_TYPE_LIST] = "list",     [OPT_TYPE_REST] = "words",
    };

    return (size_t)type < sizeof names / sizeof *names ? names[type] : NULL;
}

static void row_option(void *arg, const struct opt *opt, const struct opt *table, size_t offset)
{
    struct out_row *row;
    struct arena a = {0};
    bool is_number = opt->type == OPT_TYPE_INT || opt->type == OPT_TYPE_SECONDS;

    (void)table;
    (void)offset;
    if (opt->flags & OPT_HIDDEN)
        return;
    row = out_row(arg, &option_table);
    out_str(row, "name", opt->name);
    out_str(row, "type", type_name(opt->type));
    if (opt->type != OPT_TYPE_FLAG)
        out_str(row, "value", value_placeholder(opt, &a));
    out_str(row, "meaning", opt->meaning);
    out_bool(row, "required", opt->flags & OPT_REQUIRED);
    out_bool(row, "positional", opt->flags & OPT_POSITIONAL);
    out_bool(row, "repeatable", opt->type == OPT_TYPE_LIST);
    if (is_number)
        out_int(row, "minimum", opt->min);
    if (is_number && (opt->min || opt->max))
        out_int(row, "maximum", opt->max);
    for (const char *const *c = opt->choices; c && *c; c++)
        out_item(row, "choices", *c);
    arena_release(&a);
}

static void fill_command(struct shell *sh, const struct cmd *cmd, struct out *out)
{
    struct buf text;

    row_command(out, cmd, true);
    opt_each(cmd->options, 0, row_option, out);
    opt_each(common_options, 0, row_option, out);
    if (shell_gives_json(sh))
        return;
    buf_init(&text, 0);
    help_command_text(&text, cmd, terminal_text_width(TEXT_WIDTH));
    buf_adds(&text, "\nEvery command also takes -json, -quiet, -verbose and -help.\n");
    add_text(out, &text);
    buf_release(&text);
}

/* --- lists --- */

static bool is_listed(const struct shell_host *host, const struct cmd *cmd, const char *path)
{
    return !(cmd->needs & CMD_HIDDEN) && find_is_below(cmd, path) &&
           (!host->available || host->available(host->session, cmd));
}

static void list_line(struct buf *out, const char *name, size_t name_width, const char *what,
                      size_t width)
{
    struct buf wrapped;
    size_t indent = INDENT + name_width + 2;

    buf_init(&wrapped, 0);
    text_wrap(&wrapped, what, indent, width < indent + 20 ? indent + 20 : width);
    text_pad(out, INDENT);
    buf_adds(out, name);
    if (text_width(name) > name_width) {
        buf_addf(out, "\n%s", wrapped.data);
    } else {
        text_pad(out, indent - INDENT - text_width(name));
        buf_adds(out, wrapped.data + indent);
    }
    buf_release(&wrapped);
}

static size_t widest_name(const struct shell_host *host, const char *path)
{
    size_t widest = 0;

    for (const struct cmd *const *c = host->cmds; *c; c++)
        if (is_listed(host, *c, path) && text_width((*c)->name) > widest)
            widest = text_width((*c)->name);
    return widest;
}

static void text_list(struct buf *out, const struct shell_host *host, const char *path)
{
    size_t width = terminal_text_width(TEXT_WIDTH), names = widest_name(host, path);

    for (const struct cmd *const *c = host->cmds; *c; c++)
        if (is_listed(host, *c, path))
            list_line(out, (*c)->name, names, (*c)->summary, width);
    buf_addf(out, "\n\"help %s ...\" with the rest of the name describes one of them.\n", path);
}

/* "deploy-zone, stop-service": what may stand behind the first word of a command's name. */
static const char *second_words(const struct shell_host *host, const char *group, size_t len,
                                struct arena *a)
{
    const char *all = "";

    for (const struct cmd *const *c = host->cmds; *c; c++) {
        const char *name = (*c)->name;

        if (is_listed(host, *c, "") && strncmp(name, group, len) == 0 && name[len] == ' ')
            all = arena_printf(a, "%s%s%s", all, *all ? ", " : "", name + len + 1);
    }
    return all;
}

static bool is_first_of_group(const struct shell_host *host, const struct cmd *const *at,
                              size_t len)
{
    for (const struct cmd *const *c = host->cmds; c < at; c++)
        if (is_listed(host, *c, "") && strncmp((*c)->name, (*at)->name, len + 1) == 0)
            return false;
    return true;
}

static void text_overview(struct buf *out, const struct shell_host *host)
{
    size_t width = terminal_text_width(TEXT_WIDTH);
    struct arena a = {0};

    buf_adds(out, "Commands:\n");
    for (const struct cmd *const *c = host->cmds; *c; c++)
        if (is_listed(host, *c, "") && !strchr((*c)->name, ' '))
            list_line(out, (*c)->name, NAME_COLUMN, (*c)->summary, width);
    buf_adds(out, "\nWords that begin several commands:\n");
    for (const struct cmd *const *c = host->cmds; *c; c++) {
        size_t len = strcspn((*c)->name, " ");

        if (!is_listed(host, *c, "") || !(*c)->name[len] || !is_first_of_group(host, c, len))
            continue;
        list_line(out, arena_strndup(&a, (*c)->name, len), NAME_COLUMN,
                  second_words(host, (*c)->name, len, &a), width);
    }
    buf_adds(out, "\n\"help WORD\" lists the commands that begin with a word, \"help COMMAND\" "
                  "describes one.\n");
    arena_release(&a);
}

static void fill_list(struct shell *sh, const char *path, struct out *out)
{
    const struct shell_host *host = shell_host(sh);
    struct buf text;

    for (const struct cmd *const *c = host->cmds; *c; c++)
        if (is_listed(host, *c, path))
            row_command(out, *c, false);
    if (shell_gives_json(sh))
        return;
    buf_init(&text, 0);
    if (*path)
        text_list(&text, host, path);
    else
        text_overview(&text, host);
    add_text(out, &text);
    buf_release(&text);
}

int help_fill(struct shell *sh, size_t n, const char *const *words, struct out *out,
              struct err *err)
{
    struct find f;

    find_init(&f, shell_host(sh)->cmds, shell_is_prompt(sh));
    f.host = shell_host(sh);
    if (find_words(&f, n, words, err) < 0 && f.used < n)
        return -1;
    err_clear(err);
    if (!f.cmd)
        fill_list(sh, f.path, out);
    else if (f.used < n)
        return err_set(err, ERR_USAGE, "\"%s\" is a command; \"%s\" is no part of its name", f.path,
                       words[f.used]);
    else
        fill_command(sh, f.cmd, out);
    return 0;
}
