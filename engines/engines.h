/* The engines there are. Each file below includes only its own engine's header: the private parts
 * differ. */
#pragma once

#include "kvsh/engine.h"

extern const struct engine engine_redis;
extern const struct engine engine_couchbase;
