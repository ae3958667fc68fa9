#!/usr/bin/env python3
"""One node is cut off from the others, each node having a network of its own: network namespaces where they may be
made, else its processes are stopped by SIGSTOP. Nothing that was acknowledged with a copy is lost, plans say which
node is away, and go on when it is back.
"""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import crashlab
import kvtest
import tap
from kvtest import wait_for

INSIDE = "KVSH_TEST_INSIDE"  # set once this program runs in a network of its own
NET = "10.213.7."
lab = None
holders = []


# Who is not root gets a network of its own together with a user namespace, where that is allowed.
UNSHARE = ["unshare", "--net"] + ([] if os.geteuid() == 0 else ["--user", "--map-root-user"])
PROBE = ("ip link add kvbr type bridge && ip link add kv1 type veth peer name kv2 && unshare --net true && "
         "nsenter -t $$ -n true")


def has_namespaces():
    """Everything that is needed is tried. NO_NAMESPACES=1: as on a machine that does not allow them."""
    if os.environ.get("NO_NAMESPACES") or not shutil.which("unshare"):
        return False
    done = subprocess.run(UNSHARE + ["sh", "-c", PROBE], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done.returncode == 0


def ip(*words):
    subprocess.check_call(["ip"] + list(words))


class NetNode(kvtest.Node):
    """A node in a network namespace, held by a process that only sleeps; cable() pulls and plugs its cable."""

    def lay_cable(self):
        self.host = NET + str(self.number)
        holder = subprocess.Popen(["unshare", "--net", "sleep", "3600"], env=self.lab.environment())
        holders.append(holder)
        self.holder = holder.pid
        mine = os.readlink("/proc/self/ns/net")
        wait_for(lambda: os.readlink("/proc/%d/ns/net" % holder.pid) != mine, "a network of its own", 10, 0.01)
        self.wire = "kv%d" % self.number
        ip("link", "add", self.wire, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        ip("link", "set", self.wire, "master", "kvbr", "up")
        self.inside("ip", "link", "set", "lo", "up")
        self.inside("ip", "address", "add", self.host + "/24", "dev", "eth0")
        self.inside("ip", "link", "set", "eth0", "up")

    def inside_words(self, *words):
        return ["nsenter", "-t", str(self.holder), "-n"] + list(words)

    def inside(self, *words):
        subprocess.check_call(self.inside_words(*words))

    def cable(self, plugged):
        ip("link", "set", self.wire, "up" if plugged else "down")

    def boot_words(self, capacity):
        words = super().boot_words(capacity)
        words[words.index("-host") + 1] = self.host
        return words

    def start(self):
        with open(os.path.join(self.folder, "agent.out"), "ab") as out:
            self.agent = subprocess.Popen(
                self.inside_words(kvtest.KVAGENTD, "start", "-root", self.root, "-config", "config1.json"),
                env=self.lab.environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        wait_for(self.answers, "agent %d answers" % self.number)

    def rest(self, method, path, body=None, token=None):
        request = urllib.request.Request("http://%s:%d%s" % (self.host, self.port, path),
                                         None if body is None else json.dumps(body).encode(), method=method)
        request.add_header("Authorization", "Bearer " + (token or self.lab.token))
        try:
            with urllib.request.urlopen(request, timeout=30 * tap.SLOWER) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as e:
            with e:
                return e.code, json.load(e)


class NetLab(crashlab.CrashLab):
    def __init__(self):
        super().__init__(proxies=False)
        ip("link", "set", "lo", "up")
        ip("link", "add", "kvbr", "type", "bridge")
        ip("address", "add", NET + "254/24", "dev", "kvbr")
        ip("link", "set", "kvbr", "up")
        self.nodes = [NetNode(self, n.number, n.port, 3) for n in self.nodes]
        for node in self.nodes:
            node.lay_cable()

    def deploy_lines(self):
        lines = super().deploy_lines()
        for node in self.nodes:
            lines = [l.replace("-host %s -port %d " % (kvtest.HOST, node.port), "-host %s -port %d " % (
                node.host, node.port)) for l in lines]
        return lines


class StopLab(crashlab.CrashLab):
    """Where namespaces may not be made: a node is away when all its processes are stopped."""

    def __init__(self):
        super().__init__(proxies=False)
        for node in self.nodes:
            node.cable = lambda plugged, node=node: self.stop_or_go(node, plugged)

    @staticmethod
    def stop_or_go(node, plugged):
        for pid in [node.agent.pid] + [p for p in kvtest.processes_of(node.folder)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT if plugged else signal.SIGSTOP)


# --- data, through the shell: it must follow the primaries as everybody else ---

acknowledged = {}


def put(key, value):
    """True when it was acknowledged with a copy."""
    run = lab.kvsh(["put", "-key", key, "-value", value], want=None, timeout=60)
    if run.status == 0 and "no copy" not in run.out + run.err and "0 copies" not in run.out + run.err:
        acknowledged[key] = value
        return True
    return False


def written(number, key, value):
    """So many records, each of which is acknowledged with a copy before long."""
    for i in range(number):
        wait_for(lambda i=i: put(key % i, value % i), "%s is acknowledged with a copy" % (key % i), every=0.3)


def all_there():
    for key, value in acknowledged.items():
        run = lab.kvsh(["get", "-key", key], want=None)
        tap.contains(run.out, value, "get of %s, which was acknowledged" % key)
    tap.note("%d acknowledged records, all there" % len(acknowledged))


# --- tests ---

def deploys():
    """A store whose nodes have networks of their own"""
    global lab
    lab = NetLab() if os.environ.get(INSIDE) else StopLab()
    tap.note("by " + ("network namespaces" if os.environ.get(INSIDE) else "SIGSTOP: no namespaces may be made here"))
    lab.start()
    for line in lab.deploy_lines():
        lab.kvsh(line, timeout=120)
    lab.check_store(seconds=60)
    written(20, "a:%d", "v%d")


def roles(others):
    return {n: s["redis"]["role"] for node in others for n, s in node.services().items() if s.get("redis")}


def cut_off():
    """A node is cut off: the others elect, refuse to lose more, and take it back"""
    node = lab.nodes[0]
    others = lab.nodes[1:]
    node.cable(False)
    try:
        wait_for(lambda: len([r for r in roles(others).values() if r == "primary"]) == 3, "an election", 60, 0.3)
        written(20, "b:%d", "w%d")
        run = lab.kvsh("verify configuration", want=2, timeout=60)
        tap.contains(run.out, "sn1", "verify configuration")
        # In the other zone: a second node of the zone that is out already would be no second failure domain.
        there = roles([lab.nodes[2]])
        victim = sorted(there, key=lambda n: (there[n] != "replica", n))[0]
        run = lab.kvsh("plan stop-service -service %s -wait" % victim, want=10, timeout=60)
        tap.ok(len(run.err.strip()) > 20, "a refusal with its reason:\n%s" % run)
        tap.note(run.err.strip().split("\n")[0])
        run = lab.kvsh("plan stop-service -service %s -wait" % next(
            n for n in lab.docs() if n.startswith("rn/") and lab.docs()[n]["sn"] == "sn1")[3:], want=None, timeout=60)
        tap.ok(run.status in (1, 10, 69), "a plan on the node that is away: status %d" % run.status)
        tap.contains(run.err, "sn1", "the refusal")
    finally:
        node.cable(True)
    lab.check_store(seconds=90)
    all_there()


def cut_in_the_middle():
    """The cable is pulled in the middle of a plan, and plugged in again"""
    node = lab.nodes[2]
    shell = lab.spawn("plan restart-service -all-rns -wait")
    wait_for(lambda: lab.state(lab.last_plan()) == "RUNNING", "the plan is at work", 30, 0.01)
    time.sleep(0.5)
    node.cable(False)
    try:
        out, _ = shell.communicate(timeout=240)
    finally:
        node.cable(True)
    tap.note("status %d: %s" % (shell.returncode, " / ".join(out.strip().split("\n")[-3:])[:400]))
    tap.ok(shell.returncode in (0, 1, 3, 5, 6, 69), "status %d:\n%s" % (shell.returncode, out))
    if shell.returncode:
        tap.contains(out, "sn3", "what is said")
    wait_for(node.answers, "the node is back", 30)
    calls, plan = 0, lab.last_plan()
    while lab.state(plan) != "SUCCEEDED" and calls < 6:
        run = lab.kvsh("plan execute -id %d -wait" % plan, want=(0, 1, 5, 6, 10), timeout=240)
        tap.note("status %d: %s" % (run.status, " / ".join(run.err.split("\n")[:3])))
        calls += 1
        time.sleep(1)
    tap.note("%d calls of plan execute" % calls)
    lab.check_ended(plan, agent_was_dead=True)
    lab.check_store(seconds=90)
    all_there()


def nothing_left():
    """Nothing that was started remains"""
    with contextlib.suppress(kvtest.subprocess.TimeoutExpired):
        for node in lab.nodes:
            done = subprocess.run([kvtest.KVAGENTD, "stop", "-root", node.root, "-config", "config1.json", "-services"],
                                  env=lab.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=60)
            tap.equal(done.returncode, 0, "status of kvagentd stop (%s)" % done.stdout)
            node.agent.wait(30)
            node.agent = None
    for holder in holders:
        holder.kill()
        holder.wait()
    wait_for(lambda: not kvtest.processes_of(lab.folder), "all processes end", 20)
    lab.close()


if __name__ == "__main__":
    if not os.environ.get(INSIDE) and has_namespaces():
        os.execvpe("unshare", UNSHARE + [sys.executable] + sys.argv, dict(os.environ, **{INSIDE: "1"}))
    tap.main([deploys, cut_off, cut_in_the_middle], nothing_left)
