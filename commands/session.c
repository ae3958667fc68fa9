#include "commands/session.h"

#include <stdlib.h>
#include <string.h>

#include "commands/connect_node.h"
#include "commands/session_private.h"
#include "kvsh/fs.h"

struct session *session_new(const struct session_flags *flags)
{
    struct session *s = xcalloc(1, sizeof *s);

    s->flags = *flags;
    if (flags->config_file != NULL)
        s->flags.config_file = s->config_file = path_absolute(NULL, flags->config_file);
    if (flags->state_dir != NULL)
        s->flags.state_dir = s->state_dir = path_absolute(NULL, flags->state_dir);
    if (flags->store != NULL)
        s->store = xstrdup(flags->store);
    s->host_done = flags->host == NULL;
    return s;
}

void session_free(struct session *s)
{
    if (s == NULL)
        return;
    session_leave_store(s);
    settings_release(&s->settings);
    free(s->store);
    free(s->config_file);
    free(s->state_dir);
    free(s->bare_node);
    free(s->bare_token_file);
    free(s);
}

void session_attach(struct session *s, struct shell *sh)
{
    s->shell = sh;
}

struct shell *session_shell(const struct session *s)
{
    return s->shell;
}

const struct session_flags *session_flags(const struct session *s)
{
    return &s->flags;
}

/* --- configuration and directories --- */

const struct settings *session_settings(struct session *s, struct err *err)
{
    if (!s->have_settings) {
        if (settings_read(&s->settings, s->flags.config_file, err) != 0) {
            settings_release(&s->settings);
            return NULL;
        }
        s->have_settings = true;
    }
    return &s->settings;
}

void session_reread(struct session *s)
{
    session_leave_store(s);
    settings_release(&s->settings);
    s->have_settings = false;
}

const char *session_edit_file(struct session *s, struct err *err)
{
    const struct settings *st = session_settings(s, err);

    if (st == NULL)
        return NULL;
    if (st->edit_file == NULL) {
        err_set(err, ERR_FAILED, "there is no configuration file to write to: no home directory");
        err_advise(err, "set HOME or XDG_CONFIG_HOME, or give -config FILE");
    }
    return st->edit_file;
}

char *session_state_dir(struct session *s, struct err *err)
{
    const char *env = getenv("KVSH_STATE_DIR");
    const struct settings *st;
    char *dir;

    if (s->flags.state_dir != NULL)
        return xstrdup(s->flags.state_dir);
    if (env != NULL && env[0] != '\0')
        return path_absolute(NULL, env);
    if ((st = session_settings(s, err)) == NULL)
        return NULL;
    if (st->state_dir != NULL)
        return xstrdup(st->state_dir);
    if ((dir = settings_user_state()) == NULL) {
        err_set(err, ERR_FAILED, "there is no place for the journals: no home directory");
        err_advise(err, "set HOME or XDG_STATE_HOME, or give -state-dir DIR");
    }
    return dir;
}

char *session_store_dir(struct session *s, const char *store, struct err *err)
{
    char *state = session_state_dir(s, err), *dir = NULL;

    if (state != NULL)
        dir = xasprintf("%s/%s", state, store);
    free(state);
    return dir;
}

void session_use_history(struct session *s)
{
    struct err err = ERR_INIT;
    const char *store = s->store;
    char *dir = NULL, *file = NULL;

    if (store == NULL && s->host_done && session_store(s, &err) != NULL)
        store = s->store;
    if (session_settings(s, &err) != NULL)
        shell_config(s->shell)->history_size = (size_t)s->settings.history_size;
    dir = store ? session_store_dir(s, store, &err) : session_state_dir(s, &err);
    if (dir != NULL && fs_mkdirs(dir, 0700, &err) == 0)
        file = xasprintf("%s/history", dir);
    shell_set_history_file(s->shell, file);
    free(file);
    free(dir);
}

/* --- the current store --- */

static int none_chosen(const struct settings *st, struct err *err)
{
    if (st->n_stores == 0) {
        err_set(err, ERR_INPUT, "no store is chosen: none is configured");
        return err_advise(err, "store add -name NAME -node URL, connect -host HOST -port PORT, or "
                               "configure -name NAME for a new one");
    }
    err_set(err, ERR_INPUT, "no store is chosen: %zu are configured", st->n_stores);
    return err_advise(err, "give -store NAME, or store use -name NAME; store list shows them");
}

static const struct store_settings *configured(const struct settings *st, const char *name,
                                               struct err *err)
{
    const struct store_settings *found = settings_store(st, name);

    if (found == NULL) {
        err_set(err, ERR_INPUT, "store \"%s\" is not configured", name);
        err_advise(err, "store list shows the stores, store add -name %s -node URL adds it", name);
    }
    return found;
}

/* The name by the rules, or NULL: nothing says which. */
static const char *default_store(const struct settings *st)
{
    const char *env = getenv("KVSH_STORE");

    if (env != NULL && env[0] != '\0')
        return env;
    if (st->store != NULL)
        return st->store;
    return st->n_stores == 1 ? st->stores[0].name : NULL;
}

const struct store_settings *session_store(struct session *s, struct err *err)
{
    const struct settings *st = session_settings(s, err);
    const struct store_settings *found;
    const char *name;

    if (st == NULL)
        return NULL;
    if (session_meet_host(s, err) != 0 || (st = session_settings(s, err)) == NULL)
        return NULL;
    name = s->store ? s->store : default_store(st);
    if (s->bare_node != NULL && s->store == NULL) {
        err_set(err, ERR_INPUT, "the node at %s belongs to no store yet", s->bare_node);
        err_advise(err, "configure -name NAME makes a store of it");
        return NULL;
    }
    if (name == NULL) {
        none_chosen(st, err);
        return NULL;
    }
    if ((found = configured(st, name, err)) == NULL)
        return NULL;
    if (s->store == NULL)
        session_use(s, name);
    return found;
}

const char *session_store_name(const struct session *s)
{
    return s->store;
}

const struct store_settings *session_named_store(struct session *s, const char *name,
                                                 struct err *err)
{
    const struct settings *st;

    if (name == NULL)
        return session_store(s, err);
    st = session_settings(s, err);
    return st ? configured(st, name, err) : NULL;
}

void session_forget(struct session *s, const char *store)
{
    if (s->store != NULL && strcmp(s->store, store) == 0) {
        free(s->store);
        s->store = NULL;
    }
    session_reread(s);
}

void session_use(struct session *s, const char *store)
{
    char *copy = xstrdup(store);

    session_leave_store(s);
    free(s->store);
    s->store = copy;
    session_set_bare_node(s, NULL, NULL);
    s->host_done = true;
    if (s->shell != NULL && shell_is_prompt(s->shell))
        session_use_history(s);
}

const char *session_bare_node(const struct session *s)
{
    return s->bare_node;
}

const char *session_bare_token_file(const struct session *s)
{
    return s->bare_token_file;
}

void session_set_bare_node(struct session *s, const char *url, const char *token_file)
{
    char *node = url ? xstrdup(url) : NULL, *token = token_file ? xstrdup(token_file) : NULL;

    free(s->bare_node);
    free(s->bare_token_file);
    s->bare_node = node;
    s->bare_token_file = token;
    if (node != NULL) {
        session_leave_store(s);
        free(s->store);
        s->store = NULL;
    }
}

int session_meet_host(struct session *s, struct err *err)
{
    if (s->host_done)
        return 0;
    if (connect_host(s, err) != 0)
        return -1;
    s->host_done = true;
    return 0;
}

bool session_waits_for_host(const struct session *s)
{
    return !s->host_done;
}

void session_set_preview(struct session *s, bool on)
{
    s->preview = on;
}

bool session_is_preview(const struct session *s)
{
    return s->preview;
}

void session_set_explain(struct session *s, bool on)
{
    s->explain = on;
}

bool session_is_explain(const struct session *s)
{
    return s->explain;
}
