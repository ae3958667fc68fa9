#include "commands/connect_node.h"
#include "kvsh/conf.h"

/* store use: another store becomes the current one and the default. */
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
    {0},
};
static const struct out_table table = {
    .cols = cols, .single = true, .text = "Using store {storeName}"};
static const struct out_table *const tables[] = {&table, NULL};

static int run(struct session *s, const void *options_, struct out *out, struct err *err)
{
    const struct opts *o = options_;
    const char *file;

    if (session_named_store(s, o->name, err) == NULL ||
        (file = session_edit_file(s, err)) == NULL || config_make_dir(file, err) != 0 ||
        conf_edit_key(file, "kvsh", "", "store", o->name, err) != 0)
        return -1;
    session_reread(s);
    session_use(s, o->name);
    out_str(out_row(out, &table), "storeName", o->name);
    return 0;
}

static const char *const examples[] = {"store use -name prod", NULL};

const struct cmd cmd_store_use = {
    .name = "store use",
    .summary = "make a store the current and the default one",
    .description =
        "The default is taken by later calls that name no store with -store or KVSH_STORE.",
    .options = options,
    .options_size = sizeof(struct opts),
    .tables = tables,
    .examples = examples,
    .run = run,
};
