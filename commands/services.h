/* The options by which plan start-service and stop-service name services, and the intent made of
 * them. */
#pragma once

#include "commands/plan_common.h"

struct service_opts {
    struct words services;
    bool all_rns;
    const char *zn, *znname;
    struct plan_opts plan;
};

extern const struct opt service_options[];

int services_submit(struct session *s, enum verb verb, const struct service_opts *o,
                    struct out *out, struct err *err);
