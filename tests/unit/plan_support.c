#include "plan_support.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvsh/buf.h"
#include "kvsh/fault.h"
#include "kvsh/fs.h"
#include "kvsh/mem.h"

/* What the tests set up themselves must work. */
static void must(bool good, const char *what, const struct err *err)
{
    if (good)
        return;
    printf("Bail out! %s: %s\n", what, err != NULL ? err->text : "");
    exit(1);
}

struct json *parsed(const char *text)
{
    struct err err = ERR_INIT;
    struct json *j = json_parse(text, strlen(text), &err);

    must(j != NULL, text, &err);
    return j;
}

/* --- the world --- */

void world_add(const char *world, const char *fmt, ...)
{
    int fd = open(world, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    va_list ap;
    char *text, *line;

    va_start(ap, fmt);
    text = xvasprintf(fmt, ap);
    va_end(ap);
    line = xasprintf("%s\n", text);
    must(fd >= 0 && write(fd, line, strlen(line)) == (ssize_t)strlen(line), world, NULL);
    close(fd);
    free(line);
    free(text);
}

static char *world_read(const char *world)
{
    struct err err = ERR_INIT;
    char *text = fs_read(world, 1 << 24, NULL, &err);

    return text != NULL ? text : xstrdup("");
}

int world_count(const char *world, const char *line)
{
    char *text = world_read(world), *save = NULL;
    int n = 0;

    for (char *l = strtok_r(text, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save))
        n += strcmp(l, line) == 0;
    free(text);
    return n;
}

enum { TARGETS_MAX = 64, TARGET_LEN = 32 };

struct seen {
    char target[TARGET_LEN];
    bool performed;
};

/* Is the line of that kind? Then target gets the word after it. */
static bool says(const char *line, const char *kind, char target[TARGET_LEN])
{
    size_t len = strlen(kind);

    if (strncmp(line, kind, len) != 0)
        return false;
    snprintf(target, TARGET_LEN, "%.*s", (int)strcspn(line + len, " "), line + len);
    return true;
}

static struct seen *find_seen(struct seen *all, const char *target)
{
    for (int i = 0; i < TARGETS_MAX; i++) {
        if (all[i].target[0] == '\0')
            snprintf(all[i].target, TARGET_LEN, "%s", target);
        if (strcmp(all[i].target, target) == 0)
            return &all[i];
    }
    must(false, "too many targets", NULL);
    return NULL;
}

bool world_is_careful(const char *world)
{
    struct seen all[TARGETS_MAX] = {0};
    char *text = world_read(world), *save = NULL, target[TARGET_LEN];
    bool careful = true;

    for (char *l = strtok_r(text, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save)) {
        if (says(l, "settled ", target) || says(l, "refused ", target)) {
            find_seen(all, target)->performed = false;
        } else if (says(l, "perform ", target)) {
            careful &= !find_seen(all, target)->performed;
            find_seen(all, target)->performed = true;
        }
    }
    free(text);
    return careful;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

char *world_done(const char *world)
{
    char names[TARGETS_MAX][TARGET_LEN] = {{0}};
    char *text = world_read(world), *save = NULL;
    struct buf out;
    int n = 0;

    for (char *l = strtok_r(text, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save))
        n += n < TARGETS_MAX && says(l, "done ", names[n]);
    qsort(names, (size_t)n, TARGET_LEN, compare_names);
    buf_init(&out, 0);
    for (int i = 0; i < n; i++) {
        if (i == 0 || strcmp(names[i], names[i - 1]) != 0)
            buf_addf(&out, "%s\n", names[i]);
    }
    free(text);
    text = buf_take(&out);
    buf_release(&out);
    return text;
}

/* --- the engine --- */

struct connection {
    const char *world;
};

static struct connection *fake_open(const struct endpoint *ep, struct err *err)
{
    struct connection *cn;

    if (world_count(ep->nodes[0], "nobody answers") > 0) {
        err_set(err, ERR_UNREACHABLE, "connect to the world: connection refused");
        return NULL;
    }
    cn = xcalloc(1, sizeof *cn);
    cn->world = ep->nodes[0];
    return cn;
}

static void fake_close(struct connection *cn)
{
    free(cn);
}

static int times(struct connection *cn, const char *what, const struct task *t)
{
    char *line = xasprintf("%s %s", what, t->target);
    int n = world_count(cn->world, line);

    free(line);
    return n;
}

static int lose(const struct task *t, struct err *err)
{
    return err_set(err, ERR_IN_DOUBT, "%s: the answer was lost", t->target);
}

static int take_time(const struct task *t, struct perform *p, struct err *err)
{
    int64_t end = time_mono_ms() + json_int(t->args, "sleepMs", 0);

    for (int i = 0; time_mono_ms() < end; i++) {
        p->report(p, i % 100, "the clock");
        if (p->interrupted(p) && !json_bool(t->args, "deaf", false))
            return err_set(err, ERR_INTERRUPTED, "%s: interrupted in the middle", t->target);
        time_sleep_ms(2);
    }
    return 0;
}

static int fake_perform(struct connection *cn, const struct task *t, struct perform *p,
                        struct err *err)
{
    int n;

    world_add(cn->world, "perform %s", t->target);
    n = times(cn, "perform", t);
    fault_point("exchange.before");
    if (json_bool(t->args, "tells", false))
        p->event(p, "info", "POST /start: 202");
    if (json_bool(t->args, "remembers", false)) {
        world_add(cn->world, "memo %s", p->memo ? p->memo : "none");
        if (p->remember(p, n == 1 ? "operation 1" : "operation 2") != 0)
            return err_set(err, ERR_FAILED, "not remembered");
        world_add(cn->world, "memo %s", p->memo);
    }
    if (n <= json_int(t->args, "fails", 0)) {
        world_add(cn->world, "refused %s", t->target);
        err_set(err, ERR_UNREACHABLE, "connect to %s: connection refused", t->node);
        return err_advise(err, "start the agent of %s", t->node);
    }
    if (take_time(t, p, err) < 0)
        return -1;
    if (n <= json_int(t->args, "losesBefore", 0))
        return lose(t, err);
    world_add(cn->world, "done %s", t->target);
    fault_point("exchange.after");
    if (n <= json_int(t->args, "losesAfter", 0))
        return lose(t, err);
    snprintf(p->result, sizeof p->result, "%s is up", t->target);
    return 0;
}

static enum settled fake_settled(struct connection *cn, const struct task *t, struct perform *p,
                                 struct err *err)
{
    enum settled answer = times(cn, "done", t) > 0 ? SETTLED_YES : SETTLED_NO;

    (void)p;
    fault_point("look.before");
    if (times(cn, "settled-unknown", t) < json_int(t->args, "cannotTell", 0)) {
        world_add(cn->world, "settled-unknown %s", t->target);
        err_set(err, ERR_UNREACHABLE, "%s does not answer", t->target);
        return SETTLED_UNKNOWN;
    }
    world_add(cn->world, "settled %s %s", t->target, answer == SETTLED_YES ? "yes" : "no");
    fault_point("look.after");
    return answer;
}

static int fake_publish(struct connection *cn, const struct json *docs, int64_t version,
                        struct err *err)
{
    (void)docs;
    if (world_count(cn->world, "admins are away") > 0)
        return err_set(err, ERR_UNREACHABLE, "admin1 does not answer");
    world_add(cn->world, "publish %lld", (long long)version);
    return 0;
}

void world_leased(const char *world, int looks)
{
    for (int i = 0; i < looks; i++)
        world_add(world, "leased");
}

static void see_lease(struct connection *cn, struct cluster *c)
{
    if (c->n_nodes == 0 || world_count(cn->world, "leased") <= world_count(cn->world, "lease seen"))
        return;
    world_add(cn->world, "lease seen");
    c->nodes[0].lease_owner = "a@b#1";
    c->nodes[0].lease_plan = 7;
}

static int fake_observe(struct connection *cn, const struct json *docs, struct cluster *c,
                        struct err *err)
{
    (void)docs;
    if (world_count(cn->world, "nothing can be said") > 0)
        return err_set(err, ERR_UNREACHABLE, "no node answers");
    for (size_t i = 0; i < c->n_services; i++) {
        char *line = xasprintf("done %s", c->services[i].id);
        c->services[i].status =
            world_count(cn->world, line) > 0 ? STATUS_RUNNING : STATUS_UNREACHABLE;
        free(line);
    }
    see_lease(cn, c);
    c->observed_ms = time_now_ms();
    return 0;
}

static void fake_check(const struct intent *in, const struct cluster *c, struct findings *f)
{
    findings_add(f, SEVERITY_NOTE, "note", "rg1", "all is well");
    if (json_bool(in->args, "block-while-leased", false) && cluster_leased(c, "") != NULL)
        findings_add(f, SEVERITY_BLOCK, "second-node", "sn2", "sn2 is out already");
    if (json_bool(in->args, "warn", false))
        findings_add(f, SEVERITY_VIOLATION, "lonely", "rg1", "rg1 has 1 copy of 3");
    if (json_bool(in->args, "block", false)) {
        findings_add(f, SEVERITY_BLOCK, "majority", "rg1", "1 of 3 primaries would be left");
        findings_remedy(f, "start rg1-rn2 first");
    }
    if (json_bool(in->args, "leaveOut", false)) {
        findings_add(f, SEVERITY_BLOCK, "evidence", "rg1", "rg1-rn2 is not recovered");
        findings_remedy(f, "stop it; -force -reason TEXT recovers the others");
    }
    if (json_bool(in->args, "fatal", false))
        findings_add(f, SEVERITY_FATAL, "last-copy", "rg1", "the last copy of rg1 would be lost");
}

static int fake_expand(const struct intent *in, const struct cluster *c, struct plan *p,
                       struct err *err)
{
    int64_t n = json_int(in->args, "tasks", 1);

    (void)c;
    if (n < 0)
        return err_set(err, ERR_INPUT, "%lld tasks make no sense", (long long)n);
    for (int64_t i = 0; i < n; i++)
        plan_add_task(p, 1, "start", "rg1-rn1", "sn1");
    return 0;
}

static int fake_events(struct connection *cn, const struct json *docs, struct json **cursors,
                       void (*add)(void *arg, const struct node_event *ev), void *arg,
                       struct err *err)
{
    struct node_event ev = {.node = "sn1",
                            .severity = "error",
                            .kind = "dir-missing",
                            .subject = "rg1-rn1",
                            .text = "directory /d1 is missing",
                            .advice = "replace the disk"};
    int64_t seq = json_int(*cursors, "sn1", 0);

    (void)docs;
    if (world_count(cn->world, "nobody answers") > 0)
        return err_set(err, ERR_UNREACHABLE, "sn1 does not answer");
    for (int i = 0; i < 3; i++) {
        ev.seq = ++seq;
        ev.time_ms = 1000000 + seq;
        add(arg, &ev);
    }
    json_set_int(*cursors, "sn1", seq);
    return 0;
}

const struct engine fake_engine = {
    .name = "fake",
    .verbs = VERB_BIT(VERB_START_SERVICE) | VERB_BIT(VERB_STOP_SERVICE),
    .open = fake_open,
    .close = fake_close,
    .observe = fake_observe,
    .check = fake_check,
    .expand = fake_expand,
    .perform = fake_perform,
    .settled = fake_settled,
    .publish = fake_publish,
    .events = fake_events,
};

/* --- the bench --- */

void bench_begin(struct bench *b)
{
    const char *tmp = getenv("TMPDIR");
    struct err err = ERR_INIT;

    *b = (struct bench){0};
    snprintf(b->dir, sizeof b->dir, "%s/kvsh-plan.XXXXXX",
             tmp != NULL && strlen(tmp) < 32 ? tmp : "/tmp");
    must(mkdtemp(b->dir) != NULL, b->dir, NULL);
    snprintf(b->world, sizeof b->world, "%s/world", b->dir);
    b->nodes[0] = b->world;
    b->endpoint = (struct endpoint){
        .store = "fake", .engine = "fake", .nodes = b->nodes, .n_nodes = 1, .timeout_ms = 1000};
    b->journal = journal_open(b->dir, true, &err);
    must(b->journal != NULL, "open the journal", &err);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void bench_end(struct bench *b)
{
    journal_close(b->journal);
    nftw(b->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void bench_reopen(struct bench *b)
{
    struct err err = ERR_INIT;

    journal_close(b->journal);
    b->journal = journal_open(b->dir, false, &err);
    must(b->journal != NULL, "open the journal again", &err);
}

void plan_of(struct plan *p, enum verb verb, int n, int width, const char *args)
{
    char target[TARGET_LEN];

    p->verb = verb;
    p->state = PLAN_APPROVED;
    for (int i = 0; i < n; i++) {
        struct json *effects = json_array(), *effect = json_object(), *doc = json_object();
        struct task *t;

        snprintf(target, sizeof target, "t%d", i + 1);
        t = plan_add_task(p, i / width + 1, "start", target, "sn1");
        task_what(p, t, "start %s on sn1", target);
        if (args != NULL)
            t->args = plan_own(p, parsed(args));
        json_set_int(doc, "task", i + 1);
        json_set_str(doc, "by", "@plan");
        json_set_str(effect, "kind", "thing");
        json_set_str(effect, "name", target);
        json_set(effect, "doc", doc);
        json_push(effects, effect);
        t->effects = plan_own(p, effects);
    }
}

int64_t stored_plan(struct bench *b, int n, int width, const char *args)
{
    struct err err = ERR_INIT;
    struct plan p = {0};
    int64_t id;

    plan_of(&p, VERB_START_SERVICE, n, width, args);
    must(journal_plan_create(b->journal, &p, &err) == 0, "create a plan", &err);
    id = p.id;
    plan_release(&p);
    return id;
}

int execute(struct bench *b, int64_t id, struct err *err)
{
    struct plan_lock lock = {.fd = -1};
    struct executor x = {.journal = b->journal,
                         .engine = &fake_engine,
                         .endpoint = &b->endpoint,
                         .plan_id = id,
                         .ready_fd = -1,
                         .pause_ms = 2};
    int rc = -1;

    err_clear(err);
    if (lock_store(&lock, b->journal, 0, err) == 0 && lock_plan(&lock, b->journal, id, err) == 0)
        rc = executor_run(&x, err);
    lock_release(&lock);
    return rc;
}

enum plan_state state_of(struct bench *b, int64_t id)
{
    return journal_plan_state(b->journal, id);
}

enum task_state task_of(struct bench *b, int64_t id, int num)
{
    struct err err = ERR_INIT;
    struct plan p = {0};
    enum task_state state;

    must(journal_plan_load(b->journal, id, &p, &err) == 0, "load a plan", &err);
    state = p.tasks[num - 1].state;
    plan_release(&p);
    return state;
}

bool wait_state(struct bench *b, int64_t id, enum plan_state want)
{
    for (int i = 0; i < 2000; i++) {
        if (state_of(b, id) == want)
            return true;
        time_sleep_ms(5);
    }
    return false;
}

struct search {
    const char *part;
    int n;
};

static void match(void *arg, const struct event *ev)
{
    struct search *s = arg;

    s->n += strstr(ev->text, s->part) != NULL;
}

int events_like(struct bench *b, int64_t plan_id, const char *part)
{
    struct event_filter f = {.plan_id = plan_id};
    struct search s = {.part = part};
    struct err err = ERR_INIT;

    must(journal_event_list(b->journal, &f, match, &s, &err) == 0, "list events", &err);
    return s.n;
}
