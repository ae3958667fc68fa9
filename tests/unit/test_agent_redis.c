/* What redis answers, decoded; and the client against servers that do not behave. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/redis.h"
#include "agent/redis_decode.h"
#include "agent/text.h"
#include "kvsh/fs.h"
#include "tap.h"

#define ID_A "07c37dfeb235213a872192d90877d0cd55635b91"
#define ID_B "67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1"

static void info_of_a_primary(void)
{
    static const char text[] =
        "# Server\r\nredis_version:7.0.15\r\nuptime_in_seconds:77\r\n\r\n# "
        "Persistence\r\nloading:0\r\n"
        "aof_enabled:1\r\naof_last_bgrewrite_status:ok\r\naof_last_write_status:ok\r\n"
        "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n"
        "slave0:ip=10.0.0.2,port=7002,state=online,offset=90,lag=1\r\n"
        "slave1:ip=fe80::1,port=7003,state=wait_bgsave,offset=0,lag=0\r\n"
        "master_replid:" ID_A "\r\nmaster_repl_offset:100\r\nused_memory:5\r\nmaxmemory:7\r\n";
    struct arena a = {NULL};
    struct redis_info info;

    redis_info_decode(text, &a, &info);
    ok(info.is_primary && !info.link_up && !info.loading && info.aof_ok);
    is_str(info.version, "7.0.15");
    is_str(info.replid, ID_A);
    is_int(info.offset, 100);
    is_int(info.uptime_s, 77);
    is_int(info.link_down_s, -1);
    is_int(info.used_memory, 5);
    is_int(info.max_memory, 7);
    is_int(info.connected_replicas, 2);
    if (is_int(info.n_replicas, 2)) {
        is_str(info.replicas[0].host, "10.0.0.2");
        is_int(info.replicas[0].port, 7002);
        is_int(info.replicas[0].offset, 90);
        is_int(info.replicas[0].lag, 1);
        is_str(info.replicas[1].host, "fe80::1");
        is_str(info.replicas[1].state, "wait_bgsave");
    }
    arena_release(&a);
}

static void info_of_a_replica(void)
{
    struct arena a = {NULL};
    struct redis_info info;

    redis_info_decode("role:slave\nmaster_link_status:up\nmaster_sync_in_progress:1\n"
                      "slave_repl_offset:55\nmaster_repl_offset:66\nloading:1\n"
                      "loading_loaded_perc:45.27\naof_enabled:1\naof_last_write_status:err\n"
                      "aof_last_bgrewrite_status:ok",
                      &a, &info);
    ok(!info.is_primary && info.link_up && info.sync_in_progress && info.loading && !info.aof_ok);
    is_int(info.offset, 55);
    is_int(info.loading_percent, 45);
    redis_info_decode("", &a, &info);
    ok(!info.is_primary && info.n_replicas == 0);
    is_int(info.loading_percent, -1);
    redis_info_decode(
        "master_repl_offset:99999999999999999999999\nrole:master\nslave0:\nslave1:=,=,x", &a,
        &info);
    is_int(info.offset, 0);
    is_int(info.n_replicas, 2);
    arena_release(&a);
}

static void fields(void)
{
    char out[8];

    ok(redis_field("a:1\r\nab:2\r\n", "ab", out, sizeof out));
    is_str(out, "2");
    ok(!redis_field("xa:1\n", "a", out, sizeof out));
    ok(redis_field("a:123456789012\n", "a", out, sizeof out));
    is_str(out, "1234567");
    is_int(redis_field_int("n:-5\n", "n", 9), -5);
    is_int(redis_field_int("n:5x\n", "n", 9), 9);
    is_int(redis_field_int("n:\n", "n", 9), 9);
}

static void node_table(void)
{
    static const char text[] =
        ID_A " 127.0.0.1:30004@31004,host-1 slave " ID_B " 0 1426238317239 4 connected\n" ID_B
             " fe80::1:30001@31001 myself,master - 0 0 1 connected 0-5460 9000 [93-<-" ID_A
             "] [77->-" ID_A "]\n"
             "vars currentEpoch 6 lastVoteEpoch 0\n";
    struct arena a = {NULL};
    struct redis_nodes nodes;
    struct err err = ERR_INIT;
    const struct redis_node *me;

    is_int(redis_nodes_decode(text, &a, &nodes, &err), 0);
    is_int(nodes.n, 2);
    me = redis_nodes_myself(&nodes);
    ok(me == redis_nodes_find(&nodes, ID_B));
    if (me) {
        is_str(me->host, "fe80::1");
        is_int(me->port, 30001);
        is_int(me->bus_port, 31001);
        is_int(me->epoch, 1);
        is_int(me->n_slots, 2);
        is_int(redis_node_slot_count(me), 5462);
        is_int(me->n_open, 2);
        ok(!me->open[0].leaving && me->open[0].slot == 93 && me->open[1].leaving);
        is_str(me->open[1].peer, ID_A);
        ok(redis_node_has_flag(me, "master") && !redis_node_has_flag(me, "mas"));
    }
    is_str(nodes.nodes[0].primary_id, ID_B);
    is_str(nodes.nodes[0].host, "127.0.0.1");
    ok(nodes.nodes[0].link_up);
    ok(!redis_nodes_find(&nodes, "x"));
    is_int(redis_nodes_decode("", &a, &nodes, &err), 0);
    is_int(nodes.n, 0);
    ok(!redis_nodes_myself(&nodes));
    arena_release(&a);
}

static void node_table_damaged(void)
{
    static const char *const bad[] = {
        "garbage",
        ID_A,
        ID_A " 127.0.0.1:1@2 master - 0 0 1",
        ID_A "0 127.0.0.1:1@2 master - 0 0 1 connected",
        "0" ID_A " 127.0.0.1:1@2 master - 0 0 1 connected",
        ID_A " 127.0.0.1 master - 0 0 1 connected",
        ID_A " 127.0.0.1:99999@2 master - 0 0 1 connected",
        ID_A " 127.0.0.1:1@-2 master - 0 0 1 connected",
        ID_A " 127.0.0.1:1@2 master short 0 0 1 connected",
        ID_A " 127.0.0.1:1@2 master - 0 0 x connected",
        ID_A " 127.0.0.1:1@2 master - 0 0 1 connected 5-4",
        ID_A " 127.0.0.1:1@2 master - 0 0 1 connected 0-16384",
        ID_A " 127.0.0.1:1@2 master - 0 0 1 connected [1->-" ID_B,
        ID_A " 127.0.0.1:1@2 master - 0 0 1 connected [1-?-" ID_B "]",
        ID_A " 127.0.0.1:1@2 master - 0 0 1 connected [99999->-" ID_B "]",
        ID_A " 127.0.0.1:1@2 master - 0 0 1 connected [",
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct arena a = {NULL};
        struct redis_nodes nodes;
        struct err err = ERR_INIT;

        if (!is_int(redis_nodes_decode(bad[i], &a, &nodes, &err), -1))
            printf("# line %s\n", bad[i]);
        has_str(err.text, "line 1");
        arena_release(&a);
    }
}

static void ids(void)
{
    ok(redis_id_is_valid(ID_A));
    ok(!redis_id_is_valid(NULL) && !redis_id_is_valid("") && !redis_id_is_valid(ID_A "a"));
    ok(!redis_id_is_valid("07C37dfeb235213a872192d90877d0cd55635b91"));
}

static void reasons(void)
{
    char out[256];
    const char *advice;

    redis_start_reason(
        "\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\nReading the configuration file, "
        "at line 3\n>>> 'foo-bar \"1\"'\nBad directive or wrong number of arguments\n",
        "", out, sizeof out, &advice);
    is_str(out, "configuration line 'foo-bar \"1\"': Bad directive or wrong number of arguments");
    redis_start_reason(
        "",
        "9:M 01 Jan 2026 10:00:00.000 * Node configuration loaded\n"
        "9:M 01 Jan 2026 10:00:00.000 # Failed listening on port 7001 (TCP), aborting.\n",
        out, sizeof out, &advice);
    is_str(out, "Failed listening on port 7001 (TCP), aborting.");
    has_str(advice, "end the process");
    redis_start_reason("", "1:M 1 Jan 1 # first\n1:M 1 Jan 1 # last\n1:M 1 Jan 1 * bye\n", out,
                       sizeof out, &advice);
    is_str(out, "last");
    is_str(advice, "");
    redis_start_reason("ld.so: no such library", "", out, sizeof out, &advice);
    is_str(out, "ld.so: no such library");
    redis_start_reason("", "", out, sizeof out, &advice);
    has_str(out, "without saying why");
    redis_start_reason("*** FATAL CONFIG FILE ERROR\n>>> ", "", out, sizeof out, &advice);
    ok(out[0] != '\0');
}

static void texts(void)
{
    char *s;

    ok(text_is_plain("a\xc3\xa4\xe4\xb8\x96\xf0\x9f\x98\x80", 10));
    ok(text_is_plain("", 0));
    ok(!text_is_plain("a\0b", 3));
    ok(!text_is_plain("\xc3", 1) && !text_is_plain("\xff", 1) && !text_is_plain("\xc0\x80", 2));
    ok(!text_is_plain("\xed\xa0\x80", 3) && !text_is_plain("\xf4\x90\x80\x80", 4));
    s = text_escape("a\0\xff\xc3\xa4", 5);
    is_str(s, "a\\x00\\xff\xc3\xa4");
    free(s);
}

/* A server that takes one connection and does one thing with it. */
struct fake {
    int fd, port;
    const char *answer; /* NULL: none */
    bool is_slow, closes;
    pthread_t thread;
};

static void *fake_run(void *arg)
{
    struct fake *f = arg;
    char request[1024];
    int fd = accept(f->fd, NULL, NULL);
    size_t len = f->answer ? strlen(f->answer) : 0;

    if (fd < 0)
        return NULL;
    if (recv(fd, request, sizeof request, 0) > 0)
        for (size_t i = 0; i < len; i += f->is_slow ? 1 : len) {
            if (send(fd, f->answer + i, f->is_slow ? 1 : len, MSG_NOSIGNAL) < 0)
                break;
            if (f->is_slow)
                time_sleep_ms(30);
        }
    /* Until the client has had enough. */
    while (!f->closes && recv(fd, request, sizeof request, 0) > 0)
        ;
    close(fd);
    return NULL;
}

static void fake_start(struct fake *f)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sa;

    f->fd = socket(AF_INET, SOCK_STREAM, 0);
    ok(bind(f->fd, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(f->fd, 1) == 0);
    getsockname(f->fd, (struct sockaddr *)&sa, &len);
    f->port = ntohs(sa.sin_port);
    pthread_create(&f->thread, NULL, fake_run, f);
}

static void fake_stop(struct fake *f)
{
    shutdown(f->fd, SHUT_RDWR);
    pthread_join(f->thread, NULL);
    close(f->fd);
}

/* One PING to a server that behaves like this. */
static enum redis_state ping(const char *answer, bool is_slow, bool closes, char *text, size_t size)
{
    struct fake f = {.answer = answer, .is_slow = is_slow, .closes = closes};
    struct redis *r;
    enum redis_state state;
    const redisReply *reply;
    int64_t begin = time_mono_ms();

    fake_start(&f);
    r = redis_new("127.0.0.1", f.port, "secret-of-the-test");
    reply = redis_call(r, 300, "PING", NULL);
    state = redis_result(r);
    snprintf(text, size, "%s", reply ? redis_text(reply) : redis_error(r));
    ok(time_mono_ms() - begin < 15000);
    ok(strstr(text, "secret-of-the-test") == NULL);
    redis_free(r);
    fake_stop(&f);
    return state;
}

static void client(void)
{
    char text[256];

    is_int(ping("+OK\r\n+PONG\r\n", false, false, text, sizeof text), REDIS_ANSWERED);
    is_str(text, "PONG");
    is_int(ping("-ERR no password is set\r\n-LOADING x\r\n", false, false, text, sizeof text),
           REDIS_ANSWERED);
    is_str(text, "LOADING x");
    is_int(ping("-WRONGPASS invalid\r\n-NOAUTH x\r\n", false, false, text, sizeof text),
           REDIS_DENIED);
    has_str(text, "refuses the password");
    is_int(ping(NULL, false, false, text, sizeof text), REDIS_TIMEOUT);
    has_str(text, "did not answer within 300 ms");
    is_int(ping("+OK\r\n$100000\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", true, false, text,
                sizeof text),
           REDIS_TIMEOUT);
    is_int(ping("+OK\r\n", false, true, text, sizeof text), REDIS_BROKEN);
    is_int(ping("HTTP/1.1 200 OK\r\n\r\n", false, false, text, sizeof text), REDIS_BROKEN);
    has_str(text, "does not speak the protocol");
    is_int(ping("+OK\r\n*1000000000\r\n", false, true, text, sizeof text), REDIS_BROKEN);
}

static void client_alone(void)
{
    struct redis *r = redis_new("127.0.0.1", 1, NULL);

    ok(redis_call(r, 300, "PING", NULL) == NULL);
    is_int(redis_result(r), REDIS_UNREACHABLE);
    has_str(redis_error(r), "connect to 127.0.0.1:1");
    ok(redis_call(r, 300, "PING", NULL) == NULL);
    is_int(redis_result(r), REDIS_UNREACHABLE);
    redis_free(r);
    r = redis_new("not-an-address", 1, NULL);
    ok(redis_call(r, 300, "PING", NULL) == NULL);
    has_str(redis_error(r), "not-an-address");
    redis_free(r);
    redis_free(NULL);
}

int main(void)
{
    TAP_RUN(TAP_TEST(info_of_a_primary), TAP_TEST(info_of_a_replica), TAP_TEST(fields),
            TAP_TEST(node_table), TAP_TEST(node_table_damaged), TAP_TEST(ids), TAP_TEST(reasons),
            TAP_TEST(texts), TAP_TEST(client), TAP_TEST(client_alone));
}
