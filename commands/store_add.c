#include <stdlib.h>
#include <string.h>

#include "commands/connect_node.h"
#include "kvsh/buf.h"

/* store add: writes a store into the configuration. */
struct opts {
    const char *name, *engine, *user, *password_file, *token_file, *ca_file, *cert_file, *key_file;
    const char *agent_token_file;
    struct words nodes, agents;
    int64_t timeout_ms;
};

static const struct opt options[] = {
    OPT_STR(struct opts, name, "name", "name of the store", .flags = OPT_REQUIRED),
    OPT_STR(struct opts, engine, "engine", "which kind of system it is; redis when not given"),
    OPT_LIST(struct opts, nodes, "node", "address of a node; may be given several times",
             .value = "URL", .flags = OPT_REQUIRED),
    OPT_STR(struct opts, user, "user", "user to log in as"),
    OPT_FILE(struct opts, password_file, "password-file", "0600 file with the user's password"),
    OPT_FILE(struct opts, token_file, "token-file", "0600 file with the token of the nodes"),
    OPT_FILE(struct opts, ca_file, "ca-file", "certificates to trust"),
    OPT_FILE(struct opts, cert_file, "cert-file", "own certificate"),
    OPT_FILE(struct opts, key_file, "key-file", "key of the own certificate"),
    OPT_LIST(struct opts, agents, "agent",
             "kvagentd on the host of a node, to start and stop its process; may be given several "
             "times",
             .value = "[NODE=]URL"),
    OPT_FILE(struct opts, agent_token_file, "agent-token-file",
             "0600 file with the token of the agents"),
    OPT_SECONDS(struct opts, timeout_ms, "timeout", "time for one answer of a node", .min = 1,
                .max = 3600),
    OPT_END,
};

static const struct out_col cols[] = {
    {"storeName", "STORE", OUT_STR, "name of the store"},
    {"file", "FILE", OUT_STR, "where it was written"},
    {0},
};
static const struct out_table table = {
    .cols = cols, .single = true, .text = "Added store {storeName}"};
static const struct out_table *const tables[] = {&table, NULL};

static int check_engine(const char *name, struct err *err)
{
    const char *const *names = engine_names();
    struct buf list;

    if (name == NULL || engine_by_name(name) != NULL)
        return 0;
    buf_init(&list, 0);
    for (size_t i = 0; names[i] != NULL; i++)
        buf_addf(&list, "%s%s", i ? ", " : "", names[i]);
    err_set(err, ERR_INPUT, "there is no engine \"%s\"", name);
    err_advise(err, "engines: %s", list.data);
    buf_release(&list);
    return -1;
}

static int check_addresses(const struct opts *o, struct err *err)
{
    for (size_t i = 0; i < o->nodes.n; i++) {
        if (settings_check_url(o->nodes.v[i], "a node", err) != 0)
            return -1;
    }
    for (size_t i = 0; i < o->agents.n; i++) {
        if (settings_check_agent(o->agents.v[i], err) != 0)
            return -1;
    }
    return 0;
}

/* Files are written with absolute paths: later calls run elsewhere. */
static const char *absolute(struct arena *a, const char *path)
{
    char *full = path ? path_absolute(NULL, path) : NULL;
    const char *kept = arena_strdup(a, full);

    free(full);
    return kept;
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct arena arena = {0};
    const struct store_settings store = {
        .name = o->name,
        .engine = o->engine ? o->engine : "redis",
        .nodes = o->nodes,
        .agents = o->agents,
        .agent_token_file = absolute(&arena, o->agent_token_file),
        .user = o->user,
        .password_file = absolute(&arena, o->password_file),
        .token_file = absolute(&arena, o->token_file),
        .ca_file = absolute(&arena, o->ca_file),
        .cert_file = absolute(&arena, o->cert_file),
        .key_file = absolute(&arena, o->key_file),
        .timeout_ms = o->timeout_ms,
    };
    const struct settings *st = session_settings(s, err);
    const char *file;
    struct out_row *row;
    int rc = -1;

    if (st == NULL || settings_check_name(o->name, err) != 0 || check_engine(o->engine, err) != 0 ||
        check_addresses(o, err) != 0)
        goto out;
    if (settings_store(st, o->name) != NULL) {
        err_set(err, ERR_INPUT, "store \"%s\" is configured already", o->name);
        err_advise(err, "store show -name %s shows it, store remove -name %s drops it", o->name,
                   o->name);
        goto out;
    }
    if (store_write_section(s, &store, err) != 0 || (file = session_edit_file(s, err)) == NULL)
        goto out;
    row = out_row(out, &table);
    out_str(row, "storeName", o->name);
    out_str(row, "file", file);
    rc = 0;
out:
    arena_release(&arena);
    return rc;
}

static const char *const examples[] = {
    "store add -name prod -node http://node01:13230 -node http://node02:13230",
    "store add -name cb -engine couchbase -node https://cb1:18091 -user admin -password-file "
    "/etc/kvsh/cb.pw",
    "store add -name cb -engine couchbase -node https://cb1:18091 -user admin -password-file "
    "/etc/kvsh/cb.pw -agent https://cb1:13230 -agent https://cb2:13230 -agent-token-file "
    "/etc/kvsh/agents.token",
    NULL,
};

const struct cmd cmd_store_add = {
    .name = "store add",
    .summary = "add a store to the configuration",
    .description =
        "Nobody is contacted. Secrets are read from files when they are needed; a file that "
        "others may read is refused.\n\n"
        "An agent belongs to the node that the store knows by the host in the agent's address. "
        "Where the store knows the node by another name, that name goes before it: "
        "-agent NODE=https://HOST:PORT.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .run = run,
};
