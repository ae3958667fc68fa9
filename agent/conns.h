/*
 * The open connections, with a limit on how long a request may take to arrive and a reply to be
 * taken. The library's own limit only counts silence, so a client that sends a byte now and then
 * would stay for ever.
 */
#pragma once

#include <stdint.h>

struct conns;
struct conn;

struct conns *conns_new(void (*first)(void *arg),
                        void *arg); /* first: called when one comes to none */
void conns_free(struct conns *c);

struct conn *conns_add(struct conns *c, int fd);
void conns_remove(struct conns *c, struct conn *conn);
int conns_count(struct conns *c);

/* The connection must have moved on within ms; 0: no limit (the handler works). */
void conn_limit(struct conns *c, struct conn *conn, int ms);
/* Shuts down those beyond their limit. */
void conns_expire(struct conns *c);
