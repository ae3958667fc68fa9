#!/usr/bin/env python3
"""A client writes and reads without pause while the store is operated on. For each operation: writes acknowledged,
lost, the longest pause. Nothing that was acknowledged with a copy is lost, except where redis promises nothing: in a
hard failover, whose figures are only printed.
"""
import os
import signal
import time

import crashlab
import kvtest
import tap
from kvtest import wait_for

lab = None


def member(role, shard):
    return next(n for n in lab.members(role) if n.startswith(shard))


class Watched:
    """The figures of what happens inside the with block."""

    def __init__(self, what, may_lose=False):
        self.what, self.may_lose = what, may_lose

    def __enter__(self):
        self.writer = lab.writer
        self.begin = self.writer.acknowledged, self.writer.single
        self.writer.longest_pause = 0.0
        return self

    def __exit__(self, kind, *_):
        if kind:
            return
        end = self.writer.acknowledged + 100
        wait_for(lambda: self.writer.acknowledged > end, "writes go on after " + self.what, 60)
        lost = self.writer.lost()
        tap.note("%s: %d writes acknowledged with a copy, %d without; %d lost; longest pause %.2f s" % (
            self.what, self.writer.acknowledged - self.begin[0], self.writer.single - self.begin[1], len(lost),
            self.writer.longest_pause))
        if self.may_lose:
            self.writer.forgive()
        else:
            tap.equal(lost, [], "acknowledged and lost in " + self.what)


def all_is_well():
    lab.check_store(seconds=60)


def deploys():
    """A store with a client that writes"""
    global lab
    lab = crashlab.CrashLab(proxies=False)
    lab.start()
    lab.deploy()
    all_is_well()
    lab.start_writer()
    wait_for(lambda: lab.writer.acknowledged > 200, "the writer writes")


def primary_stopped():
    """A primary is stopped and started"""
    with Watched("stop and start of a primary"):
        lab.kvsh("plan stop-service -service %s -wait" % member("primary", "rg1"))
        lab.kvsh("plan start-service -all-rns -wait")
        all_is_well()


def graceful_failover():
    """A replica takes over by a graceful failover"""
    with Watched("graceful failover"):
        lab.kvsh("plan failover -service %s -wait" % member("replica", "rg2"))
        all_is_well()


def rolling_restart():
    """Every service is restarted"""
    before = {n: s["pid"] for n, s in lab.services().items() if s["kind"] == "redis"}
    with Watched("rolling restart of 9 services"):
        lab.kvsh("plan restart-service -all-rns -wait", timeout=300)
        all_is_well()
    after = {n: s["pid"] for n, s in lab.services().items() if s["kind"] == "redis"}
    tap.ok(all(before[n] != after[n] for n in before), "all processes are new: %s" % after)


def recover(name):
    """By the plan that chooses by the evidence; by a start where the engine has none."""
    verb = "recover" if "recover" in crashlab.plans_there() else "start-service"
    lab.kvsh("plan %s -service %s -wait" % (verb, name), timeout=180)


def replica_recovered():
    """A replica that lost its disk is recovered"""
    name = member("replica", "rg3")
    with Watched("recovery of a replica that lost its disk"):
        crashlab.lose_disk(lab, name)
        recover(name)
        all_is_well()


def primary_recovered():
    """A primary that lost its disk and died: the others elect, it is recovered"""
    name = member("primary", "rg3")
    with Watched("death of a primary with its disk, election and recovery"):
        crashlab.lose_disk(lab, name)
        wait_for(lambda: any(n.startswith("rg3") and n != name for n in lab.members("primary")), "an election", 60)
        recover(name)
        all_is_well()


def hard_failover():
    """A hard failover while the primary is frozen: its figures"""
    replica, name = member("replica", "rg2"), member("primary", "rg2")
    frozen = lab.services()[name]["pid"]
    with Watched("hard failover of a frozen primary", may_lose=True):
        os.kill(frozen, signal.SIGSTOP)
        try:
            time.sleep(0.3)
            run = lab.kvsh(["plan", "failover", "-service", replica, "-mode", "hard", "-force", "-reason",
                            "it is frozen", "-confirm", kvtest.STORE, "-wait"], want=None, timeout=60)
            tap.note("exit status %d" % run.status)
            tap.ok(run.status in (0, 1, 10), "done, or refused with a reason:\n%s" % run)
        finally:
            os.kill(frozen, signal.SIGCONT)
        all_is_well()


def nothing_left():
    """Nothing that was started remains"""
    lab.stop_writer()
    tap.note("in all: %d writes acknowledged with a copy" % lab.writer.acknowledged)
    lab.everything_ended()


if __name__ == "__main__":
    tap.main([deploys, primary_stopped, graceful_failover, rolling_restart, replica_recovered, primary_recovered,
              hard_failover], nothing_left)
