#!/usr/bin/env python3
"""The life of plans on a real store: preview, staleness, parts that fail, watching, questions, notifications, leases."""
import json
import os
import re
import signal
import subprocess

import crashes
import kvtest
import tap
from kvtest import HOST, STORE, wait_for

lab = kvtest.Lab()
OWNER = "somebody@elsewhere#00000001"


def newest():
    return lab.json("show plans -num 1")["plans"][-1]["id"]


def all_run():
    lab.kvsh("plan start-service -all-rns -wait -lock-wait 30")
    wait_for(lambda: lab.kvsh("-quiet verify configuration", want=None).status == 0, "verify is clean")


def previews():
    """A preview leaves nothing behind, and a stale plan is refused by naming what changed"""
    lab.start()
    lab.deploy()
    before = newest()
    run = lab.kvsh("plan preview stop-service -service rg1-rn2 -explain")
    tap.contains(run.out, "wave 1, task 1 [rg1-rn2]: stop rg1-rn2", "preview")
    tap.contains(run.out, "made from observation", "preview")
    tap.lacks(run.out + run.err, lab.password(), "preview")
    tap.lacks(run.out + run.err, lab.token, "preview")
    tap.equal(newest(), before, "newest plan")
    told = lab.kvsh("plan preview stop-service -service rg1-rn2 -explain -json").json()["returnValue"]
    tap.equal([t["target"] for t in told["tasks"]], ["rg1-rn2"], "tasks of the preview as JSON")
    tap.ok(told["tasks"][0]["why"] and told["tasks"][0]["degrades"] and told["digest"], "why, what degrades, the digest")
    tap.ok(any("/stop" in c["command"] for c in told["commands"]), "what a person could type")
    lab.kvsh("plan stop-service -service rg1-rn2 -noexecute")
    plan = newest()
    tap.contains(lab.kvsh("plan preview -last").out, "stop rg1-rn2", "plan preview -last")
    tap.lacks(lab.kvsh("plan preview -id %d" % plan).err, "refuse", "preview of a plan that fits")
    lab.kvsh("plan stop-service -service rg1-rn2 -wait")
    tap.contains(lab.kvsh("plan preview -id %d" % plan, want=7).err, "would refuse it now", "preview of a stale plan")
    run = lab.kvsh("plan execute -id %d -wait" % plan, want=7)
    tap.contains(run.err, "rg1-rn2 was RUNNING,REPLICA and is STOPPED", "the refusal")
    tap.equal(lab.plan_state(plan), "APPROVED", "state of the stale plan")
    all_run()


def parts():
    """A plan that is partly done ends with 5; retry -failed-only does the rest"""
    lab.kvsh("plan stop-service -service rg1-rn2 -wait")
    lab.kvsh("plan stop-service -service rg2-rn2 -wait")
    service = lab.services()["rg2-rn2"]
    folder = service["storageDir"]
    os.rename(folder, folder + ".away")
    run = lab.kvsh("plan start-service -service rg1-rn2 -service rg2-rn2 -wait", want=5)
    tap.contains(run.out, "is partly done", "the end")
    tap.contains(run.err, "rg2-rn2", "what failed")
    os.rename(folder + ".away", folder)
    lab.kvsh("plan retry -last -failed-only -wait")
    shown = lab.kvsh("show plan -last -verbose").out
    tap.ok(re.search(r"start rg2-rn2.*\n +2 tries", shown), "two tries in\n" + shown)
    tap.ok(re.search(r"start rg1-rn2.*\n +1 try", shown), "one try in\n" + shown)
    lab.kvsh("plan retry -last -failed-only -wait", want=1)
    all_run()


def watching():
    """-watch tells each change and ends with the plan and its status"""
    lab.kvsh("plan stop-service -service rg3-rn2 -noexecute")
    lab.kvsh("plan execute -last")
    run = lab.kvsh("show plan -last -watch")
    tap.contains(run.out, "task 1 SUCCEEDED: stop rg3-rn2", "the changes")
    tap.ok(run.out.strip().splitlines()[-1].endswith("SUCCEEDED: Stop RepNodes (%d)" % newest()), "the last line of\n%s" % run)
    all_run()


def questions():
    """check answers by the rules: 0 or 10, and how many at once"""
    before = newest()
    lab.kvsh("check stop -service rg1-rn2")
    lab.kvsh("check stop -service rg1-rn1 -service rg1-rn2 -service rg1-rn3", want=10)
    answer = lab.json("check stop -service rg1-rn2 -max 9")
    tap.equal((answer["safe"], sorted(answer["together"])), (True, ["rg1-rn2", "rg2-rn2", "rg3-rn2"]), "together")
    tap.equal(answer["atOnce"], 3, "at once")
    lab.kvsh("check stop -service rg9-rn9", want=65)
    three = " ".join("-service rg1-rn%d" % i for i in (1, 2, 3))
    for line, safe in (("restart -service rg1-rn1", True), ("remove -service rg1-rn2", True),
                       ("failover -service rg1-rn2", True), ("stop " + three, False)):
        answer = lab.json("check " + line, want=0 if safe else 10)
        tap.equal(answer["safe"], safe, "check " + line)
        tap.equal(bool([f for f in answer["findings"] if f["severity"] in ("block", "confirm", "fatal")]), not safe,
                  "findings of check " + line)
    envelope = lab.kvsh("check stop %s -json" % three, want=10).json()
    tap.ok(envelope["returnCode"] != 5000 and "rule" in envelope["description"], "the refusal: %s" % envelope["description"])
    tap.equal(newest(), before, "newest plan")


def notifications():
    """The hook gets the outcome; one that fails changes nothing"""
    told = os.path.join(lab.folder, "told")
    hook = lab.file("hook", "#!/bin/sh\ncat >\"$1.new\"\nmv \"$1.new\" \"$1\"\nexit 3\n", 0o700)
    with open(lab.config, encoding="utf-8") as f:
        config = lab.file("hooked.conf", f.read().replace("[kvsh]\n", "[kvsh]\nnotify-command = %s %s\n" % (hook, told)), 0o600)
    lab.kvsh("plan stop-service -service rg1-rn2 -wait", config=config)
    wait_for(lambda: os.path.exists(told), "the hook is told")
    with open(told, encoding="utf-8") as f:
        outcome = json.load(f)
    tap.equal((outcome["store"], outcome["state"], outcome["exitStatus"]), (STORE, "SUCCEEDED", 0), "outcome")
    wait_for(lambda: "ended with status 3" in lab.kvsh("show events -local -plan %d" % outcome["planId"]).out, "the event")
    tap.equal(lab.plan_state(outcome["planId"]), "SUCCEEDED", "state of the plan")
    all_run()


def lease_of_another(ttl, plan):
    for node in lab.nodes:
        status, _ = node.rest("PUT", "/v1/lease", {"owner": OWNER, "plan": plan, "epoch": 1, "ttlMs": ttl})
        tap.equal(status, 200, "status of the lease")


def another_machine():
    """The configuration of an operator with another state directory, who knows the store."""
    other = lab.file("other.conf", "[kvsh]\nstate-dir = %s\ntoken-file = %s\n" % (
        os.path.join(lab.folder, "state2"), lab.token_file), 0o600)
    lab.kvsh("connect -host %s -port %d" % (HOST, lab.nodes[0].port), config=other)
    return other


def values():
    """A value that is no text comes out escaped, with a word; what is no text is not stored as something else"""
    lab.kvsh(["put", "-key", "fine", "-value", "b l\u00e4nk \u4e16"])
    tap.equal(lab.kvsh("get -key fine").out, "b l\u00e4nk \u4e16\n", "a value")
    for service in [s for s in lab.services().values() if s.get("redis")]:
        connection = kvtest.Redis(service["port"], lab.password())
        try:
            connection.call("SET", "raw", b"a\x00\xff\xc3\xa4")
        except kvtest.RedisError:
            pass
        connection.close()
    run = lab.kvsh("get -key raw")
    tap.equal(run.out, "a\\x00\\xff\u00e4\n", "the value")
    tap.contains(run.err, "no text", "the note")
    told = lab.json("get -key raw")
    tap.equal((told["value"], told["escaped"]), ("a\\x00\\xff\u00e4", True), "as JSON")
    tap.contains(lab.kvsh("get -all").err, "of 1 the value is no text", "get -all")
    for words in (["put", "-key", "fine", "-value", b"x\xff"], ["put", "-key", b"\xff", "-value", "x"],
                  ["get", "-key", b"\xff"], ["delete", "-key", b"\xff"]):
        done = subprocess.run(lab.command(*words), env=lab.environment(), stdin=subprocess.DEVNULL, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        tap.equal(done.returncode, 65, "status of %s" % words)
        tap.contains(done.stderr.decode(), "is no UTF-8 text", "the sentence for %s" % words)
    tap.equal(lab.kvsh("get -key fine").out, "b l\u00e4nk \u4e16\n", "the value afterwards")


def leases():
    """A lease of another machine refuses, outlives the agent, runs out, and is taken over with a reason"""
    lease_of_another(600000, 7)
    run = lab.kvsh("plan stop-service -service rg1-rn2 -wait", want=11)
    tap.contains(run.err, "plan 7 of " + OWNER, "the refusal")
    tap.equal(lab.plan_state(newest()), "APPROVED", "state of the refused plan")
    tap.contains(run.err, "it stays APPROVED: plan execute -id %d -lock-wait" % newest(), "the way on")
    tap.contains(lab.kvsh("show events -plan %d" % newest()).out, "not started: ", "the history of the refused plan")
    node = lab.nodes[0]
    status, answer = node.rest("POST", "/v1/services/rg1-rn1/stop", {})
    tap.equal((status, answer["code"]), (409, "leased"), "a change without the lease")
    node.kill()
    node.start()
    lease = node.rest("GET", "/v1/node")[1]["lease"]
    tap.equal((lease["owner"], lease["plan"]), (OWNER, 7), "the lease after a restart of the agent")
    lab.kvsh(["put", "-key", "k", "-value", "v"])
    lab.kvsh("plan execute -last -takeover", want=64)
    lab.kvsh(["plan", "execute", "-last", "-takeover", "-reason", "that machine is dead", "-wait"])
    tap.contains(lab.kvsh("show events -num 100").out, "that machine is dead", "events")
    for node in lab.nodes:
        tap.equal(node.rest("GET", "/v1/node")[1]["lease"], None, "lease behind the plan")
    node = lab.nodes[1]
    for restarts in (False, True):
        if restarts:
            node.kill()
            node.start()
        status, answer = node.rest("PUT", "/v1/lease", {"owner": OWNER, "plan": 7, "epoch": 1, "ttlMs": 2000})
        tap.equal((status, answer["code"]), (409, "leased"), "the one that was taken for dead comes back")
        tap.contains(answer["detail"], "plan %d of " % newest(), "the refusal")
        tap.contains(answer["detail"], "had the lease meanwhile, and the store has been changed", "the refusal")
    lease_of_another(600000, 8)
    waiting = lab.spawn("plan start-service -all-rns -wait -lock-wait 60")
    wait_for(lambda: "is starting it" in lab.kvsh("show plan -last").err, "show plan tells of the waiting runner")
    shown = lab.kvsh("show plan -last").err
    tap.ok(re.search(r"is not running yet: process \d+ is starting it and waits for the store's lease: .*plan 8 of ", shown),
           "what show plan says:\n" + shown)
    tap.lacks(shown, "has not been started", "what show plan says")
    lab.kvsh("plan wait -last -seconds 1", want=3)
    lease_of_another(1000, 8)
    out, _ = waiting.communicate(timeout=120)
    tap.equal(waiting.returncode, 0, "status of the one that waited:\n" + out)
    all_run()


def in_the_way():
    """What another machine's plan has taken out is not told as if nobody would bring it back"""
    lab.kvsh("plan stop-service -service rg1-rn2 -wait")
    lab.kvsh("check stop -service rg3-rn1", want=10)
    lease_of_another(600000, 9)
    asked = lab.kvsh("check stop -service rg3-rn1", want=10)
    tap.contains(asked.err, "plan 9 of %s is changing the store" % OWNER, "the note of check")
    before = newest()
    run = lab.kvsh("plan stop-service -service rg3-rn1 -wait", want=11)
    tap.contains(run.err, "plan 9 of %s is changing the store" % OWNER, "the refusal")
    tap.contains(run.err, "second-node", "the refusal")
    tap.equal(newest(), before, "newest plan")
    lease_of_another(2000, 9)
    run = lab.kvsh("plan stop-service -service rg3-rn1 -wait -lock-wait 60", want=10)
    tap.contains(run.err, "second-node", "the refusal when that plan has ended")
    lab.kvsh("plan start-service -all-rns -wait")
    all_run()


def two_machines():
    """Of two operators with two state directories exactly one proceeds"""
    other = another_machine()
    for _ in range(8):
        first = lab.spawn("plan stop-service -service rg1-rn2 -wait")
        second = lab.kvsh("plan stop-service -service rg2-rn3 -wait", want=(0, 10, 11), config=other)
        out, _ = first.communicate(timeout=120)
        told = sorted((first.returncode, second.status))
        tap.ok(told in ([0, 10], [0, 11]), "one proceeds (%s):\n%s\n%s" % (told, out, second))
        lab.kvsh("plan start-service -all-rns -wait -lock-wait 30")


def overtaken():
    """A runner that slept while another machine's plan took the lease, changed the store and ended does not go on"""
    other = another_machine()
    first = lab.spawn("plan restart-service -all-rns -wait")
    wait_for(lambda: lab.nodes[2].rest("GET", "/v1/node")[1]["lease"], "the lease of the first plan", every=0.02)
    runner = crashes.runner_of(lab)
    os.kill(runner, signal.SIGSTOP)
    try:
        lab.kvsh(["plan", "restart-service", "-service", "rg2-rn3", "-wait", "-takeover", "-force", "-reason", "test"],
                 config=other)
    finally:
        os.kill(runner, signal.SIGCONT)
    out, _ = first.communicate(timeout=120)
    tap.equal(first.returncode, 11, "status of the first plan:\n%s" % out)
    tap.equal(lab.plan_state(newest()), "ERROR", "state of the first plan")
    why = "somebody else took the store's lease"
    tap.contains(out, why, "what the waiting shell says")
    shown = lab.kvsh("show plan -last").out
    tap.contains(shown, why, "show plan")
    tap.contains(shown, "had the lease meanwhile, and the store has been changed", "show plan")
    lab.kvsh("plan execute -last -wait")
    all_run()


def put_off():
    """A forced plan that is taken up later leaves the last copy alone unless that was confirmed"""
    points = lab.file("points", "")

    def stop(**more):
        subprocess.run(lab.command("plan", "stop-service", "-service", "rg1-rn2", "-force", "-reason", "test", "-wait"),
                       env=lab.environment(KVSH_CRASH_IN="run-plan", **more), stdin=subprocess.DEVNULL, check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
    stop(KVSH_CRASH_COUNT=points)
    all_run()
    with open(points, encoding="ascii") as f:
        names = f.read().split()
    # APPROVED, RUNNING, and its task RUNNING
    stop(KVSH_CRASH_AT=str([i for i, name in enumerate(names, 1) if name == "commit.after"][2]))
    plan = newest()
    tap.equal((lab.plan_state(plan), lab.services()["rg1-rn2"]["state"]), ("INTERRUPTED", "running"), "plan and service")
    for other in ("rg1-rn3", "rg1-rn1"):
        lab.kvsh(["plan", "stop-service", "-service", other, "-force", "-reason", "test", "-wait"])
    run = lab.kvsh("plan execute -id %d -wait" % plan, want=1)
    tap.contains(run.err, "it is the last live copy of rg1 meanwhile", "the refusal")
    tap.equal(lab.services()["rg1-rn2"]["state"], "running", "the last copy")
    lab.kvsh("plan cancel -id %d" % plan)
    all_run()


def nothing_left():
    """Nothing that was started remains"""
    lab.everything_ended()


if __name__ == "__main__":
    tap.main([previews, parts, watching, questions, values, notifications, leases, in_the_way, two_machines, overtaken,
              put_off], nothing_left)
