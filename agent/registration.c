/* Which store this node belongs to. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "agent/services.h"

enum { CONFIG_MAX = 4 << 20 };

struct json *agent_read_json(const char *path, struct err *err)
{
    size_t len;
    char *text = fs_read(path, CONFIG_MAX, &len, err);
    struct json *j = text ? json_parse(text, len, err) : NULL;

    if (text && !j)
        err_prepend(err, "%s", path);
    free(text);
    return j;
}

static int secret_load(struct agent *a, struct err *err)
{
    char *path = xasprintf("%s/%s/secret", a->boot.root, a->store);
    int rc = 0;

    if (access(path, F_OK) == 0) {
        a->secret = fs_read_secret(path, err);
        rc = a->secret ? 0 : -1;
        if (a->secret && !name_is_secret(a->secret))
            rc =
                err_set(err, ERR_INPUT, "%s does not hold %d hexadecimal digits", path, SECRET_HEX);
    }
    free(path);
    return rc;
}

int services_load(struct agent *a, struct err *err)
{
    char *path = xasprintf("%s/node.json", a->boot.root);
    struct json *j = NULL;
    const char *store, *id, *zone;
    int rc = 0;

    if (access(path, F_OK) < 0)
        goto out;
    rc = -1;
    j = agent_read_json(path, err);
    if (!j)
        goto out;
    store = json_str(j, "store");
    id = json_str(j, "id");
    zone = json_str(j, "zone");
    if (!store || !name_is_store(store) || !id || !name_is_numbered(id, "sn") || !zone ||
        !name_is_numbered(zone, "zn")) {
        err_set(err, ERR_INPUT, "%s does not name a store, a node and a zone", path);
        goto out;
    }
    snprintf(a->store, sizeof a->store, "%s", store);
    snprintf(a->node_id, sizeof a->node_id, "%s", id);
    snprintf(a->zone, sizeof a->zone, "%s", zone);
    rc = secret_load(a, err) < 0 ? -1 : services_read(a, err);
out:
    json_free(j);
    free(path);
    return rc;
}

static int internal(struct problem *pb, const struct err *err)
{
    return problem_from_err(pb, PROBLEM_INTERNAL, err);
}

static int registration_check(const struct agent *a, const struct registration *r,
                              struct problem *pb)
{
    if (!name_is_store(r->store) || strcmp(r->store, "log") == 0)
        return problem_set(pb, PROBLEM_INVALID, "store \"%.80s\" is not a name for a store",
                           r->store);
    if (!name_is_numbered(r->id, "sn"))
        return problem_set(pb, PROBLEM_INVALID, "id \"%.80s\" is not like sn1", r->id);
    if (!name_is_numbered(r->zone, "zn"))
        return problem_set(pb, PROBLEM_INVALID, "zone \"%.80s\" is not like zn1", r->zone);
    if (r->secret && !name_is_secret(r->secret))
        return problem_set(pb, PROBLEM_INVALID, "secret is not %d lower-case hexadecimal digits",
                           SECRET_HEX);
    if (a->store[0] && (strcmp(a->store, r->store) != 0 || strcmp(a->node_id, r->id) != 0)) {
        problem_set(pb, PROBLEM_NODE_TAKEN, "this node is %s of store %s already", a->node_id,
                    a->store);
        return problem_advise(pb, "remove it from that store first, or use another node");
    }
    if (a->store[0] && strcmp(a->zone, r->zone) != 0)
        return problem_set(pb, PROBLEM_DIFFERS, "zone: this node is in %s already", a->zone);
    if (r->secret && a->secret && strcmp(r->secret, a->secret) != 0)
        return problem_set(pb, PROBLEM_DIFFERS,
                           "secret: this node keeps another one for store %s already", r->store);
    return 0;
}

/* A secret kept from an earlier registration with the same store counts as kept. */
static int secret_keep(struct agent *a, const struct registration *r, struct problem *pb)
{
    char *dir = xasprintf("%s/%s", a->boot.root, r->store);
    char *path = xasprintf("%s/secret", dir);
    struct err err = ERR_INIT;
    char *kept = NULL, *text = NULL;
    int rc = -1;

    if (fs_mkdirs(dir, 0700, &err) < 0) {
        internal(pb, &err);
        goto out;
    }
    if (access(path, F_OK) == 0) {
        kept = fs_read_secret(path, &err);
        if (!kept)
            internal(pb, &err);
        else if (r->secret && strcmp(kept, r->secret) != 0)
            problem_set(pb, PROBLEM_DIFFERS,
                        "secret: this node keeps another one for store %s already", r->store);
        else
            rc = 0;
    } else if (!r->secret) {
        problem_set(pb, PROBLEM_INVALID, "secret is missing and none is kept");
    } else {
        text = xasprintf("%s\n", r->secret);
        rc = fs_write_atomic(path, text, strlen(text), 0600, &err);
        if (rc < 0)
            internal(pb, &err);
        kept = xstrdup(r->secret);
    }
    if (rc == 0) {
        free(a->secret);
        a->secret = kept;
        kept = NULL;
        mask_add(a->secret);
    }
out:
    free(kept);
    free(text);
    free(path);
    free(dir);
    return rc;
}

static int registration_save(struct agent *a, const struct registration *r, struct problem *pb)
{
    char *path = xasprintf("%s/node.json", a->boot.root);
    char *dir = xasprintf("%s/%s/%s", a->boot.root, r->store, r->id);
    struct json *j = json_object();
    struct err err = ERR_INIT;
    char *text;
    int rc;

    json_set_str(j, "store", r->store);
    json_set_str(j, "id", r->id);
    json_set_str(j, "zone", r->zone);
    text = json_print_pretty(j);
    rc = fs_mkdirs(dir, 0700, &err);
    if (rc == 0)
        rc = fs_write_atomic(path, text, strlen(text), 0600, &err);
    if (rc < 0)
        internal(pb, &err);
    free(text);
    json_free(j);
    free(dir);
    free(path);
    return rc;
}

int node_register(struct agent *a, const struct registration *r, struct problem *pb)
{
    bool is_new = !a->store[0];
    struct err err = ERR_INIT;

    if (registration_check(a, r, pb) < 0 || secret_keep(a, r, pb) < 0)
        return -1;
    if (!is_new)
        return 0;
    if (registration_save(a, r, pb) < 0)
        return -1;
    snprintf(a->store, sizeof a->store, "%s", r->store);
    snprintf(a->node_id, sizeof a->node_id, "%s", r->id);
    snprintf(a->zone, sizeof a->zone, "%s", r->zone);
    if (services_read(a, &err) < 0)
        agent_log(a, LOG_ERROR, "agent", "%s", err.text);
    agent_changed(a);
    return 0;
}

int node_unregister(struct agent *a, struct problem *pb)
{
    size_t n = a->n_services - a->boot.n_units;
    char *path;

    if (!a->store[0])
        return 0;
    if (n > 0) {
        problem_set(pb, PROBLEM_RUNNING, "%zu services are defined on %s", n, a->node_id);
        return problem_advise(pb, "remove the services first");
    }
    path = xasprintf("%s/node.json", a->boot.root);
    if (unlink(path) < 0 && errno != ENOENT) {
        problem_set(pb, PROBLEM_INTERNAL, "remove %s: %s", path, strerror(errno));
        free(path);
        return -1;
    }
    free(path);
    a->store[0] = a->node_id[0] = a->zone[0] = '\0';
    free(a->secret);
    a->secret = NULL;
    a->generation = 0;
    return 0;
}
