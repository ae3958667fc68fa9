"""The whole simulation: clock, hosts, clusters, users, and what tests did to them."""
from __future__ import annotations

import random
import ssl
from typing import Any, Dict, List, Optional

from .clock import QUANTUM, Clock
from .cluster import Cluster
from .faults import Faults
from .model import Host, Timing, User
from .profile import Profile
from .requestlog import RequestLog


class World:
    """Everything one simulator process holds."""

    def __init__(self, profile: Profile, seed: Optional[int], factor: float) -> None:
        self.profile = profile
        self.random = random.Random(seed)
        self.clock = Clock(factor)
        self.timing = Timing()
        self.hosts: List[Host] = []
        self.clusters: List[Cluster] = []
        self.users: List[User] = []
        self.tokens: Dict[str, str] = {}          # bearer token to user name
        self.bearer = False
        self.client_cert: Dict[str, Any] = {"state": "disable", "prefixes": []}
        self.tls: Optional[ssl.SSLContext] = None
        self.ca_pem = ""
        self.extra_cas = 0                        # own CAs loaded, besides the cluster's
        self.strict_encoding = True
        self.error_as_codes = False
        self.prohibit_http = False
        self.faults = Faults()
        self.log = RequestLog(self.clock)

    def hex(self, digits: int) -> str:
        """A new identifier."""
        return f"{self.random.getrandbits(digits * 4):0{digits}x}"

    def uuid4(self) -> str:
        """A new identifier in the usual grouping."""
        raw = self.hex(32)
        return "-".join((raw[:8], raw[8:12], raw[12:16], raw[16:20], raw[20:]))

    def host(self, name: str) -> Host:
        """By name, otpNode or host:port; KeyError when there is none."""
        for host in self.hosts:
            if name in (host.name, host.otp, host.hostname):
                return host
        raise KeyError(name)

    def main(self) -> Cluster:
        """The cluster of the scenario (forks come after it)."""
        return self.clusters[0]

    def step(self, seconds: float) -> None:
        """Lets virtual time pass in small steps."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now = min(end, self.clock.now + QUANTUM)
            for cluster in list(self.clusters):
                cluster.tick()
        self.clock.pulse.fire()

    # --- processes and network ---------------------------------------------------------------

    def kill(self, host: Host) -> None:
        """kill -9: connections are reset, new ones refused."""
        self._down(host, "killed")
        for listener in host.listeners():
            listener.stop()

    def freeze(self, host: Host) -> None:
        """SIGSTOP: connections stand, nobody answers."""
        self._down(host, "frozen")
        for listener in host.listeners():
            listener.freeze()

    def _down(self, host: Host, process: str) -> None:
        if host.process == "up":
            host.down_since = self.clock.now
        host.process = process
        self.clock.pulse.fire()

    def revive(self, host: Host) -> None:
        """SIGCONT, or a start after a kill (which warms up)."""
        if host.process == "killed":
            host.up_since = self.clock.now
            host.warm_until = self.clock.now + self.timing.warmup
            host.cache = {}
        host.process = "up"
        for listener in host.listeners():
            listener.start()
        self.clock.pulse.fire()

    def partition(self, groups: List[List[Host]]) -> None:
        """Hosts hear only their own group; those in no group stay together."""
        sides = {host.name: number + 1 for number, group in enumerate(groups) for host in group}
        for host in self.hosts:
            side = sides.get(host.name, 0)
            if side != host.side:
                host.side, host.cut_since = side, self.clock.now
        self.clock.pulse.fire()

    def set_client_cert(self, document: Dict[str, Any]) -> None:
        """State and rules of client certificates; new TLS connections feel it."""
        self.client_cert = {"state": document["state"], "prefixes": document.get("prefixes", [])}
        if self.tls is not None:
            modes = {"disable": ssl.CERT_NONE, "mandatory": ssl.CERT_REQUIRED}
            self.tls.verify_mode = modes.get(document["state"], ssl.CERT_OPTIONAL)

    def close(self) -> None:
        """Gives all ports back."""
        for host in self.hosts:
            for listener in host.listeners():
                listener.close()
