/*
 * A unit: a program that is not the agent's child (a manager such as systemd, or an init script,
 * runs it) and is started, stopped and asked for its state by fixed argument vectors.
 *
 * The vectors stand in the boot configuration and come from nowhere else. There is no shell.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kvsh/err.h"
#include "kvsh/json.h"

enum { UNIT_ID_MAX = 32, UNIT_ARGV_MAX = 32 };

enum unit_action { UNIT_START, UNIT_STOP, UNIT_STATUS, UNIT_ACTIONS };

struct unit_command {
    char *argv[UNIT_ARGV_MAX + 1]; /* ends with NULL; argv[0] is an absolute path */
    size_t n;
    int limit_s; /* it is ended after that many seconds */
};

struct boot_unit {
    char id[UNIT_ID_MAX];
    struct unit_command commands[UNIT_ACTIONS];
};

const char *unit_action_name(enum unit_action action); /* "start", "stop", "status" */

/*
 * Fills a zeroed unit from ID=NAME (a systemd unit: the vectors of systemctl) or ID=/PATH (an init
 * script: /PATH start, /PATH stop, /PATH status). ERR_INPUT.
 */
int boot_unit_parse(struct boot_unit *u, const char *text, struct err *err);
void boot_unit_release(struct boot_unit *u);

struct json *boot_unit_to_json(const struct boot_unit *u);
/* Fills a zeroed unit; unknown members are refused. ERR_INPUT. */
int boot_unit_from_json(struct boot_unit *u, const struct json *j, struct err *err);
