#include "commands/plan_resume.h"

/* plan execute: starts a plan made with -noexecute, or goes on with one that stopped. */
struct opts {
    struct plan_ref ref;
    struct plan_opts plan;
};

static const struct opt options[] = {
    PLAN_REF(struct opts, ref),
    RESUME_OPTIONS(struct opts, plan),
    OPT_END,
};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;

    return plan_resume(s, &(struct resume){.ref = &o->ref, .opts = &o->plan}, out, err);
}

static const char *const examples[] = {"plan execute -id 10 -wait", "plan execute -last", NULL};

const struct cmd cmd_plan_execute = {
    .name = "plan execute",
    .summary = "start or resume a plan",
    .description =
        "Starts a plan made with -noexecute, or goes on with one that ended in ERROR or was "
        "interrupted, from the first task that is not done. A task whose outcome is unknown is "
        "looked at first and repeated only when it did not take effect.\n\n"
        "A plan made with -noexecute is refused (exit status 7) when the store has changed since; "
        "the refusal names what changed.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
