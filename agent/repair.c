#include "agent/repair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "kvsh/mem.h"

#include "agent/launch.h"
#include "agent/services.h"
#include "agent/tree.h"
#include "agent/watch.h"

/* Opens <storage_dir>/<id>/env without following links below the storage directory. -2: there is
 * none. */
static int env_open(const char *storage_dir, const char *id, struct err *err)
{
    const char *names[] = {id, "env"};
    int fd = open(storage_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), next;

    if (fd < 0)
        return err_errno(err, ERR_FAILED, errno, "open %s", storage_dir);
    for (int i = 0; i < 2; i++) {
        next = openat(fd, names[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0 && errno == ENOENT) {
            close(fd);
            return -2;
        }
        if (next < 0)
            err_errno(err, ERR_FAILED, errno, "open %s of %s in %s", names[i], id, storage_dir);
        close(fd);
        fd = next;
        if (fd < 0)
            return -1;
    }
    return fd;
}

/* The lock that a process on this directory holds; -1 when somebody has it. */
static int env_lock(int env, const char *what, struct problem *pb)
{
    int fd = openat(env, ENV_LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    if (fd < 0) {
        problem_set(pb, PROBLEM_DIR_UNUSABLE, "%s: its data directory cannot be locked: %s", what,
                    strerror(errno));
    } else {
        problem_set(pb, PROBLEM_DIR_IN_USE, "%s: another process uses its data directory", what);
        problem_advise(pb, "end that process first; fuser -v on the file %s names it",
                       ENV_LOCK_FILE);
        close(fd);
    }
    return -1;
}

/* Empties it while nobody uses it. */
static int env_empty(const struct launch *l, struct tree_count *count, struct problem *pb)
{
    struct err err = ERR_INIT;
    int env = env_open(l->storage_dir, l->id, &err), lock, rc = -1;
    char what[64];

    snprintf(what, sizeof what, "wipe %s", l->id);
    if (env == -2)
        return 0;
    if (env < 0)
        return problem_from_err(pb, PROBLEM_DIR_UNUSABLE, &err);
    lock = env_lock(env, what, pb);
    if (lock >= 0) {
        rc = tree_empty(env, ENV_LOCK_FILE, count, &err);
        if (rc < 0)
            problem_from_err(pb, PROBLEM_DIR_UNUSABLE, &err);
        close(lock);
    }
    close(env);
    return rc;
}

/* Is it nobody's? */
static int leftover_check(struct agent *a, const char *storage_dir, const char *id,
                          struct problem *pb)
{
    const struct service *s;
    int rc = 0;

    pthread_mutex_lock(&a->lock);
    s = agent_service(a, id);
    if (boot_dir_index(&a->boot, storage_dir) < 0)
        rc = problem_set(pb, PROBLEM_INVALID, "%s is not a storage directory of this node",
                         storage_dir);
    else if (s && s->storage_dir && strcmp(s->storage_dir, storage_dir) == 0)
        rc = problem_set(pb, PROBLEM_DIFFERS, "remove data of %s: it is defined on this node", id);
    pthread_mutex_unlock(&a->lock);
    return rc;
}

static void removed(struct agent *a, const char *path, const char *id,
                    const struct tree_count *count)
{
    char text[512];
    struct event ev = {SEVERITY_WARNING, "data-removed", id, text, NULL};

    snprintf(text, sizeof text, "%s was removed: %lld files, %lld bytes", path,
             (long long)count->files, (long long)count->bytes);
    pthread_mutex_lock(&a->lock);
    agent_event(a, &ev);
    watch_kick(a);
    pthread_mutex_unlock(&a->lock);
}

/* With its data goes what the agent keeps of a service that is defined no more: with its former
 * identity one of that name would come back as a member nobody wants. */
static void remove_node_files(struct agent *a, const char *id)
{
    static const char *const suffixes[] = {".nodes.conf", ".redis.conf", ".pid", ".out", ".logpos"};

    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes && !agent_service(a, id); i++) {
        char *path = agent_node_file(a, id, suffixes[i]);
        unlink(path);
        free(path);
    }
    pthread_mutex_unlock(&a->lock);
}

int leftover_remove(struct agent *a, const char *storage_dir, const char *id, struct problem *pb)
{
    struct tree_count count = {0};
    struct err err = ERR_INIT;
    char *path = xasprintf("%s/%s", storage_dir, id), what[64];
    int rc = leftover_check(a, storage_dir, id, pb), env, lock = -1, dir = -1;

    snprintf(what, sizeof what, "remove data of %s", id);
    if (rc < 0)
        goto out;
    env = env_open(storage_dir, id, &err);
    if (env >= 0) {
        lock = env_lock(env, what, pb);
        close(env);
        rc = lock < 0 ? -1 : 0;
    } else if (env == -1) {
        rc = problem_from_err(pb, PROBLEM_DIR_UNUSABLE, &err);
    }
    if (rc < 0)
        goto out;
    dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0 && errno == ENOENT)
        goto out;
    if (dir < 0 || tree_empty(dir, NULL, &count, &err) < 0 || rmdir(path) < 0) {
        rc = problem_set(pb, PROBLEM_DIR_UNUSABLE, "%s: %s", what,
                         err.code != ERR_OK ? err.text : strerror(errno));
        goto out;
    }
    removed(a, path, id, &count);
out:
    if (rc == 0)
        remove_node_files(a, id);
    if (lock >= 0)
        close(lock);
    if (dir >= 0)
        close(dir);
    free(path);
    return rc;
}

/* Starts as a new member next time. */
static int forget_identity(struct operation *op, const struct launch *l, struct problem *pb)
{
    struct agent *a = op->agent;
    struct err err = ERR_INIT;
    int rc = 0;

    if (unlink(l->nodes_conf) < 0 && errno != ENOENT)
        return problem_set(pb, PROBLEM_INTERNAL, "remove %s: %s", l->nodes_conf, strerror(errno));
    pthread_mutex_lock(&a->lock);
    op->service->node_id[0] = '\0';
    op->service->never_started = true;
    rc = services_save(a, &err);
    pthread_mutex_unlock(&a->lock);
    return rc < 0 ? problem_from_err(pb, PROBLEM_INTERNAL, &err) : 0;
}

static void wiped(struct operation *op, const struct tree_count *count, bool identity)
{
    char text[256];
    struct event ev = {SEVERITY_WARNING, "data-wiped", op->service_id, text, NULL};

    snprintf(text, sizeof text, "the data of %s was removed: %lld files, %lld bytes%s",
             op->service_id, (long long)count->files, (long long)count->bytes,
             identity ? "; it will come back as a new member" : "");
    operation_result(op, "%s", count->files || identity ? text : "already empty");
    if (count->files == 0 && !identity)
        return;
    pthread_mutex_lock(&op->agent->lock);
    agent_event(op->agent, &ev);
    pthread_mutex_unlock(&op->agent->lock);
}

int wipe_run(struct operation *op, struct problem *pb)
{
    bool identity = strcmp(op->mode, "identity") == 0;
    struct tree_count count = {0};
    struct launch l;
    int rc = 0;

    pthread_mutex_lock(&op->agent->lock);
    launch_init(&l, op->agent, op->service);
    if (op->service->proc.pid)
        rc = problem_set(pb, PROBLEM_RUNNING, "wipe %s: it is running", l.id);
    pthread_mutex_unlock(&op->agent->lock);
    if (rc == 0)
        rc = env_empty(&l, &count, pb);
    if (rc == 0 && identity)
        rc = forget_identity(op, &l, pb);
    if (rc == 0)
        wiped(op, &count, identity);
    launch_release(&l);
    return rc;
}
