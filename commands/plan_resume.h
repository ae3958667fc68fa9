/* Starting a plan that exists: plan execute, plan retry. */
#pragma once

#include "commands/plan_common.h"

/* Of struct plan_opts, what makes sense for a plan that exists. */
extern const struct opt resume_options[];
#define RESUME_OPTIONS(S, m) OPT_GROUP(S, m, struct plan_opts, resume_options)

struct resume {
    const struct plan_ref *ref;
    const struct plan_opts *opts;
    bool retry;       /* it must have been started before */
    bool failed_only; /* and have failed tasks */
};
/* Checks that the plan may run and still fits the store, starts it, waits when asked. */
int plan_resume(struct session *s, const struct resume *r, struct out *out, struct err *err);
