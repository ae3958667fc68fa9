#include "kvsh/http.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "http_exchange.h"
#include "kvsh/fault.h"
#include "kvsh/fs.h"
#include "kvsh/log.h"
#include "kvsh/mem.h"

enum { PARALLEL_DEFAULT = 64, POLL_MS = 1000, POLL_STOP_MS = 100 };

struct http {
    struct http_trust trust;
    const struct curl_api *curl; /* NULL until the first request */
    CURL *easy;
    CURLM *multi;
};

static char *copy(const char *s)
{
    return s ? xstrdup(s) : NULL;
}

static void wipe(char *s)
{
    if (s)
        explicit_bzero(s, strlen(s));
    free(s);
}

struct http *http_open(const struct http_config *config, struct err *err)
{
    struct http *h;

    if (config->bearer_token && strpbrk(config->bearer_token, "\r\n")) {
        err_set(err, ERR_INPUT, "the token holds a line end");
        return NULL;
    }
    h = xcalloc(1, sizeof *h);
    h->trust = (struct http_trust){
        .ca_file = copy(config->ca_file),
        .cert_file = copy(config->cert_file),
        .key_file = copy(config->key_file),
        .lease = copy(config->lease),
        .user = copy(config->user),
        .password = copy(config->password),
        .no_tls_verify = config->no_tls_verify,
    };
    mask_add(config->bearer_token);
    mask_add(config->password);
    if (config->bearer_token)
        h->trust.authorization = xasprintf("Bearer %s", config->bearer_token);
    return h;
}

void http_close(struct http *h)
{
    if (!h)
        return;
    if (h->easy)
        h->curl->easy_cleanup(h->easy);
    if (h->multi)
        h->curl->multi_cleanup(h->multi);
    wipe(h->trust.authorization);
    wipe(h->trust.password);
    free(h->trust.lease);
    free(h->trust.user);
    free(h->trust.key_file);
    free(h->trust.cert_file);
    free(h->trust.ca_file);
    free(h);
}

static int load(struct http *h, struct err *err)
{
    if (!h->curl)
        h->curl = curl_api(err);
    return h->curl ? 0 : -1;
}

static CURL *new_handle(struct http *h, struct err *err)
{
    CURL *easy = load(h, err) == 0 ? h->curl->easy_init() : NULL;

    if (!easy && h->curl)
        err_set(err, ERR_INTERNAL, "libcurl gives no handle");
    return easy;
}

int http_perform(struct http *h, const struct http_request *req, struct http_response *resp,
                 struct err *err)
{
    struct http_exchange x = {.req = req, .resp = resp};
    int rc;

    if (!h->easy)
        h->easy = new_handle(h, err);
    if (!h->easy) {
        *resp = (struct http_response){.body = xstrdup(""), .err = *err};
        return -1;
    }
    x.curl = h->curl;
    x.easy = h->easy;
    fault_point("http.before");
    if (exchange_begin(&x, &h->trust, 0) < 0)
        rc = exchange_end(&x, CURLE_FAILED_INIT);
    else
        rc = exchange_end(&x, h->curl->easy_perform(x.easy));
    fault_point("http.after");
    if (rc < 0)
        *err = resp->err;
    return rc;
}

/* ---- many at once ---- */

/* One of the handles that work through the requests; each takes the next request when it is done.
 */
struct slot {
    struct http_exchange x;
    struct http_response resp;
    size_t index;
    bool is_busy;
};

struct fan {
    struct http *h;
    const struct http_batch *batch;
    size_t next; /* first request not begun */
    struct slot *slots;
    size_t slot_count;
    size_t active;
    int64_t deadline_ms; /* monotonic clock; 0: none */
    struct err broken;   /* why no further request can be begun, when there is a reason */
};

static bool (*stopped_by)(void);

void http_stop_when(bool (*stopped)(void))
{
    stopped_by = stopped;
}

bool http_stopped(void)
{
    return stopped_by != NULL && stopped_by();
}

static bool is_late(const struct fan *f)
{
    return f->deadline_ms > 0 && time_mono_ms() >= f->deadline_ms;
}

static void hand_over(struct fan *f, size_t index, struct http_response *resp)
{
    f->batch->done(f->batch->arg, index, resp);
    http_response_release(resp);
}

/* Gives the slot the next request that can be begun. */
static void feed(struct fan *f, struct slot *s)
{
    while (f->next < f->batch->n && f->broken.code == ERR_OK && !is_late(f)) {
        s->index = f->next++;
        s->x.req = &f->batch->reqs[s->index];
        s->x.resp = &s->resp;
        if (exchange_begin(&s->x, &f->h->trust, f->deadline_ms) == 0) {
            if (f->h->curl->multi_add_handle(f->h->multi, s->x.easy) == CURLM_OK) {
                s->is_busy = true;
                f->active++;
                return;
            }
            err_set(&f->broken, ERR_INTERNAL, "libcurl takes no more requests");
        }
        exchange_end(&s->x, CURLE_FAILED_INIT);
        hand_over(f, s->index, &s->resp);
    }
}

static void finish(struct fan *f, struct slot *s, CURLcode result)
{
    f->h->curl->multi_remove_handle(f->h->multi, s->x.easy);
    s->is_busy = false;
    f->active--;
    exchange_end(&s->x, result);
    hand_over(f, s->index, &s->resp);
}

static struct slot *slot_of(struct fan *f, CURL *easy)
{
    struct slot *s = NULL;

    for (size_t i = 0; i < f->slot_count && !s; i++)
        if (f->slots[i].x.easy == easy)
            s = &f->slots[i];
    return s;
}

static void collect(struct fan *f)
{
    const CURLMsg *msg;
    int left;

    while ((msg = f->h->curl->multi_info_read(f->h->multi, &left))) {
        struct slot *s = slot_of(f, msg->easy_handle);

        finish(f, s, msg->data.result);
        feed(f, s);
    }
}

static void abandon(struct fan *f, CURLcode result)
{
    for (size_t i = 0; i < f->slot_count; i++)
        if (f->slots[i].is_busy)
            finish(f, &f->slots[i], result);
}

static int poll_ms(const struct fan *f)
{
    int64_t left = f->deadline_ms - time_mono_ms();
    int most = stopped_by != NULL ? POLL_STOP_MS : POLL_MS;

    if (f->deadline_ms <= 0 || left > most)
        return most;
    return left > 0 ? (int)left : 0;
}

/* The rest is not wanted any more. */
static void stop(struct fan *f)
{
    err_set(&f->broken, ERR_SIGINT, "interrupted");
    for (size_t i = 0; i < f->slot_count; i++) {
        struct slot *s = &f->slots[i];

        if (!s->is_busy)
            continue;
        f->h->curl->multi_remove_handle(f->h->multi, s->x.easy);
        s->is_busy = false;
        f->active--;
        exchange_end(&s->x, CURLE_ABORTED_BY_CALLBACK);
        s->resp.err = f->broken;
        hand_over(f, s->index, &s->resp);
    }
}

static void work(struct fan *f)
{
    const struct curl_api *curl = f->h->curl;
    int running;

    for (size_t i = 0; i < f->slot_count; i++)
        feed(f, &f->slots[i]);
    while (f->active > 0) {
        if (curl->multi_perform(f->h->multi, &running) != CURLM_OK) {
            err_set(&f->broken, ERR_INTERNAL, "libcurl is out of order");
            abandon(f, CURLE_FAILED_INIT);
            return;
        }
        collect(f);
        if (http_stopped())
            stop(f);
        else if (is_late(f))
            abandon(f, CURLE_OPERATION_TIMEDOUT);
        else if (f->active > 0)
            curl->multi_poll(f->h->multi, NULL, 0, poll_ms(f), NULL);
    }
}

static int prepare(struct fan *f)
{
    size_t parallel = f->batch->max_parallel ? f->batch->max_parallel : PARALLEL_DEFAULT;
    struct http *h = f->h;
    long connections;

    if (load(h, &f->broken) < 0)
        return -1;
    if (!h->multi)
        h->multi = h->curl->multi_init();
    if (!h->multi)
        return err_set(&f->broken, ERR_INTERNAL, "libcurl gives no handle");
    connections = (long)parallel;
    h->curl->multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, connections);
    if (parallel > f->batch->n)
        parallel = f->batch->n;
    f->slots = xcalloc(parallel, sizeof *f->slots);
    for (; f->slot_count < parallel; f->slot_count++) {
        struct slot *s = &f->slots[f->slot_count];

        s->x.curl = h->curl;
        /* More hosts than connections are kept: keeping any is in vain. And libcurl 7.88 looks
         * through every host it ever dropped a kept connection to when it drops the next. */
        s->x.is_last = f->batch->n > (size_t)connections;
        s->x.easy = new_handle(h, &f->broken);
        if (!s->x.easy)
            return -1;
    }
    return 0;
}

/* Answers the requests that were never begun. */
static void give_up(struct fan *f)
{
    if (f->broken.code == ERR_OK)
        err_set(&f->broken, ERR_UNREACHABLE, "not asked, the time of %.1f s for all is over",
                (double)f->batch->deadline_ms / 1000);
    for (; f->next < f->batch->n; f->next++) {
        struct http_response resp;

        exchange_fail(&f->batch->reqs[f->next], &resp, &f->broken);
        hand_over(f, f->next, &resp);
    }
}

void http_perform_each(struct http *h, const struct http_batch *batch)
{
    struct fan f = {.h = h, .batch = batch};

    if (batch->n == 0)
        return;
    if (batch->deadline_ms > 0)
        f.deadline_ms = time_mono_ms() + batch->deadline_ms;
    fault_point("http.before");
    if (prepare(&f) == 0)
        work(&f);
    give_up(&f);
    for (size_t i = 0; i < f.slot_count; i++)
        h->curl->easy_cleanup(f.slots[i].x.easy);
    free(f.slots);
    fault_point("http.after");
}

void http_response_release(struct http_response *resp)
{
    free(resp->etag);
    free(resp->location);
    free(resp->content_type);
    free(resp->body);
    *resp = (struct http_response){0};
}

char *http_escape(const char *s)
{
    char *out = xmalloc(3 * strlen(s) + 1);
    char *p = out;

    for (; *s; s++) {
        static const char hex[] = "0123456789ABCDEF";
        unsigned char c = (unsigned char)*s;

        if (c < 0x80 && (isalnum(c) || strchr("-._~", c))) {
            *p++ = (char)c;
        } else {
            *p++ = '%';
            *p++ = hex[c >> 4];
            *p++ = hex[c & 15];
        }
    }
    *p = '\0';
    return out;
}
