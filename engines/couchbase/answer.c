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

static void advise(int status, const char *text, struct err *err)
{
    if (status == 401)
        err_advise(err, "check user and password-file (or token-file, cert-file) of the store");
    else if (status == 403)
        err_advise(err, "changing the topology needs Full Admin or Cluster Admin");
    else if (strstr(text, "Cluster uuid does not match") != NULL)
        err_advise(err, "another cluster answers at this address; see store show");
    else if (status == 504)
        err_advise(err,
                   "too few nodes answer for a majority: bring nodes back, or see the runbook for "
                   "a lost quorum in kvsh-couchbase(7)");
    else if (status == 503)
        err_advise(err, "show tasks tells what the cluster is doing; try again when it is done");
}

int cb_refused(const struct http_response *resp, const struct cb_request *r, struct err *err)
{
    bool changes = strcmp(r->method, "GET") != 0;
    enum err_code code = ERR_FAILED;
    char text[700];

    cb_sentence(resp->body, resp->len, text, sizeof text);
    if (resp->status == 401 || resp->status == 403)
        code = ERR_DENIED;
    else if (changes && (resp->status == 500 || resp->status == 502))
        code = ERR_IN_DOUBT;
    if (resp->status == 401 && text[0] == '\0')
        err_set(err, code, "%s: credentials were not accepted (status 401)", cb_host(r->base));
    else if (text[0] == '\0')
        err_set(err, code, "%s: refused without a reason (status %d)", cb_host(r->base),
                resp->status);
    else
        err_set(err, code, "%s: %s (status %d)", cb_host(r->base), text, resp->status);
    advise(resp->status, text, err);
    return -1;
}
