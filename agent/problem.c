#include "agent/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "kvsh/log.h"
#include "kvsh/mem.h"

static const struct {
    const char *name;
    int status;
    const char *title;
} problems[PROBLEM_COUNT] = {
#define X(name, text, status, title) [PROBLEM_##name] = {text, status, title},
    PROBLEMS(X)
#undef X
};

int problem_set(struct problem *p, enum problem_code code, const char *fmt, ...)
{
    va_list ap;

    p->code = code;
    p->status = 0;
    p->advice[0] = '\0';
    va_start(ap, fmt);
    vsnprintf(p->detail, sizeof p->detail, fmt, ap);
    va_end(ap);
    mask_apply(p->detail);
    return -1;
}

int problem_advise(struct problem *p, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(p->advice, sizeof p->advice, fmt, ap);
    va_end(ap);
    mask_apply(p->advice);
    return -1;
}

int problem_from_err(struct problem *p, enum problem_code code, const struct err *err)
{
    problem_set(p, code, "%s", err->text);
    return problem_advise(p, "%s", err->advice);
}

int problem_status(const struct problem *p)
{
    return p->status ? p->status : problems[p->code].status;
}

const char *problem_name(enum problem_code code)
{
    return problems[code].name;
}

struct json *problem_json(const struct problem *p)
{
    struct json *j = json_object();
    char *type = xasprintf("urn:kvsh:problem:%s", problems[p->code].name);

    json_set_str(j, "type", type);
    json_set_str(j, "title", problems[p->code].title);
    json_set_int(j, "status", problem_status(p));
    json_set_str(j, "detail", p->detail);
    json_set_str(j, "code", problems[p->code].name);
    if (p->advice[0])
        json_set_str(j, "advice", p->advice);
    free(type);
    return j;
}
