/* What changed in a plan since the last look, one row per change. */
#pragma once

#include "kvsh/out.h"
#include "kvsh/plan.h"

struct watch;

struct watch *watch_new(struct out *out);
/* Adds rows of table_watch for what changed; true when there was something. */
bool watch_changes(struct watch *w, const struct plan *p);
void watch_free(struct watch *w);
