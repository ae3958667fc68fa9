/* Findings: one thing wrong or worth knowing in an observation. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kvsh/mem.h"

enum severity {
    SEVERITY_NOTE,      /* worth knowing; verify still exits 0 */
    SEVERITY_VIOLATION, /* wrong; verify exits 2. In a check before a plan: a warning */
    SEVERITY_BLOCK,     /* check only: the plan is refused (10) unless forced */
    SEVERITY_CONFIRM, /* check only: refused unless forced and confirmed by typing the store's name
                       */
    SEVERITY_FATAL, /* check only: not even -force helps; nobody could undo the result, or it makes
                       no sense */
};

struct finding {
    enum severity severity;
    const char *rule;    /* stable short name: "capacity", "dir-missing" */
    const char *subject; /* "rg1-rn2", "sn3", "zn1", store name */
    const char *text;    /* one sentence, lower case, no full stop, with the numbers looked at */
    const char *remedy;  /* what to do, or NULL */
};

struct findings {
    struct arena arena;
    struct finding *v;
    size_t n;
};

void findings_add(struct findings *f, enum severity severity, const char *rule, const char *subject,
                  const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* The remedy of the finding added last. */
void findings_remedy(struct findings *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
size_t findings_count(const struct findings *f, enum severity severity);
enum severity findings_worst(const struct findings *f); /* SEVERITY_NOTE when empty */
void findings_release(struct findings *f);
const char *severity_name(enum severity severity);
