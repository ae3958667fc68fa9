#include "commands/status_tables.h"

#include <string.h>

#include "commands/service_index.h"
#include "kvsh/fs.h"

static const struct out_col store_cols[] = {
    {"storeName", NULL, OUT_STR, "name of the store"},
    {"sequenceNumber", NULL, OUT_INT, "of the declared topology"},
    {"numPartitions", NULL, OUT_INT, "partitions of the store"},
    {"numStorageNodes", NULL, OUT_INT, "storage nodes of the store"},
    {"time", NULL, OUT_TIME, "when it was looked at"},
    {"version", NULL, OUT_STR, "version of this program"},
    {"shardsHealthy", NULL, OUT_INT, "shards with all copies"},
    {"shardsWritableDegraded", NULL, OUT_INT, "shards that take writes without all copies"},
    {"shardsReadOnly", NULL, OUT_INT, "shards that only answer reads"},
    {"shardsOffline", NULL, OUT_INT, "shards without any copy"},
    {"shardsTotal", NULL, OUT_INT, "shards of the store"},
    {"adminStatus", NULL, OUT_STATE, "healthy, writable-degraded or offline"},
    {0},
};

static const struct out_col zone_cols[] = {
    {"resourceId", NULL, OUT_STR, "id of the zone"},
    {"name", NULL, OUT_STR, "name of the zone"},
    {"type", NULL, OUT_STR, "PRIMARY or SECONDARY"},
    {"repFactor", NULL, OUT_INT, "copies of each shard in the zone"},
    {"online", NULL, OUT_INT, "replication nodes that run"},
    {"offline", NULL, OUT_INT, "replication nodes that do not"},
    {"counted", NULL, OUT_STR, "what online and offline count: RN, or Service in a foreign store"},
    {0},
};

static const struct out_col node_cols[] = {
    {"resourceId", NULL, OUT_STR, "id of the storage node"},
    {"hostname", NULL, OUT_STR, "its host"},
    {"port", NULL, OUT_INT, "port of its agent"},
    {"zoneId", NULL, OUT_STR, "its zone"},
    {"zoneName", NULL, OUT_STR, "name of its zone"},
    {"zoneType", NULL, OUT_STR, "type of its zone"},
    {"status", NULL, OUT_STATE, "status of its agent"},
    {"version", NULL, OUT_STR, "version of its agent"},
    {"started", NULL, OUT_TIME, "when its agent was started"},
    {"detail", NULL, OUT_STR, "why it is not well"},
    {0},
};

static const struct out_col service_cols[] = {
    {"resourceId", NULL, OUT_STR, "id of the service"},
    {"kind", NULL, OUT_STR, "Rep Node, Admin, or Service in a foreign store"},
    {"snId", NULL, OUT_STR, "its storage node"},
    {"status", NULL, OUT_STATE, "its status"},
    {"membership", NULL, OUT_STR, "the store's own word for its place in the cluster"},
    {"duties", NULL, OUT_STR, "what it does there"},
    {"state", NULL, OUT_STR, "MASTER or REPLICA"},
    {"sequenceNumber", NULL, OUT_INT, "position in the stream of changes"},
    {"haPort", NULL, OUT_INT, "its port"},
    {"lag", NULL, OUT_INT, "how far a replica is behind, in the unit of sequenceNumber"},
    {"stoppedByPlan", NULL, OUT_INT, "the plan that stopped it on purpose"},
    {"detail", NULL, OUT_STR, "why it is not well"},
    {0},
};

static const struct out_col checking_cols[] = {
    {"resourceId", NULL, OUT_STR, "id of the storage node"},
    {0},
};

/* What a foreign store does not have is left out. */
#define ZONE_TEXT(type) "{?" type "| type={" type "} allowArbiters=false masterAffinity=false}"

/* The same lines, each with P before it; opening words differ. */
#define STATUS_TABLES(what, P, opening)                                                           \
    const struct out_table what##_store = {                                                       \
        .cols = store_cols,                                                                       \
        .single = true,                                                                           \
        .chatter = true,                                                                          \
        .text = P opening                                                                         \
        " store {storeName}{?sequenceNumber| based upon topology sequence #{sequenceNumber}}\n" P \
        "{?numPartitions|{numPartitions} partitions and }{numStorageNodes} storage nodes\n" P     \
        "Time: {time}   Version: {version}{?shardsTotal|\n" P                                     \
        "Shard Status: healthy: {shardsHealthy} writable-degraded: "                              \
        "{shardsWritableDegraded} read-only: {shardsReadOnly} offline: {shardsOffline} "          \
        "total: {shardsTotal}}{?adminStatus|\n" P "Admin Status: {adminStatus}}",                 \
    };                                                                                            \
    const struct out_table what##_zones = {                                                       \
        .key = "zoneStatus",                                                                      \
        .cols = zone_cols,                                                                        \
        .chatter = true,                                                                          \
        .text = P "Zone [name={name} id={resourceId}" ZONE_TEXT(                                  \
            "type") "]   {counted} Status: online: {online} read-only: 0 offline: {offline}",     \
    };                                                                                            \
    const struct out_table what##_nodes = {                                                       \
        .key = "snStatus",                                                                        \
        .cols = node_cols,                                                                        \
        .chatter = true,                                                                          \
        .text = P                                                                                 \
        "Storage Node [{resourceId}] on {hostname}:{port}    Zone: [name={zoneName} "             \
        "id={zoneId}" ZONE_TEXT(                                                                  \
            "zoneType") "]    Status: {status}"                                                   \
                        "{?version|   Ver: {version}}{?started|   serviceStartTime: {started}}",  \
    };                                                                                            \
    const struct out_table what##_admins = {                                                      \
        .key = "adminNodes",                                                                      \
        .cols = service_cols,                                                                     \
        .chatter = true,                                                                          \
        .text = P "\tAdmin [{resourceId}]  Status: {status}{?stoppedByPlan| (Stopped by plan "    \
                  "{stoppedByPlan})}",                                                            \
    };                                                                                            \
    const struct out_table what##_services = {                                                    \
        .key = "rnStatus",                                                                        \
        .cols = service_cols,                                                                     \
        .chatter = true,                                                                          \
        .text = P "\t{kind} [{resourceId}]  Status: {status}{?state|,{state}}{?membership| "      \
                  "membership: {membership}}{?duties| services: {duties}}{?sequenceNumber| "      \
                  "at sequence number {sequenceNumber}}{?haPort| haPort:{haPort}}{?lag| lag: "    \
                  "{lag}}{?stoppedByPlan| (Stopped by plan {stoppedByPlan})}",                    \
    };

STATUS_TABLES(ping, "", "Pinging components of")
STATUS_TABLES(verify, "Verify: ", "starting verification of")

const struct out_table verify_checking = {
    .key = "checked",
    .cols = checking_cols,
    .chatter = true,
    .text = "Verify: == checking storage node {resourceId} ==",
};

const struct status_tables ping_tables = {&ping_store, &ping_zones,  NULL,
                                          &ping_nodes, &ping_admins, &ping_services};
const struct status_tables verify_tables = {&verify_store, &verify_zones,  &verify_checking,
                                            &verify_nodes, &verify_admins, &verify_services};

/* --- what the lines say --- */

enum shard_health { SHARD_HEALTHY, SHARD_DEGRADED, SHARD_READ_ONLY, SHARD_OFFLINE, SHARD_HEALTHS };

/* How the copies of a shard can serve. */
static enum shard_health shard_health(const struct service *const *copies, size_t n)
{
    size_t live = 0, masters = 0;

    for (size_t i = 0; i < n; i++) {
        live += copies[i]->status == STATUS_RUNNING;
        masters += copies[i]->status == STATUS_RUNNING && copies[i]->role == ROLE_MASTER;
    }
    if (live == 0)
        return SHARD_OFFLINE;
    if (masters == 0)
        return SHARD_READ_ONLY;
    return live == n ? SHARD_HEALTHY : SHARD_DEGRADED;
}

static const char *admin_health(const struct cluster *c)
{
    size_t live = 0, all = 0;

    for (size_t i = 0; i < c->n_services; i++) {
        if (c->services[i].kind != KIND_ADMIN)
            continue;
        all++;
        live += c->services[i].status == STATUS_RUNNING;
    }
    if (all == 0)
        return "none deployed";
    return live == all ? "healthy" : live > 0 ? "writable-degraded" : "offline";
}

static void out_store(struct out *out, const struct out_table *table, const struct cluster *c,
                      const struct service_index *by_shard)
{
    int64_t n[SHARD_HEALTHS] = {0};
    struct out_row *row = out_row(out, table);

    for (size_t i = 0; i < c->n_shards; i++) {
        const struct service *const *copies;
        size_t n_copies = service_index_find(by_shard, c->shards[i].id, &copies);
        n[shard_health(copies, n_copies)]++;
    }
    out_str(row, "storeName", c->store);
    if (!c->is_foreign) {
        out_int(row, "sequenceNumber", c->sequence);
        out_int(row, "numPartitions", c->partitions);
    }
    out_int(row, "numStorageNodes", (int64_t)c->n_nodes);
    out_int(row, "time", c->observed_ms ? c->observed_ms : time_now_ms());
    out_str(row, "version", PACKAGE_VERSION);
    if (c->is_foreign)
        return;
    out_int(row, "shardsHealthy", n[SHARD_HEALTHY]);
    out_int(row, "shardsWritableDegraded", n[SHARD_DEGRADED]);
    out_int(row, "shardsReadOnly", n[SHARD_READ_ONLY]);
    out_int(row, "shardsOffline", n[SHARD_OFFLINE]);
    out_int(row, "shardsTotal", (int64_t)c->n_shards);
    out_str(row, "adminStatus", admin_health(c));
}

static void out_zone(struct out *out, const struct out_table *table, const struct cluster *c,
                     const struct zone *z, const struct service_index *by_node)
{
    struct out_row *row = out_row(out, table);
    int64_t online = 0, offline = 0;

    for (size_t i = 0; i < c->n_nodes; i++) {
        const struct service *const *carried;
        size_t n = service_index_find(by_node, c->nodes[i].id, &carried);
        for (size_t k = 0; k < n && strcmp(c->nodes[i].zone, z->id) == 0; k++) {
            if (carried[k]->kind == KIND_ADMIN)
                continue;
            if (carried[k]->status == STATUS_RUNNING)
                online++;
            else
                offline++;
        }
    }
    out_str(row, "resourceId", z->id);
    out_str(row, "name", z->name);
    out_str(row, "type", z->type);
    if (!c->is_foreign)
        out_int(row, "repFactor", z->rf);
    out_int(row, "online", online);
    out_int(row, "offline", offline);
    out_str(row, "counted", c->is_foreign ? "Service" : "RN");
}

static void out_node(struct out *out, const struct out_table *table, const struct cluster *c,
                     const struct node *n)
{
    struct out_row *row = out_row(out, table);
    const struct zone *z = cluster_zone(c, n->zone);

    out_str(row, "resourceId", n->id);
    out_str(row, "hostname", n->host);
    out_int(row, "port", n->port);
    out_str(row, "zoneId", n->zone);
    out_str(row, "zoneName", z ? z->name : n->zone);
    out_str(row, "zoneType", z ? z->type : "");
    out_str(row, "status", status_name(n->status));
    out_str(row, "version", n->version);
    if (n->started_ms)
        out_int(row, "started", n->started_ms);
    out_str(row, "detail", n->detail);
}

static void out_service(struct out *out, const struct out_table *table, const struct service *s)
{
    struct out_row *row = out_row(out, table);

    out_str(row, "resourceId", s->id);
    out_str(row, "kind",
            s->kind == KIND_RN      ? "Rep Node"
            : s->kind == KIND_ADMIN ? "Admin"
                                    : "Service");
    out_str(row, "snId", s->node);
    out_str(row, "membership", s->membership);
    out_str(row, "duties", s->duties);
    /* a process that is down answers nobody: the word users know for that */
    out_str(row, "status",
            status_name(s->kind == KIND_RN && s->status == STATUS_STOPPED ? STATUS_UNREACHABLE
                                                                          : s->status));
    out_str(row, "detail", s->detail);
    if (s->stopped_by != 0 && s->status != STATUS_RUNNING)
        out_int(row, "stoppedByPlan", s->stopped_by);
    if (s->kind != KIND_RN || s->status != STATUS_RUNNING)
        return;
    if (s->role != ROLE_NONE)
        out_str(row, "state", role_name(s->role));
    if (s->sequence >= 0)
        out_int(row, "sequenceNumber", s->sequence);
    if (s->port)
        out_int(row, "haPort", s->port);
    if (s->lag > 0)
        out_int(row, "lag", s->lag);
}

void out_status(struct out *out, const struct status_tables *t, const struct cluster *c)
{
    struct service_index by_node, by_shard;
    struct arena a = {0};

    service_index_init(&by_node, &a, c, service_node);
    service_index_init(&by_shard, &a, c, service_shard);
    out_store(out, t->store, c, &by_shard);
    for (size_t i = 0; i < c->n_zones; i++)
        out_zone(out, t->zones, c, &c->zones[i], &by_node);
    for (size_t i = 0; i < c->n_nodes; i++) {
        const struct node *n = &c->nodes[i];
        const struct service *const *carried;
        size_t n_carried = service_index_find(&by_node, n->id, &carried);
        if (t->checking != NULL)
            out_str(out_row(out, t->checking), "resourceId", n->id);
        out_node(out, t->nodes, c, n);
        for (size_t k = 0; k < n_carried; k++)
            out_service(out, carried[k]->kind == KIND_ADMIN ? t->admins : t->services, carried[k]);
    }
    arena_release(&a);
}
