#include "kvsh/journal.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"
#include "kvsh/run.h"

#include "journal_internal.h"

static char *user_at_host(void)
{
    char host[256] = "localhost", *who;
    struct account a;

    if (gethostname(host, sizeof host) == 0)
        host[sizeof host - 1] = '\0';
    if (fs_account(geteuid(), &a))
        who = xasprintf("%s@%s", a.name, host);
    else
        who = xasprintf("%ld@%s", (long)geteuid(), host);
    account_release(&a);
    return who;
}

/* err says why the file cannot be used for writing; when that is not the reason, it stays as it is.
 */
static int open_copy(struct journal *j, const char *path, struct err *err)
{
    struct err why = ERR_INIT;
    struct db *copy;

    if (err->code != ERR_FAILED || access(path, R_OK) != 0 || !db_is_unwritable(path))
        return -1;
    db_close(j->db);
    j->db = NULL;
    copy = db_open_copy(path, &journal_schema, &why);
    if (copy == NULL)
        return -1;
    j->db = copy;
    j->is_copy = true;
    j->why = *err;
    err_clear(err);
    return journal_reconcile(j, err) < 0 ? -1 : 0;
}

struct journal *journal_open(const char *dir, bool create, struct err *err)
{
    struct journal *j = xcalloc(1, sizeof *j);
    char *path = xasprintf("%s/journal.db", dir);

    j->dir = xstrdup(dir);
    j->who = user_at_host();
    if (!create || fs_mkdirs(dir, 0700, err) == 0)
        j->db = db_open(path, create, &journal_schema, err);
    if ((j->db == NULL || journal_reconcile(j, err) < 0) && open_copy(j, path, err) < 0) {
        journal_close(j);
        j = NULL;
    }
    free(path);
    return j;
}

const struct err *journal_is_copy(const struct journal *j)
{
    return j->is_copy ? &j->why : NULL;
}

int journal_check_kept(const struct journal *j, struct err *err)
{
    if (!j->is_copy)
        return 0;
    *err = j->why;
    return err_prepend(err, "nothing can be changed");
}

void journal_close(struct journal *j)
{
    if (j == NULL)
        return;
    db_close(j->db);
    free(j->dir);
    free(j->who);
    free(j);
}

const char *journal_dir(const struct journal *j)
{
    return j->dir;
}

static uint32_t identity(struct journal *j)
{
    struct err ignored = ERR_INIT;
    struct db_stmt *st =
        db_prepare(j->db, "SELECT value FROM counter WHERE name = 'identity'", &ignored);
    uint32_t number = 0;

    if (st == NULL)
        return 0;
    if (db_step(st, &ignored) > 0)
        number = (uint32_t)db_col_int(st, 0);
    db_done(st);
    return number;
}

char *journal_owner(struct journal *j)
{
    char *owner = xasprintf("%.150s#%08" PRIx32, j->who, identity(j));

    for (char *p = owner; *p != '\0'; p++) {
        if (!isalnum((unsigned char)*p) && strchr("._@#:+-", *p) == NULL)
            *p = '_';
    }
    return owner;
}

int64_t journal_data_version(struct journal *j)
{
    return db_data_version(j->db);
}

int journal_begin(struct journal *j, struct err *err)
{
    return db_begin(j->db, err);
}

int journal_begin_change(struct journal *j, struct err *err)
{
    return journal_check_kept(j, err) < 0 ? -1 : journal_begin(j, err);
}

int journal_end(struct journal *j, int rc, struct err *err)
{
    if (rc == 0)
        return db_commit(j->db, err);
    db_rollback(j->db);
    return -1;
}

void bind_json(struct db_stmt *st, const char *name, const struct json *value)
{
    char *text = value != NULL ? json_print(value) : NULL;

    db_bind_str(st, name, text);
    free(text);
}

/* --- plans whose runner died --- */

enum { ORPHANS_AT_ONCE = 64 };

/* Plans that claim to be at work though nobody holds their lock, at most ORPHANS_AT_ONCE. Returns
 * how many. */
static int find_orphans(struct journal *j, int64_t ids[ORPHANS_AT_ONCE], struct err *err)
{
    struct db_stmt *st = db_prepare(j->db,
                                    "SELECT id FROM plan"
                                    " WHERE state IN ('RUNNING','INTERRUPT_REQUESTED')"
                                    " ORDER BY id",
                                    err);
    int n = 0, rc;

    if (st == NULL)
        return -1;
    while ((rc = db_step(st, err)) > 0 && n < ORPHANS_AT_ONCE) {
        ids[n] = db_col_int(st, 0);
        n += !lock_is_held(j->dir, ids[n]);
    }
    db_done(st);
    return rc < 0 ? -1 : n;
}

static int interrupt_orphan(struct journal *j, int64_t id, struct err *err)
{
    struct err why = ERR_INIT;

    err_set(&why, ERR_INTERRUPTED,
            "its runner ended in the middle: it was killed, or could not write the journal, or the "
            "machine went down");
    err_advise(&why,
               "plan execute -id %" PRId64 " goes on from the first unfinished task, after asking "
               "the store what has been done",
               id);
    return move_plan(j, id, PLAN_INTERRUPTED, &(struct move){.why = &why}, err);
}

/*
 * The first look costs readers no write. The second is inside the transaction: a runner commits its
 * plan's last state before it lets go of the lock, so a plan at work here whose lock is free has no
 * runner any more, and only the first of several openers still finds it.
 */
int journal_reconcile(struct journal *j, struct err *err)
{
    int64_t ids[ORPHANS_AT_ONCE];
    int n = find_orphans(j, ids, err);
    int rc = 0;

    if (n <= 0)
        return n;
    if (journal_begin(j, err) < 0)
        return -1;
    n = find_orphans(j, ids, err);
    for (int i = 0; i < n && rc == 0; i++)
        rc = interrupt_orphan(j, ids[i], err);
    if (journal_end(j, n < 0 ? -1 : rc, err) < 0)
        return -1;
    return n;
}

int journal_orphan(struct journal *j, int64_t plan_id, struct err *err)
{
    int rc = 0;

    if (plan_at_rest(journal_plan_state(j, plan_id)))
        return 0;
    if (journal_begin(j, err) < 0)
        return -1;
    if (!plan_at_rest(journal_plan_state(j, plan_id)))
        rc = interrupt_orphan(j, plan_id, err);
    return journal_end(j, rc, err);
}
