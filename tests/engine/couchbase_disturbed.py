#!/usr/bin/env python3
"""Every kind of plan of a Couchbase store, disturbed: interrupted, left by Ctrl-C, and with somebody else at work.

    ONLY=remove-node couchbase_disturbed.py         only these plans
"""
import os
import shlex
import signal
import subprocess
import threading
import time

from cblab import FAILED, GROUPS, Lab, NODES, SPARE, WAITING, tap

ONLY = [name for name in os.environ.get("ONLY", "").split(",") if name]
PORT = "-host 127.0.0.1 -port {p1_port}"
FACTOR = 4
LONG = {"rebalance": 600, "graceful": 600, "failover": 600, "compaction": 600}  # virtual: until it is hurried
HELD = 6000  # milliseconds an answer is held back, so that there is a middle
REBALANCE, EVENTS = "/controller/rebalance", "/events"


class Kind:
    """One kind of plan: its line, the cluster it begins with, the request that begins what takes time, what the
    members are in the end."""

    def __init__(self, line, scenario, path, end, stops=True, twice=None):
        self.line = "-timeout 30 " + line  # longer than any answer is held back
        self.scenario, self.path, self.end = scenario, path, end
        self.method = "PUT" if "serverGroups" in path else "POST"
        self.stops = stops                              # an interrupt stops what the cluster does
        self.requests = twice or (2 if stops else 1)    # how often it is asked for, when interrupted once

    def lab(self, **more):
        scenario = dict(self.scenario, factor=FACTOR, **more)
        scenario["timing"] = dict(LONG, cache=1)
        lab = Lab(scenario)
        lab.control("clock", advance=1000)
        lab.kv("ping -quiet", None)
        lab.control("clear")
        return lab

    def check_end(self, lab, what):
        got = {name: lab.membership(name) for name in self.end}
        tap.equal(got, self.end, what + ": members in the end")
        tap.equal(lab.cluster()["operation"], None, what + ": what runs in the end")


KINDS = {
    "failover-graceful": Kind("plan failover -service {n2}", NODES, "/controller/startGracefulFailover",
                              {"n2": "inactiveFailed"}),
    "failover-hard": Kind("plan failover -service {n2} -mode hard", NODES, "/controller/startFailover",
                          {"n2": "inactiveFailed"}, stops=False),
    "recover": Kind("plan recover -service {n2} -type full -rebalance", FAILED, REBALANCE, {"n2": "active"}),
    "add-node": Kind("plan add-node -rebalance " + PORT, SPARE, REBALANCE, {"p1": "active"}),
    "remove-node": Kind("plan remove-node -service {n4}", NODES, REBALANCE, {"n4": None}),
    "rebalance": Kind("plan rebalance", WAITING, REBALANCE, {"n4": "active"}),
    "swap-rebalance": Kind("plan swap-rebalance -from {n2} -to {p1}", SPARE, REBALANCE, {"n2": None, "p1": "active"}),
    "cleanup": Kind("plan cleanup -bucket orders", NODES, "/pools/default/buckets/orders/controller/compactBucket",
                    {"n1": "active"}, stops=False, twice=None),
}
# These are over at once: the answer is held back, so that there is a middle.
AT_ONCE = {
    "set-recovery": Kind("plan recover -service {n2} -type delta", FAILED, "/controller/setRecoveryType",
                         {"n2": "inactiveAdded"}, stops=False),
    "join": Kind("plan add-node " + PORT, SPARE, "/controller/addNode", {"p1": "inactiveAdded"}, stops=False),
    "eject": Kind("plan remove-node -service {n4}", WAITING, "/controller/ejectNode", {"n4": None}, stops=False),
    "change-group": Kind("plan change-group -service {n2} -group 'Rack 2'", GROUPS, "/pools/default/serverGroups",
                         {"n2": "active"}, stops=False),
}


def asked(lab, path):
    return [r for r in lab.requests() + lab.requests("PUT") if r["path"] == path]


def hurry(lab):
    """What runs comes to its end, and what comes is quick."""
    lab.control("set", timing={name: 1 for name in LONG})
    lab.control("clock", advance=1000)


def begun(lab):
    """Something of this plan is under way in the cluster."""
    c = lab.cluster()
    return c["operation"] is not None or c["compactions"]


# --- interrupted, and left ---

def interrupted(kind, at_once):
    """plan interrupt ends the plan as interrupted, and what it began where that can be stopped; execute goes on"""
    with kind.lab() as lab:
        if at_once:
            lab.control("fault", kind="delay", path=kind.path, method=kind.method, ms=HELD, count=1)
        lab.kv(kind.line)
        lab.wait((lambda: asked(lab, kind.path)) if at_once else (lambda: begun(lab)), "it to begin")
        lab.kv("plan interrupt -last", None)
        done = lab.kv("plan wait -last", None)
        tap.ok(done.returncode in (0, 4) if at_once else done.returncode == 4,
               "status of the wait: %d (%s)" % (done.returncode, done.stdout + done.stderr))
        if kind.stops:
            tap.equal(lab.cluster()["operation"], None, "what runs after the interrupt")
        told = lab.kv("show plan -last").stdout
        tap.ok(("was stopped as asked" in told) == kind.stops, "what is told of it:\n" + told)
        if kind.stops:
            hurry(lab)
        if done.returncode == 4:
            lab.kv("plan execute -last")
        hurry(lab)
        lab.kv("plan wait -last")
        kind.check_end(lab, "interrupted")
        tap.equal(len([r for r in asked(lab, kind.path) if r["status"] == 200]), kind.requests, "requests")


def left(kind, at_once):
    """Ctrl-C ends the waiting only, and says how to follow; the plan goes on to its end"""
    with kind.lab() as lab:
        if at_once:
            lab.control("fault", kind="delay", path=kind.path, method=kind.method, ms=HELD, count=1)
        words = lab.command(*shlex.split(kind.line + " -wait"))
        shell = subprocess.Popen(words, env=lab.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True, start_new_session=True)
        lab.wait((lambda: asked(lab, kind.path)) if at_once else (lambda: begun(lab)), "it to begin")
        shell.send_signal(signal.SIGINT)
        said = shell.communicate(timeout=60)[0]
        tap.equal(shell.returncode, 130, "status after Ctrl-C (%s)" % said)
        tap.contains(said, "plan wait", "what is said")
        hurry(lab)
        lab.kv("plan wait -last")
        kind.check_end(lab, "left")
        tap.equal(len([r for r in asked(lab, kind.path) if r["status"] == 200]), 1, "requests")


# --- somebody else ---

def others_rebalance(lab, leaving):
    known = "%2C".join(otp.replace("@", "%40") for otp in sorted(lab.cluster()["members"]))
    lab.others(REBALANCE, "knownNodes=%s&ejectedNodes={%s}" % (known, leaving))


def others_before(kind, at_once):
    """Somebody else's rebalance between preview and plan: nothing is asked for, and what to do is said"""
    with kind.lab() as lab:
        lab.kv(kind.line + " -noexecute")
        others_rebalance(lab, "n3")
        lab.wait(lambda: "RUNNING" in lab.kv("show tasks").stdout, "theirs to be seen")
        before = len(lab.requests() + lab.requests("PUT"))
        done = lab.kv("plan execute -last -wait", None)
        tap.equal(len(lab.requests() + lab.requests("PUT")), before, "changing requests")
        tap.ok(done.returncode in (7, 10), "status %d (%s)" % (done.returncode, done.stdout + done.stderr))
        tap.ok("plan" in done.stderr and len(done.stderr.splitlines()) > 1, "what to do is said:\n" + done.stderr)
        hurry(lab)
        lab.wait(lambda: lab.cluster()["operation"] is None, "theirs to end")
        tap.equal(lab.membership("n3"), None, "theirs went on")


def others_in_between(kind, at_once):
    """Somebody else's rebalance while the plan is about to ask: never taken for ours, and what to do is said"""
    if at_once:
        return
    with kind.lab() as lab:
        path = kind.path if kind.path != REBALANCE else EVENTS
        first = {"recover": "/controller/setRecoveryType", "add-node": "/controller/addNode"}
        held = next((p for word, p in first.items() if word in kind.line), EVENTS)
        if "compact" in path:
            held = path
        lab.control("fault", kind="delay", path=held, ms=HELD, count=1)
        box = []
        thread = threading.Thread(target=lambda: box.append(lab.kv(kind.line + " -wait", None)))
        thread.start()
        lab.wait(lambda: any(r["path"] == held for r in lab.control("log")["requests"]), "the plan to be about to ask")
        others_rebalance(lab, "n3")
        if "compact" in path:  # no business of a rebalance
            lab.wait(lambda: lab.cluster()["compactions"], "the compaction")
            hurry(lab)
        thread.join()
        done = box[0]
        if "compact" in path:
            tap.equal(done.returncode, 0, "status (%s)" % (done.stdout + done.stderr))
        else:
            tap.equal(done.returncode, 1, "status (%s)" % (done.stdout + done.stderr))
            tap.ok(len(done.stderr.splitlines()) > 1, "what to do is said:\n" + done.stderr)
            took = [r for r in asked(lab, kind.path) if r["status"] == 200 and b"rebalance_id" in str(r).encode()]
            tap.equal(took, [], "operations of ours")
        hurry(lab)
        lab.wait(lambda: lab.cluster()["operation"] is None, "theirs to end")
        tap.equal(lab.membership("n3"), None, "theirs went on to its end")
        if done.returncode != 0:
            again = lab.kv("plan execute -last -wait", None)
            tap.ok(again.returncode == 0 or len(again.stderr.splitlines()) > 1,
                   "executed again: %d (%s)" % (again.returncode, again.stdout + again.stderr))
            if again.returncode == 0:
                kind.check_end(lab, "executed again")


# --- the kinds that are unlike the others ---

def stop_is_for_what_was_seen():
    """stop-rebalance stops what was seen when it was made, nothing begun since by others"""
    with KINDS["remove-node"].lab() as lab:
        lab.control("set", timing={"rebalance": 1000})
        others_rebalance(lab, "n3")
        lab.wait(lambda: "RUNNING" in lab.kv("show tasks").stdout, "theirs to be seen")
        lab.kv("plan stop-rebalance -noexecute")
        lab.others("/controller/stopRebalance", "allowUnsafe=false")
        lab.wait(lambda: lab.cluster()["operation"] is None, "theirs to be stopped by them")
        others_rebalance(lab, "n4")
        lab.wait(lambda: "RUNNING" in lab.kv("show tasks").stdout, "their second one to be seen")
        done = lab.kv("plan execute -last -wait", None)
        tap.ok(done.returncode in (0, 7), "status %d (%s)" % (done.returncode, done.stdout + done.stderr))
        tap.ok(lab.cluster()["operation"] is not None, "the second one goes on")
        tap.equal(asked(lab, "/controller/stopRebalance"), [], "requests")
        lab.kv("plan stop-rebalance -wait")
        tap.equal(lab.cluster()["operation"], None, "a plan made anew stops it")


def stop_what_a_stale_list_told_of():
    """stop-rebalance made from a task list that is stale, and without a number, stops the same operation all the same"""
    for kind in ("stale", "master_timeout"):
        with KINDS["remove-node"].lab() as lab:
            lab.control("set", timing={"rebalance": 1000})
            others_rebalance(lab, "n3")
            lab.wait(lambda: "RUNNING" in lab.kv("show tasks").stdout, "theirs to be seen")
            lab.control("fault", kind=kind, path="/pools/default/tasks", method="GET", count=1)
            lab.kv("plan stop-rebalance -wait")
            tap.equal(lab.cluster()["operation"], None, kind + ": the operation")
            tap.equal(len(asked(lab, "/controller/stopRebalance")), 1, kind + ": requests")


def stop_waits_for_a_number():
    """stop-rebalance that meets a stale list does not take what somebody began since for what it is to stop"""
    for count, status in ((2, 0), (-1, 1)):
        with KINDS["remove-node"].lab() as lab:
            lab.control("set", timing={"rebalance": 1000})
            others_rebalance(lab, "n3")
            lab.wait(lambda: "RUNNING" in lab.kv("show tasks").stdout, "theirs to be seen")
            lab.kv("plan stop-rebalance -noexecute")
            lab.others("/controller/stopRebalance", "allowUnsafe=false")
            lab.wait(lambda: lab.cluster()["operation"] is None, "theirs to be stopped by them")
            others_rebalance(lab, "n4")
            lab.control("fault", kind="stale", path="/pools/default/tasks", method="GET", count=count)
            lab.kv("plan execute -last -wait", status)
            tap.ok(lab.cluster()["operation"] is not None, "the second one goes on")
            tap.equal(asked(lab, "/controller/stopRebalance"), [], "requests")


def interrupt_leaves_others_alone():
    """An interrupted plan does not stop what somebody else began behind its own"""
    with KINDS["remove-node"].lab(version="7.2") as lab:
        lab.control("set", timing={"rebalance": 1000})
        lab.control("fault", kind="delay", path=EVENTS, method="GET", ms=HELD, count=1)
        lab.kv(KINDS["remove-node"].line)
        lab.wait(lambda: any(r["path"] == EVENTS for r in lab.control("log")["requests"]), "the plan to be about to ask")
        others_rebalance(lab, "n3")
        lab.wait(lambda: asked(lab, REBALANCE), "the plan to ask")
        lab.kv("plan interrupt -last", None)
        done = lab.kv("plan wait -last", None)
        tap.ok(done.returncode in (1, 4), "status %d (%s)" % (done.returncode, done.stdout + done.stderr))
        tap.ok(lab.cluster()["operation"] is not None, "theirs goes on")
        tap.equal(asked(lab, "/controller/stopRebalance"), [], "requests")


def leaves_while_it_is_moved():
    """A node that leaves while it is moved to another group: said at once, whether that was asked for, is to show, or lost"""
    for fault in ({"kind": "delay", "ms": 3000}, None, {"kind": "cut", "effect": False}):
        with Lab(dict(WAITING, groups=GROUPS["groups"], timing={"cache": 1 if fault else 4})) as lab:
            if fault:
                lab.control("fault", path="/pools/default/serverGroups", method="PUT", count=1, **fault)
            box = []
            thread = threading.Thread(target=lambda: box.append(
                lab.kv("plan change-group -service {n4} -group 'Rack 2' -wait", 1)))
            thread.start()
            lab.wait(lambda: lab.requests("PUT"), "the request")
            lab.others("/controller/ejectNode", "otpNode={n4}")
            thread.join()
            tap.contains(box[0].stderr, "%s is not a member of the cluster any more" % lab.host["n4"], "what is said")
            tap.contains(box[0].stderr, "cancel the plan", "what to do")
            tap.equal(len(lab.requests("PUT")), 1, "requests")


def restart_interrupted():
    """restart-service interrupted while it waits for the hand: executed again it waits on, and ends as undisturbed"""
    with Kind("", NODES, "", {}).lab() as lab:
        lab.control("set", timing={name: 1 for name in LONG})
        lab.kv("plan restart-service -service {n2} -pause")
        waits = "waiting for: a restart of couchbase-server on " + lab.host["n2"]
        lab.wait(lambda: waits in lab.task(), "the plan to wait")
        lab.kv("plan interrupt -last")
        lab.kv("plan wait -last", 4)
        tap.equal(lab.membership("n2"), "inactiveFailed", "n2 meanwhile")
        lab.kv("plan execute -last")
        lab.wait(lambda: waits in lab.task(), "the plan to wait again")
        lab.control("node", node="n2", do="kill")
        lab.control("node", node="n2", do="revive")
        lab.kv("plan wait -last")
        tap.equal(lab.membership("n2"), "active", "n2")
        for path in ("/controller/startGracefulFailover", "/controller/setRecoveryType", REBALANCE):
            tap.equal(len(asked(lab, path)), 1, "requests of " + path)


def restart_seen_late():
    """restart-service is not told of a restart by an uptime that is some seconds old"""
    with Lab(dict(NODES, timing={"cache": 5})) as lab:
        lab.kv("plan restart-service -service {n2} -pause")
        waits = "waiting for: a restart of couchbase-server on " + lab.host["n2"]
        lab.wait(lambda: waits in lab.task(), "the plan to wait")
        time.sleep(8)
        tap.contains(lab.task(), waits, "the plan afterwards")
        lab.control("node", node="n2", do="kill")
        lab.control("node", node="n2", do="revive")
        lab.control("set", timing={"cache": 0.3})
        lab.kv("plan wait -last")
        tap.equal(lab.membership("n2"), "active", "n2")


def restart_and_others():
    """restart-service whose node somebody else takes out meanwhile: the plan stops and says so"""
    with Kind("", NODES, "", {}).lab() as lab:
        lab.control("set", timing={name: 1 for name in LONG})
        lab.kv("plan restart-service -service {n2} -pause")
        lab.wait(lambda: "waiting for: a restart" in lab.task(), "the plan to wait")
        others_rebalance(lab, "n3")  # a rebalance removes what is failed over
        hurry(lab)
        lab.wait(lambda: lab.cluster()["operation"] is None and lab.membership("n2") is None, "n2 to be taken out")
        lab.control("node", node="n2", do="kill")
        lab.control("node", node="n2", do="revive")
        done = lab.kv("plan wait -last -seconds 60", None)
        tap.equal(done.returncode, 1, "status (%s)" % (done.stdout + done.stderr + lab.task()))
        tap.contains(done.stdout + done.stderr, "not a member", "what is said")


def bind(name, kind, function, at_once):
    def test():
        function(kind, at_once)
    test.__doc__ = "%s: %s" % (name, function.__doc__)
    return test


if __name__ == "__main__":
    tap.main([bind(name, kind, function, kinds is AT_ONCE)
              for function in (interrupted, left, others_before, others_in_between)
              for kinds in (KINDS, AT_ONCE) for name, kind in kinds.items()
              if (not ONLY or name in ONLY) and not (kinds is AT_ONCE and function is others_in_between)
              and not (function is others_before and name in ("cleanup", "set-recovery"))] +
             [t for t in (stop_is_for_what_was_seen, stop_what_a_stale_list_told_of, stop_waits_for_a_number,
                          interrupt_leaves_others_alone, leaves_while_it_is_moved, restart_interrupted, restart_seen_late,
                          restart_and_others) if not ONLY or "special" in ONLY])
