"""JSON documents about nodes and clusters, as one member sees them."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List
from urllib.parse import quote

from . import vbmap
from .cluster import REASON_TEXT, Cluster
from .model import MIB, Bucket, Host, Member

if TYPE_CHECKING:
    from .world import World

GIB = 1024 * MIB
SYSTEM_DEFAULTS: Dict[str, Any] = {
    "cpu_utilization_rate": 10.0, "cpu_stolen_rate": 0, "swap_total": 0, "swap_used": 0,
    "mem_total": 8 * GIB, "mem_free": 6 * GIB, "mem_limit": 8 * GIB, "cpu_cores_available": 4,
    "allocstall": 0}
SERVICE_PORTS = {"kv": "kv", "n1ql": "n1ql", "index": "indexHttp", "fts": "fts", "cbas": "cbas",
                 "eventing": "eventingAdminPort", "backup": "backupAPI"}
PORT_OF = {"kv": 11210, "n1ql": 8093, "indexHttp": 9102, "fts": 8094, "cbas": 8095,
           "eventingAdminPort": 8096, "backupAPI": 8097}
QUOTA_SERVICE = {"memoryQuota": "kv", "indexMemoryQuota": "index", "ftsMemoryQuota": "fts",
                 "cbasMemoryQuota": "cbas", "eventingMemoryQuota": "eventing",
                 "queryMemoryQuota": "n1ql"}


def system_stats(host: Host) -> Dict[str, Any]:
    """systemStats, with what the test set."""
    return {key: host.load.get(key, value) for key, value in SYSTEM_DEFAULTS.items()}


def node_data(cluster: Cluster, otp: str) -> Dict[str, Any]:
    """interestingStats from the buckets' share on one node: load follows the vBuckets."""
    stats: Dict[str, float] = dict.fromkeys(
        ("ops", "cmd_get", "get_hits", "curr_items", "curr_items_tot", "vb_replica_curr_items",
         "vb_active_num_non_resident", "mem_used", "ep_bg_fetched", "couch_docs_data_size",
         "couch_docs_actual_disk_size"), 0)
    for bucket in cluster.buckets.values():
        active, replica = bucket.counts().get(otp, (0, 0))
        owned = active / bucket.vbuckets
        copies = (active + replica) / bucket.vbuckets
        stats["ops"] += bucket.ops * owned
        stats["cmd_get"] += bucket.ops * owned * 0.7
        stats["get_hits"] += bucket.ops * owned * 0.7
        stats["curr_items"] += bucket.items * owned
        stats["curr_items_tot"] += bucket.items * copies
        stats["vb_replica_curr_items"] += bucket.items * replica / bucket.vbuckets
        stats["mem_used"] += bucket.mem_used * bucket.copies_on(otp)
        stats["couch_docs_data_size"] += bucket.disk_used * bucket.copies_on(otp) * 0.9
        stats["couch_docs_actual_disk_size"] += bucket.disk_used * bucket.copies_on(otp)
    return {key: int(value) if key != "ops" else round(value, 2) for key, value in stats.items()}


def interesting_stats(cluster: Cluster, member: Member) -> Dict[str, Any]:
    """interestingStats; only nodes that carry data have any."""
    own = {k: v for k, v in member.host.load.items() if k not in SYSTEM_DEFAULTS}
    if not member.has_kv or member.membership == "inactiveAdded":
        return own
    return {**node_data(cluster, member.otp), **own}


def ports(host: Host) -> Dict[str, int]:
    """The ports object of a node."""
    return {"direct": host.direct, "httpsMgmt": host.tls_port or 18091, "httpsCAPI": 18092,
            "distTCP": 21100, "distTLS": 21150}


def node_object(world: "World", viewer: Host, member: Member) -> Dict[str, Any]:
    """One entry of nodes[], as the viewer answers it."""
    cluster, host = viewer.cluster, member.host
    assert cluster is not None
    status = cluster.health(viewer, host)
    heard = status != "unhealthy"
    stats = system_stats(host)
    node: Dict[str, Any] = {
        "clusterMembership": member.membership, "recoveryType": member.recovery,
        "status": status, "otpNode": host.otp, "hostname": host.hostname,
        "configuredHostname": host.configured_hostname, "nodeUUID": host.uuid,
        "nodeHash": int(host.uuid[:7], 16), "services": sorted(member.services),
        "version": host.version, "os": "x86_64-pc-linux-gnu", "cpuCount": 4,
        "clusterCompatibility": cluster.profile.compat, "ports": ports(host),
        "addressFamily": "inet6" if ":" in host.address else "inet", "addressFamilyOnly": False,
        "nodeEncryption": False, "externalListeners": [],
        "systemStats": stats if heard else {},
        "interestingStats": interesting_stats(cluster, member) if heard else {},
        "uptime": str(int(world.clock.now - host.up_since)) if heard else "0",
        "memoryTotal": stats["mem_total"] if heard else 0,
        "memoryFree": stats["mem_free"] if heard else 0,
        "mcdMemoryReserved": stats["mem_total"] * 8 // 10 // MIB,
        "mcdMemoryAllocated": stats["mem_total"] * 8 // 10 // MIB}
    if host is viewer:
        node["thisNode"] = True
    if member.unfinished:
        node["failoverStatus"] = "unfinished"
    if cluster.profile.enterprise:
        node["serverGroup"] = cluster.group_names().get(member.group, "")
    return node


def node_list(world: "World", viewer: Host) -> List[Dict[str, Any]]:
    """All members, in the order of their names."""
    cluster = viewer.cluster
    assert cluster is not None
    return [node_object(world, viewer, cluster.members[otp]) for otp in sorted(cluster.members)]


def storage_totals(cluster: Cluster) -> Dict[str, Any]:
    """RAM and disk of the whole cluster."""
    carriers = [m for m in cluster.with_state("active") if m.has_kv]
    hosts = [m.host for m in carriers]
    total = sum(system_stats(h)["mem_total"] for h in hosts)
    free = sum(system_stats(h)["mem_free"] for h in hosts)
    quota = cluster.quota["memoryQuota"] * MIB
    per_node = sum(b.ram_mib for b in cluster.buckets.values()) * MIB
    data = sum(int(b.mem_used * sum(b.copies_on(h.otp) for h in hosts))
               for b in cluster.buckets.values())
    disk = sum(int(b.disk_used * sum(b.copies_on(h.otp) for h in hosts))
               for b in cluster.buckets.values())
    hdd = sum(int(h.load.get("hdd_total", 100 * GIB)) for h in hosts)
    return {
        "ram": {"total": total, "quotaTotal": quota * len(hosts),
                "quotaUsed": per_node * len(hosts), "used": total - free, "usedByData": data,
                "quotaUsedPerNode": per_node, "quotaTotalPerNode": quota},
        "hdd": {"total": hdd, "quotaTotal": hdd, "used": disk, "usedByData": disk,
                "free": hdd - disk}}


def balance_reasons(cluster: Cluster) -> Dict[str, List[Dict[str, Any]]]:
    """servicesNeedRebalance and bucketsNeedRebalance (7.6+)."""
    found = cluster.reasons()
    return {f"{what}NeedRebalance": [{"code": code, "description": REASON_TEXT[code], what: names}
                                     for code, names in sorted(found[what].items())]
            for what in ("services", "buckets")}


def controllers(cluster: Cluster) -> Dict[str, Dict[str, str]]:
    """URIs of the controllers, with the uuid that guards them."""
    names = {"addNode": "addNodeV2", "rebalance": "rebalance", "failOver": "failOver",
             "startGracefulFailover": "startGracefulFailover", "reAddNode": "reAddNode",
             "reFailOver": "reFailOver", "ejectNode": "ejectNode",
             "setRecoveryType": "setRecoveryType", "setAutoCompaction": "setAutoCompaction",
             "clusterLogsCollection": "startLogsCollection"}
    return {key: {"uri": f"/controller/{path}?uuid={cluster.uuid}"} for key, path in names.items()}


def pools_default(world: "World", viewer: Host) -> Dict[str, Any]:
    """GET /pools/default."""
    cluster = viewer.cluster
    assert cluster is not None
    guard = f"?uuid={cluster.uuid}"
    answer: Dict[str, Any] = {
        "name": "default", "clusterName": cluster.name, "nodes": node_list(world, viewer),
        "balanced": cluster.is_balanced(), "rebalanceStatus": "running" if cluster.op else "none",
        "rebalanceProgressUri": "/pools/default/rebalanceProgress",
        "stopRebalanceUri": f"/controller/stopRebalance{guard}",
        "nodeStatusesUri": "/nodeStatuses",
        "nodeServicesUri": f"/pools/default/nodeServices?v={cluster.rev}",
        "controllers": controllers(cluster),
        "tasks": {"uri": f"/pools/default/tasks?v={cluster.rev}"},
        "alerts": list(cluster.alerts),
        "alertsSilenceURL": f"/controller/resetAlerts{guard}&token=0",
        "counters": dict(cluster.counters), "storageTotals": storage_totals(cluster),
        **cluster.quota, "maxBucketCount": 30,
        "autoCompactionSettings": cluster.settings["autoCompaction"],
        "clusterEncryptionLevel": "control",
        "bucketNames": [{"bucketName": b.name, "uuid": b.uuid} for b in cluster.buckets.values()],
        "buckets": {"uri": f"/pools/default/buckets?v={cluster.rev}",
                    "terseBucketsBase": "/pools/default/b/",
                    "terseStreamingBucketsBase": "/pools/default/bs/"}}
    if cluster.profile.since76:
        answer.update(balance_reasons(cluster))
    if cluster.profile.enterprise:
        answer["serverGroupsUri"] = f"/pools/default/serverGroups?v={cluster.groups_rev}"
    return answer


def node_self(world: "World", viewer: Host, member: Member) -> Dict[str, Any]:
    """GET /nodes/<otp>: the node object and its storage."""
    cluster = viewer.cluster
    assert cluster is not None
    node = node_object(world, viewer, member)
    path = "/opt/couchbase/var/lib/couchbase/data"
    settings = member.host.node_settings
    node.update({
        "availableStorage": {"hdd": [{"path": "/", "sizeKBytes": 104857600, "usagePercent": 20}]},
        "storageTotals": storage_totals(cluster), **cluster.quota,
        "storage": {"ssd": [], "hdd": [{
            "path": settings.get("path", path), "index_path": settings.get("index_path", path),
            "cbas_dirs": settings.get("cbas_path", [path]),
            "eventing_path": settings.get("eventing_path", path),
            "java_home": settings.get("java_home", ""), "quotaMb": "none", "state": "ok"}]}})
    return node


def node_statuses(cluster: Cluster, viewer: Host) -> Dict[str, Any]:
    """GET /nodeStatuses."""
    answer = {}
    for otp in sorted(cluster.members):
        member = cluster.members[otp]
        values = [b.replication(otp) for b in cluster.buckets.values()]
        row: Dict[str, Any] = {"otpNode": otp, "dataless": not member.has_kv,
                               "replication": round(min(values, default=1.0), 4)}
        if cluster.health(viewer, member.host) == "unhealthy":
            row["status"] = "unhealthy"
        else:
            row["status"] = "healthy"
            row["gracefulFailoverPossible"] = graceful_possible(cluster, member)
        answer[member.host.hostname] = row
    return answer


def graceful_possible(cluster: Cluster, member: Member) -> bool:
    """The server's own check for one node."""
    return (member.membership == "active" and member.has_kv
            and bool(cluster.active_kv(but=[member.otp]))
            and not any(b.only_on(member.otp) for b in cluster.buckets.values()))


def terse(cluster: Cluster, viewer: Host) -> Dict[str, Any]:
    """GET /pools/default/terseClusterInfo."""
    return {"clusterUUID": cluster.uuid,
            "orchestrator": cluster.seen_orchestrator(viewer) or "undefined",
            "isBalanced": cluster.is_balanced(),
            "clusterCompatVersion": f"{cluster.profile.major}.{cluster.profile.minor}"}


def nodes_ext(cluster: Cluster, viewer: Host) -> List[Dict[str, Any]]:
    """Ports per service and node."""
    rows = []
    for member in cluster.with_state("active"):
        services: Dict[str, int] = {"mgmt": member.host.port}
        if member.host.tls_port:
            services["mgmtSSL"] = member.host.tls_port
        for service in sorted(member.services):
            key = SERVICE_PORTS[service]
            services[key] = PORT_OF[key]
        row: Dict[str, Any] = {"services": services}
        if len(cluster.members) > 1:
            row["hostname"] = member.host.address
        if member.host is viewer:
            row["thisNode"] = True
        rows.append(row)
    return rows


def bucket_object(world: "World", viewer: Host, bucket: Bucket, with_map: bool) -> Dict[str, Any]:
    """One bucket, as /pools/default/buckets lists it."""
    cluster = viewer.cluster
    assert cluster is not None
    base = f"/pools/default/buckets/{quote(bucket.name, safe='')}"
    carriers = len(bucket.servers)
    used = int(bucket.mem_used * sum(bucket.copies_on(otp) for otp in bucket.servers))
    disk = int(bucket.disk_used * sum(bucket.copies_on(otp) for otp in bucket.servers))
    quota = bucket.ram_mib * MIB
    controls = {"compactAll": f"{base}/controller/compactBucket",
                "compactDB": f"{base}/controller/compactDatabases",
                "purgeDeletes": f"{base}/controller/unsafePurgeBucket",
                "startRecovery": f"{base}/controller/startRecovery"}
    if bucket.flush:
        controls["flush"] = f"{base}/controller/doFlush"
    answer: Dict[str, Any] = {
        "name": bucket.name, "uuid": bucket.uuid, "bucketType": bucket.kind,
        "replicaNumber": bucket.replicas, "replicaIndex": False,
        "quota": {"ram": quota * carriers, "rawRAM": quota},
        "basicStats": {
            "quotaPercentUsed": round(100 * used / (quota * carriers), 2) if carriers else 0,
            "opsPerSec": bucket.ops, "diskFetches": 0, "itemCount": bucket.items,
            "diskUsed": disk, "dataUsed": int(disk * 0.9), "memUsed": used,
            "vbActiveNumNonResident": 0, "storageTotals": storage_totals(cluster)},
        "evictionPolicy": "noEviction" if bucket.kind == "ephemeral" else "valueOnly",
        "durabilityMinLevel": "none", "conflictResolutionType": "seqno",
        "compressionMode": "passive", "maxTTL": 0, "uri": f"{base}?bucket_uuid={bucket.uuid}",
        "controllers": controls, "nodes": bucket_nodes(world, viewer, bucket)}
    if bucket.kind != "memcached":
        answer["storageBackend"] = bucket.backend
    if cluster.profile.since76:
        answer["rank"] = bucket.rank
    if with_map and bucket.kind != "memcached":
        answer["vBucketServerMap"] = server_map(cluster, bucket)
    return answer


def bucket_nodes(world: "World", viewer: Host, bucket: Bucket) -> List[Dict[str, Any]]:
    """Node objects of a bucket's servers, with their replication."""
    cluster = viewer.cluster
    assert cluster is not None
    rows = []
    for otp in bucket.servers:
        if otp in cluster.members:
            row = node_object(world, viewer, cluster.members[otp])
            row["replication"] = bucket.replication(otp)
            rows.append(row)
    return rows


def server_map(cluster: Cluster, bucket: Bucket) -> Dict[str, Any]:
    """vBucketServerMap; during a rebalance with the map it moves to."""
    servers = [otp for otp in bucket.servers if otp in cluster.members]
    hosts = [cluster.members[otp].host for otp in servers]
    answer: Dict[str, Any] = {
        "hashAlgorithm": "CRC", "numReplicas": bucket.replicas,
        "serverList": [f"{host.hostname.rpartition(':')[0]}:{host.direct}" for host in hosts],
        "vBucketMap": vbmap.indexed(bucket.chains, servers, bucket.replicas)}
    if bucket.forward is not None:
        answer["vBucketMapForward"] = vbmap.indexed(bucket.forward, servers, bucket.replicas)
    return answer
