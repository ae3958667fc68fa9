#include <stdlib.h>

#include "cli/args.h"
#include "cli/synopsis.h"
#include "cli/value.h"
#include "kvsh/mem.h"
#include "tap.h"

struct inner {
    bool wait;
    int64_t timeout;
};

struct opts {
    bool flag;
    const char *name;
    int64_t rf, any;
    int64_t seconds, plain_seconds;
    const char *type;
    const char *file;
    int64_t when;
    struct words nodes;
    const char *id, *zone;
    struct inner inner;
};

static const char *const types[] = {"primary", "secondary", NULL};
static const struct opt inner_options[] = {
    OPT_FLAG(struct inner, wait, "wait", "wait"),
    OPT_SECONDS(struct inner, timeout, "timeout", "how long", .min = 1, .max = 10, .def = 5000),
    OPT_END,
};
static const struct opt options[] = {
    OPT_FLAG(struct opts, flag, "flag", "a flag"),
    OPT_STR(struct opts, name, "name", "a name"),
    OPT_INT(struct opts, rf, "rf", "a number", .min = 1, .max = 20, .def = 3),
    OPT_INT(struct opts, any, "any", "any number"),
    OPT_SECONDS(struct opts, seconds, "seconds", "a time", .min = -5, .max = 60),
    OPT_SECONDS(struct opts, plain_seconds, "s", "any time"),
    OPT_CHOICE(struct opts, type, "type", "a type", .choices = types),
    OPT_FILE(struct opts, file, "file", "a file"),
    OPT_TIME(struct opts, when, "when", "a moment", .def = -1),
    OPT_LIST(struct opts, nodes, "sn", "nodes"),
    OPT_STR(struct opts, id, "zn", "by id", .value = "ID", .one_of = 1),
    OPT_STR(struct opts, zone, "znname", "by name", .one_of = 1),
    OPT_GROUP(struct opts, inner, struct inner, inner_options),
    OPT_END,
};
static const struct cmd cmd = {
    .name = "test all", .options = options, .options_size = sizeof(struct opts)};

static struct arena arena;
static struct args parsed;
static struct err err;

/* Words separated by single blanks; "_" stands for an empty word. */
static int parse(const struct cmd *c, const char *line)
{
    const char *words[32];
    size_t n = 0;
    char *copy, *save = NULL;

    arena_release(&arena);
    err_clear(&err);
    copy = arena_strdup(&arena, line);
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        words[n++] = strcmp(w, "_") == 0 ? "" : w;
    return args_parse(&parsed, c, n, words, &arena, &err);
}

static const struct opts *good(const char *line)
{
    if (parse(&cmd, line) < 0) {
        printf("# %s: %s\n", line, err.text);
        ok(!"parsed");
    }
    return parsed.options;
}

static void bad(const struct cmd *c, const char *line, enum err_code code, const char *text)
{
    if (!ok(parse(c, line) < 0))
        printf("# accepted: %s\n", line);
    is_int(err.code, code);
    is_str(err.text, text);
}

static void fills_every_type(void)
{
    const struct opts *o = good("-flag -name x -rf 20 -any 9223372036854775807 -seconds 1.5 "
                                "-type SECONDARY -file a/b -when 1970-01-02 -sn sn1 -sn sn2 -zn 1 "
                                "-wait -timeout 2");

    ok(o->flag);
    is_str(o->name, "x");
    is_int(o->rf, 20);
    is_int(o->any, INT64_MAX);
    is_int(o->seconds, 1500);
    is_str(o->type, "secondary");
    is_str(o->file, "a/b");
    is_int(o->when, 86400000);
    is_int(o->nodes.n, 2);
    is_str(o->nodes.v[0], "sn1");
    is_str(o->nodes.v[1], "sn2");
    is_str(o->id, "1");
    ok(o->inner.wait);
    is_int(o->inner.timeout, 2000);
}

static void knows_defaults(void)
{
    const struct opts *o = good("");

    ok(!o->flag && !o->name && !o->type && !o->file && o->nodes.n == 0 && !o->inner.wait);
    is_int(o->rf, 3);
    is_int(o->any, 0);
    is_int(o->when, -1);
    is_int(o->inner.timeout, 5000);
}

static void takes_two_dashes(void)
{
    const struct opts *o = good("--name x --flag --rf 2");

    is_str(o->name, "x");
    ok(o->flag);
    is_int(o->rf, 2);
}

static void takes_values_with_dashes(void)
{
    is_str(good("-name -x")->name, "-x");
    is_int(good("-seconds -0.5")->seconds, -500);
    bad(&cmd, "-name -flag", ERR_USAGE, "option -name needs a value");
    bad(&cmd, "-name --wait", ERR_USAGE, "option -name needs a value");
    bad(&cmd, "-flag -name", ERR_USAGE, "option -name needs a value");
}

static void checks_numbers(void)
{
    static const char range[] = "a whole number from 1 to 20";
    static const char *const wrong[] = {
        "0", "21", "-1", "1x", "x", "1.0", "+1", "0x10", "99999999999999999999"};

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char line[64], text[128];

        snprintf(line, sizeof line, "-rf %s", wrong[i]);
        snprintf(text, sizeof text, "\"%s\" is not valid for -rf; it takes %s", wrong[i], range);
        bad(&cmd, line, ERR_INPUT, text);
    }
    bad(&cmd, "-any -1", ERR_INPUT,
        "\"-1\" is not valid for -any; it takes a whole number, not negative");
    is_int(good("-rf 1")->rf, 1);
    is_int(good("-any 0")->any, 0);
}

static void checks_seconds(void)
{
    is_int(good("-s 30")->plain_seconds, 30000);
    is_int(good("-s 0.0019")->plain_seconds, 1);
    is_int(good("-seconds 60")->seconds, 60000);
    is_int(good("-seconds -5")->seconds, -5000);
    bad(&cmd, "-seconds 60.001", ERR_INPUT,
        "\"60.001\" is not valid for -seconds; it takes a number of seconds from -5 to 60");
    bad(&cmd, "-s 1.", ERR_INPUT,
        "\"1.\" is not valid for -s; it takes a number of seconds, not negative");
    bad(&cmd, "-s .5", ERR_INPUT,
        "\".5\" is not valid for -s; it takes a number of seconds, not negative");
    bad(&cmd, "-s 9223372036854775807", ERR_INPUT,
        "\"9223372036854775807\" is not valid for -s; it takes a number of seconds, not negative");
    bad(&cmd, "-s 1s", ERR_INPUT,
        "\"1s\" is not valid for -s; it takes a number of seconds, not negative");
}

static void checks_choices_and_times(void)
{
    bad(&cmd, "-type tertiary", ERR_INPUT,
        "\"tertiary\" is not valid for -type; it takes one of: primary, secondary");
    ok(parse(&cmd, "-when tomorrow") < 0);
    is_int(err.code, ERR_INPUT);
    has_str(err.text, "-when: ");
    has_str(err.text, "tomorrow");
    bad(&cmd, "-name _", ERR_INPUT, "the value of -name is empty");
}

static void refuses_wrong_use(void)
{
    bad(&cmd, "-flag -flag", ERR_USAGE, "option -flag is given twice");
    bad(&cmd, "-name a -name b", ERR_USAGE, "option -name is given twice");
    bad(&cmd, "-zn 1 -znname x", ERR_USAGE, "-zn and -znname exclude each other");
    bad(&cmd, "word", ERR_USAGE, "unexpected word \"word\"");
    has_str(err.advice, "usage: test all [-flag] [-name NAME] [-rf N]");
    bad(&cmd, "-5", ERR_USAGE, "unexpected word \"-5\"");
    bad(&cmd,
        "\xE2\x80\x93"
        "flag",
        ERR_USAGE,
        "unexpected word \"\xE2\x80\x93"
        "flag\"");
    has_str(err.advice, "typographic dash");
}

static void suggests_options(void)
{
    bad(&cmd, "-nmae x", ERR_USAGE, "unknown option \"-nmae\"");
    is_str(err.advice, "did you mean -name?");
    bad(&cmd, "--time 1", ERR_USAGE, "unknown option \"--time\"");
    is_str(err.advice, "did you mean -timeout?");
    bad(&cmd, "-name=x", ERR_USAGE, "unknown option \"-name=x\"");
    is_str(err.advice, "an option and its value are two words: -name x");
    bad(&cmd, "-xyzzy", ERR_USAGE, "unknown option \"-xyzzy\"");
    has_str(err.advice, "usage: test all");
}

static void common_options_go_everywhere(void)
{
    good("-json -name x -quiet --verbose");
    ok(parsed.common.json && parsed.common.quiet && parsed.common.verbose && !parsed.common.help);
    good("-help -rf nonsense");
    ok(parsed.common.help);
    good("-rf nonsense -nonsense -help");
    ok(parsed.common.help);
}

/* --- required and positional --- */

struct need {
    const char *first, *second;
    struct words more;
    const char *a;
    bool b;
};

static const struct opt need_options[] = {
    OPT_STR(struct need, first, "first", "the first", .value = "FIRST",
            .flags = OPT_REQUIRED | OPT_POSITIONAL),
    OPT_STR(struct need, second, "second", "the second", .flags = OPT_POSITIONAL),
    OPT_LIST(struct need, more, "more", "all others", .value = "MORE", .flags = OPT_POSITIONAL),
    OPT_STR(struct need, a, "a", "a", .one_of = 1, .flags = OPT_REQUIRED),
    OPT_FLAG(struct need, b, "b", "b", .one_of = 1, .flags = OPT_REQUIRED),
    OPT_END,
};
static const struct cmd need = {
    .name = "need", .options = need_options, .options_size = sizeof(struct need)};

static void fills_positionals(void)
{
    const struct need *o;

    is_int(parse(&need, "1 -b 2 3 4 -json"), 0);
    o = parsed.options;
    is_str(o->first, "1");
    is_str(o->second, "2");
    is_int(o->more.n, 2);
    is_str(o->more.v[1], "4");
    ok(parsed.common.json);
}

static void asks_for_what_is_missing(void)
{
    bad(&need, "-b", ERR_USAGE, "FIRST is required");
    is_str(err.advice, "usage: need FIRST [NAME] [MORE...] {-a NAME | -b}");
    bad(&need, "x", ERR_USAGE, "one of these is required: -a, -b");
    bad(&need, "x -a y -b", ERR_USAGE, "-a and -b exclude each other");
    is_int(parse(&need, "x -a y"), 0);
}

struct rest {
    const char *service;
    struct words params;
};

static const struct opt rest_options[] = {
    OPT_STR(struct rest, service, "service", "service"),
    OPT_REST(struct rest, params, "params", "what to set", .flags = OPT_REQUIRED),
    OPT_END,
};
static const struct cmd rest = {
    .name = "rest", .options = rest_options, .options_size = sizeof(struct rest)};

static void takes_the_rest(void)
{
    const struct rest *o;

    is_int(parse(&rest, "-service s -params a=1 -service _ -help"), 0);
    o = parsed.options;
    is_str(o->service, "s");
    is_int(o->params.n, 4);
    is_str(o->params.v[1], "-service");
    is_str(o->params.v[2], "");
    ok(!parsed.common.help);
    bad(&rest, "-params", ERR_USAGE, "option -params needs a value");
    bad(&rest, "-service s", ERR_USAGE, "option -params is required");
}

/* Two tables may use the same number for what excludes each other within them. */
struct outer {
    const char *x, *y;
    struct need need;
};

static const struct opt outer_options[] = {
    OPT_STR(struct outer, x, "x", "x", .one_of = 1),
    OPT_STR(struct outer, y, "y", "y", .one_of = 1),
    OPT_GROUP(struct outer, need, struct need, need_options),
    OPT_END,
};
static const struct cmd outer = {
    .name = "outer", .options = outer_options, .options_size = sizeof(struct outer)};

static void keeps_groups_apart(void)
{
    const struct outer *o;

    is_int(parse(&outer, "-x 1 -a 2 3"), 0);
    o = parsed.options;
    is_str(o->x, "1");
    is_str(o->need.a, "2");
    is_str(o->need.first, "3");
    bad(&outer, "-x 1 -y 2 -a 3 4", ERR_USAGE, "-x and -y exclude each other");
    bad(&outer, "-x 1 4", ERR_USAGE, "one of these is required: -a, -b");
}

static void writes_the_synopsis(void)
{
    arena_release(&arena);
    is_str(synopsis(&cmd, &arena),
           "test all [-flag] [-name NAME] [-rf N] [-any N] [-seconds SECONDS] [-s SECONDS] "
           "[-type {primary|secondary}] [-file FILE] [-when TIME] [-sn NAME]... [-zn ID | -znname "
           "NAME] "
           "[-wait] [-timeout SECONDS]");
    is_str(synopsis(&rest, &arena), "rest [-service NAME] -params WORD...");
}

static void opens_the_home_directory(void)
{
    ok(setenv("HOME", "/somewhere", 1) == 0);
    is_str(good("-file ~/x")->file, "/somewhere/x");
    is_str(good("-file ~other/x")->file, "~other/x");
    is_str(good("-name ~/x")->name, "~/x");
}

int main(void)
{
    TAP_RUN(TAP_TEST(fills_every_type), TAP_TEST(knows_defaults), TAP_TEST(takes_two_dashes),
            TAP_TEST(takes_values_with_dashes), TAP_TEST(checks_numbers), TAP_TEST(checks_seconds),
            TAP_TEST(checks_choices_and_times), TAP_TEST(refuses_wrong_use),
            TAP_TEST(suggests_options), TAP_TEST(common_options_go_everywhere),
            TAP_TEST(fills_positionals), TAP_TEST(asks_for_what_is_missing),
            TAP_TEST(takes_the_rest), TAP_TEST(keeps_groups_apart), TAP_TEST(writes_the_synopsis),
            TAP_TEST(opens_the_home_directory));
}
