/* The types of tasks of this engine. */
#include "engines/redis/doing.h"

static const struct task_type *const tables[] = {redis_form_tasks, redis_life_tasks,
                                                 redis_repair_tasks, redis_slot_tasks};
static const struct task_types types = {"redis", doing_look, tables,
                                        sizeof tables / sizeof *tables};

int redis_perform(struct connection *cn, const struct task *t, struct perform *p, struct err *err)
{
    return task_types_perform(&types, &(struct doing){.cn = cn, .t = t, .p = p}, err);
}

enum settled redis_settled(struct connection *cn, const struct task *t, struct perform *p,
                           struct err *err)
{
    return task_types_settled(&types, &(struct doing){.cn = cn, .t = t, .p = p}, err);
}
