#include "commands/edit.h"
#include "commands/settings.h"
#include "kvsh/meta.h"

#include "commands/tables.h"

/* topology create: a layout of shards on the nodes of a pool. */
struct opts {
    const char *name, *pool;
    int64_t partitions;
};

static const struct opt options[] = {
    OPT_STR(struct opts, name, "name", "name of the new topology", .flags = OPT_REQUIRED),
    OPT_STR(struct opts, pool, "pool", "pool of the storage nodes to use", .flags = OPT_REQUIRED,
            .complete = COMPLETE_POOL),
    OPT_INT(struct opts, partitions, "partitions", "number of partitions", .min = 1, .max = 1000000,
            .flags = OPT_REQUIRED),
    OPT_END,
};

static const struct out_col cols[] = {
    {"topologyName", "NAME", OUT_STR, "name of the topology"},
    {"numShards", "SHARDS", OUT_INT, "shards it has"},
    {"numRepNodes", "REPNODES", OUT_INT, "replication nodes it has"},
    {0},
};
static const struct out_table table = {
    .cols = cols, .single = true, .text = "Created: {topologyName}"};
static const struct out_table *const tables[] = {&table, NULL};

static int layout(struct session *s, const struct opts *o, struct json *candidate, struct out *out,
                  struct err *err)
{
    const struct engine *e = session_engine(s, err);
    struct findings f = {0};
    struct cluster c = {0};
    int rc = -1;

    if (e == NULL)
        goto out;
    if (e->layout == NULL) {
        err_set(err, ERR_INPUT, "a store of engine %s has no topologies", e->name);
        goto out;
    }
    if (session_observe(s, &c, err) != 0)
        goto out;
    if (cluster_pool(&c, o->pool) == NULL) {
        no_such_pool(&c, o->pool, err);
        goto out;
    }
    rc = e->layout(&c, o->pool, (int)o->partitions, candidate, &f, err);
    if (rc == 0 && findings_worst(&f) >= SEVERITY_BLOCK) {
        for (size_t i = 0; i < f.n; i++) {
            if (f.v[i].severity < SEVERITY_BLOCK)
                continue;
            rc = err_set(err, ERR_REFUSED, "%s", f.v[i].text);
            if (f.v[i].remedy != NULL)
                err_advise(err, "%s", f.v[i].remedy);
            break;
        }
    }
    out_finding_notes(out, &f, err);
out:
    findings_release(&f);
    cluster_release(&c);
    return rc;
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    struct json *candidate = json_object();
    struct out_row *row;
    struct edit e;
    int rc = -1;

    if (edit_begin(&e, s, err) != 0 || settings_check_label("topology", o->name, err) != 0)
        goto out;
    if (meta_doc(e.cluster.doc, "topology", o->name) != NULL) {
        err_set(err, ERR_INPUT, "topology \"%s\" exists already", o->name);
        err_advise(err, "choose another name, or topology delete -name %s first", o->name);
        goto out;
    }
    if (layout(s, o, candidate, out, err) != 0)
        goto out;
    row = out_row(out, &table);
    out_str(row, "topologyName", o->name);
    out_int(row, "numShards", (int64_t)json_len(json_get(candidate, "shards")));
    out_int(row, "numRepNodes", (int64_t)json_len(json_get(candidate, "rns")));
    meta_effect(e.effects, "topology", o->name, candidate);
    candidate = NULL;
    rc = edit_commit(
        &e, o->name,
        arena_printf(&e.cluster.arena, "topology %s was created from pool %s", o->name, o->pool),
        out, err);
out:
    edit_end(&e);
    json_free(candidate);
    return rc;
}

static const char *const examples[] = {
    "topology create -name store-layout -pool snpool -partitions 100", NULL};

const struct cmd cmd_topology_create = {
    .name = "topology create",
    .summary = "lay shards out on the storage nodes of a pool",
    .description =
        "Makes a candidate; nothing changes in the store until plan deploy-topology. The "
        "number of shards follows from the capacity of the nodes and the replication "
        "factors of the zones.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
