#include <string.h>

#include "cli/args.h"
#include "cli/find.h"
#include "commands/commands.h"
#include "commands/explain.h"
#include "commands/plan_common.h"

/* plan preview: the tasks of a plan, without doing or keeping anything. */
struct opts {
    int64_t id;
    bool last, explain;
    struct words line;
};

static const struct opt options[] = {
    OPT_INT(struct opts, id, "id", "number of a plan that exists", .min = 1, .max = INT64_MAX,
            .complete = COMPLETE_PLAN, .one_of = 1),
    OPT_FLAG(struct opts, last, "last", "the newest plan", .one_of = 1),
    OPT_FLAG(struct opts, explain, "explain",
             "also the commands of the store's own tools that would do the same"),
    OPT_REST(struct opts, line, "command", "a plan command without the word plan", .value = "PLAN",
             .flags = OPT_POSITIONAL | OPT_COMMON, .complete = COMPLETE_COMMAND, .one_of = 1),
    OPT_END,
};

/* Would plan execute refuse it now? Then that is the error. What cannot be told is a note: nothing
 * keeps the plan from being shown. */
static int look_again(struct session *s, const struct plan *p, struct findings *f, struct out *out,
                      struct err *err)
{
    struct journal *j = session_journal(s, err);
    const struct engine *e = j ? session_engine(s, err) : NULL;
    const struct planner pl = {
        .journal = j, .engine = e, .connection = e ? session_connection(s, err) : NULL};

    if (p->attempts > 0 || p->digest == NULL || !plan_may_move(p->state, PLAN_RUNNING) ||
        (pl.connection != NULL && plan_recheck(&pl, p, f, err) == 0)) {
        err_clear(err);
        return 0;
    }
    if (err->code == ERR_STALE || err->code == ERR_REFUSED)
        return err_prepend(err, "plan execute would refuse it now");
    out_note(out, "whether it still fits the store cannot be told: %s", err->text);
    err_clear(err);
    return 0;
}

static int preview_existing(struct session *s, const struct opts *o, struct out *out,
                            struct err *err)
{
    const struct plan_ref ref = {.id = o->id, .last = o->last};
    struct journal *j = session_journal(s, err);
    int64_t id = j ? plan_resolve(s, &ref, err) : 0;
    struct findings f = {0};
    struct plan p = {0};
    struct err why = ERR_INIT;
    int rc = -1;

    if (id == 0 || journal_plan_load(j, id, &p, err) != 0)
        goto out;
    rc = look_again(s, &p, &f, out, &why);
    out_preview(out, &p, &f);
    if (o->explain && explain_plan(s, &p, out, err) != 0)
        rc = -1;
    else if (rc != 0)
        *err = why;
out:
    findings_release(&f);
    plan_release(&p);
    return rc;
}

/* The words with "plan" before them name a command that makes plans. NULL with a reason. */
static const struct cmd *find_plan(const char *const *words, size_t n, size_t *used,
                                   struct err *err)
{
    struct find f;

    find_init(&f, commands, false);
    if (find_words(&f, n, words, err) != 0)
        return NULL;
    *used = f.used;
    if (f.cmd->tables == plan_tables && (f.cmd->needs & CMD_STORE) && f.cmd != &cmd_plan_preview &&
        f.cmd != &cmd_plan_execute && f.cmd != &cmd_plan_retry && f.cmd != &cmd_plan_wait)
        return f.cmd;
    err_set(err, ERR_USAGE, "%s makes no plan, there is nothing to preview", f.cmd->name);
    return NULL;
}

static bool is_explain(const char *word)
{
    return strcmp(word, "-explain") == 0 || strcmp(word, "--explain") == 0;
}

/* Reads the words as a line of their own and runs it with the session told to keep its hands still.
 */
static int preview_line(struct session *s, const struct opts *o, struct out *out, struct err *err)
{
    const struct words *line = &o->line;
    struct arena arena = {0};
    const char **words = arena_alloc(&arena, (line->n + 1) * sizeof *words);
    const struct cmd *cmd;
    struct args args;
    size_t used = 0, n = 0;
    bool explain = o->explain;
    int rc = -1;

    words[n++] = "plan";
    for (size_t i = 0; i < line->n; i++) {
        if (is_explain(line->v[i]))
            explain = true;
        else
            words[n++] = line->v[i];
    }
    if ((cmd = find_plan(words, n, &used, err)) == NULL ||
        args_parse(&args, cmd, n - used, words + used, &arena, err) != 0)
        goto out;
    session_set_preview(s, true);
    session_set_explain(s, explain);
    rc = cmd->run(s, args.options, out, err);
    session_set_explain(s, false);
    session_set_preview(s, false);
out:
    arena_release(&arena);
    return rc;
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;

    const bool exists = o->id > 0 || o->last;

    if (exists == (o->line.n > 0)) {
        err_set(err, ERR_USAGE, "give either -id, -last or a plan command");
        return err_advise(err, "plan preview -id 9, or plan preview stop-service -service rg1-rn1");
    }
    if (exists)
        return preview_existing(s, o, out, err);
    return preview_line(s, o, out, err);
}

static const char *const examples[] = {
    "plan preview -id 9",
    "plan preview -last -explain",
    "plan preview stop-service -service rg2-rn3",
    "plan preview stop-service -service rg2-rn3 -explain",
    NULL,
};

const struct cmd cmd_plan_preview = {
    .name = "plan preview",
    .summary = "show what a plan would do",
    .description =
        "Observes the store and shows the tasks in their waves, why each is safe, what is worse "
        "meanwhile, and what speaks against it. Nothing is changed and nothing is kept; -noexecute "
        "makes a plan that can be carried out later.\n\n"
        "Of a plan that exists and was not started, also looks whether plan execute would refuse "
        "it now, because the store has changed or a rule speaks against it, and ends as that "
        "would.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
