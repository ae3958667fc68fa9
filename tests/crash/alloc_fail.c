/*
 * For LD_PRELOAD: the $ALLOC_FAIL_AT-th allocation of the process gives no memory, whoever asks for
 * it (with $ALLOC_FAIL_ON also all that follow). When the process ends by itself, $ALLOC_COUNT
 * names a file that gets a line with the number of its allocations and, where $ALLOC_PLACES is set,
 * the numbers of those that were the first from their place (a chain of callers). $ALLOC_FOLDERS
 * names a file that gets the folders made by mkdtemp(), for whoever cleans up behind a test that
 * was cut short. With $ALLOC_IN all this is for processes only that have that word among their
 * arguments; $ALLOC_ENDS names a file that gets a line when such a process ends otherwise than by a
 * signal.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <regex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DEPTH = 14, PLACES = 1 << 16 };

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);

static long fail_at;
static bool fail_on, with_places, is_meant;
static atomic_long calls;
static __thread bool inside; /* backtrace() may ask for memory itself */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t known[PLACES];
static long first_of[PLACES];
static size_t n_places;

__attribute__((constructor)) static void begin(int argc, char **argv)
{
    const char *at = getenv("ALLOC_FAIL_AT"), *in = getenv("ALLOC_IN");
    void *warm_up[1];

    is_meant = in == NULL;
    for (int i = 1; i < argc && !is_meant; i++)
        is_meant = strcmp(argv[i], in) == 0;
    if (!is_meant)
        return;
    fail_on = getenv("ALLOC_FAIL_ON") != NULL;
    with_places = getenv("ALLOC_PLACES") != NULL;
    if (with_places)
        backtrace(warm_up, 1);
    fail_at = at ? strtol(at, NULL, 10) : 0;
    atomic_store(&calls, 0);
}

static void append(const char *variable, const char *text)
{
    const char *path = getenv(variable);
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

    if (fd < 0)
        return;
    if (write(fd, text, strlen(text)) < 0)
        _exit(99);
    close(fd);
}

__attribute__((destructor)) static void end(void)
{
    static char text[PLACES * 8];
    size_t used;

    if (!is_meant)
        return;
    append("ALLOC_ENDS", "end\n");
    used = (size_t)snprintf(text, sizeof text, "%ld", atomic_load(&calls));
    for (size_t i = 0; i < n_places && used < sizeof text - 32; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, " %ld", first_of[i]);
    snprintf(text + used, sizeof text - used, "\n");
    append("ALLOC_COUNT", text);
}

void _exit(int status)
{
    if (is_meant)
        append("ALLOC_ENDS", "end\n");
    syscall(SYS_exit_group, status);
    __builtin_unreachable();
}

/*
 * These always get their memory: where they do not, those of glibc 2.36 end the process themselves
 * (regcomp frees what it has twice; the name service asserts, or looks through NULL).
 */
int regcomp(regex_t *preg, const char *pattern, int flags)
{
    int (*real)(regex_t *, const char *, int) =
        (int (*)(regex_t *, const char *, int))dlsym(RTLD_NEXT, "regcomp");
    int rc;

    inside = true;
    rc = real(preg, pattern, flags);
    inside = false;
    return rc;
}

struct passwd *getpwuid(uid_t uid)
{
    struct passwd *(*real)(uid_t) = (struct passwd * (*)(uid_t)) dlsym(RTLD_NEXT, "getpwuid");
    struct passwd *found;

    inside = true;
    found = real(uid);
    inside = false;
    return found;
}

int getpwuid_r(uid_t uid, struct passwd *entry, char *buf, size_t size, struct passwd **found)
{
    int (*real)(uid_t, struct passwd *, char *, size_t, struct passwd **) =
        (int (*)(uid_t, struct passwd *, char *, size_t, struct passwd **))dlsym(RTLD_NEXT,
                                                                                 "getpwuid_r");
    int rc;

    inside = true;
    rc = real(uid, entry, buf, size, found);
    inside = false;
    return rc;
}

char *mkdtemp(char *template)
{
    char *(*real)(char *) = (char *(*)(char *))dlsym(RTLD_NEXT, "mkdtemp");
    char *made = real(template), line[4096];

    if (made) {
        snprintf(line, sizeof line, "%s\n", made);
        append("ALLOC_FOLDERS", line);
    }
    return made;
}

/* The chain of callers as a number, remembered with the allocation that came from it first. */
static void note_place(long n)
{
    void *caller[DEPTH];
    uint64_t hash = 1469598103934665603u;
    int depth;

    inside = true;
    depth = backtrace(caller, DEPTH);
    for (int i = 0; i < depth; i++)
        hash = (hash ^ (uintptr_t)caller[i]) * 1099511628211u;
    pthread_mutex_lock(&lock);
    for (size_t i = hash % PLACES, left = PLACES; left > 0; i = (i + 1) % PLACES, left--) {
        if (known[i] == hash)
            break;
        if (known[i] == 0) {
            known[i] = hash;
            first_of[n_places++] = n;
            break;
        }
    }
    pthread_mutex_unlock(&lock);
    inside = false;
}

static bool fails(void)
{
    long n;

    if (inside || !is_meant)
        return false;
    n = atomic_fetch_add(&calls, 1) + 1;
    if (with_places)
        note_place(n);
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
