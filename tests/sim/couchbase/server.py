"""Connections of one node: read, log, dispatch, apply faults, answer."""
from __future__ import annotations

import asyncio
import sys
import traceback
from typing import Any, Dict, Optional

from . import auth, faults
from .model import Host
from .router import dispatch
from .wire import BadRequest, Listener, Reply, Request, as_json, read_request, send, text
from .world import World


class NodeServer:
    """The web server of one host."""

    def __init__(self, world: World, host: Host) -> None:
        self.world = world
        self.host = host

    def open(self) -> None:
        """Takes the ports and listens."""
        host = self.host
        host.http = Listener(host.address, host.want_port, self.plain)
        host.port = host.http.port
        if self.world.tls is not None:
            host.https = Listener(host.address, 0, self.secure, self.world.tls)
            host.tls_port = host.https.port
        for listener in host.listeners():
            listener.start()

    async def plain(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection to the plain port."""
        await self.converse(reader, writer, None, tls=False)

    async def secure(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection to the TLS port; the handshake is over."""
        cert = writer.get_extra_info("peercert") or None
        await self.converse(reader, writer, cert, tls=True)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                       cert: Optional[Dict[str, Any]], tls: bool) -> None:
        """Requests of one connection, one after the other."""
        while True:
            try:
                request = await read_request(reader, writer)
            except BadRequest as bad:
                await send(writer, text(int(bad.args[0]), str(bad.args[1])))
                return
            if request is None:
                return
            # A frozen process reads the request when it goes on, even if the client left.
            await self.awake()
            entry = self.world.log.open(self.host.name, tls, request)
            keep = await self.respond(reader, writer, request, cert, entry)
            if not keep or not request.keeps_alive():
                return

    async def awake(self) -> None:
        """Returns when the process runs."""
        await self.world.clock.pulse.until(lambda: self.host.process == "up")

    async def handle(self, request: Request, login: auth.Login) -> Reply:
        """The real answer."""
        try:
            return await dispatch(self.world, self.host, request, login)
        except asyncio.CancelledError:
            raise
        except Exception:  # pylint: disable=broad-except
            traceback.print_exc(file=sys.stderr)
            return as_json(["Unexpected server error, request logged."], 500)

    async def respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                      request: Request, cert: Optional[Dict[str, Any]],
                      entry: Dict[str, Any]) -> bool:
        """Answers one request with or without a fault; False ends the connection."""
        login = auth.login(self.world, self.host, request, cert)
        entry.update({"credentials": login.kind, "authorised": login.authorised,
                      "user": login.user.name if login.user else None})
        fault = self.world.faults.take(request, self.host.name)
        if fault is None:
            reply = await self.handle(request, login)
            return await self.finish(writer, reply, entry)
        entry["fault"] = fault.kind
        if fault.kind == "hang":
            if fault.effect:
                await self.handle(request, login)
            while await reader.read(65536):
                pass
            return False
        if fault.kind == "delay":
            await asyncio.sleep(fault.ms / 1000)
        reply = faults.answer(fault)
        if fault.effect or faults.keeps_answer(fault):
            real = await self.handle(request, login)
            entry["effectStatus"] = real.status
            if faults.keeps_answer(fault):
                reply = real
        if fault.kind in ("stale", "master_timeout") and reply.status == 200:
            reply = faults.spoil_tasks(fault, reply)
        await self.awake()
        entry["status"] = None if fault.kind.startswith("cut") else reply.status
        return await faults.deliver(writer, fault, reply)

    async def finish(self, writer: asyncio.StreamWriter, reply: Reply,
                     entry: Dict[str, Any]) -> bool:
        """Sends an unspoilt answer."""
        await self.awake()
        entry["status"] = reply.status
        await send(writer, reply)
        entry["answered"] = True
        return True
