#include "commands/toggle.h"

/* timer: a setting of the shell. */
static int run(struct session *s, const void *options, struct out *out, struct err *err)
{
    (void)err;
    return toggle(&shell_config(session_shell(s))->timer, "timer", options, out);
}

static const char *const examples[] = {"timer on", NULL};

const struct cmd cmd_timer = {
    .name = "timer",
    .summary = "show how long each command took",
    .description = "The time is told on the diagnostics stream, behind the command's output.",
    .options = toggle_options,
    .options_size = sizeof(struct toggle_opts),
    .tables = toggle_tables,
    .examples = examples,
    .needs = CMD_INTERACTIVE,
    .run = run,
};
