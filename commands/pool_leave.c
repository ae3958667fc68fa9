#include "commands/pool_members.h"

/* pool leave: storage nodes are members of a pool no more. */
static int run(struct session *s, const void *options, struct out *out, struct err *err)
{
    return pool_change(s, options, false, out, err);
}

static const char *const examples[] = {"pool leave -name snpool -sn sn3", NULL};

const struct cmd cmd_pool_leave = {
    .name = "pool leave",
    .summary = "take storage nodes out of a pool",
    .description = "The nodes stay in the store, with all they carry.",
    .options = pool_options,
    .options_size = sizeof(struct pool_opts),
    .tables = pool_leave_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
