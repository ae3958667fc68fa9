#include <stdlib.h>
#include <string.h>

#include "kvsh/buf.h"
#include "kvsh/fs.h"
#include "kvsh/http.h"
#include "kvsh/mem.h"
#include "kvsh/meta.h"
#include "kvsh/run.h"

enum {
    CHANGES_MAX = 5, /* named in a refusal */
    NAP_MS = 500,    /* between two looks while another machine's plan is waited for */
};

/* --- observing --- */

/* {"rg1-rn1": "RUNNING", ...}, made as text: setting members one by one takes quadratic time. */
static struct json *service_states(const struct cluster *c)
{
    struct err err = ERR_INIT;
    struct json *id, *states;
    struct buf b;
    char *quoted;

    buf_init(&b, 0);
    for (size_t i = 0; i < c->n_services; i++) {
        id = json_string(c->services[i].id);
        quoted = json_print(id);
        buf_addf(&b, "%c%s:\"%s\"", i == 0 ? '{' : ',', quoted, status_name(c->services[i].status));
        free(quoted);
        json_free(id);
    }
    buf_adds(&b, c->n_services > 0 ? "}" : "{}");
    states = json_parse(b.data, b.len, &err);
    buf_release(&b);
    return states;
}

/* A foreign store seen for the first time: from now on another one at its address is refused. */
static void keep_identity(struct journal *j, const struct cluster *c)
{
    const struct json *known = meta_doc(c->doc, "store", "store");
    struct json *effects, *doc;
    struct err ignored = ERR_INIT;

    if (c->identity == NULL || json_str(known, "uuid") != NULL)
        return;
    effects = json_array();
    doc = known ? json_copy(known) : json_object();
    json_set_str(doc, "name", c->store);
    json_set_str(doc, "engine", c->engine);
    json_set_str(doc, "uuid", c->identity);
    meta_effect(effects, "store", "store", doc);
    journal_apply(j, effects, &ignored);
    json_free(effects);
}

int store_observe(struct journal *j, const struct engine *e, struct connection *cn,
                  struct cluster *c, struct err *err)
{
    struct err ignored = ERR_INIT;
    struct json *docs = NULL, *states;
    int rc = -1;

    if (journal_docs(j, &docs, &c->metadata_version, err) < 0 ||
        meta_to_cluster(docs, c, err) < 0 || e->observe(cn, docs, c, err) < 0)
        goto out;
    /* What was given up says nothing of the nodes, and must not be remembered. */
    if (http_stopped()) {
        err_set(err, ERR_SIGINT, "interrupted while asking the nodes; nothing was begun");
        goto out;
    }
    if (c->observed_ms == 0)
        c->observed_ms = time_now_ms();
    /* Remembering serves completion and "since when"; a full disk must not keep the operator from
     * looking. */
    states = service_states(c);
    keep_identity(j, c);
    if (states != NULL)
        journal_observed(j, c->observed_ms, states, &ignored);
    json_free(states);
    rc = 0;
out:
    json_free(docs);
    return rc;
}

/* --- what the nodes' watches saw --- */

struct collected {
    struct arena arena;
    struct event *events;
    int64_t *seqs;
    size_t n_events, n_seqs;
};

static void collect(void *arg, const struct node_event *ev)
{
    struct collected *c = arg;
    struct arena *a = &c->arena;

    *ARENA_PUSH(a, c->seqs, c->n_seqs) = ev->seq;
    *ARENA_PUSH(a, c->events, c->n_events) = (struct event){
        .time_ms = ev->time_ms,
        .severity = arena_strdup(a, ev->severity),
        .who = arena_strdup(a, ev->node),
        .kind = arena_strdup(a, ev->kind),
        .subject = arena_strdup(a, ev->subject),
        .text = ev->advice != NULL ? arena_printf(a, "%s; %s", ev->text, ev->advice)
                                   : arena_strdup(a, ev->text),
    };
}

int store_fetch_events(struct journal *j, const struct engine *e, struct connection *cn,
                       struct err *err)
{
    struct json *docs = NULL, *cursors = NULL;
    struct collected c = {0};
    int rc = -1;

    if (e->events == NULL)
        return 0;
    if (journal_docs(j, &docs, NULL, err) < 0 || journal_cursors(j, &cursors, err) < 0 ||
        e->events(cn, docs, &cursors, collect, &c, err) < 0)
        goto out;
    rc = journal_node_events(j, c.events, c.seqs, c.n_events, cursors, err);
out:
    arena_release(&c.arena);
    json_free(cursors);
    json_free(docs);
    return rc;
}

/* --- checking --- */

static const struct finding *worst_finding(const struct findings *f)
{
    const struct finding *worst = NULL;

    for (size_t i = 0; i < f->n; i++) {
        if (worst == NULL || f->v[i].severity > worst->severity)
            worst = &f->v[i];
    }
    return worst;
}

/* May the operator override this? */
static bool is_overridden(const struct finding *one, const struct intent *in)
{
    switch (one->severity) {
    case SEVERITY_BLOCK:
        return in->force;
    case SEVERITY_CONFIRM:
        return in->force && in->confirmed;
    default:
        return one->severity < SEVERITY_BLOCK;
    }
}

/* The remedy, and how the operator takes it upon himself where that is possible; a remedy may say
 * itself what -force is good for. */
static int say_way_out(const struct finding *one, struct err *err)
{
    const char *remedy = one->remedy != NULL ? one->remedy : "", *between = *remedy ? "; " : "";

    if (strstr(remedy, "-force -reason TEXT") != NULL)
        return err_advise(err, "%s", remedy);
    switch (one->severity) {
    case SEVERITY_BLOCK:
        return err_advise(err, "%s%s-force -reason TEXT does it all the same", remedy, between);
    case SEVERITY_CONFIRM:
        return err_advise(err, "%s%s-force -reason TEXT -confirm STORENAME does it all the same",
                          remedy, between);
    default:
        return *remedy ? err_advise(err, "%s", remedy) : -1;
    }
}

static int refuse_if_bad(const struct findings *f, const struct intent *in, struct err *err)
{
    const struct finding *worst = worst_finding(f);

    if (worst == NULL || is_overridden(worst, in))
        return 0;
    err_set(err, ERR_REFUSED, "refused: %s (rule %s)", worst->text, worst->rule);
    return say_way_out(worst, err);
}

static void note_findings(struct plan *p, const struct findings *f)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct finding *one = &f->v[i];

        if (one->severity == SEVERITY_NOTE)
            continue;
        *ARENA_PUSH(&p->arena, p->notes, p->n_notes) = arena_printf(
            &p->arena, "%s%s (rule %s)",
            one->severity >= SEVERITY_BLOCK ? "overridden by force: " : "", one->text, one->rule);
    }
}

int plan_fits(const struct engine *e, enum verb verb, struct err *err)
{
    struct buf words;

    if (e->verbs & VERB_BIT(verb))
        return 0;
    buf_init(&words, sizeof err->advice / 2);
    for (int v = 0; v < VERB_COUNT; v++) {
        if (e->verbs & VERB_BIT(v))
            buf_addf(&words, "%s%s", words.len > 0 ? ", " : "", verb_word((enum verb)v));
    }
    err_set(err, ERR_INPUT, "a store of engine %s has no plan %s", e->name, verb_word(verb));
    if (words.len > 0)
        err_advise(err, "it has: %s", words.data);
    buf_release(&words);
    return -1;
}

int plan_inquire(const struct engine *e, struct connection *cn, const struct intent *in,
                 struct cluster *c, struct err *err)
{
    if (e->inquire == NULL || e->inquire(cn, in, c, err) == 0)
        return 0;
    return -1;
}

/* --- while a plan of another machine is changing the store --- */

const struct node *store_leased(struct journal *j, const struct cluster *c)
{
    char *mine = journal_owner(j);
    const struct node *n = cluster_leased(c, mine);

    free(mine);
    return n;
}

/* A refusal that may be that plan's doing becomes one by it. Returns -1. */
static int blame_other(const struct planner *pl, enum verb verb, const struct cluster *c,
                       struct err *err)
{
    const struct err why = *err;
    const struct node *n = NULL;

    if ((why.code == ERR_REFUSED || why.code == ERR_STALE) && !pl->takeover &&
        verb_changes_store(verb))
        n = store_leased(pl->journal, c);
    if (n == NULL)
        return -1;
    err_set(err, ERR_LOCKED, "plan %lld of %s is changing the store; as it stands, %s",
            (long long)n->lease_plan, n->lease_owner, why.text);
    return err_advise(err, "repeat when that one has ended, or give -lock-wait SECONDS; when its "
                           "machine is dead, add -takeover -reason TEXT");
}

/* Another look? Only while such a plan is in the way, and within the time. */
static bool wait_for_other(const struct planner *pl, int64_t deadline, struct err *err)
{
    int64_t left = deadline - time_mono_ms();

    if (err->code != ERR_LOCKED || left <= 0)
        return false;
    time_sleep_ms(left < NAP_MS ? (int)left : NAP_MS);
    if (pl->stopped == NULL || !pl->stopped()) {
        err_clear(err);
        return true;
    }
    err->code = ERR_INTERRUPTED;
    err_prepend(err, "interrupted while waiting");
    return false;
}

/* Adds those of the last look. */
static void hand_over(struct findings *f, struct findings *last)
{
    for (size_t i = 0; i < last->n; i++) {
        const struct finding *one = &last->v[i];

        findings_add(f, one->severity, one->rule, one->subject, "%s", one->text);
        if (one->remedy != NULL)
            findings_remedy(f, "%s", one->remedy);
    }
    findings_release(last);
}

/* --- making --- */

static int make_once(const struct planner *pl, const struct intent *in, struct plan *p,
                     struct findings *f, struct err *err)
{
    const struct engine *e = pl->engine;
    struct cluster c = {0};
    char digest[17];
    int rc = -1;

    if (store_observe(pl->journal, e, pl->connection, &c, err) < 0 ||
        plan_inquire(e, pl->connection, in, &c, err) < 0)
        goto out;
    e->check(in, &c, f);
    if (refuse_if_bad(f, in, err) < 0) {
        blame_other(pl, in->verb, &c, err);
        goto out;
    }
    p->verb = in->verb;
    p->force = in->force;
    p->confirmed = in->confirmed;
    p->args = plan_own(p, json_copy(in->args));
    if (e->expand(in, &c, p, err) < 0)
        goto out;
    note_findings(p, f);
    cluster_digest(&c, digest);
    p->digest = arena_strdup(&p->arena, digest);
    p->observed = plan_own(p, cluster_summary(&c));
    p->state = PLAN_APPROVED;
    rc = 0;
out:
    cluster_release(&c);
    return rc;
}

int plan_make(const struct planner *pl, const struct intent *in, struct plan *p, struct findings *f,
              struct err *err)
{
    int64_t deadline = time_mono_ms() + pl->wait_ms;
    struct findings last = {0};
    int rc;

    if (plan_fits(pl->engine, in->verb, err) != 0)
        return -1;
    while ((rc = make_once(pl, in, p, &last, err)) < 0 && wait_for_other(pl, deadline, err))
        findings_release(&last);
    hand_over(f, &last);
    return rc;
}

/* Names what differs from the observation the plan was made from. */
static int refuse_stale(const struct plan *p, const struct cluster *c, struct err *err)
{
    struct json *now = cluster_summary(c);
    struct buf changes;

    buf_init(&changes, sizeof err->text / 2);
    if (p->observed == NULL || summary_changes(p->observed, now, CHANGES_MAX, &changes) == 0)
        buf_adds(&changes, "the store is not the one it was made for");
    err_set(err, ERR_STALE, "plan %lld is stale: %s", (long long)p->id, changes.data);
    buf_release(&changes);
    json_free(now);
    return err_advise(err, "look at it (verify configuration) and make a new plan");
}

static int recheck_once(const struct planner *pl, const struct plan *p, struct findings *f,
                        struct err *err)
{
    const struct engine *e = pl->engine;
    const struct intent in = {
        .verb = p->verb, .args = p->args, .force = p->force, .confirmed = p->confirmed};
    struct cluster c = {0};
    char digest[17];
    int rc = -1;

    if (store_observe(pl->journal, e, pl->connection, &c, err) < 0 ||
        plan_inquire(e, pl->connection, &in, &c, err) < 0)
        goto out;
    cluster_digest(&c, digest);
    e->check(&in, &c, f);
    if (p->digest != NULL && strcmp(p->digest, digest) != 0)
        rc = refuse_stale(p, &c, err);
    else
        rc = refuse_if_bad(f, &in, err);
    if (rc < 0)
        blame_other(pl, p->verb, &c, err);
out:
    cluster_release(&c);
    return rc;
}

int plan_recheck(const struct planner *pl, const struct plan *p, struct findings *f,
                 struct err *err)
{
    int64_t deadline = time_mono_ms() + pl->wait_ms;
    struct findings last = {0};
    int rc;

    while ((rc = recheck_once(pl, p, &last, err)) < 0 && wait_for_other(pl, deadline, err))
        findings_release(&last);
    hand_over(f, &last);
    return rc;
}

int plan_still_safe(struct journal *j, const struct engine *e, struct connection *cn,
                    const struct plan *p, struct err *err)
{
    const struct intent in = {
        .verb = p->verb, .args = p->args, .force = p->force, .confirmed = p->confirmed};
    struct findings f = {0};
    struct cluster c = {0};
    char digest[17];
    int rc = -1;

    if (store_observe(j, e, cn, &c, err) < 0)
        goto out;
    cluster_digest(&c, digest);
    if (p->digest != NULL && strcmp(p->digest, digest) != 0) {
        if (plan_inquire(e, cn, &in, &c, err) < 0)
            goto out;
        e->check(&in, &c, &f);
    }
    rc = refuse_if_bad(&f, &in, err);
out:
    findings_release(&f);
    cluster_release(&c);
    return rc;
}
