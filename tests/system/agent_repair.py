#!/usr/bin/env python3
"""What takes data away or moves it, at the agent: guards first, then each action twice."""
import os
import re
import signal
import subprocess
import time

import kvtest
import tap
from agentlab import (ask, define, events, finish, operate, redis, register, request_bytes, service, start, stop,
                      wait_operation, wire)
from kvtest import wait_for

NOBODY = "a" * 40
CHECKER = """#!/bin/sh
[ "$(cat %s)" != waits ] || exec sleep 60
exec %s-check-aof "$@"
"""


class RepairLab(kvtest.Lab):
    """The checker beside the store's program can be made to wait."""

    def __init__(self):
        super().__init__(dirs=(1, 1))
        real = subprocess.check_output(["sh", "-c", "command -v redis-server || command -v valkey-server"], text=True).strip()
        self.checker("works")
        self.program = os.path.join(self.folder, os.path.basename(real))
        os.symlink(real, self.program)
        self.file(os.path.basename(real).partition("-")[0] + "-check-aof",
                  CHECKER % (os.path.join(self.folder, "checker"), real.rpartition("-")[0]), 0o755)
        for node in self.nodes:
            node.boot_words = self.with_program(node.boot_words)

    def with_program(self, words):
        return lambda capacity: words(capacity) + ["-redis-server", self.program]

    def checker(self, mode):
        self.file("checker", mode + "\n")


lab = RepairLab()
one, two = lab.nodes


def env_of(node, name):
    return os.path.join(node.dirs[0], name, "env")


def forms():
    """Two primaries share the slots"""
    lab.start()
    for node in lab.nodes:
        register(node)
    define(one, "rg1-rn1")
    define(two, "rg2-rn1")
    start(one, "rg1-rn1")
    start(two, "rg2-rn1")
    ask(one, "POST", "/v1/services/rg1-rn1/set-epoch", {"epoch": 1})
    ask(two, "POST", "/v1/services/rg2-rn1/set-epoch", {"epoch": 2})
    ask(one, "POST", "/v1/services/rg1-rn1/add-slots", {"ranges": [[0, 8191]]})
    ask(two, "POST", "/v1/services/rg2-rn1/add-slots", {"ranges": [[8192, 16383]]})
    ask(one, "POST", "/v1/services/rg1-rn1/meet", {"host": kvtest.HOST, "port": service(two, "rg2-rn1")["port"],
                                                   "busPort": service(two, "rg2-rn1")["busPort"]})
    for node, name in ((one, "rg1-rn1"), (two, "rg2-rn1")):
        wait_for(lambda n=node, s=name: service(n, s)["redis"]["clusterState"] == "ok", "cluster state ok")


def moves_a_slot():
    """A slot is never given away while keys are left in it; its keys move"""
    source, target = service(one, "rg1-rn1")["nodeId"], service(two, "rg2-rn1")["nodeId"]
    client = redis(one, "rg1-rn1")
    slot = client.call("CLUSTER", "KEYSLOT", "{b}")
    tap.ok(slot <= 8191, "rg1 owns the slot")
    for i in range(150):
        client.call("SET", "{b}%d" % i, i)

    def order(node, name, what, body, status=200, code=None):
        return ask(node, "POST", "/v1/services/%s/%s" % (name, what), body, status, code)
    for state in ("importing", "importing"):
        order(two, "rg2-rn1", "set-slot", {"slot": slot, "state": state, "nodeId": source})
    order(one, "rg1-rn1", "set-slot", {"slot": slot, "state": "migrating", "nodeId": target})
    order(one, "rg1-rn1", "set-slot", {"slot": slot, "state": "node", "nodeId": target}, 409, "differs")
    order(one, "rg1-rn1", "set-slot", {"slot": slot, "state": "lost"}, 422, "invalid")
    order(one, "rg1-rn1", "set-slot", {"slot": slot, "state": "node", "nodeId": "x"}, 422, "invalid")
    order(one, "rg1-rn1", "move-keys", {"slot": 16384, "host": "h", "port": 1}, 422, "invalid")
    move = {"slot": slot, "host": kvtest.HOST, "port": service(two, "rg2-rn1")["port"]}
    tap.equal(order(one, "rg1-rn1", "move-keys", move), {"moved": 100, "left": 50}, "first round")
    tap.equal(order(two, "rg2-rn1", "count-keys", {}), {"slots": [{"slot": slot, "keys": 100}]}, "keys not owned")
    tap.equal(order(one, "rg1-rn1", "move-keys", move), {"moved": 50, "left": 0}, "second round")
    tap.equal(order(one, "rg1-rn1", "move-keys", move), {"moved": 0, "left": 0}, "nothing left")
    for node, name in ((two, "rg2-rn1"), (one, "rg1-rn1")):
        order(node, name, "set-slot", {"slot": slot, "state": "node", "nodeId": target})
    tap.equal(order(two, "rg2-rn1", "count-keys", {"slots": [slot, 1]}), {"slots": [{"slot": slot, "keys": 150}]}, "keys")
    tap.equal(order(two, "rg2-rn1", "count-keys", {}), {"slots": []}, "no stray keys")
    order(two, "rg2-rn1", "count-keys", {"slots": [-1]}, 422, "invalid")
    client.close()


def attempts(node):
    """How often the agent has tried by itself to start something."""
    text = wire(node, request_bytes(node, "GET", "/metrics")).decode()
    return int(re.search(r"^kvagentd_restarts_total (\d+)$", text, re.M).group(1))


def checks_data():
    """Sound files pass, running or not; damaged ones are told; no copy is left"""
    for _ in range(2):
        operate(two, "/v1/services/rg2-rn1/check-data")
    tap.ok(not os.path.exists(os.path.join(two.dirs[0], "rg2-rn1", "check")), "no copy is left")
    stop(two, "rg2-rn1")
    s = service(two, "rg2-rn1")
    tap.equal((s["hasData"], s["identity"]["state"], s["identity"]["primary"], s["identity"]["slots"]),
              (True, "ok", True, 8193), "what is left of it")
    operate(two, "/v1/services/rg2-rn1/check-data")
    folder = os.path.join(env_of(two, "rg2-rn1"), "appendonlydir")
    newest = sorted(f for f in os.listdir(folder) if f.endswith(".incr.aof"))[-1]
    with open(os.path.join(folder, newest), "ab") as f:
        f.write(b"garbage\r\n")
    op = operate(two, "/v1/services/rg2-rn1/check-data", state="failed", code="store_error")
    tap.contains(op["problem"]["detail"], "damaged", "detail")
    before = attempts(two)
    begun = ask(two, "POST", "/v1/services/rg2-rn1/start", {}, 202)["operation"]
    tap.equal(wait_operation(two, begun)["state"], "failed", "the start")
    wait_for(lambda: attempts(two) >= before + 3 and not service(two, "rg2-rn1")["busy"], "the next attempt to be 8 s away")
    lab.checker("waits")
    begun = ask(two, "POST", "/v1/services/rg2-rn1/check-data", {}, 202)["operation"]
    time.sleep(1)
    tap.equal(service(two, "rg2-rn1")["busy"], "check-data", "what is under way between two attempts to start it")
    lab.checker("works")
    two.rest("POST", "/v1/services/rg2-rn1/stop", {})
    wait_for(lambda: service(two, "rg2-rn1")["wanted"] == "down", "it is given up")


def gives_way():
    """A check goes on beside the plan of another, and ends when its service is changed or has died"""
    path, lease = "/v1/services/rg1-rn1", {"owner": "a@b#1", "plan": 1, "epoch": 1}
    lab.checker("waits")
    ask(one, "PUT", "/v1/lease", dict(lease, ttlMs=60000))
    begun = ask(one, "POST", path + "/check-data", {}, 202)["operation"]
    ask(one, "POST", path + "/count-keys", {})
    ask(one, "POST", path + "/stop", {}, 409, "leased")
    manifest = os.path.join(env_of(one, "rg1-rn1"), "appendonlydir", "appendonly.aof.manifest")
    os.rename(manifest, manifest + ".away")
    wait_for(lambda: service(one, "rg1-rn1")["dirState"] == "missing", "what is lost meanwhile is seen")
    os.rename(manifest + ".away", manifest)
    wait_for(lambda: service(one, "rg1-rn1")["dirState"] == "ok", "it is there again")
    tap.equal(service(one, "rg1-rn1")["busy"], "check-data", "what is under way")
    ask(one, "DELETE", "/v1/lease", lease)
    ask(one, "PUT", "/v1/lease", dict(lease, epoch=2, ttlMs=60000))
    ask(one, "DELETE", "/v1/lease", dict(lease, epoch=2))
    refused = ask(one, "PUT", "/v1/lease", dict(lease, ttlMs=60000), 409, "superseded")
    tap.contains(refused["detail"], "attempt 2 of plan 1 follows this one", "an older attempt of the same plan")
    tap.contains(refused["advice"], "a new plan works", "an older attempt of the same plan")
    stop(one, "rg1-rn1")
    op = wait_operation(one, begun)
    tap.equal((op["state"], (op["problem"] or {}).get("code")), ("failed", "busy"), "the check")
    tap.contains(op["problem"]["detail"], "is being changed", "detail")
    start(one, "rg1-rn1")
    begun = ask(one, "POST", path + "/check-data", {}, 202)["operation"]
    wait_for(lambda: service(one, "rg1-rn1")["busy"] == "check-data", "it is under way")
    pid = service(one, "rg1-rn1")["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: service(one, "rg1-rn1")["state"] == "running" and service(one, "rg1-rn1")["pid"] != pid, "it runs again")
    tap.equal(wait_operation(one, begun)["state"], "failed", "the second check")
    lab.checker("works")
    wait_for(lambda: not service(one, "rg1-rn1")["busy"], "nothing is under way")
    operate(one, path + "/check-data")


def wipes():
    """Only what does not run, and never what keeps the data"""
    path = "/v1/services/rg1-rn1/wipe"
    ask(one, "POST", path, {"keeper": NOBODY}, 409, "running")
    stop(one, "rg1-rn1")
    me = service(one, "rg1-rn1")["nodeId"]
    ask(one, "POST", path, {"keeper": me}, 409, "wrong_role")
    ask(one, "POST", path, {"keeper": "x"}, 422, "invalid")
    ask(one, "POST", path, {}, 422, "invalid")
    ask(one, "POST", "/v1/services/rg9-rn9/wipe", {"keeper": NOBODY}, 404, "unknown_service")
    holder = subprocess.Popen(["flock", os.path.join(env_of(one, "rg1-rn1"), "kvagentd.lock"), "cat"],
                              stdin=subprocess.PIPE, env=lab.environment())
    try:
        wait_for(lambda: subprocess.run(["flock", "-n", os.path.join(env_of(one, "rg1-rn1"), "kvagentd.lock"), "true"],
                                        check=False).returncode != 0, "the lock is held")
        operate(one, path, {"keeper": NOBODY}, "failed", "dir_in_use")
    finally:
        holder.stdin.close()
        holder.wait(10)
    outside = lab.file("precious", "precious")
    os.symlink(lab.folder, os.path.join(env_of(one, "rg1-rn1"), "link"))
    operate(one, path, {"keeper": NOBODY})
    tap.ok(os.path.exists(outside), "links are not followed")
    tap.equal(os.listdir(env_of(one, "rg1-rn1")), ["kvagentd.lock"], "what is left")
    tap.contains(operate(one, path, {"keeper": NOBODY})["result"], "already empty", "the second time")
    tap.ok(any(e["kind"] == "data-wiped" for e in events(one)), "an event")
    operate(one, path, {"keeper": NOBODY, "identity": True})
    s = service(one, "rg1-rn1")
    tap.equal((s["nodeId"], s["identity"]["state"], s["hasData"]), (None, "missing", False), "nobody")


def removes_leftovers():
    """A directory of a service that is not defined, and no other"""
    path = "/v1/node/remove-data"
    ask(one, "POST", path, {"storageDir": one.dirs[0], "service": "rg1-rn1"}, 409, "differs")
    ask(one, "POST", path, {"storageDir": lab.folder, "service": "rg1-rn1"}, 422, "invalid")
    ask(one, "POST", path, {"storageDir": one.dirs[0], "service": "../x"}, 422, "invalid")
    ask(one, "DELETE", "/v1/services/rg1-rn1")
    wait_for(lambda: ask(one, "GET", "/v1/node")["storageDirs"][0]["leftovers"] == ["rg1-rn1"], "it is told")
    for _ in range(2):
        ask(one, "POST", path, {"storageDir": one.dirs[0], "service": "rg1-rn1"})
    tap.ok(not os.path.exists(os.path.join(one.dirs[0], "rg1-rn1")), "it is gone")
    wait_for(lambda: ask(one, "GET", "/v1/node")["storageDirs"][0]["leftovers"] == [], "it is told no more")


if __name__ == "__main__":
    tap.main([forms, moves_a_slot, checks_data, gives_way, wipes, removes_leftovers], finish(lab))
