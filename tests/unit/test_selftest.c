#include <stdlib.h>

#include "cli/selftest.h"
#include "fake_cmds.h"
#include "kvsh/buf.h"
#include "tap.h"

static struct buf complaints;

static void keep(void *arg, const char *where, const char *what)
{
    (void)arg;
    buf_addf(&complaints, "%s: %s\n", where, what);
}

static size_t test(const struct cmd *const *cmds)
{
    buf_release(&complaints);
    buf_init(&complaints, 0);
    return selftest_run(cmds, keep, NULL);
}

static int run(struct session *s, const void *options, struct out *out, struct err *err)
{
    (void)s;
    (void)options;
    (void)out;
    return err_set(err, ERR_INTERNAL, "not to be run");
}

static void finds_nothing_in_a_sound_table(void)
{
    is_int(test(fake_cmds), 0);
    is_str(complaints.data, "");
}

struct opts {
    bool flag, other;
    const char *text, *word, *last;
    int64_t number;
    struct words words;
};

#define OPTIONS(...) ((const struct opt[]){__VA_ARGS__, OPT_END})
#define BODY .description = "Does good.", .run = run, .options_size = sizeof(struct opts)
#define NAMED(n) .name = n, .summary = "do good", BODY
#define GOOD NAMED("good")

/* The one command, and what is said about it. */
static void planted(const struct cmd *cmd, const char *want)
{
    const struct cmd *const cmds[] = {cmd, NULL};

    is_int(test(cmds), 1);
    is_str(complaints.data, want);
}

static void planted_option(const struct opt *options, const char *want)
{
    const struct cmd cmd = {GOOD, .options = options};

    planted(&cmd, want);
}

static void finds_missing_texts(void)
{
    const struct cmd no_summary = {.name = "good", .description = "D.", .run = run};
    const struct cmd no_description = {.name = "good", .summary = "do", .run = run};
    const struct cmd no_run = {.name = "good", .summary = "do", .description = "D."};
    const struct cmd no_name = {.summary = "do", .description = "D.", .run = run};
    const struct cmd stop = {.name = "good", .summary = "do good.", BODY};
    const struct cmd capital = {.name = "good", .summary = "Do good", BODY};
    const struct cmd lines = {.name = "good", .summary = "do\ngood", BODY};

    planted(&no_summary, "good: has no summary\n");
    planted(&no_description, "good: has no description\n");
    planted(&no_run, "good: does nothing: no function to run\n");
    planted(&no_name, "(unnamed): has no name\n");
    planted(&stop, "good: summary ends in a full stop\n");
    planted(&capital, "good: summary begins with a capital\n");
    planted(&lines, "good: summary has more than one line\n");
}

static void finds_bad_names(void)
{
    static const char *const names[] = {"Good",  "good ",         " good", "do  good",
                                        "-good", "do g\xC3\xBCt", "do;",   "1st"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct cmd cmd = {NAMED(names[i])};

        is_int(test((const struct cmd *const[]){&cmd, NULL}), 1);
        has_str(complaints.data, "is no name");
    }
}

static void finds_shadowing(void)
{
    const struct cmd a = {NAMED("show plans")}, b = {NAMED("show")};
    const struct cmd c = {NAMED("list"), .alias = "show plans"};
    const struct cmd d = {NAMED("twice"), .alias = "twice"};

    is_int(test((const struct cmd *const[]){&a, &b, NULL}), 1);
    is_str(complaints.data, "show: its name is the beginning of \"show plans\"\n");
    is_int(test((const struct cmd *const[]){&a, &c, NULL}), 2);
    has_str(complaints.data, "show plans: its name \"show plans\" is also that of \"list\"\n");
    is_int(test((const struct cmd *const[]){&a, &a, NULL}) > 0, 1);
    is_int(test((const struct cmd *const[]){&d, NULL}), 2);
}

static void finds_bad_options(void)
{
    planted_option(OPTIONS(OPT_STR(struct opts, text, "text", NULL)),
                   "good -text: has no meaning\n");
    planted_option(OPTIONS(OPT_STR(struct opts, text, "text", "a text.")),
                   "good -text: meaning ends in a full stop\n");
    planted_option(OPTIONS(OPT_STR(struct opts, text, "Text", "a text")),
                   "good -Text: is no name: lower-case letters, digits, dashes\n");
    planted_option(OPTIONS({.name = "text", .meaning = "x", .type = (enum opt_type)99}),
                   "good -text: has no type\n");
    planted_option(OPTIONS({.name = "", .meaning = "x", .type = OPT_TYPE_STR}),
                   "good: an option has no name\n");
    planted_option(OPTIONS({.name = "", .type = OPT_TYPE_GROUP}),
                   "good -: is a group without options\n");
    planted_option(OPTIONS(OPT_FLAG(struct opts, flag, "json", "as JSON")),
                   "good -json: shadows the option that every command has\n");
    planted_option(
        OPTIONS(OPT_STR(struct opts, text, "a", "a"), OPT_STR(struct opts, word, "a", "b")),
        "good -a: is declared twice\n");
    planted_option(
        OPTIONS(OPT_STR(struct opts, text, "a", "a"), OPT_STR(struct opts, text, "b", "b")),
        "good -b: shares its member with -a\n");
    planted_option(OPTIONS({.name = "a", .meaning = "a", .type = OPT_TYPE_STR, .offset = 4096}),
                   "good -a: lies outside the options struct\n");
}

static void finds_bad_types(void)
{
    static const char *const none[] = {NULL}, *const some[] = {"a", NULL};

    planted_option(OPTIONS(OPT_CHOICE(struct opts, text, "a", "a")), "good -a: has no choices\n");
    planted_option(OPTIONS(OPT_CHOICE(struct opts, text, "a", "a", .choices = none)),
                   "good -a: has no choices\n");
    planted_option(OPTIONS(OPT_STR(struct opts, text, "a", "a", .choices = some)),
                   "good -a: has choices but another type\n");
    planted_option(OPTIONS(OPT_INT(struct opts, number, "a", "a", .min = 5, .max = 4)),
                   "good -a: has a range that is upside down\n");
    planted_option(OPTIONS(OPT_STR(struct opts, text, "a", "a", .max = 4)),
                   "good -a: has a range but is no number\n");
    planted_option(OPTIONS(OPT_STR(struct opts, text, "a", "a", .def = 4)),
                   "good -a: has a default but is no number\n");
    planted_option(OPTIONS(OPT_SECONDS(struct opts, number, "a", "a", .complete = COMPLETE_NODE)),
                   "good -a: has a completer but no value to complete\n");
}

static void finds_bad_flags(void)
{
    planted_option(OPTIONS(OPT_FLAG(struct opts, flag, "a", "a", .flags = OPT_REQUIRED)),
                   "good -a: is a flag and required: it could as well be left out\n");
    planted_option(OPTIONS(OPT_FLAG(struct opts, flag, "a", "a", .flags = OPT_POSITIONAL)),
                   "good -a: is a flag and positional\n");
    planted_option(
        OPTIONS(OPT_STR(struct opts, text, "a", "a", .flags = OPT_REQUIRED | OPT_HIDDEN)),
        "good -a: is required and hidden\n");
    planted_option(
        OPTIONS(OPT_STR(struct opts, text, "a", "a", .flags = OPT_SECRET | OPT_POSITIONAL)),
        "good -a: is secret but has no name and value of its own to mask\n");
    planted_option(OPTIONS(OPT_STR(struct opts, text, "a", "a", .one_of = 7)),
                   "good -a: excludes nothing: no other option has its one_of number\n");
}

static void finds_bad_orders(void)
{
    planted_option(
        OPTIONS(OPT_STR(struct opts, text, "a", "a", .flags = OPT_POSITIONAL),
                OPT_STR(struct opts, word, "b", "b", .flags = OPT_POSITIONAL | OPT_REQUIRED)),
        "good -b: is required but stands behind -a, which is not\n");
    planted_option(OPTIONS(OPT_LIST(struct opts, words, "a", "a", .flags = OPT_POSITIONAL),
                           OPT_STR(struct opts, word, "b", "b", .flags = OPT_POSITIONAL)),
                   "good -b: stands behind -a, which takes all words\n");
}

static void planted_table(const struct out_table *table, const char *want)
{
    const struct out_table *const tables[] = {table, NULL};
    const struct cmd cmd = {GOOD, .tables = tables};

    planted(&cmd, want);
}

static void finds_bad_tables(void)
{
    static const struct out_col empty[] = {{0}},
                                no_key[] = {{"a", "A", OUT_STR, "a"},
                                            {NULL, "B", OUT_STR, "b"},
                                            {0}},
                                no_title[] = {{"a", "", OUT_STR, "a"}, {0}},
                                no_titles[] = {{"a", NULL, OUT_STR, "a"}, {0}},
                                no_meaning[] = {{"a", "A", OUT_STR, NULL}, {0}},
                                stop[] = {{"a", "A", OUT_STR, "an a."}, {0}},
                                twice[] = {{"a", "A", OUT_STR, "a"}, {"a", "A", OUT_STR, "a"}, {0}},
                                duration[] = {{"took", "TOOK", OUT_DURATION, "how long"}, {0}},
                                good[] = {{"a", "A", OUT_STR, "a"}, {0}};
    const struct out_table sound = {.key = "rows", .cols = good};
    const struct out_table again = {.key = "rows", .cols = good};
    const struct cmd both = {GOOD,
                             .tables = (const struct out_table *const[]){&sound, &again, NULL}};

    planted_table(&(const struct out_table){.cols = good},
                  "good: a table of many rows has no key\n");
    planted_table(&(const struct out_table){.key = "t", .cols = empty},
                  "good: table t has no columns\n");
    planted_table(&(const struct out_table){.key = "t", .cols = no_key},
                  "good: a column of t has no key\n");
    planted_table(&(const struct out_table){.key = "t", .cols = no_title},
                  "good: t: column a has no title\n");
    planted_table(&(const struct out_table){.key = "t", .cols = no_titles},
                  "good: no column of t has a title\n");
    planted_table(&(const struct out_table){.key = "t", .cols = no_meaning},
                  "good: t: column a has no meaning\n");
    planted_table(&(const struct out_table){.key = "t", .cols = stop},
                  "good: t: meaning of column a ends in a full stop\n");
    planted_table(&(const struct out_table){.key = "t", .cols = twice},
                  "good: t: column a is declared twice\n");
    planted_table(&(const struct out_table){.key = "t", .cols = duration},
                  "good: t: duration took does not end in Ms\n");
    planted(&both, "good: table rows is declared twice\n");
}

static void finds_examples_that_do_not_parse(void)
{
    static const char *const unknown[] = {"god", NULL}, *const option[] = {"good -x", NULL},
                             *const quote[] = {"good \"", NULL}, *const empty[] = {"", NULL},
                             *const range[] = {"good -n 3", NULL},
                             *const fine[] = {"good -n 1; good", NULL};
    const struct opt *options =
        OPTIONS(OPT_INT(struct opts, number, "n", "a number", .min = 1, .max = 2));
    const struct cmd cmds[] = {
        {GOOD, .examples = unknown},
        {GOOD, .examples = option},
        {GOOD, .examples = quote},
        {GOOD, .examples = empty},
        {GOOD, .examples = range, .options = options},
    };
    const struct cmd good = {GOOD, .examples = fine, .options = options};

    planted(&cmds[0], "good: example \"god\": unknown command \"god\"\n");
    planted(&cmds[1], "good: example \"good -x\": unknown option \"-x\"\n");
    planted(&cmds[2], "good: example \"good \"\": unterminated double quote in column 6\n");
    planted(&cmds[3], "good: an example is empty\n");
    planted(&cmds[4],
            "good: example \"good -n 3\": \"3\" is not valid for -n; it takes a whole number "
            "from 1 to 2\n");
    is_int(test((const struct cmd *const[]){&good, NULL}), 0);
}

static void done(void)
{
    buf_release(&complaints);
}

int main(void)
{
    TAP_RUN(TAP_TEST(finds_nothing_in_a_sound_table), TAP_TEST(finds_missing_texts),
            TAP_TEST(finds_bad_names), TAP_TEST(finds_shadowing), TAP_TEST(finds_bad_options),
            TAP_TEST(finds_bad_types), TAP_TEST(finds_bad_flags), TAP_TEST(finds_bad_orders),
            TAP_TEST(finds_bad_tables), TAP_TEST(finds_examples_that_do_not_parse), TAP_TEST(done));
}
