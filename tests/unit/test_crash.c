/*
 * Crash points of this layer: a process that makes a plan and carries it out is killed at its n-th
 * point, for every n, and started again; the end must be that of an undisturbed run, and no step
 * may be done twice without a look.
 */
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "plan_support.h"
#include "tap.h"

enum { TASKS = 5, WIDTH = 2, STARTS_MAX = 12, KILL_ROUNDS = 25 };

/* KVSH_KILL_ROUNDS makes the last test longer. */
static int kill_rounds(void)
{
    const char *rounds = getenv("KVSH_KILL_ROUNDS");

    return rounds != NULL ? (int)strtol(rounds, NULL, 10) : KILL_ROUNDS;
}

/* --- the process that is killed --- */

static int make_plan(struct bench *b, const char *args)
{
    struct err err = ERR_INIT;
    struct plan p = {0};
    int rc;

    plan_of(&p, VERB_START_SERVICE, TASKS, WIDTH, *args ? args : NULL);
    p.tasks[2].node = NULL; /* one that only changes the journal */
    rc = journal_plan_create(b->journal, &p, &err);
    plan_release(&p);
    return rc;
}

/* Begins or goes on with plan 1 of the directory. 0: it has succeeded. */
static int carry_out(const char *dir, const char *args)
{
    struct err err = ERR_INIT;
    struct bench b = {0};
    int rc = 1;

    snprintf(b.world, sizeof b.world, "%s/world", dir);
    b.nodes[0] = b.world;
    b.endpoint = (struct endpoint){.nodes = b.nodes, .n_nodes = 1};
    b.journal = journal_open(dir, true, &err);
    if (b.journal == NULL)
        return 2;
    if (journal_last_plan(b.journal) == 0 && make_plan(&b, args) < 0)
        return 3;
    if (state_of(&b, 1) == PLAN_SUCCEEDED || execute(&b, 1, &err) == 0)
        rc = state_of(&b, 1) == PLAN_SUCCEEDED ? 0 : 1;
    journal_close(b.journal);
    return rc;
}

/* --- the one that starts it --- */

struct setting {
    const char *name, *value;
};

/* By its name: what valgrind runs is not what the kernel calls itself. */
static char self[PATH_MAX];

static pid_t spawn(const char *dir, const char *args, struct setting set)
{
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        unsetenv("KVSH_CRASH_AT");
        unsetenv("KVSH_CRASH_COUNT");
        if (set.name != NULL)
            setenv(set.name, set.value, 1);
        execl(self, "test_crash", "carry-out", dir, args, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static int end_of(pid_t pid)
{
    int status = -1;

    waitpid(pid, &status, 0);
    return status;
}

static int run_with(const char *dir, const char *args, struct setting set)
{
    return end_of(spawn(dir, args, set));
}

static bool was_killed(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* Starts it undisturbed until the plan has succeeded (a plan may end in ERROR on the way). */
static bool finish(const char *dir, const char *args)
{
    for (int i = 0; i < STARTS_MAX; i++) {
        if (run_with(dir, args, (struct setting){0}) == 0)
            return true;
    }
    return false;
}

struct end {
    char *done;
    char *docs;
    int64_t version;
};

/* What is left in journal and world; checks what must hold in any case. */
static struct end end_state(const char *dir)
{
    struct err err = ERR_INIT;
    struct end e = {0};
    struct plan p = {0};
    struct journal *j = journal_open(dir, false, &err);
    struct json *docs = NULL;
    char world[96], line[32];

    snprintf(world, sizeof world, "%s/world", dir);
    ok(j != NULL && journal_plan_load(j, 1, &p, &err) == 0);
    is_int(journal_last_plan(j), 1);
    is_int(p.state, PLAN_SUCCEEDED);
    is_int(p.n_tasks, TASKS);
    for (size_t i = 0; i < p.n_tasks; i++)
        is_int(p.tasks[i].state, TASK_SUCCEEDED);
    ok(journal_docs(j, &docs, &e.version, &err) == 0);
    e.docs = json_print(docs);
    e.done = world_done(world);
    ok(world_is_careful(world));
    snprintf(line, sizeof line, "publish %d", TASKS);
    ok(world_count(world, line) >= 1);
    ok(!lock_is_held(dir, 0) && !lock_is_held(dir, 1));
    json_free(docs);
    plan_release(&p);
    journal_close(j);
    return e;
}

static void end_free(struct end *e)
{
    free(e->done);
    free(e->docs);
}

static void same_end(const char *dir, const struct end *want)
{
    struct end e = end_state(dir);

    is_str(e.done, want->done);
    is_str(e.docs, want->docs);
    is_int(e.version, want->version); /* each effect once, no more */
    end_free(&e);
}

static char *fresh_dir(struct bench *b, int n)
{
    char *dir = xasprintf("%s/%d", b->dir, n);
    struct err err = ERR_INIT;

    ok(fs_mkdirs(dir, 0700, &err) == 0);
    return dir;
}

/* The undisturbed run: its end, and how many points it passed. */
static int measure(struct bench *b, const char *args, struct end *end)
{
    char *dir = fresh_dir(b, 0), *count = xasprintf("%s/points", dir), *text;
    struct err err = ERR_INIT;
    int points = 0;

    run_with(dir, args, (struct setting){"KVSH_CRASH_COUNT", count});
    ok(finish(dir, args));
    *end = end_state(dir);
    text = fs_read(count, 1 << 20, NULL, &err);
    for (const char *p = text; p != NULL && (p = strchr(p, '\n')) != NULL; p++)
        points++;
    free(text);
    free(count);
    free(dir);
    return points;
}

/* Killed at point n, and when `again` is set once more at that point of the next run; then left in
 * peace. */
static bool crash_at(const char *dir, const char *args, int n, int again)
{
    char at[16];
    bool killed;

    snprintf(at, sizeof at, "%d", n);
    killed = was_killed(run_with(dir, args, (struct setting){"KVSH_CRASH_AT", at}));
    if (again > 0) {
        snprintf(at, sizeof at, "%d", again);
        run_with(dir, args, (struct setting){"KVSH_CRASH_AT", at});
    }
    ok(finish(dir, args));
    return killed;
}

/* crashes: 1, or 2 to kill it once more on its way back */
static void every_point(const char *args, int crashes)
{
    struct end want = {0};
    struct bench b;
    int points, covered = 0;

    bench_begin(&b);
    points = measure(&b, args, &want);
    ok(points >= 20);
    for (int n = 1; n <= points; n++) {
        for (int twice = 0; twice < crashes; twice++) {
            char *dir = fresh_dir(&b, 2 * n + twice);
            bool killed = crash_at(dir, args, n, twice ? n * 7 % points + 1 : 0);

            covered += killed && !twice;
            same_end(dir, &want);
            free(dir);
        }
    }
    printf("# %s: %d of %d points%s\n", *args ? args : "plain", covered, points,
           crashes > 1 ? ", each also with a second crash" : "");
    is_int(covered, points);
    end_free(&want);
    bench_end(&b);
}

static void a_plain_plan(void)
{
    every_point("", 2);
}

static void answers_lost_after_the_effect(void)
{
    every_point("{\"losesAfter\":1}", 1);
}

static void answers_lost_before_the_effect(void)
{
    every_point("{\"losesBefore\":1}", 2);
}

static void failures_on_the_way(void)
{
    every_point("{\"fails\":1}", 1);
}

static void killed_at_any_time(void)
{
    static const char args[] = "{\"sleepMs\":4}";
    unsigned seed = (unsigned)getpid();
    struct end want = {0};
    struct bench b;
    int killed = 0, rounds = kill_rounds();

    bench_begin(&b);
    measure(&b, args, &want);
    printf("# seed %u\n", seed);
    for (int round = 1; round <= rounds; round++) {
        char *dir = fresh_dir(&b, round);

        for (int i = 0; i < 3; i++) {
            pid_t pid = spawn(dir, args, (struct setting){0});
            time_sleep_ms(rand_r(&seed) % 40);
            kill(pid, SIGKILL);
            killed += was_killed(end_of(pid));
        }
        ok(finish(dir, args));
        same_end(dir, &want);
        free(dir);
    }
    printf("# %d rounds, %d of %d starts were killed in the middle\n", rounds, killed, 3 * rounds);
    end_free(&want);
    bench_end(&b);
}

int main(int argc, char **argv)
{
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    if (n < 0)
        return 1;
    self[n] = '\0';
    if (argc == 4 && strcmp(argv[1], "carry-out") == 0)
        return carry_out(argv[2], argv[3]);
    TAP_RUN(TAP_TEST(a_plain_plan), TAP_TEST(answers_lost_after_the_effect),
            TAP_TEST(answers_lost_before_the_effect), TAP_TEST(failures_on_the_way),
            TAP_TEST(killed_at_any_time));
}
