#include "commands/connect_node.h"

/* connect: makes the store of a node the current one. */
struct opts {
    const char *host, *token_file;
    int64_t port;
};

static const struct opt options[] = {
    OPT_STR(struct opts, host, "host", "host of the node's agent", .value = "HOST",
            .flags = OPT_REQUIRED),
    OPT_INT(struct opts, port, "port", "port of the node's agent", .min = 1, .max = 65535,
            .flags = OPT_REQUIRED),
    OPT_FILE(struct opts, token_file, "token-file", "0600 file with the agent's token"),
    OPT_END,
};

static const struct out_col cols[] = {
    {"storeName", "STORE", OUT_STR, "name of the store; absent when the node has none yet"},
    {"host", "HOST", OUT_STR, "host that was connected to"},
    {"port", "PORT", OUT_INT, "port that was connected to"},
    {0},
};
static const struct out_table table = {
    .cols = cols,
    .single = true,
    .text = "Connected to {?storeName|store {storeName} at }{host}:{port}",
};
static const struct out_table *const tables[] = {&table, NULL};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    const struct node_address at = {o->host, o->port, o->token_file};
    struct connected result;
    struct out_row *row;

    if (connect_node(s, &at, &result, err) != 0)
        return -1;
    row = out_row(out, &table);
    if (result.store[0])
        out_str(row, "storeName", result.store);
    out_str(row, "host", o->host);
    out_int(row, "port", o->port);
    if (!result.store[0])
        out_note(out, "the node belongs to no store yet; configure -name NAME makes a store of it");
    return 0;
}

static const char *const examples[] = {"connect -host 127.0.0.1 -port 13230", NULL};

const struct cmd cmd_connect = {
    .name = "connect",
    .summary = "make the store of a node the current one",
    .description =
        "Asks the agent at HOST:PORT which store it belongs to, takes over the store's metadata "
        "when the local journal has none or an older copy, and makes that store the current one. "
        "A store not configured yet is added to the configuration.\n\n"
        "A node that belongs to no store yet is remembered: configure makes a store of it.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .run = run,
};
