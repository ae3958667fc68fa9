"""One cluster's shared state, and what can be concluded from it.

Every member answers from this one object; what differs between members is only whom they
hear. A node that was thrown out without being told keeps a fork of it (see fork()).
"""
from __future__ import annotations

import copy
import functools
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Optional, Set, Tuple

from . import autofailover, operation, vbmap
from .journal import Journal
from .model import Bucket, Group, Host, Member, service_defaults
from .profile import Profile

if TYPE_CHECKING:
    from .world import World

REASON_TEXT = {
    "service_not_balanced": "Service needs rebalance.",
    "num_replicas_changed": "Number of replicas for bucket has changed.",
    "servers_not_balanced": "Servers of bucket are not balanced.",
    "map_needs_rebalance": "Bucket map needs rebalance.",
    "servers_changed": "Servers of bucket have changed.",
}


@functools.lru_cache(maxsize=64)
def ideal_map(nodes: Tuple[str, ...], groups: Tuple[Tuple[str, str], ...], replicas: int,
              count: int) -> List[vbmap.Chain]:
    """The balanced map; callers must not change it."""
    return vbmap.spread(nodes, dict(groups), replicas, count)


class Cluster:
    """Membership, buckets, settings, the one operation under way, and the history."""

    def __init__(self, world: "World", profile: Profile, uuid: str) -> None:
        self.world = world
        self.profile = profile
        self.uuid = uuid
        self.name = ""
        self.members: Dict[str, Member] = {}
        self.known: Set[str] = set()       # every otpNode ever seen
        self.groups: List[Group] = [Group("Group 1", "0")]
        self.groups_rev = 0
        self.buckets: Dict[str, Bucket] = {}
        self.quota = service_defaults()
        self.settings: Dict[str, Any] = {}
        self.service_nodes: Dict[str, Set[str]] = {}  # as the last rebalance left them
        self.map_groups: Dict[str, str] = {}          # groups the maps were built for
        self.change = 0                               # rebalances, bucket changes: ends delta
        self.rev = 1                                  # of the whole configuration
        self.orchestrator: Optional[str] = None
        self.orchestrator_lost: Optional[float] = None
        self.op: Optional[operation.Operation] = None
        self.busy: Optional[str] = None     # recovery | pausing | deletion
        self.unfinished: List[str] = []     # victims of an interrupted unsafe failover
        self.retry: Optional[Dict[str, Any]] = None
        self.next_operation: List[Dict[str, Any]] = []  # what tests ordered to go wrong
        self.extra_tasks: List[Dict[str, Any]] = []
        self.compactions: List[Dict[str, Any]] = []
        self.alerts: List[Dict[str, Any]] = []
        self.counters: Dict[str, int] = {}
        self.auto = autofailover.Watch()
        self.journal = Journal(world)
        self.status = operation.Status(world.hex(32))

    # --- members ---------------------------------------------------------------------------

    def touched(self) -> None:
        """The configuration changed: long polls return, other nodes hear of it."""
        self.rev += 1
        self.world.clock.pulse.fire()

    def add_member(self, member: Member) -> None:
        """Takes a host in."""
        self.members[member.otp] = member
        self.known.add(member.otp)
        member.host.cluster = self
        member.host.up_since = self.world.clock.now
        member.host.cache = {}
        self.touched()

    def drop_members(self, otps: Iterable[str], told: bool) -> None:
        """Takes members out. Hosts that hear of it become fresh, the others keep a fork."""
        hosts = [self.members[otp].host for otp in otps]
        mine = [host for host in hosts if host.cluster is self]
        deaf = [host for host in mine if not told or not self.heard_by_majority(host)]
        if deaf:
            branch = self.fork()
            self.world.clusters.append(branch)
            for host in deaf:
                host.cluster = branch
        for host in hosts:
            del self.members[host.otp]
            host.left_at = self.world.clock.now
            if host in mine and host not in deaf:
                host.cluster = None
                host.cache = {}
        self.touched()

    def fork(self) -> "Cluster":
        """The same configuration as a node remembers it that is no longer spoken to."""
        memo: Dict[int, Any] = {id(self.world): self.world, id(self.op): None}
        memo.update({id(host): host for host in self.world.hosts})
        branch = copy.deepcopy(self, memo)
        branch.op = None
        branch.status.settle(self.world.hex(32))
        return branch

    def with_state(self, *states: str) -> List[Member]:
        """Members in one of the given memberships."""
        return [member for member in self.members.values() if member.membership in states]

    def active_kv(self, but: Iterable[str] = ()) -> List[str]:
        """Active Data Service nodes without the given ones."""
        skip = set(but)
        return [m.otp for m in self.with_state("active") if m.has_kv and m.otp not in skip]

    def group_names(self) -> Dict[str, str]:
        """Group uuid to name."""
        return {group.uuid: group.name for group in self.groups}

    def node_groups(self) -> Dict[str, str]:
        """otpNode to group uuid."""
        return {otp: member.group for otp, member in self.members.items()}

    # --- who hears whom --------------------------------------------------------------------

    def reaches(self, one: Host, other: Host) -> bool:
        """True when both processes run, on one side of every partition, in this cluster."""
        if one is other:
            return True
        return (one.process == "up" and other.process == "up" and one.side == other.side
                and one.cluster is self and other.cluster is self)

    def silent_for(self, viewer: Host, other: Host) -> float:
        """Virtual seconds since the viewer last heard from the other."""
        if self.reaches(viewer, other):
            return 0.0
        causes = []
        if other.process != "up":
            causes.append(other.down_since)
        if viewer.side != other.side:
            causes.append(max(viewer.cut_since, other.cut_since))
        if other.cluster is not self:
            causes.append(other.left_at)
        if viewer.cluster is not self:
            causes.append(viewer.left_at)
        return self.world.clock.now - min(causes, default=self.world.clock.now)

    def health(self, viewer: Host, other: Host) -> str:
        """healthy | warmup | unhealthy, as the viewer believes it."""
        if not self.reaches(viewer, other):
            silent = self.silent_for(viewer, other) >= self.world.timing.heartbeat
            return "unhealthy" if silent else "healthy"
        return "warmup" if self.world.clock.now < other.warm_until else "healthy"

    def has_quorum(self, viewer: Host) -> bool:
        """True when the viewer's side has the majority of the active members."""
        active = self.with_state("active")
        near = sum(1 for member in active if self.reaches(viewer, member.host))
        return near >= len(active) // 2 + 1

    def leads(self, host: Host) -> bool:
        """True when a host lives, belongs here and has the majority on its side."""
        return host.process == "up" and host.cluster is self and self.has_quorum(host)

    def heard_by_majority(self, host: Host) -> bool:
        """True when the majority side can tell this host something."""
        leader = self.leader_host()
        return leader is not None and self.reaches(leader, host)

    def leader_host(self) -> Optional[Host]:
        """The orchestrator's host, when it lives."""
        member = self.members.get(self.orchestrator or "")
        return member.host if member and member.host.process == "up" else None

    def seen_orchestrator(self, viewer: Host) -> Optional[str]:
        """The orchestrator as one member sees it."""
        leader = self.leader_host()
        if leader is None or not self.reaches(viewer, leader) or not self.leads(leader):
            return None
        return leader.otp

    def unreachable(self, viewer: Host, otps: Iterable[str]) -> List[str]:
        """Those of the given members the viewer cannot reach."""
        return [o for o in otps if not self.reaches(viewer, self.members[o].host)]

    def candidates(self) -> List[Member]:
        """Active living members on a side with a majority, best first."""
        fit = [member for member in self.with_state("active") if self.leads(member.host)]
        fit.sort(key=lambda m: m.otp)
        fit.sort(key=lambda m: m.host.version, reverse=True)
        return fit

    # --- balance ---------------------------------------------------------------------------

    def wanted_services(self, service: str) -> Set[str]:
        """Members that carry or shall carry a service."""
        return {m.otp for m in self.with_state("active", "inactiveAdded") if service in m.services}

    def bucket_reason(self, bucket: Bucket) -> Optional[str]:
        """Why a bucket needs a rebalance, as a code."""
        wanted = self.wanted_services("kv")
        if bucket.replicas != bucket.built_replicas:
            return "num_replicas_changed"
        if wanted != set(bucket.servers):
            return "servers_changed"
        groups = self.node_groups()
        if any(self.map_groups.get(otp) not in (None, groups[otp]) for otp in wanted):
            return "servers_not_balanced"
        if bucket.chains != self.target_map(bucket, wanted):
            return "map_needs_rebalance"
        return None

    def target_map(self, bucket: Bucket, nodes: Iterable[str]) -> List[vbmap.Chain]:
        """The map a rebalance over the given nodes would end with."""
        chosen = tuple(sorted(nodes))
        groups = self.node_groups()
        pairs = tuple((otp, groups.get(otp, "")) for otp in chosen)
        return ideal_map(chosen, pairs, bucket.replicas, bucket.vbuckets)

    def reasons(self) -> Dict[str, Dict[str, List[str]]]:
        """Unbalanced services and buckets by reason code."""
        found: Dict[str, Dict[str, List[str]]] = {"services": {}, "buckets": {}}
        services = {s for m in self.members.values() for s in m.services if s != "kv"}
        services |= set(self.service_nodes)
        for service in sorted(services):
            if self.wanted_services(service) != self.service_nodes.get(service, set()):
                found["services"].setdefault("service_not_balanced", []).append(service)
        for bucket in self.buckets.values():
            code = None if bucket.kind == "memcached" else self.bucket_reason(bucket)
            if code:
                found["buckets"].setdefault(code, []).append(bucket.name)
        return found

    def is_balanced(self) -> bool:
        """What `balanced` says."""
        if self.op is not None or len(self.with_state("active")) != len(self.members):
            return False
        found = self.reasons()
        return not found["services"] and not found["buckets"]

    def settle_maps(self) -> None:
        """Everything as a finished rebalance leaves it."""
        nodes = self.active_kv()
        for bucket in self.buckets.values():
            has_map = bucket.kind != "memcached"
            bucket.chains = self.target_map(bucket, nodes) if has_map else []
            bucket.servers = sorted(nodes)
            bucket.built_replicas = bucket.replicas
            bucket.forward = None
        services = {s for m in self.members.values() for s in m.services if s != "kv"}
        self.service_nodes = {s: self.wanted_services(s) for s in services}
        self.map_groups = self.node_groups()

    def graceful_loses(self, otps: Iterable[str]) -> bool:
        """True when some vBucket of the targets has no copy elsewhere."""
        gone = list(otps)
        return any(vbmap.would_lose(b.chains, gone) for b in self.buckets.values()
                   if b.kind != "memcached")

    # --- time ------------------------------------------------------------------------------

    def tick(self) -> None:
        """Lets time do its work; World.step() calls it after each small step of the clock."""
        self.elect()
        if self.op is not None:
            operation.advance(self, self.op)
        self.retry_due()
        self.compactions_due()
        self.deletions_due()
        autofailover.tick(self)

    def elect(self) -> None:
        """Keeps the orchestrator, or replaces it after heartbeat and takeover time."""
        timing, now = self.world.timing, self.world.clock.now
        current = self.members.get(self.orchestrator or "")
        serving = current is not None and current.membership == "active"
        if current and serving and self.leads(current.host):
            self.orchestrator_lost = None
            return
        if self.orchestrator_lost is None:
            self.orchestrator_lost = now
        patience = timing.heartbeat + timing.takeover
        if serving and now - self.orchestrator_lost < patience:
            return
        fit = self.candidates()
        chosen = fit[0].otp if fit else None
        if chosen != self.orchestrator:
            self.orchestrator = chosen
            self.orchestrator_lost = None
            if chosen:
                self.journal.log(chosen, "info", "mb_master", 0,
                                 f"Node {chosen} is the orchestrator now.")
            self.touched()

    def retry_due(self) -> None:
        """Starts a pending retry whose time has come."""
        if self.retry and self.op is None and self.world.clock.now >= self.retry["at"]:
            operation.start_retry(self, self.retry)

    def compactions_due(self) -> None:
        """Moves compactions on and forgets finished ones."""
        now = self.world.clock.now
        self.compactions = [c for c in self.compactions if now < c["until"]]

    def deletions_due(self) -> None:
        """Removes buckets whose deletion has come to its end."""
        now = self.world.clock.now
        for name in [b.name for b in self.buckets.values() if b.gone_at and now >= b.gone_at]:
            del self.buckets[name]
            self.change += 1
            self.touched()

    def busy_reason(self) -> Optional[str]:
        """recovery | pausing | deletion, when one of them blocks operations."""
        if self.busy:
            return self.busy
        return "deletion" if any(b.gone_at for b in self.buckets.values()) else None
