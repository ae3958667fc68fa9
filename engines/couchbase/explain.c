/* The same steps with couchbase-cli and curl. Pure; $CB_REST_USERNAME and $CB_REST_PASSWORD stand
 * for credentials. */
#include "engines/couchbase/couchbase.h"

#include <stdlib.h>
#include <string.h>

struct teller {
    const struct task *t;
    const struct cluster *c;
    struct arena arena;
    void (*line)(void *arg, const char *text);
    void *arg;
    const char *cluster; /* some member's address, with https:// where the store is asked so */
};

/* Addresses of the otpNodes in a list, or in one string; as couchbase-cli wants them. */
static const char *addresses(struct teller *x, const struct json *otps)
{
    const char *text = "";

    JSON_FOREACH (otp, otps) {
        const struct service *s = cb_by_otp(x->c, json_value_str(otp));
        const char *name = s ? s->id : json_value_str(otp);
        text = arena_printf(&x->arena, "%s%s%s", text, text[0] ? "," : "", name ? name : "");
    }
    return text;
}

static const char *address_of(struct teller *x, const struct service *s)
{
    const char *url =
        json_bool(x->c->raw, "secure", false) ? cb_url(x->c, s, true, &x->arena) : NULL;

    return url ? url : s->id;
}

static void cli(struct teller *x, const char *words)
{
    x->line(x->arg,
            arena_printf(&x->arena,
                         "couchbase-cli %s -c %s -u \"$CB_REST_USERNAME\" -p \"$CB_REST_PASSWORD\"",
                         words, x->cluster));
}

static void curl(struct teller *x, const char *path, const char *fields)
{
    x->line(x->arg,
            arena_printf(&x->arena, "curl --netrc-file FILE -X POST '%s%s%s?uuid=%s'%s%s",
                         strncmp(x->cluster, "https:", 6) == 0 ? "" : "http://", x->cluster, path,
                         x->c->identity ? x->c->identity : "UUID", fields[0] ? " " : "", fields));
}

static void explain_failover(struct teller *x)
{
    const struct json *otps = json_get(x->t->args, "otp");
    bool unsafe = json_bool(x->t->args, "unsafe", false);
    const char *mode = json_str(x->t->args, "mode"), *fields = "";
    bool hard = mode != NULL && strcmp(mode, "hard") == 0;

    cli(x, arena_printf(&x->arena, "failover --server-failover %s%s%s", addresses(x, otps),
                        hard ? " --hard" : "", unsafe ? " --force" : ""));
    JSON_FOREACH (otp, otps)
        fields = arena_printf(&x->arena, "%s--data-urlencode 'otpNode=%s' ", fields,
                              json_value_str(otp) ? json_value_str(otp) : "");
    curl(x, hard ? "/controller/startFailover" : "/controller/startGracefulFailover",
         arena_printf(&x->arena, "%s%s", fields, unsafe ? "-d allowUnsafe=true" : ""));
}

static void explain_recovery(struct teller *x)
{
    const char *type = json_str(x->t->args, "type"), *otp = json_str(x->t->args, "otp");

    cli(x, arena_printf(&x->arena, "recovery --server-recovery %s --recovery-type %s", x->t->target,
                        type));
    curl(x, "/controller/setRecoveryType",
         arena_printf(&x->arena, "--data-urlencode 'otpNode=%s' -d recoveryType=%s", otp, type));
}

static void explain_rebalance(struct teller *x)
{
    const struct json *eject = json_get(x->t->args, "eject");
    const struct json *leaving = json_get(x->t->args, "leaving"); /* members no more, perhaps */
    const char *known = "", *out = "";

    cli(x, json_len(eject) > 0 ? arena_printf(&x->arena, "rebalance --server-remove %s",
                                              addresses(x, leaving ? leaving : eject))
                               : "rebalance");
    for (size_t i = 0; i < x->c->n_services; i++)
        known = arena_printf(&x->arena, "%s%s%s", known, i ? "," : "", cb_otp(&x->c->services[i]));
    JSON_FOREACH (otp, eject)
        out = arena_printf(&x->arena, "%s%s%s", out, out[0] ? "," : "",
                           json_value_str(otp) ? json_value_str(otp) : "");
    curl(x, "/controller/rebalance",
         arena_printf(&x->arena,
                      "--data-urlencode 'knownNodes=%s' --data-urlencode 'ejectedNodes=%s'", known,
                      out));
}

static const char *join_path(struct teller *x, const char *group)
{
    JSON_FOREACH (g, json_get(cb_part(x->c, "groups"), "groups")) {
        const char *name = json_str(g, "name"), *uri = json_str(g, "addNodeURI");
        if (group != NULL && name != NULL && strcmp(name, group) == 0 && uri != NULL)
            return uri;
    }
    return "/controller/addNode";
}

static void explain_add(struct teller *x)
{
    const char *address = json_str(x->t->args, "hostname"), *group = json_str(x->t->args, "group");
    static const char *const words[][2] = {
        {"kv", "data"}, {"n1ql", "query"}, {"cbas", "analytics"}, {"arbiter", "manager-only"}};
    const char *services = "", *codes = "";

    if (address == NULL)
        address = json_str(x->t->args, "address");
    JSON_FOREACH (s, json_get(x->t->args, "services")) {
        const char *word = json_value_str(s);
        for (size_t i = 0; i < sizeof words / sizeof *words && word != NULL; i++)
            word = strcmp(word, words[i][0]) == 0 ? words[i][1] : word;
        codes = arena_printf(&x->arena, "%s%s%s", codes, codes[0] ? "," : "",
                             json_value_str(s) && strcmp(json_value_str(s), "arbiter") != 0
                                 ? json_value_str(s)
                                 : "");
        services =
            arena_printf(&x->arena, "%s%s%s", services, services[0] ? "," : "", word ? word : "");
    }
    cli(x, arena_printf(&x->arena,
                        "server-add --server-add %s --server-add-username \"$CB_REST_USERNAME\" "
                        "--server-add-password \"$CB_REST_PASSWORD\" --services %s%s%s%s",
                        address, services[0] ? services : "data", group ? " --group-name '" : "",
                        group ? group : "", group ? "'" : ""));
    curl(x, join_path(x, group),
         arena_printf(&x->arena,
                      "--data-urlencode 'hostname=%s' --data-urlencode 'services=%s' "
                      "--data-urlencode user@FILE --data-urlencode password@FILE",
                      address, codes));
}

static void explain_eject(struct teller *x)
{
    curl(x, "/controller/ejectNode",
         arena_printf(&x->arena, "--data-urlencode 'otpNode=%s'", json_str(x->t->args, "otp")));
}

/* The group a node was in; plans made by earlier versions tell it only while it still is. */
static const char *group_before(struct teller *x, const struct json *from, const char *otp)
{
    const char *kept = json_value_str(from), *to = json_str(x->t->args, "group");
    const struct service *s = cb_by_otp(x->c, otp);
    const struct node *n = s ? cluster_node(x->c, s->node) : NULL;

    if (kept == NULL && n != NULL && to != NULL && strcmp(n->zone, to) != 0)
        kept = n->zone;
    return kept && kept[0] ? arena_printf(&x->arena, "'%s'", kept) : "GROUP";
}

struct move {
    const char *from, *nodes;
};

/* couchbase-cli moves nodes out of one group at a time. */
static void explain_group(struct teller *x)
{
    const struct json *from = json_first(json_get(x->t->args, "from"));
    struct move *v = NULL;
    size_t n = 0;

    JSON_FOREACH (otp, json_get(x->t->args, "otp")) {
        const struct service *s = cb_by_otp(x->c, json_value_str(otp));
        const char *group = group_before(x, from, json_value_str(otp));
        const char *name = s ? s->id : json_value_str(otp);
        size_t at = 0;
        while (at < n && strcmp(v[at].from, group) != 0)
            at++;
        if (at == n)
            *ARENA_PUSH(&x->arena, v, n) = (struct move){group, NULL};
        v[at].nodes =
            v[at].nodes ? arena_printf(&x->arena, "%s,%s", v[at].nodes, name ? name : "") : name;
        from = json_next(from);
    }
    for (size_t i = 0; i < n; i++)
        cli(x, arena_printf(&x->arena,
                            "group-manage --move-servers %s --from-group %s --to-group '%s'",
                            v[i].nodes, v[i].from, json_str(x->t->args, "group")));
    x->line(x->arg, arena_printf(&x->arena,
                                 "curl --netrc-file FILE -X PUT '%s%s/pools/default/serverGroups?"
                                 "rev=REV&uuid=%s' -H 'Content-Type: application/json' -d @GROUPS",
                                 strncmp(x->cluster, "https:", 6) == 0 ? "" : "http://", x->cluster,
                                 x->c->identity ? x->c->identity : "UUID"));
}

static void explain_restart(struct teller *x)
{
    x->line(x->arg, arena_printf(&x->arena, "ssh %.*s sudo systemctl restart couchbase-server",
                                 (int)(strrchr(x->t->target, ':')
                                           ? strrchr(x->t->target, ':') - x->t->target
                                           : (long)strlen(x->t->target)),
                                 x->t->target));
}

/* The agent's request, and the same on the host. */
static void explain_process(struct teller *x)
{
    const struct service *s = cb_find(x->c, x->t->target);
    const char *why, *advice, *url = s ? cb_agent_url(x->c, s, &why, &advice) : NULL;
    const char *port = strrchr(x->t->target, ':');

    x->line(x->arg, arena_printf(&x->arena,
                                 "curl -X POST -H \"Authorization: Bearer $AGENT_TOKEN\" -d '{}' "
                                 "%s/v1/services/%s/%s",
                                 url ? url : "https://AGENT:13230", CB_UNIT, x->t->type));
    x->line(x->arg, arena_printf(&x->arena, "ssh %.*s sudo systemctl %s couchbase-server",
                                 (int)(port ? port - x->t->target : (long)strlen(x->t->target)),
                                 x->t->target, x->t->type));
}

static void explain_stop(struct teller *x)
{
    const char *id = json_str(x->t->args, "id");

    if (json_bool(x->t->args, "retry", false)) {
        cli(x, arena_printf(&x->arena, "setting-rebalance --cancel --rebalance-id %s",
                            id ? id : "ID"));
        curl(x, arena_printf(&x->arena, "/controller/cancelRebalanceRetry/%s", id ? id : "ID"), "");
        return;
    }
    cli(x, "rebalance-stop");
    curl(x, "/controller/stopRebalance",
         json_bool(x->t->args, "unsafe", false) ? "-d allowUnsafe=true" : "-d allowUnsafe=false");
}

static void explain_compact(struct teller *x)
{
    const char *bucket = json_str(x->t->args, "bucket");
    bool purge = json_bool(x->t->args, "purge", false);
    char *name = http_escape(bucket);

    if (!purge)
        cli(x, arena_printf(&x->arena, "bucket-compact --bucket %s", bucket));
    curl(x,
         arena_printf(&x->arena, "/pools/default/buckets/%s/controller/%s", name,
                      purge ? "unsafePurgeBucket" : "compactBucket"),
         "");
    free(name);
}

void cb_explain(const struct task *t, const struct cluster *c,
                void (*line)(void *arg, const char *text), void *arg)
{
    static const struct {
        const char *type;
        void (*explain)(struct teller *x);
    } types[] = {
        {"failover", explain_failover},     {"set-recovery", explain_recovery},
        {"rebalance", explain_rebalance},   {"add-node", explain_add},
        {"eject", explain_eject},           {"change-group", explain_group},
        {"await-restart", explain_restart}, {"stop-rebalance", explain_stop},
        {"compact", explain_compact},       {"stop", explain_process},
        {"start", explain_process},
    };
    struct teller x = {.t = t, .c = c, .line = line, .arg = arg, .cluster = "HOST:8091"};

    for (size_t i = c->n_services; i-- > 0;) {
        if (cb_is_active(&c->services[i]) && c->services[i].status == STATUS_RUNNING)
            x.cluster = address_of(&x, &c->services[i]);
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].type, t->type) == 0)
            types[i].explain(&x);
    }
    arena_release(&x.arena);
}
