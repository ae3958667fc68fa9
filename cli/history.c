#include "cli/history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/shell_private.h"
#include "kvsh/buf.h"
#include "kvsh/fs.h"
#include "kvsh/mem.h"

enum { FILE_LIMIT = 8 << 20, FILE_MODE = 0600 };

static void forget(struct line_history *h)
{
    for (size_t i = 0; i < h->n; i++)
        free(h->lines[i]);
    free(h->lines);
    h->lines = NULL;
    h->n = 0;
    h->generation++;
}

void line_history_release(struct line_history *h)
{
    forget(h);
    free(h->path);
    h->path = NULL;
}

/* Keeps the line without the blanks around it. False when it is not worth keeping. */
static bool remember(struct line_history *h, const char *line)
{
    size_t len;
    char *copy;

    line += strspn(line, " \t");
    len = strlen(line);
    while (len > 0 && strchr(" \t", line[len - 1]))
        len--;
    copy = xstrndup(line, len);
    if (len == 0 || (h->n > 0 && strcmp(h->lines[h->n - 1], copy) == 0)) {
        free(copy);
        return false;
    }
    h->lines = xrealloc(h->lines, h->n + 1, sizeof *h->lines);
    h->lines[h->n++] = copy;
    return true;
}

static void drop_oldest(struct line_history *h, size_t keep)
{
    size_t drop = h->n > keep ? h->n - keep : 0;

    for (size_t i = 0; i < drop; i++)
        free(h->lines[i]);
    memmove(h->lines, h->lines + drop, (h->n - drop) * sizeof *h->lines);
    h->n -= drop;
}

/* Writes the file anew with the lines in memory. */
static int rewrite(const struct line_history *h, struct err *err)
{
    struct buf b;
    int ret;

    buf_init(&b, 0);
    for (size_t i = 0; i < h->n; i++)
        buf_addf(&b, "%s\n", h->lines[i]);
    ret = fs_write_atomic(h->path, b.data, b.len, FILE_MODE, err);
    buf_release(&b);
    return ret;
}

static int load(struct line_history *h, struct err *err)
{
    size_t keep = h->keep ? h->keep : HISTORY_KEEP;
    char *text, *save = NULL;

    if (access(h->path, F_OK) < 0 && errno == ENOENT)
        return 0;
    text = fs_read(h->path, FILE_LIMIT, NULL, err);
    if (!text)
        return -1;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        remember(h, line);
    free(text);
    if (h->n <= 2 * keep) {
        drop_oldest(h, keep);
        return 0;
    }
    drop_oldest(h, keep);
    return rewrite(h, err);
}

int line_history_open(struct line_history *h, const char *path, struct err *err)
{
    char *copy = path ? xstrdup(path) : NULL;

    line_history_release(h);
    h->path = copy;
    return copy ? load(h, err) : 0;
}

/* One write at the end of the file: lines of two shells of the same store do not mix. */
static int append(const char *path, const char *line, struct err *err)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    char *text = xasprintf("%s\n", line);
    int ret = 0;

    if (fd < 0 || fchmod(fd, FILE_MODE) < 0 || write(fd, text, strlen(text)) < 0)
        ret = err_errno(err, ERR_INPUT, errno, "write %s", path);
    if (fd >= 0)
        close(fd);
    free(text);
    return ret;
}

int line_history_add(struct line_history *h, const char *line, struct err *err)
{
    if (!remember(h, line))
        return 0;
    return h->path ? append(h->path, h->lines[h->n - 1], err) : 0;
}

/* --- the command --- */

static const struct out_col history_cols[] = {
    {"number", "NUMBER", OUT_INT, "counted from the oldest line kept"},
    {"line", "LINE", OUT_STR, "as typed, secrets masked"},
    {0},
};

const struct out_table history_table = {
    .key = "lines",
    .cols = history_cols,
    .text = "{number:-5}  {line}",
};

void history_fill(struct shell *sh, size_t last, struct out *out)
{
    const struct line_history *h = &sh->history;
    size_t first = last > 0 && last < h->n ? h->n - last : 0;

    for (size_t i = first; i < h->n; i++) {
        struct out_row *row = out_row(out, &history_table);

        out_int(row, "number", (int64_t)i + 1);
        out_str(row, "line", h->lines[i]);
    }
}
