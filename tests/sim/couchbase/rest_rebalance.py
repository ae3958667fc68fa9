"""POST /controller/rebalance."""
from __future__ import annotations

import json
from typing import Any, Dict, List, Optional

from . import effects, operation
from .cluster import Cluster
from .forms import Form
from .profile import KNOWN_SERVICES
from .rest_failover import EXPECTED, check_expected, expected_keys, refuse
from .router import WRITE, Context, route
from .wire import Refused, Reply, as_json, empty, errors

BUSY = {"recovery": "Cannot rebalance when cluster is in recovery mode",
        "pausing": "Cannot rebalance when pausing/resuming bucket",
        "deletion": "Cannot rebalance during the bucket deletion"}
BUSY_72 = {"recovery": "Cluster is in recovery mode.",
           "pausing": "Cannot rebalance when pausing/resuming bucket.",
           "deletion": "Cannot rebalance during the bucket deletion."}


def flag(name: str) -> Refused:
    """{"mismatch":1} and its kin."""
    return Refused(as_json({name: 1}, 400))


def read_parameters(ctx: Context) -> Form:
    """Known keys; topology[...] only where the server has it."""
    form = ctx.raw_form()
    topology = [name for name in form.names() if name.startswith("topology")]
    if not (ctx.profile.since80 and ctx.profile.enterprise):
        topology = []
    for name in topology:
        if not (name.startswith("topology[") and name.endswith("]")):
            raise refuse(400, f"Malformed topology parameter \"{name}\"")
        if len(form.many(name)) > 1:
            raise refuse(400, "Duplicate topology parameters")
    plain = ["knownNodes", "ejectedNodes", "deltaRecoveryBuckets"]
    if ctx.profile.enterprise:
        plain += expected_keys(ctx)
    found = form.problems(plain + topology)
    if found:  # services= belongs to other profiles, planUUID to a plan nobody made here
        raise Refused(errors(found))
    return form


def busy(ctx: Context, reason: str) -> Refused:
    """503: an object since 7.6 (its value perhaps as character codes), text before."""
    if not ctx.profile.since76:
        return refuse(503, BUSY_72[reason])
    value: Any = BUSY[reason]
    if ctx.world.error_as_codes:
        value = [[ord(letter) for letter in value]]
    return Refused(as_json({"error": value}, 503))


def topology_of(ctx: Context, form: Form, keep: List[str]) -> Dict[str, List[str]]:
    """topology[service]=otp,otp, checked."""
    cluster = ctx.cluster
    wanted: Dict[str, List[str]] = {}
    for name in form.names():
        if not name.startswith("topology["):
            continue
        service = name[len("topology["):-1]
        if service not in KNOWN_SERVICES:
            raise refuse(400, f"Unknown service \"{service}\"")
        if service == "kv":
            raise refuse(400, "Cannot change topology for data service")
        strange = [otp for otp in form.listed(name) if otp not in keep]
        if strange:
            raise refuse(400, f"Unknown or ejected nodes {json.dumps(strange)}")
        wanted[service] = form.listed(name)
    if wanted and cluster.with_state("inactiveFailed"):
        raise refuse(400, "Service topology change is not possible if some nodes are failed over")
    if wanted and any(m.recovery == "delta" for m in cluster.members.values()):
        raise refuse(400, "Service topology change is incompatible with delta recovery")
    return wanted


def check_nodes(cluster: Cluster, known: List[str], eject: List[str]) -> List[str]:
    """knownNodes has to be the exact list of members; gives the nodes that stay."""
    if len(set(known)) != len(known) or set(known) != set(cluster.members):
        raise flag("mismatch")
    if not set(eject) <= set(known):
        raise flag("mismatch")
    keep = [otp for otp in known if otp not in eject
            and cluster.members[otp].membership != "inactiveFailed"]
    if not keep:
        raise refuse(400, "No active nodes left")
    if not any(cluster.members[otp].has_kv for otp in keep):
        raise flag("noKVNodesLeft")
    return keep


def check_delta(ctx: Context, form: Form, eject: List[str]) -> None:
    """An explicit list of buckets makes delta recovery a must."""
    if "deltaRecoveryBuckets" not in form:
        return
    names = form.listed("deltaRecoveryBuckets")
    wanted = [m.otp for m in ctx.cluster.with_state("inactiveAdded") if m.recovery == "delta"]
    able = effects.delta_nodes(ctx.cluster, eject)
    strange = [name for name in names if name not in ctx.cluster.buckets]
    if names and (strange or not wanted or set(able) != set(wanted)):
        raise flag("deltaRecoveryNotPossible")


def check_ready(ctx: Context, keep: List[str]) -> str:
    """Leader, unfinished failover, reach of the kept nodes; gives the master."""
    cluster = ctx.cluster
    if cluster.unfinished:
        raise refuse(503, f"Unfinished failover of nodes {effects.atoms(cluster.unfinished)} "
                          "was found.")
    ctx.need_leader()
    assert cluster.orchestrator is not None
    leader = cluster.members[cluster.orchestrator].host
    silent = cluster.unreachable(leader, keep)
    if silent:
        raise refuse(503, f"Cannot contact the following nodes: {effects.atoms(silent)}")
    return cluster.orchestrator


def apply_topology(cluster: Cluster, wanted: Dict[str, List[str]]) -> None:
    """Gives and takes services; the rebalance then settles them."""
    for service, names in wanted.items():
        for member in cluster.members.values():
            has, shall = service in member.services, member.otp in names
            if shall and not has:
                member.services.append(service)
            elif has and not shall:
                member.services.remove(service)


@route("POST", "/controller/rebalance", WRITE)
def rebalance(ctx: Context) -> Reply:
    """Asynchronous. While one runs, a 200 without a body says that nothing was started."""
    form, cluster = read_parameters(ctx), ctx.cluster
    known, eject = form.listed("knownNodes"), form.listed("ejectedNodes")
    if not known:
        raise flag("empty_known_nodes")
    if any(otp not in cluster.known for otp in known + eject):
        raise flag("mismatch")
    running = running_answer(ctx)
    if running is not None:
        return running
    if any(key in form for key in EXPECTED):
        check_expected(ctx, form)
    keep = check_nodes(cluster, known, eject)
    wanted = topology_of(ctx, form, keep)
    check_delta(ctx, form, eject)
    master = check_ready(ctx, keep)
    apply_topology(cluster, wanted)
    op = operation.begin(cluster, operation.new_rebalance(cluster, master, eject))
    return as_json({"rebalance_id": op.ident}) if ctx.profile.since76 else empty()


def running_answer(ctx: Context) -> Optional[Reply]:
    """What comes when something else is under way."""
    op = ctx.cluster.op
    if op is not None and op.kind in ("rebalance", "gracefulFailover"):
        return empty()
    if op is not None:  # the facts give no text for a hard failover; this shape is theirs
        if not ctx.profile.since76:
            raise refuse(503, "Cannot rebalance when failover is running.")
        raise Refused(as_json({"error": "Cannot rebalance when failover is running"}, 503))
    reason = ctx.cluster.busy_reason()
    if reason:
        raise busy(ctx, reason)
    return None
