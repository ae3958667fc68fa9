/* Any text is a script: it runs to its end or stops with a status and a place; nothing else. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../unit/fake_cmds.h"
#include "fuzz.h"
#include "kvsh/mem.h"

/* What commands print is not of interest here; returns what stood in its place. */
static int silence(int fd, FILE *stream)
{
    int kept, null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    fflush(stream);
    kept = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    FUZZ_CHECK(null >= 0 && kept >= 0 && dup2(null, fd) == fd);
    close(null);
    return kept;
}

static void speak(int fd, FILE *stream, int kept)
{
    fflush(stream);
    FUZZ_CHECK(dup2(kept, fd) == fd);
    close(kept);
}

/* Commands that read files by name, or wait. */
static bool is_left_out(const char *text)
{
    return strstr(text, "load") != NULL || strstr(text, "pause") != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct session session = {.shell = NULL};
    struct shell_host host = fake_host(&session);
    struct shell_config config = {.json = size > 0 && data[0] % 2 == 1};
    char *text = xstrndup((const char *)data, size);
    size_t len = strlen(text);
    FILE *in = len > 0 && !is_left_out(text) ? fmemopen(text, len, "r") : NULL;
    int out, err, status;

    if (in != NULL) {
        out = silence(STDOUT_FILENO, stdout);
        err = silence(STDERR_FILENO, stderr);
        session.shell = shell_new(&host, &config);
        status = shell_run_stream(session.shell, in, "fuzz");
        shell_free(session.shell);
        fclose(in);
        speak(STDERR_FILENO, stderr, err);
        speak(STDOUT_FILENO, stdout, out);
        FUZZ_CHECK(status >= 0 && status < 256);
    }
    free(text);
    return 0;
}
