#include "commands/commands.h"

#include <stddef.h>

const struct cmd *const commands[] = {
#define CMD(name) &cmd_##name,
#include "commands/commands.def"
#undef CMD
    NULL,
};
