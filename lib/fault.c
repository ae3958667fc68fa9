#include "kvsh/fault.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvsh/err.h"
#include "kvsh/fs.h"
#include "kvsh/mem.h"

enum { ARGUMENTS_MAX = 4 << 20 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool active;
static long crash_at; /* 0: never */
static const char *count_file;
static atomic_long points;

static bool has_argument(const char *word)
{
    struct err ignored = ERR_INIT;
    size_t len = 0;
    char *args = fs_read("/proc/self/cmdline", ARGUMENTS_MAX, &len, &ignored);
    bool found = false;

    for (const char *p = args; p != NULL && p < args + len && !found; p += strlen(p) + 1)
        found = strcmp(p, word) == 0;
    free(args);
    return found;
}

static bool is_meant(const char *where)
{
    if (where == NULL)
        return true;
    return *where == '!' ? !has_argument(where + 1) : has_argument(where);
}

static void configure(void)
{
    const char *at = getenv("KVSH_CRASH_AT");
    const char *file = getenv("KVSH_CRASH_COUNT");

    if ((at == NULL && file == NULL) || !is_meant(getenv("KVSH_CRASH_IN")))
        return;
    crash_at = at ? strtol(at, NULL, 10) : 0;
    count_file = file && *file ? xstrdup(file) : NULL;
    active = crash_at > 0 || count_file;
}

/* One write, so that lines of several threads and processes do not mix. */
static void record(const char *name)
{
    int fd = open(count_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    char *line = xasprintf("%s\n", name);

    if (fd >= 0 && write(fd, line, strlen(line)) < 0)
        abort();
    if (fd >= 0)
        close(fd);
    free(line);
}

void fault_point(const char *name)
{
    pthread_once(&once, configure);
    if (!active)
        return;
    if (count_file)
        record(name);
    if (atomic_fetch_add(&points, 1) + 1 == crash_at)
        kill(getpid(), SIGKILL);
}
