#include "agent/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STRING_MAX_DEFAULT = 255 };

static const char *const types[] = {
    [FIELD_STRING] = "a string",  [FIELD_INT] = "an integer", [FIELD_BOOL] = "true or false",
    [FIELD_OBJECT] = "an object", [FIELD_ARRAY] = "an array",
};

void reply_release(struct reply *rp)
{
    json_free(rp->body);
    free(rp->text);
    rp->body = NULL;
    rp->text = NULL;
}

void reply_result(struct reply *rp, const char *text)
{
    rp->body = json_object();
    json_set_str(rp->body, "result", text);
}

void reply_accepted(struct reply *rp, int64_t operation)
{
    rp->status = 202;
    rp->body = json_object();
    json_set_int(rp->body, "operation", operation);
    snprintf(rp->location, sizeof rp->location, "/v1/operations/%lld", (long long)operation);
}

static const struct field *field_find(const struct field *fields, const char *name)
{
    for (const struct field *f = fields; f->name; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

bool json_is_integer(const struct json *j)
{
    int64_t n = json_value_int(j, 0);
    struct json *whole = json_number((double)n);
    bool same = json_is_number(j) && json_equal(j, whole);

    json_free(whole);
    return same;
}

static bool has_type(const struct json *j, enum field_type type)
{
    switch (type) {
    case FIELD_STRING:
        return json_is_string(j);
    case FIELD_INT:
        return json_is_integer(j);
    case FIELD_BOOL:
        return !json_is_string(j) && !json_is_number(j) && !json_is_null(j) && !json_is_object(j) &&
               !json_is_array(j);
    case FIELD_OBJECT:
        return json_is_object(j);
    case FIELD_ARRAY:
        return json_is_array(j);
    }
    return false;
}

static int field_check(const struct field *f, const struct json *j, struct problem *pb)
{
    size_t max = f->max ? (size_t)f->max : STRING_MAX_DEFAULT;

    if (!has_type(j, f->type))
        return problem_set(pb, PROBLEM_INVALID, "%s is not %s", f->name, types[f->type]);
    if (f->type == FIELD_STRING && strlen(json_value_str(j)) > max)
        return problem_set(pb, PROBLEM_INVALID, "%s is longer than %zu bytes", f->name, max);
    if (f->type == FIELD_INT && (json_value_int(j, 0) < f->min || json_value_int(j, 0) > f->max))
        return problem_set(pb, PROBLEM_INVALID, "%s is not in %lld..%lld", f->name,
                           (long long)f->min, (long long)f->max);
    return 0;
}

/* "\u0000" would end a string early for everybody who reads it. */
static bool has_nul_escape(const char *text)
{
    for (const char *p = text; (p = strchr(p, '\\')) != NULL; p += p[1] ? 2 : 1)
        if (strncmp(p, "\\u0000", 6) == 0)
            return true;
    return false;
}

int body_decode(const char *text, size_t len, struct json **body, struct problem *pb)
{
    struct err err = ERR_INIT;

    if (len == 0) {
        *body = json_object();
        return 0;
    }
    if (strlen(text) != len || has_nul_escape(text))
        return problem_set(pb, PROBLEM_INVALID, "the body holds a NUL character");
    *body = json_parse(text, len, &err);
    return *body ? 0 : problem_set(pb, PROBLEM_INVALID, "the body is %s", err.text);
}

int body_check(const struct json *body, const struct field *fields, struct problem *pb)
{
    if (!json_is_object(body))
        return problem_set(pb, PROBLEM_INVALID, "the body is not a JSON object");
    JSON_FOREACH (m, body) {
        const struct field *f = field_find(fields, json_key(m));

        if (!f)
            return problem_set(pb, PROBLEM_INVALID, "unknown member \"%.80s\"", json_key(m));
        if (json_get(body, f->name) != m)
            return problem_set(pb, PROBLEM_INVALID, "member \"%s\" is there twice", f->name);
        if (field_check(f, m, pb) < 0)
            return -1;
    }
    for (const struct field *f = fields; f->name; f++)
        if (!f->is_optional && !json_get(body, f->name))
            return problem_set(pb, PROBLEM_INVALID, "member \"%s\" is missing", f->name);
    return 0;
}

static const char *query_get(const struct request *rq, const char *name)
{
    for (size_t i = 0; i < rq->n_query; i++)
        if (strcmp(rq->query[i].name, name) == 0)
            return rq->query[i].value;
    return NULL;
}

int query_int(const struct request *rq, const char *name, const int64_t range[2], int64_t *value,
              struct problem *pb)
{
    const char *text = query_get(rq, name);
    char *end;
    long long n;

    if (!text)
        return 0;
    errno = 0;
    n = strtoll(text, &end, 10);
    if (!*text || *end || errno || !strchr("-0123456789", *text) || n < range[0] || n > range[1])
        return problem_set(pb, PROBLEM_INVALID,
                           "query parameter %s is not an integer in %lld..%lld", name,
                           (long long)range[0], (long long)range[1]);
    *value = n;
    return 0;
}

int query_check(const struct request *rq, const char *const *names, struct problem *pb)
{
    for (size_t i = 0; i < rq->n_query; i++) {
        const char *const *n = names;

        while (*n && strcmp(*n, rq->query[i].name) != 0)
            n++;
        if (!*n)
            return problem_set(pb, PROBLEM_INVALID, "unknown query parameter \"%s\"",
                               rq->query[i].name);
        for (size_t k = 0; k < i; k++)
            if (strcmp(rq->query[k].name, rq->query[i].name) == 0)
                return problem_set(pb, PROBLEM_INVALID, "query parameter \"%s\" is there twice",
                                   rq->query[i].name);
    }
    return 0;
}
