#include "agent/logrules.h"

#include <pthread.h>
#include <regex.h>

static const struct log_rule rules[] = {
    {"Short write while writing to the AOF file|Error writing to the AOF file|"
     "write to the append only file",
     SEVERITY_ERROR, "the data directory cannot be written: writes are refused",
     "make room on the disk; writing goes on by itself"},
    {"AOF write error looks solved", SEVERITY_INFO, "the data directory can be written again",
     NULL},
    {"Can't recover from AOF write error", SEVERITY_ERROR,
     "the process ends because it cannot write its data", "make room on the disk, then start it"},
    {"Can't open or create append-only dir|Can't open the append-only file", SEVERITY_ERROR,
     "the data directory is gone or read-only",
     "replace the disk, then stop and start the service"},
    {"Failed opening the temp RDB file|Opening the temp file needed for", SEVERITY_ERROR,
     "the data directory is gone or read-only: a full copy cannot be taken",
     "replace the disk, then stop and start the service"},
    {"Background saving error|Background AOF rewrite terminated (by signal|with error)",
     SEVERITY_WARNING, "a background save failed", "look at disk space and memory"},
    {"Asynchronous AOF fsync is taking too long", SEVERITY_WARNING,
     "the disk is slow: writes wait for it", "look at the load of the disk"},
    {"Cluster state changed: fail", SEVERITY_ERROR,
     "this node considers the store as failed: too many primaries are unreachable or slots are not "
     "served",
     "look at verify configuration"},
    {"Cluster state changed: ok", SEVERITY_INFO, "this node considers the store as well", NULL},
    {"FAIL message received from|Marking node .* as failing", SEVERITY_WARNING,
     "the cluster considers a member as failed", "look at verify configuration"},
    {"Currently unable to failover:", SEVERITY_WARNING, "this replica cannot take over now",
     "the reason follows in the line"},
    {"Failover election won", SEVERITY_WARNING, "this replica has become primary", NULL},
    {"Manual failover timed out", SEVERITY_WARNING, "a failover by hand did not come about",
     "check that primary and replica see each other, then repeat it"},
    {"Fatal: can't update cluster config file", SEVERITY_ERROR,
     "the directory of the cluster configuration is gone or full: the process ends",
     "make the agent's root directory writable, then start the service"},
    {"Errors trying to shut down the server", SEVERITY_ERROR,
     "the process cannot end because it cannot save its data", "make room on the disk"},
    {"I have keys for unassigned slot", SEVERITY_ERROR,
     "this node claims slots nobody gave it, because it has keys of them",
     "look at verify configuration before anything else is changed"},
    {"Error condition on socket for SYNC|Failed trying to load the MASTER synchronization DB",
     SEVERITY_WARNING, "a replica cannot copy from its primary", "look at the primary"},
    {"Unable to AUTH to MASTER", SEVERITY_ERROR, "primary and replica have different passwords",
     "check the secret of the store on both nodes"},
    {"MISCONF|No space left on device", SEVERITY_ERROR, "the disk is full",
     "make room on the disk"},
    {"Out Of Memory allocating|Can't save in background: fork", SEVERITY_ERROR,
     "memory is exhausted", "lower maxmemory, or give the host more memory"},
    {"REDIS BUG REPORT START|crashed by signal", SEVERITY_ERROR, "the process crashed",
     "keep its log for a report"},
};

enum { RULES = sizeof rules / sizeof *rules };
_Static_assert((int)RULES <= (int)LOG_RULES_MAX, "LOG_RULES_MAX is too small");

static regex_t compiled[RULES];
static pthread_once_t compile_once = PTHREAD_ONCE_INIT;

/* The patterns are constants; a test sees to it that each compiles. */
static void compile_all(void)
{
    for (int i = 0; i < RULES; i++)
        (void)regcomp(&compiled[i], rules[i].pattern, REG_EXTENDED | REG_NOSUB);
}

int log_rule_match(const char *line)
{
    pthread_once(&compile_once, compile_all);
    for (int i = 0; i < RULES; i++)
        if (regexec(&compiled[i], line, 0, NULL, 0) == 0)
            return i;
    return -1;
}

const struct log_rule *log_rule_at(int i)
{
    return i >= 0 && i < RULES ? &rules[i] : NULL;
}
