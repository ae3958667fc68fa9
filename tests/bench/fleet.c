/*
 * A fleet of simulated nodes behind one port: node N answers at 127.x.y.z with x.y.z = 65536 + N,
 * so that thousands of nodes have an address of their own. Every request gets the answer of an idle
 * node of the store. For make bench.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST_MAX = 4096, EVENTS = 256, FIRST = 65536 };

struct client {
    int fd;
    size_t used;
    char request[REQUEST_MAX];
};

static int listen_at(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 4096) != 0) {
        perror("fleet");
        exit(1);
    }
    return fd;
}

static void watch(int epoll, int fd, void *data)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = data};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) != 0) {
        perror("fleet: epoll");
        exit(1);
    }
}

static void take_clients(int epoll, int listener)
{
    struct client *c;
    int fd, on = 1;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if ((c = calloc(1, sizeof *c)) == NULL)
            exit(1);
        c->fd = fd;
        watch(epoll, fd, c);
    }
}

static int answer(const struct client *c, const char *store)
{
    struct sockaddr_in a;
    socklen_t size = sizeof a;
    char host[INET_ADDRSTRLEN], body[1024], head[160];
    unsigned n;
    int length;

    if (getsockname(c->fd, (struct sockaddr *)&a, &size) != 0)
        return -1;
    n = (ntohl(a.sin_addr.s_addr) & 0xffffff) - FIRST;
    inet_ntop(AF_INET, &a.sin_addr, host, sizeof host);
    length = snprintf(
        body, sizeof body,
        "{\"agent\":{\"version\":\"0.1.0\",\"pid\":1,\"startedMs\":1767225600000,"
        "\"instance\":\"0000000000000000\",\"eventSeq\":0},\"node\":{\"id\":\"sn%u\","
        "\"store\":\"%s\",\"zone\":\"zn1\",\"host\":\"%s\",\"port\":%d,\"capacity\":3,"
        "\"haRange\":[13232,13239],\"memoryMb\":0,\"root\":\"/kvroot\"},\"metadata\":null,"
        "\"storageDirs\":[{\"path\":\"/disk1\",\"state\":\"ok\",\"detail\":null,"
        "\"freeBytes\":1000000000,\"totalBytes\":2000000000,\"services\":[]}],\"services\":[]}",
        n, store, host, ntohs(a.sin_port));
    snprintf(head, sizeof head,
             "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
             length);
    return send(c->fd, head, strlen(head), MSG_NOSIGNAL | MSG_MORE) < 0 ||
                   send(c->fd, body, (size_t)length, MSG_NOSIGNAL) < 0
               ? -1
               : 0;
}

/* Answers each complete request in the buffer; -1 ends the connection. */
static int serve(struct client *c, const char *store)
{
    ssize_t n = recv(c->fd, c->request + c->used, sizeof c->request - c->used - 1, 0);
    char *end;

    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
    c->used += (size_t)n;
    c->request[c->used] = '\0';
    while ((end = strstr(c->request, "\r\n\r\n")) != NULL) {
        size_t done = (size_t)(end + 4 - c->request);
        if (answer(c, store) != 0)
            return -1;
        c->used -= done;
        memmove(c->request, end + 4, c->used + 1);
    }
    return c->used + 1 < sizeof c->request ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC), listener;

    if (argc != 3) {
        fprintf(stderr, "usage: fleet PORT STORE\n");
        return 64;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    listener = listen_at((int)strtol(argv[1], NULL, 10));
    watch(epoll, listener, NULL);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;
            if (c == NULL) {
                take_clients(epoll, listener);
            } else if (serve(c, argv[2]) != 0) {
                close(c->fd);
                free(c);
            }
        }
    }
}
