#include "commands/session.h"

/* load: runs the commands of a file. */
struct opts {
    const char *file;
};

static const struct opt options[] = {
    OPT_FILE(struct opts, file, "file", "the script", .flags = OPT_REQUIRED),
    OPT_END,
};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;

    (void)out;
    return shell_load(session_shell(s), o->file, err);
}

static const char *const examples[] = {"load -file deploy.kv", NULL};

const struct cmd cmd_load = {
    .name = "load",
    .summary = "run the commands of a file",
    .description =
        "Stops at the first command that fails and ends with its exit status; file and line "
        "are named. A script may load others.",
    .options = options,
    .options_size = sizeof(struct opts),
    .examples = examples,
    .run = run,
};
