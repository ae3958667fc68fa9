/*
 * Drives one engine through its contract, a line of JSON per call on stdin and per answer on
 * stdout:
 *
 *   open {endpoint members}   close                     observe {docs}
 *   verify   plan {verb, args}   explain                 pure: each is called twice, "same" tells
 *   perform {task, docs, interruptAfter, forget, deaf}   whether both said the same
 *   settled {task, docs}
 *
 * The call's name is in "do". Every answer has "code" (OK, or an error's), "text" and "advice".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/buf.h"
#include "kvsh/engine.h"
#include "kvsh/fs.h"
#include "kvsh/meta.h"

struct drive {
    const struct engine *engine;
    struct connection *cn;
    struct cluster cluster;
    struct plan plan;
    char **memos; /* by number of task */
};

static const char **strings(const struct json *list, size_t *n)
{
    const char **v = xcalloc(json_len(list) + 1, sizeof *v);

    *n = 0;
    JSON_FOREACH (item, list)
        v[(*n)++] = json_value_str(item);
    return v;
}

static int do_open(struct drive *d, const struct json *call, struct json *answer, struct err *err)
{
    struct endpoint ep = {
        .store = json_str(call, "store"),
        .engine = json_str(call, "engine"),
        .token = json_str(call, "token"),
        .user = json_str(call, "user"),
        .password = json_str(call, "password"),
        .secret_file = json_str(call, "secretFile"),
        .timeout_ms = (int)json_int(call, "timeoutMs", 5000),
    };
    struct json *verbs = json_array();

    ep.nodes = strings(json_get(call, "nodes"), &ep.n_nodes);
    d->engine = engine_by_name(ep.engine);
    d->cn = d->engine ? d->engine->open(&ep, err) : NULL;
    free(ep.nodes);
    for (enum verb v = 0; v < VERB_COUNT && d->engine != NULL; v++) {
        if (d->engine->verbs & VERB_BIT(v))
            json_push_str(verbs, verb_word(v));
    }
    json_set(answer, "verbs", verbs);
    return d->cn ? 0 : -1;
}

static int do_close(struct drive *d, const struct json *call, struct json *answer, struct err *err)
{
    (void)call;
    (void)answer;
    (void)err;
    d->engine->close(d->cn);
    d->cn = NULL;
    return 0;
}

static int do_observe(struct drive *d, const struct json *call, struct json *answer,
                      struct err *err)
{
    struct json *nodes = json_object(), *services = json_object();
    char digest[17];
    int rc;

    cluster_release(&d->cluster);
    rc = meta_to_cluster(json_get(call, "docs"), &d->cluster, err);
    if (rc == 0)
        rc = d->engine->observe(d->cn, json_get(call, "docs"), &d->cluster, err);
    for (size_t i = 0; i < d->cluster.n_nodes; i++)
        json_set_str(nodes, d->cluster.nodes[i].id, status_name(d->cluster.nodes[i].status));
    for (size_t i = 0; i < d->cluster.n_services; i++)
        json_set_str(services, d->cluster.services[i].id,
                     status_name(d->cluster.services[i].status));
    cluster_digest(&d->cluster, digest);
    json_set_str(answer, "digest", digest);
    json_set(answer, "nodes", nodes);
    json_set(answer, "services", services);
    return rc;
}

/* --- the pure parts --- */

static struct json *findings_json(const struct findings *f)
{
    struct json *list = json_array();

    for (size_t i = 0; i < f->n; i++) {
        struct json *row = json_object();
        json_set_str(row, "severity", severity_name(f->v[i].severity));
        json_set_str(row, "rule", f->v[i].rule);
        json_set_str(row, "subject", f->v[i].subject);
        json_set_str(row, "text", f->v[i].text);
        json_set_str(row, "remedy", f->v[i].remedy);
        json_push(list, row);
    }
    return list;
}

static struct json *tasks_json(const struct plan *p)
{
    struct json *list = json_array();

    for (size_t i = 0; i < p->n_tasks; i++) {
        const struct task *t = &p->tasks[i];
        struct json *row = json_object();
        json_set_int(row, "num", t->num);
        json_set_int(row, "wave", t->wave);
        json_set_str(row, "type", t->type);
        json_set_str(row, "target", t->target);
        json_set_str(row, "node", t->node);
        json_set_str(row, "what", t->what);
        json_set_str(row, "why", t->why);
        json_set_str(row, "degrades", t->degrades);
        if (t->args != NULL)
            json_set(row, "args", json_copy(t->args));
        if (t->effects != NULL)
            json_set(row, "effects", json_copy(t->effects));
        json_push(list, row);
    }
    return list;
}

static struct json *verified(struct drive *d)
{
    struct findings f = {0};
    struct json *list;

    d->engine->verify(&d->cluster, &f);
    list = findings_json(&f);
    findings_release(&f);
    return list;
}

static int do_verify(struct drive *d, const struct json *call, struct json *answer, struct err *err)
{
    struct json *again = verified(d);

    (void)call;
    (void)err;
    json_set(answer, "findings", verified(d));
    json_set_bool(answer, "same", json_equal(again, json_get(answer, "findings")));
    json_free(again);
    return 0;
}

/* Checks and expands into *p; what came of it. */
static struct json *planned(struct drive *d, const struct intent *in, struct plan *p,
                            struct err *err)
{
    struct json *all = json_object();
    struct findings f = {0};

    d->engine->check(in, &d->cluster, &f);
    json_set_bool(all, "expanded", d->engine->expand(in, &d->cluster, p, err) == 0);
    json_set(all, "findings", findings_json(&f));
    json_set(all, "tasks", tasks_json(p));
    findings_release(&f);
    return all;
}

static void forget_memos(struct drive *d)
{
    for (size_t i = 0; d->memos != NULL && i <= d->plan.n_tasks; i++)
        free(d->memos[i]);
    free(d->memos);
    d->memos = NULL;
}

static int do_plan(struct drive *d, const struct json *call, struct json *answer, struct err *err)
{
    struct intent in = {.args = json_get(call, "args"), .force = json_bool(call, "force", false)};
    struct plan second = {0};
    struct err again = ERR_INIT;
    struct json *other;

    if (verb_by_word(json_str(call, "verb"), &in.verb) != 0)
        return err_set(err, ERR_USAGE, "no such verb");
    forget_memos(d);
    plan_release(&d->plan);
    d->plan = (struct plan){.id = json_int(call, "id", 1), .verb = in.verb};
    json_set(answer, "plan", planned(d, &in, &d->plan, err));
    other = planned(d, &in, &second, &again);
    json_set_bool(answer, "same",
                  json_equal(other, json_get(answer, "plan")) && err->code == again.code &&
                      strcmp(err->text, again.text) == 0);
    json_free(other);
    plan_release(&second);
    d->memos = xcalloc(d->plan.n_tasks + 1, sizeof *d->memos);
    return err->code == ERR_OK ? 0 : -1;
}

static void add_line(void *arg, const char *text)
{
    json_push_str(arg, text);
}

static struct json *explained(struct drive *d)
{
    struct json *tasks = json_array();

    for (size_t i = 0; i < d->plan.n_tasks; i++) {
        struct json *lines = json_array();
        if (d->engine->explain != NULL)
            d->engine->explain(&d->plan.tasks[i], &d->cluster, add_line, lines);
        json_push(tasks, lines);
    }
    return tasks;
}

static int do_explain(struct drive *d, const struct json *call, struct json *answer,
                      struct err *err)
{
    struct json *again = explained(d);

    (void)call;
    (void)err;
    json_set(answer, "tasks", explained(d));
    json_set_bool(answer, "same", json_equal(again, json_get(answer, "tasks")));
    json_free(again);
    return 0;
}

/* --- perform and settled --- */

struct performing {
    struct perform p; /* first: the engine hands it back */
    struct drive *d;
    int num;
    long interrupt_after; /* how often it may be asked before; -1: never */
    bool deaf;            /* nothing can be noted */
    struct json *events;
};

static void report(struct perform *p, int percent, const char *waiting_for)
{
    (void)p;
    (void)percent;
    (void)waiting_for;
}

static bool interrupted(struct perform *p)
{
    struct performing *x = (struct performing *)p;

    return x->interrupt_after >= 0 && x->interrupt_after-- <= 0;
}

static void event(struct perform *p, const char *severity, const char *text)
{
    struct performing *x = (struct performing *)p;

    (void)severity;
    json_push_str(x->events, text);
}

static int remember(struct perform *p, const char *text)
{
    struct performing *x = (struct performing *)p;

    if (x->deaf)
        return -1;
    free(x->d->memos[x->num]);
    x->d->memos[x->num] = xstrdup(text);
    p->memo = x->d->memos[x->num];
    return 0;
}

static const struct task *task_of(struct drive *d, const struct json *call, struct err *err)
{
    int64_t num = json_int(call, "task", 1);

    if (num >= 1 && (size_t)num <= d->plan.n_tasks)
        return &d->plan.tasks[num - 1];
    err_set(err, ERR_USAGE, "there is no task %lld", (long long)num);
    return NULL;
}

static void prepare(struct performing *x, struct drive *d, const struct json *call, int num)
{
    *x = (struct performing){
        .p = {.report = report,
              .interrupted = interrupted,
              .event = event,
              .remember = remember,
              .memo = d->memos[num],
              .plan_id = d->plan.id,
              .docs = json_get(call, "docs")},
        .d = d,
        .num = num,
        .interrupt_after = json_int(call, "interruptAfter", -1),
        .deaf = json_bool(call, "deaf", false),
        .events = json_array(),
    };
}

static int do_perform(struct drive *d, const struct json *call, struct json *answer,
                      struct err *err)
{
    const struct task *t = task_of(d, call, err);
    int64_t since = time_mono_ms();
    struct performing x;
    int rc;

    if (t == NULL)
        return -1;
    if (json_bool(call, "forget", false)) {
        free(d->memos[t->num]);
        d->memos[t->num] = NULL;
    }
    prepare(&x, d, call, t->num);
    rc = d->engine->perform(d->cn, t, &x.p, err);
    json_set_int(answer, "ms", time_mono_ms() - since);
    json_set_str(answer, "result", x.p.result);
    json_set_str(answer, "memo", d->memos[t->num]);
    json_set(answer, "events", x.events);
    return rc;
}

static int do_settled(struct drive *d, const struct json *call, struct json *answer,
                      struct err *err)
{
    static const char *const words[] = {
        [SETTLED_NO] = "no", [SETTLED_YES] = "yes", [SETTLED_UNKNOWN] = "unknown"};
    const struct task *t = task_of(d, call, err);
    struct performing x;

    if (t == NULL)
        return -1;
    prepare(&x, d, call, t->num);
    json_set_str(answer, "settled", words[d->engine->settled(d->cn, t, &x.p, err)]);
    json_free(x.events);
    return 0;
}

/* --- calls --- */

static const struct {
    const char *name;
    int (*run)(struct drive *d, const struct json *call, struct json *answer, struct err *err);
} calls[] = {
    {"open", do_open}, {"close", do_close},     {"observe", do_observe}, {"verify", do_verify},
    {"plan", do_plan}, {"explain", do_explain}, {"perform", do_perform}, {"settled", do_settled},
};

static void serve(struct drive *d, const char *line)
{
    struct err err = ERR_INIT;
    struct json *call = json_parse(line, strlen(line), &err), *answer = json_object();
    const char *name = json_str(call, "do");
    char *text;

    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (name != NULL && strcmp(calls[i].name, name) == 0)
            json_set_bool(answer, "good", calls[i].run(d, call, answer, &err) == 0);
    }
    json_set_str(answer, "code", err_name(err.code));
    json_set_int(answer, "status", err_exit_status(err.code));
    json_set_str(answer, "text", err.text);
    json_set_str(answer, "advice", err.advice);
    text = json_print(answer);
    puts(text);
    fflush(stdout);
    free(text);
    json_free(answer);
    json_free(call);
}

int main(void)
{
    struct drive d = {0};
    char *line = NULL;
    size_t size = 0;

    while (getline(&line, &size, stdin) > 0)
        serve(&d, line);
    free(line);
    forget_memos(&d);
    plan_release(&d.plan);
    cluster_release(&d.cluster);
    if (d.cn != NULL)
        d.engine->close(d.cn);
    return 0;
}
