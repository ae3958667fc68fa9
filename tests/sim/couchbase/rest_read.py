"""Reading the cluster: /pools, /pools/default, nodes, events, logs."""
from __future__ import annotations

import asyncio
import datetime
import hashlib
import json
import re
import time
from typing import Any, AsyncIterator, Dict, List, Optional

from . import view
from .forms import Form
from .router import SETTINGS, Context, route
from .wire import Refused, Reply, as_json, errors, text


@route("GET", "/pools", fresh=True)
def pools(ctx: Context) -> Reply:
    """Works before initialisation. The facts do not say whether a cluster answers this without
    credentials: it does not here, so that a client that forgets them is found out."""
    cluster, profile = ctx.host.cluster, ctx.profile
    user = ctx.login.user
    role = user.role if user else "none"
    listed: List[Dict[str, str]] = []
    if cluster is not None:
        guard = f"?uuid={cluster.uuid}"
        listed = [{"name": "default", "uri": f"/pools/default{guard}",
                   "streamingUri": f"/poolsStreaming/default{guard}"}]
    name = "Enterprise" if profile.enterprise else "Community"
    return as_json({
        "isAdminCreds": role == "admin", "isROAdminCreds": role == "ro_admin",
        "isEnterprise": profile.enterprise, "configProfile": "default",
        "allowedServices": list(profile.services), "isDeveloperPreview": False,
        "packageVariant": "debian12/deb", "pools": listed,
        "settings": {"maxParallelIndexers": "/settings/maxParallelIndexers",
                     "viewUpdateDaemon": "/settings/viewUpdateDaemon"},
        "uuid": cluster.uuid if cluster is not None else [], "prod": "server",
        "prodName": f"Couchbase Server {name} Edition",
        "implementationVersion": ctx.host.version,
        "componentsVersion": {"ns_server": ctx.host.version, "kernel": "9.2.4"}})


def etag_of(document: Dict[str, Any]) -> str:
    """Changes when the document does."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:12]


def stable(document: Dict[str, Any]) -> Dict[str, Any]:
    """The document without what changes by mere time."""
    nodes = [{k: v for k, v in n.items() if k != "uptime"} for n in document["nodes"]]
    return {**document, "nodes": nodes}


def cached(ctx: Context) -> bytes:
    """The answer may be as old as the cache allows, in virtual or real time."""
    cache, now = ctx.host.cache, ctx.world.clock.now
    limit = ctx.world.timing.cache
    fresh = cache and now - cache["at"] < limit and time.monotonic() - cache["real"] < limit
    if not fresh:
        body = as_json(view.pools_default(ctx.world, ctx.host)).body
        ctx.host.cache = cache = {"at": now, "real": time.monotonic(), "body": body}
    content: bytes = cache["body"]
    return content


async def long_poll(ctx: Context) -> Reply:
    """?waitChange=<ms>&etag=<etag>: returns when something changed."""
    wait, given = ctx.query.one("waitChange") or "", ctx.query.one("etag") or ""
    if not re.match(r"[0-9]{1,7}\Z", wait):
        raise Refused(errors({"waitChange": "The value must be an integer"}))

    def now() -> Dict[str, Any]:
        return view.pools_default(ctx.world, ctx.host)

    try:
        await asyncio.wait_for(
            ctx.until(lambda: ctx.host.cluster is None or etag_of(stable(now())) != given),
            int(wait) / 1000)
    except asyncio.TimeoutError:
        pass
    if ctx.host.cluster is None:
        return as_json("unknown pool", 404)
    document = now()
    return as_json({**document, "etag": etag_of(stable(document))})


@route("GET", "/pools/default", query=("waitChange", "etag"))
@route("GET", "/pools/nodes", query=("waitChange", "etag"))
async def pool(ctx: Context) -> Reply:
    """The cluster as the answering node sees it."""
    if "waitChange" in ctx.query or "etag" in ctx.query:
        return await long_poll(ctx)
    return Reply(200, cached(ctx), "application/json")


@route("GET", "/poolsStreaming/default")
def pool_streaming(ctx: Context) -> Reply:
    """One document after each change, four line feeds between them."""
    async def documents() -> AsyncIterator[bytes]:
        last = ""
        while ctx.host.cluster is not None:
            document = view.pools_default(ctx.world, ctx.host)
            etag = etag_of(stable(document))
            if etag != last:
                yield as_json(document).body + b"\n\n\n\n"
            rev, last = ctx.cluster.rev, etag
            await ctx.until(lambda: ctx.host.cluster is None or ctx.cluster.rev != rev)
    return Reply(200, b"", "application/json", stream=documents())


@route("GET", "/nodes/self")
def node_self(ctx: Context) -> Reply:
    """The answering node."""
    return as_json(view.node_self(ctx.world, ctx.host, ctx.cluster.members[ctx.host.otp]))


@route("GET", "/nodes/{otp}")
def node_by_name(ctx: Context) -> Reply:
    """A member by its otpNode."""
    member = ctx.cluster.members.get(ctx.args["otp"])
    if member is None:
        return as_json("Node is unknown to this cluster.", 404)
    return as_json(view.node_self(ctx.world, ctx.host, member))


@route("GET", "/nodeStatuses")
def node_statuses(ctx: Context) -> Reply:
    """Health and the graceful failover pre-check."""
    return as_json(view.node_statuses(ctx.cluster, ctx.host))


@route("GET", "/pools/default/terseClusterInfo", query=("all",))
def terse(ctx: Context) -> Reply:
    """Orchestrator and balance."""
    answer = view.terse(ctx.cluster, ctx.host)
    wanted = ctx.query.one("all")
    if wanted not in (None, "true", "false"):
        raise Refused(errors({"all": "The value must be one of the following: [true,false]"}))
    if wanted == "true":
        cluster = ctx.cluster
        answer.update({
            "autoFailover": {"enabled": cluster.settings["autoFailover"]["enabled"]},
            "quotaInfo": dict(cluster.quota),
            "buckets": [{"name": b.name} for b in cluster.buckets.values()],
            "nodes": sorted(cluster.members)})
    return as_json(answer)


@route("GET", "/pools/default/nodeServices", query=("v",))
def node_services(ctx: Context) -> Reply:
    """Ports per service."""
    return as_json({"rev": ctx.cluster.rev, "nodesExt": view.nodes_ext(ctx.cluster, ctx.host)})


@route("GET", "/whoami")
def whoami(ctx: Context) -> Reply:
    """The user as the server sees it."""
    user = ctx.login.user
    assert user is not None
    roles = [{"role": user.role}] if user.role != "none" else []
    domain = "admin" if user.role == "admin" else "local"
    return as_json({"id": user.name, "domain": domain, "roles": roles})


@route("GET", "/pools/default/trustedCAs", enterprise=True)
def trusted_cas(ctx: Context) -> Reply:
    """The CAs, as JSON."""
    count = 1 + ctx.world.extra_cas
    base = datetime.datetime(2024, 1, 1).isoformat() + ".000Z"
    return as_json([{"id": i, "subject": f"CN=Couchbase Server {i:08x}", "notBefore": base,
                     "notAfter": "2049-12-31T23:59:59.000Z", "type": "generated" if i == 0
                     else "uploaded", "pem": ctx.world.ca_pem, "warnings": [], "nodes": []}
                    for i in range(count)])


@route("GET", "/pools/default/certificate", None, enterprise=True)
def certificate(ctx: Context) -> Reply:
    """PEM of the self-generated CA; no credentials needed."""
    if ctx.world.extra_cas:
        return text(400, "this API is disabled, please use GET /pools/default/trustedCAs, "
                         "see documentation for details")
    return text(200, ctx.world.ca_pem)


def number(query: Form, name: str, low: int, default: int) -> int:
    """A numeric query argument."""
    value = query.one(name)
    if value is None:
        return default
    if not re.match(r"-?[0-9]{1,18}\Z", value) or int(value) < low:
        raise Refused(errors({name: "The value must be an integer"}))
    return int(value)


@route("GET", "/logs", query=("limit", "sinceTime"))
def logs(ctx: Context) -> Reply:
    """The newest lines, oldest first."""
    limit = number(ctx.query, "limit", 1, 250)
    since = number(ctx.query, "sinceTime", 0, 0)
    lines = [line for line in ctx.cluster.journal.lines if line["tstamp"] > since]
    return as_json({"list": lines[-limit:]})


def event_time(ctx: Context) -> Optional[str]:
    """sinceTime of /events."""
    since = ctx.query.one("sinceTime")
    if since is None:
        return None
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)\Z"
    if not re.match(pattern, since):
        raise Refused(errors({"sinceTime": "The value must be a valid ISO 8601 UTC"}))
    moment = datetime.datetime.fromisoformat(since.replace("Z", "+00:00"))
    return moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")


@route("GET", "/events", query=("sinceTime", "limit", "component", "severity", "event_id"))
def events(ctx: Context) -> Reply:
    """Events in the order they happened."""
    filters = ("component", "severity", "event_id")
    found = ctx.cluster.journal.events
    for name in filters:
        value = ctx.query.one(name)
        if value is None:
            continue
        if not ctx.profile.since80:
            raise Refused(errors({name: "Unsupported key"}))
        found = [event for event in found if str(event[name]) == value]
    since = event_time(ctx)
    if since is not None:
        found = [event for event in found if event["timestamp"].rstrip("Z") + "000" >= since]
    limit = number(ctx.query, "limit", -1, 250)
    return as_json({"events": found if limit < 0 else found[:limit]})


@route("GET", "/diag", "cluster.logs!read")
def diag(ctx: Context) -> Reply:
    """A large text."""
    lines = [f"{line['serverTime']} {line['node']} {line['text']}"
             for line in ctx.cluster.journal.lines]
    return text(200, "\n".join(["logs:", "-------------------------------"] + lines) + "\n")


@route("GET", "/sasl_logs", "cluster.logs!read")
@route("GET", "/sasl_logs/{log}", "cluster.logs!read")
def sasl_logs(ctx: Context) -> Reply:
    """The text of one log."""
    return text(200, f"logs_node ({ctx.args.get('log', 'debug')}):\n")


@route("POST", "/controller/startLogsCollection", "cluster.logs!read")
def start_logs(ctx: Context) -> Reply:
    """Begins a log collection; it shows in the task list."""
    form = ctx.form("nodes", "logRedactionLevel", "uploadHost", "customer", "ticket",
                    "uploadProxy", "logDir", "tmpDir")
    chosen = form.one("nodes")
    names = list(ctx.cluster.members) if chosen == "*" else form.listed("nodes")
    unknown = [otp for otp in names if otp not in ctx.cluster.members]
    if not names or unknown:
        raise Refused(errors({"nodes": "Unknown nodes" if unknown else "must be given"}))
    stop_collection(ctx)
    ctx.cluster.extra_tasks.append({
        "type": "clusterLogsCollection", "status": "running", "progress": 0, "node": "",
        "perNode": {otp: {"status": "starting"} for otp in sorted(names)}})
    return as_json({})


def stop_collection(ctx: Context) -> None:
    """Takes a collection out of the task list."""
    ctx.cluster.extra_tasks = [t for t in ctx.cluster.extra_tasks
                               if t["type"] != "clusterLogsCollection"]


@route("POST", "/controller/cancelLogsCollection", "cluster.logs!read")
def cancel_logs(ctx: Context) -> Reply:
    """Ends a log collection."""
    ctx.form()
    stop_collection(ctx)
    return as_json({})


@route("POST", "/controller/resetAlerts", SETTINGS, query=("token",))
def reset_alerts(ctx: Context) -> Reply:
    """Silences the alerts; wants the token of alertsSilenceURL."""
    ctx.form()
    if ctx.query.one("token") is None:
        raise Refused(errors({"token": "The value must be supplied"}))
    ctx.cluster.alerts = []
    return as_json([])
