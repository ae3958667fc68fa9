/*
 * Processes that outlive the agent.
 *
 * A started process is known by pid, kernel start time and boot id. It writes this record itself,
 * between fork and exec, so a crash of the agent at any instant loses nothing: the next agent reads
 * the record and adopts the process. A zombie without living threads counts as dead, and so does a
 * pid that was given to another process.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "kvsh/err.h"

/* Which directory is meant, whatever its name says by now. */
struct file_id {
    uint64_t dev, ino;
};

struct proc {
    pid_t pid; /* 0: none */
    uint64_t start_ticks;
    char boot_id[40];
    int64_t started_ms;
    struct file_id storage, env; /* the directories it was started on */
};

struct spawn {
    const char *const *argv; /* NULL-terminated; argv[0] is an absolute path */
    const char *record_path; /* where the process leaves its record */
    const char *output_path; /* its stdout and stderr; truncated first, 0600 */
    int lock_fd;             /* stays open in the process as descriptor 3; -1: none */
    bool is_unit;            /* its files are its own matter: the usual umask */
    struct file_id storage, env;
};

/*
 * Starts argv in a session of its own, with nothing of the agent's open but the lock. Returns when
 * exec succeeded. On failure nothing runs and no record is left.
 */
int proc_spawn(const struct spawn *s, struct proc *p, struct err *err);

/* Reads a record; -1 when there is none or it makes no sense (then *p is zero). */
int proc_load(const char *record_path, struct proc *p);
bool proc_is_alive(const struct proc *p);

/* A descriptor that becomes readable when the process ends; -1 where the kernel has none. */
int proc_watch(const struct proc *p);
/* Sends sig to exactly this process; false when it is no more. */
bool proc_signal(const struct proc *p, int sig);
/* Collects the exit status when the process was a child of this agent; -1 when it was not. */
int proc_reap(const struct proc *p);

/* The present boot's id; "" where the kernel does not tell. */
const char *proc_boot_id(void);

/* What the text of /proc/PID/stat tells, see proc(5); -1 when it makes no sense. Pure. */
struct proc_stat {
    char state; /* of the first thread */
    long threads;
    uint64_t start_ticks;
};
int proc_stat_decode(const char *text, struct proc_stat *stat);
