/*
 * What the files of the journal share. Functions called put_ and move_ work inside a transaction
 * that the caller has begun; nothing is durable, and no memory may change, before journal_end() has
 * answered 0.
 */
#pragma once

#include "kvsh/db.h"
#include "kvsh/journal.h"

struct journal {
    struct db *db;
    char *dir;
    char *who; /* user@host of this process: the author of events */
    bool is_copy;
    struct err why; /* it is one */
};

extern const struct db_schema journal_schema;

int journal_begin(struct journal *j, struct err *err);
/* The same for what a copy must not seem to keep: plans, documents, their history. */
int journal_begin_change(struct journal *j, struct err *err);
/* Refuses, with the reason, when the journal is a copy. */
int journal_check_kept(const struct journal *j, struct err *err);
/* Commits when rc is 0; else rolls back and leaves *err as it is. Returns 0 or -1. */
int journal_end(struct journal *j, int rc, struct err *err);

/* seq: the node's own number of what its watch saw; 0: none. */
int put_event(struct journal *j, const struct event *ev, int64_t seq, struct err *err);
int put_effects(struct journal *j, const struct json *effects, int64_t plan_id, struct err *err);

/* journal_plan_move() inside a transaction. */
int move_plan(struct journal *j, int64_t id, enum plan_state to, const struct move *m,
              struct err *err);

/* A plan that claims to be at work while the caller holds its lock has lost its runner: makes it
 * INTERRUPTED. */
int journal_orphan(struct journal *j, int64_t plan_id, struct err *err);

/* Binds JSON as text; NULL binds NULL. */
void bind_json(struct db_stmt *st, const char *name, const struct json *value);
