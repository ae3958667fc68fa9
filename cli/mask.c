#include "cli/mask.h"

#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/lexer.h"
#include "kvsh/buf.h"
#include "kvsh/log.h"
#include "kvsh/mem.h"

static const char mask[] = "****";

struct search {
    const char *name;
    bool found;
};

static void compare(void *arg, const struct opt *opt, const struct opt *table, size_t offset)
{
    struct search *s = arg;

    (void)table;
    (void)offset;
    if (opt->flags & OPT_SECRET && opt->name && strcmp(opt->name, s->name) == 0)
        s->found = true;
}

bool mask_hides_next(const struct cmd *const *cmds, const char *before)
{
    struct search s = {.name = before + strspn(before, "-")};

    if (!args_is_option(before))
        return false;
    for (const struct cmd *const *c = cmds; *c && !s.found; c++)
        opt_each((*c)->options, 0, compare, &s);
    return s.found;
}

/* Appends what of a command stands in the line from *done on, its secrets replaced. */
static void add_command(struct buf *out, const struct cmd *const *cmds, const char *line,
                        const struct line_command *command, size_t *done)
{
    for (size_t i = 1; i < command->n; i++) {
        const struct word *w = &command->words[i];

        if (!mask_hides_next(cmds, command->words[i - 1].text))
            continue;
        buf_add(out, line + *done, w->start - *done);
        buf_adds(out, mask);
        *done = w->end;
    }
}

/* In a line that is no line: does any secret option's name occur? */
static bool mentions_secret(const struct cmd *const *cmds, const char *line)
{
    bool found = false;
    char *copy = xstrdup(line), *save = NULL;

    for (char *w = strtok_r(copy, " \t\"'", &save); w && !found;
         w = strtok_r(NULL, " \t\"'", &save))
        found = mask_hides_next(cmds, w);
    free(copy);
    return found;
}

char *mask_line(const struct cmd *const *cmds, const char *line)
{
    struct err ignored = ERR_INIT;
    struct arena a = {0};
    struct line l;
    struct buf out;
    size_t at, done = 0;
    char *masked = NULL;

    buf_init(&out, 0);
    if (line_parse(&l, line, &a, &at, &ignored) < 0) {
        if (mentions_secret(cmds, line))
            goto out;
        l.n = 0;
    }
    for (size_t i = 0; i < l.n; i++)
        add_command(&out, cmds, line, &l.commands[i], &done);
    buf_adds(&out, line + done);
    masked = buf_take(&out);
    mask_apply(masked);
out:
    buf_release(&out);
    arena_release(&a);
    return masked;
}

char *mask_words(const struct cmd *const *cmds, size_t n, const char *const *words)
{
    struct arena a = {0};
    struct buf out;
    char *line;

    buf_init(&out, 0);
    for (size_t i = 0; i < n; i++) {
        bool hide = i > 0 && mask_hides_next(cmds, words[i - 1]);

        buf_addf(&out, "%s%s", i > 0 ? " " : "", hide ? mask : line_quote(&a, words[i]));
    }
    line = buf_take(&out);
    mask_apply(line);
    buf_release(&out);
    arena_release(&a);
    return line;
}
