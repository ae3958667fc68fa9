#include "agent/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <microhttpd.h>

#include "kvsh/buf.h"
#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "agent/auth.h"
#include "agent/conns.h"
#include "agent/lease.h"
#include "agent/routes.h"

enum {
    CONNECTIONS_SERVED = 64, /* more are told to come again */
    CONNECTIONS_MAX = 96,    /* more wait in the kernel's queue */
    HEADER_POOL = 32 * 1024,
    THREAD_STACK = 512 * 1024,
    IDLE_S = 30,
    ARRIVE_MS = 30 * 1000,
    BODY_MS = 60 * 1000,
    LEAVE_MS = 60 * 1000,
    IGNORED_BODY = 64 * 1024,
    REFUSED_AGAIN_MS = 60 * 1000,
};

/* The head of the one function whose parameters the library dictates. */
#define ACCESS_HANDLER(name)                                                               \
    static enum MHD_Result name(void *arg, struct MHD_Connection *c, const char *url,      \
                                const char *method, const char *version, const char *data, \
                                size_t *size, void **context)

struct server {
    struct agent *agent;
    struct auth *auth;
    struct conns *conns;
    int fd; /* listens; -1 once the daemon has its own */
    pthread_mutex_t lock;
    char refused[512]; /* the last refusal that became an event, and when */
    int64_t refused_at;
    struct MHD_Daemon *daemon;
};

/* One request on its way. */
struct exchange {
    struct conn *conn;
    const struct route *route; /* NULL when refused */
    struct request rq;
    struct reply rp;
    struct problem refusal; /* code NONE: none */
    char *path, *if_match, *lease;
    struct buf body;
    size_t body_limit, body_seen;
    int64_t began;
};

static struct conn *conn_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

static void on_connection(void *arg, struct MHD_Connection *c, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct server *s = arg;
    const union MHD_ConnectionInfo *info;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        conns_remove(s->conns, *context);
        *context = NULL;
        return;
    }
    info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info)
        return;
    *context = conns_add(s->conns, info->connect_fd);
    conn_limit(s->conns, *context, ARRIVE_MS);
}

static void exchange_free(struct exchange *ex)
{
    if (!ex)
        return;
    reply_release(&ex->rp);
    json_free(ex->rq.body);
    buf_release(&ex->body);
    free(ex->path);
    free(ex->if_match);
    free(ex->lease);
    free(ex);
}

static void on_completed(void *arg, struct MHD_Connection *c, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct server *s = arg;

    (void)code;
    exchange_free(*context);
    *context = NULL;
    conn_limit(s->conns, conn_of(c), ARRIVE_MS);
}

static enum MHD_Result take_query(void *arg, enum MHD_ValueKind kind, const char *key,
                                  const char *value)
{
    struct exchange *ex = arg;
    struct query_arg *q = &ex->rq.query[ex->rq.n_query];

    (void)kind;
    if (ex->rq.n_query == QUERY_MAX || strlen(key) >= sizeof q->name ||
        (value && strlen(value) >= sizeof q->value)) {
        problem_set(&ex->refusal, PROBLEM_INVALID, "the query makes no sense");
        return MHD_NO;
    }
    snprintf(q->name, sizeof q->name, "%s", key);
    snprintf(q->value, sizeof q->value, "%s", value ? value : "");
    ex->rq.n_query++;
    return MHD_YES;
}

static const char *header(struct MHD_Connection *c, const char *name)
{
    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

/* The announced length of the body: -1 when it is not announced, 0 when there is none. */
static int64_t body_announced(struct MHD_Connection *c)
{
    const char *length = header(c, MHD_HTTP_HEADER_CONTENT_LENGTH);

    if (header(c, MHD_HTTP_HEADER_TRANSFER_ENCODING))
        return -1;
    return length ? strtoll(length, NULL, 10) : 0;
}

/* Everything that can be refused before the body has come. */
static void judge(struct server *s, struct exchange *ex, struct MHD_Connection *c)
{
    const struct route *r =
        route_find(ex->rq.method, ex->rq.path, ex->rq.param, ex->rp.allow, &ex->refusal);

    if (!r || !r->is_open) {
        struct problem pb = {.code = PROBLEM_NONE};

        /* Who may not ask does not learn what is there either. */
        if (auth_check(s->auth, c, &pb) < 0) {
            ex->refusal = pb;
            return;
        }
    }
    if (!r)
        return;
    if (conns_count(s->conns) > CONNECTIONS_SERVED) {
        problem_set(&ex->refusal, PROBLEM_TOO_MANY, "more than %d connections at once",
                    CONNECTIONS_SERVED);
        ex->rp.close = true;
        return;
    }
    MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, take_query, ex);
    ex->body_limit = r->body_limit ? r->body_limit : IGNORED_BODY;
    if (body_announced(c) > (int64_t)ex->body_limit)
        problem_set(&ex->refusal, PROBLEM_TOO_LARGE, "the body is larger than %zu bytes",
                    ex->body_limit);
    if (ex->refusal.code == PROBLEM_NONE)
        ex->route = r;
}

static struct exchange *exchange_new(struct server *s, struct MHD_Connection *c, const char *url,
                                     const char *method)
{
    struct exchange *ex = xcalloc(1, sizeof *ex);
    const char *if_match = header(c, MHD_HTTP_HEADER_IF_MATCH);
    const char *lease = header(c, LEASE_HEADER);

    ex->conn = conn_of(c);
    ex->began = time_mono_ms();
    ex->path = xstrdup(url);
    ex->rq.path = ex->path;
    snprintf(ex->rq.method, sizeof ex->rq.method, "%s", method);
    if (if_match)
        ex->rq.if_match = ex->if_match = xstrdup(if_match);
    if (lease)
        ex->rq.lease = ex->lease = xstrdup(lease);
    buf_init(&ex->body, BUF_LIMIT_DEFAULT);
    judge(s, ex, c);
    conn_limit(s->conns, ex->conn, BODY_MS);
    return ex;
}

static int body_parse(struct exchange *ex, struct problem *pb)
{
    int rc = 0;

    if (ex->body_seen > ex->body_limit)
        return problem_set(pb, PROBLEM_TOO_LARGE, "the body is larger than %zu bytes",
                           ex->body_limit);
    if (ex->route->body_limit)
        rc = body_decode(ex->body.data, ex->body.len, &ex->rq.body, pb);
    buf_release(&ex->body);
    return rc;
}

static void add_header(struct MHD_Response *r, const char *name, const char *value)
{
    if (value && value[0])
        MHD_add_response_header(r, name, value);
}

static enum MHD_Result send_reply(struct server *s, struct MHD_Connection *c, struct exchange *ex)
{
    struct reply *rp = &ex->rp;
    const char *type = rp->content_type ? rp->content_type : "application/json";
    char *text = rp->text ? rp->text : json_print(rp->body);
    struct MHD_Response *r =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result rc;

    rp->text = NULL;
    if (!r) {
        free(text);
        return MHD_NO;
    }
    add_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    add_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    add_header(r, "X-Content-Type-Options", "nosniff");
    add_header(r, MHD_HTTP_HEADER_LOCATION, rp->location);
    add_header(r, MHD_HTTP_HEADER_ETAG, rp->etag);
    add_header(r, MHD_HTTP_HEADER_ALLOW,
               rp->status == MHD_HTTP_METHOD_NOT_ALLOWED ? rp->allow : "");
    if (rp->status == MHD_HTTP_UNAUTHORIZED)
        add_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"kvagentd\"");
    if (rp->status == MHD_HTTP_SERVICE_UNAVAILABLE)
        add_header(r, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    if (rp->close)
        add_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
    conn_limit(s->conns, ex->conn, LEAVE_MS);
    rc = MHD_queue_response(c, (unsigned)rp->status, r);
    MHD_destroy_response(r);
    return rc;
}

/* One event for a refusal that is repeated again and again. */
static void tell_refusal(struct server *s, const struct exchange *ex, const char *code,
                         const char *detail)
{
    char text[512];
    struct event ev = {SEVERITY_WARNING, "request-refused",
                       ex->rq.param[0] ? ex->rq.param : "agent", text,
                       json_str(ex->rp.body, "advice")};
    int64_t now = time_mono_ms();
    bool is_new;

    snprintf(text, sizeof text, "refused %s %.100s: %d %s: %s", ex->rq.method, ex->path,
             ex->rp.status, code, detail);
    pthread_mutex_lock(&s->lock);
    is_new = strcmp(s->refused, text) != 0 || now - s->refused_at > REFUSED_AGAIN_MS;
    if (is_new) {
        memcpy(s->refused, text, sizeof text);
        s->refused_at = now;
    }
    pthread_mutex_unlock(&s->lock);
    if (is_new)
        events_add(s->agent->events, &ev);
}

/* Changes and refusals go to the log; what only looks does not, unless it is refused. */
static void log_exchange(struct server *s, const struct exchange *ex)
{
    struct agent *a = s->agent;
    bool is_get = strcmp(ex->rq.method, "GET") == 0 || strcmp(ex->rq.method, "HEAD") == 0;
    int status = ex->rp.status, ms = (int)(time_mono_ms() - ex->began);
    const char *code = json_str(ex->rp.body, "code"), *detail = json_str(ex->rp.body, "detail");

    atomic_fetch_add(&a->count.requests[status / 100 < 6 ? status / 100 : 0], 1);
    if (status >= 400) {
        atomic_fetch_add(&a->count.refused, 1);
        if (!is_get || status != MHD_HTTP_NOT_FOUND)
            agent_log(a, LOG_WARNING, "rest", "refused %s %s: %d %s: %s", ex->rq.method, ex->path,
                      status, code ? code : "", detail ? detail : "");
        /* Who may not ask fills no event file. */
        if (!is_get && ex->route && code && detail)
            tell_refusal(s, ex, code, detail);
    } else if (!is_get) {
        agent_log(a, LOG_INFO, "rest", "%s %s: %d (%d ms)", ex->rq.method, ex->path, status, ms);
    }
}

static enum MHD_Result respond(struct server *s, struct MHD_Connection *c, struct exchange *ex)
{
    struct problem pb = ex->refusal;

    conn_limit(s->conns, ex->conn, 0);
    if (pb.code == PROBLEM_NONE)
        body_parse(ex, &pb);
    if (pb.code == PROBLEM_NONE)
        route_run(s->agent, ex->route, &ex->rq, &ex->rp);
    else
        reply_problem(&ex->rp, &pb);
    log_exchange(s, ex);
    return send_reply(s, c, ex);
}

/* Called at the headers, at each piece of the body, and at its end. */
ACCESS_HANDLER(on_request)
{
    struct server *s = arg;
    struct exchange *ex = *context;

    (void)version;
    if (!ex) {
        int64_t announced = body_announced(c);

        ex = *context = exchange_new(s, c, url, method);
        /* A small body is read and dropped, so that the answer surely arrives. */
        if (ex->refusal.code != PROBLEM_NONE && (announced < 0 || announced > IGNORED_BODY))
            return respond(s, c, ex);
        return MHD_YES;
    }
    if (*size > 0) {
        ex->body_seen += *size;
        if (ex->body_seen <= ex->body_limit && ex->refusal.code == PROBLEM_NONE)
            buf_add(&ex->body, data, *size);
        *size = 0;
        return MHD_YES;
    }
    return respond(s, c, ex);
}

static void on_log(void *arg, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

static void on_log(void *arg, const char *fmt, va_list ap)
{
    struct server *s = arg;
    char text[512];

    vsnprintf(text, sizeof text, fmt, ap);
    text[strcspn(text, "\n")] = '\0';
    agent_log(s->agent, LOG_INFO, "rest", "%s", text);
}

static void on_first(void *arg)
{
    struct agent *a = arg;

    eventfd_wake(a->wake_fd);
}

/* Where to listen: without authentication only where nobody else can reach it. */
static const char *listen_address(const struct agent *a, char ip[ADDRESS_MAX], struct err *err)
{
    const struct bootconfig *b = &a->boot;

    if (!boot_is_authenticated(b) &&
        !address_is_loopback(b->bind_address ? b->bind_address : b->host))
        return "127.0.0.1";
    if (!b->bind_address)
        return a->host_ip;
    return address_resolve(b->bind_address, ip, err) < 0 ? NULL : ip;
}

/* The library is given a descriptor of its own: it closes it at the end, and also after some of its
 * failures. */
int server_start(struct server *s, struct err *err)
{
    static char priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
    const struct auth *auth = s->auth;
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                     MHD_USE_POLL | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem tls[5];
    int n = 0, fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);

    if (fd < 0)
        return err_errno(err, ERR_FAILED, errno, "start the HTTP server");
    if (auth->cert) {
        flags |= MHD_USE_TLS;
        tls[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, auth->cert};
        tls[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, auth->key};
        tls[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, priorities};
        if (auth->client_ca)
            tls[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0, auth->client_ca};
    }
    tls[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    s->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, s,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HEADER_POOL, MHD_OPTION_THREAD_STACK_SIZE, (size_t)THREAD_STACK,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        s, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (s->daemon) {
        close(s->fd);
        s->fd = -1;
        return 0;
    }
    return err_set(err, ERR_FAILED, "start the HTTP server%s",
                   auth->cert ? ": check certificate and key" : "");
}

struct server *server_open(struct agent *a, struct err *err)
{
    struct server *s = xcalloc(1, sizeof *s);
    char bind_ip[ADDRESS_MAX];
    const char *ip;

    s->agent = a;
    s->fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    s->conns = conns_new(on_first, a);
    s->auth = auth_new(&a->boot, err);
    ip = s->auth ? listen_address(a, bind_ip, err) : NULL;
    if (ip)
        s->fd = address_listen(ip, a->boot.port, err);
    if (s->fd < 0) {
        server_stop(s);
        return NULL;
    }
    agent_log(a, LOG_INFO, "agent", "listening on %s port %d%s", ip, a->boot.port,
              s->auth->cert ? " (TLS)" : "");
    if (!boot_is_authenticated(&a->boot))
        agent_log(a, LOG_WARNING, "agent",
                  "no token and no client CA: only this host can reach the agent, and everybody on "
                  "it may");
    return s;
}

void server_stop(struct server *s)
{
    if (!s)
        return;
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    if (s->fd >= 0)
        close(s->fd);
    auth_free(s->auth);
    conns_free(s->conns);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

int server_tick(struct server *s)
{
    conns_expire(s->conns);
    return conns_count(s->conns);
}
