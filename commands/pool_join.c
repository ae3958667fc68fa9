#include "commands/pool_members.h"

/* pool join: storage nodes become members of a pool. */
static int run(struct session *s, const void *options, struct out *out, struct err *err)
{
    return pool_change(s, options, true, out, err);
}

static const char *const examples[] = {"pool join -name snpool -sn sn1 -sn sn2", NULL};

const struct cmd cmd_pool_join = {
    .name = "pool join",
    .summary = "put storage nodes into a pool",
    .description = "A node that is a member already stays one. A node may be in several pools.",
    .options = pool_options,
    .options_size = sizeof(struct pool_opts),
    .tables = pool_join_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
