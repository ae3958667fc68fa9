"""The stores the contract is tried on. An engine is one class, and one row of WORLDS at the end.

A world gives what no test of the contract can know by itself: how its nodes fall silent, what a change is, and what
was asked of it. `with world.another(NAME) as x` is a store prepared for one case, "" for any.
"""
import contextlib
import copy
import json
import os
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "crash"))

import cblab  # noqa: E402
import crashlab  # noqa: E402
import kvtest  # noqa: E402
import tap  # noqa: E402

DRIVE = os.path.join(tap.build_dir(), "tests", "engine", "drive")
TIMEOUT_MS = 1500
# Words that make each plan's command line whole, so that it is the engine that refuses it.
WORDS = {"deploy-zone": "-name z -rf 1", "deploy-sn": "-zn 1 -host localhost -port 5000", "deploy-admin": "-sn 1",
         "deploy-topology": "-name t", "start-service": "-all-rns", "stop-service": "-all-rns",
         "restart-service": "-all-rns", "failover": "-service a", "recover": "-service a",
         "network-restore": "-from a -to b", "cleanup": "", "verify-data": "-all-rns", "add-node": "-host localhost",
         "remove-node": "-service a", "rebalance": "", "stop-rebalance": "", "swap-rebalance": "-from a -to b",
         "change-group": "-service a -group g"}


def envelope(done):
    """The one JSON object of a command."""
    try:
        return json.loads(done.stdout)
    except ValueError:
        tap.fail("no JSON object: %r (%s)" % (done.stdout, done.stderr))
        return {}


class Drive:
    """The engine itself, called one function at a time (tests/engine/drive.c)."""

    def __init__(self, world):
        self.world = world
        self.process = subprocess.Popen([DRIVE], env=world.environment(), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.opened = self.call("open", timeoutMs=TIMEOUT_MS, **world.endpoint())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        tap.equal(self.process.wait(30), 0, "status of the driver")
        self.process.stdout.close()

    def call(self, name, **fields):
        self.process.stdin.write(json.dumps(dict(fields, do=name)) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def observe(self):
        return self.call("observe", docs=self.world.docs())

    def perform(self, task):
        return self.call("perform", task=task, docs=self.world.docs())

    def note(self, task):
        """What a task notes that was interrupted at once."""
        return self.call("perform", task=task, docs=self.world.docs(), interruptAfter=0)


class World:
    reports_dead = False  # observe() has something to say of a store nobody answers for
    notes = False         # its tasks note what they began
    harmless = ()         # types of tasks that are done again when nothing tells whether they were

    def until(self, ask, condition, what):
        got = []

        def look():
            got[:] = [ask()]
            return condition(got[0])
        kvtest.wait_for(look, what, 30)
        return got[0]

    def hand(self, task):
        """What a person has to do for this task."""

    def apply(self, task):
        """The task has succeeded."""

    def hurry(self):
        """What was slow need not be any more."""

    def expect_repeatable(self, changes, what):
        """After a task was done a second time."""

    @contextlib.contextmanager
    def another(self, case=""):
        self.prepare(case)
        yield self

    def prepare(self, case):
        pass

    def close(self):
        pass

    @classmethod
    def finish(cls):
        pass


# --- couchbase ---

class Couchbase(World):
    notes = True
    harmless = ("compact",)
    CASES = {"recover": cblab.FAILED, "rebalance": cblab.WAITING, "add-node": cblab.SPARE, "swap-rebalance": cblab.SPARE,
             "change-group": cblab.GROUPS, "slow": dict(cblab.NODES, timing={"graceful": 100})}
    WHOLE = dict(cblab.GROUPS, spares=[cblab.member("p1")])

    def __init__(self, scenario=None):
        scenario = dict({"factor": 4}, **(scenario or self.WHOLE))
        scenario["timing"] = dict({"cache": 1}, **scenario.get("timing", {}))
        self.lab = cblab.Lab(scenario)
        self.lab.control("clock", advance=1000)  # a process that has just begun cannot be told from one begun anew
        self.lab.kv("ping -quiet", None)
        self.first = self.lab.control("log")["requests"][-1]["seq"]

    @contextlib.contextmanager
    def another(self, case=""):
        x = Couchbase(self.CASES.get(case, cblab.NODES))
        try:
            if case == "stop-rebalance":
                x.lab.control("set", timing=dict(cblab.TIMING, rebalance=1000))
                x.lab.others("/controller/rebalance", "knownNodes={n1}%2C{n2}%2C{n3}%2C{n4}&ejectedNodes={n4}")
            yield x
        finally:
            x.close()

    def environment(self):
        return self.lab.environment()

    def endpoint(self):
        return {"store": "prod", "engine": "couchbase", "user": "Administrator", "password": cblab.PASSWORD,
                "nodes": ["http://" + row["hostname"] for row in self.lab.sim.start["nodes"]]}

    def docs(self):
        return {"store": {"store": {"name": "prod", "engine": "couchbase", "uuid": self.lab.sim.uuid}}}

    def secrets(self):
        return [cblab.PASSWORD]

    def kvsh(self, line):
        return self.lab.kv("-timeout 2 " + line, None)

    def count(self):
        return len(self.lab.control("log")["requests"])

    def log(self):
        return [r for r in self.lab.control("log")["requests"] if r["seq"] > self.first]

    def changes(self):
        return [r for r in self.log() if r["method"] != "GET"]

    def intents(self):
        at, port = self.lab.host, int(self.lab.host.get("p1_port", 1))
        return {"failover": {"services": [at["n2"]], "mode": "graceful"},
                "recover": {"services": [at["n2"]], "type": "delta", "rebalance": True},
                "add-node": {"host": "127.0.0.1", "port": port, "services": ["kv", "index"], "rebalance": True},
                "remove-node": {"services": [at["n3"]]},
                "rebalance": {}, "stop-rebalance": {},
                "swap-rebalance": {"from": at["n3"], "to": at.get("p1", "none:1")},
                "change-group": {"services": [at["n3"]], "group": "Rack 2"},
                "restart-service": {"services": [at["n2"]], "pause": True},
                "stop-service": {"services": [at["n2"]]}, "start-service": {"services": [at["n2"]]},
                "cleanup": {}}

    def twice(self):
        return [v for v in self.intents() if v not in ("stop-service", "start-service")]

    def change(self):
        return "failover", self.intents()["failover"]

    noting = slow = change

    def hurry(self):
        self.lab.control("set", timing=dict(cblab.TIMING, graceful=1))

    def state(self):
        c = self.lab.cluster()
        return {key: c[key] for key in ("members", "operation", "counters", "autoFailover", "balanced", "retry")}

    def expect_repeatable(self, changes, what):
        tap.equal(len(self.changes()), changes, what + ", once more: changing requests")

    def hand(self, task):
        if task["type"] == "await-restart":
            name = next(n for n, address in self.lab.sim.host.items() if address == task["target"])

            def restart():
                time.sleep(1)
                self.lab.control("node", node=name, do="kill")
                self.lab.control("node", node=name, do="revive")
            threading.Thread(target=restart, daemon=True).start()

    def silence(self):
        self.lab.control("node", node="n3", do="freeze")
        return self.lab.host["n3"]

    def wake(self):
        self.lab.control("node", node="n3", do="revive")

    def _all(self, do):
        for row in self.lab.sim.start["nodes"]:
            self.lab.control("node", node=row["name"], do=do)

    def all_dead(self):
        self._all("kill")

    def all_alive(self):
        self._all("revive")
        self.until(lambda: self.kvsh("ping"), lambda done: done.returncode != 69, "all answer again")

    def lose(self, effect):
        self.lab.control("fault", kind="cut", method="POST", path="/*", count=1, effect=effect)

    def find(self):
        self.lab.control("faults", clear=True)

    def lost(self):
        return len([r for r in self.changes() if r["fault"]])

    def took_effect(self):
        lost = [r for r in self.changes() if r["fault"]]
        return [r["path"] for r in self.changes() if r["status"] == 200 and r not in lost] + \
            [r["path"] for r in lost if self.lab.cluster()["counters"].get("graceful_failover_start", 0) > 0
             and not [o for o in self.changes() if o["status"] == 200 and not o["fault"]]]

    def check_looked(self):
        sent = set()
        for r in self.log():
            key = (r["method"], r["path"])
            if r["method"] == "GET":
                sent.clear()
            else:
                tap.ok(key not in sent, "%s %s: twice without a look" % key)
                sent.add(key)

    def failures(self):
        yield "plan failover -service nothing-like-it", 65
        yield "plan failover", 64
        yield "no-such-command", 64
        yield "plan failover -service {n1} -service {n2} -service {n3} -service {n4} -mode hard", 10
        path = os.path.join(self.lab.folder, "pw")
        with open(path, "w") as f:
            f.write("not-the-password\n")
        yield "show topology", 77
        with open(path, "w") as f:
            f.write(cblab.PASSWORD + "\n")
        self._all("kill")
        yield "verify configuration", 69
        yield "plan rebalance -wait", 69

    def close(self):
        self.lab.__exit__()


# --- redis ---

class Redis(World):
    """Real agents and servers behind proxies; one store for all cases, whole before each."""

    lab = None
    reports_dead = True
    harmless = ("wipe", "check-data", "check-copies")

    def __init__(self):
        if Redis.lab is None:
            Redis.lab = crashlab.CrashLab()
            self.lab.start()
            self.lab.deploy()
        self.prepare("")

    def prepare(self, case):
        lab = self.lab
        if any(s["state"] != "running" for s in lab.services().values()):
            self.kvsh("plan start-service -all-rns -wait")
        lab.check_store()
        self.replica = lab.members("replica")[0]
        if case in ("start-service", "slow"):
            tap.equal(self.kvsh("plan stop-service -service %s -wait" % self.replica).returncode, 0, "the stop")
        lab.forget_exchanges()
        for proxy in lab.proxies:
            proxy.cuts = 0
        self.since = time.time()
        self.documents = self.declared()

    def declared(self):
        documents = {}
        for key, doc in self.lab.docs().items():
            kind, _, name = key.partition("/")
            documents.setdefault(kind, {})[name] = doc
        return documents

    def environment(self):
        return self.lab.environment()

    def endpoint(self):
        return {"store": kvtest.STORE, "engine": "redis", "token": self.lab.token,
                "nodes": ["http://127.0.0.1:%d" % (n.port + 1) for n in self.lab.nodes],
                "secretFile": os.path.join(self.lab.journal, "secret")}

    def docs(self):
        return self.documents

    def secrets(self):
        return [self.lab.password(), self.lab.token]

    def kvsh(self, line):
        run = self.lab.kvsh("-timeout 2 " + line, want=None)
        return subprocess.CompletedProcess(run.words, run.status, run.out, run.err)

    def count(self):
        return sum(len(p.seen) for p in self.lab.proxies)

    def changes(self):
        return [e for p in self.lab.proxies for e in p.seen if e.method != "GET"]

    def intents(self):
        shard = self.replica.split("-")[0]
        primary = next(n for n in self.lab.members("primary") if n.startswith(shard))
        one = {"services": [self.replica]}
        return {"deploy-zone": {"name": "Zone9", "rf": 1, "type": "PRIMARY"},
                "deploy-sn": {"zone": "zn1", "host": "127.0.0.1", "port": 1},
                "deploy-admin": {"sn": "sn1"}, "deploy-topology": {"topology": "store-layout"},
                "stop-service": one, "start-service": one, "restart-service": one,
                "failover": dict(one, mode="graceful"), "recover": one,
                "network-restore": {"from": primary, "to": self.replica}, "cleanup": {}, "verify-data": one}

    def twice(self):
        return ["stop-service", "start-service", "restart-service", "failover", "network-restore", "verify-data"]

    def change(self):
        return "stop-service", {"services": [self.replica]}

    noting = change

    def settle(self, seconds):
        self.documents["policy"]["policy"]["params"]["settleSeconds"] = str(seconds)

    def slow(self):
        self.settle(60)
        return "start-service", {"services": [self.replica]}

    def hurry(self):
        self.settle(1)

    def state(self):
        self.until(lambda: None, lambda _: not self.moving(), "the store comes to rest")
        return {n: (s["wanted"], s["state"], (s["redis"] or {}).get("role")) for n, s in self.lab.services().items()
                if s["kind"] == "redis"}

    def moving(self):
        return [n for n, s in self.lab.services().items() if s["state"] not in ("running", "stopped")]

    def apply(self, task):
        documents = copy.deepcopy(self.documents)
        for effect in task.get("effects", []):
            kind = documents.setdefault(effect["kind"], {})
            if "merge" in effect and effect["name"] in kind:
                kind[effect["name"]].update({k: 1 if v == "@plan" else v for k, v in effect["merge"].items()})
            elif effect.get("doc"):
                kind[effect["name"]] = effect["doc"]
            elif "doc" in effect:
                kind.pop(effect["name"], None)
        self.documents = documents

    def silence(self):
        self.lab.nodes[2].agent.send_signal(signal.SIGSTOP)
        return "sn3"

    def wake(self):
        self.lab.nodes[2].agent.send_signal(signal.SIGCONT)

    def all_dead(self):
        for node in self.lab.nodes:
            node.agent.send_signal(signal.SIGSTOP)

    def all_alive(self):
        for node in self.lab.nodes:
            node.agent.send_signal(signal.SIGCONT)
        self.until(lambda: self.kvsh("ping"), lambda done: done.returncode != 69, "all answer again")

    def lose(self, effect):
        for proxy in self.lab.proxies:
            proxy.cut = "after" if effect else "before"

    def find(self):
        for proxy in self.lab.proxies:
            proxy.cut = None

    def lost(self):
        return sum(p.cuts for p in self.lab.proxies)

    def took_effect(self):
        return [key for key, n in self.lab.begun(self.since).items() for _ in range(n) if key[2].endswith("/stop")]

    def check_looked(self):
        self.lab.check_looked(self.since)

    def failures(self):
        yield "plan stop-service -service rg9-rn9", 65
        yield "plan stop-service", 64
        yield "no-such-command", 64
        yield "plan stop-service " + " ".join("-service " + n for n in self.lab.members("primary")), 10
        os.chmod(self.lab.token_file, 0o644)  # others may read it
        yield "plan failover -service " + self.replica, 77
        os.chmod(self.lab.token_file, 0o600)
        self.all_dead()
        yield "ping", 69
        self.all_alive()

    @classmethod
    def finish(cls):
        if Redis.lab:
            Redis.lab.everything_ended()


WORLDS = {"couchbase": Couchbase, "redis": Redis}
