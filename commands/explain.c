#include "commands/explain.h"

#include "commands/tables.h"

static const struct out_col cols[] = {
    {"task", "TASK", OUT_INT, "number of the task"},
    {"command", "COMMAND", OUT_STR, "what a person could type; secrets are left out"},
    {"heading", NULL, OUT_STR, "the task, before its first command"},
    {0},
};
const struct out_table table_explain = {
    .key = "commands",
    .cols = cols,
    .text = "{?heading|  {heading}\n}      {command}",
};

struct explaining {
    struct out *out;
    const struct task *task;
    size_t lines; /* of this task */
};

static void add_line(void *arg, const char *text)
{
    struct explaining *x = arg;
    struct out_row *row = out_row(x->out, &table_explain);

    out_int(row, "task", x->task->num);
    out_str(row, "command", text);
    if (x->lines++ == 0)
        out_strf(row, "heading", "task %d: %s", x->task->num, x->task->what);
}

static void explain_task(const struct engine *e, const struct cluster *c, struct explaining *x)
{
    x->lines = 0;
    if (x->task->node != NULL)
        e->explain(x->task, c, add_line, x);
    if (x->lines == 0)
        add_line(x, x->task->node == NULL ? "# only the journal of kvsh changes"
                                          : "# no tool of the store does this");
}

int explain_plan(struct session *s, const struct plan *p, struct out *out, struct err *err)
{
    const struct engine *e = session_engine(s, err);
    struct explaining x = {.out = out};
    struct err why = ERR_INIT;
    struct cluster c = {0};
    int rc = -1;

    if (e == NULL)
        return -1;
    if (e->explain == NULL) {
        out_note(out, "the engine %s does not say by which commands its tasks could be done",
                 e->name);
        return 0;
    }
    if (session_observe(s, &c, &why) != 0) {
        out_note(out, "made from what is declared, the store could not be asked: %s", why.text);
        cluster_release(&c);
        c = (struct cluster){0};
        if (session_declared(s, &c, err) != 0)
            goto out;
    }
    for (size_t i = 0; i < p->n_tasks; i++) {
        x.task = &p->tasks[i];
        explain_task(e, &c, &x);
    }
    rc = 0;
out:
    cluster_release(&c);
    return rc;
}
