#include "agent/launch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvsh/buf.h"
#include "kvsh/fs.h"
#include "kvsh/mem.h"

/* A heap string into the arena. */
static const char *keep(struct arena *a, char *s)
{
    const char *kept = arena_strdup(a, s);

    free(s);
    return kept;
}

static const char *node_file(struct launch *l, const struct agent *a, const char *name,
                             const char *suffix)
{
    return keep(&l->arena, agent_node_file(a, name, suffix));
}

void launch_init(struct launch *l, const struct agent *a, const struct service *s)
{
    struct arena *m;

    memset(l, 0, sizeof *l);
    m = &l->arena;
    l->id = arena_strdup(m, s->id);
    l->node = arena_strdup(m, a->node_id);
    l->host_ip = arena_strdup(m, a->host_ip);
    l->port = s->port;
    l->bus_port = s->bus_port;
    l->storage_dir = arena_strdup(m, s->storage_dir);
    l->service_dir = arena_printf(m, "%s/%s", s->storage_dir, s->id);
    l->env = arena_printf(m, "%s/env", l->service_dir);
    l->conf = node_file(l, a, s->id, ".redis.conf");
    l->secret_conf = node_file(l, a, "secret.conf", "");
    l->nodes_conf = node_file(l, a, s->id, ".nodes.conf");
    l->record = node_file(l, a, s->id, ".pid");
    l->output = node_file(l, a, s->id, ".out");
    l->log_dir = keep(m, agent_log_dir(a, s));
    l->log = arena_printf(m, "%s/%s_0.log", l->log_dir, s->id);
    l->program = arena_strdup(m, a->boot.redis_server);
    l->secret = arena_strdup(m, a->secret);
    if (a->boot.memory_mb > 0)
        l->maxmemory = arena_printf(m, "%dmb", a->boot.memory_mb / a->boot.capacity);
    l->params = json_copy(s->params);
    memcpy(l->node_id, s->node_id, sizeof l->node_id);
    l->never_started = s->never_started;
}

void launch_release(struct launch *l)
{
    json_free(l->params);
    arena_release(&l->arena);
    memset(l, 0, sizeof *l);
}

static const char *param(const struct launch *l, const char *name, const char *def)
{
    const char *value = json_str(l->params, name);

    return value ? value : def;
}

/* Paths were checked by makebootconfig: quoting them needs no escapes. */
char *launch_conf_text(const struct launch *l)
{
    const char *maxmemory = param(l, "maxmemory", l->maxmemory);
    struct buf b;
    char *text;

    buf_init(&b, 0);
    buf_addf(&b, "# %s, written by kvagentd at each start: changes are lost\n", l->id);
    buf_addf(&b, "include \"%s\"\n", l->secret_conf);
    buf_addf(&b, "bind %s\nport %d\ncluster-port %d\n", l->host_ip, l->port, l->bus_port);
    buf_adds(&b, "protected-mode yes\ndaemonize no\nsupervised no\n");
    buf_addf(&b, "dir \"%s\"\nlogfile \"%s\"\n", l->env, l->log);
    buf_addf(&b, "cluster-enabled yes\ncluster-config-file \"%s\"\n", l->nodes_conf);
    buf_addf(&b, "cluster-node-timeout %s\n", param(l, "cluster-node-timeout", "5000"));
    buf_adds(&b, "cluster-require-full-coverage no\ncluster-allow-replica-migration no\n");
    buf_addf(&b, "appendonly yes\nappendfsync %s\nsave \"\"\n",
             param(l, "appendfsync", "everysec"));
    buf_addf(&b, "repl-diskless-sync-delay 0\nrepl-backlog-size %s\n",
             param(l, "repl-backlog-size", "64mb"));
    buf_adds(&b, "shutdown-timeout 10\n");
    if (maxmemory)
        buf_addf(&b, "maxmemory %s\n", maxmemory);
    buf_addf(&b, "maxmemory-policy %s\n", param(l, "maxmemory-policy", "noeviction"));
    text = buf_take(&b);
    buf_release(&b);
    return text;
}

int launch_write(const struct launch *l, struct problem *pb)
{
    char *text = launch_conf_text(l);
    char *secret = xasprintf("requirepass %s\nmasterauth %s\n", l->secret, l->secret);
    struct err err = ERR_INIT;
    int rc = fs_mkdirs(l->log_dir, 0700, &err);

    if (rc == 0)
        rc = fs_write_atomic(l->secret_conf, secret, strlen(secret), 0600, &err);
    if (rc == 0)
        rc = fs_write_atomic(l->conf, text, strlen(text), 0600, &err);
    if (rc < 0)
        problem_from_err(pb, PROBLEM_START_FAILED, &err);
    explicit_bzero(secret, strlen(secret));
    free(secret);
    free(text);
    return rc;
}

char *file_tail(const char *path, size_t bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = xcalloc(1, bytes + 1);
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0) {
        off_t from = st.st_size > (off_t)bytes ? st.st_size - (off_t)bytes : 0;
        ssize_t n = pread(fd, text, bytes, from);

        text[n > 0 ? n : 0] = '\0';
    }
    if (fd >= 0)
        close(fd);
    return text;
}
