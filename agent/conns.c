#include "agent/conns.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

struct conn {
    int fd;
    int64_t deadline; /* of time_mono_ms(); 0: none */
    struct conn *next, **at;
};

struct conns {
    pthread_mutex_t lock;
    struct conn *first;
    int n;
    void (*came)(void *arg);
    void *arg;
};

struct conns *conns_new(void (*first)(void *arg), void *arg)
{
    struct conns *c = xcalloc(1, sizeof *c);

    pthread_mutex_init(&c->lock, NULL);
    c->came = first;
    c->arg = arg;
    return c;
}

void conns_free(struct conns *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c);
}

struct conn *conns_add(struct conns *c, int fd)
{
    struct conn *conn = xcalloc(1, sizeof *conn);
    bool is_first;

    conn->fd = fd;
    pthread_mutex_lock(&c->lock);
    conn->next = c->first;
    conn->at = &c->first;
    if (c->first)
        c->first->at = &conn->next;
    c->first = conn;
    is_first = c->n++ == 0;
    pthread_mutex_unlock(&c->lock);
    if (is_first)
        c->came(c->arg);
    return conn;
}

void conns_remove(struct conns *c, struct conn *conn)
{
    if (!conn)
        return;
    pthread_mutex_lock(&c->lock);
    *conn->at = conn->next;
    if (conn->next)
        conn->next->at = conn->at;
    c->n--;
    pthread_mutex_unlock(&c->lock);
    free(conn);
}

int conns_count(struct conns *c)
{
    int n;

    pthread_mutex_lock(&c->lock);
    n = c->n;
    pthread_mutex_unlock(&c->lock);
    return n;
}

void conn_limit(struct conns *c, struct conn *conn, int ms)
{
    if (!conn)
        return;
    pthread_mutex_lock(&c->lock);
    conn->deadline = ms ? time_mono_ms() + ms : 0;
    pthread_mutex_unlock(&c->lock);
}

/* The descriptor is open as long as the connection is listed: it is removed before it is closed. */
void conns_expire(struct conns *c)
{
    int64_t now = time_mono_ms();

    pthread_mutex_lock(&c->lock);
    for (struct conn *conn = c->first; conn; conn = conn->next)
        if (conn->deadline && now >= conn->deadline)
            shutdown(conn->fd, SHUT_RDWR);
    pthread_mutex_unlock(&c->lock);
}
