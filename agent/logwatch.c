#include "agent/logwatch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

enum { CHUNK = 64 * 1024, CHUNKS_PER_CYCLE = 64, TOLD_AGAIN_MS = 60 * 1000, LINE_MAX_BYTES = 400 };

/* One service's log while it is read. */
struct reading {
    char id[SERVICE_ID_MAX];
    char *dir, *path, *kept_in;
    struct log_position at;
    char *text;
};

static void reading_release(struct reading *r)
{
    free(r->dir);
    free(r->path);
    free(r->kept_in);
    free(r->text);
}

void logwatch_load(struct agent *a, struct service *s)
{
    char *path = agent_node_file(a, s->id, ".logpos");
    FILE *f = fopen(path, "re");
    unsigned long long ino = 0;
    long long offset = -1;

    s->log_position = (struct log_position){0, -1};
    if (f && fscanf(f, "%llu %lld", &ino, &offset) == 2 && offset >= 0)
        s->log_position = (struct log_position){ino, offset};
    if (f)
        fclose(f);
    free(path);
}

static void position_keep(const struct reading *r)
{
    int fd = open(r->kept_in, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return;
    /* Losing it only means to go on from the end. */
    dprintf(fd, "%llu %lld\n", (unsigned long long)r->at.ino, (long long)r->at.offset);
    close(fd);
}

/* Takes the whole lines behind the position. True when the file ends there and has grown too large.
 */
static bool read_lines(struct reading *r)
{
    int fd = open(r->path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    ssize_t n = -1;
    char *end = NULL;
    bool is_long = false;

    if (fd < 0 || fstat(fd, &st) < 0)
        goto out;
    if (r->at.offset < 0)
        r->at.offset = st.st_size;
    else if (r->at.ino != st.st_ino || r->at.offset > st.st_size)
        r->at.offset = 0;
    r->at.ino = st.st_ino;
    is_long = (size_t)st.st_size >= LOGFILE_SIZE;
    if (r->at.offset == st.st_size)
        goto out;
    is_long = false;
    r->text = xmalloc(CHUNK + 1);
    n = pread(fd, r->text, CHUNK, (off_t)r->at.offset);
    r->text[n > 0 ? n : 0] = '\0';
    end = n > 0 ? memrchr(r->text, '\n', (size_t)n) : NULL;
    if (end)
        end[1] = '\0';
    else if (n < CHUNK)
        r->text[0] = '\0'; /* the line is not whole yet */
    r->at.offset += end ? end + 1 - r->text : n < CHUNK ? 0 : n;
out:
    if (fd >= 0)
        close(fd);
    return is_long;
}

/* "12:M 02 Jan 2026 10:00:00.000 # text": only the text matters. */
static const char *line_text(const char *line)
{
    const char *p = line;

    for (int blanks = 0; *p && blanks < 6; p++)
        blanks += *p == ' ';
    return *p && strchr("0123456789", line[0]) ? p : line;
}

static void match_line(struct agent *a, struct service *s, const char *line)
{
    int rule = log_rule_match(line);
    const struct log_rule *r = log_rule_at(rule);
    int64_t now = time_mono_ms();
    struct event ev;
    char *text;

    if (!r || (s->rule_told[rule] && now - s->rule_told[rule] < TOLD_AGAIN_MS))
        return;
    s->rule_told[rule] = now;
    text = xasprintf("%s (log of %s: %.*s)", r->cause, s->id, LINE_MAX_BYTES, line_text(line));
    ev = (struct event){r->severity, "log-match", s->id, text, r->advice};
    agent_event(a, &ev);
    free(text);
}

static void match_lines(struct agent *a, struct service *s, char *text)
{
    char *next;

    for (char *line = text; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        match_line(a, s, line);
    }
}

static struct reading reading_of(struct agent *a, const struct service *s)
{
    struct reading r = {.at = s->log_position};

    memcpy(r.id, s->id, sizeof r.id);
    r.dir = agent_log_dir(a, s);
    r.path = xasprintf("%s/%s_0.log", r.dir, s->id);
    r.kept_in = agent_node_file(a, s->id, ".logpos");
    return r;
}

/* True when there is more to read. */
static bool read_one(struct agent *a, struct service *s)
{
    struct reading r = reading_of(a, s);
    struct log_position before = r.at;
    bool is_long, more;

    pthread_mutex_unlock(&a->lock);
    is_long = read_lines(&r);
    if (is_long)
        logfile_rotate(r.dir, r.id); /* redis opens its log anew for each line */
    if (r.at.ino != before.ino || r.at.offset != before.offset)
        position_keep(&r);
    pthread_mutex_lock(&a->lock);
    s = agent_service(a, r.id);
    if (s) {
        s->log_position = r.at;
        if (r.text)
            match_lines(a, s, r.text);
    }
    more = s && r.text && r.text[0];
    reading_release(&r);
    return more;
}

void logwatch_cycle(struct agent *a)
{
    for (size_t i = 0; i < a->n_services; i++)
        for (int n = 0; n < CHUNKS_PER_CYCLE && i < a->n_services; n++)
            if (a->services[i]->kind != SERVICE_REDIS || !read_one(a, a->services[i]))
                break;
}
