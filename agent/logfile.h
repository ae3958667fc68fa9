/* The agent's own log: one file with a size limit, older ones numbered beside it. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "kvsh/err.h"
#include "kvsh/log.h"

enum { LOGFILE_KEEP = 5 };
#define LOGFILE_SIZE ((size_t)5 << 20)

struct logfile;

/* tee: lines also go to stderr. The file is opened by logfile_open(); until then only stderr gets
 * lines. */
struct logfile *logfile_new(bool tee);
void logfile_free(struct logfile *l);

/* From now on lines go to dir/stem_0.log (a stem "x.log": to dir/x.log); dir is created. */
int logfile_open(struct logfile *l, const char *dir, const char *stem, struct err *err);

/* Thread-safe. Registered secrets are masked. */
void logfile_line(struct logfile *l, enum log_level level, const char *component, const char *fmt,
                  va_list ap) __attribute__((format(printf, 4, 0)));
/* No more lines to stderr. */
void logfile_detach(struct logfile *l);

/* dir/stem_0.log becomes _1, _1 becomes _2, ... the last one goes. */
void logfile_rotate(const char *dir, const char *stem);
