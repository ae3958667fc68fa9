#include "cli/value.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kvsh/buf.h"
#include "kvsh/fs.h"
#include "kvsh/mem.h"

enum { MS_PER_SECOND = 1000 };

static bool has_range(const struct opt *opt)
{
    return opt->min != 0 || opt->max != 0;
}

static const char *join_choices(const struct opt *opt, const char *separator, struct arena *a)
{
    const char *s = "";

    for (const char *const *c = opt->choices; c && *c; c++)
        s = arena_printf(a, "%s%s%s", s, *s ? separator : "", *c);
    return s;
}

static const char *number_rule(const struct opt *opt, const char *what, struct arena *a)
{
    if (!has_range(opt))
        return arena_printf(a, "%s, not negative", what);
    if (opt->max == INT64_MAX)
        return arena_printf(a, "%s from %" PRId64, what, opt->min);
    return arena_printf(a, "%s from %" PRId64 " to %" PRId64, what, opt->min, opt->max);
}

const char *value_rule(const struct opt *opt, struct arena *a)
{
    switch (opt->type) {
    case OPT_TYPE_INT:
        return number_rule(opt, "a whole number", a);
    case OPT_TYPE_SECONDS:
        return number_rule(opt, "a number of seconds", a);
    case OPT_TYPE_CHOICE:
        return arena_printf(a, "one of: %s", join_choices(opt, ", ", a));
    case OPT_TYPE_TIME:
        return "a time in UTC, as in 2025-12-30 14:20:01";
    default:
        return NULL;
    }
}

const char *value_note(const struct opt *opt, struct arena *a)
{
    const char *rule = value_rule(opt, a);

    if (!rule || (opt->type == OPT_TYPE_CHOICE && !opt->value))
        return "";
    return arena_printf(a, " (%s)", rule);
}

const char *value_placeholder(const struct opt *opt, struct arena *a)
{
    static const char *const by_type[] = {
        [OPT_TYPE_STR] = "NAME",  [OPT_TYPE_INT] = "N",     [OPT_TYPE_SECONDS] = "SECONDS",
        [OPT_TYPE_FILE] = "FILE", [OPT_TYPE_TIME] = "TIME", [OPT_TYPE_LIST] = "NAME",
        [OPT_TYPE_REST] = "WORD",
    };

    if (opt->type == OPT_TYPE_FLAG)
        return "";
    if (opt->value)
        return opt->value;
    if (opt->type == OPT_TYPE_CHOICE)
        return arena_printf(a, "{%s}", join_choices(opt, "|", a));
    return (size_t)opt->type < sizeof by_type / sizeof *by_type && by_type[opt->type]
               ? by_type[opt->type]
               : "VALUE";
}

/* "-rf", or the placeholder of one that has no name on the line. */
static const char *shown(const struct opt *opt, struct arena *a)
{
    return opt->flags & OPT_POSITIONAL ? value_placeholder(opt, a)
                                       : arena_printf(a, "-%s", opt->name);
}

static int bad(const struct opt *opt, const char *word, struct arena *a, struct err *err)
{
    const char *rule = value_rule(opt, a);

    if (opt->flags & OPT_SECRET)
        word = "...";
    return err_set(err, ERR_INPUT, "\"%s\" is not valid for %s; it takes %s", word, shown(opt, a),
                   rule ? rule : "something else");
}

static bool in_range(const struct opt *opt, int64_t n, int64_t unit)
{
    int64_t min, max;

    if (!has_range(opt))
        return n >= 0;
    if (__builtin_mul_overflow(opt->min, unit, &min))
        min = INT64_MIN;
    if (__builtin_mul_overflow(opt->max, unit, &max))
        max = INT64_MAX;
    return n >= min && n <= max;
}

/* Decimal digits with an optional sign; nothing else, no blanks. Returns where it ended, NULL when
 * there is none. */
static const char *digits(const char *s, int64_t *n)
{
    const char *first = *s == '-' ? s + 1 : s;
    char *end;

    if (*first < '0' || *first > '9')
        return NULL;
    errno = 0;
    *n = strtoll(s, &end, 10);
    return errno ? NULL : end;
}

static int set_int(const struct opt *opt, int64_t *member, const char *word)
{
    const char *end = digits(word, member);

    return end && !*end && in_range(opt, *member, 1) ? 0 : -1;
}

/* "30" and "1.5"; digits behind the third decimal make no difference in milliseconds. */
static int set_seconds(const struct opt *opt, int64_t *member, const char *word)
{
    int64_t ms = 0, weight = MS_PER_SECOND / 10;
    const char *p = digits(word, member);

    if (!p || __builtin_mul_overflow(*member, MS_PER_SECOND, member))
        return -1;
    if (*p == '.') {
        if (!p[1])
            return -1;
        for (p++; *p >= '0' && *p <= '9'; p++, weight /= 10)
            ms += (*p - '0') * weight;
    }
    if (*p || __builtin_add_overflow(*member, *word == '-' ? -ms : ms, member))
        return -1;
    return in_range(opt, *member, MS_PER_SECOND) ? 0 : -1;
}

static int set_choice(const struct opt *opt, const char **member, const char *word)
{
    for (const char *const *c = opt->choices; c && *c; c++) {
        if (strcasecmp(*c, word) == 0) {
            *member = *c;
            return 0;
        }
    }
    return -1;
}

/* "~/x" is the home directory's x, as in every shell. */
static const char *home_expanded(const char *word, struct arena *a)
{
    const char *home = getenv("HOME");

    if (word[0] != '~' || word[1] != '/' || !home || !*home)
        return word;
    return arena_printf(a, "%s%s", home, word + 1);
}

static int set_time(const struct opt *opt, int64_t *member, const char *word, struct arena *a,
                    struct err *err)
{
    if (time_parse(word, member, err) == 0)
        return 0;
    err->code = ERR_INPUT;
    return err_prepend(err, "%s", shown(opt, a));
}

static void words_add(struct words *w, const char *word, struct arena *a)
{
    *ARENA_PUSH(a, w->v, w->n) = word;
}

int value_set(const struct opt *opt, void *member, const char *word, struct arena *a,
              struct err *err)
{
    int ret = 0;

    switch (opt->type) {
    case OPT_TYPE_STR:
        *(const char **)member = word;
        break;
    case OPT_TYPE_FILE:
        *(const char **)member = home_expanded(word, a);
        break;
    case OPT_TYPE_INT:
        ret = set_int(opt, member, word);
        break;
    case OPT_TYPE_SECONDS:
        ret = set_seconds(opt, member, word);
        break;
    case OPT_TYPE_CHOICE:
        ret = set_choice(opt, member, word);
        break;
    case OPT_TYPE_TIME:
        return set_time(opt, member, word, a, err);
    case OPT_TYPE_LIST:
    case OPT_TYPE_REST:
        words_add(member, word, a);
        break;
    default:
        return err_set(err, ERR_INTERNAL, "option -%s takes no value", opt->name);
    }
    return ret < 0 ? bad(opt, word, a, err) : 0;
}
