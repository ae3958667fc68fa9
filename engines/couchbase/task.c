/* The types of tasks of this engine. */
#include "engines/couchbase/doing.h"

static const struct task_type *const tables[] = {cb_rebalance_tasks, cb_member_tasks,
                                                 cb_process_tasks, cb_compact_tasks};
static const struct task_types types = {"couchbase", cb_look, tables,
                                        sizeof tables / sizeof *tables};

int cb_perform(struct connection *cn, const struct task *t, struct perform *p, struct err *err)
{
    return task_types_perform(&types, &(struct doing){.cn = cn, .t = t, .p = p}, err);
}

enum settled cb_settled(struct connection *cn, const struct task *t, struct perform *p,
                        struct err *err)
{
    return task_types_settled(&types, &(struct doing){.cn = cn, .t = t, .p = p}, err);
}
