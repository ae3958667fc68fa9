/*
 * What the watchers saw, numbered and durable.
 *
 * Numbers rise strictly for the node's life; a reader keeps the last one it has seen and misses
 * nothing that is still kept (the last EVENTS_KEEP). An event is on disk before anybody can read
 * it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kvsh/err.h"
#include "kvsh/json.h"

enum { EVENTS_KEEP = 2000, EVENTS_PAGE_MAX = 1000 };

enum severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_ERROR };

struct events;

/* Reads what is kept in the file; a torn last line (crash) is dropped. NULL on failure. */
struct events *events_open(const char *path, struct err *err);
void events_free(struct events *e);

struct event {
    enum severity severity;
    const char *kind;    /* "dir-missing" */
    const char *subject; /* service id or path */
    const char *text;    /* a sentence */
    const char *advice;  /* or NULL */
};

/* Thread-safe; returns its number. Registered secrets are masked. */
int64_t events_add(struct events *e, const struct event *ev);
int64_t events_last(struct events *e);

/*
 * {"events":[...],"next":N}: at most `limit` after number `after`; waits up to wait_ms for one.
 * Wakes early on events_shutdown().
 */
struct json *events_read(struct events *e, int64_t after, int limit, int wait_ms);
void events_shutdown(struct events *e);

const char *severity_name(enum severity s);
