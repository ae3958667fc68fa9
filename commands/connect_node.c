#include "commands/connect_node.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/buf.h"
#include "kvsh/conf.h"
#include "kvsh/fs.h"
#include "kvsh/meta.h"

/* What must not be in a value: it would end the line or begin a comment when read back. */
static int add_line(struct buf *body, const char *key, const char *value, struct err *err)
{
    if (value == NULL)
        return 0;
    for (const char *c = value; *c; c++) {
        if (iscntrl((unsigned char)*c) || (*c == ';' && (c == value || c[-1] == ' ')))
            return err_set(
                err, ERR_INPUT,
                "%s \"%s\" has a character in it that the configuration file cannot hold", key,
                value);
    }
    if (value[0] == '\0' || value[0] == ' ' || value[strlen(value) - 1] == ' ')
        return err_set(err, ERR_INPUT, "%s \"%s\" is empty or has blanks around it", key, value);
    buf_addf(body, "%s = %s\n", key, value);
    return 0;
}

int config_make_dir(const char *file, struct err *err)
{
    const char *slash = strrchr(file, '/');
    char *dir;
    int rc;

    if (slash == NULL || slash == file)
        return 0;
    dir = xstrndup(file, (size_t)(slash - file));
    rc = fs_mkdirs(dir, 0700, err);
    free(dir);
    return rc;
}

int store_write_section(struct session *s, const struct store_settings *store, struct err *err)
{
    const char *file = session_edit_file(s, err);
    char seconds[32];
    struct buf body;
    int rc = -1;

    if (file == NULL)
        return -1;
    buf_init(&body, 0);
    snprintf(seconds, sizeof seconds, "%lld", (long long)(store->timeout_ms / 1000));
    if (add_line(&body, "engine", store->engine, err) != 0)
        goto out;
    for (size_t i = 0; i < store->nodes.n; i++) {
        if (add_line(&body, "node", store->nodes.v[i], err) != 0)
            goto out;
    }
    for (size_t i = 0; i < store->agents.n; i++) {
        if (add_line(&body, "agent", store->agents.v[i], err) != 0)
            goto out;
    }
    if (add_line(&body, "agent-token-file", store->agent_token_file, err) != 0 ||
        add_line(&body, "user", store->user, err) != 0 ||
        add_line(&body, "password-file", store->password_file, err) != 0 ||
        add_line(&body, "token-file", store->token_file, err) != 0 ||
        add_line(&body, "ca-file", store->ca_file, err) != 0 ||
        add_line(&body, "cert-file", store->cert_file, err) != 0 ||
        add_line(&body, "key-file", store->key_file, err) != 0 ||
        add_line(&body, "timeout", store->timeout_ms ? seconds : NULL, err) != 0 ||
        add_line(&body, "tls-verify", store->no_tls_verify ? "no" : NULL, err) != 0)
        goto out;
    if (config_make_dir(file, err) != 0 ||
        conf_edit_section(file, "store", store->name, body.data, err) != 0)
        goto out;
    session_reread(s);
    rc = 0;
out:
    buf_release(&body);
    return rc;
}

/* The metadata a node keeps. */
struct copy {
    struct json *docs; /* NULL: the node belongs to no store */
    int64_t version;
};

/* Opens the engine with that node alone and asks for the copy it keeps; *docs NULL: it belongs to
 * no store. */
static int fetch(struct session *s, const char *url, const char *token_file, struct copy *copy,
                 struct err *err)
{
    const struct engine *e = engine_by_name("redis");
    struct endpoint ep = {.engine = "redis", .nodes = &url, .n_nodes = 1, .timeout_ms = 5000};
    struct connection *cn = NULL;
    char *token = NULL;
    int rc = -1;

    if (e == NULL || e->fetch == NULL) {
        err_set(err, ERR_INTERNAL, "this program has no engine that can connect to a node");
        goto out;
    }
    if (session_flags(s)->timeout_ms)
        ep.timeout_ms = (int)session_flags(s)->timeout_ms;
    if (token_file != NULL && (token = fs_read_secret(token_file, err)) == NULL)
        goto out;
    ep.token = token;
    if ((cn = e->open(&ep, err)) == NULL || e->fetch(cn, &copy->docs, &copy->version, err) != 0)
        goto out;
    rc = 0;
out:
    if (cn != NULL)
        e->close(cn);
    free(token);
    return rc;
}

/* Makes sure the store has its section. */
static int configure_store(struct session *s, const char *name, const char *url,
                           const char *token_file, struct err *err)
{
    const struct settings *st = session_settings(s, err);
    struct store_settings store = {.name = name, .engine = "redis", .nodes = {&url, 1}};

    if (st == NULL)
        return -1;
    if (settings_store(st, name) != NULL)
        return 0;
    if (token_file != NULL && (st->token_file == NULL || strcmp(st->token_file, token_file) != 0))
        store.token_file = token_file;
    return store_write_section(s, &store, err);
}

/* Takes the documents over when the journal has none or older ones. */
static int take_docs(struct session *s, const struct copy *copy, struct err *err)
{
    struct journal *j = session_journal(s, err);
    struct json *mine = NULL;
    int64_t have = 0;
    int rc = -1;

    if (j == NULL || journal_docs(j, &mine, &have, err) != 0)
        goto out;
    if (meta_doc(mine, "store", "store") != NULL && have >= copy->version) {
        rc = 0;
        goto out;
    }
    rc = journal_adopt_docs(j, copy->docs, copy->version, err);
out:
    json_free(mine);
    return rc;
}

int connect_node(struct session *s, const struct node_address *at, struct connected *result,
                 struct err *err)
{
    const struct settings *st = session_settings(s, err);
    char *url = settings_url(at->host, at->port);
    struct copy copy = {0};
    const char *name;
    char *token = NULL;
    int rc = -1;

    result->store[0] = '\0';
    if (st == NULL || settings_check_host(at->host, err) != 0)
        goto out;
    if (at->token_file != NULL || st->token_file != NULL)
        token = path_absolute(NULL, at->token_file ? at->token_file : st->token_file);
    if (fetch(s, url, token, &copy, err) != 0)
        goto out;
    name = json_str(meta_doc(copy.docs, "store", "store"), "name");
    if (name == NULL) {
        session_set_bare_node(s, url, token);
        rc = 0;
        goto out;
    }
    if (settings_check_name(name, err) != 0) {
        err_prepend(err, "the node at %s:%lld", at->host, (long long)at->port);
        goto out;
    }
    if (at->store != NULL && strcmp(at->store, name) != 0) {
        err_set(err, ERR_INPUT, "the node at %s:%lld belongs to store %s, not to %s", at->host,
                (long long)at->port, name, at->store);
        err_advise(err, "leave out -store, or give a node of store %s", at->store);
        goto out;
    }
    if (configure_store(s, name, url, token, err) != 0)
        goto out;
    session_use(s, name);
    if (take_docs(s, &copy, err) != 0)
        goto out;
    snprintf(result->store, sizeof result->store, "%s", name);
    rc = 0;
out:
    json_free(copy.docs);
    free(token);
    free(url);
    return rc;
}

int connect_host(struct session *s, struct err *err)
{
    const struct session_flags *f = session_flags(s);
    const struct node_address at = {.host = f->host, .port = f->port, .store = f->store};
    struct connected result;

    return connect_node(s, &at, &result, err);
}
