/* What the functions of several tasks use. */
#include "engines/couchbase/doing.h"

#include <stdlib.h>
#include <string.h>

#include "kvsh/fs.h"
#include "kvsh/meta.h"

int cb_look(struct doing *d, struct err *err)
{
    cluster_release(&d->c);
    if (meta_to_cluster(d->p->docs, &d->c, err) != 0)
        return -1;
    return cb_observe(d->cn, d->p->docs, &d->c, err);
}

int cb_pause(struct doing *d, int percent, const char *waiting_for, struct err *err)
{
    d->p->report(d->p, percent, waiting_for);
    if (d->p->interrupted(d->p))
        return err_set(err, ERR_INTERRUPTED, "interrupted while waiting for %s", waiting_for);
    time_sleep_ms(CB_POLL_MS);
    return 0;
}

static void tell(struct doing *d, const struct cb_send *s, const char *base, const char *outcome)
{
    const char *shown = s->shown ? s->shown : s->request.form;
    struct buf b;

    if (d->p->event == NULL)
        return;
    buf_init(&b, 4000);
    buf_addf(&b, "%s: %s %s%s%s: %s", cb_host(base), s->request.method, s->request.path,
             shown && shown[0] ? " " : "", shown ? shown : "", outcome);
    d->p->event(d->p, strncmp(outcome, "200", 3) == 0 ? "info" : "warning", b.data);
    buf_release(&b);
}

int cb_send(struct doing *d, const struct cb_send *s, struct json **answer, struct err *err)
{
    struct cb_request r = s->request;
    struct http_response resp = {0};
    struct err ignored = ERR_INIT;
    char *path = NULL;
    int rc;

    if (answer != NULL)
        *answer = NULL;
    if (s->status != NULL)
        *s->status = 0;
    if (r.base == NULL)
        r.base = d->cn->base;
    if (strstr(r.path, "uuid=") == NULL)
        path = xasprintf("%s%cuuid=%s", r.path, strchr(r.path, '?') ? '&' : '?', d->c.identity);
    r.path = path ? path : r.path;
    rc = cb_exchange(d->cn, &r, &resp, err);
    if (rc == 0 && s->status != NULL)
        *s->status = resp.status;
    if (rc == 0 && resp.status >= 300) {
        rc = cb_refused(&resp, &r, err);
    } else if (rc == 0 && resp.content_type != NULL &&
               strcmp(resp.content_type, "text/html") == 0) {
        /* Whatever this is, it cannot tell whether the request took effect. */
        rc = err_set(err, ERR_IN_DOUBT, "%s: answered with a page for people", cb_host(r.base));
    } else if (rc == 0 && answer != NULL && resp.len > 0) {
        *answer = json_parse(resp.body, resp.len, &ignored);
        if (*answer == NULL)
            rc = err_set(err, ERR_IN_DOUBT, "%s: answered with what is no JSON", cb_host(r.base));
    }
    tell(d, s, r.base, rc == 0 ? "200" : err->text);
    http_response_release(&resp);
    free(path);
    return rc;
}

int cb_change(struct doing *d, const char *path, const char *form, struct json **answer,
              struct err *err)
{
    const struct cb_send s = {
        .request = {.method = "POST", .path = path, .form = form ? form : ""}};

    return cb_send(d, &s, answer, err);
}

bool cb_in_list(const struct json *list, const char *word)
{
    JSON_FOREACH (item, list) {
        if (json_value_str(item) != NULL && strcmp(json_value_str(item), word) == 0)
            return true;
    }
    return false;
}

char *cb_joined(const struct json *list)
{
    struct buf b;

    buf_init(&b, 0);
    JSON_FOREACH (item, list) {
        if (json_value_str(item) != NULL)
            buf_addf(&b, "%s%s", b.len > 0 ? "," : "", json_value_str(item));
    }
    return buf_take(&b);
}

const struct service *cb_target(struct doing *d)
{
    const char *otp = json_str(d->t->args, "otp");

    return otp ? cb_by_otp(&d->c, otp) : cb_find(&d->c, d->t->target);
}

enum settled cb_settled_if(struct doing *d, bool (*is_so)(struct doing *d), struct err *err)
{
    for (int i = 0; i < 4; i++) {
        if (is_so(d))
            return SETTLED_YES;
        time_sleep_ms(CB_STALE_MS / 3);
        if (cb_look(d, err) != 0)
            return SETTLED_UNKNOWN;
    }
    return SETTLED_NO;
}
