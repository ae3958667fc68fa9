/*
 * For LD_PRELOAD: the $ALLOC_FAIL_AT-th allocation of the process gives no memory, whoever asks for
 * it (with $ALLOC_FAIL_ON also all that follow). $ALLOC_COUNT names a file that gets the number of
 * allocations when the process ends by itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);

static long fail_at;
static bool fail_on;
static atomic_long calls;

__attribute__((constructor)) static void begin(void)
{
    const char *at = getenv("ALLOC_FAIL_AT");

    fail_on = getenv("ALLOC_FAIL_ON") != NULL;
    fail_at = at ? strtol(at, NULL, 10) : 0;
    atomic_store(&calls, 0);
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("ALLOC_COUNT");
    char text[32];
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

    if (fd < 0)
        return;
    snprintf(text, sizeof text, "%ld\n", atomic_load(&calls));
    if (write(fd, text, strlen(text)) < 0)
        _exit(99);
    close(fd);
}

static bool fails(void)
{
    long n = atomic_fetch_add(&calls, 1) + 1;

    if (fail_at == 0 || n < fail_at || (n > fail_at && !fail_on))
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *p, size_t size)
{
    return fails() ? NULL : __libc_realloc(p, size);
}
