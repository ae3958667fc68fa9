/*
 * Is this directory still the one that was meant, and can data be written to it?
 *
 * redis does not notice when its data directory is gone: it writes on into deleted files. So the
 * agent looks itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/supervisor.h"

enum dir_state {
    DIR_OK,
    DIR_MISSING,
    DIR_REPLACED, /* there, but not the one the running service has open */
    DIR_READONLY,
    DIR_FULL, /* no space for a test, or less than 64 MiB and 1 % left */
    DIR_UNREADABLE,
};

struct dir_health {
    enum dir_state state;
    char detail[256]; /* a sentence; "" when ok */
    struct file_id id;
    int64_t free_bytes, total_bytes; /* -1: unknown */
};

const char *dir_state_name(enum dir_state s);

/* Looks at it: exists, is a directory, its id, its space. */
void dir_look(const char *path, struct dir_health *h);
/* As dir_look(), and writes, syncs and removes a small file. May take as long as the disk takes. */
void dir_test(const char *path, struct dir_health *h);

/* The id of a directory; false when there is none. */
bool dir_id(const char *path, struct file_id *id);
bool file_id_equal(struct file_id a, struct file_id b);

/* Whether so little is left that it counts as full. Pure. */
bool dir_is_full(int64_t free_bytes, int64_t total_bytes);
