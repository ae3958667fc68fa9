"""Nodes coming and going: addNode, doJoinCluster, ejectNode, hardResetNode."""
from __future__ import annotations

import json
import re
from typing import List, Optional, Tuple

from . import auth
from .cluster import Cluster
from .forms import Form
from .model import Group, Host, Member
from .router import WRITE, Context, route
from .wire import Refused, Reply, as_json, empty, text

JOIN_KEYS = ("hostname", "user", "password", "clientCertAuth", "services")


def refuse_list(sentences: List[str], status: int = 400) -> Refused:
    """400 with a list of strings."""
    return Refused(as_json(sentences, status))


def read_list_form(ctx: Context, known: Tuple[str, ...]) -> Form:
    """The body; unknown keys are named in a list."""
    form = ctx.raw_form()
    unknown = [name for name in form.names() if name not in known]
    if unknown:
        raise refuse_list([f"Got unknown parameters: {json.dumps(unknown)}"])
    if len(form.pairs) != len(form.names()):
        raise refuse_list(["Got repeated parameters"])
    return form


def services_of(ctx: Context, form: Form) -> List[str]:
    """services, default kv; nothing is an arbiter where that exists."""
    value = form.one("services")
    if value is None:
        return ["kv"]
    names = [word for word in value.split(",") if word]
    unknown = [word for word in names if word not in ctx.profile.services]
    if unknown or (not names and not ctx.profile.arbiter) or len(set(names)) != len(names):
        raise refuse_list([f"Unknown services: {json.dumps(unknown or [value])}"])
    return names


def credential_errors(form: Form) -> List[str]:
    """user and password belong together, unless the certificate speaks for us."""
    if form.one("clientCertAuth") == "true":
        both = "user" in form or "password" in form
        return ["user and password must not be given with clientCertAuth"] if both else []
    if "user" not in form and "password" not in form:
        return ["user is missing", "password is missing"]
    if "user" not in form:
        return ["user is missing"]
    if "password" not in form:
        return ["password is missing"]
    if not form.one("user") and form.one("password"):
        return ["If a username is not specified, a password must not be supplied."]
    if form.one("user") and not form.one("password"):
        return ["A password must be supplied."]
    return []


def address_of(ctx: Context, hostname: str) -> Tuple[str, str, int]:
    """Scheme, host and port of a hostname parameter."""
    match = re.match(r"(?:(\w+)://)?(\[[0-9A-Fa-f:]+\]|[^:/\[\]]+)(?::([0-9]+))?\Z", hostname)
    if match is None or not hostname.strip():
        raise refuse_list(["Hostname is required."] if not hostname.strip()
                          else [f"Malformed hostname: {hostname}"])
    scheme, host, port = match.groups()
    if scheme not in (None, "http", "https"):
        raise refuse_list([f"Unsupported protocol {scheme}"])
    plain = scheme == "http" and ctx.world.prohibit_http
    if plain or (ctx.profile.enterprise and port == "8091"):
        raise refuse_list(["http is prohibited due to security reasons, please use https"])
    if port is not None and not 1023 < int(port) < 65536:
        raise refuse_list(["The port number must be greater than 1023 and less than 65536."])
    secure = scheme == "https" or (scheme is None and ctx.profile.enterprise)
    default = 18091 if secure else 8091
    return scheme or "", host.strip("[]"), int(port) if port else default


def find_host(ctx: Context, scheme: str, host: str, port: int) -> Host:
    """The process behind an address. Without a scheme either port of it is understood."""
    for candidate in ctx.world.hosts:
        ports = {"http": [candidate.port], "https": [candidate.tls_port]}.get(
            scheme, [candidate.port, candidate.tls_port])
        if candidate.address == host and port in ports:
            if candidate.process == "up" and candidate.side == ctx.host.side:
                return candidate
    raise refuse_list([f"Failed to connect to {scheme or 'https'}://{host}:{port}. "
                       "Could not connect."])


def check_addition(ctx: Context) -> None:
    """May any node be added now?"""
    cluster = ctx.cluster
    if cluster.unfinished:
        raise refuse_list(["Operation cannot be performed due to unfinished failover"])
    if cluster.seen_orchestrator(ctx.host) is None:
        raise refuse_list(
            ["Operation temporarily cannot be performed possibly due to loss of quorum"], 503)
    if cluster.op is not None:
        raise refuse_list(["Node addition is disallowed while rebalance is in progress"])


def check_joining(ctx: Context, form: Form, joining: Host) -> None:
    """Does the other node agree?"""
    if joining is ctx.host:
        raise refuse_list(["Prepare join failed. Joining node to itself is not allowed."])
    if joining.cluster is not None:
        raise refuse_list(["Prepare join failed. Node is already part of cluster."])
    if joining.otp in ctx.cluster.members:
        raise refuse_list([f"Node already exists in cluster: {joining.otp}"])
    if joining.join_password is not None and form.one("clientCertAuth") != "true":
        given = (form.one("user"), form.one("password"))
        if given != (joining.join_user or "Administrator", joining.join_password):
            raise refuse_list(["Prepare join failed. Authentication failed. Verify username and "
                               "password."])


def take_in(cluster: Cluster, joining: Host, services: List[str], group: Group) -> None:
    """Makes a fresh host an inactiveAdded member."""
    member = Member(joining, services, group.uuid, membership="inactiveAdded")
    cluster.add_member(member)
    cluster.journal.log(joining.otp, "info", "ns_cluster", 3, f"Node {joining.otp} joined cluster")
    cluster.journal.event(0, joining.otp, joining.hostname, {})


def add_node(ctx: Context, group: Group) -> Reply:
    """addNode, with or without a group."""
    form = read_list_form(ctx, JOIN_KEYS)
    wrong = [] if form.one("hostname") else ["Hostname is required."]
    wrong += credential_errors(form)
    if wrong:
        raise refuse_list(wrong)
    services = services_of(ctx, form)
    scheme, host, port = address_of(ctx, form.one("hostname") or "")
    check_addition(ctx)
    joining = find_host(ctx, scheme, host, port)
    check_joining(ctx, form, joining)
    take_in(ctx.cluster, joining, services, group)
    for listener in joining.listeners():
        listener.cut()
    return as_json({"otpNode": joining.otp})


@route("POST", "/controller/addNode", WRITE, fresh=True)
@route("POST", "/controller/addNodeV2", WRITE, fresh=True)
def add_to_default(ctx: Context) -> Reply:
    """Into the first group."""
    if ctx.host.cluster is None:
        raise refuse_list(["Adding nodes to not provisioned nodes is not allowed."])
    return add_node(ctx, ctx.cluster.groups[0])


@route("POST", "/pools/default/serverGroups/{group}/addNode", WRITE, enterprise=True)
def add_to_group(ctx: Context) -> Reply:
    """Into a group."""
    for group in ctx.cluster.groups:
        if group.uuid == ctx.args["group"]:
            return add_node(ctx, group)
    raise refuse_list([f"Could not find group with uuid: {ctx.args['group']}"], 404)


@route("POST", "/node/controller/doJoinCluster", WRITE, fresh=True)
def do_join(ctx: Context) -> Reply:
    """Sent to the joining node."""
    if ctx.host.cluster is not None:
        raise refuse_list(["Node is already provisioned. To join use controller/addNode api of "
                           "the cluster"])
    form = read_list_form(ctx, JOIN_KEYS + ("clusterMemberHostIp", "clusterMemberPort",
                                            "newNodeHostname"))
    name = form.one("hostname")
    if name is None and "clusterMemberHostIp" in form:
        name = f"{form.one('clusterMemberHostIp')}:{form.one('clusterMemberPort') or '8091'}"
    wrong = [] if name else ["Hostname is required."]
    wrong += credential_errors(form)
    if wrong:
        raise refuse_list(wrong)
    services = services_of(ctx, form)
    other = find_host(ctx, *address_of(ctx, name or ""))
    if other is ctx.host:
        raise refuse_list(["Prepare join failed. Joining node to itself is not allowed."])
    if other.cluster is None:
        raise refuse_list(["Adding nodes to not provisioned nodes is not allowed."])
    user = auth.by_password(ctx.world, form.one("user") or "", form.one("password") or "")
    if form.one("clientCertAuth") != "true" and (user is None or not auth.allowed(user, WRITE)):
        raise refuse_list(["Prepare join failed. Authentication failed. Verify username and "
                           "password."])
    check_cluster_open(other)
    take_in(other.cluster, ctx.host, services, other.cluster.groups[0])
    return empty()


def check_cluster_open(other: Host) -> None:
    """The conditions of addNode, seen from the member that is asked."""
    cluster = other.cluster
    assert cluster is not None
    if cluster.unfinished:
        raise refuse_list(["Operation cannot be performed due to unfinished failover"])
    if cluster.op is not None:
        raise refuse_list(["Node addition is disallowed while rebalance is in progress"])
    if cluster.seen_orchestrator(other) is None:
        raise refuse_list(
            ["Operation temporarily cannot be performed possibly due to loss of quorum"], 503)


@route("POST", "/controller/ejectNode", WRITE)
def eject(ctx: Context) -> Reply:
    """Takes a node that is not active out without a rebalance."""
    cluster = ctx.cluster
    otp: Optional[str] = ctx.form("otpNode").one("otpNode")
    if not otp:
        raise Refused(text(400, "Bad Request"))
    member = cluster.members.get(ctx.host.otp if otp == "Self" else otp)
    if member is None:
        raise Refused(text(400, "Server does not exist."))
    if member.membership == "active":
        raise Refused(text(400, "Cannot remove active server."))
    if cluster.op is not None or cluster.seen_orchestrator(ctx.host) is None:
        raise Refused(text(503, "Unable to leave cluster"))
    cluster.drop_members([member.otp], told=True)
    return empty()


@route("POST", "/controller/hardResetNode", "cluster.admin!write", fresh=True)
def hard_reset(ctx: Context) -> Reply:
    """Wipes this node. The cluster is not told: a member becomes a silent one."""
    ctx.form()
    host = ctx.host
    if host.cluster is not None:
        host.left_at = ctx.world.clock.now
    host.cluster = None
    host.cache = {}
    host.data_intact = False
    host.join_password = None
    ctx.world.clock.pulse.fire()
    return empty()
