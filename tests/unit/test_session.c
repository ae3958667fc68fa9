/* The session: which store is the current one, and that nothing is opened before it is needed. */
#include "commands/session.h"

#include <stdlib.h>
#include <unistd.h>

#include "commands/commands.h"
#include "kvsh/fs.h"
#include "tap.h"

static char dir[] = "/tmp/kvsh-test-session-XXXXXX";
static char config[512], state[512];

static void configure(const char *text)
{
    struct err err = ERR_INIT;

    ok(fs_write_atomic(config, text, strlen(text), 0600, &err) == 0);
}

static struct session *new_session(const char *store)
{
    const struct session_flags flags = {.store = store, .config_file = config, .state_dir = state};

    return session_new(&flags);
}

/* The name of the store that a new session with this flag works on, or the text of its error. */
static const char *chosen(const char *flag)
{
    static char answer[1024];
    struct session *s = new_session(flag);
    struct err err = ERR_INIT;
    const struct store_settings *store = session_store(s, &err);

    snprintf(answer, sizeof answer, "%s", store ? store->name : err.text);
    session_free(s);
    return answer;
}

static void order_of_choice(void)
{
    unsetenv("KVSH_STORE");
    configure("");
    is_str(chosen(NULL), "no store is chosen: none is configured");
    configure("[store a]\nengine = redis\n");
    is_str(chosen(NULL), "a");
    configure("[store a]\nengine = redis\n[store b]\nengine = redis\n[store c]\nengine = redis\n");
    is_str(chosen(NULL), "no store is chosen: 3 are configured");
    configure("[kvsh]\nstore = b\n[store a]\nengine = redis\n[store b]\nengine = redis\n"
              "[store c]\nengine = redis\n");
    is_str(chosen(NULL), "b");
    setenv("KVSH_STORE", "c", 1);
    is_str(chosen(NULL), "c");
    is_str(chosen("a"), "a");
    is_str(chosen("d"), "store \"d\" is not configured");
    unsetenv("KVSH_STORE");
}

static void state_directories(void)
{
    const struct session_flags flags = {.config_file = config};
    struct session *s = session_new(&flags);
    struct err err = ERR_INIT;
    char *path;

    configure("[kvsh]\nstate-dir = /from-file\n");
    path = session_state_dir(s, &err);
    is_str(path, "/from-file");
    free(path);
    setenv("KVSH_STATE_DIR", "/from-environment", 1);
    path = session_store_dir(s, "a", &err);
    is_str(path, "/from-environment/a");
    free(path);
    unsetenv("KVSH_STATE_DIR");
    session_free(s);
}

static void opens_late(void)
{
    struct session *s;
    struct err err = ERR_INIT;
    struct cluster c = {0};

    configure("[store a]\nengine = redis\n");
    s = new_session(NULL);
    ok(session_store(s, &err) != NULL);
    ok(!fs_is_dir(state));
    ok(session_journal(s, &err) != NULL);
    ok(fs_is_dir(state));
    /* Nothing known is not the same as nothing wrong. */
    is_int(session_declared(s, &c, &err), -1);
    is_int(err.code, ERR_INPUT);
    has_str(err.text, "its journal is empty");
    cluster_release(&c);
    err_clear(&err);
    is_int(session_observe(s, &c, &err), -1);
    has_str(err.text, "its journal is empty");
    cluster_release(&c);
    err_clear(&err);
    is_str(session_engine(s, &err)->name, "redis");
    session_free(s);
}

static void secrets_must_be_secret(void)
{
    struct session *s;
    struct err err = ERR_INIT;
    char token[600];

    snprintf(token, sizeof token, "%s/token", dir);
    configure("[store a]\nengine = redis\ntoken-file = token\n");
    s = new_session(NULL);
    ok(session_endpoint(s, &err) == NULL);
    has_str(err.text, "token");
    ok(fs_write_atomic(token, "open-secret\n", 12, 0644, &err) == 0);
    ok(session_endpoint(s, &err) == NULL);
    is_int(err.code, ERR_DENIED);
    ok(strstr(err.text, "open-secret") == NULL);
    ok(fs_write_atomic(token, "open-secret\n", 12, 0600, &err) == 0);
    if (ok(session_endpoint(s, &err) != NULL)) {
        is_str(session_endpoint(s, &err)->token, "open-secret");
        is_int(session_endpoint(s, &err)->timeout_ms, 5000);
    }
    session_free(s);
    unlink(token);
}

static void host_callbacks(void)
{
    struct session *s;
    struct shell_host host;
    struct err err = ERR_INIT;

    configure("");
    s = new_session(NULL);
    host = session_shell_host(s);
    ok(host.cmds == commands);
    is_int(host.prepare(s, &cmd_store_list, &err), 0);
    is_int(host.prepare(s, &cmd_show_plans, &err), -1);
    is_int(err.code, ERR_INPUT);
    ok(host.available(s, &cmd_plan_stop_service));
    session_free(s);
}

static void remove_journal(void)
{
    static const char *const names[] = {"a/journal.db", "a/journal.db-wal", "a/journal.db-shm",
                                        "a/lock"};
    char path[600];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", state, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/a", state);
    rmdir(path);
    rmdir(state);
}

int main(void)
{
    int rc;

    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(config, sizeof config, "%s/kvsh.conf", dir);
    snprintf(state, sizeof state, "%s/state", dir);
    rc = tap_run((const struct tap_test[]){TAP_TEST(order_of_choice), TAP_TEST(state_directories),
                                           TAP_TEST(opens_late), TAP_TEST(secrets_must_be_secret),
                                           TAP_TEST(host_callbacks)},
                 5);
    remove_journal();
    unlink(config);
    ok(rmdir(dir) == 0);
    return rc || tap_failed;
}
