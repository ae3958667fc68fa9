#!/usr/bin/env python3
"""Crash points: every journal commit and every HTTP exchange of every plan type, before and after. The program names
them itself (KVSH_CRASH_COUNT); at each one the runner is killed, the plan resumed, and the end must be that of an
undisturbed run. A second mode kills the shell instead.

    EVERY=1 points.py                   all points; without it SAMPLE of each plan type, by SEED
    ONLY=stop-primary,failover          only these cases
"""
import collections
import itertools
import json
import os
import re
import shutil
import signal

import crashlab
import kvtest
import pointlab
import tap
from crashlab import must
from pointlab import EVERY, ONLY, RUNNER, SHELL
from writer import Client, slot_of

End = collections.namedtuple("End", "docs versions")


def plain(docs):
    """Documents without what differs from run to run: times, identities, what is down (checked elsewhere)."""
    for doc in docs.values():
        doc.pop("stoppedBy", None)
    text = json.dumps(docs, sort_keys=True)
    return re.sub(r"\b[0-9a-f]{40}\b", "IDENTITY", re.sub(r"\b1\d{12}\b", "TIME", text))


# --- stores to begin with ---

class Store:
    """What both kinds have."""

    lab, down = None, ()

    def mark(self):
        return self.lab.docs_version()

    def end(self, run):
        self.expect()
        docs = self.lab.docs()
        stopped = {name.partition("/")[2]: doc["stoppedBy"] for name, doc in docs.items() if "stoppedBy" in doc}
        must(stopped == dict.fromkeys(self.down, run.before + 1), "recorded as stopped: %s" % stopped)
        return End(plain(docs), self.lab.docs_version() - run.mark)


class Frozen(Store):
    """A store as it is after some lines of the script, put back before each run."""

    def __init__(self, until):
        self.lab = crashlab.CrashLab(proxies=False)
        self.copy = self.lab.folder + "/frozen"
        lines = self.lab.deploy_lines()
        at = next(i for i, line in enumerate(lines) if line.startswith(until))
        self.line = lines[at].replace(" -wait", "")
        self.lab.start()
        for line in lines[:at]:
            self.lab.kvsh(line)
        self._stop()
        os.mkdir(self.copy)
        for name in self._names():
            shutil.copytree(os.path.join(self.lab.folder, name), os.path.join(self.copy, name))

    def _names(self):
        return ["state"] + ["host%d" % node.number for node in self.lab.nodes]

    def _stop(self):
        for node in self.lab.nodes:
            node.kill()
        for pid in kvtest.processes_of(self.lab.folder):
            os.kill(pid, signal.SIGKILL)
        kvtest.wait_for(lambda: not kvtest.processes_of(self.lab.folder), "all processes end", every=0.02)

    def begin(self):
        """The store as it was, and the command."""
        if self.lab.nodes[0].agent:
            self._stop()
        for name in self._names():
            shutil.rmtree(os.path.join(self.lab.folder, name))
            shutil.copytree(os.path.join(self.copy, name), os.path.join(self.lab.folder, name))
        for node in self.lab.nodes:
            node.start()
        return self.line

    def whole(self):
        return not self.line.startswith("plan deploy-topology")

    def expect(self):
        if not self.whole():
            self.lab.check_store()

    def close(self):
        self.lab.everything_ended()


class Living(Store):
    """The deployed store, in which everything is up before each run."""

    def __init__(self, choose, down=None, before=None):
        self.choose, self.want_down, self.before = choose, down, before
        self.down = set()
        if Living.lab is None:
            Living.lab = crashlab.CrashLab(proxies=False)
            self.lab.start()
            self.lab.deploy()

    def begin(self):
        if any(s["state"] != "running" for s in self.lab.services().values()):
            self.lab.kvsh("plan start-service -all-rns -wait")
        self.lab.check_store()
        line = self.choose(self.lab)
        if self.before:
            self.before(self.lab, line)
        self.down = self.want_down(self.lab, line) if self.want_down else set()
        return line

    def expect(self):
        self.lab.check_store(self.down)

    def close(self):
        pass


class OpenSlot(Living):
    """A hash slot is half moved: some keys at its owner, some at the other side, some at both and newer at the owner."""

    KEYS = ["{open}%d" % i for i in range(9)]

    def __init__(self):
        super().__init__(lambda lab: "plan cleanup")

    def primaries(self):
        return {name: self.lab.services()[name] for name in self.lab.members("primary")}

    def begin(self):
        line = super().begin()
        slot, masters = slot_of("open"), list(self.primaries().values())
        home = next(s for s in masters for m in s["redis"]["nodes"] if "myself" in m["flags"] and
                    any(a <= slot <= b for a, b in m["slots"]))
        other = next(s for s in masters if s is not home)
        self.declared = home["shard"]
        source, target = (kvtest.Redis(s["port"], self.lab.password()) for s in (home, other))
        for key in self.KEYS:
            source.call("SET", key, "old")
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", home["nodeId"])
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", other["nodeId"])
        for keys, options in ((self.KEYS[:3], []), (self.KEYS[3:6], ["COPY"])):
            source.call("MIGRATE", kvtest.HOST, other["port"], "", 0, 5000, *options, "AUTH", self.lab.password(),
                        "KEYS", *keys)
        for key in self.KEYS[3:6]:
            source.call("SET", key, "new")
        source.close()
        target.close()
        return line

    def expect(self):
        super().expect()
        masters = self.primaries()
        owners = [name for name, s in masters.items() for m in s["redis"]["nodes"] if "myself" in m["flags"] and
                  any(a <= slot_of("open") <= b for a, b in m["slots"])]
        must([name.split("-")[0] for name in owners] == [self.declared], "owners of the slot: %s" % owners)
        client = Client([s["port"] for s in masters.values()], self.lab.password())
        got = []
        for key in self.KEYS:
            done, value = client.call(key, "GET", key)
            got.append(value if done else client.call(key, "GET", key)[1])
        client.close()
        must(got == ["old"] * 3 + ["new"] * 3 + ["old"] * 3, "keys of the slot: %s" % got)


# --- the commands ---

def named(lab, line):
    return set(re.findall(r" -service (\S+)", line))


def on_zone2(lab, line):
    return {n for n, s in lab.services().items() if s["kind"] == "redis" and s["on"].number == 3}


def stop_first(lab, line):
    lab.kvsh("plan stop-service " + " ".join("-service " + n for n in named(lab, line)) + " -wait")


def stop_zone(lab, line):
    lab.kvsh("plan stop-service -all-rns -zn zn2 -wait")


# What recover begins with must not heal by itself, as a replica without its disk does once the agent restarts it: the
# ends of two runs could not be compared. (The kill loop recovers lost disks.)

def freeze(lab, line):
    for name in named(lab, line):
        os.kill(lab.services()[name]["pid"], signal.SIGSTOP)
        kvtest.wait_for(lambda: not lab.services()[name]["redis"], "%s does not answer" % name)


def lose_identity(lab, line):
    for name in named(lab, line):
        service = lab.services()[name]
        node = service["on"]
        os.unlink(os.path.join(node.root, kvtest.STORE, "sn%d" % node.number, name + ".nodes.conf"))
        os.kill(service["pid"], signal.SIGKILL)
        kvtest.wait_for(lambda: "no cluster identity" in (lab.services()[name]["detail"] or ""),
                        "the agent does not start %s" % name)


turns = itertools.cycle(("rg1", "rg2", "rg3"))  # elections of one shard need time between them


def with_member(form, role):
    def choose(lab):
        shard = next(turns)
        return form % next(n for n in lab.members(role) if n.startswith(shard))
    return choose


def restore(lab):
    shard = next(turns)
    return "plan network-restore -from %s -to %s" % (
        next(n for n in lab.members("primary") if n.startswith(shard)),
        next(n for n in lab.members("replica") if n.startswith(shard)))


CASES = {
    "deploy-zone": lambda: Frozen("plan deploy-zone"),
    "deploy-sn": lambda: Frozen("plan deploy-sn"),
    "deploy-admin": lambda: Frozen("plan deploy-admin"),
    "deploy-topology": lambda: Frozen("plan deploy-topology"),
    "stop-replica": lambda: Living(with_member("plan stop-service -service %s", "replica"), named),
    "stop-primary": lambda: Living(with_member("plan stop-service -service %s", "primary"), named),
    "stop-zone": lambda: Living(lambda lab: "plan stop-service -all-rns -zn zn2", on_zone2),
    "start-service": lambda: Living(with_member("plan start-service -service %s", "replica"), None, stop_first),
    "start-all": lambda: Living(lambda lab: "plan start-service -all-rns", None, stop_zone),
    "restart-service": lambda: Living(with_member("plan restart-service -service %s", "primary")),
    "failover": lambda: Living(with_member("plan failover -service %s", "replica")),
    "failover-hard": lambda: Living(with_member(
        "plan failover -service %s -mode hard -force -reason drill", "replica")),
    "recover-frozen": lambda: Living(with_member("plan recover -service %s", "replica"), None, freeze),
    "recover-identity": lambda: Living(with_member("plan recover -service %s", "replica"), None, lose_identity),
    "network-restore": lambda: Living(restore),
    "verify-data": lambda: Living(with_member("plan verify-data -service %s", "replica")),
    "cleanup": lambda: Living(lambda lab: "plan cleanup"),
    "cleanup-slot": OpenSlot,
}
VERBS = {"start-all": "start-service", "failover-hard": "failover", "cleanup-slot": "cleanup",
         "recover-frozen": "recover", "recover-identity": "recover"}


def verb_of(name):
    return VERBS.get(name) or ("stop-service" if name.startswith("stop-") else name)


def modes(name):
    """The shell's part is the same for all plans: a sample tries it with two."""
    return (RUNNER, SHELL) if EVERY or name in ("deploy-zone", "stop-primary") else (RUNNER,)


def case(name, make):
    def test():
        store = make()
        try:
            for where in modes(name):
                pointlab.crash_everywhere(pointlab.Taking(store), where)
            store.close()
        finally:
            if store.lab is not Living.lab:
                store.lab.close()
    test.__doc__ = "%s: killed at its points it ends as undisturbed" % name
    return test


def total():
    """Nothing that was started remains"""
    pointlab.tell_total()
    if Living.lab:
        Living.lab.everything_ended()


if __name__ == "__main__":
    there = crashlab.plans_there()
    tap.note("seed %d" % pointlab.SEED)
    tap.main([case(name, make) for name, make in CASES.items()
              if (not ONLY or name in ONLY) and verb_of(name) in there], total)
