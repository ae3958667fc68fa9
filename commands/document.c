#include "cli/find.h"
#include "cli/help.h"

#include <stdlib.h>
#include <string.h>

#include "commands/commands.h"
#include "commands/program.h"
#include "commands/session.h"
#include "kvsh/buf.h"
#include "kvsh/json.h"

/* document: what is made from the table of commands for others to read; the build asks for it. */
struct opts {
    const char *what;
    struct words command;
};

static const char *const whats[] = {"manual", "completion", "schema", NULL};

static const struct opt options[] = {
    OPT_CHOICE(struct opts, what, "what",
               "the manual page of all commands, the completion script for bash, or the JSON "
               "schema of what a command gives under -json",
               .choices = whats, .flags = OPT_REQUIRED | OPT_POSITIONAL),
    OPT_LIST(struct opts, command, "command", "the command whose schema is wanted",
             .value = "COMMAND...", .flags = OPT_POSITIONAL, .complete = COMPLETE_COMMAND),
    OPT_END,
};

static const struct out_col cols[] = {
    {"line", "LINE", OUT_STR, "one line of the document"},
    {0},
};
static const struct out_table document = {.key = "lines", .cols = cols, .text = "{line}"};
static const struct out_table *const tables[] = {&document, NULL};

static int add_schema(struct buf *b, const struct words *words, struct err *err)
{
    struct find f;
    struct json *schema;
    char *text;

    find_init(&f, commands, false);
    if (words->n == 0)
        return err_set(err, ERR_USAGE, "the schema of which command?");
    if (find_words(&f, words->n, words->v, err) != 0)
        return -1;
    schema = help_schema(f.cmd);
    text = json_print_pretty(schema);
    buf_adds(b, text);
    free(text);
    json_free(schema);
    return 0;
}

static void add_lines(struct out *out, char *text)
{
    for (char *end; (end = strchr(text, '\n')) != NULL; text = end + 1) {
        *end = '\0';
        out_str(out_row(out, &document), "line", text);
    }
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct buf b;
    int rc = 0;

    (void)s;
    buf_init(&b, 0);
    if (strcmp(o->what, "manual") == 0)
        help_man(&b, commands);
    else if (strcmp(o->what, "completion") == 0)
        help_bash(&b, &program);
    else
        rc = add_schema(&b, &o->command, err);
    if (rc == 0)
        add_lines(out, b.data);
    buf_release(&b);
    return rc;
}

const struct cmd cmd_document = {
    .name = "document",
    .summary = "print what is made from the table of commands",
    .description =
        "The manual page kvsh-commands(7), the completion script for bash, JSON schemas.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .needs = CMD_HIDDEN,
    .run = run,
};
