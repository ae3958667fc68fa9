#include "commands/services.h"

#include "commands/edit.h"

const struct opt service_options[] = {
    OPT_LIST(struct service_opts, services, "service", "a service; may be given several times",
             .value = "ID", .flags = OPT_REQUIRED, .complete = COMPLETE_SERVICE, .one_of = 1),
    OPT_FLAG(struct service_opts, all_rns, "all-rns", "all replication nodes",
             .flags = OPT_REQUIRED, .one_of = 1),
    OPT_STR(struct service_opts, zn, "zn", "with -all-rns: only those in this zone", .value = "ID",
            .complete = COMPLETE_ZONE_ID, .one_of = 2),
    OPT_STR(struct service_opts, znname, "znname",
            "with -all-rns: only those in the zone of this name", .complete = COMPLETE_ZONE_NAME,
            .one_of = 2),
    PLAN_OPTIONS(struct service_opts, plan),
    OPT_END,
};

/* The zone of -all-rns, or nothing. */
static int add_zone(struct session *s, const struct service_opts *o, struct json *args,
                    struct err *err)
{
    struct cluster c = {0};
    const struct zone *zone = NULL;
    int rc = -1;

    if (o->zn == NULL && o->znname == NULL)
        return 0;
    if (!o->all_rns)
        return err_set(err, ERR_USAGE, "-zn and -znname go with -all-rns");
    if (session_declared(s, &c, err) == 0 &&
        (zone = zone_option(&c, o->zn, o->znname, err)) != NULL) {
        json_set_str(args, "zone", zone->id);
        rc = 0;
    }
    cluster_release(&c);
    return rc;
}

int services_args(struct session *s, const struct service_opts *o, struct json *args,
                  struct err *err)
{
    struct json *list;

    if (o->all_rns)
        json_set_bool(args, "allRns", true);
    if (o->services.n > 0) {
        list = json_array();
        for (size_t i = 0; i < o->services.n; i++)
            json_push_str(list, o->services.v[i]);
        json_set(args, "services", list);
    }
    return add_zone(s, o, args, err);
}

int services_submit(struct session *s, enum verb verb, const struct service_opts *o,
                    struct out *out, struct err *err)
{
    struct json *args = json_object();

    if (services_args(s, o, args, err) != 0) {
        json_free(args);
        return -1;
    }
    return plan_submit(s, &(struct plan_request){verb, args, &o->plan}, out, err);
}
