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
    text = json_print(j);
    json_free(j);
    return text;
}

void cb_memo_mark(struct cb_memo *m, const struct json *events)
{
    int64_t newest = 0;

    m->since[0] = m->last[0] = '\0';
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

    JSON_FOREACH (e, json_get(events, "events")) {
        const char *uuid = json_str(e, "uuid"), *op = operation_of(e);
        if (json_int(e, "event_id", -1) != wanted || op == NULL ||
            cb_time(json_str(e, "timestamp")) < since ||
            (uuid != NULL && strcmp(uuid, m->last) == 0))
            continue;
        if (found != NULL && strcmp(found, op) != 0)
            return NULL;
        found = op;
    }
    return found;
}
