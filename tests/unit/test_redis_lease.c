/* What is sent to agents: the lease of a plan, of which some are silent or do not let us in; the
 * secret of the store. */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engines/redis/redis.h"
#include "kvsh/fs.h"
#include "kvsh/mem.h"
#include "tests/unit/tap.h"

enum { AGENTS = 5 };

#define ANSWER(status, code)                                                             \
    "HTTP/1.1 " status "\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" \
    "{\"detail\":\"told so\",\"code\":\"" code "\"}"
#define GRANTS ANSWER("200 OK", "ok")
#define DENIES ANSWER("401 Unauthorized", "denied")
#define LEASED ANSWER("409 Conflict", "leased")
#define SUPERSEDED ANSWER("409 Conflict", "superseded")

struct agent {
    const char *_Atomic says; /* NULL: frozen, it takes connections and never answers */
    int fd, port;
    pthread_t thread;
    atomic_int taken, dropped;
};

struct store {
    struct agent agents[AGENTS];
    struct json *docs;
    struct connection *cn;
    atomic_bool end;
};

static struct store store;

static void talk(struct agent *a, int c)
{
    char text[4096];
    ssize_t n = recv(c, text, sizeof text - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    if (strncmp(text, "DELETE ", 7) == 0)
        atomic_fetch_add(&a->dropped, 1);
    else if (strncmp(text, "PUT ", 4) == 0)
        atomic_fetch_add(&a->taken, 1);
    while (n > 0 && strncmp(text, "GET ", 4) != 0 && strchr(text, '{') == NULL) /* its body */
        if ((n = recv(c, text, sizeof text - 1, 0)) > 0)
            text[n] = '\0';
    if (send(c, a->says, strlen(a->says), MSG_NOSIGNAL) < 0)
        return; /* who asked has given up */
}

static void *serve(void *arg)
{
    struct agent *a = arg;

    while (!store.end) {
        struct pollfd p = {.fd = a->fd, .events = POLLIN};
        int c = a->says && poll(&p, 1, 20) > 0 ? accept(a->fd, NULL, NULL) : -1;

        if (c < 0) {
            poll(NULL, 0, 5);
            continue;
        }
        talk(a, c);
        close(c);
    }
    return NULL;
}

static void agent_begin(struct agent *a, const char *says)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;

    a->says = says;
    a->taken = a->dropped = 0;
    a->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ok(bind(a->fd, (struct sockaddr *)&addr, sizeof addr) == 0 && listen(a->fd, 8) == 0 &&
       getsockname(a->fd, (struct sockaddr *)&addr, &len) == 0);
    a->port = ntohs(addr.sin_port);
    is_int(pthread_create(&a->thread, NULL, serve, a), 0);
}

static void store_begin(const char *const says[AGENTS])
{
    const struct endpoint ep = {.store = "s", .engine = "redis", .timeout_ms = 1000};
    struct err err = ERR_INIT;
    struct json *sns = json_object();

    store.end = false;
    store.docs = json_object();
    for (int i = 0; i < AGENTS; i++) {
        char *id = xasprintf("sn%d", i + 1), *url;
        struct json *sn = json_object();

        agent_begin(&store.agents[i], says[i]);
        url = xasprintf("http://127.0.0.1:%d", store.agents[i].port);
        json_set_str(sn, "url", url);
        json_set(sns, id, sn);
        free(url);
        free(id);
    }
    json_set(store.docs, "sn", sns);
    store.cn = engine_redis.open(&ep, &err);
    ok(store.cn != NULL);
}

static void store_end(void)
{
    store.end = true;
    for (int i = 0; i < AGENTS; i++) {
        pthread_join(store.agents[i].thread, NULL);
        close(store.agents[i].fd);
    }
    engine_redis.close(store.cn);
    json_free(store.docs);
}

static int take(bool held, struct err *err)
{
    const struct lease l = {.owner = "a@b#1", .plan = 1, .epoch = 1, .ttl_ms = 30000, .held = held};

    return engine_redis.lease(store.cn, store.docs, &l, err);
}

static int dropped(void)
{
    int n = 0;

    for (int i = 0; i < AGENTS; i++)
        n += store.agents[i].dropped;
    return n;
}

/* As many silent ones in front as there is time for: those behind them are asked all the same. */
static void silent_ones_do_not_hide_the_others(void)
{
    struct err err = ERR_INIT;

    store_begin((const char *const[]){NULL, NULL, NULL, NULL, GRANTS});
    is_int(take(false, &err), 0);
    is_int(store.agents[AGENTS - 1].taken, 1);
    store_end();
}

/* A renewal that one agent refuses for another reason than somebody's lease ends no lease, and one
 * that is lost is given back when the steps have ended. */
static void a_renewal_is_not_given_back(void)
{
    struct err err = ERR_INIT;

    store_begin((const char *const[]){GRANTS, DENIES, GRANTS, GRANTS, GRANTS});
    is_int(take(false, &err), -1);
    is_int(err.code, ERR_DENIED);
    is_int(dropped(), AGENTS);
    err_clear(&err);
    is_int(take(true, &err), 0);
    is_int(dropped(), AGENTS);
    store.agents[1].says = LEASED;
    is_int(take(true, &err), -1);
    is_int(err.code, ERR_LOCKED);
    is_int(dropped(), AGENTS);
    err_clear(&err);
    store.agents[1].says = SUPERSEDED;
    is_int(take(true, &err), -1);
    is_int(err.code, ERR_STALE);
    store_end();
}

/* --- the secret --- */

static enum err_code register_node(const char *secret_file, struct err *err)
{
    const struct endpoint ep = {
        .store = "s", .engine = "redis", .timeout_ms = 1000, .secret_file = secret_file};
    struct json *docs = json_object(), *args = json_object();
    const struct task t = {.type = "register-node", .target = "sn1", .node = "sn1", .args = args};
    struct perform p = {.docs = docs};
    struct connection *cn = engine_redis.open(&ep, err);
    char *url = xasprintf("http://127.0.0.1:%d", store.agents[0].port);

    json_set_str(args, "url", url);
    json_set_str(args, "host", "127.0.0.1");
    err_clear(err);
    engine_redis.perform(cn, &t, &p, err);
    engine_redis.close(cn);
    json_free(args);
    json_free(docs);
    free(url);
    return err->code;
}

/* Made once. A file that is there and cannot be read is not written over. */
static void a_secret_is_not_made_anew(void)
{
    static const char node[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                               "Connection: close\r\n\r\n"
                               "{\"agent\":{\"version\":\"1\"},\"node\":{}}";
    char folder[] = "/tmp/kvsh-test-secret-XXXXXX", *file, *text, *first;
    struct err err = ERR_INIT;
    size_t len;

    ok(mkdtemp(folder) != NULL);
    file = xasprintf("%s/secret", folder);
    store_begin((const char *const[]){node, node, node, node, node});
    is_int(register_node(file, &err), ERR_OK);
    first = fs_read(file, 100, &len, &err);
    is_int(len, 65);
    is_int(register_node(file, &err), ERR_OK);
    text = fs_read(file, 100, &len, &err);
    is_str(text, first);
    free(text);
    free(first);
    ok(fs_write_atomic(file, "\n", 1, 0600, &err) == 0); /* as after a disk that was full */
    is_int(register_node(file, &err), ERR_INPUT);
    has_str(err.text, "first line is empty");
    text = fs_read(file, 100, &len, &err);
    is_str(text, "\n");
    free(text);
    store_end();
    ok(unlink(file) == 0 && rmdir(folder) == 0);
    free(file);
}

int main(void)
{
    TAP_RUN(TAP_TEST(silent_ones_do_not_hide_the_others), TAP_TEST(a_renewal_is_not_given_back),
            TAP_TEST(a_secret_is_not_made_anew));
}
