#include "commands/toggle.h"

#include <string.h>

static const char *const values[] = {"on", "off", NULL};

const struct opt toggle_options[] = {
    OPT_CHOICE(struct toggle_opts, value, "value", "on or off; without it, the other one",
               .choices = values, .flags = OPT_POSITIONAL),
    OPT_END,
};

static const struct out_col cols[] = {
    {"setting", "SETTING", OUT_STR, "name of the setting"},
    {"value", "VALUE", OUT_STR, "on or off"},
    {0},
};
static const struct out_table table = {
    .cols = cols, .single = true, .text = "{setting} is {value}"};
const struct out_table *const toggle_tables[] = {&table, NULL};

int toggle(bool *setting, const char *name, const struct toggle_opts *o, struct out *out)
{
    struct out_row *row = out_row(out, &table);

    *setting = o->value ? strcmp(o->value, "on") == 0 : !*setting;
    out_str(row, "setting", name);
    out_str(row, "value", *setting ? "on" : "off");
    return 0;
}
