#!/usr/bin/env python3
"""Crash points of the plans of a Couchbase store, on the simulator: killed at each point and resumed, every plan ends
with the members, groups and settings of an undisturbed run, and the cluster has been asked for each change once.

    EVERY=1 couchbase_points.py             all points; without it SAMPLE of each case, by SEED
    ONLY=failover-hard,remove-node          only these cases
    JOBS=3                                  so many at once
"""
import os
import sys
import threading

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "engine"))

import cblab  # noqa: E402
import crashlab  # noqa: E402
import pointlab  # noqa: E402
import tap  # noqa: E402
from cblab import FAILED, GROUPS, NODES, SPARE, WAITING  # noqa: E402
from crashlab import must  # noqa: E402
from pointlab import EVERY, ONLY, RUNNER, SHELL  # noqa: E402

# Virtual seconds; several pass in a real one.
TIMING = {"rebalance": 2, "graceful": 2, "failover": 1, "compaction": 2, "cache": 1}
SEED = 7  # the simulator's: the same identifiers in each run
PORT = "-host 127.0.0.1 -port {p1_port}"


class CouchbaseLab(crashlab.JournalReader, cblab.Lab):
    def __init__(self, scenario):
        super().__init__(dict({"seed": SEED, "factor": 4, "timing": TIMING}, **scenario))
        self.journal = os.path.join(self.folder, "state", "prod")

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def told(self, plan):
        self.kv("show plan -id %d -verbose" % plan, None)
        self.kv("show events -plan %d" % plan, None)
        return "".join(self.outputs[-2:])

    def check_ended(self, plan):
        self.check_over(plan)


class Store:
    """A simulated cluster as it is before the command."""

    def __init__(self, line, scenario, before=None, hand=None, twice=(), by_chance=()):
        self.line, self.before, self.twice, self.by_chance = line, before, twice, by_chance
        self.lab = CouchbaseLab(scenario)
        self.over = threading.Event()
        self.hand = threading.Thread(target=self._work, args=(hand,)) if hand else None

    def begin(self):
        if self.before:
            self.before(self.lab)
        self.lab.kv("ping -quiet", None)  # from here on the cluster's identity is known
        self.lab.control("clear")
        self.counters = self.lab.cluster()["counters"]
        if self.hand:
            self.hand.start()
        return self.line

    def _work(self, hand):
        """The operator's part, while the plan runs."""
        while not self.over.wait(0.1):
            hand(self.lab)

    def changes(self):
        """Each changing request that the cluster took: method, path, body."""
        texts = ["%s %s %s" % (r["method"], r["path"], r["body"] or "")
                 for method in ("POST", "PUT", "DELETE") for r in self.lab.requests(method) if r["status"] == 200]
        for name, address in self.lab.sim.host.items():  # ports differ from run to run
            texts = [text.replace(address.replace(":", "%3A"), name) for text in texts]
        return sorted(texts)

    def mark(self):
        return self.lab.docs_version(), len(self.changes())

    def end(self, run):
        cluster = self.lab.cluster()
        must(cluster["operation"] is None, "nothing runs any more: %s" % cluster["operation"])
        changes = self.changes()
        for path in self.twice:  # harmless, and nothing tells whether it was done
            changes = sorted(set(c for c in changes if path in c)) + [c for c in changes if path not in c]
        begun = {name: n - self.counters.get(name, 0) for name, n in cluster["counters"].items()}
        lost = {name: bucket["lost"] for name, bucket in cluster["buckets"].items()}
        end = {"members": cluster["members"], "autoFailover": cluster["autoFailover"], "balanced": cluster["balanced"],
               "unfinished": cluster["unfinished"], "retry": cluster["retry"], "lost": lost, "operations": begun,
               "changes": changes}
        return {key: value for key, value in end.items() if key not in self.by_chance}

    def close(self):
        self.over.set()
        if self.hand and self.hand.ident:
            self.hand.join()
        left = self.lab.runners()
        for pid in left:
            os.kill(pid, 9)
        self.lab.__exit__()
        must(not left, "no runner is left behind: %s" % left)


# --- what happened before ---

def kill(*names):
    def work(lab):
        for name in names:
            lab.control("node", node=name, do="kill")
        lab.control("clock", advance=10)
    return work


def old(lab):
    """A process that has just begun cannot be told from one begun anew."""
    lab.control("clock", advance=1000)


def others(path, body=""):
    """Somebody else's request, with otpNodes for names in braces."""
    return lambda lab: lab.others(path, body)


def pending_retry(lab):
    lab.control("next", operation="rebalance", failAt=0.1, reason="mover crashed")
    others("/controller/rebalance", "knownNodes={n1}%2C{n2}%2C{n3}&ejectedNodes={n3}")(lab)
    lab.control("clock", advance=60)
    must(lab.cluster()["retry"], "a retry is pending")


def restart(lab):
    """Restarts what the plan says it waits for."""
    rows = lab.sql("SELECT target FROM task WHERE type = 'await-restart' AND state = 'RUNNING' "
                   "AND waiting_for LIKE 'a restart of%'")
    state = lab.control("state")
    for (target,) in rows:
        name = next(n for n, address in lab.sim.host.items() if address == target)
        if name not in lab.restarted and state["clusters"][0]["operation"] is None:
            lab.restarted.add(name)
            lab.control("node", node=name, do="kill")
            lab.control("clock", advance=2)
            lab.control("node", node=name, do="revive")


def prepare_restart(lab):
    lab.restarted = set()
    old(lab)


LONG = {"nodes": 3, "timing": dict(TIMING, rebalance=1000)}
REBALANCE = others("/controller/rebalance", "knownNodes={n1}%2C{n2}%2C{n3}&ejectedNodes={n3}")


def on(version, scenario):
    return dict(scenario, version=version)


CASES = {
    "failover-graceful": ("plan failover -service {n2}", NODES),
    "failover-two": ("plan failover -service {n2} -service {n3} -mode hard", dict(
        NODES, buckets=[dict(b, replicas=2) for b in cblab.BUCKETS])),
    "failover-hard": ("plan failover -service {n4} -mode hard", NODES, kill("n4")),
    "failover-unsafe": ("plan failover -service {n2} -service {n3} -mode hard -unsafe -force -reason drill "
                        "-confirm prod", {"nodes": 3}, kill("n2", "n3")),
    "recover-full": ("plan recover -service {n2} -type full", FAILED),
    "recover-delta": ("plan recover -service {n2} -type delta", FAILED),
    "recover-full-rebalance": ("plan recover -service {n2} -type full -rebalance", FAILED),
    "recover-delta-rebalance": ("plan recover -service {n2} -type delta -rebalance", FAILED),
    "add-node": ("plan add-node " + PORT, SPARE),
    "add-node-rebalance": ("plan add-node -rebalance " + PORT, SPARE),
    "remove-node": ("plan remove-node -service {n4}", NODES),
    "remove-waiting": ("plan remove-node -service {n4}", WAITING),
    "rebalance": ("plan rebalance", WAITING),
    # How far it had come is chance.
    "stop-rebalance": ("plan stop-rebalance", LONG, REBALANCE, None, (), ("balanced",)),
    "stop-retry": ("plan stop-rebalance", {"nodes": 3, "retryRebalance": {
        "enabled": True, "afterTimePeriod": 3600, "maxAttempts": 1}}, pending_retry),
    "swap-rebalance": ("plan swap-rebalance -from {n2} -to {p1}", SPARE),
    "restart-service": ("plan restart-service -service {n2} -pause", NODES, prepare_restart, restart),
    "change-group": ("plan change-group -service {n2} -service {n4} -group 'Rack 2'", GROUPS),
    "cleanup": ("plan cleanup", NODES, None, None, ["/compactBucket"]),
    "cleanup-purge": ("plan cleanup -bucket orders -purge -force -reason drill", NODES, None, None,
                      ["/unsafePurgeBucket"]),
    "failover-7.2": ("plan failover -service {n2}", on("7.2", NODES)),
    "failover-hard-7.2": ("plan failover -service {n4} -mode hard", on("7.2", NODES), kill("n4")),
    "remove-node-7.2": ("plan remove-node -service {n4}", on("7.2", NODES)),
    "recover-7.2": ("plan recover -service {n2} -type delta -rebalance", on("7.2", FAILED)),
    "swap-rebalance-7.2": ("plan swap-rebalance -from {n2} -to {p1}", on("7.2", SPARE)),
    "remove-node-7.6": ("plan remove-node -service {n4}", on("7.6", NODES)),
}


def modes(name):
    """The shell's part is the same for all plans: a sample tries it with one."""
    return (RUNNER, SHELL) if EVERY or name == "failover-graceful" else (RUNNER,)


def case(name, of):
    def test():
        take = pointlab.Making(lambda: Store(*of))
        for where in modes(name):
            pointlab.crash_everywhere(take, where)
    test.__doc__ = "%s: killed at its points it ends as undisturbed" % name
    return test


def total():
    """Nothing that was started remains"""
    pointlab.tell_total()


if __name__ == "__main__":
    tap.note("seed %d" % pointlab.SEED)
    tap.main([case(name, of) for name, of in CASES.items() if not ONLY or name in ONLY], total)
