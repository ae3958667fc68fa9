#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/help.h"
#include "commands/program.h"
#include "commands/session.h"
#include "kvsh/buf.h"
#include "kvsh/fs.h"
#include "kvsh/http.h"

/* A failure before there is a shell: one sentence, as everywhere. */
static int fail(const struct err *err)
{
    fprintf(stderr, "kvsh: %s\n", err->text);
    if (err->advice[0])
        fprintf(stderr, "    %s\n", err->advice);
    return err_exit_status(err->code);
}

static int print(const char *text)
{
    if (fputs(text, stdout) == EOF || fflush(stdout) == EOF) {
        perror("kvsh: write results");
        return err_exit_status(ERR_FAILED);
    }
    return 0;
}

static int print_help(void)
{
    struct buf b;
    int rc;

    buf_init(&b, 0);
    help_command_text(&b, &program, 80);
    buf_adds(&b,
             "\nBefore or behind a command: -json, -quiet, -verbose, -help; 'kvsh help' lists the "
             "commands.\n");
    rc = print(b.data);
    buf_release(&b);
    return rc;
}

static struct session_flags flags_of(const struct program_opts *o)
{
    return (struct session_flags){
        .store = o->store,
        .host = o->host,
        .config_file = o->config,
        .state_dir = o->state_dir,
        .port = o->port,
        .timeout_ms = o->timeout_ms,
    };
}

static int check(const struct program_opts *o, struct err *err)
{
    if ((o->host != NULL) != (o->port > 0))
        return err_set(err, ERR_USAGE, "-host and -port go together");
    return 0;
}

static struct shell_config config_of(const struct args *args)
{
    const struct program_opts *o = args->options;
    struct shell_config c = {
        .json = args->common.json,
        .quiet = args->common.quiet,
        .verbose = args->common.verbose,
        .color = COLOR_AUTO,
    };

    if (o->color != NULL && strcmp(o->color, "always") == 0)
        c.color = COLOR_ALWAYS;
    if (o->color != NULL && strcmp(o->color, "never") == 0)
        c.color = COLOR_NEVER;
    return c;
}

/* The prompt: with the node of -host connected at once, so that what is wrong is seen before the
 * first command. */
static int run_prompt(struct session *s, struct shell *sh, const struct program_opts *o)
{
    char port[32];
    const char *connect[] = {"connect", "-host", o->host, "-port", port};

    session_use_history(s);
    if (o->host != NULL) {
        snprintf(port, sizeof port, "%lld", (long long)o->port);
        shell_exec(sh, 5, connect);
    }
    return shell_run_prompt(sh);
}

static bool is_interrupted(void)
{
    return shell_interrupts() > 0;
}

static int run(const struct args *args)
{
    const struct program_opts *o = args->options;
    const struct session_flags flags = flags_of(o);
    const struct shell_config config = config_of(args);
    struct session *s = session_new(&flags);
    const struct shell_host host = session_shell_host(s);
    struct shell *sh = shell_new(&host, &config);
    int status;

    session_attach(s, sh);
    http_stop_when(is_interrupted);
    if (o->command.n > 0)
        status = shell_exec(sh, o->command.n, o->command.v);
    else if (isatty(STDIN_FILENO))
        status = run_prompt(s, sh, o);
    else
        status = shell_run_stream(sh, stdin, "stdin");
    shell_free(sh);
    session_free(s);
    return status;
}

int main(int argc, char **argv)
{
    struct arena arena = {0};
    struct err err = ERR_INIT;
    struct args args;
    const struct program_opts *o;
    int status;

    signal(SIGPIPE, SIG_IGN);
    fs_take_standard_streams();
    if (args_parse(&args, &program, argc > 0 ? (size_t)argc - 1 : 0, (const char *const *)argv + 1,
                   &arena, &err) != 0 ||
        check(args.options, &err) != 0) {
        status = fail(&err);
        goto out;
    }
    o = args.options;
    if (args.common.help && o->command.n == 0)
        status = print_help();
    else if (o->version)
        status = print("kvsh " PACKAGE_VERSION "\n");
    else
        status = run(&args);
out:
    arena_release(&arena);
    return status;
}
