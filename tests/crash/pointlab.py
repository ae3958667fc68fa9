"""What the programs that crash at every point share: the runner (or the shell) is killed at each point the program
itself names (KVSH_CRASH_COUNT), the plan is resumed, and the end must be that of an undisturbed run.

    EVERY=1         all points; without it SAMPLE of each case, by SEED
    FIRST=2         with EVERY, begin with that one: FIRST=1 EVERY=2 and FIRST=2 EVERY=2 share the points
    ONLY=a,b        only these cases
    JOBS=3          so many at once, where each run has a store of its own

A store has a `lab` (of the class JournalReader, with command(), environment(), file(), told() and check_ended()), and

    begin()         puts it into the state to begin with; returns the command
    mark()          what must be the same while no plan was made
    end(run)        what the run left, to be compared; raises Violation when something is wrong in any case
    close()
"""
import collections
import contextlib
import os
import random
import shlex
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import kvtest
import tap
from crashlab import Violation, must, variable

EVERY = variable("EVERY", 0)  # each so many-th point; 0: SAMPLE of each case
FIRST = variable("FIRST", 1)
SAMPLE = variable("SAMPLE", 2)
JOBS = variable("JOBS", 3)
SEED = variable("SEED", random.SystemRandom().randrange(1, 1 << 31))
rng = random.Random(SEED)
ONLY = [name for name in os.environ.get("ONLY", "").split(",") if name]
RUNNER, SHELL = "run-plan", "!run-plan"
WORDS = {RUNNER: "runner", SHELL: "shell"}

covered, enumerated, tried = collections.Counter(), collections.Counter(), collections.Counter()


class Run:
    def __init__(self, store):
        self.store, self.lab = store, store.lab
        self.line = store.begin()
        self.before = self.lab.last_plan()
        self.mark = store.mark()
        self.points_file = self.lab.file("points", "")
        self.said = []

    def call(self, line, **env):
        words = self.lab.command(*shlex.split(line))
        done = subprocess.run(words, env=self.lab.environment(**env), text=True, timeout=180,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        run = kvtest.Run(words, done.returncode, done.stdout, done.stderr)
        must("Sanitizer" not in done.stderr, str(run))
        self.said.append(str(run))
        return run

    def points(self):
        """The names of the points passed so far."""
        with open(self.points_file, encoding="ascii") as f:
            return f.read().split()

    def end(self):
        """What the run left; checks what must hold in any case."""
        plan = self.lab.last_plan()
        must(plan == self.before + 1, "one plan was made, not %d" % (plan - self.before))
        self.lab.check_ended(plan)
        return self.store.end(self)

    def finish(self):
        """Goes on by the means an operator has."""
        plan = self.lab.last_plan()
        if plan == self.before:
            must(self.store.mark() == self.mark, "nothing was changed without a plan")
            must(self.call(self.line + " -wait").status == 0, "the command given again succeeds")
            return
        while self.lab.state(plan) == "RUNNING" and self.lab.runners():
            time.sleep(0.02)
        if self.lab.state(plan) != "SUCCEEDED":
            must(self.call("plan execute -id %d -wait" % plan).status == 0, "plan execute succeeds")


def undisturbed(store, where):
    """The names of the points, and the end."""
    run = Run(store)
    answer = run.call(run.line + " -wait", KVSH_CRASH_COUNT=run.points_file, KVSH_CRASH_IN=where)
    must(answer.status == 0, "undisturbed:\n%s" % answer)
    return run.points(), run.end()


def crash_at(store, where, n, want):
    """True when the point was reached."""
    run = Run(store)
    try:
        run.call(run.line + " -wait", KVSH_CRASH_AT=str(n), KVSH_CRASH_COUNT=run.points_file, KVSH_CRASH_IN=where)
        reached = len(run.points()) >= n
        run.finish()
        got = run.end()
        must(got == want, "the end differs: %s; undisturbed: %s" % (got, want))
        return reached
    except Exception:
        for text in run.said:
            tap.note(text)
        if store.lab.last_plan() > run.before:
            tap.note(store.lab.told(store.lab.last_plan()))
        raise


def chosen(count):
    """The numbers of the points to crash at."""
    if EVERY:
        return range(FIRST, count + 1, EVERY)
    return sorted(rng.sample(range(1, count + 1), min(SAMPLE, count)))


def crash_everywhere(take, where):
    """take() gives a context with a store to begin with, one at a time or JOBS at once."""
    with take() as store:
        points, want = undisturbed(store, where)

    def one(n):
        try:
            with take() as store:
                return crash_at(store, where, n, want)
        except AssertionError as e:
            return "point %d (%s) of the %s: %s" % (n, points[n - 1], WORDS[where], e)

    must(points, "the %s names its points" % WORDS[where])
    numbers = chosen(len(points))
    with ThreadPoolExecutor(take.jobs) as pool:
        results = list(pool.map(one, numbers))
    for result in results:
        if isinstance(result, str):
            tap.fail(result)
    hit, kinds = results.count(True), collections.Counter(points)
    tap.note("%s: %s points (%s), %d tried, %d reached" % (
        WORDS[where], len(points), ", ".join("%s %d" % (k, kinds[k]) for k in sorted(kinds)), len(numbers), hit))
    tap.ok(hit > 0 or not EVERY, "some point was reached")
    enumerated[where] += len(points)
    tried[where] += len(numbers)
    covered[where] += hit


class Taking:
    """One store again and again."""

    jobs = 1

    def __init__(self, store):
        self.store = store

    def __call__(self):
        return self

    def __enter__(self):
        return self.store

    def __exit__(self, *_):
        pass


class Making:
    """A new store each time."""

    jobs = JOBS

    def __init__(self, make):
        self.make = make

    def __call__(self):
        return contextlib.closing(self.make())


def tell_total():
    for where, word in WORDS.items():
        tap.note("%s: %d points enumerated by the program, %d of them crashed at and resumed" % (
            word, enumerated[where], covered[where]))
        tap.ok(covered[where] > 0 or not tried[where], "the %s was crashed at some point" % word)
