/* The routes of the REST interface: one table, one dispatcher. */
#pragma once

#include "agent/request.h"

struct route {
    const char *method;
    const char *pattern; /* "/v1/services/{id}/start" */
    int (*run)(struct agent *a, const struct request *rq, struct reply *rp, struct problem *pb);
    size_t body_limit;    /* 0: no body is taken */
    bool is_open;         /* needs no authentication */
    bool ignores_lease;   /* changes nothing that a plan's lease protects */
    const char *query[4]; /* names of the arguments it takes, then NULL */
};

/*
 * The route for method and path; param receives what stands for {id}. HEAD goes where GET goes.
 * NULL: PROBLEM_NOT_FOUND, or PROBLEM_METHOD_NOT_ALLOWED with the allowed methods in allow. Pure.
 */
const struct route *route_find(const char *method, const char *path, char param[PARAM_MAX],
                               char allow[64], struct problem *pb);

/* Checks query and body, runs the handler, and makes a reply in any case. */
void route_run(struct agent *a, const struct route *route, const struct request *rq,
               struct reply *rp);
void reply_problem(struct reply *rp, const struct problem *pb);

/* For the test of the OpenAPI document. */
const struct route *route_at(size_t i); /* NULL behind the last */
