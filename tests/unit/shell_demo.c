/* A shell on the fake commands, to be used by hand and by test_prompt: prompt, script on stdin, or
 * words. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_cmds.h"

int main(int argc, char **argv)
{
    struct session session = {.shell = NULL};
    struct shell_host host = fake_host(&session);
    struct shell_config config = {.history_file = getenv("DEMO_HISTORY"),
                                  .json = getenv("DEMO_JSON") != NULL,
                                  .page = getenv("DEMO_PAGE") != NULL};
    int first = 1, status;

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
