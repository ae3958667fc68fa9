#include <stdlib.h>

#include "capture.h"
#include "cli/help.h"
#include "fake_cmds.h"
#include "kvsh/buf.h"
#include "kvsh/json.h"
#include "tap.h"

static struct session session;
static struct capture seen;

static int help(bool json, size_t n, const char *const *words)
{
    struct shell_host host = fake_host(&session);
    struct shell_config config = {.json = json};
    const char *all[8] = {"help"};
    int status;

    for (size_t i = 0; i < n; i++)
        all[i + 1] = words[i];
    session.shell = shell_new(&host, &config);
    capture_begin(&seen);
    status = shell_exec(session.shell, n + 1, all);
    capture_end(&seen);
    shell_free(session.shell);
    return status;
}
#define HELP(json, ...)                                                \
    help(json, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), \
         (const char *const[]){__VA_ARGS__})

static void gives_an_overview(void)
{
    is_int(help(false, 0, NULL), 0);
    is_str(seen.out, "Commands:\n"
                     "    echo              print words\n"
                     "    fail              fail\n"
                     "    login             log in\n"
                     "    load              run the commands of a file\n"
                     "    help              describe commands\n"
                     "    timer             show how long commands take\n"
                     "    history           list the lines typed\n"
                     "    exit              leave the shell\n"
                     "\n"
                     "Words that begin several commands:\n"
                     "    plan              deploy-zone, stop-service, start-service,\n"
                     "                      change-parameters\n"
                     "    show              plans, topology\n"
                     "\n"
                     "\"help WORD\" lists the commands that begin with a word, \"help COMMAND\" "
                     "describes one.\n");
    is_str(seen.err, "");
    capture_release(&seen);
}

static void lists_a_group(void)
{
    is_int(HELP(false, "plan"), 0);
    is_str(seen.out, "    plan deploy-zone        add a zone to the store\n"
                     "    plan stop-service       stop services\n"
                     "    plan start-service      start services\n"
                     "    plan change-parameters  change parameters of a service\n"
                     "\n"
                     "\"help plan ...\" with the rest of the name describes one of them.\n");
    capture_release(&seen);
}

static void leaves_out_what_is_not_available(void)
{
    session.no_topology = true;
    HELP(false, "show");
    session.no_topology = false;
    ok(!strstr(seen.out, "topology"));
    capture_release(&seen);
}

static const char zone_text[] =
    "NAME\n"
    "    plan deploy-zone - add a zone to the store\n"
    "\n"
    "SYNOPSIS\n"
    "    plan deploy-zone -name NAME -rf N [-type {primary|secondary}] [-wait]\n"
    "        [-timeout SECONDS] [-reason TEXT]\n"
    "\n"
    "DESCRIPTION\n"
    "    Adds a zone. Storage nodes are put into it by \"plan deploy-sn\", which comes\n"
    "    next in every runbook.\n"
    "\n"
    "    The number of copies cannot be made smaller later.\n"
    "\n"
    "OPTIONS\n"
    "    -name NAME\n"
    "        name of the zone\n"
    "    -rf N\n"
    "        copies of each shard in this zone (a whole number from 1 to 20)\n"
    "    -type {primary|secondary}\n"
    "        kind of the zone\n"
    "    -wait\n"
    "        wait until the plan has ended\n"
    "    -timeout SECONDS\n"
    "        how long to wait (a number of seconds from 0 to 86400)\n"
    "    -reason TEXT\n"
    "        why, for the history\n"
    "\n"
    "EXAMPLES\n"
    "    plan deploy-zone -name Boston -rf 3 -wait\n"
    "\n"
    "Every command also takes -json, -quiet, -verbose and -help.\n";

static void describes_a_command(void)
{
    is_int(HELP(false, "plan", "deploy-zone"), 0);
    is_str(seen.out, zone_text);
    capture_release(&seen);
}

static void describes_narrowly(void)
{
    struct buf b;
    size_t widest = 0;

    buf_init(&b, 0);
    for (int i = 0; fake_cmds[i]; i++)
        help_command_text(&b, fake_cmds[i], 40);
    for (const char *line = b.data; *line; line += strcspn(line, "\n") + 1)
        if (strcspn(line, "\n") > widest)
            widest = strcspn(line, "\n");
    ok(widest <= 56); /* one part of a synopsis may be wider than the line, it is not torn */
    has_str(b.data, "    plan deploy-zone -name NAME -rf N\n"
                    "        [-type {primary|secondary}]\n"
                    "        [-wait] [-timeout SECONDS]\n");
    buf_release(&b);
}

static void gives_the_same_as_json(void)
{
    struct err err = ERR_INIT;
    struct json *j, *value, *option;

    is_int(HELP(true, "plan", "deploy-zone"), 0);
    j = json_parse(seen.out, strlen(seen.out), &err);
    value = json_get(j, "returnValue");
    is_int(json_len(json_get(value, "text")), 0);
    is_int(json_len(json_get(value, "commands")), 1);
    is_str(json_str(json_at(json_get(value, "commands"), 0), "name"), "plan deploy-zone");
    has_str(json_str(json_at(json_get(value, "commands"), 0), "synopsis"), "-name NAME -rf N");
    is_int(json_len(json_get(value, "options")), 10);
    option = json_at(json_get(value, "options"), 1);
    is_str(json_str(option, "name"), "rf");
    is_str(json_str(option, "type"), "integer");
    ok(json_bool(option, "required", false));
    is_int(json_int(option, "maximum", 0), 20);
    option = json_at(json_get(value, "options"), 2);
    is_int(json_len(json_get(option, "choices")), 2);
    json_free(j);
    capture_release(&seen);
}

static void refuses_what_is_not_there(void)
{
    is_int(HELP(false, "plan", "stop-servic"), 64);
    is_str(seen.err,
           "unknown command \"plan stop-servic\"\n"
           "    words may be shortened at the prompt only; write \"plan stop-service\"\n");
    is_str(seen.out, "");
    capture_release(&seen);
    is_int(HELP(false, "echo", "x"), 64);
    is_str(seen.err, "\"echo\" is a command; \"x\" is no part of its name\n");
    capture_release(&seen);
}

static void writes_the_manual(void)
{
    struct buf b;

    buf_init(&b, 0);
    help_man(&b, fake_cmds);
    has_str(b.data, ".TH KVSH-COMMANDS 7 ");
    has_str(b.data, ".SS \"plan deploy\\-zone\"\nAdd a zone to the store.\n");
    has_str(
        b.data,
        ".TP\n.B \"\\-rf N\"\ncopies of each shard in this zone (a whole number from 1 to 20).\n");
    has_str(b.data, "    plan deploy\\-zone \\-name Boston \\-rf 3 \\-wait\n");
    has_str(b.data, ".B tookMs\nhow long it was to take (integer).\n");
    has_str(b.data, ".B 64\nwrong usage (returnCode 5100).\n");
    has_str(b.data, "Also written\n.B \"quit\"\n");
    has_str(b.data, "\\e\" \\e\\e \\en \\et stand for");
    ok(!strstr(b.data, "self\\-test"));
    ok(!strstr(b.data, "\n\n"));
    buf_release(&b);
}

static void writes_the_schema(void)
{
    struct json *j = help_schema(fake_cmds[0]), *p, *value;

    p = json_get(j, "properties");
    is_str(json_str(j, "title"), "plan deploy-zone");
    is_str(json_str(json_get(p, "operation"), "const"), "plan deploy-zone");
    is_str(json_str(json_get(p, "schema"), "const"), "kvsh/1");
    value = json_get(json_get(p, "returnValue"), "properties");
    is_str(json_str(json_get(value, "text"), "type"), "string");
    is_str(json_str(json_get(value, "tookMs"), "type"), "integer");
    json_free(j);

    j = help_schema(&(const struct cmd){.name = "x", .summary = "x", .tables = help_tables});
    value = json_get(json_get(json_get(json_get(j, "properties"), "returnValue"), "properties"),
                     "options");
    is_str(json_str(value, "type"), "array");
    p = json_get(json_get(value, "items"), "properties");
    is_str(json_str(json_get(p, "required"), "type"), "boolean");
    is_str(json_str(json_get(json_get(p, "choices"), "items"), "type"), "string");
    json_free(j);
}

int main(void)
{
    TAP_RUN(TAP_TEST(gives_an_overview), TAP_TEST(lists_a_group),
            TAP_TEST(leaves_out_what_is_not_available), TAP_TEST(describes_a_command),
            TAP_TEST(describes_narrowly), TAP_TEST(gives_the_same_as_json),
            TAP_TEST(refuses_what_is_not_there), TAP_TEST(writes_the_manual),
            TAP_TEST(writes_the_schema));
}
