"""HTTP/1.1 on loopback: requests in, answers out, and the listening sockets.

Nothing here knows Couchbase. Sockets are handled by hand, because tests need what a finished
server class hides: a node that refuses, one that accepts and never speaks, a connection cut
at a chosen place.
"""
from __future__ import annotations

import asyncio
import json
import socket
import ssl
from asyncio import sslproto
from dataclasses import dataclass, field
from typing import Any, AsyncIterator, Awaitable, Callable, Dict, List, Optional, Set, Tuple

MAX_HEAD = 64 * 1024
MAX_BODY = 4 * 1024 * 1024

REASONS = {
    200: "OK", 202: "Accepted", 301: "Moved Permanently", 302: "Found", 307: "Temporary Redirect",
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 409: "Conflict", 413: "Payload Too Large",
    500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Gateway Timeout",
}


class BadRequest(Exception):
    """What came is not HTTP as this server speaks it; args: status, sentence."""


@dataclass
class Request:
    """One request as it came over the wire; path and query stay undecoded."""

    method: str
    path: str
    query: str
    headers: List[Tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    version: str = "HTTP/1.1"

    def header(self, name: str) -> Optional[str]:
        """First value of a header, the name in lower case."""
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return None

    def keeps_alive(self) -> bool:
        """True when the client lets the connection stand."""
        return self.version == "HTTP/1.1" and (self.header("connection") or "").lower() != "close"


@dataclass
class Reply:
    """One answer. With `stream` set the body is sent in chunks until the stream ends."""

    status: int = 200
    body: bytes = b""
    ctype: Optional[str] = None
    headers: Dict[str, str] = field(default_factory=dict)
    stream: Optional[AsyncIterator[bytes]] = None

    def head(self) -> bytes:
        """Status line and headers, with the blank line."""
        lines = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Status')}",
                 "Server: Couchbase Server", "Cache-Control: no-cache,no-store,must-revalidate"]
        if self.ctype:
            lines.append(f"Content-Type: {self.ctype}")
        if self.stream is not None:
            lines.append("Transfer-Encoding: chunked")
        else:
            lines.append(f"Content-Length: {len(self.body)}")
        lines += [f"{key}: {value}" for key, value in self.headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Refused(Exception):
    """Ends a handler with an answer that is not the ordinary one."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def text(status: int, sentence: str) -> Reply:
    """text/plain, as the failover family answers."""
    return Reply(status, sentence.encode(), "text/plain")


def as_json(value: Any, status: int = 200) -> Reply:
    """Compact JSON, as the server writes it."""
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    return Reply(status, body, "application/json")


def empty(status: int = 200) -> Reply:
    """No body and no Content-Type."""
    return Reply(status)


def errors(fields: Dict[str, str], status: int = 400) -> Reply:
    """The answer of every validator-based endpoint."""
    return as_json({"errors": fields}, status)


def not_found() -> Reply:
    """Unknown path, unknown bucket, or a method the path does not have."""
    return text(404, "Requested resource not found.\r\n")


async def read_head(reader: asyncio.StreamReader) -> Optional[Request]:
    """Request line and headers; None at the end of the connection."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise BadRequest(400, "header too large") from None
    lines = raw[:-4].decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or not words[1].startswith("/"):
        raise BadRequest(400, "malformed request line")
    path, _, query = words[1].partition("?")
    request = Request(words[0], path, query, version=words[2])
    for line in lines[1:]:
        key, colon, value = line.partition(":")
        if not colon or not key or key != key.strip():
            raise BadRequest(400, "malformed header")
        request.headers.append((key, value.strip()))
    return request


async def read_chunks(reader: asyncio.StreamReader) -> bytes:
    """A chunked body."""
    body = b""
    while True:
        size = int((await reader.readline()).split(b";")[0].strip() or b"x", 16)
        if size == 0:
            while (await reader.readline()).strip():
                pass
            return body
        body += await reader.readexactly(size)
        if len(body) > MAX_BODY:
            raise BadRequest(413, "body too large")
        await reader.readexactly(2)


async def read_request(reader: asyncio.StreamReader,
                       writer: asyncio.StreamWriter) -> Optional[Request]:
    """The next whole request; None when the client has gone."""
    request = await read_head(reader)
    if request is None:
        return None
    if (request.header("expect") or "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        if (request.header("transfer-encoding") or "").lower() == "chunked":
            request.body = await read_chunks(reader)
        else:
            length = int(request.header("content-length") or "0")
            if length < 0 or length > MAX_BODY:
                raise BadRequest(413, "body too large")
            request.body = await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        return None
    except ValueError:
        raise BadRequest(400, "malformed length") from None
    return request


async def send(writer: asyncio.StreamWriter, reply: Reply) -> None:
    """Writes a whole answer."""
    writer.write(reply.head() + (reply.body if reply.stream is None else b""))
    await writer.drain()
    if reply.stream is None:
        return
    async for chunk in reply.stream:
        writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()




def send_alerts() -> None:
    """Lets TLS tell the other side why it refuses a handshake, as other servers do: asyncio drops
    that with the connection."""
    complete = getattr(sslproto.SSLProtocol, "_on_handshake_complete")

    def flushed(self: Any, failure: Optional[BaseException]) -> None:
        if failure is not None and hasattr(self, "_process_outgoing"):
            getattr(self, "_process_outgoing")()
        complete(self, failure)
    setattr(sslproto.SSLProtocol, "_on_handshake_complete", flushed)


send_alerts()

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Listener:
    """A loopback port that can refuse (killed) or accept and stay silent (frozen).

    A second, never listening socket stays bound to the port for the whole life, so that no
    other process gets it while the node is down.
    """

    def __init__(self, address: str, port: int, handler: Handler,
                 tls: Optional[ssl.SSLContext] = None) -> None:
        self.address = address
        self.handler = handler
        self.tls = tls
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.guard = self._bound(port)
        self.port: int = self.guard.getsockname()[1]
        self.sock: Optional[socket.socket] = None
        self.acceptor: Optional[asyncio.Task[None]] = None
        self.tasks: Set[asyncio.Task[None]] = set()
        self.writers: Set[asyncio.StreamWriter] = set()

    def _bound(self, port: int) -> socket.socket:
        sock = socket.socket(self.family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((self.address, port))
        sock.setblocking(False)
        return sock

    def start(self) -> None:
        """Listens and answers."""
        if self.sock is None:
            self.sock = self._bound(self.port)
            self.sock.listen(128)
        if self.acceptor is None:
            self.acceptor = asyncio.ensure_future(self._accept(self.sock))

    def freeze(self) -> None:
        """Connections still come into being (the kernel does that), nobody speaks on them."""
        if self.acceptor is not None:
            self.acceptor.cancel()
            self.acceptor = None

    def stop(self) -> None:
        """Refuses new connections and resets the standing ones."""
        self.freeze()
        if self.sock is not None:
            self.sock.close()
            self.sock = None
        self.cut()

    def cut(self) -> None:
        """Resets the standing connections; those in TLS's hands go with their tasks."""
        for writer in list(self.writers):
            writer.transport.abort()
        for task in list(self.tasks):
            task.cancel()

    def close(self) -> None:
        """Gives the port back."""
        self.stop()
        self.guard.close()

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                conn, _ = await loop.sock_accept(sock)
            except OSError:
                await asyncio.sleep(0.05)  # out of descriptors: wait for some to come back
                continue
            task = asyncio.ensure_future(self._serve(conn))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _serve(self, conn: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=MAX_HEAD)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, conn, ssl=self.tls)
        except (OSError, ssl.SSLError, asyncio.CancelledError):
            conn.close()
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        self.writers.add(writer)
        try:
            await self.handler(reader, writer)
        except (ConnectionError, ssl.SSLError, asyncio.CancelledError):
            pass
        finally:
            self.writers.discard(writer)
            transport.close()
