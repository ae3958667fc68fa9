/*
 * HTTP client, a thin skin over libcurl (the only user of it is lib/http.c).
 *
 * libcurl is loaded at the first request, not at start: offline commands stay fast. Redirects are
 * never followed, only http and https are spoken, bodies are limited, proxies from the environment
 * are ignored. Credentials never enter a URL, a log line or an error text.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvsh/err.h"

/* How to reach and to trust the nodes of one store; all strings are copied by http_open(). */
struct http_config {
    const char *ca_file;   /* NULL: the system's */
    const char *cert_file; /* client certificate and key, or NULL */
    const char *key_file;
    const char *bearer_token; /* or NULL; registered with mask_add() */
    const char *user;         /* basic authentication, or NULL */
    const char *password;
    const char *lease; /* value of the header Kvsh-Lease of every request, or NULL */
    bool no_tls_verify;
};

struct http_request {
    const char *method; /* "GET", "PUT", "POST", "DELETE" */
    const char *url;
    const char *content_type; /* of the body; NULL: application/json */
    const char *body;         /* NULL: none */
    size_t body_len;
    const char *if_match;   /* value of the header, or NULL */
    int connect_timeout_ms; /* 0: 2000 */
    int timeout_ms;         /* for the whole exchange; 0: 10000 */
    size_t max_body;        /* limit of the answer; 0: 16 MiB */
};

struct http_response {
    int status; /* 0: no answer; see err */
    char *body; /* NUL-terminated, never NULL after an exchange */
    size_t len;
    char *content_type; /* NULL when absent; without parameters, lower case */
    char *location;     /* NULL when absent */
    char *etag;         /* NULL when absent */
    int64_t duration_ms;
    bool is_cut;    /* the peer ended the connection before the answer was complete */
    struct err err; /* why there was no (complete) answer, see below */
};

struct http; /* one per store and thread; not shared between threads */

struct http *http_open(const struct http_config *config, struct err *err);
void http_close(struct http *h);

/*
 * One exchange. Returns 0 when a complete answer came, whatever its status. Otherwise -1:
 *   ERR_UNREACHABLE  the request surely never reached the server (resolve, connect, TLS)
 *   ERR_IN_DOUBT     it was sent, or may have been, and the answer is missing, cut or too large
 *   ERR_DENIED       TLS certificate not accepted
 *   ERR_INTERNAL     libcurl missing or out of order
 * The same error is in resp->err. End resp with http_response_release() in every case.
 */
int http_perform(struct http *h, const struct http_request *req, struct http_response *resp,
                 struct err *err);

/*
 * n exchanges, at most max_parallel at once, all done after deadline_ms at the latest. Each outcome
 * is handed to done() as it comes, in any order, and released behind it (what done() wants to keep
 * it takes out, leaving NULL): the memory needed does not grow with n. done() must not use h.
 * Idempotent requests only.
 */
struct http_batch {
    const struct http_request *reqs;
    size_t n;
    size_t max_parallel; /* 0: 64 */
    int deadline_ms;     /* 0: none */
    void (*done)(void *arg, size_t i, struct http_response *resp);
    void *arg;
};
void http_perform_each(struct http *h, const struct http_batch *batch);

/*
 * stopped() tells that the operator wants no more: what http_perform_each() is at is given up
 * within a fraction of a second, each open exchange with ERR_SIGINT. NULL (at first): never. For
 * the whole process; set it before there are threads. http_perform() is not given up, its effect
 * would be in doubt.
 */
void http_stop_when(bool (*stopped)(void));
bool http_stopped(void);

void http_response_release(struct http_response *resp);

/* s percent-encoded for one path segment or query value; free() it. */
char *http_escape(const char *s);
