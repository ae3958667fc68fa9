#include "agent/redis.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvsh/buf.h"
#include "kvsh/fs.h"
#include "kvsh/mem.h"

enum { WORDS_MAX = 16 };
#define ANSWER_LIMIT ((size_t)64 << 20)
#define ELEMENTS_MAX ((size_t)1 << 20)

struct redis {
    char host[256];
    int port, fd;
    bool is_connecting, is_done;
    struct buf out; /* formatted commands */
    size_t sent, received;
    redisReader *reader;
    const redisReplyObjectFunctions *plain; /* hiredis' own */
    redisReplyObjectFunctions limited;
    redisReply **replies;
    size_t n_replies, n_expected;
    bool expects_auth; /* the first reply of this exchange answers AUTH */
    enum redis_state state;
    char error[256];
};

#if HIREDIS_MAJOR >= 1
#define ARRAY_COUNT size_t
#else
#define ARRAY_COUNT int
#endif

/* hiredis makes room for as many elements as the other side claims to send: only sensible claims
 * are believed. */
static void *array_new(const redisReadTask *task, ARRAY_COUNT n)
{
    const struct redis *r = task->privdata;

    return (size_t)n > ELEMENTS_MAX ? NULL : r->plain->createArray(task, n);
}

static void reader_new(struct redis *r)
{
    r->reader = redisReaderCreate();
    if (!r->reader)
        xcalloc(SIZE_MAX, 2); /* ends the process as any other allocation failure does */
    r->plain = r->reader->fn;
    r->limited = *r->plain;
    r->limited.createArray = array_new;
    r->reader->fn = &r->limited;
    r->reader->privdata = r;
}

struct redis *redis_new(const char *host, int port, const char *secret)
{
    struct redis *r = xcalloc(1, sizeof *r);

    snprintf(r->host, sizeof r->host, "%s", host);
    r->port = port;
    r->fd = -1;
    buf_init(&r->out, ANSWER_LIMIT);
    reader_new(r);
    if (secret) {
        redis_add(r, "AUTH", secret, NULL);
        r->expects_auth = true;
    }
    return r;
}

static void replies_clear(struct redis *r)
{
    for (size_t i = 0; i < r->n_replies; i++)
        freeReplyObject(r->replies[i]);
    r->n_replies = 0;
}

void redis_free(struct redis *r)
{
    if (!r)
        return;
    replies_clear(r);
    if (r->reader)
        redisReaderFree(r->reader);
    if (r->fd >= 0)
        close(r->fd);
    if (r->out.data) /* the password was in it */
        explicit_bzero(r->out.data, r->out.cap);
    buf_release(&r->out);
    free(r->replies);
    free(r);
}

void redis_addv(struct redis *r, int argc, const char *const *argv, const size_t *lens)
{
    buf_addf(&r->out, "*%d\r\n", argc);
    for (int i = 0; i < argc; i++) {
        size_t len = lens ? lens[i] : strlen(argv[i]);

        buf_addf(&r->out, "$%zu\r\n", len);
        buf_add(&r->out, argv[i], len);
        buf_adds(&r->out, "\r\n");
    }
    r->n_expected++;
}

static void add_words(struct redis *r, va_list ap)
{
    const char *words[WORDS_MAX];
    int n = 0;

    while (n < WORDS_MAX && (words[n] = va_arg(ap, const char *)) != NULL)
        n++;
    redis_addv(r, n, words, NULL);
}

void redis_add(struct redis *r, ...)
{
    va_list ap;

    va_start(ap, r);
    add_words(r, ap);
    va_end(ap);
}

static void fail(struct redis *r, enum redis_state state, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void fail(struct redis *r, enum redis_state state, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(r->error, sizeof r->error, fmt, ap);
    va_end(ap);
    r->state = state;
    r->is_done = true;
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
}

/* Numeric addresses only: no name server decides how long this takes. */
static int address(const struct redis *r, struct addrinfo **ai)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    char port[16];

    snprintf(port, sizeof port, "%d", r->port);
    return getaddrinfo(r->host, port, &hints, ai);
}

static void open_socket(struct redis *r)
{
    struct addrinfo *ai = NULL;
    int one = 1;

    if (address(r, &ai) != 0) {
        fail(r, REDIS_UNREACHABLE, "%s is not an address", r->host);
        return;
    }
    r->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (r->fd >= 0)
        setsockopt(r->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (r->fd < 0 || (connect(r->fd, ai->ai_addr, ai->ai_addrlen) < 0 && errno != EINPROGRESS))
        fail(r, REDIS_UNREACHABLE, "connect to %s:%d: %s", r->host, r->port, strerror(errno));
    r->is_connecting = r->fd >= 0;
    freeaddrinfo(ai);
}

static void finish_connect(struct redis *r)
{
    int errnum = 0;
    socklen_t len = sizeof errnum;

    getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &errnum, &len);
    if (errnum)
        fail(r, REDIS_UNREACHABLE, "connect to %s:%d: %s", r->host, r->port, strerror(errnum));
    else
        r->is_connecting = false;
}

static void send_some(struct redis *r)
{
    while (r->sent < r->out.len) {
        ssize_t n = send(r->fd, r->out.data + r->sent, r->out.len - r->sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            fail(r, r->sent ? REDIS_BROKEN : REDIS_UNREACHABLE, "send to %s:%d: %s", r->host,
                 r->port, strerror(errno));
            return;
        }
        r->sent += (size_t)n;
    }
}

/* AUTH is no reply the caller asked for: take it out, and see what it says. */
static void take_auth(struct redis *r)
{
    redisReply *auth = r->replies[0];
    bool refused = redis_is_error(auth) && (strncmp(auth->str, "WRONGPASS", 9) == 0 ||
                                            strncmp(auth->str, "NOAUTH", 6) == 0);

    freeReplyObject(auth);
    r->n_replies = 0;
    r->n_expected--;
    r->expects_auth = false;
    if (refused)
        fail(r, REDIS_DENIED, "%s:%d refuses the password of the store", r->host, r->port);
}

static void parse_some(struct redis *r)
{
    while (!r->is_done && r->n_replies < r->n_expected) {
        void *reply = NULL;

        if (redisReaderGetReply(r->reader, &reply) != REDIS_OK) {
            fail(r, REDIS_BROKEN, "%s:%d does not speak the protocol of redis", r->host, r->port);
            return;
        }
        if (!reply)
            return;
        r->replies[r->n_replies++] = reply;
        if (r->expects_auth)
            take_auth(r);
    }
    r->is_done = true;
}

static void receive_some(struct redis *r)
{
    char chunk[16384];

    while (!r->is_done) {
        ssize_t n = recv(r->fd, chunk, sizeof chunk, 0);

        if (n < 0 && errno == EAGAIN)
            return;
        if (n == 0) {
            fail(r, REDIS_BROKEN, "%s:%d closed the connection", r->host, r->port);
            return;
        }
        r->received += n > 0 ? (size_t)n : 0;
        if (n < 0 || r->received > ANSWER_LIMIT) {
            fail(r, REDIS_BROKEN, "read from %s:%d: %s", r->host, r->port,
                 n < 0 ? strerror(errno) : "the answer is too large");
            return;
        }
        redisReaderFeed(r->reader, chunk, (size_t)n);
        parse_some(r);
    }
}

static void start(struct redis *r)
{
    replies_clear(r);
    r->sent = r->received = 0;
    r->is_done = r->n_expected == 0 || r->state != REDIS_ANSWERED;
    if (r->is_done)
        return;
    r->replies = xrealloc(r->replies, r->n_expected, sizeof(redisReply *));
    if (r->out.overflow)
        fail(r, REDIS_UNREACHABLE, "the request is too large");
    else if (r->fd < 0)
        open_socket(r);
}

static void step(struct redis *r, short events)
{
    if (!events)
        return;
    if (r->is_connecting)
        finish_connect(r);
    if (!r->is_done)
        send_some(r);
    if (!r->is_done)
        receive_some(r);
}

/* Fills p with who still waits; the number of them. */
static nfds_t waiting(struct redis *const *rs, size_t n, struct pollfd *p)
{
    nfds_t count = 0;

    for (size_t i = 0; i < n; i++) {
        bool is_open = !rs[i]->is_done;

        p[i] = (struct pollfd){.fd = is_open ? rs[i]->fd : -1, .events = POLLIN};
        if (is_open && (rs[i]->is_connecting || rs[i]->sent < rs[i]->out.len))
            p[i].events |= POLLOUT;
        count += is_open;
    }
    return count;
}

void redis_exchange(struct redis *const *rs, size_t n, int timeout_ms)
{
    int64_t deadline = time_mono_ms() + timeout_ms;
    struct pollfd *p = xcalloc(n ? n : 1, sizeof *p);

    for (size_t i = 0; i < n; i++)
        start(rs[i]);
    while (waiting(rs, n, p) > 0) {
        int64_t left = deadline - time_mono_ms();

        if (left <= 0 || poll(p, n, (int)left) == 0)
            break;
        for (size_t i = 0; i < n; i++)
            if (!rs[i]->is_done)
                step(rs[i], p[i].revents);
    }
    for (size_t i = 0; i < n; i++) {
        if (!rs[i]->is_done)
            fail(rs[i], rs[i]->sent ? REDIS_TIMEOUT : REDIS_UNREACHABLE,
                 "%s:%d did not answer within %d ms", rs[i]->host, rs[i]->port, timeout_ms);
        explicit_bzero(rs[i]->out.data, rs[i]->out.len);
        buf_clear(&rs[i]->out);
        rs[i]->n_expected = 0;
    }
    free(p);
}

enum redis_state redis_result(const struct redis *r)
{
    return r->state;
}

const char *redis_error(const struct redis *r)
{
    return r->error;
}

const redisReply *redis_reply(const struct redis *r, size_t i)
{
    return i < r->n_replies ? r->replies[i] : NULL;
}

const char *redis_text(const redisReply *reply)
{
    bool has_text =
        reply && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS ||
                  reply->type == REDIS_REPLY_ERROR);

    return has_text ? reply->str : "";
}

bool redis_is_error(const redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_ERROR;
}

const redisReply *redis_call(struct redis *r, int timeout_ms, ...)
{
    va_list ap;

    va_start(ap, timeout_ms);
    add_words(r, ap);
    va_end(ap);
    redis_exchange(&r, 1, timeout_ms);
    return redis_reply(r, 0);
}
