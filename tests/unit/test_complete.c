#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/candidates.h"
#include "cli/complete.h"
#include "fake_cmds.h"
#include "kvsh/buf.h"
#include "kvsh/mem.h"
#include "tap.h"

static struct arena arena;
static struct completion c;
static struct session session;

static const char *complete(const char *line)
{
    struct shell_host host = fake_host(&session);
    const char *all = "";

    arena_release(&arena);
    complete_line(&c, &host, true, line, &arena);
    for (size_t i = 0; i < c.n; i++)
        all = arena_printf(&arena, "%s%s%s", all, i ? " " : "", c.items[i].word);
    return all;
}

struct row {
    const char *line, *want;
};

static void check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_str(complete(rows[i].line), rows[i].want))
            printf("# line: %s\n", rows[i].line);
}
#define CHECK(rows) check(rows, sizeof(rows) / sizeof *(rows))

static void offers_commands(void)
{
    static const struct row rows[] = {
        {"", "plan show echo fail login load help timer history exit quit"},
        {"pl", "plan"},
        {"plan", "plan"},
        {"plan ", "deploy-zone stop-service start-service change-parameters"},
        {"plan st", "stop-service start-service"},
        {"pl  st", "stop-service start-service"},
        {"plan stop-service", "stop-service"},
        {"show plans; sh", "show"},
        {"show plans ; show ", "plans topology"},
        {"self", ""},
        {"comp", ""},
        {"xyz ", ""},
        {"plan xyz ", ""},
        {"q", "quit"},
        {"# pl", ""},
        {"plan \\", ""},
    };

    CHECK(rows);
}

static void offers_options_not_yet_given(void)
{
    static const struct row rows[] = {
        {"plan deploy-zone ", "-name -rf -type -wait -timeout -reason"},
        {"plan deploy-zone -",
         "-name -rf -type -wait -timeout -reason -json -quiet -verbose -help"},
        {"plan deploy-zone --n", "--name"},
        {"plan deploy-zone -name x -wait ", "-rf -type -timeout -reason"},
        {"plan stop-service -all-rns ", "-zn -znname -wait -timeout -reason"},
        {"plan stop-service -service rg1-rn1 ", "-service -zn -znname -wait -timeout -reason"},
        {"plan stop-service -zn 1 -",
         "-service -all-rns -wait -timeout -reason -json -quiet -verbose -help"},
        {"plan deploy-zone -bogus ", ""},
        {"plan deploy-zone -rf 99 ", ""},
        {"plan deploy-zone -name x -name ", ""},
        {"show topology ", ""},
        {"show topology -j", "-json"},
    };

    CHECK(rows);
}

static void offers_values(void)
{
    static const struct row rows[] = {
        {"plan deploy-zone -type ", "primary secondary"},
        {"plan deploy-zone -type s", "secondary"},
        {"plan stop-service -service ", "admin1 rg1-rn1 rg1-rn2 rg2-rn1"},
        {"plan stop-service -service rg1", "rg1-rn1 rg1-rn2"},
        {"plan stop-service -service rg1-rn1 -service rg1", "rg1-rn2"},
        {"plan stop-service -zn ", "zn1 zn2"},
        {"plan stop-service -znname Z", "Z\xC3\xBCrich"},
        {"plan stop-service -znname \"New", "New York"},
        {"plan stop-service -znname \"New Y", "New York"},
        {"plan stop-service -znname 'New Y", "New York"},
        {"plan deploy-zone -name ", ""},
        {"plan deploy-zone -rf 1", ""},
        {"timer ", "on off"},
        {"timer o", "on off"},
        {"timer on ", ""},
        {"help ", "plan show echo fail login load help timer history exit quit"},
        {"help plan st", "stop-service start-service"},
        {"help plan stop-service ", ""},
        {"-store ", "store-a store-b"},
        {"-st", "-store"},
        {"-store store-a -", "-config -json -quiet -verbose -help"},
    };

    CHECK(rows);
}

static void hints_where_nothing_can_be_listed(void)
{
    complete("plan deploy-zone -rf ");
    is_int(c.n, 0);
    is_str(c.hint, "-rf N: copies of each shard in this zone (a whole number from 1 to 20)");
    complete("plan change-parameters -service rg1-rn1 -params ");
    is_str(c.hint, "-params NAME=VALUE...: what to set");
    complete("plan deploy-zone -type ");
    ok(!c.hint);
    complete("xyz ");
    ok(!c.hint);
}

static void leaves_out_what_is_not_available(void)
{
    session.no_topology = true;
    is_str(complete("show "), "plans");
    session.no_topology = false;
    is_str(complete("show "), "plans topology");
}

static void tells_meanings(void)
{
    complete("plan ");
    is_str(c.items[0].meaning, "add a zone to the store");
    complete("sh");
    is_str(c.items[0].meaning, "2 commands");
    complete("plan deploy-zone -n");
    is_str(c.items[0].meaning, "name of the zone");
}

static void tells_where_the_word_begins(void)
{
    complete("plan  st");
    is_int(c.start, 6);
    is_str(c.typed, "st");
    complete("plan stop-service -znname \"New Y");
    is_int(c.start, 26);
    is_int(c.quote, '"');
    is_str(c.typed, "New Y");
    complete("plan ");
    is_int(c.start, 5);
    is_str(c.typed, "");
}

static void finds_the_common_beginning(void)
{
    complete("plan stop-service -service r");
    is_int(completion_common(&c), 2);
    complete("plan st");
    is_int(completion_common(&c), 2);
    complete("plan deploy-zone ");
    is_int(completion_common(&c), 0); /* only the dash */
    complete("xyz ");
    is_int(completion_common(&c), 0);
}

static void touch(const char *path)
{
    fclose(tap_stream(fopen(path, "w")));
}

static void offers_files(void)
{
    char dir[] = "/tmp/kvsh-complete-XXXXXX", back[4096];

    ok(mkdtemp(dir) != NULL);
    ok(getcwd(back, sizeof back) && chdir(dir) == 0);
    touch("deploy.kv");
    touch("demo.kv");
    touch(".hidden");
    touch("a file.kv");
    ok(mkdir("sub", 0700) == 0);
    touch("sub/inner.kv");
    ok(symlink("sub", "link") == 0);
    setenv("HOME", dir, 1);

    is_str(complete("load -file "), "a file.kv demo.kv deploy.kv link/ sub/");
    is_str(complete("load -file de"), "demo.kv deploy.kv");
    is_str(complete("load -file ."), ".hidden");
    is_str(complete("load -file sub/"), "sub/inner.kv");
    ok(c.n > 0 && !c.items[0].goes_on);
    is_str(c.n > 0 ? c.items[0].shown : NULL, "inner.kv");
    is_str(complete("load -file su"), "sub/");
    ok(c.n > 0 && c.items[0].goes_on);
    is_str(complete("load -file ~/sub/i"), "~/sub/inner.kv");
    is_str(complete("load -file 'a f"), "a file.kv");
    is_str(complete("load -file /nonexistent/x"), "");

    ok(unlink("deploy.kv") == 0 && unlink("demo.kv") == 0 && unlink(".hidden") == 0 &&
       unlink("a file.kv") == 0 && unlink("sub/inner.kv") == 0 && unlink("link") == 0 &&
       rmdir("sub") == 0);
    ok(chdir(back) == 0 && rmdir(dir) == 0);
}

static void writes_candidates(void)
{
    arena_release(&arena);
    is_str(candidate_written(&arena, "plain", '\0', true), "plain");
    is_str(candidate_written(&arena, "two words", '\0', true), "\"two words\"");
    is_str(candidate_written(&arena, "two w", '\0', false), "\"two w");
    is_str(candidate_written(&arena, "two w", '"', false), "\"two w");
    is_str(candidate_written(&arena, "plain", '"', true), "\"plain\"");
    is_str(candidate_written(&arena, "two words", '\'', true), "'two words'");
    is_str(candidate_written(&arena, "pl", '\'', false), "'pl");
    is_str(candidate_written(&arena, "it's", '\'', true), "\"it's\"");
    is_str(candidate_written(&arena, "say \"x\"", '\0', true), "\"say \\\"x\\\"\"");
}

static char *printed(size_t columns, size_t rows)
{
    char *text = NULL;
    size_t size;
    FILE *f = tap_stream(open_memstream(&text, &size));

    candidates_print(f, &c, columns, rows);
    fclose(f);
    return text;
}

static void lists_candidates(void)
{
    char *text;

    complete("plan st");
    text = printed(80, 24);
    is_str(text, "\nstop-service   stop services\nstart-service  start services\n");
    free(text);
    text = printed(20, 24);
    is_str(text, "\nstop-service  st...\nstart-service  s...\n");
    free(text);
    complete("plan stop-service -service ");
    text = printed(22, 24);
    is_str(text, "\nadmin1   rg1-rn2\nrg1-rn1  rg2-rn1\n");
    free(text);
    complete("plan deploy-zone -rf ");
    text = printed(30, 24);
    is_str(text, "\n-rf N: copies of each shar...\n");
    free(text);
    complete("plan deploy-zone -");
    text = printed(80, 8);
    has_str(text, "... and 5 more\n");
    free(text);
}

static void keep_word(void *arg, const char *word, const char *meaning)
{
    struct buf *b = arg;

    buf_addf(b, "%s=%s;", word, meaning ? meaning : "");
}

static void completes_through_the_shell(void)
{
    struct shell_host host = fake_host(&session);
    struct shell_config config = {.json = false};
    struct shell *sh = shell_new(&host, &config);
    struct buf b;

    buf_init(&b, 0);
    shell_complete(sh, "plan st", keep_word, &b);
    is_str(b.data, "stop-service=stop services;start-service=start services;");
    buf_clear(&b);
    shell_complete(sh, "pl st", keep_word, &b); /* not at the prompt: no short words */
    is_str(b.data, "");
    buf_release(&b);
    shell_free(sh);
}

static void done(void)
{
    arena_release(&arena);
}

int main(void)
{
    TAP_RUN(TAP_TEST(offers_commands), TAP_TEST(offers_options_not_yet_given),
            TAP_TEST(offers_values), TAP_TEST(hints_where_nothing_can_be_listed),
            TAP_TEST(leaves_out_what_is_not_available), TAP_TEST(tells_meanings),
            TAP_TEST(tells_where_the_word_begins), TAP_TEST(finds_the_common_beginning),
            TAP_TEST(offers_files), TAP_TEST(writes_candidates), TAP_TEST(lists_candidates),
            TAP_TEST(completes_through_the_shell), TAP_TEST(done));
}
