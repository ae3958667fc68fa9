#include "agent/bootconfig.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "agent/address.h"

enum { CONFIG_MAX = 1 << 20, PATH_LIMIT = 1024, FORMAT = 1, PORTS_PER_SERVICE = 2 };

void boot_release(struct bootconfig *b)
{
    for (size_t i = 0; i < b->n_storage_dirs; i++)
        free(b->storage_dirs[i]);
    for (size_t i = 0; i < b->n_log_dirs; i++)
        free(b->log_dirs[i]);
    for (size_t i = 0; i < b->n_units; i++)
        boot_unit_release(&b->units[i]);
    free(b->root);
    free(b->host);
    free(b->admin_dir);
    free(b->redis_server);
    free(b->bind_address);
    free(b->token_file);
    free(b->tls_cert);
    free(b->tls_key);
    free(b->tls_client_ca);
    memset(b, 0, sizeof *b);
}

/* Paths end up in redis.conf, whose quoting and globbing some characters would disturb. */
static int path_complete(char **path, const char *what, struct err *err)
{
    char *abs;
    size_t len;

    if (!*path)
        return 0;
    if (!**path)
        return err_set(err, ERR_INPUT, "%s: an empty path", what);
    for (const unsigned char *p = (const unsigned char *)*path; *p; p++)
        if (*p < 0x20 || *p == 0x7f || strchr("\"\\*?[]", *p))
            return err_set(err, ERR_INPUT,
                           "%s \"%s\": control characters and any of \" \\ * ? [ ] are not allowed",
                           what, *path);
    if (**path != '/') {
        char *cwd = getcwd(NULL, 0);

        if (!cwd)
            return err_errno(err, ERR_FAILED, errno, "%s \"%s\"", what, *path);
        abs = xasprintf("%s/%s", strcmp(cwd, "/") == 0 ? "" : cwd, *path);
        free(cwd);
        free(*path);
        *path = abs;
    }
    len = strlen(*path);
    while (len > 1 && (*path)[len - 1] == '/')
        (*path)[--len] = '\0';
    if (len > PATH_LIMIT)
        return err_set(err, ERR_INPUT, "%s: the path is longer than %d bytes", what, PATH_LIMIT);
    return 0;
}

static int paths_complete(struct bootconfig *b, struct err *err)
{
    if (path_complete(&b->root, "-root", err) < 0 ||
        path_complete(&b->admin_dir, "-admindir", err) < 0 ||
        path_complete(&b->redis_server, "-redis-server", err) < 0 ||
        path_complete(&b->token_file, "-token-file", err) < 0 ||
        path_complete(&b->tls_cert, "-tls-cert", err) < 0 ||
        path_complete(&b->tls_key, "-tls-key", err) < 0 ||
        path_complete(&b->tls_client_ca, "-tls-client-ca", err) < 0)
        return -1;
    for (size_t i = 0; i < b->n_storage_dirs; i++)
        if (path_complete(&b->storage_dirs[i], "-storagedir", err) < 0)
            return -1;
    for (size_t i = 0; i < b->n_log_dirs; i++)
        if (path_complete(&b->log_dirs[i], "-rnlogdir", err) < 0)
            return -1;
    for (size_t i = 0; i < b->n_storage_dirs; i++)
        if (boot_dir_index(b, b->storage_dirs[i]) != (int)i)
            return err_set(err, ERR_INPUT, "-storagedir %s is given twice", b->storage_dirs[i]);
    return 0;
}

static int ports_check(const struct bootconfig *b, struct err *err)
{
    int need = b->capacity * PORTS_PER_SERVICE;

    if (b->port < 1 || b->port > 65535)
        return err_set(err, ERR_INPUT, "-port %d: not in 1..65535", b->port);
    if (b->capacity == 0 && b->n_units > 0 && b->ha_first == 0 && b->ha_last == 0)
        return 0;
    if (b->capacity < 1 || b->capacity > BOOT_CAPACITY_MAX)
        return err_set(err, ERR_INPUT, "-capacity %d: not in 1..%d", b->capacity,
                       BOOT_CAPACITY_MAX);
    if (b->ha_first < 1 || b->ha_last > 65535 || b->ha_first > b->ha_last)
        return err_set(err, ERR_INPUT, "-harange %d,%d: not a range within 1..65535", b->ha_first,
                       b->ha_last);
    if (b->ha_last - b->ha_first + 1 < need) {
        err_set(err, ERR_INPUT, "-harange %d,%d has %d ports, capacity %d needs %d", b->ha_first,
                b->ha_last, b->ha_last - b->ha_first + 1, b->capacity, need);
        return err_advise(err, "each service needs two: one for clients, one for the cluster bus");
    }
    if (b->port >= b->ha_first && b->port <= b->ha_last)
        return err_set(err, ERR_INPUT, "-port %d lies inside -harange %d,%d", b->port, b->ha_first,
                       b->ha_last);
    return 0;
}

static int units_check(const struct bootconfig *b, struct err *err)
{
    for (size_t i = 0; i < b->n_units; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(b->units[i].id, b->units[k].id) == 0)
                return err_set(err, ERR_INPUT, "unit %s is given twice", b->units[i].id);
    return 0;
}

static int security_check(const struct bootconfig *b, struct err *err)
{
    if (!b->tls_cert != !b->tls_key)
        return err_set(err, ERR_USAGE, "-tls-cert and -tls-key go together");
    if (b->tls_client_ca && !b->tls_cert)
        return err_set(err, ERR_USAGE, "-tls-client-ca needs -tls-cert and -tls-key");
    if (b->bind_address && !boot_is_authenticated(b) && !address_is_loopback(b->bind_address)) {
        err_set(err, ERR_INPUT, "-bind %s: not without authentication", b->bind_address);
        return err_advise(err, "give -token-file or -tls-client-ca, or bind a loopback address");
    }
    return 0;
}

int boot_complete(struct bootconfig *b, struct err *err)
{
    char ip[ADDRESS_MAX];

    if (paths_complete(b, err) < 0 || ports_check(b, err) < 0 || units_check(b, err) < 0)
        return -1;
    if (b->memory_mb < 0)
        return err_set(err, ERR_INPUT, "-memory_mb %d: less than 0", b->memory_mb);
    if (b->watch_interval < 1 || b->watch_interval > 3600)
        return err_set(err, ERR_INPUT, "-watch-interval %d: not in 1..3600", b->watch_interval);
    if (address_resolve(b->host, ip, err) < 0)
        return err_prepend(err, "-host %s", b->host);
    if (address_is_wildcard(ip)) {
        err_set(err, ERR_INPUT, "-host %s: other nodes cannot reach that address", b->host);
        return err_advise(err,
                          "-host names this host; -bind %s makes the agent listen on all "
                          "addresses",
                          b->host);
    }
    if (b->bind_address && address_resolve(b->bind_address, ip, err) < 0)
        return err_prepend(err, "-bind %s", b->bind_address);
    return security_check(b, err);
}

bool boot_is_authenticated(const struct bootconfig *b)
{
    return b->token_file || b->tls_client_ca;
}

const char *boot_log_dir(const struct bootconfig *b, size_t i)
{
    if (b->n_log_dirs == 0)
        return NULL;
    return b->log_dirs[i < b->n_log_dirs ? i : b->n_log_dirs - 1];
}

int boot_dir_index(const struct bootconfig *b, const char *dir)
{
    for (size_t i = 0; i < b->n_storage_dirs; i++)
        if (strcmp(b->storage_dirs[i], dir) == 0)
            return (int)i;
    return -1;
}

char *boot_find_redis(const char *path)
{
    static const char *const names[] = {"redis-server", "valkey-server"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (const char *p = path; p && *p; p += strcspn(p, ":"), p += *p == ':') {
            char *file = xasprintf("%.*s/%s", (int)strcspn(p, ":"), p, names[i]);

            if (*file == '/' && access(file, X_OK) == 0)
                return file;
            free(file);
        }
    return NULL;
}

static struct json *strings_to_json(char *const *items, size_t n)
{
    struct json *a = json_array();

    for (size_t i = 0; i < n; i++)
        json_push_str(a, items[i]);
    return a;
}

static struct json *units_to_json(const struct bootconfig *b)
{
    struct json *list = json_array();

    for (size_t i = 0; i < b->n_units; i++)
        json_push(list, boot_unit_to_json(&b->units[i]));
    return list;
}

struct json *boot_to_json(const struct bootconfig *b)
{
    struct json *j = json_object();
    struct json *range = json_array();

    json_set_int(j, "format", FORMAT);
    json_set_str(j, "host", b->host);
    json_set_int(j, "port", b->port);
    json_push(range, json_number(b->ha_first));
    json_push(range, json_number(b->ha_last));
    json_set(j, "haRange", range);
    json_set_int(j, "capacity", b->capacity);
    json_set_int(j, "memoryMb", b->memory_mb);
    json_set_int(j, "watchInterval", b->watch_interval);
    json_set_str(j, "adminDir", b->admin_dir);
    json_set(j, "storageDirs", strings_to_json(b->storage_dirs, b->n_storage_dirs));
    json_set(j, "rnLogDirs", strings_to_json(b->log_dirs, b->n_log_dirs));
    json_set_str(j, "redisServer", b->redis_server);
    json_set_str(j, "bind", b->bind_address);
    json_set_str(j, "tokenFile", b->token_file);
    json_set_str(j, "tlsCert", b->tls_cert);
    json_set_str(j, "tlsKey", b->tls_key);
    json_set_str(j, "tlsClientCa", b->tls_client_ca);
    if (b->n_units > 0)
        json_set(j, "units", units_to_json(b));
    return j;
}

static bool is_known_member(const char *name)
{
    static const char *const names[] = {
        "format",        "host",     "port",        "haRange",     "capacity",    "memoryMb",
        "watchInterval", "adminDir", "storageDirs", "rnLogDirs",   "redisServer", "bind",
        "tokenFile",     "tlsCert",  "tlsKey",      "tlsClientCa", "units",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static char *dup_or_null(const char *s)
{
    return s ? xstrdup(s) : NULL;
}

static int strings_from_json(char **items, size_t *n, const struct json *a, struct err *err)
{
    JSON_FOREACH (item, a) {
        const char *s = json_value_str(item);

        if (!s || *n >= BOOT_DIRS_MAX)
            return err_set(err, ERR_INPUT, "a list of directories makes no sense");
        items[(*n)++] = xstrdup(s);
    }
    return 0;
}

static int units_from_json(struct bootconfig *b, const struct json *list, struct err *err)
{
    if (list && !json_is_array(list))
        return err_set(err, ERR_INPUT, "\"units\" is not a list");
    JSON_FOREACH (item, list) {
        if (b->n_units == BOOT_UNITS_MAX)
            return err_set(err, ERR_INPUT, "more than %d units", BOOT_UNITS_MAX);
        if (boot_unit_from_json(&b->units[b->n_units++], item, err) < 0)
            return -1;
    }
    return 0;
}

/* No number of the configuration is larger than this; anything else becomes a value the checks
 * refuse. */
static int small_int(const struct json *j)
{
    int64_t n = json_value_int(j, -1);

    return n < -1 || n > 1 << 30 ? -1 : (int)n;
}

int boot_from_json(struct bootconfig *b, const struct json *j, struct err *err)
{
    const struct json *range = json_get(j, "haRange");

    JSON_FOREACH (m, j)
        if (!is_known_member(json_key(m)))
            return err_set(err, ERR_INPUT, "unknown member \"%s\"", json_key(m));
    if (json_int(j, "format", 0) != FORMAT)
        return err_set(err, ERR_INPUT, "not a boot configuration of format %d", FORMAT);
    b->host = dup_or_null(json_str(j, "host"));
    b->port = small_int(json_get(j, "port"));
    b->ha_first = small_int(json_at(range, 0));
    b->ha_last = small_int(json_at(range, 1));
    b->capacity = small_int(json_get(j, "capacity"));
    b->memory_mb = small_int(json_get(j, "memoryMb"));
    b->watch_interval = small_int(json_get(j, "watchInterval"));
    b->admin_dir = dup_or_null(json_str(j, "adminDir"));
    b->redis_server = dup_or_null(json_str(j, "redisServer"));
    b->bind_address = dup_or_null(json_str(j, "bind"));
    b->token_file = dup_or_null(json_str(j, "tokenFile"));
    b->tls_cert = dup_or_null(json_str(j, "tlsCert"));
    b->tls_key = dup_or_null(json_str(j, "tlsKey"));
    b->tls_client_ca = dup_or_null(json_str(j, "tlsClientCa"));
    if (!b->host)
        return err_set(err, ERR_INPUT, "\"host\" is missing");
    if (strings_from_json(b->storage_dirs, &b->n_storage_dirs, json_get(j, "storageDirs"), err) < 0)
        return -1;
    if (strings_from_json(b->log_dirs, &b->n_log_dirs, json_get(j, "rnLogDirs"), err) < 0)
        return -1;
    return units_from_json(b, json_get(j, "units"), err);
}

static struct json *config_read(const char *path, struct err *err)
{
    size_t len;
    char *text = fs_read(path, CONFIG_MAX, &len, err);
    struct json *j = text ? json_parse(text, len, err) : NULL;

    if (text && !j)
        err_prepend(err, "%s", path);
    free(text);
    return j;
}

int boot_save(const struct bootconfig *b, const char *name, struct err *err)
{
    char *path = xasprintf("%s/%s", b->root, name);
    struct json *j = boot_to_json(b), *old = NULL;
    char *text = json_print_pretty(j);
    int rc = -1;

    if (fs_mkdirs(b->root, 0700, err) < 0)
        goto out;
    if (access(path, F_OK) == 0) {
        old = config_read(path, err);
        if (old && json_equal(old, j)) {
            rc = 1;
        } else {
            err_set(err, ERR_REFUSED, "%s exists already and says something else", path);
            err_advise(err, "remove it first if the node is to be configured anew, or use another "
                            "-root or -config");
        }
        goto out;
    }
    rc = fs_write_atomic(path, text, strlen(text), 0600, err);
out:
    json_free(old);
    json_free(j);
    free(text);
    free(path);
    return rc;
}

/* Whoever may write the file says what the agent executes. */
static int owner_check(const struct bootconfig *b, const char *path, struct err *err)
{
    struct stat st;

    if (b->n_units == 0 || stat(path, &st) < 0 || !(st.st_mode & (S_IWGRP | S_IWOTH)))
        return 0;
    err_set(err, ERR_DENIED, "group or others may write it, and it names programs to execute");
    return err_advise(err, "chmod 600 %s", path);
}

int boot_load(struct bootconfig *b, const char *root, const char *name, struct err *err)
{
    char *path = NULL;
    struct json *j = NULL;
    int rc = -1;

    b->root = xstrdup(root);
    if (path_complete(&b->root, "-root", err) < 0)
        goto out;
    path = xasprintf("%s/%s", b->root, name);
    if (access(path, F_OK) < 0) {
        err_errno(err, ERR_INPUT, errno, "boot configuration %s", path);
        err_advise(err, "kvagentd makebootconfig writes it");
        goto out;
    }
    j = config_read(path, err);
    if (!j)
        goto out;
    rc = boot_from_json(b, j, err);
    if (rc == 0)
        rc = owner_check(b, path, err);
    if (rc == 0)
        rc = boot_complete(b, err);
    if (rc < 0)
        err_prepend(err, "%s", path);
out:
    json_free(j);
    free(path);
    return rc;
}
