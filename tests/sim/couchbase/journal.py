"""What a cluster remembers: log lines, events, reports of finished operations."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Optional

if TYPE_CHECKING:
    from .world import World

LOG_LIMIT = 250

DESCRIPTIONS = {
    0: "Node successfully joined the cluster", 2: "Rebalance initiated",
    3: "Rebalance completed", 4: "Rebalance failed", 5: "Rebalance interrupted",
    6: "Graceful failover initiated", 7: "Graceful failover completed",
    8: "Graceful failover failed", 9: "Graceful failover interrupted",
    10: "Hard failover initiated", 11: "Hard failover completed", 12: "Hard failover failed",
    13: "Hard failover interrupted", 14: "Auto failover initiated",
    15: "Auto failover completed", 16: "Auto failover failed", 17: "Auto failover warning",
}


def severity(event_id: int) -> str:
    """Severity of an event of the cluster manager."""
    if event_id in (4, 8, 12, 16):
        return "error"
    return "warn" if event_id in (5, 9, 13, 17) else "info"


class Journal:
    """Logs and events in order, reports by id."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.lines: List[Dict[str, Any]] = []
        self.events: List[Dict[str, Any]] = []
        self.reports: Dict[str, Dict[str, Any]] = {}
        self.last_report: Optional[str] = None

    def __deepcopy__(self, memo: Dict[int, Any]) -> "Journal":
        twin = Journal(self.world)
        twin.lines = list(self.lines)
        twin.events = list(self.events)
        twin.reports = dict(self.reports)
        twin.last_report = self.last_report
        return twin

    def log(self, node: str, kind: str, module: str, code: int, sentence: str) -> None:
        """One line for /logs."""
        clock = self.world.clock
        self.lines.append({"node": node, "type": kind, "code": code, "module": module,
                           "tstamp": clock.wall_ms(), "shortText": "message",
                           "text": sentence, "serverTime": clock.iso()})
        del self.lines[:-LOG_LIMIT]

    def event(self, event_id: int, otp: str, hostname: str, extra: Dict[str, Any]) -> None:
        """One event for /events."""
        self.events.append({
            "event_id": event_id, "component": "ns_server", "severity": severity(event_id),
            "description": DESCRIPTIONS[event_id], "timestamp": self.world.clock.iso(),
            "uuid": self.world.uuid4(), "otp_node": otp, "node": hostname.rpartition(":")[0],
            "extra_attributes": extra})

    def report(self, report: Dict[str, Any]) -> str:
        """Keeps the report of a finished operation and gives its id."""
        ident = self.world.hex(32)
        self.reports[ident] = report
        self.last_report = ident
        return ident
