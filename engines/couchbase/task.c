/*
 * What a task does, and how to see whether it did. Each type is repeatable: perform() may be called
 * on a cluster where the task, or half of it, has happened already.
 */
#include "engines/couchbase/doing.h"

#include <string.h>

static const struct task_type *find_type(const struct task *t, struct err *err)
{
    static const struct task_type *const tables[] = {cb_rebalance_tasks, cb_member_tasks,
                                                     cb_process_tasks, cb_compact_tasks};

    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        for (const struct task_type *type = tables[i]; type->name != NULL; type++) {
            if (strcmp(type->name, t->type) == 0)
                return type;
        }
    }
    err_set(err, ERR_INTERNAL, "the couchbase engine has no task \"%s\"", t->type);
    return NULL;
}

int cb_perform(struct connection *cn, const struct task *t, struct perform *p, struct err *err)
{
    const struct task_type *type = find_type(t, err);
    struct doing d = {.cn = cn, .t = t, .p = p};
    int rc = type != NULL && cb_look(&d, err) == 0 ? type->perform(&d, err) : -1;

    cluster_release(&d.c);
    return rc;
}

enum settled cb_settled(struct connection *cn, const struct task *t, struct perform *p,
                        struct err *err)
{
    const struct task_type *type = find_type(t, err);
    struct doing d = {.cn = cn, .t = t, .p = p};
    enum settled answer =
        type != NULL && cb_look(&d, err) == 0 ? type->settled(&d, err) : SETTLED_UNKNOWN;

    cluster_release(&d.c);
    return answer;
}
