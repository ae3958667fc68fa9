#include <locale.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/history.h"
#include "cli/mask.h"
#include "cli/text.h"
#include "fake_cmds.h"
#include "kvsh/buf.h"
#include "kvsh/fs.h"
#include "kvsh/log.h"
#include "kvsh/mem.h"
#include "tap.h"

static char dir[] = "/tmp/kvsh-history-XXXXXX";
static char path[64];
static struct err err;

static void prepares(void)
{
    ok(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/history", dir);
}

static void keeps_lines_in_memory(void)
{
    struct line_history h = {0};

    is_int(line_history_open(&h, NULL, &err), 0);
    is_int(line_history_add(&h, "  show plans ", &err), 0);
    is_int(line_history_add(&h, "show plans", &err), 0); /* the same */
    is_int(line_history_add(&h, " \t ", &err), 0);       /* nothing */
    is_int(line_history_add(&h, "ping", &err), 0);
    is_int(line_history_add(&h, "show plans", &err), 0);
    is_int(h.n, 3);
    is_str(h.lines[0], "show plans");
    is_str(h.lines[1], "ping");
    line_history_release(&h);
}

static void keeps_lines_in_a_file(void)
{
    struct line_history h = {0};
    struct stat st;
    char *text;

    is_int(line_history_open(&h, path, &err), 0);
    is_int(line_history_add(&h, "echo \xC3\xBC", &err), 0);
    is_int(line_history_add(&h, "ping", &err), 0);
    text = fs_read(path, 1024, NULL, &err);
    is_str(text, "echo \xC3\xBC\nping\n");
    free(text);
    ok(stat(path, &st) == 0);
    is_int(st.st_mode & 07777, 0600);
    ok(chmod(path, 0644) == 0);
    line_history_release(&h);

    is_int(line_history_open(&h, path, &err), 0);
    is_int(h.n, 2);
    is_int(line_history_add(&h, "ping", &err), 0);
    is_int(h.n, 2);
    is_int(line_history_add(&h, "pong", &err), 0);
    ok(stat(path, &st) == 0);
    is_int(st.st_mode & 07777, 0600);
    line_history_release(&h);
}

static void keeps_the_latest(void)
{
    struct line_history h = {0};
    FILE *f = tap_stream(fopen(path, "w"));

    for (int i = 0; f && i < 5000; i++)
        fprintf(f, "echo %d\n", i);
    if (f)
        fclose(f);
    is_int(line_history_open(&h, path, &err), 0);
    is_int(h.n, 1000);
    is_str(h.lines[999], "echo 4999");
    line_history_release(&h);
    is_int(line_history_open(&h, path, &err), 0); /* the file was made shorter */
    is_int(h.n, 1000);
    is_str(h.lines[0], "echo 4000");
    line_history_release(&h);
}

static void says_when_it_cannot_write(void)
{
    struct line_history h = {0};

    is_int(line_history_open(&h, "/nonexistent/dir/history", &err), 0);
    is_int(line_history_add(&h, "ping", &err), -1);
    has_str(err.text, "write /nonexistent/dir/history: no such file or directory");
    is_int(h.n, 1);
    line_history_release(&h);
    is_int(line_history_open(&h, dir, &err), -1); /* a directory */
    line_history_release(&h);
}

static void cleans_up(void)
{
    ok(unlink(path) == 0);
    ok(rmdir(dir) == 0);
}

static void masks_secrets(void)
{
    static const struct {
        const char *line, *want;
    } rows[] = {
        {"login -user me -password hunter22", "login -user me -password ****"},
        {"login --password 'two words'  -user me", "login --password ****  -user me"},
        {"lgoin -password x; echo -password", "lgoin -password ****; echo -password"},
        {"echo a # -password x", "echo a # -password x"},
        {"show plans", "show plans"},
        {"echo \"open", "echo \"open"},
        {"login -password \"open", NULL},
        {"login \"-password\" x", "login \"-password\" ****"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *got = mask_line(fake_cmds, rows[i].line);

        is_str(got, rows[i].want);
        free(got);
    }
}

static void masks_words(void)
{
    static const char *const words[] = {"login", "-user", "a b", "-password", "hunter22"};
    char *got = mask_words(fake_cmds, 5, words);

    is_str(got, "login -user \"a b\" -password ****");
    free(got);
}

static void masks_registered_secrets(void)
{
    char *got;

    mask_add("s3cr3t-token");
    got = mask_line(fake_cmds, "echo s3cr3t-token");
    ok(got && !strstr(got, "s3cr3t"));
    free(got);
}

static void measures_width(void)
{
    ok(setlocale(LC_CTYPE, "C.UTF-8") != NULL);
    is_int(text_width("abc"), 3);
    is_int(text_width("\xC3\xBC\xE2\x82\xAC"), 2);
    is_int(text_width("\xE6\x97\xA5\xE6\x9C\xAC"), 4);
    is_int(text_width("e\xCC\x81"), 1);
    is_int(text_width("\xff\xfe"), 2);
    is_int(text_fit("\xE6\x97\xA5\xE6\x9C\xAC", 3), 3);
    is_int(text_fit("abc", 10), 3);
}

static void cuts_and_wraps(void)
{
    struct buf b;

    buf_init(&b, 0);
    text_cut(&b, "abcdef", 6);
    is_str(b.data, "abcdef");
    buf_clear(&b);
    text_cut(&b, "abcdefg", 6);
    is_str(b.data, "abc...");
    buf_clear(&b);
    text_cut(&b, "abcdefg", 2);
    is_str(b.data, "ab");
    buf_clear(&b);
    text_wrap(&b, "one two three\nfour\n\nnext  paragraph\n  kept  as is\nand on", 2, 12);
    is_str(b.data, "  one two\n  three four\n\n  next\n  paragraph\n    kept  as is\n  and on\n");
    buf_clear(&b);
    text_wrap(&b, "averyveryverylongword x", 2, 10);
    is_str(b.data, "  averyveryverylongword\n  x\n");
    buf_clear(&b);
    text_wrap(&b, "", 2, 10);
    is_str(b.data, "");
    buf_release(&b);
}

int main(void)
{
    TAP_RUN(TAP_TEST(prepares), TAP_TEST(keeps_lines_in_memory), TAP_TEST(keeps_lines_in_a_file),
            TAP_TEST(keeps_the_latest), TAP_TEST(says_when_it_cannot_write), TAP_TEST(cleans_up),
            TAP_TEST(masks_secrets), TAP_TEST(masks_words), TAP_TEST(masks_registered_secrets),
            TAP_TEST(measures_width), TAP_TEST(cuts_and_wraps));
}
