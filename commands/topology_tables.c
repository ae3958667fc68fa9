#include "commands/topology_tables.h"

#include "commands/edit.h"
#include "commands/service_index.h"
#include "kvsh/buf.h"
#include "kvsh/meta.h"

static const struct out_col store_cols[] = {
    {"storeName", NULL, OUT_STR, "name of the store"},
    {"title", NULL, OUT_STR, "what a foreign store calls itself"},
    {"uuid", NULL, OUT_STR, "by which a foreign store is told from another"},
    {"numPartitions", NULL, OUT_INT, "partitions of the store"},
    {"sequenceNumber", NULL, OUT_INT, "of the topology"},
    {0},
};
static const struct out_table store_table = {
    .cols = store_cols,
    .single = true,
    .text = "store={storeName}{?title|  name={title}}{?uuid|  uuid={uuid}}"
            "{?numPartitions|  numPartitions={numPartitions} sequence={sequenceNumber}}",
};

static const struct out_col zone_cols[] = {
    {"resourceId", NULL, OUT_STR, "id of the zone"},
    {"name", NULL, OUT_STR, "name of the zone"},
    {"repFactor", NULL, OUT_INT, "copies of each shard in the zone"},
    {"type", NULL, OUT_STR, "PRIMARY or SECONDARY"},
    {0},
};
static const struct out_table zone_table = {
    .key = "zns",
    .cols = zone_cols,
    .text = "  zn: id={resourceId} name={name}{?repFactor| repFactor={repFactor} type={type} "
            "allowArbiters=false masterAffinity=false}",
};

static const struct out_col node_cols[] = {
    {"resourceId", NULL, OUT_STR, "id of the storage node"},
    {"zoneId", NULL, OUT_STR, "its zone"},
    {"zoneName", NULL, OUT_STR, "name of its zone"},
    {"hostname", NULL, OUT_STR, "its host"},
    {"port", NULL, OUT_INT, "port of its agent"},
    {"capacity", NULL, OUT_INT, "how many replication nodes it may carry"},
    {"status", NULL, OUT_STATE, "status of its agent"},
    {0},
};
static const struct out_table node_table = {
    .key = "sns",
    .cols = node_cols,
    .text = "\n  sn=[{resourceId}]{?zoneId| zn:[id={zoneId} name={zoneName}]} {hostname}:{port}"
            "{?capacity| capacity={capacity}} {status}",
};

static const struct out_col service_cols[] = {
    {"resourceId", NULL, OUT_STR, "id of the service"},
    {"snId", NULL, OUT_STR, "its storage node"},
    {"shardId", NULL, OUT_STR, "its shard"},
    {"status", NULL, OUT_STATE, "its status"},
    {"state", NULL, OUT_STR, "MASTER or REPLICA"},
    {"haPort", NULL, OUT_INT, "its port"},
    {"membership", NULL, OUT_STR, "the store's own word for its place in the cluster"},
    {"duties", NULL, OUT_STR, "what it does there"},
    {"version", NULL, OUT_STR, "its version"},
    {"detail", NULL, OUT_STR, "why it is not as it should be"},
    {"storageDir", NULL, OUT_STR, "directory of its data"},
    {0},
};
static const struct out_table service_table = {
    .key = "services",
    .cols = service_cols,
    .text = "    [{resourceId}] {status}{?state|,{state}}{?haPort| haPort:{haPort}}"
            "{?membership| membership={membership}}{?duties| services=[{duties}]}"
            "{?storageDir|\n             {storageDir}}",
};

static const struct out_col number_cols[] = {
    {"numShards", NULL, OUT_INT, "shards of the store"},
    {0},
};
static const struct out_table number_table = {
    .cols = number_cols, .single = true, .text = "\n  numShards={numShards}"};

static const struct out_col shard_cols[] = {
    {"resourceId", NULL, OUT_STR, "id of the shard"},
    {"numPartitions", NULL, OUT_INT, "partitions of the shard"},
    {"partitions", NULL, OUT_STR, "ranges of hash slots"},
    {0},
};
static const struct out_table shard_table = {
    .key = "shards",
    .cols = shard_cols,
    .text = "  shard=[{resourceId}] num partitions={numPartitions}{?partitions| ({partitions})}",
};

static const struct out_col member_cols[] = {
    {"resourceId", NULL, OUT_STR, "id of the service"},
    {"shardId", NULL, OUT_STR, "its shard"},
    {"snId", NULL, OUT_STR, "its storage node"},
    {0},
};
static const struct out_table member_table = {
    .key = "shardMembers", .cols = member_cols, .text = "    [{resourceId}] sn={snId}"};

const struct out_table *const topology_tables[] = {
    &store_table,  &zone_table,  &node_table,   &service_table,
    &number_table, &shard_table, &member_table, NULL,
};

static void out_zones(struct out *out, const struct cluster *c)
{
    for (size_t i = 0; i < c->n_zones; i++) {
        struct out_row *row = out_row(out, &zone_table);
        out_str(row, "resourceId", c->zones[i].id);
        out_str(row, "name", c->zones[i].name);
        if (c->is_foreign)
            continue;
        out_int(row, "repFactor", c->zones[i].rf);
        out_str(row, "type", c->zones[i].type);
    }
}

static void out_node(struct out *out, const struct cluster *c, const struct node *n)
{
    struct out_row *row = out_row(out, &node_table);
    const struct zone *z = cluster_zone(c, n->zone);

    out_str(row, "resourceId", n->id);
    out_str(row, "zoneId", n->zone);
    out_str(row, "zoneName", z ? z->name : n->zone);
    out_str(row, "hostname", n->host);
    out_int(row, "port", n->port);
    if (n->capacity > 0)
        out_int(row, "capacity", n->capacity);
    out_str(row, "status", status_name(n->status));
}

static void out_service(struct out *out, const struct service *s, bool directory)
{
    struct out_row *row = out_row(out, &service_table);

    out_str(row, "resourceId", s->id);
    out_str(row, "snId", s->node);
    out_str(row, "shardId", s->shard);
    out_str(row, "status",
            s->stopped_by != 0 && s->status != STATUS_RUNNING ? "Stopped/UNREACHABLE"
                                                              : status_name(s->status));
    if (s->status == STATUS_RUNNING && s->role != ROLE_NONE)
        out_str(row, "state", role_name(s->role));
    if (s->kind == KIND_RN && s->port)
        out_int(row, "haPort", s->port);
    if (s->kind == KIND_OTHER) {
        out_str(row, "membership", s->membership);
        out_str(row, "duties", s->duties);
        out_str(row, "version", s->version);
        out_str(row, "detail", s->detail);
    }
    if (directory)
        out_str(row, "storageDir", s->storage_dir);
}

static void out_nodes(struct out *out, const struct cluster *c, const struct topology_parts *parts)
{
    struct service_index by_node;
    struct arena a = {0};

    service_index_init(&by_node, &a, c, service_node);
    for (size_t i = 0; i < c->n_nodes; i++) {
        const struct service *const *carried;
        size_t n = service_index_find(&by_node, c->nodes[i].id, &carried);
        if (parts->nodes)
            out_node(out, c, &c->nodes[i]);
        for (size_t k = 0; parts->services && k < n; k++)
            out_service(out, carried[k], parts->directories);
    }
    arena_release(&a);
}

static void out_shard(struct out *out, const struct shard *sh)
{
    struct out_row *row = out_row(out, &shard_table);
    struct buf ranges;

    buf_init(&ranges, 0);
    for (size_t i = 0; i < sh->n_slots; i++)
        buf_addf(&ranges, "%s%d-%d", i ? ", " : "", sh->slots[i].first, sh->slots[i].last);
    out_str(row, "resourceId", sh->id);
    out_int(row, "numPartitions", sh->partitions);
    out_str(row, "partitions", ranges.data);
    buf_release(&ranges);
}

static void out_shards(struct out *out, const struct cluster *c)
{
    struct service_index by_shard;
    struct arena a = {0};

    service_index_init(&by_shard, &a, c, service_shard);
    out_int(out_row(out, &number_table), "numShards", (int64_t)c->n_shards);
    for (size_t i = 0; i < c->n_shards; i++) {
        const struct service *const *copies;
        size_t n = service_index_find(&by_shard, c->shards[i].id, &copies);
        out_shard(out, &c->shards[i]);
        for (size_t k = 0; k < n; k++) {
            struct out_row *row = out_row(out, &member_table);
            out_str(row, "resourceId", copies[k]->id);
            out_str(row, "shardId", c->shards[i].id);
            out_str(row, "snId", copies[k]->node);
        }
    }
    arena_release(&a);
}

void out_topology(struct out *out, const struct cluster *c, const struct topology_parts *parts)
{
    struct topology_parts all = {true, true, true, true, parts->directories};
    struct out_row *row = out_row(out, &store_table);

    if (!parts->zones && !parts->nodes && !parts->services && !parts->shards)
        parts = &all;
    out_str(row, "storeName", c->store);
    out_str(row, "title", c->title);
    out_str(row, "uuid", c->identity);
    if (!c->is_foreign) {
        out_int(row, "numPartitions", c->partitions);
        out_int(row, "sequenceNumber", c->sequence);
    }
    if (parts->zones)
        out_zones(out, c);
    if (parts->nodes || parts->services)
        out_nodes(out, c, parts);
    if (parts->shards && !c->is_foreign)
        out_shards(out, c);
}

/* The document set as it will be once the candidate is deployed. */
static struct json *docs_with(const struct json *docs, const struct json *candidate)
{
    static const char *const kinds[][2] = {{"shards", "shard"}, {"rns", "rn"}};
    struct json *all = json_copy(docs);

    for (size_t i = 0; i < 2; i++) {
        struct json *of_kind = json_get(all, kinds[i][1]);
        if (of_kind == NULL) {
            of_kind = json_object();
            json_set(all, kinds[i][1], of_kind);
        }
        JSON_FOREACH (doc, json_get(candidate, kinds[i][0]))
            json_set(of_kind, json_key(doc), json_copy(doc));
    }
    return all;
}

int topology_apply(struct cluster *c, const char *name, struct err *err)
{
    const struct json *candidate = meta_doc(c->doc, "topology", name);
    struct cluster future = {0};
    struct json *docs;
    int rc;

    if (candidate == NULL)
        return no_such_topology(c, name, err);
    docs = docs_with(c->doc, candidate);
    rc = meta_to_cluster(docs, &future, err);
    json_free(docs);
    if (rc != 0) {
        cluster_release(&future);
        return err_prepend(err, "topology %s", name);
    }
    cluster_release(c);
    *c = future;
    return 0;
}
