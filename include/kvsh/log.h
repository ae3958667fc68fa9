/*
 * Logging for the daemon and the runner, and the register of secrets.
 *
 * Each line: UTC time with milliseconds, level, component, text. Every line passes through
 * mask_apply(), so a registered secret can never be written.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include "kvsh/buf.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Lines go to fd (default: 2). Level names: "error", "warning", "info", "debug". */
void log_set_fd(int fd);
void log_set_level(enum log_level level);
int log_level_by_name(const char *name, enum log_level *level); /* -1 when unknown */

void log_msg(enum log_level level, const char *component, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* One formatted line (with "\n") at the end of `line`, cut to the buffer's limit: for logs with a
 * file of their own. */
void log_format(struct buf *line, enum log_level level, const char *component, const char *fmt,
                va_list ap) __attribute__((format(printf, 4, 0)));

/* Registers a secret of at least 4 bytes (copied) for masking; thread-safe. */
void mask_add(const char *secret);
/* Replaces each registered secret in s, in place, by '*' characters. */
void mask_apply(char *s);
