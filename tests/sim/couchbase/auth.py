"""Who asks, and what they may do."""
from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from .faults import forbidden, unauthorised
from .model import Host, User
from .wire import Refused, Reply, Request, as_json

if TYPE_CHECKING:
    from .world import World

# What a role may do beyond reading; "*" is everything.
GRANTS: Dict[str, Tuple[str, ...]] = {
    "admin": ("*",),
    "cluster_admin": ("cluster.pools!write", "cluster.settings!write", "cluster.buckets!write",
                      "cluster.buckets!delete", "cluster.nodes!write",
                      "cluster.server_groups!write",
                      "cluster.tasks!write", "cluster.logs!read"),
    "ro_admin": (),
    "none": (),
}


@dataclass
class Login:
    """Result of a look at the credentials."""

    kind: str                      # basic | bearer | certificate | anonymous | internal
    user: Optional[User] = None

    @property
    def authorised(self) -> bool:
        """True when somebody known asks."""
        return self.user is not None


INTERNAL = Login("internal", User("@internal", "", "admin"))


def same(one: str, other: str) -> bool:
    """Comparison for any text."""
    return hmac.compare_digest(one.encode(), other.encode())


def find(world: "World", name: str) -> Optional[User]:
    """A user by name."""
    return next((user for user in world.users if user.name == name), None)


def by_password(world: "World", name: str, password: str) -> Optional[User]:
    """A user by name and password."""
    user = find(world, name)
    return user if user is not None and same(user.password, password) else None


def basic(world: "World", value: str) -> Optional[User]:
    """Authorization: Basic."""
    try:
        name, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return by_password(world, name, password) if colon else None


def certificate_names(cert: Dict[str, Any], path: str) -> List[str]:
    """Values in a client certificate at a configured path."""
    if path == "subject.cn":
        return [value for group in cert.get("subject", ()) for key, value in group
                if key == "commonName"]
    wanted = {"san.dnsname": "DNS", "san.email": "email", "san.uri": "URI"}.get(path)
    return [value for key, value in cert.get("subjectAltName", ()) if key == wanted]


def by_certificate(world: "World", cert: Dict[str, Any]) -> Optional[User]:
    """The first rule that yields a name decides."""
    for rule in world.client_cert["prefixes"]:
        for value in certificate_names(cert, rule["path"]):
            if not value.startswith(rule["prefix"]):
                continue
            name = value[len(rule["prefix"]):]
            for stop in rule["delimiter"]:
                name = name.split(stop)[0]
            return find(world, name)
    return None


def login(world: "World", host: Host, request: Request,
          cert: Optional[Dict[str, Any]]) -> Login:
    """Looks at certificate and Authorization header. On a node without a cluster anybody is
    the administrator."""
    state = world.client_cert["state"]
    if host.cluster is None:
        return Login("anonymous", User("@anonymous", "", "admin"))
    header = request.header("authorization")
    scheme, _, value = (header or "").partition(" ")
    if cert is not None and state != "disable":
        by_cert = by_certificate(world, cert)
        if by_cert is not None or state != "hybrid":
            return Login("certificate", by_cert)
    if scheme.lower() == "basic":
        return Login("basic", basic(world, value.strip()))
    if scheme.lower() == "bearer":
        allowed = world.bearer and host.cluster.profile.since80
        name = world.tokens.get(value.strip()) if allowed else None
        return Login("bearer", find(world, name) if name else None)
    return Login("anonymous")


def require(login_: Login, request: Request, permission: Optional[str],
            since80: bool) -> None:
    """Raises the 401 or 403 a request deserves."""
    if permission is None:
        return
    user = login_.user
    if user is None:
        reply = unauthorised()
        if (request.header("invalid-auth-response") or "").lower() == "on":
            reply = Reply(401)
        raise Refused(reply)
    if user.expired and since80:
        raise Refused(as_json({"message": "Password expired", "passwordExpired": True}, 403))
    if not allowed(user, permission):
        raise Refused(forbidden(permission))


def allowed(user: User, permission: str) -> bool:
    """True when the user's role includes the permission."""
    grants = GRANTS[user.role]
    if "*" in grants or permission in grants:
        return True
    readable = permission.endswith("!read") and permission != "cluster.logs!read"
    return readable and user.role != "none"
