/* The journal's other tables: documents, events, cursors, the last observation. */
#include <stdlib.h>
#include <string.h>

#include "kvsh/log.h"
#include "kvsh/meta.h"

#include "plan_support.h"
#include "tap.h"

/* --- documents --- */

static void documents_follow_effects(void)
{
    struct err err = ERR_INIT;
    struct json *effects, *docs;
    int64_t version = -1;
    struct bench b;

    bench_begin(&b);
    ok(journal_docs(b.journal, &docs, &version, &err) == 0);
    ok(json_is_object(docs));
    is_int(json_len(docs), 0);
    is_int(version, 0);
    json_free(docs);
    effects = parsed("[{\"kind\":\"zone\",\"name\":\"zn1\",\"doc\":{\"name\":\"Zone \\\"1\\\"\"}},"
                     " {\"kind\":\"sn\",\"name\":\"sn1\",\"doc\":{\"port\":13230}},"
                     " {\"kind\":\"sn\",\"name\":\"sn2\",\"doc\":{\"port\":13240}},"
                     " {\"kind\":\"sn\",\"name\":\"sn\\\"3\",\"doc\":{\"port\":13250}}]");
    ok(journal_apply(b.journal, effects, &err) == 0);
    json_free(effects);
    effects = parsed("[{\"kind\":\"sn\",\"name\":\"sn1\",\"merge\":{\"port\":null,\"host\":\"h\"}},"
                     " {\"kind\":\"sn\",\"name\":\"sn9\",\"merge\":{\"host\":\"h\"}},"
                     " {\"kind\":\"sn\",\"name\":\"sn2\",\"doc\":null}]");
    ok(journal_apply(b.journal, effects, &err) == 0);
    json_free(effects);
    effects = json_array();
    ok(journal_apply(b.journal, effects, &err) == 0); /* nothing: no new version */
    json_free(effects);
    ok(journal_docs(b.journal, &docs, &version, &err) == 0);
    is_int(version, 2);
    is_int(json_len(docs), 2);
    is_int(json_len(json_get(docs, "sn")), 2);
    is_str(json_str(meta_doc(docs, "sn", "sn1"), "host"), "h");
    ok(json_get(meta_doc(docs, "sn", "sn1"), "port") == NULL);
    is_int(json_int(meta_doc(docs, "sn", "sn\"3"), "port", 0), 13250);
    is_str(json_str(meta_doc(docs, "zone", "zn1"), "name"), "Zone \"1\"");
    ok(journal_adopt_docs(b.journal, docs, 40, &err) == 0);
    json_free(docs);
    ok(journal_docs(b.journal, &docs, &version, &err) == 0);
    is_int(version, 40);
    is_int(json_len(json_get(docs, "sn")), 2);
    json_free(docs);
    docs = parsed("{\"zone\":{\"zn7\":{\"rf\":1}}}");
    ok(journal_replace_docs(b.journal, docs, &err) == 0);
    json_free(docs);
    ok(journal_docs(b.journal, &docs, &version, &err) == 0);
    is_int(version, 41);
    is_int(json_len(docs), 1);
    is_int(json_int(meta_doc(docs, "zone", "zn7"), "rf", 0), 1);
    json_free(docs);
    effects = parsed("[{\"kind\":\"zone\",\"name\":\"zn8\",\"doc\":{}},{\"name\":\"nothing\"}]");
    ok(journal_apply(b.journal, effects, &err) < 0);
    json_free(effects);
    ok(journal_docs(b.journal, &docs, &version, &err) == 0);
    is_int(version, 41);
    ok(meta_doc(docs, "zone", "zn8") == NULL);
    json_free(docs);
    bench_end(&b);
}

/* --- events --- */

struct seen_events {
    char text[32][64], who[32][64];
    int64_t ids[32];
    int n;
};

static void note_event(void *arg, const struct event *ev)
{
    struct seen_events *s = arg;

    snprintf(s->text[s->n], 64, "%s", ev->text);
    snprintf(s->who[s->n], 64, "%s", ev->who);
    s->ids[s->n++] = ev->id;
    ok(ev->time_ms > 0);
}

static int list_events(struct bench *b, const struct event_filter *f, struct seen_events *s)
{
    struct err err = ERR_INIT;

    *s = (struct seen_events){0};
    ok(journal_event_list(b->journal, f, note_event, s, &err) == 0);
    return s->n;
}

static void add_event(struct bench *b, const char *severity, int64_t time_ms, const char *text)
{
    struct err err = ERR_INIT;
    struct event ev = {.severity = severity,
                       .time_ms = time_ms,
                       .kind = "request",
                       .subject = "sn1",
                       .text = text};

    ok(journal_event(b->journal, &ev, &err) == 0);
}

static void events_are_listed(void)
{
    struct err err = ERR_INIT;
    struct seen_events s;
    struct bench b;

    bench_begin(&b);
    add_event(&b, "info", 1000, "one");
    add_event(&b, "warning", 2000, "two");
    add_event(&b, "error", 3000, "three");
    add_event(&b, "info", 0, "four");
    is_int(list_events(&b, &(struct event_filter){0}, &s), 4);
    is_str(s.text[0], "one");
    has_str(s.who[0], "@");
    is_int(list_events(&b, &(struct event_filter){.num = 2}, &s), 2);
    is_str(s.text[0], "three");
    is_int(list_events(&b, &(struct event_filter){.severity = "warning"}, &s), 2);
    is_str(s.text[1], "three");
    is_int(list_events(&b, &(struct event_filter){.severity = "error"}, &s), 1);
    is_int(list_events(&b, &(struct event_filter){.from_ms = 2000, .to_ms = 3000}, &s), 2);
    is_int(list_events(&b, &(struct event_filter){.after_id = s.ids[0]}, &s), 2);
    is_int(list_events(&b, &(struct event_filter){.plan_id = 1}, &s), 0);
    stored_plan(&b, 1, 1, NULL);
    is_int(list_events(&b, &(struct event_filter){.plan_id = 1}, &s), 1);
    ok(journal_event(b.journal,
                     &(struct event){.severity = "fatal", .kind = "x", .text = "no such severity"},
                     &err) < 0);
    bench_end(&b);
}

static void secrets_are_masked(void)
{
    struct err err = ERR_INIT;
    struct plan p = {0}, q = {0};
    struct seen_events s;
    struct bench b;

    bench_begin(&b);
    mask_add("tops3cret");
    add_event(&b, "info", 0, "auth tops3cret refused");
    list_events(&b, &(struct event_filter){0}, &s);
    ok(strstr(s.text[0], "tops3cret") == NULL);
    has_str(s.text[0], "refused");
    plan_of(&p, VERB_START_SERVICE, 1, 1, NULL);
    p.command = "put -value tops3cret";
    p.reason = "because of tops3cret";
    ok(journal_plan_create(b.journal, &p, &err) == 0);
    ok(journal_plan_load(b.journal, p.id, &q, &err) == 0);
    ok(strstr(q.command, "tops3cret") == NULL);
    ok(strstr(q.reason, "tops3cret") == NULL);
    plan_release(&q);
    plan_release(&p);
    bench_end(&b);
}

static void what_nodes_saw_is_kept_once(void)
{
    struct err err = ERR_INIT;
    struct event evs[3] = {0};
    int64_t seqs[3] = {5, 6, 7};
    struct json *cursors, *read;
    struct seen_events s;
    struct bench b;

    bench_begin(&b);
    for (int i = 0; i < 3; i++)
        evs[i] = (struct event){.severity = "error",
                                .who = "sn1",
                                .time_ms = 100 + i,
                                .kind = "dir-missing",
                                .subject = "rg1-rn1",
                                .text = "gone"};
    cursors = parsed("{\"sn1\":7,\"sn2\":{\"instance\":\"ab\",\"seq\":3}}");
    ok(journal_node_events(b.journal, evs, seqs, 2, cursors, &err) == 0);
    ok(journal_node_events(b.journal, evs, seqs, 3, cursors, &err) == 0);
    is_int(list_events(&b, &(struct event_filter){0}, &s), 3);
    is_str(s.who[0], "sn1");
    evs[0].time_ms = 9000; /* the node was set up anew and counts from the beginning */
    ok(journal_node_events(b.journal, evs, seqs, 1, cursors, &err) == 0);
    is_int(list_events(&b, &(struct event_filter){0}, &s), 4);
    ok(journal_cursors(b.journal, &read, &err) == 0);
    ok(json_equal(read, cursors));
    json_free(read);
    json_free(cursors);
    evs[0].severity = "loud"; /* refused: then the cursor does not move either */
    cursors = parsed("{\"sn1\":99}");
    seqs[0] = 99;
    ok(journal_node_events(b.journal, evs, seqs, 1, cursors, &err) < 0);
    json_free(cursors);
    ok(journal_cursors(b.journal, &read, &err) == 0);
    is_int(json_int(read, "sn1", 0), 7);
    json_free(read);
    bench_end(&b);
}

/* --- the last observation --- */

static void observe(struct bench *b, int64_t time_ms, const char *states)
{
    struct err err = ERR_INIT;
    struct json *j = parsed(states);

    ok(journal_observed(b->journal, time_ms, j, &err) == 0);
    json_free(j);
}

static void since_is_kept_while_nothing_changes(void)
{
    struct err err = ERR_INIT;
    struct json *states;
    struct bench b;
    int64_t time_ms = -1;

    bench_begin(&b);
    ok(journal_last_observed(b.journal, &states, &time_ms, &err) == 0);
    is_int(json_len(states), 0);
    is_int(time_ms, 0);
    json_free(states);
    observe(&b, 1000, "{\"rg1-rn1\":\"RUNNING\",\"rg1-rn2\":\"RUNNING\",\"rg1-rn3\":\"RUNNING\"}");
    observe(&b, 2000, "{\"rg1-rn1\":\"RUNNING\",\"rg1-rn2\":\"STOPPED\"}");
    ok(journal_last_observed(b.journal, &states, &time_ms, &err) == 0);
    is_int(time_ms, 2000);
    is_int(json_len(states), 2);
    is_int(json_int(json_get(states, "rg1-rn1"), "sinceMs", 0), 1000);
    is_str(json_str(json_get(states, "rg1-rn1"), "state"), "RUNNING");
    is_int(json_int(json_get(states, "rg1-rn2"), "sinceMs", 0), 2000);
    json_free(states);
    observe(&b, 3000, "{}");
    ok(journal_last_observed(b.journal, &states, &time_ms, &err) == 0);
    is_int(json_len(states), 0);
    json_free(states);
    bench_end(&b);
}

static void writers_elsewhere_are_noticed(void)
{
    struct err err = ERR_INIT;
    struct journal *other;
    struct bench b;
    int64_t before;

    bench_begin(&b);
    other = journal_open(b.dir, false, &err);
    before = journal_data_version(b.journal);
    is_int(journal_data_version(b.journal), before);
    ok(journal_event(other, &(struct event){.kind = "x", .text = "y"}, &err) == 0);
    ok(journal_data_version(b.journal) != before);
    journal_close(other);
    bench_end(&b);
}

int main(void)
{
    TAP_RUN(TAP_TEST(documents_follow_effects), TAP_TEST(events_are_listed),
            TAP_TEST(secrets_are_masked), TAP_TEST(what_nodes_saw_is_kept_once),
            TAP_TEST(since_is_kept_while_nothing_changes), TAP_TEST(writers_elsewhere_are_noticed));
}
