#include "kvsh/conf.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_text.h"
#include "kvsh/buf.h"
#include "kvsh/fs.h"
#include "kvsh/mem.h"

enum { EDIT_FILE_MAX = 1 << 20 };

/* One file being edited: the old text, the new text, and a lock that keeps other editors out. */
struct edit {
    char *path; /* symbolic links resolved: the file they point to is replaced, not the link */
    char *old;
    struct buf text;
    unsigned mode;
    int lock_fd;
};

/* A section in the old text: header line, then the body up to the last line that says something.
 * What stands behind that (blank lines, comments) belongs to the section that follows. */
struct place {
    const char *header;
    const char *body;
    const char *end;
};

static const char *line_end(const char *line)
{
    size_t len = strcspn(line, "\n");

    return line + len + (line[len] == '\n');
}

static bool is_header(const char *line, const char *section, const char *name)
{
    const char *open = line + strspn(line, CONF_BLANKS);
    size_t len = strcspn(open, "]\n");
    struct conf_section cs;

    if (*open != '[' || open[len] != ']')
        return false;
    if (!section)
        return true;
    cs = conf_section_split(open + 1, len - 1);
    return cs.kind_len == strlen(section) && memcmp(cs.kind, section, cs.kind_len) == 0 &&
           cs.name_len == strlen(name) && memcmp(cs.name, name, cs.name_len) == 0;
}

static bool says_something(const char *line)
{
    return !strchr("\n\r;#", line[strspn(line, CONF_BLANKS)]);
}

/* The first such section at or after `from`. */
static bool find_section(const char *from, const char *section, const char *name, struct place *p)
{
    const char *line = from;

    while (*line && !is_header(line, section, name))
        line = line_end(line);
    if (*line == '\0')
        return false;
    p->header = line;
    p->body = p->end = line_end(line);
    for (line = p->body; *line && !is_header(line, NULL, NULL); line = line_end(line))
        if (says_something(line))
            p->end = line_end(line);
    return true;
}

static void add_range(struct buf *b, const char *from, const char *to)
{
    buf_add(b, from, (size_t)(to - from));
}

static void end_line(struct buf *b)
{
    if (b->len > 0 && b->data[b->len - 1] != '\n')
        buf_addc(b, '\n');
}

static void add_header(struct buf *b, const char *section, const char *name)
{
    buf_addf(b, "[%s%s%s]\n", section, *name ? " " : "", name);
}

static void append_section(struct buf *b, const char *section, const char *name, const char *body)
{
    end_line(b);
    if (b->len > 1 && b->data[b->len - 2] != '\n')
        buf_addc(b, '\n');
    add_header(b, section, name);
    buf_adds(b, body);
    end_line(b);
}

static bool is_name_fine(const char *section, const char *name)
{
    return *section && !strpbrk(section, " \t\r\n[]") && !strpbrk(name, "\r\n[]") &&
           strlen(section) + strlen(name) + 3 <= CONF_SECTION_MAX;
}

/* The directory's own lock: no lock file stays behind. */
static int lock_dir(const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
    int fd = -1;

    if (fs_mkdirs(dir, 0700, err) < 0)
        goto out;
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX) < 0) {
        err_errno(err, ERR_FAILED, errno, "lock directory %s", dir);
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
out:
    free(dir);
    return fd;
}

static int edit_open(struct edit *e, const char *path, struct err *err)
{
    struct stat st;
    char *real = realpath(path, NULL);

    *e = (struct edit){.path = real ? real : xstrdup(path), .mode = 0600};
    buf_init(&e->text, 0);
    e->lock_fd = lock_dir(e->path, err);
    if (e->lock_fd < 0)
        return -1;
    if (stat(e->path, &st) < 0) {
        if (errno != ENOENT)
            return err_errno(err, ERR_FAILED, errno, "read %s", path);
        e->old = xstrdup("");
        return 0;
    }
    e->mode = st.st_mode & 0777;
    e->old = fs_read(e->path, EDIT_FILE_MAX, NULL, err);
    return e->old ? 0 : -1;
}

static void edit_close(struct edit *e)
{
    if (e->lock_fd >= 0)
        close(e->lock_fd);
    buf_release(&e->text);
    free(e->old);
    free(e->path);
}

/* Reads the new text into c as a reader will find it, so that no broken file is ever written. */
static int edit_parse(const struct edit *e, struct conf *c, struct err *err)
{
    if (conf_read_text(c, e->path, e->text.data, err) < 0)
        return err_prepend(err, "the edited file would not be readable");
    return 0;
}

static int edit_write(const struct edit *e, struct err *err)
{
    return fs_write_atomic(e->path, e->text.data, e->text.len, e->mode, err);
}

int conf_edit_section(const char *path, const char *section, const char *name, const char *body,
                      struct err *err)
{
    struct conf *c = conf_new();
    bool is_found = false;
    struct place p;
    const char *rest;
    struct edit e;
    int rc = -1;

    if (edit_open(&e, path, err) < 0)
        goto out;
    if (!is_name_fine(section, name)) {
        err_set(err, ERR_INPUT, "\"%s\" is too long or not fit for a section name", name);
        goto out;
    }
    for (rest = e.old; find_section(rest, section, name, &p); rest = p.end) {
        add_range(&e.text, rest, p.header);
        if (body && !is_found) {
            add_header(&e.text, section, name);
            buf_adds(&e.text, body);
            end_line(&e.text);
        }
        is_found = true;
    }
    buf_adds(&e.text, rest);
    if (!is_found && !body) {
        err_set(err, ERR_INPUT, "%s: no section [%s%s%s]", path, section, *name ? " " : "", name);
        goto out;
    }
    if (!is_found)
        append_section(&e.text, section, name, body);
    if (edit_parse(&e, c, err) == 0)
        rc = edit_write(&e, err);
out:
    edit_close(&e);
    conf_free(c);
    return rc;
}

static bool is_key(const char *line, const char *key)
{
    size_t len = strlen(key);

    line += strspn(line, CONF_BLANKS);
    if (strncmp(line, key, len) != 0)
        return false;
    line += len;
    line += strspn(line, CONF_BLANKS);
    return *line == '=' || *line == ':';
}

/* Copies a section's lines; the first with that key becomes the new one, others with it are left
 * out. */
static void copy_with_key(struct buf *b, const struct place *p, const char *key, const char **value)
{
    const char *next;

    for (const char *line = p->body; line < p->end; line = next) {
        next = line_end(line);
        if (!is_key(line, key)) {
            add_range(b, line, next);
        } else if (*value) {
            buf_addf(b, "%s = %s\n", key, *value);
            *value = NULL;
        }
    }
}

static void edit_key(struct edit *e, const char *section, const char *name, const char *key,
                     const char *value)
{
    const char *rest = e->old;
    struct place p;

    while (find_section(rest, section, name, &p)) {
        struct place next;

        add_range(&e->text, rest, p.body);
        copy_with_key(&e->text, &p, key, &value);
        rest = p.end;
        if (value && !find_section(rest, section, name, &next)) {
            end_line(&e->text);
            buf_addf(&e->text, "%s = %s\n", key, value);
            value = NULL;
        }
    }
    buf_adds(&e->text, rest);
    if (value) {
        char *line = xasprintf("%s = %s\n", key, value);

        append_section(&e->text, section, name, line);
        free(line);
    }
}

int conf_edit_key(const char *path, const char *section, const char *name, const char *key,
                  const char *value, struct err *err)
{
    struct conf *c = conf_new();
    const char *got;
    struct edit e;
    int rc = -1;

    if (edit_open(&e, path, err) < 0)
        goto out;
    if (!is_name_fine(section, name) || (value && strpbrk(value, "\r\n"))) {
        err_set(err, ERR_INPUT, "%s of [%s %s] cannot be written to a configuration file", key,
                section, name);
        goto out;
    }
    edit_key(&e, section, name, key, value);
    if (edit_parse(&e, c, err) < 0)
        goto out;
    /* A value that a reader would see differently (a comment sign, blanks at its ends) is refused.
     */
    got = conf_get(c, section, name, key);
    if (value ? !got || strcmp(got, value) != 0 : got != NULL) {
        err_set(err, ERR_INPUT, "%s = \"%s\" cannot be written to a configuration file", key,
                value ? value : "");
        goto out;
    }
    rc = edit_write(&e, err);
out:
    edit_close(&e);
    conf_free(c);
    return rc;
}
