#include "kvsh/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

enum { LINE_MAX_BYTES = 8192, SECRET_MIN = 4 };

static atomic_int log_fd = 2;
static atomic_int log_level = LOG_INFO;

static const char *const level_names[] = {
    [LOG_ERROR] = "error",
    [LOG_WARNING] = "warning",
    [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug",
};
static const char *const level_tags[] = {
    [LOG_ERROR] = "ERROR",
    [LOG_WARNING] = "WARNING",
    [LOG_INFO] = "INFO",
    [LOG_DEBUG] = "DEBUG",
};

/* The register of secrets: longest first, so that one that holds another is masked as a whole. */
static pthread_mutex_t mask_lock = PTHREAD_MUTEX_INITIALIZER;
static char **secrets;
static size_t secret_count;

void log_set_fd(int fd)
{
    atomic_store(&log_fd, fd);
}

void log_set_level(enum log_level level)
{
    atomic_store(&log_level, (int)level);
}

int log_level_by_name(const char *name, enum log_level *level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return 0;
        }
    }
    return -1;
}

/* One line stays one line: control characters appear as \xNN. */
static void add_escaped(struct buf *line, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if ((c >= 0x20 && c != 0x7f) || c == '\t')
            buf_addc(line, (char)c);
        else
            buf_addf(line, "\\x%02x", c);
    }
}

void log_format(struct buf *line, enum log_level level, const char *component, const char *fmt,
                va_list ap)
{
    int64_t now = time_now_ms();
    time_t sec = (time_t)(now / 1000);
    char *text, *head;
    char stamp[32];
    struct tm tm;

    gmtime_r(&sec, &tm);
    strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &tm);
    text = xvasprintf(fmt, ap);
    mask_apply(text);
    head = xasprintf("%s.%03d UTC %s [%s] ", stamp, (int)(now % 1000), level_tags[level],
                     component ? component : "");
    line->limit--; /* a place for the end of the line, whatever is cut */
    add_escaped(line, head);
    add_escaped(line, text);
    line->limit++;
    line->overflow = false;
    buf_addc(line, '\n');
    free(head);
    free(text);
}

void log_msg(enum log_level level, const char *component, const char *fmt, ...)
{
    struct buf line;
    va_list ap;

    if ((int)level > atomic_load(&log_level))
        return;
    va_start(ap, fmt);
    buf_init(&line, LINE_MAX_BYTES);
    log_format(&line, level, component, fmt, ap);
    va_end(ap);
    /* A log that cannot be written has nowhere to complain. */
    if (write(atomic_load(&log_fd), line.data, line.len) < 0)
        line.len = 0;
    buf_release(&line);
}

void mask_add(const char *secret)
{
    size_t len = secret ? strlen(secret) : 0;
    size_t at = 0;

    if (len < SECRET_MIN)
        return;
    pthread_mutex_lock(&mask_lock);
    for (; at < secret_count && strlen(secrets[at]) >= len; at++)
        if (strcmp(secrets[at], secret) == 0)
            goto out;
    secrets = xrealloc(secrets, secret_count + 1, sizeof *secrets);
    memmove(secrets + at + 1, secrets + at, (secret_count - at) * sizeof *secrets);
    secrets[at] = xstrdup(secret);
    secret_count++;
out:
    pthread_mutex_unlock(&mask_lock);
}

void mask_apply(char *s)
{
    pthread_mutex_lock(&mask_lock);
    for (size_t i = 0; i < secret_count; i++) {
        size_t len = strlen(secrets[i]);

        for (char *p = s; (p = strstr(p, secrets[i])) != NULL; p += len)
            memset(p, '*', len);
    }
    pthread_mutex_unlock(&mask_lock);
}
