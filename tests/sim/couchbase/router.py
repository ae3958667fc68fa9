"""The table of paths, and the checks that come before every handler."""
from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Optional, Tuple

from . import auth
from .auth import Login
from .cluster import Cluster
from .forms import UNSUPPORTED, Form, decode, no_body, pairs_of, read_form
from .model import Host
from .profile import Profile
from .wire import Refused, Reply, Request, as_json, errors, not_found, text

if TYPE_CHECKING:
    from .world import World

READ = "cluster.pools!read"
WRITE = "cluster.pools!write"
SETTINGS = "cluster.settings!write"
WRONG_UUID = "Cluster uuid does not match the requested.\r\n"
TEMPORARY = "Temporary error occurred. Please try again later."


@dataclass(frozen=True)
class Route:
    """One method of one path."""

    method: str
    pattern: "re.Pattern[str]"
    handler: Callable[["Context"], Any]
    permission: Optional[str]
    query: Tuple[str, ...]
    fresh: bool               # also on a node without a cluster
    enterprise: bool          # unknown path in the community edition
    since: Tuple[int, int]    # unknown path before this version
    body: bool                # False: a body is refused


ROUTES: List[Route] = []


def route(method: str, path: str, permission: Optional[str] = READ, *,
          query: Iterable[str] = (), fresh: bool = False, enterprise: bool = False,
          since: Tuple[int, int] = (7, 2), validates: bool = False,
          body: Optional[bool] = None) -> Callable[[Any], Any]:
    """Registers a handler; `{x}` in the path is one segment, decoded into ctx.args."""
    pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + r"\Z")
    names = tuple(query) + (("just_validate",) if validates else ())

    def register(handler: Any) -> Any:
        wants = method in ("POST", "PUT") if body is None else body
        ROUTES.append(Route(method, pattern, handler, permission, names, fresh, enterprise,
                            since, wants))
        return handler
    return register


class Context:
    """One request on its way through a handler."""

    def __init__(self, world: "World", host: Host, request: Request, login: Login,
                 route_: Route, args: Dict[str, str]) -> None:
        self.world = world
        self.host = host
        self.request = request
        self.login = login
        self.route = route_
        self.args = args
        self.query = Form(pairs_of(request.query, strict=False))
        self.validate_only = self.query.one("just_validate") == "1"

    @property
    def cluster(self) -> Cluster:
        """The cluster the answering node belongs to; only routes that are not `fresh` may ask."""
        if self.host.cluster is None:
            raise Refused(not_found())
        return self.host.cluster

    @property
    def profile(self) -> Profile:
        """Version and edition in force."""
        return self.host.cluster.profile if self.host.cluster else self.world.profile

    @property
    def strict(self) -> bool:
        """True when bodies have to be percent-encoded without exception."""
        return self.world.strict_encoding

    def form(self, *known: str, repeatable: Iterable[str] = ()) -> Form:
        """The body with nothing in it but the given keys."""
        return read_form(self.request, self.strict).only(*known, repeatable=repeatable)

    def raw_form(self) -> Form:
        """The body, keys unchecked."""
        return read_form(self.request, self.strict)

    def need_leader(self) -> None:
        """Refuses when the configuration cannot be changed from here."""
        if self.cluster.seen_orchestrator(self.host) is None:
            raise Refused(as_json(TEMPORARY, 503))

    async def until(self, predicate: Callable[[], bool]) -> None:
        """Waits for something in virtual time."""
        await self.world.clock.pulse.until(predicate)


def lookup(request: Request, profile: Profile) -> Optional[Tuple[Route, Dict[str, str]]]:
    """The route of a request, with its path arguments."""
    for candidate in ROUTES:
        if candidate.method != request.method:
            continue
        match = candidate.pattern.match(request.path)
        if match is None or profile.number < candidate.since:
            continue
        if candidate.enterprise and not profile.enterprise:
            continue
        return candidate, {k: decode(v, strict=False) for k, v in match.groupdict().items()}
    return None


def check(ctx: Context) -> None:
    """Everything that is the same for all paths."""
    route_, host, query = ctx.route, ctx.host, ctx.query
    auth.require(ctx.login, ctx.request, route_.permission, ctx.profile.since80)
    wanted = query.one("uuid")
    if wanted is not None and (host.cluster is None or wanted != host.cluster.uuid):
        raise Refused(text(404, WRONG_UUID))
    unknown = query.problems(route_.query + ("uuid",))
    if unknown:  # the facts are silent; refused, so that misspelt arguments are seen
        raise Refused(errors(unknown))
    if ctx.query.one("just_validate") not in (None, "1"):
        raise Refused(errors({"just_validate": UNSUPPORTED}))
    if host.cluster is None and not route_.fresh:
        if ctx.request.path in ("/pools/default", "/pools/nodes"):
            raise Refused(as_json("unknown pool", 404))
        raise Refused(not_found())
    if not route_.body:
        no_body(ctx.request)


async def dispatch(world: "World", host: Host, request: Request, login: Login) -> Reply:
    """Answers one request."""
    profile = host.cluster.profile if host.cluster else world.profile
    if request.method not in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        return text(405, "Method Not Allowed")
    try:
        found = lookup(request, profile)
        if found is None:
            return not_found()
        ctx = Context(world, host, request, login, found[0], found[1])
        check(ctx)
        result = found[0].handler(ctx)
        if inspect.isawaitable(result):
            result = await result
    except Refused as refused:
        return refused.reply
    if not isinstance(result, Reply):
        raise TypeError(f"{found[0].handler.__name__} gave no answer")
    return result
