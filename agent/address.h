/* Host names and addresses. */
#pragma once

#include <stdbool.h>

#include "kvsh/err.h"

enum { ADDRESS_MAX = 64 };

/* The numeric address of a host name or address, IPv4 when it has both; ERR_INPUT when there is
 * none. */
int address_resolve(const char *host, char ip[ADDRESS_MAX], struct err *err);
/* True for a numeric loopback address; and for a name that resolves to one. */
bool address_is_loopback(const char *host);

/* True for the address that stands for all: it can be listened on, but not be reached. Pure. */
bool address_is_wildcard(const char *ip);

/* A listening socket on ip:port; -1 with a sentence (ERR_FAILED). */
int address_listen(const char *ip, int port, struct err *err);
/* 0 when ip:port could be listened on now, else the errno value. */
int address_probe(const char *ip, int port);
