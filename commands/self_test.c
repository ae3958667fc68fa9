#include "cli/selftest.h"
#include "commands/commands.h"
#include "commands/session.h"

/* self-test: the declarations of all commands, checked. */
static const struct out_table *const tables[] = {&selftest_table, NULL};

static int run(struct session *s, const void *options, struct out *out, struct err *err)
{
    (void)s;
    (void)options;
    return selftest_fill(commands, out, err);
}

const struct cmd cmd_self_test = {
    .name = "self-test",
    .summary = "check the declarations of all commands",
    .description = "Looks for what is missing, impossible or ambiguous in the table of commands.",
    .tables = tables,
    .needs = CMD_HIDDEN,
    .run = run,
};
