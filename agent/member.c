#include "agent/member.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "agent/services.h"

enum { ASK_MS = 3000, UNKNOWN_MS = 3000, PAUSE_MS = 100 };

int member_find(struct agent *a, const char *id, struct member *m, struct problem *pb)
{
    struct service *s;
    int rc = 0;

    pthread_mutex_lock(&a->lock);
    s = agent_service(a, id);
    if (!s)
        rc = problem_set(pb, PROBLEM_UNKNOWN_SERVICE, "there is no service %.40s on this node", id);
    else if (s->kind != SERVICE_REDIS)
        rc = problem_set(pb, PROBLEM_INVALID, "%s is no redis service", id);
    else if (!s->proc.pid || !a->secret)
        rc = problem_set(pb, PROBLEM_NOT_RUNNING, "%s is not running", id);
    if (rc == 0) {
        memcpy(m->id, s->id, sizeof m->id);
        memcpy(m->host_ip, a->host_ip, sizeof m->host_ip);
        m->port = s->port;
        snprintf(m->secret, sizeof m->secret, "%s", a->secret);
    }
    pthread_mutex_unlock(&a->lock);
    return rc;
}

struct redis *member_connect(const struct member *m)
{
    return redis_new(m->host_ip, m->port, m->secret);
}

static int exchange_problem(const struct member *m, const struct redis *r, struct problem *pb)
{
    switch (redis_result(r)) {
    case REDIS_TIMEOUT:
    case REDIS_BROKEN:
        problem_set(pb, PROBLEM_TIMEOUT, "%s: %s", m->id, redis_error(r));
        return problem_advise(pb, "what was asked may have been done: look before repeating");
    case REDIS_UNREACHABLE:
        return problem_set(pb, PROBLEM_NOT_RUNNING, "%s does not answer: %s", m->id,
                           redis_error(r));
    default:
        return problem_set(pb, PROBLEM_STORE_ERROR, "%s: %s", m->id, redis_error(r));
    }
}

int member_reply(const struct member *m, const struct redis *r, const redisReply *reply,
                 struct problem *pb)
{
    if (!reply)
        return exchange_problem(m, r, pb);
    if (!redis_is_error(reply))
        return 0;
    if (strncmp(reply->str, "MOVED ", 6) == 0 || strncmp(reply->str, "ASK ", 4) == 0)
        return problem_set(pb, PROBLEM_WRONG_ROLE, "%s does not serve this key: %s", m->id,
                           reply->str);
    return problem_set(pb, PROBLEM_STORE_ERROR, "%s: %s", m->id, reply->str);
}

int member_nodes(const struct member *m, struct redis *r, struct arena *arena,
                 struct redis_nodes *nodes, struct problem *pb)
{
    const redisReply *reply = redis_call(r, ASK_MS, "CLUSTER", "NODES", NULL);
    struct err err = ERR_INIT;

    if (member_reply(m, r, reply, pb) < 0)
        return -1;
    if (redis_nodes_decode(redis_text(reply), arena, nodes, &err) < 0)
        return problem_set(pb, PROBLEM_STORE_ERROR, "%s: %s", m->id, err.text);
    if (!redis_nodes_myself(nodes))
        return problem_set(pb, PROBLEM_STORE_ERROR, "%s does not know itself", m->id);
    return 0;
}

/* Whether it has met that address already: a handshake may still come to nothing. */
static bool has_met(const struct redis_nodes *nodes, const char *ip, int port)
{
    for (size_t i = 0; i < nodes->n; i++) {
        const struct redis_node *n = &nodes->nodes[i];

        if (strcmp(n->host, ip) == 0 && n->port == port && n->link_up &&
            !redis_node_has_flag(n, "handshake"))
            return true;
    }
    return false;
}

const char *member_meet(const struct member *m, const char *ip, int port, int bus_port,
                        struct problem *pb)
{
    struct redis *r = member_connect(m);
    struct arena arena = {NULL};
    struct redis_nodes nodes;
    char port_text[16], bus_text[16];
    const char *result = NULL;
    const redisReply *reply;

    if (member_nodes(m, r, &arena, &nodes, pb) < 0)
        goto out;
    if (has_met(&nodes, ip, port)) {
        result = "already known";
        goto out;
    }
    snprintf(port_text, sizeof port_text, "%d", port);
    snprintf(bus_text, sizeof bus_text, "%d", bus_port);
    reply = redis_call(r, ASK_MS, "CLUSTER", "MEET", ip, port_text, bus_text, NULL);
    if (member_reply(m, r, reply, pb) == 0)
        result = "meeting";
out:
    arena_release(&arena);
    redis_free(r);
    return result;
}

const char *member_set_epoch(const struct member *m, int64_t epoch, struct problem *pb)
{
    struct redis *r = member_connect(m);
    const char *result = NULL;
    const redisReply *reply;
    char text[24];

    reply = redis_call(r, ASK_MS, "CLUSTER", "INFO", NULL);
    if (member_reply(m, r, reply, pb) < 0)
        goto out;
    if (redis_field_int(redis_text(reply), "cluster_my_epoch", -1) == epoch) {
        result = "already";
        goto out;
    }
    snprintf(text, sizeof text, "%lld", (long long)epoch);
    reply = redis_call(r, ASK_MS, "CLUSTER", "SET-CONFIG-EPOCH", text, NULL);
    if (member_reply(m, r, reply, pb) == 0)
        result = "set";
out:
    redis_free(r);
    return result;
}

/* Takes out of missing what the member owns; -1 when another owns one of them. */
static int slots_subtract(const struct member *m, const struct redis_nodes *nodes, bool *missing,
                          struct problem *pb)
{
    for (size_t i = 0; i < nodes->n; i++) {
        const struct redis_node *n = &nodes->nodes[i];
        bool is_me = redis_node_has_flag(n, "myself");

        for (size_t k = 0; k < n->n_slots; k++)
            for (int slot = n->slots[k].first; slot <= n->slots[k].last; slot++) {
                if (missing[slot] && !is_me) {
                    problem_set(pb, PROBLEM_STORE_ERROR, "slot %d is owned by %.40s, not by %s",
                                slot, n->id, m->id);
                    pb->status = 409;
                    return -1;
                }
                missing[slot] = false;
            }
    }
    return 0;
}

/* Queues CLUSTER ADDSLOTSRANGE for what is missing; the number of slots. */
static int slots_add(struct redis *r, const bool *missing)
{
    const char **argv = xcalloc(2 + REDIS_SLOTS * 2, sizeof *argv);
    char(*text)[12] = xcalloc(REDIS_SLOTS * 2, sizeof *text);
    int argc = 2, n = 0, at = 0;

    argv[0] = "CLUSTER";
    argv[1] = "ADDSLOTSRANGE";
    for (int slot = 0; slot < REDIS_SLOTS; slot++) {
        int last = slot;

        if (!missing[slot])
            continue;
        while (last + 1 < REDIS_SLOTS && missing[last + 1])
            last++;
        snprintf(text[at], sizeof text[at], "%d", slot);
        argv[argc++] = text[at++];
        snprintf(text[at], sizeof text[at], "%d", last);
        argv[argc++] = text[at++];
        n += last - slot + 1;
        slot = last;
    }
    if (n > 0)
        redis_addv(r, argc, argv, NULL);
    free(text);
    free(argv);
    return n;
}

const char *member_add_slots(const struct member *m, const bool *wanted, struct problem *pb)
{
    struct redis *r = member_connect(m);
    bool *missing = xcalloc(REDIS_SLOTS, sizeof *missing);
    struct arena arena = {NULL};
    struct redis_nodes nodes;
    const char *result = NULL;

    memcpy(missing, wanted, REDIS_SLOTS * sizeof *missing);
    if (member_nodes(m, r, &arena, &nodes, pb) < 0 || slots_subtract(m, &nodes, missing, pb) < 0)
        goto out;
    if (slots_add(r, missing) == 0) {
        result = "already";
        goto out;
    }
    redis_exchange(&r, 1, ASK_MS);
    if (member_reply(m, r, redis_reply(r, 0), pb) == 0)
        result = "added";
out:
    arena_release(&arena);
    free(missing);
    redis_free(r);
    return result;
}

/* The primary may just have been met: give the news some time. */
const char *member_replicate(const struct member *m, const char *node_id, struct problem *pb)
{
    struct redis *r = member_connect(m);
    int64_t deadline = time_mono_ms() + UNKNOWN_MS;
    struct arena arena = {NULL};
    struct redis_nodes nodes;
    const char *result = NULL;
    const redisReply *reply;

    if (member_nodes(m, r, &arena, &nodes, pb) < 0)
        goto out;
    if (strcmp(redis_nodes_myself(&nodes)->primary_id, node_id) == 0) {
        result = "already";
        goto out;
    }
    for (;;) {
        reply = redis_call(r, ASK_MS, "CLUSTER", "REPLICATE", node_id, NULL);
        if (!redis_is_error(reply) || !strstr(reply->str, "Unknown node") ||
            time_mono_ms() > deadline)
            break;
        time_sleep_ms(PAUSE_MS);
    }
    if (member_reply(m, r, reply, pb) == 0)
        result = "replicating";
out:
    arena_release(&arena);
    redis_free(r);
    return result;
}

const char *member_forget(const struct member *m, const char *node_id, struct problem *pb)
{
    struct redis *r = member_connect(m);
    const redisReply *reply = redis_call(r, ASK_MS, "CLUSTER", "FORGET", node_id, NULL);
    const char *result = NULL;

    if (redis_is_error(reply) && strstr(reply->str, "Unknown node"))
        result = "already";
    else if (member_reply(m, r, reply, pb) == 0)
        result = "forgotten";
    redis_free(r);
    return result;
}

void member_accept_identity(struct agent *a, const struct member *m)
{
    struct redis *r = member_connect(m);
    const redisReply *reply = redis_call(r, ASK_MS, "CLUSTER", "MYID", NULL);
    struct err err = ERR_INIT;
    struct service *s;

    pthread_mutex_lock(&a->lock);
    s = agent_service(a, m->id);
    if (s && !redis_is_error(reply) && redis_id_is_valid(redis_text(reply)) &&
        strcmp(s->node_id, redis_text(reply)) != 0) {
        memcpy(s->node_id, redis_text(reply), sizeof s->node_id);
        if (services_save(a, &err) < 0)
            agent_log(a, LOG_ERROR, s->id, "%s", err.text);
    }
    pthread_mutex_unlock(&a->lock);
    redis_free(r);
}
