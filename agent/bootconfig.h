/*
 * The boot configuration: what makebootconfig was told about this node, kept in
 * KVROOT/config1.json. Everything the agent may start, and every directory it may touch, comes from
 * here and nowhere else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kvsh/err.h"
#include "kvsh/json.h"

#include "agent/bootunit.h"

enum { BOOT_DIRS_MAX = 64, BOOT_CAPACITY_MAX = 64, BOOT_UNITS_MAX = 16 };

struct bootconfig {
    char *root; /* absolute */
    char *host;
    int port;
    int ha_first, ha_last; /* 0,0 where capacity is 0 */
    int capacity;          /* 0: only for units */
    int memory_mb;         /* for all services together; 0: not said */
    int watch_interval;    /* seconds */
    char *admin_dir;       /* or NULL */
    char *storage_dirs[BOOT_DIRS_MAX];
    size_t n_storage_dirs;
    char *log_dirs[BOOT_DIRS_MAX];
    size_t n_log_dirs;
    struct boot_unit units[BOOT_UNITS_MAX];
    size_t n_units;
    char *redis_server;                                    /* absolute; NULL when none was found */
    char *bind_address;                                    /* or NULL: the host's */
    char *token_file, *tls_cert, *tls_key, *tls_client_ca; /* or NULL */
};

void boot_release(struct bootconfig *b);

/* Makes every path absolute and checks that the whole makes sense. ERR_INPUT or ERR_USAGE. */
int boot_complete(struct bootconfig *b, struct err *err);

/*
 * Writes root/name (0600), creating root. An existing file is left alone: 1 when it says the same,
 * ERR_REFUSED otherwise.
 */
int boot_save(const struct bootconfig *b, const char *name, struct err *err);
int boot_load(struct bootconfig *b, const char *root, const char *name, struct err *err);

/* True when requests are authenticated by a token or a client certificate. */
bool boot_is_authenticated(const struct bootconfig *b);
/* The directory for the logs of services on storage directory number i; NULL: the store's own. */
const char *boot_log_dir(const struct bootconfig *b, size_t i);
/* -1 when dir is not one of the storage directories. */
int boot_dir_index(const struct bootconfig *b, const char *dir);

/* redis-server or valkey-server in the directories of PATH; free() it. NULL when there is none. */
char *boot_find_redis(const char *path);

struct json *boot_to_json(const struct bootconfig *b);
/* Fills a zeroed b but for root. Unknown members are refused, so that a typing error shows. */
int boot_from_json(struct bootconfig *b, const struct json *j, struct err *err);
