/*
 * The lease of the plan that is changing the store: while it stands, other plans change nothing
 * here. It lives in KVROOT/lease.json and outlives the agent.
 *
 * One node's lease keeps two operators on two machines apart on that node; a plan takes those of
 * all nodes of the store that answer, in one order, so that of two plans one is refused at once.
 */
#pragma once

#include "agent/agent.h"
#include "agent/problem.h"

enum { LEASE_TTL_MIN_MS = 1000, LEASE_TTL_MAX_MS = 3600000 };

/* "owner/plan/epoch", as requests carry it in the header Kvsh-Lease. */
#define LEASE_HEADER "Kvsh-Lease"

struct lease_claim {
    const char *owner;
    int64_t plan, epoch, ttl_ms;
    bool takeover;
    const char *reason; /* of a takeover */
    bool changed;       /* the plan may have changed the store, here or elsewhere */
};

void lease_load(struct agent *a);

/*
 * Takes or renews the lease. PROBLEM_LEASED while another owner's stands, unless it is taken over;
 * also for one that lost it to plans of which one has changed something since. PROBLEM_SUPERSEDED
 * for an attempt of the same plan that is older than the one that has it or had it last. One
 * owner's plans follow each other without waiting: the owner's own lock keeps them apart.
 */
int lease_take(struct agent *a, const struct lease_claim *claim, struct problem *pb);
/* Gives it back; that somebody else has it, or nobody, is no problem. */
int lease_drop(struct agent *a, const struct lease_claim *claim, struct problem *pb);

/* May a request with this header (NULL: none) change something? PROBLEM_LEASED. */
int lease_check(struct agent *a, const char *header, struct problem *pb);

/* {"owner","plan","epoch","sinceMs","expiresMs"}, or null. The lock is held. */
struct json *lease_json(const struct agent *a);
