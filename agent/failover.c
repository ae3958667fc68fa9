/* A replica takes over. An OK to CLUSTER FAILOVER proves nothing: only the role does. */
#include <stdio.h>
#include <string.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "agent/clock.h"
#include "agent/member.h"

enum { ASK_MS = 2000, TURN_MS = 6000, TURNS = 2, LOOK_MS = 20, LOOK_MAX_MS = 200 };

struct look {
    bool is_primary, link_up;
    char primary_id[REDIS_ID_LEN + 1];
    bool primary_connected, primary_failed;
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
        primary = redis_nodes_find(&nodes, out->primary_id);
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

/* 1: it has become primary; 0: not within the turn; -1: it cannot be asked, or the operation must
 * end. */
static int await_primary(struct operation *op, const struct member *m, struct problem *pb)
{
    int64_t deadline = time_mono_ms() + TURN_MS;
    int pause = LOOK_MS;

    do {
        bool is_primary;

        if (must_end(op, pause))
            return problem_set(pb, PROBLEM_INTERNAL, "failover to %s: given up, it may come yet",
                               m->id);
        if (member_is_primary(m, &is_primary, pb) < 0)
            return -1;
        if (is_primary)
            return 1;
        pause = pause * 2 < LOOK_MAX_MS ? pause * 2 : LOOK_MAX_MS;
    } while (time_mono_ms() < deadline);
    return 0;
}

int failover_run(struct operation *op, struct problem *pb)
{
    struct member m;
    struct look l;

    if (member_find(op->agent, op->service_id, &m, pb) < 0 || look(&m, &l, pb) < 0)
        return -1;
    if (l.is_primary) {
        operation_result(op, "%s is primary already", m.id);
        return 0;
    }
    if (strcmp(op->mode, "graceful") == 0 && check_graceful(&m, &l, pb) < 0)
        return -1;
    for (int turn = 0; turn < TURNS; turn++) {
        int rc;

        operation_report(op, -1, "%s to become primary", m.id);
        rc = send_failover(&m, op->mode, pb);
        if (rc == 0)
            rc = await_primary(op, &m, pb);
        if (rc < 0)
            return -1;
        if (rc > 0) {
            operation_result(op, "%s is primary now", m.id);
            agent_log(op->agent, LOG_INFO, m.id, "%s is primary now (%s failover)", m.id, op->mode);
            return 0;
        }
    }
    problem_set(pb, PROBLEM_TIMEOUT, "failover to %s: it has not become primary within %d s", m.id,
                TURNS * TURN_MS / 1000);
    return problem_advise(pb, "check that primary and replica see each other, then repeat; with "
                              "fewer than three primaries and a dead one only takeover works");
}
