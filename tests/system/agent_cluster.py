#!/usr/bin/env python3
"""Three agents form a store of three primaries with a replica each, by REST alone; failovers; a lost disk."""
import os
import shutil
import signal

import kvtest
import tap
from agentlab import SECRET, ask, definition, finish, operate, register, service, wait_operation
from kvtest import wait_for

lab = kvtest.Lab(dirs=(2, 2, 2), capacity=2)
# Shard g: its first primary on node g, its replica on the next one.
PLACE = {"rg%d-rn%d" % (g, n): lab.nodes[(g + n - 2) % 3] for g in (1, 2, 3) for n in (1, 2)}
SLOTS = {"rg1": [0, 5460], "rg2": [5461, 10922], "rg3": [10923, 16383]}


def order(name, what, body, status=200, code=None):
    return ask(PLACE[name], "POST", "/v1/services/%s/%s" % (name, what), body, status, code)


def look(name):
    return service(PLACE[name], name)


def role(name):
    return (look(name)["redis"] or {}).get("role")


def node_id(name):
    return look(name)["redis"]["nodeId"]


def defines_and_starts():
    """Six services on three nodes"""
    lab.start()
    for node in lab.nodes:
        register(node)
    for name, node in PLACE.items():
        first = name.endswith("rn1")
        ask(node, "PUT", "/v1/services/" + name,
            definition(node, name[:3], 0 if first else 1, 2 if first else 4,
                       params={"cluster-node-timeout": "2000"}), 201)
    begun = {name: ask(node, "POST", "/v1/services/%s/start" % name, {}, 202)["operation"]
             for name, node in PLACE.items()}
    for name, number in begun.items():
        op = ask(PLACE[name], "GET", "/v1/operations/%d?wait=20" % number)
        tap.equal(op["state"], "succeeded", "start of %s: %s" % (name, op))


def forms():
    """set-epoch, add-slots, meet all pairs, replicate: the store is whole in a few seconds"""
    names = sorted(PLACE)
    for g, name in enumerate(n for n in names if n.endswith("rn1")):
        order(name, "set-epoch", {"epoch": g + 1})
        order(name, "add-slots", {"ranges": [SLOTS[name[:3]]]})
    where = {name: {"host": kvtest.HOST, "port": look(name)["port"], "busPort": look(name)["busPort"]} for name in names}
    for i, name in enumerate(names):
        for other in names[i + 1:]:
            tap.ok(order(name, "meet", where[other])["result"] in ("meeting", "already known"), "meet")
    for name in names:
        if name.endswith("rn2"):
            primary = node_id(name[:3] + "-rn1")
            order(name, "replicate", {"nodeId": primary})
            tap.equal(order(name, "replicate", {"nodeId": primary})["result"], "already", "replicate again")
    wait_for(lambda: all(look(n)["redis"]["clusterState"] == "ok" and look(n)["redis"]["knownNodes"] == 6
                         for n in names), "all agree")
    wait_for(lambda: all(look(n)["redis"]["linkUp"] for n in names if n.endswith("rn2")), "links")
    tap.equal(order(names[0], "meet", where[names[1]])["result"], "already known", "meet again")
    tap.equal(order(names[0], "meet", where[names[0]])["result"] in ("meeting", "already known"), True, "meets itself")
    r = look("rg1-rn1")["redis"]
    tap.equal((r["slotsAssigned"], r["slotsOk"], r["clusterSize"], r["connectedReplicas"]), (16384, 16384, 3, 1), "counts")
    tap.equal(r["replicas"][0]["port"], where["rg1-rn2"]["port"], "port of the replica")
    r = look("rg1-rn2")["redis"]
    tap.equal((r["role"], r["primaryId"]), ("replica", node_id("rg1-rn1")), "the replica")
    tap.equal(len(r["nodes"]), 6, "nodes it knows")


def refuses():
    """Orders that do not fit a member of this store"""
    order("rg1-rn1", "add-slots", {"ranges": [[5461, 5461]]}, 409, "store_error")
    order("rg1-rn2", "add-slots", {"ranges": [[5, 5]]}, 409, "store_error")
    order("rg1-rn1", "set-epoch", {"epoch": 99}, 502, "store_error")
    order("rg1-rn1", "replicate", {"nodeId": node_id("rg2-rn1")}, 502, "store_error")
    tap.contains(order("rg1-rn1", "data", {"op": "get", "key": "foo"}, 409, "wrong_role")["detail"], "MOVED 12182", "detail")
    order("rg1-rn2", "data", {"op": "put", "key": "bar", "value": "x"}, 409, "wrong_role")


def data():
    """A put is acknowledged by the replica; every shard has its keys"""
    answer = order("rg3-rn1", "data", {"op": "put", "key": "foo", "value": "x"})
    tap.equal(answer, {"inserted": True, "copies": 1}, "put")
    pid = look("rg3-rn2")["pid"]
    os.kill(pid, signal.SIGSTOP)
    answer = order("rg3-rn1", "data", {"op": "put", "key": "foo", "value": "y"})
    os.kill(pid, signal.SIGCONT)
    tap.equal(answer, {"inserted": False, "copies": 0}, "put while the replica is frozen")


def fails_over():
    """A graceful failover changes the roles and is told in the operation"""
    for name in ("rg1-rn2", "rg1-rn1"):
        op = operate(PLACE[name], "/v1/services/%s/failover" % name, {"mode": "graceful"})
        tap.contains(op["result"], "%s is primary now" % name, "result")
        tap.equal(role(name), "primary", "role")
        other = "rg1-rn1" if name == "rg1-rn2" else "rg1-rn2"
        wait_for(lambda: role(other) == "replica" and look(other)["redis"]["linkUp"], "the other follows")
    tap.equal(order("rg1-rn1", "failover", {"mode": "graceful"})["result"], "already primary", "again")


def fails_over_not():
    """A graceful failover of a replica without a link is refused; takeover works on a dead primary"""
    # PLACE puts rg2-rn1 on node 2 and rg2-rn2 on node 3.
    primary = look("rg2-rn1")["pid"]
    os.kill(primary, signal.SIGSTOP)
    wait_for(lambda: role("rg2-rn2") == "primary", "the automatic failover", 30)
    os.kill(primary, signal.SIGCONT)
    wait_for(lambda: role("rg2-rn1") == "replica" and look("rg2-rn1")["redis"]["linkUp"], "the old one returns", 30)
    r = kvtest.Redis(look("rg2-rn1")["port"], SECRET)
    r.call("CONFIG", "SET", "masterauth", "wrong")
    r.call("CLIENT", "KILL", "TYPE", "master")
    wait_for(lambda: not look("rg2-rn1")["redis"]["linkUp"], "the link is down")
    operate(PLACE["rg2-rn1"], "/v1/services/rg2-rn1/failover", {"mode": "graceful"}, "failed", "no_replica")
    tap.equal(role("rg2-rn1"), "replica", "role")
    r.call("CONFIG", "SET", "masterauth", SECRET)
    r.close()
    wait_for(lambda: look("rg2-rn1")["redis"]["linkUp"], "the link is up", 30)
    operate(PLACE["rg2-rn1"], "/v1/services/rg2-rn1/failover", {"mode": "takeover"})
    tap.equal(role("rg2-rn1"), "primary", "role")
    wait_for(lambda: role("rg2-rn2") == "replica", "the other follows")


def agent_remembers_elections():
    """An agent started anew still knows that its replica stood for election just before, and waits"""
    name, other = "rg1-rn2", "rg1-rn1"

    def follows(replica):
        wait_for(lambda: role(replica) == "replica" and look(replica)["redis"]["linkUp"], replica + " follows", 30)
    follows(name)
    operate(PLACE[name], "/v1/services/%s/failover" % name, {"mode": "graceful"})
    follows(other)
    # One that waits for no election, since the memory of the first lasts for 8 s.
    operate(PLACE[other], "/v1/services/%s/failover" % other, {"mode": "takeover"})
    follows(name)
    PLACE[name].kill()
    PLACE[name].start()
    number = ask(PLACE[name], "POST", "/v1/services/%s/failover" % name, {"mode": "graceful"}, 202)["operation"]
    wait_for(lambda: "stood for election just before" in
             (ask(PLACE[name], "GET", "/v1/operations/%d" % number)["waitingFor"] or ""), "it says that it waits", 5, 0.05)
    op = wait_operation(PLACE[name], number)
    tap.equal(op["state"], "succeeded", "failover of %s: %s" % (name, op))
    follows(other)
    operate(PLACE[other], "/v1/services/%s/failover" % other, {"mode": "graceful"})


def primary_dir_lost():
    """A primary that lost its disk hands over, starts empty as a replica and copies everything"""
    put = order("rg3-rn1", "data", {"op": "put", "key": "foo", "value": "HELLO WORLD"})
    tap.equal(put["copies"], 1, "copies")
    node = PLACE["rg3-rn1"]
    shutil.rmtree(node.dirs[0])
    operate(PLACE["rg3-rn2"], "/v1/services/rg3-rn2/failover", {"mode": "graceful"})
    wait_for(lambda: role("rg3-rn1") == "replica", "it has become replica")
    operate(node, "/v1/services/rg3-rn1/stop")
    operate(node, "/v1/services/rg3-rn1/start", {}, "failed", "dir_missing")
    os.mkdir(node.dirs[0])
    operate(node, "/v1/services/rg3-rn1/start")
    wait_for(lambda: look("rg3-rn1")["redis"]["linkUp"] and look("rg3-rn1")["redis"]["keys"] == 1, "it has copied")
    found = []
    for top, _, names in os.walk(node.dirs[0]):
        for name in names:
            with open(os.path.join(top, name), "rb") as f:
                found += [name] if b"HELLO WORLD" in f.read() else []
    tap.ok(found, "the value is in the new directory's files")


def identity_lost():
    """A node without its cluster identity starts only as a new member, and is accepted as one"""
    node, name = PLACE["rg3-rn1"], "rg3-rn1"
    old = node_id(name)
    operate(node, "/v1/services/%s/stop" % name)
    os.unlink(os.path.join(node.root, kvtest.STORE, "sn%d" % node.number, name + ".nodes.conf"))
    operate(node, "/v1/services/%s/start" % name, {"allowEmpty": True}, "failed", "differs")
    shutil.rmtree(os.path.join(node.dirs[0], name))
    operate(node, "/v1/services/%s/start" % name, {}, "failed", "differs")
    operate(node, "/v1/services/%s/start" % name, {"allowEmpty": True})
    r = look(name)["redis"]
    tap.ok(r["nodeId"] != old and r["expectedNodeId"] == old, "a new identity, not the expected one")
    other = look("rg1-rn1")
    order(name, "meet", {"host": kvtest.HOST, "port": other["port"], "busPort": other["busPort"]})
    wait_for(lambda: look(name)["redis"]["knownNodes"] >= 6, "it knows the others")
    order(name, "replicate", {"nodeId": node_id("rg3-rn2")})
    for other in PLACE:
        if other != name:
            tap.ok(order(other, "forget", {"nodeId": old})["result"] in ("forgotten", "already"), "forget")
    wait_for(lambda: look(name)["redis"]["linkUp"], "link")
    r = look(name)["redis"]
    tap.equal(r["expectedNodeId"], r["nodeId"], "the new identity is the expected one")


def agents_away():
    """The store does not need its agents"""
    for node in lab.nodes:
        node.kill()
    r = kvtest.Redis(lab.nodes[0].port + 2, SECRET)
    tap.contains(r.call("CLUSTER", "INFO"), "cluster_state:ok", "cluster info")
    r.close()
    for node in lab.nodes:
        node.start()
    wait_for(lambda: all(look(n)["redis"]["clusterState"] == "ok" for n in PLACE), "all are well")


if __name__ == "__main__":
    tap.main([defines_and_starts, forms, refuses, data, fails_over, fails_over_not, agent_remembers_elections,
              primary_dir_lost, identity_lost, agents_away], finish(lab))
