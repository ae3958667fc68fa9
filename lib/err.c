#include "kvsh/err.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/log.h"
#include "kvsh/mem.h"

static const struct {
    const char *name;
    int status;
    int return_code;
    const char *meaning;
} errors[ERR_COUNT] = {
#define ERR(name, status, return_code, meaning) {#name, status, return_code, meaning},
#include "err.def"
#undef ERR
};

/* Copies s into out of that size, masked before it is cut: a cut secret would not be recognised. */
static void text_copy(char *out, size_t size, char *s)
{
    mask_apply(s);
    snprintf(out, size, "%s", s);
}

static void text_format(char *out, size_t size, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

static void text_format(char *out, size_t size, const char *fmt, va_list ap)
{
    char *s = xvasprintf(fmt, ap);

    text_copy(out, size, s);
    free(s);
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    text_format(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    err->code = code;
    err->advice[0] = '\0';
    return -1;
}

int err_errno(struct err *err, enum err_code code, int errnum, const char *fmt, ...)
{
    char reason[128];
    const char *r = strerror_r(errnum, reason, sizeof reason);
    char *what, *s;
    va_list ap;

    va_start(ap, fmt);
    what = xvasprintf(fmt, ap);
    va_end(ap);
    /* "No such file" becomes "no such file", "RPC failed" stays. */
    s = xasprintf("%s: %c%s", what, islower((unsigned char)r[1]) ? tolower((unsigned char)*r) : *r,
                  r + 1);
    err->code = code;
    err->advice[0] = '\0';
    text_copy(err->text, sizeof err->text, s);
    free(s);
    free(what);
    return -1;
}

int err_prepend(struct err *err, const char *fmt, ...)
{
    char *what, *s;
    va_list ap;

    va_start(ap, fmt);
    what = xvasprintf(fmt, ap);
    va_end(ap);
    s = *err->text ? xasprintf("%s: %s", what, err->text) : xstrdup(what);
    text_copy(err->text, sizeof err->text, s);
    free(s);
    free(what);
    return -1;
}

int err_advise(struct err *err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    text_format(err->advice, sizeof err->advice, fmt, ap);
    va_end(ap);
    return -1;
}

void err_clear(struct err *err)
{
    err->code = ERR_OK;
    err->text[0] = '\0';
    err->advice[0] = '\0';
}

/* A code out of range (read from somewhere foreign) counts as internal. */
static enum err_code code_checked(enum err_code code)
{
    return (unsigned)code < ERR_COUNT ? code : ERR_INTERNAL;
}

int err_exit_status(enum err_code code)
{
    return errors[code_checked(code)].status;
}

int err_return_code(enum err_code code)
{
    return errors[code_checked(code)].return_code;
}

const char *err_meaning(enum err_code code)
{
    return errors[code_checked(code)].meaning;
}

const char *err_name(enum err_code code)
{
    return errors[code_checked(code)].name;
}

enum err_code err_by_name(const char *name)
{
    for (int i = 0; name && i < ERR_COUNT; i++)
        if (strcmp(errors[i].name, name) == 0)
            return (enum err_code)i;
    return ERR_INTERNAL;
}
