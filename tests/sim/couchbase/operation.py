"""Operations that take time: rebalance, graceful, hard and automatic failover."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Set, Tuple

from . import effects
from .vbmap import Chain

if TYPE_CHECKING:
    from .cluster import Cluster
    from .model import Host

LABEL = {"rebalance": "Rebalance", "gracefulFailover": "Graceful failover",
         "failover": "Failover", "service_upgrade": "Service upgrade"}
COUNTER = {"rebalance": "rebalance", "gracefulFailover": "graceful_failover",
           "failover": "failover", "service_upgrade": "service_upgrade"}
# event ids: initiated, completed, failed, interrupted
EVENTS = {"rebalance": (2, 3, 4, 5), "gracefulFailover": (6, 7, 8, 9),
          "failover": (10, 11, 12, 13), "auto": (14, 15, 16, 16),
          "service_upgrade": (2, 3, 4, 5)}
OUTCOME_PLACE = {"completed": 1, "failed": 2, "stopped": 3, "interrupted": 3}
COUNTER_SUFFIX = {"completed": "success", "failed": "fail", "stopped": "stop",
                  "interrupted": "stop"}


@dataclass
class Status:
    """The rebalance entry of the task list when nothing runs."""

    ident: str
    kind: str = "rebalance"
    message: Optional[str] = None

    def settle(self, ident: str, kind: Optional[str] = None, message: Optional[str] = None) -> None:
        """A status change: it always brings a new id and forgets the old message."""
        self.ident = ident
        self.kind = kind or self.kind
        self.message = message


@dataclass
class Operation:
    """One operation under way, or just finished."""

    kind: str
    ident: str
    master: str
    started: float
    duration: float
    nodes: Dict[str, List[str]]
    targets: List[str] = field(default_factory=list)  # failover victims, ejected nodes
    auto: bool = False
    unsafe: bool = False
    reason: str = ""                  # of an automatic failover
    participants: List[str] = field(default_factory=list)
    share: float = 0.0
    seen: float = 0.0                 # virtual time of the last progress
    stop_at: Optional[float] = None
    interrupted_by: List[str] = field(default_factory=list)
    fail_at: Optional[float] = None
    fail_reason: str = "bulk_set_vbucket_state_failed"
    fail_answer: Optional[Tuple[int, str]] = None
    outcome: Optional[str] = None     # completed | failed | stopped | interrupted
    completed: float = 0.0
    old_maps: Dict[str, List[Chain]] = field(default_factory=dict)
    old_servers: Dict[str, List[str]] = field(default_factory=dict)
    delta: Set[str] = field(default_factory=set)
    retry_of: Optional[Dict[str, Any]] = None

    @property
    def events(self) -> Tuple[int, int, int, int]:
        """Event ids: initiated, completed, failed, interrupted."""
        return EVENTS["auto" if self.auto else self.kind]

    def bucket_share(self, number: int, total: int) -> float:
        """How far bucket `number` of `total` is; one is moved after the other."""
        return min(1.0, max(0.0, self.share * total - number))


def nodes_info(cluster: "Cluster", eject: List[str], delta: List[str],
               failed: List[str]) -> Dict[str, List[str]]:
    """nodesInfo as tasks, reports and events carry it."""
    keep = sorted(set(cluster.members) - set(eject) - set(failed))
    active = sorted(m.otp for m in cluster.with_state("active"))
    return {"active_nodes": active, "keep_nodes": keep, "eject_nodes": sorted(eject),
            "delta_nodes": sorted(delta), "failed_nodes": sorted(failed)}


def begin(cluster: "Cluster", op: Operation) -> Operation:
    """Makes an operation the running one and records that it began."""
    ordered = [o for o in cluster.next_operation if o.get("operation") in (op.kind, None)]
    if ordered:
        cluster.next_operation.remove(ordered[0])
        op.fail_at = float(ordered[0].get("failAt", 0.5))
        op.fail_reason = str(ordered[0].get("reason", op.fail_reason))
        if "answer" in ordered[0]:
            op.fail_answer = (int(ordered[0]["answer"][0]), str(ordered[0]["answer"][1]))
    op.old_maps = {b.name: b.chains for b in cluster.buckets.values()}
    op.old_servers = {b.name: list(b.servers) for b in cluster.buckets.values()}
    op.seen = cluster.world.clock.now
    cluster.op = op
    cluster.retry = None if op.retry_of is None else cluster.retry
    cluster.status.settle(cluster.world.hex(32), op.kind)
    bump(cluster, COUNTER[op.kind] + "_start")
    record(cluster, op, 0, {})
    cluster.journal.log(op.master, "info", "ns_orchestrator", 0,
                        f"Starting {LABEL[op.kind].lower()}. Operation Id = {op.ident}")
    effects.on_start(cluster, op)
    cluster.touched()
    return op


def bump(cluster: "Cluster", key: str) -> None:
    """Counts something that happened."""
    cluster.counters[key] = cluster.counters.get(key, 0) + 1


def record(cluster: "Cluster", op: Operation, place: int, extra: Dict[str, Any]) -> None:
    """The event of a start or an end."""
    member = cluster.members.get(op.master)
    hostname = member.host.hostname if member else op.master.partition("@")[2] + ":0"
    details = {"operation_id": op.ident, "nodes_info": op.nodes, **extra}
    cluster.journal.event(op.events[place], op.master, hostname, details)


def advance(cluster: "Cluster", op: Operation) -> None:
    """Moves the running operation on by the time that has passed."""
    clock = cluster.world.clock
    passed, op.seen = clock.now - op.seen, clock.now
    master = cluster.members.get(op.master)
    if master is None or cluster.orchestrator not in (op.master, None) and not op.unsafe:
        finish(cluster, op, "failed", "orchestrator_changed")
        return
    if master.host.process != "up":
        if op.unsafe:  # nobody takes an unsafe failover over: it stays unfinished
            finish(cluster, op, "failed", "orchestrator_died")
        return
    if not op.unsafe and not cluster.has_quorum(master.host):
        op.fail_answer = op.fail_answer or (
            500, "Cannot safely perform a failover at the moment")
        finish(cluster, op, "failed", "quorum_lost")
        return
    if op.stop_at is not None and clock.now >= op.stop_at:
        finish(cluster, op, "interrupted" if op.interrupted_by else "stopped")
        return
    gone = cluster.unreachable(master.host, [o for o in op.participants if o in cluster.members])
    if gone:
        if any(given_up(cluster, master.host, cluster.members[otp].host) for otp in gone):
            finish(cluster, op, "failed", f"{{badmatch,{{nodes_down,{effects.atoms(gone)}}}}}")
        return
    op.share = min(1.0, op.share + passed / op.duration if op.duration > 0 else 1.0)
    effects.move(cluster, op)
    if op.fail_at is not None and op.share >= op.fail_at:
        finish(cluster, op, "failed", op.fail_reason)
    elif op.share >= 1.0:
        finish(cluster, op, "completed")


def given_up(cluster: "Cluster", master: "Host", lost: "Host") -> bool:
    """A dead process closes its connections; a frozen or cut off one leaves the operation
    hanging for long, so that automatic failover may come first."""
    timing = cluster.world.timing
    patience = timing.heartbeat if lost.process == "killed" else timing.stall
    return cluster.silent_for(master, lost) >= patience


def message_of(op: Operation, outcome: str, reason: str) -> str:
    """completionMessage of a report."""
    label = LABEL[op.kind]
    if outcome == "completed":
        return f"{label} completed successfully."
    if outcome == "stopped":
        return f"{label} stopped by user."
    if outcome == "interrupted":
        nodes = effects.atoms(op.interrupted_by)
        return f"{label} interrupted due to auto-failover of nodes {nodes}."
    return f"{label} exited with reason {reason}"


def finish(cluster: "Cluster", op: Operation, outcome: str, reason: str = "") -> None:
    """Ends the operation: effects, report, event, log, counters, and a new status id."""
    clock = cluster.world.clock
    op.outcome, op.completed = outcome, clock.now
    cluster.op = None
    effects.on_end(cluster, op, outcome)
    message = message_of(op, outcome, reason)
    taken = int((clock.now - op.started) * 1000)
    report = {"stageInfo": effects.stage_info(cluster, op), "rebalanceId": op.ident,
              "nodesInfo": op.nodes, "masterNode": op.master, "startTime": clock.iso(op.started),
              "completedTime": clock.iso(), "timeTaken": taken, "completionMessage": message}
    cluster.journal.report(report)
    record(cluster, op, OUTCOME_PLACE[outcome],
           {"completion_message": message, "time_taken": taken})
    kind = "info" if outcome == "completed" else "critical"
    cluster.journal.log(op.master, kind, "ns_orchestrator", 0,
                        f"{message}\nOperation Id = {op.ident}")
    failed = f"{LABEL[op.kind]} failed. See logs for detailed reason. You can try again."
    cluster.status.settle(cluster.world.hex(32), op.kind, failed if outcome == "failed" else None)
    count_end(cluster, op, outcome)
    after_end(cluster, op, outcome)
    cluster.touched()


def count_end(cluster: "Cluster", op: Operation, outcome: str) -> None:
    """Counters in /pools/default."""
    if op.kind != "failover":
        bump(cluster, f"{COUNTER[op.kind]}_{COUNTER_SUFFIX[outcome]}")
    elif outcome == "completed":
        bump(cluster, "failover")
        bump(cluster, "failover_complete")
        if op.unsafe:
            bump(cluster, "quorum_failover_success")
    else:
        bump(cluster, "failover_incomplete" if op.unsafe else "failover_failed")


def after_end(cluster: "Cluster", op: Operation, outcome: str) -> None:
    """Auto-failover counter, and the retry of failed rebalances."""
    if op.kind == "rebalance" and outcome == "completed":
        cluster.settings["autoFailover"]["count"] = 0
    previous, cluster.retry = cluster.retry, None
    settings = cluster.settings["retryRebalance"]
    if outcome != "failed" or op.kind not in ("rebalance", "gracefulFailover"):
        return
    left = settings["maxAttempts"]
    if op.retry_of is not None and previous is not None:
        left = previous["attempts"] - 1
    if settings["enabled"] and cluster.profile.enterprise and left > 0:
        known = sorted(cluster.members)
        cluster.retry = {
            "id": op.ident, "kind": op.kind, "attempts": left, "known": known,
            "eject": [o for o in op.nodes["eject_nodes"] if o in cluster.members],
            "targets": op.targets, "at": cluster.world.clock.now + settings["afterTimePeriod"]}


def start_retry(cluster: "Cluster", retry: Dict[str, Any]) -> None:
    """Tries a failed operation again, under the id it had."""
    leader = cluster.leader_host()
    if leader is None or not cluster.leads(leader):
        return
    if retry["known"] != sorted(cluster.members):
        cluster.retry = None
        return
    if retry["kind"] == "rebalance":
        op = new_rebalance(cluster, leader.otp, retry["eject"])
    else:
        op = new_graceful(cluster, leader.otp, retry["targets"])
    op.ident, op.retry_of = retry["id"], retry
    begin(cluster, op)


def new_rebalance(cluster: "Cluster", master: str, eject: List[str]) -> Operation:
    """A rebalance over all members but the ejected and the failed ones."""
    failed = [m.otp for m in cluster.with_state("inactiveFailed")]
    delta = effects.delta_nodes(cluster, eject)
    timing = cluster.world.timing
    nodes = nodes_info(cluster, [o for o in eject if o not in failed], delta, failed)
    duration = timing.rebalance / 4 if delta else timing.rebalance
    op = Operation("rebalance", cluster.world.hex(32), master, cluster.world.clock.now, duration,
                   nodes, list(eject))
    moved = [o for o in nodes["eject_nodes"] if cluster.members[o].has_kv]
    op.participants = nodes["keep_nodes"] + moved
    op.delta = set(delta)
    return op


def new_graceful(cluster: "Cluster", master: str, targets: List[str]) -> Operation:
    """A graceful failover; it needs the targets and the other Data Service nodes alive."""
    op = Operation("gracefulFailover", cluster.world.hex(32), master, cluster.world.clock.now,
                   cluster.world.timing.graceful, nodes_info(cluster, [], [], list(targets)),
                   list(targets))
    op.participants = sorted(set(cluster.active_kv()) | set(targets))
    return op


def new_failover(cluster: "Cluster", master: str, targets: List[str], unsafe: bool) -> Operation:
    """A hard failover; the survivors have to be there, the victims need not."""
    op = Operation("failover", cluster.world.hex(32), master, cluster.world.clock.now,
                   cluster.world.timing.failover, nodes_info(cluster, [], [], list(targets)),
                   list(targets), unsafe=unsafe)
    return op
