/* The preconditions of a start. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "agent/launch.h"

#define NODES_CONF_LIMIT ((size_t)16 << 20)

static int refuse_missing(const struct launch *l, const char *why, struct problem *pb)
{
    problem_set(pb, PROBLEM_DIR_MISSING, "start %s on %s: storage directory %s is missing (%s)",
                l->id, l->node, l->storage_dir, why);
    return problem_advise(pb, "mount or create %s on the host of %s, then repeat the start",
                          l->storage_dir, l->node);
}

static int guard_dir(const struct launch *l, struct guard *g, struct problem *pb)
{
    struct dir_health h;

    dir_test(l->storage_dir, &h);
    g->storage = h.id;
    if (h.state == DIR_MISSING)
        return refuse_missing(l, h.detail, pb);
    /* Little space is a warning's business; no space at all shows in the test. */
    if (h.state == DIR_OK || (h.state == DIR_FULL && !dir_is_full(h.free_bytes, h.total_bytes)))
        return 0;
    problem_set(pb, PROBLEM_DIR_UNUSABLE, "start %s on %s: storage directory %s is %s (%s)", l->id,
                l->node, l->storage_dir, dir_state_name(h.state), h.detail);
    return problem_advise(pb, "make %s writable on the host of %s, then repeat the start",
                          l->storage_dir, l->node);
}

/* Creates <storagedir>/<id>/env, but never the storage directory itself. */
static int guard_env(const struct launch *l, struct guard *g, struct problem *pb)
{
    int fd = open(l->storage_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char *env = xasprintf("%s/env", l->id);
    int rc = 0;

    if (fd < 0) {
        rc = refuse_missing(l, strerror(errno), pb);
    } else if ((mkdirat(fd, l->id, 0700) < 0 && errno != EEXIST) ||
               (mkdirat(fd, env, 0700) < 0 && errno != EEXIST) || !dir_id(l->env, &g->env)) {
        rc = problem_set(pb, PROBLEM_DIR_UNUSABLE, "start %s on %s: create %s: %s", l->id, l->node,
                         l->env, strerror(errno));
    }
    if (fd >= 0)
        close(fd);
    free(env);
    return rc;
}

static int guard_lock(const struct launch *l, struct guard *g, struct problem *pb)
{
    char *path = xasprintf("%s/" ENV_LOCK_FILE, l->env);
    int rc = 0;

    g->lock_fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (g->lock_fd < 0) {
        rc = problem_set(pb, PROBLEM_DIR_UNUSABLE, "start %s on %s: open %s: %s", l->id, l->node,
                         path, strerror(errno));
    } else if (flock(g->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        problem_set(pb, PROBLEM_DIR_IN_USE,
                    "start %s on %s: another process uses the data directory %s", l->id, l->node,
                    l->env);
        rc = problem_advise(pb, "find it with fuser -v %s and end it, then repeat the start", path);
    }
    free(path);
    return rc;
}

static int guard_port(const struct launch *l, int port, const char *what, struct problem *pb)
{
    int errnum = address_probe(l->host_ip, port);

    if (errnum == 0)
        return 0;
    if (errnum != EADDRINUSE) {
        problem_set(pb, PROBLEM_START_FAILED, "start %s on %s: listen on %s port %d: %s", l->id,
                    l->node, l->host_ip, port, strerror(errnum));
        return problem_advise(pb, "the host of the boot configuration must be an address of this "
                                  "machine");
    }
    problem_set(pb, PROBLEM_PORT_IN_USE,
                "start %s on %s: its %s port %d is in use by another process", l->id, l->node, what,
                port);
    return problem_advise(
        pb, "find it with ss -ltnp 'sport = :%d' and end it, then repeat the start", port);
}

void identity_read(const char *path, struct identity *who)
{
    struct arena a = {NULL};
    struct redis_nodes nodes;
    struct err err = ERR_INIT;
    const struct redis_node *me = NULL;
    char *text = fs_read(path, NODES_CONF_LIMIT, NULL, &err);

    memset(who, 0, sizeof *who);
    who->has_file = text != NULL;
    /* A damaged file is left to redis, which refuses it. */
    if (text && redis_nodes_decode(text, &a, &nodes, &err) == 0)
        me = redis_nodes_myself(&nodes);
    if (me) {
        who->is_there = true;
        memcpy(who->id, me->id, sizeof who->id);
        who->is_primary = redis_node_has_flag(me, "master");
        who->slots = redis_node_slot_count(me);
    }
    arena_release(&a);
    free(text);
}

static bool has_data(const struct launch *l)
{
    char *path = xasprintf("%s/appendonlydir/appendonly.aof.manifest", l->env);
    bool there = access(path, F_OK) == 0;

    free(path);
    return there;
}

/* An empty primary wipes its replicas; a node without its identity claims slots that are not its
 * own. */
static int guard_identity(const struct launch *l, const struct guard *g, struct problem *pb)
{
    struct identity who;

    identity_read(l->nodes_conf, &who);
    if (!who.is_there && has_data(l)) {
        problem_set(
            pb, PROBLEM_DIFFERS,
            "start %s on %s: there is data in %s, but no cluster identity in %s: started so, "
            "it would claim slots that belong to others",
            l->id, l->node, l->env, l->nodes_conf);
        return problem_advise(pb, "bring the file back, or move %s away and start it empty",
                              l->env);
    }
    if (g->allow_empty)
        return 0;
    if (who.is_primary && who.slots > 0 && !has_data(l)) {
        problem_set(pb, PROBLEM_WOULD_START_EMPTY,
                    "start %s on %s: its data is gone from %s, and it was the primary of %d slots: "
                    "started empty it would wipe its replicas",
                    l->id, l->node, l->env, who.slots);
        return problem_advise(pb,
                              "'plan recover -service %s' lets a replica take over first; or bring "
                              "the data back, then repeat the start",
                              l->id);
    }
    if (l->node_id[0] && strcmp(who.id, l->node_id) != 0) {
        problem_set(pb, PROBLEM_DIFFERS,
                    "start %s on %s: its cluster identity %.8s is not in %s any more", l->id,
                    l->node, l->node_id, l->nodes_conf);
        return problem_advise(pb, "bring the file back, or start it as a new member (allowEmpty)");
    }
    return 0;
}

int guard_check(const struct launch *l, struct guard *g, struct problem *pb)
{
    g->lock_fd = -1;
    if (guard_dir(l, g, pb) == 0 && guard_env(l, g, pb) == 0 && guard_lock(l, g, pb) == 0 &&
        guard_port(l, l->port, "client", pb) == 0 && guard_port(l, l->bus_port, "bus", pb) == 0 &&
        guard_identity(l, g, pb) == 0)
        return 0;
    if (g->lock_fd >= 0)
        close(g->lock_fd);
    g->lock_fd = -1;
    return -1;
}
