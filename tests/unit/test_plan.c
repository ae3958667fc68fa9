/* model/plan.c: names, moves, verbs, building and counting. */
#include "kvsh/plan.h"

#include "tap.h"

static void names_and_back(void)
{
    for (int i = 0; i < PLAN_STATE_COUNT; i++) {
        enum plan_state s = PLAN_STATE_COUNT;

        ok(plan_state_by_name(plan_state_name((enum plan_state)i), &s) == 0);
        is_int(s, i);
    }
    for (int i = 0; i < TASK_STATE_COUNT; i++) {
        enum task_state s = TASK_STATE_COUNT;

        ok(task_state_by_name(task_state_name((enum task_state)i), &s) == 0);
        is_int(s, i);
    }
    ok(plan_state_by_name("running", &(enum plan_state){0}) < 0);
    ok(plan_state_by_name(NULL, &(enum plan_state){0}) < 0);
    ok(task_state_by_name("CANCELED", &(enum task_state){0}) < 0);
    is_str(plan_state_name(PLAN_STATE_COUNT), "?");
    is_str(task_state_name(TASK_STATE_COUNT), "?");
}

/* Every pair of states, written out: a row per state, a letter per state it may move to. */
static void plan_moves_are_those_drawn(void)
{
    static const char letters[] = "PARQISEC";
    static const char *const may[PLAN_STATE_COUNT] = {
        [PLAN_PENDING] = "AC",     [PLAN_APPROVED] = "RC",
        [PLAN_RUNNING] = "QISE",   [PLAN_INTERRUPT_REQUESTED] = "ISE",
        [PLAN_INTERRUPTED] = "RC", [PLAN_SUCCEEDED] = "",
        [PLAN_ERROR] = "RC",       [PLAN_CANCELED] = "",
    };

    for (int from = 0; from < PLAN_STATE_COUNT; from++) {
        for (int to = 0; to < PLAN_STATE_COUNT; to++) {
            bool want = strchr(may[from], letters[to]) != NULL;

            if (plan_may_move((enum plan_state)from, (enum plan_state)to) != want)
                printf("# %s to %s\n", plan_state_name((enum plan_state)from),
                       plan_state_name((enum plan_state)to));
            is_int(plan_may_move((enum plan_state)from, (enum plan_state)to), want);
        }
        is_int(plan_is_over((enum plan_state)from), *may[from] == '\0');
    }
    ok(!plan_may_move(PLAN_STATE_COUNT, PLAN_RUNNING));
    ok(!plan_may_move(PLAN_RUNNING, PLAN_STATE_COUNT));
}

static void task_moves_are_those_drawn(void)
{
    static const char letters[] = "PRSEIUK";
    static const char *const may[TASK_STATE_COUNT] = {
        [TASK_PENDING] = "RK", [TASK_RUNNING] = "RSEIU",  [TASK_SUCCEEDED] = "",
        [TASK_ERROR] = "RK",   [TASK_INTERRUPTED] = "RK", [TASK_UNKNOWN] = "RSIUK",
        [TASK_SKIPPED] = "",
    };

    for (int from = 0; from < TASK_STATE_COUNT; from++) {
        for (int to = 0; to < TASK_STATE_COUNT; to++)
            is_int(task_may_move((enum task_state)from, (enum task_state)to),
                   strchr(may[from], letters[to]) != NULL);
    }
}

static void rest_is_where_no_runner_works(void)
{
    for (int i = 0; i < PLAN_STATE_COUNT; i++)
        is_int(plan_at_rest((enum plan_state)i),
               i != PLAN_RUNNING && i != PLAN_INTERRUPT_REQUESTED);
}

static void verbs_have_words(void)
{
    for (int i = 0; i < VERB_COUNT; i++) {
        enum verb v = VERB_COUNT;

        ok(verb_by_word(verb_word((enum verb)i), &v) == 0);
        is_int(v, i);
        ok(*verb_title((enum verb)i) != '\0');
    }
    is_str(verb_word(VERB_STOP_SERVICE), "stop-service");
    is_str(verb_title(VERB_STOP_SERVICE), "Stop RepNodes");
    ok(verb_changes_store(VERB_STOP_SERVICE));
    ok(verb_by_word("stop-services", &(enum verb){0}) < 0);
    ok(verb_by_word(NULL, &(enum verb){0}) < 0);
}

static void a_plan_is_built(void)
{
    struct plan p = {0};
    struct json *effects = json_array();
    struct task *t;

    is_int(plan_last_wave(&p), 0);
    for (int i = 0; i < 20; i++) {
        char target[32];

        snprintf(target, sizeof target, "rg%d-rn1", i + 1);
        t = plan_add_task(&p, i / 8 + 1, "start", target, i == 19 ? NULL : "sn1");
        task_what(&p, t, "start %s on %s", target, "sn1");
    }
    is_int(p.n_tasks, 20);
    is_int(plan_last_wave(&p), 3);
    is_int(p.tasks[19].num, 20);
    is_str(p.tasks[0].what, "start rg1-rn1 on sn1");
    is_str(p.tasks[18].target, "rg19-rn1");
    is_str(p.tasks[18].node, "sn1");
    ok(p.tasks[19].node == NULL);
    is_int(p.tasks[3].percent, -1);
    is_int(p.tasks[3].state, TASK_PENDING);
    ok(plan_own(&p, effects) == effects);
    ok(plan_own(&p, NULL) == NULL);
    plan_release(&p);
    ok(p.tasks == NULL && p.owned == NULL);
    plan_release(&p);
}

static void tasks_are_counted(void)
{
    static const enum task_state states[] = {
        TASK_SUCCEEDED, TASK_SUCCEEDED, TASK_ERROR,   TASK_INTERRUPTED, TASK_UNKNOWN,
        TASK_SKIPPED,   TASK_RUNNING,   TASK_PENDING, TASK_PENDING,     TASK_RUNNING};
    struct plan p = {0};
    struct task_counts c;

    plan_count(&p, &c);
    is_int(c.total, 0);
    is_int(c.percent, 0);
    p.state = PLAN_SUCCEEDED;
    plan_count(&p, &c);
    is_int(c.percent, 100);

    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        plan_add_task(&p, 1, "x", "y", NULL)->state = states[i];
    p.tasks[6].percent = 50;
    plan_count(&p, &c);
    is_int(c.total, 10);
    is_int(c.succeeded, 2);
    is_int(c.failed, 1);
    is_int(c.interrupted, 1);
    is_int(c.unknown, 1);
    is_int(c.skipped, 1);
    is_int(c.running, 2);
    is_int(c.pending, 2);
    is_int(c.percent, 25);
    plan_release(&p);
}

static bool is_partial(const enum task_state states[4])
{
    struct plan p = {0};
    bool yes;

    for (int i = 0; i < 4; i++) /* two waves of two */
        plan_add_task(&p, i / 2 + 1, "x", "y", "sn1")->state = states[i];
    yes = plan_is_partial(&p);
    plan_release(&p);
    return yes;
}

static void part_of_the_last_wave_is_partial(void)
{
    const enum task_state good = TASK_SUCCEEDED, bad = TASK_ERROR;

    ok(is_partial((enum task_state[]){good, good, bad, good}));
    ok(is_partial((enum task_state[]){good, TASK_SKIPPED, good, bad}));
    ok(!is_partial((enum task_state[]){good, good, good, good}));
    ok(!is_partial((enum task_state[]){good, good, bad, bad}));
    ok(!is_partial((enum task_state[]){good, bad, TASK_PENDING, TASK_PENDING}));
    ok(!is_partial((enum task_state[]){good, bad, good, good}));
    ok(!is_partial((enum task_state[]){good, good, bad, TASK_UNKNOWN}));
    ok(!is_partial((enum task_state[]){good, good, bad, TASK_INTERRUPTED}));
}

int main(void)
{
    TAP_RUN(TAP_TEST(names_and_back), TAP_TEST(plan_moves_are_those_drawn),
            TAP_TEST(task_moves_are_those_drawn), TAP_TEST(rest_is_where_no_runner_works),
            TAP_TEST(verbs_have_words), TAP_TEST(a_plan_is_built), TAP_TEST(tasks_are_counted),
            TAP_TEST(part_of_the_last_wave_is_partial));
}
