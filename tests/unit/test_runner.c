/*
 * Runners for real: this program starts itself again with the words of run-plan, as kvsh does, and
 * is killed, interrupted and looked at.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "plan_support.h"
#include "tap.h"

/* --- the runner --- */

static const char *option(int argc, char **argv, const char *name)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    }
    return NULL;
}

static int number(int argc, char **argv, const char *name)
{
    const char *value = option(argc, argv, name);

    return value != NULL ? (int)strtol(value, NULL, 10) : -1;
}

/* Writes down what the runner finds around itself: descriptors, directory, session, mask. */
static void describe(const char *world)
{
    char cwd[PATH_MAX], target[PATH_MAX];
    mode_t mask = umask(0);
    struct dirent *e;
    DIR *fds;

    umask(mask);
    if (getcwd(cwd, sizeof cwd) != NULL)
        world_add(world, "cwd %s", cwd);
    world_add(world, "umask %03o", (unsigned)mask);
    world_add(world, "leads %d", getsid(0) == getpid());
    fds = opendir("/proc/self/fd");
    while ((e = readdir(fds)) != NULL) {
        char path[64];
        ssize_t n;
        snprintf(path, sizeof path, "/proc/self/fd/%.20s", e->d_name);
        n = readlink(path, target, sizeof target - 1);
        if (n <= 0 || strtol(e->d_name, NULL, 10) == dirfd(fds))
            continue;
        target[n] = '\0';
        world_add(world, "fd %s %s", e->d_name, strncmp(target, "pipe:", 5) == 0 ? "pipe" : target);
    }
    closedir(fds);
}

static int run_plan(int argc, char **argv)
{
    const char *dir = option(argc, argv, "-dir");
    int ready = number(argc, argv, "-ready-fd");
    struct executor x = {.engine = &fake_engine,
                         .plan_id = number(argc, argv, "-id"),
                         .ready_fd = ready,
                         .pause_ms = 2};
    struct plan_lock lock;
    struct err err = ERR_INIT;
    struct bench b = {0};
    int rc = 1;

    if (dir == NULL) {
        fprintf(stderr, "error something is missing\n");
        return 64;
    }
    snprintf(b.world, sizeof b.world, "%s/world", dir);
    b.nodes[0] = b.world;
    b.endpoint = (struct endpoint){.nodes = b.nodes, .n_nodes = 1};
    x.endpoint = &b.endpoint;
    if (option(argc, argv, "-describe") != NULL)
        describe(b.world);
    if (runner_adopt(&lock, number(argc, argv, "-lock-fd"), ready, x.plan_id, &err) == 0 &&
        (x.journal = journal_open(dir, false, &err)) != NULL && executor_run(&x, &err) == 0)
        rc = 0;
    if (rc != 0)
        runner_report(ready, &err);
    journal_close(x.journal);
    lock_release(&lock);
    return rc;
}

/* --- the shell --- */

static int start(struct bench *b, int64_t id, const char *const *more, struct err *err)
{
    const char *words[8] = {"-dir", b->dir};
    struct runner_args a = {.store = "fake", .config_args = words, .plan_id = id};
    struct plan_lock lock = {.fd = -1};
    int rc = -1;

    for (int i = 0; more != NULL && more[i] != NULL; i++)
        words[2 + i] = more[i];
    err_clear(err);
    if (lock_store(&lock, b->journal, 0, err) == 0 && lock_plan(&lock, b->journal, id, err) == 0)
        rc = runner_start(&a, &lock, err);
    is_int(lock.fd, -1);
    lock_release(&lock);
    return rc;
}

static pid_t runner_of(struct bench *b, int64_t id)
{
    struct err err = ERR_INIT;
    struct plan p = {0};
    pid_t pid;

    ok(journal_plan_load(b->journal, id, &p, &err) == 0);
    pid = (pid_t)p.runner_pid;
    plan_release(&p);
    return pid;
}

static bool wait_line(struct bench *b, const char *line)
{
    for (int i = 0; i < 4000; i++) {
        if (world_count(b->world, line) > 0)
            return true;
        time_sleep_ms(5);
    }
    return false;
}

/* A runner is nobody's child here; it is gone when its lock is. */
static bool wait_unlocked(struct bench *b, int64_t id)
{
    for (int i = 0; i < 4000; i++) {
        if (!lock_is_held(b->dir, id) && !lock_is_held(b->dir, 0))
            return true;
        time_sleep_ms(5);
    }
    return false;
}

/* Nothing was complained of, by the runner or by what watches its memory and threads. */
static void log_is_empty(const struct bench *b)
{
    struct err err = ERR_INIT;
    char *path = xasprintf("%s/runner.log", b->dir), *text = fs_read(path, 1 << 20, NULL, &err);

    is_str(text, "");
    free(text);
    free(path);
}

static void a_runner_does_its_plan(void)
{
    struct err err = ERR_INIT;
    struct bench b;
    int64_t id;
    pid_t pid;

    bench_begin(&b);
    id = stored_plan(&b, 4, 2, "{\"sleepMs\":100}");
    is_int(start(&b, id, NULL, &err), 0);
    is_int(state_of(&b, id), PLAN_RUNNING);
    pid = runner_of(&b, id);
    ok(pid > 0 && pid != getpid());
    ok(lock_is_held(b.dir, id) && lock_is_held(b.dir, 0));
    ok(wait_state(&b, id, PLAN_SUCCEEDED));
    ok(wait_unlocked(&b, id));
    is_int(world_count(b.world, "done t4"), 1);
    log_is_empty(&b);
    bench_end(&b);
}

static void plans_follow_each_other_at_once(void)
{
    struct err err = ERR_INIT;
    struct bench b;

    bench_begin(&b);
    for (int i = 0; i < 5; i++) { /* the lock of a runner that is just ending is no refusal */
        int64_t id = stored_plan(&b, 1, 1, NULL);
        is_int(start(&b, id, NULL, &err), 0);
        ok(wait_state(&b, id, PLAN_SUCCEEDED));
    }
    ok(wait_unlocked(&b, 5));
    log_is_empty(&b);
    bench_end(&b);
}

static bool has_line_with(const char *text, const char *a, const char *b)
{
    for (const char *l = text; l != NULL && *l != '\0'; l = strchr(l, '\n')) {
        size_t len;
        char line[PATH_MAX];
        l += *l == '\n';
        len = strcspn(l, "\n");
        snprintf(line, sizeof line, "%.*s", (int)len, l);
        if (strstr(line, a) != NULL && strstr(line, b) != NULL)
            return true;
    }
    return false;
}

static void a_runner_is_detached(void)
{
    static const char *const words[] = {"-describe", "yes", NULL};
    struct err err = ERR_INIT;
    struct stat st;
    struct bench b;
    char path[128], *text;
    int stray;

    bench_begin(&b);
    stray = open("/dev/zero", O_RDONLY); /* without CLOEXEC, as a cron job's lock might be */
    ok(stray > 2);
    stored_plan(&b, 1, 1, NULL);
    is_int(start(&b, 1, words, &err), 0);
    close(stray);
    ok(wait_state(&b, 1, PLAN_SUCCEEDED));
    ok(wait_unlocked(&b, 1));
    is_int(world_count(b.world, "cwd /"), 1);
    is_int(world_count(b.world, "umask 077"), 1);
    is_int(world_count(b.world, "leads 0"), 1);
    is_int(world_count(b.world, "fd 0 /dev/null"), 1);
    is_int(world_count(b.world, "fd 1 /dev/null"), 1);
    is_int(world_count(b.world, "fd 4 pipe"), 1);
    text = fs_read(b.world, 1 << 20, NULL, &err);
    ok(has_line_with(text, "fd 2 ", "/runner.log"));
    ok(has_line_with(text, "fd 3 ", "/lock"));
    ok(strstr(text, "/dev/zero") == NULL);
    ok(strstr(text, "journal.db") == NULL);
    free(text);
    snprintf(path, sizeof path, "%s/runner.log", b.dir);
    ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
    log_is_empty(&b);
    bench_end(&b);
}

static void a_large_log_is_put_aside(void)
{
    struct err err = ERR_INIT;
    struct stat st;
    struct bench b;
    char path[128];

    bench_begin(&b);
    snprintf(path, sizeof path, "%s/runner.log", b.dir);
    ok(close(open(path, O_CREAT | O_WRONLY, 0600)) == 0);
    ok(truncate(path, (1 << 20) + 1) == 0);
    stored_plan(&b, 1, 1, NULL);
    is_int(start(&b, 1, NULL, &err), 0);
    ok(stat(path, &st) == 0 && st.st_size == 0);
    snprintf(path, sizeof path, "%s/runner.log.1", b.dir);
    ok(stat(path, &st) == 0 && st.st_size > 1 << 20);
    ok(wait_unlocked(&b, 1));
    bench_end(&b);
}

static void its_error_comes_back(void)
{
    struct err err = ERR_INIT;
    struct bench b;
    int64_t id;

    bench_begin(&b);
    id = stored_plan(&b, 1, 1, NULL);
    ok(journal_plan_move(b.journal, id, PLAN_CANCELED, NULL, &err) == 0);
    ok(start(&b, id, NULL, &err) < 0);
    is_int(err.code, ERR_FAILED);
    is_str(err.text, "plan 1 is CANCELED and cannot be executed");
    is_str(err.advice, "plan 1 is over; to do the same again, make a new plan");
    ok(start(&b, 99, NULL, &err) < 0);
    is_int(err.code, ERR_INPUT);
    is_str(err.text, "plan 99 does not exist");
    is_str(err.advice, "");
    ok(wait_unlocked(&b, id));
    log_is_empty(&b);
    bench_end(&b);
}

static void a_runner_that_just_ends_is_told(void)
{
    struct runner_args a = {.store = "fake", .plan_id = 1};
    struct plan_lock lock = {.fd = -1};
    struct err err = ERR_INIT;
    struct bench b;

    bench_begin(&b);
    stored_plan(&b, 1, 1, NULL);
    ok(lock_plan(&lock, b.journal, 1, &err) == 0);
    ok(runner_start(&a, &lock, &err) < 0); /* without -dir it ends at once */
    is_int(err.code, ERR_FAILED);
    is_str(err.text, "the runner of plan 1 ended before it began: error something is missing");
    has_str(err.advice, "runner.log");
    is_int(state_of(&b, 1), PLAN_APPROVED);
    ok(runner_start(&a, &lock, &err) < 0);
    is_int(err.code, ERR_INTERNAL); /* the lock went to the first one */
    ok(wait_unlocked(&b, 1));
    bench_end(&b);
}

static void only_the_holder_adopts(void)
{
    struct plan_lock lock = {.fd = -1}, other = {.fd = -1};
    struct err err = ERR_INIT;
    struct bench b;

    bench_begin(&b);
    stored_plan(&b, 1, 1, NULL);
    ok(runner_adopt(&other, 999, -1, 1, &err) < 0);
    is_int(err.code, ERR_USAGE);
    is_int(other.fd, -1);
    ok(lock_plan(&lock, b.journal, 1, &err) == 0);
    ok(lock_store(&other, b.journal, 0, &err) == 0);
    ok(runner_adopt(&(struct plan_lock){0}, other.fd, -1, 1, &err) < 0);
    is_str(err.text, "run-plan is started by kvsh itself, with the lock of its plan");
    lock_release(&other);
    lock_release(&lock);
    bench_end(&b);
}

/* --- ends that nobody planned --- */

static void killed_in_the_middle_it_resumes(void)
{
    struct err err = ERR_INIT;
    struct plan p = {0};
    struct bench b;
    int64_t id;
    pid_t pid;

    bench_begin(&b);
    id = stored_plan(&b, 6, 3, "{\"sleepMs\":1500,\"deaf\":true}");
    is_int(start(&b, id, NULL, &err), 0);
    ok(wait_line(&b, "perform t1") && wait_line(&b, "perform t2") && wait_line(&b, "perform t3"));
    pid = runner_of(&b, id);
    ok(kill(pid, SIGKILL) == 0);
    ok(wait_unlocked(&b, id));
    is_int(state_of(&b, id), PLAN_RUNNING);
    is_int(journal_reconcile(b.journal, &err), 1);
    ok(journal_plan_load(b.journal, id, &p, &err) == 0);
    is_int(p.state, PLAN_INTERRUPTED);
    is_int(p.runner_pid, 0);
    for (int i = 0; i < 3; i++)
        is_int(p.tasks[i].state, TASK_RUNNING);
    is_int(p.tasks[3].state, TASK_PENDING);
    plan_release(&p);
    world_add(b.world, "done t2"); /* took effect although its runner did not hear of it */
    is_int(start(&b, id, NULL, &err), 0);
    ok(wait_state(&b, id, PLAN_SUCCEEDED));
    ok(wait_unlocked(&b, id));
    is_int(world_count(b.world, "settled t1 no"), 1);
    is_int(world_count(b.world, "perform t1"), 2);
    is_int(world_count(b.world, "settled t2 yes"), 1);
    is_int(world_count(b.world, "perform t2"), 1);
    is_int(world_count(b.world, "perform t4"), 1);
    ok(world_is_careful(b.world));
    log_is_empty(&b);
    bench_end(&b);
}

/* A shell that has had the journal open all the time asks for the plan of a dead runner. */
static void a_dead_runner_is_replaced_without_reopening(void)
{
    struct err err = ERR_INIT;
    struct bench b;
    int64_t id;

    bench_begin(&b);
    id = stored_plan(&b, 1, 1, "{\"sleepMs\":600,\"deaf\":true}");
    is_int(start(&b, id, NULL, &err), 0);
    ok(wait_line(&b, "perform t1"));
    ok(kill(runner_of(&b, id), SIGKILL) == 0);
    ok(wait_unlocked(&b, id));
    is_int(start(&b, id, NULL, &err), 0);
    ok(wait_state(&b, id, PLAN_SUCCEEDED));
    ok(wait_unlocked(&b, id));
    ok(world_is_careful(b.world));
    bench_end(&b);
}

static void a_polite_end_interrupts(void)
{
    struct err err = ERR_INIT;
    struct bench b;
    int64_t id;
    pid_t pid;

    bench_begin(&b);
    id = stored_plan(&b, 2, 1, "{\"sleepMs\":30000}");
    is_int(start(&b, id, NULL, &err), 0);
    ok(wait_line(&b, "perform t1"));
    pid = runner_of(&b, id);
    ok(kill(pid, SIGHUP) == 0 && kill(pid, SIGINT) == 0);
    time_sleep_ms(50);
    is_int(state_of(&b, id), PLAN_RUNNING);
    ok(kill(pid, SIGTERM) == 0);
    ok(wait_state(&b, id, PLAN_INTERRUPTED));
    ok(wait_unlocked(&b, id));
    is_int(task_of(&b, id, 1), TASK_INTERRUPTED);
    is_int(events_like(&b, id, "asked to end (SIGTERM)"), 1);
    log_is_empty(&b);
    bench_end(&b);
}

/* The shell dies right after it started the runner: that changes nothing. */
static void a_dead_shell_changes_nothing(void)
{
    struct err err = ERR_INIT;
    struct bench b;
    int64_t id;
    int status;
    pid_t shell;

    bench_begin(&b);
    id = stored_plan(&b, 3, 1, "{\"sleepMs\":100}");
    fflush(stdout);
    shell = fork();
    if (shell == 0) {
        struct bench own = b;

        own.journal = journal_open(b.dir, false, &err);
        if (start(&own, id, NULL, &err) == 0)
            kill(getpid(), SIGKILL);
        _exit(1);
    }
    ok(waitpid(shell, &status, 0) == shell);
    ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    ok(wait_state(&b, id, PLAN_SUCCEEDED));
    ok(wait_unlocked(&b, id));
    log_is_empty(&b);
    bench_end(&b);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "run-plan") == 0)
            return run_plan(argc, argv);
    }
    TAP_RUN(TAP_TEST(a_runner_does_its_plan), TAP_TEST(plans_follow_each_other_at_once),
            TAP_TEST(a_runner_is_detached), TAP_TEST(a_large_log_is_put_aside),
            TAP_TEST(its_error_comes_back), TAP_TEST(a_runner_that_just_ends_is_told),
            TAP_TEST(only_the_holder_adopts), TAP_TEST(killed_in_the_middle_it_resumes),
            TAP_TEST(a_dead_runner_is_replaced_without_reopening),
            TAP_TEST(a_polite_end_interrupts), TAP_TEST(a_dead_shell_changes_nothing));
}
