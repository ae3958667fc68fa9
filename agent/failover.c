/* A replica takes over. An OK to CLUSTER FAILOVER proves nothing: only the role does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "agent/clock.h"
#include "agent/member.h"
#include "agent/services.h"

enum {
    ASK_MS = 2000,
    TURN_MS = 6000,
    TURNS = 2,
    LOOK_MS = 20,
    LOOK_MAX_MS = 200,
    NODE_TIMEOUT_MS = 5000, /* redis.conf, see launch.c */
    AUTH_TIMEOUT_MIN_MS = 2000,
};

struct look {
    bool is_primary, link_up;
    char primary_id[REDIS_ID_LEN + 1];
    bool primary_connected, primary_failed;
    int64_t epoch, primary_epoch; /* of their configuration */
};

static int look(const struct member *m, struct look *out, struct problem *pb)
{
    struct redis *r = member_connect(m);
    struct arena arena = {NULL};
    struct redis_info info;
    struct redis_nodes nodes;
    const redisReply *reply = redis_call(r, ASK_MS, "INFO", "replication", NULL);
    const struct redis_node *primary;
    int rc = member_reply(m, r, reply, pb);

    memset(out, 0, sizeof *out);
    if (rc == 0) {
        redis_info_decode(redis_text(reply), &arena, &info);
        out->is_primary = info.is_primary;
        out->link_up = info.link_up;
        rc = member_nodes(m, r, &arena, &nodes, pb);
    }
    if (rc == 0) {
        memcpy(out->primary_id, redis_nodes_myself(&nodes)->primary_id, sizeof out->primary_id);
        out->epoch = redis_nodes_myself(&nodes)->epoch;
        primary = redis_nodes_find(&nodes, out->primary_id);
        out->primary_epoch = primary ? primary->epoch : 0;
        out->primary_connected = primary && primary->link_up;
        out->primary_failed = primary && redis_node_has_flag(primary, "fail");
    }
    arena_release(&arena);
    redis_free(r);
    return rc;
}

int member_is_primary(const struct member *m, bool *is_primary, struct problem *pb)
{
    struct look l;
    int rc = look(m, &l, pb);

    *is_primary = l.is_primary;
    return rc;
}

/* What a graceful one needs on this side; the other side is the business of who asks. */
static int check_graceful(const struct member *m, const struct look *l, struct problem *pb)
{
    if (l->primary_failed)
        problem_set(pb, PROBLEM_WRONG_ROLE, "failover to %s: its primary %.8s has failed", m->id,
                    l->primary_id);
    else if (!l->link_up)
        problem_set(pb, PROBLEM_NO_REPLICA, "failover to %s: its link to the primary is down",
                    m->id);
    else if (!l->primary_connected)
        problem_set(pb, PROBLEM_NO_REPLICA,
                    "failover to %s: it is not connected to its primary %.8s on the cluster bus",
                    m->id, l->primary_id);
    else
        return 0;
    return problem_advise(pb,
                          "wait until primary and replica see each other, then repeat; force or "
                          "takeover lose what the replica does not have");
}

static int send_failover(const struct member *m, const char *mode, struct problem *pb)
{
    struct redis *r = member_connect(m);
    const char *word = strcmp(mode, "force") == 0 ? "FORCE" : "TAKEOVER";
    const redisReply *reply;
    int rc;

    if (strcmp(mode, "graceful") == 0)
        reply = redis_call(r, ASK_MS, "CLUSTER", "FAILOVER", NULL);
    else
        reply = redis_call(r, ASK_MS, "CLUSTER", "FAILOVER", word, NULL);
    rc = member_reply(m, r, reply, pb);
    redis_free(r);
    return rc;
}

static bool must_end(struct operation *op, int ms)
{
    struct agent *a = op->agent;
    int64_t until = time_mono_ms() + ms;
    bool end;

    pthread_mutex_lock(&a->lock);
    while (!operation_must_end(op) && cond_wait_until(&a->changed, &a->lock, until))
        ;
    end = operation_must_end(op);
    pthread_mutex_unlock(&a->lock);
    return end;
}

/* --- the time between two elections ---
 *
 * A replica that was elected within the last 4 x cluster-node-timeout holds no new election: it
 * takes the votes of the last one, with the epoch of that one, becomes primary for an instant and
 * is put back by the others (seen with redis 7.0.15). Meanwhile the primary holds all writes for 5
 * s. So that time is waited for first.
 */

static int64_t election_interval_ms(struct agent *a, const char *id)
{
    const struct service *s;
    const char *text;
    int64_t timeout = NODE_TIMEOUT_MS;

    pthread_mutex_lock(&a->lock);
    s = agent_service(a, id);
    text = s ? json_str(s->params, "cluster-node-timeout") : NULL;
    if (text)
        timeout = strtol(text, NULL, 10);
    pthread_mutex_unlock(&a->lock);
    timeout = 2 * timeout < AUTH_TIMEOUT_MIN_MS ? AUTH_TIMEOUT_MIN_MS : 2 * timeout;
    return 2 * timeout;
}

/* Also for an agent started after this one. That it cannot be written down stops no failover: a
 * disk in trouble may be the reason for it. */
static void remember_election(struct operation *op)
{
    struct err err = ERR_INIT;
    int rc;

    pthread_mutex_lock(&op->agent->lock);
    op->service->elected_at = time_mono_ms();
    rc = services_save(op->agent, &err);
    pthread_mutex_unlock(&op->agent->lock);
    if (rc < 0)
        agent_log(op->agent, LOG_WARNING, op->service_id,
                  "the election is not remembered beyond this agent: %s", err.text);
}

static int await_election(struct operation *op, const struct member *m, struct problem *pb)
{
    int64_t interval = election_interval_ms(op->agent, m->id), elected;

    pthread_mutex_lock(&op->agent->lock);
    elected = op->service->elected_at;
    pthread_mutex_unlock(&op->agent->lock);
    while (elected && time_mono_ms() < elected + interval) {
        operation_report(op, -1,
                         "%lld s to pass: %s stood for election just before, redis holds no second "
                         "election within %lld s",
                         (long long)(elected + interval - time_mono_ms()) / 1000 + 1, m->id,
                         (long long)interval / 1000);
        if (must_end(op, LOOK_MAX_MS))
            return problem_set(pb, PROBLEM_INTERNAL, "failover to %s: given up before it was sent",
                               m->id);
    }
    return 0;
}

/* 1: it has become primary, and stays it; 0: not within the turn; -1: it cannot be asked, or the
 * operation must end. */
static int await_primary(struct operation *op, const struct member *m, int64_t old_epoch,
                         struct problem *pb)
{
    int64_t deadline = time_mono_ms() + TURN_MS;
    int pause = LOOK_MS;

    do {
        struct look l;

        if (must_end(op, pause))
            return problem_set(pb, PROBLEM_INTERNAL, "failover to %s: given up, it may come yet",
                               m->id);
        if (look(m, &l, pb) < 0)
            return -1;
        if (l.is_primary && l.epoch > old_epoch)
            return 1;
        pause = pause * 2 < LOOK_MAX_MS ? pause * 2 : LOOK_MAX_MS;
    } while (time_mono_ms() < deadline);
    return 0;
}

static void succeeded(struct operation *op, const struct member *m)
{
    operation_result(op, "%s is primary now", m->id);
    agent_log(op->agent, LOG_INFO, m->id, "%s is primary now (%s failover)", m->id, op->mode);
}

int failover_run(struct operation *op, struct problem *pb)
{
    bool is_takeover = strcmp(op->mode, "takeover") == 0;
    struct member m;
    struct look l;

    if (member_find(op->agent, op->service_id, &m, pb) < 0)
        return -1;
    for (int turn = 0; turn < TURNS; turn++) {
        int rc;

        if ((!is_takeover && await_election(op, &m, pb) < 0) || look(&m, &l, pb) < 0)
            return -1;
        if (l.is_primary) {
            operation_result(op, "%s is primary already", m.id);
            return 0;
        }
        if (strcmp(op->mode, "graceful") == 0 && check_graceful(&m, &l, pb) < 0)
            return -1;
        operation_report(op, -1, "%s to become primary", m.id);
        /* An election that was lost counts, too: the next turn waits. */
        remember_election(op);
        rc = send_failover(&m, op->mode, pb);
        if (rc == 0)
            rc = await_primary(op, &m, l.primary_epoch, pb);
        if (rc < 0)
            return -1;
        if (rc > 0) {
            succeeded(op, &m);
            return 0;
        }
    }
    problem_set(pb, PROBLEM_TIMEOUT,
                "failover to %s: it has not become primary in %d attempts of "
                "%d s",
                m.id, TURNS, TURN_MS / 1000);
    return problem_advise(pb, "check that primary and replica see each other, then repeat; with "
                              "fewer than three primaries and a dead one only takeover works");
}
