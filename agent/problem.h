/*
 * What a request is refused with: a stable code for programs, a sentence and an advice for people.
 * The table of codes is the contract with every client of the REST interface.
 */
#pragma once

#include "kvsh/err.h"
#include "kvsh/json.h"

#define PROBLEMS(X)                                                                          \
    X(NONE, "none", 200, "no problem")                                                       \
    X(INVALID, "invalid", 422, "the request makes no sense")                                 \
    X(UNAUTHORIZED, "unauthorized", 401, "a valid token or client certificate is needed")    \
    X(NOT_FOUND, "not_found", 404, "nothing is there")                                       \
    X(UNKNOWN_SERVICE, "unknown_service", 404, "no such service on this node")               \
    X(UNKNOWN_OPERATION, "unknown_operation", 404, "no such operation")                      \
    X(METHOD_NOT_ALLOWED, "method_not_allowed", 405, "not with this method")                 \
    X(LEASED, "leased", 409, "a plan of somebody else is changing the store")                \
    X(SUPERSEDED, "superseded", 409, "a later attempt of the same plan is known")            \
    X(BUSY, "busy", 409, "another change of this service is under way")                      \
    X(DIFFERS, "differs", 409, "defined differently already")                                \
    X(NODE_TAKEN, "node_taken", 409, "the node belongs to another store or id")              \
    X(NOT_REGISTERED, "not_registered", 409, "the node belongs to no store yet")             \
    X(CAPACITY, "capacity", 409, "the node's capacity is used up")                           \
    X(RUNNING, "running", 409, "still running")                                              \
    X(NOT_RUNNING, "not_running", 409, "not running")                                        \
    X(DIR_MISSING, "dir_missing", 409, "the storage directory is missing")                   \
    X(DIR_UNUSABLE, "dir_unusable", 409, "the storage directory cannot be used")             \
    X(DIR_IN_USE, "dir_in_use", 409, "the data directory is in use by another process")      \
    X(PORT_IN_USE, "port_in_use", 409, "a port is taken by another process")                 \
    X(WOULD_START_EMPTY, "would_start_empty", 409, "a primary would start without its data") \
    X(WRONG_ROLE, "wrong_role", 409, "the service has another role")                         \
    X(NO_REPLICA, "no_replica", 409, "no replica can take over")                             \
    X(STALE_METADATA, "stale_metadata", 412, "the kept metadata has another version")        \
    X(TOO_LARGE, "too_large", 413, "the request is too large")                               \
    X(TOO_MANY, "too_many", 503, "too many requests at once")                                \
    X(START_FAILED, "start_failed", 500, "the service did not start")                        \
    X(STORE_ERROR, "store_error", 502, "the service answered with an error")                 \
    X(TIMEOUT, "timeout", 504, "no answer in time")                                          \
    X(INTERNAL, "internal", 500, "the agent failed")

enum problem_code {
#define X(name, text, status, title) PROBLEM_##name,
    PROBLEMS(X)
#undef X
        PROBLEM_COUNT
};

struct problem {
    enum problem_code code;
    int status; /* of HTTP, when it is not the code's own; 0 otherwise */
    char detail[1024];
    char advice[512];
};

/* Fills *p, replacing what was there, and returns -1. Registered secrets are masked. */
int problem_set(struct problem *p, enum problem_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int problem_advise(struct problem *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Text and advice of err under another code. Returns -1. */
int problem_from_err(struct problem *p, enum problem_code code, const struct err *err);

int problem_status(const struct problem *p);
const char *problem_name(enum problem_code code);
/* The document of RFC 9457. */
struct json *problem_json(const struct problem *p);
