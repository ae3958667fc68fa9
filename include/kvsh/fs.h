/* Files and time: the few calls everybody needs, with errors as sentences. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "kvsh/err.h"

/* The whole file, at most limit bytes, NUL-terminated; free() it. ERR_INPUT with the path. */
char *fs_read(const char *path, size_t limit, size_t *len, struct err *err);

/* First line of a 0600 file. Refused (ERR_DENIED) when group or others may read it. The secret is
 * registered with mask_add(); free() it. */
char *fs_read_secret(const char *path, struct err *err);

/* Write aside in the same directory, fsync, rename, fsync the directory. */
int fs_write_atomic(const char *path, const char *data, size_t len, unsigned mode, struct err *err);

int fs_mkdirs(const char *path, unsigned mode, struct err *err); /* like mkdir -p */
bool fs_is_dir(const char *path);

/*
 * For the start of a program: a standard stream that it got closed is taken by /dev/null, so that
 * no file of ours gets its number. Such a standard input is empty; writing to such an output fails.
 */
void fs_take_standard_streams(void);

/* A user of this machine; false when there is none of that number. End with account_release(). */
struct account {
    char *name, *home;
};
bool fs_account(uid_t uid, struct account *a);
void account_release(struct account *a);

/* n bytes from the kernel's generator as 2n lower-case hexadecimal digits; free() it. */
char *fs_random_hex(size_t n);

int64_t time_now_ms(void);  /* wall clock, milliseconds since 1970 */
int64_t time_mono_ms(void); /* never jumps */
void time_sleep_ms(int ms);
/* "2025-12-30 14:20:01 UTC", and "2025-12-30T14:20:01.123Z" for JSON; ms 0 gives "". */
void time_text(int64_t ms, char out[32]);
void time_rfc3339(int64_t ms, char out[32]);
/* Oracle's date forms: yyyy-MM-dd[ HH:mm[:ss[.SSS]]], MM-dd-yyyy ..., HH:mm[:ss] (today); UTC. And
 * those of time_rfc3339(). */
int time_parse(const char *text, int64_t *ms, struct err *err);
