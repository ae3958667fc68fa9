"""Shared by the tests that kill something in the middle of plan deploy-topology."""
import os
import re
import signal
import time

import kvtest
import tap
from kvtest import wait_for

PLAN = 8  # deploy-topology is the eighth plan of the script


ENDS = ("SUCCEEDED", "ERROR", "INTERRUPTED")


def prepared():
    """A laboratory in which only the last line of the script is left to do."""
    lab = kvtest.Lab()
    lab.start()
    lab.deploy(lab.deploy_lines()[:-1])
    return lab


def runner_of(lab):
    """The pid of the process that executes the plan, or None."""
    for pid in kvtest.processes_of(lab.folder):
        if b"run-plan" in kvtest._proc(pid, "cmdline"):
            return pid
    return None


def kill(pid):
    """Kills the process and waits for its end, until which the kernel keeps its locks; False when there was none."""
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, TypeError):
        return False
    wait_for(lambda: not kvtest.is_alive(pid), "process %d is gone" % pid, every=0.01)
    return True


def kill_runner(lab):
    """Kills the runner, which may just be on its way; False when the plan had come to its end before."""
    wait_for(lambda: runner_of(lab) or lab.state_in_journal(PLAN) in ENDS, "there is a runner", every=0.01)
    return kill(runner_of(lab))


def finish(lab):
    """plan execute ends what was begun, and the store is well."""
    if lab.plan_state(PLAN) != "SUCCEEDED":
        run = lab.kvsh("plan execute -id %d -wait" % PLAN)
        tap.contains(run.out, "Plan %d ended successfully" % PLAN, "plan execute")
    tap.equal(lab.plan_state(PLAN), "SUCCEEDED", "state of the plan in the end")
    lab.verify_clean()
    tap.equal((len(lab.members("primary")), len(lab.members("replica"))), (3, 6), "primaries and replicas")
    run = lab.kvsh(["put", "-key", "k", "-value", "v"])
    tap.contains(run.out, "Put OK, inserted.", "put")


def killed_at(seconds, victim, begun):
    """Starts the plan, calls victim(lab) so long after it was made (or, when begun, after it was RUNNING), then finishes.
    victim returns the states allowed afterwards."""
    lab = prepared()
    try:
        shell = lab.spawn(lab.deploy_lines()[-1])
        there = ENDS + ("RUNNING",) + (() if begun else ("PENDING", "APPROVED"))
        wait_for(lambda: lab.state_in_journal(PLAN) in there, "the plan is there", every=0.01)
        time.sleep(seconds * (8 if tap.SLOWER > 10 and not begun else 1))  # a plan takes its time to begin under valgrind
        before = lab.state_in_journal(PLAN)
        allowed = victim(lab, shell)
        state = lab.plan_state(PLAN)
        shown = lab.kvsh("show plan -id %d" % PLAN).out
        progress = re.findall(r"^ *(?:Successful|Total tasks|Incomplete|Progress percent):.*$", shown, re.M)
        tap.note("%s before, %s after; %s" % (before, state, "; ".join(" ".join(p.split()) for p in progress)))
        tap.ok(state in allowed, "state is %s, allowed are %s; show plan:\n%s" % (state, allowed, shown))
        finish(lab)
        shell.kill()
        shell.communicate()
        lab.everything_ended()
        return before
    finally:
        lab.close()


def several(instants, victim, begun=False):
    """At several instants; at least one of them has to be in the middle of the plan."""
    states = [killed_at(seconds, victim, begun) for seconds in instants]
    tap.ok("RUNNING" in states, "one of the instants is in the middle (states: %s)" % states)
