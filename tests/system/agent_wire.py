#!/usr/bin/env python3
"""Bad clients: garbage, slow senders, slow readers, many connections; and what the agent costs at rest."""
import os
import socket
import threading
import time

import kvtest
import tap
from agentlab import agent_pid, ask, define, finish, register, request_bytes, start, wire
from kvtest import HOST, wait_for

lab = kvtest.Lab(dirs=(1,))
node = lab.nodes[0]


def well():
    return ask(node, "GET", "/v1/node")["agent"]["pid"]


def begins():
    """An agent with one service"""
    lab.start()
    register(node)
    define(node)
    start(node)


def garbage():
    """Bytes that are no request are answered by an error or by the end of the connection"""
    pid = well()
    cases = [b"\r\n\r\n", b"\0" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00" * 50,
             b"GET /v1/node HTTP/1.1\r\n" + b"A: b\r\n" * 20000 + b"\r\n",
             b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
             b"PUT /v1/node HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
             b"PUT /v1/node HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
             b"PUT /v1/node HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
             request_bytes(node, "GET", "/v1/node%00/../../etc/passwd"),
             request_bytes(node, "GET", "/v1/%2e%2e/%2e%2e/etc/passwd"),
             request_bytes(node, "G" * 200, "/v1/node"),
             request_bytes(node, "POST", "/v1/services/rg1-rn1/start", b"{}" * 50, X=("y" * 3000))]
    for data in cases:
        answer = wire(node, data, 3)
        tap.ok(not answer or answer.startswith(b"HTTP/1."), "an answer in HTTP for %r: %r" % (data[:40], answer[:40]))
        tap.lacks(answer, b"root:", "answer for %r" % data[:40])
    tap.equal(well(), pid, "pid afterwards")


def web_pages():
    """A request that a web page could send needs the token like any other"""
    raw = wire(node, request_bytes(node, "POST", "/v1/services/rg1-rn1/stop", b"", Authorization=None,
                                   Origin="http://evil.example"))
    tap.contains(raw.decode(), " 401 ", "status")


def early_ends():
    """Clients that go away in the middle leave nothing behind"""
    before = len(os.listdir("/proc/%d/fd" % well()))
    last = ask(node, "GET", "/v1/node")["agent"]["eventSeq"]
    for data in (b"", b"GET /v1/no", request_bytes(node, "PUT", "/v1/node", b"x" * 1000)[:-500],
                 request_bytes(node, "GET", "/v1/events?after=%d&wait=1" % last)):
        for _ in range(20):
            with socket.create_connection((HOST, node.port), 5) as s:
                s.sendall(data)
    wait_for(lambda: len(os.listdir("/proc/%d/fd" % well())) <= before + 2, "descriptors are closed", 20)


def slow_clients():
    """Clients that send a byte now and then are cut off, and others are served meanwhile"""
    slow, begin = [], time.monotonic()
    for _ in range(10):
        s = socket.create_connection((HOST, node.port), 5)
        s.sendall(b"GET /v1/node HTTP/1.1\r\nHost: x\r\nX: ")
        slow.append(s)
    ended = {}
    while len(ended) < len(slow) and time.monotonic() - begin < 60:
        for i, s in enumerate(slow):
            if i in ended:
                continue
            try:
                s.sendall(b"a")
                s.settimeout(0.01)
                if s.recv(100) == b"":
                    ended[i] = time.monotonic() - begin
            except TimeoutError:
                pass
            except OSError:
                ended[i] = time.monotonic() - begin
        well()
        time.sleep(1)
    for s in slow:
        s.close()
    tap.equal(len(ended), len(slow), "slow clients cut off")
    tap.ok(all(25 < t < 40 for t in ended.values()), "after about 30 s: %s" % sorted(ended.values()))


def crowds():
    """More connections than it serves at once are told to come again; then all is well"""
    held, last = [], ask(node, "GET", "/v1/node")["agent"]["eventSeq"]
    for _ in range(64):
        s = socket.create_connection((HOST, node.port), 5)
        s.sendall(request_bytes(node, "GET", "/v1/events?after=%d&wait=20" % last))
        held.append(s)
    time.sleep(1)
    raw = wire(node, request_bytes(node, "GET", "/v1/node"), 5).decode()
    tap.contains(raw, "too_many", "answer in the crowd")
    tap.contains(raw, "Retry-After: 1", "header in the crowd")
    for s in held:
        s.close()
    wait_for(lambda: b"200 OK" in wire(node, request_bytes(node, "GET", "/live"), 5), "served again", 30)


def together():
    """Many clients at once all get right answers"""
    faults = []

    def client():
        for i in range(30):
            status, _ = node.rest(*(("GET", "/v1/node") if i % 3 else ("PUT", "/v1/services/rg1-rn1", {"kind": "x"})))
            if status not in (200, 422):
                faults.append(status)
    threads = [threading.Thread(target=client) for _ in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    tap.equal(faults, [], "unexpected answers")


def cost():
    """At rest: few threads, no frequent wake-ups"""
    pid = agent_pid(node)
    time.sleep(3)

    def switches():
        total = 0
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/status" % (pid, task), encoding="ascii") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt_switches"))
        return total
    # Main loop, watch and server; a sanitizer has one of its own.
    wait_for(lambda: len(os.listdir("/proc/%d/task" % pid)) <= 4, "few threads", 40)
    before = switches()
    time.sleep(5)
    woken = switches() - before
    # The watch's cycle of one second syncs a file in each directory; the main loop and the server sleep. What a sanitizer
    # runs beside them wakes ten times a second.
    tap.ok(woken < (160 if tap.WATCH else 80), "woken %d times in 5 s" % woken)
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
        pss = [line.split()[1] for line in f if line.startswith("Pss:")][0]
    tap.note("PSS %s KiB, woken %d times in 5 s" % (pss, woken))


if __name__ == "__main__":
    tap.main([begins, garbage, web_pages, early_ends, slow_clients, crowds, together, cost], finish(lab))
