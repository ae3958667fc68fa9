/* How many could go at once, by the rules of a store that is made up here. */
#include <stdlib.h>
#include <string.h>

#include "kvsh/json.h"
#include "kvsh/safety.h"

#include "tap.h"

enum { SHARDS = 3, COPIES = 3 };

/* Three shards of three copies; copy N is on node N, and the first of each is primary. */
struct world {
    struct node nodes[COPIES];
    struct service services[SHARDS * COPIES];
    char ids[SHARDS * COPIES][16], shards[SHARDS][8], sns[COPIES][8];
    struct cluster c;
};

static void build(struct world *w)
{
    memset(w, 0, sizeof *w);
    for (int n = 0; n < COPIES; n++) {
        snprintf(w->sns[n], sizeof w->sns[n], "sn%d", n + 1);
        w->nodes[n] = (struct node){.id = w->sns[n], .zone = n == 2 ? "zn2" : "zn1"};
    }
    for (int i = 0; i < SHARDS * COPIES; i++) {
        int shard = i / COPIES, copy = i % COPIES;

        snprintf(w->shards[shard], sizeof w->shards[shard], "rg%d", shard + 1);
        snprintf(w->ids[i], sizeof w->ids[i], "rg%d-rn%d", shard + 1, copy + 1);
        w->services[i] = (struct service){.id = w->ids[i],
                                          .kind = KIND_RN,
                                          .shard = w->shards[shard],
                                          .node = w->sns[copy],
                                          .status = STATUS_RUNNING,
                                          .role = copy == 0 ? ROLE_MASTER : ROLE_REPLICA};
    }
    w->c = (struct cluster){.store = "s",
                            .nodes = w->nodes,
                            .n_nodes = COPIES,
                            .services = w->services,
                            .n_services = SHARDS * COPIES};
}

/* The rule: no shard loses more than one copy. */
static void one_of_each_shard(const struct intent *in, const struct cluster *c, struct findings *f)
{
    int lost[SHARDS] = {0};

    JSON_FOREACH (id, json_get(in->args, "services")) {
        const struct service *s = cluster_service(c, json_value_str(id));
        if (s != NULL && ++lost[s->shard[2] - '1'] > 1)
            findings_add(f, SEVERITY_BLOCK, "copies", s->shard, "%d copies of 3 would be away",
                         lost[s->shard[2] - '1']);
    }
    findings_add(f, SEVERITY_NOTE, "note", "s", "a note blocks nothing");
}

static void a_question_is_an_intent(void)
{
    struct world w;
    struct findings f = {0};
    const struct safety s = {one_of_each_shard, VERB_STOP_SERVICE, &w.c};

    build(&w);
    safety_ask(&s, (const char *[]){"rg1-rn1", "rg2-rn1"}, 2, &f);
    is_int(f.n, 1);
    safety_ask(&s, (const char *[]){"rg1-rn1", "rg1-rn2"}, 2, &f);
    is_int(f.n, 3);
    is_int(findings_worst(&f), SEVERITY_BLOCK);
    findings_release(&f);
}

static void neighbours_come_first(void)
{
    struct world w;
    struct arena a = {0};
    const char **ids;
    size_t n;

    build(&w);
    w.services[8].status = STATUS_STOPPED; /* rg3-rn3 */
    ids = safety_candidates(&w.c, (const char *[]){"rg1-rn2"}, 1, &a, &n);
    is_int(n, 7);
    is_str(ids[0], "rg2-rn2"); /* same node */
    is_str(ids[1], "rg3-rn2");
    is_str(ids[2], "rg1-rn1"); /* same zone, a primary */
    is_str(ids[5], "rg1-rn3"); /* the other zone */
    is_str(ids[6], "rg2-rn3");
    arena_release(&a);
}

static void as_many_as_the_rules_allow(void)
{
    static const char *const all[] = {"rg1-rn1", "rg1-rn2", "rg2-rn2", "rg3-rn3", "rg3-rn1"};
    struct world w;
    const struct safety s = {one_of_each_shard, VERB_STOP_SERVICE, &w.c};
    bool chosen[5];

    build(&w);
    is_int(safety_together(&s, all, 5, 5, chosen), 3);
    ok(chosen[0] && !chosen[1] && chosen[2] && chosen[3] && !chosen[4]);
    is_int(safety_together(&s, all, 5, 2, chosen), 2);
    ok(chosen[0] && !chosen[1] && chosen[2] && !chosen[3]);
    is_int(safety_together(&s, all, 2, 0, chosen), 0);
    is_int(safety_together(&s, all, 0, 5, chosen), 0);
}

int main(void)
{
    TAP_RUN(TAP_TEST(a_question_is_an_intent), TAP_TEST(neighbours_come_first),
            TAP_TEST(as_many_as_the_rules_allow));
}
