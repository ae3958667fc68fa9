/* err, mem, buf, log, fault. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvsh/buf.h"
#include "kvsh/err.h"
#include "kvsh/fault.h"
#include "kvsh/fs.h"
#include "kvsh/log.h"
#include "kvsh/mem.h"

#define SECRET "s3cret-of-the-store"

/* ---- err ---- */

static int fails(struct err *err)
{
    return err_set(err, ERR_UNREACHABLE, "connect to %s:%d", "h", 5000);
}

static void err_texts(void)
{
    struct err err = ERR_INIT;

    is_int(fails(&err), -1);
    is_int(err.code, ERR_UNREACHABLE);
    is_str(err.text, "connect to h:5000");
    is_int(err_prepend(&err, "deploy zone %s", "dc1"), -1);
    is_str(err.text, "deploy zone dc1: connect to h:5000");
    is_int(err_advise(&err, "start %s", "it"), -1);
    is_str(err.advice, "start it");
    fails(&err);
    is_str(err.advice, "");
    is_int(err_errno(&err, ERR_FAILED, ENOENT, "open %s", "/x"), -1);
    is_str(err.text, "open /x: no such file or directory");
    err_errno(&err, ERR_FAILED, EIO, "read");
    is_str(err.text, "read: input/output error");
    err_errno(&err, ERR_FAILED, 99999, "x");
    is_str(err.text, "x: unknown error 99999");
    err_clear(&err);
    is_int(err.code, ERR_OK);
    is_str(err.text, "");
    err_prepend(&err, "alone");
    is_str(err.text, "alone");
}

static void err_is_cut_not_overrun(void)
{
    struct err err = ERR_INIT;
    char *longer = xmalloc(5001);

    memset(longer, 'x', 5000);
    longer[5000] = '\0';
    err_set(&err, ERR_FAILED, "%s", longer);
    is_int(strlen(err.text), sizeof err.text - 1);
    err_prepend(&err, "who");
    ok(strncmp(err.text, "who: xxx", 8) == 0);
    is_int(strlen(err.text), sizeof err.text - 1);
    err_advise(&err, "%s", longer);
    is_int(strlen(err.advice), sizeof err.advice - 1);
    free(longer);
}

/* A secret may be passed on its own, behind a prefix, or across the place where the text is cut. */
static void err_masks(void)
{
    struct err err = ERR_INIT;

    mask_add(SECRET);
    err_set(&err, ERR_FAILED, "login with %s", SECRET);
    is_str(err.text, "login with *******************");
    err_prepend(&err, "node %s", SECRET);
    ok(strstr(err.text, "s3cret") == NULL);
    err_advise(&err, "try %s", SECRET);
    ok(strstr(err.advice, "s3cret") == NULL);
    err_errno(&err, ERR_FAILED, ENOENT, "open %s", SECRET);
    is_str(err.text, "open *******************: no such file or directory");
    for (int pad = 1000; pad < 1030; pad++) {
        err_set(&err, ERR_FAILED, "%*s%s", pad, "", SECRET);
        ok(strchr(err.text, 's') == NULL);
    }
}

static void err_table(void)
{
    is_int(err_exit_status(ERR_OK), 0);
    is_int(err_exit_status(ERR_IN_DOUBT), 6);
    is_int(err_exit_status(ERR_REFUSED), 10);
    is_int(err_exit_status(ERR_SIGTERM), 143);
    is_int(err_return_code(ERR_OK), 5000);
    is_int(err_return_code(ERR_USAGE), 5100);
    is_str(err_meaning(ERR_VIOLATIONS), "verify found violations");
    for (int i = 0; i < ERR_COUNT; i++)
        is_int(err_by_name(err_name((enum err_code)i)), i);
    is_int(err_by_name("NONSENSE"), ERR_INTERNAL);
    is_int(err_by_name(NULL), ERR_INTERNAL);
    is_int(err_exit_status((enum err_code)ERR_COUNT), 1);
    is_str(err_name((enum err_code) - 1), "INTERNAL");
}

/* ---- mem ---- */

static void mem_basics(void)
{
    char *s = xasprintf("%d-%s", 7, "x");
    char *zero = xmalloc(0);
    unsigned char *cleared = xcalloc(3, 5);

    is_str(s, "7-x");
    ok(zero != NULL);
    for (int i = 0; i < 15; i++)
        is_int(cleared[i], 0);
    free(s);
    s = xstrndup("abcdef", 3);
    is_str(s, "abc");
    free(s);
    s = xstrndup("ab", 30);
    is_str(s, "ab");
    free(s);
    s = xrealloc(NULL, 4, 2);
    s = xrealloc(s, 0, 2);
    ok(s != NULL);
    free(s);
    free(cleared);
    free(zero);
}

static void *overflowing(void)
{
    return xrealloc(NULL, SIZE_MAX / 2, 4);
}

static void *overflowing_calloc(void)
{
    return xcalloc(SIZE_MAX / 2, 4);
}

static void *too_much(void)
{
    struct rlimit limit = {1 << 20, 1 << 20};

    setrlimit(RLIMIT_AS, &limit);
    return xmalloc((size_t)1 << 40);
}

/* What a child says and how it ends when memory is out. */
static void ends_with_message(void *(*allocate)(void))
{
    char text[200] = "";
    int fds[2], status;
    pid_t pid;

    is_int(pipe(fds), 0);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        dup2(fds[1], 2);
        free(allocate());
        _exit(0);
    }
    close(fds[1]);
    ok(read(fds[0], text, sizeof text - 1) > 0);
    close(fds[0]);
    waitpid(pid, &status, 0);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    has_str(text, ": out of memory\n");
}

static void mem_exhausted(void)
{
    ends_with_message(overflowing);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    ends_with_message(overflowing_calloc);
    ends_with_message(too_much);
#else
    (void)overflowing_calloc;
    (void)too_much;
#endif
}

static void arena_objects(void)
{
    struct arena a = {0};
    size_t sizes[] = {1, 0, 7, 16, 4000, 100000, 3};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *p = arena_alloc(&a, sizes[i]);

        is_int((uintptr_t)p % _Alignof(max_align_t), 0);
        for (size_t j = 0; j < sizes[i]; j++)
            ok(p[j] == 0);
        memset(p, 0xee, sizes[i]);
    }
    is_str(arena_strdup(&a, "größe"), "größe");
    is_str(arena_strdup(&a, NULL), NULL);
    is_str(arena_strndup(&a, "abc", 2), "ab");
    is_str(arena_strndup(&a, NULL, 2), NULL);
    is_str(arena_printf(&a, "%s=%d", "n", 3), "n=3");
    arena_release(&a);
    ok(a.head == NULL);
    is_str(arena_strdup(&a, "again"), "again");
    arena_release(&a);
    arena_release(&a);
}

static void arena_arrays(void)
{
    struct arena a = {0};
    int *items = NULL;
    size_t n = 0;

    for (int i = 0; i < 1000; i++) {
        int *p = ARENA_PUSH(&a, items, n);

        ok(*p == 0);
        *p = i;
    }
    is_int(n, 1000);
    for (int i = 0; i < 1000; i++)
        ok(items[i] == i);
    arena_release(&a);
}

/* ---- buf ---- */

static void buf_grows(void)
{
    struct buf b;
    char *s;

    buf_init(&b, 0);
    is_str(b.data, "");
    for (int i = 0; i < 1000; i++)
        buf_addf(&b, "%d,", i % 10);
    is_int(b.len, 2000);
    is_int(strlen(b.data), 2000);
    ok(!b.overflow);
    buf_clear(&b);
    buf_adds(&b, "a");
    buf_addc(&b, 'b');
    buf_add(&b, "c\0d", 3);
    is_int(b.len, 5);
    ok(memcmp(b.data, "abc\0d", 6) == 0);
    s = buf_take(&b);
    is_str(s, "abc");
    free(s);
    is_int(b.len, 0);
    ok(b.data == NULL); /* nothing to release */
    buf_adds(&b, "again");
    is_str(b.data, "again");
    buf_release(&b);
    buf_release(&b);
}

static void buf_keeps_its_limit(void)
{
    struct buf b;

    buf_init(&b, 10);
    buf_adds(&b, "1234567890");
    ok(!b.overflow);
    buf_add(&b, "", 0);
    ok(!b.overflow);
    buf_addc(&b, 'x');
    ok(b.overflow);
    is_str(b.data, "1234567890");
    buf_clear(&b);
    ok(!b.overflow);
    buf_adds(&b, "123456789");
    buf_adds(&b, "abc");
    is_str(b.data, "123456789a");
    buf_adds(&b, "z");
    is_int(b.len, 10);
    buf_release(&b);
    b = (struct buf){0};
    buf_release(&b);
    buf_adds(&b, "zeroed is fine too");
    is_str(b.data, "zeroed is fine too");
    buf_release(&b);
}

/* ---- log ---- */

static void format(struct buf *line, const char *component, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void format(struct buf *line, const char *component, const char *fmt, ...)
{
    va_list ap;

    buf_clear(line);
    va_start(ap, fmt);
    log_format(line, LOG_WARNING, component, fmt, ap);
    va_end(ap);
}

static void log_lines(void)
{
    struct buf line;

    buf_init(&line, 0);
    format(&line, "http", "GET %s %d", "h:1/x", 200);
    is_int(line.data[4], '-');
    is_int(line.data[19], '.');
    is_str(line.data + 23, " UTC WARNING [http] GET h:1/x 200\n");
    format(&line, "x", "two\nlines\033[m\tand %s", SECRET);
    is_str(line.data + 23, " UTC WARNING [x] two\\x0alines\\x1b[m\tand *******************\n");
    buf_release(&line);
    for (size_t limit = 1; limit <= 40; limit++) {
        buf_init(&line, limit);
        format(&line, "x", "a\nlong line that does not fit at all");
        is_int(line.len, limit);
        is_int(line.data[limit - 1], '\n');
        buf_release(&line);
    }
}

static void log_levels(void)
{
    int fds[2];
    char text[4096];
    enum log_level level;
    ssize_t n;

    is_int(pipe(fds), 0);
    log_set_fd(fds[1]);
    log_set_level(LOG_WARNING);
    log_msg(LOG_INFO, "a", "not this");
    log_msg(LOG_WARNING, "a", "but this");
    log_msg(LOG_ERROR, "a", "and %s", SECRET);
    log_set_fd(2);
    log_set_level(LOG_INFO);
    n = read(fds[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    ok(strstr(text, "not this") == NULL);
    has_str(text, " UTC WARNING [a] but this\n");
    has_str(text, " UTC ERROR [a] and *******************\n");
    close(fds[0]);
    close(fds[1]);
    is_int(log_level_by_name("debug", &level), 0);
    is_int(level, LOG_DEBUG);
    is_int(log_level_by_name("loud", &level), -1);
}

static void masks(void)
{
    char text[] = "abcdefgh, abcd, abc, abcabcdef";

    mask_add(NULL);
    mask_add("");
    mask_add("abc"); /* too short to be told from ordinary words */
    mask_add("abcd");
    mask_add("abcdefgh"); /* longer: not half masked */
    mask_add("abcd");
    mask_apply(text);
    is_str(text, "********, ****, abc, abc****ef");
}

/* Four threads log and register; every line must arrive whole. */
static void *log_much(void *arg)
{
    for (int i = 0; i < 200; i++) {
        char *secret = xasprintf("secret-%s-%d", (const char *)arg, i);

        mask_add(secret);
        log_msg(LOG_ERROR, (const char *)arg, "%s end", secret);
        free(secret);
    }
    return NULL;
}

/* A file that ends with the process, and a path to it. */
static int nameless(char *path, size_t size)
{
    int fd = memfd_create("kvsh-test", 0);

    ok(fd >= 0 && fcntl(fd, F_SETFL, O_APPEND) == 0);
    snprintf(path, size, "/proc/self/fd/%d", fd);
    return fd;
}

static void log_from_threads(void)
{
    char file[32];
    static char names[4][2] = {"a", "b", "c", "d"};
    int fd = nameless(file, sizeof file);
    struct err err = ERR_INIT;
    pthread_t ids[4];
    size_t lines = 0;
    char *text;

    log_set_fd(fd);
    for (int i = 0; i < 4; i++)
        is_int(pthread_create(&ids[i], NULL, log_much, names[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(ids[i], NULL);
    log_set_fd(2);
    text = fs_read(file, 1 << 20, NULL, &err);
    close(fd);
    ok(strstr(text, "secret") == NULL);
    for (char *p = text; (p = strchr(p, '\n')); p++) {
        ok(p - text >= 4 && memcmp(p - 4, " end", 4) == 0);
        lines++;
    }
    is_int(lines, 800);
    free(text);
}

/* ---- fault ---- */

static void *pass_points(void *arg)
{
    (void)arg;
    for (int i = 0; i < 25; i++)
        fault_point("p");
    return NULL;
}

/* A child that passes 4 x 25 points in threads; returns how it ended, and how many were recorded.
 */
static int run_points(const char *crash_at, const char *file, size_t *recorded)
{
    struct err err = ERR_INIT;
    int status = -1;
    size_t len = 0;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        pthread_t ids[4];

        if (crash_at)
            setenv("KVSH_CRASH_AT", crash_at, 1);
        if (file)
            setenv("KVSH_CRASH_COUNT", file, 1);
        for (int i = 0; i < 4; i++)
            pthread_create(&ids[i], NULL, pass_points, NULL);
        for (int i = 0; i < 4; i++)
            pthread_join(ids[i], NULL);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (file) {
        free(fs_read(file, 10000, &len, &err));
        *recorded = len / 2;
        is_int(truncate(file, 0), 0);
    }
    return status;
}

static const char *program; /* argv[0] */

static void fault_points(void)
{
    char file[32];
    size_t n = 0;
    int fd = nameless(file, sizeof file), status;

    is_int(run_points(NULL, NULL, &n), 0);
    is_int(run_points("0", NULL, &n), 0);
    is_int(run_points("101", NULL, &n), 0);
    is_int(run_points(NULL, file, &n), 0);
    is_int(n, 100);
    status = run_points("100", file, &n);
    ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    is_int(n, 100);
    setenv("KVSH_CRASH_IN", "a-word-not-there", 1);
    is_int(run_points("1", file, &n), 0);
    is_int(n, 0);
    setenv("KVSH_CRASH_IN", "!a-word-not-there", 1);
    status = run_points("1", NULL, &n);
    ok(WIFSIGNALED(status));
    setenv("KVSH_CRASH_IN", program, 1);
    status = run_points("1", NULL, &n);
    ok(WIFSIGNALED(status));
    unsetenv("KVSH_CRASH_IN");
    status = run_points("1", NULL, &n);
    ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(fd);
}

int main(int argc, char **argv)
{
    (void)argc;
    program = argv[0];
    TAP_RUN(TAP_TEST(fault_points), TAP_TEST(err_texts), TAP_TEST(err_is_cut_not_overrun),
            TAP_TEST(err_masks), TAP_TEST(err_table), TAP_TEST(mem_basics), TAP_TEST(mem_exhausted),
            TAP_TEST(arena_objects), TAP_TEST(arena_arrays), TAP_TEST(buf_grows),
            TAP_TEST(buf_keeps_its_limit), TAP_TEST(log_lines), TAP_TEST(log_levels),
            TAP_TEST(masks), TAP_TEST(log_from_threads));
}
