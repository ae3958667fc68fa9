/* The agent's pure parts: configuration, names, requests, routes, rules, texts; and its durable
 * files. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/auth.h"
#include "agent/dircheck.h"
#include "agent/events.h"
#include "agent/launch.h"
#include "agent/lease.h"
#include "agent/logrules.h"
#include "agent/member.h"
#include "agent/operations.h"
#include "agent/routes.h"
#include "agent/services.h"
#include "agent/watch.h"
#include "kvsh/fs.h"
#include "kvsh/mem.h"
#include "tap.h"

static char folder[] = "/tmp/kvsh-test-agent-XXXXXX";

static struct json *parse(const char *text)
{
    struct err err = ERR_INIT;

    return json_parse(text, strlen(text), &err);
}

static struct bootconfig good_boot(void)
{
    return (struct bootconfig){.root = xstrdup("/kv"),
                               .host = xstrdup("127.0.0.1"),
                               .port = 13230,
                               .ha_first = 13232,
                               .ha_last = 13239,
                               .capacity = 3,
                               .watch_interval = 10,
                               .storage_dirs = {xstrdup("/d1"), xstrdup("/d2/")},
                               .n_storage_dirs = 2,
                               .log_dirs = {xstrdup("/l1")},
                               .n_log_dirs = 1};
}

static void boot_round_trip(void)
{
    struct bootconfig b = good_boot(), c = {.root = xstrdup("/kv")};
    struct err err = ERR_INIT;
    struct json *j, *k;

    is_int(boot_complete(&b, &err), 0);
    is_str(b.storage_dirs[1], "/d2");
    is_int(boot_dir_index(&b, "/d2"), 1);
    is_int(boot_dir_index(&b, "/d2/"), -1);
    is_str(boot_log_dir(&b, 0), "/l1");
    is_str(boot_log_dir(&b, 1), "/l1");
    ok(!boot_is_authenticated(&b));
    j = boot_to_json(&b);
    is_int(boot_from_json(&c, j, &err), 0);
    k = boot_to_json(&c);
    ok(json_equal(j, k));
    json_free(k);
    boot_release(&c);
    json_set_int(j, "surprise", 1);
    is_int(boot_from_json(&c, j, &err), -1);
    has_str(err.text, "surprise");
    json_free(j);
    boot_release(&c);
    boot_release(&b);
}

static void boot_refusals(void)
{
    struct err err = ERR_INIT;
    struct bootconfig b = good_boot();

    b.ha_last = 13236;
    is_int(boot_complete(&b, &err), -1);
    has_str(err.text, "has 5 ports, capacity 3 needs 6");
    b.ha_last = 13239;
    free(b.storage_dirs[1]);
    b.storage_dirs[1] = xstrdup("/d*");
    is_int(boot_complete(&b, &err), -1);
    has_str(err.text, "not allowed");
    free(b.storage_dirs[1]);
    b.storage_dirs[1] = xstrdup("/d1//");
    is_int(boot_complete(&b, &err), -1);
    has_str(err.text, "twice");
    boot_release(&b);
}

static void finds_redis(void)
{
    char *dir = xasprintf("%s/bin", folder), *file = xasprintf("%s/valkey-server", dir);
    char *path = xasprintf("relative::/nonexistent:%s", dir), *found;
    struct err err = ERR_INIT;

    is_int(fs_mkdirs(dir, 0700, &err), 0);
    ok(boot_find_redis(path) == NULL);
    ok(boot_find_redis(NULL) == NULL);
    is_int(fs_write_atomic(file, "", 0, 0700, &err), 0);
    found = boot_find_redis(path);
    is_str(found, file);
    unlink(file);
    rmdir(dir);
    free(found);
    free(path);
    free(file);
    free(dir);
}

static void names(void)
{
    char *longest = xcalloc(1, 300);

    ok(name_is_store("mystore") && name_is_store("A.b_c-9"));
    ok(!name_is_store("") && !name_is_store(".") && !name_is_store("..") && !name_is_store("-a"));
    ok(!name_is_store("a/b") && !name_is_store("a b") && !name_is_store("\xc3\xa4"));
    memset(longest, 'a', 255);
    ok(name_is_store(longest));
    longest[255] = 'a';
    ok(!name_is_store(longest));
    free(longest);
    ok(name_is_rn("rg1-rn1") && name_is_rn("rg999999-rn999999"));
    ok(!name_is_rn("rg1-rn0") && !name_is_rn("rg1-rn1 ") && !name_is_rn("rg1") &&
       !name_is_rn("rg-rn1"));
    ok(!name_is_rn("rg1-rn1/../x") && !name_is_rn("rg01-rn1") && !name_is_rn("rg1234567-rn1"));
    ok(name_is_numbered("sn3", "sn") && !name_is_numbered("sn3", "zn") &&
       !name_is_numbered("sn", "sn"));
    ok(!name_is_secret("abc"));
    ok(name_is_secret("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"));
}

static void parameters(void)
{
    struct problem pb;

    is_int(param_check("maxmemory", "100mb", &pb), 0);
    is_int(param_check("maxmemory", "0", &pb), 0);
    is_int(param_check("maxmemory", "100mb\n", &pb), -1);
    is_int(param_check("maxmemory", "100mb\nport 1", &pb), -1);
    is_int(param_check("maxmemory", "", &pb), -1);
    is_int(param_check("maxmemory", NULL, &pb), -1);
    is_int(pb.code, PROBLEM_INVALID);
    is_int(param_check("cluster-node-timeout", "5000", &pb), 0);
    is_int(param_check("cluster-node-timeout", "5", &pb), -1);
    is_int(param_check("maxmemory-policy", "allkeys-lru", &pb), 0);
    is_int(param_check("maxmemory-policy", "allkeys-lru x", &pb), -1);
    is_int(param_check("dir", "/etc", &pb), -1);
    has_str(pb.detail, "\"dir\" is not known");
}

static const struct field fields[] = {
    {"name", FIELD_STRING, .max = 5},
    {"n", FIELD_INT, .is_optional = true, .min = 1, .max = 9},
    {"flag", FIELD_BOOL, .is_optional = true},
    {"obj", FIELD_OBJECT, .is_optional = true},
    {NULL},
};

static void body(const char *text, const char *complaint)
{
    struct json *j = parse(text);
    struct problem pb = {.code = PROBLEM_NONE};

    is_int(body_check(j, fields, &pb), complaint ? -1 : 0);
    if (complaint)
        has_str(pb.detail, complaint);
    json_free(j);
}

static void bodies(void)
{
    body("{\"name\":\"a\"}", NULL);
    body("{\"name\":\"abcde\",\"n\":9,\"flag\":false,\"obj\":{}}", NULL);
    body("{}", "\"name\" is missing");
    body("{\"name\":\"abcdef\"}", "longer than 5");
    body("{\"name\":1}", "name is not a string");
    body("{\"name\":null}", "name is not a string");
    body("{\"name\":\"a\",\"n\":0}", "not in 1..9");
    body("{\"name\":\"a\",\"n\":10}", "not in 1..9");
    body("{\"name\":\"a\",\"n\":1.5}", "n is not an integer");
    body("{\"name\":\"a\",\"n\":1e300}", "n is not");
    body("{\"name\":\"a\",\"flag\":1}", "true or false");
    body("{\"name\":\"a\",\"flag\":null}", "true or false");
    body("{\"name\":\"a\",\"obj\":[]}", "obj is not an object");
    body("{\"name\":\"a\",\"Name\":\"b\"}", "unknown member \"Name\"");
    body("{\"name\":\"a\",\"name\":\"b\"}", "there twice");
    body("[]", "not a JSON object");
}

static int query(const char *value, int64_t *n)
{
    static const int64_t range[2] = {0, 60};
    struct request rq = {.n_query = 1};
    struct problem pb;

    snprintf(rq.query[0].name, sizeof rq.query[0].name, "wait");
    snprintf(rq.query[0].value, sizeof rq.query[0].value, "%s", value);
    return query_int(&rq, "wait", range, n, &pb);
}

static void queries(void)
{
    int64_t n = 7;

    ok(query("60", &n) == 0 && n == 60);
    ok(query("", &n) < 0 && query(" 5", &n) < 0 && query("+5", &n) < 0 && query("5x", &n) < 0);
    ok(query("61", &n) < 0 && query("-1", &n) < 0 && query("99999999999999999999", &n) < 0);
    is_int(n, 60);
}

static void route_finding(void)
{
    struct problem pb;
    char param[PARAM_MAX], allow[64];
    const struct route *r = route_find("POST", "/v1/services/rg1-rn1/start", param, allow, &pb);

    ok(r != NULL);
    is_str(param, "rg1-rn1");
    ok(route_find("HEAD", "/v1/node", param, allow, &pb) != NULL);
    ok(route_find("GET", "/v1/services/rg1-rn1", param, allow, &pb) == NULL);
    is_int(pb.code, PROBLEM_METHOD_NOT_ALLOWED);
    is_str(allow, "PUT, DELETE");
    ok(route_find("PUT", "/v1/services/", param, allow, &pb) == NULL);
    is_int(pb.code, PROBLEM_NOT_FOUND);
    ok(route_find("PUT", "/v1/services/a/b", param, allow, &pb) == NULL);
    ok(route_find("PUT", "/v1/services/..", param, allow, &pb) == NULL);
    ok(route_find("PUT",
                  "/v1/services/"
                  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                  param, allow, &pb) == NULL);
    ok(route_find("GET", "", param, allow, &pb) == NULL);
    ok(route_find("GET", "/v1/node/", param, allow, &pb) == NULL);
}

/* Every route is in the document, with its arguments. */
static void route_documents(void)
{
    const char *top = getenv("top_srcdir");
    char *path = xasprintf("%s/agent/openapi.json", top ? top : ".");
    struct err err = ERR_INIT;
    char *text = fs_read(path, 1 << 20, NULL, &err);
    struct json *doc = text ? parse(text) : NULL;
    const struct json *paths = json_get(doc, "paths");

    ok(doc != NULL);
    for (size_t i = 0; route_at(i); i++) {
        const struct route *r = route_at(i);
        char method[8] = "";
        const struct json *op;
        size_t n = 0;

        for (size_t k = 0; r->method[k] && k < sizeof method - 1; k++)
            method[k] = (char)(r->method[k] | 0x20);
        op = json_get(json_get(paths, r->pattern), method);
        if (!ok(op != NULL))
            printf("# %s %s\n", r->method, r->pattern);
        JSON_FOREACH (p, json_get(op, "parameters"))
            n += json_str(p, "in") && strcmp(json_str(p, "in"), "query") == 0;
        for (size_t k = 0; r->query[k]; k++)
            n--;
        is_int(n, 0);
    }
    json_free(doc);
    free(text);
    free(path);
}

static void problems(void)
{
    struct problem pb;
    struct err err = ERR_INIT;
    struct json *j;

    is_int(problem_set(&pb, PROBLEM_DIR_MISSING, "directory %s", "/d"), -1);
    problem_advise(&pb, "mount it");
    j = problem_json(&pb);
    is_str(json_str(j, "type"), "urn:kvsh:problem:dir_missing");
    is_int(json_int(j, "status", 0), 409);
    is_str(json_str(j, "advice"), "mount it");
    json_free(j);
    err_set(&err, ERR_FAILED, "it failed");
    problem_from_err(&pb, PROBLEM_INTERNAL, &err);
    j = problem_json(&pb);
    ok(json_get(j, "advice") == NULL);
    is_str(json_str(j, "detail"), "it failed");
    json_free(j);
    pb.status = 418;
    is_int(problem_status(&pb), 418);
}

static void rules(void)
{
    int i = log_rule_match(
        "9:M 01 Jan 2026 10:00:00.000 # Short write while writing to the AOF file: (");
    const struct log_rule *rule = log_rule_at(i);

    ok(rule != NULL && rule->severity == SEVERITY_ERROR);
    is_int(log_rule_match("9:M 01 Jan 2026 10:00:00.000 * Ready to accept connections"), -1);
    is_int(log_rule_match(""), -1);
    ok(log_rule_match("x # Cluster state changed: fail") !=
       log_rule_match("x # Cluster state changed: ok"));
    ok(log_rule_match("x # Marking node abc as failing (quorum reached).") >= 0);
    ok(log_rule_at(-1) == NULL && log_rule_at(LOG_RULES_MAX) == NULL);
    for (i = 0; log_rule_at(i); i++) {
        const struct log_rule *r = log_rule_at(i);

        ok(r->pattern && r->cause && (r->advice || r->severity != SEVERITY_ERROR));
    }
}

static void directories(void)
{
    struct dir_health h;
    char *path = xasprintf("%s/none", folder), text[600];
    struct service s = {.id = "rg1-rn3", .storage_dir = path};

    ok(dir_is_full(0, 1000000) && !dir_is_full(INT64_C(65) << 20, INT64_C(1) << 50));
    ok(!dir_is_full(60 << 20, 100 << 20));
    dir_test(folder, &h);
    is_int(h.state, DIR_OK);
    ok(h.total_bytes > 0 && h.id.ino > 0);
    dir_test(path, &h);
    is_int(h.state, DIR_MISSING);
    is_int(h.free_bytes, -1);
    dir_test("/dev/null", &h);
    is_int(h.state, DIR_MISSING);
    has_str(h.detail, "not a directory");
    dir_test("/proc", &h);
    ok(h.state != DIR_OK);
    dir_fault_text(&s, DIR_MISSING, "", text, sizeof text);
    has_str(text, "cannot start");
    s.proc.pid = 5;
    dir_fault_text(&s, DIR_MISSING, "", text, sizeof text);
    has_str(
        text,
        "is missing: the service keeps running from a deleted directory and will lose its data");
    is_str(dir_fault_kind(DIR_REPLACED), "dir-replaced");
    free(path);
}

static void redis_conf(void)
{
    struct launch l = {.id = "rg1-rn1",
                       .host_ip = "10.0.0.1",
                       .port = 13232,
                       .bus_port = 13233,
                       .env = "/d 1/rg1-rn1/env",
                       .log = "/kv/log/rg1-rn1_0.log",
                       .secret_conf = "/kv/secret.conf",
                       .nodes_conf = "/kv/rg1-rn1.nodes.conf",
                       .secret = "do-not-write-me",
                       .maxmemory = "300mb",
                       .params = parse("{\"appendfsync\":\"always\"}")};
    char *text = launch_conf_text(&l);

    has_str(text, "\ndir \"/d 1/rg1-rn1/env\"\n");
    has_str(text, "\nport 13232\ncluster-port 13233\n");
    has_str(text, "\nbind 10.0.0.1\n");
    has_str(text, "\ninclude \"/kv/secret.conf\"\n");
    has_str(text, "\nappendfsync always\n");
    has_str(text, "\nmaxmemory 300mb\n");
    has_str(text, "\nmaxmemory-policy noeviction\n");
    has_str(text, "\ncluster-node-timeout 5000\n");
    has_str(text, "\nsave \"\"\n");
    ok(strstr(text, "do-not-write-me") == NULL);
    json_free(l.params);
    free(text);
}

static void proc_stat(void)
{
    struct proc_stat stat;

    is_int(proc_stat_decode("12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20",
                            &stat),
           0);
    ok(stat.state == 'S' && stat.threads == 17 && stat.start_ticks == 4242);
    is_int(proc_stat_decode("", &stat), -1);
    is_int(proc_stat_decode("12 (a) S 1 2 3", &stat), -1);
    is_int(proc_stat_decode("12 (a)", &stat), -1);
}

/* Ends the process and with it the threads of a sanitizer, which would outlive it. */
static void *hold(void *end)
{
    char byte;

    _exit(read(*(int *)end, &byte, 1) < 0);
}

/* The first thread of the process that this is ends at once, the second when the pipe is closed. */
static _Noreturn void outlived_by_a_thread(int ends[2])
{
    pthread_t thread;

    close(ends[1]);
    if (pthread_create(&thread, NULL, hold, ends) != 0)
        _exit(1);
    syscall(SYS_exit, 0);
    _exit(1);
}

static bool first_thread_ended(pid_t pid, struct proc_stat *stat)
{
    char *path = xasprintf("/proc/%d/stat", (int)pid), text[1024];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof text - 1);

    close(fd);
    free(path);
    text[n > 0 ? n : 0] = '\0';
    return proc_stat_decode(text, stat) == 0 && stat->state == 'Z';
}

static void thread_outlives_the_first(void)
{
    struct proc p = {.pid = 0};
    struct proc_stat stat = {.state = 0};
    int ends[2];

    ok(pipe(ends) == 0);
    p.pid = fork();
    if (p.pid == 0)
        outlived_by_a_thread(ends);
    close(ends[0]);
    for (int i = 0; i < 3000 && !first_thread_ended(p.pid, &stat); i++)
        time_sleep_ms(10);
    p.start_ticks = stat.start_ticks;
    snprintf(p.boot_id, sizeof p.boot_id, "%s", proc_boot_id());
    ok(stat.state == 'Z' && stat.threads >= 2);
    ok(proc_is_alive(&p));
    is_int(proc_reap(&p), -1);
    close(ends[1]);
    for (int i = 0; i < 3000 && proc_is_alive(&p); i++)
        time_sleep_ms(10);
    ok(!proc_is_alive(&p));
    is_int(proc_reap(&p), 0);
}

static void records(void)
{
    char *path = xasprintf("%s/record", folder);
    struct proc p;
    struct err err = ERR_INIT;
    static const char good[] = "4711 99 11111111-2222-3333-4444-555555555555 1234 5 6 7 8\n";
    static const char *const bad[] = {"",
                                      "x",
                                      "4711",
                                      "1 99 b 1 2 3 4 5\n",
                                      "4711 99 b 1 2 3 4 5x\n",
                                      "-4711 99 b 1 2 3 4 5\n",
                                      "4711 99 b 1 2 3 4"};

    is_int(fs_write_atomic(path, good, strlen(good), 0600, &err), 0);
    is_int(proc_load(path, &p), 0);
    ok(p.pid == 4711 && p.start_ticks == 99 && p.started_ms == 1234 && p.storage.dev == 5 &&
       p.storage.ino == 6 && p.env.dev == 7 && p.env.ino == 8);
    ok(!proc_is_alive(&p));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        is_int(fs_write_atomic(path, bad[i], strlen(bad[i]), 0600, &err), 0);
        is_int(proc_load(path, &p), -1);
        is_int(p.pid, 0);
    }
    unlink(path);
    is_int(proc_load(path, &p), -1);
    free(path);
}

/* A process that is started, seen, signalled and reaped. */
static void spawning(void)
{
    char *record = xasprintf("%s/p.pid", folder), *output = xasprintf("%s/p.out", folder);
    const char *const argv[] = {"/bin/sleep", "60", NULL}, *const none[] = {"/nonexistent/x", NULL};
    struct spawn s = {.argv = argv, .record_path = record, .output_path = output, .lock_fd = 0};
    struct proc p = {0}, q;
    struct err err = ERR_INIT;
    struct stat st;

    s.lock_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    is_int(proc_spawn(&s, &p, &err), 0);
    ok(p.pid > 1 && proc_is_alive(&p) && getsid(p.pid) == p.pid);
    is_int(proc_load(record, &q), 0);
    ok(memcmp(&p, &q, sizeof p) == 0);
    q.start_ticks++;
    ok(!proc_is_alive(&q) && !proc_signal(&q, 9));
    is_int(proc_reap(&p), -1);
    ok(proc_signal(&p, 9));
    for (int i = 0; i < 3000 && proc_is_alive(&p); i++)
        time_sleep_ms(10);
    ok(!proc_is_alive(&p));
    is_int(proc_reap(&p), 9);
    unlink(record);
    s.argv = none;
    is_int(proc_spawn(&s, &p, &err), -1);
    has_str(err.text, "execute /nonexistent/x: ");
    ok(stat(record, &st) < 0);
    close(s.lock_fd);
    unlink(output);
    free(output);
    free(record);
}

static atomic_bool operation_may_end;

static int wait_to_end(struct operation *op, struct problem *pb)
{
    (void)op;
    (void)pb;
    while (!operation_may_end)
        time_sleep_ms(5);
    return 0;
}

/* Who asks for the same joins what is under way; who asks for another thing must wait. */
static void operations_by_mode(void)
{
    struct agent a = {
        .wake_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct service s = {.id = "rg1-rn1"};
    struct operation_start os = {.service = &s, .action = "wipe", .run = wait_to_end, .mode = ""};
    struct problem pb = {.code = PROBLEM_NONE};
    int64_t id;

    pthread_mutex_lock(&a.lock);
    id = operation_begin(&a, &os, &pb);
    ok(id > 0);
    os.mode = NULL;
    is_int(operation_begin(&a, &os, &pb), id);
    os.mode = "identity";
    is_int(operation_begin(&a, &os, &pb), -1);
    is_int(pb.code, PROBLEM_BUSY);
    operation_may_end = true;
    while (a.running_operations > 0)
        pthread_cond_wait(&a.changed, &a.lock);
    is_int(operation_begin(&a, &os, &pb), id + 1);
    while (a.running_operations > 0)
        pthread_cond_wait(&a.changed, &a.lock);
    operations_free(&a);
    pthread_mutex_unlock(&a.lock);
}

static int take_lease(struct agent *a, const char *owner)
{
    struct lease_claim c = {.owner = owner, .plan = 1, .epoch = 1, .ttl_ms = 1};
    struct problem pb = {.code = PROBLEM_NONE};
    int rc = lease_take(a, &c, &pb);

    time_sleep_ms(5); /* it runs out */
    return rc;
}

static int change_with(struct agent *a, const char *header)
{
    struct problem pb = {.code = PROBLEM_NONE};
    int rc = lease_check(a, header, &pb);

    ok(rc == 0 || pb.code == PROBLEM_LEASED);
    return rc;
}

/* Who comes back late does not go on when one of those that came between has changed something. */
static void leases_that_ran_out(void)
{
    char *path = xasprintf("%s/lease.json", folder);
    const struct lease_claim changed = {.owner = "four", .plan = 1, .epoch = 1, .changed = true};
    struct problem pb = {.code = PROBLEM_NONE};
    struct agent a = {.lock = PTHREAD_MUTEX_INITIALIZER, .boot = {.root = folder}},
                 b = {.lock = PTHREAD_MUTEX_INITIALIZER, .boot = {.root = folder}};

    is_int(take_lease(&a, "one"), 0);
    is_int(take_lease(&a, "two"), 0);
    is_int(take_lease(&a, "one"), 0); /* nothing was changed */
    is_int(take_lease(&a, "two"), 0);
    is_int(change_with(&a, "two/1/1"), 0);
    is_int(change_with(&a, "one/1/1"), -1);
    is_int(take_lease(&a, "three"), 0);
    is_int(take_lease(&a, "one"), -1);
    is_int(take_lease(&a, "two"), 0);
    is_int(take_lease(&a, "three"), 0);
    is_int(change_with(&a, "three/1/1"), 0);
    lease_load(&b); /* the agent is another one meanwhile */
    is_int(take_lease(&b, "one"), -1);
    is_int(take_lease(&b, "two"), -1);
    is_int(change_with(&b, "one/1/2"), 0); /* a new attempt */
    is_int(take_lease(&b, "three"), 0);
    is_int(take_lease(&b, "four"), 0);
    is_int(lease_drop(&b, &changed, &pb), 0); /* elsewhere: nobody asked this agent for anything */
    is_int(change_with(&b, "three/1/1"), -1);
    ok(unlink(path) == 0);
    free(path);
}

static void add_event(struct events *e, const char *text)
{
    struct event ev = {SEVERITY_INFO, "test", "x", text, NULL};

    events_add(e, &ev);
}

static void event_file(void)
{
    char *path = xasprintf("%s/events.jsonl", folder), *text;
    struct err err = ERR_INIT;
    struct events *e = events_open(path, &err);
    struct json *page;
    size_t len;
    int fd;

    ok(e != NULL);
    add_event(e, "one");
    add_event(e, "two\nlines");
    page = events_read(e, 0, 10, 0);
    is_int(json_len(json_get(page, "events")), 2);
    is_int(json_int(page, "next", 0), 2);
    json_free(page);
    page = events_read(e, 2, 10, 0);
    is_int(json_len(json_get(page, "events")), 0);
    is_int(json_int(page, "next", 0), 2);
    json_free(page);
    events_free(e);
    fd = open(path, O_WRONLY | O_APPEND);
    ok(write(fd, "{\"seq\":3,\"tex", 13) == 13);
    close(fd);
    e = events_open(path, &err);
    is_int(events_last(e), 2);
    for (int i = 3; i <= EVENTS_KEEP + 5; i++)
        add_event(e, "more");
    page = events_read(e, 0, 3, 0);
    is_int(json_int(json_at(json_get(page, "events"), 0), "seq", 0), 6);
    json_free(page);
    events_shutdown(e);
    events_free(e);
    text = fs_read(path, 1 << 24, &len, &err);
    ok(text && strstr(text, "tex{") == NULL);
    free(text);
    unlink(path);
    free(path);
}

static void log_files(void)
{
    char *dir = xasprintf("%s/log", folder), *path;
    struct stat st;
    struct err err = ERR_INIT;

    is_int(fs_mkdirs(dir, 0700, &err), 0);
    for (int i = 0; i < LOGFILE_KEEP + 2; i++) {
        path = xasprintf("%s/rg1-rn1_0.log", dir);
        is_int(fs_write_atomic(path, "x", 1, 0600, &err), 0);
        free(path);
        logfile_rotate(dir, "rg1-rn1");
    }
    for (int i = 0; i <= LOGFILE_KEEP; i++) {
        path = xasprintf("%s/rg1-rn1_%d.log", dir, i);
        is_int(stat(path, &st) == 0, i > 0 && i < LOGFILE_KEEP);
        unlink(path);
        free(path);
    }
    rmdir(dir);
    free(dir);
}

static void tokens(void)
{
    ok(token_equal("abc", "abc") && !token_equal("abc", "abd") && !token_equal("ab", "abc"));
    ok(!token_equal("abcabc", "abc") && !token_equal("", "abc") && !token_equal("abc", ""));
}

static void tidy(void)
{
    ok(rmdir(folder) == 0);
}

int main(void)
{
    if (!mkdtemp(folder))
        return 1;
    TAP_RUN(TAP_TEST(boot_round_trip), TAP_TEST(boot_refusals), TAP_TEST(finds_redis),
            TAP_TEST(names), TAP_TEST(parameters), TAP_TEST(bodies), TAP_TEST(queries),
            TAP_TEST(route_finding), TAP_TEST(route_documents), TAP_TEST(problems), TAP_TEST(rules),
            TAP_TEST(directories), TAP_TEST(redis_conf), TAP_TEST(proc_stat),
            TAP_TEST(thread_outlives_the_first), TAP_TEST(records), TAP_TEST(spawning),
            TAP_TEST(operations_by_mode), TAP_TEST(leases_that_ran_out), TAP_TEST(event_file),
            TAP_TEST(log_files), TAP_TEST(tokens), TAP_TEST(tidy));
}
