#!/usr/bin/env python3
"""Two shells at once: one changing plan at a time, reads always."""
import contextlib
import os
import re
import signal
import sqlite3
import time

import crashes
import kvtest
import tap
from kvtest import wait_for

lab = None


def freeze(pid):
    """Stops the runner at an instant at which it is not writing to the journal."""
    path = os.path.join(lab.folder, "state", kvtest.STORE, "journal.db")
    for _ in range(100):
        os.kill(pid, signal.SIGSTOP)
        try:
            with contextlib.closing(sqlite3.connect(path, timeout=0.1)) as db:
                db.execute("BEGIN IMMEDIATE")
                db.rollback()
                return
        except sqlite3.OperationalError:
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.02)
    raise AssertionError("the runner writes without pause")


def second_plan_is_refused():
    """A second changing plan is refused with the id and name of the first"""
    global lab
    lab = crashes.prepared()
    first = lab.spawn(lab.deploy_lines()[-1])
    wait_for(lambda: lab.state_in_journal(8) == "RUNNING", "the plan runs", every=0.02)
    runner = wait_for(lambda: crashes.runner_of(lab), "the runner runs")
    freeze(runner)
    try:
        run = lab.kvsh("plan deploy-zone -name Zone2 -rf 1 -wait", want=11)
        told = run.out + run.err
        tap.ok(re.search(r"\b8\b", told), "the id of the first plan in\n%s" % run)
        tap.contains(told, "RepNode-Deploy", "the refusal")
        tap.equal(len(told.strip().splitlines()) <= 3, True, "a refusal is a sentence and an advice:\n%s" % run)
        reads = ("show plans", "show plan -id 8", "show topology", "show pools", "show zones", "show events", "ping")
        for line in reads:
            lab.kvsh(line, want=(0, 1, 2) if line == "ping" else 0, timeout=20 * tap.SLOWER)
        lab.kvsh("plan deploy-zone -name Zone2 -rf 1 -wait -lock-wait 1", want=11)
        lab.kvsh("plan execute -id 8 -wait", want=(1, 10, 11))
        tap.equal(lab.plan_state(8), "RUNNING", "state of the first plan")
        tap.equal(lab.plan_state(9), None, "a refused plan takes no number")
    finally:
        os.kill(runner, signal.SIGCONT)
    out, _ = first.communicate(timeout=120)
    tap.equal(first.returncode, 0, "status of the first shell; it said\n" + out)
    lab.verify_clean()


def waits_for_the_lock():
    """-lock-wait waits for the first to end"""
    services = lab.members("replica")
    plans = lab.kvsh("show plans -num 1").out
    first = lab.spawn("plan stop-service -service %s -wait" % services[0])
    wait_for(lambda: lab.kvsh("show plans -num 1").out != plans, "the first plan is made", every=0.02)
    second = lab.spawn("plan start-service -all-rns -wait -lock-wait 60")
    for shell in (first, second):
        out, _ = shell.communicate(timeout=120)
        tap.equal(shell.returncode, 0, "status of a shell that said\n" + out)
    lab.kvsh("plan start-service -all-rns -wait")


def many_readers():
    """Many shells read at once, while a plan runs"""
    service = lab.members("replica")[0]
    plan = lab.spawn("plan stop-service -service %s -wait" % service)
    each = 4 if tap.SLOWER < 10 else 1
    readers = [lab.spawn(line) for line in ("show plans", "show topology", "show events", "ping") * each]
    for reader in readers:
        out, _ = reader.communicate(timeout=60 * tap.SLOWER)
        tap.ok(reader.returncode in (0, 1, 2), "status %s of a reader that said\n%s" % (reader.returncode, out))
        tap.lacks(out, "locked", "what a reader says")
    plan.communicate(timeout=60 * tap.SLOWER)
    tap.equal(plan.returncode, 0, "status of the plan")
    lab.kvsh("plan start-service -all-rns -wait")
    wait_for(lambda: lab.kvsh("-quiet verify configuration", want=None).status == 0, "verify is clean")


def nothing_left():
    """Nothing that was started remains"""
    lab.everything_ended()


if __name__ == "__main__":
    tap.main([second_plan_is_refused, waits_for_the_lock, many_readers], nothing_left)
