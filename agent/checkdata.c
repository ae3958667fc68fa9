/*
 * Are the files of a service sound? The store's own checker tells. The files of a running service
 * grow and are replaced, so a copy is checked: hard links to the files that do not change any more,
 * and the newest one as long as it is now.
 *
 *   <storagedir>/<id>/env/appendonlydir/     appendonly.aof.manifest, N.base.rdb, N.incr.aof
 *   <storagedir>/<id>/check/appendonlydir/   the copy; emptied before and after
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "agent/launch.h"
#include "agent/repair.h"
#include "agent/tree.h"

#define AOF_DIR "appendonlydir"
#define MANIFEST "appendonly.aof.manifest"

enum { MANIFEST_LIMIT = 1 << 20, ATTEMPTS = 5, PAUSE_MS = 50, TAIL_BYTES = 4096, BLOCK = 1 << 16 };

struct check {
    struct operation *op;
    struct launch l;
    bool is_running;
    char *checker, *from, *copy; /* from, copy: directories of append-only files */
};

/* The checker beside the server: redis-check-aof, or valkey-check-aof beside a valkey-server. */
static char *find_checker(const char *program)
{
    const char *slash = program ? strrchr(program, '/') : NULL;
    char *path;

    if (!slash)
        return NULL;
    path = xasprintf("%.*s/%s-check-aof", (int)(slash - program), program,
                     strncmp(slash + 1, "valkey", 6) == 0 ? "valkey" : "redis");
    if (access(path, X_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static bool must_end(struct operation *op)
{
    bool end;

    pthread_mutex_lock(&op->agent->lock);
    end = operation_must_end(op);
    pthread_mutex_unlock(&op->agent->lock);
    return end;
}

/* Was it asked to end? Then *pb says for what. */
static bool is_given_up(const struct check *c, struct problem *pb)
{
    bool is_changed, end;

    pthread_mutex_lock(&c->op->agent->lock);
    is_changed = c->op->is_cancelled;
    end = operation_must_end(c->op);
    pthread_mutex_unlock(&c->op->agent->lock);
    if (!end)
        return false;
    problem_set(pb, PROBLEM_BUSY, "check the data of %s: given up, since the %s", c->l.id,
                is_changed ? "service is being changed" : "agent ends");
    problem_advise(pb, "wait until that is over, then repeat");
    return true;
}

/* --- the copy --- */

static int copy_block(int in, int out, off_t left)
{
    char block[BLOCK];
    ssize_t n = read(in, block, left < BLOCK ? (size_t)left : BLOCK);

    return n > 0 && write(out, block, (size_t)n) == n ? (int)n : -1;
}

/* As much as there is at this moment: whole commands, since redis writes them whole. */
static int copy_file(const struct check *c, const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), n = 0;
    struct stat st = {0};
    off_t left = 0;

    if (in < 0 || out < 0 || fstat(in, &st) < 0)
        n = -1;
    for (left = st.st_size; n >= 0 && left > 0; left -= n)
        n = must_end(c->op) ? -1 : copy_block(in, out, left);
    if (in >= 0)
        close(in);
    if (out >= 0 && close(out) < 0)
        n = -1;
    return n < 0 ? -1 : 0;
}

/* One line of the manifest: "file NAME seq N type b|i|h". 1: done; 0: the file is gone, begin anew.
 */
static int take_line(const struct check *c, const char *line, size_t len)
{
    char *text = xstrndup(line, len), *save = NULL, *word = strtok_r(text, " ", &save);
    const char *name = word ? strtok_r(NULL, " ", &save) : NULL;
    const char *type = strrchr(line, ' ');
    char *from, *to;
    int rc = 1;

    if (word && name && strcmp(word, "file") == 0 && !strchr(name, '/') && type &&
        line[len - 1] != 'h') {
        from = xasprintf("%s/%s", c->from, name);
        to = xasprintf("%s/%s", c->copy, name);
        if (line[len - 1] == 'b')
            rc = link(from, to) == 0;
        else
            rc = copy_file(c, from, to) == 0;
        free(from);
        free(to);
    }
    free(text);
    return rc;
}

static int copy_once(const struct check *c, struct err *err)
{
    char *path = xasprintf("%s/" MANIFEST, c->from), *to = xasprintf("%s/" MANIFEST, c->copy);
    size_t size;
    char *text = fs_read(path, MANIFEST_LIMIT, &size, err);
    int rc = text ? 1 : -1;

    for (const char *p = text; rc == 1 && p && *p;) {
        size_t len = strcspn(p, "\n");
        if (len > 0)
            rc = take_line(c, p, len);
        p += len + (p[len] == '\n');
    }
    if (rc == 1 && fs_write_atomic(to, text, size, 0600, err) < 0)
        rc = -1;
    free(text);
    free(to);
    free(path);
    return rc;
}

static int empty_copy(const struct check *c, bool make, struct err *err)
{
    char *parent = xasprintf("%s/check", c->l.service_dir);
    struct tree_count count = {0};
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = 0;

    if (fd >= 0) {
        rc = tree_empty(fd, NULL, &count, err);
        close(fd);
        if (rc == 0 && !make)
            rmdir(parent);
    }
    if (rc == 0 && make)
        rc = fs_mkdirs(c->copy, 0700, err);
    free(parent);
    return rc;
}

/* A rewrite may replace the files meanwhile: then once more. */
static int make_copy(const struct check *c, struct problem *pb)
{
    struct err err = ERR_INIT;

    for (int i = 0; i < ATTEMPTS; i++) {
        int rc = empty_copy(c, true, &err);

        if (rc == 0)
            rc = copy_once(c, &err);
        if (rc == 1)
            return 0;
        if (is_given_up(c, pb))
            return -1;
        if (rc < 0)
            return problem_from_err(pb, PROBLEM_DIR_UNUSABLE, &err);
        time_sleep_ms(PAUSE_MS);
    }
    return problem_set(pb, PROBLEM_BUSY, "check the data of %s: its files change all the time",
                       c->l.id);
}

/* --- the checker --- */

static int spawn_checker(const struct check *c, const char *manifest, const char *output,
                         pid_t *pid)
{
    char *const argv[] = {c->checker, (char *)(uintptr_t)manifest, NULL};
    char *const envp[] = {NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none;
    int rc;

    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    rc = posix_spawn(pid, c->checker, &files, &attr, argv, envp);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

/* Its exit status; -1 when it was ended. */
static int await_checker(struct operation *op, pid_t pid)
{
    int status = 0;
    pid_t ended;

    while ((ended = waitpid(pid, &status, WNOHANG)) == 0) {
        if (must_end(op))
            kill(pid, SIGKILL);
        time_sleep_ms(PAUSE_MS);
    }
    return ended == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What the checker said last. */
static int tell_unsound(const struct check *c, const char *output, struct problem *pb)
{
    char *text = file_tail(output, TAIL_BYTES), *line;
    size_t len = strlen(text);

    while (len > 0 && text[len - 1] == '\n')
        text[--len] = '\0';
    line = strrchr(text, '\n');
    problem_set(pb, PROBLEM_STORE_ERROR, "the data of %s on %s is damaged: %s", c->l.id, c->l.node,
                line ? line + 1 : text);
    free(text);
    return problem_advise(pb, "let it copy from its primary again (network-restore); of a last "
                              "copy keep the files and look at them with the checker");
}

static int run_checker(const struct check *c, const char *dir, struct problem *pb)
{
    char *manifest = xasprintf("%s/" MANIFEST, dir);
    char *output = xasprintf("%s.check", c->l.output);
    pid_t pid;
    int rc = spawn_checker(c, manifest, output, &pid), status;

    if (rc != 0) {
        rc = problem_set(pb, PROBLEM_INTERNAL, "start %s: %s", c->checker, strerror(rc));
    } else {
        operation_report(c->op, -1, "%s to read all files", strrchr(c->checker, '/') + 1);
        status = await_checker(c->op, pid);
        if (status > 0)
            rc = tell_unsound(c, output, pb);
        else if (status < 0 && is_given_up(c, pb))
            rc = -1;
        else if (status < 0)
            rc = problem_set(pb, PROBLEM_INTERNAL, "check the data of %s: %s was killed", c->l.id,
                             c->checker);
    }
    unlink(output);
    free(output);
    free(manifest);
    return rc;
}

static int check_run(struct check *c, struct problem *pb)
{
    struct err ignored = ERR_INIT;
    int rc;

    if (!c->checker) {
        problem_set(pb, PROBLEM_NOT_FOUND, "there is no checker beside %s",
                    c->l.program ? c->l.program : "redis-server, which is missing, too");
        return problem_advise(pb, "install redis-check-aof (package redis-tools)");
    }
    if (access(c->from, F_OK) < 0)
        return problem_set(pb, PROBLEM_DIR_MISSING, "%s on %s has no data in %s", c->l.id,
                           c->l.node, c->l.env);
    if (!c->is_running)
        return run_checker(c, c->from, pb);
    rc = make_copy(c, pb);
    if (rc == 0)
        rc = run_checker(c, c->copy, pb);
    empty_copy(c, false, &ignored);
    return rc;
}

int check_data_run(struct operation *op, struct problem *pb)
{
    struct check c = {.op = op};
    int rc;

    pthread_mutex_lock(&op->agent->lock);
    launch_init(&c.l, op->agent, op->service);
    c.is_running = op->service->proc.pid != 0;
    pthread_mutex_unlock(&op->agent->lock);
    c.checker = find_checker(c.l.program);
    c.from = xasprintf("%s/" AOF_DIR, c.l.env);
    c.copy = xasprintf("%s/check/" AOF_DIR, c.l.service_dir);
    rc = check_run(&c, pb);
    if (rc == 0)
        operation_result(op, "the files of %s are sound", c.l.id);
    free(c.checker);
    free(c.from);
    free(c.copy);
    launch_release(&c.l);
    return rc;
}
