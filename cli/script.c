/* Lines that come from a file, and the commands of a line. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/lexer.h"
#include "cli/shell_private.h"
#include "kvsh/buf.h"
#include "kvsh/mem.h"

enum { NESTING_MAX = 16, LINE_BYTES_MAX = 1 << 20 };

#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

static int run_command(struct shell *sh, const struct line_command *command, struct arena *a)
{
    const char **words = arena_alloc(a, command->n * sizeof *words);

    for (size_t i = 0; i < command->n; i++)
        words[i] = command->words[i].text;
    return shell_exec(sh, command->n, words);
}

int shell_run_line(struct shell *sh, const char *text, size_t first)
{
    struct err err = ERR_INIT;
    struct arena a = {0};
    struct line line;
    int status = 0;
    size_t at;

    if (line_parse(&line, text, &a, &at, &err) < 0) {
        sh->source->line = first + line_position(text, at).line - 1;
        status = shell_report(sh, "line", &err);
    } else {
        for (size_t i = 0; i < line.n && status == 0 && !sh->quit; i++) {
            const struct line_command *command = &line.commands[i];

            sh->source->line = first + line_position(text, command->words[0].start).line - 1;
            status = run_command(sh, command, &a);
        }
    }
    arena_release(&a);
    return status;
}

/* --- scripts --- */

struct reader {
    FILE *in;
    char *physical; /* getline()'s */
    size_t size;
    size_t lines;    /* physical ones read */
    struct buf text; /* the line with its continuations */
};

/* Appends the next physical line, without its end. 1: done; 0: end of the file; -1: error. */
static int read_physical(struct reader *r, struct err *err)
{
    ssize_t len;

    errno = 0;
    len = getline(&r->physical, &r->size, r->in);
    if (len < 0 && errno == EINTR)
        return err_set(err, ERR_SIGINT, "interrupted");
    if (len < 0)
        return ferror(r->in) ? err_errno(err, ERR_INPUT, errno, "read") : 0;
    r->lines++;
    if (strlen(r->physical) != (size_t)len)
        return err_set(err, ERR_INPUT, "the line holds a NUL byte");
    if (r->text.len + (size_t)len > LINE_BYTES_MAX)
        return err_set(err, ERR_INPUT, "the line is longer than %d bytes", LINE_BYTES_MAX);
    if (len > 0 && r->physical[len - 1] == '\n')
        r->physical[--len] = '\0';
    if (r->lines == 1 && strncmp(r->physical, BYTE_ORDER_MARK, 3) == 0)
        buf_adds(&r->text, r->physical + 3);
    else
        buf_adds(&r->text, r->physical);
    return 1;
}

/* The next line with all its continuations in r->text. 1: done; 0: end of the file; -1: error. */
static int read_line(struct reader *r, struct err *err)
{
    int got;

    buf_clear(&r->text);
    got = read_physical(r, err);
    while (got > 0 && line_continues(r->text.data)) {
        buf_addc(&r->text, '\n');
        got = read_physical(r, err);
        if (got == 0)
            return err_set(err, ERR_USAGE, "the last line ends in a backslash; no line follows it");
    }
    return got;
}

/* A command may have ended well although somebody pressed Ctrl-C: the script ends all the same. */
static int run_script_line(struct shell *sh, const char *text, size_t first)
{
    struct err err = ERR_INIT;
    int status = shell_run_line(sh, text, first);

    if (status != 0 || shell_interrupts() == 0)
        return status;
    err_set(&err, ERR_SIGINT, "interrupted");
    return shell_report(sh, "load", &err);
}

int shell_run_stream(struct shell *sh, FILE *in, const char *name)
{
    struct source source = {.name = name, .outer = sh->source};
    struct reader r = {.in = in};
    struct err err = ERR_INIT;
    int status = 0, got;

    source.depth = sh->source ? sh->source->depth + 1 : 1;
    buf_init(&r.text, 0);
    sh->source = &source;
    while (status == 0 && !sh->quit) {
        size_t first = r.lines + 1;

        source.line = first;
        got = read_line(&r, &err);
        if (got == 0)
            break;
        status = got < 0 ? shell_report(sh, "load", &err) : run_script_line(sh, r.text.data, first);
    }
    sh->source = source.outer;
    buf_release(&r.text);
    free(r.physical);
    return status;
}

int shell_load(struct shell *sh, const char *path, struct err *err)
{
    FILE *in;
    int status;

    if (sh->source && sh->source->depth >= NESTING_MAX)
        return err_set(err, ERR_USAGE, "%s: scripts load each other more than %d deep", path,
                       NESTING_MAX);
    in = fopen(path, "re");
    if (!in)
        return err_errno(err, ERR_INPUT, errno, "read %s", path);
    status = shell_run_stream(sh, in, path);
    fclose(in);
    if (status == 0)
        return 0;
    err_set(err, sh->failure.code == ERR_OK ? ERR_FAILED : sh->failure.code, "%s%s%s",
            sh->failure_position ? sh->failure_position : "", sh->failure_position ? ": " : "",
            sh->failure.text);
    err_advise(err, "%s", sh->failure.advice);
    sh->failure_shown = true;
    return -1;
}
