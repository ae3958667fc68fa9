/*
 * Any request ("METHOD PATH?QUERY", newline, body) to an agent whose root takes no files, and
 * without services that run: an answer with a sensible status, and a problem that says what is
 * wrong.
 */
#include <string.h>
#include <sys/eventfd.h>

#include "agent/clock.h"
#include "agent/operations.h"
#include "agent/routes.h"
#include "agent/services.h"
#include "fuzz.h"
#include "kvsh/mem.h"

static struct agent *agent_for_fuzzing(void)
{
    struct agent *a = xcalloc(1, sizeof *a);
    struct definition d = {.id = "rg1-rn1",
                           .shard = "rg1",
                           .storage_dir = "/dev/null/d1",
                           .port = 1002,
                           .bus_port = 1003};
    struct err err = ERR_INIT;

    pthread_mutex_init(&a->lock, NULL);
    pthread_mutex_init(&a->metadata_lock, NULL);
    cond_init_monotonic(&a->changed);
    a->boot = (struct bootconfig){.root = xstrdup("/dev/null/root"),
                                  .host = xstrdup("127.0.0.1"),
                                  .port = 1000,
                                  .ha_first = 1002,
                                  .ha_last = 1009,
                                  .capacity = 3,
                                  .watch_interval = 10,
                                  .storage_dirs = {xstrdup("/dev/null/d1")},
                                  .n_storage_dirs = 1};
    a->log = logfile_new(false);
    a->events = events_open("/dev/null", &err);
    a->wake_fd = eventfd(0, EFD_NONBLOCK);
    snprintf(a->store, sizeof a->store, "fuzz");
    snprintf(a->node_id, sizeof a->node_id, "sn1");
    snprintf(a->zone, sizeof a->zone, "zn1");
    a->services[a->n_services++] = service_new(&d);
    /* Nothing waits, nothing is begun. */
    a->stopping = true;
    events_shutdown(a->events);
    return a;
}

static void take_query(struct request *rq, char *text)
{
    for (char *p = text, *next; p && *p && rq->n_query < QUERY_MAX; p = next) {
        struct query_arg *q = &rq->query[rq->n_query++];
        char *value;

        next = strchr(p, '&');
        if (next)
            *next++ = '\0';
        value = strchr(p, '=');
        if (value)
            *value++ = '\0';
        snprintf(q->name, sizeof q->name, "%s", p);
        snprintf(q->value, sizeof q->value, "%s", value ? value : "");
    }
}

static void run(struct agent *a, const struct route *route, struct request *rq, const char *body)
{
    struct problem pb = {.code = PROBLEM_NONE};
    struct reply rp = {.status = 0};

    if (route->body_limit && body_decode(body, strlen(body), &rq->body, &pb) < 0)
        reply_problem(&rp, &pb);
    else
        route_run(a, route, rq, &rp);
    FUZZ_CHECK(rp.status >= 200 && rp.status < 600);
    FUZZ_CHECK(rp.body || rp.text);
    if (rp.status >= 400)
        FUZZ_CHECK(json_str(rp.body, "code") && json_str(rp.body, "detail"));
    free(json_print(rp.body ? rp.body : rq->body));
    reply_release(&rp);
    json_free(rq->body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct agent *a;
    char *text = xstrndup((const char *)data, size), *body, *path, *query, allow[64];
    struct request rq = {.n_query = 0};
    struct problem pb = {.code = PROBLEM_NONE};
    const struct route *route;

    if (!a)
        a = agent_for_fuzzing();
    body = strchr(text, '\n');
    if (body)
        *body++ = '\0';
    path = strchr(text, ' ');
    if (path)
        *path++ = '\0';
    query = path ? strchr(path, '?') : NULL;
    if (query)
        *query++ = '\0';
    snprintf(rq.method, sizeof rq.method, "%s", text);
    rq.path = path ? path : "";
    take_query(&rq, query);
    rq.if_match = query;
    route = route_find(rq.method, rq.path, rq.param, allow, &pb);
    FUZZ_CHECK(route || pb.code == PROBLEM_NOT_FOUND || pb.code == PROBLEM_METHOD_NOT_ALLOWED);
    if (route)
        run(a, route, &rq, body ? body : "");
    /* Nothing can be written below this root, so nothing can have changed. */
    FUZZ_CHECK(a->n_services == 1 && !a->operations && strcmp(a->store, "fuzz") == 0);
    free(text);
    return 0;
}
