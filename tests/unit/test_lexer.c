#include <stdlib.h>

#include "cli/lexer.h"
#include "kvsh/buf.h"
#include "kvsh/mem.h"
#include "tap.h"

/* The commands of a line as "(a|b c)(d)", or its error. */
static char *shape(const char *text)
{
    struct arena a = {0};
    struct err err = ERR_INIT;
    struct line line;
    struct buf b;
    char *all;
    size_t at;

    buf_init(&b, 0);
    if (line_parse(&line, text, &a, &at, &err) < 0) {
        is_int(err.code, ERR_USAGE);
        buf_addf(&b, "error: %s", err.text);
        line.n = 0;
    }
    for (size_t i = 0; i < line.n; i++) {
        buf_addc(&b, '(');
        for (size_t w = 0; w < line.commands[i].n; w++)
            buf_addf(&b, "%s%s", w ? "|" : "", line.commands[i].words[w].text);
        buf_addc(&b, ')');
    }
    arena_release(&a);
    all = buf_take(&b);
    buf_release(&b);
    return all;
}

struct row {
    const char *text, *want;
};

static void check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *got = shape(rows[i].text);

        if (!is_str(got, rows[i].want))
            printf("# in row %zu: %s\n", i, rows[i].text);
        free(got);
    }
}
#define CHECK(rows) check(rows, sizeof(rows) / sizeof *(rows))

static void splits_words(void)
{
    static const struct row rows[] = {
        {"", ""},
        {" \t ", ""},
        {"show plans", "(show|plans)"},
        {"  show\t\tplans  ", "(show|plans)"},
        {"show plans\r", "(show|plans)"},
        {"a-b_c=d:e/f,g", "(a-b_c=d:e/f,g)"},
        {"plan \xC3\xBC \xE6\x97\xA5\xE6\x9C\xAC \xF0\x9F\x98\x80",
         "(plan|\xC3\xBC|\xE6\x97\xA5\xE6\x9C\xAC|\xF0\x9F\x98\x80)"},
        {"broken \xff\xc3 bytes", "(broken|\xff\xc3|bytes)"},
        {"C:\\dir \\d+", "(C:\\dir|\\d+)"},
    };

    CHECK(rows);
}

static void reads_quotes(void)
{
    static const struct row rows[] = {
        {"\"a b\"", "(a b)"},
        {"'a b'", "(a b)"},
        {"x\"a b\"y'c d'z", "(xa byc dz)"},
        {"\"\" ''", "(|)"},
        {"\"\\\"\" \"\\\\\" \"a\\nb\" \"a\\tb\"", "(\"|\\|a\nb|a\tb)"},
        {"'\\n \" \\'", "(\\n \" \\)"},
        {"\"it's\" 'say \"x\"'", "(it's|say \"x\")"},
        {"\"# ;\" '# ;'", "(# ;|# ;)"},
        {"\"\xC3\xBC \xE2\x82\xAC\"", "(\xC3\xBC \xE2\x82\xAC)"},
    };

    CHECK(rows);
}

static void knows_comments(void)
{
    static const struct row rows[] = {
        {"# all of it", ""},
        {"   # all", ""},
        {"show plans # the rest", "(show|plans)"},
        {"a#b c", "(a#b|c)"},
        {"a \"#b\" #c", "(a|#b)"},
        {"a # \"open", "(a)"},
        {"a # ends in a backslash \\", "(a)"},
    };

    CHECK(rows);
}

static void separates_commands(void)
{
    static const struct row rows[] = {
        {"show plans;", "(show|plans)"},
        {"show plans ;", "(show|plans)"},
        {"a; b", "(a)(b)"},
        {"a ; b", "(a)(b)"},
        {"a ;b", "(a)(b)"},
        {"a;b", "(a;b)"},
        {";", ""},
        {" ; ; a ;; b ; ", "(a)(b)"},
        {"a;; b", "(a;)(b)"},
        {"a ';' b", "(a|;|b)"},
        {"a; # comment; b", "(a)"},
    };

    CHECK(rows);
}

static void joins_lines(void)
{
    static const struct row rows[] = {
        {"a \\\nb", "(a|b)"},   {"a\\\nb", "(ab)"},     {"a \\\r\nb", "(a|b)"},
        {"\"a\\\nb\"", "(ab)"}, {"a # c\nb", "(a|b)"},  {"a \\", "(a)"},
        {"a\\", "(a)"},         {"a \\ b", "(a|\\|b)"}, {"a\\\\", "(a\\)"},
    };
    static const struct {
        const char *text;
        bool more;
    } ends[] = {
        {"a \\", true},     {"a\\", true},        {"a \\\r", true},        {"a", false},
        {"", false},        {"a # b \\", false},  {"'a \\", false},        {"\"a \\", true},
        {"a \\\nb", false}, {"a \\\nb \\", true}, {"a \"\\q\" \\", false}, {"a \\ ", false},
    };

    CHECK(rows);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (!ok(line_continues(ends[i].text) == ends[i].more))
            printf("# %s\n", ends[i].text);
}

static void names_the_column(void)
{
    static const struct row rows[] = {
        {"echo \"abc", "error: unterminated double quote in column 6"},
        {"echo 'abc", "error: unterminated single quote in column 6"},
        {"\"", "error: unterminated double quote in column 1"},
        {"\xC3\xBC\xC3\xBC \"abc", "error: unterminated double quote in column 4"},
        {"a \\\n  'b", "error: unterminated single quote in column 3"},
        {"a 'b\nc'", "error: unterminated single quote in column 3"},
        {"a \"b\nc\"", "error: unterminated double quote in column 3"},
        {"a \"x\\qy\"", "error: unknown escape \"\\q\" in column 5"},
        {"a \"\\'\"", "error: unknown escape \"\\'\" in column 4"},
        {"a \"\\\xC3\xBC\"", "error: unknown escape \"\\\" in column 4"},
        {"a \"open \\", "error: unterminated double quote in column 3"},
    };

    CHECK(rows);
}

static void finds_positions(void)
{
    struct line_position p = line_position("ab\n\xC3\xBC"
                                           "cd",
                                           5);

    is_int(p.line, 2);
    is_int(p.column, 2);
    p = line_position("", 10);
    is_int(p.line, 1);
    is_int(p.column, 1);
}

static void tells_how_it_ends(void)
{
    static const struct {
        const char *text, *last;
        size_t words, start;
        bool in_word, in_comment;
        char quote;
    } rows[] = {
        {"plan st", "st", 2, 5, true, false, '\0'},
        {"plan st ", "st", 2, 5, false, false, '\0'},
        {"plan; show", "show", 1, 6, true, false, '\0'},
        {"plan;", NULL, 0, 0, false, false, '\0'},
        {"plan \"New Y", "New Y", 2, 5, true, false, '"'},
        {"plan 'New Y", "New Y", 2, 5, true, false, '\''},
        {"plan x\"y", "xy", 2, 5, true, false, '"'},
        {"plan \"x\"", "x", 2, 5, true, false, '\0'},
        {"plan # x", "plan", 1, 0, false, true, '\0'},
        {"", NULL, 0, 0, false, false, '\0'},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena a = {0};
        struct err err = ERR_INIT;
        struct line line;
        size_t at;

        is_int(line_split(&line, rows[i].text, &a, &at, &err), 0);
        is_int(line.tail.n, rows[i].words);
        if (rows[i].last && line.tail.n > 0) {
            is_str(line.tail.words[line.tail.n - 1].text, rows[i].last);
            is_int(line.tail.words[line.tail.n - 1].start, rows[i].start);
        }
        is_int(line.in_word, rows[i].in_word);
        is_int(line.in_comment, rows[i].in_comment);
        is_int(line.quote, rows[i].quote);
        arena_release(&a);
    }
}

static void quotes_for_reading_back(void)
{
    static const char *const words[] = {"plain",
                                        "",
                                        "two words",
                                        "\"",
                                        "\\",
                                        "it's",
                                        "#x",
                                        "a#b",
                                        "a;b",
                                        ";",
                                        "a\nb\tc",
                                        "end\\",
                                        "\xC3\xBC \xE2\x82\xAC",
                                        "\r",
                                        "'\"\\"};

    is_str(line_quote(NULL, "plain-word=1"), "plain-word=1");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct arena a = {0};
        struct err err = ERR_INIT;
        struct line line;
        size_t at;

        is_int(line_parse(&line, line_quote(&a, words[i]), &a, &at, &err), 0);
        if (ok(line.n == 1) && ok(line.commands[0].n == 1))
            is_str(line.commands[0].words[0].text, words[i]);
        arena_release(&a);
    }
}

int main(void)
{
    TAP_RUN(TAP_TEST(splits_words), TAP_TEST(reads_quotes), TAP_TEST(knows_comments),
            TAP_TEST(separates_commands), TAP_TEST(joins_lines), TAP_TEST(names_the_column),
            TAP_TEST(finds_positions), TAP_TEST(tells_how_it_ends),
            TAP_TEST(quotes_for_reading_back));
}
