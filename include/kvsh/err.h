/*
 * Errors: one code for programs, one sentence for people.
 *
 * A function that can fail returns 0 or -1 (or NULL) and fills the caller's struct err. The lowest
 * level says what happened ("connect to 10.0.0.3:13230: connection refused"), each caller that
 * knows more prepends it with err_prepend(), and one place prints. Texts are lower case, without
 * full stop, quote what the user gave, and never carry a secret (they pass through mask_apply()).
 * The advice says what to do next; it is a separate sentence because it is printed on its own line.
 */
#pragma once

#include <stdarg.h>

enum err_code {
#define ERR(name, status, return_code, meaning) ERR_##name,
#include "../../lib/err.def"
#undef ERR
    ERR_COUNT
};

struct err {
    enum err_code code;
    char text[1024];
    char advice[512]; /* "" when there is nothing to add */
};

#define ERR_INIT       \
    {                  \
        .code = ERR_OK \
    }

/* Fills *err, replacing what was there (the advice is cleared), and returns -1. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As err_set(), with ": " and the text of errno value `errnum` appended. */
int err_errno(struct err *err, enum err_code code, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "text: " before the present text. Returns -1, so a caller may `return err_prepend(...)`. */
int err_prepend(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Says what to do next. Returns -1. */
int err_advise(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void err_clear(struct err *err);

/* The three columns of lib/err.def. */
int err_exit_status(enum err_code code);
int err_return_code(enum err_code code);
const char *err_meaning(enum err_code code);

/* The enumerator's name without ERR_, e.g. "IN_DOUBT"; for logs and the journal. */
const char *err_name(enum err_code code);
/* The code of that name; ERR_INTERNAL for an unknown one. */
enum err_code err_by_name(const char *name);
