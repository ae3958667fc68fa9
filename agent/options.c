#include "agent/options.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "kvsh/mem.h"

#define ON(verb) (1u << VERB_##verb)

enum { WATCH_INTERVAL = 10, LINE_WIDTH = 92 };

static const struct {
    const char *name, *summary;
} verbs[VERB_COUNT] = {
    [VERB_MAKEBOOTCONFIG] = {"makebootconfig", "write the boot configuration of this node"},
    [VERB_START] = {"start", "run the agent (in the foreground, or with -daemon)"},
    [VERB_STOP] = {"stop", "end the agent; its services go on, unless -services"},
    [VERB_STATUS] = {"status",
                     "say whether it runs, and what it runs; exit status 1 when it does not"},
    [VERB_VERSION] = {"version", "print the version"},
};

enum kind { KIND_FLAG, KIND_TEXT, KIND_INT, KIND_LIST };

#define AT(member) offsetof(struct options, member)

static const struct {
    const char *name, *arg, *help;
    enum kind kind;
    unsigned verbs, required;
    size_t at, count_at;
} options[] = {
    {"root", "KVROOT", "directory of the agent", KIND_TEXT,
     ON(MAKEBOOTCONFIG) | ON(START) | ON(STOP) | ON(STATUS),
     ON(MAKEBOOTCONFIG) | ON(START) | ON(STOP) | ON(STATUS), AT(boot.root), 0},
    {"config", "FILE", "boot configuration below the root (config1.json)", KIND_TEXT,
     ON(MAKEBOOTCONFIG) | ON(START) | ON(STOP) | ON(STATUS), 0, AT(config), 0},
    {"host", "HOST", "name or address of this host, as other nodes reach it", KIND_TEXT,
     ON(MAKEBOOTCONFIG), ON(MAKEBOOTCONFIG), AT(boot.host), 0},
    {"port", "PORT", "port of the agent", KIND_INT, ON(MAKEBOOTCONFIG), ON(MAKEBOOTCONFIG),
     AT(boot.port), 0},
    {"harange", "FIRST,LAST", "ports for services, two for each", KIND_TEXT, ON(MAKEBOOTCONFIG),
     ON(MAKEBOOTCONFIG), AT(ha_range), 0},
    {"capacity", "N", "number of services it can carry", KIND_INT, ON(MAKEBOOTCONFIG),
     ON(MAKEBOOTCONFIG), AT(boot.capacity), 0},
    {"storagedir", "DIR", "directory for data; repeat for more (KVROOT/data)", KIND_LIST,
     ON(MAKEBOOTCONFIG), 0, AT(boot.storage_dirs), AT(boot.n_storage_dirs)},
    {"rnlogdir", "DIR", "directory for the logs of services; the n-th for the n-th -storagedir",
     KIND_LIST, ON(MAKEBOOTCONFIG), 0, AT(boot.log_dirs), AT(boot.n_log_dirs)},
    {"admindir", "DIR", "directory for the admin's copy of the metadata", KIND_TEXT,
     ON(MAKEBOOTCONFIG), 0, AT(boot.admin_dir), 0},
    {"memory_mb", "N", "memory for all services together; 0: no limit", KIND_INT,
     ON(MAKEBOOTCONFIG), 0, AT(boot.memory_mb), 0},
    {"redis-server", "PATH", "program of the services (redis-server or valkey-server of PATH)",
     KIND_TEXT, ON(MAKEBOOTCONFIG), 0, AT(boot.redis_server), 0},
    {"bind", "ADDRESS", "address to listen on (that of -host)", KIND_TEXT, ON(MAKEBOOTCONFIG), 0,
     AT(boot.bind_address), 0},
    {"token-file", "FILE", "file with the token of requests; made when it is not there", KIND_TEXT,
     ON(MAKEBOOTCONFIG), 0, AT(boot.token_file), 0},
    {"tls-cert", "FILE", "certificate of the agent", KIND_TEXT, ON(MAKEBOOTCONFIG), 0,
     AT(boot.tls_cert), 0},
    {"tls-key", "FILE", "its key", KIND_TEXT, ON(MAKEBOOTCONFIG), 0, AT(boot.tls_key), 0},
    {"tls-client-ca", "FILE", "authority whose certificates clients must show", KIND_TEXT,
     ON(MAKEBOOTCONFIG), 0, AT(boot.tls_client_ca), 0},
    {"watch-interval", "SECONDS", "cycle of the watch of directories and logs (10)", KIND_INT,
     ON(MAKEBOOTCONFIG), 0, AT(boot.watch_interval), 0},
    {"unit", "ID=UNIT",
     "program to control: a systemd unit, or the /PATH of an init script; repeat", KIND_LIST,
     ON(MAKEBOOTCONFIG), 0, AT(units), AT(n_units)},
    {"daemon", NULL, "detach from the terminal; returns when it listens", KIND_FLAG, ON(START), 0,
     AT(daemon), 0},
    {"services", NULL, "stop the services too; the next start brings them back", KIND_FLAG,
     ON(STOP), 0, AT(services), 0},
};

enum { OPTIONS = sizeof options / sizeof *options };

static void usage_option(FILE *out, int i, enum verb verb, int *column)
{
    const char *arg = options[i].arg ? options[i].arg : "";
    bool optional = !(options[i].required & (1u << verb));
    int width = (int)(strlen(options[i].name) + strlen(arg) + 6);

    if (*column + width > LINE_WIDTH)
        *column = fprintf(out, "\n                    ") - 1;
    *column +=
        fprintf(out, " %s-%s%s%s%s%s", optional ? "[" : "", options[i].name, arg[0] ? " " : "", arg,
                optional ? "]" : "", options[i].kind == KIND_LIST ? "..." : "");
}

void options_usage(FILE *out)
{
    fputs("kvagentd: node agent of kvsh\n\n", out);
    for (int v = 0; v < VERB_COUNT; v++) {
        int column = fprintf(out, "  kvagentd %s", verbs[v].name);

        for (int i = 0; i < OPTIONS; i++)
            if (options[i].verbs & (1u << v))
                usage_option(out, i, (enum verb)v, &column);
        fprintf(out, "\n      %s\n", verbs[v].summary);
    }
    fputs("  kvagentd -help\n      print this\n\n", out);
    for (int i = 0; i < OPTIONS; i++) {
        int n = fprintf(out, "  -%s %s", options[i].name, options[i].arg ? options[i].arg : "");

        fprintf(out, "%*s%s\n", n < 27 ? 27 - n : 1, "", options[i].help);
    }
}

void options_release(struct options *o)
{
    boot_release(&o->boot);
    free(o->config);
    free(o->ha_range);
    for (size_t i = 0; i < o->n_units; i++)
        free(o->units[i]);
}

static int verb_parse(enum verb *verb, const char *word, struct err *err)
{
    while (*word == '-')
        word++;
    for (int v = 0; v < VERB_COUNT; v++)
        if (strcmp(word, verbs[v].name) == 0) {
            *verb = (enum verb)v;
            return 0;
        }
    err_set(err, ERR_USAGE, "\"%s\" is not makebootconfig, start, stop, status or version", word);
    return err_advise(err, "kvagentd -help tells more");
}

static int int_parse(int *out, const char *name, const char *text, struct err *err)
{
    char *end;
    long n;

    errno = 0;
    n = strtol(text, &end, 10);
    if (!*text || *end || errno || n < 0 || n > 1 << 30)
        return err_set(err, ERR_USAGE, "-%s \"%s\": not a number", name, text);
    *out = (int)n;
    return 0;
}

static int list_add(struct options *o, int i, const char *text, struct err *err)
{
    char **list = (char **)((char *)o + options[i].at);
    size_t *n = (size_t *)((char *)o + options[i].count_at);

    if (*n == BOOT_DIRS_MAX)
        return err_set(err, ERR_USAGE, "-%s is given more than %d times", options[i].name,
                       BOOT_DIRS_MAX);
    list[(*n)++] = xstrdup(text);
    return 0;
}

static int text_set(struct options *o, int i, const char *text, struct err *err)
{
    char **at = (char **)((char *)o + options[i].at);

    if (*at)
        return err_set(err, ERR_USAGE, "-%s is given twice", options[i].name);
    *at = xstrdup(text);
    return 0;
}

static int value_set(struct options *o, int i, const char *text, struct err *err)
{
    char *at = (char *)o + options[i].at;

    switch (options[i].kind) {
    case KIND_FLAG:
        *(bool *)at = true;
        return 0;
    case KIND_TEXT:
        return text_set(o, i, text, err);
    case KIND_INT:
        return int_parse((int *)at, options[i].name, text, err);
    case KIND_LIST:
        return list_add(o, i, text, err);
    }
    return -1;
}

static int option_find(const struct options *o, const char *word, struct err *err)
{
    const char *name = word + (word[0] == '-') + (word[0] == '-' && word[1] == '-');

    for (int i = 0; i < OPTIONS && word[0] == '-'; i++)
        if (strcmp(name, options[i].name) == 0 && (options[i].verbs & (1u << o->verb)))
            return i;
    return err_set(err, ERR_USAGE, "%s does not take \"%s\"", verbs[o->verb].name, word);
}

static bool is_help(const char *word)
{
    return strcmp(word, "-help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 ||
           strcmp(word, "help") == 0;
}

/* FIRST,LAST */
static int range_parse(struct options *o, struct err *err)
{
    char *comma = o->ha_range ? strchr(o->ha_range, ',') : NULL;

    if (!o->ha_range)
        return 0;
    if (!comma)
        return err_set(err, ERR_USAGE, "-harange \"%s\": not FIRST,LAST", o->ha_range);
    *comma = '\0';
    return int_parse(&o->boot.ha_first, "harange", o->ha_range, err) < 0
               ? -1
               : int_parse(&o->boot.ha_last, "harange", comma + 1, err);
}

/* An agent that only controls units carries no services of its own. */
static bool is_spared(const struct options *o, int i)
{
    return o->n_units > 0 && !o->ha_range && o->boot.capacity == 0 &&
           (options[i].at == AT(ha_range) || options[i].at == AT(boot.capacity));
}

static int units_parse(struct options *o, struct err *err)
{
    for (size_t i = 0; i < o->n_units; i++) {
        if (o->boot.n_units == BOOT_UNITS_MAX)
            return err_set(err, ERR_USAGE, "-unit is given more than %d times", BOOT_UNITS_MAX);
        if (boot_unit_parse(&o->boot.units[o->boot.n_units++], o->units[i], err) < 0)
            return -1;
    }
    return 0;
}

static int complete(struct options *o, unsigned long seen, struct err *err)
{
    for (int i = 0; i < OPTIONS; i++)
        if ((options[i].required & (1u << o->verb)) && !is_spared(o, i) && !(seen & (1ul << i)))
            return err_set(err, ERR_USAGE, "%s needs -%s %s", verbs[o->verb].name, options[i].name,
                           options[i].arg);
    if (!o->config)
        o->config = xstrdup("config1.json");
    if (strchr(o->config, '/') || o->config[0] == '.' || !o->config[0])
        return err_set(err, ERR_USAGE, "-config \"%s\": not the name of a file below -root",
                       o->config);
    return units_parse(o, err) < 0 ? -1 : range_parse(o, err);
}

int options_parse(struct options *o, int argc, char **argv, struct err *err)
{
    unsigned long seen = 0;

    o->boot.watch_interval = WATCH_INTERVAL;
    if (argc < 2) {
        err_set(err, ERR_USAGE, "what to do is missing");
        return err_advise(err, "kvagentd -help tells more");
    }
    for (int k = 1; k < argc; k++)
        o->help |= is_help(argv[k]);
    if (o->help)
        return 0;
    if (verb_parse(&o->verb, argv[1], err) < 0)
        return -1;
    for (int k = 2; k < argc; k++) {
        int i = option_find(o, argv[k], err);

        if (i < 0)
            return -1;
        if (options[i].kind != KIND_FLAG && k + 1 == argc)
            return err_set(err, ERR_USAGE, "-%s needs %s", options[i].name, options[i].arg);
        if (value_set(o, i, options[i].kind == KIND_FLAG ? NULL : argv[++k], err) < 0)
            return -1;
        seen |= 1ul << i;
    }
    return complete(o, seen, err);
}
