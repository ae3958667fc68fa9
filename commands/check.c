#include <stdlib.h>
#include <string.h>

#include "cli/suggest.h"
#include "commands/session.h"
#include "commands/tables.h"
#include "kvsh/run.h"
#include "kvsh/safety.h"

/* check: could these be stopped, restarted, removed or failed over now? A question; nothing
 * changes. */
struct opts {
    const char *what;
    struct words services;
    int64_t max;
};

enum { FINDINGS_SHOWN = 20 };

static const char *const whats[] = {"stop", "restart", "remove", "failover", NULL};
/* The verb that is judged; and the one that tells how many can be away at once. */
static const struct {
    enum verb verb, at_once;
} verbs[] = {{VERB_STOP_SERVICE, VERB_STOP_SERVICE},
             {VERB_RESTART_SERVICE, VERB_STOP_SERVICE},
             {VERB_REMOVE_NODE, VERB_REMOVE_NODE},
             {VERB_FAILOVER, VERB_FAILOVER}};

static const struct opt options[] = {
    OPT_CHOICE(struct opts, what, "what", "what is to be done to them", .choices = whats,
               .flags = OPT_POSITIONAL | OPT_REQUIRED),
    OPT_LIST(struct opts, services, "service", "a service; may be given several times",
             .value = "ID", .flags = OPT_REQUIRED, .complete = COMPLETE_SERVICE),
    OPT_INT(struct opts, max, "max", "also which could go at once with them, so many in all",
            .min = 1, .max = 100000),
    OPT_END,
};

static const struct out_col cols[] = {
    {"operation", "OPERATION", OUT_STR, "what was asked about"},
    {"services", "SERVICES", OUT_LIST, "the services asked about"},
    {"safe", "SAFE", OUT_BOOL, "could it be done to all of them at once"},
    {"answer", NULL, OUT_STR, "the same in words"},
    {"atOnce", "AT ONCE", OUT_INT, "with -max: how many could go at once"},
    {"together", "TOGETHER", OUT_LIST, "with -max: which"},
    {0},
};
static const struct out_table table = {
    .cols = cols,
    .single = true,
    .text = "{operation} {services}: {answer}{?together|\nat once {atOnce}: {together}}",
};
static const struct out_table *const tables[] = {&table, &table_preview_findings, NULL};

/* --- the question --- */

static int find_services(const struct cluster *c, const struct words *ids, struct err *err)
{
    for (size_t i = 0; i < ids->n; i++) {
        struct suggest near;

        if (cluster_service(c, ids->v[i]) != NULL)
            continue;
        suggest_init(&near, ids->v[i]);
        for (size_t k = 0; k < c->n_services; k++)
            suggest_add(&near, c->services[k].id);
        err_set(err, ERR_INPUT, "there is no service %s in store %s", ids->v[i], c->store);
        if (near.n > 0)
            return err_advise(err, "did you mean %s?", near.best[0]);
        return err_advise(err, "'show topology' lists the services");
    }
    return 0;
}

static int check_verb(const struct engine *e, enum verb verb, struct err *err)
{
    if ((e->verbs | e->checks) & VERB_BIT(verb))
        return 0;
    return err_set(err, ERR_INPUT, "a store of engine %s has no rules for %s", e->name,
                   verb_word(verb));
}

static int find_what(const char *word)
{
    int i = 0;

    while (strcmp(whats[i], word) != 0)
        i++;
    return i;
}

/* --- the answer --- */

/* The gravest first, so that one screen holds what matters. */
static void out_findings(struct out *out, const struct findings *f)
{
    size_t shown = 0;

    for (int severity = SEVERITY_FATAL; severity >= SEVERITY_NOTE; severity--) {
        for (size_t i = 0; i < f->n; i++) {
            if ((int)f->v[i].severity == severity && shown++ < FINDINGS_SHOWN)
                out_finding(out, &f->v[i]);
        }
    }
    if (shown > FINDINGS_SHOWN)
        out_note(out, "%zu more findings are not shown", shown - FINDINGS_SHOWN);
}

/* Those asked about, when they are safe, and what could go with them; else which of them could. */
static void out_together(struct out_row *row, const struct safety *s, const struct opts *o,
                         bool safe)
{
    struct arena a = {0};
    const char **others = NULL, **all;
    size_t n = o->services.n, n_others = 0, count;
    bool *chosen;

    if (safe)
        others = safety_candidates(s->cluster, o->services.v, o->services.n, &a, &n_others);
    all = arena_alloc(&a, (n + n_others + 1) * sizeof *all);
    chosen = arena_alloc(&a, (n + n_others + 1) * sizeof *chosen);
    memcpy(all, o->services.v, n * sizeof *all);
    for (size_t i = 0; i < n_others; i++)
        all[n++] = others[i];
    count = safety_together(s, all, n, (size_t)o->max, chosen);
    out_int(row, "atOnce", (int64_t)count);
    for (size_t i = 0; i < n; i++) {
        if (chosen[i])
            out_item(row, "together", all[i]);
    }
    if (count == 0)
        out_item(row, "together", "none");
    arena_release(&a);
}

static const struct finding *worst_of(const struct findings *f)
{
    const struct finding *worst = NULL;

    for (size_t i = 0; i < f->n; i++) {
        if (worst == NULL || f->v[i].severity > worst->severity)
            worst = &f->v[i];
    }
    return worst;
}

static int answer(const struct safety *s, const struct safety *at_once, const struct opts *o,
                  struct out *out, struct err *err)
{
    struct out_row *row = out_row(out, &table);
    struct findings f = {0};
    const struct finding *worst;
    bool safe;

    safety_ask(s, o->services.v, o->services.n, &f);
    worst = worst_of(&f);
    safe = worst == NULL || worst->severity < SEVERITY_BLOCK;
    out_str(row, "operation", o->what);
    for (size_t i = 0; i < o->services.n; i++)
        out_item(row, "services", o->services.v[i]);
    out_bool(row, "safe", safe);
    out_str(row, "answer", safe ? "safe" : "not safe");
    if (o->max > 0)
        out_together(row, at_once, o, safe);
    out_findings(out, &f);
    if (!safe) {
        err_set(err, ERR_REFUSED, "%s would be refused by rule %s", o->what, worst->rule);
        if (worst->remedy != NULL)
            err_advise(err, "%s", worst->remedy);
    }
    findings_release(&f);
    return safe ? 0 : -1;
}

/* With -max any service may come into question. */
static int inquire(struct session *s, const struct opts *o, enum verb verb, struct cluster *c,
                   struct err *err)
{
    const struct engine *e = session_engine(s, err);
    struct json *args = json_object(), *list = json_array();
    const struct intent in = {.verb = verb, .args = args};
    int rc;

    for (size_t i = 0; o->max > 0 && i < c->n_services; i++)
        json_push_str(list, c->services[i].id);
    for (size_t i = 0; o->max == 0 && i < o->services.n; i++)
        json_push_str(list, o->services.v[i]);
    json_set(args, "services", list);
    rc = plan_inquire(e, session_connection(s, err), &in, c, err);
    json_free(args);
    return rc;
}

/* What it has taken out, it will bring back. */
static void note_other(struct session *s, const struct cluster *c, struct out *out)
{
    struct err ignored = ERR_INIT;
    struct journal *j = session_journal(s, &ignored);
    const struct node *n = j ? store_leased(j, c) : NULL;

    if (n != NULL)
        out_note(out,
                 "plan %lld of %s is changing the store; the answer may be another one when it has "
                 "ended",
                 (long long)n->lease_plan, n->lease_owner);
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    const struct engine *e = session_engine(s, err);
    const int what = find_what(o->what);
    struct cluster c = {0};
    struct safety safety = {.cluster = &c, .verb = verbs[what].verb}, at_once;
    int rc = -1;

    if (e == NULL || check_verb(e, safety.verb, err) != 0 || session_observe(s, &c, err) != 0 ||
        find_services(&c, &o->services, err) != 0 || inquire(s, o, safety.verb, &c, err) != 0)
        goto out;
    safety.check = e->check;
    at_once = safety;
    at_once.verb = verbs[what].at_once;
    note_other(s, &c, out);
    rc = answer(&safety, &at_once, o, out, err);
out:
    cluster_release(&c);
    return rc;
}

static const char *const examples[] = {
    "check stop -service rg1-rn2",
    "check stop -service rg1-rn2 -max 10",
    "check failover -service rg1-rn2 -json",
    NULL,
};

const struct cmd cmd_check = {
    .name = "check",
    .summary = "ask whether services could be stopped, restarted, removed or failed over",
    .description =
        "Looks at the store and answers by the rules that plans are held to: exit status 0 when it "
        "would be safe, 10 when it would be refused. Nothing is changed, and the answer is one of "
        "this moment; the plan asks again.\n\n"
        "With -max N also says how many could go at once: the services named and others, those of "
        "the same node and zone first, up to N in all. When the services named are too many, which "
        "of them could.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
