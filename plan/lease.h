/*
 * The lease of a plan that changes the store, kept while its runner lives: taken before the plan
 * is RUNNING, renewed by a thread with a connection of its own, given back at the end. A runner
 * that dies leaves it to run out; one that resumes the plan has the same owner and need not wait.
 */
#pragma once

#include "kvsh/engine.h"

struct lease_keeper;

struct lease_wish {
    const struct engine *engine;
    const struct endpoint *endpoint;
    const struct json *docs;
    const char *owner;
    int64_t plan_id, epoch;
    int64_t wait_ms;      /* how long another one's lease is waited for */
    const char *takeover; /* the reason, or NULL */
    int ttl_ms;           /* 0: 30 s */
    /* Told once, before the first wait, who is in the way. NULL: nobody minds. */
    void (*waits)(void *arg, const struct err *why);
    void *arg;
};

/* NULL with the refusal (ERR_LOCKED; ERR_STALE, which is not waited for), or when nobody could be
 * asked. */
struct lease_keeper *lease_begin(const struct lease_wish *w, struct err *err);
/* From now on the nodes of these documents. */
void lease_docs(struct lease_keeper *k, const struct json *docs);
/*
 * Has somebody else got it meanwhile? Then *err says who. What the nodes last said may be age_ms
 * milliseconds old, never older than the lease is long: else they are asked first, within the
 * store's time-outs.
 */
bool lease_lost(struct lease_keeper *k, int64_t age_ms, struct err *err);
/* Gives it back. NULL is fine. */
void lease_end(struct lease_keeper *k);

/* "owner/plan/epoch", as the plan's requests carry it; valid as long as the keeper. */
const char *lease_header(const struct lease_keeper *k);
