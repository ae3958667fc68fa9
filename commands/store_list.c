#include <string.h>

#include "commands/session.h"

/* store list: the stores of the configuration. */
static const struct out_col cols[] = {
    {"name", "NAME", OUT_STR, "name of the store"},
    {"engine", "ENGINE", OUT_STR, "which kind of system it is"},
    {"nodes", "NODES", OUT_LIST, "addresses of its nodes"},
    {"isDefault", "DEFAULT", OUT_BOOL, "taken when no store is named"},
    {"isCurrent", "CURRENT", OUT_BOOL, "the store of this session"},
    {0},
};
static const struct out_table table = {
    .key = "stores", .cols = cols, .empty = "There are no stores."};
static const struct out_table *const tables[] = {&table, NULL};

static int run(struct session *s, const void *options, struct out *out, struct err *err)
{
    struct err ignored = ERR_INIT;
    const struct settings *st = session_settings(s, err);
    const char *current = NULL;

    (void)options;
    if (st == NULL)
        return -1;
    if (!session_waits_for_host(s) && session_store(s, &ignored) != NULL)
        current = session_store_name(s);
    for (size_t i = 0; i < st->n_stores; i++) {
        const struct store_settings *store = &st->stores[i];
        struct out_row *row = out_row(out, &table);
        out_str(row, "name", store->name);
        out_str(row, "engine", store->engine);
        for (size_t k = 0; k < store->nodes.n; k++)
            out_item(row, "nodes", store->nodes.v[k]);
        out_bool(row, "isDefault", st->store != NULL && strcmp(st->store, store->name) == 0);
        out_bool(row, "isCurrent", current != NULL && strcmp(current, store->name) == 0);
    }
    return 0;
}

static const char *const examples[] = {"store list", NULL};

const struct cmd cmd_store_list = {
    .name = "store list",
    .summary = "list the configured stores",
    .description = "Nobody is contacted.",
    .tables = tables,
    .examples = examples,
    .run = run,
};
