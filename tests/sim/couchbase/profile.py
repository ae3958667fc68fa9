"""What differs between versions and editions: one row per fact, nothing else asks for numbers."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

KNOWN_SERVICES = ("kv", "n1ql", "index", "fts", "cbas", "eventing", "backup")
COMMUNITY_SERVICES = ("kv", "n1ql", "index", "fts")


@dataclass(frozen=True)
class Profile:
    """The abilities of a cluster at one compatibility version."""

    major: int
    minor: int
    enterprise: bool

    @property
    def number(self) -> Tuple[int, int]:
        """Version as a pair, for comparisons."""
        return (self.major, self.minor)

    @property
    def compat(self) -> int:
        """clusterCompatibility as the node object carries it."""
        return self.major * 65536 + self.minor

    @property
    def since76(self) -> bool:
        """rebalance_id, JSON errors of autoFailover, balance reasons, disableMaxCount."""
        return self.number >= (7, 6)

    @property
    def since80(self) -> bool:
        """Expected topology, topology[...], bearer tokens, expired passwords."""
        return self.number >= (8, 0)

    @property
    def arbiter(self) -> bool:
        """A node without services is allowed."""
        return self.enterprise and self.since76

    @property
    def timeout_min(self) -> int:
        """Lowest auto-failover timeout in seconds."""
        if not self.enterprise:
            return 30
        return 1 if self.since76 else 5

    @property
    def kv_remaining(self) -> int:
        """Data Service nodes that auto-failover has to leave."""
        return 1 if self.since76 else 2

    @property
    def services(self) -> Tuple[str, ...]:
        """Services a node may be given."""
        return KNOWN_SERVICES if self.enterprise else COMMUNITY_SERVICES


def parse_version(version: str) -> Tuple[int, int]:
    """(major, minor) of "8.0.1" or "8.0.1-1234-enterprise"."""
    parts = version.split("-")[0].split(".")
    number = (int(parts[0]), int(parts[1]))
    if not (7, 2) <= number < (9, 0):
        raise ValueError(f"version {version!r} is not simulated (7.2, 7.6, 8.0 are)")
    return number


def full_version(version: str, enterprise: bool) -> str:
    """"8.0.1-1234-enterprise" as nodes report it."""
    if "-" in version:
        return version
    if version.count(".") == 1:
        version += ".1"
    return f"{version}-1234-{'enterprise' if enterprise else 'community'}"
