/* The document of GET /v1/node: everything about this node in one answer. */
#pragma once

#include "agent/agent.h"

/* Asks each redis service live, all at once, at most a second long. The lock is not held. */
struct json *node_document(struct agent *a);
