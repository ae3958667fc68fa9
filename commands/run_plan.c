#include "cli/lexer.h"
#include "commands/session.h"
#include "kvsh/run.h"

/* run-plan: the runner of a plan; started by the program itself with the locks in its hands. */
struct opts {
    int64_t id, lock_fd, ready_fd;
    bool failed_only;
    const char *takeover;
    int64_t lock_wait_ms;
};

static const struct opt options[] = {
    OPT_INT(struct opts, id, "id", "number of the plan", .min = 1, .max = INT64_MAX,
            .flags = OPT_REQUIRED),
    OPT_INT(struct opts, lock_fd, "lock-fd", "descriptor that holds the locks", .min = 3,
            .max = 65535, .flags = OPT_REQUIRED),
    OPT_INT(struct opts, ready_fd, "ready-fd", "descriptor to tell the starter on", .min = 3,
            .max = 65535, .flags = OPT_REQUIRED),
    OPT_FLAG(struct opts, failed_only, "failed-only", "only the tasks that failed"),
    OPT_STR(struct opts, takeover, "takeover", "why the store's lease is taken from somebody else",
            .value = "TEXT"),
    OPT_SECONDS(struct opts, lock_wait_ms, "lock-wait", "wait so long for the store's lease",
                .min = 0, .max = 86400),
    OPT_END,
};

static int execute(struct session *s, const struct opts *o, struct err *err)
{
    struct executor x = {.plan_id = o->id,
                         .ready_fd = (int)o->ready_fd,
                         .failed_only = o->failed_only,
                         .takeover = o->takeover,
                         .lock_wait_ms = o->lock_wait_ms};

    x.journal = session_journal(s, err);
    x.engine = x.journal ? session_engine(s, err) : NULL;
    x.endpoint = x.engine ? session_endpoint(s, err) : NULL;
    return x.endpoint ? executor_run(&x, err) : -1;
}

/* Runs the configured command, its line split as the shell's lines are. */
static void notify(struct session *s, int64_t id)
{
    struct err err = ERR_INIT;
    const struct store_settings *store = session_store(s, &err);
    struct journal *j = store ? session_journal(s, &err) : NULL;
    struct arena a = {0};
    struct line line = {0};
    const char **argv = NULL;
    size_t at, n = 0;

    if (j == NULL || store->notify_command == NULL)
        return;
    if (line_parse(&line, store->notify_command, &a, &at, &err) != 0 || line.n != 1) {
        const struct event ev = {.severity = "warning",
                                 .plan_id = id,
                                 .kind = "notify",
                                 .subject = "notify-command",
                                 .text = "notify-command of the configuration is not one command"};
        journal_event(j, &ev, &err);
    } else {
        argv = arena_alloc(&a, (line.commands[0].n + 1) * sizeof *argv);
        for (; n < line.commands[0].n; n++)
            argv[n] = line.commands[0].words[n].text;
        plan_notify(j, &(struct notify){.argv = argv, .store = store->name, .plan_id = id});
    }
    arena_release(&a);
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct plan_lock lock = {.fd = -1};
    int rc;

    (void)out;
    if (runner_adopt(&lock, (int)o->lock_fd, (int)o->ready_fd, o->id, err) != 0)
        return -1;
    rc = execute(s, o, err);
    runner_report((int)o->ready_fd, err);
    lock_release(&lock); /* nobody has to wait for a slow notification */
    if (rc == 0)
        notify(s, o->id);
    return rc;
}

const struct cmd cmd_run_plan = {
    .name = "run-plan",
    .summary = "carry out a plan in this process",
    .description = "Started by plan commands, detached from the terminal, with the kernel locks of "
                   "the plan and the store already held. Not for use by hand: plan execute is.",
    .options = options,
    .options_size = sizeof(struct opts),
    .needs = CMD_HIDDEN,
    .run = run,
};
