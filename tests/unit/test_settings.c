/* The configuration of the shell: what is read from files, and what is refused. */
#include "commands/settings.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "tap.h"

static char dir[] = "/tmp/kvsh-test-settings-XXXXXX";

/* The path of a file of that name with that text. */
static const char *file(const char *name, const char *text)
{
    static char path[512];
    struct err err = ERR_INIT;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    ok(fs_write_atomic(path, text, strlen(text), 0600, &err) == 0);
    return path;
}

static void reads_stores(void)
{
    struct settings st = {0};
    struct err err = ERR_INIT;
    const struct store_settings *s;

    ok(settings_read(&st,
                     file("kvsh.conf", "[kvsh]\nstore = a\nstate-dir = /s\nhistory-size = 9\n"
                                       "[store a]\nengine = redis\nnode = http://h1:1\n"
                                       "node = http://h2:2\nuser = u\ntimeout = 3\n"
                                       "tls-verify = no\n[store b]\nnode = http://h3:3\n"),
                     &err) == 0);
    is_str(st.store, "a");
    is_str(st.state_dir, "/s");
    is_int(st.history_size, 9);
    is_int(st.n_stores, 2);
    s = settings_store(&st, "a");
    if (ok(s != NULL)) {
        is_int(s->nodes.n, 2);
        is_str(s->nodes.v[1], "http://h2:2");
        is_str(s->user, "u");
        is_int(s->timeout_ms, 3000);
        ok(s->no_tls_verify);
    }
    s = settings_store(&st, "b");
    if (ok(s != NULL)) {
        is_str(s->engine, "redis");
        is_int(s->timeout_ms, 0);
        ok(!s->no_tls_verify);
    }
    ok(settings_store(&st, "c") == NULL);
    settings_release(&st);
}

static void files_stand_beside_the_configuration(void)
{
    struct settings st = {0};
    struct err err = ERR_INIT;
    char want[600];

    ok(settings_read(&st,
                     file("kvsh.conf", "[kvsh]\ntoken-file = common\nstate-dir = st\n"
                                       "[store a]\ntoken-file = own\nca-file = /abs/ca\n"
                                       "[store b]\nengine = redis\n"),
                     &err) == 0);
    snprintf(want, sizeof want, "%s/own", dir);
    is_str(settings_store(&st, "a")->token_file, want);
    is_str(settings_store(&st, "a")->ca_file, "/abs/ca");
    snprintf(want, sizeof want, "%s/common", dir);
    is_str(settings_store(&st, "b")->token_file, want);
    snprintf(want, sizeof want, "%s/st", dir);
    is_str(st.state_dir, want);
    settings_release(&st);
}

/* Each is refused as bad input, naming the line. */
static void refuses(void)
{
    static const struct {
        const char *text, *line, *why;
    } cases[] = {
        {"[kvsh]\nstroe = a\n", ":2:", "unknown key \"stroe\""},
        {"[kvsh]\n\nhistory-size = 0\n", ":3:", "history-size"},
        {"[stores a]\nengine = redis\n", ":2:", "unknown section [stores a]"},
        {"[kvsh x]\nstore = a\n", ":2:", "unknown section [kvsh x]"},
        {"[store a/b]\nengine = redis\n", ":2:", "cannot be the name"},
        {"[store a]\ntimeout = 1h\n", ":2:", "timeout"},
        {"[store a]\ntls-verify = maybe\n", ":2:", "tls-verify"},
        {"[store a]\nnodes = http://h:1\n", ":2:", "unknown key \"nodes\""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct settings st = {0};
        struct err err = ERR_INIT;
        ok(settings_read(&st, file("kvsh.conf", cases[i].text), &err) == -1);
        is_int(err.code, ERR_INPUT);
        has_str(err.text, cases[i].line);
        has_str(err.text, cases[i].why);
        settings_release(&st);
    }
}

static void absent_is_empty(void)
{
    struct settings st = {0};
    struct err err = ERR_INIT;
    char path[512];

    snprintf(path, sizeof path, "%s/none.conf", dir);
    ok(settings_read(&st, path, &err) == 0);
    is_int(st.n_stores, 0);
    is_str(st.edit_file, path);
    settings_release(&st);
}

static void names(void)
{
    static const char *const good[] = {"a", "prod-1", "A.b_c", "9"};
    static const char *const bad[] = {"", ".", "..", "-a", "a/b", "a b", "a\n", "\xc3\xa4"};
    struct err err = ERR_INIT;
    char many[300];

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ok(settings_check_name(good[i], &err) == 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ok(settings_check_name(bad[i], &err) == -1);
        is_int(err.code, ERR_INPUT);
    }
    memset(many, 'a', sizeof many);
    many[255] = '\0';
    ok(settings_check_label("pool", "rack 2, \xc3\xb6stlich", &err) == 0);
    ok(settings_check_label("pool", "", &err) == -1);
    ok(settings_check_label("pool", "-all", &err) == -1);
    ok(settings_check_label("zone", "a\nb", &err) == -1);
    has_str(err.text, "cannot be the name of a zone");
    ok(settings_check_name(many, &err) == 0);
    many[255] = 'a';
    many[256] = '\0';
    ok(settings_check_name(many, &err) == -1);
}

static void hosts(void)
{
    static const char *const good[] = {"node01", "127.0.0.1", "a.b-c.example",
                                       "::1",    "fe80::1%3", "under_score"};
    static const char *const bad[] = {
        "",      "127.0.0.1/../x", "node01:13230", "me@node01", "a b", "http://node01",
        "[::1]", "n\nx",           "n%2fode",      "n?x",       "n#x", "n\\x"};
    struct err err = ERR_INIT;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ok(settings_check_host(good[i], &err) == 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ok(settings_check_host(bad[i], &err) == -1);
        is_int(err.code, ERR_INPUT);
    }
}

static void user_directories(void)
{
    char *path;

    setenv("HOME", "/home-of-test", 1);
    unsetenv("XDG_CONFIG_HOME");
    path = settings_user_file();
    is_str(path, "/home-of-test/.config/kvsh/kvsh.conf");
    free(path);
    setenv("XDG_CONFIG_HOME", "/xdg", 1);
    path = settings_user_file();
    is_str(path, "/xdg/kvsh/kvsh.conf");
    free(path);
    setenv("XDG_CONFIG_HOME", "relative", 1); /* not to be followed */
    path = settings_user_file();
    is_str(path, "/home-of-test/.config/kvsh/kvsh.conf");
    free(path);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("HOME");
    path = settings_user_file(); /* from the password file: any, but no crash */
    ok(path == NULL || path[0] == '/');
    free(path);
}

static void urls_and_paths(void)
{
    char *s = settings_url("h", 1);

    is_str(s, "http://h:1");
    free(s);
    s = settings_url("::1", 13230);
    is_str(s, "http://[::1]:13230");
    free(s);
    s = path_absolute("/a/", "/b");
    is_str(s, "/b");
    free(s);
    s = path_absolute("/a", "b");
    is_str(s, "/a/b");
    free(s);
    ok(chdir(dir) == 0);
    s = path_absolute(NULL, "b");
    ok(s[0] == '/' && strcmp(s + strlen(s) - 2, "/b") == 0);
    free(s);
    ok(chdir("/") == 0);
}

int main(void)
{
    char path[512];
    int rc;

    if (mkdtemp(dir) == NULL)
        return 1;
    rc = tap_run((const struct tap_test[]){TAP_TEST(reads_stores),
                                           TAP_TEST(files_stand_beside_the_configuration),
                                           TAP_TEST(refuses), TAP_TEST(absent_is_empty),
                                           TAP_TEST(names), TAP_TEST(hosts),
                                           TAP_TEST(user_directories), TAP_TEST(urls_and_paths)},
                 8);
    snprintf(path, sizeof path, "%s/kvsh.conf", dir);
    unlink(path);
    rmdir(dir);
    return rc;
}
