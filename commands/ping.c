#include "commands/session.h"
#include "commands/status_tables.h"

/* ping: does everything answer? */
static const struct out_table *const tables[] = {
    &ping_store, &ping_zones, &ping_nodes, &ping_admins, &ping_services, NULL,
};

struct tally {
    size_t up, all;
};

/* None is up: the first one's reason, and when all refuse to talk to us, that. */
static int nobody(const struct cluster *c, struct err *err)
{
    const char *why = c->nodes[0].detail;
    size_t denied = 0;

    for (size_t i = 0; i < c->n_nodes; i++)
        denied += c->nodes[i].cause == ERR_DENIED;
    if (denied == c->n_nodes) {
        err_set(err, ERR_DENIED, "none of the %zu storage nodes lets this in: %s", c->n_nodes, why);
        return err_advise(err, "check token-file of the store in kvsh.conf");
    }
    return err_set(err, ERR_UNREACHABLE, "none of the %zu storage nodes answers%s%s", c->n_nodes,
                   why ? ": " : "", why ? why : "");
}

static int verdict(const struct cluster *c, struct err *err)
{
    struct tally nodes = {0}, services = {0};

    for (size_t i = 0; i < c->n_nodes; i++) {
        nodes.all++;
        nodes.up += c->nodes[i].status == STATUS_RUNNING;
    }
    for (size_t i = 0; i < c->n_services; i++) {
        services.all++;
        services.up += c->services[i].status == STATUS_RUNNING;
    }
    if (nodes.all > 0 && nodes.up == 0)
        return nobody(c, err);
    if (nodes.up == nodes.all && services.up == services.all)
        return 0;
    err_set(err, ERR_FAILED, "%zu of %zu storage nodes and %zu of %zu services are up", nodes.up,
            nodes.all, services.up, services.all);
    return err_advise(err, "verify configuration tells what is wrong");
}

static int run(struct session *s, const void *options, struct out *out, struct err *err)
{
    struct cluster c = {0};
    int rc = -1;

    (void)options;
    if (session_observe(s, &c, err) == 0) {
        out_status(out, &ping_tables, &c);
        rc = verdict(&c, err);
    }
    cluster_release(&c);
    return rc;
}

static const char *const examples[] = {"ping", "ping -json", NULL};

const struct cmd cmd_ping = {
    .name = "ping",
    .summary = "ask every node and service whether it is up",
    .description = "Exit status 0 when all are up, 1 when some are down, 69 when no node answers, "
                   "77 when none accepts the token.",
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
