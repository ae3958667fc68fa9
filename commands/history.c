#include "cli/history.h"
#include "commands/session.h"

/* history: the lines typed at the prompt. */
struct opts {
    int64_t last;
};

static const struct opt options[] = {
    OPT_INT(struct opts, last, "last", "only the newest so many", .min = 1, .max = 1000000),
    OPT_END,
};

static const struct out_table *const tables[] = {&history_table, NULL};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;

    (void)err;
    history_fill(session_shell(s), o->last, out);
    return 0;
}

static const char *const examples[] = {"history -last 20", NULL};

const struct cmd cmd_history = {
    .name = "history",
    .summary = "list the lines typed at the prompt",
    .description = "Lines typed twice are kept once; values of secret options are masked.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .run = run,
};
