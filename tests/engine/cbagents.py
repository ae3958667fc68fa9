"""A simulated Couchbase cluster with a real kvagentd beside each node.

The agents' commands are scripts that tell the simulator's control port to kill or revive the node:

    with AgentLab({"nodes": 3}) as lab:
        lab.kv("plan restart-service -all-rns -wait")

A file MODE.ACTION in lab.spoiled(node) spoils that command: "fail.start" (with the text it says), "hang.status".
"""
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import cblab
import tap
from cblab import HERE, Lab

sys.path.insert(0, os.path.join(HERE, "..", "system"))

import kvtest  # noqa: E402

KVAGENTD = tap.program("kvagentd")
TOKEN = "a" * 16 + "0123456789abcdef" * 3

PROGRAM = """#!%(python)s
import json, os, sys, time, urllib.request
folder, node, control = %(folder)r, %(node)r, %(control)r
def ask(call, **fields):
    data = json.dumps(fields).encode()
    with urllib.request.urlopen("http://%%s/%%s" %% (control, call), data, timeout=20) as answer:
        return json.load(answer)
def runs():
    return [h for h in ask("state")["hosts"] if h["name"] == node][0]["process"] != "killed"
action = sys.argv[1]
with open(os.path.join(folder, "calls"), "a") as calls:
    calls.write(action + "\\n")
def spoiled(mode):
    return os.path.exists(os.path.join(folder, mode + "." + action))
while spoiled("hang"):
    time.sleep(0.2)
if spoiled("fail"):
    sys.stderr.write(open(os.path.join(folder, "fail." + action)).read())
    sys.exit(5)
if action == "status":
    sys.exit(0 if runs() else 3)
if runs() == (action == "stop"):
    ask("node", node=node, do="kill" if action == "stop" else "revive")
"""


class Agent:
    """kvagentd beside one node."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.folder = os.path.join(lab.folder, "agent-" + name)
        self.root = os.path.join(self.folder, "kvroot")
        self.port = kvtest.free_block()
        self.url = "http://127.0.0.1:%d" % self.port
        self.process = None
        os.makedirs(self.folder)
        self.program = os.path.join(self.folder, "couchbase-server")
        with open(self.program, "w", opener=lambda p, f: os.open(p, f, 0o755)) as f:
            f.write(PROGRAM % {"python": sys.executable, "folder": self.folder, "node": name,
                               "control": lab.sim.start["control"]})
        self.run("makebootconfig", "-host", "127.0.0.1", "-port", str(self.port), "-token-file", lab.token_file,
                 "-watch-interval", "1", "-unit", "couchbase=" + self.program)
        self.limit("status", 2)
        self.limit("start", 20)
        self.limit("stop", 20)

    def run(self, verb, *words):
        done = subprocess.run([KVAGENTD, verb, "-root", self.root] + list(words), stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=90)
        if done.returncode != 0:
            raise AssertionError("kvagentd %s: status %d\n%s" % (verb, done.returncode, done.stdout))

    def limit(self, action, seconds):
        path = os.path.join(self.root, "config1.json")
        with open(path, encoding="utf-8") as f:
            config = json.load(f)
        config["units"][0][action]["limit"] = seconds
        with open(path, "w", encoding="utf-8") as f:
            json.dump(config, f)

    def start(self):
        with open(os.path.join(self.folder, "out"), "ab") as out:
            self.process = subprocess.Popen([KVAGENTD, "start", "-root", self.root], stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=out, start_new_session=True)
        self.lab.wait(self.answers, "the agent of " + self.name)

    def answers(self):
        try:
            return self.rest("GET", "/v1/node")["services"][0]["state"] != "unknown"
        except OSError:
            return False

    def rest(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Authorization": "Bearer " + TOKEN}, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def state(self):
        return self.rest("GET", "/v1/node")["services"][0]["state"]

    def stop(self, number=signal.SIGTERM):
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(60)
            self.process = None

    def spoil(self, name, text=""):
        with open(os.path.join(self.folder, name), "w") as f:
            f.write(text)

    def mend(self, name):
        os.unlink(os.path.join(self.folder, name))

    def calls(self, *actions):
        """How often its commands were run, those of its own watch left out."""
        try:
            with open(os.path.join(self.folder, "calls")) as f:
                return [line for line in f.read().split() if line in (actions or ("start", "stop"))]
        except FileNotFoundError:
            return []


class AgentLab(Lab):
    """with_agents: names of the nodes that have one (all); belongs: which agent is said to be whose."""

    def __init__(self, scenario, with_agents=None, belongs=None, token=TOKEN):
        super().__init__(scenario, store=False)
        self.token_file = self.secret("agents.token", TOKEN)
        used = self.token_file if token == TOKEN else self.secret("wrong.token", token)
        names = [row["name"] for row in self.sim.start["nodes"]]
        self.agents = {}
        try:
            for name in with_agents if with_agents is not None else names:
                self.agents[name] = Agent(self, name)
                self.agents[name].start()
        except BaseException:
            self.__exit__()
            raise
        belongs = belongs or {name: name for name in self.agents}
        self.kv("store add -name prod -engine couchbase -user Administrator -password-file " + self.folder + "/pw "
                + " ".join("-node http://{%s}" % n for n in names) + " -agent-token-file " + used
                + "".join(" -agent {%s}=%s" % (n, self.agents[a].url) for n, a in belongs.items()))
        self.transcript.clear()

    def secret(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(text + "\n")
        return path

    def __exit__(self, *_):
        for agent in self.agents.values():
            agent.stop()
            with open(os.path.join(agent.folder, "out")) as f:
                tap.lacks(f.read(), "Sanitizer", "output of the agent of " + agent.name)
        super().__exit__()

    def process(self, name):
        """What the process of a node is: up, killed, frozen."""
        return [h for h in self.control("state")["hosts"] if h["name"] == name][0]["process"]

    def stable(self):
        text = super().stable()
        for name, agent in self.agents.items():
            text = text.replace("127.0.0.1:%d" % agent.port, "agent-%s:13230" % name)
        return text


__all__ = ["AgentLab", "TOKEN", "cblab"]
