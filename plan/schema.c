#include "journal_internal.h"

#define PLAN_STATES                                                                           \
    "'PENDING','APPROVED','RUNNING','INTERRUPT_REQUESTED','INTERRUPTED','SUCCEEDED','ERROR'," \
    "'CANCELED'"
#define TASK_STATES "'PENDING','RUNNING','SUCCEEDED','ERROR','INTERRUPTED','UNKNOWN','SKIPPED'"

/*
 * Times are milliseconds since 1970, 0: not yet. Plan ids count from 1 without gaps because plans
 * are never deleted. Events are append-only, and the file itself sees to it.
 */
static const char version_1[] =
    "CREATE TABLE plan ("
    " id INTEGER PRIMARY KEY CHECK (id > 0),"
    " name TEXT NOT NULL,"
    " verb TEXT NOT NULL,"
    " args TEXT CHECK (args IS NULL OR json_valid(args)),"
    " force INTEGER NOT NULL CHECK (force IN (0, 1)),"
    " reason TEXT,"
    " command TEXT,"
    " creator TEXT NOT NULL,"
    " state TEXT NOT NULL CHECK (state IN (" PLAN_STATES ")),"
    " attempts INTEGER NOT NULL DEFAULT 0,"
    " created_ms INTEGER NOT NULL,"
    " started_ms INTEGER NOT NULL DEFAULT 0,"
    " ended_ms INTEGER NOT NULL DEFAULT 0,"
    " runner_pid INTEGER NOT NULL DEFAULT 0,"
    " digest TEXT,"
    " notes TEXT CHECK (notes IS NULL OR json_valid(notes)),"
    " code TEXT NOT NULL DEFAULT 'OK',"
    " error TEXT,"
    " advice TEXT"
    ") STRICT;"
    "CREATE INDEX plan_at_work ON plan (state)"
    " WHERE state IN ('RUNNING','INTERRUPT_REQUESTED');"

    "CREATE TABLE task ("
    " plan_id INTEGER NOT NULL REFERENCES plan (id),"
    " num INTEGER NOT NULL CHECK (num > 0),"
    " wave INTEGER NOT NULL CHECK (wave > 0),"
    " type TEXT NOT NULL,"
    " target TEXT,"
    " node TEXT,"
    " what TEXT NOT NULL,"
    " why TEXT,"
    " degrades TEXT,"
    " args TEXT CHECK (args IS NULL OR json_valid(args)),"
    " effects TEXT CHECK (effects IS NULL OR json_valid(effects)),"
    " state TEXT NOT NULL CHECK (state IN (" TASK_STATES ")),"
    " attempts INTEGER NOT NULL DEFAULT 0,"
    " started_ms INTEGER NOT NULL DEFAULT 0,"
    " ended_ms INTEGER NOT NULL DEFAULT 0,"
    " percent INTEGER NOT NULL DEFAULT -1,"
    " waiting_for TEXT,"
    " code TEXT NOT NULL DEFAULT 'OK',"
    " error TEXT,"
    " advice TEXT,"
    " result TEXT,"
    " PRIMARY KEY (plan_id, num)"
    ") STRICT;"

    "CREATE TABLE event ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " time_ms INTEGER NOT NULL,"
    " severity TEXT NOT NULL CHECK (severity IN ('info','warning','error')),"
    " who TEXT NOT NULL,"
    " plan_id INTEGER REFERENCES plan (id),"
    " task_num INTEGER,"
    " kind TEXT NOT NULL,"
    " subject TEXT,"
    " text TEXT NOT NULL,"
    " seq INTEGER"
    ") STRICT;"
    "CREATE INDEX event_time ON event (time_ms, id);"
    "CREATE INDEX event_plan ON event (plan_id) WHERE plan_id IS NOT NULL;"
    "CREATE INDEX event_seq ON event (who, seq) WHERE seq IS NOT NULL;"
    "CREATE TRIGGER event_unchanged BEFORE UPDATE ON event"
    " BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;"
    "CREATE TRIGGER event_kept BEFORE DELETE ON event"
    " BEGIN SELECT RAISE(ABORT, 'events are never removed'); END;"

    "CREATE TABLE object ("
    " kind TEXT NOT NULL,"
    " name TEXT NOT NULL,"
    " doc TEXT NOT NULL CHECK (json_valid(doc)),"
    " version INTEGER NOT NULL,"
    " PRIMARY KEY (kind, name)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE observation ("
    " service TEXT PRIMARY KEY,"
    " state TEXT NOT NULL,"
    " since_ms INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE cursor ("
    " node TEXT PRIMARY KEY,"
    " value TEXT NOT NULL CHECK (json_valid(value))"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE counter ("
    " name TEXT PRIMARY KEY,"
    " value INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "INSERT INTO counter VALUES ('docs_version', 0), ('observed_ms', 0);";

/*
 * A plan keeps what it was made from in words, so that a refusal can name what changed since. The
 * identity tells this journal from others of the same user on the same machine: it is part of the
 * owner of leases.
 */
static const char version_2[] =
    "ALTER TABLE plan ADD COLUMN observed TEXT CHECK (observed IS NULL OR json_valid(observed));"
    "ALTER TABLE plan ADD COLUMN confirmed INTEGER NOT NULL DEFAULT 0"
    " CHECK (confirmed IN (0, 1));"
    "INSERT INTO counter VALUES ('identity', abs(random() % 4294967296));";

static const struct db_migration migrations[] = {
    {1, version_1},
    {2, version_2},
    {0, NULL},
};

const struct db_schema journal_schema = {
    .application_id = 0x6b76736a, /* "kvsj" */
    .what = "journal",
    .migrations = migrations,
};
