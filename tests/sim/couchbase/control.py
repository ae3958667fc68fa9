"""The control interface: how tests make things go wrong, and look at what happened."""
from __future__ import annotations

import asyncio
import json
from typing import Any, Awaitable, Callable, Dict, List, Union

from . import auth, operation
from .cluster import Cluster
from .model import Host
from .router import dispatch
from .wire import BadRequest, Listener, Reply, Request, as_json, read_request, send
from .world import World

Call = Callable[[Dict[str, Any]], Union[Any, Awaitable[Any]]]


class Control:
    """POST /<call> with a JSON object, JSON back; 400 with {"error": ...} for nonsense."""

    def __init__(self, world: World, quit_: "asyncio.Event") -> None:
        self.world = world
        self.quit = quit_
        self.listener = Listener("127.0.0.1", 0, self.converse)
        self.calls: Dict[str, Call] = {
            "state": self.state, "log": self.log, "clear": self.clear, "clock": self.clock,
            "node": self.node, "partition": self.partition, "fault": self.fault,
            "faults": self.faults, "load": self.load, "bucket": self.bucket, "other": self.other,
            "next": self.next, "set": self.set, "start": self.start, "quit": self.stop}

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Requests of one connection."""
        while True:
            try:
                request = await read_request(reader, writer)
            except BadRequest:
                return
            if request is None:
                return
            await send(writer, await self.answer(request))
            if not request.keeps_alive():
                return

    async def answer(self, request: Request) -> Reply:
        """One call."""
        call = self.calls.get(request.path.strip("/"))
        if call is None or request.method not in ("GET", "POST"):
            return as_json({"error": f"no such call; known: {', '.join(self.calls)}"}, 404)
        try:
            spec = json.loads(request.body) if request.body else {}
            result = call(spec)
            if asyncio.iscoroutine(result):
                result = await result
        except (LookupError, TypeError, ValueError, AttributeError) as bad:
            return as_json({"error": f"{type(bad).__name__}: {bad}"}, 400)
        return as_json(result if result is not None else {})

    def cluster(self) -> Cluster:
        """The main cluster."""
        return self.world.main()

    # --- looking -----------------------------------------------------------------------------

    def state(self, _: Dict[str, Any]) -> Any:
        """Everything worth asserting."""
        return {"now": round(self.world.clock.now, 3), "factor": self.world.clock.factor,
                "hosts": [self.host_state(host) for host in self.world.hosts],
                "clusters": [cluster_state(cluster) for cluster in self.world.clusters],
                "faults": [vars(fault) for fault in self.world.faults.active]}

    def host_state(self, host: Host) -> Dict[str, Any]:
        """One process."""
        clusters = self.world.clusters
        return {"name": host.name, "otpNode": host.otp, "hostname": host.hostname,
                "process": host.process, "side": host.side, "dataIntact": host.data_intact,
                "cluster": clusters.index(host.cluster) if host.cluster else None}

    def log(self, spec: Dict[str, Any]) -> Any:
        """Requests after `after`, of one `path`, of one `method`."""
        return {"requests": self.world.log.since(int(spec.get("after", 0)), spec.get("path"),
                                                 spec.get("method"))}

    def clear(self, _: Dict[str, Any]) -> None:
        """Forgets the request log."""
        self.world.log.entries = []

    # --- time and processes ------------------------------------------------------------------

    async def clock(self, spec: Dict[str, Any]) -> Any:
        """advance: virtual seconds; factor: virtual per real second."""
        self.world.step(self.world.clock.elapsed())
        if "factor" in spec:
            self.world.clock.factor = float(spec["factor"])
        if "advance" in spec:
            self.world.step(float(spec["advance"]))
            await asyncio.sleep(0)  # whoever waited for this moment acts now
        return {"now": round(self.world.clock.now, 3)}

    def node(self, spec: Dict[str, Any]) -> Any:
        """do: kill | freeze | revive | lose-data."""
        host, action = self.world.host(spec["node"]), spec["do"]
        actions = {"kill": self.world.kill, "freeze": self.world.freeze,
                   "revive": self.world.revive, "lose-data": self.lose_data}
        actions[action](host)
        return self.host_state(host)

    def lose_data(self, host: Host) -> None:
        """The data directory is gone: no delta recovery."""
        host.data_intact = False

    def partition(self, spec: Dict[str, Any]) -> None:
        """groups: lists of node names; none heals."""
        groups: List[List[str]] = spec.get("groups", [])
        self.world.partition([[self.world.host(name) for name in group] for group in groups])

    # --- faults ------------------------------------------------------------------------------

    def fault(self, spec: Dict[str, Any]) -> Any:
        """Adds one; see faults.Fault for the fields."""
        if spec.get("node"):
            spec = {**spec, "node": self.world.host(spec["node"]).name}
        return {"id": self.world.faults.add(spec).ident}

    def faults(self, spec: Dict[str, Any]) -> Any:
        """Lists them; clear: true forgets them."""
        listed = [vars(fault) for fault in self.world.faults.active]
        if spec.get("clear"):
            self.world.faults.active = []
        return {"faults": listed}

    # --- figures -----------------------------------------------------------------------------

    def load(self, spec: Dict[str, Any]) -> None:
        """set: figures of systemStats or interestingStats of one node."""
        self.world.host(spec["node"]).load.update(spec["set"])

    def bucket(self, spec: Dict[str, Any]) -> None:
        """set: fields of model.Bucket (a changed replica number wants a rebalance)."""
        cluster = self.cluster()
        bucket = cluster.buckets[spec["bucket"]]
        for key, value in spec["set"].items():
            if key not in ("items", "mem_used", "disk_used", "ops", "ram_mib", "replicas", "flush"):
                raise ValueError(f"bucket field {key}")
            setattr(bucket, key, value)
        cluster.change += 1
        cluster.touched()

    # --- somebody else -----------------------------------------------------------------------

    async def other(self, spec: Dict[str, Any]) -> Any:
        """A request somebody else sends to `node`; it is in no log and meets no fault."""
        path, _, query = spec["path"].partition("?")
        headers = [("Content-Type", spec.get("type", "application/x-www-form-urlencoded"))]
        request = Request(spec.get("method", "POST"), path, query, headers,
                          spec.get("body", "").encode())
        host = self.world.host(spec.get("node", self.world.hosts[0].name))
        task = asyncio.ensure_future(dispatch(self.world, host, request, auth.INTERNAL))
        if not spec.get("wait", True):
            await asyncio.sleep(0)
            return {"sent": True}
        reply = await task
        return {"status": reply.status, "body": reply.body.decode("utf-8", "replace")}

    def next(self, spec: Dict[str, Any]) -> None:
        """The next operation (of a kind) fails at a share of its way with a reason."""
        kinds = (None,) + tuple(operation.LABEL)
        unknown = set(spec) - {"operation", "failAt", "reason", "answer"}
        if spec.get("operation") not in kinds or unknown:
            raise ValueError(f"operation one of {kinds}; failAt, reason, answer")
        self.cluster().next_operation.append(spec)

    def start(self, spec: Dict[str, Any]) -> Any:
        """Starts a service upgrade, which no request can start."""
        cluster = self.cluster()
        if cluster.op is not None or cluster.orchestrator is None:
            raise ValueError("busy")
        seconds = float(spec.get("seconds", self.world.timing.service_upgrade))
        op = operation.Operation(
            "service_upgrade", self.world.hex(32), cluster.orchestrator, self.world.clock.now,
            seconds, operation.nodes_info(cluster, [], [], []))
        operation.begin(cluster, op)
        return {"rebalanceId": op.ident}

    def set(self, spec: Dict[str, Any]) -> None:
        """busy, unfinished, alerts, tasks, errorMessage, orchestrator, autoFailover, uuid,
        clientCert, strictEncoding, errorAsCharCodes, prohibitHttp, extraCAs, timing."""
        cluster, world = self.cluster(), self.world
        for key, value in spec.items():
            if key in ("busy", "alerts"):
                setattr(cluster, key, value)
            elif key == "tasks":
                cluster.extra_tasks = value
            elif key == "uuid":
                cluster.uuid = value
            elif key == "unfinished":
                self.set_unfinished(value)
            elif key == "errorMessage":
                cluster.status.settle(world.hex(32), cluster.status.kind, value)
            elif key == "orchestrator":
                cluster.orchestrator = world.host(value).otp
            elif key == "autoFailover":
                update_known(cluster.settings["autoFailover"], value)
            elif key == "timing":
                update_known(vars(world.timing), value)
            elif key == "clientCert":
                world.set_client_cert(value)
            elif key in ("strictEncoding", "errorAsCharCodes", "prohibitHttp", "extraCAs"):
                name = {"strictEncoding": "strict_encoding", "errorAsCharCodes": "error_as_codes",
                        "prohibitHttp": "prohibit_http", "extraCAs": "extra_cas"}[key]
                setattr(world, name, value)
            else:
                raise ValueError(f"cannot set {key}")
        cluster.touched()

    def set_unfinished(self, names: List[str]) -> None:
        """An interrupted unsafe failover of these nodes."""
        cluster = self.cluster()
        cluster.unfinished = [self.world.host(name).otp for name in names]
        for otp, member in cluster.members.items():
            member.unfinished = otp in cluster.unfinished

    def stop(self, _: Dict[str, Any]) -> None:
        """Ends the simulator."""
        asyncio.get_running_loop().call_later(0.05, self.quit.set)


def update_known(target: Dict[str, Any], values: Dict[str, Any]) -> None:
    """Changes existing keys only."""
    strange = set(values) - set(target)
    if strange:
        raise ValueError(f"unknown: {', '.join(sorted(strange))}")
    target.update(values)


def cluster_state(cluster: Cluster) -> Dict[str, Any]:
    """One cluster as data."""
    op = cluster.op
    return {
        "uuid": cluster.uuid, "orchestrator": cluster.orchestrator,
        "balanced": cluster.is_balanced(), "busy": cluster.busy, "unfinished": cluster.unfinished,
        "members": {m.otp: {"membership": m.membership, "recovery": m.recovery,
                            "services": m.services, "group": cluster.group_names()[m.group]}
                    for m in cluster.members.values()},
        "operation": None if op is None else {
            "kind": op.kind, "id": op.ident, "share": op.share, "master": op.master,
            "auto": op.auto, "targets": op.targets, "delta": sorted(op.delta)},
        "status": vars(cluster.status), "retry": cluster.retry, "counters": cluster.counters,
        "autoFailover": cluster.settings["autoFailover"],
        "said": sorted(cluster.auto.said), "lastReport": cluster.journal.last_report,
        "buckets": {b.name: {"vbuckets": b.counts(), "servers": b.servers,
                             "lost": sum(1 for c in b.chains if not c)}
                    for b in cluster.buckets.values()},
        "compactions": cluster.compactions}
