#include "commands/plan_resume.h"

/* plan retry: once more what failed. */
struct opts {
    struct plan_ref ref;
    bool failed_only;
    struct plan_opts plan;
};

static const struct opt options[] = {
    PLAN_REF(struct opts, ref),
    OPT_FLAG(struct opts, failed_only, "failed-only",
             "only the tasks that failed or whose outcome is unknown; what was not begun stays so"),
    RESUME_OPTIONS(struct opts, plan),
    OPT_END,
};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    const struct resume r = {
        .ref = &o->ref, .opts = &o->plan, .retry = true, .failed_only = o->failed_only};

    return plan_resume(s, &r, out, err);
}

static const char *const examples[] = {"plan retry -id 9 -failed-only -wait", "plan retry -last",
                                       NULL};

const struct cmd cmd_plan_retry = {
    .name = "plan retry",
    .summary = "try again what failed in a plan",
    .description =
        "With -failed-only just the tasks that failed are tried again, where a wave ended partly: "
        "the rest of the plan is left for plan execute, and the plan is INTERRUPTED (exit status "
        "5) when something is left. Without it, the plan then goes on to its end as by plan "
        "execute. A task whose outcome is unknown is looked at first and repeated only when it did "
        "not take effect.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
