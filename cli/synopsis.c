#include "cli/synopsis.h"

#include "cli/args.h"
#include "cli/value.h"
#include "kvsh/buf.h"
#include "kvsh/mem.h"

const char *synopsis_option(const struct opt *opt, struct arena *a)
{
    const char *value = value_placeholder(opt, a);
    bool many =
        opt->type == OPT_TYPE_REST || (opt->type == OPT_TYPE_LIST && opt->flags & OPT_POSITIONAL);

    if (opt->flags & OPT_POSITIONAL)
        return arena_printf(a, "%s%s", value, many ? "..." : "");
    return arena_printf(a, "-%s%s%s%s", opt->name, *value ? " " : "", value, many ? "..." : "");
}

struct writer {
    struct words parts;
    struct arena *arena;
};

static void add_part(struct writer *w, const char *part)
{
    *ARENA_PUSH(w->arena, w->parts.v, w->parts.n) = part;
}

/* The options that exclude each other, written at the place of the first one. */
static void add_one_of(struct writer *w, const struct opt *first, const struct opt *table)
{
    bool required = false;
    const char *all = "";

    for (const struct opt *o = table; o->type != OPT_TYPE_END; o++) {
        if (o->one_of != first->one_of || o->flags & OPT_HIDDEN)
            continue;
        if (o < first)
            return;
        required = required || o->flags & OPT_REQUIRED;
        all =
            arena_printf(w->arena, "%s%s%s", all, *all ? " | " : "", synopsis_option(o, w->arena));
    }
    add_part(w, arena_printf(w->arena, required ? "{%s}" : "[%s]", all));
}

static void add_option(void *arg, const struct opt *opt, const struct opt *table, size_t offset)
{
    struct writer *w = arg;
    bool repeats = opt->type == OPT_TYPE_LIST && !(opt->flags & OPT_POSITIONAL);
    bool required = opt->flags & OPT_REQUIRED;

    (void)offset;
    if (opt->flags & OPT_HIDDEN)
        return;
    if (opt->one_of)
        add_one_of(w, opt, table);
    else
        add_part(w, arena_printf(w->arena, "%s%s%s%s", required ? "" : "[",
                                 synopsis_option(opt, w->arena), required ? "" : "]",
                                 repeats ? "..." : ""));
}

struct words synopsis_parts(const struct cmd *cmd, struct arena *a)
{
    struct writer w = {.arena = a};

    add_part(&w, cmd->name);
    opt_each(cmd->options, 0, add_option, &w);
    return w.parts;
}

const char *synopsis(const struct cmd *cmd, struct arena *a)
{
    struct words parts = synopsis_parts(cmd, a);
    struct buf b;
    const char *text;

    buf_init(&b, 0);
    for (size_t i = 0; i < parts.n; i++)
        buf_addf(&b, "%s%s", i > 0 ? " " : "", parts.v[i]);
    text = arena_strdup(a, b.data);
    buf_release(&b);
    return text;
}
