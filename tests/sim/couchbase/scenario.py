"""From a scenario document to a world; what is not understood is refused."""
from __future__ import annotations

import ssl
from typing import Any, Dict, Iterable, List, Tuple

from .cluster import Cluster
from .model import Bucket, Group, Host, Member, Timing, User, service_defaults
from .profile import KNOWN_SERVICES, Profile, full_version, parse_version
from .rest_settings import DISK, SILENT_DISK, defaults
from .vbmap import without
from .world import World

TOP = ("version", "edition", "compat", "clusterName", "uuid", "seed", "factor", "nodes", "spares",
       "groups", "buckets", "quota", "autoFailover", "retryRebalance", "users", "tokens", "bearer",
       "clientCert", "tls", "timing", "strictEncoding", "errorAsCharCodes", "prohibitHttp",
       "extraCAs", "tasks", "alerts", "busy", "unfinished", "errorMessage", "initialised")
NODE = ("name", "otp", "configured", "address", "port", "version", "services", "group", "membership",
        "recoveryType", "load", "process", "joinUser", "joinPassword", "uuid")
BUCKET = ("name", "type", "backend", "replicas", "ramQuotaMiB", "items", "memUsed", "diskUsed",
          "ops", "vbuckets", "flush", "rank")


class BadScenario(Exception):
    """The document does not make sense."""


def only(what: str, document: Dict[str, Any], known: Iterable[str]) -> None:
    """Refuses keys nobody reads."""
    strange = sorted(set(document) - set(known))
    if strange:
        raise BadScenario(f"{what}: unknown keys: {', '.join(strange)}")


def listed(value: Any, prefix: str) -> List[Dict[str, Any]]:
    """A list of nodes, or a number of them."""
    if isinstance(value, int):
        return [{"name": f"{prefix}{i + 1}"} for i in range(value)]
    return [{"name": f"{prefix}{i + 1}", **row} for i, row in enumerate(value)]


def make_host(world: World, row: Dict[str, Any], version: str) -> Host:
    """One process."""
    only(f"node {row['name']}", row, NODE)
    enterprise = world.profile.enterprise
    host = Host(
        name=row["name"], address=row.get("address", "127.0.0.1"),
        otp=row.get("otp", f"ns_1@{row['name']}.sim"), uuid=row.get("uuid", world.hex(32)),
        version=full_version(row.get("version", version), enterprise),
        configured=row.get("configured", ""), want_port=int(row.get("port", 0)),
        load=dict(row.get("load", {})),
        first_process=row.get("process", "up"), join_user=row.get("joinUser"),
        join_password=row.get("joinPassword"))
    parse_version(host.version)
    if host.first_process not in ("up", "killed", "frozen"):
        raise BadScenario(f"node {host.name}: unknown process state {host.first_process}")
    if not host.address.startswith("127.") and host.address != "::1":
        raise BadScenario(f"node {host.name}: {host.address} is not a loopback address")
    shared = [other for other in world.hosts if other.address == host.address]
    host.direct += 2 * len(shared)
    if any(host.name == o.name or host.otp == o.otp for o in world.hosts):
        raise BadScenario(f"node {host.name}: given twice")
    world.hosts.append(host)
    return host


def make_groups(cluster: Cluster, names: List[str]) -> Dict[str, str]:
    """Server groups in the order they are named first; gives name to uuid."""
    cluster.groups = [Group(name, "0" if i == 0 else cluster.world.hex(32))
                      for i, name in enumerate(dict.fromkeys(names or ["Group 1"]))]
    return {group.name: group.uuid for group in cluster.groups}


def make_members(cluster: Cluster, document: Dict[str, Any], version: str) -> None:
    """The nodes of the scenario; the cluster is balanced over its active ones first."""
    rows = listed(document.get("nodes", 3), "n")
    groups = make_groups(cluster, list(document.get("groups", []))
                         + [r["group"] for r in rows if "group" in r])
    later = []
    for row in rows:
        host = make_host(cluster.world, row, version)
        services = list(row.get("services", ["kv"]))
        if not set(services) <= set(KNOWN_SERVICES):
            raise BadScenario(f"node {host.name}: unknown services {services}")
        member = Member(host, services, groups[row.get("group", cluster.groups[0].name)])
        cluster.add_member(member)
        later.append((member, row))
    make_buckets(cluster, document.get("buckets", []),
                 [m.otp for m, r in later if r.get("membership") == "inactiveAdded"
                  and r.get("recoveryType", "none") == "none"])
    for member, row in later:
        settle_member(cluster, member, row)


def make_buckets(cluster: Cluster, rows: List[Dict[str, Any]], added: List[str]) -> None:
    """Buckets, balanced over the nodes that were active before the story begins."""
    for row in rows:
        only("bucket", row, BUCKET)
        replicas = int(row.get("replicas", 1))
        bucket = Bucket(row["name"], cluster.world.hex(32), row.get("type", "membase"),
                        row.get("backend", "couchstore"), replicas)
        for key, name in (("items", "items"), ("memUsed", "mem_used"), ("diskUsed", "disk_used"),
                          ("ops", "ops"), ("vbuckets", "vbuckets"), ("flush", "flush"),
                          ("rank", "rank"), ("ramQuotaMiB", "ram_mib")):
            if key in row:
                setattr(bucket, name, row[key])
        cluster.buckets[bucket.name] = bucket
    for otp in added:
        cluster.members[otp].membership = "inactiveAdded"
    cluster.settle_maps()


def settle_member(cluster: Cluster, member: Member, row: Dict[str, Any]) -> None:
    """A node that was failed over, or marked for recovery, when the story begins."""
    state, recovery = row.get("membership", "active"), row.get("recoveryType", "none")
    if state not in ("active", "inactiveAdded", "inactiveFailed"):
        raise BadScenario(f"node {row['name']}: unknown membership {state}")
    if state == "inactiveFailed" or recovery != "none":
        for bucket in cluster.buckets.values():
            bucket.chains = without(bucket.chains, [member.otp])[0]
            bucket.servers = [o for o in bucket.servers if o != member.otp]
        member.failed_at_change = cluster.change
    member.membership, member.recovery = state, recovery


def make_settings(cluster: Cluster, document: Dict[str, Any]) -> None:
    """Settings with the scenario's own values."""
    cluster.settings = defaults(cluster.profile)
    for name in ("autoFailover", "retryRebalance"):
        stored, given = cluster.settings[name], document.get(name, {})
        only(name, given, stored)
        for key, value in given.items():
            stored[key] = {**stored[key], **value} if key in (DISK, SILENT_DISK) else value
    cluster.quota = {**service_defaults(), **document.get("quota", {})}
    only("quota", cluster.quota, service_defaults())
    cluster.extra_tasks = list(document.get("tasks", []))
    cluster.alerts = list(document.get("alerts", []))
    cluster.busy = document.get("busy")
    if document.get("errorMessage"):
        cluster.status.settle(cluster.world.hex(32), "rebalance", document["errorMessage"])


def make_access(world: World, document: Dict[str, Any]) -> None:
    """Users, tokens, certificates, TLS."""
    rows = document.get("users", [{"name": "Administrator", "password": "password"}])
    world.users = [User(**row) for row in rows]
    world.tokens = dict(document.get("tokens", {}))
    world.bearer = bool(document.get("bearer", bool(world.tokens)))
    tls = document.get("tls")
    if tls:
        only("tls", tls, ("cert", "key", "ca"))
        world.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        world.tls.load_cert_chain(tls["cert"], tls["key"])
        with open(tls.get("ca", tls["cert"]), encoding="ascii") as pem:
            world.ca_pem = pem.read()
        if "ca" in tls:
            world.tls.load_verify_locations(tls["ca"])
    if "clientCert" in document:
        world.set_client_cert(document["clientCert"])


def version_of(document: Dict[str, Any]) -> Tuple[str, Profile]:
    """The nodes' version, and the profile of the whole cluster."""
    version = str(document.get("version", "8.0.1"))
    edition = document.get("edition", "enterprise")
    if edition not in ("enterprise", "community"):
        raise BadScenario(f"unknown edition {edition}")
    try:
        number = parse_version(str(document.get("compat", version)))
    except (ValueError, IndexError) as bad:
        raise BadScenario(f"version: {bad}") from None
    return version, Profile(*number, edition == "enterprise")


def build(document: Dict[str, Any]) -> World:
    """The world a scenario describes; ports are not taken yet."""
    only("scenario", document, TOP)
    version, profile = version_of(document)
    world = World(profile, document.get("seed"), float(document.get("factor", 1.0)))
    timing = document.get("timing", {})
    only("timing", timing, vars(Timing()))
    world.timing = Timing(**{key: float(value) for key, value in timing.items()})
    world.strict_encoding = bool(document.get("strictEncoding", True))
    world.error_as_codes = bool(document.get("errorAsCharCodes", False))
    world.prohibit_http = bool(document.get("prohibitHttp", False))
    world.extra_cas = int(document.get("extraCAs", 0))
    make_access(world, document)
    if document.get("initialised", True):
        cluster = Cluster(world, profile, document.get("uuid", world.hex(32)))
        cluster.name = document.get("clusterName", "")
        world.clusters.append(cluster)
        make_settings(cluster, document)
        make_members(cluster, document, version)
        cluster.unfinished = [world.host(name).otp for name in document.get("unfinished", [])]
        for otp in cluster.unfinished:
            cluster.members[otp].unfinished = True
        cluster.elect()
    else:
        for row in listed(document.get("nodes", 1), "n"):
            make_host(world, row, version)
    for row in listed(document.get("spares", 0), "s"):
        make_host(world, row, version)
    return world
