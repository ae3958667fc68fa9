#!/usr/bin/env python3
"""plan cleanup on a real store: definitions that removed services left behind, and keys on both sides of a hash slot."""
import os
import signal
import threading
import time

import kvtest
import tap
from agentlab import ask, define, service
from agentlab import start as start_service
from kvtest import HOST, Redis, RedisError, wait_for
from writer import slot_of

lab = kvtest.Lab()
STRAY = "rg9-rn1"


def redis_of(name):
    return Redis(lab.services()[name]["port"], lab.password())


def clean():
    wait_for(lambda: lab.kvsh("verify configuration", want=None).status == 0, "verify is clean")


def deploys():
    """A store; one node has room for one service more than it declares"""
    for node in lab.nodes:
        node.make(4 if node.number == 1 else 3)
        node.start()
    lab.deploy()
    lab.verify_clean()


def left_behind(started):
    """The definition of a service that no plan knows."""
    node = lab.nodes[0]
    define(node, STRAY, offset=5)
    if started:
        start_service(node, STRAY)
    return node, os.path.join(node.dirs[0], STRAY)


def undefines():
    """What a removed service left: its definition, its process, its data"""
    for started in (False, True):
        node, folder = left_behind(started)
        run = lab.kvsh("verify configuration")
        tap.contains(run.out, STRAY + " that the store does not declare", "verify")
        tap.contains(run.out, "plan cleanup", "the way out")
        run = lab.kvsh("plan preview cleanup")
        tap.contains(run.out, "stop %s on sn1 and forget its definition" % STRAY, "preview")
        tap.ok(STRAY in node.services(), "a preview changes nothing")
        run = lab.kvsh("plan cleanup -wait")
        tap.contains(run.err, "%s on sn1 is not declared and will be removed" % STRAY, "what is said first")
        tap.ok(STRAY not in node.services(), "the definition is gone")
        tap.ok(not os.path.exists(folder), "the data is gone")
        kept = os.path.join(node.root, kvtest.STORE, "sn1")
        tap.equal([f for f in os.listdir(kept) if f.startswith(STRAY + ".")], [], "files of it in " + kept)
        tap.ok(not [p for p in kvtest.processes_of(folder)], "the process is gone")
        lab.verify_clean()
        tap.lacks(lab.kvsh("verify configuration").out, STRAY, "verify")


def undefines_a_member():
    """A removed service that still runs as a member of the cluster: it ends, and all forget it"""
    node, _ = left_behind(True)
    gone = service(node, STRAY)["nodeId"]
    other = lab.services()["rg1-rn1"]
    ask(node, "POST", "/v1/services/%s/meet" % STRAY, {"host": HOST, "port": other["port"],
                                                       "busPort": other["busPort"]})
    wait_for(lambda: all(gone in [m["id"] for m in s["redis"]["nodes"]] for s in lab.services().values()
                         if s.get("redis")), "all know it")
    lab.kvsh("plan cleanup -wait")
    tap.ok(STRAY not in node.services(), "the definition is gone")
    for s in lab.services().values():
        if s.get("redis"):
            tap.ok(gone not in [m["id"] for m in s["redis"]["nodes"]], "%s has forgotten it" % s["id"])
    clean()


def keeps_an_owner():
    """One that owns hash slots is not removed"""
    node, folder = left_behind(True)
    ask(node, "POST", "/v1/services/%s/add-slots" % STRAY, {"ranges": [[0, 10]]})
    run = lab.kvsh("plan cleanup -wait", want=10)
    tap.contains(run.err, "rule owns-slots", "the rule")
    tap.contains(run.err, STRAY, "who")
    tap.ok(os.path.exists(folder), "its data is there")
    redis_of(STRAY).call("CLUSTER", "DELSLOTSRANGE", 0, 10)
    lab.kvsh("plan cleanup -wait")
    tap.ok(not os.path.exists(folder), "its data is gone")


# --- keys on both sides of a slot ---

class Slot:
    """A hash slot with some keys at its owner, and another primary."""

    def __init__(self, tag):
        self.slot, self.keys = slot_of(tag), ["{%s}%d" % (tag, i) for i in range(40)]
        masters = [service_ for name, service_ in lab.services().items() if name in lab.members("primary")]
        self.home = [s for s in masters for m in s["redis"]["nodes"] if "myself" in m["flags"] and
                     any(a <= self.slot <= b for a, b in m["slots"])][0]
        self.other = [s for s in masters if s is not self.home][0]
        self.source, self.target = (Redis(s["port"], lab.password()) for s in (self.home, self.other))
        for key in self.keys:
            self.source.call("SET", key, "old")

    def open(self):
        self.target.call("CLUSTER", "SETSLOT", self.slot, "IMPORTING", self.home["nodeId"])
        self.source.call("CLUSTER", "SETSLOT", self.slot, "MIGRATING", self.other["nodeId"])

    def move(self, keys, *options):
        self.source.call("MIGRATE", HOST, self.other["port"], "", 0, 5000, *options, "AUTH", lab.password(), "KEYS",
                         *keys)

    def close(self):
        for side in (self.source, self.target):
            side.call("CLUSTER", "SETSLOT", self.slot, "STABLE")

    def values(self):
        return [self.source.call("GET", key) for key in self.keys]

    def at_other(self):
        return self.target.call("CLUSTER", "COUNTKEYSINSLOT", self.slot)


class Reader(threading.Thread):
    """Reads the slot's keys all the time, as a client that follows redirections; remembers what it missed."""

    def __init__(self, slot):
        super().__init__(daemon=True)
        self.slot, self.over, self.reads, self.missed, self.problem = slot, threading.Event(), 0, [], None

    def ask(self, key):
        connection = self.connections[self.at]
        for _ in range(20):
            try:
                return connection.call("GET", key)
            except RedisError as e:
                word, _, where = str(e).partition(" ")
                if word not in ("ASK", "MOVED"):
                    raise
                connection = self.connections[int(where.rpartition(":")[2])]
                if word == "ASK":
                    connection.call("ASKING")
                else:
                    self.at = int(where.rpartition(":")[2])
        raise AssertionError("redirected for ever")

    def run(self):
        try:
            self.connections = {s["port"]: Redis(s["port"], lab.password()) for s in lab.services().values()
                                if s.get("redis")}
            self.at = self.slot.home["port"]
            while not self.over.is_set():
                for key in self.slot.keys:
                    if self.ask(key) is None:
                        self.missed.append(key)
                    self.reads += 1
        except Exception as e:  # told by finish()
            self.problem = e

    def finish(self):
        self.over.set()
        self.join(30)
        if self.problem:
            raise self.problem


def ends_an_open_slot():
    """An open slot with keys on both sides: what the owner has counts, and no client ever misses a key"""
    slot = Slot("open")
    slot.open()
    slot.move(slot.keys[:10])
    slot.move(slot.keys[10:20], "COPY")  # as after a lost answer: on both sides
    for key in slot.keys[10:20]:
        slot.source.call("SET", key, "new")
    tap.contains(lab.kvsh("verify configuration", want=2).out, "plan cleanup -wait", "the way out")
    reader = Reader(slot)
    reader.start()
    wait_for(lambda: reader.reads > 100 or reader.problem, "the reader reads")
    lab.kvsh("plan cleanup -wait")
    time.sleep(0.2)
    reader.finish()
    tap.note("%d reads meanwhile" % reader.reads)
    tap.equal(reader.missed[:5], [], "keys that a client did not find")
    tap.equal(slot.values(), ["old"] * 10 + ["new"] * 10 + ["old"] * 20, "values")
    tap.equal(slot.at_other(), 0, "keys left at the other side")
    clean()
    lab.kvsh("plan verify-data -all-rns -wait")


def asks_about_rivals():
    """Stray keys without a move under way: two values for a key are nobody's to choose but the operator's"""
    slot = Slot("stray")
    slot.open()
    slot.move(slot.keys[:20])
    slot.close()
    for key in slot.keys[:5]:
        slot.source.call("SET", key, "new")
    run = lab.kvsh("plan cleanup -wait", want=1)
    tap.contains(run.err, "hash slot %d" % slot.slot, "the slot")
    tap.contains(run.err, "both hold a key", "what is wrong")
    tap.contains(run.err, "plan cleanup -force -reason", "the way out")
    tap.contains(run.err, "drops such keys at " + slot.other["id"], "whose are dropped")
    tap.equal([slot.source.call("GET", key) for key in slot.keys[:5]], ["new"] * 5, "what clients see")
    tap.equal(slot.at_other() > 0, True, "nothing is dropped unasked")
    clean()  # no flag is left open, though the plan failed
    lab.kvsh("plan cancel -id %d" % max(p["id"] for p in lab.json("show plans -num 1000")["plans"]))
    lab.kvsh(["plan", "cleanup", "-force", "-reason", "compared by hand", "-wait"])
    tap.equal(slot.values(), ["new"] * 5 + ["old"] * 35, "values")
    tap.equal(slot.at_other(), 0, "keys left at the other side")
    tap.contains(lab.kvsh("show plan -last -verbose").out, "5 older ones dropped", "show plan")
    lab.kvsh("plan verify-data -all-rns -wait")


def homes_slots_of_nobody():
    """A slot that nobody owns, with and without keys, and one that the wrong shard owns by half"""
    slot = Slot("nobody")
    slot.source.call("CLUSTER", "DELSLOTS", slot.slot)
    run = lab.kvsh("verify configuration", want=2)
    tap.contains(run.out, "knows owners for 16383 of 16384 hash slots", "verify")
    lab.kvsh("plan cleanup -wait")
    tap.equal(slot.values(), ["old"] * 40, "values")
    clean()
    slot = Slot("given")
    slot.open()
    slot.move(slot.keys)
    slot.source.call("CLUSTER", "SETSLOT", slot.slot, "NODE", slot.other["nodeId"])  # and not at the other side
    lab.kvsh("plan cleanup -wait")
    tap.equal(slot.values(), ["old"] * 40, "values")
    tap.equal(slot.at_other(), 0, "keys left at the other side")
    clean()


def brings_slots_back():
    """A slot that was given to another shard, with nothing left open, goes to the shard it is declared for"""
    slot = Slot("elsewhere")
    slot.open()
    slot.move(slot.keys)
    for side in (slot.target, slot.source):
        side.call("CLUSTER", "SETSLOT", slot.slot, "NODE", slot.other["nodeId"])
    lab.kvsh("plan cleanup -wait")
    tap.equal(slot.values(), ["old"] * 40, "values")
    tap.equal(slot.at_other(), 0, "keys left at the other side")
    clean()


def gives_up_when_the_owner_changes():
    """The owner's replica takes over when its last key has just moved: what clients write there is not deleted"""
    slot = Slot("upset")
    slot.source.call("EVAL", "for i = 1, 30000 do redis.call('SET', KEYS[1] .. 'x' .. i, 'old') end", 1, "{upset}")
    slot.open()
    slot.move(slot.keys[:10])
    replica = [s for s in lab.services().values() if s.get("redis") and
               s["redis"].get("primaryId") == slot.home["nodeId"]][0]
    heir = Redis(replica["port"], lab.password())
    third = [n for n in lab.nodes if n not in (slot.home["on"], slot.other["on"])][0]
    cleanup = lab.spawn("-timeout 15 plan cleanup -wait")
    wait_for(lambda: slot.at_other() > 1000, "keys move", every=0.01)
    third.agent.send_signal(signal.SIGSTOP)  # asking all nodes takes its time: the owner changes meanwhile
    try:
        wait_for(lambda: slot.source.call("CLUSTER", "COUNTKEYSINSLOT", slot.slot) == 0, "all have moved", every=0.01)
        wait_for(lambda: heir.call("CLUSTER", "COUNTKEYSINSLOT", slot.slot) == 0, "the replica knows", every=0.01)
        heir.call("CLUSTER", "FAILOVER", "TAKEOVER")
        wait_for(lambda: heir.call("ROLE")[0] == "master", "it has taken over", every=0.01)
        heir.call("SET", "{upset}new", "precious")
        said = cleanup.communicate(timeout=120)[0]
    finally:
        third.agent.send_signal(signal.SIGCONT)
    tap.equal(cleanup.returncode, 1, "status of the plan:\n" + said)
    tap.contains(said, "holds 1 of its keys again", "what is wrong")
    tap.equal(heir.call("GET", "{upset}new"), "precious", "what was written meanwhile")
    lab.kvsh("plan execute -last -wait")
    tap.equal(heir.call("GET", "{upset}new"), "precious", "what was written meanwhile")
    tap.equal(heir.call("CLUSTER", "COUNTKEYSINSLOT", slot.slot), 30041, "keys of the slot")
    clean()


if __name__ == "__main__":
    tap.main([deploys, undefines, undefines_a_member, keeps_an_owner, ends_an_open_slot, asks_about_rivals,
              homes_slots_of_nobody, brings_slots_back, gives_up_when_the_owner_changes], lab.everything_ended)
