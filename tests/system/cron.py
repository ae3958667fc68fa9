#!/usr/bin/env python3
"""One-shot commands as cron runs them: no terminal, no HOME, no TERM; quiet when well; plans outlive the shell."""
import json
import os
import re
import shutil
import signal
import subprocess
import time

import kvtest
import tap
from kvtest import wait_for

lab = kvtest.Lab()


def quiet_when_well():
    """-quiet verify configuration prints nothing on a healthy store"""
    lab.start()
    lab.deploy()
    for words in ("-quiet -store mystore verify configuration", "-store mystore -quiet verify configuration"):
        run = lab.kvsh(words)
        tap.equal((run.out, run.err), ("", ""), "what a quiet verify prints")
    tap.equal(lab.kvsh("-store mystore -quiet ping").err, "", "diagnostics of ping")


def no_stdin_at_all():
    """A closed standard input does no harm"""
    words = lab.command("-store", "mystore", "-quiet", "verify", "configuration")
    done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh"] + words, env={"PATH": "/usr/bin:/bin"},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    tap.equal((done.returncode, done.stdout), (0, ""), "verify with stdin closed and nothing in the environment")


def streams_closed():
    """Closed standard streams: an empty script, results that cannot be written; the journal stays whole"""
    def run(redirection, *words):
        words = [os.path.join(tap.build_dir(), "kvsh")] + lab.command(*words)[1:]  # valgrind would take the closed descriptors
        done = subprocess.run(["sh", "-c", 'exec "$@" ' + redirection, "sh"] + words, env=lab.environment(),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=60)
        return done.returncode, done.stdout, done.stderr
    tap.equal(run("<&-"), (0, "", ""), "a script from a closed standard input")
    status, _, told = run(">&-", "show", "plans")
    tap.equal(status, 1, "status when standard output is closed")
    tap.contains(told, "write", "the sentence when standard output is closed")
    tap.equal(run(">&- 2>&-", "show", "plans")[0], 1, "status when both are closed")
    tap.equal(run("<&- >&- 2>&-", "plan", "deploy-zone", "-name", "Zone2", "-rf", "1", "-noexecute")[0], 1,
              "status when all are closed")
    tap.contains(lab.kvsh("show plans -last").out, "Deploy Zone", "the plan that was made")
    lab.kvsh("plan cancel -last")


def plan_goes_on():
    """Without -wait a plan goes on after the shell has ended; plan wait follows it"""
    service = lab.members("replica")[0]
    begin = time.monotonic()
    run = lab.kvsh("-store mystore plan stop-service -service %s" % service)
    match = re.search(r"Started plan (\d+)\. Use show plan -id \1 to check status\.", run.out)
    tap.ok(match, "what a plan without -wait prints:\n%s" % run)
    tap.note("the shell took %.2f s" % (time.monotonic() - begin))
    run = lab.kvsh("-store mystore plan wait -id %s" % match.group(1))
    tap.contains(run.out, "Plan %s ended successfully" % match.group(1), "plan wait")
    tap.equal(lab.services()[service]["state"], "stopped", "state of " + service)


def violations():
    """-quiet verify configuration prints the violations and exits 2"""
    lab.kvsh("-store mystore plan start-service -all-rns -wait")
    alone = [name for name, s in lab.services().items() if s["on"].number == 3]  # three services, three directories
    service = [name for name in lab.members("replica") if name in alone][0]
    folder = lab.services()[service]["storageDir"]
    shutil.rmtree(folder)
    run = lab.kvsh("-store mystore -quiet verify configuration", want=2)
    lines = (run.out + run.err).strip().splitlines()
    tap.contains(run.out, folder, "the violation")
    tap.ok(lines and len(lines) < 10, "violations and not much else:\n%s" % run)
    tap.lacks(run.out, "Verify: ", "the output of a quiet verify")
    run = lab.kvsh("-store mystore -json verify configuration", want=2)
    value = json.loads(run.out)
    tap.ok(value["returnCode"] != 5000, "returnCode of a verify with violations")
    lab.kvsh("-store mystore plan stop-service -service %s -wait" % service)
    os.mkdir(folder)
    lab.kvsh("-store mystore plan start-service -service %s -wait" % service)
    wait_for(lambda: lab.kvsh("-quiet verify configuration", want=None).status == 0, "verify is clean")


def survives_the_terminal():
    """A hang-up of the shell's whole session does not end the plan"""
    service = lab.members("replica")[1]
    shell = lab.spawn("plan stop-service -service %s -wait" % service, start_new_session=True)
    wait_for(lambda: re.search("Stop RepNodes.*(RUNNING|SUCCEEDED)", lab.kvsh("show plans -num 1").out),
             "the plan is under way")
    os.killpg(shell.pid, signal.SIGHUP)
    shell.communicate(timeout=30)
    run = lab.kvsh("plan wait -last")
    tap.contains(run.out, "ended successfully", "plan wait -last")
    lab.kvsh("plan start-service -service %s -wait" % service)


def reader_goes_away():
    """A reader that goes away early is no crash"""
    for words in ("show topology", "verify configuration", "show events", "-json show plans", "help"):
        line = " ".join(lab.command(*words.split())) + ' | head -1; echo "${PIPESTATUS[0]}"'
        done = subprocess.run(["bash", "-c", line], env=lab.environment(), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        status = int(done.stdout.split()[-1])
        tap.ok(status in (0, 1), "status %d of %s | head -1" % (status, words))
        tap.equal(done.stderr, "", "diagnostics of %s | head -1" % words)
    full = subprocess.run(["sh", "-c", " ".join(lab.command("show", "topology")) + " >/dev/full"],
                          env=lab.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60)
    tap.equal(full.returncode, 1, "status when standard output is full")
    tap.contains(full.stderr, "space", "the sentence when standard output is full")


def json_everywhere():
    """Every reading command gives the envelope, also when it fails"""
    for line in ("show topology", "show plans", "show plan -last", "show pools", "show zones", "show events",
                 "show parameters -policy", "show versions", "ping", "verify configuration", "topology list",
                 "topology view -name store-layout", "store list", "get -all", "help"):
        value = json.loads(lab.kvsh(line + " -json").out)
        tap.equal(value["returnCode"], 5000, "returnCode of " + line)
        tap.equal(value["schema"], "kvsh/1", "schema of " + line)
    for line, want in (("show plan -id 999", 65), ("plan stop-service -service rg9-rn9 -wait", 65)):
        value = json.loads(lab.kvsh(line + " -json", want=want).out)
        tap.ok(value["returnCode"] != 5000 and value["description"], "the envelope of a failure: %s" % value)


def private_state():
    """The journal is the user's alone"""
    mode = os.stat(os.path.join(lab.folder, "state", "mystore")).st_mode & 0o777
    tap.equal(mode, 0o700, "mode of the store's state directory")
    mode = os.stat(os.path.join(lab.folder, "state", "mystore", "journal.db")).st_mode & 0o777
    tap.equal(mode, 0o600, "mode of the journal")


if __name__ == "__main__":
    tap.main([quiet_when_well, no_stdin_at_all, streams_closed, plan_goes_on, violations, survives_the_terminal,
              reader_goes_away, json_everywhere, private_state], lab.everything_ended)
