/*
 * The files that an agent finds when it starts, whoever has been at them, and the header that
 * carries a lease. The first byte says which: what follows it is kept or refused with a sentence,
 * and what is kept makes sense.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/clock.h"
#include "agent/lease.h"
#include "agent/redis_decode.h"
#include "agent/services.h"
#include "fuzz.h"
#include "kvsh/fs.h"
#include "kvsh/mem.h"

static char root[64];

static void clean(void)
{
    static const char *const names[] = {"events", "lease.json",  "node.json",
                                        "record", "fuzz/secret", "fuzz/sn1/config.json"};
    static const char *const folders[] = {"fuzz/sn1", "fuzz", ""};
    char path[160];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", root, names[i]);
        unlink(path);
    }
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s/%s", root, folders[i]);
        rmdir(path);
    }
}

/* In memory where there is such a place. */
static void make_root(void)
{
    struct err err = ERR_INIT;
    char path[96];

    if (*root)
        return;
    snprintf(root, sizeof root, "%s/kvsh-fuzz.XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    FUZZ_CHECK(mkdtemp(root) != NULL);
    atexit(clean);
    snprintf(path, sizeof path, "%s/fuzz/sn1", root);
    FUZZ_CHECK(fs_mkdirs(path, 0700, &err) == 0);
}

/* Writes the input under this name. */
static char *put(const char *name, const char *text, size_t len)
{
    char *path = xasprintf("%s/%s", root, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    FUZZ_CHECK(fd >= 0 && write(fd, text, len) == (ssize_t)len);
    close(fd);
    return path;
}

/* Not completed: that asks for addresses. What was read is written so that it is read alike. */
static void boot(const char *text, size_t len)
{
    struct bootconfig b = {.root = NULL}, again = {.root = NULL};
    struct err err = ERR_INIT;
    struct json *j = json_parse(text, len, &err), *one = NULL, *two = NULL;

    if (!j)
        return;
    if (boot_from_json(&b, j, &err) < 0) {
        FUZZ_CHECK(err.code == ERR_INPUT && *err.text);
    } else {
        one = boot_to_json(&b);
        FUZZ_CHECK(boot_from_json(&again, one, &err) == 0);
        two = boot_to_json(&again);
        FUZZ_CHECK(json_equal(one, two));
    }
    json_free(two);
    json_free(one);
    json_free(j);
    boot_release(&again);
    boot_release(&b);
}

static void events(const char *text, size_t len)
{
    struct event ev = {SEVERITY_WARNING, "dir-missing", "rg1-rn1", "is missing", NULL};
    char *path = put("events", text, len);
    struct err err = ERR_INIT;
    struct events *e = events_open(path, &err);
    struct json *page;
    int64_t last;

    FUZZ_CHECK(e != NULL);
    page = events_read(e, 0, EVENTS_PAGE_MAX, 0);
    FUZZ_CHECK(json_is_array(json_get(page, "events")));
    json_free(page);
    last = events_last(e);
    FUZZ_CHECK(last >= 0 && events_add(e, &ev) == last + 1);
    page = events_read(e, last, 10, 0);
    FUZZ_CHECK(json_len(json_get(page, "events")) == 1 && json_int(page, "next", 0) == last + 1);
    json_free(page);
    events_free(e);
    free(path);
}

static struct agent *agent_new(void)
{
    struct agent *a = xcalloc(1, sizeof *a);

    pthread_mutex_init(&a->lock, NULL);
    pthread_mutex_init(&a->metadata_lock, NULL);
    cond_init_monotonic(&a->changed);
    a->boot = (struct bootconfig){.root = xstrdup(root), .ha_first = 1002, .ha_last = 1009};
    a->log = logfile_new(false);
    snprintf(a->store, sizeof a->store, "fuzz");
    snprintf(a->node_id, sizeof a->node_id, "sn1");
    return a;
}

static void agent_end(struct agent *a)
{
    services_free(a);
    logfile_free(a->log);
    boot_release(&a->boot);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->metadata_lock);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

static void lease(struct agent *a, const char *text, size_t len)
{
    const struct lease_claim claim = {.owner = "o", .plan = 1, .epoch = 1};
    struct problem pb = {.code = PROBLEM_NONE};
    struct json *j;

    free(put("lease.json", text, len));
    lease_load(a);
    j = lease_json(a);
    FUZZ_CHECK(json_is_null(j) || json_str(j, "owner"));
    json_free(j);
    FUZZ_CHECK(strlen(a->lease.owner) < sizeof a->lease.owner);
    if (lease_check(a, NULL, &pb) < 0)
        FUZZ_CHECK(pb.code == PROBLEM_LEASED && *pb.detail);
    lease_check(a, "o/1/1", &pb);
    FUZZ_CHECK(lease_drop(a, &claim, &pb) == 0);
}

static void header(struct agent *a, const char *text)
{
    struct problem pb = {.code = PROBLEM_NONE};

    a->lease = (struct lease){.owner = "o", .plan = 1, .epoch = 2, .deadline_ms = INT64_MAX};
    if (lease_check(a, text, &pb) < 0)
        FUZZ_CHECK((pb.code == PROBLEM_INVALID || pb.code == PROBLEM_LEASED) && *pb.detail);
    else
        FUZZ_CHECK(strncmp(text, "o/", 2) == 0);
}

static void services(struct agent *a, const char *text, size_t len)
{
    struct err err = ERR_INIT;

    free(put("fuzz/sn1/config.json", text, len));
    if (services_read(a, &err) < 0) {
        FUZZ_CHECK(err.code == ERR_INPUT && *err.text);
        return;
    }
    for (size_t i = 0; i < a->n_services; i++) {
        const struct service *s = a->services[i];

        if (s->kind == SERVICE_ADMIN) {
            FUZZ_CHECK(name_is_numbered(s->id, "admin"));
            continue;
        }
        FUZZ_CHECK(name_is_rn(s->id) && name_is_numbered(s->shard, "rg") && s->storage_dir);
        FUZZ_CHECK(!s->node_id[0] || redis_id_is_valid(s->node_id));
        FUZZ_CHECK(s->port > 0 && s->port <= 65535 && s->bus_port > 0 && s->bus_port <= 65535);
    }
    err_clear(&err);
    FUZZ_CHECK(services_save(a, &err) == 0);
}

static void registration(struct agent *a, const char *text, size_t len)
{
    char *path = put("node.json", text, len);
    struct err err = ERR_INIT;

    a->store[0] = '\0';
    if (services_load(a, &err) < 0)
        FUZZ_CHECK(err.code == ERR_INPUT && *err.text);
    else
        FUZZ_CHECK(name_is_store(a->store) && name_is_numbered(a->node_id, "sn"));
    unlink(path);
    free(path);
}

static void process(const char *text, size_t len)
{
    char *path = put("record", text, len);
    struct proc p;
    struct proc_stat stat;

    if (proc_load(path, &p) < 0)
        FUZZ_CHECK(p.pid == 0);
    else
        FUZZ_CHECK(p.pid > 0 && strlen(p.boot_id) < sizeof p.boot_id);
    proc_stat_decode(text, &stat);
    free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct agent *a;
    char *text;

    if (size == 0)
        return 0;
    text = xmalloc(size);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    make_root();
    a = agent_new();
    switch (data[0]) {
    case 'b':
        boot(text, size - 1);
        break;
    case 'e':
        events(text, size - 1);
        break;
    case 'h':
        header(a, text);
        break;
    case 'l':
        lease(a, text, size - 1);
        break;
    case 'n':
        registration(a, text, size - 1);
        break;
    case 'p':
        process(text, strlen(text));
        break;
    case 's':
        services(a, text, size - 1);
        break;
    default:
        break;
    }
    agent_end(a);
    free(text);
    return 0;
}
