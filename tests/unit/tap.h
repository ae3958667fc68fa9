/*
 * Unit tests in TAP. A test program is a list of functions:
 *
 *     static void adds(void) { ok(1 + 1 == 2); is_str("a", name()); }
 *     int main(void) { TAP_RUN(TAP_TEST(adds)); }
 *
 * Each function is one TAP test; it fails when one of its checks failed.
 */
#pragma once

#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tap_failed;

/* f; without one (memory may have run out) the test program ends at once. */
static inline FILE *tap_stream(FILE *f)
{
    if (f)
        return f;
    perror("the test gets no stream");
    _Exit(1);
}

#define ok(cond) tap_check((cond), #cond, __FILE__, __LINE__)
#define is_int(got, want) tap_int((int64_t)(got), (int64_t)(want), #got, __FILE__, __LINE__)
#define is_str(got, want) tap_str((got), (want), #got, __FILE__, __LINE__)
#define has_str(got, part) tap_has((got), (part), #got, __FILE__, __LINE__)

static inline bool tap_check(bool good, const char *what, const char *file, int line)
{
    if (!good) {
        printf("# %s:%d: not so: %s\n", file, line, what);
        tap_failed++;
    }
    return good;
}

static inline bool tap_int(int64_t got, int64_t want, const char *what, const char *file, int line)
{
    if (got == want)
        return true;
    printf("# %s:%d: %s is %" PRId64 ", want %" PRId64 "\n", file, line, what, got, want);
    tap_failed++;
    return false;
}

static inline bool tap_str(const char *got, const char *want, const char *what, const char *file,
                           int line)
{
    if (got == want || (got && want && strcmp(got, want) == 0))
        return true;
    printf("# %s:%d: %s is \"%s\", want \"%s\"\n", file, line, what, got ? got : "(null)",
           want ? want : "(null)");
    tap_failed++;
    return false;
}

static inline bool tap_has(const char *got, const char *part, const char *what, const char *file,
                           int line)
{
    if (got && part && strstr(got, part))
        return true;
    printf("# %s:%d: %s is \"%s\", want \"%s\" in it\n", file, line, what, got ? got : "(null)",
           part ? part : "(null)");
    tap_failed++;
    return false;
}

/* How many times slower than usual the program may be: under valgrind, say. */
static inline int tap_slower(void)
{
    const char *s = getenv("KVSH_TEST_SLOWER");
    long n = s ? strtol(s, NULL, 10) : 1;

    return n > 0 && n < 1000 ? (int)n : 1;
}

struct tap_test {
    const char *name;
    void (*run)(void);
};

static inline int tap_run(const struct tap_test *tests, int n)
{
    int bad = 0;

    signal(SIGINT, SIG_DFL); /* a shell's background job has it ignored */
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%d\n", n);
    for (int i = 0; i < n; i++) {
        tap_failed = 0;
        tests[i].run();
        printf("%sok %d - %s\n", tap_failed ? "not " : "", i + 1, tests[i].name);
        bad += tap_failed != 0;
    }
    return bad != 0;
}

#define TAP_TEST(fn) \
    {                \
#fn, fn      \
    }
#define TAP_RUN(...)                                          \
    static const struct tap_test tap_tests[] = {__VA_ARGS__}; \
    return tap_run(tap_tests, (int)(sizeof tap_tests / sizeof *tap_tests))
