"""Faults tests inject into single requests: what, where, how often, before or after the effect."""
from __future__ import annotations

import asyncio
import fnmatch
import json
from dataclasses import dataclass, field
from typing import Any, AsyncIterator, Dict, List, Optional

from .wire import Reply, Request, as_json, empty, not_found, send, text

KINDS = ("status", "cut", "cut_head", "cut_body", "empty", "hang", "delay", "slow", "endless",
         "endless_head", "garbage", "garbage_head", "html", "bad_json", "deep_json", "redirect",
         "stale", "master_timeout", "body", "nul")

HTML = (b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Proxy</h1>"
        b"<p>Please sign in to reach this site.</p></body></html>")


@dataclass
class Fault:
    """One injected fault."""

    kind: str
    method: Optional[str] = None
    path: str = "*"               # shell pattern on the undecoded path
    node: Optional[str] = None
    count: int = 1                # how often; -1 for ever
    skip: int = 0                 # matching requests to let pass first
    effect: bool = False          # True: the request takes effect before the fault shows
    status: int = 503
    body: Optional[str] = None
    ctype: Optional[str] = None
    ms: int = 0                   # delay: before the answer; slow, endless: between pieces
    location: str = "/"
    ident: int = 0
    hits: int = 0

    def matches(self, request: Request, node: str) -> bool:
        """True when this request is meant."""
        return (self.method in (None, request.method) and self.node in (None, node)
                and fnmatch.fnmatchcase(request.path, self.path))


@dataclass
class Faults:
    """The list; the first match wins."""

    active: List[Fault] = field(default_factory=list)
    next: int = 1

    def add(self, spec: Dict[str, Any]) -> Fault:
        """From the control interface; ValueError for nonsense."""
        fault = Fault(**spec)
        if fault.kind not in KINDS:
            raise ValueError(f"unknown fault {fault.kind!r}; known: {', '.join(KINDS)}")
        fault.ident, self.next = self.next, self.next + 1
        self.active.append(fault)
        return fault

    def take(self, request: Request, node: str) -> Optional[Fault]:
        """The fault this request gets, used up by it."""
        for fault in self.active:
            if not fault.matches(request, node):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if fault.count == 0:
                continue
            fault.count -= fault.count > 0
            fault.hits += 1
            return fault
        return None


def answer(fault: Fault) -> Reply:
    """The whole answer a fault puts in the place of the real one."""
    if fault.kind == "status":
        return by_status(fault)
    if fault.kind == "html":
        return Reply(fault.status if fault.status != 503 else 200, HTML, "text/html")
    if fault.kind == "garbage":
        return Reply(200, bytes((i * 73 + 11) % 256 for i in range(2048)), "application/json")
    if fault.kind == "bad_json":
        return Reply(200, b'{"nodes":[{"otpNode":"ns_1@', "application/json")
    if fault.kind == "deep_json":
        return Reply(200, b"[" * 100000 + b"]" * 100000, "application/json")
    if fault.kind == "nul":
        return Reply(200, b'{"nodes":[],"name":"a\x00b"}\x00', "application/json")
    if fault.kind == "redirect":
        return Reply(301, b"", None, {"Location": fault.location})
    if fault.kind == "body":
        body = (fault.body or "").encode()
        return Reply(200 if fault.status == 503 else fault.status, body,
                     fault.ctype or "application/json")
    return empty()


def by_status(fault: Fault) -> Reply:
    """The shapes of the facts, section 1, or the body the test gave."""
    if fault.body is not None:
        return Reply(fault.status, fault.body.encode(), fault.ctype or "text/plain")
    if fault.status == 401:
        return unauthorised()
    if fault.status == 403:
        return forbidden("cluster.pools!write")
    if fault.status == 404:
        return not_found()
    if fault.status == 500:
        return as_json(["Unexpected server error, request logged."], 500)
    if fault.status == 503:
        return as_json("Temporary error occurred. Please try again later.", 503)
    if fault.status == 504:
        return text(504, "Cannot safely perform a failover at the moment")
    return text(fault.status, "")


def unauthorised() -> Reply:
    """Missing or wrong credentials."""
    realm = 'Basic realm="Couchbase Server Admin / REST"'
    return Reply(401, b"", None, {"WWW-Authenticate": realm})


def forbidden(permission: str) -> Reply:
    """Authenticated, not authorised."""
    return as_json({"message": "Forbidden. User needs the following permissions",
                    "permissions": [permission]}, 403)


def keeps_answer(fault: Fault) -> bool:
    """True when the real answer is sent, only badly, or late."""
    return fault.kind in ("delay", "slow", "cut_head", "cut_body", "stale", "master_timeout")


def spoil_tasks(fault: Fault, reply: Reply) -> Reply:
    """A task list whose answering node does not know."""
    tasks = json.loads(reply.body)
    flag = "statusIsStale" if fault.kind == "stale" else "masterRequestTimedOut"
    for task in tasks:
        if task.get("type") == "rebalance":
            ident, subtype = task["statusId"], task["subtype"]
            task.clear()
            task.update({"statusId": ident, "type": "rebalance", "subtype": subtype,
                         "status": "notRunning", "statusIsStale": False,
                         "masterRequestTimedOut": False})
            task[flag] = True
    return as_json(tasks)


async def endless_body(pause: float) -> AsyncIterator[bytes]:
    """A list that never ends."""
    yield b"["
    while True:
        yield b'{"otpNode":"ns_1@nowhere","pad":"' + b"x" * 4000 + b'"},'
        await asyncio.sleep(pause)


async def deliver(writer: asyncio.StreamWriter, fault: Fault, reply: Reply) -> bool:
    """Sends an answer the way the fault wants it; False when the connection is done for."""
    whole = reply.head() + reply.body
    if fault.kind in ("cut", "cut_head", "cut_body"):
        half = len(reply.head()) + len(reply.body) // 2 if reply.body else len(reply.head()) - 2
        keep = {"cut": 0, "cut_head": 10, "cut_body": half}[fault.kind]
        writer.write(whole[:keep])
        await writer.drain()
        writer.close()
        return False
    if fault.kind == "garbage_head":
        writer.write(b"\x15\x03\x03\x00\x02\x02\x46 not http at all\r\n\r\n")
        await writer.drain()
        writer.close()
        return False
    if fault.kind == "slow":
        for i in range(len(whole)):
            writer.write(whole[i:i + 1])
            await writer.drain()
            await asyncio.sleep(fault.ms / 1000)
        return True
    if fault.kind == "endless":
        await send(writer, Reply(200, b"", "application/json",
                                 stream=endless_body(fault.ms / 1000)))
    if fault.kind == "endless_head":
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-Pad: " + b"y" * 1000 + b"\r\n")
            await writer.drain()
            await asyncio.sleep(fault.ms / 1000)
    await send(writer, reply)
    return True
