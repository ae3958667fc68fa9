#include "cli/suggest.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum { NAME_MAX_LEN = 63 }; /* longer words resemble nothing */

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

unsigned edit_distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    unsigned row[3][NAME_MAX_LEN + 1];
    unsigned *before = row[0], *last = row[1], *now = row[2];

    if (la > NAME_MAX_LEN || lb > NAME_MAX_LEN)
        return la == lb && strcasecmp(a, b) == 0 ? 0 : NAME_MAX_LEN;
    for (size_t j = 0; j <= lb; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned *spare = before;

        now[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            now[j] = least(least(last[j], now[j - 1]) + 1, last[j - 1] + !same(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                now[j] = least(now[j], before[j - 2] + 1);
        }
        before = last;
        last = now;
        now = spare;
    }
    return last[lb];
}

/* Does `whole` begin or end with `part`, or hold it between dashes? "stop-service-service" and
 * "stop-service". */
static bool holds(const char *whole, const char *part)
{
    size_t lw = strlen(whole), lp = strlen(part);

    if (lp < 3 || lp >= lw)
        return false;
    return strncasecmp(whole, part, lp) == 0 ||
           (strcasecmp(whole + lw - lp, part) == 0 && whole[lw - lp - 1] == '-');
}

/* Distance for ranking: a name that only lacks or repeats whole parts counts as near. */
static unsigned distance(const char *typed, const char *candidate)
{
    unsigned d = edit_distance(typed, candidate);

    if (holds(candidate, typed))
        return least(d, 1);
    return holds(typed, candidate) ? least(d, 2) : d;
}

void suggest_init(struct suggest *s, const char *typed)
{
    *s = (struct suggest){.typed = typed};
}

void suggest_add(struct suggest *s, const char *candidate)
{
    unsigned d = distance(s->typed, candidate);
    size_t len = strlen(s->typed);
    unsigned near_enough = len < 3 ? 1 : len < 6 ? 2 : (unsigned)(len / 3);

    if (d > near_enough || d >= strlen(candidate))
        return;
    if (s->n > 0 && d > s->distance)
        return;
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->best[i], candidate) == 0)
            return;
    if (s->n == 0 || d < s->distance) {
        s->n = 0;
        s->distance = d;
    }
    if (s->n < SUGGEST_MAX)
        s->best[s->n++] = candidate;
}
