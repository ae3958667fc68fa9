#include "http_exchange.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kvsh/fs.h"
#include "kvsh/log.h"
#include "kvsh/mem.h"

enum { CONNECT_TIMEOUT_MS = 2000, TIMEOUT_MS = 10000 };
#define BODY_MAX ((size_t)16 << 20)

/* ---- request ---- */

/* "host:port" of an URL: never its path, query or credentials. */
static char *url_where(const char *url)
{
    bool is_https = strncasecmp(url, "https:", 6) == 0;
    const char *host = strstr(url, "://");
    const char *at;
    size_t len;

    host = host ? host + 3 : url;
    len = strcspn(host, "/?#");
    at = memrchr(host, '@', len);
    if (at) {
        len -= (size_t)(at + 1 - host);
        host = at + 1;
    }
    if (len == 0)
        return xstrdup("(no host)");
    if (memrchr(host, ':', len) && host[len - 1] != ']')
        return xstrndup(host, len);
    return xasprintf("%.*s:%s", (int)len, host, is_https ? "443" : "80");
}

/* The path of an URL without its query, for the log. */
static char *url_path(const char *url)
{
    const char *host = strstr(url, "://");
    const char *path = host ? strchr(host + 3, '/') : NULL;

    return path ? xstrndup(path, strcspn(path, "?#")) : xstrdup("/");
}

/* Adds "name: value" to the headers; values with line ends would add headers of their own. */
static int add_header(struct http_exchange *x, const char *name, const char *value, struct err *err)
{
    struct curl_slist *list;
    char *line;

    if (strpbrk(value, "\r\n"))
        return err_set(err, ERR_INTERNAL, "header %s holds a line end", name);
    line = xasprintf("%s: %s", name, value);
    list = x->curl->slist_append(x->headers, line);
    explicit_bzero(line, strlen(line));
    free(line);
    if (!list)
        return err_set(err, ERR_INTERNAL, "libcurl is out of memory");
    x->headers = list;
    return 0;
}

/* "Name:" keeps libcurl from adding its own. */
static int drop_header(struct http_exchange *x, const char *line, struct err *err)
{
    struct curl_slist *list = x->curl->slist_append(x->headers, line);

    if (!list)
        return err_set(err, ERR_INTERNAL, "libcurl is out of memory");
    x->headers = list;
    return 0;
}

static int build_headers(struct http_exchange *x, const struct http_trust *trust, struct err *err)
{
    const struct http_request *req = x->req;

    if (drop_header(x, "Expect:", err) < 0)
        return -1;
    if (req->body) {
        const char *type = req->content_type ? req->content_type : "application/json";

        if (add_header(x, "Content-Type", type, err) < 0)
            return -1;
    } else if (drop_header(x, "Content-Type:", err) < 0) {
        return -1;
    }
    if (req->if_match && add_header(x, "If-Match", req->if_match, err) < 0)
        return -1;
    if (trust->lease && add_header(x, "Kvsh-Lease", trust->lease, err) < 0)
        return -1;
    if (trust->authorization && add_header(x, "Authorization", trust->authorization, err) < 0)
        return -1;
    return 0;
}

static void wipe_headers(struct http_exchange *x)
{
    for (struct curl_slist *h = x->headers; h; h = h->next)
        explicit_bzero(h->data, strlen(h->data));
    x->curl->slist_free_all(x->headers);
    x->headers = NULL;
}

static size_t take_body(char *data, size_t size, size_t count, void *arg)
{
    struct http_exchange *x = arg;

    buf_add(&x->body, data, size * count);
    return x->body.overflow ? 0 : size * count;
}

/* The value of a header line when it has that name (with colon), trimmed; NULL otherwise. */
static char *header_value(const char *line, size_t len, const char *name)
{
    size_t n = strlen(name);

    if (len < n || strncasecmp(line, name, n) != 0)
        return NULL;
    line += n;
    len -= n;
    while (len > 0 && isspace((unsigned char)*line)) {
        line++;
        len--;
    }
    while (len > 0 && isspace((unsigned char)line[len - 1]))
        len--;
    return xstrndup(line, len);
}

static void replace(char **to, char *value)
{
    if (!value)
        return;
    free(*to);
    *to = value;
}

static size_t take_header(char *data, size_t size, size_t count, void *arg)
{
    struct http_exchange *x = arg;
    struct http_response *resp = x->resp;
    size_t len = size * count;

    if (len > 5 && memcmp(data, "HTTP/", 5) == 0) { /* forget those of an interim answer */
        free(resp->content_type);
        free(resp->location);
        free(resp->etag);
        resp->content_type = resp->location = resp->etag = NULL;
        x->has_head = false;
    }
    if (len > 0 && (data[0] == '\r' || data[0] == '\n'))
        x->has_head = true;
    if (x->has_head) /* what follows are trailers */
        return len;
    replace(&resp->content_type, header_value(data, len, "Content-Type:"));
    replace(&resp->location, header_value(data, len, "Location:"));
    replace(&resp->etag, header_value(data, len, "ETag:"));
    return len;
}

/* Remembers whether every option was taken: a handle without its TLS check must not be used. */
struct setter {
    const struct curl_api *curl;
    CURL *easy;
    CURLcode failed;
};

static void set_long(struct setter *s, CURLoption option, long value)
{
    CURLcode rc = s->curl->easy_setopt(s->easy, option, value);

    if (rc != CURLE_OK)
        s->failed = rc;
}

static void set_ptr(struct setter *s, CURLoption option, const void *value)
{
    CURLcode rc = s->curl->easy_setopt(s->easy, option, value);

    if (rc != CURLE_OK)
        s->failed = rc;
}

static void set_trust(struct setter *s, const struct http_trust *trust)
{
    set_long(s, CURLOPT_SSL_VERIFYPEER, !trust->no_tls_verify);
    set_long(s, CURLOPT_SSL_VERIFYHOST, trust->no_tls_verify ? 0 : 2);
    if (trust->ca_file)
        set_ptr(s, CURLOPT_CAINFO, trust->ca_file);
    if (trust->cert_file)
        set_ptr(s, CURLOPT_SSLCERT, trust->cert_file);
    if (trust->key_file)
        set_ptr(s, CURLOPT_SSLKEY, trust->key_file);
    if (trust->user) {
        set_long(s, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        set_ptr(s, CURLOPT_USERNAME, trust->user);
        set_ptr(s, CURLOPT_PASSWORD, trust->password ? trust->password : "");
    }
}

static void set_policy(struct setter *s)
{
    set_long(s, CURLOPT_NOSIGNAL, 1);
    set_long(s, CURLOPT_QUICK_EXIT, 1); /* do not wait for a resolver that hangs */
    set_long(s, CURLOPT_DNS_CACHE_TIMEOUT, 0);
    set_long(s, CURLOPT_FOLLOWLOCATION, 0);
    set_long(s, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    set_long(s, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    set_ptr(s, CURLOPT_PROXY, "");
    set_ptr(s, CURLOPT_PROTOCOLS_STR, "http,https");
    set_ptr(s, CURLOPT_USERAGENT, "kvsh");
}

static void set_method(struct setter *s, const struct http_request *req)
{
    bool is_get = strcmp(req->method, "GET") == 0;
    bool wants_length = strcmp(req->method, "POST") == 0 || strcmp(req->method, "PUT") == 0;
    curl_off_t len = req->body ? (curl_off_t)req->body_len : 0;
    CURLcode rc;

    if (req->body || wants_length) {
        set_long(s, CURLOPT_POST, 1);
        set_ptr(s, CURLOPT_POSTFIELDS, req->body ? req->body : "");
        rc = s->curl->easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE_LARGE, len);
        if (rc != CURLE_OK)
            s->failed = rc;
    } else {
        set_long(s, CURLOPT_HTTPGET, 1);
    }
    set_ptr(s, CURLOPT_CUSTOMREQUEST, req->method);
    /* On a kept connection that turns out dead, libcurl would send the request a second time. */
    set_long(s, CURLOPT_FRESH_CONNECT, !is_get);
}

static int limited(int timeout_ms, int64_t deadline_ms, int64_t now)
{
    int64_t left = deadline_ms - now;

    if (deadline_ms <= 0 || left >= timeout_ms)
        return timeout_ms;
    return left > 1 ? (int)left : 1;
}

int exchange_begin(struct http_exchange *x, const struct http_trust *trust, int64_t deadline_ms)
{
    const struct http_request *req = x->req;
    int connect_ms = req->connect_timeout_ms > 0 ? req->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    struct setter s = {x->curl, x->easy, CURLE_OK};
    struct err *err = &x->resp->err;

    x->started_ms = time_mono_ms();
    x->timeout_ms =
        limited(req->timeout_ms > 0 ? req->timeout_ms : TIMEOUT_MS, deadline_ms, x->started_ms);
    x->where = url_where(req->url);
    x->headers = NULL;
    x->has_head = false;
    x->reason[0] = '\0';
    *x->resp = (struct http_response){0};
    buf_init(&x->body, req->max_body ? req->max_body : BODY_MAX);
    x->curl->easy_reset(x->easy);
    if (build_headers(x, trust, err) < 0)
        return -1;
    set_policy(&s);
    set_trust(&s, trust);
    set_method(&s, req);
    set_ptr(&s, CURLOPT_URL, req->url);
    set_ptr(&s, CURLOPT_HTTPHEADER, x->headers);
    set_ptr(&s, CURLOPT_ERRORBUFFER, x->reason);
    set_long(&s, CURLOPT_CONNECTTIMEOUT_MS,
             connect_ms < x->timeout_ms ? connect_ms : x->timeout_ms);
    set_long(&s, CURLOPT_TIMEOUT_MS, x->timeout_ms);
    set_long(&s, CURLOPT_FORBID_REUSE, x->is_last);
    set_ptr(&s, CURLOPT_WRITEFUNCTION, take_body);
    set_ptr(&s, CURLOPT_WRITEDATA, x);
    set_ptr(&s, CURLOPT_HEADERFUNCTION, take_header);
    set_ptr(&s, CURLOPT_HEADERDATA, x);
    if (s.failed == CURLE_OK)
        return 0;
    return err_set(err, ERR_INTERNAL, "set up request to %s: %s", x->where,
                   x->curl->easy_strerror(s.failed));
}

/* ---- response ---- */

/* curl's sentence, with its first letter as ours. */
static const char *reason_text(struct http_exchange *x, CURLcode result)
{
    char *r = x->reason;

    if (!*r)
        snprintf(r, sizeof x->reason, "%s", x->curl->easy_strerror(result));
    if (islower((unsigned char)r[1]))
        r[0] = (char)tolower((unsigned char)r[0]);
    r[strcspn(r, "\r\n")] = '\0';
    return r;
}

/* Whether any byte of the request may have left this process. */
static bool was_sent(const struct http_exchange *x)
{
    long sent = 0;

    x->curl->easy_getinfo(x->easy, CURLINFO_REQUEST_SIZE, &sent);
    return sent > 0;
}

/* The peer ended TLS because of our certificate (or its absence): then it did not read the request.
 */
static bool is_refused_certificate(const char *reason)
{
    return strstr(reason, "alert") &&
           (strstr(reason, "certificate") || strstr(reason, "unknown ca"));
}

static int not_connected(struct http_exchange *x, const char *reason, struct err *err)
{
    long e = 0;

    x->curl->easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &e);
    if (e != 0 && e != EINPROGRESS)
        return err_errno(err, ERR_UNREACHABLE, (int)e, "connect to %s", x->where);
    return err_set(err, ERR_UNREACHABLE, "connect to %s: %s", x->where, reason);
}

static int timed_out(struct http_exchange *x, struct err *err)
{
    double seconds = (double)(time_mono_ms() - x->started_ms) / 1000;

    if (was_sent(x))
        return err_set(err, ERR_IN_DOUBT, "no complete answer from %s within %.1f s", x->where,
                       seconds);
    return err_set(err, ERR_UNREACHABLE, "connect to %s: no answer within %.1f s", x->where,
                   seconds);
}

/* The peer was there, and ended the connection. */
static bool is_cut(CURLcode result)
{
    return result == CURLE_GOT_NOTHING || result == CURLE_RECV_ERROR ||
           result == CURLE_SEND_ERROR || result == CURLE_PARTIAL_FILE;
}

static int no_answer(struct http_exchange *x, const char *reason, struct err *err)
{
    if (is_refused_certificate(reason)) {
        err_set(err, ERR_DENIED, "TLS with %s: it does not accept our certificate (%s)", x->where,
                reason);
        return err_advise(err, "check cert-file and key-file of the store");
    }
    if (!was_sent(x))
        return err_set(err, ERR_UNREACHABLE, "connect to %s: %s", x->where, reason);
    return err_set(err, ERR_IN_DOUBT, "answer from %s is missing or cut: %s", x->where, reason);
}

/* What curl's result means, as http.h promises. */
static int explain(struct http_exchange *x, CURLcode result, struct err *err)
{
    const char *reason = reason_text(x, result);

    switch (result) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return err_set(err, ERR_UNREACHABLE, "connect to %s: %s", x->where, reason);
    case CURLE_COULDNT_CONNECT:
        return not_connected(x, reason, err);
    case CURLE_OPERATION_TIMEDOUT:
        return timed_out(x, err);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
        err_set(err, ERR_DENIED, "TLS with %s: %s", x->where, reason);
        return err_advise(err, "check ca-file of the store and the name in the node's certificate");
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
        err_set(err, ERR_DENIED, "TLS with %s: %s", x->where, reason);
        return err_advise(err, "check ca-file, cert-file and key-file of the store");
    case CURLE_WRITE_ERROR:
        return err_set(err, ERR_IN_DOUBT, "answer from %s is larger than %zu bytes", x->where,
                       x->body.limit);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        if (was_sent(x))
            return err_set(err, ERR_IN_DOUBT, "%s does not answer in HTTP", x->where);
        return err_set(err, ERR_UNREACHABLE, "no usable http or https address: %s", x->where);
    case CURLE_FAILED_INIT:
    case CURLE_OUT_OF_MEMORY:
    case CURLE_NOT_BUILT_IN:
    case CURLE_BAD_FUNCTION_ARGUMENT:
        return err_set(err, ERR_INTERNAL, "request to %s: %s", x->where, reason);
    default:
        return no_answer(x, reason, err);
    }
}

static void take_answer(struct http_exchange *x)
{
    struct http_response *resp = x->resp;
    long status = 0;

    x->curl->easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    resp->status = (int)status;
    if (!resp->content_type)
        return;
    resp->content_type[strcspn(resp->content_type, "; \t")] = '\0';
    for (char *p = resp->content_type; *p; p++)
        *p = (char)tolower((unsigned char)*p);
}

static void log_exchange(const struct http_exchange *x)
{
    char *path = url_path(x->req->url);

    log_msg(LOG_DEBUG, "http", "%s %s%s %d %lld ms%s%s", x->req->method, x->where, path,
            x->resp->status, (long long)x->resp->duration_ms, x->resp->status ? "" : ": ",
            x->resp->status ? "" : x->resp->err.text);
    free(path);
}

int exchange_end(struct http_exchange *x, CURLcode result)
{
    struct http_response *resp = x->resp;

    if (result == CURLE_OK && !x->has_head) /* cut among the headers: to curl that is no error */
        result = CURLE_PARTIAL_FILE;
    if (result == CURLE_OK)
        take_answer(x);
    else if (resp->err.code == ERR_OK)
        explain(x, result, &resp->err);
    resp->is_cut = is_cut(result);
    resp->duration_ms = time_mono_ms() - x->started_ms;
    resp->len = x->body.len;
    resp->body = buf_take(&x->body);
    log_exchange(x);
    wipe_headers(x);
    x->curl->easy_setopt(x->easy, CURLOPT_HTTPHEADER, NULL);
    x->curl->easy_setopt(x->easy, CURLOPT_ERRORBUFFER, NULL);
    buf_release(&x->body);
    free(x->where);
    x->where = NULL;
    return resp->err.code == ERR_OK ? 0 : -1;
}

void exchange_fail(const struct http_request *req, struct http_response *resp,
                   const struct err *err)
{
    char *where = url_where(req->url);

    *resp = (struct http_response){.body = xstrdup(""), .err = *err};
    err_prepend(&resp->err, "connect to %s", where);
    free(where);
}
