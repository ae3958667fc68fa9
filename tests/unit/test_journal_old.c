/* Journals as they are found: written by an earlier kvsh, cut short while being brought to the
 * present format, and such as cannot be written. */
#include "tap.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plan_support.h"

#include "kvsh/db.h"
#include "kvsh/fs.h"
#include "kvsh/mem.h"

enum { JOURNAL_ID = 0x6b76736a, NOBODY = 65534, POINTS_MAX = 50 };

static char dir[64];

static char *in_dir(const char *name)
{
    return xasprintf("%s/%s", dir, name);
}

/* A directory with a journal of format 1, as the fixture has it. */
static void begin(void)
{
    const char *top = getenv("top_srcdir");
    char *fixture = xasprintf("%s/tests/unit/journal_1.sql", top != NULL ? top : ".");
    struct err err = ERR_INIT;
    char *sql = fs_read(fixture, 1 << 20, NULL, &err), *path;
    const struct db_migration first[] = {{1, sql}, {0, NULL}};
    const struct db_schema old = {JOURNAL_ID, "journal", first};
    struct db *db;

    snprintf(dir, sizeof dir, "/tmp/kvsh-test-old.XXXXXX");
    ok(mkdtemp(dir) != NULL);
    path = in_dir("journal.db");
    db = sql != NULL ? db_open(path, true, &old, &err) : NULL;
    ok(db != NULL);
    if (db == NULL)
        printf("# %s\n", err.text);
    db_close(db);
    free(path);
    free(sql);
    free(fixture);
}

static void end(void)
{
    static const char *const names[] = {"journal.db",         "journal.db-wal", "journal.db-shm",
                                        "journal.db-journal", "lock",           "points"};

    chmod(dir, 0700);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = in_dir(names[i]);
        unlink(path);
        free(path);
    }
    is_int(rmdir(dir), 0);
}

static struct journal *open_fine(void)
{
    struct err err = ERR_INIT;
    struct journal *j = journal_open(dir, false, &err);

    if (j == NULL)
        printf("# %s\n", err.text);
    ok(j != NULL);
    return j;
}

/* --- what the fixture holds --- */

static void check_plans(struct journal *j)
{
    static const enum plan_state states[] = {PLAN_SUCCEEDED, PLAN_ERROR, PLAN_INTERRUPTED,
                                             PLAN_APPROVED};
    struct err err = ERR_INIT;
    struct plan p = {0};

    is_int(journal_last_plan(j), 4);
    for (int64_t id = 1; id <= 4; id++)
        is_int(journal_plan_state(j, id), states[id - 1]);
    ok(journal_plan_load(j, 2, &p, &err) == 0);
    is_str(p.name, "stop for the new disk");
    is_str(p.reason, "rack 2 is on fire");
    is_str(p.user, "ada@tower");
    is_str(p.digest, "0bad8878614cecf8");
    is_int(p.n_notes, 1);
    is_int(p.started_ms, 1767225710000);
    ok(p.force && !p.confirmed && p.observed == NULL);
    is_int(p.n_tasks, 1);
    is_str(p.tasks[0].error, "port taken");
    is_int(p.tasks[0].attempts, 2);
    plan_release(&p);
    /* its runner is gone: that a step was begun is known, what became of it is not */
    ok(journal_plan_load(j, 3, &p, &err) == 0);
    is_int(p.tasks[0].state, TASK_SUCCEEDED);
    is_int(p.tasks[1].state, TASK_RUNNING);
    is_str(p.tasks[0].result, "in sync");
    plan_release(&p);
}

static int n_events;

static void count_event(void *arg, const struct event *ev)
{
    (void)arg;
    n_events++;
    if (ev->id == 2) {
        is_str(ev->who, "sn2");
        is_str(ev->text, "storage directory /data2 is missing \xe2\x80\x94 Plattenschaden");
    }
}

static void check_rest(struct journal *j)
{
    const struct event_filter all = {0};
    struct json *docs = NULL, *states = NULL, *cursors = NULL;
    struct err err = ERR_INIT;
    int64_t version = 0, time_ms = 0;

    n_events = 0;
    ok(journal_event_list(j, &all, count_event, NULL, &err) == 0);
    is_int(n_events, 4); /* the fourth: plan 3 was found without its runner */
    ok(journal_docs(j, &docs, &version, &err) == 0);
    is_int(version, 5);
    is_str(json_str(json_get(json_get(docs, "zone"), "zn1"), "name"), "Zone1");
    is_str(json_str(json_get(json_get(json_get(docs, "policy"), "policy"), "params"),
                    "headroomPercent"),
           "70");
    ok(journal_last_observed(j, &states, &time_ms, &err) == 0);
    is_int(time_ms, 1767225800250);
    is_str(json_str(json_get(states, "rg1-rn3"), "state"), "STOPPED");
    ok(journal_cursors(j, &cursors, &err) == 0);
    is_int(json_int(cursors, "sn2", 0), 7);
    json_free(docs);
    json_free(states);
    json_free(cursors);
}

static void check_all(struct journal *j)
{
    if (j == NULL)
        return;
    check_plans(j);
    check_rest(j);
}

static void format_1_is_brought_up_with_all_it_holds(void)
{
    struct err err = ERR_INIT;
    struct journal *j;
    struct plan p = {0};
    char *owner, *again;

    begin();
    check_all(j = open_fine());
    owner = journal_owner(j);
    ok(strchr(owner, '#') != NULL && strstr(owner, "#00000000") == NULL);
    p.verb = VERB_STOP_SERVICE;
    p.state = PLAN_APPROVED;
    p.confirmed = true;
    p.observed = plan_own(&p, parsed("{\"services\":{}}"));
    ok(journal_plan_create(j, &p, &err) == 0);
    is_int(p.id, 5);
    journal_close(j);
    j = open_fine();
    again = journal_owner(j);
    is_str(again, owner); /* chosen once */
    journal_close(j);
    free(owner);
    free(again);
    plan_release(&p);
    end();
}

/* --- killed while it is brought up --- */

/* In a child that dies at its n-th crash point; true when it did. */
static bool opened_until(int n)
{
    char number[16];
    pid_t pid;
    int status = 0;

    snprintf(number, sizeof number, "%d", n);
    fflush(stdout);
    pid = fork();
    if (pid == 0) { /* the points are read once, when a program begins */
        setenv("KVSH_CRASH_AT", number, 1);
        execl("/proc/self/exe", "test_journal_old", "open", dir, (char *)NULL);
        _exit(1);
    }
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void killed_in_the_middle_it_is_whole(void)
{
    int n = 1;

    for (bool killed = true; killed && n < POINTS_MAX; n++) {
        struct journal *j;

        begin();
        killed = opened_until(n);
        check_all(j = open_fine());
        journal_close(j);
        end();
    }
    printf("# killed at %d points\n", n - 2);
    ok(n > 4 && n < POINTS_MAX); /* before and after the step of the schema, and of plan 3 */
}

/* --- what cannot be written can be looked at --- */

/* Leaves what was committed last in the log alone, as a killed writer does. */
static void write_and_die(void)
{
    const struct event ev = {.kind = "plan", .text = "written just before the end"};
    struct err err = ERR_INIT;
    int status = -1;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        struct journal *j = journal_open(dir, false, &err);
        _exit(j != NULL && journal_event(j, &ev, &err) == 0 ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    is_int(status, 0);
}

static void find_last_words(void *found, const struct event *ev)
{
    if (strcmp(ev->text, "written just before the end") == 0)
        *(bool *)found = true;
}

static bool is_refused(int rc, struct err *err)
{
    const bool is = rc < 0 && err->code == ERR_FAILED &&
                    strstr(err->text, "nothing can be changed: ") == err->text && err->advice[0];

    if (!is)
        printf("# not refused, or how: %d %s\n", rc, err->text);
    err_clear(err);
    return is;
}

/* Each number an assertion of the child's. */
static int look_at_copy(void)
{
    const struct event_filter all = {0};
    const struct event ev = {.kind = "plan", .text = "never"};
    struct plan_lock lock = {.fd = -1};
    struct err err = ERR_INIT;
    struct journal *j = journal_open(dir, true, &err);
    struct json *states = parsed("{\"rg1-rn2\":\"STOPPED\"}");
    struct plan p = {.verb = VERB_STOP_SERVICE, .state = PLAN_APPROVED};
    bool found = false;

    if (j == NULL)
        printf("# %s\n", err.text);
    if (j == NULL || journal_is_copy(j) == NULL)
        return 1;
    if (journal_plan_state(j, 3) != PLAN_INTERRUPTED || journal_last_plan(j) != 4)
        return 2;
    if (journal_event_list(j, &all, find_last_words, &found, &err) != 0 || !found)
        return 3;
    if (journal_observed(j, 1767225900000, states, &err) != 0)
        return 4;
    if (!is_refused(journal_plan_create(j, &p, &err), &err) ||
        !is_refused(journal_plan_move(j, 4, PLAN_CANCELED, &(struct move){0}, &err), &err) ||
        !is_refused(journal_replace_docs(j, states, &err), &err) ||
        !is_refused(journal_event(j, &ev, &err), &err) ||
        !is_refused(lock_store(&lock, j, 0, &err), &err) ||
        !is_refused(lock_plan(&lock, j, 4, &err), &err))
        return 5;
    journal_close(j);
    json_free(states);
    plan_release(&p);
    return 0;
}

static int as_nobody(int (*check)(void))
{
    int status = -1;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        int rc;
        if (getuid() == 0 && setuid(NOBODY) < 0)
            _exit(99);
        rc = check();
        fflush(stdout);
        _exit(rc);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void let_read(void)
{
    static const char *const names[] = {"journal.db", "journal.db-wal", "journal.db-shm", "lock"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = in_dir(names[i]);
        chmod(path, 0444);
        free(path);
    }
    chmod(dir, 0555);
}

static void what_cannot_be_written_can_be_read(void)
{
    char *index;

    begin();
    index = in_dir("journal.db-shm");
    write_and_die();
    let_read();
    is_int(as_nobody(look_at_copy), 0);
    chmod(dir, 0700);
    unlink(index); /* the log without its index: as after a crash of the machine */
    let_read();
    is_int(as_nobody(look_at_copy), 0);
    free(index);
    end();
}

/* A journal of format 1 that nobody may change is read all the same, brought up in memory alone. */
static int look_at_old_copy(void)
{
    struct err err = ERR_INIT;
    struct journal *j = journal_open(dir, false, &err);
    struct plan p = {0};
    int rc = 1;

    if (j != NULL && journal_is_copy(j) != NULL && journal_plan_load(j, 2, &p, &err) == 0)
        rc = p.n_tasks == 1 && !p.confirmed ? 0 : 2;
    else
        printf("# %s\n", err.text);
    plan_release(&p);
    journal_close(j);
    return rc;
}

static void an_old_one_that_cannot_be_written_stays_old(void)
{
    char *path;
    size_t before_len, after_len;
    char *before, *after;
    struct err err = ERR_INIT;

    begin();
    path = in_dir("journal.db");
    before = fs_read(path, 1 << 24, &before_len, &err);
    let_read();
    is_int(as_nobody(look_at_old_copy), 0);
    after = fs_read(path, 1 << 24, &after_len, &err);
    ok(before != NULL && after != NULL && before_len == after_len &&
       memcmp(before, after, before_len) == 0);
    free(before);
    free(after);
    free(path);
    end();
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;

    if (argc == 3 && strcmp(argv[1], "open") == 0) {
        journal_close(journal_open(argv[2], false, &err));
        return 0;
    }
    TAP_RUN(TAP_TEST(format_1_is_brought_up_with_all_it_holds),
            TAP_TEST(killed_in_the_middle_it_is_whole),
            TAP_TEST(what_cannot_be_written_can_be_read),
            TAP_TEST(an_old_one_that_cannot_be_written_stays_old));
}
