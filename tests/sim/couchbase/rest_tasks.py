"""Tasks, progress, reports, and the retry of failed rebalances."""
from __future__ import annotations

import asyncio
import re
from typing import Any, Dict, List

from . import effects
from .cluster import Cluster
from .forms import Checker, Form
from .model import Bucket
from .operation import Operation
from .router import SETTINGS, WRITE, Context, route
from .wire import Refused, Reply, as_json, empty, errors, not_found

ORDER = ("recovery", "orphanBucket", "rebalance", "xdcr", "indexer")
COMPACTIONS = ("bucket_compaction", "view_compaction")


def rank(task: Dict[str, Any]) -> int:
    """Place in the list: the order of the facts."""
    kind = task["type"]
    if kind in ORDER:
        return ORDER.index(kind)
    return len(ORDER) if kind in COMPACTIONS else len(ORDER) + 1


def traffic(cluster: Cluster, op: Operation, bucket: Bucket, share: float) -> Dict[str, Any]:
    """detailedProgress.perNode."""
    rows = {}
    for otp in sorted(set(op.participants) & set(cluster.members)):
        row = {"docsTotal": bucket.items, "docsTransferred": int(bucket.items * share),
               "activeVBucketsLeft": int(bucket.vbuckets * (1 - share)),
               "replicaVBucketsLeft": int(bucket.vbuckets * bucket.replicas * (1 - share))}
        rows[otp] = {"ingoing": row, "outgoing": dict(row)}
    return rows


def detailed(cluster: Cluster, op: Operation) -> Dict[str, Any]:
    """detailedProgress; nothing at the beginning, and for operations that move no data."""
    buckets = effects.data_buckets(cluster)
    if not buckets or op.kind not in ("rebalance", "gracefulFailover") or op.share < 0.02:
        return {}
    number = min(len(buckets) - 1, int(op.share * len(buckets)))
    bucket = buckets[number]
    return {"bucket": bucket.name, "bucketNumber": number + 1, "bucketsCount": len(buckets),
            "perNode": traffic(cluster, op, bucket, op.bucket_share(number, len(buckets)))}


def shown_nodes(cluster: Cluster, op: Operation) -> List[str]:
    """Nodes whose progress is reported."""
    names = set(op.participants or op.nodes["active_nodes"]) | set(op.nodes["eject_nodes"])
    return sorted(names & set(cluster.members))


def running_task(cluster: Cluster, op: Operation) -> Dict[str, Any]:
    """The rebalance entry while something runs."""
    nodes = {o: {"progress": round(100 * effects.node_share(op, o), 2)}
             for o in shown_nodes(cluster, op)}
    return {"statusId": cluster.status.ident, "type": "rebalance", "subtype": op.kind,
            "recommendedRefreshPeriod": 0.25, "status": "running",
            "progress": round(op.share * 100, 2), "perNode": nodes,
            "detailedProgress": detailed(cluster, op),
            "stageInfo": effects.stage_info(cluster, op), "rebalanceId": op.ident,
            "nodesInfo": op.nodes, "masterNode": op.master}


def idle_task(cluster: Cluster, stale: bool = False, timed_out: bool = False) -> Dict[str, Any]:
    """The rebalance entry while nothing runs, or nothing is known."""
    status = cluster.status
    task: Dict[str, Any] = {
        "statusId": status.ident, "type": "rebalance", "subtype": status.kind,
        "status": "notRunning", "statusIsStale": stale, "masterRequestTimedOut": timed_out}
    if status.message and not stale and not timed_out:
        task["errorMessage"] = status.message
    if cluster.journal.last_report and not stale and not timed_out:
        task["lastReportURI"] = f"/logs/rebalanceReport?reportID={cluster.journal.last_report}"
    return task


async def rebalance_task(ctx: Context, timeout_ms: int) -> Dict[str, Any]:
    """The entry as the answering node can know it."""
    cluster, op = ctx.cluster, ctx.cluster.op
    if op is None or op.master not in cluster.members:
        return idle_task(cluster)
    master = cluster.members[op.master].host
    if cluster.reaches(ctx.host, master):
        return running_task(cluster, op)
    if master.process != "frozen" or master.side != ctx.host.side:
        return idle_task(cluster, stale=True)
    # The orchestrator accepts and does not answer: the real time-out of the request runs.
    try:
        await asyncio.wait_for(
            ctx.until(lambda: cluster.op is not op or cluster.reaches(ctx.host, master)),
            timeout_ms / 1000)
    except asyncio.TimeoutError:
        return idle_task(cluster, timed_out=True)
    now = ctx.cluster.op
    return running_task(cluster, now) if now is not None else idle_task(cluster)


def compaction_tasks(cluster: Cluster) -> List[Dict[str, Any]]:
    """Manual compactions under way."""
    now, rows = cluster.world.clock.now, []
    for job in cluster.compactions:
        share = 1 - (job["until"] - now) / job["takes"] if job["takes"] else 1.0
        rows.append({"type": job["type"], "bucket": job["bucket"], "status": "running",
                     "changesDone": int(share * 1000), "totalChanges": 1000,
                     "progress": int(share * 100), "cancelURI": job["cancel"]})
    return rows


@route("GET", "/pools/default/tasks", query=("rebalanceStatusTimeout", "taskId", "v"))
async def tasks(ctx: Context) -> Reply:
    """The task list; exactly one entry is of type rebalance, and not always the first."""
    value = ctx.query.one("rebalanceStatusTimeout") or "10000"
    if not re.match(r"[0-9]{1,9}\Z", value) or not 1000 <= int(value) <= 120000:
        raise Refused(errors({"rebalanceStatusTimeout":
                              "The value must be in range from 1000 to 120000 (inclusive)"}))
    wanted = ctx.query.one("taskId")
    if wanted is not None and not ctx.profile.since76:
        raise Refused(errors({"taskId": "Unsupported key"}))
    rows = [await rebalance_task(ctx, int(value))]
    rows += compaction_tasks(ctx.cluster) + ctx.cluster.extra_tasks
    rows.sort(key=rank)
    if wanted is not None:
        rows = [row for row in rows if row.get("task_id") == wanted]
        if not rows:
            return not_found()
    return as_json(rows)


@route("GET", "/pools/default/rebalanceProgress")
def progress(ctx: Context) -> Reply:
    """Fractions 0..1, unlike the task list."""
    cluster, op = ctx.cluster, ctx.cluster.op
    if op is None:
        answer: Dict[str, Any] = {"status": "none"}
        if cluster.status.message:
            answer["errorMessage"] = cluster.status.message
        return as_json(answer)
    if cluster.unreachable(ctx.host, [op.master]):
        return as_json({"error": "timeout"}, 503)
    rows = {o: {"progress": effects.node_share(op, o)} for o in shown_nodes(cluster, op)}
    return as_json({"status": "running", **rows})


@route("GET", "/pools/default/currentRebalanceReport", since=(7, 6))
def current_report(ctx: Context) -> Reply:
    """The report of the running operation."""
    op, clock = ctx.cluster.op, ctx.world.clock
    if op is None:
        return as_json({"is_rebalancing": False})
    return as_json({"stageInfo": effects.stage_info(ctx.cluster, op), "rebalanceId": op.ident,
                    "nodesInfo": op.nodes, "masterNode": op.master,
                    "startTime": clock.iso(op.started), "reportingTime": clock.iso(),
                    "timeTaken": int((clock.now - op.started) * 1000)})


@route("GET", "/logs/rebalanceReport", query=("reportID",))
def report(ctx: Context) -> Reply:
    """The report of a finished operation."""
    ident = ctx.query.one("reportID")
    if ident is None:
        raise Refused(errors({"reportID": "The value must be supplied"}))
    if len(ident) != 32:
        raise Refused(errors({"reportID": "Length must be in range from 32 to 32"}))
    return as_json(ctx.cluster.journal.reports.get(ident, {"error": "enoent"}))


@route("GET", "/settings/retryRebalance", enterprise=True)
def retry_settings(ctx: Context) -> Reply:
    """Retry of failed rebalances."""
    return as_json(ctx.cluster.settings["retryRebalance"])


@route("POST", "/settings/retryRebalance", SETTINGS, enterprise=True, validates=True)
def set_retry(ctx: Context) -> Reply:
    """Answers the new settings."""
    ctx.need_leader()
    check = Checker(ctx.raw_form(), ("enabled", "afterTimePeriod", "maxAttempts"))
    check.require("enabled")
    old = ctx.cluster.settings["retryRebalance"]
    new = {"enabled": check.boolean("enabled", old["enabled"]),
           "afterTimePeriod": check.integer("afterTimePeriod", 5, 3600, old["afterTimePeriod"]),
           "maxAttempts": check.integer("maxAttempts", 1, 3, old["maxAttempts"])}
    check.done()
    if ctx.validate_only:
        return errors({}, 200)
    ctx.cluster.settings["retryRebalance"] = new
    return as_json(new)


@route("GET", "/pools/default/pendingRetryRebalance", enterprise=True)
def pending_retry(ctx: Context) -> Reply:
    """The retry that waits for its time."""
    retry = ctx.cluster.retry
    if retry is None or ctx.cluster.op is not None:
        return as_json({"retry_rebalance": "not_pending"})
    kind = "rebalance" if retry["kind"] == "rebalance" else "graceful_failover"
    return as_json({"retry_rebalance": "pending", "rebalance_id": retry["id"], "type": kind,
                    "attempts_remaining": retry["attempts"],
                    "retry_after_secs": int(max(0.0, retry["at"] - ctx.world.clock.now)),
                    "known_nodes": retry["known"], "eject_nodes": retry["eject"],
                    "delta_recovery_buckets": "all"})


@route("POST", "/controller/cancelRebalanceRetry/{ident}", WRITE, enterprise=True)
def cancel_retry(ctx: Context) -> Reply:
    """200 always."""
    ctx.form()
    retry = ctx.cluster.retry
    if retry is not None and retry["id"] == ctx.args["ident"]:
        ctx.cluster.retry = None
    return empty()


@route("GET", "/settings/rebalance")
def rebalance_settings(ctx: Context) -> Reply:
    """Parallel moves."""
    return as_json(ctx.cluster.settings["rebalance"])


@route("POST", "/settings/rebalance", SETTINGS, validates=True)
def set_rebalance(ctx: Context) -> Reply:
    """rebalanceMovesPerNode 1..64."""
    ctx.need_leader()
    form: Form = ctx.raw_form()
    check = Checker(form, ("rebalanceMovesPerNode",))
    check.require("rebalanceMovesPerNode")
    moves = check.integer("rebalanceMovesPerNode", 1, 64)
    check.done()
    if ctx.validate_only:
        return errors({}, 200)
    ctx.cluster.settings["rebalance"] = {"rebalanceMovesPerNode": moves}
    return empty()
