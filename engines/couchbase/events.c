/* What the cluster wrote down: /events (7.1 and later) and /logs. */
#include "engines/couchbase/couchbase.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PER_MS 1000 /* numbers for events of one millisecond, in the order they are told */

static const char *severity(const char *word)
{
    if (word != NULL &&
        (strcmp(word, "error") == 0 || strcmp(word, "fatal") == 0 || strcmp(word, "critical") == 0))
        return "error";
    return word != NULL && strncmp(word, "warn", 4) == 0 ? "warning" : "info";
}

/* The cluster's own log writes some things in several lines. */
static const char *in_one_line(struct arena *a, const char *text)
{
    char *line = text ? arena_strdup(a, text) : NULL;

    for (char *p = line; p != NULL && *p; p++) {
        if (*p == '\n' || *p == '\r')
            *p = ' ';
    }
    return line;
}

static const char *text_of(struct arena *a, const struct json *e)
{
    const struct json *extra = json_get(e, "extra_attributes");
    const char *said = json_str(e, "description"), *end = json_str(extra, "completion_message");
    const char *id = json_str(extra, "operation_id");

    if (said == NULL)
        return in_one_line(a, json_str(e, "text"));
    return arena_printf(a, "%s%s%s%s%s%s", said, end ? ": " : "", end ? end : "", id ? " (" : "",
                        id ? id : "", id ? ")" : "");
}

void cb_decode_events(const struct json *page, int64_t *cursor,
                      void (*add)(void *arg, const struct node_event *ev), void *arg)
{
    const struct json *list = json_get(page, "events");
    bool is_log = list == NULL;
    int64_t newest = *cursor, last_ms = 0, number = 0;
    struct arena a = {0};

    JSON_FOREACH (e, is_log ? json_get(page, "list") : list) {
        int64_t ms = is_log ? json_int(e, "tstamp", 0) : cb_time(json_str(e, "timestamp"));
        const char *node = json_str(e, is_log ? "node" : "otp_node"), *text = text_of(&a, e);
        struct node_event ev = {.node = node ? node : "cluster",
                                .time_ms = ms,
                                .severity = severity(json_str(e, is_log ? "type" : "severity")),
                                .kind = is_log ? "log" : "event",
                                .text = text};
        int64_t seq;

        if (ms <= 0 || ms > INT64_C(4102444800000) || text == NULL)
            continue;
        number = ms == last_ms && number < PER_MS - 1 ? number + 1 : 0;
        last_ms = ms;
        seq = ms * PER_MS + number;
        if (seq <= *cursor)
            continue;
        ev.seq = seq * 2 + is_log; /* the journal knows what it has by node and number */
        ev.subject = json_str(e, is_log ? "module" : "component");
        add(arg, &ev);
        if (seq > newest)
            newest = seq;
    }
    *cursor = newest;
    arena_release(&a);
}

static char *path_since(const char *stream, int64_t cursor)
{
    int64_t ms = cursor / PER_MS - 1;
    time_t seconds = (time_t)(ms / 1000);
    char text[40], *escaped, *path;
    struct tm tm;

    if (strcmp(stream, "logs") == 0)
        return cursor == 0 ? xstrdup("/logs") : xasprintf("/logs?sinceTime=%lld", (long long)ms);
    if (cursor == 0)
        return xstrdup("/events?limit=-1"); /* without a limit the newest may be missing */
    gmtime_r(&seconds, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    escaped = http_escape(text);
    path = xasprintf("/events?sinceTime=%s.%03lldZ&limit=-1", escaped, (long long)(ms % 1000));
    free(escaped);
    return path;
}

int cb_events(struct connection *cn, const struct json *docs, struct json **cursors,
              void (*add)(void *arg, const struct node_event *ev), void *arg, struct err *err)
{
    static const char *const streams[] = {"events", "logs"};
    struct json *next = json_is_object(*cursors) ? json_copy(*cursors) : json_object();
    struct cluster c = {0};
    int rc = 0, answers = 0;

    if (cn->base == NULL)
        rc = cb_observe(cn, docs, &c, err);
    for (size_t i = 0; i < 2 && rc == 0; i++) {
        int64_t cursor = json_int(next, streams[i], 0);
        char *path = path_since(streams[i], cursor);
        struct json *page = NULL;
        /* One of the two may be missing: /events is newer, /logs needs other rights. */
        if (cb_get(cn, cn->base, path, &page, err) == 0) {
            answers++;
            cb_decode_events(page, &cursor, add, arg);
            json_set_int(next, streams[i], cursor);
        }
        json_free(page);
        free(path);
    }
    if (rc == 0 && answers == 0)
        rc = -1;
    json_free(*cursors);
    *cursors = next;
    cluster_release(&c);
    return rc;
}
