/* kvagentd: the node agent. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "agent/agent.h"
#include "agent/lifecycle.h"
#include "agent/options.h"
#include "agent/rootlock.h"
#include "agent/services.h"

enum { TOKEN_BYTES = 32, END_MS = 60 * 1000, LOOK_MS = 20, MALLOC_ARENAS = 2 };

static int fail(const struct err *err)
{
    fprintf(stderr, "kvagentd: %s\n", err->text);
    if (err->advice[0])
        fprintf(stderr, "  %s\n", err->advice);
    return err_exit_status(err->code);
}

static int token_make(const char *path, struct err *err)
{
    char *token, *text;
    int rc;

    if (!path || access(path, F_OK) == 0)
        return 0;
    token = fs_random_hex(TOKEN_BYTES);
    text = xasprintf("%s\n", token);
    rc = fs_write_atomic(path, text, strlen(text), 0600, err);
    if (rc == 0)
        printf("made a token in %s\n", path);
    explicit_bzero(token, strlen(token));
    explicit_bzero(text, strlen(text));
    free(token);
    free(text);
    return rc;
}

/* Those that are named must be there: one that is not mounted yet would be hidden by the mount. */
static int storage_check(const struct bootconfig *b, struct err *err)
{
    for (size_t i = 0; i < b->n_storage_dirs; i++)
        if (!fs_is_dir(b->storage_dirs[i])) {
            err_set(err, ERR_INPUT, "-storagedir %s is not a directory", b->storage_dirs[i]);
            return err_advise(err, "mount or create it first");
        }
    return 0;
}

/* Without -storagedir there is one below the root. */
static int storage_default(struct bootconfig *b, struct err *err)
{
    if (b->n_storage_dirs > 0 || b->capacity == 0)
        return 0;
    b->storage_dirs[b->n_storage_dirs++] = xasprintf("%s/data", b->root);
    if (fs_mkdirs(b->storage_dirs[0], 0700, err) < 0)
        return -1;
    printf("no -storagedir: data goes to %s\n", b->storage_dirs[0]);
    return 0;
}

static int redis_check(struct bootconfig *b, struct err *err)
{
    if (!b->redis_server)
        b->redis_server = boot_find_redis(getenv("PATH"));
    else if (access(b->redis_server, X_OK) < 0)
        return err_errno(err, ERR_INPUT, errno, "-redis-server %s", b->redis_server);
    return 0;
}

static void tell_units(const struct bootconfig *b)
{
    for (size_t i = 0; i < b->n_units; i++) {
        const char *program = b->units[i].commands[UNIT_START].argv[0];

        if (access(program, X_OK) < 0)
            printf("unit %s: %s cannot be executed on this host\n", b->units[i].id, program);
    }
}

static int run_makebootconfig(struct options *o, struct err *err)
{
    struct bootconfig *b = &o->boot;
    int rc;

    if (boot_complete(b, err) < 0 || storage_check(b, err) < 0 || redis_check(b, err) < 0 ||
        storage_default(b, err) < 0)
        return fail(err);
    rc = boot_save(b, o->config, err);
    if (rc < 0 || token_make(b->token_file, err) < 0)
        return fail(err);
    printf("%s/%s %s\n", b->root, o->config, rc ? "is there already and says the same" : "written");
    tell_units(b);
    if (!b->redis_server && b->capacity > 0)
        printf("no redis-server and no valkey-server in PATH: services of kind redis cannot start "
               "before one is installed\n");
    if (!boot_is_authenticated(b))
        printf("no -token-file and no -tls-client-ca: the agent will listen on a loopback address "
               "only\n");
    return 0;
}

/* Says in the pipe to the waiting parent how the start ended: a byte 0, or the texts of the error.
 */
static int daemon_pipe = -1;

static void on_ready(void *arg)
{
    struct agent *a = arg;
    char byte = 0;

    if (daemon_pipe < 0)
        return;
    logfile_detach(a->log);
    if (write(daemon_pipe, &byte, 1) != 1)
        return;
    close(daemon_pipe);
    daemon_pipe = -1;
}

/* In the parent: prints what the daemon says and gives its status. */
static int daemon_await(int fd)
{
    char text[2048];
    size_t n = 0;
    ssize_t got;

    while (n < sizeof text - 1 && (got = read(fd, text + n, sizeof text - 1 - n)) != 0) {
        if (got < 0 && errno != EINTR)
            break;
        n += got > 0 ? (size_t)got : 0;
    }
    if (n == 1 && text[0] == 0)
        return 0;
    text[n] = '\0';
    fprintf(stderr, "%s", n > 1 ? text + 1 : "kvagentd: the agent ended before it listened\n");
    return n > 1 ? text[0] : err_exit_status(ERR_FAILED);
}

static int daemon_fail(const struct err *err)
{
    char text[2048];
    int n =
        snprintf(text, sizeof text, "%ckvagentd: %s\n%s%s%s", err_exit_status(err->code), err->text,
                 err->advice[0] ? "  " : "", err->advice, err->advice[0] ? "\n" : "");

    if (write(daemon_pipe, text, (size_t)n) != n)
        return 1;
    return err_exit_status(err->code);
}

/* Returns in the daemon with 0, in the parent with 1 and the exit status; -1 when it cannot be. */
static int daemonize(int *status, struct err *err)
{
    int fds[2], null;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_errno(err, ERR_FAILED, errno, "detach");
    pid = fork();
    if (pid < 0)
        return err_errno(err, ERR_FAILED, errno, "detach");
    if (pid > 0) {
        close(fds[1]);
        *status = daemon_await(fds[0]);
        close(fds[0]);
        return 1;
    }
    close(fds[0]);
    daemon_pipe = fds[1];
    setsid();
    signal(SIGHUP, SIG_IGN);
    null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
        return err_errno(err, ERR_FAILED, errno, "open /dev/null");
    if (null > 2)
        close(null);
    return chdir("/") < 0 ? err_errno(err, ERR_FAILED, errno, "chdir /") : 0;
}

static int run_start(struct options *o, struct err *err)
{
    struct bootconfig boot = {.root = NULL};
    struct agent *a = NULL;
    int status = 0, rc;

    mallopt(M_ARENA_MAX, MALLOC_ARENAS);
    if (boot_load(&boot, o->boot.root, o->config, err) < 0) {
        boot_release(&boot);
        return fail(err);
    }
    rc = o->daemon ? daemonize(&status, err) : 0;
    if (rc > 0) {
        boot_release(&boot);
        return status;
    }
    if (rc == 0)
        a = agent_open(&boot, !o->daemon, err);
    rc = a ? agent_run(a, on_ready, a, err) : -1;
    if (rc == 0 && agent_is_stuck(a))
        _exit(0);
    agent_close(a);
    boot_release(&boot);
    if (rc == 0)
        return 0;
    return daemon_pipe >= 0 ? daemon_fail(err) : fail(err);
}

/* Waits until the root is free. */
static int await_gone(const char *root, pid_t pid, struct err *err)
{
    int64_t deadline = time_mono_ms() + END_MS;

    while (rootlock_holder(root) == pid) {
        if (time_mono_ms() > deadline)
            return err_set(err, ERR_TIMEOUT, "kvagentd (pid %d) has not ended within %d s",
                           (int)pid, END_MS / 1000);
        time_sleep_ms(LOOK_MS);
    }
    return 0;
}

/* The agent first, so that it does not start again what is stopped here. */
static int stop_services(struct options *o, struct err *err)
{
    struct bootconfig boot = {.root = NULL};
    struct agent *a = NULL;
    int rc = boot_load(&boot, o->boot.root, o->config, err);

    if (rc == 0)
        a = agent_open(&boot, false, err);
    rc = a ? services_stop_all(a, err) : -1;
    if (rc == 0)
        printf("services stopped\n");
    agent_close(a);
    boot_release(&boot);
    return rc;
}

static int run_stop(struct options *o, struct err *err)
{
    pid_t pid = rootlock_holder(o->boot.root);

    if (!fs_is_dir(o->boot.root)) {
        err_set(err, ERR_INPUT, "%s is not a directory", o->boot.root);
        return fail(err);
    }
    if (pid > 1 && kill(pid, SIGTERM) < 0 && errno != ESRCH) {
        err_errno(err, ERR_FAILED, errno, "end kvagentd (pid %d)", (int)pid);
        return fail(err);
    }
    if (pid > 1 && await_gone(o->boot.root, pid, err) < 0)
        return fail(err);
    printf(pid > 1 ? "kvagentd (pid %d) has ended\n" : "kvagentd does not run\n", (int)pid);
    if (o->services && stop_services(o, err) < 0)
        return fail(err);
    return 0;
}

static void print_service(struct agent *a, struct service *s)
{
    char *record = agent_node_file(a, s->id, ".pid");

    if (s->kind == SERVICE_ADMIN)
        printf("  %-12s admin\n", s->id);
    else if (proc_load(record, &s->proc) == 0 && proc_is_alive(&s->proc))
        printf("  %-12s running, pid %d, port %d, %s\n", s->id, (int)s->proc.pid, s->port,
               s->storage_dir);
    else
        printf("  %-12s not running (wanted %s), port %d, %s\n", s->id,
               s->wanted_up ? "up" : "down", s->port, s->storage_dir);
    free(record);
}

/* Its state is its manager's to tell. */
static void print_unit(const struct boot_unit *u)
{
    const struct unit_command *c = &u->commands[UNIT_STATUS];

    printf("  %-12s unit, its state is told by:", u->id);
    for (size_t i = 0; i < c->n; i++)
        printf(" %s", c->argv[i]);
    printf("\n");
}

/* Reads the agent's files: works whether it runs or not, and needs no token. */
static int run_status(struct options *o, struct err *err)
{
    struct agent a = {.lock_fd = -1, .wake_fd = -1};
    pid_t pid;
    int rc = boot_load(&a.boot, o->boot.root, o->config, err);

    if (rc == 0)
        rc = services_load(&a, err);
    if (rc == 0) {
        pid = rootlock_holder(a.boot.root);
        if (pid)
            printf("kvagentd runs with pid %d on %s port %d\n", (int)pid, a.boot.host, a.boot.port);
        else
            printf("kvagentd does not run on %s\n", a.boot.root);
        if (a.store[0])
            printf("%s of store %s, zone %s\n", a.node_id, a.store, a.zone);
        else
            printf("belongs to no store yet\n");
        for (size_t i = 0; i < a.n_services; i++)
            print_service(&a, a.services[i]);
        for (size_t i = 0; i < a.boot.n_units; i++)
            print_unit(&a.boot.units[i]);
        rc = pid ? 0 : 1;
    } else {
        rc = fail(err);
    }
    services_free(&a);
    free(a.secret);
    boot_release(&a.boot);
    return rc;
}

static int run_version(struct options *o, struct err *err)
{
    (void)o, (void)err;
    printf("kvagentd %s\n", PACKAGE_VERSION);
    return 0;
}

static int (*const run[VERB_COUNT])(struct options *o, struct err *err) = {
    [VERB_MAKEBOOTCONFIG] = run_makebootconfig,
    [VERB_START] = run_start,
    [VERB_STOP] = run_stop,
    [VERB_STATUS] = run_status,
    [VERB_VERSION] = run_version,
};

int main(int argc, char **argv)
{
    struct options o = {.help = false};
    struct err err = ERR_INIT;
    int status;

    umask(077);
    fs_take_standard_streams();
    if (options_parse(&o, argc, argv, &err) < 0) {
        status = fail(&err);
    } else if (o.help) {
        options_usage(stdout);
        status = 0;
    } else {
        status = run[o.verb](&o, &err);
    }
    options_release(&o);
    if (fflush(stdout) != 0) {
        fprintf(stderr, "kvagentd: write to stdout: %s\n", strerror(errno));
        status = status ? status : 1;
    }
    return status;
}
