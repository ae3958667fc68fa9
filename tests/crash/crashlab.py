"""What the proofs by crashing share: a store behind recording proxies, its journal read directly, a client that
writes without pause and asks for copies, and the checks that must hold whatever was killed.
"""
import fcntl
import json
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

import kvtest  # noqa: E402
import tap  # noqa: E402
from proxy import Proxy  # noqa: E402
from writer import Client  # noqa: E402

ZONES = (1, 1, 2)  # the zone of each node: two copies of a shard in one, the third in the other
F_OFD_GETLK = 36


class Violation(AssertionError):
    """Something that must always hold did not."""


def must(condition, what):
    if not condition:
        raise Violation(what)


# --- a client ---

class WaitWriter(threading.Thread):
    """Writes to a bounded set of keys, ever higher numbers; remembers which number was acknowledged with a copy."""

    KEYS = 500

    def __init__(self, ports, password):
        super().__init__(daemon=True)
        self.ports, self.password = ports, password
        self.over = threading.Event()
        self.kept = {}  # key -> the highest number acknowledged with at least one copy
        self.acknowledged = self.single = 0
        self.longest_pause = 0.0
        self.problem = None

    def run(self):
        client = Client(self.ports, self.password)
        number, last = 1, time.monotonic()
        try:
            while not self.over.is_set():
                copies = self._write(client, "w:%d" % (number % self.KEYS), number)
                now = time.monotonic()
                if copies is None:
                    time.sleep(0.01)
                    continue
                self.longest_pause, last = max(self.longest_pause, now - last), now
                number += 1  # what was not acknowledged is tried again: a shard that stands still is a pause
                time.sleep(0.001)
        except Exception as e:  # told by finish()
            self.problem = e
        client.close()

    def _write(self, client, key, number):
        done, _ = client.call(key, "SET", key, number)
        if not done:
            return None
        done, copies = client.call(key, "WAIT", 1, 500)
        if not done:
            return None
        if copies >= 1:
            self.kept[key] = number
            self.acknowledged += 1
        else:
            self.single += 1
        return copies

    def forgive(self):
        """What was acknowledged up to here is not asked for any more."""
        self.kept = {}

    def lost(self):
        """(key, acknowledged, found) of every key that is older than what was acknowledged."""
        client, lost = Client(self.ports, self.password), []
        try:
            for key, number in list(self.kept.items()):
                got = self._read(client, key)
                if got is None or int(got) < number:
                    lost.append((key, number, got))
        finally:
            client.close()
        return lost

    @staticmethod
    def _read(client, key):
        for _ in range(400):
            done, got = client.call(key, "GET", key)
            if done:
                return got
            time.sleep(0.05)
        raise Violation("%s cannot be read" % key)

    def finish(self):
        self.over.set()
        self.join(60)
        if self.problem:
            raise self.problem


# --- the journal of a store, read beside the program ---

class JournalReader:
    """For laboratories with a folder, and in it the directory of a journal."""

    folder = journal = None

    def sql(self, text, *values):
        path = os.path.join(self.journal, "journal.db")
        if not os.path.exists(path):
            return []
        db = sqlite3.connect("file:%s?mode=ro" % path, uri=True, timeout=10)
        try:
            return db.execute(text, values).fetchall()
        except sqlite3.OperationalError as e:
            if "no such table" in str(e):  # just being made
                return []
            raise
        finally:
            db.close()

    def last_plan(self):
        rows = self.sql("SELECT max(id) FROM plan")
        return rows[0][0] or 0 if rows else 0

    def state(self, plan):
        rows = self.sql("SELECT state FROM plan WHERE id = ?", plan)
        return rows[0][0] if rows else None

    def tasks(self, plan):
        return self.sql("SELECT num, state, what, attempts, error FROM task WHERE plan_id = ? ORDER BY num", plan)

    def docs(self):
        return {"%s/%s" % (kind, name): json.loads(doc) for kind, name, doc in
                self.sql("SELECT kind, name, doc FROM object ORDER BY kind, name")}

    def docs_version(self):
        rows = self.sql("SELECT value FROM counter WHERE name = 'docs_version'")
        return rows[0][0] if rows else 0

    # --- processes and locks ---

    def runners(self):
        return [pid for pid in kvtest.processes_of(self.folder)
                if b"run-plan" in kvtest._proc(pid, "cmdline").split(b"\0")]

    def lock_held(self, byte):
        path = os.path.join(self.journal, "lock")
        if not os.path.exists(path):
            return False
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            want = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
            return struct.unpack("hhqqi4x", fcntl.fcntl(fd, F_OFD_GETLK, want))[0] != fcntl.F_UNLCK
        finally:
            os.close(fd)

    def check_over(self, plan):
        """The plan has succeeded with all its tasks, and no process and no lock of it is left."""
        must(self.state(plan) == "SUCCEEDED", "plan %d is %s" % (plan, self.state(plan)))
        for num, state, what, _, _ in self.tasks(plan):
            must(state in ("SUCCEEDED", "SKIPPED"), "task %d (%s) of plan %d is %s" % (num, what, plan, state))
        kvtest.wait_for(lambda: not self.runners(), "no runner is left")
        for byte in (0, plan):
            must(not self.lock_held(byte), "lock %d is still held" % byte)


# --- a store ---

class CrashLab(JournalReader, kvtest.Lab):
    """Nodes in two zones, each reached through a proxy that writes down what it is asked."""

    def __init__(self, proxies=True, zones=ZONES):
        super().__init__(dirs=(3,) * len(zones))
        self.zones = zones
        self.proxies = []
        if proxies:
            self.proxies = [Proxy(node.port + 1, node.port) for node in self.nodes]
        self.writer = None
        self.journal = os.path.join(self.folder, "state", kvtest.STORE)

    def deploy_lines(self):
        by = 1 if self.proxies else 0
        lines = ["configure -name " + kvtest.STORE]
        for zone in sorted(set(self.zones)):
            lines.append("plan deploy-zone -name Zone%d -rf %d -wait" % (zone, self.zones.count(zone)))
        lines.append("pool create -name snpool")
        for i, node in enumerate(self.nodes):
            lines += ["plan deploy-sn -zn %d -host %s -port %d -wait" % (self.zones[i], kvtest.HOST, node.port + by),
                      "plan deploy-admin -sn %d -port %d -wait" % (i + 1, node.port + 1 - by),
                      "pool join -name snpool -sn sn%d" % (i + 1)]
        return lines + ["change-policy -params cluster-node-timeout=2000",
                        "topology create -name store-layout -pool snpool -partitions 100",
                        "plan deploy-topology -name store-layout -plan-name RepNode-Deploy -wait"]

    def ports(self):
        return [s["port"] for s in self.services().values() if s["kind"] == "redis"]

    def start_writer(self):
        self.writer = WaitWriter(self.ports(), self.password())
        self.writer.start()

    def stop_writer(self):
        if self.writer:
            self.writer.finish()

    def close(self):
        for proxy in getattr(self, "proxies", []):
            proxy.close()
        super().close()

    def told(self, plan):
        """The plan's whole history, for a report."""
        return self.kvsh("show plan -id %d -verbose" % plan, want=None).out + \
            self.kvsh("show events -plan %d" % plan, want=None).out

    # --- what must hold ---

    def check_ended(self, plan, agent_was_dead=False):
        """The plan has succeeded with all its tasks, and nothing of it is left. An agent that was dead when the lease
        was given back may keep it until it runs out."""
        self.check_over(plan)
        for node in self.nodes:
            lease = node.rest("GET", "/v1/node")[1].get("lease")
            must(not lease or (agent_was_dead and lease["plan"] == plan and
                               lease["expiresMs"] < time.time() * 1000 + 30000),
                 "node %d still has a lease: %s" % (node.number, lease))

    def shape(self):
        """What the store is, apart from who is primary at the moment."""
        found = {}
        for name, s in self.services().items():
            if s["kind"] == "redis":
                found[name] = (s["wanted"], s["state"])
        return found

    def role_problem(self, down):
        """What is not as intended, given the set of services that are meant to be down; None when all is."""
        services = {n: s for n, s in self.services().items() if s["kind"] == "redis"}
        owners = {}
        for name, s in sorted(services.items()):
            want = ("down", "stopped") if name in down else ("up", "running")
            if (s["wanted"], s["state"]) != want:
                return "%s is %s (wanted %s), not %s" % (name, s["state"], s["wanted"], want[1])
            if name in down:
                continue
            live = s["redis"]
            if not live:
                return "%s: %s" % (name, s["error"])
            if live["clusterState"] != "ok" or live["slotsOk"] != 16384:
                return "%s considers the store %s" % (name, live["clusterState"])
            if live["role"] == "replica" and (not live["linkUp"] or live["syncInProgress"]):
                return "%s is not in sync" % name
            if live["role"] == "primary":
                if s["shard"] in owners:
                    return "%s and %s are both primary" % (owners[s["shard"]], name)
                owners[s["shard"]] = name
            if any(n["open"] for n in live["nodes"] if "open" in n):
                return "%s has open slots" % name
        shards = {s["shard"] for s in services.values()}
        alive = {s["shard"] for n, s in services.items() if n not in down}
        if set(owners) != alive:
            return "shards without a primary: %s" % sorted(alive - set(owners))
        for name, s in services.items():
            if name not in down and s["redis"]["role"] == "replica":
                primary = services[owners[s["shard"]]]["redis"]["nodeId"]
                if s["redis"]["primaryId"] != primary:
                    return "%s does not follow the primary of its shard" % name
        return None if shards else "there are no services"

    def check_store(self, down=(), seconds=40):
        """The topology is the intended one: within so many seconds, then to the program as well."""
        problem, end = "not looked", time.monotonic() + seconds
        while problem and time.monotonic() < end:
            try:
                problem = self.role_problem(set(down))
            except (OSError, KeyError, TypeError) as e:
                problem = "%s: %s" % (type(e).__name__, e)
            if problem:
                time.sleep(0.1)
        must(not problem, "the store is not as intended: %s" % problem)
        if down:
            return
        while True:
            run = self.kvsh("verify configuration", want=None)
            if run.status == 0:
                return
            must(time.monotonic() < end + 10, "verify configuration:\n%s" % run)
            time.sleep(0.3)

    def check_writes(self):
        lost = self.writer.lost() if self.writer else []
        must(not lost, "acknowledged and lost: %s" % lost[:10])

    def check_looked(self, since):
        """No changing request is repeated without the node having been looked at in between."""
        for node, proxy in zip(self.nodes, self.proxies):
            sent = set()
            for e in [e for e in list(proxy.seen) if e.time >= since]:
                path = e.path.partition("?")[0]
                if e.method == "GET":
                    if path == "/v1/node":
                        sent.clear()
                elif path not in ("/v1/metadata", "/v1/lease") and not path.endswith("/data"):
                    must((e.method, path) not in sent or path.endswith("/meet"),
                         "sn%d was told %s %s twice without a look" % (node.number, e.method, path))
                    sent.add((e.method, path))

    def begun(self, since):
        """How many operations each changing request began: (node, method, path) -> times. Who asks again while one is
        under way is given that one."""
        numbers = {}
        for node, proxy in zip(self.nodes, self.proxies):
            for e in list(proxy.seen):
                if e.time >= since and e.status in (201, 202):
                    numbers.setdefault((node.number, e.method, e.path), []).append(e.operation)
        return {key: len(set(n)) if None not in n else len(n) for key, n in numbers.items()}

    def forget_exchanges(self):
        for proxy in self.proxies:
            proxy.seen.clear()


def plans_there():
    """The verbs of plans that a store of this engine has in this build."""
    with tempfile.NamedTemporaryFile("w", prefix="kvsh-test-") as config:
        config.write("[store %s]\nengine = redis\n" % kvtest.STORE)
        config.flush()
        done = subprocess.run([kvtest.KVSH, "-config", config.name, "-store", kvtest.STORE, "help", "plan"], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"]})
    return {words[1] for words in map(str.split, done.stdout.splitlines()) if words[:1] == ["plan"]}


def lose_disk(lab, name):
    """The directory of a service is removed, and its process dies."""
    service = lab.services()[name]
    shutil.rmtree(os.path.join(service["storageDir"], name))
    os.kill(service["pid"], signal.SIGKILL)
    kvtest.wait_for(lambda: lab.services()[name]["pid"] != service["pid"], "the death of %s is seen" % name)


def variable(name, default):
    return int(os.environ.get(name) or default)
