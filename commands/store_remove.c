#include <stdlib.h>
#include <string.h>

#include "commands/session.h"
#include "kvsh/conf.h"
#include "kvsh/fs.h"

/* store remove: forgets how to reach a store; its journal stays. */
struct opts {
    const char *name;
};

static const struct opt options[] = {
    OPT_STR(struct opts, name, "name", "name of the store", .flags = OPT_REQUIRED,
            .complete = COMPLETE_STORE),
    OPT_END,
};

static const struct out_col cols[] = {
    {"storeName", "STORE", OUT_STR, "name of the store"},
    {"stateDir", "STATE", OUT_STR, "directory of its journal, which was kept"},
    {0},
};
static const struct out_table table = {
    .cols = cols,
    .single = true,
    .text = "Removed store {storeName}{?stateDir|; its journal is kept in {stateDir}}",
};
static const struct out_table *const tables[] = {&table, NULL};

static void first_id(void *arg, const struct plan *p)
{
    int64_t *id = arg;

    if (*id == 0)
        *id = p->id;
}

/* A store whose plans are at work must stay reachable for them. */
static int check_idle(const char *name, const char *dir, struct err *err)
{
    static const enum plan_state busy[] = {PLAN_RUNNING, PLAN_INTERRUPT_REQUESTED};
    struct journal *j = journal_open(dir, false, err);
    int64_t id = 0;
    int rc = 0;

    if (j == NULL)
        return -1;
    for (size_t i = 0; i < 2 && rc == 0 && id == 0; i++) {
        const struct plan_filter f = {.state = (int)busy[i]};
        rc = journal_plan_list(j, &f, first_id, &id, err);
    }
    journal_close(j);
    if (rc == 0 && id != 0) {
        err_set(err, ERR_LOCKED, "store %s cannot be removed: plan %lld is running", name,
                (long long)id);
        return err_advise(err,
                          "wait for it (plan wait -id %lld) or interrupt it (plan interrupt -id "
                          "%lld)",
                          (long long)id, (long long)id);
    }
    return rc;
}

static int remove_section(struct session *s, const struct store_settings *store, struct err *err)
{
    const char *file = session_edit_file(s, err);

    if (file == NULL)
        return -1;
    if (strcmp(file, store->file) != 0) {
        err_set(err, ERR_INPUT, "store %s is configured in %s", store->name, store->file);
        return err_advise(err, "take its section out of that file");
    }
    return conf_edit_section(file, "store", store->name, NULL, err);
}

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    const struct store_settings *store = session_named_store(s, o->name, err);
    char *dir = store ? session_store_dir(s, o->name, err) : NULL;
    const struct settings *st;
    struct out_row *row;
    int rc = -1;

    if (dir == NULL || (fs_is_dir(dir) && check_idle(o->name, dir, err) != 0) ||
        remove_section(s, store, err) != 0)
        goto out;
    st = session_settings(s, err);
    if (st->store != NULL && strcmp(st->store, o->name) == 0 &&
        conf_edit_key(st->edit_file, "kvsh", "", "store", NULL, err) != 0)
        goto out;
    session_forget(s, o->name);
    row = out_row(out, &table);
    out_str(row, "storeName", o->name);
    if (fs_is_dir(dir))
        out_str(row, "stateDir", dir);
    rc = 0;
out:
    free(dir);
    return rc;
}

static const char *const examples[] = {"store remove -name old", NULL};

const struct cmd cmd_store_remove = {
    .name = "store remove",
    .summary = "take a store out of the configuration",
    .description =
        "The store itself is not touched, and its journal is kept. Refused while a plan of "
        "the store is running.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .run = run,
};
