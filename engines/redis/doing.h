/*
 * One task being carried out: what its functions share. Each type of task is repeatable: perform()
 * may be called on a store where the task, or half of it, has happened already.
 *
 *   task.c         finds the type of a task
 *   task_form.c    nodes, services, members of a cluster
 *   task_life.c    start, stop, change of the primary
 *   task_repair.c  wipe, forget, remove
 *   task_slots.c   half moved slots, data compared and checked
 */
#pragma once

#include "engines/doing.h"
#include "engines/redis/redis.h"

#define POLL_MS 200
#define SETTLE_MS 60000 /* how long the cluster may stand still before waiting is given up */

/* Each ends with a NULL name. */
extern const struct task_type redis_form_tasks[], redis_life_tasks[], redis_repair_tasks[],
    redis_slot_tasks[];

/* Asks all nodes anew. */
int doing_look(struct doing *d, struct err *err);
/* The service and its node as seen last; an unreachable agent is an error here. */
struct service *doing_target(struct doing *d, const char *id, struct node **node, struct err *err);
/* Reports, sleeps a little; ERR_INTERRUPTED when the plan is to stop. */
int doing_pause(struct doing *d, int percent, const char *waiting_for, struct err *err);
/* A changing request, with what was sent and what came back in the plan's history. */
int doing_send(struct doing *d, const struct rest *r, struct json **answer, struct err *err);
/*
 * POST /v1/services/{id}/{action}; body is taken. The answer, when asked for, is the caller's.
 * Within the store's time-out, or as long as MIGRATE of a batch may take.
 */
#define DOING_MOVE_MS 30000
int doing_act(struct doing *d, const struct service *s, const char *action, struct json *body,
              struct json **answer, struct err *err);
/* The same, and when the agent answers with an operation, follows it to its end; its result becomes
 * the task's. */
int doing_act_and_follow(struct doing *d, const struct service *s, const char *action,
                         struct json *body, struct err *err);

/* In sync as replica, or serving as primary. *why: what is still missing. */
bool redis_serves(const struct service *s, const char **why);
/* Waits until service `id` serves, as long as something moves. */
int doing_await_service(struct doing *d, const char *id, struct err *err);
/* Somebody else serves this service's shard: it may start empty, or be emptied. */
bool redis_is_replaceable(const struct cluster *c, const struct service *s);
