/* Questions about what could go at once, answered by an engine's rules. Pure. */
#pragma once

#include "kvsh/cluster.h"
#include "kvsh/finding.h"
#include "kvsh/plan.h"

struct safety {
    void (*check)(const struct intent *in, const struct cluster *c, struct findings *f);
    enum verb verb;
    const struct cluster *cluster;
};

/* What speaks against doing it to all of these at once. */
void safety_ask(const struct safety *s, const char *const *services, size_t n, struct findings *f);

/*
 * Which of the candidates could go together, at most max: one after the other in the order given,
 * each taken when nothing blocks it beside those taken before. Sets chosen[i]; returns how many.
 */
size_t safety_together(const struct safety *s, const char *const *candidates, size_t n, size_t max,
                       bool *chosen);

/*
 * The services to try beside `given`, the likeliest first: of the same node, of the same zone, the
 * others; where there are roles, replicas before primaries. Only services of the kind of given[0].
 * The array lives in the arena; *n is their number.
 */
const char **safety_candidates(const struct cluster *c, const char *const *given, size_t n_given,
                               struct arena *a, size_t *n);
