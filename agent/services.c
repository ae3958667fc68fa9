#include "agent/services.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "agent/redis_decode.h"
#include "agent/unit.h"

enum { PARAMS_MAX = 16 };

static const char *const kinds[] = {
    [SERVICE_REDIS] = "redis",
    [SERVICE_ADMIN] = "admin",
    [SERVICE_UNIT] = "unit",
};

const char *service_kind_name(enum service_kind kind)
{
    return kinds[kind];
}

struct service *agent_service(struct agent *a, const char *id)
{
    for (size_t i = 0; i < a->n_services; i++)
        if (strcmp(a->services[i]->id, id) == 0)
            return a->services[i];
    return NULL;
}

void service_detail(struct service *s, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(s->detail, sizeof s->detail, fmt, ap);
    va_end(ap);
}

char *agent_node_dir(const struct agent *a)
{
    return xasprintf("%s/%s/%s", a->boot.root, a->store, a->node_id);
}

char *agent_node_file(const struct agent *a, const char *name, const char *suffix)
{
    return xasprintf("%s/%s/%s/%s%s", a->boot.root, a->store, a->node_id, name, suffix);
}

char *agent_log_dir(const struct agent *a, const struct service *s)
{
    int dir = s && s->storage_dir ? boot_dir_index(&a->boot, s->storage_dir) : -1;
    const char *own = s ? boot_log_dir(&a->boot, dir < 0 ? 0 : (size_t)dir) : NULL;

    return own ? xstrdup(own) : xasprintf("%s/%s/log", a->boot.root, a->store);
}

char *admin_env_dir(const struct agent *a, const char *id)
{
    if (a->boot.admin_dir)
        return xasprintf("%s/%s/env", a->boot.admin_dir, id);
    return xasprintf("%s/%s/%s/%s/env", a->boot.root, a->store, a->node_id, id);
}

static void service_free(struct service *s)
{
    if (!s)
        return;
    json_free(s->params);
    unit_free(s->unit);
    free(s->storage_dir);
    if (s->pidfd >= 0)
        close(s->pidfd);
    free(s);
}

void services_free(struct agent *a)
{
    while (a->n_services > 0)
        service_free(a->services[--a->n_services]);
}

struct service *service_new(const struct definition *d)
{
    static const enum service_state first_states[] = {
        [SERVICE_REDIS] = STATE_STOPPED,
        [SERVICE_ADMIN] = STATE_RUNNING,
        [SERVICE_UNIT] = STATE_UNKNOWN,
    };
    struct service *s = xcalloc(1, sizeof *s);

    snprintf(s->id, sizeof s->id, "%s", d->id);
    s->kind = d->kind;
    s->pidfd = -1;
    s->generation = 1;
    s->never_started = true;
    s->state = first_states[d->kind];
    s->wanted_up = d->kind == SERVICE_ADMIN;
    s->params = d->params ? json_copy(d->params) : json_object();
    if (d->kind == SERVICE_REDIS) {
        snprintf(s->shard, sizeof s->shard, "%s", d->shard);
        s->storage_dir = xstrdup(d->storage_dir);
        s->port = d->port;
        s->bus_port = d->bus_port;
    }
    return s;
}

static struct json *service_to_json(const struct service *s)
{
    struct json *j = json_object();

    json_set_str(j, "id", s->id);
    json_set_str(j, "kind", kinds[s->kind]);
    json_set_int(j, "generation", s->generation);
    if (s->kind == SERVICE_ADMIN)
        return j;
    json_set_str(j, "shard", s->shard);
    json_set_str(j, "storageDir", s->storage_dir);
    json_set_int(j, "port", s->port);
    json_set_int(j, "busPort", s->bus_port);
    json_set(j, "params", json_copy(s->params));
    json_set_str(j, "wanted", s->wanted_up ? "up" : "down");
    json_set_bool(j, "neverStarted", s->never_started);
    json_set_str(j, "nodeId", s->node_id[0] ? s->node_id : NULL);
    if (s->elected_at > 0)
        json_set_int(j, "electedMs", time_now_ms() - (time_mono_ms() - s->elected_at));
    return j;
}

int services_save(struct agent *a, struct err *err)
{
    char *path = agent_node_file(a, "config.json", "");
    struct json *j = json_object(), *list = json_array();
    char *text;
    int rc;

    for (size_t i = 0; i < a->n_services; i++)
        if (a->services[i]->kind != SERVICE_UNIT)
            json_push(list, service_to_json(a->services[i]));
    json_set_int(j, "generation", a->generation + 1);
    json_set(j, "services", list);
    text = json_print_pretty(j);
    rc = fs_write_atomic(path, text, strlen(text), 0600, err);
    if (rc == 0)
        a->generation++;
    free(text);
    json_free(j);
    free(path);
    return rc;
}

static bool is_port(int port)
{
    return port > 0 && port <= 65535;
}

/* The same checks as for a request: the file may have been edited by hand. */
static int definition_from_json(struct definition *d, const struct json *j, struct err *err)
{
    const char *kind = json_str(j, "kind");
    struct problem pb;

    d->id = json_str(j, "id");
    d->shard = json_str(j, "shard");
    d->storage_dir = json_str(j, "storageDir");
    d->port = (int)json_int(j, "port", 0);
    d->bus_port = (int)json_int(j, "busPort", 0);
    d->params = json_get(j, "params");
    d->kind = kind && strcmp(kind, "admin") == 0 ? SERVICE_ADMIN : SERVICE_REDIS;
    if (d->kind == SERVICE_ADMIN) {
        if (d->id && name_is_numbered(d->id, "admin"))
            return 0;
        return err_set(err, ERR_INPUT, "admin \"%s\" makes no sense", d->id ? d->id : "");
    }
    if (!d->id || !name_is_rn(d->id) || !d->shard || !name_is_numbered(d->shard, "rg") ||
        !d->storage_dir || !is_port(d->port) || !is_port(d->bus_port) ||
        (d->params && !json_is_object(d->params)))
        return err_set(err, ERR_INPUT, "service \"%s\" makes no sense", d->id ? d->id : "");
    JSON_FOREACH (p, d->params)
        if (param_check(json_key(p), json_value_str(p), &pb) < 0)
            return err_set(err, ERR_INPUT, "service %s: %s", d->id, pb.detail);
    return 0;
}

/* The moment of the other clock; a clock that was put back makes it now. */
static int64_t elected_at(int64_t elected_ms)
{
    int64_t age = time_now_ms() - elected_ms;
    int64_t at = time_mono_ms() - (age > 0 ? age : 0);

    return elected_ms > 0 && at > 0 ? at : 0;
}

static int service_from_json(struct agent *a, const struct json *j, struct err *err)
{
    const char *wanted = json_str(j, "wanted"), *node_id = json_str(j, "nodeId");
    struct definition d = {0};
    struct service *s;

    if (a->n_services == SERVICES_MAX)
        return err_set(err, ERR_INPUT, "more than %d services", SERVICES_MAX);
    if (definition_from_json(&d, j, err) < 0)
        return -1;
    if (agent_service(a, d.id))
        return err_set(err, ERR_INPUT, "service %s is there twice", d.id);
    s = service_new(&d);
    s->generation = json_int(j, "generation", 1);
    s->never_started = json_bool(j, "neverStarted", false);
    s->elected_at = elected_at(json_int(j, "electedMs", 0));
    if (s->kind == SERVICE_REDIS)
        s->wanted_up = wanted && strcmp(wanted, "up") == 0;
    if (redis_id_is_valid(node_id))
        memcpy(s->node_id, node_id, sizeof s->node_id);
    a->services[a->n_services++] = s;
    return 0;
}

int services_read(struct agent *a, struct err *err)
{
    char *path = agent_node_file(a, "config.json", "");
    struct json *j = NULL;
    int rc = 0;

    if (access(path, F_OK) < 0)
        goto out; /* registered, and then nothing defined yet */
    j = agent_read_json(path, err);
    if (!j) {
        rc = -1;
        goto out;
    }
    a->generation = json_int(j, "generation", 0);
    JSON_FOREACH (s, json_get(j, "services"))
        if (rc == 0)
            rc = service_from_json(a, s, err);
    if (rc < 0)
        err_prepend(err, "%s", path);
out:
    json_free(j);
    free(path);
    return rc;
}

static int internal(struct problem *pb, const struct err *err)
{
    return problem_from_err(pb, PROBLEM_INTERNAL, err);
}

static bool in_range(const struct agent *a, int port)
{
    return port >= a->boot.ha_first && port <= a->boot.ha_last;
}

static int ports_check(const struct agent *a, const struct definition *d, struct problem *pb)
{
    if (!in_range(a, d->port) || !in_range(a, d->bus_port))
        return problem_set(pb, PROBLEM_INVALID, "%s %d lies outside of this node's range %d,%d",
                           in_range(a, d->port) ? "busPort" : "port",
                           in_range(a, d->port) ? d->bus_port : d->port, a->boot.ha_first,
                           a->boot.ha_last);
    if (d->port == d->bus_port)
        return problem_set(pb, PROBLEM_INVALID, "port and busPort are both %d", d->port);
    for (size_t i = 0; i < a->n_services; i++) {
        const struct service *s = a->services[i];
        bool first = d->port == s->port || d->port == s->bus_port;

        if (s->kind == SERVICE_REDIS &&
            (first || d->bus_port == s->port || d->bus_port == s->bus_port))
            return problem_set(pb, PROBLEM_INVALID, "%s %d is used by %s",
                               first ? "port" : "busPort", first ? d->port : d->bus_port, s->id);
    }
    return 0;
}

static int redis_check(const struct agent *a, const struct definition *d, struct problem *pb)
{
    size_t n = strcspn(d->id, "-");
    int used = 0;

    if (strlen(d->shard) != n || strncmp(d->shard, d->id, n) != 0)
        return problem_set(pb, PROBLEM_INVALID, "shard \"%.40s\" does not fit %s", d->shard, d->id);
    if (boot_dir_index(&a->boot, d->storage_dir) < 0) {
        problem_set(pb, PROBLEM_INVALID, "storageDir \"%.300s\" is not configured on this node",
                    d->storage_dir);
        return problem_advise(pb, "kvagentd makebootconfig -storagedir names the directories");
    }
    JSON_FOREACH (p, d->params)
        if (param_check(json_key(p), json_value_str(p), pb) < 0)
            return -1;
    if (json_len(d->params) > PARAMS_MAX)
        return problem_set(pb, PROBLEM_INVALID, "params has more than %d members", PARAMS_MAX);
    for (size_t i = 0; i < a->n_services; i++)
        used += a->services[i]->kind == SERVICE_REDIS;
    if (used >= a->boot.capacity)
        return problem_set(pb, PROBLEM_CAPACITY,
                           "%s carries %d services already, its capacity is %d", a->node_id, used,
                           a->boot.capacity);
    return ports_check(a, d, pb);
}

/* Names the first field that is not the same. */
static const char *difference(const struct service *s, const struct definition *d)
{
    struct json *none = json_object();
    bool same_params = json_equal(s->params, d->params ? d->params : none);

    json_free(none);
    if (s->kind != d->kind)
        return "kind";
    if (s->kind == SERVICE_ADMIN)
        return NULL;
    if (strcmp(s->shard, d->shard) != 0)
        return "shard";
    if (strcmp(s->storage_dir, d->storage_dir) != 0)
        return "storageDir";
    if (s->port != d->port)
        return "port";
    if (s->bus_port != d->bus_port)
        return "busPort";
    return same_params ? NULL : "params";
}

static int admin_prepare(struct agent *a, const char *id, struct problem *pb)
{
    char *dir = admin_env_dir(a, id);
    struct err err = ERR_INIT;
    int rc = fs_mkdirs(dir, 0700, &err);

    if (rc < 0)
        internal(pb, &err);
    free(dir);
    return rc;
}

int service_define(struct agent *a, const struct definition *d, struct problem *pb)
{
    struct service *s = agent_service(a, d->id);
    struct err err = ERR_INIT;

    if (!a->store[0])
        return problem_set(pb, PROBLEM_NOT_REGISTERED, "this node belongs to no store yet");
    if (s) {
        const char *field = difference(s, d);

        if (field)
            return problem_set(pb, PROBLEM_DIFFERS, "%s is defined with another %s", d->id, field);
        return 0;
    }
    if (d->kind == SERVICE_REDIS ? redis_check(a, d, pb) < 0 : admin_prepare(a, d->id, pb) < 0)
        return -1;
    if (a->n_services == SERVICES_MAX)
        return problem_set(pb, PROBLEM_CAPACITY, "more than %d services", SERVICES_MAX);
    a->services[a->n_services++] = service_new(d);
    if (services_save(a, &err) < 0) {
        service_free(a->services[--a->n_services]);
        return internal(pb, &err);
    }
    agent_changed(a);
    return 1;
}

int service_forget(struct agent *a, const char *id, struct problem *pb)
{
    struct service *s = agent_service(a, id);
    struct err err = ERR_INIT;
    size_t at = 0, behind;

    if (!s)
        return 0;
    if (s->kind == SERVICE_UNIT) {
        problem_set(pb, PROBLEM_INVALID, "%s stands in the boot configuration of this node", id);
        return problem_advise(pb, "remove it there, then restart the agent");
    }
    if (s->op)
        return problem_set(pb, PROBLEM_BUSY, "another change of %s is under way", id);
    if (s->proc.pid)
        return problem_set(pb, PROBLEM_RUNNING, "%s is running with pid %d", id, (int)s->proc.pid);
    while (a->services[at] != s)
        at++;
    behind = (--a->n_services - at) * sizeof(struct service *);
    memmove(&a->services[at], &a->services[at + 1], behind);
    if (services_save(a, &err) < 0) {
        memmove(&a->services[at + 1], &a->services[at], behind);
        a->services[at] = s;
        a->n_services++;
        return internal(pb, &err);
    }
    service_free(s);
    agent_changed(a);
    return 0;
}
