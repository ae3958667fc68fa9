#include "commands/session.h"

/* show tasks: what the store itself is doing, whoever began it. */
static const struct out_col cols[] = {
    {"kind", "TASK", OUT_STR, "what it is"},
    {"resourceId", "RESOURCE", OUT_STR, "node or bucket it is about"},
    {"state", "STATE", OUT_STATE, "RUNNING, or WAITING"},
    {"percent", "PROGRESS", OUT_PERCENT, "how far it is"},
    {"detail", "DETAIL", OUT_STR, "what moves, or how it ended"},
    {"taskId", "ID", OUT_STR, "by which the store knows it"},
    {0},
};
static const struct out_table table = {
    .key = "tasks", .cols = cols, .empty = "The store tells of no tasks."};
static const struct out_table *const tables[] = {&table, NULL};

static int run(struct session *s, const void *options, struct out *out, struct err *err)
{
    struct cluster c = {0};
    int rc = session_observe(s, &c, err);

    (void)options;
    for (size_t i = 0; rc == 0 && i < c.n_activities; i++) {
        const struct activity *a = &c.activities[i];
        struct out_row *row = out_row(out, &table);
        out_str(row, "kind", a->kind);
        out_str(row, "resourceId", a->subject);
        out_str(row, "state", a->running ? "RUNNING" : "WAITING");
        if (a->percent >= 0)
            out_int(row, "percent", a->percent > 100 ? 100 : a->percent);
        out_str(row, "detail", a->detail);
        out_str(row, "taskId", a->id);
    }
    cluster_release(&c);
    return rc;
}

static const char *const examples[] = {"show tasks", "show tasks -json", NULL};

const struct cmd cmd_show_tasks = {
    .name = "show tasks",
    .summary = "show what the store itself is doing",
    .description = "Rebalances and failovers with the progress of each node, compactions, retries "
                   "that are pending; also those that others began.",
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
