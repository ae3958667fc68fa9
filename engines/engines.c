#include "engines/engines.h"

#include <string.h>

static const struct engine *const engines[] = {&engine_redis, &engine_couchbase};

const struct engine *engine_by_name(const char *name)
{
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++) {
        if (strcmp(engines[i]->name, name) == 0)
            return engines[i];
    }
    return NULL;
}

static bool has_option(const struct engine *e, enum verb verb, const char *name)
{
    for (const struct verb_option *o = e->options; o != NULL && o->name != NULL; o++) {
        if (o->verb == verb && strcmp(o->name, name) == 0)
            return true;
    }
    return false;
}

const char *engine_lacks(const struct engine *e, enum verb verb, const struct json *args)
{
    JSON_FOREACH (arg, args) {
        const char *name = json_key(arg);
        for (size_t i = 0; i < sizeof engines / sizeof *engines; i++) {
            if (has_option(engines[i], verb, name) && !has_option(e, verb, name))
                return name;
        }
    }
    return NULL;
}

const char *const *engine_names(void)
{
    static const char *names[sizeof engines / sizeof *engines + 1];

    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
        names[i] = engines[i]->name;
    return names;
}
