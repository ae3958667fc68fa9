/* What all tasks of the redis engine need. */
#include "engines/redis/doing.h"

#include <stdio.h>
#include <string.h>

#include "kvsh/fs.h"
#include "kvsh/meta.h"

int doing_look(struct doing *d, struct err *err)
{
    cluster_release(&d->c);
    if (meta_to_cluster(d->p->docs, &d->c, err) != 0)
        return -1;
    return redis_observe(d->cn, d->p->docs, &d->c, err);
}

/* The task's service and its node as seen last; an unreachable agent is an error here. */
struct service *doing_target(struct doing *d, const char *id, struct node **node, struct err *err)
{
    struct service *s = cluster_service(&d->c, id);

    *node = s ? cluster_node(&d->c, s->node) : NULL;
    if (*node == NULL) {
        err_set(err, ERR_FAILED, "%s is not declared in the store any more", id);
        return NULL;
    }
    if ((*node)->status != STATUS_RUNNING) {
        err_set(err, (*node)->cause, "%s", (*node)->detail);
        err_advise(err, "start the agent of %s", (*node)->id);
        return NULL;
    }
    return s;
}

int doing_pause(struct doing *d, int percent, const char *waiting_for, struct err *err)
{
    d->p->report(d->p, percent, waiting_for);
    if (d->p->interrupted(d->p))
        return err_set(err, ERR_INTERRUPTED, "interrupted while waiting for %s", waiting_for);
    time_sleep_ms(POLL_MS);
    return 0;
}

/*
 * A changing request, with what was sent and what came back in the plan's history. An agent that
 * sent it on to a process and did not hear back (504) leaves open what became of it.
 */
int doing_send(struct doing *d, const struct rest *r, struct json **answer, struct err *err)
{
    int status, rc = rest_call(d->cn, r, &status, answer, err);

    if (rc != 0 && status == 504 && err->code == ERR_FAILED)
        err->code = ERR_IN_DOUBT;
    if (d->p->event != NULL)
        d->p->event(d->p, rc == 0 ? "info" : "warning",
                    arena_printf(&d->c.arena, "%s: %s %s: %s", r->who, r->method, r->path,
                                 rc != 0 ? err->text : arena_printf(&d->c.arena, "%d", status)));
    return rc;
}

/* POST /v1/services/{id}/{action}; body is taken. The answer, when asked for, is the caller's. */
int doing_act(struct doing *d, const struct service *s, const char *action, struct json *body,
              struct json **answer, struct err *err)
{
    struct node *n = cluster_node(&d->c, s->node);
    const struct rest r = {
        .method = "POST",
        .url = n->url,
        .path = arena_printf(&d->c.arena, "/v1/services/%s/%s", s->id, action),
        .who = redis_where(&d->c, n),
        .body = body,
        .timeout_ms = strcmp(action, "move-keys") == 0 ? DOING_MOVE_MS : 0,
    };
    int rc = doing_send(d, &r, answer, err);

    json_free(body);
    return rc;
}

/* The agent's reason, without what it was asked to do and where: the task it fails says that. */
static int operation_failed(struct doing *d, const struct json *op, struct err *err)
{
    const struct json *problem = json_get(op, "problem");
    const char *detail = json_str(problem, "detail"), *advice = json_str(problem, "advice");
    const char *action = json_str(op, "action");
    const char *asked = arena_printf(&d->c.arena, "%s %s on %s: ", action ? action : "",
                                     d->t->target, d->t->node ? d->t->node : "");

    if (detail == NULL)
        detail = "failed without a reason";
    else if (strncmp(detail, asked, strlen(asked)) == 0)
        detail += strlen(asked);
    err_set(err, ERR_FAILED, "%s", detail);
    if (advice != NULL)
        err_advise(err, "%s", advice);
    return -1;
}

/* Follows an operation of an agent to its end. A lost operation is ERR_IN_DOUBT: the agent may have
 * restarted. */
static int doing_follow(struct doing *d, const struct node *n, int64_t id, struct err *err)
{
    const char *who = redis_where(&d->c, n);
    const char *path = arena_printf(&d->c.arena, "/v1/operations/%lld?wait=1", (long long)id);
    const struct rest r = {
        .method = "GET", .url = n->url, .path = path, .who = who, .timeout_ms = 10000};

    for (;;) {
        struct json *op = NULL;
        const char *state, *waiting;
        int rc = rest_call(d->cn, &r, NULL, &op, err);

        if (rc != 0) {
            err->code = err->code == ERR_DENIED ? ERR_DENIED : ERR_IN_DOUBT;
            return -1;
        }
        state = json_str(op, "state");
        waiting = json_str(op, "waitingFor");
        d->p->report(d->p, (int)json_int(op, "percent", -1), waiting);
        if (state != NULL && strcmp(state, "running") != 0) {
            rc = strcmp(state, "succeeded") == 0 ? 0 : operation_failed(d, op, err);
            snprintf(d->p->result, sizeof d->p->result, "%s",
                     rc == 0 && json_str(op, "result") ? json_str(op, "result") : "");
            json_free(op);
            return rc;
        }
        json_free(op);
        if (d->p->interrupted(d->p))
            return err_set(err, ERR_INTERRUPTED, "interrupted while %s works on %s", n->id,
                           d->t->target);
    }
}

/* doing_act(), and when the agent answers with an operation, follow it. */
int doing_act_and_follow(struct doing *d, const struct service *s, const char *action,
                         struct json *body, struct err *err)
{
    struct json *answer = NULL;
    int rc = doing_act(d, s, action, body, &answer, err);

    if (rc == 0 && json_get(answer, "operation") != NULL)
        rc = doing_follow(d, cluster_node(&d->c, s->node), json_int(answer, "operation", 0), err);
    json_free(answer);
    return rc;
}
