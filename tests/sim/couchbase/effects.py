"""What operations do to membership and vBucket maps, at the start, on the way and at the end."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Iterable, List

from . import vbmap

if TYPE_CHECKING:
    from .cluster import Cluster
    from .model import Bucket
    from .operation import Operation


def atoms(otps: Iterable[str]) -> str:
    """A list of node names as the server prints it in sentences; it is not JSON."""
    return "[" + ",".join(f"'{otp}'" for otp in otps) + "]"


def data_buckets(cluster: "Cluster") -> List["Bucket"]:
    """Buckets with a vBucket map."""
    return [b for b in cluster.buckets.values() if b.kind != "memcached" and b.gone_at is None]


def delta_nodes(cluster: "Cluster", eject: Iterable[str]) -> List[str]:
    """Members for which delta recovery is possible in the coming rebalance.

    Any other change of the Data Service nodes in the same rebalance breaks it (the facts say
    "no topology change that breaks it"; every change is taken for one, the careful reading).
    """
    added = [m.otp for m in cluster.with_state("inactiveAdded")
             if m.recovery == "none" and m.has_kv]
    leaving = [o for o in eject if cluster.members[o].membership == "active"
               and cluster.members[o].has_kv]
    if added or leaving:
        return []
    return [m.otp for m in cluster.with_state("inactiveAdded")
            if m.recovery == "delta" and m.failed_at_change == cluster.change
            and m.host.data_intact]


def on_start(cluster: "Cluster", op: "Operation") -> None:
    """The facts are silent about when memberships change in a rebalance. Here the failed nodes
    leave and the added ones become active at the start, and only the ejected ones leave at the
    end: who repeats a failed rebalance with the old list of nodes gets a mismatch."""
    if op.kind != "rebalance":
        return
    cluster.change += 1
    failed = [o for o in op.nodes["failed_nodes"] if o in cluster.members]
    if failed:
        cluster.drop_members(failed, told=True)
    for otp in op.nodes["keep_nodes"]:
        member = cluster.members[otp]
        if member.membership == "inactiveAdded":
            member.membership, member.recovery = "active", "none"
            member.host.data_intact = True
    for bucket in data_buckets(cluster):
        keep = [o for o in op.nodes["keep_nodes"] if cluster.members[o].has_kv]
        bucket.forward = cluster.target_map(bucket, keep)
        bucket.servers = sorted(set(bucket.servers) & set(cluster.members) | set(keep))


def move(cluster: "Cluster", op: "Operation") -> None:
    """Moves vBuckets so far as the operation has come."""
    buckets = data_buckets(cluster)
    for number, bucket in enumerate(buckets):
        share = op.bucket_share(number, len(buckets))
        old = op.old_maps.get(bucket.name)
        if old is None or share <= 0:
            continue
        if op.kind == "gracefulFailover":
            bucket.chains = vbmap.moved_away(old, set(op.targets), share)
        elif op.kind == "rebalance" and bucket.forward is not None:
            cut = int(len(old) * share)
            bucket.chains = bucket.forward[:cut] + old[cut:]


def on_end(cluster: "Cluster", op: "Operation", outcome: str) -> None:
    """The lasting result."""
    if op.kind == "rebalance":
        end_rebalance(cluster, op, outcome)
    elif op.kind == "gracefulFailover" and outcome == "completed":
        fail_over(cluster, op)
    elif op.kind == "failover":
        end_failover(cluster, op, outcome)


def end_rebalance(cluster: "Cluster", op: "Operation", outcome: str) -> None:
    """Done: balanced, ejected nodes gone. Not done: the map stays half moved."""
    if outcome == "completed":
        leaving = [o for o in op.nodes["eject_nodes"] if o in cluster.members]
        if leaving:
            cluster.drop_members(leaving, told=True)
        cluster.settle_maps()
    for bucket in cluster.buckets.values():
        bucket.forward = None


def end_failover(cluster: "Cluster", op: "Operation", outcome: str) -> None:
    """Hard failover: safe ones mark the victims, unsafe ones throw them out."""
    if outcome != "completed":
        if op.unsafe and outcome == "failed":
            cluster.unfinished = sorted(op.targets)
            for otp in op.targets:
                cluster.members[otp].unfinished = True
        return
    cluster.unfinished = []
    if op.unsafe:  # the victims remember themselves as members
        cluster.drop_members(op.targets, told=False)
    fail_over(cluster, op)
    if op.auto:
        cluster.settings["autoFailover"]["count"] += len(op.targets)
        for otp in op.targets:
            cluster.journal.log(op.master, "info", "auto_failover", 0,
                                f"Node ('{otp}') was automatically failed over. "
                                f"Reason: {op.reason}")


def fail_over(cluster: "Cluster", op: "Operation") -> None:
    """Promotes replicas and marks the members."""
    for bucket in data_buckets(cluster):
        total = len(bucket.chains)
        bucket.chains, lost = vbmap.without(bucket.chains, op.targets)
        bucket.servers = [otp for otp in bucket.servers if otp not in op.targets]
        if lost:
            percent = max(1, round(100 * lost / total))
            cluster.journal.log(
                op.master, "critical", "failover", 1,
                f"Data has been lost for {percent}% of vbuckets in bucket \"{bucket.name}\".")
    for otp in op.targets:
        member = cluster.members.get(otp)
        if member is not None:
            member.membership, member.recovery, member.unfinished = "inactiveFailed", "none", False
            member.failed_at_change = cluster.change
    if cluster.orchestrator in op.targets:
        cluster.orchestrator = None


def stage_info(cluster: "Cluster", op: "Operation") -> Dict[str, Any]:
    """stageInfo of tasks and reports: one stage per service; fractions 0..1 per node."""
    clock = cluster.world.clock
    nodes = [o for o in op.nodes["active_nodes"] + op.nodes["keep_nodes"]]
    services: Dict[str, List[str]] = {"data": []}
    for otp in sorted(set(nodes) & set(cluster.members)):
        for service in cluster.members[otp].services:
            services.setdefault("data" if service == "kv" else service, []).append(otp)
    if op.kind != "rebalance":
        services = {"data": services["data"]}
    done = op.outcome is not None
    taken = int(((op.completed if done else clock.now) - op.started) * 1000)
    stages = {}
    for service, members in services.items():
        percent = 100.0 if op.outcome == "completed" else round(op.share * 100, 2)
        stages[service] = {
            "totalProgress": percent,
            "perNodeProgress": {otp: node_share(op, otp) for otp in members},
            "startTime": clock.iso(op.started),
            "completedTime": clock.iso(op.completed) if done else False,
            "timeTaken": taken, "details": {}}
    return stages


def node_share(op: "Operation", otp: str) -> float:
    """One node's progress 0..1; nodes differ a little, as they do in life."""
    if op.outcome == "completed" or op.share >= 1.0:
        return 1.0
    ahead = 1.0 + (sum(otp.encode()) % 7) / 50.0
    return round(min(0.999, op.share * ahead), 4)
