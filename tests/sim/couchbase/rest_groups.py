"""Server groups (enterprise): reading, creating, renaming, deleting, moving nodes."""
from __future__ import annotations

from typing import Any, Dict, List, Optional

from . import view
from .forms import read_json
from .model import Group
from .router import Context, route
from .wire import Refused, Reply, as_json, errors, not_found

BASE = "/pools/default/serverGroups"
GROUPS = "cluster.server_groups!write"
RUNNING = "Cannot update server group while rebalance is running"


def group_uri(group: Group) -> str:
    """A group's own address."""
    return f"{BASE}/{group.uuid}"


def busy(ctx: Context) -> None:
    """No change while an operation runs, and none without a leader."""
    if ctx.cluster.op is not None:
        raise Refused(as_json(RUNNING, 503))
    ctx.need_leader()


@route("GET", BASE, enterprise=True, query=("v",))
def groups(ctx: Context) -> Reply:
    """All groups with their nodes, and the uri that carries the revision."""
    cluster = ctx.cluster
    rows = []
    for group in cluster.groups:
        nodes = [view.node_object(ctx.world, ctx.host, cluster.members[otp])
                 for otp in sorted(cluster.members) if cluster.members[otp].group == group.uuid]
        rows.append({"name": group.name, "uri": group_uri(group),
                     "addNodeURI": f"{group_uri(group)}/addNode", "nodes": nodes})
    return as_json({"uri": f"{BASE}?rev={cluster.groups_rev}", "groups": rows})


def changed(ctx: Context) -> Reply:
    """A new revision."""
    ctx.cluster.groups_rev += 1
    ctx.cluster.touched()
    return as_json([])


def name_of(ctx: Context, own: Optional[Group]) -> str:
    """The name parameter, checked."""
    value = ctx.form("name").one("name")
    wrong = None
    if value is None:
        wrong = "is missing"
    elif not value.strip():
        wrong = "cannot be empty"
    elif len(value.encode()) > 64:
        wrong = "cannot be longer than 64 bytes"
    elif any(g.name == value and g is not own for g in ctx.cluster.groups):
        wrong = "already exists"
    if wrong or value is None:
        raise Refused(as_json({"name": wrong}, 400))
    return value


def find(ctx: Context) -> Group:
    """The group of the path."""
    for group in ctx.cluster.groups:
        if group.uuid == ctx.args["group"]:
            return group
    raise Refused(not_found())


@route("POST", BASE, GROUPS, enterprise=True)
def create(ctx: Context) -> Reply:
    """name=..."""
    name = name_of(ctx, None)
    busy(ctx)
    ctx.cluster.groups.append(Group(name, ctx.world.hex(32)))
    return changed(ctx)


@route("PUT", BASE + "/{group}", GROUPS, enterprise=True)
def rename(ctx: Context) -> Reply:
    """name=..."""
    group = find(ctx)
    name = name_of(ctx, group)
    busy(ctx)
    group.name = name
    return changed(ctx)


@route("DELETE", BASE + "/{group}", GROUPS, enterprise=True)
def delete(ctx: Context) -> Reply:
    """Only an empty group goes."""
    group = find(ctx)
    busy(ctx)
    if any(m.group == group.uuid for m in ctx.cluster.members.values()):
        raise Refused(as_json({"_": "group is not empty"}, 400))
    ctx.cluster.groups.remove(group)
    return changed(ctx)


def placement(ctx: Context, document: Any) -> Dict[str, str]:
    """otpNode to group uuid from a whole document; all groups and all nodes have to be in it."""
    cluster = ctx.cluster
    if not isinstance(document, dict) or not isinstance(document.get("groups"), list):
        raise Refused(errors({"groups": "The value must be supplied"}))
    by_uri = {group_uri(group): group for group in cluster.groups}
    seen: List[str] = []
    places: Dict[str, str] = {}
    for row in document["groups"]:
        group = by_uri.get(row.get("uri", "")) if isinstance(row, dict) else None
        nodes = row.get("nodes") if isinstance(row, dict) else None
        if group is None or group.uuid in seen or not isinstance(nodes, list):
            raise Refused(errors({"groups": "Bad input"}))
        seen.append(group.uuid)
        for node in nodes:
            otp = node.get("otpNode") if isinstance(node, dict) else None
            if otp not in cluster.members or otp in places:
                raise Refused(errors({"groups": "Bad input"}))
            places[str(otp)] = group.uuid
    if len(seen) != len(cluster.groups) or set(places) != set(cluster.members):
        raise Refused(errors({"groups": "Bad input"}))
    return places


@route("PUT", BASE, GROUPS, enterprise=True, query=("rev",))
def move(ctx: Context) -> Reply:
    """Moves nodes; a revision that is not the present one is refused."""
    cluster, rev = ctx.cluster, ctx.query.one("rev")
    document = read_json(ctx.request)
    if rev is None:
        raise Refused(errors({"rev": "The value must be supplied"}))
    if rev != str(cluster.groups_rev):
        raise Refused(as_json([], 409))
    places = placement(ctx, document)
    busy(ctx)
    for otp, group in places.items():
        cluster.members[otp].group = group
    return changed(ctx)
