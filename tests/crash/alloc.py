#!/usr/bin/env python3
"""Memory runs out: the n-th allocation of a process fails, whoever asks for it (the program or a library). It goes on,
or ends with a sentence and a status, never by a signal; the journal stays whole and the plan can be finished.

    EVERY=1 alloc.py        every n, as make check-alloc; without it SAMPLE of each, by SEED
    PLACES=1 alloc.py       of each the n that is the first from its place (a chain of callers)
    ONLY=units,program      only these parts; UNITS=db,fs only these unit tests
    BUDGET=120              seconds for each of the longer unit tests

Not failed are the allocations of regcomp(), by which the agent checks names and reads logs, and of the name service,
which is asked for users that are not in /etc/passwd: without memory those of glibc 2.36 end the process themselves.

Unit tests that make more than MOST allocations make most of them from the same places again: of those, the first from
each place, in random order within BUDGET. How many of how many that were is told.
"""
import collections
import os
import random
import re
import signal
import sqlite3
import subprocess
import time

import crashlab
import kvtest
import tap
from crashlab import variable
from kvtest import wait_for

EVERY = variable("EVERY", 0)
PLACES = variable("PLACES", 0)
SAMPLE = variable("SAMPLE", 6)
SEED = variable("SEED", random.SystemRandom().randrange(1, 1 << 31))
ONLY = [name for name in os.environ.get("ONLY", "").split(",") if name]
UNITS = [name for name in os.environ.get("UNITS", "").split(",") if name]
BUDGET = variable("BUDGET", 120)
MOST = 3000
rng = random.Random(SEED)
# http_tls makes certificates itself, by GnuTLS: libtasn1 writes through memory that it did not get. crash and runner
# are the same: their hundreds of child processes are killed on purpose, and what they do is what program() does with
# real commands and runners.
NOT_UNITS = ("crash", "http_tls", "runner")
lab = None


def build():
    """The allocator that fails"""
    global lab
    lab = kvtest.Lab()
    tap.note("seed %d" % SEED)
    lab.library = os.path.join(lab.folder, "alloc_fail.so")
    lab.folders = os.path.join(lab.folder, "folders")
    subprocess.check_call((os.environ.get("CC") or "cc").split() + [
        "-shared", "-fPIC", "-O1", "-o", lab.library, os.path.join(tap.source_dir(), "tests", "crash", "alloc_fail.c")])


def run(words, **more):
    env = lab.environment(top_srcdir=tap.source_dir(), top_builddir=tap.build_dir(), LD_PRELOAD=lab.library,
                          ALLOC_FOLDERS=lab.folders, **more)
    try:
        return subprocess.run(words, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, errors="replace", timeout=120)
    finally:
        sweep()


def sweep():
    """What a test that was cut short could not remove."""
    if not os.path.exists(lab.folders):
        return
    with open(lab.folders, encoding="utf-8") as f:
        folders = f.read().splitlines()
    os.unlink(lab.folders)
    for folder in folders:
        if os.path.basename(folder).startswith("kvsh-"):
            subprocess.run(["rm", "-rf", "--", folder], check=True)


def numbers(path):
    """Of the process that asked for memory most often: how often, and which were the first from their places."""
    with open(path, encoding="ascii") as f:
        most = max(([int(n) for n in line.split()] for line in f), key=lambda line: line[0])
    return most[0], most[1:]


def count(words, **more):
    path = lab.file("count", "")
    done = run(words, ALLOC_COUNT=path, ALLOC_PLACES="1", **more)
    return numbers(path), done


def chosen(most, places):
    if PLACES:
        return places
    if EVERY:
        return range(1, most + 1, EVERY)
    return sorted(rng.sample(places, min(len(places), SAMPLE)))


def ended(done, what):
    tap.ok(done.returncode >= 0, "%s ended by a signal (%d):\n%s" % (what, done.returncode, done.stderr))
    return "exit %d%s" % (done.returncode, ", out of memory" if "out of memory" in done.stderr else "")


def told(ends):
    return "; ".join("%s: %d" % (k, ends[k]) for k in sorted(ends))


def unit_tests():
    folder = os.path.join(tap.build_dir(), "tests", "unit")
    names = sorted(name[5:-2] for name in os.listdir(folder) if re.fullmatch(r"test_\w+\.t", name))
    tap.ok(len(names) > 30, "the unit tests are built")
    return [(name, os.path.join(folder, "test_%s.t" % name)) for name in names
            if name not in NOT_UNITS and (not UNITS or name in UNITS)]


def one_unit(name, program):
    ends = collections.Counter()
    (most, places), done = count([program])
    tap.equal(done.returncode, 0, "undisturbed test_%s" % name)
    numbers_tried, end = chosen(most, places), None
    if most > MOST and (EVERY or PLACES):
        numbers_tried, end = rng.sample(places, len(places)), time.monotonic() + BUDGET
    for n in numbers_tried:
        if end and time.monotonic() > end:
            break
        ends[ended(run([program], ALLOC_FAIL_AT=str(n)), "test_%s, allocation %d" % (name, n))] += 1
    tap.note("test_%s: %d allocations from %d places; %d of them failed: %s" % (
        name, most, len(places), sum(ends.values()), told(ends)))
    return sum(ends.values())


def units():
    """Unit tests with the n-th allocation failing"""
    tests = unit_tests()
    if not (EVERY or PLACES):  # the short form
        tests = rng.sample(tests, min(len(tests), 12))
    tried = sum(one_unit(name, program) for name, program in sorted(tests))
    tap.note("%d unit tests, %d failed allocations" % (len(tests), tried))
    for pid in kvtest.processes_of(lab.folder):  # of tests that were cut short
        os.kill(pid, signal.SIGKILL)


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
             "the runner ends", 30, 0.01)
    lab.kvsh("show plans -num 1")  # whoever opens the journal sees that a runner is dead
    path = os.path.join(lab.folder, "state", kvtest.STORE, "journal.db")
    db = sqlite3.connect("file:%s?mode=ro" % path, uri=True, timeout=10)
    try:
        rows = db.execute("SELECT id, state FROM plan ORDER BY id DESC LIMIT 1").fetchall()
    finally:
        db.close()
    return rows[0] if rows else (0, None)


def finished(what):
    """The last plan comes to its end."""
    journal_is_whole()
    number, state = at_rest()
    if state not in ("SUCCEEDED", None):
        lab.kvsh("plan execute -id %d -wait" % number)
        tap.equal(at_rest(), (number, "SUCCEEDED"), "the plan in the end, %s" % what)


made = 0


def one_command(line, where=None):
    """where: in the runner alone, which is started by the shell and outlives it."""
    only = {"ALLOC_IN": where} if where else {}
    ends_file = lab.file("ends", "")

    def command():
        global made
        made += 1
        return lab.command(*(line % made if "%d" in line else line).split())
    (most, places), done = count(command(), **only)
    tap.equal(done.returncode, 0, "undisturbed %s: %s" % (line, done.stderr))
    ends = collections.Counter()
    for n in chosen(most, places):
        what = "%s, allocation %d%s" % (line, n, " in " + where if where else "")
        done = run(command(), ALLOC_FAIL_AT=str(n), ALLOC_ENDS=lab.file("ends", ""), **only)
        ends[ended(done, what)] += 1
        told_why = (done.stdout if "-json" in line else "") + done.stderr
        tap.ok(done.returncode == 0 or told_why.strip(), "%s: status %d without a word" % (what, done.returncode))
        if "%d" in line:
            finished(what)
        with open(ends_file, encoding="ascii") as f:
            tap.ok(f.read(), what + ": ended by a signal")
    tap.note("%s%s: %d allocations from %d places: %s" % (line, " in " + where if where else "", most, len(places),
                                                         told(ends)))


def program():
    """Commands and a plan's runner with the n-th allocation failing"""
    lab.kvsh("configure -name " + kvtest.STORE)
    for line in ("show plans", "help plan deploy-zone", "show topology -json",
                 "plan deploy-zone -name Z%d -rf 1 -wait"):
        one_command(line)
    one_command("plan deploy-zone -name Z%d -rf 1 -wait", "run-plan")


def one_agent(node, n):
    """An agent whose n-th allocation fails while it starts, answers and ends: it ends by itself, or does its work."""
    env = lab.environment(LD_PRELOAD=lab.library, **({"ALLOC_FAIL_AT": str(n)} if n else {
        "ALLOC_COUNT": lab.file("count", ""), "ALLOC_PLACES": "1"}))
    agent = subprocess.Popen([kvtest.KVAGENTD, "start", "-root", node.root, "-config", "config1.json"], env=env,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        def answers():
            try:
                return node.rest("GET", "/v1/node")[0] in (200, 500, 503)
            except OSError:
                return False
        wait_for(lambda: agent.poll() is not None or answers(), "the agent answers or ends", 60, 0.02)
        if agent.poll() is None:
            agent.terminate()
        out = agent.communicate(timeout=60)[0]
    finally:
        agent.kill()
        agent.wait()
    tap.ok(agent.returncode >= 0, "agent, allocation %d: ended by a signal (%d):\n%s" % (n, agent.returncode, out))
    tap.ok(agent.returncode == 0 or out.strip(), "agent, allocation %d: status %d without a word" % (
        n, agent.returncode))
    return "exit %d%s" % (agent.returncode, ", out of memory" if "out of memory" in out else "")


def agent():
    """An agent with the n-th allocation failing"""
    node, ends = lab.nodes[0], collections.Counter()
    node.make(lab.capacity)
    tap.equal(one_agent(node, 0), "exit 0", "undisturbed")
    most, places = numbers(os.path.join(lab.folder, "count"))
    for n in chosen(most, places):
        ends[one_agent(node, n)] += 1
    tap.note("kvagentd: %d allocations from %d places: %s" % (most, len(places), told(ends)))
    node.start()


def nothing_left():
    """Nothing that was started remains"""
    lab.everything_ended()


if __name__ == "__main__":
    tap.main([build] + [t for t in (units, program, agent) if not ONLY or t.__name__ in ONLY], nothing_left)
