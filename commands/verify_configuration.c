#include "commands/session.h"
#include "commands/status_tables.h"

/* verify configuration: everything that is wrong, or worth knowing, about the store as it is. */
struct opts {
    bool silent;
};

static const struct opt options[] = {
    OPT_FLAG(struct opts, silent, "silent", "only violations; the same as -quiet"),
    OPT_END,
};

static const struct out_col verdict_cols[] = {
    {"verdict", NULL, OUT_STR, "the outcome in words"},
    {"violationCount", NULL, OUT_INT, "number of violations"},
    {"noteCount", NULL, OUT_INT, "number of notes"},
    {0},
};
static const struct out_table verdict_table = {.cols = verdict_cols,
                                               .single = true,
                                               .chatter = true,
                                               .text = "Verification complete, {verdict}"};

static const struct out_col finding_cols[] = {
    {"resourceId", "RESOURCE", OUT_STR, "what it is about"},
    {"description", "DESCRIPTION", OUT_STR, "the sentence"},
    {"remedy", "REMEDY", OUT_STR, "what to do"},
    {"rule", "RULE", OUT_STR, "stable short name"},
    {0},
};
static const struct out_table violation_table = {
    .key = "violations",
    .cols = finding_cols,
    .text = "Verification violation: [{resourceId}]\t{description}{?remedy|; {remedy}}",
};
static const struct out_table note_table = {
    .key = "warnings",
    .cols = finding_cols,
    .chatter = true,
    .text = "Verification note: [{resourceId}]\t{description}{?remedy|; {remedy}}",
};

static void out_findings(struct out *out, const struct out_table *table, const struct findings *f,
                         bool violations)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct finding *v = &f->v[i];
        struct out_row *row;
        if ((v->severity != SEVERITY_NOTE) != violations)
            continue;
        row = out_row(out, table);
        out_str(row, "resourceId", v->subject);
        out_str(row, "description", v->text);
        out_str(row, "remedy", v->remedy);
        out_str(row, "rule", v->rule);
    }
}

static void out_verdict(struct out *out, int64_t violations, int64_t notes)
{
    struct out_row *row = out_row(out, &verdict_table);

    if (violations == 0 && notes == 0)
        out_str(row, "verdict", "no violations.");
    else
        out_strf(row, "verdict", "%lld violation%s, %lld note%s found.", (long long)violations,
                 violations == 1 ? "" : "s", (long long)notes, notes == 1 ? "" : "s");
    out_int(row, "violationCount", violations);
    out_int(row, "noteCount", notes);
}

static const struct out_table *const tables[] = {
    &verify_store,    &verify_zones,  &verify_checking, &verify_nodes, &verify_admins,
    &verify_services, &verdict_table, &violation_table, &note_table,   NULL,
};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    const struct engine *e = session_engine(s, err);
    struct findings f = {0};
    struct cluster c = {0};
    size_t notes, violations;
    int rc = -1;

    if (e == NULL || session_observe(s, &c, err) != 0)
        goto out;
    e->verify(&c, &f);
    notes = findings_count(&f, SEVERITY_NOTE);
    violations = f.n - notes;
    if (!o->silent) {
        out_status(out, &verify_tables, &c);
        out_verdict(out, (int64_t)violations, (int64_t)notes);
    }
    out_findings(out, &violation_table, &f, true);
    if (!o->silent)
        out_findings(out, &note_table, &f, false);
    rc = violations > 0 ? err_set(err, ERR_VIOLATIONS, "%s", "") : 0;
out:
    findings_release(&f);
    cluster_release(&c);
    return rc;
}

static const char *const examples[] = {
    "verify configuration",
    "verify configuration -quiet",
    "verify configuration -json",
    NULL,
};

const struct cmd cmd_verify_configuration = {
    .name = "verify configuration",
    .summary = "look for everything that is wrong with the store",
    .description =
        "Asks every node and compares what it says with what is declared. Exit status 0 when there "
        "is no violation, 2 otherwise. Notes, such as a service stopped by a plan, do not "
        "count.\n\n"
        "With -quiet nothing is printed when all is well, and only the violations otherwise: made "
        "for cron.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
