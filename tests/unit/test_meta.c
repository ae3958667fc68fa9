#include <stdlib.h>

#include "kvsh/mem.h"
#include "kvsh/meta.h"

#include "tests/unit/tap.h"

static struct json *parse(const char *text)
{
    struct err err = ERR_INIT;
    struct json *j = json_parse(text, strlen(text), &err);

    if (j == NULL) {
        printf("Bail out! test document: %s\n", err.text);
        exit(1);
    }
    return j;
}

static const char DOCS[] =
    "{\"store\":{\"store\":{\"name\":\"s\",\"engine\":\"redis\",\"partitions\":16384,\"sequence\":"
    "3}},"
    "\"zone\":{\"zn1\":{\"name\":\"Zone1\",\"rf\":2,\"type\":\"PRIMARY\"}},"
    "\"sn\":{\"sn10\":{\"zone\":\"zn1\",\"host\":\"b\",\"port\":2,\"url\":\"http://b:2\"},"
    "\"sn2\":{\"zone\":\"zn1\",\"host\":\"a\",\"port\":1,\"url\":\"http://a:1\"}},"
    "\"rn\":{\"rg1-rn1\":{\"shard\":\"rg1\",\"sn\":\"sn2\",\"storageDir\":\"/d\",\"port\":5,"
    "\"busPort\":6,\"firstPrimary\":true,\"stoppedBy\":9}},"
    "\"shard\":{\"rg1\":{\"slots\":[[0,16383]],\"partitions\":16384}},"
    "\"pool\":{\"p\":{\"members\":[\"sn2\",\"sn10\"]}},\"later\":{\"x\":{}}}";

static void reads_documents(void)
{
    struct json *docs = parse(DOCS);
    struct cluster c = {0};
    struct err err = ERR_INIT;

    is_int(meta_to_cluster(docs, &c, &err), 0);
    json_free(docs); /* the cluster has its own copy */
    is_str(c.store, "s");
    is_int(c.sequence, 3);
    is_int(c.n_nodes, 2);
    is_str(c.nodes[0].id, "sn2"); /* numbers order as numbers */
    is_str(c.nodes[1].id, "sn10");
    is_str(cluster_zone(&c, "Zone1")->id, "zn1");
    is_str(cluster_zone(&c, "1")->id, "zn1");
    is_str(cluster_node(&c, "10")->id, "sn10");
    ok(cluster_node(&c, "1") == NULL);
    ok(cluster_node(&c, NULL) == NULL);
    is_int(cluster_service(&c, "rg1-rn1")->stopped_by, 9);
    is_int(cluster_service(&c, "rg1-rn1")->status, STATUS_UNREPORTED);
    is_int(cluster_shard(&c, "rg1")->slots[0].last, 16383);
    is_int(cluster_pool(&c, "p")->n_nodes, 2);
    cluster_release(&c);
}

static void refuses_broken_documents(void)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{\"store\":{\"store\":{\"engine\":\"redis\"}}}", "document store/store: member \"name\""},
        {"{\"sn\":{\"sn1\":{\"zone\":\"zn1\",\"host\":\"h\",\"port\":70000,\"url\":\"u\"}}}",
         "document sn/sn1: member \"port\""},
        {"{\"rn\":{\"rg1-rn1\":{\"shard\":\"rg1\",\"sn\":\"sn1\"}}}", "member \"storageDir\""},
        {"{\"shard\":{\"rg1\":{\"slots\":[[5,4]]}}}", "document shard/rg1: member \"slots\""},
        {"{\"shard\":{\"rg1\":{\"slots\":[[0,16384]]}}}", "document shard/rg1: member \"slots\""},
        {"{\"pool\":{\"p\":{\"members\":[1]}}}", "document pool/p: member \"members\""},
        {"{\"zone\":[{\"name\":\"Zone1\"}]}", "documents of kind zone have no names"},
        {"{\"topology\":{\"t\":{\"shards\":[1]}}}", "document topology/t: member \"shards\""},
        {"{\"topology\":{\"t\":{\"shards\":{\"rg1\":{\"slots\":[[0,1]]}},\"rns\":{}}}}",
         "document topology/t: member \"shards\""},
        {"{\"topology\":{\"t\":{\"shards\":{},\"rns\":{\"rg1-rn1\":{\"shard\":\"rg1\",\"sn\":"
         "\"sn1\",\"storageDir\":\"/d\"}}}}}",
         "document topology/t: member \"rns\""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json *docs = parse(cases[i].text);
        struct cluster c = {0};
        struct err err = ERR_INIT;

        is_int(meta_to_cluster(docs, &c, &err), -1);
        is_int(err.code, ERR_INPUT);
        has_str(err.text, cases[i].says);
        cluster_release(&c);
        json_free(docs);
    }
}

static void effects_apply(void)
{
    struct json *docs = parse(DOCS), *effects = json_array(), *merge = json_object();

    meta_effect(effects, "pool", "p", NULL);
    meta_effect(effects, "pool", "q", parse("{\"members\":[]}"));
    meta_effect(effects, "fresh", "x", parse("{\"by\":\"@plan\"}"));
    json_set(merge, "stoppedBy", json_null());
    json_set_str(merge, "movedBy", "@plan");
    meta_effect_merge(effects, "rn", "rg1-rn1", merge);
    meta_effect_merge(effects, "rn", "rg9-rn9", parse("{\"port\":1}"));
    meta_apply(docs, effects, 42);
    ok(meta_doc(docs, "pool", "p") == NULL);
    ok(meta_doc(docs, "pool", "q") != NULL);
    is_int(json_int(meta_doc(docs, "fresh", "x"), "by", 0), 42);
    ok(json_get(meta_doc(docs, "rn", "rg1-rn1"), "stoppedBy") == NULL);
    is_int(json_int(meta_doc(docs, "rn", "rg1-rn1"), "movedBy", 0), 42);
    is_int(json_int(meta_doc(docs, "rn", "rg1-rn1"), "port", 0), 5);
    ok(meta_doc(docs, "rn", "rg9-rn9") == NULL);
    json_free(docs);
    json_free(effects);
}

static void digest_of(const char *text, char out[17])
{
    struct json *docs = parse(text);
    struct cluster c = {0};
    struct err err = ERR_INIT;

    is_int(meta_to_cluster(docs, &c, &err), 0);
    cluster_digest(&c, out);
    cluster_release(&c);
    json_free(docs);
}

static void digest_sees_what_matters(void)
{
    char a[17], b[17], *changed = xstrdup(DOCS);

    digest_of(DOCS, a);
    digest_of(DOCS, b);
    is_str(a, b);
    memcpy(strstr(changed, "\"rf\":2"), "\"rf\":3", 6);
    digest_of(changed, b);
    ok(strcmp(a, b) != 0);
    free(changed);
}

int main(void)
{
    TAP_RUN(TAP_TEST(reads_documents), TAP_TEST(refuses_broken_documents), TAP_TEST(effects_apply),
            TAP_TEST(digest_sees_what_matters));
}
