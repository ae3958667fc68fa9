/* Hash slots of a member: whose they are, what is in them, and moving what is in them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/mem.h"

#include "agent/member.h"

enum { ASK_MS = 3000, MOVE_MS = 20000, KEYS = 100 };

static int64_t integer_of(const redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
}

static int count_slot(const struct member *m, struct redis *r, int slot, int64_t *keys,
                      struct problem *pb)
{
    char text[8];
    const redisReply *reply;

    snprintf(text, sizeof text, "%d", slot);
    reply = redis_call(r, ASK_MS, "CLUSTER", "COUNTKEYSINSLOT", text, NULL);
    *keys = integer_of(reply);
    return member_reply(m, r, reply, pb);
}

/* To give a slot away deletes what is left in it here. */
static int check_empty(const struct member *m, struct redis *r, const struct slot_order *o,
                       struct problem *pb)
{
    struct arena arena = {NULL};
    struct redis_nodes nodes;
    int64_t keys = 0;
    int rc = member_nodes(m, r, &arena, &nodes, pb);

    if (rc == 0 && strcmp(redis_nodes_myself(&nodes)->id, o->node_id) != 0)
        rc = count_slot(m, r, o->slot, &keys, pb);
    if (rc == 0 && keys != 0)
        rc = problem_set(pb, PROBLEM_DIFFERS,
                         "hash slot %d is not given to %.8s: %s still holds %lld of its keys",
                         o->slot, o->node_id, m->id, (long long)keys);
    arena_release(&arena);
    return rc;
}

int member_set_slot(const struct member *m, const struct slot_order *o, struct problem *pb)
{
    struct redis *r = member_connect(m);
    const redisReply *reply;
    char slot[8], word[16];
    int rc = 0;

    snprintf(slot, sizeof slot, "%d", o->slot);
    snprintf(word, sizeof word, "%s", o->state);
    for (char *p = word; *p; p++)
        *p = (char)(*p - ('a' - 'A'));
    if (strcmp(o->state, "node") == 0)
        rc = check_empty(m, r, o, pb);
    if (rc == 0) {
        if (strcmp(o->state, "stable") == 0)
            reply = redis_call(r, ASK_MS, "CLUSTER", "SETSLOT", slot, word, NULL);
        else
            reply = redis_call(r, ASK_MS, "CLUSTER", "SETSLOT", slot, word, o->node_id, NULL);
        rc = member_reply(m, r, reply, pb);
    }
    redis_free(r);
    return rc;
}

/* Queues MIGRATE of the keys in the reply; the password goes with it. */
static void migrate(const struct member *m, struct redis *r, const redisReply *keys,
                    const struct key_move *k)
{
    enum { HEAD = 10 };
    const char **argv = xcalloc(HEAD + keys->elements, sizeof *argv);
    size_t *lens = xcalloc(HEAD + keys->elements, sizeof *lens), n = 0;
    char port[8];

    snprintf(port, sizeof port, "%d", k->port);
    argv[n++] = "MIGRATE";
    argv[n++] = k->ip;
    argv[n++] = port;
    argv[n++] = "";
    argv[n++] = "0";
    argv[n++] = "15000";
    if (!k->keep && !k->drop)
        argv[n++] = "REPLACE";
    argv[n++] = "AUTH";
    argv[n++] = m->secret;
    argv[n++] = "KEYS";
    for (size_t i = 0; i < n; i++)
        lens[i] = strlen(argv[i]);
    for (size_t i = 0; i < keys->elements; i++, n++) {
        argv[n] = keys->element[i]->str;
        lens[n] = keys->element[i]->len;
    }
    redis_addv(r, (int)n, argv, lens);
    free(argv);
    free(lens);
}

/* Removes here those keys that are at the target already. */
static int drop_known(const struct member *m, const redisReply *keys, struct key_move *k,
                      struct problem *pb)
{
    struct redis *target = redis_new(k->ip, k->port, m->secret), *here = member_connect(m);
    int64_t wanted = 0;
    int rc = 0;

    for (size_t i = 0; i < keys->elements; i++)
        redis_addv(target, 2, (const char *[]){"EXISTS", keys->element[i]->str},
                   (size_t[]){6, keys->element[i]->len});
    redis_exchange(&target, 1, ASK_MS);
    for (size_t i = 0; i < keys->elements && rc == 0; i++) {
        const redisReply *reply = redis_reply(target, i);
        rc = member_reply(m, target, reply, pb);
        if (rc < 0 || integer_of(reply) != 1)
            continue;
        /* The slot is importing here: what is in it is only for those who ask so. */
        redis_add(here, "ASKING", NULL);
        redis_addv(here, 2, (const char *[]){"DEL", keys->element[i]->str},
                   (size_t[]){3, keys->element[i]->len});
        wanted++;
    }
    if (rc == 0 && wanted > 0)
        redis_exchange(&here, 1, ASK_MS);
    for (int64_t i = 0; i < wanted && rc == 0; i++) {
        const redisReply *reply = redis_reply(here, (size_t)i * 2 + 1);
        rc = member_reply(m, here, reply, pb);
        k->dropped += rc == 0 ? integer_of(reply) : 0;
    }
    redis_free(here);
    redis_free(target);
    return rc;
}

/* One batch of keys; a key the target has already may be an error, as told in k. */
static int move_batch(const struct member *m, const redisReply *keys, struct key_move *k,
                      struct problem *pb)
{
    struct redis *w = member_connect(m);
    const redisReply *reply;
    int rc;

    k->moved = (int64_t)keys->elements;
    migrate(m, w, keys, k);
    redis_exchange(&w, 1, MOVE_MS);
    reply = redis_reply(w, 0);
    if (k->drop && redis_is_error(reply) && strstr(reply->str, "BUSYKEY") != NULL) {
        rc = drop_known(m, keys, k, pb);
        k->moved -= k->dropped;
    } else {
        rc = member_reply(m, w, reply, pb);
    }
    redis_free(w);
    return rc;
}

int member_move_keys(const struct member *m, struct key_move *k, struct problem *pb)
{
    struct redis *r = member_connect(m);
    char text[8], limit[8];
    const redisReply *keys;
    int rc;

    snprintf(text, sizeof text, "%d", k->slot);
    snprintf(limit, sizeof limit, "%d", KEYS);
    keys = redis_call(r, ASK_MS, "CLUSTER", "GETKEYSINSLOT", text, limit, NULL);
    rc = member_reply(m, r, keys, pb);
    if (rc == 0 && keys->type == REDIS_REPLY_ARRAY && keys->elements > 0)
        rc = move_batch(m, keys, k, pb);
    if (rc == 0)
        rc = count_slot(m, r, k->slot, &k->left, pb);
    redis_free(r);
    return rc;
}

/* Marks in foreign what the member does not own. */
static int foreign_slots(const struct member *m, struct redis *r, bool *foreign, struct problem *pb)
{
    struct arena arena = {NULL};
    struct redis_nodes nodes;
    const struct redis_node *me;
    int rc = member_nodes(m, r, &arena, &nodes, pb);

    for (int slot = 0; slot < REDIS_SLOTS; slot++)
        foreign[slot] = true;
    me = rc == 0 ? redis_nodes_myself(&nodes) : NULL;
    for (size_t i = 0; me && i < me->n_slots; i++)
        for (int slot = me->slots[i].first; slot <= me->slots[i].last; slot++)
            foreign[slot] = false;
    arena_release(&arena);
    return rc;
}

int member_count_keys(const struct member *m, const bool *wanted, struct json *list,
                      struct problem *pb)
{
    struct redis *r = member_connect(m);
    bool *slots = xcalloc(REDIS_SLOTS, sizeof *slots);
    char text[8];
    size_t asked = 0;
    int rc = 0;

    if (wanted)
        memcpy(slots, wanted, REDIS_SLOTS * sizeof *slots);
    else
        rc = foreign_slots(m, r, slots, pb);
    for (int slot = 0; rc == 0 && slot < REDIS_SLOTS; slot++) {
        if (!slots[slot])
            continue;
        snprintf(text, sizeof text, "%d", slot);
        redis_add(r, "CLUSTER", "COUNTKEYSINSLOT", text, NULL);
        asked++;
    }
    if (asked > 0)
        redis_exchange(&r, 1, ASK_MS * 2);
    asked = 0;
    for (int slot = 0; rc == 0 && slot < REDIS_SLOTS; slot++) {
        const redisReply *reply;
        struct json *j;

        if (!slots[slot])
            continue;
        reply = redis_reply(r, asked++);
        rc = member_reply(m, r, reply, pb);
        if (rc < 0 || integer_of(reply) <= 0)
            continue;
        j = json_object();
        json_set_int(j, "slot", slot);
        json_set_int(j, "keys", integer_of(reply));
        json_push(list, j);
    }
    free(slots);
    redis_free(r);
    return rc;
}
