#!/usr/bin/env python3
"""A zone is lost for good: the other one takes over by hand, and the lost one follows when it comes back."""
import os
import signal

import kvtest
import tap
from kvtest import wait_for

lab = kvtest.Lab()


def deploys():
    """A store of two zones: two storage nodes and one"""
    lab.start()
    lines = []
    for line in lab.deploy_lines():
        if line.startswith("plan deploy-zone"):
            lines += ["plan deploy-zone -name Zone1 -rf 2 -wait", "plan deploy-zone -name Zone2 -rf 1 -wait"]
        elif line.startswith("plan deploy-sn"):
            number = sum(one.startswith("plan deploy-sn") for one in lines) + 1
            lines.append("plan deploy-sn -znname %s -host %s -port %d -wait" % (
                "Zone2" if number == 3 else "Zone1", kvtest.HOST, lab.nodes[number - 1].port))
        else:
            lines.append(line)
    lab.deploy(lines)
    lab.verify_clean()
    lab.kvsh("put -key a -value b")


def refuses_a_living_zone():
    """A zone that answers is not offline"""
    run = lab.kvsh("plan failover -znname Zone1 -type offline-secondary -znname Zone2 -type primary -wait", want=10)
    tap.contains(run.err, "zone-alive", "the rule")
    run = lab.kvsh("plan failover -znname Zone1 -type offline-secondary -wait", want=10)
    tap.contains(run.err, "zone-types", "the rule")
    lab.kvsh("plan failover -znname Zone1 -type lost -wait", want=64)


def fails_over():
    """Zone1 is gone: Zone2 serves everything"""
    for node in lab.nodes[:2]:
        pids = [s["pid"] for s in node.services().values() if s.get("kind") == "redis"]
        node.kill()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    survivor = lab.nodes[2]
    wait_for(lambda: all(not s["redis"]["linkUp"] or s["redis"]["role"] == "primary"
                         for s in survivor.services().values() if s.get("redis")), "links are down", 30)
    lab.kvsh("plan failover -znname Zone1 -type offline-secondary -znname Zone2 -type primary -wait")
    roles = {s["redis"]["role"] for s in survivor.services().values() if s.get("redis")}
    tap.equal(roles, {"primary"}, "roles in Zone2")
    tap.contains(lab.kvsh("get -key a").out, "b", "the value")
    tap.contains(lab.kvsh("show zones").out, "SECONDARY", "show zones")


def comes_back():
    """The lost zone comes back and follows"""
    for node in lab.nodes[:2]:
        node.start()
    wait_for(lambda: lab.kvsh("verify configuration", want=None).status == 0, "verify is clean", 60)
    tap.equal(sorted(n[-1] for n in lab.members("primary")), ["3"] * len(lab.members("primary")), "primaries")


if __name__ == "__main__":
    tap.main([deploys, refuses_a_living_zone, fails_over, comes_back], lab.everything_ended)
