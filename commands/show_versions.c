#include "commands/session.h"

/* show versions: of this program and of the nodes. */
static const struct out_col own_cols[] = {
    {"clientVersion", "VERSION", OUT_STR, "version of this program"},
    {0},
};
static const struct out_table own_table = {
    .cols = own_cols, .single = true, .text = "kvsh {clientVersion}"};

static const struct out_col cols[] = {
    {"resourceId", "ID", OUT_STR, "id of the storage node or service"},
    {"version", "VERSION", OUT_STR, "its version; absent when it does not answer"},
    {"status", "STATUS", OUT_STATE, "its status"},
    {0},
};
static const struct out_table table = {.key = "versions", .cols = cols};
static const struct out_table *const tables[] = {&own_table, &table, NULL};

static void add_row(struct out *out, const char *id, const char *version, enum status status)
{
    struct out_row *row = out_row(out, &table);

    out_str(row, "resourceId", id);
    out_str(row, "version", version);
    out_str(row, "status", status_name(status));
}

static int run(struct session *s, const void *options, struct out *out, struct err *err)
{
    struct cluster c = {0};
    int rc;

    (void)options;
    out_str(out_row(out, &own_table), "clientVersion", PACKAGE_VERSION);
    rc = session_observe(s, &c, err);
    for (size_t i = 0; rc == 0 && i < c.n_nodes; i++)
        add_row(out, c.nodes[i].id, c.nodes[i].version, c.nodes[i].status);
    for (size_t i = 0; rc == 0 && i < c.n_services; i++) {
        if (c.services[i].kind == KIND_RN)
            add_row(out, c.services[i].id, c.services[i].version, c.services[i].status);
    }
    cluster_release(&c);
    return rc;
}

static const char *const examples[] = {"show versions", NULL};

const struct cmd cmd_show_versions = {
    .name = "show versions",
    .summary = "show the versions of this program and of the nodes",
    .description = "The version of this program alone is shown by kvsh -version, without a store.",
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
