"""The things of a simulation: hosts, members, groups, buckets. Data only."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Set, Tuple

from . import vbmap

if TYPE_CHECKING:
    from .cluster import Cluster
    from .wire import Listener

MIB = 1024 * 1024


@dataclass
class Timing:
    """How long things take, in virtual seconds."""

    rebalance: float = 10.0
    graceful: float = 10.0
    failover: float = 1.0
    service_upgrade: float = 10.0
    stop: float = 1.0        # from stopRebalance to notRunning
    heartbeat: float = 5.0   # a silent node is called unhealthy after this
    stall: float = 60.0      # an operation fails when a frozen node was silent so long
    takeover: float = 5.0    # then the next orchestrator needs this
    warmup: float = 1.0      # a revived node with the Data Service warms up
    cache: float = 1.0       # age an answer of /pools/default may have
    compaction: float = 5.0
    bucket_delete: float = 0.0


@dataclass
class Host:
    """One server process: the member of a cluster, or not yet, or no longer."""

    name: str
    address: str
    otp: str
    uuid: str
    version: str
    configured: str = ""                 # host[:port] by which the cluster knows it; "": its address
    want_port: int = 0
    port: int = 0
    tls_port: int = 0
    direct: int = 11210                  # of the Data Service; differs where addresses do not
    join_user: Optional[str] = None      # what addNode must present, when set
    join_password: Optional[str] = None
    cluster: Optional["Cluster"] = None
    process: str = "up"                  # up | killed | frozen
    first_process: str = "up"            # when the story begins
    side: int = 0                        # of a partition
    down_since: float = 0.0
    cut_since: float = 0.0
    left_at: float = 0.0
    up_since: float = 0.0
    warm_until: float = 0.0
    data_intact: bool = True
    load: Dict[str, Any] = field(default_factory=dict)
    node_settings: Dict[str, Any] = field(default_factory=dict)
    pre_services: List[str] = field(default_factory=lambda: ["kv"])
    pre_quota: Dict[str, int] = field(default_factory=dict)
    cache: Dict[str, Any] = field(default_factory=dict)
    http: Optional["Listener"] = None
    https: Optional["Listener"] = None

    @property
    def hostname(self) -> str:
        """host:port as clients see it; always the plain port."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"

    @property
    def configured_hostname(self) -> str:
        """host:port as configured, which is not always as seen."""
        name = self.configured
        return (name if ":" in name else f"{name}:{self.port}") if name else self.hostname

    def listeners(self) -> List["Listener"]:
        """The open ports."""
        return [listener for listener in (self.http, self.https) if listener]


@dataclass
class Member:
    """A host's place in a cluster."""

    host: Host
    services: List[str]
    group: str                     # uuid of the server group
    membership: str = "active"     # active | inactiveAdded | inactiveFailed
    recovery: str = "none"         # none | full | delta
    unfinished: bool = False       # victim of an interrupted unsafe failover
    failed_at_change: int = -1     # Cluster.change at the time of the failover

    @property
    def otp(self) -> str:
        """The name every controller wants."""
        return self.host.otp

    @property
    def has_kv(self) -> bool:
        """Runs the Data Service."""
        return "kv" in self.services


@dataclass
class Group:
    """A server group."""

    name: str
    uuid: str


@dataclass
class Bucket:
    """A bucket with its vBucket map."""

    name: str
    uuid: str
    kind: str = "membase"            # membase | ephemeral | memcached
    backend: str = "couchstore"
    replicas: int = 1
    ram_mib: int = 256               # per node
    items: int = 1000
    mem_used: int = 64 * MIB         # of all copies when fully replicated
    disk_used: int = 128 * MIB
    ops: float = 100.0
    vbuckets: int = 1024
    flush: bool = False
    rank: int = 0
    built_replicas: int = 1          # replicas the map was built for
    servers: List[str] = field(default_factory=list)
    chains: List[vbmap.Chain] = field(default_factory=list)
    forward: Optional[List[vbmap.Chain]] = None
    gone_at: Optional[float] = None  # deletion under way
    counted: List[vbmap.Chain] = field(default_factory=list)
    counted_for: int = -1
    per_node: Dict[str, Tuple[int, int]] = field(default_factory=dict)
    replicated: Dict[str, float] = field(default_factory=dict)
    sole: Set[str] = field(default_factory=set)

    def count(self) -> None:
        """Figures of the map, taken once per map."""
        if self.counted is self.chains and self.counted_for == self.replicas:
            return
        self.counted, self.counted_for = self.chains, self.replicas
        self.per_node = vbmap.counts(self.chains)
        self.replicated = vbmap.replication(self.chains, self.replicas)
        self.sole = vbmap.sole_owners(self.chains)

    def counts(self) -> Dict[str, Tuple[int, int]]:
        """Active and replica vBuckets per node."""
        self.count()
        return self.per_node

    def replication(self, otp: str) -> float:
        """1.0 when all replicas of the vBuckets active on a node exist."""
        self.count()
        return self.replicated.get(otp, 1.0)

    def only_on(self, otp: str) -> bool:
        """True when a node holds the only copy of some vBucket."""
        self.count()
        return otp in self.sole

    def copies_on(self, otp: str) -> float:
        """Share of all wanted copies that one node holds."""
        active, replica = self.counts().get(otp, (0, 0))
        return (active + replica) / (self.vbuckets * (1 + self.replicas))


def service_defaults() -> Dict[str, int]:
    """Memory quotas in MiB by the name REST uses."""
    return {"memoryQuota": 1024, "indexMemoryQuota": 512, "ftsMemoryQuota": 256,
            "cbasMemoryQuota": 1024, "eventingMemoryQuota": 256, "queryMemoryQuota": 0}


@dataclass
class User:
    """Somebody who may log in."""

    name: str
    password: str
    role: str = "admin"       # admin | cluster_admin | ro_admin | none
    expired: bool = False     # password expired (8.0)
