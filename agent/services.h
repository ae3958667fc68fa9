/*
 * Which store this node belongs to and which services are defined on it: kept in KVROOT/node.json
 * and KVROOT/<store>/snN/config.json, both written atomically, the latter with a generation number.
 *
 * The caller holds the agent's lock, except where stated.
 */
#pragma once

#include "agent/agent.h"
#include "agent/problem.h"

/* Reads what is kept; at start, before anything else runs. No registration is fine. */
int services_load(struct agent *a, struct err *err);
/* Reads config.json of the registered node, if there is one. */
int services_read(struct agent *a, struct err *err);
void services_free(struct agent *a);
/* Writes config.json with the next generation; units do not stand in it. */
int services_save(struct agent *a, struct err *err);

struct registration {
    const char *store, *id, *zone, *secret; /* secret may be NULL */
};
int node_register(struct agent *a, const struct registration *r, struct problem *pb);
int node_unregister(struct agent *a, struct problem *pb);

/* A definition as a request gives it; borrowed. */
struct definition {
    const char *id;
    enum service_kind kind;
    const char *shard, *storage_dir;
    int port, bus_port;
    const struct json *params;
};
/* A service of this definition, not yet the agent's. */
struct service *service_new(const struct definition *d);
/* 1 when it is new, 0 when it was defined like this already. */
int service_define(struct agent *a, const struct definition *d, struct problem *pb);
int service_forget(struct agent *a, const char *id, struct problem *pb);

/* One JSON value from a file of the agent's own. */
struct json *agent_read_json(const char *path, struct err *err);

/* Directory that keeps an admin's copy of the metadata; free() it. */
char *admin_env_dir(const struct agent *a, const char *id);

/* The word for it in files and in the REST interface. */
const char *service_kind_name(enum service_kind kind);

/* Syntax. Pure. */
bool name_is_store(const char *s);
bool name_is_numbered(const char *s,
                      const char *prefix); /* prefix and 1..999999, no leading zero */
bool name_is_rn(const char *s);            /* rgX-rnY */
bool name_is_secret(const char *s);

/* A parameter of a service that may be set, and whether its value may be. Pure; the sentence says
 * what is wrong. */
int param_check(const char *name, const char *value, struct problem *pb);
