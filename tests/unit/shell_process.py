#!/usr/bin/env python3
"""The shell as a process: exit statuses, pipes, signals, and the generated completion in a real bash."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import tap

DEMO = tap.program("tests/unit/shell_demo")
LIMIT = 60


def environment(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("DEMO_")}
    env.update(more)
    return env


def run(*words, stdin=b"", **env):
    return subprocess.run([DEMO, *words], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=environment(**env), timeout=LIMIT, check=False)


def outcome(*words, stdin=b"", **env):
    r = run(*words, stdin=stdin, **env)
    return r.returncode, r.stdout.decode(), r.stderr.decode()


def words_are_a_command():
    """The words of the command line are one command."""
    tap.equal(outcome("echo", "a", "b c"), (0, "a b c\n", ""), "outcome")
    tap.equal(outcome("nonsense")[0], 64, "status of an unknown command")
    tap.equal(outcome("echo", "-pause", "x")[0], 65, "status of a bad value")
    tap.equal(outcome("fail", "-code", "13")[0], 69, "status of a failure")
    tap.equal(outcome("pl", "deploy-zone")[0], 64, "status of a shortened word")


def stdin_is_a_script():
    """Without a terminal the standard input is a script, without prompt or echo."""
    tap.equal(outcome(stdin=b"echo a\necho b"), (0, "a\nb\n", ""), "outcome")
    tap.equal(outcome(stdin=b"echo a\nfail\necho b\n"),
              (1, "a\n", "stdin:2: failed as asked\n    do not ask for it\n"), "outcome of a failure")
    tap.equal(outcome(stdin=b""), (0, "", ""), "outcome of nothing")


def failed_writes_are_errors():
    """Results that cannot be written are an error; a reader that goes away is none."""
    with open("/dev/full", "wb") as full:
        r = subprocess.run([DEMO, "echo", "a"], stdout=full, stderr=subprocess.PIPE, env=environment(),
                           timeout=LIMIT, check=False)
    tap.equal((r.returncode, r.stderr), (1, b"write results: no space left on device\n"), "outcome")
    reader, writer = os.pipe()
    os.close(reader)
    r = subprocess.run([DEMO, "echo", "a"], stdout=writer, stderr=subprocess.PIPE, env=environment(),
                       timeout=LIMIT, check=False)
    os.close(writer)
    tap.equal(r.stderr, b"", "complaint without a reader")


def comes_to_rest(pid):
    """Waits until the process does nothing but wait: asleep at ten looks in a row."""
    looks, end = 0, time.monotonic() + LIMIT
    while looks < 10 and time.monotonic() < end:
        with open("/proc/%d/stat" % pid, encoding="ascii") as f:
            looks = looks + 1 if f.read().rpartition(")")[2].split()[0] == "S" else 0
        time.sleep(0.03)
    tap.ok(looks == 10, "it comes to rest")


def interrupts_end_scripts():
    """SIGINT ends a script that waits for its next line, and a command that waits."""
    for text, status, said in ((b"echo ready\n", 130, b"stdin:2: interrupted\n"),
                               (b"echo ready\necho -pause 50\n", 4, b"stdin:2: interrupted 1 times\n")):
        p = subprocess.Popen([DEMO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env=environment())
        p.stdin.write(text)
        p.stdin.flush()
        tap.equal(p.stdout.readline(), b"ready\n", "first line")
        comes_to_rest(p.pid)
        p.send_signal(signal.SIGINT)
        errors = p.stderr.read()
        tap.equal((p.wait(LIMIT), errors), (status, said), "outcome")
        for f in (p.stdin, p.stdout, p.stderr):
            f.close()


def terminated_from_outside():
    """SIGTERM ends it at once."""
    p = subprocess.Popen([DEMO, "echo", "-pause", "50"], env=environment())
    time.sleep(0.3)
    p.terminate()
    tap.equal(p.wait(LIMIT), -signal.SIGTERM, "status")


def schema_is_json():
    """The schema of a command is JSON and its result has the members it names."""
    schema = json.loads(run(DEMO_PRINT="schema").stdout)
    result = json.loads(run("plan", "deploy-zone", "-name", "x", "-rf", "2", "-json").stdout)
    for name in schema["required"]:
        tap.ok(name in result, name + " is in the result")
    for name in result:
        tap.ok(name in schema["properties"], name + " is in the schema")
    tap.equal(schema["properties"]["operation"]["const"], result["operation"], "operation")
    for name in result["returnValue"]:
        tap.ok(name in schema["properties"]["returnValue"]["properties"], name + " is in returnValue")


BASH = r"""
compopt() { :; }
. "$1"
COMP_LINE=$2
COMP_POINT=${#COMP_LINE}
shift 2
COMP_WORDS=("$@")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_shell_demo
((${#COMPREPLY[@]})) && printf '%s\n' "${COMPREPLY[@]}"
:
"""


def offered(script, line, *words):
    """What bash offers for the line, which it has split into these words."""
    r = subprocess.run(["bash", "--norc", "-c", BASH, "bash", script, line, *words], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, env=environment(), timeout=LIMIT, check=False)
    tap.equal(r.stderr, b"", "complaints of bash about " + line)
    return r.stdout.decode().split("\n")[:-1]


def bash_completes():
    """The generated script completes in bash: commands, options, names, program options, words with colons."""
    with tempfile.TemporaryDirectory() as d:
        script = os.path.join(d, "completion")
        with open(script, "wb") as f:
            f.write(run(DEMO_PRINT="bash").stdout)
        tap.equal(subprocess.run(["bash", "-n", script], check=False).returncode, 0, "syntax")
        D = DEMO
        tap.equal(offered(script, D + " pl", D, "pl"), ["plan"], "a word")
        tap.equal(offered(script, D + " plan st", D, "plan", "st"), ["stop-service", "start-service"], "words")
        tap.equal(offered(script, D + " plan ", D, "plan", "")[0], "deploy-zone", "behind a blank")
        tap.equal(offered(script, D + " plan stop-service -serv", D, "plan", "stop-service", "-serv"), ["-service"],
                  "an option")
        tap.equal(offered(script, D + " plan stop-service -service rg1", D, "plan", "stop-service", "-service", "rg1"),
                  ["rg1-rn1", "rg1-rn2"], "names")
        tap.equal(offered(script, D + " -store store-a plan st", D, "-store", "store-a", "plan", "st"),
                  ["stop-service", "start-service"], "behind the program's own options")
        tap.equal(offered(script, D + " -store ", D, "-store", ""), ["store-a", "store-b"], "the program's options")
        tap.equal(offered(script, D + " -st", D, "-st"), ["-store"], "the program's options by name")
        tap.equal(offered(script, D + ' plan stop-service -znname New', D, "plan", "stop-service", "-znname", "New"),
                  ["New\\ York"], "a name with a blank")
        tap.equal(offered(script, D + " self", D, "self"), [], "hidden commands")


if __name__ == "__main__":
    tap.main([words_are_a_command, stdin_is_a_script, failed_writes_are_errors, interrupts_end_scripts,
              terminated_from_outside, schema_is_json, bash_completes])
