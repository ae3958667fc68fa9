"""Making a cluster out of a fresh node, and the cluster-wide quota."""
from __future__ import annotations

import re
from typing import Any, Dict, List, Optional

from .cluster import Cluster
from .forms import Checker
from .model import Host, Member, User, service_defaults
from .profile import Profile
from .rest_settings import defaults
from .router import SETTINGS, Context, route
from .wire import Refused, Reply, as_json, empty, errors

QUOTAS = tuple(service_defaults())
QUOTA_MIN = {"memoryQuota": 256, "indexMemoryQuota": 256, "ftsMemoryQuota": 256,
             "cbasMemoryQuota": 1024, "eventingMemoryQuota": 256, "queryMemoryQuota": 0}
QUOTA_NAME = {"memoryQuota": "Data", "indexMemoryQuota": "Index", "ftsMemoryQuota": "Search",
              "cbasMemoryQuota": "Analytics", "eventingMemoryQuota": "Eventing",
              "queryMemoryQuota": "Query"}
PATHS = ("path", "index_path", "cbas_path", "eventing_path", "java_home")
INIT_PATHS = ("dataPath", "indexPath", "eventingPath", "javaHome")


def check_services(check: Checker, profile: Profile, name: str = "services") -> List[str]:
    """The services of the first node."""
    names = check.form.listed(name)
    unknown = [word for word in names if word not in profile.services]
    if unknown:
        check.fail(name, f"Unknown services: {unknown}".replace("'", '"'))
    elif "kv" not in names:
        check.fail(name, "cannot setup first cluster node without kv service")
    return names


def check_quotas(check: Checker, old: Dict[str, int], used_mib: int) -> Dict[str, int]:
    """Memory quotas in MiB."""
    new = dict(old)
    for key in QUOTAS:
        value = check.integer(key, 0, 1 << 40)
        if value is None:
            continue
        low = max(QUOTA_MIN[key], used_mib) if key == "memoryQuota" else QUOTA_MIN[key]
        if value < low:
            tail = " (current total buckets quota, or at least 256MB)" \
                if key == "memoryQuota" else ""
            check.fail(key, f"The {QUOTA_NAME[key]} service quota ({value}MB) cannot be less than "
                            f"{low}MB{tail}.")
        new[key] = value
    return new


def check_total(check: Checker, hosts: List[Host], quota: Dict[str, int]) -> None:
    """All quotas together have to fit the smallest node."""
    for host in hosts:
        limit = int(host.load.get("mem_total", 8 << 30)) * 8 // 10 >> 20
        total = sum(quota.values())
        if total > limit:
            check.fail("_", f"Total quota ({total}MB) exceeds the maximum allowed quota "
                            f"({limit}MB) on node '{host.otp}'")


def provision(ctx: Context, services: List[str], user: str, password: str,
              quota: Dict[str, int], name: str) -> None:
    """A cluster of one."""
    world, host = ctx.world, ctx.host
    cluster = Cluster(world, world.profile, world.hex(32))
    cluster.settings = defaults(world.profile)
    cluster.quota, cluster.name = quota, name
    world.clusters.append(cluster)
    cluster.add_member(Member(host, services, cluster.groups[0].uuid))
    cluster.settle_maps()
    cluster.elect()
    world.users = [u for u in world.users if u.name != user] + [User(user, password, "admin")]


@route("POST", "/clusterInit", "cluster.admin!write", fresh=True, validates=True)
def cluster_init(ctx: Context) -> Reply:
    """Everything in one call."""
    known = ("username", "password", "port", "services", "hostname", "clusterName", "sendStats",
             "afamily", "afamilyOnly", "nodeEncryption", "indexerStorageMode",
             "allowedHosts") + QUOTAS + INIT_PATHS
    check = Checker(ctx.raw_form(), known, repeatable=("analyticsPath",))
    check.require("username", "password", "port", "services")
    form = check.form
    services = check_services(check, ctx.profile) if "services" in form else []
    if form.one("port") != "SAME":
        check.integer("port", 1, 65535)
    check.choice("afamily", ["ipv4", "ipv6"])
    check.choice("nodeEncryption", ["on", "off"])
    check.boolean("sendStats")
    check.boolean("afamilyOnly")
    if form.one("username") == "" or len(form.one("password") or "x" * 6) < 6:
        check.fail("password", "The password must be at least 6 characters long.")
    quota = check_quotas(check, service_defaults(), 0)
    if ctx.host.cluster is not None:
        check.fail("_", "already initialized")
    check.done()
    if ctx.validate_only:
        return errors({}, 200)
    provision(ctx, services, form.one("username") or "", form.one("password") or "", quota,
              form.one("clusterName") or "")
    return as_json({"newBaseUri": f"http://{ctx.host.hostname}/"})


def not_provisioned(ctx: Context, sentences: Any) -> None:
    """Refuses a step of the initialisation on a member."""
    if ctx.host.cluster is not None:
        raise Refused(as_json(sentences, 400))


@route("POST", "/nodeInit", "cluster.admin!write", fresh=True, validates=True)
def node_init(ctx: Context) -> Reply:
    """Paths, hostname, address family."""
    check = Checker(ctx.raw_form(), INIT_PATHS + ("hostname", "afamily"), ("analyticsPath",))
    check.choice("afamily", ["ipv4", "ipv6"])
    check.done()
    not_provisioned(ctx, {"errors": {"_": "node is already provisioned"}})
    return errors({}, 200) if ctx.validate_only else empty()


@route("POST", "/nodes/self/controller/settings", "cluster.nodes!write", fresh=True)
def disk_settings(ctx: Context) -> Reply:
    """Paths of a node; a member keeps the ones it has."""
    form = ctx.form(*PATHS, repeatable=("cbas_path",))
    wrong = [f"An absolute path is required for {name}" for name in form.names()
             if name != "java_home" and not all(v.startswith("/") for v in form.many(name))]
    if ctx.host.cluster is not None and form.names():
        wrong = ["Changing data of nodes that are part of provisioned cluster is not supported"]
    if wrong:
        raise Refused(as_json(wrong, 400))
    for name in form.names():
        values = form.many(name)
        ctx.host.node_settings[name] = values if name == "cbas_path" else values[0]
    return empty()


@route("POST", "/node/controller/rename", "cluster.admin!write", fresh=True)
def rename(ctx: Context) -> Reply:
    """The name of a node that stands alone."""
    name = ctx.form("hostname").one("hostname")
    if not (name or "").strip():
        raise Refused(as_json(["The name cannot be empty"], 400))
    if ctx.host.cluster is not None:
        raise Refused(as_json(
            ["Renaming is disallowed for nodes that are already part of a cluster"], 400))
    ctx.host.otp = f"ns_1@{name}"
    return empty()


@route("POST", "/node/controller/setupServices", "cluster.admin!write", fresh=True)
def setup_services(ctx: Context) -> Reply:
    """The services of a node before its cluster is provisioned."""
    check = Checker(ctx.raw_form(), ("services", "setDefaultMemQuotas"))
    check.require("services")
    services = check_services(check, ctx.profile) if "services" in check.form else []
    if ctx.host.cluster is not None:
        check.found = {"services": "cannot change node services after cluster is provisioned"}
    check.done()
    ctx.host.pre_services = services
    return empty()


@route("POST", "/pools/default", SETTINGS, fresh=True, validates=True)
def pool_settings(ctx: Context) -> Reply:
    """Name and memory quotas."""
    check, cluster = Checker(ctx.raw_form(), ("clusterName",) + QUOTAS), ctx.host.cluster
    used = sum(b.ram_mib for b in cluster.buckets.values()) if cluster else 0
    old = cluster.quota if cluster else {**service_defaults(), **ctx.host.pre_quota}
    quota = check_quotas(check, old, used)
    hosts = [m.host for m in cluster.members.values()] if cluster else [ctx.host]
    if any(key in check.form for key in QUOTAS):
        check_total(check, hosts, quota)
    check.done()
    if ctx.validate_only:
        return errors({}, 200)
    name: Optional[str] = check.form.one("clusterName")
    if cluster is None:
        ctx.host.pre_quota = quota
        return empty()
    ctx.need_leader()
    cluster.quota = quota
    cluster.name = cluster.name if name is None else name
    cluster.touched()
    return empty()


@route("GET", "/settings/web", fresh=True)
def web(ctx: Context) -> Reply:
    """Port and administrator."""
    names = [user.name for user in ctx.world.users if user.role == "admin"]
    return as_json({"port": ctx.host.port,
                    "username": names[0] if names and ctx.host.cluster else ""})


@route("POST", "/settings/web", "cluster.admin!write", fresh=True, validates=True)
def set_web(ctx: Context) -> Reply:
    """Administrator's credentials; on a fresh node the last step of the initialisation."""
    check = Checker(ctx.raw_form(), ("port", "username", "password"))
    check.require("port", "username", "password")
    form = check.form
    if form.one("port") != "SAME" and not re.match(r"[0-9]{1,5}\Z", form.one("port") or ""):
        check.fail("port", "The value must be an integer")
    if not form.one("username"):
        check.fail("username", "Username must not be empty")
    if len(form.one("password") or "x" * 6) < 6:
        check.fail("password", "The password must be at least 6 characters long.")
    check.done()
    if ctx.validate_only:
        return errors({}, 200)
    name, password = form.one("username") or "", form.one("password") or ""
    if ctx.host.cluster is None:
        quota = {**service_defaults(), **ctx.host.pre_quota}
        provision(ctx, ctx.host.pre_services, name, password, quota, "")
    else:
        users = [u for u in ctx.world.users if u.role != "admin"]
        ctx.world.users = users + [User(name, password, "admin")]
    return as_json({"newBaseUri": f"http://{ctx.host.hostname}/"})


@route("GET", "/settings/indexes")
def indexes(ctx: Context) -> Reply:
    """Read by the reference client before it adds nodes."""
    if not any("index" in m.services for m in ctx.cluster.members.values()):
        return as_json({"storageMode": "", "numReplica": 0})
    return as_json({"storageMode": "plasma", "numReplica": 0, "indexerThreads": 0,
                    "maxRollbackPoints": 2, "memorySnapshotInterval": 200,
                    "stableSnapshotInterval": 5000, "logLevel": "info"})
