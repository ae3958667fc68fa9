/* The prompt: lines from the editor until there are no more. */
#include "cli/editor.h"
#include "cli/shell_private.h"
#include "kvsh/buf.h"

int shell_run_prompt(struct shell *sh)
{
    struct source source = {.outer = sh->source};
    struct editor *editor;
    enum editor_result result = EDITOR_LINE;
    struct buf text;
    int status = 0, now;

    buf_init(&text, 0);
    sh->source = &source;
    editor = editor_new(sh);
    while (!sh->quit && (result == EDITOR_LINE || result == EDITOR_INTERRUPTED)) {
        result = editor_line(editor, &text);
        if (result != EDITOR_LINE)
            continue;
        now = shell_run_line(sh, text.data, 1);
        if (!sh->quit) /* leaving does not change what the command before said */
            status = now;
    }
    editor_free(editor);
    sh->source = source.outer;
    buf_release(&text);
    return result == EDITOR_TERMINATED ? err_exit_status(ERR_SIGTERM) : status;
}
