#include "engines/agents.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kvsh/buf.h"
#include "kvsh/fs.h"
#include "kvsh/log.h"

enum { CONNECT_MS = 2000, SLACK_MS = 1000, FOLLOW_MS = 10000, SILENCE_MS = 30000, PAUSE_MS = 250 };

struct agents {
    char **v;
    size_t n;
    char *token_file, *ca_file, *cert_file, *key_file, *lease;
    bool no_tls_verify;
    int timeout_ms;
    struct http *http; /* NULL: not needed yet */
};

/* --- which agent --- */

static const char *url_of(const char *agent)
{
    const char *equals = strchr(agent, '=');

    return equals ? equals + 1 : agent;
}

const char *agent_host(const char *url, struct arena *a)
{
    const char *host = strstr(url, "://");
    size_t n;

    host = host ? host + 3 : url;
    if (host[0] == '[')
        return arena_strndup(a, host + 1, strcspn(host + 1, "]"));
    n = strcspn(host, ":/");
    return arena_strndup(a, host, n);
}

static bool is_id(const struct agent_node *n, const char *name)
{
    return (n->id != NULL && strcasecmp(n->id, name) == 0) ||
           (n->other_id != NULL && strcasecmp(n->other_id, name) == 0);
}

bool agent_is_host(const struct agent_node *n, const char *name)
{
    for (size_t i = 0; i < AGENT_HOSTS_MAX; i++)
        if (n->hosts[i] != NULL && strcasecmp(n->hosts[i], name) == 0)
            return true;
    return false;
}

/* How well an agent fits a node: by a name given for it exactly, by a host given for it, by the
 * host in its address. */
enum fit { FIT_NONE, FIT_ADDRESS, FIT_HOST, FIT_NAME };

static enum fit fit_of(const char *agent, const struct agent_node *n)
{
    const char *equals = strchr(agent, '=');
    struct arena a = {0};
    const char *name =
        equals ? arena_strndup(&a, agent, (size_t)(equals - agent)) : agent_host(agent, &a);
    enum fit fit = FIT_NONE;

    if (equals != NULL && is_id(n, name))
        fit = FIT_NAME;
    else if (agent_is_host(n, name))
        fit = equals ? FIT_HOST : FIT_ADDRESS;
    arena_release(&a);
    return fit;
}

static enum fit best_fit(const struct agent_list *agents, const struct agent_node *n)
{
    enum fit best = FIT_NONE;

    for (size_t i = 0; i < agents->n; i++) {
        enum fit fit = fit_of(agents->v[i], n);
        best = fit > best ? fit : best;
    }
    return best;
}

static const char *say_which(const struct agent_node *n, struct arena *a)
{
    return arena_printf(a, "say which in kvsh.conf: agent = %s=https://HOST:PORT", n->id);
}

/* Another node that this agent could as well belong to, which has no better one. */
static const struct agent_node *rival(const struct agent_list *agents, const char *agent,
                                      const struct agent_nodes *nodes, size_t which)
{
    enum fit mine = fit_of(agent, &nodes->v[which]);

    for (size_t i = 0; i < nodes->n && mine != FIT_NAME; i++)
        if (i != which && fit_of(agent, &nodes->v[i]) == mine &&
            best_fit(agents, &nodes->v[i]) == mine)
            return &nodes->v[i];
    return NULL;
}

static void no_agent(const struct agent_list *agents, const struct agent_node *n, struct arena *a,
                     struct agent_match *m)
{
    m->why = agents->n == 0
                 ? arena_printf(a, "no agent is configured for %s", n->id)
                 : arena_printf(a, "none of the %zu agents configured belongs to %s (host %s)",
                                agents->n, n->id, n->hosts[0] ? n->hosts[0] : "unknown");
    m->advice = arena_printf(a,
                             "run kvagentd on that host and name it in kvsh.conf: agent = "
                             "https://HOST:PORT, or agent = %s=https://HOST:PORT",
                             n->id);
}

void agent_match(const struct agent_list *agents, const struct agent_nodes *nodes, size_t which,
                 struct arena *a, struct agent_match *m)
{
    const struct agent_node *n = &nodes->v[which], *other;
    enum fit best = best_fit(agents, n);
    const char *found = NULL;

    *m = (struct agent_match){0};
    if (best == FIT_NONE) {
        no_agent(agents, n, a, m);
        return;
    }
    for (size_t i = 0; i < agents->n; i++) {
        if (fit_of(agents->v[i], n) != best)
            continue;
        if (found != NULL && strcmp(url_of(found), url_of(agents->v[i])) != 0) {
            m->why = arena_printf(a, "%s and %s could both be the agent of %s", url_of(found),
                                  url_of(agents->v[i]), n->id);
            m->advice = say_which(n, a);
            return;
        }
        found = agents->v[i];
        other = rival(agents, found, nodes, which);
        if (other != NULL) {
            m->why = arena_printf(a, "the agent %s could be that of %s or of %s", url_of(found),
                                  n->id, other->id);
            m->advice = say_which(n, a);
            return;
        }
    }
    m->url = arena_strdup(a, url_of(found));
}

/* --- one agent's answers --- */

static const char *place(const char *url)
{
    const char *host = strstr(url, "://");

    return host ? host + 3 : url;
}

static bool is_json(const struct http_response *resp)
{
    return resp->content_type != NULL &&
           (strcmp(resp->content_type, "application/json") == 0 ||
            strcmp(resp->content_type, "application/problem+json") == 0);
}

static void refused(const struct json *body, int status, const char *url, struct err *err)
{
    const char *detail = json_str(body, "detail"), *advice = json_str(body, "advice");
    const char *name = json_str(body, "code");
    enum err_code code = ERR_FAILED;

    if (status == 401 || status == 403)
        code = ERR_DENIED;
    else if (name != NULL && strcmp(name, "leased") == 0)
        code = ERR_LOCKED;
    err_set(err, code, "agent %s: %s", place(url), detail ? detail : "refused without a reason");
    if (code == ERR_DENIED)
        err_advise(err, "check agent-token-file of the store in kvsh.conf against the agent's "
                        "token file");
    else if (advice != NULL)
        err_advise(err, "%s", advice);
}

struct json *agent_response(const struct http_response *resp, const char *method, const char *url,
                            struct err *err)
{
    struct err why = ERR_INIT;
    struct json *body = is_json(resp) ? json_parse(resp->body, resp->len, &why) : NULL;

    if (json_is_object(body) && resp->status < 300)
        return body;
    if (json_is_object(body)) {
        refused(body, resp->status, url, err);
    } else {
        /* Whatever this is, it cannot tell whether the request took effect. */
        err_set(err, strcmp(method, "GET") == 0 ? ERR_UNREACHABLE : ERR_IN_DOUBT,
                "agent %s: answers with status %d and %s, which is no kvagentd answer", place(url),
                resp->status, resp->content_type ? resp->content_type : "no content type");
        err_advise(err, "check that host and port are those of a kvagentd");
    }
    json_free(body);
    return NULL;
}

static bool is_state(const char *state)
{
    static const char *const states[] = {"running",  "stopped",  "failed",
                                         "starting", "stopping", "unknown"};

    for (size_t i = 0; i < sizeof states / sizeof *states && state != NULL; i++)
        if (strcmp(state, states[i]) == 0)
            return true;
    return false;
}

void agent_decode(const struct json *doc, const struct agent_unit *u, struct arena *a,
                  struct agent_answer *answer)
{
    *answer = (struct agent_answer){
        .instance = arena_strdup(a, json_str(json_get(doc, "agent"), "instance"))};
    JSON_FOREACH (s, json_get(doc, "services")) {
        const char *id = json_str(s, "id"), *kind = json_str(s, "kind");
        const char *state = json_str(s, "state");

        if (id == NULL || kind == NULL || strcmp(id, u->unit) != 0 || strcmp(kind, "unit") != 0)
            continue;
        answer->state = is_state(state) ? arena_strdup(a, state) : "unknown";
        answer->detail = arena_strdup(a, json_str(s, "detail"));
        return;
    }
    answer->why = arena_printf(a, "agent %s: it has no unit %s", place(u->url), u->unit);
    answer->advice = arena_printf(a,
                                  "add it to the agent's boot configuration, as 'kvagentd "
                                  "makebootconfig -unit %s=...' writes it, and restart the agent",
                                  u->unit);
}

/* --- asking --- */

static char *copy(const char *s)
{
    return s ? xstrdup(s) : NULL;
}

static char *without_slash(const char *url)
{
    size_t n = strlen(url);

    while (n > 0 && url[n - 1] == '/')
        n--;
    return xstrndup(url, n);
}

struct agents *agents_new(const struct endpoint *ep)
{
    struct agents *ag = xcalloc(1, sizeof *ag);

    ag->v = xcalloc(ep->n_agents + 1, sizeof *ag->v);
    for (size_t i = 0; i < ep->n_agents; i++)
        ag->v[ag->n++] = without_slash(ep->agents[i]);
    ag->token_file = copy(ep->agent_token_file);
    ag->ca_file = copy(ep->ca_file);
    ag->cert_file = copy(ep->cert_file);
    ag->key_file = copy(ep->key_file);
    ag->lease = copy(ep->lease);
    ag->no_tls_verify = ep->no_tls_verify;
    ag->timeout_ms = ep->timeout_ms;
    return ag;
}

void agents_free(struct agents *ag)
{
    if (ag == NULL)
        return;
    http_close(ag->http);
    for (size_t i = 0; i < ag->n; i++)
        free(ag->v[i]);
    free(ag->v);
    free(ag->token_file);
    free(ag->ca_file);
    free(ag->cert_file);
    free(ag->key_file);
    free(ag->lease);
    free(ag);
}

struct agent_list agents_list(const struct agents *ag)
{
    return (struct agent_list){(const char *const *)ag->v, ag->n};
}

static struct http *client(struct agents *ag, struct err *err)
{
    char *token = NULL;

    if (ag->http != NULL)
        return ag->http;
    if (ag->token_file != NULL && (token = fs_read_secret(ag->token_file, err)) == NULL) {
        err_prepend(err, "agents");
        return NULL;
    }
    ag->http = http_open(&(struct http_config){.ca_file = ag->ca_file,
                                               .cert_file = ag->cert_file,
                                               .key_file = ag->key_file,
                                               .bearer_token = token,
                                               .lease = ag->lease,
                                               .no_tls_verify = ag->no_tls_verify},
                         err);
    if (token != NULL)
        explicit_bzero(token, strlen(token));
    free(token);
    return ag->http;
}

/* What an operator has to know before the token leaves the machine. */
static void warn_of_transport(const struct agents *ag, const char *url)
{
    struct arena a = {0};
    const char *host = agent_host(url, &a);

    if (ag->token_file != NULL && strncmp(url, "http://", 7) == 0 &&
        strncmp(host, "127.", 4) != 0 && strcmp(host, "localhost") != 0 && strcmp(host, "::1") != 0)
        log_msg(LOG_WARNING, "tls",
                "the token of the agents goes to %s in clear text; an https address keeps it "
                "secret",
                place(url));
    arena_release(&a);
}

/* Why there is no answer. A question without one leaves nothing in doubt. */
static void unanswered(const char *method, const char *url, struct err *err)
{
    if (err->code == ERR_IN_DOUBT && strcmp(method, "GET") == 0)
        err->code = ERR_UNREACHABLE;
    err_prepend(err, "agent %s", place(url));
    if (err->code == ERR_UNREACHABLE)
        err_advise(err, "check that the agent runs there: kvagentd status -root KVROOT");
}

struct asking {
    const struct agent_unit *units;
    struct agent_answer *answers;
    struct arena *arena;
};

static void take_answer(void *arg, size_t i, struct http_response *resp)
{
    struct asking *k = arg;
    struct err why = resp->err;
    struct json *doc = NULL;

    if (why.code == ERR_OK)
        doc = agent_response(resp, "GET", k->units[i].url, &why);
    else
        unanswered("GET", k->units[i].url, &why);
    if (doc != NULL) {
        agent_decode(doc, &k->units[i], k->arena, &k->answers[i]);
    } else {
        k->answers[i].why = arena_strdup(k->arena, why.text);
        k->answers[i].advice = why.advice[0] ? arena_strdup(k->arena, why.advice) : NULL;
    }
    json_free(doc);
}

int agents_ask(struct agents *ag, const struct agent_unit *units, size_t n, struct arena *a,
               struct agent_answer *answers, struct err *err)
{
    struct http *http = client(ag, err);
    struct asking k = {units, answers, a};
    struct http_request *reqs;
    struct http_batch batch = {
        .n = n, .deadline_ms = ag->timeout_ms + SLACK_MS, .done = take_answer, .arg = &k};
    char **urls;

    if (http == NULL)
        return -1;
    reqs = xcalloc(n + 1, sizeof *reqs);
    urls = xcalloc(n + 1, sizeof *urls);
    for (size_t i = 0; i < n; i++) {
        answers[i] = (struct agent_answer){0};
        warn_of_transport(ag, units[i].url);
        urls[i] = xasprintf("%s/v1/node", units[i].url);
        reqs[i] = (struct http_request){.method = "GET",
                                        .url = urls[i],
                                        .connect_timeout_ms = CONNECT_MS,
                                        .timeout_ms = ag->timeout_ms};
    }
    batch.reqs = reqs;
    http_perform_each(http, &batch);
    for (size_t i = 0; i < n; i++)
        free(urls[i]);
    free(urls);
    free(reqs);
    return 0;
}

/* --- having it done --- */

static struct json *call(struct agents *ag, const char *method, const char *url, const char *path,
                         struct err *err)
{
    char *whole = xasprintf("%s%s", url, path);
    const struct http_request req = {.method = method,
                                     .url = whole,
                                     .body = strcmp(method, "GET") == 0 ? NULL : "{}",
                                     .body_len = strcmp(method, "GET") == 0 ? 0 : 2,
                                     .connect_timeout_ms = CONNECT_MS,
                                     .timeout_ms =
                                         ag->timeout_ms > FOLLOW_MS ? ag->timeout_ms : FOLLOW_MS};
    struct http_response resp = {0};
    struct http *http = client(ag, err);
    struct json *doc = NULL;

    if (http != NULL && http_perform(http, &req, &resp, err) == 0)
        doc = agent_response(&resp, method, url, err);
    else if (http != NULL)
        unanswered(method, url, err);
    http_response_release(&resp);
    free(whole);
    return doc;
}

static void tell(struct perform *p, const struct agent_unit *u, const char *action,
                 const char *outcome, bool good)
{
    char *text;

    if (p->event == NULL)
        return;
    text =
        xasprintf("agent %s: POST /v1/services/%s/%s: %s", place(u->url), u->unit, action, outcome);
    p->event(p, good ? "info" : "warning", text);
    free(text);
}

/* The end of an operation; 1 while it runs. */
static int ended(const struct json *op, const struct agent_unit *u, struct err *err)
{
    const char *state = json_str(op, "state");
    const struct json *problem = json_get(op, "problem");
    const char *detail = json_str(problem, "detail"), *advice = json_str(problem, "advice");

    if (state == NULL || strcmp(state, "running") == 0)
        return 1;
    if (strcmp(state, "succeeded") == 0)
        return 0;
    err_set(err, ERR_FAILED, "agent %s: %s", place(u->url),
            detail ? detail : "failed without a reason");
    if (advice != NULL)
        err_advise(err, "%s", advice);
    return -1;
}

/* An agent that has restarted knows nothing of it any more: then it is in doubt. */
static int follow(struct agents *ag, const struct agent_unit *u, int64_t number, struct perform *p,
                  struct err *err)
{
    char *path = xasprintf("/v1/operations/%lld?wait=1", (long long)number);
    int64_t heard = time_mono_ms();
    int rc = 1;

    while (rc > 0) {
        struct err why = ERR_INIT;
        struct json *op = call(ag, "GET", u->url, path, &why);

        if (op != NULL) {
            heard = time_mono_ms();
            rc = ended(op, u, err);
            p->report(p, (int)json_int(op, "percent", -1), json_str(op, "waitingFor"));
        } else if (why.code != ERR_UNREACHABLE || time_mono_ms() - heard > SILENCE_MS) {
            *err = why;
            err->code = why.code == ERR_DENIED ? ERR_DENIED : ERR_IN_DOUBT;
            rc = -1;
        } else {
            time_sleep_ms(PAUSE_MS);
        }
        json_free(op);
        if (rc > 0 && p->interrupted(p))
            rc = err_set(err, ERR_INTERRUPTED, "interrupted while the agent %s works on %s",
                         place(u->url), u->unit);
    }
    free(path);
    return rc;
}

int agents_command(struct agents *ag, const struct agent_unit *u, const char *action,
                   struct perform *p, struct err *err)
{
    char *path = xasprintf("/v1/services/%s/%s", u->unit, action);
    struct json *answer;
    int rc = -1;

    warn_of_transport(ag, u->url);
    answer = call(ag, "POST", u->url, path, err);
    if (answer != NULL && json_get(answer, "operation") != NULL) {
        rc = follow(ag, u, json_int(answer, "operation", 0), p, err);
        tell(p, u, action, rc == 0 ? "done" : err->text, rc == 0);
    } else {
        rc = answer ? 0 : -1;
        tell(p, u, action, answer ? "the case already" : err->text, rc == 0);
    }
    json_free(answer);
    free(path);
    return rc;
}
