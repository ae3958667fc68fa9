#!/usr/bin/env python3
"""Faults of real processes, disks, ports and clocks in the middle of plans: each plan ends in time, says what is wrong
where, and once the fault is gone plan execute brings the store where it was meant to be.
"""
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import crashlab
import kvtest
import tap
from kvtest import wait_for

lab = None
counted = {"run": 0}
WRAPPER = """#!/bin/sh
# redis-server, or what the file beside says instead
case $(cat %s) in
dies) echo 'cannot go on: the wrapper was told so' >&2; exit 3 ;;
esac
exec %s "$@"
"""


class FaultLab(crashlab.CrashLab):
    """Services are started by a wrapper; the wall clock of everything can be shifted."""

    def __init__(self):
        super().__init__()
        self.mode = self.file("redis-mode", "runs\n")
        self.wrapper = self.file("redis-wrapper", WRAPPER % (self.mode, subprocess.check_output(
            ["sh", "-c", "command -v redis-server || command -v valkey-server"], text=True).strip()), 0o755)
        self.shift = self.file("clock-shift", "0\n")
        self.preload = os.path.join(self.folder, "clock_shift.so")
        source = os.path.join(tap.source_dir(), "tests", "crash", "clock_shift.c")
        subprocess.check_call((os.environ.get("CC") or "cc").split() + [
            "-shared", "-fPIC", "-O1", "-o", self.preload, source, "-ldl"])
        for node in self.nodes:
            node.boot_words = self.with_wrapper(node.boot_words)

    def with_wrapper(self, words):
        return lambda capacity: words(capacity) + ["-redis-server", self.wrapper]

    def environment(self, **more):
        env = super().environment(**more)
        env.update(LD_PRELOAD=self.preload, CLOCK_SHIFT=self.shift)
        if "ASAN_OPTIONS" in env:  # its runtime need not come first
            env["ASAN_OPTIONS"] += ":verify_asan_link_order=0"
        return env


def service_on(number, role="replica"):
    return next(n for n in lab.members(role) if lab.services()[n]["on"].number == number)


def expect_trouble(line, *parts, statuses=(1, 3, 6, 69), seconds=120):
    """The plan does not succeed, in time, and says why and where. Gives its number."""
    begin = time.monotonic()
    run = lab.kvsh(line + " -wait", want=statuses, timeout=seconds + 30)
    tap.ok(time.monotonic() - begin < seconds, "%s took %.0f s" % (line, time.monotonic() - begin))
    for part in parts:
        tap.contains(run.out + run.err, part, "what %s says" % line)
    tap.note("%s: status %d in %.1f s: %s" % (line, run.status, time.monotonic() - begin,
                                             " / ".join(run.err.split("\n")[:2])[:300]))
    return lab.last_plan()


def resumes(plan, down=()):
    """The fault is gone: the plan ends as it was meant to."""
    run = lab.kvsh("plan execute -id %d -wait" % plan, timeout=180)
    tap.contains(run.out, "Plan %d ended successfully" % plan, "plan execute")
    lab.check_ended(plan, agent_was_dead=True)
    lab.check_store(down, 60)
    lab.check_writes()
    counted["run"] += 1


def stop(name):
    lab.kvsh("plan stop-service -service %s -wait" % name)


def deploys():
    """A store with a client that writes"""
    global lab
    lab = FaultLab()
    lab.start()
    for line in lab.deploy_lines():
        lab.kvsh(line, timeout=120)
    lab.check_store()
    lab.start_writer()


def agent_stopped():
    """An agent is stopped by SIGSTOP in the middle of a plan"""
    node = lab.nodes[2]
    since = time.time()
    shell = lab.spawn("plan restart-service -all-rns -zn zn2 -wait")
    wait_for(lambda: any(e.method == "POST" for e in lab.proxies[2].seen if e.time > since), "a task is at work", 30,
             0.005)
    node.agent.send_signal(signal.SIGSTOP)
    try:
        begin = time.monotonic()
        out, _ = shell.communicate(timeout=180)
        tap.ok(shell.returncode in (1, 3, 6, 69), "status %d of the plan:\n%s" % (shell.returncode, out))
        tap.contains(out, "sn3", "what is said")
        tap.note("status %d after %.1f s: %s" % (shell.returncode, time.monotonic() - begin, out.splitlines()[-3:]))
        tap.ok(lab.state(lab.last_plan()) != "RUNNING", "the plan has an end")
    finally:
        node.agent.send_signal(signal.SIGCONT)
    wait_for(node.answers, "the agent answers again")
    resumes(lab.last_plan())
    lab.check_looked(since)


def agent_stopped_for_a_moment():
    """An agent is stopped by SIGSTOP for two seconds: the plan waits"""
    name, node = service_on(2), lab.nodes[1]
    node.agent.send_signal(signal.SIGSTOP)
    shell = lab.spawn("plan stop-service -service %s -wait" % name)
    time.sleep(2)
    node.agent.send_signal(signal.SIGCONT)
    out, _ = shell.communicate(timeout=120)
    tap.ok(shell.returncode in (0, 10, 69), "status %d:\n%s" % (shell.returncode, out))
    lab.kvsh("plan start-service -all-rns -wait")
    lab.check_store()
    counted["run"] += 1


def slow_agent():
    """Slow agents, and answers that trickle"""
    for delay, drip in ((0.5, 0), (0, 0.001)):
        for proxy in lab.proxies:
            proxy.delay, proxy.drip = delay, drip
        try:
            run = lab.kvsh("plan restart-service -service %s -wait" % service_on(1), timeout=180)
            tap.contains(run.out, "ended successfully", "a plan with delay %s, drip %s" % (delay, drip))
        finally:
            for proxy in lab.proxies:
                proxy.delay = proxy.drip = 0
        lab.check_store()
    counted["run"] += 1


def connections_cut():
    """Changing requests and their answers are lost for a while"""
    for cut in ("before", "after", "middle"):
        since, name = time.time(), service_on(2)
        lab.proxies[1].cut = cut
        shell = lab.spawn("plan stop-service -service %s -wait" % name)
        wait_for(lambda: lab.proxies[1].cuts or shell.poll() is not None, "a connection is cut", 30, 0.01)
        time.sleep(0.2)
        lab.proxies[1].cut, lab.proxies[1].cuts = None, 0
        out, _ = shell.communicate(timeout=120)
        tap.ok(shell.returncode in (0, 1, 6), "status %d, cut %s:\n%s" % (shell.returncode, cut, out))
        if lab.state(lab.last_plan()) != "SUCCEEDED":
            resumes(lab.last_plan(), {name})
        lab.check_store({name})
        lab.check_looked(since)
        tap.note("cut %s: status %d" % (cut, shell.returncode))
        lab.kvsh("plan start-service -all-rns -wait")
        lab.check_store()
    counted["run"] += 1


@contextlib.contextmanager
def small_disk(folder, size="24m"):
    """The folder's content on a file system of its own."""
    subprocess.check_call(["mount", "-t", "tmpfs", "-o", "size=" + size, "kvsh-test", folder])
    try:
        yield
    finally:
        subprocess.check_call(["mount", "-o", "remount,bind,rw", folder])
        subprocess.check_call(["umount", "-l", folder])


def may_mount():
    probe = os.path.join(lab.folder, "probe")
    os.makedirs(probe, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "kvsh-test", probe], stderr=subprocess.DEVNULL)
    if done.returncode == 0:
        subprocess.check_call(["umount", probe])
    return done.returncode == 0


def fill(folder):
    path = os.path.join(folder, "filler")
    with open(path, "wb", buffering=0) as f:
        with contextlib.suppress(OSError):
            while True:
                f.write(b"x" * 65536)
        with contextlib.suppress(OSError):
            while True:
                f.write(b"x")
    return path


def shard_mates(name):
    return [n for n in lab.services() if n.startswith(name.split("-")[0] + "-") and n != name]


def told_well(name):
    """The agent's next write test has found room."""
    wait_for(lambda: lab.services()[name]["dirState"] == "ok", "the agent sees that the disk is well")


def told_ill(disk, name, state):
    wait_for(lambda: "%s of %s on sn1 is %s" % (disk, name, state) in lab.kvsh("verify configuration", want=None).out,
             "verify tells the %s disk" % state, 60)
    tap.equal(lab.kvsh("verify configuration", want=None).status, 2, "status of verify")


def disk_fills_up(name, disk):
    """It runs as a primary: writes are refused, verify says so; another takes over, and room heals it."""
    lab.kvsh("plan failover -service %s -wait" % name, timeout=120)
    filler = fill(disk)
    told_ill(disk, name, "full")
    run = lab.kvsh("verify configuration", want=2)
    tap.contains(run.out, "make room in %s on sn1" % disk, "the way out")
    heir = next(n for n in shard_mates(name) if n in lab.members("replica"))
    lab.kvsh("plan failover -service %s -wait" % heir, timeout=120)
    tap.ok(heir in lab.members("primary"), "%s took over" % heir)
    before = lab.writer.acknowledged
    wait_for(lambda: lab.writer.acknowledged > before + 1000, "writes go on", 60)
    run = lab.kvsh("plan failover -service %s -mode graceful -wait" % name, want=10)
    tap.ok("headroom" in run.err or "no-replica" in run.err, "one without a disk takes nothing over:\n%s" % run)
    run = lab.kvsh("plan recover -service %s -wait" % name, want=10)
    tap.contains(run.err, "make room in " + disk, "recover")
    os.unlink(filler)
    told_well(name)
    lab.kvsh("plan recover -service %s -wait" % name, timeout=120)
    lab.check_store(seconds=60)
    lab.check_writes()


def disk_faults():
    """A full and a read-only disk under a service that is to start, and a disk that fills up under one that runs"""
    if not tap.ok(may_mount(), "file systems may be mounted here, as root or in a user namespace"):
        return
    name = service_on(1)
    disk = lab.services()[name]["storageDir"]
    stop(name)
    with small_disk(disk):
        filler = fill(disk)
        plan = expect_trouble("plan start-service -service " + name, name, disk, "No space left on device",
                              "make ")
        told_ill(disk, name, "full")
        os.unlink(filler)
        resumes(plan)
        disk_fills_up(name, disk)
        stop(name)
        subprocess.check_call(["mount", "-o", "remount,bind,ro", disk])
        plan = expect_trouble("plan start-service -service " + name, name, disk, "readonly", "make %s writable" % disk)
        told_ill(disk, name, "readonly")
        subprocess.check_call(["mount", "-o", "remount,bind,rw", disk])
        resumes(plan)
        stop(name)
    lab.kvsh("plan start-service -service %s -wait" % name)
    lab.check_store()


def port_taken():
    """A stranger has taken the port of a service"""
    name = service_on(1)
    port = lab.services()[name]["port"]
    stop(name)
    with socket.create_server((kvtest.HOST, port)):
        plan = expect_trouble("plan start-service -service " + name, name, str(port))
    resumes(plan)


def server_dies_at_once():
    """redis-server dies at once"""
    name = service_on(3)
    stop(name)
    lab.file("redis-mode", "dies\n")
    plan = expect_trouble("plan start-service -service " + name, name, "the wrapper was told so")
    lab.file("redis-mode", "runs\n")
    resumes(plan)


def binary_missing():
    """The program of the services is missing"""
    name = service_on(3)
    stop(name)
    os.rename(lab.wrapper, lab.wrapper + ".away")
    plan = expect_trouble("plan start-service -service " + name, name, lab.wrapper)
    os.rename(lab.wrapper + ".away", lab.wrapper)
    resumes(plan)


def clock_jumps():
    """The wall clock jumps an hour ahead, and back, in the middle of plans"""
    for jump in (3600, -3600):
        shell = lab.spawn("plan restart-service -all-rns -zn zn2 -wait")
        time.sleep(0.4)
        lab.file("clock-shift", "%d\n" % jump)
        out, _ = shell.communicate(timeout=180)
        tap.equal(shell.returncode, 0, "status with the clock %+d s; it said\n%s" % (jump, out))
        lab.kvsh("plan failover -service %s -wait" % service_on(2), timeout=120)
        lab.check_store(seconds=60)
        lab.check_writes()
        run = lab.kvsh("show plan -id %d" % lab.last_plan())
        tap.lacks(run.out, "-1 s", "show plan after a jump")
        lab.file("clock-shift", "0\n")
    counted["run"] += 1


def election_in_the_middle():
    """An election in the middle of a plan: the plan goes on with the primaries as they are"""
    shell = lab.spawn("plan restart-service -all-rns -wait")
    wait_for(lambda: lab.state(lab.last_plan()) == "RUNNING", "the plan is at work", 30, 0.005)
    for pid in lab.runners():
        os.kill(pid, signal.SIGKILL)
    shell.communicate(timeout=60)
    plan = lab.last_plan()
    lab.kvsh("show plan -id %d" % plan)
    waiting = {what.split()[1] for _, state, what, _, _ in lab.tasks(plan)
               if state == "PENDING" and what.startswith("stop ")}
    name = next(n for n in lab.members("replica") if n in waiting)
    connection = kvtest.Redis(lab.services()[name]["port"], lab.password())
    end = time.monotonic() + 60
    while name not in lab.members("primary") and time.monotonic() < end:
        connection.call("CLUSTER", "FAILOVER")  # redis drops it where the two do not see each other yet
        with contextlib.suppress(AssertionError):
            wait_for(lambda: name in lab.members("primary"), "%s is primary" % name, 6, 0.05)
    connection.close()
    tap.contains(lab.members("primary"), name, "the primaries")
    resumes(plan)


def nothing_left():
    """Nothing that was started remains"""
    lab.stop_writer()
    tap.note("%d cases; %d writes acknowledged, longest pause %.2f s" % (
        counted["run"], lab.writer.acknowledged, lab.writer.longest_pause))
    lab.everything_ended()


def own_mounts():
    """Who is not root may mount in a user namespace, where that is allowed."""
    words = ["unshare", "--user", "--map-root-user", "--mount"]
    if os.geteuid() != 0 and shutil.which("unshare") and subprocess.run(
            words + ["mount", "-t", "tmpfs", "kvsh-test", "/mnt"], stderr=subprocess.DEVNULL).returncode == 0:
        os.execvp("unshare", words + [sys.executable] + sys.argv)


if __name__ == "__main__":
    own_mounts()
    tap.main([deploys, agent_stopped, agent_stopped_for_a_moment, slow_agent, connections_cut, disk_faults, port_taken,
              server_dies_at_once, binary_missing, clock_jumps, election_in_the_middle], nothing_left)
