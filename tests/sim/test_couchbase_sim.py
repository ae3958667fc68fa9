#!/usr/bin/env python3
"""The Couchbase simulator, request by request: a table of facts and the answers to them."""
from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import time
from typing import Any, Dict, List, Optional, Tuple

from simtest import ADMIN, CASES, FORM, Answer, Sim, case, expect, form, same, tap

THREE: Dict[str, Any] = {
    "factor": 0, "timing": {"cache": 0}, "spares": 2,
    "nodes": [{"services": ["kv", "index"], "group": "Rack A"},
              {"services": ["kv"], "group": "Rack B"},
              {"services": ["kv"], "group": "Rack B"}, {"services": ["n1ql"], "group": "Rack A"}],
    "buckets": [{"name": "travel", "replicas": 1}, {"name": "solo", "replicas": 0}],
    "users": [{"name": "Administrator", "password": "password"},
              {"name": "reader", "password": "r:e/ader", "role": "ro_admin"},
              {"name": "ops", "password": "ops", "role": "cluster_admin"},
              {"name": "nobody", "password": "nobody", "role": "none"},
              {"name": "old", "password": "old", "expired": True}],
    "tokens": {"tok-1": "Administrator"}}

# name, path, body ({n1} is an otpNode, {s1@} an address), status, shape, content
Row = Tuple[str, str, str, int, str, Any]


def encode(sim: Sim, body: str) -> str:
    """Puts names in and percent-encodes the values; `raw:` leaves a body alone."""
    for name, otp in sim.otp.items():
        body = body.replace("{%s}" % name, otp).replace("{%s@}" % name, sim.host[name])
    if body.startswith("raw:"):
        return body[4:]
    pairs = [part.partition("=") for part in body.split("&") if part]
    return form(*[(key, value) for key, _, value in pairs])


def expand(sim: Sim, content: Any) -> Any:
    """Names in expected content."""
    if not isinstance(content, str):
        return content
    for name, otp in sim.otp.items():
        content = content.replace("{%s}" % name, otp).replace("{%s@}" % name, sim.host[name])
    return content


def posts(sim: Sim, rows: List[Row], method: str = "POST") -> None:
    """Sends a table of refusals (and harmless successes)."""
    for what, path, body, status, shape, content in rows:
        got = sim.send(method, path, encode(sim, body))
        expect(got, status, shape, expand(sim, content), what)


RECOVERY = {"recoveryType": "recovery type must be either 'delta' or 'full'"}
NOT_DELTA = {"otpNode": "invalid node name or node can't be used for delta recovery"}
UNSUPPORTED = "Unsupported key"

FAILOVER: List[Row] = [
    ("no otpNode", "/controller/failOver", "", 400, "text", "No server specified."),
    ("graceful, no otpNode", "/controller/startGracefulFailover", "", 400, "text",
     "No server specified."),
    ("async, no otpNode", "/controller/startFailover", "", 400, "text", "No server specified."),
    ("never seen", "/controller/failOver", "otpNode=ns_1@x", 400, "text",
     'Unknown server given ["ns_1@x"]'),
    ("never seen, two", "/controller/startGracefulFailover", "otpNode=ns_1@x&otpNode=ns_1@y", 400,
     "text", 'Unknown server given ["ns_1@x", "ns_1@y"]'),
    ("address instead of name", "/controller/failOver", "otpNode={n1@}", 400, "text",
     'Unknown server given ["{n1@}"]'),
    ("last kv", "/controller/failOver", "otpNode={n1}&otpNode={n2}&otpNode={n3}", 400, "text",
     "Last active node cannot be failed over."),
    ("graceful without kv", "/controller/startGracefulFailover", "otpNode={n4}", 400, "text",
     "Failover cannot be done gracefully for a node without data service. Use hard failover."),
    ("graceful would lose", "/controller/startGracefulFailover", "otpNode={n2}", 400, "text",
     "Failover cannot be done gracefully (would lose vbuckets)."),
    ("allowUnsafe neither", "/controller/failOver", "otpNode={n2}&allowUnsafe=yes", 400, "json",
     {"errors": {"allowUnsafe": "The value must be one of the following: [true,false]"}}),
    ("graceful knows no allowUnsafe", "/controller/startGracefulFailover",
     "otpNode={n2}&allowUnsafe=true", 400, "json", {"errors": {"allowUnsafe": UNSUPPORTED}}),
    ("misspelt", "/controller/failOver", "otpnode={n2}", 400, "json",
     {"errors": {"otpnode": UNSUPPORTED}}),
    ("unsafe to the victim", "/controller/failOver", "otpNode={n1}&allowUnsafe=true", 400, "text",
     "{n1} which is orchestrating the failover must be one of the nodes that survive the failover"),
    ("expected topology", "/controller/failOver",
     "otpNode={n2}&activeNodes={n1},{n2}&inactiveFailedNodes=&inactiveAddedNodes=", 400, "text",
     "Expected topology mismatch"),
    ("expected topology in part", "/controller/startGracefulFailover",
     "otpNode={n2}&inactiveFailedNodes=", 400, "text", "Expected topology mismatch"),
    ("expected topology unknown", "/controller/failOver", "otpNode={n2}&activeNodes=ns_1@x", 400,
     "text", 'Unknown servers given: ["ns_1@x"]'),
]

RECOVER: List[Row] = [
    ("recovery of an active", "/controller/setRecoveryType", "otpNode={n2}&recoveryType=full", 400,
     "json", NOT_DELTA),
    ("recovery type", "/controller/setRecoveryType", "otpNode={n2}&recoveryType=fast", 400, "json",
     {**RECOVERY, **NOT_DELTA}),
    ("recovery of nobody", "/controller/setRecoveryType", "otpNode=ns_1@x&recoveryType=delta", 400,
     "json", NOT_DELTA),
    ("reAdd active", "/controller/reAddNode", "otpNode={n2}", 400, "json", NOT_DELTA),
    ("reFailOver active", "/controller/reFailOver", "otpNode={n2}", 400, "empty", ""),
    ("eject active", "/controller/ejectNode", "otpNode={n2}", 400, "text",
     "Cannot remove active server."),
    ("eject nobody", "/controller/ejectNode", "otpNode=ns_1@x", 400, "text",
     "Server does not exist."),
    ("eject, no name", "/controller/ejectNode", "", 400, "text", "Bad Request"),
    ("stop when idle", "/controller/stopRebalance", "", 200, "empty", ""),
    ("stop, bad flag", "/controller/stopRebalance", "allowUnsafe=1", 400, "json",
     {"errors": {"allowUnsafe": "The value must be one of the following: [true,false]"}}),
]

ALL = "knownNodes={n1},{n2},{n3},{n4}"
REBALANCE: List[Row] = [
    ("no nodes", "/controller/rebalance", "", 400, "json", {"empty_known_nodes": 1}),
    ("empty nodes", "/controller/rebalance", "knownNodes=", 400, "json", {"empty_known_nodes": 1}),
    ("nodes missing", "/controller/rebalance", "knownNodes={n1},{n2},{n3}", 400, "json",
     {"mismatch": 1}),
    ("unknown node", "/controller/rebalance", ALL + ",ns_1@x", 400, "json", {"mismatch": 1}),
    ("ejected unknown", "/controller/rebalance", ALL + "&ejectedNodes=ns_1@x", 400, "json",
     {"mismatch": 1}),
    ("repeated node", "/controller/rebalance", ALL + ",{n1}", 400, "json", {"mismatch": 1}),
    ("no kv left", "/controller/rebalance", ALL + "&ejectedNodes={n1},{n2},{n3}", 400, "json",
     {"noKVNodesLeft": 1}),
    ("none left", "/controller/rebalance", ALL + "&ejectedNodes={n1},{n2},{n3},{n4}", 400, "text",
     "No active nodes left"),
    ("delta impossible", "/controller/rebalance", ALL + "&deltaRecoveryBuckets=travel", 400,
     "json", {"deltaRecoveryNotPossible": 1}),
    ("otpNode is not for rebalance", "/controller/rebalance", ALL + "&otpNode={n1}", 400, "json",
     {"errors": {"otpNode": UNSUPPORTED}}),
    ("topology of kv", "/controller/rebalance", ALL + "&topology[kv]={n1}", 400, "text",
     "Cannot change topology for data service"),
    ("topology unknown", "/controller/rebalance", ALL + "&topology[x]={n1}", 400, "text",
     'Unknown service "x"'),
    ("topology nodes", "/controller/rebalance", ALL + "&topology[n1ql]=ns_1@x", 400, "text",
     'Unknown or ejected nodes ["ns_1@x"]'),
    ("topology malformed", "/controller/rebalance", ALL + "&topology={n1}", 400, "text",
     'Malformed topology parameter "topology"'),
    ("topology twice", "/controller/rebalance", ALL + "&topology[fts]={n1}&topology[fts]={n2}",
     400, "text", "Duplicate topology parameters"),
    ("wrong expectation", "/controller/rebalance", ALL + "&activeNodes={n1}", 400, "text",
     "Expected topology mismatch"),
]

WHO = "&user=Administrator&password=x"
ADD_NODE: List[Row] = [
    ("nothing", "/controller/addNode", "", 400, "json",
     ["Hostname is required.", "user is missing", "password is missing"]),
    ("no user", "/controller/addNode", "hostname={s1@}&password=x", 400, "json",
     ["user is missing"]),
    ("no user name", "/controller/addNode", "hostname={s1@}&user=&password=x", 400, "json",
     ["If a username is not specified, a password must not be supplied."]),
    ("empty password", "/controller/addNode", "hostname={s1@}&user=a&password=", 400, "json",
     ["A password must be supplied."]),
    ("unknown key", "/controller/addNode", "hostname={s1@}&group=0" + WHO, 400, "json",
     ['Got unknown parameters: ["group"]']),
    ("unknown service", "/controller/addNode", "hostname={s1@}&services=kv,data" + WHO, 400,
     "json", ['Unknown services: ["data"]']),
    ("low port", "/controller/addNode", "hostname=127.0.0.1:80" + WHO, 400, "json",
     ["The port number must be greater than 1023 and less than 65536."]),
    ("nobody there", "/controller/addNode", "hostname=127.0.0.9:9999" + WHO, 400, "json",
     lambda got: len(got) == 1 and got[0].startswith("Failed to connect to ")),
    ("itself", "/controller/addNode", "hostname={n1@}" + WHO, 400, "json",
     ["Prepare join failed. Joining node to itself is not allowed."]),
    ("a member", "/controller/addNode", "hostname={n2@}" + WHO, 400, "json",
     ["Prepare join failed. Node is already part of cluster."]),
    ("a group nobody has", "/pools/default/serverGroups/abc/addNode", "hostname={s1@}" + WHO, 404,
     "json", ["Could not find group with uuid: abc"]),
    ("join sent to a member", "/node/controller/doJoinCluster", "hostname={n1@}" + WHO, 400,
     "json", ["Node is already provisioned. To join use controller/addNode api of the cluster"]),
]

DISK = "failoverOnDataDiskIssues"
RANGE = "The value must be in range from 1 to 3600 (inclusive)"
SETTINGS: List[Row] = [
    ("enabled missing", "/settings/autoFailover", "timeout=30", 400, "json",
     {"errors": {"enabled": "The value must be supplied"}}),
    ("enabled bad", "/settings/autoFailover", "enabled=1", 400, "json",
     {"errors": {"enabled": "The value must be one of the following: [true,false]"}}),
    ("timeout missing", "/settings/autoFailover", "enabled=true", 400, "json",
     {"errors": {"_": "enabled is true. A value must be supplied for timeout"}}),
    ("timeout without enabled", "/settings/autoFailover", "enabled=false&timeout=30", 400, "json",
     {"errors": {"_": "enabled must be true for timeout to take effect"}}),
    ("timeout no number", "/settings/autoFailover", "enabled=true&timeout=soon", 400, "json",
     {"errors": {"timeout": "The value must be an integer"}}),
    ("timeout range", "/settings/autoFailover", "enabled=true&timeout=0", 400, "json",
     {"errors": {"timeout": RANGE}}),
    ("maxCount range", "/settings/autoFailover", "enabled=true&timeout=30&maxCount=101", 400,
     "json", {"errors": {"maxCount": "The value must be in range from 1 to 100 (inclusive)"}}),
    ("disk period missing", "/settings/autoFailover",
     f"enabled=true&timeout=30&{DISK}[enabled]=true", 400, "json",
     {"errors": {"_": f"{DISK}[enabled] is true. A value must be supplied for "
                      f"{DISK}[timePeriod]"}}),
    ("maxCount beside disableMaxCount", "/settings/autoFailover",
     "enabled=true&timeout=30&disableMaxCount=true&maxCount=3", 400, "json",
     {"errors": {"_": "disableMaxCount is true. Set it to false for maxCount to take effect."}}),
    ("unknown key", "/settings/autoFailover", "enabled=true&timeout=30&maxcount=3", 400, "json",
     {"errors": {"maxcount": UNSUPPORTED}}),
    ("repeated key", "/settings/autoFailover", "enabled=true&timeout=30&timeout=31", 400, "json",
     {"errors": {"timeout": "Key specified more than once"}}),
    ("only asked", "/settings/autoFailover?just_validate=1", "enabled=true&timeout=77", 200,
     "json", {"errors": {}}),
    ("resetCount", "/settings/autoFailover/resetCount", "", 200, "empty", ""),
    ("reprovision", "/settings/autoReprovision", "enabled=perhaps", 400, "text",
     'The value of "enabled" must be true or false'),
    ("reprovision nodes", "/settings/autoReprovision", "enabled=true&maxNodes=x", 400, "text",
     'The value of "maxNodes" must be a positive integer'),
    ("retry enabled", "/settings/retryRebalance", "maxAttempts=2", 400, "json",
     {"errors": {"enabled": "The value must be supplied"}}),
    ("retry range", "/settings/retryRebalance", "enabled=true&afterTimePeriod=4&maxAttempts=4",
     400, "json",
     {"errors": {"afterTimePeriod": "The value must be in range from 5 to 3600 (inclusive)",
                 "maxAttempts": "The value must be in range from 1 to 3 (inclusive)"}}),
    ("retry", "/settings/retryRebalance", "enabled=true&afterTimePeriod=60", 200, "json",
     {"enabled": True, "afterTimePeriod": 60, "maxAttempts": 1}),
    ("moves", "/settings/rebalance", "rebalanceMovesPerNode=65", 400, "json",
     {"errors": {"rebalanceMovesPerNode":
                 "The value must be in range from 1 to 64 (inclusive)"}}),
    ("alerts", "/settings/alerts", "sender=a", 400, "json",
     {"errors": {"enabled": "The value must be supplied"}}),
    ("quota", "/pools/default", "memoryQuota=100", 400, "json",
     {"errors": {"memoryQuota": "The Data service quota (100MB) cannot be less than 512MB "
                                "(current total buckets quota, or at least 256MB)."}}),
    ("total quota", "/pools/default", "memoryQuota=900000", 400, "json",
     lambda got: got["errors"]["_"].startswith("Total quota (902048MB) exceeds the maximum")),
    ("services of a member", "/node/controller/setupServices", "services=kv", 400, "json",
     {"errors": {"services": "cannot change node services after cluster is provisioned"}}),
    ("rename a member", "/node/controller/rename", "hostname=h", 400, "json",
     ["Renaming is disallowed for nodes that are already part of a cluster"]),
    ("rename to nothing", "/node/controller/rename", "hostname=", 400, "json",
     ["The name cannot be empty"]),
    ("cancel any retry", "/controller/cancelRebalanceRetry/0123", "", 200, "empty", ""),
    ("flush off", "/pools/default/buckets/travel/controller/doFlush", "", 400, "json",
     {"_": "Flush is disabled for the bucket"}),
    ("compact nobody", "/pools/default/buckets/x/controller/compactBucket", "", 404, "text",
     "Requested resource not found.\r\n"),
    ("cancel compaction", "/pools/default/buckets/travel/controller/cancelBucketCompaction", "",
     200, "empty", ""),
    ("group without name", "/pools/default/serverGroups", "", 400, "json", {"name": "is missing"}),
    ("group empty name", "/pools/default/serverGroups", "name=", 400, "json",
     {"name": "cannot be empty"}),
    ("group again", "/pools/default/serverGroups", "name=Rack B", 400, "json",
     {"name": "already exists"}),
    ("group long name", "/pools/default/serverGroups", "name=" + "x" * 65, 400, "json",
     {"name": "cannot be longer than 64 bytes"}),
]

WIRE: List[Row] = [
    ("raw at-sign", "/controller/failOver", "raw:otpNode=ns_1@n2.sim", 400, "text",
     re.compile("^Bad request: not percent-encoded")),
    ("raw comma", "/controller/rebalance", "raw:knownNodes=a,b", 400, "text",
     re.compile("^Bad request: not percent-encoded")),
    ("raw brackets", "/settings/autoFailover", f"raw:enabled=true&{DISK}[enabled]=true", 400,
     "text", re.compile("^Bad request: not percent-encoded")),
    ("half an escape", "/controller/failOver", "raw:otpNode=a%4", 400, "text",
     re.compile("^Bad request: not percent-encoded")),
    ("no value", "/controller/failOver", "raw:otpNode", 400, "text",
     re.compile("^Bad request: malformed parameter")),
    ("body where none belongs", "/settings/autoFailover/resetCount", "raw:a=b", 400, "text",
     "Bad request: no body expected"),
    ("unknown path", "/controller/failover", "otpNode={n2}", 404, "text",
     "Requested resource not found.\r\n"),
    ("a path that does not exist", "/pools/default/retryRebalance", "", 404, "text",
     "Requested resource not found.\r\n"),
    ("method the path has not", "/pools/default/tasks", "", 404, "text",
     "Requested resource not found.\r\n"),
    ("another cluster", "/controller/failOver?uuid=00", "otpNode={n2}", 404, "text",
     "Cluster uuid does not match the requested.\r\n"),
    ("unknown argument", "/controller/failOver?wait=1", "otpNode={n2}", 400, "json",
     {"errors": {"wait": UNSUPPORTED}}),
]


@case
def refusals_of_posts() -> None:
    with Sim(THREE) as sim:
        for rows in (FAILOVER, RECOVER, REBALANCE, ADD_NODE, SETTINGS, WIRE):
            posts(sim, rows)
        state = sim.control("state")["clusters"][0]
        same(state["operation"], None, "nothing was started")
        same([m["membership"] for m in state["members"].values()], ["active"] * 4, "members")
        same(state["autoFailover"]["timeout"], 120, "just_validate changed nothing")
        same(len(sim.start["spares"]), 2, "spares")


GETS: List[Tuple[str, int, str, Any]] = [
    ("/nodes/ns_1%40x", 404, "json", "Node is unknown to this cluster."),
    ("/pools/default/buckets/x", 404, "text", "Requested resource not found.\r\n"),
    ("/pools/default/tasks?rebalanceStatusTimeout=500", 400, "json",
     {"errors": {"rebalanceStatusTimeout":
                 "The value must be in range from 1000 to 120000 (inclusive)"}}),
    ("/pools/default/tasks?taskId=none", 404, "text", "Requested resource not found.\r\n"),
    ("/pools/default/rebalanceProgress", 200, "json", {"status": "none"}),
    ("/pools/default/currentRebalanceReport", 200, "json", {"is_rebalancing": False}),
    ("/pools/default/pendingRetryRebalance", 200, "json", {"retry_rebalance": "not_pending"}),
    ("/logs/rebalanceReport?reportID=" + "0" * 32, 200, "json", {"error": "enoent"}),
    ("/logs/rebalanceReport?reportID=0", 400, "json",
     {"errors": {"reportID": "Length must be in range from 32 to 32"}}),
    ("/settings/rebalance", 200, "json", {"rebalanceMovesPerNode": 4}),
    ("/settings/autoReprovision", 200, "json", {"enabled": True, "max_nodes": 1, "count": 0}),
    ("/settings/retryRebalance", 200, "json",
     {"enabled": False, "afterTimePeriod": 300, "maxAttempts": 1}),
    ("/settings/autoFailover", 200, "json",
     {"enabled": True, "timeout": 120, "count": 0,
      "failoverOnDataDiskIssues": {"enabled": False, "timePeriod": 120},
      "disableMaxCount": False, "maxCount": 1, "canAbortRebalance": True,
      "failoverPreserveDurabilityMajority": False,
      "failoverOnDataDiskNonResponsiveness": {"enabled": False, "timePeriod": 120},
      "allowFailoverEphemeralNoReplicas": False}),
    ("/whoami", 200, "json",
     {"id": "Administrator", "domain": "admin", "roles": [{"role": "admin"}]}),
    ("/settings/clientCertAuth", 200, "json", {"state": "disable", "prefixes": []}),
]


@case
def answers_of_gets() -> None:
    with Sim(THREE) as sim:
        for path, status, shape, content in GETS:
            expect(sim.send("GET", path), status, shape, content, path)
        whole = sim.get("/pools/default")
        for key in ("balanced", "servicesNeedRebalance", "bucketsNeedRebalance", "counters",
                    "rebalanceProgressUri", "serverGroupsUri", "storageTotals", "memoryQuota"):
            same(key in whole, True, key)
        same(whole["controllers"]["rebalance"]["uri"],
                 f"/controller/rebalance?uuid={sim.uuid}", "guarded uri")
        same([n.get("thisNode") for n in whole["nodes"]], [True, None, None, None], "thisNode")
        same(whole["nodes"][0]["clusterCompatibility"], 524288, "compat")
        same(whole["nodes"][1]["serverGroup"], "Rack B", "group")
        same(sim.get("/nodes/self", "n2")["otpNode"], sim.otp["n2"], "self")
        row = sim.get("/nodeStatuses")[sim.host["n4"]]
        same((row["dataless"], row["gracefulFailoverPossible"]), (True, False), "dataless")
        task = sim.task()
        same({k for k in task}, {"statusId", "type", "subtype", "status", "statusIsStale",
                                     "masterRequestTimedOut"}, "idle task")
        terse = sim.get("/pools/default/terseClusterInfo")
        same((terse["clusterUUID"], terse["orchestrator"]), (sim.uuid, sim.otp["n1"]), "terse")
        bucket = sim.get("/pools/default/buckets/travel")
        same(len(bucket["vBucketServerMap"]["vBucketMap"]), 1024, "vBuckets")
        same("vBucketServerMap" in sim.get("/pools/default/buckets?skipMap=true")[0], False,
                 "skipMap")


@case
def configured_names_differ() -> None:
    with Sim({"nodes": [{"name": "n1", "configured": "a.example"}, {"name": "n2"}]}) as sim:
        names = [(n["hostname"], n["configuredHostname"])
                 for n in sim.get("/pools/default")["nodes"]]
        port = sim.host["n1"].rpartition(":")[2]
        same(names, [(sim.host["n1"], "a.example:" + port), (sim.host["n2"],) * 2], "names")
        same(sorted(sim.get("/nodeStatuses")), sorted(sim.host.values()), "keys of nodeStatuses")


def basic(name: str, password: str) -> str:
    """An Authorization header."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@case
def who_may_do_what() -> None:
    denied = {"message": "Forbidden. User needs the following permissions",
              "permissions": ["cluster.pools!write"]}
    with Sim(THREE) as sim:
        for auth in (None, basic("Administrator", "wrong"), basic("x", "password"), "Basic !!",
                     "Bearer other"):
            got = sim.send("GET", "/pools/default", auth=auth)
            expect(got, 401, "empty", "", f"{auth}")
            same(got.headers.get("www-authenticate"),
                     'Basic realm="Couchbase Server Admin / REST"', "realm")
            got = sim.send("GET", "/pools/default", auth=auth,
                           headers={"invalid-auth-response": "on"})
            same((got.status, "www-authenticate" in got.headers), (401, False), "silent 401")
        same(sim.send("GET", "/pools", auth="Bearer tok-1").status, 200, "token")
        reader = basic("reader", "r:e/ader")
        same(sim.send("GET", "/pools/default", auth=reader).status, 200, "reader reads")
        got = sim.send("POST", "/controller/stopRebalance", "", auth=reader)
        expect(got, 403, "json", denied, "reader writes")
        same(sim.send("GET", "/pools", auth=reader).json["isROAdminCreds"], True, "isROAdmin")
        got = sim.send("GET", "/pools/default", auth=basic("nobody", "nobody"))
        same((got.status, got.json["permissions"]), (403, ["cluster.pools!read"]), "nobody")
        got = sim.send("POST", "/controller/hardResetNode", "", auth=basic("ops", "ops"))
        same(got.status, 403, "hardResetNode wants the full administrator")
        got = sim.send("POST", "/controller/stopRebalance", "", auth=basic("ops", "ops"))
        same(got.status, 200, "cluster administrator")
        got = sim.send("GET", "/pools", auth=basic("old", "old"))
        expect(got, 403, "json", {"message": "Password expired", "passwordExpired": True}, "old")
        got = sim.send("GET", "/pools/default/certificate", auth=None)
        same(got.status, 200, "the CA needs no credentials")


VERSIONS: List[Tuple[str, str, List[Row]]] = [
    ("7.2", "enterprise", [
        ("timeout", "/settings/autoFailover", "enabled=true&timeout=4", 400, "text",
         'The value of "timeout" must be a positive integer in a range from 5 to 3600'),
        ("enabled", "/settings/autoFailover", "enabled=1", 400, "text",
         'The value of "enabled" must be true or false'),
        ("no disableMaxCount", "/settings/autoFailover",
         "enabled=true&timeout=5&disableMaxCount=true", 400, "text", re.compile("disableMaxCount")),
        ("no guard", "/controller/failOver", "otpNode={n1}&activeNodes={n1}", 400, "json",
         {"errors": {"activeNodes": UNSUPPORTED}}),
        ("arbiter", "/controller/addNode", "hostname={s1@}&services=" + WHO, 400, "json",
         ['Unknown services: [""]']),
        ("rebalance", "/controller/rebalance", "knownNodes={n1},{n2},{n3}", 200, "empty", "")]),
    ("7.6", "enterprise", [
        ("timeout", "/settings/autoFailover", "enabled=true&timeout=1", 200, "empty", ""),
        ("no ephemeral", "/settings/autoFailover",
         "enabled=true&timeout=1&allowFailoverEphemeralNoReplicas=true", 400, "json",
         {"errors": {"allowFailoverEphemeralNoReplicas": UNSUPPORTED}}),
        ("no topology", "/controller/rebalance", "knownNodes={n1},{n2},{n3}&topology[fts]={n1}",
         400, "json", {"errors": {"topology[fts]": UNSUPPORTED}}),
        ("arbiter", "/controller/addNode", "hostname={s1@}&services=" + WHO, 200, "json",
         lambda got: list(got) == ["otpNode"]),
        ("rebalance", "/controller/rebalance", "knownNodes={n1},{n2},{n3},{s1}", 200, "json",
         lambda got: re.fullmatch("[0-9a-f]{32}", got["rebalance_id"]) is not None)]),
    ("8.0", "community", [
        ("timeout", "/settings/autoFailover", "enabled=true&timeout=29", 400, "json",
         {"errors": {"timeout": "The value must be in range from 30 to 3600 (inclusive)"}}),
        ("no maxCount", "/settings/autoFailover", "enabled=true&timeout=30&maxCount=1", 400, "json",
         {"errors": {"maxCount": UNSUPPORTED}}),
        ("no groups", "/pools/default/serverGroups", "name=x", 404, "text",
         "Requested resource not found.\r\n"),
        ("no retry", "/settings/retryRebalance", "enabled=true", 404, "text",
         "Requested resource not found.\r\n")])]


@case
def versions_and_editions_differ() -> None:
    for version, edition, rows in VERSIONS:
        with Sim({"version": version, "edition": edition, "factor": 0, "spares": 1,
                  "timing": {"cache": 0}}) as sim:
            posts(sim, rows)
            whole, settings = sim.get("/pools/default"), sim.get("/settings/autoFailover")
            since76 = version != "7.2"
            same("servicesNeedRebalance" in whole, since76, version + " reasons")
            same("serverGroupsUri" in whole, edition == "enterprise", version + " groups")
            if edition == "community":
                same(set(settings), {"enabled", "timeout", "count"}, "community settings")
            else:
                same("disableMaxCount" in settings, since76, version + " disableMaxCount")
            got = sim.send("GET", "/pools/default/currentRebalanceReport")
            same(got.status, 200 if since76 else 404, version + " current report")


@case
def a_mixed_cluster_has_no_expected_topology() -> None:
    with Sim({"version": "8.0", "compat": "7.6", "factor": 0}) as sim:
        got = sim.post("/controller/failOver", ("otpNode", sim.otp["n2"]),
                       ("activeNodes", sim.otp["n1"]))
        expect(got, 400, "text", "Cannot use expected topology in pre-7.9 cluster", "guard")


@case
def settings_are_kept() -> None:
    with Sim({"factor": 0, "buckets": [{"name": "b", "flush": True, "items": 5}]}) as sim:
        same(sim.post("/settings/autoFailover", ("enabled", "true"), ("timeout", "9"),
                          (f"{DISK}[enabled]", "true"), (f"{DISK}[timePeriod]", "60"),
                          ("disableMaxCount", "true")).status, 200, "set")
        got = sim.get("/settings/autoFailover", "n3")
        same((got["timeout"], got[DISK], "maxCount" in got),
                 (9, {"enabled": True, "timePeriod": 60}, False), "read at another node")
        same(sim.post("/settings/autoFailover", ("enabled", "false")).status, 200, "off")
        got = sim.get("/settings/autoFailover")
        same((got["enabled"], got[DISK]["enabled"]), (False, False), "disk options go off")
        sim.post("/settings/alerts", ("enabled", "true"), ("emailPass", "s3cret"),
                 ("recipients", "a@x,b@x"))
        got = sim.get("/settings/alerts")
        same((got["recipients"], got["emailServer"]["pass"]), (["a@x", "b@x"], ""), "alerts")
        log = sim.control("log", path="/settings/alerts", method="POST")["requests"]
        same("s3cret" in json.dumps(log), False, "the password is masked")
        same(log[0]["secrets"], {"emailPass": 6}, "and counted")
        sim.post("/pools/default/buckets/b/controller/doFlush")
        same(sim.get("/pools/default/buckets/b")["basicStats"]["itemCount"], 0, "flushed")


@case
def server_groups() -> None:
    with Sim(THREE) as sim:
        path = "/pools/default/serverGroups"
        before = sim.get(path)
        same([g["name"] for g in before["groups"]], ["Rack A", "Rack B"], "groups")
        same(sim.send("PUT", before["groups"][0]["uri"], "name=Rack%20A1").status, 200, "rename")
        body = {"groups": [{"uri": g["uri"], "nodes": [{"otpNode": n["otpNode"]}
                                                       for n in g["nodes"]]}
                           for g in before["groups"]]}
        got = sim.send("PUT", before["uri"], json.dumps(body), ctype="application/json")
        expect(got, 409, "json", [], "stale revision")
        now = sim.get(path)
        body["groups"][0]["nodes"].append(body["groups"][1]["nodes"].pop())
        got = sim.send("PUT", now["uri"], json.dumps(body), ctype=FORM)
        same(got.status, 400, "a form is no JSON")
        got = sim.send("PUT", now["uri"], json.dumps(body), ctype="application/json")
        same(got.status, 200, "moved")
        row = sim.member("n3")
        same(row and row["serverGroup"], "Rack A1", "new group")
        same(sim.get("/pools/default")["bucketsNeedRebalance"][0]["code"],
                 "servers_not_balanced", "reason")
        same(sim.send("DELETE", now["groups"][1]["uri"]).status, 400, "not empty")
        sim.post(path, ("name", "Rack C"))
        last = sim.get(path)["groups"][-1]
        same(sim.send("DELETE", last["uri"]).status, 200, "delete")


@case
def a_fresh_node_and_its_first_cluster() -> None:
    with Sim({"factor": 0, "initialised": False, "nodes": 1}) as sim:
        pools = sim.send("GET", "/pools", auth=None).json
        same((pools["pools"], pools["uuid"]), ([], []), "not initialised")
        expect(sim.send("GET", "/pools/default", auth=None), 404, "json", "unknown pool", "pool")
        got = sim.post("/controller/addNode", ("hostname", "x"), ("user", "a"), ("password", "b"))
        expect(got, 400, "json", ["Adding nodes to not provisioned nodes is not allowed."], "add")
        got = sim.post("/clusterInit", ("username", "Administrator"), ("password", "password"),
                       ("port", "SAME"), ("services", "n1ql"))
        expect(got, 400, "json",
                   {"errors": {"services": "cannot setup first cluster node without kv service"}},
                   "services")
        got = sim.post("/clusterInit", ("username", "Administrator"), ("password", "password"),
                       ("port", "SAME"), ("services", "kv,index"), ("clusterName", "demo"))
        expect(got, 200, "json", {"newBaseUri": f"http://{sim.host['n1']}/"}, "clusterInit")
        same(sim.get("/pools/default")["clusterName"], "demo", "name")
        same(sim.send("GET", "/pools", auth=None).status, 401, "now a password is needed")


FAULTS: List[Tuple[Dict[str, Any], Any]] = [
    ({"kind": "status", "status": 401}, 401), ({"kind": "status", "status": 403}, 403),
    ({"kind": "status", "status": 404}, 404), ({"kind": "status", "status": 503}, 503),
    ({"kind": "status", "status": 504}, 504), ({"kind": "status", "status": 500}, 500),
    ({"kind": "html"}, "<!DOCTYPE html>"), ({"kind": "bad_json"}, '{"nodes":[{'),
    ({"kind": "empty"}, ""), ({"kind": "deep_json"}, "[[[["), ({"kind": "redirect"}, 301),
    ({"kind": "body", "body": "[1]"}, "[1]"),
    ({"kind": "cut"}, None), ({"kind": "cut_head"}, None), ({"kind": "cut_body"}, None),
    ({"kind": "garbage_head"}, None)]


def attempt(sim: Sim, path: str) -> Optional[Answer]:
    """A GET, None when no whole answer comes."""
    try:
        return sim.send("GET", path, timeout=5)
    except (http.client.HTTPException, OSError):
        return None


@case
def injected_faults() -> None:
    with Sim({"factor": 0}) as sim:
        for spec, want in FAULTS:
            sim.control("fault", path="/pools/default*", method="GET", **spec)
            got = attempt(sim, "/pools/default")
            if want is None:
                same(got, None, spec["kind"])
            elif isinstance(want, int):
                same(got and got.status, want, spec["kind"])
            else:
                same(got and got.text.startswith(want) and got.status, 200, spec["kind"])
            same(sim.send("GET", "/pools/default").status, 200, "once only")
        sim.control("fault", kind="stale", path="/pools/default/tasks")
        same(sim.task()["statusIsStale"], True, "stale")
        sim.control("fault", kind="master_timeout", path="/pools/default/tasks")
        same(sim.task()["masterRequestTimedOut"], True, "master time-out")
        sim.control("fault", kind="delay", ms=300, count=2, skip=1)
        sim.get("/pools")
        began = time.monotonic()
        sim.get("/pools")
        same(time.monotonic() - began >= 0.3, True, "delayed")
        rows = sim.control("log", path="/pools")["requests"]
        same([row["fault"] for row in rows], [None, "delay"], "the first one was let pass")
        sim.control("faults", clear=True)
        sim.control("fault", kind="slow", ms=1, path="/pools")
        same(sim.send("GET", "/pools").status, 200, "slow")


def first_bytes(sim: Sim, path: str, count: int) -> bytes:
    """What comes before we lose patience."""
    host, port = sim.host["n1"].split(":")
    with socket.create_connection((host, int(port)), 5) as conn:
        conn.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {ADMIN}\r\n\r\n".encode())
        data = b""
        while len(data) < count:
            more = conn.recv(65536)
            if not more:
                break
            data += more
        return data


@case
def answers_that_never_end_and_effects_without_answer() -> None:
    with Sim({"factor": 0, "timing": {"cache": 0}}) as sim:
        sim.control("fault", kind="endless", path="/pools")
        same(len(first_bytes(sim, "/pools", 1 << 20)) >= 1 << 20, True, "endless body")
        sim.control("fault", kind="endless_head", path="/pools")
        same(len(first_bytes(sim, "/pools", 1 << 18)) >= 1 << 18, True, "endless head")
        for effect in (False, True):
            sim.control("fault", kind="cut", method="POST", effect=effect)
            try:
                sim.post("/controller/startFailover", ("otpNode", sim.otp["n2"]))
                same("an answer", "none", "cut")
            except OSError:
                pass
            running = sim.control("state")["clusters"][0]["operation"] is not None
            same(running, effect, f"effect {effect}")


@case
def the_request_log() -> None:
    with Sim({"factor": 0}) as sim:
        sim.send("POST", "/controller/stopRebalance?uuid=" + sim.uuid, "allowUnsafe=false")
        sim.send("GET", "/pools", auth=None)
        rows = sim.control("log")["requests"]
        same([(r["method"], r["path"], r["query"], r["body"], r["authorised"], r["status"])
                  for r in rows],
                 [("POST", "/controller/stopRebalance", "uuid=" + sim.uuid, "allowUnsafe=false",
                   True, 200), ("GET", "/pools", "", "", False, 401)], "rows")
        same([k for r in rows for k, _ in r["headers"] if k.lower() == "authorization"], [],
                 "no credentials")
        same(dict(rows[0]["headers"])["Content-Type"], FORM, "headers")
        same(sim.control("log", after=rows[-1]["seq"])["requests"], [], "after")


@case
def lives_no_longer_than_allowed() -> None:
    with Sim({"nodes": 1}, life=0.5) as sim:
        same(sim.process.wait(10), 0, "end of life")
    with Sim({"nodes": 1}) as sim:
        assert sim.process.stdin is not None
        sim.process.stdin.close()
        same(sim.process.wait(10), 0, "parent gone")


tap.main(CASES)
