#include "tap.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvsh/json.h"
#include "kvsh/mem.h"
#include "kvsh/out.h"

static const struct out_col all_cols[] = {
    {"name", "NAME", OUT_STR, "a name"},
    {"state", "STATE", OUT_STATE, "a state"},
    {"count", "COUNT", OUT_INT, "a number"},
    {"up", "UP", OUT_BOOL, "whether it is up"},
    {"since", "SINCE", OUT_TIME, "since when"},
    {"tookMs", "TOOK", OUT_DURATION, "how long"},
    {"size", "SIZE", OUT_BYTES, "how large"},
    {"done", "DONE", OUT_PERCENT, "how far"},
    {"shards", "SHARDS", OUT_LIST, "which shards"},
    {"secretId", NULL, OUT_STR, "for programs alone"},
    {0},
};
static const struct out_table things = {.key = "things", .cols = all_cols, .empty = "no things"};
static const struct out_table quiet_things = {
    .key = "quietThings", .cols = all_cols, .chatter = true, .empty = "all is well"};
static const struct out_table json_things = {
    .key = "jsonThings", .cols = all_cols, .json_only = true, .empty = "not printed"};
static const struct out_table single = {
    .cols = all_cols, .single = true, .text = "Plan {count} is {state}{?name| ({name})}"};
static const struct out_table bare = {.key = "bare", .cols = all_cols, .no_heading = true};

/* The output of one run, as two streams in memory. */
struct capture {
    char *results;
    char *diagnostics;
    size_t results_len;
    size_t diagnostics_len;
    struct out_config config;
    int status;
};

static struct capture *capture_new(bool json)
{
    struct capture *c = xcalloc(1, sizeof *c);

    c->config.json = json;
    c->config.results = tap_stream(open_memstream(&c->results, &c->results_len));
    c->config.diagnostics = tap_stream(open_memstream(&c->diagnostics, &c->diagnostics_len));
    return c;
}

static void capture_free(struct capture *c)
{
    fclose(c->config.results);
    fclose(c->config.diagnostics);
    free(c->results);
    free(c->diagnostics);
    free(c);
}

static void finish(struct capture *c, struct out *out, const struct err *err)
{
    struct err fine = ERR_INIT;

    c->status = out_finish(out, err ? err : &fine, NULL);
    out_free(out);
    fflush(c->config.diagnostics);
}

static void fill(struct out_row *row)
{
    out_str(row, "name", "rg1-rn1");
    out_str(row, "state", "RUNNING");
    out_int(row, "count", 7);
    out_bool(row, "up", true);
    out_int(row, "since", INT64_C(1767104401123));
    out_int(row, "tookMs", 185000);
    out_int(row, "size", INT64_C(8) << 30);
    out_int(row, "done", 45);
    out_item(row, "shards", "rg1");
    out_item(row, "shards", "rg2");
    out_str(row, "secretId", "x1");
}

static void fill_all(struct out *out)
{
    fill(out_row(out, &things));
    out_str(out_row(out, &things), "name", "größe");
}

static void golden_text(void)
{
    static const struct out_table *const tables[] = {&things, NULL};
    struct capture *c = capture_new(false);
    struct out *out = out_new(&c->config, "show things", tables);

    fill_all(out);
    finish(c, out, NULL);
    is_int(c->status, 0);
    is_str(
        c->results,
        "NAME     STATE    COUNT  UP   SINCE                         TOOK  SIZE  DONE  SHARDS\n"
        "rg1-rn1  RUNNING      7  yes  2025-12-30 14:20:01 UTC  3 min 5 s  8 GB  45 %  rg1, rg2\n"
        "größe    -            -  -    -                                -     -     -  -\n");
    is_str(c->diagnostics, "");
    capture_free(c);
}

static void golden_json(void)
{
    static const struct out_table *const tables[] = {&things, &quiet_things, &json_things, NULL};
    struct capture *c = capture_new(true);
    struct out *out = out_new(&c->config, "show things", tables);

    fill_all(out);
    out_str(out_row(out, &json_things), "name", "a");
    out_note(out, "it is %s", "late");
    finish(c, out, NULL);
    is_int(c->status, 0);
    is_str(c->results, "{\n"
                       "  \"operation\": \"show things\",\n"
                       "  \"returnCode\": 5000,\n"
                       "  \"description\": \"Operation ends successfully\",\n"
                       "  \"returnValue\": {\n"
                       "    \"things\": [\n"
                       "      {\n"
                       "        \"name\": \"rg1-rn1\",\n"
                       "        \"state\": \"RUNNING\",\n"
                       "        \"count\": 7,\n"
                       "        \"up\": true,\n"
                       "        \"since\": \"2025-12-30T14:20:01.123Z\",\n"
                       "        \"tookMs\": 185000,\n"
                       "        \"size\": 8589934592,\n"
                       "        \"done\": 45,\n"
                       "        \"shards\": [\n"
                       "          \"rg1\",\n"
                       "          \"rg2\"\n"
                       "        ],\n"
                       "        \"secretId\": \"x1\"\n"
                       "      },\n"
                       "      {\n"
                       "        \"name\": \"größe\"\n"
                       "      }\n"
                       "    ],\n"
                       "    \"quietThings\": [],\n"
                       "    \"jsonThings\": [\n"
                       "      {\n"
                       "        \"name\": \"a\"\n"
                       "      }\n"
                       "    ]\n"
                       "  },\n"
                       "  \"notes\": [\n"
                       "    \"it is late\"\n"
                       "  ],\n"
                       "  \"schema\": \"kvsh/1\"\n"
                       "}\n");
    is_str(c->diagnostics, "");
    capture_free(c);
}

static void single_and_runs(void)
{
    static const struct out_table *const tables[] = {&single, &bare, &json_things, NULL};
    struct capture *c = capture_new(false);
    struct out *out = out_new(&c->config, "x", tables);
    struct out_row *row;

    out_str(out_row(out, &bare), "name", "a");
    row = out_row(out, &single);
    out_int(row, "count", 9);
    out_str(row, "state", "ERROR");
    out_str(out_row(out, &json_things), "name", "hidden");
    out_str(out_row(out, &bare), "name", "b");
    out_str(out_row(out, &bare), "name", "long name");
    finish(c, out, NULL);
    is_str(c->results, "a  -  -  -  -  -  -  -  -\n"
                       "Plan 9 is ERROR\n"
                       "b          -  -  -  -  -  -  -  -\n"
                       "long name  -  -  -  -  -  -  -  -\n");
    capture_free(c);

    c = capture_new(true);
    out = out_new(&c->config, "x", tables);
    out_int(out_row(out, &single), "count", 9);
    finish(c, out, NULL);
    has_str(c->results, "    \"count\": 9\n  },");
    has_str(c->results, "    \"bare\": [],\n    \"jsonThings\": [],\n");
    capture_free(c);
}

/* One row through that template. */
static char *expand(const char *template)
{
    struct out_table table = {.key = "t", .cols = all_cols, .text = template};
    const struct out_table *const tables[] = {&table, NULL};
    struct capture *c = capture_new(false);
    struct out *out = out_new(&c->config, "x", tables);
    struct out_row *row = out_row(out, &table);
    char *text;

    out_str(row, "name", "größe");
    out_int(row, "count", 0);
    out_bool(row, "up", false);
    out_str(row, "state", "");
    out_item(row, "shards", "rg1");
    finish(c, out, NULL);
    text = xstrdup(c->results);
    capture_free(c);
    return text;
}

static void expands(const char *template, const char *want)
{
    char *text = expand(template);

    is_str(text, want);
    free(text);
}

static void templates(void)
{
    expands("{name}", "größe\n");
    expands("{name:8}|", "größe   |\n");
    expands("{name:-8}|", "   größe|\n");
    expands("{name:2}|", "größe|\n");
    expands("{name:8}", "größe\n");
    expands("{{name} {{{name}} }", "{name} {größe} }\n");
    expands("a{?name|b{name}c}d", "abgrößecd\n");
    expands("a{?up|b}c", "ac\n");
    expands("a{?state|b}c", "ac\n");
    expands("a{?size|b}c", "ac\n");
    expands("a{?count|b{count}}c", "ab0c\n");
    expands("{?shards|{shards}}{?since|x}", "rg1\n");
    expands("{?name|{name}}{?count|, {count:3}|}{?name|, {{x}", "größe, 0  |, {x\n");
    expands("a\n  {name}", "a\n  größe\n");
    expands("a{?name|\n      because {name}}", "a\n      because größe\n");
    expands("{state}", "\n");
    expands("", "\n");
    expands("{name}}", "größe}\n");
    expands("[{size}]", "[]\n");
}

/* What a child printed before it aborted. */
static void aborts(void (*misuse)(void), const char *part)
{
    char text[512] = "";
    int fds[2], status;
    ssize_t n;
    pid_t pid;

    is_int(pipe(fds), 0);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        dup2(fds[1], 2);
        signal(SIGABRT, SIG_DFL);
        misuse();
        _exit(0);
    }
    close(fds[1]);
    n = read(fds[0], text, sizeof text - 1);
    ok(n > 0);
    close(fds[0]);
    waitpid(pid, &status, 0);
    ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    has_str(text, part);
}

static void unknown_column(void)
{
    free(expand("{nmae}"));
}

static void unknown_column_in_condition(void)
{
    free(expand("{?up|{nmae}}"));
}

static void nested_condition(void)
{
    free(expand("{?up|{?name|x}}"));
}

static void open_brace(void)
{
    free(expand("{name"));
}

static void open_condition(void)
{
    free(expand("a{?name|x"));
}

static void no_bar(void)
{
    free(expand("a{?name}x"));
}

static void unknown_key(void)
{
    static const struct out_table *const tables[] = {&things, NULL};
    struct capture *c = capture_new(false);

    out_str(out_row(out_new(&c->config, "x", tables), &things), "nmae", "a");
}

static void wrong_type(void)
{
    static const struct out_table *const tables[] = {&things, NULL};
    struct capture *c = capture_new(false);

    out_int(out_row(out_new(&c->config, "x", tables), &things), "name", 1);
}

static void undeclared_table(void)
{
    static const struct out_table *const tables[] = {&things, NULL};
    struct capture *c = capture_new(false);

    out_row(out_new(&c->config, "x", tables), &bare);
}

static void second_single(void)
{
    static const struct out_table *const tables[] = {&single, NULL};
    struct capture *c = capture_new(false);
    struct out *out = out_new(&c->config, "x", tables);

    out_row(out, &single);
    out_row(out, &single);
}

static void programming_errors_abort(void)
{
    aborts(unknown_column, "no such column \"nmae\"");
    aborts(unknown_column_in_condition, "no such column \"nmae\"");
    aborts(nested_condition, "nested condition");
    aborts(open_brace, "open brace");
    aborts(open_condition, "open brace");
    aborts(no_bar, "condition without");
    aborts(unknown_key, "column nmae is not declared");
    aborts(wrong_type, "column name has another type");
    aborts(undeclared_table, "table is not declared");
    aborts(second_single, "second row of a single table");
}

static char *one_cell(const char *key, int64_t value)
{
    struct out_table table = {.key = "t", .cols = all_cols};
    char template[32];
    const struct out_table *const tables[] = {&table, NULL};
    struct capture *c = capture_new(false);
    struct out *out;
    char *text;

    snprintf(template, sizeof template, "{%s}", key);
    table.text = template;
    out = out_new(&c->config, "x", tables);
    out_int(out_row(out, &table), key, value);
    finish(c, out, NULL);
    text = xstrndup(c->results, strcspn(c->results, "\n"));
    capture_free(c);
    return text;
}

static void cell_is(const char *key, int64_t value, const char *want)
{
    char *text = one_cell(key, value);

    is_str(text, want);
    free(text);
}

static void cell_texts(void)
{
    cell_is("tookMs", 0, "0 ms");
    cell_is("tookMs", 250, "250 ms");
    cell_is("tookMs", 1200, "1.2 s");
    cell_is("tookMs", 2000, "2 s");
    cell_is("tookMs", 2050, "2 s");
    cell_is("tookMs", 59999, "59 s");
    cell_is("tookMs", 60000, "1 min");
    cell_is("tookMs", 185000, "3 min 5 s");
    cell_is("tookMs", 7500000, "2 h 5 min");
    cell_is("tookMs", 90000000, "1 d 1 h");
    cell_is("tookMs", 86401000, "1 d");
    cell_is("tookMs", -1500, "-1.5 s");
    cell_is("tookMs", INT64_MIN, "-106751991167 d 7 h");
    cell_is("size", 0, "0 B");
    cell_is("size", 1023, "1023 B");
    cell_is("size", 1024, "1 KB");
    cell_is("size", 1536, "1.5 KB");
    cell_is("size", 1025, "1 KB");
    cell_is("size", INT64_C(8) << 30, "8 GB");
    cell_is("size", (INT64_C(3) << 40) - 1, "2.9 TB");
    cell_is("size", INT64_C(150) << 20 | 1 << 19, "150 MB");
    cell_is("size", INT64_MAX, "7.9 EB");
    cell_is("size", -2048, "-2 KB");
    cell_is("done", 100, "100 %");
    cell_is("since", 0, "");
    cell_is("count", INT64_MIN, "-9223372036854775808");
}

static void errors(void)
{
    static const struct out_table *const tables[] = {&things, &quiet_things, NULL};
    struct capture *c = capture_new(false);
    struct out *out = out_new(&c->config, "show things", tables);
    struct err err = ERR_INIT;

    err_set(&err, ERR_UNREACHABLE, "connect to 127.0.0.1:5000: connection refused");
    err_advise(&err, "start the agent");
    out_str(out_row(out, &things), "name", "partial");
    c->status = out_finish(out, &err, "deploy.kv:3");
    out_free(out);
    fflush(c->config.diagnostics);
    is_int(c->status, 69);
    has_str(c->results, "partial");
    ok(strstr(c->results, "all is well") == NULL);
    is_str(c->diagnostics, "deploy.kv:3: connect to 127.0.0.1:5000: connection refused\n"
                           "    start the agent\n");
    capture_free(c);

    c = capture_new(true);
    out = out_new(&c->config, "show things", tables);
    out_str(out_row(out, &things), "name", "partial");
    c->status = out_finish(out, &err, "deploy.kv:3");
    out_free(out);
    fflush(c->config.diagnostics);
    is_int(c->status, 69);
    is_str(c->results, "{\n"
                       "  \"operation\": \"show things\",\n"
                       "  \"returnCode\": 5300,\n"
                       "  \"description\": \"connect to 127.0.0.1:5000: connection refused\",\n"
                       "  \"advice\": \"start the agent\",\n"
                       "  \"position\": \"deploy.kv:3\",\n"
                       "  \"returnValue\": {\n"
                       "    \"things\": [\n"
                       "      {\n"
                       "        \"name\": \"partial\"\n"
                       "      }\n"
                       "    ],\n"
                       "    \"quietThings\": []\n"
                       "  },\n"
                       "  \"schema\": \"kvsh/1\"\n"
                       "}\n");
    is_str(c->diagnostics, "");
    capture_free(c);
}

static void violations(void)
{
    static const struct out_table *const tables[] = {&things, NULL};
    struct capture *c = capture_new(false);
    struct err err = {.code = ERR_VIOLATIONS};

    finish(c, out_new(&c->config, "verify configuration", tables), &err);
    is_int(c->status, 2);
    is_str(c->results, "no things\n");
    is_str(c->diagnostics, "");
    capture_free(c);
    c = capture_new(true);
    finish(c, out_new(&c->config, "verify configuration", tables), &err);
    has_str(c->results, "\"returnCode\": 5200,\n  \"description\": \"verify found violations\"");
    capture_free(c);
}

static void quiet(void)
{
    static const struct out_table *const tables[] = {&quiet_things, &things, NULL};

    for (int i = 0; i < 2; i++) {
        struct capture *c = capture_new(false);
        struct out *out;

        c->config.quiet = i;
        out = out_new(&c->config, "x", tables);
        finish(c, out, NULL);
        is_str(c->results, i ? "no things\n" : "all is well\nno things\n");
        capture_free(c);

        c = capture_new(false);
        c->config.quiet = i;
        out = out_new(&c->config, "x", tables);
        out_str(out_row(out, &things), "name", "b");
        out_str(out_row(out, &quiet_things), "name", "a");
        finish(c, out, NULL);
        has_str(c->results, "b ");
        is_int(strstr(c->results, "a ") != NULL, !i);
        capture_free(c);
    }
}

static void notes_and_flush(void)
{
    static const struct out_table *const tables[] = {&things, NULL};
    struct capture *c = capture_new(false);
    struct out *out = out_new(&c->config, "x", tables);

    out_str(out_row(out, &things), "name", "first");
    out_note(out, "one");
    out_flush(out);
    has_str(c->results, "NAME");
    has_str(c->results, "first");
    is_str(c->diagnostics, "note: one\n");
    out_flush(out);
    out_str(out_row(out, &things), "name", "second");
    out_note(out, "two");
    finish(c, out, NULL);
    has_str(c->results, "second");
    ok(strstr(strstr(c->results, "NAME") + 1, "NAME") == NULL);
    ok(strstr(strstr(c->results, "first") + 1, "first") == NULL);
    is_str(c->diagnostics, "note: one\nnote: two\n");
    capture_free(c);

    c = capture_new(true);
    out = out_new(&c->config, "x", tables);
    out_str(out_row(out, &things), "name", "first");
    out_flush(out);
    fflush(c->config.results);
    is_int(c->results_len, 0);
    finish(c, out, NULL);
    ok(c->results[0] == '{');
    capture_free(c);
}

static void foreign_bytes(void)
{
    static const struct out_table *const tables[] = {&things, NULL};
    const char *evil = "a\033[31m\x7f\r\nb\tc\xff\xc3(\xed\xa0\x80\xc2\x9b \xf0\x9f\x98\x80\"\\";
    struct err err = ERR_INIT;

    for (int json = 0; json < 2; json++) {
        struct capture *c = capture_new(json);
        struct out *out = out_new(&c->config, "x", tables);
        struct out_row *row = out_row(out, &things);

        out_str(row, "name", evil);
        out_str(row, "state", evil);
        out_item(row, "shards", evil);
        out_note(out, "%s", evil);
        err_set(&err, ERR_FAILED, "%s", evil);
        finish(c, out, &err);
        ok(strchr(c->results, '\033') == NULL);
        ok(strchr(c->diagnostics, '\033') == NULL);
        ok(strchr(c->diagnostics, '\r') == NULL);
        if (json) {
            struct json *j = json_parse(c->results, c->results_len, &err);
            const char *name;

            ok(j != NULL);
            name = json_str(json_at(json_get(json_get(j, "returnValue"), "things"), 0), "name");
            is_str(name, "a\033[31m\x7f\r\nb\tc\uFFFD\uFFFD(\uFFFD\uFFFD\uFFFD\xc2\x9b "
                         "\xf0\x9f\x98\x80\"\\");
            json_free(j);
        } else {
            has_str(c->results, "a\\x1b[31m\\x7f\\x0d\\x0ab\tc\\xff\\xc3(\\xed\\xa0\\x80\\xc2\\x9b "
                                "\xf0\x9f\x98\x80\"\\");
        }
        capture_free(c);
    }
}

static void colors(void)
{
    static const struct out_table *const tables[] = {&things, NULL};
    struct capture *c = capture_new(false);
    static const char *const states[] = {"RUNNING,MASTER",   "error",          "STOPPED",
                                         "ERROR_NO_RESTART", "missing (gone)", ""};
    struct out *out;

    c->config.color = true;
    out = out_new(&c->config, "x", tables);
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        out_str(out_row(out, &things), "state", states[i]);
    out_str(out_row(out, &things), "name", "RUNNING");
    finish(c, out, NULL);
    has_str(c->results, "\033[32mRUNNING,MASTER\033[0m");
    has_str(c->results, "\033[31merror\033[0m             "); /* padding stays outside */
    has_str(c->results, "\033[33mSTOPPED\033[0m");
    has_str(c->results, "\033[31mERROR_NO_RESTART\033[0m");
    has_str(c->results, "\033[31mmissing (gone)\033[0m");
    has_str(c->results, "\nRUNNING ");
    capture_free(c);
}

/* Writes one row of results to fd; the status, and what was said about it. */
static int write_to(int fd, bool json, char said[256])
{
    static const struct out_table *const tables[] = {&things, NULL};
    struct capture *c = capture_new(json);
    FILE *memory = c->config.results;
    int status;

    c->config.results = tap_stream(fdopen(fd, "w"));
    {
        struct out *out = out_new(&c->config, "x", tables);

        out_str(out_row(out, &things), "name", "a");
        out_flush(out);
        finish(c, out, NULL);
    }
    fclose(c->config.results);
    c->config.results = memory;
    status = c->status;
    snprintf(said, 256, "%s", c->diagnostics);
    capture_free(c);
    return status;
}

static void write_errors(void)
{
    char said[256];
    int fds[2];

    signal(SIGPIPE, SIG_IGN);
    for (int json = 0; json < 2; json++) {
        is_int(pipe(fds), 0);
        close(fds[0]);
        is_int(write_to(fds[1], json, said), 0);
        is_str(said, "");
        is_int(write_to(open("/dev/full", O_WRONLY), json, said), 1);
        is_str(said, "write results: no space left on device\n");
    }
}

static void many_rows(void)
{
    static const struct out_table *const tables[] = {&things, NULL};
    struct capture *c = capture_new(false);
    struct out *out = out_new(&c->config, "x", tables);
    size_t lines = 0;

    for (int i = 0; i < 10000; i++)
        fill(out_row(out, &things));
    finish(c, out, NULL);
    for (const char *p = c->results; (p = strchr(p, '\n')); p++)
        lines++;
    is_int(lines, 10001);
    capture_free(c);
}

int main(void)
{
    TAP_RUN(TAP_TEST(golden_text), TAP_TEST(golden_json), TAP_TEST(single_and_runs),
            TAP_TEST(templates), TAP_TEST(programming_errors_abort), TAP_TEST(cell_texts),
            TAP_TEST(errors), TAP_TEST(violations), TAP_TEST(quiet), TAP_TEST(notes_and_flush),
            TAP_TEST(foreign_bytes), TAP_TEST(colors), TAP_TEST(write_errors), TAP_TEST(many_rows));
}
