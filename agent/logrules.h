/* Which lines of a redis log are worth an event, why, and what to do. */
#pragma once

#include <stddef.h>

#include "agent/events.h"

enum { LOG_RULES_MAX = 32 };

struct log_rule {
    const char *pattern; /* extended regular expression */
    enum severity severity;
    const char *cause, *advice;
};

/* The number of the first rule that matches the line, -1 for none. Pure, thread-safe. */
int log_rule_match(const char *line);
const struct log_rule *log_rule_at(int i); /* NULL behind the last */
