#include <stdlib.h>

#include "commands/session.h"

/* store show: what is configured for one store. */
struct opts {
    const char *name;
};

static const struct opt options[] = {
    OPT_STR(struct opts, name, "name", "name of the store; the current one when not given",
            .complete = COMPLETE_STORE),
    OPT_END,
};

static const struct out_col cols[] = {
    {"name", "NAME", OUT_STR, "name of the store"},
    {"engine", "ENGINE", OUT_STR, "which kind of system it is"},
    {"nodes", "NODES", OUT_LIST, "addresses of its nodes"},
    {"user", "USER", OUT_STR, "user to log in as"},
    {"passwordFile", "PASSWORD FILE", OUT_STR, "file with the password"},
    {"tokenFile", "TOKEN FILE", OUT_STR, "file with the token"},
    {"agents", "AGENTS", OUT_LIST, "addresses of the agents beside its nodes"},
    {"agentTokenFile", "AGENT TOKEN FILE", OUT_STR, "file with the token of the agents"},
    {"caFile", "CA FILE", OUT_STR, "certificates to trust"},
    {"certFile", "CERT FILE", OUT_STR, "own certificate"},
    {"keyFile", "KEY FILE", OUT_STR, "key of the own certificate"},
    {"timeoutMs", "TIMEOUT", OUT_DURATION, "time for one answer of a node"},
    {"tlsVerify", "TLS VERIFY", OUT_BOOL, "whether certificates are checked"},
    {"notifyCommand", "NOTIFY COMMAND", OUT_STR, "what is told how plans ended"},
    {"configFile", "CONFIGURED IN", OUT_STR, "where it is configured"},
    {"stateDir", "STATE", OUT_STR, "directory of its journal"},
    {0},
};
static const struct out_table table = {
    .cols = cols,
    .single = true,
    .text = "store:         {name}\n"
            "engine:        {engine}"
            "{?nodes|\nnodes:         {nodes}}"
            "{?user|\nuser:          {user}}"
            "{?passwordFile|\npassword file: {passwordFile}}"
            "{?tokenFile|\ntoken file:    {tokenFile}}"
            "{?agents|\nagents:        {agents}}"
            "{?agentTokenFile|\nagent token:   {agentTokenFile}}"
            "{?caFile|\nca file:       {caFile}}"
            "{?certFile|\ncert file:     {certFile}}"
            "{?keyFile|\nkey file:      {keyFile}}"
            "{?timeoutMs|\ntimeout:       {timeoutMs}}"
            "\ntls verify:    {tlsVerify}"
            "{?notifyCommand|\nnotify:        {notifyCommand}}"
            "\nconfigured in: {configFile}"
            "\nstate:         {stateDir}",
};
static const struct out_table *const tables[] = {&table, NULL};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    const struct store_settings *store = session_named_store(s, o->name, err);
    char *dir = store ? session_store_dir(s, store->name, err) : NULL;
    struct out_row *row;

    if (dir == NULL)
        return -1;
    row = out_row(out, &table);
    out_str(row, "name", store->name);
    out_str(row, "engine", store->engine);
    for (size_t i = 0; i < store->nodes.n; i++)
        out_item(row, "nodes", store->nodes.v[i]);
    out_str(row, "user", store->user);
    out_str(row, "passwordFile", store->password_file);
    out_str(row, "tokenFile", store->token_file);
    for (size_t i = 0; i < store->agents.n; i++)
        out_item(row, "agents", store->agents.v[i]);
    out_str(row, "agentTokenFile", store->agent_token_file);
    out_str(row, "caFile", store->ca_file);
    out_str(row, "certFile", store->cert_file);
    out_str(row, "keyFile", store->key_file);
    if (store->timeout_ms)
        out_int(row, "timeoutMs", store->timeout_ms);
    out_bool(row, "tlsVerify", !store->no_tls_verify);
    out_str(row, "notifyCommand", store->notify_command);
    out_str(row, "configFile", store->file);
    out_str(row, "stateDir", dir);
    free(dir);
    return 0;
}

static const char *const examples[] = {"store show", "store show -name prod", NULL};

const struct cmd cmd_store_show = {
    .name = "store show",
    .summary = "show how a store is configured",
    .description = "Files with secrets are named, never read. Nobody is contacted.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .run = run,
};
