#include "kvsh/finding.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static const char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    char *s = xvasprintf(fmt, ap);
    const char *copy = arena_strdup(a, s);

    free(s);
    return copy;
}

void findings_add(struct findings *f, enum severity severity, const char *rule, const char *subject,
                  const char *fmt, ...)
{
    struct finding *one = ARENA_PUSH(&f->arena, f->v, f->n);
    va_list ap;

    one->severity = severity;
    one->rule = arena_strdup(&f->arena, rule);
    one->subject = arena_strdup(&f->arena, subject);
    va_start(ap, fmt);
    one->text = arena_vprintf(&f->arena, fmt, ap);
    va_end(ap);
}

void findings_remedy(struct findings *f, const char *fmt, ...)
{
    va_list ap;

    if (f->n == 0)
        return;
    va_start(ap, fmt);
    f->v[f->n - 1].remedy = arena_vprintf(&f->arena, fmt, ap);
    va_end(ap);
}

size_t findings_count(const struct findings *f, enum severity severity)
{
    size_t count = 0;

    for (size_t i = 0; i < f->n; i++)
        count += f->v[i].severity == severity;
    return count;
}

enum severity findings_worst(const struct findings *f)
{
    enum severity worst = SEVERITY_NOTE;

    for (size_t i = 0; i < f->n; i++) {
        if (f->v[i].severity > worst)
            worst = f->v[i].severity;
    }
    return worst;
}

void findings_release(struct findings *f)
{
    arena_release(&f->arena);
    memset(f, 0, sizeof *f);
}

const char *severity_name(enum severity severity)
{
    static const char *const names[] = {
        [SEVERITY_NOTE] = "note",   [SEVERITY_VIOLATION] = "violation",
        [SEVERITY_BLOCK] = "block", [SEVERITY_CONFIRM] = "confirm",
        [SEVERITY_FATAL] = "fatal",
    };
    return (size_t)severity < sizeof names / sizeof *names ? names[severity] : "?";
}
