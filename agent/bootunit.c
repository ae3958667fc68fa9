#include "agent/bootunit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvsh/mem.h"

#include "agent/services.h"

enum { ARG_MAX_BYTES = 1024, LIMIT_MAX_S = 3600, UNIT_NAME_MAX = 255 };

#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define CAPITALS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static const struct {
    const char *name, *systemctl;
    int limit_s;
} actions[UNIT_ACTIONS] = {
    [UNIT_START] = {"start", "start", 120},
    [UNIT_STOP] = {"stop", "stop", 300},
    [UNIT_STATUS] = {"status", "is-active", 10},
};

const char *unit_action_name(enum unit_action action)
{
    return actions[action].name;
}

void boot_unit_release(struct boot_unit *u)
{
    for (int a = 0; a < UNIT_ACTIONS; a++)
        for (size_t i = 0; i < u->commands[a].n; i++)
            free(u->commands[a].argv[i]);
    memset(u, 0, sizeof *u);
}

/* Ids of other kinds of services, and the agent's own name in events, are not a unit's. */
static int id_check(const char *id, struct err *err)
{
    size_t len = strlen(id);

    if (len < 1 || len >= UNIT_ID_MAX || strspn(id, LETTERS DIGITS "-") != len ||
        !strchr(LETTERS, id[0]))
        return err_set(err, ERR_INPUT,
                       "unit \"%.40s\": an id is a lower-case letter and up to %d more letters, "
                       "digits and hyphens",
                       id, UNIT_ID_MAX - 2);
    if (name_is_rn(id) || name_is_numbered(id, "admin") || strcmp(id, "agent") == 0)
        return err_set(err, ERR_INPUT, "unit \"%s\": that id means something else", id);
    return 0;
}

static int arg_check(const struct boot_unit *u, enum unit_action a, const char *arg, size_t at,
                     struct err *err)
{
    const char *action = actions[a].name;

    if (at == 0 && arg[0] != '/')
        return err_set(err, ERR_INPUT, "unit %s: %s: \"%.200s\" is not an absolute path", u->id,
                       action, arg);
    if (strlen(arg) > ARG_MAX_BYTES)
        return err_set(err, ERR_INPUT, "unit %s: %s: an argument is longer than %d bytes", u->id,
                       action, ARG_MAX_BYTES);
    for (const unsigned char *p = (const unsigned char *)arg; *p; p++)
        if (*p < 0x20 || *p == 0x7f)
            return err_set(err, ERR_INPUT, "unit %s: %s: a control character in an argument", u->id,
                           action);
    return 0;
}

static void push(struct unit_command *c, const char *arg)
{
    c->argv[c->n++] = xstrdup(arg);
}

static const char *systemctl_path(void)
{
    return access("/usr/bin/systemctl", X_OK) < 0 && access("/bin/systemctl", X_OK) == 0
               ? "/bin/systemctl"
               : "/usr/bin/systemctl";
}

static bool is_unit_name(const char *name)
{
    size_t len = strlen(name);

    return len >= 1 && len <= UNIT_NAME_MAX && name[0] != '-' &&
           strspn(name, LETTERS CAPITALS DIGITS ":_.@\\-") == len;
}

int boot_unit_parse(struct boot_unit *u, const char *text, struct err *err)
{
    const char *equals = strchr(text, '=');
    const char *what = equals ? equals + 1 : "";
    char *id = xstrndup(text, strcspn(text, "="));
    int rc = id_check(id, err);

    if (rc == 0)
        memcpy(u->id, id, strlen(id) + 1);
    free(id);
    if (rc < 0)
        return -1;
    if (*what != '/' && !is_unit_name(what)) {
        err_set(err, ERR_INPUT,
                "unit %s: \"%.200s\" is neither the name of a systemd unit nor an absolute path",
                u->id, what);
        return err_advise(err, "such as %s=%s-server.service, or %s=/etc/init.d/%s", u->id, u->id,
                          u->id, u->id);
    }
    for (int a = 0; a < UNIT_ACTIONS; a++) {
        struct unit_command *c = &u->commands[a];

        c->limit_s = actions[a].limit_s;
        push(c, *what == '/' ? what : systemctl_path());
        push(c, *what == '/' ? actions[a].name : actions[a].systemctl);
        if (*what != '/')
            push(c, what);
        if (arg_check(u, (enum unit_action)a, what[0] == '/' ? what : c->argv[0], 0, err) < 0)
            return -1;
    }
    return 0;
}

struct json *boot_unit_to_json(const struct boot_unit *u)
{
    struct json *j = json_object();

    json_set_str(j, "id", u->id);
    for (int a = 0; a < UNIT_ACTIONS; a++) {
        struct json *command = json_object(), *argv = json_array();

        for (size_t i = 0; i < u->commands[a].n; i++)
            json_push_str(argv, u->commands[a].argv[i]);
        json_set(command, "argv", argv);
        json_set_int(command, "limit", u->commands[a].limit_s);
        json_set(j, actions[a].name, command);
    }
    return j;
}

static int members_check(const struct boot_unit *u, const struct json *j, const char *const *names,
                         struct err *err)
{
    JSON_FOREACH (m, j) {
        size_t i = 0;

        while (names[i] && strcmp(names[i], json_key(m)) != 0)
            i++;
        if (!names[i])
            return err_set(err, ERR_INPUT, "unit %s: unknown member \"%.80s\"", u->id, json_key(m));
    }
    return 0;
}

static int command_from_json(struct boot_unit *u, enum unit_action a, const struct json *j,
                             struct err *err)
{
    static const char *const names[] = {"argv", "limit", NULL};
    struct unit_command *c = &u->commands[a];
    const struct json *argv = json_get(j, "argv");
    int64_t limit = json_int(j, "limit", actions[a].limit_s);

    if (members_check(u, j, names, err) < 0)
        return -1;
    if (!json_is_array(argv) || json_len(argv) < 1 || json_len(argv) > UNIT_ARGV_MAX)
        return err_set(err, ERR_INPUT, "unit %s: %s: argv is not a list of 1 to %d words", u->id,
                       actions[a].name, UNIT_ARGV_MAX);
    if (limit < 1 || limit > LIMIT_MAX_S)
        return err_set(err, ERR_INPUT, "unit %s: %s: limit is not in 1..%d seconds", u->id,
                       actions[a].name, LIMIT_MAX_S);
    c->limit_s = (int)limit;
    JSON_FOREACH (item, argv) {
        const char *arg = json_value_str(item);

        if (!arg)
            return err_set(err, ERR_INPUT, "unit %s: %s: argv holds something that is no word",
                           u->id, actions[a].name);
        if (arg_check(u, a, arg, c->n, err) < 0)
            return -1;
        push(c, arg);
    }
    return 0;
}

int boot_unit_from_json(struct boot_unit *u, const struct json *j, struct err *err)
{
    static const char *const names[] = {"id", "start", "stop", "status", NULL};
    const char *id = json_str(j, "id");

    if (id_check(id ? id : "", err) < 0)
        return -1;
    memcpy(u->id, id, strlen(id) + 1);
    if (members_check(u, j, names, err) < 0)
        return -1;
    for (int a = 0; a < UNIT_ACTIONS; a++)
        if (command_from_json(u, (enum unit_action)a, json_get(j, actions[a].name), err) < 0)
            return -1;
    return 0;
}
