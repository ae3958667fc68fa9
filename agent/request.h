/*
 * One request and its reply, as the handlers see them: no socket, no library.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvsh/json.h"

#include "agent/agent.h"
#include "agent/problem.h"

enum { QUERY_MAX = 8, PARAM_MAX = 64 };

struct query_arg {
    char name[32], value[64];
};

struct request {
    char method[16];
    const char *path;      /* percent-decoded, without query */
    char param[PARAM_MAX]; /* what stands for {id} in the route's pattern */
    struct query_arg query[QUERY_MAX];
    size_t n_query;
    const char *if_match; /* or NULL */
    const char *lease;    /* the header Kvsh-Lease, or NULL */
    struct json *body;    /* NULL when the route takes none */
};

struct reply {
    int status;
    struct json *body; /* or text */
    char *text;
    const char *content_type; /* of text */
    char location[64], etag[32], allow[64];
    bool close; /* the connection is not to be used again */
};

void reply_release(struct reply *rp);
/* {"result": text} */
void reply_result(struct reply *rp, const char *text);
/* 202, the operation's number and where to follow it. */
void reply_accepted(struct reply *rp, int64_t operation);

/* The JSON value of a body (text ends in NUL); an empty body is an empty object. */
int body_decode(const char *text, size_t len, struct json **body, struct problem *pb);

/* What a body may hold. */
enum field_type { FIELD_STRING, FIELD_INT, FIELD_BOOL, FIELD_OBJECT, FIELD_ARRAY };
struct field {
    const char *name;
    enum field_type type;
    bool is_optional;
    int64_t min, max; /* of a FIELD_INT; of the length of a FIELD_STRING: max, 0 for 255 */
};

/*
 * Refuses (PROBLEM_INVALID, naming the member) unknown, repeated, missing and mistyped members.
 * `fields` ends with a NULL name. The body must be an object.
 */
int body_check(const struct json *body, const struct field *fields, struct problem *pb);

/* A number without a fraction. */
bool json_is_integer(const struct json *j);

/* An integer of the query within min..max, or def when it is not there. */
int query_int(const struct request *rq, const char *name, const int64_t range[2], int64_t *value,
              struct problem *pb);
/* Refuses arguments that are not among `names` (ends with NULL). */
int query_check(const struct request *rq, const char *const *names, struct problem *pb);
