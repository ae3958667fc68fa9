#!/usr/bin/env python3
"""scripts/demo: brings a store up, opens it again, brings it back after a crash, plays the runbook, leaves nothing."""
import os
import pty
import re
import select
import signal
import socket
import subprocess
import time

import kvtest
import tap

ROOT = tap.source_dir()
DEMO = os.path.join(ROOT, "scripts", "demo")
lab = kvtest.Lab(dirs=(1, 1, 1))  # for its folder and its ports; the demo makes the rest
FOLDER = os.path.join(lab.folder, "demo")


def environment():
    return lab.environment(KVSH_BUILD=os.path.dirname(tap.program("kvsh")), KVSH_DEMO_BASE=str(lab.nodes[0].port), KVSH_DEMO_DIR=FOLDER,
                           HOME="")


def demo(*words, stdin="", want=0):
    begin = time.monotonic()
    done = subprocess.run([DEMO] + list(words), env=environment(), input=stdin, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=180)
    done.seconds = time.monotonic() - begin
    if done.returncode != want:
        tap.fail("scripts/demo %s: status %d\n%s%s" % (" ".join(words), done.returncode, done.stdout, done.stderr))
    return done


def from_stdin():
    """scripts/demo without a terminal deploys and reads commands from standard input"""
    done = demo(stdin="verify configuration\nput -key a -value b\n")
    tap.contains(done.stdout, "Verification complete, no violations", "output")
    tap.contains(done.stdout, "Put OK, inserted.", "output")
    tap.note("%.1f s" % done.seconds)
    before = sorted(kvtest.processes_of(lab.folder))
    done = demo(stdin="get -key a\n")
    tap.contains(done.stdout, "b", "output of the second run")
    tap.equal(sorted(kvtest.processes_of(lab.folder)), before, "processes: a second run starts nothing")
    tap.note("%.1f s" % done.seconds)


def from_file():
    """scripts/demo FILE runs a script and ends with its exit status"""
    good = lab.file("good.kv", "show topology\nput -key c -value d\n")
    tap.contains(demo(good).stdout, "Put OK, inserted.", "output")
    bad = lab.file("bad.kv", "show pools\nshow nonsense\n")
    done = demo(bad, want=64)
    tap.contains(done.stderr, "bad.kv:2", "error")
    demo("/nonexistent/file.kv", want=65)


def at_a_terminal():
    """scripts/demo at a terminal opens the prompt"""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(DEMO, [DEMO], dict(environment(), TERM="dumb"))
    text, end, typed = "", time.monotonic() + 60, False
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.2)[0]:
            try:
                text += os.read(fd, 65536).decode(errors="replace")
            except OSError:
                break
        if text.endswith("kv-> ") and not typed:
            typed = True
            os.write(fd, b"show pools\nexit\n")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(fd)
    tap.equal(status, 0, "status of the prompt")
    tap.contains(text, "snpool: sn1", "the terminal")


def comes_back():
    """After a crash of everything scripts/demo brings the store back with its data"""
    for pid in kvtest.processes_of(FOLDER):
        os.kill(pid, signal.SIGKILL)
    kvtest.wait_for(lambda: not kvtest.processes_of(FOLDER), "all processes end")
    done = demo(stdin="verify configuration\nget -key a\n")
    tap.contains(done.stdout, "no violations", "output")
    tap.contains(done.stdout, "b", "the value")
    tap.note("%.1f s" % done.seconds)


def runbook():
    """examples/replace-disk.sh plays the runbook"""
    script = os.path.join(ROOT, "examples", "replace-disk.sh")
    done = subprocess.run([script], env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=180)
    if done.returncode != 0:
        tap.fail("status %d\n%s" % (done.returncode, done.stdout))
    tap.equal(len(re.findall(r"Status: RUNNING,REPLICA at sequence number", done.stdout)) >= 2, True,
              "both came back as replicas:\n" + done.stdout[-2000:])


def stops():
    """scripts/demo stop ends everything and nothing else"""
    stranger = subprocess.Popen(["sleep", "600"], env=environment(), cwd="/")
    done = demo("stop")
    tap.equal([p for p in kvtest.processes_of(FOLDER) if p != stranger.pid], [], "processes left")
    tap.equal(stranger.poll(), None, "a process that is not the demo's lives on")
    stranger.kill()
    stranger.wait()
    tap.ok(not os.path.exists(FOLDER), "the demo's files are gone")
    done = demo("stop")
    tap.contains(done.stderr, "nothing to stop", "a second stop")


def taken_port():
    """A port taken by a stranger is told in one sentence"""
    port = lab.nodes[1].port + 3
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((kvtest.HOST, port))
        s.listen()
        done = demo(want=1)
    told = [line for line in done.stderr.splitlines() if str(port) in line]
    tap.equal(len(told), 1, "one sentence about port %d:\n%s" % (port, done.stderr))
    demo("stop")


def wrong_usage():
    """Wrong usage changes nothing"""
    demo("-nonsense", want=1)
    demo("a", "b", want=1)
    tap.contains(demo("-help").stdout, "scripts/demo stop", "help")


def nothing_left():
    """Nothing is left behind"""
    for pid in kvtest.processes_of(lab.folder):
        tap.fail("still there: " + kvtest.describe(pid))
    lab.close()


if __name__ == "__main__":
    tap.main([from_stdin, from_file, at_a_terminal, comes_back, runbook, stops, taken_port, wrong_usage],
             nothing_left)
