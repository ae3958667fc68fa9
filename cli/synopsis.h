/* How a command is written, computed from its options. */
#pragma once

#include "kvsh/cmd.h"

struct arena;

/* "plan deploy-zone -name NAME -rf N [-type {primary|secondary}]": one line, hidden and common
 * options left out. */
const char *synopsis(const struct cmd *cmd, struct arena *a);

/* The same in parts that a line break should not tear; the first is the name. */
struct words synopsis_parts(const struct cmd *cmd, struct arena *a);

/* One option as it stands in there: "-name NAME", "-wait", "NAME..." */
const char *synopsis_option(const struct opt *opt, struct arena *a);
