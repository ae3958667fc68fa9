#!/usr/bin/env python3
"""Bad input that needs nodes: each gets one clear sentence, the right exit status, and nothing is changed."""
import contextlib
import os
import socket
import sqlite3
import threading
import time

import kvtest
import tap

lab = kvtest.Lab(capacity=1)
journal = os.path.join(lab.folder, "state", "mystore")


class Server(threading.Thread):
    """Answers every connection by answer(connection), in place of an agent."""

    def __init__(self, answer):
        super().__init__(daemon=True)
        self.answer = answer
        self.listener = socket.create_server((kvtest.HOST, 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection:
            try:
                connection.recv(65536)
                self.answer(connection)
            except OSError:
                pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def http(body, kind="application/json", status="200 OK"):
    head = "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (
        status, kind, len(body))
    return lambda c: c.sendall(head.encode() + body)


def endless(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
    while True:
        connection.sendall(b'"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",' * 1000)


def endless_header(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-Filler: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 100)


def trickle(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.2)


def one_sentence(run, *parts):
    """What a person reads: one line, perhaps an advice below; naming what it is about."""
    lines = run.err.strip().splitlines()
    tap.ok(1 <= len(lines) <= 3, "one sentence and perhaps an advice:\n%s" % run)
    for part in parts:
        tap.contains(run.err, str(part), "the sentence")
    tap.lacks(run.err, lab.token, "the sentence")


def unchanged(line, want, *parts, seconds=20, options=()):
    before = lab.kvsh("show topology").out
    begin = time.monotonic()
    run = lab.kvsh(line, want=want, options=options)
    took = time.monotonic() - begin
    one_sentence(run, *parts)
    tap.ok(took < seconds, "%r took %.1f s" % (line, took))
    tap.equal(lab.kvsh("show topology").out, before, "show topology after %r" % line)


def deploy_sn(port, host=kvtest.HOST):
    return "plan deploy-sn -zn 1 -host %s -port %d -wait" % (host, port)


def prepare():
    """A zone and one storage node"""
    lab.start()
    lab.deploy(lab.deploy_lines()[:6])
    lab.kvsh("show topology")


def nobody_there():
    """Agent not running, wrong port, unknown host"""
    port = kvtest.free_block()
    unchanged(deploy_sn(port), 69, port, "refused")
    unchanged(deploy_sn(port, "no-such-host.invalid"), 69, "no-such-host.invalid")
    unchanged(deploy_sn(99999), (64, 65), "99999")


def strange_answers():
    """Garbage, HTML, nothing, wrong JSON, a refusal without reason"""
    answers = {
        "garbage": lambda c: c.sendall(b"\x00\xff\x17garbage\r\n\r\n" * 20),
        "HTML": http(b"<html><body>It works!</body></html>", "text/html"),
        "nothing": lambda c: None,
        "half": lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"no"),
        "empty": http(b""),
        "wrong": http(b"[1, 2, 3]"),
        "other": http(b'{"hello": "world"}'),
        "truncated": http(b'{"node": {"id": "sn1"'),
        "deep": http(b"[" * 100000),
        "500": http(b"oops", "text/plain", "500 Internal Server Error"),
        "redirect": lambda c: c.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
                                        b"Content-Length: 0\r\n\r\n"),
    }
    for name, answer in answers.items():
        server = Server(answer)
        tap.note(name)
        unchanged(deploy_sn(server.port), (1, 69), server.port)
        server.close()


def slow_and_endless():
    """Slow and endless answers end in time"""
    answers = {"silent": lambda c: time.sleep(60), "trickling": trickle, "endless": endless,
               "endless header": endless_header}
    for name, answer in answers.items():
        server = Server(answer)
        tap.note(name)
        unchanged(deploy_sn(server.port), (3, 69), server.port, seconds=15, options=("-timeout", "2"))
        server.close()


def wrong_token():
    """A wrong token is told as such, and a token file that others may read is refused"""
    wrong = lab.file("wrong-token", "0" * 64 + "\n", 0o600)
    config = lab.file("wrong.conf", open(lab.config, encoding="utf-8").read().replace(lab.token_file, wrong), 0o600)
    run = lab.kvsh("ping", want=77, config=config)
    one_sentence(run, "token")
    run = lab.kvsh("verify configuration", want=2, config=config)
    tap.contains(run.out, "token", "what verify says")
    run = lab.kvsh(deploy_sn(lab.nodes[1].port), want=77, config=config)
    one_sentence(run, "token")
    os.chmod(wrong, 0o644)
    run = lab.kvsh(deploy_sn(lab.nodes[1].port), want=77, config=config)
    one_sentence(run, wrong)


def same_address_twice():
    """Two nodes with one address"""
    unchanged(deploy_sn(lab.nodes[0].port), (10, 65), lab.nodes[0].port, "sn1")
    unchanged(deploy_sn(lab.nodes[0].port, "localhost"), 1, "sn1")


def too_few_nodes():
    """Too few nodes for the replication factor"""
    unchanged("topology create -name t -pool snpool -partitions 100", (10, 65), "3")
    tap.lacks(lab.kvsh("topology list").out, "t\n", "topology list")


def capacity_exceeded():
    """More services than the nodes carry"""
    lines = lab.deploy_lines()
    lab.deploy(lines[6:9])
    unchanged("plan deploy-zone -name Big -rf 50 -wait", (10, 64, 65))
    unchanged("topology create -name t -pool nosuchpool -partitions 100", 65, "nosuchpool")
    lab.kvsh("pool create -name small")
    lab.kvsh("pool join -name small -sn sn1")
    unchanged("topology create -name t -pool small -partitions 100", (10, 65), "1 storage node")


def unknown_names():
    """Unknown service, plan, pool, node, topology, zone, store"""
    unchanged("plan stop-service -service rg9-rn9 -wait", 65, "rg9-rn9")
    unchanged("plan stop-service -service nonsense -wait", (64, 65), "nonsense")
    unchanged("show plan -id 999", 65, "999")
    unchanged("plan execute -id 999 -wait", 65, "999")
    unchanged("plan execute -id 1 -wait", (1, 10, 65), "1", "SUCCEEDED")
    unchanged("plan cancel -id 1", (1, 10, 65), "1", "SUCCEEDED")
    unchanged("pool join -name nosuchpool -sn sn1", 65, "nosuchpool")
    unchanged("pool join -name snpool -sn sn77", 65, "sn77")
    unchanged("plan deploy-sn -zn 7 -host 127.0.0.1 -port 13230 -wait", 65, "7", "zn1")
    unchanged("plan deploy-admin -sn 9 -port 13231 -wait", 65, "9", "sn1")
    unchanged("plan deploy-topology -name nosuch -wait", 65, "nosuch")
    unchanged("-store nosuch show plans", 65, "nosuch")
    unchanged("topolgy list", 64, "topology")
    unchanged("plan stop-service -servise rg1-rn1", 64, "-servise", "-service")
    unchanged("plan deploy-zone -name Z", 64, "-rf")


def agent_of_the_store_is_gone():
    """A node that does not answer is named, the others are shown"""
    lab.nodes[1].kill()
    run = lab.kvsh("ping", want=None)
    tap.ok(run.status != 0, "ping says by its status that a node is missing:\n%s" % run)
    tap.contains(run.out, "sn2", "ping")
    tap.contains(run.out, "UNREACHABLE", "ping")
    run = lab.kvsh("verify configuration", want=2)
    tap.contains(run.out, "sn2", "verify")
    lab.nodes[1].start()
    lab.kvsh("ping")


def nested_scripts():
    """An error in a nested script names both files and lines"""
    inner = lab.file("inner.kv", "show plans\n\nshow nonsense\nshow plans\n")
    outer = lab.file("outer.kv", "# a comment\nshow pools\nload -file %s\n" % inner)
    run = lab.kvsh(["load", "-file", outer], want=64)
    tap.contains(run.err, "%s:3" % inner, "the error of a nested script")
    tap.contains(run.err, "%s:3" % outer, "the error of a nested script")
    run = lab.kvsh(["load", "-file", os.path.join(lab.folder, "nosuch.kv")], want=65)
    one_sentence(run, "nosuch.kv")


def journal_faults():
    """A broken, foreign or newer journal is refused and left alone"""
    path = os.path.join(journal, "journal.db")
    with open(path, "rb") as f:
        good = f.read()
    for name, bad in (("corrupt", good[:100] + b"\xa5" * 4000 + good[4100:]), ("foreign", b"not a journal\n" * 500)):
        for extra in ("-wal", "-shm"):
            if os.path.exists(path + extra):
                os.remove(path + extra)
        with open(path, "wb") as f:
            f.write(bad)
        run = lab.kvsh("show plans", want=(1, 65))
        one_sentence(run, path)
        tap.note("%s: %s" % (name, run.err.strip()))
        with open(path, "rb") as f:
            tap.ok(f.read() == bad, "the %s journal is left alone" % name)
    with open(path, "wb") as f:
        f.write(good)
    with contextlib.closing(sqlite3.connect(path)) as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        db.execute("PRAGMA user_version = 999")
    run = lab.kvsh("show plans", want=(1, 65))
    one_sentence(run, path, "newer")
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = %d" % version)
    lab.kvsh("show plans")


def state_directory_faults():
    """A state directory that cannot be written"""
    for folder in ("/proc/nowhere", lab.token_file, os.path.join(lab.token_file, "below")):
        run = lab.kvsh("show plans", want=1, options=("-state-dir", folder, "-store", "mystore"))
        one_sentence(run, lab.token_file if lab.token_file in folder else folder)


if __name__ == "__main__":
    tap.main([prepare, nobody_there, strange_answers, slow_and_endless, wrong_token, same_address_twice,
              too_few_nodes, capacity_exceeded, unknown_names, agent_of_the_store_is_gone, nested_scripts, journal_faults,
              state_directory_faults],
             lab.everything_ended)
