/* One exchange: from a request to a curl handle, and from the handle's result to a response. */
#pragma once

#include "http_curl.h"
#include "kvsh/buf.h"
#include "kvsh/http.h"

/* What every exchange of one struct http shares; owned by it. */
struct http_trust {
    char *ca_file;
    char *cert_file;
    char *key_file;
    char *authorization; /* whole header line, or NULL */
    char *lease;         /* of the plan the requests are made for, or NULL */
    char *user;
    char *password;
    bool no_tls_verify;
};

struct http_exchange {
    const struct curl_api *curl;
    const struct http_request *req;
    struct http_response *resp;
    CURL *easy;   /* borrowed */
    bool is_last; /* nothing more is asked of that host soon: its connection is not kept */
    struct curl_slist *headers;
    struct buf body;
    bool has_head; /* the answer's headers have come to their end */
    char *where;   /* "host:port" of the URL, for people */
    int timeout_ms;
    int64_t started_ms;
    char reason[CURL_ERROR_SIZE];
};

/* Fills x and the handle. With deadline_ms > 0 it ends by then (monotonic clock). The request, the
 * response and the trust must outlive x. */
int exchange_begin(struct http_exchange *x, const struct http_trust *trust, int64_t deadline_ms);

/* Takes curl's verdict, fills the response and ends x. Returns 0 or -1, as http_perform(). */
int exchange_end(struct http_exchange *x, CURLcode result);

/* The response of an exchange that was never begun. */
void exchange_fail(const struct http_request *req, struct http_response *resp,
                   const struct err *err);
