/*
 * Talking to redis-server with deadlines that hold.
 *
 * Every exchange has one deadline for everything: connecting, writing and reading, even when a
 * frozen or trickling server sends byte by byte. Several services are asked at the same time by one
 * thread. hiredis parses the replies; the sockets are ours.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <hiredis/hiredis.h>

enum redis_state {
    REDIS_ANSWERED,
    REDIS_UNREACHABLE, /* nothing was carried out */
    REDIS_TIMEOUT,     /* no whole answer: what was asked may or may not have been done */
    REDIS_BROKEN,      /* the connection ended in the middle: likewise */
    REDIS_DENIED,      /* the password was refused */
};

struct redis;

/* A connection to come; the first exchange opens it and gives the password. secret may be NULL. */
struct redis *redis_new(const char *host, int port, const char *secret);
void redis_free(struct redis *r);

/* Queues a command for the next exchange: words up to NULL, or words with lengths. */
void redis_add(struct redis *r, ...) __attribute__((sentinel));
void redis_addv(struct redis *r, int argc, const char *const *argv, const size_t *lens);

/*
 * Sends what is queued on each of the n connections and collects the replies; returns when all are
 * done. A connection that failed once stays failed.
 */
void redis_exchange(struct redis *const *rs, size_t n, int timeout_ms);

enum redis_state redis_result(const struct redis *r);
/* Why the last exchange failed, a sentence; "" when it did not. */
const char *redis_error(const struct redis *r);
/* Reply number i (from 0) of the last exchange; NULL when it did not come. Borrowed. */
const redisReply *redis_reply(const struct redis *r, size_t i);
/* The text of a string, status or error reply; "" otherwise. */
const char *redis_text(const redisReply *reply);
bool redis_is_error(const redisReply *reply);

/* One command, one reply. NULL when there is none; see redis_result(). */
const redisReply *redis_call(struct redis *r, int timeout_ms, ...) __attribute__((sentinel));
