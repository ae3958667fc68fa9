#include "commands/plan_common.h"

/* plan wait: follows a plan that somebody started. */
struct opts {
    struct plan_ref plan;
    int64_t seconds;
};

static const struct opt options[] = {
    PLAN_REF(struct opts, plan),
    OPT_SECONDS(struct opts, seconds, "seconds", "stop waiting after so long; the plan goes on",
                .min = 0, .max = 31536000),
    OPT_END,
};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    int64_t id = plan_resolve(s, &o->plan, err);

    if (id == 0)
        return -1;
    return plan_follow(s, id, o->seconds, out, err);
}

static const char *const examples[] = {"plan wait -id 9", "plan wait -last -seconds 60", NULL};

const struct cmd cmd_plan_wait = {
    .name = "plan wait",
    .summary = "wait until a plan has ended",
    .description =
        "Ends with the status the plan ends with: 0 only when it succeeded. Ctrl-C stops "
        "the waiting, not the plan; a second one within two seconds interrupts the plan.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
