/*
 * Changes of the declared store that are not plans: pools, topology candidates, policy. Under the
 * store's lock the documents are read, checked by the command, and changed in one transaction with
 * an event.
 */
#pragma once

#include "commands/session.h"
#include "kvsh/run.h"

struct edit {
    struct session *session;
    struct journal *journal;
    struct plan_lock lock;
    struct cluster cluster; /* as declared */
    struct json *effects;   /* to be filled (meta.h) */
};

/* Takes the lock and reads what is declared. End with edit_end() in every case. */
int edit_begin(struct edit *e, struct session *s, struct err *err);
/* Applies the effects, writes the event (text says what was done), gives the admins their copies (a
 * failure of that is a note). */
int edit_commit(struct edit *e, const char *subject, const char *text, struct out *out,
                struct err *err);
void edit_end(struct edit *e);

/* ERR_INPUT sentences shared by several commands; the advice lists what there is. Both return -1.
 */
int no_such_zone(const struct cluster *c, const char *name, struct err *err);
int no_such_node(const struct cluster *c, const char *id, struct err *err);
int no_such_pool(const struct cluster *c, const char *name, struct err *err);
int no_such_topology(const struct cluster *c, const char *name, struct err *err);

/* The zone named by -zn (id, or its number) or -znname, of which exactly one is given. NULL with a
 * reason. */
const struct zone *zone_option(const struct cluster *c, const char *id, const char *name,
                               struct err *err);
