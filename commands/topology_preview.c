#include <string.h>

#include "commands/edit.h"
#include "commands/topology_tables.h"
#include "kvsh/meta.h"

/* topology preview: what deploying a candidate would add. */
struct opts {
    const char *name;
};

static const struct opt options[] = {
    OPT_STR(struct opts, name, "name", "name of the topology", .flags = OPT_REQUIRED,
            .complete = COMPLETE_TOPOLOGY),
    OPT_END,
};

static const struct out_col total_cols[] = {
    {"name", NULL, OUT_STR, "name of the topology"},
    {"createShardTotal", NULL, OUT_INT, "shards to be made"},
    {"createRnTotal", NULL, OUT_INT, "replication nodes to be made"},
    {"createPartitionTotal", NULL, OUT_INT, "partitions to be made"},
    {0},
};
static const struct out_table total_table = {
    .cols = total_cols,
    .single = true,
    .text = "Topology transformation from current deployed topology to {name}:\n"
            "Create {createShardTotal} shards\n"
            "Create {createRnTotal} RNs\n"
            "Create {createPartitionTotal} partitions",
};

static const struct out_col shard_cols[] = {
    {"shard", NULL, OUT_STR, "id of the shard"},
    {"createRns", NULL, OUT_LIST, "its new replication nodes"},
    {"createRnCount", NULL, OUT_INT, "how many they are"},
    {"newPartitionCount", NULL, OUT_INT, "its new partitions"},
    {0},
};
static const struct out_table shard_table = {
    .key = "changeShards",
    .cols = shard_cols,
    .text = "\nshard {shard}\n  {createRnCount} new RNs: {createRns}\n"
            "  {newPartitionCount} new partitions",
};
static const struct out_table *const tables[] = {&total_table, &shard_table, NULL};

static bool is_new(const struct cluster *now, const struct service *s)
{
    return s->kind == KIND_RN && cluster_service(now, s->id) == NULL;
}

static void out_shard(struct out *out, const struct cluster *now, const struct cluster *future,
                      const struct shard *sh)
{
    const bool new_shard = cluster_shard(now, sh->id) == NULL;
    struct out_row *row = NULL;
    int64_t n = 0;

    for (size_t i = 0; i < future->n_services; i++) {
        const struct service *s = &future->services[i];
        if (!is_new(now, s) || strcmp(s->shard, sh->id) != 0)
            continue;
        if (row == NULL)
            row = out_row(out, &shard_table);
        out_item(row, "createRns", s->id);
        n++;
    }
    if (row == NULL)
        return;
    out_str(row, "shard", sh->id);
    out_int(row, "createRnCount", n);
    out_int(row, "newPartitionCount", new_shard ? sh->partitions : 0);
}

static void out_totals(struct out *out, const char *name, const struct cluster *now,
                       const struct cluster *future)
{
    struct out_row *row = out_row(out, &total_table);
    int64_t shards = 0, rns = 0, partitions = 0;

    for (size_t i = 0; i < future->n_shards; i++) {
        if (cluster_shard(now, future->shards[i].id) != NULL)
            continue;
        shards++;
        partitions += future->shards[i].partitions;
    }
    for (size_t i = 0; i < future->n_services; i++)
        rns += is_new(now, &future->services[i]);
    out_str(row, "name", name);
    out_int(row, "createShardTotal", shards);
    out_int(row, "createRnTotal", rns);
    out_int(row, "createPartitionTotal", partitions);
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct cluster now = {0}, future = {0};
    int rc = -1;

    if (session_declared(s, &now, err) != 0 || session_declared(s, &future, err) != 0 ||
        topology_apply(&future, o->name, err) != 0)
        goto out;
    out_totals(out, o->name, &now, &future);
    for (size_t i = 0; i < future.n_shards; i++)
        out_shard(out, &now, &future, &future.shards[i]);
    rc = 0;
out:
    cluster_release(&future);
    cluster_release(&now);
    return rc;
}

static const char *const examples[] = {"topology preview -name store-layout", NULL};

const struct cmd cmd_topology_preview = {
    .name = "topology preview",
    .summary = "show what deploying a topology would add",
    .description =
        "Compares the candidate with what is declared now. The steps themselves are shown "
        "by plan preview deploy-topology.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
