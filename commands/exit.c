#include "commands/session.h"

/* exit: ends the shell. */
static int run(struct session *s, const void *options, struct out *out, struct err *err)
{
    (void)s;
    (void)options;
    (void)out;
    (void)err;
    return 0; /* CMD_QUIT does it */
}

static const char *const examples[] = {"exit", NULL};

const struct cmd cmd_exit = {
    .name = "exit",
    .alias = "quit",
    .summary = "leave the shell",
    .description = "Plans that are running go on.",
    .examples = examples,
    .needs = CMD_QUIT,
    .run = run,
};
