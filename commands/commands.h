/* The table of all commands. */
#pragma once

#include "kvsh/cmd.h"

#define CMD(name) extern const struct cmd cmd_##name;
#include "commands/commands.def"
#undef CMD

extern const struct cmd *const commands[]; /* ends with NULL */
