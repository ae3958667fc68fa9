"""What the tests of the agent share: requests with expectations, operations, bytes on the wire."""
import json
import os
import signal
import socket
import subprocess
import time

import kvtest
import tap
from kvtest import HOST, KVAGENTD, STORE, wait_for

SECRET = "0123456789abcdef" * 4


def ask(node, method, path, body=None, status=200, code=None, token=None):
    """The answer of one request, whose status (and problem code) must be as wanted."""
    got, answer = node.rest(method, path, body, token)
    what = "%s %s" % (method, path)
    if got != status:
        tap.fail("%s: status %d, want %d: %s" % (what, got, status, answer))
    if code:
        tap.equal(answer.get("code"), code, "code of " + what)
        tap.equal(answer.get("type"), "urn:kvsh:problem:" + code, "type of " + what)
        tap.equal(answer.get("status"), status, "status in the body of " + what)
        tap.ok(answer.get("detail"), "detail of " + what)
    return answer


def wait_operation(node, number, seconds=60):
    end = time.monotonic() + seconds * tap.SLOWER
    while time.monotonic() < end:
        op = ask(node, "GET", "/v1/operations/%d?wait=5" % number)
        if op["state"] != "running":
            return op
    raise AssertionError("operation %d goes on: %s" % (number, op))


def operate(node, path, body=None, state="succeeded", code=None):
    """Begins an operation and follows it to its end."""
    op = wait_operation(node, ask(node, "POST", path, body or {}, 202)["operation"])
    if op["state"] != state:
        tap.fail("POST %s: %s, want %s: %s" % (path, op["state"], state, op))
    if code:
        tap.equal((op["problem"] or {}).get("code"), code, "code of " + path)
    return op


def register(node, store=STORE):
    ask(node, "PUT", "/v1/node", {"store": store, "id": "sn%d" % node.number, "zone": "zn1", "secret": SECRET})


def definition(node, shard="rg1", disk=0, offset=2, **more):
    return dict({"kind": "redis", "shard": shard, "storageDir": node.dirs[disk], "port": node.port + offset,
                 "busPort": node.port + offset + 1}, **more)


def define(node, name="rg1-rn1", **more):
    ask(node, "PUT", "/v1/services/" + name, definition(node, name.split("-")[0], **more), 201)


def start(node, name="rg1-rn1", **body):
    return operate(node, "/v1/services/%s/start" % name, body)


def stop(node, name="rg1-rn1"):
    return operate(node, "/v1/services/%s/stop" % name)


def service(node, name="rg1-rn1"):
    return node.services()[name]


def events(node, after=0):
    return ask(node, "GET", "/v1/events?after=%d" % after)["events"]


def redis(node, name="rg1-rn1"):
    return kvtest.Redis(service(node, name)["port"], SECRET)


def form(node, name="rg1-rn1"):
    """Makes a store of one primary with all slots."""
    ask(node, "POST", "/v1/services/%s/set-epoch" % name, {"epoch": 1})
    ask(node, "POST", "/v1/services/%s/add-slots" % name, {"ranges": [[0, 16383]]})
    wait_for(lambda: (service(node, name)["redis"] or {}).get("clusterState") == "ok", "cluster state ok")


def wire(node, data, seconds=10):
    """What comes back on a connection that sends these bytes, until it is closed or the time is over."""
    with socket.create_connection((HOST, node.port), seconds) as s:
        s.sendall(data)
        got = b""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            s.settimeout(max(0.1, end - time.monotonic()))
            try:
                more = s.recv(65536)
            except (TimeoutError, ConnectionError):
                break
            if not more:
                break
            got += more
        return got


def request_bytes(node, method, path, body=b"", **headers):
    head = {"Host": "x", "Authorization": "Bearer " + node.lab.token, "Content-Length": str(len(body)),
            "Connection": "close"}
    head.update({k.replace("_", "-"): v for k, v in headers.items()})
    lines = ["%s %s HTTP/1.1" % (method, path)] + ["%s: %s" % (k, v) for k, v in head.items() if v is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def run_agent(node, *words):
    """One run of kvagentd with -root of this node: (status, stdout, stderr)."""
    done = subprocess.run([KVAGENTD] + list(words) + ["-root", node.root], env=node.lab.environment(),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=90)
    return done.returncode, done.stdout, done.stderr


def agent_pid(node):
    return ask(node, "GET", "/v1/node")["agent"]["pid"]


def finish(lab):
    """Ends agents orderly, so that a sanitizer can tell what it has found, then everything else."""
    def run():
        """Agents end orderly and nothing is left"""
        for node in lab.nodes:
            if node.agent and node.agent.poll() is None:
                node.agent.send_signal(signal.SIGTERM)
                tap.equal(node.agent.wait(30), 0, "exit status of agent %d" % node.number)
                node.agent = None
            if os.path.exists(os.path.join(node.root, "config1.json")):
                run_agent(node, "stop", "-services")
            path = os.path.join(node.folder, "agent.out")
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    tap.lacks(f.read(), "Sanitizer", "output of agent %d" % node.number)
        try:
            wait_for(lambda: not kvtest.processes_of(lab.folder), "all processes end")
        except AssertionError:
            for pid in kvtest.processes_of(lab.folder):
                tap.fail("still there: " + kvtest.describe(pid))
        lab.close()
    return run


def secrets_in(folder):
    """Files that hold the store's password though they must not."""
    allowed = ("secret", "secret.conf")
    found = []
    for top, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(top, name)
            with open(path, "rb") as f:
                if SECRET.encode() in f.read() and name not in allowed:
                    found.append(path)
    return found


def as_json(raw):
    return json.loads(raw.partition(b"\r\n\r\n")[2])
