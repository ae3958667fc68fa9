/* kvsh-commands(7), in the man(7) macros, from the table of commands. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/help.h"
#include "cli/synopsis.h"
#include "cli/value.h"
#include "kvsh/buf.h"
#include "kvsh/mem.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

/* Text that troff prints as it is: '\' and '-' escaped, no line beginning with a control
 * character; a line may break behind '|'. */
static void roff(struct buf *out, const char *text)
{
    bool line_begins = out->len == 0 || out->data[out->len - 1] == '\n';

    for (; *text; text++) {
        if (line_begins && (*text == '.' || *text == '\''))
            buf_adds(out, "\\&");
        if (*text == '\\')
            buf_adds(out, "\\e");
        else if (*text == '-')
            buf_adds(out, "\\-");
        else
            buf_addc(out, *text);
        if (*text == '|')
            buf_adds(out, "\\:");
        line_begins = *text == '\n';
    }
}

/* The argument of a macro, in quotes. */
static void roff_argument(struct buf *out, const char *text)
{
    buf_addc(out, '"');
    for (; *text; text++) {
        char one[] = {*text, '\0'};

        if (*text == '"')
            buf_adds(out, "\"\"");
        else
            roff(out, one);
    }
    buf_addc(out, '"');
}

static void macro(struct buf *out, const char *name, const char *argument)
{
    buf_addf(out, ".%s ", name);
    roff_argument(out, argument);
    buf_addc(out, '\n');
}

/* Paragraphs separated by empty lines; lines that begin with a blank stand as they are. */
static void paragraphs(struct buf *out, const char *text)
{
    bool kept = false;

    while (*text) {
        size_t len = strcspn(text, "\n");
        bool keep = *text == ' ';
        char *line = xstrndup(text, len);

        if (keep != kept)
            buf_adds(out, keep ? ".nf\n" : ".fi\n");
        kept = keep;
        if (len == 0)
            buf_adds(out, ".PP");
        else
            roff(out, line);
        buf_addc(out, '\n');
        free(line);
        text += len;
        text += *text == '\n';
    }
    if (kept)
        buf_adds(out, ".fi\n");
}

struct man_options {
    struct buf *out;
    struct arena *arena;
};

static void man_option(void *arg, const struct opt *opt, const struct opt *table, size_t offset)
{
    struct man_options *m = arg;

    (void)table;
    (void)offset;
    if (opt->flags & OPT_HIDDEN)
        return;
    buf_adds(m->out, ".TP\n");
    macro(m->out, "B", synopsis_option(opt, m->arena));
    roff(m->out, opt->meaning);
    roff(m->out, value_note(opt, m->arena));
    buf_adds(m->out, ".\n");
}

/* Was this member of returnValue told for an earlier table? Single tables may share some. */
static bool told_before(const struct out_table *const *tables, const struct out_table *table,
                        const char *key)
{
    for (; *tables != table; tables++) {
        if (table->key || (*tables)->key)
            continue;
        for (const struct out_col *c = (*tables)->cols; c->key; c++)
            if (strcmp(c->key, key) == 0)
                return true;
    }
    return false;
}

static void man_table(struct buf *out, const struct out_table *const *tables,
                      const struct out_table *table)
{
    for (const struct out_col *c = table->cols; c->key; c++) {
        if (told_before(tables, table, c->key))
            continue;
        buf_adds(out, ".TP\n.B ");
        if (table->key) {
            roff(out, table->key);
            buf_adds(out, table->single ? "." : "[].");
        }
        roff(out, c->key);
        buf_addc(out, '\n');
        roff(out, c->meaning);
        buf_addf(out, " (%s).\n", help_json_type(c->type));
    }
}

static void man_command(struct buf *out, const struct cmd *cmd, struct arena *a)
{
    struct man_options options = {out, a};
    struct words parts = synopsis_parts(cmd, a);

    macro(out, "SS", cmd->name);
    buf_addc(out, (char)toupper((unsigned char)*cmd->summary));
    roff(out, cmd->summary + 1);
    buf_adds(out, ".\n");
    if (cmd->alias) {
        buf_adds(out, "Also written\n");
        macro(out, "B", cmd->alias);
    }
    buf_adds(out, ".PP\n.HP\n");
    for (size_t i = 0; i < parts.n; i++)
        macro(out, i == 0 ? "B" : "RI", parts.v[i]);
    if (cmd->description && *cmd->description) {
        buf_adds(out, ".PP\n");
        paragraphs(out, cmd->description);
    }
    opt_each(cmd->options, 0, man_option, &options);
    if (cmd->tables && cmd->tables[0])
        buf_adds(out, ".PP\nMembers of returnValue:\n");
    for (const struct out_table *const *t = cmd->tables; t && *t; t++)
        man_table(out, cmd->tables, *t);
    if (cmd->examples && cmd->examples[0])
        buf_adds(out, ".PP\nExamples:\n.PP\n.nf\n");
    for (const char *const *e = cmd->examples; e && *e; e++) {
        buf_adds(out, "    ");
        roff(out, *e);
        buf_addc(out, '\n');
    }
    if (cmd->examples && cmd->examples[0])
        buf_adds(out, ".fi\n");
}

static void man_language(struct buf *out)
{
    static const char text[] =
        "A line is one command: its words, then its options, each written -name value or --name "
        "value. "
        "Words are separated by blanks. A word with blanks in it stands in quotes: within \"...\" "
        "the "
        "sequences \\\" \\\\ \\n \\t stand for a quote, a backslash, a line break and a tab; "
        "within '...' "
        "everything is literal.\n"
        "\n"
        "A # at the beginning of a word begins a comment. A backslash at the end of a line joins "
        "it with "
        "the next one. A ; before or behind a blank, or at the end of the line, ends a command, so "
        "that "
        "several may stand on one line.\n"
        "\n"
        "At the prompt the words of a command's name may be shortened as long as they are unique; "
        "scripts and one-shot calls need the full words. A script stops at its first error, which "
        "is "
        "reported with the file and the line.\n";

    buf_adds(out, ".SH DESCRIPTION\n");
    paragraphs(out, text);
}

static void man_results(struct buf *out)
{
    static const char text[] =
        "Results go to the standard output, everything else to the standard error. Under -json a "
        "command "
        "gives one object, also when it fails: operation (its name), returnCode, description, "
        "returnValue "
        "and schema (\"kvsh/1\"). Members may be added in later versions; none is taken away.\n";

    buf_adds(out, ".SH RESULTS\n");
    paragraphs(out, text);
}

/* Codes with the same exit status are one row as far as they mean the same. */
static void man_status(struct buf *out)
{
    buf_adds(out, ".SH EXIT STATUS\n");
    for (int code = 0; code < ERR_COUNT; code++) {
        buf_addf(out, ".TP\n.B %d\n", err_exit_status((enum err_code)code));
        roff(out, err_meaning((enum err_code)code));
        buf_addf(out, " (returnCode %d).\n", err_return_code((enum err_code)code));
    }
}

void help_man(struct buf *out, const struct cmd *const *cmds)
{
    struct arena a = {0};
    struct man_options common = {out, &a};

    buf_adds(out, ".\\\" Made from the table of commands.\n");
    buf_adds(out, ".TH KVSH-COMMANDS 7 \"\" \"kvsh " PACKAGE_VERSION "\" \"kvsh manual\"\n");
    buf_adds(out, ".nh\n.ad l\n.SH NAME\nkvsh\\-commands \\- the commands of the kvsh shell\n");
    man_language(out);
    man_results(out);
    buf_adds(out, ".SH OPTIONS OF EVERY COMMAND\n");
    opt_each(common_options, 0, man_option, &common);
    buf_adds(out, ".SH COMMANDS\n");
    for (const struct cmd *const *c = cmds; *c; c++)
        if (!((*c)->needs & CMD_HIDDEN))
            man_command(out, *c, &a);
    man_status(out);
    buf_adds(out, ".SH SEE ALSO\n.BR kvsh (1),\n.BR kvagentd (8)\n");
    arena_release(&a);
}
