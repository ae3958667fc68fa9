/* Observations in words, and what differs between two of them. */
#include <stdlib.h>
#include <string.h>

#include "kvsh/buf.h"
#include "kvsh/cluster.h"
#include "kvsh/json.h"

#include "tap.h"

static struct zone zones[] = {{.id = "zn1", .name = "Zone1", .type = "PRIMARY", .rf = 2}};
static struct storage_dir dirs[] = {{.path = "/d1", .state = "ok"}};
static struct slot_range slots[] = {{0, 99}, {200, 299}};

/* Two services of a shard on two nodes; the arrays are the caller's. */
static struct cluster store_of(struct node nodes[2], struct service services[2],
                               struct shard *shard)
{
    nodes[0] = (struct node){.id = "sn1", .zone = "zn1", .url = "http://a:1", .dirs = dirs};
    nodes[0].n_dirs = 1;
    nodes[1] = (struct node){.id = "sn2", .zone = "zn1", .url = "http://b:1"};
    nodes[0].status = nodes[1].status = STATUS_RUNNING;
    services[0] = (struct service){.id = "rg1-rn1", .shard = "rg1", .node = "sn1"};
    services[1] =
        (struct service){.id = "rg1-rn2", .shard = "rg1", .node = "sn2", .storage_dir = "/d1"};
    services[0].status = services[1].status = STATUS_RUNNING;
    services[0].role = ROLE_MASTER;
    services[1].role = ROLE_REPLICA;
    services[1].in_sync = true;
    *shard = (struct shard){.id = "rg1", .slots = slots, .n_slots = 2};
    return (struct cluster){.store = "s",
                            .engine = "redis",
                            .sequence = 3,
                            .zones = zones,
                            .n_zones = 1,
                            .nodes = nodes,
                            .n_nodes = 2,
                            .services = services,
                            .n_services = 2,
                            .shards = shard,
                            .n_shards = 1};
}

static size_t differ(const struct cluster *before, const struct cluster *now, size_t max,
                     struct buf *out)
{
    struct json *a = cluster_summary(before), *b = cluster_summary(now);
    size_t n;

    buf_clear(out);
    n = summary_changes(a, b, max, out);
    json_free(a);
    json_free(b);
    return n;
}

static void a_store_in_words(void)
{
    struct node nodes[2];
    struct service services[2];
    struct shard shard;
    struct cluster c = store_of(nodes, services, &shard);
    struct json *j = cluster_summary(&c);
    char *text = json_print(j);

    has_str(text, "[\"/d1 of sn1\",\"ok\"],[\"rg1\",\"slots 0-99, 200-299\"],"
                  "[\"rg1-rn1\",\"RUNNING,MASTER\"],[\"rg1-rn2\",\"RUNNING,REPLICA\"],"
                  "[\"sn1\",\"RUNNING\"],[\"sn2\",\"RUNNING\"],");
    has_str(text, "[\"the place of rg1-rn2\",\"/d1 of sn2\"],"
                  "[\"the place of sn1\",\"http://a:1 in zn1\"],");
    has_str(text, "[\"the topology\",\"at sequence 3\"],[\"zn1\",\"PRIMARY, copies 2\"]]");
    free(text);
    json_free(j);
}

static void what_changed_is_named(void)
{
    struct node nodes[2], nodes2[2];
    struct service services[2], services2[2];
    struct shard shard, shard2;
    struct cluster c = store_of(nodes, services, &shard), d = store_of(nodes2, services2, &shard2);
    struct buf out;

    buf_init(&out, 0);
    is_int(differ(&c, &d, 5, &out), 0);
    is_str(out.data, "");

    services2[1].status = STATUS_STOPPED;
    services2[1].role = ROLE_NONE;
    is_int(differ(&c, &d, 5, &out), 1);
    is_str(out.data, "rg1-rn2 was RUNNING,REPLICA and is STOPPED");

    services2[1].status = STATUS_RUNNING;
    services2[1].role = ROLE_REPLICA;
    services2[1].in_sync = false;
    is_int(differ(&c, &d, 5, &out), 1);
    is_str(out.data, "rg1-rn2 was RUNNING,REPLICA and is RUNNING,REPLICA, not in sync");

    d.n_services = 1;
    d.n_zones = 0;
    nodes2[0].status = STATUS_UNREACHABLE;
    is_int(differ(&c, &d, 2, &out), 4);
    is_str(out.data, "rg1-rn2 was RUNNING,REPLICA and is no longer seen; sn1 was RUNNING and is "
                     "UNREACHABLE; and 2 more");
    is_int(differ(&d, &c, 1, &out), 4);
    is_str(out.data, "rg1-rn2 is new: RUNNING,REPLICA; and 3 more");
    buf_release(&out);
}

/* Whatever the digest sees has words. */
static void nothing_is_left_out(void)
{
    struct node nodes[2];
    struct service services[2];
    struct shard shard;
    struct cluster c = store_of(nodes, services, &shard), before = c;
    struct service kept[2];
    struct json *was = cluster_summary(&before), *is;
    struct buf out;

    buf_init(&out, 0);
    memcpy(kept, services, sizeof kept);
    for (int i = 0; i < 5; i++) {
        memcpy(services, kept, sizeof kept);
        switch (i) {
        case 0:
            services[0].membership = "inactiveAdded";
            break;
        case 1:
            services[0].duties = "kv";
            break;
        case 2:
            services[0].stopped_by = 9;
            break;
        case 3:
            services[0].dir_state = "missing";
            break;
        default:
            services[0].node = "sn2";
        }
        is = cluster_summary(&c);
        is_int(summary_changes(was, is, 5, &out), 1);
        json_free(is);
    }
    json_free(was);
    buf_release(&out);
}

int main(void)
{
    TAP_RUN(TAP_TEST(a_store_in_words), TAP_TEST(what_changed_is_named),
            TAP_TEST(nothing_is_left_out));
}
