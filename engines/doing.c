#include "engines/doing.h"

#include <string.h>

static const struct task_type *find_type(const struct task_types *types, const struct task *t,
                                         struct err *err)
{
    for (size_t i = 0; i < types->n; i++) {
        for (const struct task_type *type = types->tables[i]; type->name != NULL; type++) {
            if (strcmp(type->name, t->type) == 0)
                return type;
        }
    }
    err_set(err, ERR_INTERNAL, "the %s engine has no task \"%s\"", types->engine, t->type);
    return NULL;
}

int task_types_perform(const struct task_types *types, struct doing *d, struct err *err)
{
    const struct task_type *type = find_type(types, d->t, err);
    int rc = type != NULL && types->look(d, err) == 0 ? type->perform(d, err) : -1;

    cluster_release(&d->c);
    return rc;
}

enum settled task_types_settled(const struct task_types *types, struct doing *d, struct err *err)
{
    const struct task_type *type = find_type(types, d->t, err);
    enum settled answer =
        type != NULL && types->look(d, err) == 0 ? type->settled(d, err) : SETTLED_UNKNOWN;

    cluster_release(&d->c);
    return answer;
}
