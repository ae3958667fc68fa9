/* What redis-server says when it does not start, and what to do about it. */
#include <stdio.h>
#include <string.h>

#include "agent/redis_decode.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct {
    const char *text, *advice;
} reasons[] = {
    {"Failed listening on port", "end the process that uses the port, then repeat the start"},
    {"Cannot assign requested address", "the host of the boot configuration is not an address of "
                                        "this machine: correct it, then repeat the start"},
    {"is already used by a different Redis Cluster node",
     "another redis-server uses this cluster configuration file: stop that one first"},
    {"corrupted cluster config file",
     "the file nodes.conf of the service is damaged: restore it, or remove it and the data and let "
     "the service come back as a new replica"},
    {"in order to acquire a lock", "the agent's root directory must exist and be writable"},
    {"Can't open or create append-only dir", "the data directory must be writable"},
    {"Can't open the append-only file", "the data directory must be writable"},
    {"Bad file format reading the append only file",
     "the data is damaged: look at it with redis-check-aof, or empty the data directory of a "
     "replica and let it copy again"},
    {"Unexpected end of file reading",
     "the data is damaged: look at it with redis-check-aof, or empty the data directory of a "
     "replica and let it copy again"},
    {"Unable to obtain the AOF file",
     "a data file is missing: restore it, or empty the data directory of a replica and let it copy "
     "again"},
    {"Invalid AOF manifest file format",
     "the data is damaged: restore the manifest, or empty the data directory of a replica and let "
     "it copy again"},
    {"Short read or OOM loading DB",
     "the data is damaged: empty the data directory of a replica and let it copy again"},
    {"Can't open the log file", "the log directory must exist and be writable"},
};

/* The text of a log line without "pid:role date time level ". */
static const char *line_text(const char *line, size_t len)
{
    const char *p = memchr(line, '#', len < 64 ? len : 64);

    if (!p)
        p = memchr(line, '*', len < 64 ? len : 64);
    return p && p + 2 < line + len && p[1] == ' ' ? p + 2 : line;
}

static void line_copy(const char *line, size_t len, char *out, size_t size)
{
    const char *text = line_text(line, len);

    snprintf(out, size, "%.*s", (int)(len - (size_t)(text - line)), text);
}

/* "*** FATAL CONFIG FILE ERROR" names the line in one line and the reason in the next. */
static bool reason_config(const char *output, char *out, size_t size)
{
    const char *at = strstr(output, ">>> "), *next;

    if (!at || !strstr(output, "FATAL CONFIG FILE ERROR"))
        return false;
    next = at + strcspn(at, "\n");
    next += *next == '\n';
    snprintf(out, size, "configuration line %.*s: %.*s", (int)strcspn(at + 4, "\n"), at + 4,
             (int)strcspn(next, "\n"), next);
    return true;
}

static bool reason_known(const char *text, char *out, size_t size, const char **advice)
{
    for (size_t i = 0; i < COUNT(reasons); i++) {
        const char *hit = strstr(text, reasons[i].text);
        const char *line = hit;

        if (!hit)
            continue;
        while (line > text && line[-1] != '\n')
            line--;
        line_copy(line, strcspn(line, "\n"), out, size);
        *advice = reasons[i].advice;
        return true;
    }
    return false;
}

/* The last warning, else the last line. */
static bool reason_last(const char *text, char *out, size_t size)
{
    const char *best = NULL;
    bool best_is_warning = false;

    for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n') {
        size_t len = strcspn(p, "\n");
        bool warning = memchr(p, '#', len < 64 ? len : 64) != NULL;

        if (len == 0 || (best_is_warning && !warning))
            continue;
        best = p;
        best_is_warning = warning;
    }
    if (best)
        line_copy(best, strcspn(best, "\n"), out, size);
    return best && out[0];
}

void redis_start_reason(const char *output, const char *log, char *out, size_t size,
                        const char **advice)
{
    *advice = "";
    if (reason_config(output, out, size) || reason_known(log, out, size, advice) ||
        reason_known(output, out, size, advice) || reason_last(log, out, size) ||
        reason_last(output, out, size))
        return;
    snprintf(out, size, "it ended at once without saying why");
}
