/* One plan in full: show plan -id N, show plans -id N. */
#pragma once

#include "commands/session.h"
#include "kvsh/out.h"

extern const struct out_table table_plan, table_plan_attempt_error;
extern const struct out_table table_failed_tasks, table_unfinished_tasks, table_not_started,
    table_all_tasks;

/* Under -verbose with the tasks that went well, too. */
int show_plan(struct session *s, int64_t id, struct out *out, struct err *err);
