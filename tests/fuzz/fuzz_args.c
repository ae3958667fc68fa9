/* Any line is a command with its options, or an error with a sentence; and it can be completed at
 * its end. */
#include <string.h>

#include "../unit/fake_cmds.h"
#include "cli/args.h"
#include "cli/complete.h"
#include "cli/find.h"
#include "cli/lexer.h"
#include "fuzz.h"
#include "kvsh/mem.h"

static void check_error(const struct err *err)
{
    FUZZ_CHECK(err->code == ERR_USAGE || err->code == ERR_INPUT);
    FUZZ_CHECK(*err->text);
}

static void check_command(const struct line_command *command, bool abbreviate, struct arena *a)
{
    const char **words = arena_alloc(a, command->n * sizeof *words);
    struct err err = ERR_INIT;
    struct find f;
    struct args p;

    for (size_t i = 0; i < command->n; i++)
        words[i] = command->words[i].text;
    find_init(&f, fake_cmds, abbreviate);
    if (find_words(&f, command->n, words, &err) < 0) {
        check_error(&err);
        return;
    }
    FUZZ_CHECK(f.cmd && f.used > 0 && f.used <= command->n);
    if (args_parse(&p, f.cmd, command->n - f.used, words + f.used, a, &err) < 0)
        check_error(&err);
}

static void check_completion(const char *text, struct arena *a)
{
    struct session session = {.shell = NULL};
    struct shell_host host = fake_host(&session);
    struct completion c;

    complete_line(&c, &host, true, text, a);
    FUZZ_CHECK(c.start <= strlen(text));
    for (size_t i = 0; i < c.n; i++)
        FUZZ_CHECK(strncmp(c.items[i].word, c.typed, strlen(c.typed)) == 0);
    FUZZ_CHECK(c.n == 0 || completion_common(&c) <= strlen(c.items[0].word));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct arena a = {0};
    struct line line;
    size_t at;
    char *text = xstrndup((const char *)data, size);

    if (line_split(&line, text, &a, &at, &err) == 0) {
        for (size_t i = 0; i < line.n; i++) {
            check_command(&line.commands[i], false, &a);
            check_command(&line.commands[i], true, &a);
        }
    }
    check_completion(text, &a);
    free(text);
    arena_release(&a);
    return 0;
}
