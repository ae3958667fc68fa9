#include "cli/help.h"
#include "commands/session.h"

/* help: what commands there are, and all about one. */
struct opts {
    struct words words;
};

static const struct opt options[] = {
    OPT_LIST(struct opts, words, "command", "a command, or the first words of some",
             .value = "COMMAND", .flags = OPT_POSITIONAL, .complete = COMPLETE_COMMAND),
    OPT_END,
};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;

    return help_fill(session_shell(s), o->words.n, o->words.v, out, err);
}

static const char *const examples[] = {"help", "help plan", "help plan stop-service", NULL};

const struct cmd cmd_help = {
    .name = "help",
    .summary = "list commands, or explain one",
    .description = "Every command also takes -help.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = help_tables,
    .examples = examples,
    .run = run,
};
