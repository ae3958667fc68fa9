"""A simulated Couchbase cluster, a kvsh that administers it, and sessions compared with what was recorded.

    with Lab({"nodes": 4}) as lab:
        lab.kv("plan failover -service {n2} -wait")     exit status 0, or want=N
        lab.control("node", node="n2", do="kill")

Braces stand for the address of a node; in transcripts addresses, times and ids have stable names again.
"""
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
sys.path.insert(0, os.path.join(HERE, "..", "sim"))

import tap  # noqa: E402
from simtest import Sim  # noqa: E402

KVSH = tap.program("kvsh")
PASSWORD = "correct-horse-battery"
USERS = [{"name": "Administrator", "password": PASSWORD, "role": "admin"}]
# Short virtual times: a session takes seconds.
TIMING = {"rebalance": 1.5, "graceful": 1.5, "failover": 0.5, "heartbeat": 1, "takeover": 1, "cache": 0.3,
          "compaction": 1, "warmup": 0.3, "stop": 0.3}
MIB = 1 << 20
BUCKETS = [{"name": "orders", "replicas": 1, "ramQuotaMiB": 256, "memUsed": 200 * MIB, "diskUsed": 1 << 30,
            "items": 100000, "ops": 1000},
           {"name": "users", "replicas": 1, "ramQuotaMiB": 256, "memUsed": 100 * MIB, "diskUsed": 1 << 30,
            "items": 1000, "ops": 10}]


def member(name, **more):
    return dict({"name": name}, **more)


# Clusters to begin with.
NODES = {"nodes": 4}
FAILED = {"nodes": [member("n1"), member("n2", membership="inactiveFailed"), member("n3"), member("n4")]}
SPARE = {"nodes": 3, "spares": [member("p1")]}
WAITING = {"nodes": [member("n1"), member("n2"), member("n3"), member("n4", membership="inactiveAdded")]}
GROUPS = {"nodes": 4, "groups": ["Group 1", "Rack 2"]}


class Lab:
    """One simulated cluster and a store "prod" that is it."""

    def __init__(self, scenario, first=None, store=True):
        scenario = dict({"buckets": BUCKETS, "users": USERS}, **scenario)
        scenario["timing"] = dict(TIMING, **scenario.get("timing", {}))
        self.folder = tempfile.mkdtemp(prefix="kvsh-cb.")
        self.sim = Sim(scenario, life=900)
        self.host = dict(self.sim.host)
        for name, address in self.sim.host.items():
            self.host[name + "_port"] = address.rpartition(":")[2]
        self.transcript = []
        self.outputs = []
        with open(os.path.join(self.folder, "pw"), "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(PASSWORD + "\n")
        if store:
            names = first or [row["name"] for row in self.sim.start["nodes"]]
            self.kv("store add -name prod -engine couchbase -user Administrator -password-file " + self.folder
                    + "/pw " + " ".join("-node http://{%s}" % n for n in names))
            self.transcript.clear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sim.__exit__()
        shutil.rmtree(self.folder)

    def environment(self, **more):
        return dict(os.environ, HOME=self.folder, XDG_CONFIG_HOME=self.folder + "/config",
                    KVSH_STATE_DIR=self.folder + "/state", TERM="dumb", LC_ALL="C.UTF-8", LOGNAME="somebody", **more)

    def command(self, *words):
        return [KVSH] + [re.sub(r"\{(\w+)\}", lambda m: self.host.get(m.group(1), m.group(0)), w) for w in words]

    def kv(self, line, want=0):
        """Runs one command; the exit status must be `want` (None: any)."""
        done = subprocess.run(self.command(*shlex.split(line)), env=self.environment(), text=True, timeout=90,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.outputs.append(done.stdout + done.stderr)
        self.transcript += ["kv-> " + line] + done.stdout.splitlines()
        self.transcript += ["! " + text for text in done.stderr.splitlines()]
        if done.returncode != 0:
            self.transcript.append("[status %d]" % done.returncode)
        if want is not None and done.returncode != want:
            tap.fail("kvsh %s: status %d, want %d\n%s%s" % (line, done.returncode, want, done.stdout, done.stderr))
        return done

    def json(self, line, want=0):
        return json.loads(self.kv("-json " + line, want).stdout)["returnValue"]

    def control(self, call, **fields):
        request = urllib.request.Request("http://%s/%s" % (self.sim.start["control"], call),
                                         json.dumps(fields).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def say(self, text):
        """A line of the transcript about what happens to the cluster."""
        self.transcript.append("# " + text)

    @contextlib.contextmanager
    def aside(self):
        """What is run in here does not belong to the transcript."""
        length = len(self.transcript)
        yield
        del self.transcript[length:]

    def requests(self, method="POST"):
        return self.control("log", method=method)["requests"]

    def wait(self, condition, what, seconds=30):
        end = time.monotonic() + seconds * tap.SLOWER
        while not condition():
            if time.monotonic() > end:
                raise AssertionError("%s: not within %s s" % (what, seconds))
            time.sleep(0.1)

    def cluster(self):
        """What the simulated cluster is."""
        return self.control("state")["clusters"][0]

    def membership(self, name):
        """Of a node; None when it is no member."""
        return self.cluster()["members"].get(self.sim.otp[name], {}).get("membership")

    def others(self, path, body=""):
        """Somebody else's request; names in braces stand for otpNodes."""
        self.control("other", path=path,
                     body=body.format(**{n: otp.replace("@", "%40") for n, otp in self.sim.otp.items()}))

    def task(self):
        """state and waiting text of the newest plan."""
        return self.kv("show plan -last", None).stdout

    def kill_runner(self):
        """Ends the runner of the newest plan as a crash would."""
        pid = int(re.findall(r"process (\d+)", self.kv("show events -plan 1 -local").stdout)[-1])
        os.kill(pid, signal.SIGKILL)

    def stable(self):
        """The transcript with stable names for what differs from run to run."""
        text = "\n".join(self.transcript) + "\n"
        for name, address in self.sim.host.items():
            text = text.replace(address, name + ":8091")
        text = text.replace(self.sim.uuid, "UUID").replace(self.folder, "FOLDER")
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "TIME", text)
        text = re.sub(r"\b[0-9a-f]{32}\b", "ID", text)
        text = re.sub(r"\b[0-9a-f]{16}\b", "DIGEST", text)
        return re.sub(r"(Created by: +)\S+", r"\1SOMEBODY", text)


def compare(name, lab):
    """The session is as recorded; with -record it is recorded."""
    path = os.path.join(HERE, "couchbase.sessions", name + ".txt")
    if "-record" in sys.argv:
        with open(path, "w") as f:
            f.write(lab.stable())
        return
    with open(path) as f:
        want = f.read()
    got = lab.stable()
    if got != want:
        import difflib
        tap.fail("session %s differs:\n%s" % (name, "\n".join(difflib.unified_diff(
            want.splitlines(), got.splitlines(), "recorded", "now", lineterm=""))))
