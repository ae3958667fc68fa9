/* Emptying directories of services. */
#pragma once

#include <stdint.h>

#include "kvsh/err.h"

struct tree_count {
    int64_t files, bytes; /* removed */
};

/*
 * Removes everything in the open directory but an entry of the name keep (NULL: nothing is kept).
 * Never follows a symbolic link and never leaves the directory's file system. On failure what is
 * left is left; a second call goes on.
 */
int tree_empty(int dirfd, const char *keep, struct tree_count *count, struct err *err);
