/* The options by which plans name services (start-service, stop-service, restart-service,
 * verify-data), and the intent made of them. */
#pragma once

#include "commands/plan_common.h"

struct service_opts {
    struct words services;
    bool all_rns;
    const char *zn, *znname;
    struct plan_opts plan;
};

extern const struct opt service_options[];

/* Puts the services into args. */
int services_args(struct session *s, const struct service_opts *o, struct json *args,
                  struct err *err);
int services_submit(struct session *s, enum verb verb, const struct service_opts *o,
                    struct out *out, struct err *err);
