/* Refusals of the cluster manager: plain sentences, lists of sentences, objects of several shapes.
 * Pure. */
#include "engines/couchbase/couchbase.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 6

/* What the one-word refusals of rebalance mean. */
static const struct {
    const char *word, *text;
} known[] = {
    {"mismatch", "the list of members is not the cluster's any more"},
    {"empty_known_nodes", "the list of members is empty"},
    {"deltaRecoveryNotPossible", "delta recovery is not possible for these buckets"},
    {"noKVNodesLeft", "no node of the data service would remain"},
    {"must_rebalance_services", "these services must be rebalanced too"},
    {"unhosted_services", "these services would have no node"},
    {"need_more_space", "these nodes need more disk space"},
    {"total_quota_too_high", "the memory quotas are too high for these nodes"},
};

static const char *known_text(const char *word)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].word, word) == 0)
            return known[i].text;
    }
    return NULL;
}

/* A text sent as a list of character codes, possibly nested. */
static bool add_codes(struct buf *b, const struct json *list, int depth)
{
    if (depth > DEPTH || json_len(list) == 0)
        return false;
    JSON_FOREACH (item, list) {
        int64_t code = json_value_int(item, -1);
        if (json_is_array(item)) {
            if (json_len(item) > 0 && !add_codes(b, item, depth + 1))
                return false;
        } else if (code >= 32 && code < 127) {
            buf_addc(b, (char)code);
        } else {
            return false;
        }
    }
    return true;
}

static void add_value(struct buf *b, const struct json *j, int depth);

static void add_list(struct buf *b, const struct json *list, int depth)
{
    struct buf text;
    size_t n = 0;

    buf_init(&text, 2000);
    if (add_codes(&text, list, 0) && text.len > 0) {
        buf_adds(b, text.data);
    } else {
        JSON_FOREACH (item, list) {
            if (n++ > 0)
                buf_adds(b, "; ");
            add_value(b, item, depth + 1);
        }
    }
    buf_release(&text);
}

/* {"field": "text"}: the name matters, unless it is "_". */
static void add_field(struct buf *b, const struct json *member, int depth)
{
    const char *name = json_key(member), *text = known_text(name);
    bool plain = strcmp(name, "_") == 0 || strcmp(name, "error") == 0;

    if (text != NULL) {
        buf_adds(b, text);
        if (json_is_array(member) && json_len(member) > 0) {
            buf_adds(b, ": ");
            add_value(b, member, depth + 1);
        }
    } else if (json_is_object(member) || plain) {
        add_value(b, member, depth + 1);
    } else {
        buf_addf(b, "%s: ", name);
        add_value(b, member, depth + 1);
    }
}

static void add_object(struct buf *b, const struct json *j, int depth)
{
    const struct json *errors = json_get(j, "errors");
    const char *message = json_str(j, "message");
    size_t n = 0;

    if (message != NULL) {
        buf_adds(b, message);
        if (json_len(json_get(j, "permissions")) > 0) {
            buf_adds(b, ": ");
            add_list(b, json_get(j, "permissions"), depth);
        }
        return;
    }
    JSON_FOREACH (member, json_is_object(errors) ? errors : j) {
        if (n++ > 0)
            buf_adds(b, "; ");
        add_field(b, member, depth);
    }
}

static void add_value(struct buf *b, const struct json *j, int depth)
{
    char *text;

    if (depth > DEPTH)
        return;
    if (json_value_str(j) != NULL) {
        buf_adds(b, json_value_str(j));
    } else if (json_is_array(j)) {
        add_list(b, j, depth);
    } else if (json_is_object(j)) {
        add_object(b, j, depth);
    } else {
        text = json_print(j);
        buf_adds(b, text);
        free(text);
    }
}

void cb_sentence(const char *body, size_t len, char *out, size_t size)
{
    struct err ignored = ERR_INIT;
    struct json *j = json_parse(body, len, &ignored);
    struct buf b;
    size_t n = 0;

    buf_init(&b, 4000);
    if (json_is_object(j) || json_is_array(j) || json_is_string(j))
        add_value(&b, j, 0);
    else if (len > 0 && body[0] != '<') /* an HTML page is nobody's sentence */
        buf_add(&b, body, len < 600 ? len : 600);
    for (size_t i = 0; i < b.len && n + 1 < size; i++) {
        char c = (char)(iscntrl((unsigned char)b.data[i]) ? ' ' : b.data[i]);
        if (c != ' ' || (n > 0 && out[n - 1] != ' '))
            out[n++] = c;
    }
    while (n > 0 && (out[n - 1] == ' ' || out[n - 1] == '.'))
        n--;
    out[n] = '\0';
    json_free(j);
    buf_release(&b);
}

/* What to do next, by what the refusal says; the first that fits. */
static const struct {
    const char *says, *advice;
} advices[] = {
    {"Password expired",
     "give the user a new password in Couchbase, then put it into password-file"},
    {"Cluster uuid does not match", "another cluster answers at this address; see store show"},
    {"unknown pool", "this node belongs to no cluster (any more); see store show"},
    /* failover */
    {"Expected topology mismatch",
     "somebody changed the members in between, nothing was begun: see show topology, then execute "
     "the plan, which looks again"},
    {"pre-7.9 cluster",
     "finish the upgrade of all nodes, or wait until the cluster has noticed it"},
    {"Failover must include",
     "an earlier unsafe failover was interrupted: name these nodes as well"},
    {"which is orchestrating the failover",
     "ask a node that stays: add its address to the store (store show)"},
    {"diverged histories", "bring one of the nodes back; its data is the newer"},
    {"Failover could not be processed on nodes",
     "these nodes have to answer, or to be failed over with the others"},
    {"Last active node", "add or recover a node of the data service first"},
    {"Last server for bucket", "add or recover a node of the data service first, then rebalance"},
    {"node without data service", "use -mode hard"},
    {"would lose vbuckets",
     "raise the number of replicas and rebalance, or use 'plan remove-node', which moves the data"},
    {"Inactive server given", "it is failed over already, or not active yet: see show topology"},
    {"Unknown server", "it is no member (any more): see show topology"},
    {"Stopped by user",
     "somebody stopped it: show events tells; executing the plan begins it anew"},
    {"Unfinished failover of nodes",
     "repeat that failover first: 'plan failover -service NODE -mode hard -unsafe " CB_UNSAFE "'"},
    {"Cannot communicate to the orchestrator",
     "wait until another node leads, or 'plan stop-rebalance -unsafe'"},
    /* recovery, rebalance */
    {"can't be used for delta recovery",
     "it has to be failed over and, for delta, to run data or index service: see show topology; "
     "else -type full"},
    {"delta recovery is not possible", "recover the node with -type full"},
    {"is not the cluster's any more",
     "see show topology, then execute the plan, which looks again"},
    {"no node of the data service would remain", "keep, add or recover a node of the data service"},
    {"No active nodes left", "keep, add or recover a node"},
    {"Cannot contact the following nodes",
     "start couchbase-server there, or fail them over: 'plan failover -service NODE -mode hard'"},
    {"need more disk space", "free space on them first"},
    {"quotas are too high", "lower the memory quotas, or give the nodes more memory"},
    {"services must be rebalanced", "let Couchbase's own console say which services move"},
    {"would have no node", "add a node for these services first"},
    /* nodes that come and go */
    {"not provisioned nodes", "initialise the cluster that the store names first"},
    {"Node is unknown to this cluster",
     "it was removed: look at show topology from another address, or add its address anew"},
    {"Node is already part of cluster",
     "the node belongs to a cluster; to take it all the same, remove it there, or reset it (POST "
     "/controller/hardResetNode on it), which wipes its data"},
    {"Joining node to itself", "name the node that is to join"},
    {"Node already exists", "it is a member already: 'plan rebalance' takes it in"},
    {"Authentication failed", "the node has a user and password of its own: make them the store's"},
    {"password must", "give the store user and password-file"},
    {"http is prohibited", "name the node's secure port: -port 18091"},
    {"not allowed to join", "the cluster's setting allowedHosts names who may join"},
    {"Failed to connect",
     "check host and port, and that couchbase-server runs there and is reachable "
     "from the cluster"},
    {"Failed to reach",
     "check host and port, and that couchbase-server runs there and is reachable "
     "from the cluster"},
    {"Subject Alternative Name", "the node's certificate has to name its host"},
    {"Unknown services", "services are kv, n1ql, index, fts, cbas, eventing, backup; the Community "
                         "Edition and old versions have fewer"},
    {"port number must be", "give a port from 1024 to 65535"},
    {"Could not find group", "the group was removed: see show groups"},
    {"unfinished failover",
     "repeat that failover first: 'plan failover -service NODE -mode hard -unsafe " CB_UNSAFE "'"},
    {"loss of quorum",
     "bring nodes back, or see the runbook for a lost quorum in kvsh-couchbase(7)"},
    {"rebalance is in progress", "show tasks follows it; execute the plan when it has ended"},
    {"Cannot remove active server",
     "'plan failover' or 'plan remove-node' first: see show topology"},
    {"Server does not exist", "it is no member any more: see show topology"},
    {"Requested resource not found", "it was removed, or this version does not have it: see show "
                                     "topology, show buckets"},
};

/* Who may; which permission is missing the cluster itself has said. */
static const char *who_may(const struct cb_request *r)
{
    if (strcmp(r->method, "GET") == 0)
        return "looking at the cluster needs Read-Only Admin, Cluster Admin or Full Admin";
    if (r->path != NULL && strncmp(r->path, "/settings/", 10) == 0)
        return "changing the cluster's settings needs Full Admin or Cluster Admin";
    return "changing the topology needs Full Admin or Cluster Admin";
}

static void advise(int status, const char *text, const struct cb_request *r, struct err *err)
{
    for (size_t i = 0; i < sizeof advices / sizeof *advices; i++) {
        if (strstr(text, advices[i].says) == NULL)
            continue;
        err_advise(err, "%s", advices[i].advice);
        return;
    }
    if (status == 401)
        err_advise(err, "check user and password-file (or token-file, cert-file) of the store");
    else if (status == 403)
        err_advise(err, "%s", who_may(r));
    else if (status == 409)
        err_advise(err,
                   "somebody changed the server groups meanwhile: execute the plan, which looks "
                   "at them again");
    else if (status == 504)
        err_advise(err,
                   "too few nodes answer for a majority: bring nodes back, or see the runbook for "
                   "a lost quorum in kvsh-couchbase(7)");
    else if (status == 503)
        err_advise(err, "show tasks tells what the cluster is doing; try again when it is done");
    else if (status == 500 || status == 502)
        err_advise(err, "show events and the node's own logs tell more");
    else if (status < 400)
        err_advise(err,
                   "give the store the address of the cluster manager itself: http://HOST:8091 or "
                   "https://HOST:18091");
}

static enum err_code code_of(const struct http_response *resp, bool changes)
{
    const char *type = resp->content_type;
    int status = resp->status;
    bool by_proxy = type != NULL && strcmp(type, "text/html") == 0;

    if (status == 401 || status == 403)
        return ERR_DENIED;
    if (status >= 500 && !changes)
        return ERR_UNREACHABLE;
    /* 503 and 504 are words of the cluster manager's own: it did nothing. Who stands before it
     * does not know. */
    if (status >= 500 && (by_proxy || (status != 503 && status != 504)))
        return ERR_IN_DOUBT;
    return ERR_FAILED;
}

int cb_refused(const struct http_response *resp, const struct cb_request *r, struct err *err)
{
    enum err_code code = code_of(resp, strcmp(r->method, "GET") != 0);
    const char *host = cb_host(r->base);
    char text[700];

    cb_sentence(resp->body, resp->len, text, sizeof text);
    if (resp->status == 401 && text[0] == '\0')
        err_set(err, code, "%s: credentials were not accepted (status 401)", host);
    else if (resp->status < 400)
        err_set(err, code, "%s: redirects elsewhere, which is not followed (status %d)", host,
                resp->status);
    else if (text[0] == '\0')
        err_set(err, code, "%s: refused %s %.*s without a reason (status %d)", host, r->method,
                (int)strcspn(r->path ? r->path : "", "?"), r->path ? r->path : "", resp->status);
    else
        err_set(err, code, "%s: %s (status %d)", host, text, resp->status);
    advise(resp->status, text, r, err);
    return -1;
}
