/* One plan in full: show plan -id N, show plans -id N. */
#pragma once

#include "commands/session.h"
#include "kvsh/out.h"
#include "kvsh/plan.h"

extern const struct out_table table_plan, table_plan_attempt_error;
extern const struct out_table table_failed_tasks, table_unfinished_tasks, table_not_started,
    table_all_tasks;

struct task_rows {
    struct out *out;
    const struct plan *plan;
    bool all; /* -verbose */
};
/* The tasks in these states (bits of enum task_state): each table shows its own. The heading stands
 * before the first. */
void out_plan_tasks(const struct task_rows *rows, const struct out_table *table, unsigned states,
                    const char *heading);

/* Under -verbose with the tasks that went well, too. */
int show_plan(struct session *s, int64_t id, struct out *out, struct err *err);
