/* The journal: opening, plans and their moves, documents, events, observations. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/log.h"
#include "kvsh/meta.h"

#include "plan_support.h"
#include "tap.h"

static char *in_dir(const struct bench *b, const char *name)
{
    return xasprintf("%s/%s", b->dir, name);
}

/* --- opening --- */

static void files_are_private(void)
{
    static const char *const names[] = {"journal.db", "journal.db-wal", "journal.db-shm"};
    struct err err = ERR_INIT;
    struct journal *j;
    struct bench b;
    struct stat st;
    char *dir;

    bench_begin(&b);
    dir = in_dir(&b, "a/b");
    j = journal_open(dir, false, &err);
    ok(j == NULL);
    is_int(err.code, ERR_INPUT);
    ok(!fs_is_dir(dir));
    j = journal_open(dir, true, &err);
    ok(j != NULL);
    is_str(journal_dir(j), dir);
    ok(stat(dir, &st) == 0 && (st.st_mode & 07777) == 0700);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = xasprintf("%s/%s", dir, names[i]);
        ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
        free(path);
    }
    is_int(journal_last_plan(j), 0);
    journal_close(j);
    journal_close(NULL);
    free(dir);
    bench_end(&b);
}

static void write_file(const char *path, const char *data, size_t len)
{
    FILE *f = tap_stream(fopen(path, "w"));

    ok(f != NULL && fwrite(data, 1, len, f) == len && fclose(f) == 0);
}

static void foreign_files_are_refused_and_kept(void)
{
    static const char text[] = "this is a letter to a friend, and no database at all\n";
    struct err err = ERR_INIT;
    struct bench b;
    char *dir, *path, *now;
    size_t len;

    bench_begin(&b);
    dir = in_dir(&b, "x");
    path = xasprintf("%s/journal.db", dir);
    ok(mkdir(dir, 0700) == 0);
    write_file(path, text, sizeof text - 1);
    ok(journal_open(dir, true, &err) == NULL);
    is_int(err.code, ERR_INPUT);
    has_str(err.text, path);
    now = fs_read(path, 1000, &len, &err);
    is_str(now, text);
    free(now);
    free(path);
    free(dir);
    bench_end(&b);
}

/* Writes four bytes into the head of the closed file. */
static void patch(const char *path, long offset, const char bytes[4])
{
    FILE *f = tap_stream(fopen(path, "r+"));

    ok(f != NULL && fseek(f, offset, SEEK_SET) == 0 && fwrite(bytes, 1, 4, f) == 4 &&
       fclose(f) == 0);
}

static void a_newer_file_is_refused(void)
{
    struct err err = ERR_INIT;
    struct bench b;
    char *path;

    bench_begin(&b);
    stored_plan(&b, 1, 1, NULL);
    journal_close(b.journal);
    path = in_dir(&b, "journal.db");
    patch(path, 60, "\0\0\0\x63"); /* user_version 99 */
    b.journal = journal_open(b.dir, true, &err);
    ok(b.journal == NULL);
    is_int(err.code, ERR_INPUT);
    has_str(err.text, "format 99");
    patch(path, 60, "\0\0\0\2");
    b.journal = journal_open(b.dir, false, &err);
    ok(b.journal != NULL);
    is_int(journal_last_plan(b.journal), 1);
    free(path);
    bench_end(&b);
}

/*
 * A process was killed in the very first commit: the file looks made, and a rollback journal beside
 * it says that there was nothing before. Its format: magic, records, nonce, pages before, sector
 * size, page size.
 */
static void a_file_cut_short_in_the_making_is_made_again(void)
{
    static const unsigned char head[28] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7, 0, 0,
                                           0,    0,    1,    2,    3,    4,    0,    0,    0, 0,
                                           0,    0,    2,    0,    0,    0,    0x10, 0};
    char hot[512] = {0}, *path;
    struct err err = ERR_INIT;
    struct bench b;

    bench_begin(&b);
    journal_close(b.journal);
    path = in_dir(&b, "journal.db-journal");
    memcpy(hot, head, sizeof head);
    write_file(path, hot, sizeof hot);
    b.journal = journal_open(b.dir, true, &err);
    ok(b.journal != NULL);
    is_int(access(path, F_OK), -1);
    is_int(stored_plan(&b, 1, 1, NULL), 1);
    bench_reopen(&b); /* what was made is recognised */
    is_int(journal_last_plan(b.journal), 1);
    free(path);
    bench_end(&b);
}

/*
 * The file system takes no more: in a child, so that the limit ends with it. 0 when all that was
 * refused was refused with a sentence.
 */
static int refused_in_sentences(struct journal *j, int64_t running)
{
    static const char padding[] = "{\"padding\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}";
    struct err err = ERR_INIT;
    struct plan p = {0};
    int rc;

    plan_of(&p, VERB_START_SERVICE, 500, 10, padding);
    rc = journal_plan_create(j, &p, &err);
    plan_release(&p);
    if (rc == 0 || err.code != ERR_FAILED || *err.text == '\0')
        return 3;
    for (int i = 0; i < 50; i++) {
        err_clear(&err);
        if (journal_task_move(j, running, 1, TASK_RUNNING, NULL, &err) < 0)
            return err.code == ERR_FAILED && *err.text != '\0' ? 0 : 4;
    }
    return 5;
}

static int live_with_full_disk(struct bench *b, int64_t running)
{
    struct rlimit limit = {0};
    struct err err = ERR_INIT;
    struct journal *j = journal_open(b->dir, false, &err);
    char *wal = in_dir(b, "journal.db-wal");
    struct stat st;
    int rc = 1;

    if (j != NULL && stat(wal, &st) == 0) {
        limit.rlim_cur = limit.rlim_max = (rlim_t)st.st_size + 65536;
        signal(SIGXFSZ, SIG_IGN);
        rc = setrlimit(RLIMIT_FSIZE, &limit) != 0 ? 2 : refused_in_sentences(j, running);
    }
    journal_close(j);
    free(wal);
    return rc;
}

static void a_full_disk_leaves_nothing_half_done(void)
{
    struct plan_lock lock = {.fd = -1};
    struct err err = ERR_INIT;
    struct plan p = {0};
    struct bench b;
    int64_t id;
    int status;
    pid_t pid;

    bench_begin(&b);
    id = stored_plan(&b, 2, 1, NULL);
    ok(lock_plan(&lock, b.journal, id, &err) == 0);
    ok(journal_plan_move(b.journal, id, PLAN_RUNNING, NULL, &err) == 0);
    fflush(stdout);
    pid = fork();
    if (pid == 0)
        _exit(live_with_full_disk(&b, id));
    ok(waitpid(pid, &status, 0) == pid);
    is_int(status, 0);
    is_int(journal_last_plan(b.journal), id);
    ok(journal_plan_load(b.journal, id, &p, &err) == 0);
    is_int(p.tasks[0].state, TASK_RUNNING);
    is_int(events_like(&b, id, "task 1 (start t1 on sn1) is RUNNING"), p.tasks[0].attempts);
    ok(p.tasks[0].attempts > 0);
    is_int(stored_plan(&b, 1, 1, NULL), id + 1);
    plan_release(&p);
    lock_release(&lock);
    bench_end(&b);
}

/* --- creation and reading --- */

static void a_plan_comes_back_as_stored(void)
{
    struct err err = ERR_INIT;
    struct plan p = {0}, q = {0};
    struct bench b;

    bench_begin(&b);
    plan_of(&p, VERB_STOP_SERVICE, 3, 2, "{\"slots\":[1,2]}");
    p.args = plan_own(&p, parsed("{\"services\":[\"rg1-rn1\"]}"));
    p.force = true;
    p.reason = "rack 2 burns";
    p.command = "plan stop-service -service rg1-rn1 -force";
    p.digest = "0123456789abcdef";
    p.tasks[1].why = "a copy is in sync";
    p.tasks[1].degrades = "rg1 has 2 copies";
    p.tasks[2].node = NULL;
    *ARENA_PUSH(&p.arena, p.notes, p.n_notes) = "overridden by force: too few (rule majority)";
    ok(journal_plan_create(b.journal, &p, &err) == 0);
    is_int(p.id, 1);
    is_str(p.name, "Stop RepNodes (1)");
    has_str(p.user, "@");
    ok(p.created_ms > 0);
    bench_reopen(&b);
    ok(journal_plan_load(b.journal, 1, &q, &err) == 0);
    is_str(q.name, "Stop RepNodes (1)");
    is_int(q.verb, VERB_STOP_SERVICE);
    is_int(q.state, PLAN_APPROVED);
    ok(json_equal(q.args, p.args));
    ok(q.force);
    is_str(q.reason, p.reason);
    is_str(q.command, p.command);
    is_str(q.digest, p.digest);
    is_str(q.user, p.user);
    is_int(q.created_ms, p.created_ms);
    is_int(q.code, ERR_OK);
    ok(q.error == NULL && q.advice == NULL);
    is_int(q.n_notes, 1);
    is_str(q.notes[0], p.notes[0]);
    is_int(q.n_tasks, 3);
    is_int(q.tasks[2].num, 3);
    is_int(q.tasks[2].wave, 2);
    ok(q.tasks[2].node == NULL);
    is_str(q.tasks[1].what, "start t2 on sn1");
    is_str(q.tasks[1].type, "start");
    is_str(q.tasks[1].target, "t2");
    is_str(q.tasks[1].node, "sn1");
    is_str(q.tasks[1].why, "a copy is in sync");
    is_str(q.tasks[1].degrades, "rg1 has 2 copies");
    is_int(q.tasks[1].percent, -1);
    ok(json_equal(q.tasks[1].args, p.tasks[1].args));
    ok(json_equal(q.tasks[1].effects, p.tasks[1].effects));
    is_int(events_like(&b, 1, "created with 3 tasks, forced: rack 2 burns"), 1);
    is_int(events_like(&b, 1, "too few (rule majority)"), 1);
    plan_release(&q);
    plan_release(&p);
    ok(journal_plan_load(b.journal, 2, &q, &err) < 0);
    is_int(err.code, ERR_INPUT);
    is_str(err.text, "plan 2 does not exist");
    bench_end(&b);
}

static void ids_have_no_gaps(void)
{
    struct err err = ERR_INIT;
    struct plan p = {0};
    struct bench b;

    bench_begin(&b);
    is_int(stored_plan(&b, 1, 1, NULL), 1);
    plan_of(&p, VERB_START_SERVICE, 2, 1, NULL);
    p.tasks[1].num = 1; /* twice the same number: the file refuses */
    ok(journal_plan_create(b.journal, &p, &err) < 0);
    is_int(p.id, 0);
    ok(p.name == NULL);
    is_int(journal_last_plan(b.journal), 1);
    is_int(events_like(&b, 0, "is created"), 1);
    p.state = PLAN_RUNNING;
    ok(journal_plan_create(b.journal, &p, &err) < 0);
    is_int(err.code, ERR_INTERNAL);
    plan_release(&p);
    is_int(stored_plan(&b, 0, 1, NULL), 2);
    is_int(journal_last_plan(b.journal), 2);
    bench_end(&b);
}

static void tasks_are_replaced_before_the_start_only(void)
{
    struct err err = ERR_INIT;
    struct plan p = {0}, q = {0};
    struct bench b;
    int64_t id;

    bench_begin(&b);
    id = stored_plan(&b, 3, 3, NULL);
    plan_of(&p, VERB_START_SERVICE, 5, 5, NULL);
    p.id = id;
    p.digest = "fedcba9876543210";
    ok(journal_plan_replace_tasks(b.journal, &p, &err) == 0);
    ok(journal_plan_load(b.journal, id, &q, &err) == 0);
    is_int(q.n_tasks, 5);
    is_str(q.digest, "fedcba9876543210");
    ok(!q.force && !q.confirmed);
    plan_release(&q);
    p.force = p.confirmed = true; /* made anew by plan execute -force */
    p.reason = "the rack is on fire";
    ok(journal_plan_replace_tasks(b.journal, &p, &err) == 0);
    ok(journal_plan_load(b.journal, id, &q, &err) == 0);
    ok(q.force && q.confirmed);
    is_str(q.reason, "the rack is on fire");
    plan_release(&q);
    ok(journal_plan_move(b.journal, id, PLAN_RUNNING, NULL, &err) == 0);
    ok(journal_plan_move(b.journal, id, PLAN_INTERRUPTED, NULL, &err) == 0);
    ok(journal_plan_replace_tasks(b.journal, &p, &err) < 0);
    is_str(err.text, "plan 1 is INTERRUPTED: its tasks cannot be replaced any more");
    p.id = 77;
    ok(journal_plan_replace_tasks(b.journal, &p, &err) < 0);
    is_int(err.code, ERR_INPUT);
    plan_release(&p);
    bench_end(&b);
}

struct rows {
    int64_t ids[64];
    int n;
};

static void note_row(void *arg, const struct plan *p)
{
    struct rows *r = arg;

    r->ids[r->n++] = p->id;
    ok(p->name != NULL && p->n_tasks == 0);
}

static int listed(struct bench *b, const struct plan_filter *f, struct rows *r)
{
    struct err err = ERR_INIT;

    *r = (struct rows){0};
    ok(journal_plan_list(b->journal, f, note_row, r, &err) == 0);
    return r->n;
}

static void lists_are_filtered(void)
{
    struct err err = ERR_INIT;
    struct bench b;
    struct rows r;
    int64_t middle;

    bench_begin(&b);
    for (int i = 0; i < 6; i++)
        stored_plan(&b, 1, 1, NULL);
    time_sleep_ms(3);
    middle = time_now_ms();
    time_sleep_ms(3);
    for (int i = 0; i < 4; i++)
        stored_plan(&b, 1, 1, NULL);
    ok(journal_plan_move(b.journal, 3, PLAN_CANCELED, NULL, &err) == 0);
    is_int(listed(&b, &(struct plan_filter){.state = -1}, &r), 10);
    is_int(r.ids[0], 1);
    is_int(r.ids[9], 10);
    is_int(listed(&b, &(struct plan_filter){.state = -1, .num = 3}, &r), 3);
    is_int(r.ids[0], 8);
    is_int(r.ids[2], 10);
    is_int(listed(&b, &(struct plan_filter){.state = PLAN_CANCELED}, &r), 1);
    is_int(r.ids[0], 3);
    is_int(listed(&b, &(struct plan_filter){.state = -1, .from_ms = middle}, &r), 4);
    is_int(listed(&b, &(struct plan_filter){.state = -1, .to_ms = middle, .num = 2}, &r), 2);
    is_int(r.ids[0], 5);
    is_int(listed(&b, &(struct plan_filter){.state = PLAN_RUNNING}, &r), 0);
    bench_end(&b);
}

/* --- moves --- */

/* A plan brought into the state by allowed moves. */
static int64_t plan_in(struct bench *b, enum plan_state s)
{
    struct err err = ERR_INIT;
    struct plan p = {0};
    int64_t id;

    plan_of(&p, VERB_START_SERVICE, 1, 1, NULL);
    p.state = s == PLAN_PENDING ? PLAN_PENDING : PLAN_APPROVED;
    ok(journal_plan_create(b->journal, &p, &err) == 0);
    id = p.id;
    plan_release(&p);
    if (s == PLAN_PENDING || s == PLAN_APPROVED)
        return id;
    if (s != PLAN_CANCELED)
        ok(journal_plan_move(b->journal, id, PLAN_RUNNING, NULL, &err) == 0);
    if (s != PLAN_RUNNING)
        ok(journal_plan_move(b->journal, id, s, NULL, &err) == 0);
    is_int(state_of(b, id), s);
    return id;
}

static void only_allowed_moves_happen(void)
{
    struct bench b;

    bench_begin(&b);
    for (int from = 0; from < PLAN_STATE_COUNT; from++) {
        for (int to = 0; to < PLAN_STATE_COUNT; to++) {
            struct err err = ERR_INIT;
            int64_t id = plan_in(&b, (enum plan_state)from);
            bool may = plan_may_move((enum plan_state)from, (enum plan_state)to);
            int before = events_like(&b, id, "");

            is_int(journal_plan_move(b.journal, id, (enum plan_state)to, NULL, &err), may ? 0 : -1);
            is_int(state_of(&b, id), may ? to : from);
            if (may) {
                ok(events_like(&b, id, "") > before);
            } else {
                is_int(err.code, ERR_FAILED);
                has_str(err.text, plan_state_name((enum plan_state)from));
                ok(*err.advice != '\0');
                is_int(events_like(&b, id, ""), before);
            }
        }
    }
    bench_end(&b);
}

static void refusals_are_sentences(void)
{
    struct err err = ERR_INIT;
    struct bench b;
    int64_t id;

    bench_begin(&b);
    id = plan_in(&b, PLAN_SUCCEEDED);
    ok(journal_plan_move(b.journal, id, PLAN_CANCELED, NULL, &err) < 0);
    is_str(err.text, "plan 1 is SUCCEEDED and cannot be canceled");
    is_str(err.advice, "plan 1 is over; to do the same again, make a new plan");
    id = plan_in(&b, PLAN_RUNNING);
    ok(journal_plan_move(b.journal, id, PLAN_CANCELED, NULL, &err) < 0);
    is_str(err.text, "plan 2 is RUNNING and cannot be canceled");
    is_str(err.advice, "plan wait -id 2 waits for its end, plan interrupt stops it");
    ok(journal_plan_move(b.journal, 99, PLAN_CANCELED, NULL, &err) < 0);
    is_int(err.code, ERR_INPUT);
    is_str(err.text, "plan 99 does not exist");
    is_int(journal_plan_state(b.journal, 99), PLAN_STATE_COUNT);
    bench_end(&b);
}

static void a_plan_keeps_what_happened(void)
{
    struct err err = ERR_INIT, why = ERR_INIT;
    struct plan p = {0};
    struct bench b;
    int64_t id;

    bench_begin(&b);
    id = stored_plan(&b, 1, 1, NULL);
    ok(journal_plan_move(b.journal, id, PLAN_RUNNING, &(struct move){.runner_pid = 4711}, &err) ==
       0);
    ok(journal_plan_load(b.journal, id, &p, &err) == 0);
    is_int(p.runner_pid, 4711);
    is_int(p.attempts, 1);
    ok(p.started_ms >= p.created_ms && p.ended_ms == 0);
    plan_release(&p);
    err_set(&why, ERR_UNREACHABLE, "task 1 (start t1): connection refused");
    err_advise(&why, "start the agent");
    ok(journal_plan_move(b.journal, id, PLAN_ERROR, &(struct move){.why = &why}, &err) == 0);
    ok(journal_plan_load(b.journal, id, &p, &err) == 0);
    is_int(p.code, ERR_UNREACHABLE);
    is_str(p.error, "task 1 (start t1): connection refused");
    is_str(p.advice, "start the agent");
    is_int(p.runner_pid, 0);
    ok(p.ended_ms >= p.started_ms);
    plan_release(&p);
    is_int(events_like(&b, id, "plan 1 is ERROR: task 1 (start t1): connection refused"), 1);
    is_int(events_like(&b, id, "attempt 1, process 4711"), 1);
    ok(journal_plan_move(b.journal, id, PLAN_RUNNING, NULL, &err) == 0);
    ok(journal_plan_load(b.journal, id, &p, &err) == 0);
    is_int(p.attempts, 2);
    ok(p.error == NULL && p.code == ERR_OK && p.ended_ms == 0);
    plan_release(&p);
    bench_end(&b);
}

static int try_task(struct bench *b, int64_t id, int num, enum task_state to, struct err *err)
{
    return journal_task_move(b->journal, id, num, to, NULL, err);
}

static void tasks_move_with_their_plan(void)
{
    struct err err = ERR_INIT, why = ERR_INIT;
    struct plan p = {0};
    struct bench b;
    int64_t id, version;
    struct json *docs;

    bench_begin(&b);
    id = stored_plan(&b, 3, 3, NULL);
    ok(try_task(&b, id, 1, TASK_RUNNING, &err) < 0);
    is_str(err.text, "plan 1 is APPROVED: its tasks do not move");
    ok(journal_plan_move(b.journal, id, PLAN_RUNNING, NULL, &err) == 0);
    ok(try_task(&b, id, 9, TASK_RUNNING, &err) < 0);
    is_str(err.text, "plan 1 has no task 9");
    ok(try_task(&b, id, 1, TASK_SUCCEEDED, &err) < 0);
    is_str(err.text, "task 1 of plan 1 is PENDING and cannot become SUCCEEDED");
    ok(try_task(&b, id, 1, TASK_RUNNING, &err) == 0);
    ok(journal_docs(b.journal, &docs, &version, &err) == 0);
    is_int(json_len(docs), 0);
    json_free(docs);
    ok(journal_task_progress(b.journal, id, 1, 45, "the copy", &err) == 0);
    ok(journal_task_progress(b.journal, id, 2, 45, "nobody", &err) == 0); /* not running: ignored */
    ok(journal_plan_load(b.journal, id, &p, &err) == 0);
    is_int(p.tasks[0].percent, 45);
    is_str(p.tasks[0].waiting_for, "the copy");
    is_int(p.tasks[0].attempts, 1);
    ok(p.tasks[0].started_ms > 0 && p.tasks[0].ended_ms == 0);
    ok(p.tasks[1].waiting_for == NULL);
    plan_release(&p);
    ok(journal_task_move(b.journal, id, 1, TASK_SUCCEEDED, &(struct move){.result = "t1 is up"},
                         &err) == 0);
    err_set(&why, ERR_FAILED, "no such directory");
    ok(try_task(&b, id, 2, TASK_RUNNING, &err) == 0);
    ok(journal_task_move(b.journal, id, 2, TASK_ERROR, &(struct move){.why = &why}, &err) == 0);
    ok(journal_plan_load(b.journal, id, &p, &err) == 0);
    is_str(p.tasks[0].result, "t1 is up");
    is_int(p.tasks[0].percent, 100);
    ok(p.tasks[0].waiting_for == NULL && p.tasks[0].ended_ms > 0);
    is_str(p.tasks[1].error, "no such directory");
    is_int(p.tasks[1].code, ERR_FAILED);
    plan_release(&p);
    ok(journal_docs(b.journal, &docs, &version, &err) == 0);
    is_int(version, 1);
    is_int(json_int(meta_doc(docs, "thing", "t1"), "task", 0), 1);
    is_int(json_int(meta_doc(docs, "thing", "t1"), "by", 0), id);
    ok(meta_doc(docs, "thing", "t2") == NULL);
    json_free(docs);
    ok(journal_plan_move(b.journal, id, PLAN_INTERRUPT_REQUESTED, NULL, &err) == 0);
    ok(try_task(&b, id, 3, TASK_RUNNING, &err) < 0);
    is_int(err.code, ERR_INTERRUPTED);
    is_str(err.text, "plan 1 is to be interrupted: task 3 is not started");
    is_int(task_of(&b, id, 3), TASK_PENDING);
    bench_end(&b);
}

static void broken_effects_leave_nothing(void)
{
    struct err err = ERR_INIT;
    struct plan p = {0};
    struct bench b;
    struct json *docs;

    bench_begin(&b);
    plan_of(&p, VERB_START_SERVICE, 1, 1, NULL);
    p.tasks[0].effects = plan_own(
        &p,
        parsed("[{\"kind\":\"zone\",\"name\":\"zn1\",\"doc\":{\"rf\":3}},{\"kind\":\"zone\"}]"));
    ok(journal_plan_create(b.journal, &p, &err) == 0);
    ok(journal_plan_move(b.journal, 1, PLAN_RUNNING, NULL, &err) == 0);
    ok(try_task(&b, 1, 1, TASK_RUNNING, &err) == 0);
    ok(try_task(&b, 1, 1, TASK_SUCCEEDED, &err) < 0);
    is_int(err.code, ERR_INTERNAL);
    is_int(task_of(&b, 1, 1), TASK_RUNNING);
    ok(journal_docs(b.journal, &docs, NULL, &err) == 0);
    is_int(json_len(docs), 0);
    is_int(events_like(&b, 1, "SUCCEEDED"), 0);
    json_free(docs);
    plan_release(&p);
    bench_end(&b);
}

static void a_canceled_plan_leaves_no_task_open(void)
{
    struct err err = ERR_INIT;
    struct plan p = {0};
    struct bench b;
    int64_t id;

    bench_begin(&b);
    id = stored_plan(&b, 4, 4, NULL);
    ok(journal_plan_move(b.journal, id, PLAN_RUNNING, NULL, &err) == 0);
    for (int i = 1; i <= 2; i++)
        ok(try_task(&b, id, i, TASK_RUNNING, &err) == 0);
    ok(try_task(&b, id, 1, TASK_SUCCEEDED, &err) == 0);
    ok(journal_plan_move(b.journal, id, PLAN_INTERRUPTED, NULL, &err) == 0);
    ok(journal_plan_move(b.journal, id, PLAN_CANCELED, NULL, &err) == 0);
    ok(journal_plan_load(b.journal, id, &p, &err) == 0);
    is_int(p.state, PLAN_CANCELED);
    is_int(p.tasks[0].state, TASK_SUCCEEDED);
    is_int(p.tasks[1].state, TASK_UNKNOWN);
    is_int(p.tasks[1].code, ERR_IN_DOUBT);
    is_int(p.tasks[2].state, TASK_SKIPPED);
    is_int(p.tasks[3].state, TASK_SKIPPED);
    plan_release(&p);
    bench_end(&b);
}

/* --- runners that died --- */

static void orphans_become_interrupted(void)
{
    struct err err = ERR_INIT;
    struct plan_lock lock = {.fd = -1};
    struct plan p = {0};
    struct bench b;
    int64_t alive, dead, asked;

    bench_begin(&b);
    alive = stored_plan(&b, 1, 1, NULL);
    dead = stored_plan(&b, 1, 1, NULL);
    asked = stored_plan(&b, 1, 1, NULL);
    for (int64_t id = alive; id <= asked; id++)
        ok(journal_plan_move(b.journal, id, PLAN_RUNNING, NULL, &err) == 0);
    ok(try_task(&b, dead, 1, TASK_RUNNING, &err) == 0);
    ok(journal_plan_move(b.journal, asked, PLAN_INTERRUPT_REQUESTED, NULL, &err) == 0);
    lock.fd = -1;
    /* Taking the lock would find the plan without a runner, so the byte is taken before it runs. */
    ok(journal_plan_move(b.journal, alive, PLAN_INTERRUPTED, NULL, &err) == 0);
    ok(lock_plan(&lock, b.journal, alive, &err) == 0);
    ok(journal_plan_move(b.journal, alive, PLAN_RUNNING, NULL, &err) == 0);
    bench_reopen(&b);
    lock.dir = NULL;
    is_int(state_of(&b, alive), PLAN_RUNNING);
    is_int(state_of(&b, dead), PLAN_INTERRUPTED);
    is_int(state_of(&b, asked), PLAN_INTERRUPTED);
    is_int(task_of(&b, dead, 1), TASK_RUNNING);
    is_int(events_like(&b, dead, "its runner ended in the middle"), 1);
    is_int(journal_reconcile(b.journal, &err), 0);
    lock_release(&lock);
    is_int(journal_reconcile(b.journal, &err), 1);
    is_int(journal_reconcile(b.journal, &err), 0);
    is_int(state_of(&b, alive), PLAN_INTERRUPTED);
    ok(journal_plan_load(b.journal, dead, &p, &err) == 0);
    is_int(p.code, ERR_INTERRUPTED);
    has_str(p.advice, "plan execute -id 2");
    plan_release(&p);
    bench_end(&b);
}

static void an_orphan_is_found_when_its_lock_is_taken(void)
{
    struct err err = ERR_INIT;
    struct plan_lock lock = {.fd = -1};
    struct bench b;
    int64_t id;

    bench_begin(&b);
    id = plan_in(&b, PLAN_INTERRUPT_REQUESTED);
    ok(lock_plan(&lock, b.journal, id, &err) == 0);
    is_int(state_of(&b, id), PLAN_INTERRUPTED);
    ok(lock_is_held(b.dir, id));
    lock_release(&lock);
    ok(!lock_is_held(b.dir, id));
    bench_end(&b);
}

static int opens(const char *dir)
{
    struct err err = ERR_INIT;
    struct journal *j = journal_open(dir, false, &err);

    journal_close(j);
    return j == NULL;
}

/* Eight processes open the journal at the same moment; together they find each dead runner once. */
static void openers_do_not_race(void)
{
    enum { OPENERS = 8, PLANS = 5 };
    pid_t pids[OPENERS];
    struct bench b;
    int go[2], status;
    char byte;

    bench_begin(&b);
    for (int i = 0; i < PLANS; i++)
        plan_in(&b, PLAN_RUNNING);
    ok(pipe(go) == 0);
    fflush(stdout);
    for (int i = 0; i < OPENERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            close(go[1]);
            if (read(go[0], &byte, 1) != 0)
                _exit(2);
            _exit(opens(b.dir));
        }
    }
    close(go[0]);
    close(go[1]);
    for (int i = 0; i < OPENERS; i++) {
        ok(waitpid(pids[i], &status, 0) == pids[i]);
        is_int(status, 0);
    }
    for (int64_t id = 1; id <= PLANS; id++) {
        is_int(state_of(&b, id), PLAN_INTERRUPTED);
        is_int(events_like(&b, id, "its runner ended in the middle"), 1);
    }
    bench_end(&b);
}

static void openers_may_all_create(void)
{
    enum { OPENERS = 8 };
    struct err err = ERR_INIT;
    pid_t pids[OPENERS];
    struct bench b;
    char *dir;
    int status;

    bench_begin(&b);
    dir = in_dir(&b, "new/one");
    fflush(stdout);
    for (int i = 0; i < OPENERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            struct journal *j = journal_open(dir, true, &err);
            struct plan p = {0};
            int rc;

            plan_of(&p, VERB_START_SERVICE, 3, 3, NULL);
            rc = j == NULL || journal_plan_create(j, &p, &err) < 0;
            plan_release(&p);
            journal_close(j);
            free(dir);
            _exit(rc);
        }
    }
    for (int i = 0; i < OPENERS; i++) {
        ok(waitpid(pids[i], &status, 0) == pids[i]);
        is_int(status, 0);
    }
    journal_close(b.journal);
    b.journal = journal_open(dir, false, &err);
    is_int(journal_last_plan(b.journal), OPENERS);
    free(dir);
    bench_end(&b);
}

int main(void)
{
    TAP_RUN(TAP_TEST(files_are_private), TAP_TEST(foreign_files_are_refused_and_kept),
            TAP_TEST(a_newer_file_is_refused),
            TAP_TEST(a_file_cut_short_in_the_making_is_made_again),
            TAP_TEST(a_full_disk_leaves_nothing_half_done), TAP_TEST(a_plan_comes_back_as_stored),
            TAP_TEST(ids_have_no_gaps), TAP_TEST(tasks_are_replaced_before_the_start_only),
            TAP_TEST(lists_are_filtered), TAP_TEST(only_allowed_moves_happen),
            TAP_TEST(refusals_are_sentences), TAP_TEST(a_plan_keeps_what_happened),
            TAP_TEST(tasks_move_with_their_plan), TAP_TEST(broken_effects_leave_nothing),
            TAP_TEST(a_canceled_plan_leaves_no_task_open), TAP_TEST(orphans_become_interrupted),
            TAP_TEST(an_orphan_is_found_when_its_lock_is_taken), TAP_TEST(openers_do_not_race),
            TAP_TEST(openers_may_all_create));
}
