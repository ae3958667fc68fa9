/*
 * The running agent: what its modules share.
 *
 * One mutex guards everything here that changes; nothing is asked of a disk, a redis or a network
 * while it is held, except for writing the agent's own small files. `changed` is signalled at every
 * change of a service or an operation. Threads: the main loop (processes, restarts), the watch
 * (directories, logs), one per unit (its status), the HTTP server with one per connection, one per
 * running operation.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "kvsh/err.h"
#include "kvsh/json.h"

#include "agent/address.h"
#include "agent/bootconfig.h"
#include "agent/dircheck.h"
#include "agent/events.h"
#include "agent/logfile.h"
#include "agent/logrules.h"
#include "agent/supervisor.h"

struct operation;
struct unit;

enum { LEASE_OWNER_MAX = 200 };
enum { SERVICES_MAX = 128, SERVICE_ID_MAX = 32, STORE_MAX = 256, SECRET_HEX = 64 };

enum service_kind { SERVICE_REDIS, SERVICE_ADMIN, SERVICE_UNIT };
enum service_state {
    STATE_STOPPED,
    STATE_STARTING,
    STATE_RUNNING,
    STATE_STOPPING,
    STATE_FAILED,
    STATE_UNKNOWN, /* of a unit: its status command does not tell */
};

/* How far the log of a service has been read. */
struct log_position {
    uint64_t ino;
    int64_t offset; /* -1: not known, go on from its end */
};

struct service {
    /* The definition and what must survive an agent restart: KVROOT/<store>/snN/config.json. */
    char id[SERVICE_ID_MAX];
    enum service_kind kind;
    char shard[SERVICE_ID_MAX];
    char *storage_dir;
    int port, bus_port;
    struct json *params;
    int64_t generation;
    struct unit *unit; /* of a unit, which stands in the boot configuration alone; else NULL */
    bool wanted_up, never_started;
    char node_id[41];   /* identity in the cluster, "" before the first start */
    int64_t elected_at; /* its process last stood for election (time_mono_ms()); 0: not known */

    /* What is the case now. */
    enum service_state state;
    struct proc proc;     /* pid 0: no process */
    int pidfd;            /* -1: none */
    int exit_status;      /* of wait(2), after the process ended; -1: unknown */
    char detail[512];     /* why it failed or what is wrong; "" when well */
    struct operation *op; /* the change under way, or NULL */
    int failures;         /* starts in a row that did not last */
    int64_t restart_at;   /* of time_mono_ms(); 0: no restart is due */
    enum dir_state dir_state;
    char dir_detail[256];
    bool has_data; /* as seen when the directory was last looked at */
    struct log_position log_position;
    int64_t rule_told[LOG_RULES_MAX]; /* time_mono_ms() when each rule was last an event */
};

struct storage_dir {
    struct dir_health health;
    enum dir_state told;       /* by the last event about it, when no service uses it */
    enum dir_state tested;     /* by the last write test */
    struct json *service_dirs; /* names in it like those of services; or NULL */
    int64_t asked_at; /* time_mono_ms() when the present look at it began; 0: none is under way */
};

/* An attempt of a plan that had the lease and did not give it back: it ran out, or was taken over.
 */
struct lease_before {
    char owner[LEASE_OWNER_MAX]; /* "": nobody */
    int64_t plan, epoch;
    bool has_changed; /* another plan has changed something here since */
};

enum { LEASE_BEFORE_MAX = 4 }; /* remembered, the last one first */

/* Which plan may change something here (lease.h). */
struct lease {
    char owner[LEASE_OWNER_MAX]; /* "": nobody ever */
    int64_t plan, epoch, ttl_ms;
    int64_t since_ms, expires_ms; /* by the clock */
    int64_t deadline_ms;          /* of time_mono_ms(): until then it stands */
    bool is_given_back;
    struct lease_before before[LEASE_BEFORE_MAX];
};

struct agent {
    struct bootconfig boot;
    char host_ip[ADDRESS_MAX];
    char instance[17];
    int64_t started_ms;
    struct logfile *log;
    struct events *events;
    int lock_fd; /* of the root: one agent at a time */
    int signal_fd;
    int wake_fd; /* an eventfd: wakes the main loop */

    pthread_mutex_t metadata_lock; /* for the files of the metadata; taken before `lock` */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
    char store[STORE_MAX], node_id[SERVICE_ID_MAX], zone[SERVICE_ID_MAX]; /* "": not registered */
    char *secret;                                                         /* or NULL */
    struct service *services[SERVICES_MAX];
    size_t n_services;
    int64_t generation;       /* of config.json */
    int64_t metadata_version; /* of the newest copy kept here; 0: none */
    struct storage_dir dirs[BOOT_DIRS_MAX];
    enum dir_state root_told;     /* by the last event about the agent's own directory */
    struct operation *operations; /* newest first */
    int64_t last_operation;
    int running_operations;
    struct watch *watch;
    int probes; /* looks at directories under way */
    struct lease lease;

    struct {
        atomic_ullong requests[6]; /* by the first digit of the status */
        atomic_ullong restarts, refused;
    } count;
};

void eventfd_wake(int fd);
/* Wakes the main loop and everybody who waits for `changed`. The lock is held. */
void agent_changed(struct agent *a);

void agent_log(struct agent *a, enum log_level level, const char *component, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Adds an event and a log line of the same text. */
void agent_event(struct agent *a, const struct event *ev);

/* Opens the agent of a root: takes its lock, reads what it keeps. On failure nothing is left. */
struct agent *agent_open(struct bootconfig *boot, bool tee,
                         struct err *err); /* takes the content of boot */
void agent_close(struct agent *a);
/* Something waits for a disk that does not answer: nothing may be freed any more. */
bool agent_is_stuck(struct agent *a);
/* Serves until SIGTERM or SIGINT. ready(arg) is called once it listens. */
int agent_run(struct agent *a, void (*ready)(void *arg), void *arg, struct err *err);

/* Paths of this node; free() them. The lock is held, the node is registered. */
char *agent_node_dir(const struct agent *a); /* KVROOT/<store>/snN */
char *agent_node_file(const struct agent *a, const char *name, const char *suffix);
char *agent_log_dir(const struct agent *a, const struct service *s); /* s NULL: the agent's own */

struct service *agent_service(struct agent *a, const char *id); /* or NULL; the lock is held */
/* Why it failed or what is wrong; cut to what fits. */
void service_detail(struct service *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *service_state_name(enum service_state s);
