#include <string.h>

#include "commands/edit.h"
#include "commands/plan_common.h"

/* plan failover: another copy becomes primary, of one shard or of all shards of a lost zone. */
struct opts {
    struct words services, zn, znname, types;
    const char *mode;
    bool unsafe;
    struct plan_opts plan;
};

static const char *const modes[] = {"graceful", "hard", NULL};

static const struct opt options[] = {
    OPT_LIST(struct opts, services, "service",
             "redis: the service that takes over; couchbase: the node that is taken "
             "out; may be repeated",
             .value = "ID", .flags = OPT_REQUIRED, .complete = COMPLETE_SERVICE, .one_of = 1),
    OPT_LIST(struct opts, zn, "zn", "a zone, followed by -type; may be repeated", .value = "ID",
             .flags = OPT_REQUIRED, .complete = COMPLETE_ZONE_ID, .one_of = 1),
    OPT_LIST(struct opts, znname, "znname",
             "the same by its name; the pair -znname -type may be repeated", .flags = OPT_REQUIRED,
             .complete = COMPLETE_ZONE_NAME, .one_of = 1),
    OPT_LIST(struct opts, types, "type", "primary, or offline-secondary for a zone that is lost",
             .value = "TYPE"),
    OPT_CHOICE(struct opts, mode, "mode",
               "with -service: graceful (default) loses nothing, hard "
               "is for a primary that is gone",
               .choices = modes),
    OPT_FLAG(struct opts, unsafe, "unsafe",
             "couchbase: although the cluster manager has no majority"),
    PLAN_OPTIONS(struct opts, plan),
    OPT_END,
};

static int check_types(const struct opts *o, size_t zones, struct err *err)
{
    if (zones > 0 && o->mode != NULL)
        return err_set(err, ERR_USAGE, "-mode goes with -service");
    if (o->types.n != zones) {
        err_set(err, ERR_USAGE, "%zu zones but %zu types are given", zones, o->types.n);
        return err_advise(err, "each -znname needs its -type, and -type goes with zones only");
    }
    for (size_t i = 0; i < o->types.n; i++) {
        if (strcmp(o->types.v[i], "primary") != 0 &&
            strcmp(o->types.v[i], "offline-secondary") != 0)
            return err_set(err, ERR_USAGE, "\"%s\" is no -type: it is primary or offline-secondary",
                           o->types.v[i]);
    }
    return 0;
}

/* The pairs of zone and type, zones by their ids. */
static int add_zones(struct session *s, const struct opts *o, struct json *args, struct err *err)
{
    bool by_name = o->znname.n > 0;
    const struct words *names = by_name ? &o->znname : &o->zn;
    struct json *list = json_array();
    struct cluster c = {0};
    int rc = session_declared(s, &c, err);

    json_set(args, "zones", list);
    for (size_t i = 0; rc == 0 && i < names->n; i++) {
        const struct zone *z =
            zone_option(&c, by_name ? NULL : names->v[i], by_name ? names->v[i] : NULL, err);
        struct json *pair;
        if (z == NULL) {
            rc = -1;
            break;
        }
        pair = json_object();
        json_set_str(pair, "zone", z->id);
        json_set_str(pair, "type", o->types.v[i]);
        json_push(list, pair);
    }
    cluster_release(&c);
    return rc;
}

static void add_services(const struct opts *o, struct json *args)
{
    struct json *list = json_array();

    for (size_t i = 0; i < o->services.n; i++)
        json_push_str(list, o->services.v[i]);
    json_set(args, "services", list);
    json_set_str(args, "mode", o->mode ? o->mode : "graceful");
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    size_t zones = o->zn.n + o->znname.n;
    struct json *args;

    if (check_types(o, zones, err) != 0)
        return -1;
    args = json_object();
    if (zones == 0) {
        add_services(o, args);
    } else if (add_zones(s, o, args, err) != 0) {
        json_free(args);
        return -1;
    }
    if (o->unsafe)
        json_set_bool(args, "unsafe", true);
    return plan_submit(s, &(struct plan_request){VERB_FAILOVER, args, &o->plan}, out, err);
}

static const char *const examples[] = {
    "plan failover -service rg1-rn2 -wait",
    "plan failover -service rg1-rn2 -mode hard -wait",
    "plan failover -znname Zone2 -type offline-secondary -znname Zone1 -type primary -wait",
    NULL,
};

const struct cmd cmd_plan_failover = {
    .name = "plan failover",
    .summary = "make another copy the primary",
    .description =
        "Of a redis store the service named becomes the primary; of a couchbase store the node "
        "named "
        "leaves the service, and its replicas on other nodes become active (kvsh-couchbase(7)).\n\n"
        "redis: graceful hands over from a primary that answers and loses nothing. hard makes the "
        "service primary without asking the old one: what that one acknowledged and did not pass "
        "on is lost, so it is refused while the old primary answers.\n\n"
        "The form with zones is for a zone that is lost: every shard whose primary was there gets "
        "a new one in a zone of type primary, and the lost zone is declared SECONDARY.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
