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

const char *const *engine_names(void)
{
    static const char *names[sizeof engines / sizeof *engines + 1];

    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
        names[i] = engines[i]->name;
    return names;
}
