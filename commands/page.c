#include "commands/toggle.h"

/* page: a setting of the shell. */
static int run(struct session *s, const void *options, struct out *out, struct err *err)
{
    (void)err;
    return toggle(&shell_config(session_shell(s))->page, "page", options, out);
}

static const char *const examples[] = {"page on", NULL};

const struct cmd cmd_page = {
    .name = "page",
    .summary = "show long output page by page",
    .description =
        "Pages are shown by the program named in PAGER, at the prompt of a terminal only.",
    .options = toggle_options,
    .options_size = sizeof(struct toggle_opts),
    .tables = toggle_tables,
    .examples = examples,
    .needs = CMD_INTERACTIVE,
    .run = run,
};
