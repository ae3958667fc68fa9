#include "agent/events.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kvsh/buf.h"
#include "kvsh/fs.h"
#include "kvsh/log.h"
#include "kvsh/mem.h"

#include "agent/clock.h"

#define FILE_LIMIT ((size_t)64 << 20)
#define COMPACT_AT ((size_t)2 << 20)
/* No event of ours has such a number: a million times that still is an integer in JSON (see
 * OPERATIONS_PER_START). */
#define SEQ_LIMIT INT64_C(9000000000)

struct events {
    pthread_mutex_t lock;
    pthread_cond_t added;
    char *path;
    int fd;
    bool is_shut;
    int64_t last;
    char *lines[EVENTS_KEEP]; /* JSON; the event with number s is at s % EVENTS_KEEP */
    int64_t seqs[EVENTS_KEEP];
};

static const char *const severities[] = {
    [SEVERITY_INFO] = "info",
    [SEVERITY_WARNING] = "warning",
    [SEVERITY_ERROR] = "error",
};

const char *severity_name(enum severity s)
{
    return severities[s];
}

static void keep(struct events *e, int64_t seq, char *line)
{
    size_t at = (size_t)(seq % EVENTS_KEEP);

    free(e->lines[at]);
    e->lines[at] = line;
    e->seqs[at] = seq;
    e->last = seq;
}

/* Takes the lines of the file; returns the length up to the end of the last whole one. */
static size_t load(struct events *e, const char *text)
{
    const char *p = text, *end;

    while ((end = strchr(p, '\n')) != NULL) {
        struct err err = ERR_INIT;
        struct json *j = json_parse(p, (size_t)(end - p), &err);
        int64_t seq = json_int(j, "seq", 0);

        if (seq > e->last && seq < SEQ_LIMIT)
            keep(e, seq, xstrndup(p, (size_t)(end - p)));
        json_free(j);
        p = end + 1;
    }
    return (size_t)(p - text);
}

static int file_open(struct events *e, struct err *err)
{
    e->fd = open(e->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (e->fd < 0)
        return err_errno(err, ERR_FAILED, errno, "open %s", e->path);
    return 0;
}

struct events *events_open(const char *path, struct err *err)
{
    struct events *e = xcalloc(1, sizeof *e);
    char *text = NULL;
    size_t len = 0, whole;
    int rc = 0;

    pthread_mutex_init(&e->lock, NULL);
    cond_init_monotonic(&e->added);
    e->path = xstrdup(path);
    e->fd = -1;
    if (access(path, F_OK) == 0) {
        text = fs_read(path, FILE_LIMIT, &len, err);
        rc = text ? 0 : -1;
    }
    if (rc == 0)
        rc = file_open(e, err);
    if (rc == 0 && text) {
        whole = load(e, text);
        if (whole < len && ftruncate(e->fd, (off_t)whole) < 0)
            rc = err_errno(err, ERR_FAILED, errno, "repair %s", path);
    }
    free(text);
    if (rc < 0) {
        events_free(e);
        return NULL;
    }
    return e;
}

void events_free(struct events *e)
{
    if (!e)
        return;
    for (size_t i = 0; i < EVENTS_KEEP; i++)
        free(e->lines[i]);
    if (e->fd >= 0)
        close(e->fd);
    pthread_cond_destroy(&e->added);
    pthread_mutex_destroy(&e->lock);
    free(e->path);
    free(e);
}

/* Drops from the file what is no longer kept in memory. */
static void compact(struct events *e)
{
    struct err err = ERR_INIT;
    struct stat st;
    struct buf b;

    if (fstat(e->fd, &st) < 0 || (size_t)st.st_size < COMPACT_AT)
        return;
    buf_init(&b, FILE_LIMIT);
    for (int64_t s = e->last - EVENTS_KEEP + 1; s <= e->last; s++)
        if (s > 0 && e->seqs[s % EVENTS_KEEP] == s)
            buf_addf(&b, "%s\n", e->lines[s % EVENTS_KEEP]);
    if (!b.overflow && fs_write_atomic(e->path, b.data, b.len, 0600, &err) == 0) {
        close(e->fd);
        if (file_open(e, &err) < 0)
            log_msg(LOG_ERROR, "events", "%s", err.text);
    }
    buf_release(&b);
}

/* A part of a line that did not fit on the disk is taken back, so that the next one starts clean.
 */
static void append(struct events *e, const char *line)
{
    char *text = xasprintf("%s\n", line);
    size_t len = strlen(text);
    struct stat st;
    bool known = e->fd >= 0 && fstat(e->fd, &st) == 0;

    if (!known || write(e->fd, text, len) != (ssize_t)len || fdatasync(e->fd) < 0) {
        log_msg(LOG_ERROR, "events", "write %s: %s", e->path, strerror(errno));
        if (known && ftruncate(e->fd, st.st_size) < 0)
            log_msg(LOG_ERROR, "events", "repair %s: %s", e->path, strerror(errno));
    }
    free(text);
}

static char *event_line(const struct event *ev, int64_t seq)
{
    struct json *j = json_object();
    char *line;

    json_set_int(j, "seq", seq);
    json_set_int(j, "timeMs", time_now_ms());
    json_set_str(j, "severity", severities[ev->severity]);
    json_set_str(j, "kind", ev->kind);
    json_set_str(j, "subject", ev->subject);
    json_set_str(j, "text", ev->text);
    json_set_str(j, "advice", ev->advice);
    line = json_print(j);
    json_free(j);
    mask_apply(line);
    return line;
}

int64_t events_add(struct events *e, const struct event *ev)
{
    int64_t seq;
    char *line;

    pthread_mutex_lock(&e->lock);
    seq = e->last + 1;
    line = event_line(ev, seq);
    append(e, line);
    keep(e, seq, line);
    compact(e);
    pthread_cond_broadcast(&e->added);
    pthread_mutex_unlock(&e->lock);
    return seq;
}

int64_t events_last(struct events *e)
{
    int64_t last;

    pthread_mutex_lock(&e->lock);
    last = e->last;
    pthread_mutex_unlock(&e->lock);
    return last;
}

struct json *events_read(struct events *e, int64_t after, int limit, int wait_ms)
{
    struct json *doc = json_object(), *list = json_array();
    int64_t deadline = time_mono_ms() + wait_ms, next;
    int n = 0;

    pthread_mutex_lock(&e->lock);
    if (after > e->last) /* a number of another life of this node: everything is new */
        after = 0;
    while (!e->is_shut && e->last <= after && cond_wait_until(&e->added, &e->lock, deadline))
        ;
    next = after < e->last - EVENTS_KEEP ? e->last - EVENTS_KEEP : after;
    while (next < e->last && n < limit) {
        size_t at = (size_t)(++next % EVENTS_KEEP);
        struct err err = ERR_INIT;
        struct json *j =
            e->seqs[at] == next ? json_parse(e->lines[at], strlen(e->lines[at]), &err) : NULL;

        if (j) {
            json_push(list, j);
            n++;
        }
    }
    pthread_mutex_unlock(&e->lock);
    json_set(doc, "events", list);
    json_set_int(doc, "next", next);
    return doc;
}

void events_shutdown(struct events *e)
{
    pthread_mutex_lock(&e->lock);
    e->is_shut = true;
    pthread_cond_broadcast(&e->added);
    pthread_mutex_unlock(&e->lock);
}
