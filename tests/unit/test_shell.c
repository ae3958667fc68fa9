#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture.h"
#include "fake_cmds.h"
#include "kvsh/json.h"
#include "tap.h"

static struct session session;
static struct capture seen;

static void open_shell(const struct shell_config *config)
{
    static const struct shell_config usual;
    struct shell_host host = fake_host(&session);

    session = (struct session){.shell = shell_new(&host, config ? config : &usual)};
}

static void close_shell(void)
{
    shell_free(session.shell);
    capture_release(&seen);
}

/* One command of words separated by blanks. */
static int exec(const char *line)
{
    char copy[512], *save = NULL;
    const char *words[32];
    size_t n = 0;
    int status;

    snprintf(copy, sizeof copy, "%s", line);
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        words[n++] = w;
    capture_release(&seen);
    capture_begin(&seen);
    status = shell_exec(session.shell, n, words);
    capture_end(&seen);
    return status;
}

/* A script given as text. */
static int script(const char *text, size_t len)
{
    FILE *f = tap_stream(fmemopen((void *)(uintptr_t)text, len, "r"));
    int status;

    capture_release(&seen);
    capture_begin(&seen);
    status = shell_run_stream(session.shell, f, "stdin");
    capture_end(&seen);
    fclose(f);
    return status;
}
#define SCRIPT(text) script(text, sizeof(text) - 1)

static void runs_words(void)
{
    open_shell(NULL);
    is_int(exec("echo a b"), 0);
    is_str(seen.out, "a b\n");
    is_str(seen.err, "");
    is_int(exec(""), 0);
    is_int(exec("fail"), 1);
    is_str(seen.out, "");
    is_str(seen.err, "failed as asked\n    do not ask for it\n");
    is_int(exec("fail -code 14"), 77);
    close_shell();
}

static void gives_the_right_status(void)
{
    open_shell(NULL);
    is_int(exec("nonsense"), 64);
    is_int(exec("plan"), 64);
    is_int(exec("plan deploy-zone -rf 3"), 64);
    has_str(seen.err, "option -name is required\n    usage: plan deploy-zone -name NAME");
    is_int(exec("plan deploy-zone -name x -rf 30"), 65);
    is_int(exec("echo -bogus"), 64);
    is_int(exec("pl deploy-zone"), 64);
    is_int(exec("load -file /nonexistent/file"), 65);
    is_str(seen.err, "read /nonexistent/file: no such file or directory\n");
    close_shell();
}

static void shows_help_of_any_command(void)
{
    open_shell(NULL);
    is_int(exec("plan stop-service -help"), 0);
    has_str(seen.out, "NAME\n    plan stop-service - stop services\n");
    is_int(exec("plan -help"), 0);
    has_str(seen.out, "plan change-parameters");
    is_int(exec("plan ?"), 0);
    is_int(exec("--help"), 0);
    has_str(seen.out, "Commands:\n");
    is_int(exec("fail --help"), 0);
    is_int(exec("plan deploy-zone -bogus -help"), 0);
    close_shell();
}

static void knows_what_a_command_needs(void)
{
    open_shell(NULL);
    is_int(exec("plan stop-service -all-rns"), 0);
    is_int(session.prepared, 1);
    session.refuse = true;
    is_int(exec("plan stop-service -all-rns"), 69);
    is_str(seen.err, "no store is open\n");
    session.refuse = false;
    is_int(exec("timer on"), 64);
    is_str(seen.err, "\"timer\" works at the prompt and in scripts only\n");
    is_int(SCRIPT("timer on\necho a\n"), 0);
    is_str(seen.out, "timer is on\na\n");
    has_str(seen.err, "time: 0.");
    close_shell();
}

static const char *json_member(const char *text, const char *key)
{
    static char value[512];
    struct err err = ERR_INIT;
    struct json *j = json_parse(text, strlen(text), &err);

    snprintf(value, sizeof value, "%s", json_str(j, key) ? json_str(j, key) : "(none)");
    json_free(j);
    return value;
}

static void gives_json(void)
{
    open_shell(NULL);
    is_int(exec("echo a -json"), 0);
    is_str(json_member(seen.out, "operation"), "echo");
    is_int(exec("echo a"), 0);
    is_str(seen.out, "a\n");
    is_int(exec("fail -json"), 1);
    is_str(json_member(seen.out, "description"), "failed as asked");
    is_str(seen.err, "");
    is_int(exec("nonsense --json"), 64);
    is_str(json_member(seen.out, "description"), "unknown command \"nonsense\"");
    is_int(exec("plan deploy-zone -json"), 64);
    is_str(json_member(seen.out, "operation"), "plan deploy-zone");
    is_int(exec("plan -help -json"), 0);
    is_str(json_member(seen.out, "operation"), "help");
    is_int(exec("plan nonsense -json"), 64);
    is_str(json_member(seen.out, "operation"), "plan");
    close_shell();

    open_shell(&(const struct shell_config){.json = true});
    is_int(exec("echo a"), 0);
    is_str(json_member(seen.out, "schema"), "kvsh/1");
    is_int(SCRIPT("echo \"x\n"), 64);
    is_str(json_member(seen.out, "position"), "stdin:1");
    close_shell();
}

static void knows_the_line_being_run(void)
{
    open_shell(NULL);
    is_str(shell_command_line(session.shell), "");
    is_int(exec("login -user me -password hunter22"), 0);
    is_str(seen.out, "login -user me -password ****\n");
    is_str(shell_command_line(session.shell), "");
    is_int(exec("echo x -verbose"), 0);
    is_str(seen.err, "note: line: echo x -verbose\n");
    is_int(exec("echo x"), 0);
    is_str(seen.err, "");
    close_shell();
}

static void runs_scripts(void)
{
    open_shell(NULL);
    is_int(SCRIPT("\xEF\xBB\xBF# a comment\r\n\necho a; echo b ;\necho c \\\n  d \\\n e\n\necho "
                  "\"f\\tg\""),
           0);
    is_str(seen.out, "a\nb\nc d e\nf\tg\n");
    is_int(SCRIPT(""), 0);
    is_int(SCRIPT("# nothing\n"), 0);
    close_shell();
}

static void stops_at_the_first_error(void)
{
    open_shell(NULL);
    is_int(SCRIPT("echo a\n\nfail\necho never\n"), 1);
    is_str(seen.out, "a\n");
    is_str(seen.err, "stdin:3: failed as asked\n    do not ask for it\n");
    is_int(SCRIPT("echo a; fail; echo never\n"), 1);
    is_str(seen.out, "a\n");
    is_int(SCRIPT("echo \\\n \\\n -bogus\n"), 64);
    has_str(seen.err, "stdin:1: unknown option \"-bogus\"\n");
    is_int(SCRIPT("echo a ; \\\n echo b; \\\n fail\n"), 1);
    has_str(seen.err, "stdin:3: failed as asked\n");
    is_int(SCRIPT("pl stop-service -all-rns\n"), 64);
    has_str(seen.err,
            "stdin:1: unknown command \"pl\"\n    words may be shortened at the prompt only;"
            " write \"plan stop-service\"\n");
    is_int(SCRIPT("echo x\nexit\necho never\n"), 0);
    is_str(seen.out, "x\n");
    ok(shell_wants_quit(session.shell));
    close_shell();
}

static void names_what_is_wrong_with_a_line(void)
{
    static char long_line[(1 << 20) + 10];

    open_shell(NULL);
    is_int(SCRIPT("echo 'abc\n"), 64);
    is_str(seen.err, "stdin:1: unterminated single quote in column 6\n");
    is_int(SCRIPT("echo \\\n\\\n \"abc\n"), 64);
    is_str(seen.err, "stdin:3: unterminated double quote in column 2\n");
    is_int(SCRIPT("echo a \\\n"), 64);
    is_str(seen.err, "stdin:1: the last line ends in a backslash; no line follows it\n");
    is_int(SCRIPT("echo a\0b\n"), 65);
    is_str(seen.err, "stdin:1: the line holds a NUL byte\n");
    memset(long_line, 'x', sizeof long_line);
    is_int(script(long_line, sizeof long_line), 65);
    is_str(seen.err, "stdin:1: the line is longer than 1048576 bytes\n");
    close_shell();
}

static char dir[] = "/tmp/kvsh-shell-XXXXXX";
static char inner[64], outer[64], self[64];

static void write_file(const char *path, const char *text)
{
    FILE *f = tap_stream(fopen(path, "w"));

    if (ok(f != NULL)) {
        fputs(text, f);
        fclose(f);
    }
}

static void prepares_files(void)
{
    char text[256];

    ok(mkdtemp(dir) != NULL);
    snprintf(inner, sizeof inner, "%s/inner.kv", dir);
    snprintf(outer, sizeof outer, "%s/outer.kv", dir);
    snprintf(self, sizeof self, "%s/self.kv", dir);
    write_file(inner, "echo inner\nfail -code 13\n");
    snprintf(text, sizeof text, "echo outer\n\nload -file %s\necho never\n", inner);
    write_file(outer, text);
    snprintf(text, sizeof text, "load -file %s\n", self);
    write_file(self, text);
}

static void names_the_chain_of_scripts(void)
{
    char line[128], want[512];

    open_shell(NULL);
    snprintf(line, sizeof line, "load -file %s", outer);
    is_int(exec(line), 69);
    is_str(seen.out, "outer\ninner\n");
    snprintf(want, sizeof want,
             "%s:2: failed as asked\n    do not ask for it\n    loaded from %s:3\n", inner, outer);
    is_str(seen.err, want);

    snprintf(line, sizeof line, "echo s\nload -file %s\n", outer);
    is_int(script(line, strlen(line)), 69);
    snprintf(want, sizeof want,
             "%s:2: failed as asked\n    do not ask for it\n    loaded from %s:3\n"
             "    loaded from stdin:2\n",
             inner, outer);
    is_str(seen.err, want);
    close_shell();
}

static void gives_the_chain_as_json(void)
{
    char line[128], want[512];
    const char *last;

    open_shell(NULL);
    snprintf(line, sizeof line, "load -file %s -json", outer);
    is_int(exec(line), 69);
    is_str(seen.err, "");
    last = strstr(seen.out, "\"operation\":\t\"load\"");
    if (!last)
        last = strstr(seen.out, "\"operation\": \"load\"");
    if (ok(last != NULL)) {
        snprintf(want, sizeof want, "%s:2: failed as asked", inner);
        has_str(last, want);
    }
    has_str(seen.out, "\"text\": \"inner\"");
    close_shell();
}

static void stops_scripts_that_load_themselves(void)
{
    char line[128];

    open_shell(NULL);
    snprintf(line, sizeof line, "load -file %s", self);
    is_int(exec(line), 64);
    has_str(seen.err, "scripts load each other more than 16 deep\n");
    close_shell();
}

static void removes_files(void)
{
    ok(unlink(inner) == 0 && unlink(outer) == 0 && unlink(self) == 0 && rmdir(dir) == 0);
}

static void ends_quit_in_a_loaded_script(void)
{
    char text[128], name[64], folder[] = "/tmp/kvsh-quit-XXXXXX";
    int fd;

    ok(mkdtemp(folder) != NULL);
    snprintf(name, sizeof name, "%s/quit.kv", folder);
    fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ok(fd >= 0 && write(fd, "echo in\nquit\necho never\n", 24) == 24 && close(fd) == 0);
    open_shell(NULL);
    snprintf(text, sizeof text, "load -file %s\necho never\n", name);
    is_int(script(text, strlen(text)), 0);
    is_str(seen.out, "in\n");
    ok(unlink(name) == 0 && rmdir(folder) == 0);
    close_shell();
}

static void counts_interrupts(void)
{
    open_shell(NULL);
    is_int(shell_interrupts(), 0);
    ok(!shell_pause(1));
    raise(SIGINT);
    is_int(shell_interrupts(), 1);
    ok(shell_pause(60000));
    ok(!shell_pause(1));
    raise(SIGINT);
    raise(SIGINT);
    is_int(shell_interrupts(), 3);
    ok(shell_pause(60000));
    ok(!shell_pause(1));
    close_shell();
}

static void ends_a_script_when_interrupted(void)
{
    open_shell(NULL);
    raise(SIGINT);
    is_int(SCRIPT("echo a\necho never\n"), 130);
    is_str(seen.out, "a\n");
    is_str(seen.err, "stdin:1: interrupted\n");
    close_shell();
    open_shell(NULL);
    raise(SIGINT);
    is_int(SCRIPT("echo a -pause 60\n"), 4);
    is_str(seen.err, "stdin:1: interrupted 1 times\n");
    close_shell();
}

static void leaves_signals_as_they_were(void)
{
    struct sigaction now;

    signal(SIGINT, SIG_IGN);
    open_shell(NULL);
    raise(SIGINT);
    is_int(shell_interrupts(), 0); /* a background job stays one */
    close_shell();
    signal(SIGINT, SIG_DFL);
    open_shell(NULL);
    close_shell();
    sigaction(SIGINT, NULL, &now);
    ok(now.sa_handler == SIG_DFL);
    sigaction(SIGPIPE, NULL, &now);
    ok(now.sa_handler == SIG_DFL);
}

static void lists_the_history(void)
{
    open_shell(NULL);
    is_int(exec("history"), 0);
    is_str(seen.out, "");
    close_shell();
}

int main(void)
{
    TAP_RUN(TAP_TEST(runs_words), TAP_TEST(gives_the_right_status),
            TAP_TEST(shows_help_of_any_command), TAP_TEST(knows_what_a_command_needs),
            TAP_TEST(gives_json), TAP_TEST(knows_the_line_being_run), TAP_TEST(runs_scripts),
            TAP_TEST(stops_at_the_first_error), TAP_TEST(names_what_is_wrong_with_a_line),
            TAP_TEST(prepares_files), TAP_TEST(names_the_chain_of_scripts),
            TAP_TEST(gives_the_chain_as_json), TAP_TEST(stops_scripts_that_load_themselves),
            TAP_TEST(removes_files), TAP_TEST(ends_quit_in_a_loaded_script),
            TAP_TEST(counts_interrupts), TAP_TEST(ends_a_script_when_interrupted),
            TAP_TEST(leaves_signals_as_they_were), TAP_TEST(lists_the_history));
}
