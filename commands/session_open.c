#include <stdlib.h>
#include <string.h>

#include "commands/session_private.h"
#include "kvsh/fs.h"
#include "kvsh/log.h"
#include "kvsh/meta.h"
#include "kvsh/run.h"

/* What belongs to the current store: journal, engine, endpoint, connection, and what they tell. */

#define DEFAULT_TIMEOUT_MS 5000

void session_leave_store(struct session *s)
{
    const struct engine *e = s->connection ? engine_by_name(s->endpoint.engine) : NULL;

    if (e != NULL)
        e->close(s->connection);
    s->connection = NULL;
    arena_release(&s->endpoint_arena);
    s->endpoint = (struct endpoint){0};
    s->have_endpoint = false;
    journal_close(s->journal);
    s->journal = NULL;
}

const struct err *session_copied(const struct session *s)
{
    return s->journal != NULL ? journal_is_copy(s->journal) : NULL;
}

void session_leave_journal(struct session *s)
{
    journal_close(s->journal);
    s->journal = NULL;
}

void session_leave_copy(struct session *s)
{
    if (session_copied(s) != NULL)
        session_leave_journal(s);
}

struct journal *session_journal(struct session *s, struct err *err)
{
    const struct store_settings *store;
    char *dir = NULL;

    if (s->journal != NULL)
        return s->journal;
    if ((store = session_store(s, err)) == NULL)
        return NULL;
    if ((dir = session_store_dir(s, store->name, err)) != NULL) {
        s->journal = journal_open(dir, true, err);
        if (s->journal == NULL)
            err_prepend(err, "store %s", store->name);
    }
    free(dir);
    return s->journal;
}

const struct engine *session_engine(struct session *s, struct err *err)
{
    const struct store_settings *store = session_store(s, err);
    const struct engine *e;

    if (store == NULL)
        return NULL;
    if ((e = engine_by_name(store->engine)) == NULL)
        err_set(err, ERR_INPUT, "store %s: there is no engine \"%s\"", store->name, store->engine);
    return e;
}

int endpoint_fill(struct endpoint *ep, struct arena *a, struct session *s,
                  const struct store_settings *store, struct err *err)
{
    int64_t timeout = s->flags.timeout_ms ? s->flags.timeout_ms : store->timeout_ms;
    char *dir = session_store_dir(s, store->name, err), *secret;

    if (dir == NULL)
        return -1;
    *ep = (struct endpoint){
        .store = arena_strdup(a, store->name),
        .engine = arena_strdup(a, store->engine),
        .nodes = store->nodes.n ? arena_alloc(a, store->nodes.n * sizeof *ep->nodes) : NULL,
        .n_nodes = store->nodes.n,
        .agents = store->agents.n ? arena_alloc(a, store->agents.n * sizeof *ep->agents) : NULL,
        .n_agents = store->agents.n,
        .agent_token_file = arena_strdup(a, store->agent_token_file),
        .user = arena_strdup(a, store->user),
        .ca_file = arena_strdup(a, store->ca_file),
        .cert_file = arena_strdup(a, store->cert_file),
        .key_file = arena_strdup(a, store->key_file),
        .no_tls_verify = store->no_tls_verify,
        .timeout_ms = (int)(timeout ? timeout : DEFAULT_TIMEOUT_MS),
        .secret_file = arena_printf(a, "%s/secret", dir),
    };
    free(dir);
    for (size_t i = 0; i < store->nodes.n; i++)
        ep->nodes[i] = arena_strdup(a, store->nodes.v[i]);
    for (size_t i = 0; i < store->agents.n; i++)
        ep->agents[i] = arena_strdup(a, store->agents.v[i]);
    if (store->token_file != NULL) {
        if ((secret = fs_read_secret(store->token_file, err)) == NULL)
            return err_prepend(err, "store %s", store->name);
        ep->token = arena_strdup(a, secret);
        free(secret);
    }
    if (store->password_file != NULL) {
        if ((secret = fs_read_secret(store->password_file, err)) == NULL)
            return err_prepend(err, "store %s", store->name);
        ep->password = arena_strdup(a, secret);
        free(secret);
    }
    return 0;
}

const struct endpoint *session_endpoint(struct session *s, struct err *err)
{
    const struct store_settings *store = session_store(s, err);

    if (store == NULL)
        return NULL;
    if (!s->have_endpoint) {
        if (endpoint_fill(&s->endpoint, &s->endpoint_arena, s, store, err) != 0)
            return NULL;
        s->have_endpoint = true;
    }
    return &s->endpoint;
}

static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 ||
           strncmp(host, "[::1]", 5) == 0;
}

/* What an operator has to know before secrets leave the machine. */
static void warn_of_transport(const struct endpoint *ep)
{
    if (ep->no_tls_verify)
        log_msg(LOG_WARNING, "tls", "the certificates of store %s are not checked", ep->store);
    if (ep->password == NULL && ep->token == NULL)
        return;
    for (size_t i = 0; i < ep->n_nodes; i++) {
        if (strncmp(ep->nodes[i], "http://", 7) != 0 || is_loopback(ep->nodes[i] + 7))
            continue;
        log_msg(LOG_WARNING, "tls",
                "the %s of store %s goes to %s in clear text; an https address keeps it secret",
                ep->token ? "token" : "password", ep->store, ep->nodes[i]);
        return;
    }
}

struct connection *session_connection(struct session *s, struct err *err)
{
    const struct engine *e = session_engine(s, err);
    const struct endpoint *ep = e ? session_endpoint(s, err) : NULL;

    if (ep != NULL && s->connection == NULL) {
        warn_of_transport(ep);
        s->connection = e->open(ep, err);
    }
    return ep ? s->connection : NULL;
}

/* A journal without the store's own document tells nothing of it: not that all is well, and nothing
 * that could be changed. What foreign systems know of themselves is never in the journal. */
static int check_known(const struct session *s, const struct engine *e, const struct cluster *c,
                       struct err *err)
{
    if (c->store != NULL || e->is_foreign)
        return 0;
    err_set(err, ERR_INPUT, "store %s: its journal is empty, nothing is known of the store here",
            s->store);
    return err_advise(err,
                      "connect -host HOST -port PORT takes over what a node knows of it, configure "
                      "-name %s begins a new one; store show tells where the journal is",
                      s->store);
}

int session_declared(struct session *s, struct cluster *c, struct err *err)
{
    struct journal *j = session_journal(s, err);
    const struct engine *e = j ? session_engine(s, err) : NULL;
    struct json *docs = NULL;
    int rc = -1;

    if (e == NULL || journal_docs(j, &docs, &c->metadata_version, err) != 0)
        goto out;
    if (meta_to_cluster(docs, c, err) == 0)
        rc = check_known(s, e, c, err);
out:
    json_free(docs);
    return rc;
}

int session_observe(struct session *s, struct cluster *c, struct err *err)
{
    struct journal *j = session_journal(s, err);
    const struct engine *e = j ? session_engine(s, err) : NULL;
    struct connection *cn = e ? session_connection(s, err) : NULL;

    if (cn == NULL || store_observe(j, e, cn, c, err) != 0)
        return -1;
    return check_known(s, e, c, err);
}
