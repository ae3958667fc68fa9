/* How an operation ended, told by its identity. Pure; events and reports are foreign. */
#include "engines/couchbase/couchbase.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void copy(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text ? text : "");
}

void cb_memo_read(struct cb_memo *m, const char *text)
{
    struct err ignored = ERR_INIT;
    struct json *j = text ? json_parse(text, strlen(text), &ignored) : NULL;

    copy(m->id, sizeof m->id, json_str(j, "operation"));
    copy(m->before, sizeof m->before, json_str(j, "statusBefore"));
    copy(m->since, sizeof m->since, json_str(j, "since"));
    copy(m->last, sizeof m->last, json_str(j, "lastEvent"));
    copy(m->moves, sizeof m->moves, json_str(j, "moves"));
    m->blind = json_bool(j, "blind", false);
    json_free(j);
}

char *cb_memo_write(const struct cb_memo *m)
{
    struct json *j = json_object();
    char *text;

    if (m->id[0])
        json_set_str(j, "operation", m->id);
    json_set_str(j, "statusBefore", m->before);
    json_set_str(j, "since", m->since);
    json_set_str(j, "lastEvent", m->last);
    if (m->moves[0])
        json_set_str(j, "moves", m->moves);
    if (m->blind)
        json_set_bool(j, "blind", true);
    text = json_print(j);
    json_free(j);
    return text;
}

void cb_memo_mark(struct cb_memo *m, const struct json *events)
{
    int64_t newest = 0;

    m->since[0] = m->last[0] = '\0';
    m->blind = !json_is_array(json_get(events, "events"));
    JSON_FOREACH (e, json_get(events, "events")) {
        int64_t t = cb_time(json_str(e, "timestamp"));
        if (t < newest)
            continue;
        newest = t;
        copy(m->since, sizeof m->since, json_str(e, "timestamp"));
        copy(m->last, sizeof m->last, json_str(e, "uuid"));
    }
}

static const char *operation_of(const struct json *event)
{
    return json_str(json_get(event, "extra_attributes"), "operation_id");
}

/* Ids of the events of rebalance, graceful and hard failover: begun, completed, failed,
 * interrupted. */
enum cb_outcome cb_outcome_of_events(const struct json *events, const char *id, const char **why)
{
    enum cb_outcome outcome = CB_UNKNOWN;

    *why = NULL;
    JSON_FOREACH (e, json_get(events, "events")) {
        const char *op = operation_of(e);
        int64_t event = json_int(e, "event_id", -1);
        const char *component = json_str(e, "component");
        if (op == NULL || id[0] == '\0' || strcmp(op, id) != 0 || event < 2 || event > 16 ||
            (component != NULL && strcmp(component, "ns_server") != 0))
            continue;
        if (event == 3 || event == 7 || event == 11 || event == 15)
            outcome = CB_SUCCEEDED;
        else if (event == 4 || event == 8 || event == 12 || event == 16)
            outcome = CB_FAILED;
        else if (event == 5 || event == 9 || event == 13)
            outcome = CB_STOPPED;
        else if (outcome == CB_UNKNOWN)
            outcome = CB_RUNNING;
        if (json_str(json_get(e, "extra_attributes"), "completion_message") != NULL)
            *why = json_str(json_get(e, "extra_attributes"), "completion_message");
    }
    return outcome;
}

enum cb_outcome cb_outcome_of_report(const struct json *report, const char *id, const char **why)
{
    const char *op = json_str(report, "rebalanceId");

    *why = json_str(report, "completionMessage");
    if (op == NULL || id[0] == '\0' || strcmp(op, id) != 0 || *why == NULL)
        return CB_UNKNOWN;
    if (strstr(*why, "completed successfully") != NULL)
        return CB_SUCCEEDED;
    if (strstr(*why, "stopped by user") != NULL || strstr(*why, "interrupted") != NULL)
        return CB_STOPPED;
    return CB_FAILED;
}

/* --- what an operation moves --- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void cb_moves_of(const struct json *names, char out[CB_MOVES])
{
    size_t n = 0, all = json_len(names);
    const char **sorted = xcalloc(all + 1, sizeof *sorted);
    uint64_t hash = UINT64_C(14695981039346656037);

    JSON_FOREACH (name, names) {
        if (json_value_str(name) != NULL)
            sorted[n++] = json_value_str(name);
    }
    qsort(sorted, n, sizeof *sorted, by_name);
    for (size_t i = 0; i < n; i++) {
        for (const char *p = sorted[i]; *p; p++)
            hash = (hash ^ (unsigned char)*p) * UINT64_C(1099511628211);
        hash = (hash ^ ',') * UINT64_C(1099511628211);
    }
    snprintf(out, CB_MOVES, "%016llx", (unsigned long long)hash);
    free(sorted);
}

bool cb_moves_differ(const struct json *info, const struct cb_memo *m, const char *kind)
{
    static const char *const rebalance[] = {"keep_nodes", NULL};
    static const char *const failover[] = {"failover_nodes", "failed_nodes", NULL};
    char is[CB_MOVES];

    if (m->moves[0] == '\0')
        return false;
    for (const char *const *list = strcmp(kind, "rebalance") == 0 ? rebalance : failover; *list;
         list++) {
        if (json_len(json_get(info, *list)) == 0)
            continue;
        cb_moves_of(json_get(info, *list), is);
        return strcmp(is, m->moves) != 0;
    }
    return false;
}

static int64_t begun_event(const char *kind)
{
    if (strcmp(kind, "rebalance") == 0)
        return 2;
    return strcmp(kind, "gracefulFailover") == 0 ? 6 : 10;
}

const char *cb_begun_since(const struct json *events, const struct cb_memo *m, const char *kind)
{
    int64_t since = cb_time(m->since), wanted = begun_event(kind);
    const char *found = NULL;

    if (m->blind) /* what was there before is not known */
        return NULL;
    JSON_FOREACH (e, json_get(events, "events")) {
        const char *uuid = json_str(e, "uuid"), *op = operation_of(e);
        const struct json *info = json_get(json_get(e, "extra_attributes"), "nodes_info");
        if (json_int(e, "event_id", -1) != wanted || op == NULL ||
            cb_time(json_str(e, "timestamp")) < since ||
            (uuid != NULL && strcmp(uuid, m->last) == 0) || cb_moves_differ(info, m, kind))
            continue;
        if (found != NULL && strcmp(found, op) != 0)
            return NULL;
        found = op;
    }
    return found;
}
