/* Telling others how a plan ended: what they get, and what becomes of hooks that fail or hang. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvsh/fs.h"
#include "kvsh/mem.h"

#include "plan_support.h"
#include "tap.h"

/* A script of the test's directory; free() the path. */
static char *script(struct bench *b, const char *body)
{
    struct err err = ERR_INIT;
    char *path = xasprintf("%s/hook", b->dir), *text = xasprintf("#!/bin/sh\n%s\n", body);

    ok(fs_write_atomic(path, text, strlen(text), 0700, &err) == 0);
    free(text);
    return path;
}

static void tell(struct bench *b, int64_t id, const char *path, const char *word, int limit_ms)
{
    const char *const argv[] = {path, word, NULL};

    plan_notify(
        b->journal,
        &(struct notify){.argv = argv, .store = "teststore", .plan_id = id, .limit_ms = limit_ms});
}

static void the_outcome_arrives(void)
{
    struct err err = ERR_INIT;
    struct json *doc;
    struct bench b;
    char *path, *out, *text;
    int64_t id;

    bench_begin(&b);
    id = stored_plan(&b, 2, 2, "{\"fails\":9}");
    ok(execute(&b, id, &err) == 0);
    path = script(&b, "cat > \"$1\"; env | grep KVSH_ >> \"$1\"; exit 0");
    out = xasprintf("%s/told with a blank", b.dir);
    setenv("KVSH_TEST_PRIVATE", "x", 1);
    tell(&b, id, path, out, 0);
    unsetenv("KVSH_TEST_PRIVATE");
    text = fs_read(out, 1 << 20, NULL, &err);
    ok(text != NULL);
    doc = parsed(text);
    is_str(json_str(doc, "store"), "teststore");
    is_str(json_str(doc, "state"), "ERROR");
    is_int(json_int(doc, "planId", 0), id);
    is_int(json_int(doc, "exitStatus", -1), 69);
    is_int(json_len(json_get(doc, "failures")), 2);
    is_int(json_int(doc, "tasksInDoubt", -1), 0);
    ok(json_str(json_at(json_get(doc, "failures"), 0), "error") != NULL);
    is_int(events_like(&b, id, "was told"), 1);
    json_free(doc);
    free(text);
    free(out);
    free(path);
    bench_end(&b);
}

static void what_fails_is_an_event(void)
{
    struct err err = ERR_INIT;
    struct bench b;
    char *path;
    int64_t id;

    bench_begin(&b);
    id = stored_plan(&b, 1, 1, NULL);
    ok(execute(&b, id, &err) == 0);
    path = script(&b, "exit 3");
    tell(&b, id, path, "x", 0);
    is_int(events_like(&b, id, "ended with status 3"), 1);
    tell(&b, id, "/nowhere/at/all", "x", 0);
    is_int(events_like(&b, id, "/nowhere/at/all could not be run"), 1);
    is_int(state_of(&b, id), PLAN_SUCCEEDED);
    plan_notify(b.journal, &(struct notify){.store = "s", .plan_id = id}); /* nobody to tell */
    free(path);
    bench_end(&b);
}

static void what_hangs_is_killed_with_its_children(void)
{
    struct err err = ERR_INIT;
    int64_t id, begun = time_mono_ms();
    struct bench b;
    char *path, *pids, *text;

    bench_begin(&b);
    id = stored_plan(&b, 1, 1, NULL);
    ok(execute(&b, id, &err) == 0);
    path = script(&b, "sleep 60 & echo $! > \"$1\"; wait");
    pids = xasprintf("%s/pids", b.dir);
    tell(&b, id, path, pids, 2500);
    ok(time_mono_ms() - begun < 20000);
    is_int(events_like(&b, id, "did not end within 2.5 s and was killed"), 1);
    is_int(state_of(&b, id), PLAN_SUCCEEDED);
    text = fs_read(pids, 100, NULL, &err);
    ok(text != NULL);
    for (int i = 0; i < 600 && kill((int)strtol(text, NULL, 10), 0) == 0; i++) {
        char *stat = xasprintf("/proc/%d/stat", (int)strtol(text, NULL, 10)),
             *line = fs_read(stat, 999, NULL, &err);
        bool dead = line == NULL || strstr(line, ") Z ") != NULL;

        free(stat);
        free(line);
        if (dead)
            break;
        ok(i < 599);
        time_sleep_ms(50);
    }
    free(text);
    free(pids);
    free(path);
    bench_end(&b);
}

int main(void)
{
    TAP_RUN(TAP_TEST(the_outcome_arrives), TAP_TEST(what_fails_is_an_event),
            TAP_TEST(what_hangs_is_killed_with_its_children));
}
