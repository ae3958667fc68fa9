/* The cluster's own settings for auto-failover: what show policy shows and change-policy changes.
 */
#include "engines/couchbase/couchbase.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "autoFailover."

enum kind { FLAG, NUMBER, COUNT };

static const struct field {
    const char *name;  /* behind autoFailover. */
    const char *group; /* nested object, or NULL */
    const char *member;
    const char *form;
    enum kind kind;
    int since; /* version */
    bool enterprise;
    const char *meaning;
} fields[] = {
    {"enabled", NULL, "enabled", "enabled", FLAG, 0, false, "fail over silent nodes by itself"},
    {"timeout", NULL, "timeout", "timeout", NUMBER, 0, false, "seconds of silence before that"},
    {"maxCount", NULL, "maxCount", "maxCount", NUMBER, 0, true,
     "nodes at most, until the count is reset"},
    {"disableMaxCount", NULL, "disableMaxCount", "disableMaxCount", FLAG, 706, true,
     "no such limit"},
    {"canAbortRebalance", NULL, "canAbortRebalance", "canAbortRebalance", FLAG, 0, true,
     "also while a rebalance runs, which is then aborted"},
    {"failoverOnDataDiskIssues", "failoverOnDataDiskIssues", "enabled",
     "failoverOnDataDiskIssues[enabled]", FLAG, 0, true, "also nodes whose data disk fails"},
    {"failoverOnDataDiskIssues.timePeriod", "failoverOnDataDiskIssues", "timePeriod",
     "failoverOnDataDiskIssues[timePeriod]", NUMBER, 0, true, "seconds of disk errors before that"},
    {"failoverOnDataDiskNonResponsiveness", "failoverOnDataDiskNonResponsiveness", "enabled",
     "failoverOnDataDiskNonResponsiveness[enabled]", FLAG, 800, true,
     "also nodes whose data disk hangs"},
    {"failoverOnDataDiskNonResponsiveness.timePeriod", "failoverOnDataDiskNonResponsiveness",
     "timePeriod", "failoverOnDataDiskNonResponsiveness[timePeriod]", NUMBER, 800, true,
     "seconds of that"},
    {"failoverPreserveDurabilityMajority", NULL, "failoverPreserveDurabilityMajority",
     "failoverPreserveDurabilityMajority", FLAG, 702, true,
     "not where durable writes could be lost"},
    {"allowFailoverEphemeralNoReplicas", NULL, "allowFailoverEphemeralNoReplicas",
     "allowFailoverEphemeralNoReplicas", FLAG, 800, true,
     "also when ephemeral buckets without replicas lose data"},
    {"count", NULL, "count", NULL, COUNT, 0, false,
     "nodes failed over since the last reset; autoFailover.resetCount=true resets it"},
};
#define N_FIELDS (sizeof fields / sizeof *fields)

struct range {
    int64_t low, high;
};

/* Limits of this version and edition. */
static struct range range_of(const struct cluster *c, const struct field *f)
{
    if (strcmp(f->name, "maxCount") == 0)
        return (struct range){1, 100};
    if (strcmp(f->name, "timeout") != 0)
        return (struct range){5, 3600};
    if (!cb_is_enterprise(c))
        return (struct range){30, 3600};
    return (struct range){cb_version(c) >= 706 ? 1 : 5, 3600};
}

static bool is_here(const struct cluster *c, const struct field *f)
{
    return (cb_version(c) == 0 || cb_version(c) >= f->since) &&
           (!f->enterprise || cb_is_enterprise(c));
}

static const char *present(struct arena *a, const struct cluster *c, const struct field *f)
{
    const struct json *from = cb_part(c, "autoFailover"), *value;

    if (f->group != NULL)
        from = json_get(from, f->group);
    value = json_get(from, f->member);
    if (value == NULL)
        return NULL;
    if (json_is_number(value))
        return arena_printf(a, "%lld", (long long)json_value_int(value, 0));
    return json_bool(from, f->member, false) ? "true" : "false";
}

void cb_decode_policy(struct cluster *c)
{
    struct arena *a = &c->arena;

    for (size_t i = 0; i < N_FIELDS; i++) {
        const struct field *f = &fields[i];
        const struct range r = range_of(c, f);
        const char *value = present(a, c, f);
        if (value == NULL)
            continue;
        *ARENA_PUSH(a, c->settings, c->n_settings) = (struct store_setting){
            .name = arena_printf(a, PREFIX "%s", f->name),
            .value = value,
            .meaning = f->kind == NUMBER ? arena_printf(a, "%s (%lld to %lld)", f->meaning,
                                                        (long long)r.low, (long long)r.high)
                                         : f->meaning,
            .read_only = f->kind == COUNT,
        };
    }
}

/* --- changing --- */

static const struct field *find_field(const char *name)
{
    for (size_t i = 0; i < N_FIELDS; i++) {
        if (strncmp(name, PREFIX, strlen(PREFIX)) == 0 &&
            strcmp(name + strlen(PREFIX), fields[i].name) == 0)
            return &fields[i];
    }
    return NULL;
}

static int check_value(const struct cluster *c, const struct field *f, const char *value,
                       struct err *err)
{
    const struct range r = range_of(c, f);
    char *end;
    long long n;

    if (f->kind == FLAG) {
        if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0)
            return 0;
        return err_set(err, ERR_INPUT, PREFIX "%s is true or false, not \"%s\"", f->name, value);
    }
    errno = 0;
    n = strtoll(value, &end, 10);
    if (end == value || *end != '\0' || errno != 0 || n < r.low || n > r.high)
        return err_set(err, ERR_INPUT, PREFIX "%s is a number from %lld to %lld here, not \"%s\"",
                       f->name, (long long)r.low, (long long)r.high, value);
    return 0;
}

static int check_param(const struct cluster *c, const struct json *param, bool *reset,
                       struct err *err)
{
    const char *name = json_key(param), *value = json_value_str(param);
    const struct field *f = find_field(name);

    if (strcmp(name, PREFIX "resetCount") == 0) {
        if (value == NULL || strcmp(value, "true") != 0)
            return err_set(err, ERR_INPUT, PREFIX "resetCount can only be true");
        *reset = true;
        return 0;
    }
    if (f == NULL || f->kind == COUNT) {
        err_set(err, ERR_INPUT, "a couchbase store has no setting \"%s\" that can be changed here",
                name);
        return err_advise(err, "show policy lists them");
    }
    if (!is_here(c, f))
        return err_set(err, ERR_INPUT, "this version or edition of Couchbase has no %s", name);
    return check_value(c, f, value ? value : "", err);
}

/* It belongs to the switch before it. */
static bool is_period(const struct field *f)
{
    return f != NULL && f->group != NULL && f->kind == NUMBER;
}

/* The value a field will have: given, or as it is. */
static const char *wanted(struct arena *a, const struct cluster *c, const struct json *params,
                          const struct field *f)
{
    char name[96];
    const char *given;

    snprintf(name, sizeof name, PREFIX "%s", f->name);
    given = json_str(params, name);
    return given ? given : present(a, c, f);
}

static bool is_given(const struct json *params, const char *field)
{
    char name[96];

    snprintf(name, sizeof name, PREFIX "%s", field);
    return json_str(params, name) != NULL;
}

/* "enabled" is always asked for, "timeout" with it; a period goes with the switch it belongs to,
 * and only while that is on. */
static void fill(struct buf *b, const struct cluster *c, const struct json *params)
{
    struct arena a = {0};
    const char *enabled = wanted(&a, c, params, &fields[0]);
    bool on = enabled != NULL && strcmp(enabled, "true") == 0;

    cb_form(b, "enabled", on ? "true" : "false");
    for (size_t i = 1; i < N_FIELDS && on; i++) {
        const struct field *f = &fields[i];
        const char *value = wanted(&a, c, params, f);
        if (f->kind == COUNT || value == NULL)
            continue;
        if (is_period(f)) {
            const char *its_switch = wanted(&a, c, params, f - 1);
            if (its_switch == NULL || strcmp(its_switch, "true") != 0 ||
                (!is_given(params, f->name) && !is_given(params, f[-1].name)))
                continue;
            if (!is_given(params, f[-1].name))
                cb_form(b, f[-1].form, "true");
            cb_form(b, f->form, value);
        } else if (strcmp(f->name, "timeout") == 0 || is_given(params, f->name)) {
            cb_form(b, f->form, value);
        }
    }
    arena_release(&a);
}

static int post(struct connection *cn, const struct cluster *c, const char *path, const char *form,
                struct err *err)
{
    char *guarded = xasprintf("%s?uuid=%s", path, c->identity ? c->identity : "");
    const struct cb_request r = {.method = "POST", .base = cn->base, .path = guarded, .form = form};
    struct http_response resp = {0};
    int rc = cb_exchange(cn, &r, &resp, err);

    if (rc == 0 && resp.status >= 300)
        rc = cb_refused(&resp, &r, err);
    if (rc != 0 && err->code == ERR_IN_DOUBT)
        err_advise(err, "show policy tells whether it took effect; setting it again does no harm");
    http_response_release(&resp);
    free(guarded);
    return rc;
}

static bool is_on(struct arena *a, const struct cluster *c, const struct json *params,
                  const struct field *f)
{
    const char *value = wanted(a, c, params, f);

    return value != NULL && strcmp(value, "true") == 0;
}

/* The cluster ignores everything else while auto-failover is off, and does not say so; a period
 * goes with its switch only. */
static int check_effect(const struct cluster *c, const struct json *params, struct err *err)
{
    struct arena a = {0};
    bool on = is_on(&a, c, params, &fields[0]);
    int rc = 0;

    JSON_FOREACH (param, params) {
        const char *name = json_key(param);
        const struct field *f = find_field(name);
        if (strcmp(name, PREFIX "enabled") == 0 || strcmp(name, PREFIX "resetCount") == 0)
            continue;
        if (!on) {
            err_set(err, ERR_INPUT, "%s can be changed only while auto-failover is on", name);
            rc = err_advise(err, "give " PREFIX "enabled=true with it, or leave it out");
            break;
        }
        if (is_period(f) && !is_on(&a, c, params, f - 1)) {
            err_set(err, ERR_INPUT, "%s can be changed only while %s%s is on", name, PREFIX,
                    f[-1].name);
            rc = err_advise(err, "give " PREFIX "%s=true with it, or leave it out", f[-1].name);
            break;
        }
    }
    arena_release(&a);
    return rc;
}

int cb_set_policy(struct connection *cn, const struct cluster *c, const struct json *params,
                  bool dry_run, struct err *err)
{
    bool reset = false, others = false;
    struct buf form;
    int rc = 0;

    if (cb_part(c, "autoFailover") == NULL)
        return err_set(err, ERR_DENIED, "the cluster does not tell its settings to this user");
    JSON_FOREACH (param, params) {
        if (check_param(c, param, &reset, err) != 0)
            return -1;
        others = others || strcmp(json_key(param), PREFIX "resetCount") != 0;
    }
    if (check_effect(c, params, err) != 0)
        return -1;
    if (dry_run)
        return 0;
    buf_init(&form, 0);
    fill(&form, c, params);
    if (others)
        rc = post(cn, c, "/settings/autoFailover", form.data, err);
    if (rc == 0 && reset)
        rc = post(cn, c, "/settings/autoFailover/resetCount", "", err);
    buf_release(&form);
    return rc;
}
