#include "tap.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvsh/conf.h"
#include "kvsh/fs.h"
#include "kvsh/mem.h"

static char dir[64];
static char path[128];

static void begin(const char *text)
{
    struct err err = ERR_INIT;

    snprintf(dir, sizeof dir, "/tmp/kvsh-test-conf.XXXXXX");
    ok(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/kvsh.conf", dir);
    if (text)
        is_int(fs_write_atomic(path, text, strlen(text), 0600, &err), 0);
}

static void end(void)
{
    unlink(path);
    is_int(rmdir(dir), 0);
}

static void file_is(const char *want)
{
    struct err err = ERR_INIT;
    char *text = fs_read(path, 100000, NULL, &err);

    is_str(text, want);
    free(text);
}

static void reads(void)
{
    struct err err = ERR_INIT;
    struct conf *c = conf_new();
    const struct conf_entry *e;

    begin("# top\n"
          "early = 1\n"
          "[kvsh]\n"
          "store = prod ; which one\n"
          "\n"
          "[ store\t prod ]\n"
          "  engine = redis\n"
          "\tnode = 10.0.0.1:13230\n"
          "  node=10.0.0.2:13230\r\n"
          "empty =\n"
          "sign : a=b:c\n"
          "[store two words]\n"
          "engine = größe");
    is_int(conf_read(c, path, true, &err), 0);
    is_int(conf_count(c), 8);
    is_str(conf_get(c, "", "", "early"), "1");
    is_str(conf_get(c, "kvsh", "", "store"), "prod");
    is_str(conf_get(c, "store", "prod", "engine"), "redis");
    is_str(conf_get(c, "store", "prod", "node"), "10.0.0.2:13230");
    is_str(conf_get(c, "store", "prod", "empty"), "");
    is_str(conf_get(c, "store", "prod", "sign"), "a=b:c");
    is_str(conf_get(c, "store", "two words", "engine"), "größe");
    is_str(conf_get(c, "store", "PROD", "engine"), NULL);
    e = conf_at(c, 3);
    is_str(e->section, "store");
    is_str(e->name, "prod");
    is_str(e->key, "node");
    is_str(e->value, "10.0.0.1:13230");
    is_str(e->file, path);
    is_int(e->line, 8);
    is_int(conf_at(c, 7)->line, 13);
    ok(conf_at(c, 8) == NULL);
    conf_free(c);
    conf_free(NULL);
    end();
}

static void later_files_win(void)
{
    struct err err = ERR_INIT;
    struct conf *c = conf_new();

    begin("[kvsh]\nstore = a\ntimeout = 5\n");
    is_int(conf_read(c, path, true, &err), 0);
    is_int(fs_write_atomic(path, "[kvsh]\nstore = b\n", 17, 0600, &err), 0);
    is_int(conf_read(c, path, true, &err), 0);
    is_str(conf_get(c, "kvsh", "", "store"), "b");
    is_str(conf_get(c, "kvsh", "", "timeout"), "5");
    unlink(path);
    is_int(conf_read(c, path, false, &err), 0);
    is_int(conf_read(c, path, true, &err), -1);
    is_int(err.code, ERR_INPUT);
    has_str(err.text, "no such file");
    is_int(conf_read(c, dir, false, &err), -1);
    is_int(conf_count(c), 3);
    conf_free(c);
    end();
}

static void syntax(const char *text, int line, const char *part)
{
    struct err err = ERR_INIT;
    struct conf *c = conf_new();
    char *where;

    begin(text);
    where = xasprintf("%s:%d: ", path, line);
    is_int(conf_read(c, path, true, &err), -1);
    is_int(err.code, ERR_INPUT);
    has_str(err.text, where);
    has_str(err.text, part);
    is_int(conf_count(c), 0); /* nothing of a broken file is kept */
    free(where);
    conf_free(c);
    end();
}

static void syntax_errors(void)
{
    char text[700];

    syntax("[kvsh]\na = 1\nnonsense\n", 3, "key = value");
    syntax("[kvsh]\n= 1\n", 2, "key = value");
    syntax("[kvsh\na = 1\n", 1, "[section]");
    memset(text, 'x', sizeof text);
    memcpy(text, "\n[k]\na = ", 9);
    memcpy(text + sizeof text - 2, "\n", 2);
    syntax(text, 3, "too long");
    syntax("[store xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx]\na = 1\n", 1,
           "section name is too long");
}

static void binary_file(void)
{
    struct err err = ERR_INIT;
    struct conf *c = conf_new();

    begin(NULL);
    is_int(fs_write_atomic(path, "[a]\nb = \0 1\n", 12, 0600, &err), 0);
    is_int(conf_read(c, path, true, &err), -1);
    has_str(err.text, "not a text file");
    conf_free(c);
    end();
}

static void edits_sections(void)
{
    struct err err = ERR_INIT;
    struct stat st;

    begin(NULL);
    is_int(conf_edit_section(path, "store", "a", "engine = redis\nnode = h:1", &err), 0);
    file_is("[store a]\nengine = redis\nnode = h:1\n");
    is_int(stat(path, &st), 0);
    is_int(st.st_mode & 0777, 0600);
    is_int(conf_edit_section(path, "store", "b", "engine = serf\n", &err), 0);
    is_int(conf_edit_section(path, "kvsh", "", "store = a\n", &err), 0);
    file_is("[store a]\nengine = redis\nnode = h:1\n\n[store b]\nengine = serf\n\n"
            "[kvsh]\nstore = a\n");
    is_int(conf_edit_section(path, "store", "a", "engine = couchbase\n", &err), 0);
    is_int(conf_edit_section(path, "store", "b", NULL, &err), 0);
    file_is("[store a]\nengine = couchbase\n\n\n[kvsh]\nstore = a\n");
    is_int(conf_edit_section(path, "store", "b", NULL, &err), -1);
    is_int(err.code, ERR_INPUT);
    has_str(err.text, "no section [store b]");
    end();
}

/* Everything not edited stays, byte for byte, also what stands before the next section. */
static void edits_keep_the_rest(void)
{
    struct err err = ERR_INIT;

    begin("; top\r\n\n  [store  a]  ; first\n\tengine=redis\n# inner\nnode = h:1\n\n"
          "# about b\n[store b]\nengine = serf");
    is_int(conf_edit_section(path, "store", "a", "engine = okuyama\n", &err), 0);
    file_is("; top\r\n\n[store a]\nengine = okuyama\n\n# about b\n[store b]\nengine = serf");
    is_int(conf_edit_section(path, "store", "a", NULL, &err), 0);
    file_is("; top\r\n\n\n# about b\n[store b]\nengine = serf");
    is_int(conf_edit_section(path, "x", "", "y = 1\n", &err), 0);
    file_is("; top\r\n\n\n# about b\n[store b]\nengine = serf\n\n[x]\ny = 1\n");
    end();
    begin("[a]\nx = 1\n[b]\ny = 1\n[a]\nz = 1\n");
    is_int(conf_edit_section(path, "a", "", "x = 2\n", &err), 0);
    file_is("[a]\nx = 2\n[b]\ny = 1\n");
    end();
}

static void edits_keys(void)
{
    struct err err = ERR_INIT;

    begin(
        "# top\n[kvsh]\nstore = a  ; now\n# keep\ncolor : no\nstore = b\n\n[store a]\nnode = 1\n");
    is_int(conf_edit_key(path, "kvsh", "", "store", "c", &err), 0);
    file_is("# top\n[kvsh]\nstore = c\n# keep\ncolor : no\n\n[store a]\nnode = 1\n");
    is_int(conf_edit_key(path, "kvsh", "", "color", "yes", &err), 0);
    is_int(conf_edit_key(path, "kvsh", "", "timeout", "5", &err), 0);
    file_is("# top\n[kvsh]\nstore = c\n# keep\ncolor = yes\ntimeout = 5\n\n[store a]\nnode = 1\n");
    is_int(conf_edit_key(path, "kvsh", "", "store", NULL, &err), 0);
    is_int(conf_edit_key(path, "kvsh", "", "absent", NULL, &err), 0);
    is_int(conf_edit_key(path, "new", "", "absent", NULL, &err), 0);
    file_is("# top\n[kvsh]\n# keep\ncolor = yes\ntimeout = 5\n\n[store a]\nnode = 1\n");
    is_int(conf_edit_key(path, "store", "b", "node", "2", &err), 0);
    file_is("# top\n[kvsh]\n# keep\ncolor = yes\ntimeout = 5\n\n[store a]\nnode = 1\n\n"
            "[store b]\nnode = 2\n");
    is_int(conf_edit_key(path, "empty", "", "a", "", &err), 0);
    end();
}

static void refused_key(const char *name, const char *key, const char *value)
{
    struct err err = ERR_INIT;

    is_int(conf_edit_key(path, "store", name, key, value, &err), -1);
    is_int(err.code, ERR_INPUT);
    file_is("[store a]\nx = 1\n");
}

static void refuses_what_would_not_read_back(void)
{
    struct err err = ERR_INIT;
    char *longer = xmalloc(301);

    memset(longer, 'v', 300);
    longer[300] = '\0';
    begin("[store a]\nx = 1\n");
    refused_key("a", "x", "1\n[store evil]\n");
    refused_key("a", "x", "1 ; comment");
    refused_key("a", "x", " padded ");
    refused_key("a", "x", longer);
    refused_key("a", "[x", "1");
    refused_key("a", "#x", "1");
    refused_key("a", "x=y", "1");
    refused_key("a", "", "1");
    refused_key("a]\n[b", "x", "1");
    refused_key("a-name-that-is-longer-than-a-section-name-can-ever-be", "x", "1");
    is_int(conf_edit_section(path, "store", "b", "nonsense\n", &err), -1);
    is_int(err.code, ERR_INPUT);
    file_is("[store a]\nx = 1\n");
    end();
    begin("[store a]\nbroken\n");
    is_int(conf_edit_key(path, "store", "a", "x", "1", &err), -1);
    has_str(err.text, ":2: ");
    file_is("[store a]\nbroken\n");
    end();
    free(longer);
}

static void follows_links_and_keeps_modes(void)
{
    struct err err = ERR_INIT;
    char *real = NULL;
    struct stat st;

    begin(NULL);
    real = xasprintf("%s/real.conf", dir);
    is_int(fs_write_atomic(real, "[a]\nx = 1\n", 10, 0644, &err), 0);
    is_int(symlink("real.conf", path), 0);
    is_int(conf_edit_key(path, "a", "", "x", "2", &err), 0);
    is_int(lstat(path, &st), 0);
    ok(S_ISLNK(st.st_mode));
    file_is("[a]\nx = 2\n");
    is_int(stat(real, &st), 0);
    is_int(st.st_mode & 0777, 0644);
    unlink(real);
    free(real);
    end();
}

static void makes_its_directory(void)
{
    struct err err = ERR_INIT;
    char *sub;

    begin(NULL);
    sub = xasprintf("%s/new/kvsh.conf", dir);
    is_int(conf_edit_key(sub, "kvsh", "", "store", "a", &err), 0);
    is_int(unlink(sub), 0);
    *strrchr(sub, '/') = '\0';
    is_int(rmdir(sub), 0);
    free(sub);
    end();
}

/* Editors at the same time lose nothing of each other. */
static void concurrent_edits(void)
{
    enum { EDITORS = 10 };
    struct err err = ERR_INIT;
    pid_t pids[EDITORS];
    struct conf *c;

    begin("[kvsh]\nstore = a\n");
    for (int i = 0; i < EDITORS; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            char name[16];

            snprintf(name, sizeof name, "s%d", i);
            _exit(conf_edit_section(path, "store", name, "engine = serf\n", &err) < 0);
        }
    }
    for (int i = 0; i < EDITORS; i++) {
        int status = -1;

        waitpid(pids[i], &status, 0);
        is_int(status, 0);
    }
    c = conf_new();
    is_int(conf_read(c, path, true, &err), 0);
    is_int(conf_count(c), EDITORS + 1);
    conf_free(c);
    end();
}

int main(void)
{
    TAP_RUN(TAP_TEST(reads), TAP_TEST(later_files_win), TAP_TEST(syntax_errors),
            TAP_TEST(binary_file), TAP_TEST(edits_sections), TAP_TEST(edits_keep_the_rest),
            TAP_TEST(edits_keys), TAP_TEST(refuses_what_would_not_read_back),
            TAP_TEST(follows_links_and_keeps_modes), TAP_TEST(makes_its_directory),
            TAP_TEST(concurrent_edits));
}
