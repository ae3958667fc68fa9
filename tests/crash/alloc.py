#!/usr/bin/env python3
"""Memory runs out: the n-th allocation of a process fails, whoever asks for it (the program or a library). It goes on,
or ends with a sentence and a status, never by a signal; the journal stays whole and the plan can be finished.

    EVERY=1 alloc.py        every n; without it SAMPLE of them, by SEED
"""
import collections
import os
import random
import re
import sqlite3
import subprocess

import crashlab
import kvtest
import tap
from crashlab import variable
from kvtest import wait_for

EVERY = variable("EVERY", 0)
SAMPLE = variable("SAMPLE", 25)
SEED = variable("SEED", random.SystemRandom().randrange(1, 1 << 31))
rng = random.Random(SEED)
# Unit tests that leave no files when they are cut short, and look at what they were given before they use it.
UNITS = ("args", "find", "finding", "json", "lexer", "plan", "summary")
lab = None


def build():
    """The allocator that fails"""
    global lab
    lab = kvtest.Lab()
    tap.note("seed %d" % SEED)
    lab.library = os.path.join(lab.folder, "alloc_fail.so")
    subprocess.check_call((os.environ.get("CC") or "cc").split() + [
        "-shared", "-fPIC", "-O1", "-o", lab.library, os.path.join(tap.source_dir(), "tests", "crash", "alloc_fail.c")])


def sanitized():
    return any(k.endswith("SAN_OPTIONS") for k in lab.environment())


def run(words, **more):
    env = lab.environment(top_srcdir=tap.source_dir(), top_builddir=tap.build_dir(), LD_PRELOAD=lab.library, **more)
    return subprocess.run(words, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, errors="replace", timeout=120)


def count(words):
    """The most allocations that a process of this run makes, and its end."""
    path = lab.file("count", "")
    done = run(words, ALLOC_COUNT=path)
    with open(path, encoding="ascii") as f:
        return max(map(int, f.read().split())), done


def chosen(n):
    return range(1, n + 1, EVERY) if EVERY else sorted(rng.sample(range(1, n + 1), min(n, SAMPLE)))


def ended(done, what):
    tap.ok(done.returncode >= 0, "%s ended by a signal (%d):\n%s" % (what, done.returncode, done.stderr))
    return "exit %d%s" % (done.returncode, ", out of memory" if "out of memory" in done.stderr else "")


def told(ends):
    return "; ".join("%s: %d" % (k, ends[k]) for k in sorted(ends))


def units():
    """Unit tests with the n-th allocation failing"""
    if sanitized():
        tap.note("not run: the sanitizer has an allocator of its own")
        return
    for name in UNITS:
        words, ends = [os.path.join(tap.build_dir(), "tests", "unit", "test_%s.t" % name)], collections.Counter()
        most, done = count(words)
        tap.equal(done.returncode, 0, "undisturbed test_%s" % name)
        for n in chosen(most):
            ends[ended(run(words, ALLOC_FAIL_AT=str(n)), "test_%s, allocation %d" % (name, n))] += 1
        tap.note("test_%s: %d allocations: %s" % (name, most, told(ends)))


def journal_is_whole():
    path = os.path.join(lab.folder, "state", kvtest.STORE, "journal.db")
    if not os.path.exists(path):
        return
    db = sqlite3.connect(path, timeout=10)
    try:
        tap.equal(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)], "integrity of the journal")
        tap.equal(db.execute("PRAGMA foreign_key_check").fetchall(), [], "references of the journal")
    finally:
        db.close()


def at_rest():
    """No runner is at work; the last plan's state."""
    wait_for(lambda: not [p for p in kvtest.processes_of(lab.folder) if b"run-plan" in kvtest._proc(p, "cmdline")],
             "the runner ends", 30)
    plans = re.findall(r"^ *(\d+) .*?([A-Z_]+)\s*$", lab.kvsh("show plans").out, re.M)
    return (int(plans[-1][0]), plans[-1][1]) if plans else (0, None)


def program():
    """Commands and a plan's runner with the n-th allocation failing"""
    if sanitized():
        tap.note("not run: the sanitizer has an allocator of its own")
        return
    lab.kvsh("configure -name " + kvtest.STORE)
    zones = 0
    for line in ("show plans", "help plan deploy-zone", "show topology -json",
                 "plan deploy-zone -name Z%d -rf 1 -wait"):
        def command():
            nonlocal zones
            zones += 1
            return lab.command(*(line % zones if "%d" in line else line).split())
        most, done = count(command())
        tap.equal(done.returncode, 0, "undisturbed %s: %s" % (line, done.stderr))
        ends = collections.Counter()
        for n in chosen(most):
            done = run(command(), ALLOC_FAIL_AT=str(n))
            ends[ended(done, "%s, allocation %d" % (line, n))] += 1
            told_why = (done.stdout if "-json" in line else "") + done.stderr
            tap.ok(done.returncode == 0 or told_why.strip(), "%s, allocation %d: status %d without a word" % (
                line, n, done.returncode))
            if "%d" not in line:
                continue
            number, state = at_rest()
            journal_is_whole()
            if state not in ("SUCCEEDED", None):
                lab.kvsh("plan execute -id %d -wait" % number)
                tap.equal(at_rest(), (number, "SUCCEEDED"), "the plan in the end")
        tap.note("%s: %d allocations: %s" % (line, most, told(ends)))


def nothing_left():
    """Nothing that was started remains"""
    lab.everything_ended()


if __name__ == "__main__":
    tap.main([build, units, program], nothing_left)
