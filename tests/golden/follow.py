#!/usr/bin/env python3
"""Waiting for a plan that takes long: time-out, Ctrl-C, a second shell, a runner that dies. The node is one that accepts
connections and says nothing."""
import json
import os
import re
import signal
import socket
import subprocess
import time

import kvcase
import tap

SECONDS = 30


class Silence:
    """A port of loopback where nobody ever answers."""

    def __enter__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(16)
        self.port = self.socket.getsockname()[1]
        return self

    def __exit__(self, *_):
        self.socket.close()


class Store:
    """A store with a zone, and a plan that hangs on the silent node until the time for an answer is over."""

    def __init__(self, timeout=60):
        self.place, self.silence, self.timeout = kvcase.Place(), Silence(), timeout
        self.running = []

    def __enter__(self):
        self.silence.__enter__()
        self.kvsh("configure -name s")
        self.kvsh("plan deploy-zone -name Zone1 -rf 1 -wait")
        return self

    def __exit__(self, *_):
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()
        for pid in self.runners():
            os.kill(pid, signal.SIGKILL)
        self.silence.__exit__()
        wait_for(lambda: not self.runners(), "the runners have gone")
        self.place.__exit__()

    def runners(self):
        """Runners of this store, told by their arguments."""
        found = []
        for entry in os.listdir("/proc"):
            try:
                with open("/proc/%s/cmdline" % entry, "rb") as f:
                    words = f.read().decode(errors="replace").split("\0")
                with open("/proc/%s/stat" % entry, "rb") as f:
                    is_dead = f.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
            except OSError:
                continue
            if "run-plan" in words and any(self.place.dir in w for w in words) and not is_dead:
                found.append(int(entry))
        return found

    def kvsh(self, line, want=0):
        done = kvcase.run(self.place, line.split())
        tap.equal(done.returncode, want, "status of %s (%s)" % (line, done.stderr))
        return done.stdout + done.stderr

    def hanging(self, options=""):
        return "-timeout %d plan deploy-sn -zn 1 -host 127.0.0.1 -port %d %s" % (
            self.timeout, self.silence.port, options)

    def begin(self, line):
        """The command in the background, once it has something to wait for."""
        process = subprocess.Popen([kvcase.KVSH] + self.place.flags() + line.split(), text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   cwd=self.place.dir, env=self.place.env())
        self.running.append(process)
        return process

    def state(self, plan):
        answer = json.loads(kvcase.run(self.place, ["-json", "show", "plan", "-id", str(plan)]).stdout)
        return answer["returnValue"].get("state")


def wait_for(condition, what):
    end = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("%s: not within %d s" % (what, SECONDS))
        time.sleep(0.05)


def takes_interrupts(process):
    """Waits until the signal that was sent has reached it: two that are not taken yet would be one."""
    def is_taken():
        with open("/proc/%d/status" % process.pid, encoding="ascii") as f:
            pending = [int(line.split()[1], 16) for line in f if line.startswith(("SigPnd:", "ShdPnd:"))]
        return not any(mask & 1 << signal.SIGINT - 1 for mask in pending)
    wait_for(is_taken, "the signal is taken")


def waiting_line(process):
    """The first line must be there at once, though the plan goes on."""
    tap.equal(process.stdout.readline(), "Executed plan 2, waiting for completion...\n", "first line")


def timeout_of_the_waiting():
    """-timeout ends the waiting with status 3; the plan goes on and can be followed."""
    with Store() as s:
        text = s.kvsh(s.hanging("-wait -timeout 1"), want=3)
        tap.contains(text, "plan 2 goes on", "the end")
        tap.contains(text, "plan wait -id 2", "how to follow")
        tap.equal(s.state(2), "RUNNING", "state of the plan")
        tap.contains(s.kvsh("plan wait -id 2 -seconds 0.5", want=3), "plan 2 goes on", "plan wait")
        answer = json.loads(kvcase.run(s.place, "-json plan wait -id 2 -seconds 0.5".split()).stdout)
        tap.equal(answer["returnCode"], 5300, "returnCode")
        tap.equal(answer["returnValue"].get("planId"), 2, "planId of one that goes on")


def without_wait():
    """Without -wait the shell ends at once and the plan goes on."""
    with Store(timeout=8) as s:
        text = s.kvsh(s.hanging())
        tap.contains(text, "Started plan 2. Use show plan -id 2 to check status.\n"
                           "        To wait for completion, use plan wait -id 2\n", "text")
        tap.contains(s.kvsh("show plans"), "RUNNING", "show plans meanwhile")
        text = kvcase.run(s.place, ["plan", "wait", "-id", "2"])
        tap.ok(text.returncode in (1, 6, 69), "status %d of the waiting" % text.returncode)
        tap.contains(text.stderr, "plan 2: task 1", "which task failed")


def one_interrupt():
    """Ctrl-C stops the waiting, says so, and leaves the plan alone."""
    with Store() as s:
        process = s.begin(s.hanging("-wait"))
        waiting_line(process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=SECONDS)
        tap.equal(process.returncode, 130, "status")
        tap.contains(err, "stopped waiting; plan 2 goes on", "what it says")
        tap.contains(err, "plan interrupt -id 2", "what to do")
        tap.equal(s.state(2), "RUNNING", "state of the plan")


def two_interrupts():
    """A second Ctrl-C interrupts the plan."""
    with Store(timeout=3) as s:
        process = s.begin(s.hanging("-wait"))
        waiting_line(process)
        process.send_signal(signal.SIGINT)
        takes_interrupts(process)
        process.send_signal(signal.SIGINT)
        wait_for(lambda: s.state(2) != "RUNNING", "the plan was asked to stop")
        tap.ok(s.state(2) in ("INTERRUPT_REQUESTED", "INTERRUPTED", "ERROR"), "state %s" % s.state(2))
        process.communicate(timeout=SECONDS)
        tap.ok(process.returncode in (4, 1, 6, 69), "status %d" % process.returncode)


def dead_runner():
    """A runner that is killed leaves a plan that is INTERRUPTED; whoever waits is told."""
    with Store() as s:
        process = s.begin(s.hanging("-wait"))
        waiting_line(process)
        wait_for(lambda: s.runners(), "there is a runner")
        for pid in s.runners():
            os.kill(pid, signal.SIGKILL)
        out, err = process.communicate(timeout=SECONDS)
        tap.equal(process.returncode, 4, "status")
        tap.contains(out, "Plan 2 (Deploy Storage Node (2)) has been interrupted", "result")
        tap.contains(err, "plan execute -id 2 -wait goes on", "what to do")
        tap.contains(s.kvsh("show plans"), "2 Deploy Storage Node (2)  INTERRUPTED", "show plans")
        s.kvsh("plan cancel -id 2")
        tap.equal(s.state(2), "CANCELED", "state in the end")


def two_shells():
    """A second plan that changes the store is refused with the first one's id and name; reads work."""
    with Store() as s:
        s.kvsh(s.hanging())
        text = s.kvsh("plan deploy-zone -name Zone2 -rf 1", want=11)
        tap.contains(text, "plan 2, Deploy Storage Node (2), is changing the store", "the refusal")
        text = s.kvsh("pool create -name p", want=11)
        tap.contains(text, "plan 2, Deploy Storage Node (2), is changing the store", "the refusal of a pool")
        tap.contains(s.kvsh("store remove -name s", want=11), "plan 2 is running", "store remove")
        tap.contains(s.kvsh("plan cancel -id 2", want=1), "must be interrupted before", "plan cancel")
        tap.contains(s.kvsh("show zones"), "Zone1", "show zones")
        tap.contains(s.kvsh("plan preview deploy-zone -name Zone2 -rf 1"), "Zone2", "plan preview")
        s.kvsh("plan deploy-zone -name Zone2 -rf 1 -noexecute")
        tap.contains(s.kvsh("plan execute -last", want=11), "plan 2", "plan execute")


def closed_output():
    """A reader that goes away early is no failure."""
    with Store() as s:
        flags = " ".join(s.place.flags())
        done = subprocess.run(["/bin/sh", "-c", "'%s' %s help | head -n 1" % (kvcase.KVSH, flags)], text=True,
                              capture_output=True, env=s.place.env(), stdin=subprocess.DEVNULL)
        tap.equal((done.stdout, done.stderr), ("Commands:\n", ""), "what is seen")
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([kvcase.KVSH] + s.place.flags() + ["show", "plans"], stdout=full, text=True,
                                  stderr=subprocess.PIPE, env=s.place.env(), stdin=subprocess.DEVNULL)
        tap.equal(done.returncode, 1, "status when nothing can be written")
        tap.contains(done.stderr, "write results", "what it says")


def bare_environment():
    """Without HOME, TERM and a terminal, as from cron."""
    with Store() as s:
        done = subprocess.run([kvcase.KVSH] + s.place.flags() + ["-quiet", "verify", "configuration"], text=True,
                              capture_output=True, env={}, stdin=subprocess.DEVNULL)
        tap.equal((done.stdout, done.stderr, done.returncode), ("", "", 0), "quiet verify")
        done = subprocess.run([kvcase.KVSH] + s.place.flags() + ["show", "plans"], text=True, capture_output=True,
                              env={}, stdin=subprocess.DEVNULL, cwd="/")
        tap.ok(re.match(r" +1 Deploy Zone \(1\) +SUCCEEDED\n$", done.stdout), "show plans: %r" % done.stdout)


if __name__ == "__main__":
    tap.main([timeout_of_the_waiting, without_wait, one_interrupt, two_interrupts, dead_runner, two_shells,
              closed_output, bare_environment])
