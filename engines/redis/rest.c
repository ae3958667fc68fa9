#include "engines/redis/redis.h"

#include <stdlib.h>
#include <string.h>

static bool is_json(const struct http_response *resp)
{
    return resp->content_type != NULL &&
           (strcmp(resp->content_type, "application/json") == 0 ||
            strcmp(resp->content_type, "application/problem+json") == 0);
}

/* A problem document (RFC 9457) as an error: its detail, its advice. */
static int problem(const struct json *body, int status, const struct rest *r, struct err *err)
{
    const char *detail = json_str(body, "detail"), *advice = json_str(body, "advice");
    const char *name = json_str(body, "code");
    enum err_code code = ERR_FAILED;

    if (status == 401 || status == 403)
        code = ERR_DENIED;
    else if (status == 422 || status == 413)
        code = ERR_INPUT;
    else if (name != NULL && strcmp(name, "leased") == 0)
        code = ERR_LOCKED;
    else if (name != NULL && strcmp(name, "superseded") == 0)
        code = ERR_STALE;
    err_set(err, code, "%s: %s", r->who, detail ? detail : "refused without a reason");
    if (advice != NULL)
        err_advise(err, "%s", advice);
    else if (code == ERR_DENIED)
        err_advise(err,
                   "check token-file of the store in kvsh.conf against the agent's token file");
    return -1;
}

int rest_decode(const struct http_response *resp, const struct rest *r, struct json **answer,
                struct err *err)
{
    struct json *body = NULL;
    struct err why = ERR_INIT;
    int rc = 0;

    if (is_json(resp))
        body = json_parse(resp->body, resp->len, &why);
    if (!json_is_object(body)) {
        /* Whatever this is, it cannot tell whether the request took effect. */
        err_set(err, strcmp(r->method, "GET") == 0 ? ERR_UNREACHABLE : ERR_IN_DOUBT,
                "%s: answered with status %d and %s, which is no kvagentd answer", r->who,
                resp->status, resp->content_type ? resp->content_type : "no content type");
        err_advise(err, "check that host and port are those of a kvagentd");
        rc = -1;
    } else if (resp->status >= 300) {
        rc = problem(body, resp->status, r, err);
    }
    if (rc == 0 && answer != NULL) {
        *answer = body;
        body = NULL;
    }
    json_free(body);
    return rc;
}

int rest_call(struct connection *cn, const struct rest *r, int *status, struct json **answer,
              struct err *err)
{
    char *url = xasprintf("%s%s", r->url, r->path);
    char *body = r->body ? json_print(r->body) : NULL;
    struct http_request req = {
        .method = r->method,
        .url = url,
        .body = body,
        .body_len = body ? strlen(body) : 0,
        .timeout_ms = r->timeout_ms ? r->timeout_ms : cn->timeout_ms,
    };
    struct http_response resp = {0};
    int rc = -1;

    if (status != NULL)
        *status = 0;
    if (http_perform(cn->http, &req, &resp, err) != 0) {
        /* A question without answer leaves nothing in doubt. */
        if (err->code == ERR_IN_DOUBT && strcmp(r->method, "GET") == 0)
            err->code = ERR_UNREACHABLE;
        err_prepend(err, "%s", r->who);
        if (err->code == ERR_UNREACHABLE)
            err_advise(err, "check that the agent runs there: kvagentd status -root KVROOT");
        goto out;
    }
    if (status != NULL)
        *status = resp.status;
    rc = rest_decode(&resp, r, answer, err);
out:
    http_response_release(&resp);
    free(body);
    free(url);
    return rc;
}
