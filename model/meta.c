#include "kvsh/meta.h"

#include <stdlib.h>
#include <string.h>

/* What a document of one kind adds to the cluster. */
typedef int read_doc(struct cluster *c, const char *name, const struct json *doc, struct err *err);

static int broken(struct err *err, const char *kind, const char *name, const char *member)
{
    return err_set(err, ERR_INPUT, "document %s/%s: member \"%s\" is missing or wrong", kind, name,
                   member);
}

static int read_store(struct cluster *c, const char *name, const struct json *doc, struct err *err)
{
    const char *store = json_str(doc, "name"), *engine = json_str(doc, "engine");

    if (store == NULL)
        return broken(err, "store", name, "name");
    if (engine == NULL)
        return broken(err, "store", name, "engine");
    c->store = arena_strdup(&c->arena, store);
    c->engine = arena_strdup(&c->arena, engine);
    c->partitions = (int)json_int(doc, "partitions", 0);
    c->sequence = json_int(doc, "sequence", 0);
    return 0;
}

static int read_zone(struct cluster *c, const char *name, const struct json *doc, struct err *err)
{
    const char *title = json_str(doc, "name"), *type = json_str(doc, "type");

    if (title == NULL)
        return broken(err, "zone", name, "name");
    *ARENA_PUSH(&c->arena, c->zones, c->n_zones) = (struct zone){
        .id = arena_strdup(&c->arena, name),
        .name = arena_strdup(&c->arena, title),
        .type = type ? arena_strdup(&c->arena, type) : "PRIMARY",
        .rf = (int)json_int(doc, "rf", 0),
    };
    return 0;
}

static int read_sn(struct cluster *c, const char *name, const struct json *doc, struct err *err)
{
    const char *host = json_str(doc, "host"), *zone = json_str(doc, "zone");
    const char *url = json_str(doc, "url");
    int64_t port = json_int(doc, "port", 0);

    if (host == NULL)
        return broken(err, "sn", name, "host");
    if (zone == NULL)
        return broken(err, "sn", name, "zone");
    if (port < 1 || port > 65535)
        return broken(err, "sn", name, "port");
    if (url == NULL)
        return broken(err, "sn", name, "url");
    *ARENA_PUSH(&c->arena, c->nodes, c->n_nodes) = (struct node){
        .id = arena_strdup(&c->arena, name),
        .zone = arena_strdup(&c->arena, zone),
        .host = arena_strdup(&c->arena, host),
        .port = (int)port,
        .url = arena_strdup(&c->arena, url),
        .status = STATUS_UNREPORTED,
        .metadata_version = -1,
    };
    return 0;
}

static struct service *add_service(struct cluster *c, const char *id, enum service_kind kind,
                                   const struct json *doc)
{
    struct service *s = ARENA_PUSH(&c->arena, c->services, c->n_services);

    *s = (struct service){
        .id = arena_strdup(&c->arena, id),
        .kind = kind,
        .node = arena_strdup(&c->arena, json_str(doc, "sn")),
        .stopped_by = json_int(doc, "stoppedBy", 0),
        .port = (int)json_int(doc, "port", 0),
        .status = STATUS_UNREPORTED,
        .sequence = -1,
        .lag = -1,
        .used_bytes = -1,
        .max_bytes = -1,
    };
    return s;
}

static int read_admin(struct cluster *c, const char *name, const struct json *doc, struct err *err)
{
    if (json_str(doc, "sn") == NULL)
        return broken(err, "admin", name, "sn");
    add_service(c, name, KIND_ADMIN, doc);
    return 0;
}

/* What the document of a replication node lacks, or NULL. */
static const char *missing_member(const struct json *rn)
{
    static const char *const needed[] = {"sn", "shard", "storageDir"};

    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (json_str(rn, needed[i]) == NULL)
            return needed[i];
    }
    return NULL;
}

static int read_rn(struct cluster *c, const char *name, const struct json *doc, struct err *err)
{
    const char *missing;
    struct service *s;

    missing = missing_member(doc);
    if (missing != NULL)
        return broken(err, "rn", name, missing);
    s = add_service(c, name, KIND_RN, doc);
    s->shard = arena_strdup(&c->arena, json_str(doc, "shard"));
    s->storage_dir = arena_strdup(&c->arena, json_str(doc, "storageDir"));
    s->bus_port = (int)json_int(doc, "busPort", 0);
    s->first_primary = json_bool(doc, "firstPrimary", false);
    return 0;
}

static bool read_range(const struct json *range, struct slot_range *r)
{
    int64_t first = json_value_int(json_at(range, 0), -1);
    int64_t last = json_value_int(json_at(range, 1), -1);

    if (first < 0 || last < first || last > 16383)
        return false;
    *r = (struct slot_range){(int)first, (int)last};
    return true;
}

static int read_shard(struct cluster *c, const char *name, const struct json *doc, struct err *err)
{
    struct shard *sh = ARENA_PUSH(&c->arena, c->shards, c->n_shards);
    struct slot_range r;

    sh->id = arena_strdup(&c->arena, name);
    sh->partitions = (int)json_int(doc, "partitions", 0);
    JSON_FOREACH (range, json_get(doc, "slots")) {
        if (!read_range(range, &r))
            return broken(err, "shard", name, "slots");
        *ARENA_PUSH(&c->arena, sh->slots, sh->n_slots) = r;
    }
    return 0;
}

static bool has_first_primary(const struct json *rns, const char *shard)
{
    JSON_FOREACH (rn, rns) {
        const char *of = json_str(rn, "shard");
        if (of != NULL && strcmp(of, shard) == 0 && json_bool(rn, "firstPrimary", false))
            return true;
    }
    return false;
}

/* Candidates are not part of the cluster, but whoever deploys one relies on what it says. */
static int read_topology(struct cluster *c, const char *name, const struct json *doc,
                         struct err *err)
{
    const struct json *shards = json_get(doc, "shards"), *rns = json_get(doc, "rns");
    struct slot_range r;

    (void)c;
    JSON_FOREACH (shard, shards) {
        if (json_key(shard) == NULL || json_len(json_get(shard, "slots")) == 0 ||
            !has_first_primary(rns, json_key(shard)))
            return broken(err, "topology", name, "shards");
        JSON_FOREACH (range, json_get(shard, "slots")) {
            if (!read_range(range, &r))
                return broken(err, "topology", name, "shards");
        }
    }
    JSON_FOREACH (rn, rns) {
        if (json_key(rn) == NULL || missing_member(rn) != NULL ||
            json_get(shards, json_str(rn, "shard")) == NULL)
            return broken(err, "topology", name, "rns");
    }
    return 0;
}

static int read_pool(struct cluster *c, const char *name, const struct json *doc, struct err *err)
{
    struct pool *p = ARENA_PUSH(&c->arena, c->pools, c->n_pools);

    p->name = arena_strdup(&c->arena, name);
    JSON_FOREACH (member, json_get(doc, "members")) {
        if (json_value_str(member) == NULL)
            return broken(err, "pool", name, "members");
        *ARENA_PUSH(&c->arena, p->nodes, p->n_nodes) =
            arena_strdup(&c->arena, json_value_str(member));
    }
    return 0;
}

/* sn10 comes after sn9: letters compare as letters, runs of digits as numbers. */
static int compare_ids(const char *a, const char *b)
{
    while (*a && *b) {
        if (*a >= '0' && *a <= '9' && *b >= '0' && *b <= '9') {
            char *ea, *eb;
            unsigned long na = strtoul(a, &ea, 10), nb = strtoul(b, &eb, 10);
            if (na != nb)
                return na < nb ? -1 : 1;
            a = ea;
            b = eb;
        } else {
            if (*a != *b)
                return (unsigned char)*a - (unsigned char)*b;
            a++;
            b++;
        }
    }
    return (unsigned char)*a - (unsigned char)*b;
}

#define COMPARE(type, member)                                                                   \
    static int compare_##type(const void *a, const void *b)                                     \
    {                                                                                           \
        return compare_ids(((const struct type *)a)->member, ((const struct type *)b)->member); \
    }
COMPARE(zone, id)
COMPARE(node, id)
COMPARE(service, id)
COMPARE(shard, id)
COMPARE(pool, name)

#define SORT(items, n, compare)                              \
    do {                                                     \
        if ((n) > 1)                                         \
            qsort((items), (n), sizeof *(items), (compare)); \
    } while (0)

/* Documents are objects without order; everything shown comes from here, so order it once. */
static void sort_cluster(struct cluster *c)
{
    SORT(c->zones, c->n_zones, compare_zone);
    SORT(c->nodes, c->n_nodes, compare_node);
    SORT(c->services, c->n_services, compare_service);
    SORT(c->shards, c->n_shards, compare_shard);
    SORT(c->pools, c->n_pools, compare_pool);
}

int meta_to_cluster(const struct json *docs, struct cluster *c, struct err *err)
{
    static const struct {
        const char *kind;
        read_doc *read;
    } kinds[] = {
        {"store", read_store}, {"zone", read_zone},
        {"sn", read_sn},       {"admin", read_admin},
        {"rn", read_rn},       {"shard", read_shard},
        {"pool", read_pool},   {"topology", read_topology},
    };

    c->doc = json_copy(docs);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        JSON_FOREACH (doc, json_get(c->doc, kinds[k].kind)) {
            if (json_key(doc) == NULL)
                return err_set(err, ERR_INPUT, "documents of kind %s have no names", kinds[k].kind);
            if (kinds[k].read(c, json_key(doc), doc, err) != 0)
                return -1;
        }
    }
    sort_cluster(c);
    return 0;
}

const struct json *meta_doc(const struct json *docs, const char *kind, const char *name)
{
    return json_get(json_get(docs, kind), name);
}

static void add_effect(struct json *effects, const char *kind, const char *name, const char *member,
                       struct json *value)
{
    struct json *e = json_object();

    json_set_str(e, "kind", kind);
    json_set_str(e, "name", name);
    json_set(e, member, value);
    json_push(effects, e);
}

void meta_effect(struct json *effects, const char *kind, const char *name, struct json *doc)
{
    add_effect(effects, kind, name, "doc", doc ? doc : json_null());
}

void meta_effect_merge(struct json *effects, const char *kind, const char *name, struct json *merge)
{
    add_effect(effects, kind, name, "merge", merge);
}

/* RFC 7396 on the first level of members: documents change by whole members. */
static void merge_members(struct json *doc, const struct json *merge)
{
    JSON_FOREACH (m, merge) {
        if (json_is_null(m))
            json_unset(doc, json_key(m));
        else
            json_set(doc, json_key(m), json_copy(m));
    }
}

static void name_plan(struct json *doc, int64_t plan_id)
{
    for (struct json *m = json_first(doc), *next; m != NULL; m = next) {
        next = json_next(m);
        if (json_value_str(m) != NULL && strcmp(json_value_str(m), "@plan") == 0)
            json_set_int(doc, json_key(m), plan_id);
    }
}

struct json *meta_effect_result(const struct json *present, const struct json *effect,
                                int64_t plan_id)
{
    const struct json *merge = json_get(effect, "merge"), *doc = json_get(effect, "doc");
    struct json *result;

    if (merge != NULL) {
        if (present == NULL)
            return NULL;
        result = json_copy(present);
        merge_members(result, merge);
    } else {
        if (!json_is_object(doc))
            return NULL;
        result = json_copy(doc);
    }
    name_plan(result, plan_id);
    return result;
}

void meta_apply(struct json *docs, const struct json *effects, int64_t plan_id)
{
    JSON_FOREACH (e, effects) {
        const char *kind = json_str(e, "kind"), *name = json_str(e, "name");
        struct json *of_kind, *result;

        if (kind == NULL || name == NULL)
            continue;
        of_kind = json_get(docs, kind);
        result = meta_effect_result(json_get(of_kind, name), e, plan_id);
        if (result == NULL) {
            json_unset(of_kind, name);
            continue;
        }
        if (of_kind == NULL) {
            of_kind = json_object();
            json_set(docs, kind, of_kind);
        }
        json_set(of_kind, name, result);
    }
}
