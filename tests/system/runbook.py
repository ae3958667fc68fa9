#!/usr/bin/env python3
"""The runbook: a disk is lost under a replica, then under a primary, while a client writes; nothing is lost."""
import os
import re
import shutil
import subprocess

import kvtest
import tap
from kvtest import wait_for
from writer import Writer

lab = kvtest.Lab()
writer = None
VALUE = "HELLO WORLD"


def ports():
    return [s["port"] for s in lab.services().values() if s.get("redis")]


def shard_of(key):
    slot = __import__("writer").slot_of(key)
    for name, s in lab.services().items():
        for node in (s.get("redis") or {}).get("nodes", []):
            if "myself" in node["flags"] and any(a <= slot <= b for a, b in node["slots"]):
                return name.split("-")[0]
    raise AssertionError("no shard owns slot %d" % slot)


def deploys():
    """A store is deployed, and the first key put"""
    global writer
    lab.start()
    lab.deploy()
    lab.verify_clean()
    run = lab.kvsh(["put", "-key", "/FIRST_KEY", "-value", VALUE])
    tap.contains(run.out, "Put OK, inserted.", "put")
    run = lab.kvsh("get -all")
    tap.contains(run.out, "/FIRST_KEY", "get -all")
    tap.contains(run.out, VALUE, "get -all")
    writer = Writer(ports(), lab.password())
    writer.start()
    wait_for(lambda: writer.acknowledged > 500, "the writer writes")


def lose(service):
    """Removes the storage directory of the service; what is seen of it."""
    s = lab.services()[service]
    node, folder = s["on"], s["storageDir"]
    shutil.rmtree(folder)

    def told():
        return [line for line in node.log().splitlines()
                if " ERROR " in line and service in line and folder in line]
    wait_for(lambda: len(told()) >= 2, "the agent's log repeats the error")
    run = lab.kvsh("show events")
    tap.ok(re.search(re.escape(service) + r".*missing|missing.*" + re.escape(service), run.out),
           "show events has it:\n%s" % run)
    run = lab.kvsh("verify configuration", want=2)
    tap.ok(re.search(r"Verification complete, \d+ violations?", run.out), "a violation:\n%s" % run)
    tap.contains(run.out, folder, "the violation names the directory")
    tap.contains(lab.kvsh("get -all").out, VALUE, "get -all")
    return node, folder


def plan_of(run):
    match = re.search(r"Executed plan (\d+), waiting for completion\.\.\.", run.out)
    tap.ok(match, "the plan's number in\n%s" % run)
    return int(match.group(1))


def replace(service, node, folder, resume):
    """stop-service, a start that cannot work, the new disk, a start that works."""
    run = lab.kvsh("plan stop-service -service %s -wait" % service)
    stop = plan_of(run)
    tap.contains(run.out, "Plan %d ended successfully" % stop, "stop-service")
    run = lab.kvsh("verify configuration", want=2)
    tap.ok(re.search(r"Rep Node \[%s\]\s+Status: UNREACHABLE" % service, run.out), "UNREACHABLE in\n%s" % run)
    tap.ok(re.search(r"%s.*\bplan %d\b" % (service, stop), run.out), "verify says that the plan stopped it:\n%s" % run)
    tap.contains(lab.kvsh("show plans").out, "Stop RepNodes (%d)" % stop, "show plans")

    run = lab.kvsh("plan start-service -service %s -wait" % service, want=1)
    start = stop + 1
    told = run.out + run.err
    tap.contains(told, "sn%d" % node.number, "the failed start")
    tap.contains(told, folder, "the failed start")
    tap.ok(re.search(r"%d Start RepNodes \(%d\) +ERROR" % (start, start), lab.kvsh("show plans").out), "ERROR")
    tap.contains(lab.kvsh("show plan -id %d" % start).out, folder, "show plan")

    os.makedirs(folder)
    again = "plan execute -id %d -wait" % start if resume else "plan start-service -service %s -wait" % service
    run = lab.kvsh(again)
    tap.contains(run.out, "ended successfully", again)

    def clean():
        return lab.kvsh("verify configuration", want=None).status == 0
    wait_for(clean, "verify is clean", 30)
    run = lab.verify_clean()
    tap.ok(re.search(r"Rep Node \[%s\]\s+Status: RUNNING,REPLICA at sequence number [\d,]+ haPort:\d+" % service,
                     run.out), "RUNNING,REPLICA in\n%s" % run)


def carries_the_value(folder):
    return subprocess.run(["grep", "-r", "-q", "-a", VALUE, folder], check=False).returncode == 0


def of_role(role):
    shard = shard_of("/FIRST_KEY")
    return [name for name in lab.members(role) if name.startswith(shard + "-")][0]


def replica():
    """The disk of a replica is replaced"""
    service = of_role("replica")
    tap.note("service " + service)
    node, folder = lose(service)
    replace(service, node, folder, resume=False)
    wait_for(lambda: carries_the_value(folder), "the new directory's files have the value")


def primary():
    """The disk of a primary is replaced"""
    service = of_role("primary")
    tap.note("service " + service)
    node, folder = lose(service)
    replace(service, node, folder, resume=True)
    wait_for(lambda: carries_the_value(folder), "the new directory's files have the value")
    tap.ok(of_role("primary") != service, "another service is the primary now")


def nothing_lost():
    """No acknowledged write was lost"""
    writer.finish()
    lost = writer.lost()
    tap.note("%d writes acknowledged, longest gap %.2f s" % (writer.acknowledged, writer.longest_gap))
    tap.ok(writer.acknowledged > 1000, "the writer wrote")
    tap.equal(lost[:10], [], "%d lost writes" % len(lost))
    tap.contains(lab.kvsh("get -key /FIRST_KEY").out, VALUE, "get")


if __name__ == "__main__":
    tap.main([deploys, replica, primary, nothing_lost], lab.everything_ended)
