/* Inside plan/: one byte of the lock file. */
#pragma once

#include <stdint.h>

/* Takes the byte for the description of fd, at once; 0 also when it has it already. -1 and errno.
 */
int lock_byte(int fd, int64_t byte);
