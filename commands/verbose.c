#include "commands/toggle.h"

/* verbose: a setting of the shell. */
static int run(struct session *s, const void *options, struct out *out, struct err *err)
{
    (void)err;
    return toggle(&shell_config(session_shell(s))->verbose, "verbose", options, out);
}

static const char *const examples[] = {"verbose on", NULL};

const struct cmd cmd_verbose = {
    .name = "verbose",
    .summary = "say more about what commands do",
    .description = "With verbose on, every command runs as with -verbose.",
    .options = toggle_options,
    .options_size = sizeof(struct toggle_opts),
    .tables = toggle_tables,
    .examples = examples,
    .needs = CMD_INTERACTIVE,
    .run = run,
};
