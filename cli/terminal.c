#include "cli/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/text.h"
#include "kvsh/buf.h"

enum { COLUMNS_USUAL = 80, ROWS_USUAL = 24, COLUMNS_LEAST = 20 };

bool terminal_is_dumb(void)
{
    const char *term = getenv("TERM");

    return !term || !*term || strcmp(term, "dumb") == 0;
}

size_t terminal_columns(int fd)
{
    struct winsize ws;

    if (ioctl(fd, TIOCGWINSZ, &ws) < 0 || ws.ws_col == 0)
        return COLUMNS_USUAL;
    return ws.ws_col < COLUMNS_LEAST ? COLUMNS_LEAST : ws.ws_col;
}

size_t terminal_rows(int fd)
{
    struct winsize ws;

    return ioctl(fd, TIOCGWINSZ, &ws) < 0 || ws.ws_row == 0 ? ROWS_USUAL : ws.ws_row;
}

size_t terminal_text_width(size_t most)
{
    size_t columns = isatty(STDOUT_FILENO) ? terminal_columns(STDOUT_FILENO) - 1 : most;

    return columns < most ? columns : most;
}

bool terminal_has_color(FILE *f)
{
    const char *no_color = getenv("NO_COLOR");

    return isatty(fileno(f)) && !terminal_is_dumb() && (!no_color || !*no_color);
}

void terminal_progress(const char *line)
{
    struct buf b;

    buf_init(&b, 0);
    buf_adds(&b, "\r\033[K");
    if (line)
        text_cut(&b, line, terminal_columns(STDERR_FILENO) - 1);
    fwrite(b.data, 1, b.len, stderr);
    fflush(stderr);
    buf_release(&b);
}
