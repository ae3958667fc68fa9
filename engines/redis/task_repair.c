/* Tasks that take things away: data that is copied anew, definitions and members nobody needs. */
#include "engines/redis/doing.h"

#include <stdio.h>
#include <string.h>

/* --- wipe --- */

static int check_wipe(struct doing *d, const struct service *s, const struct service *master,
                      struct err *err)
{
    if (s->status == STATUS_RUNNING || s->status == STATUS_STARTING)
        return err_set(err, ERR_FAILED, "%s runs again and is not wiped", s->id);
    if (master == NULL || master == s || !redis_owns_slots(master)) {
        err_set(err, ERR_FAILED,
                "%s is not wiped: no other service serves %s now, it may be the only good copy",
                s->id, s->shard);
        return err_advise(err, "'plan recover' another service of %s first, then 'plan execute'",
                          s->shard);
    }
    if (redis_dir_is_bad(&d->c, master) && !d->p->force) {
        err_set(err, ERR_FAILED,
                "%s is not wiped: %s serves %s, but its storage directory %s is %s", s->id,
                master->id, s->shard, master->storage_dir, redis_dir_state(&d->c, master));
        return err_advise(err, "'plan recover -service %s' first", master->id);
    }
    return 0;
}

static int do_wipe(struct doing *d, struct err *err)
{
    struct node *n;
    struct service *s = doing_target(d, d->t->target, &n, err);
    const struct service *master = s ? cluster_master(&d->c, s->shard) : NULL;
    struct json *body;

    if (s == NULL || check_wipe(d, s, master, err) != 0)
        return -1;
    body = json_object();
    json_set_str(body, "keeper", json_str(redis_live(master), "nodeId"));
    json_set_bool(body, "identity", json_bool(d->t->args, "identity", false));
    return doing_act_and_follow(d, s, "wipe", body, err);
}

/* To empty what is empty is harmless, and what runs again is refused. */
static enum settled repeat(struct doing *d, struct err *err)
{
    (void)d;
    (void)err;
    return SETTLED_NO;
}

const struct task_type redis_repair_tasks[] = {
    {"wipe", do_wipe, repeat},
    {NULL, NULL, NULL},
};
