"""Failover, hard and graceful, recovery, and stopping."""
from __future__ import annotations

import json
from typing import Dict, List, Optional

from . import operation
from .cluster import Cluster
from .effects import atoms
from .forms import Form
from .router import WRITE, Context, route
from .wire import Refused, Reply, as_json, empty, errors, text

NO_QUORUM = "Cannot safely perform a failover at the moment"
EXPECTED = {"activeNodes": "active", "inactiveFailedNodes": "inactiveFailed",
            "inactiveAddedNodes": "inactiveAdded"}
BUSY_FAILOVER = {"recovery": "Cannot failover when cluster is in recovery mode",
                 "pausing": "Cannot failover when pausing/resuming bucket",
                 "deletion": "Cannot failover during the bucket deletion"}
STOP_UNSAFE = ("Cannot communicate to the orchestrator node. Stopping rebalance is unsafe. This "
               "can be overriden by passing allowUnsafe=true in the POST form.")


def refuse(status: int, sentence: str) -> Refused:
    """A text/plain refusal."""
    return Refused(text(status, sentence))


def expected_keys(ctx: Context) -> List[str]:
    """Names of the topology guard. A node that runs 8.0 knows them even in an older cluster."""
    knows = ctx.profile.since80 or ctx.host.version.startswith("8.")
    return list(EXPECTED) if knows else []


def check_expected(ctx: Context, form: Form) -> None:
    """The guard of 8.0. A list left out of a guard that is used counts as empty: the facts do
    not say, and a client that sends a part of it would not notice the rest changing."""
    used = [key for key in EXPECTED if key in form]
    if not used:
        return
    if not ctx.profile.since80:
        raise refuse(400, "Cannot use expected topology in pre-7.9 cluster")
    given = {key: form.listed(key) for key in EXPECTED}
    unknown = [o for names in given.values() for o in names if o not in ctx.cluster.known]
    if unknown:
        raise refuse(400, f"Unknown servers given: {json.dumps(unknown)}")
    for key, state in EXPECTED.items():
        if sorted(given[key]) != sorted(m.otp for m in ctx.cluster.with_state(state)):
            raise refuse(400, "Expected topology mismatch")


def allow_unsafe(form: Form) -> bool:
    """allowUnsafe, default false."""
    value = form.one("allowUnsafe")
    if value not in (None, "true", "false"):
        raise Refused(errors({"allowUnsafe":
                              "The value must be one of the following: [true,false]"}))
    return value == "true"


def targets_of(ctx: Context, form: Form) -> List[str]:
    """otpNode, repeated; names nobody ever saw are refused at once."""
    given = list(dict.fromkeys(form.many("otpNode")))
    if not given or given == [""]:
        raise refuse(400, "No server specified.")
    unknown = [otp for otp in given if otp not in ctx.cluster.known]
    if unknown:
        raise refuse(400, f"Unknown server given {json.dumps(unknown)}")
    return given


def check_busy(ctx: Context, unsafe: bool = False) -> None:
    """Nothing else may run. An unsafe failover goes over an operation whose master is lost."""
    cluster, op = ctx.cluster, ctx.cluster.op
    if op is not None:
        if not unsafe or not cluster.unreachable(ctx.host, {op.master} & set(cluster.members)):
            raise refuse(503, "Cannot failover during rebalance")
        operation.finish(cluster, op, "failed", "orchestrator_lost")
    reason = cluster.busy_reason()
    if reason:
        raise refuse(503, BUSY_FAILOVER[reason])


def check_quorum(ctx: Context) -> None:
    """The safe way needs a leader with a majority behind it. While the next one is still
    being found (a majority is there), the answer is the temporary error."""
    cluster = ctx.cluster
    if cluster.seen_orchestrator(ctx.host) is None:
        if cluster.has_quorum(ctx.host):
            ctx.need_leader()
        raise refuse(504, NO_QUORUM)
    if cluster.unfinished:
        raise refuse(504, NO_QUORUM)


def check_unsafe(ctx: Context, targets: List[str]) -> None:
    """The unsafe way needs only survivors, and the whole of an earlier attempt."""
    cluster = ctx.cluster
    missing = [o for o in cluster.unfinished if o not in targets]
    if missing:
        hosts = ", ".join(cluster.members[o].host.hostname for o in cluster.unfinished)
        raise refuse(400, f"Failover must include the following nodes: {hosts}.")
    if ctx.host.otp in targets:
        raise refuse(400, f"{ctx.host.otp} which is orchestrating the failover must be one of "
                          "the nodes that survive the failover")
    survivors = [m.otp for m in cluster.with_state("active") if m.otp not in targets]
    silent = cluster.unreachable(ctx.host, survivors)
    if silent:
        raise refuse(503, f"Failover could not be processed on nodes {atoms(silent)}")


def check_targets(cluster: Cluster, targets: List[str], unsafe: bool) -> None:
    """Membership; the last Data Service node is looked at first."""
    if not cluster.active_kv(but=targets):
        raise refuse(400, "Last active node cannot be failed over.")
    if cluster.profile.since76:
        for bucket in cluster.buckets.values():
            if bucket.servers and set(bucket.servers) <= set(targets):
                raise refuse(400, f"Last server for bucket \"{bucket.name}\" cannot be failed "
                                  "over.")
    if any(otp not in cluster.members for otp in targets):
        raise refuse(400, "Unknown server given.")
    if not unsafe and any(cluster.members[o].membership != "active" for o in targets):
        raise refuse(400, "Inactive server given.")


@route("POST", "/controller/startGracefulFailover", WRITE)
def start_graceful(ctx: Context) -> Reply:
    """Asynchronous. The server does not look at the health of the targets."""
    form = ctx.form(*expected_keys(ctx), repeatable=("otpNode",))
    targets = targets_of(ctx, form)
    check_quorum(ctx)
    check_busy(ctx)
    check_expected(ctx, form)
    cluster = ctx.cluster
    check_targets(cluster, targets, unsafe=False)
    if any(not cluster.members[o].has_kv for o in targets):
        raise refuse(400, "Failover cannot be done gracefully for a node without data service. "
                          "Use hard failover.")
    if cluster.graceful_loses(targets):
        raise refuse(400, "Failover cannot be done gracefully (would lose vbuckets).")
    assert cluster.orchestrator is not None
    operation.begin(cluster, operation.new_graceful(cluster, cluster.orchestrator, targets))
    return empty()


def start_hard(ctx: Context) -> operation.Operation:
    """What failOver and startFailover have in common."""
    form = ctx.form("allowUnsafe", *expected_keys(ctx), repeatable=("otpNode",))
    targets = targets_of(ctx, form)
    unsafe = allow_unsafe(form)
    cluster = ctx.cluster
    if unsafe:
        check_busy(ctx, unsafe=True)
        check_unsafe(ctx, targets)
    else:
        check_quorum(ctx)
        check_busy(ctx)
    check_expected(ctx, form)
    check_targets(cluster, targets, unsafe)
    master = ctx.host.otp if unsafe else cluster.orchestrator
    assert master is not None
    return operation.begin(cluster, operation.new_failover(cluster, master, targets, unsafe))


@route("POST", "/controller/failOver", WRITE)
async def failover(ctx: Context) -> Reply:
    """Synchronous: answers when the failover is done."""
    op = start_hard(ctx)
    await ctx.until(lambda: op.outcome is not None)
    if op.outcome == "completed":
        return empty()
    if op.outcome in ("stopped", "interrupted"):
        return text(409, "Stopped by user.")
    if op.fail_answer is not None:
        return text(*op.fail_answer)
    return as_json(["Unexpected server error, request logged."], 500)


@route("POST", "/controller/startFailover", WRITE)
def start_failover(ctx: Context) -> Reply:
    """Asynchronous: answers at once."""
    start_hard(ctx)
    return empty()


# --- recovery ------------------------------------------------------------------------------------


def recover(ctx: Context, otp: Optional[str], kind: Optional[str]) -> Reply:
    """Marks a failed-over node to come back at the next rebalance."""
    member = ctx.cluster.members.get(otp or "")
    wrong: Dict[str, str] = {}
    if kind not in ("delta", "full"):
        wrong["recoveryType"] = "recovery type must be either 'delta' or 'full'"
    legal = member is not None and (
        member.membership == "inactiveFailed"
        or (member.membership == "inactiveAdded" and member.recovery != "none"))
    able = member is not None and bool({"kv", "index"} & set(member.services))
    if not legal or (kind == "delta" and not able):
        wrong["otpNode"] = "invalid node name or node can't be used for delta recovery"
    if wrong or member is None:
        return as_json(wrong, 400)
    ctx.need_leader()
    member.membership, member.recovery = "inactiveAdded", kind or "full"
    ctx.cluster.touched()
    return as_json([])


@route("POST", "/controller/setRecoveryType", WRITE)
def set_recovery(ctx: Context) -> Reply:
    """full or delta."""
    form = ctx.form("otpNode", "recoveryType")
    return recover(ctx, form.one("otpNode"), form.one("recoveryType"))


@route("POST", "/controller/reAddNode", WRITE)
def re_add(ctx: Context) -> Reply:
    """setRecoveryType with full."""
    return recover(ctx, ctx.form("otpNode").one("otpNode"), "full")


@route("POST", "/controller/reFailOver", WRITE)
def re_failover(ctx: Context) -> Reply:
    """Undoes setRecoveryType; the refusal has no body."""
    member = ctx.cluster.members.get(ctx.form("otpNode").one("otpNode") or "")
    if member is None or member.membership != "inactiveAdded" or member.recovery == "none":
        return empty(400)
    ctx.need_leader()
    member.membership, member.recovery = "inactiveFailed", "none"
    ctx.cluster.touched()
    return empty()


# --- stopping ------------------------------------------------------------------------------------


@route("POST", "/controller/stopRebalance", WRITE)
def stop_rebalance(ctx: Context) -> Reply:
    """200 even if nothing runs; the stop itself takes its time."""
    unsafe = allow_unsafe(ctx.form("allowUnsafe"))
    cluster, op = ctx.cluster, ctx.cluster.op
    if op is None:
        if cluster.seen_orchestrator(ctx.host) is None and not unsafe:
            raise refuse(504, STOP_UNSAFE)
        return empty()
    if cluster.unreachable(ctx.host, [o for o in [op.master] if o in cluster.members]):
        if not unsafe:
            raise refuse(504, STOP_UNSAFE)
        operation.finish(cluster, op, "stopped")
        return empty()
    if op.stop_at is None:
        op.stop_at = ctx.world.clock.now + ctx.world.timing.stop
    return empty()
