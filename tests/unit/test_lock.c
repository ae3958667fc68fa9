/* Kernel locks: who gets them, what the refused one reads, how they end. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvsh/fs.h"

#include "plan_support.h"
#include "tap.h"

static void a_lock_excludes(void)
{
    struct plan_lock one = {.fd = -1}, two = {.fd = -1};
    struct err err = ERR_INIT;
    struct bench b;
    struct stat st;
    char path[128];

    bench_begin(&b);
    ok(!lock_is_held(b.dir, 0)); /* there is no file yet */
    ok(lock_store(&one, b.journal, 0, &err) == 0);
    snprintf(path, sizeof path, "%s/lock", b.dir);
    ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
    ok(fcntl(one.fd, F_GETFD) & FD_CLOEXEC);
    ok(lock_is_held(b.dir, 0));
    ok(lock_is_held(b.dir, 0)); /* looking does not let go */
    ok(!lock_is_held(b.dir, 7));
    stored_plan(&b, 1, 1, NULL);
    ok(lock_plan(&two, b.journal, 1, &err) == 0); /* a plan that changes nothing goes beside it */
    ok(lock_is_held(b.dir, 1));
    lock_release(&two);
    ok(!lock_is_held(b.dir, 1));
    ok(lock_plan(&one, b.journal, 1, &err) == 0);
    ok(lock_is_held(b.dir, 0) && lock_is_held(b.dir, 1));
    lock_release(&one);
    lock_release(&one);
    is_int(one.fd, -1);
    ok(!lock_is_held(b.dir, 0) && !lock_is_held(b.dir, 1));
    bench_end(&b);
}

static void the_refused_one_reads_who(void)
{
    struct plan_lock one = {.fd = -1}, two = {.fd = -1};
    struct err err = ERR_INIT;
    struct bench b;
    int64_t id, begun;

    bench_begin(&b);
    id = stored_plan(&b, 1, 1, NULL);
    ok(lock_store(&one, b.journal, 0, &err) == 0);
    ok(lock_plan(&one, b.journal, id, &err) == 0);
    ok(journal_plan_move(b.journal, id, PLAN_RUNNING, &(struct move){.runner_pid = 4711}, &err) ==
       0);
    begun = time_mono_ms();
    ok(lock_store(&two, b.journal, 0, &err) < 0);
    ok(time_mono_ms() - begun < 1900); /* a named holder is refused at once */
    is_int(two.fd, -1);
    is_int(err.code, ERR_LOCKED);
    has_str(err.text, "plan 1, Start RepNodes (1), is changing the store: running for ");
    has_str(err.text, " s as process 4711");
    is_str(err.advice, "wait for it with plan wait -id 1, stop it with plan interrupt -id 1, or "
                       "give -lock-wait SECONDS");
    ok(lock_plan(&two, b.journal, id, &err) < 0);
    is_int(err.code, ERR_LOCKED);
    is_str(err.text, "plan 1 is already RUNNING");
    lock_release(&two);
    ok(lock_is_held(b.dir, id));
    lock_release(&one);
    bench_end(&b);
}

static void a_holder_without_a_plan_is_given_a_moment(void)
{
    struct plan_lock one = {.fd = -1}, two = {.fd = -1};
    struct err err = ERR_INIT;
    struct bench b;
    int64_t begun;

    bench_begin(&b);
    ok(lock_store(&one, b.journal, 0, &err) == 0);
    begun = time_mono_ms();
    ok(lock_store(&two, b.journal, 0, &err) < 0);
    ok(time_mono_ms() - begun >= 1900);
    is_int(err.code, ERR_LOCKED);
    is_str(err.text, "another kvsh is just creating a plan that changes the store");
    has_str(err.advice, "-lock-wait");
    lock_release(&one);
    bench_end(&b);
}

/* Its runner has the locks and is not RUNNING yet; a plan that changes nothing runs beside it. */
static void a_plan_that_is_being_started_has_a_name(void)
{
    struct plan_lock beside = {.fd = -1}, one = {.fd = -1}, two = {.fd = -1};
    struct err err = ERR_INIT;
    struct plan p = {0};
    struct bench b;
    int64_t id;

    bench_begin(&b);
    plan_of(&p, VERB_VERIFY_DATA, 1, 1, NULL);
    ok(journal_plan_create(b.journal, &p, &err) == 0);
    ok(lock_plan(&beside, b.journal, p.id, &err) == 0);
    id = stored_plan(&b, 1, 1, NULL);
    ok(lock_store(&one, b.journal, 0, &err) == 0);
    ok(lock_plan(&one, b.journal, id, &err) == 0);
    ok(lock_store(&two, b.journal, 0, &err) < 0);
    is_int(err.code, ERR_LOCKED);
    is_str(err.text, "plan 2, Start RepNodes (2), is just being started");
    lock_release(&one);
    lock_release(&beside);
    plan_release(&p);
    bench_end(&b);
}

/* A child that takes the store's lock, lets `ready` know, and keeps it for ms. */
static pid_t hold_elsewhere(struct bench *b, int ms)
{
    struct plan_lock lock = {.fd = -1};
    struct err err = ERR_INIT;
    int ready[2];
    pid_t pid;
    char byte;

    ok(pipe(ready) == 0);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        struct journal *j = journal_open(b->dir, false, &err);

        if (lock_store(&lock, j, 0, &err) == 0 && write(ready[1], "x", 1) == 1)
            time_sleep_ms(ms);
        journal_close(j);
        _exit(0);
    }
    close(ready[1]);
    ok(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    return pid;
}

static char *starting(struct bench *b, int64_t id)
{
    struct err err = ERR_INIT;
    struct plan p = {0};
    char *text;

    ok(journal_plan_load(b->journal, id, &p, &err) == 0);
    text = plan_starting(b->journal, &p);
    plan_release(&p);
    return text;
}

/* Its runner lives and waits for the lease of another machine's plan. */
static void a_plan_that_is_being_started_is_known(void)
{
    struct plan_lock one = {.fd = -1};
    struct err err = ERR_INIT;
    struct bench b;
    struct event ev = {.severity = "info", .kind = "waiting", .text = "process 7 waits for sn1"};
    char *text;

    bench_begin(&b);
    ev.plan_id = stored_plan(&b, 1, 1, NULL);
    ok(starting(&b, ev.plan_id) == NULL);
    ok(lock_plan(&one, b.journal, ev.plan_id, &err) == 0);
    text = starting(&b, ev.plan_id);
    has_str(text, "another kvsh is just starting it");
    free(text);
    ok(journal_event(b.journal, &ev, &err) == 0);
    text = starting(&b, ev.plan_id);
    has_str(text, "process 7 waits for sn1 (since 2");
    free(text);
    ok(journal_plan_move(b.journal, ev.plan_id, PLAN_RUNNING, &(struct move){0}, &err) == 0);
    ok(starting(&b, ev.plan_id) == NULL);
    lock_release(&one);
    bench_end(&b);
}

static void waiting_gets_it(void)
{
    struct plan_lock lock = {.fd = -1};
    struct err err = ERR_INIT;
    struct bench b;
    pid_t pid;

    bench_begin(&b);
    pid = hold_elsewhere(&b, 300);
    ok(lock_store(&lock, b.journal, 10000, &err) == 0);
    lock_release(&lock);
    waitpid(pid, NULL, 0);
    pid = hold_elsewhere(&b, 300); /* a runner that is just ending: no wait was asked for */
    ok(lock_store(&lock, b.journal, 0, &err) == 0);
    lock_release(&lock);
    waitpid(pid, NULL, 0);
    bench_end(&b);
}

static bool at_once(void)
{
    return true;
}

static void waiting_can_be_given_up(void)
{
    struct plan_lock one = {.fd = -1}, two = {.fd = -1, .stopped = at_once};
    struct err err = ERR_INIT;
    struct bench b;
    int64_t begun = time_mono_ms();

    bench_begin(&b);
    ok(lock_store(&one, b.journal, 0, &err) == 0);
    ok(lock_store(&two, b.journal, 60000, &err) < 0);
    is_int(err.code, ERR_INTERRUPTED);
    is_str(err.text, "interrupted while waiting for the store's lock");
    is_int(two.fd, -1);
    ok(time_mono_ms() - begun < 30000);
    lock_release(&one);
    ok(lock_store(&two, b.journal, 60000, &err) == 0); /* nothing to wait for: nobody asks */
    lock_release(&two);
    bench_end(&b);
}

static void death_frees_it(void)
{
    struct plan_lock lock = {.fd = -1};
    struct err err = ERR_INIT;
    struct bench b;
    pid_t pid;

    bench_begin(&b);
    pid = hold_elsewhere(&b, 60000);
    ok(lock_is_held(b.dir, 0));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    ok(!lock_is_held(b.dir, 0));
    ok(lock_store(&lock, b.journal, 0, &err) == 0);
    lock_release(&lock);
    bench_end(&b);
}

/* Descriptors are inherited by fork but not over exec: a service must not keep a lock for its plan.
 */
static void an_exec_does_not_keep_it(void)
{
    struct plan_lock lock = {.fd = -1};
    struct err err = ERR_INIT;
    struct bench b;
    pid_t pid;
    bool held = true;

    bench_begin(&b);
    ok(lock_store(&lock, b.journal, 0, &err) == 0);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        execlp("sleep", "sleep", "60", (char *)NULL);
        _exit(127);
    }
    lock_release(&lock);
    for (int i = 0; i < 1000 && held; i++) {
        held = lock_is_held(b.dir, 0); /* until the child has come to its exec */
        time_sleep_ms(2);
    }
    ok(!held);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    bench_end(&b);
}

/* --- two at the same moment --- */

/* Creates a plan, makes it run, and keeps it so until `stop` is closed. */
static int hold(struct journal *j, struct plan_lock *lock, int stop)
{
    struct err err = ERR_INIT;
    struct plan p = {0};
    char byte;
    int rc = 7;

    plan_of(&p, VERB_START_SERVICE, 1, 1, NULL);
    if (journal_plan_create(j, &p, &err) == 0 && lock_plan(lock, j, p.id, &err) == 0 &&
        journal_plan_move(j, p.id, PLAN_RUNNING, &(struct move){.runner_pid = getpid()}, &err) == 0)
        rc = read(stop, &byte, 1) == 0 ? 0 : 6;
    if (rc == 0 && journal_plan_move(j, p.id, PLAN_SUCCEEDED, NULL, &err) < 0)
        rc = 5;
    plan_release(&p);
    return rc;
}

/* 0: had the lock, 1: refused by the name of the other one's plan. */
static int contend(struct bench *b, int go, int stop)
{
    struct plan_lock lock = {.fd = -1};
    struct err err = ERR_INIT;
    struct journal *j = journal_open(b->dir, false, &err);
    char byte;
    int rc = 9;

    if (j != NULL && read(go, &byte, 1) == 0) {
        if (lock_store(&lock, j, 0, &err) == 0)
            rc = hold(j, &lock, stop);
        else
            rc = err.code == ERR_LOCKED && strstr(err.text, "is changing the store") ? 1 : 8;
    }
    journal_close(j);
    lock_release(&lock);
    return rc;
}

static void one_of_two_gets_it(void)
{
    enum { ROUNDS = 50 };
    struct bench b;
    int won = 0, lost = 0, other = 0;

    bench_begin(&b);
    for (int round = 0; round < ROUNDS; round++) {
        int go[2], stop[2], status;
        pid_t pids[2], first;

        ok(pipe(go) == 0 && pipe(stop) == 0);
        fflush(stdout);
        for (int i = 0; i < 2; i++) {
            pids[i] = fork();
            if (pids[i] == 0) {
                close(go[1]);
                close(stop[1]);
                _exit(contend(&b, go[0], stop[0]));
            }
        }
        close(go[0]);
        close(stop[0]);
        close(go[1]);
        first = wait(&status); /* the refused one, while the other keeps its lock */
        lost += status == 1 << 8;
        other += status != 1 << 8;
        close(stop[1]);
        waitpid(first == pids[0] ? pids[1] : pids[0], &status, 0);
        won += status == 0;
        other += status != 0;
    }
    printf("# %d rounds: %d got the lock, %d were refused\n", ROUNDS, won, lost);
    is_int(won, ROUNDS);
    is_int(lost, ROUNDS);
    is_int(other, 0);
    is_int(journal_last_plan(b.journal), ROUNDS);
    bench_end(&b);
}

int main(void)
{
    TAP_RUN(TAP_TEST(a_lock_excludes), TAP_TEST(the_refused_one_reads_who),
            TAP_TEST(a_holder_without_a_plan_is_given_a_moment),
            TAP_TEST(a_plan_that_is_being_started_has_a_name),
            TAP_TEST(a_plan_that_is_being_started_is_known), TAP_TEST(waiting_gets_it),
            TAP_TEST(waiting_can_be_given_up), TAP_TEST(death_frees_it),
            TAP_TEST(an_exec_does_not_keep_it), TAP_TEST(one_of_two_gets_it));
}
