#include "cli/pager.h"

#include <stdlib.h>

FILE *pager_open(void)
{
    const char *pager = getenv("PAGER");

    if (!pager || !*pager)
        pager = "less 2>/dev/null || more";
    /* As other programs do: leave at once when one screen is enough, show colours, keep the screen.
     */
    setenv("LESS", "FRX", 0);
    fflush(NULL);
    return popen(pager, "we");
}

void pager_close(FILE *pager)
{
    pclose(pager);
}
