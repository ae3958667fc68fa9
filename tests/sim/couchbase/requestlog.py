"""Every request as it came, without the secrets."""
from __future__ import annotations

import re
from typing import Any, Dict, List, Optional

from .clock import Clock
from .wire import Request

SECRET_HEADERS = ("authorization", "cookie", "ns-server-auth-token", "proxy-authorization")
SECRET_FIELDS = re.compile(r"((?:^|&)(?:password|emailPass|uploadProxyPassword)=)([^&]*)")
KEEP = 5000


class RequestLog:
    """A numbered list; numbers go on when old entries fall out."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.entries: List[Dict[str, Any]] = []
        self.next = 1

    def open(self, node: str, tls: bool, request: Request) -> Dict[str, Any]:
        """Records a request before it is looked at; the caller fills in what becomes of it."""
        body = request.body.decode("utf-8", "backslashreplace")
        given = {m.group(1).strip("&="): len(m.group(2)) for m in SECRET_FIELDS.finditer(body)}
        entry: Dict[str, Any] = {
            "seq": self.next, "time": round(self.clock.now, 3), "node": node, "tls": tls,
            "method": request.method, "path": request.path, "query": request.query,
            "body": SECRET_FIELDS.sub(r"\1<masked>", body),
            "headers": [[k, v] for k, v in request.headers if k.lower() not in SECRET_HEADERS],
            "secrets": given, "credentials": None, "authorised": False, "user": None,
            "fault": None, "status": None, "answered": False}
        self.next += 1
        self.entries.append(entry)
        del self.entries[:-KEEP]
        return entry

    def since(self, seq: int, path: Optional[str] = None,
              method: Optional[str] = None) -> List[Dict[str, Any]]:
        """Entries after a number, of one path or method."""
        return [e for e in self.entries if e["seq"] > seq
                and path in (None, e["path"]) and method in (None, e["method"])]
