#include "engines/couchbase/couchbase.h"

#include <stdlib.h>
#include <string.h>

#define FORM_TYPE "application/x-www-form-urlencoded"

const char *cb_host(const char *url)
{
    const char *sep = strstr(url, "://");

    return sep ? sep + 3 : url;
}

void cb_form(struct buf *b, const char *name, const char *value)
{
    char *n = http_escape(name), *v = http_escape(value);

    buf_addf(b, "%s%s=%s", b->len > 0 ? "&" : "", n, v);
    free(n);
    free(v);
}

/* A node that restarts its web server drops what it was asked: a question may be asked again. */
bool cb_is_dropped(const struct http_response *resp)
{
    return resp->is_cut || (resp->err.code == ERR_OK && resp->status == 200 && resp->len == 0);
}

int cb_exchange(struct connection *cn, const struct cb_request *r, struct http_response *resp,
                struct err *err)
{
    char *url = xasprintf("%s%s", r->base, r->path);
    const struct http_request req = {
        .method = r->method,
        .url = url,
        .content_type = r->content_type ? r->content_type : FORM_TYPE,
        .body = r->form,
        .body_len = r->form ? strlen(r->form) : 0,
        .connect_timeout_ms = cn->timeout_ms < 2000 ? cn->timeout_ms : 2000,
        .timeout_ms = r->timeout_ms ? r->timeout_ms : cn->timeout_ms,
    };
    bool asks = strcmp(r->method, "GET") == 0;
    int rc = http_perform(cn->http, &req, resp, err);

    if (asks && cb_is_dropped(resp)) {
        http_response_release(resp);
        err_clear(err);
        rc = http_perform(cn->http, &req, resp, err);
    }
    free(url);
    if (rc != 0) {
        if (err->code == ERR_IN_DOUBT && asks)
            err->code = ERR_UNREACHABLE;
        err_prepend(err, "%s", cb_host(r->base));
    }
    return rc;
}

int cb_get(struct connection *cn, const char *base, const char *path, struct json **doc,
           struct err *err)
{
    const struct cb_request r = {.method = "GET", .base = base, .path = path};
    struct http_response resp = {0};
    struct err why = ERR_INIT;
    int rc = cb_exchange(cn, &r, &resp, err);

    *doc = NULL;
    if (rc != 0)
        goto out;
    if (resp.status != 200) {
        rc = cb_refused(&resp, &r, err);
        cn->was_denied = err->code == ERR_DENIED;
        goto out;
    }
    *doc = json_parse(resp.body, resp.len, &why);
    if (*doc == NULL) {
        rc = err_set(err, ERR_UNREACHABLE, "%s: answers %s with what is no JSON", cb_host(base),
                     path);
        err_advise(err, "check that host and port are those of a Couchbase cluster manager (8091, "
                        "or 18091 with https)");
    }
out:
    http_response_release(&resp);
    return rc;
}
