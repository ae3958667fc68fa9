#include "cli/args.h"
#include "cli/find.h"
#include "commands/commands.h"
#include "commands/plan_common.h"

/* plan preview: the tasks of a plan, without doing or keeping anything. */
struct opts {
    int64_t id;
    struct words line;
};

static const struct opt options[] = {
    OPT_INT(struct opts, id, "id", "number of a plan that exists", .min = 1, .max = INT64_MAX,
            .complete = COMPLETE_PLAN),
    OPT_REST(struct opts, line, "command", "a plan command without the word plan", .value = "PLAN",
             .flags = OPT_POSITIONAL, .complete = COMPLETE_COMMAND),
    OPT_END,
};

static int preview_existing(struct session *s, int64_t id, struct out *out, struct err *err)
{
    struct journal *j = session_journal(s, err);
    struct findings none = {0};
    struct plan p = {0};
    int rc = -1;

    if (j != NULL && (rc = journal_plan_load(j, id, &p, err)) == 0)
        out_preview(out, &p, &none);
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
        f.cmd != &cmd_plan_execute && f.cmd != &cmd_plan_wait)
        return f.cmd;
    err_set(err, ERR_USAGE, "%s makes no plan, there is nothing to preview", f.cmd->name);
    return NULL;
}

/* Reads the words as a line of their own and runs it with the session told to keep its hands still.
 */
static int preview_line(struct session *s, const struct words *line, struct out *out,
                        struct err *err)
{
    struct arena arena = {0};
    const char **words = arena_alloc(&arena, (line->n + 1) * sizeof *words);
    const struct cmd *cmd;
    struct args args;
    size_t used = 0;
    int rc = -1;

    words[0] = "plan";
    for (size_t i = 0; i < line->n; i++)
        words[i + 1] = line->v[i];
    if ((cmd = find_plan(words, line->n + 1, &used, err)) == NULL ||
        args_parse(&args, cmd, line->n + 1 - used, words + used, &arena, err) != 0)
        goto out;
    session_set_preview(s, true);
    rc = cmd->run(s, args.options, out, err);
    session_set_preview(s, false);
out:
    arena_release(&arena);
    return rc;
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;

    if ((o->id > 0) == (o->line.n > 0)) {
        err_set(err, ERR_USAGE, "give either -id or a plan command");
        return err_advise(err, "plan preview -id 9, or plan preview stop-service -service rg1-rn1");
    }
    if (o->id > 0)
        return preview_existing(s, o->id, out, err);
    return preview_line(s, &o->line, out, err);
}

static const char *const examples[] = {
    "plan preview -id 9",
    "plan preview stop-service -service rg2-rn3",
    NULL,
};

const struct cmd cmd_plan_preview = {
    .name = "plan preview",
    .summary = "show what a plan would do",
    .description =
        "Observes the store and shows the tasks in their waves, why each is safe, what is worse "
        "meanwhile, and what speaks against it. Nothing is changed and nothing is kept; -noexecute "
        "makes a plan that can be carried out later.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = plan_tables,
    .examples = examples,
    .needs = CMD_STORE,
    .run = run,
};
