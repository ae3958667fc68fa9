/* Tables that several commands return. */
#pragma once

#include "kvsh/cluster.h"
#include "kvsh/finding.h"
#include "kvsh/out.h"
#include "kvsh/plan.h"

/* The outcome of a plan command: plan_tables is what each of them declares. */
extern const struct out_table table_plan_created; /* -noexecute */
extern const struct out_table table_plan_started;
extern const struct out_table table_plan_waiting;
extern const struct out_table *const plan_tables[];

/* Rows of show plans; of the tasks of a plan. */
extern const struct out_table table_plans;
extern const struct out_table table_preview, table_preview_tasks, table_preview_findings;
extern const struct out_table table_explain; /* explain.h */

/* How the plan stands, with the tasks that failed. */
void out_plan_ended(struct out *out, const struct plan *p);
void out_plan_row(struct out *out, const struct plan *p);
/* The plan as it would be: tasks in waves, and what was found on the way. */
void out_preview(struct out *out, const struct plan *p, const struct findings *f);
/* A row of table_preview_findings. */
void out_finding(struct out *out, const struct finding *one);

/* Findings as notes beside the result; the one that err refuses by is left to err. */
void out_finding_notes(struct out *out, const struct findings *f, const struct err *err);
