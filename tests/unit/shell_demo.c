/*
 * A shell on the fake commands, to be used by hand and by tests: a prompt, a script on stdin, or
 * words. With DEMO_PRINT=man, bash or schema it prints what is generated from its table instead.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/help.h"
#include "fake_cmds.h"
#include "kvsh/buf.h"
#include "kvsh/json.h"

static int print_generated(const char *what)
{
    struct buf b;
    struct json *schema;
    char *text;

    buf_init(&b, 0);
    if (strcmp(what, "man") == 0) {
        help_man(&b, fake_cmds);
    } else if (strcmp(what, "bash") == 0) {
        help_bash(&b, &fake_program);
    } else {
        schema = help_schema(fake_cmds[0]);
        text = json_print_pretty(schema);
        buf_adds(&b, text);
        free(text);
        json_free(schema);
    }
    fputs(b.data, stdout);
    buf_release(&b);
    return 0;
}

int main(int argc, char **argv)
{
    struct session session = {.shell = NULL};
    struct shell_host host = fake_host(&session);
    struct shell_config config = {.history_file = getenv("DEMO_HISTORY"),
                                  .json = getenv("DEMO_JSON") != NULL,
                                  .page = getenv("DEMO_PAGE") != NULL};
    int first = 1, status;

    if (getenv("DEMO_PRINT"))
        return print_generated(getenv("DEMO_PRINT"));
    while (first + 1 < argc && argv[first][0] == '-')
        first += 2;
    session.shell = shell_new(&host, &config);
    if (first < argc)
        status =
            shell_exec(session.shell, (size_t)(argc - first), (const char *const *)(argv + first));
    else if (isatty(STDIN_FILENO))
        status = shell_run_prompt(session.shell);
    else
        status = shell_run_stream(session.shell, stdin, "stdin");
    shell_free(session.shell);
    return status;
}
