/*
 * Fills journals and times their steps, for make bench.
 *
 *   journal plans DIR N          N plans that succeeded
 *   journal nodes DIR N PORT     a store of N nodes, at the addresses of fleet.c
 *   journal services DIR N       N services, as topology and last observation know them, for
 *                                completion
 *   journal steps DIR N          prints two numbers: durable steps a second, and raw append +
 *                                fdatasync
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/journal.h"
#include "kvsh/json.h"
#include "kvsh/mem.h"
#include "kvsh/meta.h"

enum { FIRST = 65536, RAW_RECORD = 512 };

static struct err err = ERR_INIT;

static void need(int rc)
{
    if (rc != 0) {
        fprintf(stderr, "journal: %s\n", err.text);
        exit(1);
    }
}

static int64_t make_plan(struct journal *j, int tasks)
{
    struct plan p = {.verb = VERB_STOP_SERVICE,
                     .state = PLAN_APPROVED,
                     .user = "bench@localhost",
                     .command = "bench"};
    int64_t id;

    p.args = plan_own(&p, json_object());
    for (int i = 0; i < tasks; i++) {
        struct task *t = plan_add_task(&p, i + 1, "stop", "rg1-rn1", "sn1");
        task_what(&p, t, "stop rg1-rn1 on sn1");
    }
    need(journal_plan_create(j, &p, &err));
    id = p.id;
    plan_release(&p);
    return id;
}

static void fill_plans(struct journal *j, int n)
{
    const struct move none = {0};

    for (int i = 0; i < n; i++) {
        int64_t id = make_plan(j, 1);
        need(journal_plan_move(j, id, PLAN_RUNNING, &none, &err));
        need(journal_task_move(j, id, 1, TASK_RUNNING, &none, &err));
        need(journal_task_move(j, id, 1, TASK_SUCCEEDED, &none, &err));
        need(journal_plan_move(j, id, PLAN_SUCCEEDED, &none, &err));
    }
}

/* A store, named like the directory of its journal, and one zone. */
static struct json *store_effects(const struct journal *j)
{
    struct json *effects = json_array(), *store = json_object(), *zone = json_object();
    const char *slash = strrchr(journal_dir(j), '/');

    json_set_str(store, "name", slash ? slash + 1 : journal_dir(j));
    json_set_str(store, "engine", "redis");
    json_set_int(store, "partitions", 0);
    json_set_int(store, "sequence", 0);
    json_set(store, "serial", json_object());
    meta_effect(effects, "store", "store", store);
    json_set_str(zone, "name", "Zone1");
    json_set_int(zone, "rf", 1);
    json_set_str(zone, "type", "PRIMARY");
    meta_effect(effects, "zone", "zn1", zone);
    return effects;
}

static void fill_nodes(struct journal *j, int n, int port)
{
    struct json *effects = store_effects(j);
    char name[32], host[32], url[64];

    for (int i = 1; i <= n; i++) {
        struct json *sn = json_object();
        int address = FIRST + i;
        snprintf(name, sizeof name, "sn%d", i);
        snprintf(host, sizeof host, "127.%d.%d.%d", address >> 16, (address >> 8) & 255,
                 address & 255);
        snprintf(url, sizeof url, "http://%s:%d", host, port);
        json_set_str(sn, "zone", "zn1");
        json_set_str(sn, "host", host);
        json_set_int(sn, "port", port);
        json_set_str(sn, "url", url);
        meta_effect(effects, "sn", name, sn);
    }
    need(journal_apply(j, effects, &err));
    json_free(effects);
}

static void fill_services(struct journal *j, int n)
{
    struct json *effects = store_effects(j), *states = json_object();
    char name[48], shard[32];

    for (int i = 0; i < n; i++) {
        struct json *rn = json_object();
        snprintf(shard, sizeof shard, "rg%d", i / 3 + 1);
        snprintf(name, sizeof name, "%s-rn%d", shard, i % 3 + 1);
        json_set_str(rn, "shard", shard);
        json_set_str(rn, "sn", "sn1");
        json_set_str(rn, "storageDir", "/disk1");
        json_set_int(rn, "port", 13232);
        json_set_int(rn, "busPort", 13239);
        meta_effect(effects, "rn", name, rn);
        json_set_str(states, name, "RUNNING");
    }
    need(journal_apply(j, effects, &err));
    need(journal_observed(j, time_now_ms(), states, &err));
    json_free(states);
    json_free(effects);
}

/* Steps a second of a plan of n tasks: the intention and the outcome of each task are one step
 * each. */
static double journal_steps(struct journal *j, int n)
{
    const struct move none = {0};
    int64_t id = make_plan(j, n), begin;

    need(journal_plan_move(j, id, PLAN_RUNNING, &none, &err));
    begin = time_mono_ms();
    for (int i = 1; i <= n; i++) {
        need(journal_task_move(j, id, i, TASK_RUNNING, &none, &err));
        need(journal_task_move(j, id, i, TASK_SUCCEEDED, &none, &err));
    }
    return 2000.0 * n / (double)(time_mono_ms() - begin + 1);
}

static double raw_steps(const char *dir, int n)
{
    char *path = xasprintf("%s/raw", dir), record[RAW_RECORD] = "";
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    int64_t begin = time_mono_ms();

    for (int i = 0; i < 2 * n; i++) {
        if (write(fd, record, sizeof record) != sizeof record || fdatasync(fd) != 0) {
            perror("journal: raw");
            exit(1);
        }
    }
    begin = time_mono_ms() - begin + 1;
    close(fd);
    unlink(path);
    free(path);
    return 2000.0 * n / (double)begin;
}

/* A child of this small process: one of a large process is charged for the memory of that, too. */
static int tell_memory(char **command)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC), status;
    struct rusage used;
    pid_t pid = fork();

    if (pid == 0) {
        dup2(null, STDOUT_FILENO);
        execv(command[0], command);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &used) != pid || status != 0)
        return 1;
    printf("%ld\n", used.ru_maxrss);
    return 0;
}

int main(int argc, char **argv)
{
    struct journal *j;
    int n;

    if (argc > 2 && strcmp(argv[1], "memory") == 0)
        return tell_memory(argv + 2);
    if (argc < 4) {
        fprintf(stderr, "usage: journal plans|nodes|services|steps DIR N [PORT]\n");
        return 64;
    }
    n = (int)strtol(argv[3], NULL, 10);
    if ((j = journal_open(argv[2], true, &err)) == NULL)
        need(-1);
    if (strcmp(argv[1], "plans") == 0)
        fill_plans(j, n);
    else if (strcmp(argv[1], "nodes") == 0 && argc > 4)
        fill_nodes(j, n, (int)strtol(argv[4], NULL, 10));
    else if (strcmp(argv[1], "services") == 0)
        fill_services(j, n);
    else if (strcmp(argv[1], "steps") == 0)
        printf("%.0f %.0f\n", journal_steps(j, n), raw_steps(argv[2], n));
    journal_close(j);
    return 0;
}
