#include "tap.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "kvsh/fs.h"
#include "kvsh/http.h"
#include "kvsh/log.h"
#include "kvsh/mem.h"

#define TOKEN "t0ken-4711-secret"
#define PASSWORD "pass-0815-secret"

/* ---- a server whose path says how it behaves ---- */

static struct MHD_Daemon *server;
static int port;
static atomic_bool hurry;     /* slow answers end early: the test has seen enough */
static atomic_int now_inside; /* requests being served at this moment, and the most there were */
static atomic_int most_inside;

static ssize_t endless(void *cls, uint64_t pos, char *to, size_t max)
{
    (void)cls;
    (void)pos;
    memset(to, 'x', max);
    return (ssize_t)max;
}

static ssize_t cut(void *cls, uint64_t pos, char *to, size_t max)
{
    (void)cls;
    if (pos > 0 || max < 5)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    memcpy(to, "begin", 5);
    return 5;
}

static const char *header(struct MHD_Connection *c, const char *name)
{
    const char *value = MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);

    return value ? value : "-";
}

/* What came in, one fact per line, so that a test can look. */
static char *echo(struct MHD_Connection *c, const char *method, const char *url, const char *body)
{
    return xasprintf("method=%s\nurl=%s\nauthorization=%s\nif-match=%s\ncontent-type=%s\n"
                     "content-length=%s\nexpect=%s\nproxy=%s\nbody=%s\n",
                     method, url, header(c, "Authorization"), header(c, "If-Match"),
                     header(c, "Content-Type"), header(c, "Content-Length"), header(c, "Expect"),
                     header(c, "Proxy-Connection"), body);
}

static struct MHD_Response *text_response(char *text)
{
    return MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result respond(struct MHD_Connection *c, unsigned status, struct MHD_Response *r)
{
    enum MHD_Result rc = MHD_queue_response(c, status, r);

    MHD_destroy_response(r);
    return rc;
}

static void be_slow(long ms)
{
    int64_t end = time_mono_ms() + ms;

    while (!hurry && time_mono_ms() < end)
        time_sleep_ms(5);
}

static enum MHD_Result answer(struct MHD_Connection *c, const char *method, const char *url,
                              const char *body)
{
    struct MHD_Response *r;

    if (strncmp(url, "/slow/", 6) == 0)
        be_slow(strtol(url + 6, NULL, 10));
    if (strcmp(url, "/endless") == 0)
        return respond(
            c, 200,
            MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 65536, endless, NULL, NULL));
    if (strcmp(url, "/cut") == 0)
        return respond(c, 200, MHD_create_response_from_callback(1000, 65536, cut, NULL, NULL));
    if (strcmp(url, "/missing") == 0)
        return respond(c, 404, text_response(xstrdup("{\"code\":\"not_found\"}")));
    if (strcmp(url, "/empty") == 0)
        return respond(c, 204, text_response(xstrdup("")));
    r = text_response(echo(c, method, url, body));
    MHD_add_response_header(r, "Content-Type", "Application/JSON; charset=utf-8");
    MHD_add_response_header(r, "Location", "/v1/operations/7");
    MHD_add_response_header(r, "ETag", "\"12\"");
    return respond(c, strcmp(url, "/moved") == 0 ? 302 : 200, r);
}

static enum MHD_Result serve(void *cls, struct MHD_Connection *c, const char *url,
                             const char *method, const char *version, const char *data,
                             size_t *size, void **state)
{
    char **body = (char **)state;
    enum MHD_Result rc;
    int inside;

    (void)cls;
    (void)version;
    if (!*body) {
        *body = xstrdup("");
        return MHD_YES;
    }
    if (*size > 0) {
        char *more = xasprintf("%s%.*s", *body, (int)*size, data);

        free(*body);
        *body = more;
        *size = 0;
        return MHD_YES;
    }
    inside = ++now_inside;
    if (inside > most_inside)
        most_inside = inside;
    rc = answer(c, method, url, *body);
    now_inside--;
    return rc;
}

static void served(void *cls, struct MHD_Connection *c, void **state,
                   enum MHD_RequestTerminationCode why)
{
    (void)cls;
    (void)c;
    (void)why;
    free(*state);
    *state = NULL;
}

static void quiet_log(void *cls, const char *fmt, va_list ap)
{
    (void)cls;
    (void)fmt;
    (void)ap;
}

static int daemon_port(struct MHD_Daemon *d)
{
    return d ? MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT)->port : 0;
}

static struct sockaddr_in loopback(int p)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)p),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void server_start(void)
{
    struct sockaddr_in address = loopback(0);

    server = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_ERROR_LOG, 0,
        NULL, NULL, serve, NULL, MHD_OPTION_EXTERNAL_LOGGER, quiet_log, NULL, MHD_OPTION_SOCK_ADDR,
        &address, MHD_OPTION_NOTIFY_COMPLETED, served, NULL, MHD_OPTION_END);
    port = daemon_port(server);
}

/* ---- a server that breaks the rules ---- */

struct raw {
    int fd;
    int port;
    const char *says; /* then it closes; NULL: it never says anything */
    pthread_t thread;
    atomic_int seen; /* connections that sent something */
    atomic_bool stop;
};

static int listen_on_loopback(int backlog, int *on)
{
    struct sockaddr_in a = loopback(0);
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, backlog) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        return -1;
    *on = ntohs(a.sin_port);
    return fd;
}

static void raw_talk(struct raw *r, int c)
{
    struct pollfd p = {.fd = c, .events = POLLIN};
    char text[4096];

    while (!r->stop && poll(&p, 1, 20) == 0)
        ;
    if (r->stop || recv(c, text, sizeof text, 0) <= 0)
        return;
    r->seen++;
    while (!r->says && !r->stop)
        time_sleep_ms(10);
    if (r->says && send(c, r->says, strlen(r->says), MSG_NOSIGNAL) < 0)
        return;
}

static void *raw_run(void *arg)
{
    struct raw *r = arg;

    while (!r->stop) {
        struct pollfd p = {.fd = r->fd, .events = POLLIN};
        int c = poll(&p, 1, 20) > 0 ? accept(r->fd, NULL, NULL) : -1;

        if (c < 0)
            continue;
        raw_talk(r, c);
        close(c);
    }
    return NULL;
}

static struct raw *raw_start(const char *says)
{
    struct raw *r = xcalloc(1, sizeof *r);

    r->says = says;
    r->fd = listen_on_loopback(8, &r->port);
    ok(r->fd >= 0);
    is_int(pthread_create(&r->thread, NULL, raw_run, r), 0);
    return r;
}

static void raw_end(struct raw *r)
{
    r->stop = true;
    pthread_join(r->thread, NULL);
    close(r->fd);
    free(r);
}

/* ---- helpers ---- */

/* Lets the slow answers under way end before the next test. */
static void wake_slow_ones(void)
{
    hurry = true;
    while (now_inside > 0)
        time_sleep_ms(5);
    hurry = false;
}

static struct http *open_plain(void)
{
    struct http_config config = {0};
    struct err err = ERR_INIT;
    struct http *h = http_open(&config, &err);

    ok(h != NULL);
    return h;
}

static char *url_to(int p, const char *path)
{
    return xasprintf("http://127.0.0.1:%d%s", p, path);
}

/* One exchange; resp and err as the caller gets them. */
static int ask(struct http *h, int p, struct http_request req, struct http_response *resp,
               struct err *err)
{
    char *url = url_to(p, req.url);
    int rc;

    req.url = url;
    if (!req.method)
        req.method = "GET";
    err_clear(err);
    rc = http_perform(h, &req, resp, err);
    is_int(rc < 0 ? resp->err.code : ERR_OK, err->code);
    is_str(resp->err.text, err->text);
    ok(resp->body != NULL && strlen(resp->body) == resp->len);
    free(url);
    return rc;
}

static void fails(int p, struct http_request req, enum err_code code, const char *part)
{
    struct http *h = open_plain();
    struct http_response resp;
    struct err err;

    is_int(ask(h, p, req, &resp, &err), -1);
    if (!is_int(err.code, code))
        printf("# %s\n", err.text);
    has_str(err.text, part);
    is_int(resp.status, 0);
    http_response_release(&resp);
    http_close(h);
}

/* ---- single exchanges ---- */

static void normal(void)
{
    struct http *h = open_plain();
    struct http_response resp;
    struct err err;

    is_int(ask(h, port, (struct http_request){.url = "/v1/node"}, &resp, &err), 0);
    is_int(resp.status, 200);
    is_int(err.code, ERR_OK);
    has_str(resp.body, "method=GET\nurl=/v1/node\nauthorization=-\nif-match=-\ncontent-type=-\n");
    is_str(resp.content_type, "application/json");
    is_str(resp.location, "/v1/operations/7");
    is_str(resp.etag, "\"12\"");
    ok(resp.duration_ms >= 0 && resp.duration_ms < 5000);
    http_response_release(&resp);
    http_response_release(&resp);

    is_int(ask(h, port, (struct http_request){.url = "/missing"}, &resp, &err), 0);
    is_int(resp.status, 404);
    is_str(resp.body, "{\"code\":\"not_found\"}");
    is_str(resp.content_type, NULL); /* nothing left of the exchange before */
    is_str(resp.etag, NULL);
    http_response_release(&resp);

    is_int(ask(h, port, (struct http_request){.url = "/empty"}, &resp, &err), 0);
    is_int(resp.status, 204);
    is_str(resp.body, "");
    http_response_release(&resp);

    is_int(ask(h, port, (struct http_request){.url = "/moved"}, &resp, &err), 0);
    is_int(resp.status, 302);
    has_str(resp.body, "url=/moved");
    http_response_release(&resp);
    http_close(h);
    http_close(NULL);
}

static void bodies(void)
{
    struct http *h = open_plain();
    struct http_response resp;
    struct err err;
    struct http_request put = {.method = "PUT",
                               .url = "/x",
                               .body = "{\"a\":1}trailing",
                               .body_len = 7,
                               .if_match = "\"11\""};

    is_int(ask(h, port, put, &resp, &err), 0);
    has_str(resp.body, "method=PUT\n");
    has_str(resp.body, "if-match=\"11\"\ncontent-type=application/json\ncontent-length=7\n");
    has_str(resp.body, "body={\"a\":1}\n");
    http_response_release(&resp);

    put.method = "POST";
    put.content_type = "application/x-www-form-urlencoded";
    put.if_match = NULL;
    is_int(ask(h, port, put, &resp, &err), 0);
    has_str(resp.body, "method=POST\n");
    has_str(resp.body, "if-match=-\ncontent-type=application/x-www-form-urlencoded\n");
    http_response_release(&resp);

    is_int(ask(h, port, (struct http_request){.method = "POST", .url = "/x"}, &resp, &err), 0);
    has_str(resp.body, "content-type=-\ncontent-length=0\nexpect=-\nproxy=-\nbody=\n");
    http_response_release(&resp);
    is_int(ask(h, port, (struct http_request){.method = "DELETE", .url = "/x"}, &resp, &err), 0);
    has_str(resp.body, "method=DELETE\n");
    has_str(resp.body, "content-length=-\n");
    http_response_release(&resp);
    http_close(h);
}

static void large_body_is_sent(void)
{
    size_t len = 3 << 20;
    char *body = xmalloc(len + 1);
    struct http *h = open_plain();
    struct http_response resp;
    struct err err;
    struct http_request req = {.method = "POST",
                               .url = "/x",
                               .body = body,
                               .body_len = len,
                               .timeout_ms = 60000 * tap_slower()};

    memset(body, 'a', len);
    body[len] = '\0';
    is_int(ask(h, port, req, &resp, &err), 0);
    has_str(resp.body, "content-length=3145728\nexpect=-\n");
    ok(resp.len > len);
    http_response_release(&resp);
    http_close(h);
    free(body);
}

static void credentials(void)
{
    struct http_config config = {.bearer_token = TOKEN};
    struct err err = ERR_INIT;
    struct http *h = http_open(&config, &err);
    struct http_response resp;
    char text[] = "the token is " TOKEN;

    is_int(ask(h, port, (struct http_request){.url = "/x"}, &resp, &err), 0);
    has_str(resp.body, "authorization=Bearer " TOKEN "\n");
    http_response_release(&resp);
    mask_apply(text);
    ok(strstr(text, TOKEN) == NULL);
    http_close(h);

    config = (struct http_config){.user = "admin", .password = PASSWORD};
    h = http_open(&config, &err);
    is_int(ask(h, port, (struct http_request){.url = "/x"}, &resp, &err), 0);
    has_str(resp.body, "authorization=Basic YWRtaW46cGFzcy0wODE1LXNlY3JldA==\n");
    http_response_release(&resp);
    http_close(h);

    config = (struct http_config){.bearer_token = "a\r\nX-Evil: 1"};
    ok(http_open(&config, &err) == NULL);
    is_int(err.code, ERR_INPUT);
}

static void header_injection(void)
{
    fails(port, (struct http_request){.url = "/x", .if_match = "1\r\nX-Evil: 1"}, ERR_INTERNAL,
          "line end");
}

static void proxies_are_ignored(void)
{
    setenv("http_proxy", "http://127.0.0.1:1/", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1/", 1);
    normal();
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
}

static void other_protocols(void)
{
    struct http *h = open_plain();
    struct http_response resp;
    struct err err = ERR_INIT;
    struct http_request req = {.method = "GET", .url = "file:///etc/passwd"};

    is_int(http_perform(h, &req, &resp, &err), -1);
    is_int(err.code, ERR_UNREACHABLE);
    is_str(resp.body, "");
    http_response_release(&resp);
    req.url = "";
    is_int(http_perform(h, &req, &resp, &err), -1);
    is_int(err.code, ERR_UNREACHABLE);
    http_response_release(&resp);
    http_close(h);
}

static void refused_port(void)
{
    char want[80];
    int p;
    int fd = listen_on_loopback(1, &p);

    close(fd);
    snprintf(want, sizeof want, "connect to 127.0.0.1:%d: connection refused", p);
    fails(p, (struct http_request){.url = "/secret?token=abc"}, ERR_UNREACHABLE, want);
}

static void url_credentials_stay_out(void)
{
    struct http *h = open_plain();
    struct http_response resp;
    struct err err = ERR_INIT;
    struct http_request req = {.method = "GET",
                               .url = "http://user:hidden@[::1]:1/path?token=hidden"};

    is_int(http_perform(h, &req, &resp, &err), -1);
    is_int(err.code, ERR_UNREACHABLE);
    has_str(err.text, "connect to [::1]:1: ");
    ok(strstr(err.text, "hidden") == NULL);
    http_response_release(&resp);
    http_close(h);
}

static void unknown_host(void)
{
    struct http *h = open_plain();
    struct http_response resp;
    struct err err = ERR_INIT;
    struct http_request req = {.method = "GET", .url = "http://no-such-host.invalid/x"};

    is_int(http_perform(h, &req, &resp, &err), -1);
    is_int(err.code, ERR_UNREACHABLE);
    has_str(err.text, "connect to no-such-host.invalid:80: ");
    http_response_release(&resp);
    http_close(h);
}

static void slow_answer(void)
{
    int64_t begun = time_mono_ms();

    fails(port, (struct http_request){.url = "/slow/30000", .timeout_ms = 500}, ERR_IN_DOUBT,
          "no complete answer from 127.0.0.1:");
    ok(time_mono_ms() - begun < 15000);
    wake_slow_ones();
}

/* A listener whose queue is full lets no connection through: surely not sent. */
static void connect_timeout(void)
{
    int fillers[8];
    int p;
    int fd = listen_on_loopback(0, &p);
    struct sockaddr_in a = loopback(p);

    for (int i = 0; i < 8; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(fillers[i], (struct sockaddr *)&a, sizeof a) == 0)
            continue;
    }
    fails(p, (struct http_request){.url = "/x", .connect_timeout_ms = 200}, ERR_UNREACHABLE,
          "no answer within");
    for (int i = 0; i < 8; i++)
        close(fillers[i]);
    close(fd);
}

static void cut_connection(void)
{
    fails(port, (struct http_request){.url = "/cut"}, ERR_IN_DOUBT, "missing or cut");
}

/* What may be asked again is told from what took too long, or was too much. */
static void told_as_cut(void)
{
    static const struct {
        struct http_request req;
        bool is_cut;
    } cases[] = {
        {{.url = "/cut"}, true},
        {{.url = "/x"}, false},
        {{.url = "/slow/30000", .timeout_ms = 500}, false},
        {{.url = "/endless", .max_body = 100000}, false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http *h = open_plain();
        struct http_response resp;
        struct err err;

        ask(h, port, cases[i].req, &resp, &err);
        is_int(resp.is_cut, cases[i].is_cut);
        http_response_release(&resp);
        http_close(h);
    }
    wake_slow_ones();
}

static void endless_body(void)
{
    struct http *h = open_plain();
    struct http_response resp;
    struct err err;

    is_int(ask(h, port, (struct http_request){.url = "/endless", .max_body = 100000}, &resp, &err),
           -1);
    is_int(err.code, ERR_IN_DOUBT);
    has_str(err.text, "larger than 100000 bytes");
    is_int(resp.len, 100000);
    is_int(resp.status, 0);
    http_response_release(&resp);
    /* The handle is still good. */
    is_int(ask(h, port, (struct http_request){.url = "/x"}, &resp, &err), 0);
    is_int(resp.status, 200);
    http_response_release(&resp);
    http_close(h);
}

static void broken_answers(void)
{
    static const char *const answers[] = {
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
        "-ERR unknown command 'GET'\r\n",
        "HTTP/9.9 999999 ??\r\n\r\n",
    };

    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct raw *r = raw_start(answers[i]);

        fails(r->port, (struct http_request){.method = "POST", .url = "/x", .timeout_ms = 20000},
              ERR_IN_DOUBT, "127.0.0.1:");
        is_int(r->seen, 1);
        raw_end(r);
    }
}

/*
 * A server answers once and drops the kept connection at the next request. A POST must not be sent
 * twice behind the caller's back: nobody knows what the first one did.
 */
static void post_is_sent_once(void)
{
    struct raw *r = raw_start("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    struct http *h = open_plain();
    struct http_response resp;
    struct err err;

    is_int(ask(h, r->port, (struct http_request){.url = "/x"}, &resp, &err), 0);
    is_str(resp.body, "ok");
    http_response_release(&resp);
    r->says = "";
    is_int(ask(h, r->port, (struct http_request){.method = "POST", .url = "/x"}, &resp, &err), -1);
    is_int(err.code, ERR_IN_DOUBT);
    http_response_release(&resp);
    is_int(r->seen, 2);
    http_close(h);
    raw_end(r);
}

static void silent_server(void)
{
    struct raw *r = raw_start(NULL);

    fails(r->port, (struct http_request){.url = "/x", .timeout_ms = 500}, ERR_IN_DOUBT,
          "no complete answer");
    raw_end(r);
}

static void escape(void)
{
    char *s = http_escape("a-Z_0.9~ /?&=%+ü\n");

    is_str(s, "a-Z_0.9~%20%2F%3F%26%3D%25%2B%C3%BC%0A");
    free(s);
    s = http_escape("");
    is_str(s, "");
    free(s);
}

/* ---- many at once ---- */

enum { MANY = 50 };

struct many {
    struct http_request reqs[MANY];
    struct http_response resps[MANY];
};

static struct many *many_new(const char *path, const char *slow_path)
{
    struct many *m = xcalloc(1, sizeof *m);

    for (int i = 0; i < MANY; i++) {
        char *full = xasprintf("%s?n=%d", i % 10 == 3 ? slow_path : path, i);

        m->reqs[i] = (struct http_request){.method = "GET", .url = url_to(port, full)};
        free(full);
    }
    return m;
}

static void many_free(struct many *m)
{
    for (int i = 0; i < MANY; i++) {
        http_response_release(&m->resps[i]);
        free((char *)(uintptr_t)m->reqs[i].url);
    }
    free(m);
}

static void keep(void *arg, size_t i, struct http_response *resp)
{
    struct http_response *resps = arg;

    resps[i] = *resp;
    *resp = (struct http_response){0};
}

/* All answers, kept in the array that batch->arg points to. */
static void perform_all(struct http *h, struct http_batch *batch)
{
    batch->done = keep;
    http_perform_each(h, batch);
}

static void all_answered(void)
{
    struct many *m = many_new("/x", "/slow/100");
    struct http *h = open_plain();

    for (int round = 0; round < 2; round++) {
        most_inside = 0;
        perform_all(h, &(struct http_batch){.reqs = m->reqs,
                                            .n = MANY,
                                            .max_parallel = 8,
                                            .deadline_ms = 30000,
                                            .arg = m->resps});
        ok(most_inside <= 8);
        for (int i = 0; i < MANY; i++) {
            is_int(m->resps[i].status, 200);
            is_int(m->resps[i].err.code, ERR_OK);
            has_str(m->resps[i].body, i % 10 == 3 ? "url=/slow/100\n" : "url=/x\n");
            http_response_release(&m->resps[i]);
        }
    }
    perform_all(h, &(struct http_batch){0});
    http_close(h);
    many_free(m);
}

static void slow_ones_do_not_hold_the_rest(void)
{
    struct many *m = many_new("/x", "/slow/600000");
    struct http *h = open_plain();
    int64_t begun = time_mono_ms();

    perform_all(h, &(struct http_batch){.reqs = m->reqs,
                                        .n = MANY,
                                        .max_parallel = 0,
                                        .deadline_ms = 2500 * tap_slower(),
                                        .arg = m->resps});
    ok(time_mono_ms() - begun < 15000 * tap_slower());
    for (int i = 0; i < MANY; i++) {
        bool slow = i % 10 == 3;

        is_int(m->resps[i].status, slow ? 0 : 200);
        is_int(m->resps[i].err.code, slow ? ERR_IN_DOUBT : ERR_OK);
        ok(m->resps[i].body != NULL);
    }
    wake_slow_ones();
    http_close(h);
    many_free(m);
}

static int64_t stop_at_ms;

static bool stop_is_due(void)
{
    return time_mono_ms() >= stop_at_ms;
}

static void stopped_by_the_operator(void)
{
    struct many *m = many_new("/slow/30000", "/slow/30000");
    struct http *h = open_plain();
    int64_t begun = time_mono_ms();

    stop_at_ms = begun + 300;
    http_stop_when(stop_is_due);
    perform_all(
        h,
        &(struct http_batch){
            .reqs = m->reqs, .n = MANY, .max_parallel = 2, .deadline_ms = 25000, .arg = m->resps});
    ok(http_stopped());
    http_stop_when(NULL);
    ok(!http_stopped());
    ok(time_mono_ms() - begun < 15000);
    for (int i = 0; i < MANY; i++) {
        is_int(m->resps[i].err.code, ERR_SIGINT);
        ok(m->resps[i].body != NULL);
    }
    wake_slow_ones();
    http_close(h);
    many_free(m);
}

static void deadline_before_all_were_asked(void)
{
    struct many *m = many_new("/slow/30000", "/slow/30000");
    struct http *h = open_plain();
    int64_t begun = time_mono_ms();
    int by_code[ERR_COUNT] = {0};

    perform_all(
        h, &(struct http_batch){
               .reqs = m->reqs, .n = MANY, .max_parallel = 2, .deadline_ms = 800, .arg = m->resps});
    ok(time_mono_ms() - begun < 15000);
    for (int i = 0; i < MANY; i++) {
        by_code[m->resps[i].err.code]++;
        ok(m->resps[i].body != NULL);
    }
    is_int(by_code[ERR_IN_DOUBT], 2);
    is_int(by_code[ERR_UNREACHABLE], MANY - 2);
    has_str(m->resps[MANY - 1].err.text, "not asked, the time of 0.8 s for all is over");
    wake_slow_ones();
    http_close(h);
    many_free(m);
}

/* Counts the outcomes, each of which must come once, and keeps one body. */
struct outcomes {
    int seen[MANY];
    int answered;
    char *kept;
};

static void count_outcome(void *arg, size_t i, struct http_response *resp)
{
    struct outcomes *o = arg;

    o->seen[i]++;
    o->answered += resp->status == 200;
    if (i != 7)
        return;
    o->kept = resp->body;
    resp->body = NULL;
}

static void each_as_it_comes(void)
{
    struct many *m = many_new("/x", "/slow/30000");
    struct http *h = open_plain();
    struct outcomes o = {{0}};
    const struct http_batch batch = {.reqs = m->reqs,
                                     .n = MANY,
                                     .max_parallel = 6,
                                     .deadline_ms = 3000 * tap_slower(),
                                     .done = count_outcome,
                                     .arg = &o};

    http_perform_each(h, &batch);
    for (int i = 0; i < MANY; i++)
        is_int(o.seen[i], 1);
    is_int(o.answered, MANY - MANY / 10);
    has_str(o.kept, "url=/x\n");
    free(o.kept);
    wake_slow_ones();
    http_close(h);
    many_free(m);
}

static void mixed_outcomes(void)
{
    struct raw *silent = raw_start(NULL);
    struct http *h = open_plain();
    struct http_request reqs[5] = {{0}};
    struct http_response resps[5];
    const enum err_code want[5] = {ERR_OK, ERR_UNREACHABLE, ERR_IN_DOUBT, ERR_IN_DOUBT,
                                   ERR_INTERNAL};
    int dead;

    close(listen_on_loopback(1, &dead));
    for (int i = 0; i < 5; i++)
        reqs[i] = (struct http_request){.method = "GET", .timeout_ms = i == 2 ? 500 : 20000};
    reqs[0].url = url_to(port, "/missing");
    reqs[1].url = url_to(dead, "/x");
    reqs[2].url = url_to(silent->port, "/x");
    reqs[3].url = url_to(port, "/cut");
    reqs[4].url = url_to(port, "/x");
    reqs[4].if_match = "a\nb";
    perform_all(h, &(struct http_batch){
                       .reqs = reqs, .n = 5, .max_parallel = 2, .deadline_ms = 0, .arg = resps});
    for (int i = 0; i < 5; i++) {
        is_int(resps[i].err.code, want[i]);
        http_response_release(&resps[i]);
        free((char *)(uintptr_t)reqs[i].url);
    }
    http_close(h);
    raw_end(silent);
}

/* ---- threads: the library is loaded once, whoever comes first ---- */

static void *thread_run(void *arg)
{
    int *bad = arg;
    struct http_config config = {0};
    struct err err = ERR_INIT;
    struct http *h = http_open(&config, &err);
    char *url = url_to(port, "/x");

    for (int i = 0; i < 10; i++) {
        struct http_request req = {.method = "GET", .url = url};
        struct http_response resp;

        *bad += http_perform(h, &req, &resp, &err) != 0 || resp.status != 200;
        http_response_release(&resp);
    }
    free(url);
    http_close(h);
    return NULL;
}

static void threads(void)
{
    pthread_t ids[4];
    int bad[4] = {0};

    for (int i = 0; i < 4; i++)
        is_int(pthread_create(&ids[i], NULL, thread_run, &bad[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(ids[i], NULL);
        is_int(bad[i], 0);
    }
}

int main(void)
{
    static const struct tap_test tests[] = {
        TAP_TEST(threads), /* first: they race to load libcurl */
        TAP_TEST(normal),
        TAP_TEST(bodies),
        TAP_TEST(large_body_is_sent),
        TAP_TEST(credentials),
        TAP_TEST(header_injection),
        TAP_TEST(proxies_are_ignored),
        TAP_TEST(other_protocols),
        TAP_TEST(refused_port),
        TAP_TEST(url_credentials_stay_out),
        TAP_TEST(unknown_host),
        TAP_TEST(slow_answer),
        TAP_TEST(connect_timeout),
        TAP_TEST(cut_connection),
        TAP_TEST(told_as_cut),
        TAP_TEST(endless_body),
        TAP_TEST(broken_answers),
        TAP_TEST(post_is_sent_once),
        TAP_TEST(silent_server),
        TAP_TEST(escape),
        TAP_TEST(all_answered),
        TAP_TEST(slow_ones_do_not_hold_the_rest),
        TAP_TEST(deadline_before_all_were_asked),
        TAP_TEST(stopped_by_the_operator),
        TAP_TEST(each_as_it_comes),
        TAP_TEST(mixed_outcomes),
    };
    int rc;

    server_start();
    rc = tap_run(tests, (int)(sizeof tests / sizeof *tests));
    if (server)
        MHD_stop_daemon(server);
    return rc;
}
