#include "cli/complete.h"
#include "commands/session.h"

/* complete: what may stand at the end of a line; asked by the completion of the system's shell. */
struct opts {
    const char *line;
};

static const struct opt options[] = {
    OPT_STR(struct opts, line, "line", "the line up to the cursor", .value = "TEXT",
            .flags = OPT_REQUIRED | OPT_POSITIONAL),
    OPT_END,
};

static const struct out_table *const tables[] = {&complete_table, NULL};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;

    (void)err;
    complete_fill(session_shell(s), o->line, out);
    return 0;
}

const struct cmd cmd_complete = {
    .name = "complete",
    .summary = "list what may stand at the end of a line",
    .description = "Used by the completion of the system's shell.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .needs = CMD_HIDDEN,
    .run = run,
};
