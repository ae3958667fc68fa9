/* The lease of a plan at the agents of the store. */
#include "engines/redis/redis.h"

#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"

enum { CONNECT_MS = 1000, ANSWER_MS = 3000, ALL_MS = 5000, FIRST_MS = 5000 };

/* One agent that is asked. */
struct place {
    const char *id;
    char *url; /* whole */
};

struct places {
    struct place *v;
    size_t n;
};

static struct places places_of(const struct json *docs)
{
    const struct json *sns = json_get(docs, "sn");
    struct places p = {.v = xcalloc(json_len(sns) + 1, sizeof *p.v)};

    JSON_FOREACH (sn, sns) {
        const char *url = json_str(sn, "url");
        if (url != NULL)
            p.v[p.n++] = (struct place){json_key(sn), xasprintf("%s/v1/lease", url)};
    }
    return p;
}

static void places_release(struct places *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->v[i].url);
    free(p->v);
}

static char *claim_text(const struct lease *l)
{
    struct json *body = json_object();
    char *text;

    json_set_str(body, "owner", l->owner);
    json_set_int(body, "plan", l->plan);
    json_set_int(body, "epoch", l->epoch);
    if (!l->release)
        json_set_int(body, "ttlMs", l->ttl_ms);
    if (l->held) /* it runs, or ran: what it changed on one node concerns all */
        json_set_bool(body, "changed", true);
    if (!l->release && l->takeover != NULL) {
        json_set_bool(body, "takeover", true);
        json_set_str(body, "reason", l->takeover);
    }
    text = json_print(body);
    json_free(body);
    return text;
}

static struct http_request request_to(const struct place *p, const char *method, const char *body)
{
    return (struct http_request){.method = method,
                                 .url = p->url,
                                 .body = body,
                                 .body_len = strlen(body),
                                 .connect_timeout_ms = CONNECT_MS,
                                 .timeout_ms = ANSWER_MS};
}

enum { GRANTED, SILENT, REFUSED };

/* What one agent made of it. An agent that is no agent, or too old for leases, is as silent; so is
 * one that does not let us in any more, once the lease is held. */
static int judge(const struct http_response *resp, const struct place *p, bool held,
                 struct err *err)
{
    const struct rest r = {.method = "PUT", .who = p->id};
    struct err why = ERR_INIT;

    if (resp->status == 0)
        return SILENT;
    if (rest_decode(resp, &r, NULL, &why) == 0)
        return GRANTED;
    if (why.code != ERR_LOCKED && why.code != ERR_STALE && (why.code != ERR_DENIED || held))
        return SILENT;
    *err = why;
    return REFUSED;
}

struct question {
    const char *method, *body;
    bool held; /* of a PUT: the lease is renewed */
};

/* The answers of several agents as they come. */
struct round {
    const struct place *places;
    bool held;
    int verdict;     /* SILENT until one answers; a refusal counts before all else */
    struct err *err; /* NULL: nobody minds */
};

static void take_answer(void *arg, size_t i, struct http_response *resp)
{
    struct round *r = arg;
    int verdict;

    if (r->err == NULL || r->verdict == REFUSED)
        return;
    verdict = judge(resp, &r->places[i], r->held, r->err);
    if (verdict != SILENT)
        r->verdict = verdict;
}

/* All from the given place on. */
static int ask_all(struct connection *cn, const struct places *p, const struct question *q,
                   size_t from, struct err *err)
{
    struct round round = {.places = p->v + from, .held = q->held, .verdict = SILENT, .err = err};
    struct http_request *reqs = xcalloc(p->n + 1, sizeof *reqs);
    const struct http_batch batch = {
        .reqs = reqs, .n = p->n - from, .deadline_ms = ALL_MS, .done = take_answer, .arg = &round};

    for (size_t i = from; i < p->n; i++)
        reqs[i - from] = request_to(&p->v[i], q->method, q->body);
    http_perform_each(cn->http, &batch);
    free(reqs);
    return round.verdict;
}

static void give_back(struct connection *cn, const struct places *p, const struct lease *l)
{
    struct lease end = *l;
    char *body;

    end.release = true;
    body = claim_text(&end);
    ask_all(cn, p, &(struct question){.method = "DELETE", .body = body}, 0, NULL);
    free(body);
}

/*
 * The agents one by one, until the first that answers: of two plans that come at the same moment it
 * lets one pass, and the other has taken nothing yet. *next is the place behind it. Where many are
 * silent the time for that is over before all have been asked.
 */
static int take_first(struct connection *cn, const struct places *p, const struct question *q,
                      size_t *next, struct err *err)
{
    int64_t deadline = time_mono_ms() + FIRST_MS;
    int verdict = SILENT;

    for (*next = 0; *next < p->n && verdict == SILENT && time_mono_ms() < deadline; (*next)++) {
        struct http_request req = request_to(&p->v[*next], q->method, q->body);
        struct http_response resp = {0};
        struct err ignored = ERR_INIT;

        http_perform(cn->http, &req, &resp, &ignored);
        verdict = judge(&resp, &p->v[*next], q->held, err);
        http_response_release(&resp);
    }
    return verdict;
}

int redis_lease(struct connection *cn, const struct json *docs, const struct lease *l,
                struct err *err)
{
    struct places p = places_of(docs);
    char *body = claim_text(l);
    const struct question q = {.method = "PUT", .body = body, .held = l->held};
    size_t next = 0;
    int verdict = GRANTED, rest;

    if (p.n == 0)
        goto out; /* no node is declared yet: there is nothing to cross */
    if (l->release) {
        give_back(cn, &p, l);
        goto out;
    }
    verdict = take_first(cn, &p, &q, &next, err);
    rest = verdict == REFUSED ? SILENT : ask_all(cn, &p, &q, next, err);
    if (rest != SILENT)
        verdict = rest;
    if (rest == REFUSED && !l->held) /* what is held is kept until the last step has ended */
        give_back(cn, &p, l);
    if (verdict == SILENT) {
        err_set(err, ERR_UNREACHABLE,
                "no agent of the store answers, so this plan cannot take its lease");
        err_advise(err, "'ping' tells which nodes are reachable");
    }
out:
    free(body);
    places_release(&p);
    return verdict == GRANTED ? 0 : -1;
}
