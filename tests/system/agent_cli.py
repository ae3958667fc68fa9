#!/usr/bin/env python3
"""The command line of kvagentd: makebootconfig, start, stop, status, version; good and bad."""
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import time

import kvtest
import tap
from agentlab import ask, define, finish, register, service, start
from kvtest import HOST, KVAGENTD, is_alive, wait_for

lab = kvtest.Lab(dirs=(2, 1))
node, other = lab.nodes
CONFIG = os.path.join(node.root, "config1.json")


def run(*words, **more):
    env = dict(lab.environment(), **more.pop("env", {}))
    done = subprocess.run([KVAGENTD] + list(words), env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, **more)
    return done.returncode, done.stdout, done.stderr


def make(*more, without=(), **changes):
    words = {"root": node.root, "host": HOST, "port": str(node.port), "harange": "%d,%d" % (node.port + 2, node.port + 9),
             "capacity": "3"}
    words.update(changes)
    line = ["makebootconfig"]
    for name, value in words.items():
        if name not in without:
            line += ["-" + name, value]
    return run(*(line + list(more)))


def one_sentence(got, status, part):
    """The run must have failed with this status and one clear sentence."""
    code, out, err = got
    tap.equal(code, status, "status (%s)" % err.strip())
    tap.equal(out, "", "stdout")
    tap.ok(err.startswith("kvagentd: ") and len(err.splitlines()) <= 2, "one sentence and an advice: %r" % err)
    tap.contains(err, part, "stderr")


def talks():
    """version and help"""
    tap.equal(run("version")[0], 0, "status of version")
    tap.ok(run("version")[1].startswith("kvagentd 0."), "text of version")
    for words in (["-help"], ["--help"], ["start", "-help"]):
        status, out, err = run(*words)
        tap.equal((status, err), (0, ""), "help")
        for verb in ("makebootconfig", "start", "stop", "status", "version"):
            tap.contains(out, "kvagentd " + verb, "help")


def wrong_usage():
    """Wrong words are refused with the right sentence and status 64"""
    one_sentence(run(), 64, "what to do is missing")
    one_sentence(run("begin"), 64, "begin")
    one_sentence(run("start"), 64, "-root")
    one_sentence(run("start", "-root"), 64, "-root needs KVROOT")
    one_sentence(run("start", "-root", "a", "-root", "b"), 64, "twice")
    one_sentence(run("start", "-root", "a", "-port", "1"), 64, "-port")
    one_sentence(run("start", "-root", "a", "extra"), 64, "extra")
    one_sentence(run("start", "-root", "a", "-config", "../x"), 64, "../x")
    one_sentence(run("start", "-root", node.root), 65, "config1.json")
    one_sentence(make(without=("host",)), 64, "-host")
    one_sentence(make(port="many"), 64, "-port")
    one_sentence(make(harange="5"), 64, "FIRST,LAST")


def bad_values():
    """makebootconfig refuses what cannot be, and writes nothing"""
    one_sentence(make(port="0"), 65, "-port 0")
    one_sentence(make(port="65536"), 65, "-port 65536")
    one_sentence(make(capacity="0"), 65, "-capacity 0")
    one_sentence(make(harange="30000,30004"), 65, "has 5 ports")
    one_sentence(make(harange="65530,65540"), 65, "-harange")
    one_sentence(make(harange="30010,30000"), 65, "-harange")
    one_sentence(make(port="30001", harange="30000,30010"), 65, "inside")
    one_sentence(make(host="no.such.host.invalid"), 65, "no.such.host.invalid")
    one_sentence(make(host="0.0.0.0"), 65, "cannot reach")
    one_sentence(make("-storagedir", node.dirs[0] + "/none"), 65, "is not a directory")
    one_sentence(make("-storagedir", lab.folder, "-storagedir", lab.folder + "/"), 65, "twice")
    one_sentence(make("-storagedir", 'a"b'), 65, "not allowed")
    one_sentence(make("-redis-server", "/nonexistent/redis"), 65, "/nonexistent/redis")
    one_sentence(make("-tls-cert", "x"), 64, "go together")
    one_sentence(make("-tls-client-ca", "x"), 64, "-tls-client-ca needs")
    one_sentence(make("-bind", "0.0.0.0"), 65, "not without authentication")
    one_sentence(make("-watch-interval", "0"), 65, "-watch-interval 0")
    tap.ok(not os.path.exists(CONFIG), "nothing was written")


def makes():
    """makebootconfig writes the configuration once, and leaves another one alone"""
    for folder in node.dirs:
        os.makedirs(folder)
    words = ["-storagedir", node.dirs[0], "--storagedir", node.dirs[1], "-token-file", os.path.join(node.folder, "token")]
    status, out, err = make(*words)
    tap.equal((status, err), (0, ""), "status and stderr")
    tap.contains(out, "made a token in", "output")
    tap.contains(out, "config1.json written", "output")
    for path in (CONFIG, os.path.join(node.folder, "token")):
        tap.equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "mode of " + path)
    tap.equal(stat.S_IMODE(os.stat(node.root).st_mode), 0o700, "mode of the root")
    with open(os.path.join(node.folder, "token"), encoding="ascii") as f:
        token = f.read().strip()
    tap.equal(len(token), 64, "length of the token")
    tap.lacks(out, token, "output")
    with open(CONFIG, encoding="utf-8") as f:
        config = json.load(f)
    tap.equal(config["storageDirs"], node.dirs, "storageDirs")
    tap.equal(config["haRange"], [node.port + 2, node.port + 9], "haRange")
    tap.ok(os.path.isabs(config["redisServer"]), "redisServer")
    tap.equal(make(*words)[0], 0, "the same again")
    one_sentence(make(*words, capacity="2"), 10, "says something else")
    with open(CONFIG, encoding="utf-8") as f:
        tap.equal(json.load(f), config, "the configuration")


def relative_and_default():
    """Paths become absolute; without -storagedir there is one below the root; without a token it says so"""
    os.makedirs(other.folder, exist_ok=True)
    status, out, _ = run("makebootconfig", "-root", "kvroot", "-host", "localhost", "-port", str(other.port), "-harange",
                         "%d,%d" % (other.port + 2, other.port + 9), "-capacity", "1", cwd=other.folder)
    tap.equal(status, 0, "status")
    tap.contains(out, "loopback address only", "output")
    tap.contains(out, os.path.join(other.root, "data"), "output")
    with open(os.path.join(other.root, "config1.json"), encoding="utf-8") as f:
        tap.equal(json.load(f)["storageDirs"], [os.path.join(other.root, "data")], "storageDirs")
    status, out, _ = run("start", "-root", other.root, "-daemon")
    tap.equal(status, 0, "start without a token")
    log = os.path.join(other.root, "log", "kvagentd.log")
    with open(log, encoding="utf-8") as f:
        tap.contains(f.read(), "only this host can reach the agent", "log")
    tap.equal(run("stop", "-root", other.root)[0], 0, "stop")


def no_redis():
    """A host without redis-server can be configured, and says what is missing"""
    root = os.path.join(other.folder, "bare")
    status, out, _ = run("makebootconfig", "-root", root, "-host", HOST, "-port", str(other.port), "-harange",
                         "%d,%d" % (other.port + 2, other.port + 9), "-capacity", "1", env={"PATH": "/nonexistent"})
    tap.equal(status, 0, "status")
    tap.contains(out, "no redis-server and no valkey-server", "output")


def directories():
    """-rnlogdir, -admindir and -memory_mb are heeded"""
    shutil.rmtree(other.folder)
    logs = [os.path.join(other.folder, "logs%d" % i) for i in (1, 2)]
    disks = [os.path.join(other.folder, "disk%d" % i) for i in (1, 2)]
    for folder in disks:
        os.makedirs(folder)
    status, _, err = run("makebootconfig", "-root", other.root, "-host", HOST, "-port", str(other.port), "-harange",
                         "%d,%d" % (other.port + 2, other.port + 9), "-capacity", "2", "-storagedir", disks[0],
                         "-storagedir", disks[1], "-rnlogdir", logs[0], "-rnlogdir", logs[1], "-admindir",
                         os.path.join(other.folder, "admin"), "-memory_mb", "300", "-token-file", lab.token_file)
    tap.equal((status, err), (0, ""), "makebootconfig")
    other.start()
    other.dirs = disks
    register(other)
    for i, name in enumerate(("rg1-rn1", "rg2-rn1")):
        define(other, name, disk=i, offset=2 + 2 * i)
        start(other, name)
        tap.equal(service(other, name)["redis"]["maxMemory"], 150 << 20, "maxMemory of " + name)
        tap.equal(os.listdir(logs[i]), [name + "_0.log"], "logs of the disk")
    ask(other, "PUT", "/v1/services/admin7", {"kind": "admin"}, 201)
    ask(other, "PUT", "/v1/metadata", {"version": 1, "docs": {}})
    tap.ok(os.path.exists(os.path.join(other.folder, "admin", "admin7", "env", "metadata.json")), "the admin's copy")


def pid_of(root):
    with open(os.path.join(root, "kvagentd.lock"), encoding="ascii") as f:
        return int(f.read())


def daemon():
    """start -daemon returns when it listens; status and stop find it; a second one is refused"""
    status, out, err = run("status", "-root", node.root)
    tap.equal((status, err), (1, ""), "status before")
    tap.contains(out, "does not run", "output of status")
    status, out, err = run("start", "-root", node.root, "-daemon")
    tap.equal((status, out, err), (0, "", ""), "start")
    with socket.create_connection((HOST, node.port), 1):
        pass
    pid = pid_of(node.root)
    with open("/proc/%d/stat" % pid, encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    tap.equal((int(fields[3]), int(fields[4])), (pid, 0), "own session, no terminal")
    tap.ok(all(os.readlink("/proc/%d/fd/%d" % (pid, fd)) == "/dev/null" for fd in (0, 1, 2)), "standard descriptors")
    status, out, _ = run("status", "-root", node.root)
    tap.equal(status, 0, "status while it runs")
    tap.contains(out, "pid %d" % pid, "output of status")
    tap.contains(out, "belongs to no store yet", "output of status")
    one_sentence(run("start", "-root", node.root, "-daemon"), 11, "runs on %s already (pid %d)" % (node.root, pid))
    one_sentence(run("start", "-root", node.root), 11, "already")
    os.kill(pid, signal.SIGHUP)
    time.sleep(0.2)
    tap.ok(is_alive(pid), "a hangup does not end a daemon")
    status, out, _ = run("stop", "-root", node.root)
    tap.equal(status, 0, "stop")
    tap.contains(out, "(pid %d) has ended" % pid, "output of stop")
    tap.ok(not is_alive(pid), "it is gone")
    status, out, _ = run("stop", "-root", node.root)
    tap.equal(status, 0, "stop again")
    tap.contains(out, "does not run", "output of stop")


def port_taken():
    """A port that another process has: one sentence, no half start"""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((HOST, node.port))
        s.listen()
        one_sentence(run("start", "-root", node.root, "-daemon"), 1, "port %d of 127.0.0.1 is in use" % node.port)
        code, _, err = run("start", "-root", node.root)
        tap.equal(code, 1, "status in the foreground")
        tap.contains(err, "is in use by another process", "stderr")
    tap.equal(run("status", "-root", node.root)[0], 1, "status afterwards")


def bad_files():
    """A damaged configuration, an open token file, a root that is none"""
    with open(CONFIG, encoding="utf-8") as f:
        good = f.read()
    for text, part in (("{", "not valid JSON"), ("{}", "format 1"), (good.replace('"port"', '"prot"'), "prot"),
                       (good.replace('"capacity": 3', '"capacity": 300'), "-capacity 300"), ("[]", "format 1")):
        with open(CONFIG, "w", encoding="utf-8") as f:
            f.write(text)
        one_sentence(run("start", "-root", node.root, "-daemon"), 65, part)
    with open(CONFIG, "w", encoding="utf-8") as f:
        f.write(good)
    token = os.path.join(node.folder, "token")
    os.chmod(token, 0o644)
    one_sentence(run("start", "-root", node.root, "-daemon"), 77, "open to group or others")
    os.chmod(token, 0o600)
    with open(token, "r+", encoding="ascii") as f:
        kept = f.read()
        f.seek(0)
        f.truncate()
        f.write("0123456789\n")
    one_sentence(run("start", "-root", node.root, "-daemon"), 65, "shorter than")
    with open(token, "w", encoding="ascii") as f:
        f.write(kept)
    one_sentence(run("stop", "-root", node.root + "/none"), 65, "is not a directory")


def foreground():
    """Ctrl-C and SIGTERM end a foreground agent orderly; it logs to stderr"""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        agent = subprocess.Popen([KVAGENTD, "start", "--root", node.root, "--config", "config1.json"],
                                 env=lab.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        wait_for(lambda: run("status", "-root", node.root)[0] == 0, "it runs")
        agent.send_signal(number)
        out, err = agent.communicate(timeout=20)
        tap.equal((agent.returncode, out), (0, ""), "status and stdout after %s" % number.name)
        tap.contains(err, "listening on 127.0.0.1 port %d" % node.port, "stderr")
        tap.contains(err, "the agent has ended", "stderr")


def closed_stdout():
    """A full stdout is an error, a closed one no crash"""
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([KVAGENTD, "version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    tap.equal(done.returncode, 1, "status")
    tap.contains(done.stderr, "No space left", "stderr")


if __name__ == "__main__":
    tap.main([talks, wrong_usage, bad_values, makes, relative_and_default, no_redis, directories, daemon, port_taken, bad_files,
              foreground, closed_stdout], finish(lab))
