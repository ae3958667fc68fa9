#include "cli/find.h"
#include "cli/suggest.h"
#include "fake_cmds.h"
#include "tap.h"

static struct find found;
static struct err err;

static int find(bool abbreviate, const char *line)
{
    static char copy[256];
    const char *words[16];
    size_t n = 0;
    char *save = NULL;

    snprintf(copy, sizeof copy, "%s", line);
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        words[n++] = w;
    err_clear(&err);
    find_init(&found, fake_cmds, abbreviate);
    return find_words(&found, n, words, &err);
}

static void finds_full_names(void)
{
    is_int(find(false, "plan stop-service -service x"), 0);
    is_str(found.cmd->name, "plan stop-service");
    is_int(found.used, 2);
    is_int(find(false, "echo show plans"), 0);
    is_str(found.cmd->name, "echo");
    is_int(found.used, 1);
}

static void finds_aliases(void)
{
    is_int(find(false, "quit"), 0);
    is_str(found.cmd->name, "exit");
    is_int(find(true, "qui"), 0);
    is_str(found.cmd->name, "exit");
}

static void shortens_at_the_prompt_only(void)
{
    is_int(find(true, "pl stop -service x"), 0);
    is_str(found.cmd->name, "plan stop-service");
    is_str(found.path, "plan stop-service");
    is_int(find(false, "pl stop -service x"), -1);
    is_int(err.code, ERR_USAGE);
    is_str(err.text, "unknown command \"pl\"");
    is_str(err.advice, "words may be shortened at the prompt only; write \"plan stop-service\"");
    is_int(find(false, "plan stop"), -1);
    is_str(err.advice, "words may be shortened at the prompt only; write \"plan stop-service\"");
}

static void names_what_is_ambiguous(void)
{
    is_int(find(true, "plan st"), -1);
    is_str(err.text, "\"plan st\" is ambiguous");
    is_str(err.advice, "it may mean: stop-service, start-service");
    is_int(find(true, "e"), -1);
    is_str(err.advice, "it may mean: echo, exit");
}

static bool only_stop(struct session *s, const struct cmd *cmd)
{
    (void)s;
    return strcmp(cmd->name, "plan start-service") != 0;
}

static void what_the_store_cannot_do_is_not_ambiguous(void)
{
    const struct shell_host host = {.cmds = fake_cmds, .available = only_stop};
    const char *const typed[] = {"plan", "st"}, *const full[] = {"plan", "start-service"};

    find_init(&found, fake_cmds, true);
    found.host = &host;
    is_int(find_words(&found, 2, typed, &err), 0);
    is_str(found.cmd->name, "plan stop-service");
    find_init(&found, fake_cmds, true);
    found.host = &host;
    is_int(find_words(&found, 2, full, &err), 0); /* named in full it is found, and refused later */
    is_str(found.cmd->name, "plan start-service");
}

static void hides_hidden_commands(void)
{
    is_int(find(true, "self-test"), 0);
    is_int(find(true, "self"), -1);
    is_int(find(true, "compl"), -1);
    ok(!strstr(err.advice, "complete"));
}

static void asks_for_more_words(void)
{
    is_int(find(true, "plan"), -1);
    is_int(err.code, ERR_USAGE);
    is_str(err.text, "\"plan\" needs another word");
    is_str(err.advice, "one of: deploy-zone, stop-service, start-service, change-parameters");
    is_str(found.path, "plan");
    is_int(found.used, 1);
    is_int(find(true, "show -help"), -1);
    is_str(found.path, "show");
    is_int(found.used, 1);
    is_int(find(true, "-help"), -1);
    is_str(err.text, "a command begins with a word");
}

static void suggests_the_nearest(void)
{
    static const struct {
        const char *line, *text, *advice;
    } rows[] = {
        {"plan stop-service-service", "unknown command \"plan stop-service-service\"",
         "did you mean \"plan stop-service\"?"},
        {"plan stpo-service", "unknown command \"plan stpo-service\"",
         "did you mean \"plan stop-service\"?"},
        {"plna stop-service -x", "unknown command \"plna\"", "did you mean \"plan stop-service\"?"},
        {"PLAN deploy-zone", "unknown command \"PLAN\"", "did you mean \"plan deploy-zone\"?"},
        {"stop-service", "unknown command \"stop-service\"", "did you mean \"plan stop-service\"?"},
        {"show plan", "unknown command \"show plan\"",
         "words may be shortened at the prompt only; write \"show plans\""},
        {"show plams", "unknown command \"show plams\"", "did you mean \"show plans\"?"},
        {"plan service", "unknown command \"plan service\"",
         "did you mean \"plan stop-service\" or \"plan start-service\"?"},
        {"histroy", "unknown command \"histroy\"", "did you mean \"history\"?"},
        {"xyzzy", "unknown command \"xyzzy\"", "\"help\" lists the commands"},
        {"plan xyzzy", "unknown command \"plan xyzzy\"", "\"help plan\" lists the commands"},
        {"plna", "unknown command \"plna\"", "did you mean \"plan\"?"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        is_int(find(false, rows[i].line), -1);
        is_int(err.code, ERR_USAGE);
        is_str(err.text, rows[i].text);
        is_str(err.advice, rows[i].advice);
    }
}

static void measures_distance(void)
{
    is_int(edit_distance("", ""), 0);
    is_int(edit_distance("abc", "ABC"), 0);
    is_int(edit_distance("abc", "acb"), 1);
    is_int(edit_distance("abc", "abd"), 1);
    is_int(edit_distance("abc", "ab"), 1);
    is_int(edit_distance("abc", ""), 3);
    is_int(edit_distance("kitten", "sitting"), 3);
}

int main(void)
{
    TAP_RUN(TAP_TEST(finds_full_names), TAP_TEST(finds_aliases),
            TAP_TEST(shortens_at_the_prompt_only), TAP_TEST(names_what_is_ambiguous),
            TAP_TEST(what_the_store_cannot_do_is_not_ambiguous), TAP_TEST(hides_hidden_commands),
            TAP_TEST(asks_for_more_words), TAP_TEST(suggests_the_nearest),
            TAP_TEST(measures_distance));
}
