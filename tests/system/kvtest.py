"""A laboratory for whole-store tests: real agents, real redis-server, real files, in a folder of its own.

    lab = Lab()                 three nodes, not started
    lab.start()                 starts the agents
    lab.kvsh("show plans")      runs one command; the exit status must be 0 (or want=N)
    lab.close()                 ends everything that was started and removes the folder

Every process carries the folder's name in its environment, its working directory or its arguments; by that
close() finds what it started, and nothing else. Ports are drawn from a range below the kernel's ephemeral ones and
reserved against other tests by abstract sockets, which leave nothing behind.
"""
import atexit
import contextlib
import json
import os
import pty
import random
import re
import select
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import tap  # noqa: E402

KVSH = tap.program("kvsh")
KVAGENTD = tap.program("kvagentd")
STORE = "mystore"
HOST = "127.0.0.1"
BLOCK = 10  # ports of one node: REST, admin, services


def wait_for(condition, what, seconds=30, every=0.1):
    """Waits until condition() is true and returns what it gave; fails the test otherwise."""
    end = time.monotonic() + seconds * tap.SLOWER
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("%s: not within %s s" % (what, seconds))
        time.sleep(every)


# --- ports ---

_reserved = []


def _reserve(base):
    """True when the block of ports is free and now ours."""
    guard = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        guard.bind("\0kvsh-test-ports-%d" % base)
        for port in range(base, base + BLOCK):
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind((HOST, port))
    except OSError:
        guard.close()
        return False
    _reserved.append(guard)
    return True


def free_block(count=1):
    """The first port of `count` free blocks in a row."""
    for _ in range(1000):
        base = random.randrange(15000, 32000, BLOCK)
        if all(_reserve(base + i * BLOCK) for i in range(count)):
            return base
    raise AssertionError("no free ports")


# --- processes ---

def _proc(pid, name):
    try:
        with open("/proc/%d/%s" % (pid, name), "rb") as f:
            return f.read()
    except OSError:
        return b""


def is_alive(pid):
    """Does any of its threads live? The first one is a zombie while others still hold files and locks."""
    try:
        tasks = os.listdir("/proc/%d/task" % pid)
    except OSError:
        return False
    stats = [_proc(pid, "task/%s/stat" % task) for task in tasks]
    return any(stat and stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X") for stat in stats)


def processes_of(folder):
    """Living processes that belong to the folder, except this one."""
    mark, found = folder.encode(), []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid() or not is_alive(int(entry)):
            continue
        try:
            cwd = os.readlink("/proc/%s/cwd" % entry)
        except OSError:
            cwd = ""
        pid = int(entry)
        if cwd.startswith(folder) or mark in _proc(pid, "environ") or mark in _proc(pid, "cmdline"):
            found.append(pid)
    return found


def describe(pid):
    return "%d %s" % (pid, _proc(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip())


# --- redis, as far as a test needs it ---

class RedisError(Exception):
    pass


class Redis:
    """One connection."""

    def __init__(self, port, password, timeout=20):
        self.socket = socket.create_connection((HOST, port), timeout)
        self.file = self.socket.makefile("rb")
        self.call("AUTH", password)

    def call(self, *words):
        parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(
            b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
        return self._reply()

    def _reply(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b":":
            return int(rest)
        n = int(rest)
        if n < 0:
            return None
        if kind == b"$":
            return self.file.read(n + 2)[:-2].decode()
        return [self._reply() for _ in range(n)]

    def close(self):
        self.file.close()
        self.socket.close()


# --- one run of kvsh ---

class Run:
    def __init__(self, words, status, out, err):
        self.words, self.status, self.out, self.err = words, status, out, err

    def __str__(self):
        return "kvsh %s\nexit status %s\nstdout:\n%s\nstderr:\n%s" % (
            " ".join(map(shlex.quote, self.words)), self.status, self.out, self.err)

    def json(self):
        value = json.loads(self.out)
        for member in ("operation", "returnCode", "description", "returnValue", "schema"):
            tap.ok(member in value, "%s in the envelope of %s" % (member, self.words))
        return value


class Node:
    """One storage host: a root folder, storage directories, an agent."""

    def __init__(self, lab, number, port, dirs):
        self.lab, self.number, self.port = lab, number, port
        self.folder = os.path.join(lab.folder, "host%d" % number)
        self.root = os.path.join(self.folder, "kvroot")
        self.dirs = [os.path.join(self.folder, "disk%d" % (i + 1)) for i in range(dirs)]
        self.agent = None

    def boot_words(self, capacity):
        words = ["makebootconfig", "-root", self.root, "-config", "config1.json", "-host", HOST, "-port",
                 str(self.port), "-harange", "%d,%d" % (self.port + 2, self.port + BLOCK - 1), "-capacity",
                 str(capacity), "-token-file", self.lab.token_file, "-watch-interval",
                 str(self.lab.watch_interval)]
        for folder in self.dirs:
            words += ["-storagedir", folder]
        return words

    def make(self, capacity):
        for folder in self.dirs:
            os.makedirs(folder)
        done = subprocess.run([KVAGENTD] + self.boot_words(capacity), env=self.lab.environment(),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise AssertionError("makebootconfig: status %d\n%s" % (done.returncode, done.stdout))

    def start(self):
        with open(os.path.join(self.folder, "agent.out"), "ab") as out:
            self.agent = subprocess.Popen([KVAGENTD, "start", "-root", self.root, "-config", "config1.json"],
                                          env=self.lab.environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          start_new_session=True)
        wait_for(self.answers, "agent %d answers" % self.number)

    def answers(self):
        if self.agent and self.agent.poll() is not None:
            with open(os.path.join(self.folder, "agent.out")) as f:
                raise AssertionError("agent %d ended with %d:\n%s" % (self.number, self.agent.returncode, f.read()))
        try:
            return self.rest("GET", "/v1/node")[0] == 200
        except OSError:
            return False

    def kill(self, number=signal.SIGKILL):
        self.agent.send_signal(number)
        self.agent.wait(30)
        self.agent = None

    def rest(self, method, path, body=None, token=None):
        """(status, answer) of one request."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request("http://%s:%d%s" % (HOST, self.port, path), data, method=method)
        request.add_header("Authorization", "Bearer " + (token or self.lab.token))
        try:
            with urllib.request.urlopen(request, timeout=30 * tap.SLOWER) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as e:
            with e:
                return e.code, json.load(e)

    def services(self):
        return {s["id"]: s for s in self.rest("GET", "/v1/node")[1]["services"]}

    def log(self):
        path = os.path.join(self.root, STORE, "log", "sn%d_0.log" % self.number)
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()


class Lab:
    def __init__(self, dirs=(2, 2, 3), capacity=3):
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix="kvsh-test-"))
        self.closed = False
        atexit.register(self.close)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda n, frame: sys.exit(128 + n))
        self.capacity = capacity
        self.watch_interval = 1
        self.token = "".join(random.choice("0123456789abcdef") for _ in range(64))
        self.token_file = self.file("token", self.token + "\n", 0o600)
        self.config = self.file("kvsh.conf", "[kvsh]\nstate-dir = %s\ntoken-file = %s\n" % (
            os.path.join(self.folder, "state"), self.token_file), 0o600)
        base = free_block(len(dirs))
        self.nodes = [Node(self, i + 1, base + i * BLOCK, n) for i, n in enumerate(dirs)]

    def file(self, name, text, mode=0o644):
        path = os.path.join(self.folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def environment(self, **more):
        """A bare environment, as cron's: no HOME, no TERM."""
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "TMPDIR", "LANG") or k.endswith("SAN_OPTIONS")}
        kept.update({"KVSH_TEST_FOLDER": self.folder}, **more)
        return kept

    def start(self):
        for node in self.nodes:
            node.make(self.capacity)
            node.start()

    # --- kvsh ---

    def command(self, *words, config=None):
        slowly = ["-timeout", "15"] if tap.SLOWER > 10 and "-timeout" not in words else []
        return [KVSH, "-config", config or self.config] + slowly + list(words)

    def kvsh(self, line, want=0, stdin=None, timeout=120, config=None, options=()):
        """Runs kvsh with the words of `line` (a string, or a list of words)."""
        words = list(options) + (shlex.split(line) if isinstance(line, str) else list(line))
        done = subprocess.run(self.command(*words, config=config), env=self.environment(), input=stdin or "", text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)
        run = Run(words, done.returncode, done.stdout, done.stderr)
        wanted = want if isinstance(want, (tuple, list)) else (want,)
        if want is not None and done.returncode not in wanted:
            tap.fail("exit status is not %s:\n%s" % (want, run))
        if done.returncode < 0 or "Sanitizer" in done.stderr or "runtime error:" in done.stderr:
            tap.fail("kvsh crashed:\n%s" % run)
        return run

    def json(self, line, want=0):
        return self.kvsh(line + " -json", want).json()["returnValue"]

    def spawn(self, line, **more):
        words = shlex.split(line) if isinstance(line, str) else list(line)
        return subprocess.Popen(self.command(*words), env=self.environment(), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)

    def prompt(self):
        return Prompt(self)

    # --- the store ---

    def deploy_lines(self):
        """examples/deploy.kv with this laboratory's ports."""
        with open(os.path.join(tap.source_dir(), "examples", "deploy.kv"), encoding="utf-8") as f:
            text = f.read()
        base = self.nodes[0].port
        return [re.sub(r"-port (\d+)", lambda m: "-port %d" % (int(m.group(1)) - 13230 + base), line)
                for line in text.splitlines() if line]

    def deploy(self, lines=None):
        script = self.file("deploy.kv", "\n".join(lines or self.deploy_lines()) + "\n")
        return self.kvsh(["load", "-file", script], timeout=300)

    def verify_clean(self):
        run = self.kvsh("verify configuration")
        tap.ok("Verification complete, no violations" in run.out or "Verification complete, 0 violations" in run.out,
               "no violations:\n%s" % run)
        return run

    def services(self):
        """id -> what the agents say, with the node."""
        found = {}
        for node in self.nodes:
            for name, service in node.services().items():
                found[name] = dict(service, on=node)
        return found

    def members(self, role):
        """Ids of the replication nodes that have this role."""
        return sorted(name for name, s in self.services().items()
                      if s.get("redis") and s["redis"]["role"] == role)

    def password(self):
        with open(os.path.join(self.nodes[0].root, STORE, "secret"), encoding="ascii") as f:
            return f.read().strip()

    def state_in_journal(self, number):
        """The same as plan_state, faster than kvsh is when a checker runs it."""
        path = os.path.join(self.folder, "state", STORE, "journal.db")
        with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % path, uri=True, timeout=10)) as db:
            row = db.execute("SELECT state FROM plan WHERE id = ?", (number,)).fetchone()
            return row and row[0]

    def plan_state(self, number):
        """The state of a plan, or None when there is none of that number."""
        plans = {p["id"]: p["state"] for p in self.json("show plans -num 1000")["plans"]}
        return plans.get(number)

    # --- the end ---

    def everything_ended(self):
        """Nothing that was started remains"""
        for node in self.nodes:
            if node.agent is None and os.path.exists(os.path.join(node.root, "config1.json")):
                node.start()  # takes over what a killed agent left
        for node in self.nodes:
            if node.agent:
                done = subprocess.run([KVAGENTD, "stop", "-root", node.root, "-config", "config1.json", "-services"],
                                      env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True, timeout=60)
                tap.equal(done.returncode, 0, "status of kvagentd stop (%s)" % done.stdout)
                tap.equal(node.agent.wait(30), 0, "status of agent %d" % node.number)
                node.agent = None
        self.no_sanitizer_spoke()
        try:
            wait_for(lambda: not processes_of(self.folder), "all processes end")
        except AssertionError:
            for pid in processes_of(self.folder):
                tap.fail("still there: " + describe(pid))
        self.close()
        tap.ok(not os.path.exists(self.folder), "the folder is gone")

    def no_sanitizer_spoke(self):
        """What agents and runners had to say holds no report of a sanitizer."""
        for folder, _, names in os.walk(self.folder):
            for name in names:
                if name not in ("agent.out", "runner.log"):
                    continue
                with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as f:
                    text = f.read()
                if re.search("Sanitizer|runtime error:", text):
                    tap.fail("%s:\n%s" % (name, text[-6000:]))

    def close(self):
        if self.closed:
            return
        self.closed = True
        for _ in range(50):
            left = processes_of(self.folder)
            if not left:
                break
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.1)
        for node in self.nodes:
            if node.agent:
                node.agent.wait()
        if os.environ.get("KVSH_TEST_KEEP"):
            tap.note("kept: " + self.folder)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


class Prompt:
    """kvsh at a terminal."""

    PROMPT = "kv-> "

    def __init__(self, lab, *words):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(KVSH, lab.command(*words), lab.environment(TERM="dumb"))
        self.wait_prompt()

    def _read(self, seconds):
        if select.select([self.fd], [], [], seconds)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            self.text += data.decode(errors="replace").replace("\r", "")
            return bool(data)
        return None

    def wait_prompt(self, seconds=60):
        end = time.monotonic() + seconds * tap.SLOWER
        while not self.text.endswith(self.PROMPT):
            if time.monotonic() > end or self._read(0.2) is False:
                raise AssertionError("no prompt; the terminal shows:\n" + self.text)

    def send(self, text):
        os.write(self.fd, text.encode())

    def type(self, line, seconds=60):
        """Types a line, waits for the next prompt, returns what was printed between."""
        begin = len(self.text)
        self.send(line + "\n")
        end = time.monotonic() + seconds * tap.SLOWER
        while self._read(0.2) is None and time.monotonic() < end:
            pass
        while True:
            printed = self.text[begin:]
            if "\n" in printed and printed.endswith(self.PROMPT):
                return printed[printed.index("\n") + 1:-len(self.PROMPT)]
            if time.monotonic() > end or self._read(0.2) is False:
                raise AssertionError("no prompt after %r; the terminal shows:\n%s" % (line, self.text))

    def quit(self):
        """Leaves by exit; gives the exit status."""
        self.send("exit\n")
        while self._read(5 * tap.SLOWER):
            pass
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return status
