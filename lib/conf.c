#include "kvsh/conf.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ini.h>

#include "conf_text.h"
#include "kvsh/fs.h"
#include "kvsh/mem.h"

enum { CONF_FILE_MAX = 1 << 20 };

struct conf {
    struct arena arena;
    struct conf_entry *entries;
    size_t count;
};

/* The text of one file while inih asks for its lines. */
struct reading {
    struct conf *conf;
    const char *file;
    const char *next;
    int line;
    int bad_line; /* first line that is refused before inih sees it */
    const char *bad_reason;
};

struct conf *conf_new(void)
{
    return xcalloc(1, sizeof(struct conf));
}

void conf_free(struct conf *c)
{
    if (!c)
        return;
    arena_release(&c->arena);
    free(c);
}

static void refuse(struct reading *r, const char *reason)
{
    if (r->bad_line)
        return;
    r->bad_line = r->line;
    r->bad_reason = reason;
}

/*
 * The reader inih calls for each line. Leading blanks are dropped: to inih an indented line goes on
 * with the value above, to everybody else it is indented. What inih would cut silently is refused.
 */
static char *next_line(char *out, int size, void *stream)
{
    struct reading *r = stream;
    const char *start = r->next + strspn(r->next, CONF_BLANKS);
    size_t len = strcspn(start, "\n");

    if (*r->next == '\0')
        return NULL;
    r->line++;
    r->next = start + len + (start[len] == '\n');
    if (len + 2 > (size_t)size) {
        refuse(r, "line is too long");
        len = (size_t)size - 2;
    }
    if (*start == '[' && len > CONF_SECTION_MAX && !memchr(start, ']', CONF_SECTION_MAX))
        refuse(r, "section name is too long");
    memcpy(out, start, len);
    memcpy(out + len, "\n", 2);
    return out;
}

struct conf_section conf_section_split(const char *s, size_t len)
{
    struct conf_section cs = {.kind = s};

    while (len > 0 && isblank((unsigned char)*s)) {
        s++;
        len--;
    }
    while (len > 0 && isspace((unsigned char)s[len - 1]))
        len--;
    cs.kind = s;
    while (cs.kind_len < len && !isblank((unsigned char)s[cs.kind_len]))
        cs.kind_len++;
    cs.name = s + cs.kind_len;
    cs.name_len = len - cs.kind_len;
    while (cs.name_len > 0 && isblank((unsigned char)*cs.name)) {
        cs.name++;
        cs.name_len--;
    }
    return cs;
}

static int take_entry(void *user, const char *section, const char *key, const char *value)
{
    struct reading *r = user;
    struct conf *c = r->conf;
    struct conf_section cs = conf_section_split(section, strlen(section));
    struct conf_entry *e;

    if (!*key)
        return 0; /* an error of that line */
    e = ARENA_PUSH(&c->arena, c->entries, c->count);
    *e = (struct conf_entry){
        .section = arena_strndup(&c->arena, cs.kind, cs.kind_len),
        .name = arena_strndup(&c->arena, cs.name, cs.name_len),
        .key = arena_strdup(&c->arena, key),
        .value = arena_strdup(&c->arena, value),
        .file = r->file,
        .line = r->line,
    };
    return 1;
}

int conf_read_text(struct conf *c, const char *path, const char *text, struct err *err)
{
    struct reading r = {.conf = c, .file = arena_strdup(&c->arena, path), .next = text};
    size_t before = c->count;
    int rc;

    rc = ini_parse_stream(next_line, &r, take_entry, &r);
    if (rc == 0 && !r.bad_line)
        return 0;
    c->count = before;
    if (r.bad_line && (rc <= 0 || r.bad_line <= rc))
        return err_set(err, ERR_INPUT, "%s:%d: %s", path, r.bad_line, r.bad_reason);
    if (rc < 0)
        return err_set(err, ERR_INTERNAL, "%s: cannot be parsed", path);
    err_set(err, ERR_INPUT, "%s:%d: neither \"[section]\" nor \"key = value\"", path, rc);
    return -1;
}

int conf_read(struct conf *c, const char *path, bool must_exist, struct err *err)
{
    size_t len;
    char *text;
    int rc;

    if (!must_exist && access(path, F_OK) < 0)
        return 0;
    text = fs_read(path, CONF_FILE_MAX, &len, err);
    if (!text)
        return -1;
    if (strlen(text) != len)
        rc = err_set(err, ERR_INPUT, "%s: not a text file", path);
    else
        rc = conf_read_text(c, path, text, err);
    free(text);
    return rc;
}

size_t conf_count(const struct conf *c)
{
    return c->count;
}

const struct conf_entry *conf_at(const struct conf *c, size_t i)
{
    return i < c->count ? &c->entries[i] : NULL;
}

const char *conf_get(const struct conf *c, const char *section, const char *name, const char *key)
{
    for (size_t i = c->count; i-- > 0;) {
        const struct conf_entry *e = &c->entries[i];

        if (strcmp(e->section, section) == 0 && strcmp(e->name, name) == 0 &&
            strcmp(e->key, key) == 0)
            return e->value;
    }
    return NULL;
}
