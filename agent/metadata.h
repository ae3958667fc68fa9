/*
 * The store's metadata: each admin on this node keeps a copy, <admin>/env/metadata.json,
 * {"version":N,"docs":{...}}.
 */
#pragma once

#include "agent/agent.h"
#include "agent/problem.h"

/* Reads the version of what is kept; at start. */
void metadata_load(struct agent *a);

/* {"admin","dir","version"} of the first admin here, or null. The lock is held. */
struct json *metadata_summary(const struct agent *a);

/* Both without the lock. The newest copy; PROBLEM_NOT_FOUND when there is no admin or no copy. */
int metadata_get(struct agent *a, struct json **doc, struct problem *pb);
/* Writes every copy. if_match -1: whatever is kept, unless it is newer. */
int metadata_put(struct agent *a, const struct json *doc, int64_t if_match, struct problem *pb);
