#include "commands/settings.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvsh/conf.h"
#include "kvsh/fs.h"

static int bad(const struct conf_entry *e, struct err *err, const char *what)
{
    return err_set(err, ERR_INPUT, "%s:%d: %s", e->file, e->line, what);
}

static int parse_number(const struct conf_entry *e, int64_t min, int64_t max, int64_t *value,
                        struct err *err)
{
    char *end;
    long long n = strtoll(e->value, &end, 10);

    if (end == e->value || *end != '\0' || n < min || n > max)
        return err_set(err, ERR_INPUT, "%s:%d: %s must be a number from %lld to %lld, not \"%s\"",
                       e->file, e->line, e->key, (long long)min, (long long)max, e->value);
    *value = n;
    return 0;
}

static int parse_bool(const struct conf_entry *e, bool *value, struct err *err)
{
    static const char *const yes[] = {"yes", "true", "on", "1"}, *const no[] = {"no", "false",
                                                                                "off", "0"};

    for (size_t i = 0; i < 4; i++) {
        if (strcmp(e->value, yes[i]) == 0 || strcmp(e->value, no[i]) == 0) {
            *value = strcmp(e->value, yes[i]) == 0;
            return 0;
        }
    }
    return bad(e, err, "tls-verify must be yes or no");
}

static struct store_settings *section_of(struct settings *st, const struct conf_entry *e)
{
    for (size_t i = 0; i < st->n_stores; i++) {
        if (strcmp(st->stores[i].name, e->name) == 0)
            return &st->stores[i];
    }
    struct store_settings *s = ARENA_PUSH(&st->arena, st->stores, st->n_stores);
    s->name = arena_strdup(&st->arena, e->name);
    s->file = arena_strdup(&st->arena, e->file);
    return s;
}

static void add_node(struct settings *st, struct store_settings *s, const struct conf_entry *e)
{
    const char *url = arena_strdup(&st->arena, e->value);

    if (strcmp(s->file, e->file) != 0) {
        s->nodes = (struct words){0};
        s->file = arena_strdup(&st->arena, e->file);
    }
    *ARENA_PUSH(&st->arena, s->nodes.v, s->nodes.n) = url;
}

static void add_agent(struct settings *st, struct store_settings *s, const struct conf_entry *e)
{
    const char *agent = arena_strdup(&st->arena, e->value);

    if (s->agents_file == NULL || strcmp(s->agents_file, e->file) != 0) {
        s->agents = (struct words){0};
        s->agents_file = arena_strdup(&st->arena, e->file);
    }
    *ARENA_PUSH(&st->arena, s->agents.v, s->agents.n) = agent;
}

/* A file named in a configuration file is looked for beside that file. */
static const char *file_beside(struct settings *st, const struct conf_entry *e)
{
    const char *slash = strrchr(e->file, '/');
    char *dir = slash ? xstrndup(e->file, (size_t)(slash - e->file) + (slash == e->file)) : NULL;
    char *path = path_absolute(dir, e->value);
    const char *kept = arena_strdup(&st->arena, path);

    free(path);
    free(dir);
    return kept;
}

/* Started without a shell, by a runner whose directory is /. */
static int check_notify(const struct conf_entry *e, struct err *err)
{
    if (strcmp(e->key, "notify-command") != 0 || e->value[0] == '/')
        return 0;
    err_set(err, ERR_INPUT,
            "%s:%d: notify-command must begin with the absolute path of an "
            "executable, not \"%s\"",
            e->file, e->line, e->value);
    return err_advise(err, "no shell is involved: pipes and variables belong into a script");
}

/* A text member by its key, or NULL: the key is none of the texts. */
static const char **text_member(struct store_settings *s, const char *key)
{
    const struct {
        const char *key;
        const char **member;
    } texts[] = {
        {"engine", &s->engine},
        {"user", &s->user},
        {"token-file", &s->token_file},
        {"password-file", &s->password_file},
        {"ca-file", &s->ca_file},
        {"cert-file", &s->cert_file},
        {"key-file", &s->key_file},
        {"notify-command", &s->notify_command},
        {"agent-token-file", &s->agent_token_file},
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (strcmp(texts[i].key, key) == 0)
            return texts[i].member;
    }
    return NULL;
}

static int read_store_key(struct settings *st, const struct conf_entry *e, struct err *err)
{
    struct store_settings *s = section_of(st, e);
    const char **text = text_member(s, e->key);
    bool verify = true;

    if (check_notify(e, err) != 0)
        return -1;
    if (text != NULL) {
        *text = strstr(e->key, "-file") ? file_beside(st, e) : arena_strdup(&st->arena, e->value);
        return 0;
    }
    if (strcmp(e->key, "node") == 0) {
        add_node(st, s, e);
        return 0;
    }
    if (strcmp(e->key, "agent") == 0) {
        if (settings_check_agent(e->value, err) != 0)
            return err_prepend(err, "%s:%d", e->file, e->line);
        add_agent(st, s, e);
        return 0;
    }
    if (strcmp(e->key, "timeout") == 0) {
        if (parse_number(e, 1, 3600, &s->timeout_ms, err) != 0)
            return -1;
        s->timeout_ms *= 1000;
        return 0;
    }
    if (strcmp(e->key, "tls-verify") == 0) {
        if (parse_bool(e, &verify, err) != 0)
            return -1;
        s->no_tls_verify = !verify;
        return 0;
    }
    err_set(err, ERR_INPUT, "%s:%d: unknown key \"%s\" in section [store %s]", e->file, e->line,
            e->key, e->name);
    return err_advise(err, "known keys: engine, node, user, password-file, token-file, ca-file, "
                           "cert-file, key-file, agent, agent-token-file, timeout, tls-verify, "
                           "notify-command");
}

static int read_kvsh_key(struct settings *st, const struct conf_entry *e, struct err *err)
{
    if (strcmp(e->key, "history-size") == 0)
        return parse_number(e, 1, 1000000, &st->history_size, err);
    if (check_notify(e, err) != 0)
        return -1;
    if (strcmp(e->key, "store") == 0) {
        st->store = arena_strdup(&st->arena, e->value);
    } else if (strcmp(e->key, "state-dir") == 0) {
        st->state_dir = file_beside(st, e);
    } else if (strcmp(e->key, "token-file") == 0) {
        st->token_file = file_beside(st, e);
    } else if (strcmp(e->key, "notify-command") == 0) {
        st->notify_command = arena_strdup(&st->arena, e->value);
    } else {
        err_set(err, ERR_INPUT, "%s:%d: unknown key \"%s\" in section [kvsh]", e->file, e->line,
                e->key);
        return err_advise(err, "known keys: store, state-dir, history-size, token-file, "
                               "notify-command");
    }
    return 0;
}

static int read_entry(struct settings *st, const struct conf_entry *e, struct err *err)
{
    if (strcmp(e->section, "kvsh") == 0 && e->name[0] == '\0')
        return read_kvsh_key(st, e, err);
    if (strcmp(e->section, "store") == 0) {
        if (settings_check_name(e->name, err) != 0)
            return err_prepend(err, "%s:%d", e->file, e->line);
        return read_store_key(st, e, err);
    }
    err_set(err, ERR_INPUT, "%s:%d: unknown section [%s%s%s]", e->file, e->line, e->section,
            e->name[0] ? " " : "", e->name);
    return err_advise(err, "sections are [kvsh] and [store NAME]");
}

int settings_read(struct settings *st, const char *config_file, struct err *err)
{
    struct conf *c = conf_new();
    char *user = config_file ? xstrdup(config_file) : settings_user_file();
    int rc = -1;

    st->edit_file = arena_strdup(&st->arena, user);
    if (config_file == NULL && conf_read(c, PACKAGE_SYSCONFDIR "/kvsh/kvsh.conf", false, err) != 0)
        goto out;
    if (user != NULL && conf_read(c, user, false, err) != 0)
        goto out;
    for (size_t i = 0; i < conf_count(c); i++) {
        if (read_entry(st, conf_at(c, i), err) != 0)
            goto out;
    }
    for (size_t i = 0; i < st->n_stores; i++) {
        struct store_settings *s = &st->stores[i];
        if (s->engine == NULL)
            s->engine = "redis";
        if (s->token_file == NULL)
            s->token_file = st->token_file;
        if (s->notify_command == NULL)
            s->notify_command = st->notify_command;
    }
    rc = 0;
out:
    free(user);
    conf_free(c);
    return rc;
}

void settings_release(struct settings *st)
{
    arena_release(&st->arena);
    *st = (struct settings){0};
}

const struct store_settings *settings_store(const struct settings *st, const char *name)
{
    for (size_t i = 0; i < st->n_stores; i++) {
        if (strcmp(st->stores[i].name, name) == 0)
            return &st->stores[i];
    }
    return NULL;
}

char *path_absolute(const char *dir, const char *path)
{
    char *cwd = NULL, *result;

    if (path[0] == '/')
        return xstrdup(path);
    if (dir == NULL || dir[0] != '/')
        cwd = getcwd(NULL, 0);
    if (dir == NULL)
        result = xasprintf("%s/%s", cwd ? cwd : "", path);
    else
        result = xasprintf("%s%s%s/%s", cwd ? cwd : "", cwd ? "/" : "", dir, path);
    free(cwd);
    return result;
}

/* The directory variable names, or HOME's (or the password file's) with `below` appended; malloc'ed
 * or NULL. */
static char *user_dir(const char *variable, const char *below)
{
    const char *dir = getenv(variable), *home = getenv("HOME");
    struct account account = {0};
    char *result = NULL;

    if (dir != NULL && dir[0] == '/')
        return xstrdup(dir);
    if (home == NULL || home[0] != '/') {
        home = NULL;
        if (fs_account(getuid(), &account) && account.home[0] == '/')
            home = account.home;
    }
    if (home != NULL)
        result = xasprintf("%s/%s", home, below);
    account_release(&account);
    return result;
}

char *settings_user_file(void)
{
    char *dir = user_dir("XDG_CONFIG_HOME", ".config"), *file = NULL;

    if (dir != NULL)
        file = xasprintf("%s/kvsh/kvsh.conf", dir);
    free(dir);
    return file;
}

char *settings_user_state(void)
{
    char *dir, *state = NULL;

    if (getuid() == 0)
        return xstrdup(PACKAGE_LOCALSTATEDIR "/lib/kvsh");
    dir = user_dir("XDG_STATE_HOME", ".local/state");
    if (dir != NULL)
        state = xasprintf("%s/kvsh", dir);
    free(dir);
    return state;
}

char *settings_url(const char *host, int64_t port)
{
    bool v6 = strchr(host, ':') != NULL && host[0] != '[';

    return xasprintf("http://%s%s%s:%lld", v6 ? "[" : "", host, v6 ? "]" : "", (long long)port);
}
