/* Which services an intent means. */
#include "engines/redis/redis.h"

#include <string.h>

#include "kvsh/buf.h"

static int unknown_service(const struct cluster *c, const char *name, struct err *err)
{
    struct buf known;

    err_set(err, ERR_INPUT, "service \"%s\" does not exist", name);
    buf_init(&known, 400);
    for (size_t i = 0; i < c->n_services; i++) {
        if (c->services[i].kind == KIND_RN)
            buf_addf(&known, "%s%s", known.len ? ", " : "", c->services[i].id);
    }
    if (c->store == NULL)
        err_advise(err, "the journal is empty and nothing is known of the store here: connect "
                        "-host HOST -port PORT takes over what a node knows of it");
    else if (known.len == 0)
        err_advise(err, "the store has no services yet: deploy a topology first");
    else
        err_advise(err, "services of this store: %s%s", known.data, known.overflow ? ", ..." : "");
    buf_release(&known);
    return -1;
}

static int select_named(const struct json *names, const struct cluster *c, struct arena *arena,
                        struct selection *sel, struct err *err)
{
    JSON_FOREACH (item, names) {
        const char *name = json_value_str(item);
        struct service *s = name ? cluster_service(c, name) : NULL;

        if (s == NULL)
            return unknown_service(c, name ? name : "", err);
        if (s->kind != KIND_RN) {
            err_set(err, ERR_INPUT, "%s lives inside the agent of %s and is no process of its own",
                    s->id, s->node);
            return err_advise(err, "start and stop the agent on %s instead", s->node);
        }
        if (!redis_selected(sel, s))
            *ARENA_PUSH(arena, sel->v, sel->n) = s;
    }
    return 0;
}

static int select_zone(const char *zone, const struct cluster *c, struct arena *arena,
                       struct selection *sel, struct err *err)
{
    if (zone != NULL && cluster_zone(c, zone) == NULL)
        return err_set(err, ERR_INPUT, "zone \"%s\" does not exist", zone);
    for (size_t i = 0; i < c->n_services; i++) {
        struct service *s = &c->services[i];
        const struct node *n = cluster_node(c, s->node);
        if (s->kind == KIND_RN &&
            (zone == NULL || (n != NULL && cluster_zone(c, zone) == cluster_zone(c, n->zone))))
            *ARENA_PUSH(arena, sel->v, sel->n) = s;
    }
    return 0;
}

int redis_select(const struct intent *in, const struct cluster *c, struct arena *arena,
                 struct selection *sel, struct err *err)
{
    const char *zone = json_str(in->args, "zone");

    if (json_len(json_get(in->args, "services")) > 0)
        return select_named(json_get(in->args, "services"), c, arena, sel, err);
    if (!json_bool(in->args, "allRns", false) && zone == NULL)
        return err_set(err, ERR_USAGE, "no service is named");
    sel->whole_store = zone == NULL;
    return select_zone(zone, c, arena, sel, err);
}
