/*
 * The HTTP server: libmicrohttpd with a thread per connection. Authentication, limits of size,
 * number and time, and the log of refused requests are here; what a request means is the routes'
 * business.
 */
#pragma once

#include "agent/agent.h"

struct server;

/* Reads token and certificates and listens. The sentence of a failure names address and port. */
struct server *server_open(struct agent *a, struct err *err);
/* Begins to serve. */
int server_start(struct server *s, struct err *err);
/* Ends all connections; a->stopping is set, so that no handler waits on. */
void server_stop(struct server *s);

/* Cuts connections that take too long to ask or to listen; to be called about once a second while
 * this is not 0: the number of connections. */
int server_tick(struct server *s);
