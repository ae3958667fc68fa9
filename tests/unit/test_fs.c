/* fs and time. */
#include "tap.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/log.h"
#include "kvsh/mem.h"

static char dir[64];
static char path[128];

static void begin(void)
{
    snprintf(dir, sizeof dir, "/tmp/kvsh-test-fs.XXXXXX");
    ok(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/file", dir);
}

static void end(void)
{
    unlink(path);
    is_int(rmdir(dir), 0); /* nothing left beside it */
}

static void put(const char *text, unsigned mode)
{
    struct err err = ERR_INIT;

    if (fs_write_atomic(path, text, strlen(text), mode, &err) < 0)
        printf("# %s\n", err.text);
}

static void reads_and_writes(void)
{
    struct err err = ERR_INIT;
    struct stat st;
    size_t len;
    char *s;

    begin();
    ok(fs_read(path, 100, &len, &err) == NULL);
    is_int(err.code, ERR_INPUT);
    has_str(err.text, path);
    has_str(err.text, ": no such file or directory");
    is_int(fs_write_atomic(path, "a\0b", 3, 0640, &err), 0);
    is_int(stat(path, &st), 0);
    is_int(st.st_mode & 07777, 0640);
    s = fs_read(path, 3, &len, &err);
    is_int(len, 3);
    ok(s && memcmp(s, "a\0b", 4) == 0);
    free(s);
    ok(fs_read(path, 2, &len, &err) == NULL);
    has_str(err.text, "larger than 2 bytes");
    is_int(fs_write_atomic(path, "", 0, 0600, &err), 0);
    s = fs_read(path, 10, &len, &err);
    is_str(s, "");
    is_int(len, 0);
    free(s);
    ok(fs_read(dir, 10, NULL, &err) == NULL);
    is_int(err.code, ERR_INPUT);
    end();
}

static void write_errors(void)
{
    struct err err = ERR_INIT;
    char sub[160];

    begin();
    snprintf(sub, sizeof sub, "%s/none/file", dir);
    is_int(fs_write_atomic(sub, "x", 1, 0600, &err), -1);
    is_int(err.code, ERR_FAILED);
    has_str(err.text, "none/file: no such file or directory");
    put("kept", 0600);
    is_int(mkdir(path, 0700), -1);
    snprintf(sub, sizeof sub, "%s/file/x", dir);
    is_int(fs_mkdirs(sub, 0700, &err), -1);
    is_int(err.code, ERR_FAILED);
    has_str(err.text, "not a directory");
    /* A directory in the file's place: nothing is left aside. */
    unlink(path);
    mkdir(path, 0700);
    is_int(fs_write_atomic(path, "x", 1, 0600, &err), -1);
    rmdir(path);
    end();
}

static void directories(void)
{
    struct err err = ERR_INIT;
    struct stat st;
    char sub[160];

    begin();
    snprintf(sub, sizeof sub, "%s//a/b/c/", dir);
    is_int(fs_mkdirs(sub, 0700, &err), 0);
    is_int(fs_mkdirs(sub, 0700, &err), 0);
    ok(fs_is_dir(sub));
    is_int(stat(sub, &st), 0);
    is_int(st.st_mode & 0777, 0700);
    is_int(fs_mkdirs("/", 0700, &err), 0);
    is_int(fs_mkdirs(".", 0700, &err), 0);
    is_int(fs_mkdirs("", 0700, &err), -1);
    ok(!fs_is_dir(path));
    for (const char *const *p = (const char *const[]){"a/b/c", "a/b", "a", NULL}; *p; p++) {
        snprintf(sub, sizeof sub, "%s/%s", dir, *p);
        is_int(rmdir(sub), 0);
    }
    end();
}

static void secret_files(void)
{
    struct err err = ERR_INIT;
    char text[] = "it is geheim-1234 here";
    const unsigned open_modes[] = {0644, 0640, 0604, 0620, 0660, 0601};
    char *s;

    begin();
    put("geheim-1234\nsecond line\n", 0600);
    s = fs_read_secret(path, &err);
    is_str(s, "geheim-1234");
    free(s);
    mask_apply(text);
    is_str(text, "it is *********** here");
    put("crlf-4321\r\n", 0400);
    s = fs_read_secret(path, &err);
    is_str(s, "crlf-4321");
    free(s);
    for (size_t i = 0; i < sizeof open_modes / sizeof *open_modes; i++) {
        put("geheim-1234\n", open_modes[i]);
        ok(fs_read_secret(path, &err) == NULL);
        is_int(err.code, ERR_DENIED);
        has_str(err.text, path);
        has_str(err.advice, "chmod 600 ");
    }
    put("\nx\n", 0600);
    ok(fs_read_secret(path, &err) == NULL);
    is_int(err.code, ERR_INPUT);
    put("", 0600);
    ok(fs_read_secret(path, &err) == NULL);
    unlink(path);
    ok(fs_read_secret(path, &err) == NULL);
    is_int(err.code, ERR_INPUT);
    is_int(mkfifo(path, 0600), 0);
    ok(fs_read_secret(path, &err) == NULL);
    has_str(err.text, "not a regular file");
    ok(fs_read_secret(dir, &err) == NULL);
    end();
}

static void service_credentials(void)
{
    struct err err = ERR_INIT;
    char other[160];
    char *s;

    begin();
    put("from-the-manager\n", 0440);
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    s = fs_read_secret(path, &err);
    is_str(s, "from-the-manager");
    free(s);
    snprintf(other, sizeof other, "%s/../%s/file", dir, dir + 5);
    ok(fs_read_secret(other, &err) == NULL);
    is_int(err.code, ERR_DENIED);
    unsetenv("CREDENTIALS_DIRECTORY");
    ok(fs_read_secret(path, &err) == NULL);
    end();
}

static void random_hex(void)
{
    char *a = fs_random_hex(32), *b = fs_random_hex(32);

    is_int(strlen(a), 64);
    is_int(strspn(a, "0123456789abcdef"), 64);
    ok(strcmp(a, b) != 0);
    free(a);
    free(b);
    a = fs_random_hex(0);
    is_str(a, "");
    free(a);
}

static void clocks(void)
{
    int64_t before = time_mono_ms();

    ok(time_now_ms() > INT64_C(1577836800000));
    time_sleep_ms(0);
    time_sleep_ms(-5);
    time_sleep_ms(30);
    ok(time_mono_ms() - before >= 29);
    ok(time_mono_ms() - before < 5000);
}

static void texts(int64_t ms, const char *plain, const char *rfc)
{
    char out[32];

    time_text(ms, out);
    is_str(out, plain);
    time_rfc3339(ms, out);
    is_str(out, rfc);
}

static void time_texts(void)
{
    texts(INT64_C(1767104401123), "2025-12-30 14:20:01 UTC", "2025-12-30T14:20:01.123Z");
    texts(1, "1970-01-01 00:00:00 UTC", "1970-01-01T00:00:00.001Z");
    texts(0, "", "");
    texts(-5, "", "");
    texts(INT64_MAX, "", "");
    texts(INT64_C(253402300799999), "9999-12-31 23:59:59 UTC", "9999-12-31T23:59:59.999Z");
}

static void parses(const char *text, const char *rfc)
{
    struct err err = ERR_INIT;
    char out[32];
    int64_t ms = 0;

    if (!is_int(time_parse(text, &ms, &err), 0))
        printf("# %s\n", err.text);
    time_rfc3339(ms, out);
    is_str(out, rfc);
}

static void time_forms(void)
{
    static const char *const bad[] = {
        "",
        "x",
        "2025",
        "2025-1-01",
        "2025-13-01",
        "2025-00-10",
        "2025-02-29",
        "2025-04-31",
        "2025-12-30x",
        "2025-12-30 ",
        "25:00",
        "12:60",
        "12:00:60",
        "12:0",
        "12:00:00.1",
        "12:00x",
        "1969-01-01",
        "2025-12-30 25",
        "2025-12-30 12:00Z",
        "2025-12-30T12:00:00Zx",
        "2025-12-30T12:00:00z",
        "2025-12-30T12:00:00+01:00",
        "12:00:00Z",
        "12-30-25",
        "30-12-2025",
    };
    struct err err = ERR_INIT;
    char want[32], day[32];
    int64_t ms;

    parses("2025-12-30", "2025-12-30T00:00:00.000Z");
    parses("2025-12-30 14:20", "2025-12-30T14:20:00.000Z");
    parses("2025-12-30 14:20:01", "2025-12-30T14:20:01.000Z");
    parses("2025-12-30 14:20:01.123", "2025-12-30T14:20:01.123Z");
    parses("2024-02-29T23:59:59.999", "2024-02-29T23:59:59.999Z");
    parses("2026-11-29T17:10:00Z", "2026-11-29T17:10:00.000Z");
    parses("2026-11-29T17:10:00.250Z", "2026-11-29T17:10:00.250Z");
    parses("12-30-2025", "2025-12-30T00:00:00.000Z");
    parses("12-30-2025 14:20", "2025-12-30T14:20:00.000Z");
    parses("12-30-2025 14:20:01.005", "2025-12-30T14:20:01.005Z");
    time_rfc3339(time_now_ms(), day);
    snprintf(want, sizeof want, "%.10sT10:20:30.400Z", day);
    parses("10:20:30.400", want);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (!is_int(time_parse(bad[i], &ms, &err), -1))
            printf("# %s\n", bad[i]);
        is_int(err.code, ERR_INPUT);
        has_str(err.text, bad[i]);
        has_str(err.advice, "yyyy-MM-dd");
    }
}

static void accounts(void)
{
    const struct passwd *mine = getpwuid(getuid());
    struct account a;

    ok(fs_account(getuid(), &a) == (mine != NULL));
    is_str(a.name, mine ? mine->pw_name : NULL);
    is_str(a.home, mine ? mine->pw_dir : NULL);
    account_release(&a);
    ok(fs_account(0, &a));
    is_str(a.name, "root");
    account_release(&a);
    ok(!fs_account(1999999999, &a));
    ok(a.name == NULL && a.home == NULL);
    account_release(&a);
}

int main(void)
{
    TAP_RUN(TAP_TEST(reads_and_writes), TAP_TEST(write_errors), TAP_TEST(directories),
            TAP_TEST(secret_files), TAP_TEST(service_credentials), TAP_TEST(random_hex),
            TAP_TEST(clocks), TAP_TEST(time_texts), TAP_TEST(time_forms), TAP_TEST(accounts));
}
