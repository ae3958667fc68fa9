/*
 * For the tests of plan/: a directory to work in and an engine whose world is a file of lines.
 *
 *     perform T       a step began
 *     done T          its effect took place
 *     refused T       a failure without effect was reported
 *     settled T yes   the store was asked
 *     publish 3       copies of version 3 were asked for
 *
 * A task's args say how the step behaves:
 *
 *     {"fails": n}         the first n times it fails
 *     {"losesBefore": n}   the first n answers are lost before the effect,
 *     {"losesAfter": n}    or after it
 *     {"cannotTell": n}    the first n questions have no answer
 *     {"sleepMs": n}       it takes so long and stops when interrupted,
 *     {"deaf": true}       or does not mind that
 */
#pragma once

#include "kvsh/run.h"

struct bench {
    char dir[64]; /* of journal and world */
    char world[80];
    struct journal *journal;
    struct endpoint endpoint;
    const char *nodes[1];
};

extern const struct engine fake_engine;

void bench_begin(struct bench *b);
void bench_end(struct bench *b); /* removes the directory */
void bench_reopen(struct bench *b);

/* Adds a line to the world; says how often a line is there. */
void world_add(const char *world, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int world_count(const char *world, const char *line);
/* The next so many observations see the lease of another machine's plan. */
void world_leased(const char *world, int looks);
/* True when no step was performed a second time without a look in between. */
bool world_is_careful(const char *world);
/* What was done, sorted, one per line; free() it. */
char *world_done(const char *world);

/* A new plan of the given verb: n tasks, per wave `width` of them, all with these args (JSON text,
 * or NULL). */
void plan_of(struct plan *p, enum verb verb, int n, int width, const char *args);
int64_t stored_plan(struct bench *b, int n, int width, const char *args);
struct json *parsed(const char *text);

/* Takes the locks, executes the plan in this process, lets them go. */
int execute(struct bench *b, int64_t id, struct err *err);
enum plan_state state_of(struct bench *b, int64_t id);
enum task_state task_of(struct bench *b, int64_t id, int num);
/* Polls until the plan is in the state; false after ten seconds. */
bool wait_state(struct bench *b, int64_t id, enum plan_state want);
int events_like(struct bench *b, int64_t plan_id, const char *part);
