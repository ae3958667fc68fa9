"""Automatic failover: the orchestrator looks once a virtual second."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, List, Set

from . import operation, vbmap

if TYPE_CHECKING:
    from .cluster import Cluster
    from .model import Host

TICK = 1.0
REASON = "The cluster manager did not respond."


@dataclass
class Watch:
    """What the orchestrator remembers between two looks."""

    last: float = 0.0
    down: List[str] = field(default_factory=list)
    since: float = 0.0
    said: Set[str] = field(default_factory=set)  # each refusal is reported once per set


def tick(cluster: "Cluster") -> None:
    """Looks when a second has passed."""
    watch, now = cluster.auto, cluster.world.clock.now
    if now - watch.last < TICK:
        return
    watch.last = now
    leader = cluster.leader_host()
    enabled = cluster.settings["autoFailover"]["enabled"]
    if leader is None or not cluster.leads(leader) or not enabled:
        watch.down, watch.since = [], now
        return
    down = sorted(m.otp for m in cluster.with_state("active")
                  if cluster.health(leader, m.host) == "unhealthy")
    if down != watch.down:
        timeout = cluster.settings["autoFailover"]["timeout"]
        if watch.down and down and now - watch.since >= timeout - 2 * TICK:
            warn(cluster, leader, "changed", "auto_failover_other_nodes_down",
                 f"Could not auto-failover node ({effects_atoms(down)}). "
                 "The list of nodes being down has changed.")
        watch.down, watch.since, watch.said = down, now, set()
        return
    if down and now - watch.since >= cluster.settings["autoFailover"]["timeout"]:
        attempt(cluster, leader, down)


def effects_atoms(otps: List[str]) -> str:
    """Names as they stand between the brackets of log texts."""
    return ", ".join(f"'{otp}'" for otp in otps)


def warn(cluster: "Cluster", leader: "Host", key: str, alert: str, sentence: str) -> None:
    """Log line, event 17 and alert, once for each set of down nodes."""
    if key in cluster.auto.said:
        return
    cluster.auto.said.add(key)
    cluster.journal.log(leader.otp, "warning", "auto_failover", 0, sentence)
    cluster.journal.event(17, leader.otp, leader.hostname, {"reason": sentence})
    if alert in cluster.settings["alerts"]["pop_up_alerts"]:
        cluster.alerts.append({"msg": sentence, "serverTime": cluster.world.clock.iso(),
                               "disableUIPopUp": False})
    cluster.touched()


def attempt(cluster: "Cluster", leader: "Host", down: List[str]) -> None:
    """Fails the down nodes over, or says why not."""
    settings = cluster.settings["autoFailover"]
    names = effects_atoms(down)
    if cluster.unfinished or (cluster.op is not None and cluster.op.kind == "failover"):
        return
    if cluster.op is not None and not settings["canAbortRebalance"]:
        warn(cluster, leader, "rebalance", "auto_failover_disabled",
             f"Could not automatically fail over node ({names}). Rebalance is running.")
        return
    chosen = cut_to_count(cluster, leader, down)
    chosen = [otp for otp in chosen if service_allows(cluster, leader, otp, down)]
    if any(cluster.members[o].has_kv for o in down) and not any(
            cluster.members[o].has_kv for o in chosen):
        return  # when no Data Service node can go, no other goes either
    lost = [b.name for b in cluster.buckets.values() if loses(cluster, b.name, chosen)]
    if lost:
        warn(cluster, leader, "vbuckets", "auto_failover_other_nodes_down",
             f"Could not automatically fail over nodes ({names}). Would lose vbuckets in the "
             f"following buckets: [{', '.join(lost)}]")
        return
    if not chosen:
        return
    if cluster.op is not None:
        cluster.op.interrupted_by = chosen
        operation.finish(cluster, cluster.op, "interrupted")
    op = operation.new_failover(cluster, leader.otp, chosen, unsafe=False)
    op.auto, op.reason = True, REASON
    operation.begin(cluster, op)


def loses(cluster: "Cluster", name: str, gone: List[str]) -> bool:
    """True when automatic failover of `gone` would lose vBuckets of a bucket."""
    bucket = cluster.buckets[name]
    spared = cluster.settings["autoFailover"]["allowFailoverEphemeralNoReplicas"]
    if bucket.kind == "memcached":
        return False
    if bucket.kind == "ephemeral" and not bucket.replicas and spared:
        return False
    return vbmap.would_lose(bucket.chains, gone)


def cut_to_count(cluster: "Cluster", leader: "Host", down: List[str]) -> List[str]:
    """As many as the counter allows, Data Service nodes first."""
    settings = cluster.settings["autoFailover"]
    ordered = sorted(down, key=lambda otp: not cluster.members[otp].has_kv)
    if settings["disableMaxCount"]:
        return ordered
    left: int = max(0, settings["maxCount"] - settings["count"])
    if left < len(ordered):
        over = effects_atoms(ordered[left:])
        warn(cluster, leader, "maximum", "auto_failover_maximum_reached",
             f"Could not auto-failover more nodes ({over}). Maximum number of auto-failover nodes "
             f"({settings['maxCount']}) has been reached.")
    return ordered[:left]


def service_allows(cluster: "Cluster", leader: "Host", otp: str, gone: List[str]) -> bool:
    """The service policy; a node with the Data Service follows that service's rule only."""
    member = cluster.members[otp]
    for service in ["kv"] if member.has_kv else member.services:
        left = len([m for m in cluster.with_state("active")
                    if service in m.services and m.otp not in gone])
        need = cluster.profile.kv_remaining if service == "kv" else 1
        if left < need:
            warn(cluster, leader, f"service {otp}", "auto_failover_cluster_too_small",
                 f"Could not auto-failover node ('{otp}'). Number of remaining nodes that are "
                 f"running {service} service is {left}. You need at least {need} nodes.")
            return False
    return True
