#include "tap.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvsh/buf.h"
#include "kvsh/db.h"
#include "kvsh/fs.h"
#include "kvsh/mem.h"

enum { APP_ID = 0x6b767368, FOREIGN_ID = 0x12345678, NOBODY = 65534 };

static const struct db_migration steps[] = {
    {1, "CREATE TABLE plan(id INTEGER PRIMARY KEY, name TEXT NOT NULL);"},
    {2, "ALTER TABLE plan ADD COLUMN state TEXT NOT NULL DEFAULT 'PENDING';"
        "CREATE TABLE task(id INTEGER PRIMARY KEY, plan INTEGER NOT NULL REFERENCES plan(id));"},
    {3, "CREATE INDEX task_plan ON task(plan); UPDATE plan SET name = upper(name);"},
    {0, NULL},
};
static const struct db_schema schema = {APP_ID, "journal", steps};

static char dir[64];
static char path[128];

/* A fresh directory with no journal in it yet. */
static void begin(void)
{
    snprintf(dir, sizeof dir, "/tmp/kvsh-test-db.XXXXXX");
    ok(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/journal.db", dir);
}

static void end(void)
{
    const char *const tails[] = {"", "-wal", "-shm", "-journal"};

    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        char *file = xasprintf("%s%s", path, tails[i]);

        unlink(file);
        free(file);
    }
    is_int(rmdir(dir), 0);
}

static bool run(struct db *db, const char *sql)
{
    struct err err = ERR_INIT;

    if (db_exec(db, sql, &err) == 0)
        return true;
    printf("# %s\n", err.text);
    return false;
}

static int64_t number(struct db *db, const char *sql)
{
    struct err err = ERR_INIT;
    struct db_stmt *st = db_prepare(db, sql, &err);
    int64_t n = -1;

    if (st && db_step(st, &err) == 1)
        n = db_col_int(st, 0);
    db_done(st);
    return n;
}

static struct db *open_fine(bool create)
{
    struct err err = ERR_INIT;
    struct db *db = db_open(path, create, &schema, &err);

    if (!db)
        printf("# %s\n", err.text);
    ok(db != NULL);
    return db;
}

/* Opening must fail with that code and sentence, and leave the file as it is. */
static void refused(bool create, enum err_code code, const char *part)
{
    struct err err = ERR_INIT;
    size_t before_len = 0, after_len = 0;
    char *before = fs_read(path, 1 << 24, &before_len, &err);
    char *after;
    struct db *db;

    err_clear(&err);
    db = db_open(path, create, &schema, &err);
    ok(db == NULL);
    is_int(err.code, code);
    has_str(err.text, part);
    has_str(err.text, path);
    db_close(db);
    after = fs_read(path, 1 << 24, &after_len, &err);
    is_int(after_len, before_len);
    ok(!before == !after && (!before || memcmp(before, after, before_len) == 0));
    free(after);
    free(before);
}

static void write_file(const char *data, size_t len)
{
    struct err err = ERR_INIT;

    is_int(fs_write_atomic(path, data, len, 0600, &err), 0);
}

static unsigned mode_of(const char *tail)
{
    char *file = xasprintf("%s%s", path, tail);
    struct stat st = {0};

    stat(file, &st);
    free(file);
    return st.st_mode & 0777;
}

static void creates(void)
{
    struct err err = ERR_INIT;
    mode_t mask = umask(0);
    struct db *db;

    begin();
    db = open_fine(true);
    is_int(number(db, "PRAGMA user_version"), 3);
    is_int(number(db, "PRAGMA application_id"), APP_ID);
    is_int(number(db, "PRAGMA synchronous"), 2);
    is_int(number(db, "PRAGMA foreign_keys"), 1);
    is_int(number(db, "PRAGMA busy_timeout"), 10000);
    is_int(mode_of(""), 0600);
    is_int(mode_of("-wal"), 0600);
    is_int(mode_of("-shm"), 0600);
    is_int(db_exec(db, "INSERT INTO task(plan) VALUES(99)", &err), -1);
    is_int(err.code, ERR_FAILED);
    has_str(err.text, "FOREIGN KEY");
    db_close(db);
    db = open_fine(false);
    is_int(number(db, "PRAGMA user_version"), 3);
    db_close(db);
    umask(mask);
    end();
}

static void binds_and_reads(void)
{
    static const char insert[] = "INSERT INTO plan(id, name, state) VALUES(:id, :name, :state)";
    static const char select[] = "SELECT id, name, NULL FROM plan ORDER BY id";
    const char *evil = "x'); DROP TABLE plan; --";
    struct err err = ERR_INIT;
    struct db_stmt *st, *outer, *inner;
    struct db *db;

    begin();
    db = open_fine(true);
    for (int i = 1; i <= 3; i++) {
        st = db_prepare(db, insert, &err);
        db_bind_int(st, ":id", i);
        db_bind_str(st, ":name", i == 2 ? evil : "größe");
        db_bind_str(st, ":state", "RUNNING");
        is_int(db_run(st, &err), 0);
    }
    is_int(db_last_id(db), 3);
    st = db_prepare(db, insert, &err);
    db_bind_int(st, ":id", 4);
    is_int(db_run(st, &err), -1); /* unbound: NULL */
    has_str(err.text, "NOT NULL");

    outer = db_prepare(db, select, &err);
    is_int(db_step(outer, &err), 1);
    inner = db_prepare(db, select, &err); /* the same text while the first is being walked */
    ok(inner != outer);
    is_int(db_step(inner, &err), 1);
    db_done(inner);
    is_int(db_step(outer, &err), 1);
    is_int(db_col_int(outer, 0), 2);
    is_str(db_col_str(outer, 1), evil);
    ok(db_col_is_null(outer, 2));
    is_str(db_col_str(outer, 2), NULL);
    is_int(db_step(outer, &err), 1);
    is_str(db_col_str(outer, 1), "größe");
    is_int(db_step(outer, &err), 0);
    db_done(outer);
    outer = db_prepare(db, select, &err); /* walked to its end: the same one is used again */
    is_int(db_step(outer, &err), 1);
    is_int(db_col_int(outer, 0), 1);
    db_done(outer);
    ok(db_prepare(db, "SELECT nonsense", &err) == NULL);
    is_int(err.code, ERR_INTERNAL);
    db_close(db);
    end();
}

static void transactions(void)
{
    struct err err = ERR_INIT;
    struct db *a, *b;
    int64_t seen;

    begin();
    a = open_fine(true);
    b = open_fine(false);
    seen = db_data_version(b);
    is_int(db_begin(a, &err), 0);
    ok(run(a, "INSERT INTO plan(name) VALUES('one')"));
    is_int(number(b, "SELECT count(*) FROM plan"), 0);
    is_int(db_data_version(b), seen);
    is_int(db_commit(a, &err), 0);
    ok(db_data_version(b) != seen);
    is_int(number(b, "SELECT count(*) FROM plan"), 1);
    is_int(db_begin(a, &err), 0);
    ok(run(a, "INSERT INTO plan(name) VALUES('two')"));
    db_rollback(a);
    db_rollback(a);
    is_int(number(a, "SELECT count(*) FROM plan"), 1);
    is_int(db_commit(a, &err), -1); /* no transaction: an error, not a crash */
    is_int(err.code, ERR_INTERNAL);
    ok(run(b, "PRAGMA busy_timeout = 20"));
    is_int(db_begin(a, &err), 0);
    is_int(db_begin(b, &err), -1);
    is_int(err.code, ERR_FAILED);
    has_str(err.text, "locked by another process");
    db_rollback(a);
    db_close(b);
    db_close(a);
    end();
}

/* A deferred constraint fails the commit itself. */
static void failed_commit_rolls_back(void)
{
    struct err err = ERR_INIT;
    struct db *db;

    begin();
    db = open_fine(true);
    is_int(db_begin(db, &err), 0);
    ok(run(db, "PRAGMA defer_foreign_keys = ON; INSERT INTO task(plan) VALUES(7)"));
    is_int(db_commit(db, &err), -1);
    is_int(err.code, ERR_FAILED);
    is_int(db_begin(db, &err), 0);
    is_int(number(db, "SELECT count(*) FROM task"), 0);
    db_rollback(db);
    db_close(db);
    end();
}

static void migrates_from_each_version(void)
{
    for (int from = 0; from <= 3; from++) {
        struct db_migration old[4] = {{0, NULL}};
        struct db_schema old_schema = {APP_ID, "journal", old};
        struct err err = ERR_INIT;
        struct db *db;

        for (int i = 0; i < from; i++)
            old[i] = steps[i];
        begin();
        db = db_open(path, true, &old_schema, &err);
        ok(db != NULL);
        is_int(number(db, "PRAGMA user_version"), from);
        if (from > 0)
            ok(run(db, "INSERT INTO plan(id, name) VALUES(5, 'deploy')"));
        db_close(db);
        db = open_fine(false);
        is_int(number(db, "PRAGMA user_version"), 3);
        if (from > 0) {
            is_int(number(db, "SELECT count(*) FROM plan WHERE id = 5 AND state = 'PENDING'"), 1);
            is_int(number(db, "SELECT count(*) FROM plan WHERE name = 'DEPLOY'"), from < 3);
        }
        is_int(number(db, "SELECT count(*) FROM task"), 0);
        db_close(db);
        end();
    }
}

static void failed_migration_changes_nothing(void)
{
    static const struct db_migration broken[] = {
        {1, "CREATE TABLE plan(id INTEGER PRIMARY KEY, name TEXT);"},
        {2, "CREATE TABLE half(id); INSERT INTO nowhere VALUES(1);"},
        {0, NULL},
    };
    static const struct db_schema broken_schema = {APP_ID, "journal", broken};
    struct err err = ERR_INIT;
    struct db *db;

    begin();
    ok(db_open(path, true, &broken_schema, &err) == NULL);
    has_str(err.text, "to format 2");
    has_str(err.text, "nowhere");
    db = open_fine(false); /* step 1 is done, step 2 left no trace */
    is_int(number(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'half'"), 0);
    is_int(number(db, "PRAGMA user_version"), 3);
    db_close(db);
    end();
}

static void refuses_newer(void)
{
    struct db *db;

    begin();
    db = open_fine(true);
    ok(run(db, "PRAGMA user_version = 9"));
    db_close(db);
    refused(true, ERR_INPUT, "format 9, this kvsh knows formats up to 3: a newer kvsh wrote it");
    refused(false, ERR_INPUT, "a newer kvsh wrote it");
    end();
}

/* The newer version stands only in the write-ahead log, as after kill -9. */
static void refuses_newer_in_log(void)
{
    char *wal;
    struct stat before = {0}, after = {0};
    pid_t pid;
    int status;

    begin();
    wal = xasprintf("%s-wal", path);
    pid = fork();
    if (pid == 0) {
        struct db *db = open_fine(true);

        run(db, "PRAGMA user_version = 9");
        _exit(0);
    }
    waitpid(pid, &status, 0);
    stat(wal, &before);
    ok(before.st_size > 0);
    refused(true, ERR_INPUT, "a newer kvsh wrote it");
    stat(wal, &after);
    is_int(after.st_size, before.st_size);
    free(wal);
    end();
}

static void refuses_foreign(void)
{
    static const struct db_schema foreign = {FOREIGN_ID, "address book", steps};
    static const struct db_schema unmarked = {0, "notes", steps};
    struct err err = ERR_INIT;

    begin();
    db_close(db_open(path, true, &foreign, &err));
    refused(true, ERR_INPUT, "another program");
    end();
    begin();
    db_close(db_open(path, true, &unmarked, &err));
    refused(true, ERR_INPUT, "another program");
    end();
}

static void refuses_garbage(void)
{
    char page[4096];

    begin();
    write_file("hello, world\n", 13);
    refused(true, ERR_INPUT, "corrupt");
    memset(page, 'x', sizeof page);
    write_file(page, sizeof page);
    refused(true, ERR_INPUT, "corrupt");
    memset(page, 0, sizeof page);
    write_file(page, sizeof page);
    refused(false, ERR_INPUT, "corrupt");
    memcpy(page, "SQLite format 3", 16);
    write_file(page, sizeof page);
    refused(true, ERR_INPUT, "damaged head");
    end();
}

static void refuses_truncated(void)
{
    struct err err = ERR_INIT;
    struct db *db;
    size_t len;
    char *data;

    begin();
    db = open_fine(true);
    ok(run(db, "INSERT INTO plan(name) VALUES('one')"));
    db_close(db);
    data = fs_read(path, 1 << 24, &len, &err);
    ok(len >= 3 * 4096);
    write_file(data, len - 4096);
    refused(true, ERR_INPUT, "cut off");
    write_file(data, len - 100);
    refused(true, ERR_INPUT, "cut off");
    write_file(data, 50);
    refused(true, ERR_INPUT, "corrupt");
    memset(data + 100, 0xff, 3996); /* the schema's page */
    write_file(data, len);
    refused(true, ERR_INPUT, "corrupt");
    free(data);
    end();
}

/* Killed between making the file and its first commit: an empty file is begun anew. */
static void takes_empty_file(void)
{
    struct db *db;

    begin();
    write_file("", 0);
    refused(false, ERR_INPUT, "is empty");
    db = open_fine(true);
    is_int(number(db, "PRAGMA user_version"), 3);
    db_close(db);
    end();
}

/* A maker killed in its very first commit leaves the new page and a journal that takes it back. */
static void takes_file_of_killed_maker(void)
{
    static const unsigned char journal_head[512] = {
        0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7, 0, 0, 0, 0, 0x10, 0x44,
        0xa3, 0x6a, 0,    0,    0,    0,    0,    0,    2, 0, 0, 0, 0x10, 0};
    struct err err = ERR_INIT;
    struct db *db;
    char *page, *journal;
    size_t len;

    begin();
    db_close(db_open(path, true, &(struct db_schema){APP_ID, "journal", steps + 3}, &err));
    page = fs_read(path, 4096, &len, &err);
    ok(page != NULL && len == 4096);
    write_file(page, len);
    free(page);
    journal = xasprintf("%s-journal", path);
    is_int(fs_write_atomic(journal, (const char *)journal_head, sizeof journal_head, 0600, &err),
           0);
    free(journal);
    for (int i = 0; i < 2; i++) {
        db = open_fine(true);
        is_int(number(db, "PRAGMA application_id"), APP_ID);
        is_int(number(db, "PRAGMA user_version"), 3);
        db_close(db);
    }
    end();
}

static void survives_kill(void)
{
    struct db *db;
    pid_t pid;
    int status;

    begin();
    pid = fork();
    if (pid == 0) {
        struct err err = ERR_INIT;

        db = open_fine(true);
        run(db, "INSERT INTO plan(name) VALUES('kept')");
        db_begin(db, &err);
        run(db, "INSERT INTO plan(name) VALUES('lost')");
        _exit(0);
    }
    waitpid(pid, &status, 0);
    db = open_fine(false);
    is_int(number(db, "SELECT count(*) FROM plan"), 1);
    db_close(db);
    end();
}

static void names_the_process_in_the_way(void)
{
    struct err err = ERR_INIT;
    struct db *db;
    int holds[2];
    char want[64], byte;
    pid_t pid;

    begin();
    db_close(open_fine(true));
    is_int(pipe(holds), 0);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        db = open_fine(false);
        db_begin(db, &err);
        if (write(holds[1], "h", 1) == 1)
            pause();
        _exit(1);
    }
    close(holds[1]);
    is_int(read(holds[0], &byte, 1), 1);
    db = open_fine(false);
    ok(run(db, "PRAGMA busy_timeout = 20"));
    is_int(db_begin(db, &err), -1);
    snprintf(want, sizeof want, "is kept locked by process %d", (int)pid);
    has_str(err.text, want);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(holds[0]);
    is_int(db_begin(db, &err), 0);
    db_close(db);
    end();
}

static void absent(void)
{
    begin();
    refused(false, ERR_INPUT, "no such file");
    ok(access(path, F_OK) < 0);
    snprintf(path + strlen(path), 8, "/x/y");
    refused(true, ERR_FAILED, "make journal");
    *strstr(path, "/x/y") = '\0';
    end();
}

/* Run as an ordinary user in a child, since root may write everywhere. */
static int as_nobody(int (*check)(void))
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        if (getuid() == 0 && setuid(NOBODY) < 0)
            _exit(9);
        _exit(check());
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int check_no_permission(void)
{
    struct err err = ERR_INIT;
    struct db *db = db_open(path, true, &schema, &err);
    bool fine = !db && err.code == ERR_FAILED && strstr(err.text, path) && *err.advice;

    if (!fine)
        printf("# %s\n", err.text);
    db_close(db);
    return fine ? 0 : 1;
}

static void read_only_directory(void)
{
    begin();
    chmod(dir, 0555);
    is_int(as_nobody(check_no_permission), 0);
    chmod(dir, 0755);
    db_close(open_fine(true));
    chmod(dir, 0555);
    chmod(path, 0666); /* the file may be written, but no log beside it */
    is_int(as_nobody(check_no_permission), 0);
    chmod(path, 0444);
    chmod(dir, 0777);
    is_int(as_nobody(check_no_permission), 0);
    chmod(dir, 0700);
    end();
}

static void full_disk(void)
{
    struct err err = ERR_INIT;
    struct db *db;

    begin();
    db = open_fine(true);
    ok(run(db, "PRAGMA max_page_count = 8"));
    is_int(db_begin(db, &err), 0);
    is_int(db_exec(db, "INSERT INTO plan(name) VALUES(hex(zeroblob(100000)))", &err), -1);
    is_int(err.code, ERR_FAILED);
    has_str(err.text, "no space left");
    has_str(err.text, path);
    has_str(err.advice, "free space");
    db_rollback(db);
    is_int(number(db, "SELECT count(*) FROM plan"), 0);
    db_close(db);
    end();
}

/* Eight processes make the same journal at once: all get it, complete. */
static void concurrent_creation(void)
{
    enum { OPENERS = 8 };
    pid_t pids[OPENERS];

    begin();
    for (int i = 0; i < OPENERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            struct err err = ERR_INIT;
            struct db *db = db_open(path, true, &schema, &err);
            bool fine = db && db_exec(db, "INSERT INTO plan(name) VALUES('x')", &err) == 0;

            if (!fine)
                printf("# %s\n", err.text);
            db_close(db);
            _exit(fine ? 0 : 1);
        }
    }
    for (int i = 0; i < OPENERS; i++) {
        int status = -1;

        waitpid(pids[i], &status, 0);
        is_int(status, 0);
    }
    {
        struct db *db = open_fine(false);

        is_int(number(db, "SELECT count(*) FROM plan"), OPENERS);
        db_close(db);
    }
    end();
}

int main(void)
{
    TAP_RUN(TAP_TEST(creates), TAP_TEST(binds_and_reads), TAP_TEST(transactions),
            TAP_TEST(failed_commit_rolls_back), TAP_TEST(migrates_from_each_version),
            TAP_TEST(failed_migration_changes_nothing), TAP_TEST(refuses_newer),
            TAP_TEST(refuses_newer_in_log), TAP_TEST(refuses_foreign), TAP_TEST(refuses_garbage),
            TAP_TEST(refuses_truncated), TAP_TEST(takes_empty_file),
            TAP_TEST(takes_file_of_killed_maker), TAP_TEST(survives_kill),
            TAP_TEST(names_the_process_in_the_way), TAP_TEST(absent), TAP_TEST(read_only_directory),
            TAP_TEST(full_disk), TAP_TEST(concurrent_creation));
}
