#include "commands/session.h"

/* show buckets: the bodies of data of a store that divides them so. */
static const struct out_col cols[] = {
    {"name", "BUCKET", OUT_STR, "name of the bucket"},
    {"type", "TYPE", OUT_STR, "its type"},
    {"replicas", "REPLICAS", OUT_INT, "further copies of each item"},
    {"items", "ITEMS", OUT_INT, "number of items"},
    {"opsPerSecond", "OPS", OUT_INT, "operations per second"},
    {"memoryUsed", "USED", OUT_BYTES, "memory in use"},
    {"memoryQuota", "QUOTA", OUT_BYTES, "memory allowed"},
    {"memoryPercent", "USE", OUT_PERCENT, "part of the quota in use"},
    {"diskUsed", "DISK", OUT_BYTES, "disk in use"},
    {"detail", "DETAIL", OUT_STR, "how it is kept"},
    {0},
};
static const struct out_table table = {
    .key = "buckets", .cols = cols, .empty = "The store has no buckets."};
static const struct out_table *const tables[] = {&table, NULL};

static void out_number(struct out_row *row, const char *key, int64_t n)
{
    if (n >= 0)
        out_int(row, key, n);
}

static void out_bucket(struct out *out, const struct bucket *b)
{
    struct out_row *row = out_row(out, &table);

    out_str(row, "name", b->name);
    out_str(row, "type", b->type);
    out_int(row, "replicas", b->replicas);
    out_number(row, "items", b->items);
    out_number(row, "opsPerSecond", b->ops);
    out_number(row, "memoryUsed", b->used_bytes);
    out_number(row, "memoryQuota", b->quota_bytes);
    if (b->quota_bytes > 100 && b->used_bytes >= 0)
        out_number(row, "memoryPercent", b->used_bytes / (b->quota_bytes / 100));
    out_number(row, "diskUsed", b->disk_bytes);
    out_str(row, "detail", b->detail);
}

static int run(struct session *s, const void *options, struct out *out, struct err *err)
{
    struct cluster c = {0};
    int rc = session_observe(s, &c, err);

    (void)options;
    for (size_t i = 0; rc == 0 && i < c.n_buckets; i++)
        out_bucket(out, &c.buckets[i]);
    cluster_release(&c);
    return rc;
}

static const char *const examples[] = {"show buckets", NULL};

const struct cmd cmd_show_buckets = {
    .name = "show buckets",
    .summary = "list buckets with replicas, quota and use",
    .description = "What each bucket may use and uses, and how many copies it keeps.",
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
