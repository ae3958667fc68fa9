#!/usr/bin/env python3
"""Passwords and tokens: looked for wherever kvsh leaves a trace, while plans run, fail, are interrupted and resumed."""
import json
import os
import pty
import select
import threading
import time

import cblab
import tap
from cblab import Lab

TOKEN = "eyJhbGciOiJub25lIn0.a-long-bearer-token"
NOTIFY = """#!/bin/sh
{ printf '%s\\n' "$@"; env; cat; } >> "$0.got"
"""


class Watch(threading.Thread):
    """Argument vectors and environments of all kvsh processes, as long as it runs."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.folder, self.seen, self.runners, self.over = folder, set(), 0, False
        self.start()

    def run(self):
        while not self.over:
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open("/proc/%s/cmdline" % pid, "rb") as f:
                        words = f.read()
                    with open("/proc/%s/environ" % pid, "rb") as f:
                        environment = f.read()
                except OSError:
                    continue
                if self.folder.encode() in environment and b"sim/couchbase" not in words:
                    self.seen.add(words)
                    self.seen.add(environment)
            time.sleep(0.02)

    def stop(self):
        self.over = True
        self.join()
        return self.seen


def check_everywhere(lab, watch, secret, own):
    """The secret is in no argument vector, no environment, no output, no file but its own, no address."""
    hidden = secret.encode()
    seen = watch.stop()
    tap.ok(any(b"kvsh" in words for words in seen), "kvsh processes were seen")
    tap.ok(any(b"run-plan" in words for words in seen), "runners were seen: %r" % sorted(seen)[:20])
    for words in seen:
        tap.ok(hidden not in words, "no secret in a process's words or environment: %r" % words[:60])
    for output in lab.outputs:
        tap.lacks(output, secret, "an output")
    files = [os.path.join(folder, name) for folder, _, names in os.walk(lab.folder) for name in names]
    for path in files:
        if os.path.basename(path) == own:
            continue
        with open(path, "rb") as f:
            tap.ok(hidden not in f.read(), "no secret in " + path)
    for part in ("journal.db", "notify.got", "history"):
        tap.ok(any(part in path for path in files), "there is a file %s: %s" % (part, files))
    for r in lab.control("log")["requests"]:
        tap.lacks((r["query"] or "") + r["path"], secret, "an address")


def at_the_prompt(lab, lines):
    """What a terminal shows of a session."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(cblab.KVSH, [cblab.KVSH, "-store", "prod"], lab.environment())
    shown = b""
    for line in lines + ["exit"]:
        os.write(terminal, line.encode() + b"\n")
        time.sleep(0.3)
    try:
        while select.select([terminal], [], [], 20)[0]:
            piece = os.read(terminal, 65536)
            if not piece:
                break
            shown += piece
    except OSError:
        pass
    os.waitpid(pid, 0)
    os.close(terminal)
    lab.outputs.append(shown.decode("utf-8", "replace"))


def traces(lab, secret):
    """Everything that could tell it: plans of all ends, errors that repeat it, every way to look at them."""
    spare = lab.sim.start["spares"][0]["name"]
    port = lab.host[spare].rpartition(":")[2]
    script = os.path.join(lab.folder, "notify")
    with open(script, "w") as f:
        f.write(NOTIFY)
    os.chmod(script, 0o700)
    with open(os.path.join(lab.folder, "config", "kvsh", "kvsh.conf"), "a") as f:
        f.write("notify-command = %s\n" % script)
    for status, body in ((400, '["Prepare join failed. Wrong password %s."]' % secret), (401, secret),
                         (403, json.dumps({"message": "no " + secret, "permissions": [secret]})), (500, secret)):
        lab.control("fault", kind="status", path="/controller/addNode", method="POST", count=4, status=status, body=body)
        lab.kv("plan add-node -host 127.0.0.1 -port %s -wait" % port, None)
        lab.control("faults", clear=True)
    lab.kv("plan execute -last -wait")
    lab.kv("plan rebalance")
    lab.kv("plan interrupt -last", None)
    lab.kv("plan wait -last", None)
    lab.kv("plan execute -last -wait", None)
    for path in ("/pools/default", "/pools"):
        lab.control("fault", kind="status", path=path, method="GET", count=-1, status=403, body=secret)
        lab.kv("show topology", 77)
        lab.kv("-json show topology", 77)
        lab.control("faults", clear=True)
    lab.control("fault", kind="body", path="/events", method="GET", status=200, count=1, body=json.dumps(
        {"events": [{"event_id": 99, "uuid": "u", "timestamp": "2026-01-01T00:00:00.000Z", "severity": "info",
                     "description": "somebody logged in with " + secret}]}))
    for line in ("show events -num 900", "-json show events -num 900", "show plan -last -verbose", "show plan -id 1 -explain",
                 "-json show plan -id 1", "store show", "-json store show", "-verbose ping", "show plans", "show policy",
                 "verify configuration", "-json verify configuration"):
        lab.kv(line, None)
    at_the_prompt(lab, ["ping", "show plan -id 1", "show history"])


def password():
    """A password is nowhere."""
    with Lab({"nodes": 3, "spares": 1}) as lab:
        watch = Watch(lab.folder)
        traces(lab, cblab.PASSWORD)
        joined = [r for r in lab.requests() if "addNode" in r["path"]]
        tap.ok(joined and all(r["secrets"] for r in joined), "the password was sent with addNode")
        check_everywhere(lab, watch, cblab.PASSWORD, "pw")


def token():
    """A bearer token is nowhere."""
    with Lab({"nodes": 3, "spares": 1, "version": "8.0", "tokens": {TOKEN: "Administrator"}}, store=False) as lab:
        with open(lab.folder + "/token", "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(TOKEN + "\n")
        lab.kv("store add -name prod -engine couchbase -node http://{n1} -token-file %s/token" % lab.folder)
        watch = Watch(lab.folder)
        traces(lab, TOKEN)
        check_everywhere(lab, watch, TOKEN, "token")


if __name__ == "__main__":
    tap.main([password, token])
