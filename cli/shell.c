#include "kvsh/shell.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/complete.h"
#include "cli/find.h"
#include "cli/help.h"
#include "cli/interrupt.h"
#include "cli/lexer.h"
#include "cli/mask.h"
#include "cli/pager.h"
#include "cli/shell_private.h"
#include "cli/terminal.h"
#include "kvsh/fs.h"
#include "kvsh/mem.h"

/* Names and texts are UTF-8 whatever the environment says; without a UTF-8 locale the editor would
 * count bytes. */
static void use_utf8(void)
{
    if (setlocale(LC_CTYPE, "") && strcmp(nl_langinfo(CODESET), "UTF-8") == 0)
        return;
    setlocale(LC_CTYPE, "C.UTF-8");
}

struct shell *shell_new(const struct shell_host *host, const struct shell_config *config)
{
    struct shell *sh = xcalloc(1, sizeof *sh);

    sh->host = *host;
    sh->config = *config;
    use_utf8();
    interrupt_install();
    shell_set_history_file(sh, config->history_file);
    return sh;
}

void shell_free(struct shell *sh)
{
    if (!sh)
        return;
    shell_progress(sh, NULL);
    interrupt_uninstall();
    line_history_release(&sh->history);
    free(sh->failure_position);
    free(sh);
}

struct shell_config *shell_config(struct shell *sh)
{
    return &sh->config;
}

const struct shell_host *shell_host(const struct shell *sh)
{
    return &sh->host;
}

bool shell_is_verbose(const struct shell *sh)
{
    return sh->config.verbose || sh->flags.verbose;
}

bool shell_gives_json(const struct shell *sh)
{
    return sh->config.json || sh->flags.json;
}

bool shell_is_prompt(const struct shell *sh)
{
    return sh->source && !sh->source->name;
}

bool shell_wants_quit(const struct shell *sh)
{
    return sh->quit;
}

const char *shell_command_line(const struct shell *sh)
{
    return sh->command_line ? sh->command_line : "";
}

void shell_set_history_file(struct shell *sh, const char *path)
{
    struct err err = ERR_INIT;

    sh->history.keep = sh->config.history_size;
    if (line_history_open(&sh->history, path, &err) < 0 && shell_is_prompt(sh))
        shell_report(sh, "history", &err);
    sh->config.history_file = sh->history.path;
}

void shell_progress(struct shell *sh, const char *line)
{
    if (!line && !sh->in_progress)
        return;
    if (shell_gives_json(sh) || sh->config.quiet || sh->flags.quiet || sh->paging ||
        terminal_is_dumb() || !isatty(STDERR_FILENO))
        return;
    terminal_progress(line);
    sh->in_progress = line != NULL;
}

void shell_complete(struct shell *sh, const char *line,
                    void (*add)(void *arg, const char *word, const char *meaning), void *arg)
{
    struct arena a = {0};
    struct completion c;

    complete_line(&c, &sh->host, shell_is_prompt(sh), line, &a);
    for (size_t i = 0; i < c.n; i++)
        add(arg, c.items[i].word, c.items[i].meaning);
    arena_release(&a);
}

/* --- running one command --- */

static bool wants_color(const struct shell *sh)
{
    return sh->config.color == COLOR_ALWAYS ||
           (sh->config.color == COLOR_AUTO && terminal_has_color(stdout));
}

static struct out_config out_settings(const struct shell *sh, FILE *results)
{
    return (struct out_config){
        .results = results,
        .diagnostics = stderr,
        .json = shell_gives_json(sh),
        .quiet = sh->config.quiet || sh->flags.quiet,
        .color = wants_color(sh),
    };
}

/* "FILE:LINE" of the script the command stands in; NULL at the prompt and for words. */
static char *position(const struct shell *sh)
{
    return sh->source && sh->source->name ? xasprintf("%s:%zu", sh->source->name, sh->source->line)
                                          : NULL;
}

/* The scripts around the one that failed. */
static void print_chain(const struct shell *sh)
{
    const struct source *s = sh->source ? sh->source->outer : NULL;

    for (; s && !shell_gives_json(sh); s = s->outer)
        if (s->name)
            fprintf(stderr, "    loaded from %s:%zu\n", s->name, s->line);
}

/* Renders the command's outcome, and keeps a failure for whoever loaded this line. */
static int finish(struct shell *sh, struct out *out, const struct err *err)
{
    static const struct err nothing_to_print = {.code = ERR_VIOLATIONS};
    bool shown = sh->failure_shown && err->code != ERR_OK && !shell_gives_json(sh);
    char *where = position(sh);
    int status;

    shell_progress(sh, NULL);
    status = out_finish(out, shown ? &nothing_to_print : err, where);
    if (shown && status == err_exit_status(nothing_to_print.code))
        status = err_exit_status(err->code);
    if (err->code != ERR_OK && !shown)
        print_chain(sh);
    if (status != 0) {
        free(sh->failure_position);
        sh->failure = *err;
        sh->failure_position = where;
        where = NULL;
    }
    free(where);
    return status;
}

/* Where the results of one command go. */
struct output {
    struct out *out;
    FILE *pager; /* NULL: straight to stdout */
};

static void output_open(struct shell *sh, struct output *o, const char *operation,
                        const struct out_table *const *tables)
{
    struct out_config settings;

    o->pager = NULL;
    if (sh->config.page && tables && !shell_gives_json(sh) && isatty(STDOUT_FILENO))
        o->pager = pager_open();
    sh->paging = o->pager != NULL;
    settings = out_settings(sh, o->pager ? o->pager : stdout);
    o->out = out_new(&settings, operation, tables);
}

static int output_close(struct shell *sh, struct output *o, const struct err *err)
{
    int status = finish(sh, o->out, err);

    out_free(o->out);
    if (o->pager)
        pager_close(o->pager);
    sh->paging = false;
    return status;
}

int shell_report(struct shell *sh, const char *operation, const struct err *err)
{
    struct output o;

    output_open(sh, &o, operation, NULL);
    return output_close(sh, &o, err);
}

static int run_checked(struct shell *sh, const struct cmd *cmd, const void *options,
                       struct out *out, struct err *err)
{
    if (cmd->needs & CMD_INTERACTIVE && !sh->source)
        return err_set(err, ERR_USAGE, "\"%s\" works at the prompt and in scripts only", cmd->name);
    if (sh->host.prepare && sh->host.prepare(sh->host.session, cmd, err) < 0)
        return -1;
    if (cmd->run(sh->host.session, options, out, err) < 0)
        return err->code == ERR_OK ? err_set(err, ERR_INTERNAL, "failed without a reason") : -1;
    err_clear(err);
    if (cmd->needs & CMD_QUIT)
        sh->quit = true;
    return 0;
}

static void print_time(const struct shell *sh, int64_t start)
{
    if (sh->config.timer && !shell_gives_json(sh))
        fprintf(stderr, "time: %.3f s\n", (double)(time_mono_ms() - start) / 1000);
}

static void add_notice(struct shell *sh, const struct cmd *cmd, struct out *out,
                       const struct err *outcome)
{
    char *text = NULL;

    if (sh->host.notice && cmd->needs & CMD_STORE)
        text = sh->host.notice(sh->host.session, outcome);
    if (text)
        out_note(out, "%s", text);
    free(text);
}

/* A command that is known and whose options are right. */
static int run(struct shell *sh, const struct cmd *cmd, const void *options)
{
    int64_t start = time_mono_ms();
    struct err err = ERR_INIT;
    struct output o;
    int status;

    output_open(sh, &o, cmd->name, cmd->tables);
    sh->failure_shown = false;
    run_checked(sh, cmd, options, o.out, &err);
    add_notice(sh, cmd, o.out, &err);
    status = output_close(sh, &o, &err);
    sh->failure_shown = false;
    print_time(sh, start);
    return status;
}

/* Help is a command's output like any other, whatever command it is about. */
static int run_help(struct shell *sh, size_t n, const char *const *words)
{
    struct err err = ERR_INIT;
    struct output o;

    output_open(sh, &o, "help", help_tables);
    help_fill(sh, n, words, o.out, &err);
    return output_close(sh, &o, &err);
}

static bool is_one_of(const char *word, const char *a, const char *b, const char *c)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0 || (c && strcmp(word, c) == 0);
}

/* Before the options are known, -json is looked for by its word. */
static void find_json_flag(struct shell *sh, size_t n, const char *const *words)
{
    for (size_t i = 0; i < n; i++)
        if (is_one_of(words[i], "-json", "--json", NULL))
            sh->flags.json = true;
}

static void flags_add(struct common_opts *flags, const struct common_opts *more)
{
    flags->json = flags->json || more->json;
    flags->quiet = flags->quiet || more->quiet;
    flags->verbose = flags->verbose || more->verbose;
}

static int exec_words(struct shell *sh, size_t n, const char *const *words, struct arena *a)
{
    struct err err = ERR_INIT;
    struct find f;
    struct args p;

    find_init(&f, sh->host.cmds, shell_is_prompt(sh));
    f.host = &sh->host;
    if (find_words(&f, n, words, &err) < 0) {
        find_json_flag(sh, n, words);
        if (f.used < n && is_one_of(words[f.used], "-help", "--help", "?"))
            return run_help(sh, f.used, words);
        return shell_report(sh, *f.path ? f.path : words[0], &err);
    }
    if (args_parse(&p, f.cmd, n - f.used, words + f.used, a, &err) < 0) {
        find_json_flag(sh, n, words);
        return shell_report(sh, f.cmd->name, &err);
    }
    flags_add(&sh->flags, &p.common);
    if (p.common.help)
        return run_help(sh, f.used, words);
    return run(sh, f.cmd, p.options);
}

int shell_exec(struct shell *sh, size_t n, const char *const *words)
{
    struct common_opts outer_flags = sh->flags;
    char *outer_line = sh->command_line;
    struct arena a = {0};
    int status;

    if (n == 0)
        return 0;
    sh->command_line = mask_words(sh->host.cmds, n, words);
    status = exec_words(sh, n, words, &a);
    arena_release(&a);
    free(sh->command_line);
    sh->command_line = outer_line;
    sh->flags = outer_flags;
    return status;
}
