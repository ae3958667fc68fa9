/* Any text is a line or an error; words stand where they say, and can be written so that they are
 * read back. */
#include <string.h>

#include "../unit/fake_cmds.h"
#include "cli/lexer.h"
#include "cli/mask.h"
#include "fuzz.h"
#include "kvsh/mem.h"

static void check_word(const struct word *w, size_t len, struct arena *a)
{
    struct err err = ERR_INIT;
    struct line again;
    size_t at;

    FUZZ_CHECK(w->start < w->end && w->end <= len);
    FUZZ_CHECK(strlen(w->text) <= w->end - w->start);
    FUZZ_CHECK(line_parse(&again, line_quote(a, w->text), a, &at, &err) == 0);
    FUZZ_CHECK(again.n == 1 && again.commands[0].n == 1);
    FUZZ_CHECK(strcmp(again.commands[0].words[0].text, w->text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct arena a = {0};
    struct line line;
    size_t at = 0, last = 0;
    char *text = xstrndup((const char *)data, size), *masked;
    size_t len = strlen(text);

    if (line_split(&line, text, &a, &at, &err) == 0) {
        for (size_t i = 0; i < line.n; i++) {
            FUZZ_CHECK(line.commands[i].n > 0);
            for (size_t w = 0; w < line.commands[i].n; w++) {
                FUZZ_CHECK(line.commands[i].words[w].start >= last);
                last = line.commands[i].words[w].end;
                check_word(&line.commands[i].words[w], len, &a);
            }
        }
        FUZZ_CHECK(!line.in_word || line.tail.n > 0);
    } else {
        FUZZ_CHECK(err.code == ERR_USAGE && *err.text);
    }
    FUZZ_CHECK(at <= len);
    FUZZ_CHECK(line_position(text, at).column <= len + 1);
    line_continues(text);
    masked = mask_line(fake_cmds, text);
    FUZZ_CHECK(!masked || strlen(masked) <= 8 * len + 8);
    free(masked);
    free(text);
    arena_release(&a);
    return 0;
}
