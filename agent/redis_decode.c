#include "agent/redis_decode.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A field of a line: a piece of foreign text without its end. */
struct piece {
    const char *at;
    size_t len;
};

static bool piece_is(struct piece p, const char *s)
{
    return p.len == strlen(s) && memcmp(p.at, s, p.len) == 0;
}

static void piece_copy(struct piece p, char *out, size_t size)
{
    size_t n = p.len < size - 1 ? p.len : size - 1;

    memcpy(out, p.at, n);
    out[n] = '\0';
}

/* A decimal number that fills the piece; def otherwise. */
static int64_t piece_int(struct piece p, int64_t def)
{
    char text[24], *end;
    long long n;

    if (p.len == 0 || p.len >= sizeof text)
        return def;
    piece_copy(p, text, sizeof text);
    errno = 0;
    n = strtoll(text, &end, 10);
    return *end || errno || end == text ? def : n;
}

/* Cuts the next piece off *rest at sep; false at the end. */
static bool piece_next(struct piece *rest, char sep, struct piece *out)
{
    const char *p;

    if (!rest->at)
        return false;
    p = memchr(rest->at, sep, rest->len);
    *out = (struct piece){rest->at, p ? (size_t)(p - rest->at) : rest->len};
    if (p)
        *rest = (struct piece){p + 1, rest->len - out->len - 1};
    else
        *rest = (struct piece){NULL, 0};
    return true;
}

static bool field_find(const char *text, const char *key, struct piece *out)
{
    size_t n = strlen(key);

    for (const char *p = text; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
        if (strncmp(p, key, n) == 0 && p[n] == ':') {
            *out = (struct piece){p + n + 1, strcspn(p + n + 1, "\r\n")};
            return true;
        }
    return false;
}

bool redis_field(const char *text, const char *key, char *out, size_t size)
{
    struct piece p;

    if (!field_find(text, key, &p))
        return false;
    piece_copy(p, out, size);
    return true;
}

int64_t redis_field_int(const char *text, const char *key, int64_t def)
{
    struct piece p;

    return field_find(text, key, &p) ? piece_int(p, def) : def;
}

int redis_loading_percent(const char *info)
{
    char text[16];

    return redis_field(info, "loading_loaded_perc", text, sizeof text) ? (int)strtol(text, NULL, 10)
                                                                       : -1;
}

static bool field_is(const char *text, const char *key, const char *want)
{
    struct piece p;

    return field_find(text, key, &p) && piece_is(p, want);
}

/* "ip=127.0.0.1,port=13233,state=online,offset=42,lag=0" */
static void replica_decode(struct piece line, struct redis_replica *r)
{
    struct piece pair, key;

    while (piece_next(&line, ',', &pair)) {
        if (!piece_next(&pair, '=', &key) || !pair.at)
            continue;
        if (piece_is(key, "ip"))
            piece_copy(pair, r->host, sizeof r->host);
        else if (piece_is(key, "port"))
            r->port = (int)piece_int(pair, 0);
        else if (piece_is(key, "state"))
            piece_copy(pair, r->state, sizeof r->state);
        else if (piece_is(key, "offset"))
            r->offset = piece_int(pair, 0);
        else if (piece_is(key, "lag"))
            r->lag = piece_int(pair, 0);
    }
}

static void replicas_decode(const char *text, struct arena *a, struct redis_info *info)
{
    for (int i = 0; i < 1000; i++) {
        char key[24];
        struct piece p;

        snprintf(key, sizeof key, "slave%d", i);
        if (!field_find(text, key, &p))
            return;
        replica_decode(p, ARENA_PUSH(a, info->replicas, info->n_replicas));
    }
}

void redis_info_decode(const char *text, struct arena *a, struct redis_info *info)
{
    memset(info, 0, sizeof *info);
    redis_field(text, "redis_version", info->version, sizeof info->version);
    info->is_primary = field_is(text, "role", "master");
    info->link_up = field_is(text, "master_link_status", "up");
    info->sync_in_progress = field_is(text, "master_sync_in_progress", "1");
    info->loading = field_is(text, "loading", "1") || field_is(text, "async_loading", "1");
    info->loading_percent = redis_loading_percent(text);
    info->aof_ok = field_is(text, "aof_enabled", "1") &&
                   field_is(text, "aof_last_write_status", "ok") &&
                   field_is(text, "aof_last_bgrewrite_status", "ok");
    info->offset =
        redis_field_int(text, info->is_primary ? "master_repl_offset" : "slave_repl_offset", 0);
    redis_field(text, "master_replid", info->replid, sizeof info->replid);
    info->used_memory = redis_field_int(text, "used_memory", 0);
    info->max_memory = redis_field_int(text, "maxmemory", 0);
    info->link_down_s = redis_field_int(text, "master_link_down_since_seconds", -1);
    info->uptime_s = redis_field_int(text, "uptime_in_seconds", 0);
    info->connected_replicas = redis_field_int(text, "connected_slaves", 0);
    replicas_decode(text, a, info);
}

bool redis_id_is_valid(const char *id)
{
    return id && strlen(id) == REDIS_ID_LEN && strspn(id, "0123456789abcdef") == REDIS_ID_LEN;
}

static bool port_decode(struct piece p, int *port)
{
    int64_t n = piece_int(p, -1);

    *port = (int)n;
    return n >= 0 && n <= 65535;
}

/* "127.0.0.1:13232@13239[,hostname][,aux=...]"; the host may be empty, and may hold ':' itself. */
static bool address_decode(struct piece p, struct redis_node *n)
{
    struct piece where, bus, port;
    const char *colon;

    if (!piece_next(&p, ',', &where) || !piece_next(&where, '@', &port) || !port.at)
        return false;
    bus = where;
    colon = memrchr(port.at, ':', port.len);
    if (!colon || (bus.at && !port_decode(bus, &n->bus_port)))
        return false;
    piece_copy((struct piece){port.at, (size_t)(colon - port.at)}, n->host, sizeof n->host);
    return port_decode((struct piece){colon + 1, port.len - (size_t)(colon - port.at) - 1},
                       &n->port);
}

static bool open_slot_decode(struct piece p, struct redis_open_slot *o)
{
    const char *dash;
    int64_t slot;

    if (p.len < 2 || p.at[p.len - 1] != ']')
        return false;
    p = (struct piece){p.at + 1, p.len - 2};
    dash = memchr(p.at, '-', p.len);
    if (!dash || p.len != (size_t)(dash - p.at) + 3 + REDIS_ID_LEN || dash[2] != '-' ||
        (dash[1] != '>' && dash[1] != '<'))
        return false;
    slot = piece_int((struct piece){p.at, (size_t)(dash - p.at)}, -1);
    if (slot < 0 || slot >= REDIS_SLOTS)
        return false;
    o->slot = (int)slot;
    o->leaving = dash[1] == '>';
    memcpy(o->peer, dash + 3, REDIS_ID_LEN);
    o->peer[REDIS_ID_LEN] = '\0';
    return redis_id_is_valid(o->peer);
}

/* "0-5460" or "42" */
static bool slots_decode(struct piece p, struct redis_slots *s)
{
    struct piece first;
    int64_t a, b;

    if (!piece_next(&p, '-', &first))
        return false;
    a = piece_int(first, -1);
    b = p.at ? piece_int(p, -1) : a;
    *s = (struct redis_slots){(int)a, (int)b};
    return a >= 0 && b >= a && b < REDIS_SLOTS;
}

static bool slot_list_decode(struct piece rest, struct arena *a, struct redis_node *n)
{
    struct piece p;

    while (piece_next(&rest, ' ', &p)) {
        struct redis_open_slot open;
        struct redis_slots slots;

        if (p.len == 0)
            continue;
        if (p.at[0] == '[') {
            if (!open_slot_decode(p, &open))
                return false;
            *ARENA_PUSH(a, n->open, n->n_open) = open;
        } else {
            if (!slots_decode(p, &slots))
                return false;
            *ARENA_PUSH(a, n->slots, n->n_slots) = slots;
        }
    }
    return true;
}

/* id ip:port@bus[,hostname] flags primary|- ping-sent pong-recv epoch link slots... */
static bool node_decode(struct piece line, struct arena *a, struct redis_node *n)
{
    enum { ID, ADDRESS, FLAGS, PRIMARY, PING, PONG, EPOCH, LINK, FIELDS };
    struct piece f[FIELDS];

    for (int i = 0; i < FIELDS; i++)
        if (!piece_next(&line, ' ', &f[i]))
            return false;
    piece_copy(f[ID], n->id, sizeof n->id);
    if (f[ID].len != REDIS_ID_LEN || !redis_id_is_valid(n->id) || !address_decode(f[ADDRESS], n))
        return false;
    n->flags = arena_strndup(a, f[FLAGS].at, f[FLAGS].len);
    if (!piece_is(f[PRIMARY], "-")) {
        piece_copy(f[PRIMARY], n->primary_id, sizeof n->primary_id);
        if (f[PRIMARY].len != REDIS_ID_LEN || !redis_id_is_valid(n->primary_id))
            return false;
    }
    n->epoch = piece_int(f[EPOCH], -1);
    n->link_up = piece_is(f[LINK], "connected");
    return n->epoch >= 0 && slot_list_decode(line, a, n);
}

int redis_nodes_decode(const char *text, struct arena *a, struct redis_nodes *out, struct err *err)
{
    struct piece rest = {text, strlen(text)}, line;
    int number = 0;

    *out = (struct redis_nodes){NULL, 0};
    while (piece_next(&rest, '\n', &line)) {
        struct redis_node n = {.port = 0};

        number++;
        if (line.len > 0 && line.at[line.len - 1] == '\r')
            line.len--;
        if (line.len == 0 || (line.len > 5 && memcmp(line.at, "vars ", 5) == 0))
            continue;
        if (!node_decode(line, a, &n))
            return err_set(err, ERR_INPUT, "line %d of the cluster's node table makes no sense",
                           number);
        *ARENA_PUSH(a, out->nodes, out->n) = n;
    }
    return 0;
}

bool redis_node_has_flag(const struct redis_node *n, const char *flag)
{
    struct piece rest = {n->flags, strlen(n->flags)}, p;

    while (piece_next(&rest, ',', &p))
        if (piece_is(p, flag))
            return true;
    return false;
}

const struct redis_node *redis_nodes_myself(const struct redis_nodes *nodes)
{
    for (size_t i = 0; i < nodes->n; i++)
        if (redis_node_has_flag(&nodes->nodes[i], "myself"))
            return &nodes->nodes[i];
    return NULL;
}

const struct redis_node *redis_nodes_find(const struct redis_nodes *nodes, const char *id)
{
    for (size_t i = 0; i < nodes->n; i++)
        if (strcmp(nodes->nodes[i].id, id) == 0)
            return &nodes->nodes[i];
    return NULL;
}

int redis_node_slot_count(const struct redis_node *n)
{
    int count = 0;

    for (size_t i = 0; i < n->n_slots; i++)
        count += n->slots[i].last - n->slots[i].first + 1;
    return count;
}
