/* Units of the agent: the boot configuration, what a status command means, what commands say. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/bootconfig.h"
#include "agent/command.h"
#include "agent/unit.h"
#include "kvsh/fs.h"
#include "kvsh/mem.h"
#include "tap.h"

static struct json *parse(const char *text)
{
    struct err err = ERR_INIT;

    return json_parse(text, strlen(text), &err);
}

static void words_make_units(void)
{
    struct boot_unit u = {.id = ""}, v = {.id = ""};
    struct err err = ERR_INIT;
    struct json *j, *k;

    is_int(boot_unit_parse(&u, "couchbase=couchbase-server.service", &err), 0);
    is_str(u.id, "couchbase");
    for (int a = 0; a < UNIT_ACTIONS; a++) {
        is_int(u.commands[a].n, 3);
        has_str(u.commands[a].argv[0], "/systemctl");
        is_str(u.commands[a].argv[2], "couchbase-server.service");
        ok(u.commands[a].argv[3] == NULL);
    }
    is_str(u.commands[UNIT_START].argv[1], "start");
    is_str(u.commands[UNIT_STOP].argv[1], "stop");
    is_str(u.commands[UNIT_STATUS].argv[1], "is-active");
    j = boot_unit_to_json(&u);
    is_int(boot_unit_from_json(&v, j, &err), 0);
    k = boot_unit_to_json(&v);
    ok(json_equal(j, k));
    json_free(j);
    json_free(k);
    boot_unit_release(&u);
    boot_unit_release(&v);

    is_int(boot_unit_parse(&u, "okuyama=/etc/init.d/okuyama", &err), 0);
    is_int(u.commands[UNIT_STOP].n, 2);
    is_str(u.commands[UNIT_STOP].argv[0], "/etc/init.d/okuyama");
    is_str(u.commands[UNIT_STOP].argv[1], "stop");
    is_str(u.commands[UNIT_STATUS].argv[1], "status");
    boot_unit_release(&u);
}

static void words_refused(void)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"couchbase", "neither the name of a systemd unit nor an absolute path"},
        {"couchbase=", "neither the name"},
        {"couchbase=a b", "neither the name"},
        {"couchbase=-H", "neither the name"},
        {"couchbase=$(reboot)", "neither the name"},
        {"couchbase=etc/init.d/x", "neither the name"},
        {"couchbase=/etc/init.d/x\n", "a control character"},
        {"=x.service", "an id is a lower-case letter"},
        {"Couchbase=x.service", "an id is a lower-case letter"},
        {"9=x.service", "an id is a lower-case letter"},
        {"../x=x.service", "an id is a lower-case letter"},
        {"abcdefghijklmnopqrstuvwxyzabcdefg=x.service", "an id is a lower-case letter"},
        {"rg1-rn1=x.service", "means something else"},
        {"admin1=x.service", "means something else"},
        {"agent=x.service", "means something else"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct boot_unit u = {.id = ""};
        struct err err = ERR_INIT;

        is_int(boot_unit_parse(&u, cases[i].text, &err), -1);
        has_str(err.text, cases[i].says);
        is_int(err.code, ERR_INPUT);
        boot_unit_release(&u);
    }
}

#define COMMANDS(start)                                                   \
    "{\"id\":\"x\",\"start\":" start                                      \
    ",\"stop\":{\"argv\":[\"/bin/x\",\"stop\"],\"limit\":7},\"status\":{" \
    "\"argv\":[\"/bin/x\"]}}"

static void files_refused(void)
{
    static const struct {
        const char *text, *says; /* NULL: good */
    } cases[] = {
        {COMMANDS("{\"argv\":[\"/bin/x\",\"a b\",\"\"],\"limit\":3600}"), NULL},
        {COMMANDS("{\"argv\":[\"bin/x\"]}"), "unit x: start: \"bin/x\" is not an absolute path"},
        {COMMANDS("{\"argv\":[]}"), "argv is not a list of 1 to 32 words"},
        {COMMANDS("{\"argv\":\"/bin/x start\"}"), "argv is not a list"},
        {COMMANDS("{\"argv\":[\"/bin/x\",7]}"), "holds something that is no word"},
        {COMMANDS("{\"argv\":[\"/bin/x\",\"a\\u001bb\"]}"), "a control character"},
        {COMMANDS("{\"argv\":[\"/bin/x\"],\"limit\":0}"), "limit is not in 1..3600"},
        {COMMANDS("{\"argv\":[\"/bin/x\"],\"limit\":3601}"), "limit is not in 1..3600"},
        {COMMANDS("{\"argv\":[\"/bin/x\"],\"shell\":true}"), "unknown member \"shell\""},
        {COMMANDS("null"), "argv is not a list"},
        {"{\"id\":\"x\",\"restart\":{}}", "unknown member \"restart\""},
        {"{\"start\":{}}", "an id is a lower-case letter"},
        {"7", "an id is a lower-case letter"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct boot_unit u = {.id = ""};
        struct err err = ERR_INIT;
        struct json *j = parse(cases[i].text);

        is_int(boot_unit_from_json(&u, j, &err), cases[i].says ? -1 : 0);
        if (cases[i].says)
            has_str(err.text, cases[i].says);
        else
            is_int(u.commands[UNIT_STOP].limit_s, 7);
        json_free(j);
        boot_unit_release(&u);
    }
}

/* An agent for units alone needs neither capacity nor ports; without units it does. */
static void capacity_of_none(void)
{
    struct bootconfig b = {
        .root = xstrdup("/kv"), .host = xstrdup("127.0.0.1"), .port = 13230, .watch_interval = 10};
    struct err err = ERR_INIT;

    is_int(boot_complete(&b, &err), -1);
    has_str(err.text, "-capacity 0");
    is_int(boot_unit_parse(&b.units[b.n_units++], "couchbase=x.service", &err), 0);
    is_int(boot_complete(&b, &err), 0);
    is_int(boot_unit_parse(&b.units[b.n_units++], "couchbase=y.service", &err), 0);
    is_int(boot_complete(&b, &err), -1);
    has_str(err.text, "unit couchbase is given twice");
    boot_release(&b);
}

/* Who may write the file says what is executed. */
static void file_of_others(void)
{
    char folder[] = "/tmp/kvsh-test-unit-XXXXXX", *path;
    struct bootconfig b = {.host = xstrdup("127.0.0.1"), .port = 13230, .watch_interval = 10}, c;
    struct err err = ERR_INIT;

    ok(mkdtemp(folder) != NULL);
    b.root = xstrdup(folder);
    path = xasprintf("%s/config1.json", folder);
    is_int(boot_unit_parse(&b.units[b.n_units++], "couchbase=x.service", &err), 0);
    is_int(boot_save(&b, "config1.json", &err), 0);
    for (int mode = 0; mode < 2; mode++) {
        memset(&c, 0, sizeof c);
        chmod(path, mode ? 0620 : 0644);
        is_int(boot_load(&c, folder, "config1.json", &err), mode ? -1 : 0);
        boot_release(&c);
    }
    is_int(err.code, ERR_DENIED);
    has_str(err.text, "names programs to execute");
    unlink(path);
    rmdir(folder);
    free(path);
    boot_release(&b);
}

static void states(void)
{
    static const struct {
        const char *unit;
        enum command_end end;
        int status;
        const char *text;
        enum service_state state;
    } cases[] = {
        {"x=/bin/x", COMMAND_EXITED, 0, "", STATE_RUNNING},
        {"x=/bin/x", COMMAND_EXITED, 0, "x is running", STATE_RUNNING},
        {"x=/bin/x", COMMAND_EXITED, 1, "dead, pid file there", STATE_FAILED},
        {"x=/bin/x", COMMAND_EXITED, 2, "", STATE_FAILED},
        {"x=/bin/x", COMMAND_EXITED, 3, "", STATE_STOPPED},
        {"x=/bin/x", COMMAND_EXITED, 4, "", STATE_UNKNOWN},
        {"x=/bin/x", COMMAND_EXITED, 127, "", STATE_UNKNOWN},
        {"x=/bin/x", COMMAND_SIGNALLED, 9, "active", STATE_UNKNOWN},
        {"x=/bin/x", COMMAND_TIMED_OUT, 0, "active", STATE_UNKNOWN},
        {"x=/bin/x", COMMAND_FLOODED, 0, "", STATE_UNKNOWN},
        {"x=/bin/x", COMMAND_NOT_STARTED, 0, "", STATE_UNKNOWN},
        {"x=x.service", COMMAND_EXITED, 0, "active", STATE_RUNNING},
        {"x=x.service", COMMAND_EXITED, 0, "reloading", STATE_RUNNING},
        {"x=x.service", COMMAND_EXITED, 3, "inactive", STATE_STOPPED},
        {"x=x.service", COMMAND_EXITED, 4, "inactive", STATE_STOPPED},
        {"x=x.service", COMMAND_EXITED, 3, "failed", STATE_FAILED},
        {"x=x.service", COMMAND_EXITED, 3, "activating", STATE_STARTING},
        {"x=x.service", COMMAND_EXITED, 3, "deactivating", STATE_STOPPING},
        {"x=x.service", COMMAND_EXITED, 1, "Failed to connect to bus", STATE_UNKNOWN},
        {"x=x.service", COMMAND_EXITED, 3, "a word of the future", STATE_UNKNOWN},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct boot_unit u = {.id = ""};
        struct command_result r = {.end = cases[i].end, .status = cases[i].status};
        struct err err = ERR_INIT;

        snprintf(r.text, sizeof r.text, "%s", cases[i].text);
        is_int(boot_unit_parse(&u, cases[i].unit, &err), 0);
        is_int(unit_state_decode(&u, &r), cases[i].state);
        boot_unit_release(&u);
    }
}

static void texts(void)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {"one\n", "one"},
        {" \t\r\n one \x1b[31m two\x07\n\nthree ", "one [31m two three"},
        {"gr\xc3\xbc\xc3\x9f \xff.", "gr\xc3\xbc\xc3\x9f \\xff."},
        {"a\xc2\x9bz\x7f!", "a z !"},
    };
    char out[COMMAND_TEXT_MAX + 1], *many;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        command_text(cases[i].in, strlen(cases[i].in), out);
        is_str(out, cases[i].out);
    }
    /* The end is kept, and no half of a character. */
    many = xcalloc(1, 2003);
    for (int i = 0; i < 1000; i++)
        memcpy(many + 2 * i, "\xc3\xbc", 3);
    many[2000] = '!';
    command_text(many, 2001, out);
    is_int(strlen(out), 399);
    is_str(out + 397, "\xbc!");
    is_int((unsigned char)out[0], 0xc3);
    free(many);
}

static void explanations(void)
{
    struct boot_unit u = {.id = ""};
    struct command_result r = {.end = COMMAND_EXITED, .status = 5, .text = "port taken"};
    struct err err = ERR_INIT;
    char text[512];

    is_int(boot_unit_parse(&u, "x=/bin/x", &err), 0);
    command_explain(&u, UNIT_START, &r, text, sizeof text);
    is_str(text, "its start command ended with exit status 5: port taken");
    r.end = COMMAND_TIMED_OUT;
    r.text[0] = '\0';
    command_explain(&u, UNIT_STATUS, &r, text, sizeof text);
    is_str(text, "its status command had not ended after 10 s and was ended");
    boot_unit_release(&u);
}

int main(void)
{
    TAP_RUN(TAP_TEST(words_make_units), TAP_TEST(words_refused), TAP_TEST(files_refused),
            TAP_TEST(capacity_of_none), TAP_TEST(file_of_others), TAP_TEST(states), TAP_TEST(texts),
            TAP_TEST(explanations));
}
