#!/usr/bin/env python3
"""Every refusal that is known of the cluster manager, played against plans: what kvsh says of it.

A row is: status and body of the answer, exit status of kvsh, what its text must name, what it must advise. Each row is also
checked for what holds of all of them: the plan does not succeed, the cluster is as it was, nothing is asked for twice
(unless the row says so), and the address that refused and the step that failed are named. `-list` prints the rows.

Answers of calls that kvsh never makes have no row: failOver (startFailover is asked instead), reAddNode, reFailOver,
doJoinCluster, clusterInit and its kin, hardResetNode, group and bucket administration, alerts, retryRebalance.
"""
import json
import sys

import cblab
import tap
from cblab import Lab

BY_USER, TOPOLOGY = "Stopped by user", "show topology"
QUORUM = "kvsh-couchbase(7)"
UUID = "Cluster uuid does not match the requested.\r\n"
PERMISSIONS = {"message": "Forbidden. User needs the following permissions", "permissions": ["cluster.pools!write"]}
SETTINGS_PERMISSIONS = dict(PERMISSIONS, permissions=["cluster.settings!write"])
EXPIRED = {"message": "Password expired", "passwordExpired": True}
CRASHED = ["Unexpected server error, request logged."]
TEMPORARY = "Temporary error occurred. Please try again later."
CODES = {"error": [[ord(c) for c in "Cannot rebalance when cluster is in recovery mode"]]}
HTML = "<html><head><title>502</title></head><body>Bad gateway</body></html>"

# What any change may be answered with.
GENERAL = [
    (401, "", 77, "credentials were not accepted", "check user and password-file"),
    (403, PERMISSIONS, 77, "User needs the following permissions: cluster.pools!write", "Full Admin or Cluster Admin"),
    (403, EXPIRED, 77, "Password expired", "give the user a new password"),
    (403, '"Forbidden"', 77, "Forbidden (status 403)", "Full Admin or Cluster Admin"),
    (404, UUID, 1, "Cluster uuid does not match the requested", "another cluster answers at this address"),
    (404, "Requested resource not found.\r\n", 1, "Requested resource not found", "it was removed, or this version"),
    (404, '"unknown pool"', 1, "unknown pool", "belongs to no cluster"),
    (503, json.dumps(TEMPORARY), 1, TEMPORARY[:-1], "show tasks"),
    (503, "", 1, "without a reason (status 503)", "show tasks"),
    (400, "", 1, "without a reason (status 400)", "show plan"),
    (301, "", 1, "redirects elsewhere, which is not followed", "the address of the cluster manager itself"),
]

FAILOVER = [
    (400, "No server specified.", 1, "No server specified", "show plan"),
    (400, 'Unknown server given ["ns_1@x"]', 1, 'Unknown server given ["ns_1@x"]', TOPOLOGY),
    (400, 'Unknown server given: ["ns_1@x"]', 1, 'Unknown server given: ["ns_1@x"]', TOPOLOGY),
    (400, "Unknown server given.", 1, "Unknown server given", TOPOLOGY),
    (400, "Inactive server given.", 1, "Inactive server given", "failed over already, or not active yet"),
    (400, "Last active node cannot be failed over.", 1, "Last active node", "add or recover a node of the data service"),
    (400, 'Last server for bucket "b" cannot be failed over.', 1, 'Last server for bucket "b"', "add or recover a node"),
    (400, "Failover cannot be done gracefully for a node without data service. Use hard failover.", 1,
     "without data service", "use -mode hard"),
    (400, "Failover cannot be done gracefully (would lose vbuckets).", 1, "would lose vbuckets", "plan remove-node"),
    (400, "Expected topology mismatch", 1, "Expected topology mismatch", "somebody changed the members in between"),
    (400, 'Unknown servers given: ["ns_1@x"]', 1, "Unknown servers given", TOPOLOGY),
    (400, "Cannot use expected topology in pre-7.9 cluster", 1, "pre-7.9 cluster", "finish the upgrade"),
    (400, "Failover must include the following nodes: h1:8091, h2:8091.", 1, "h1:8091, h2:8091",
     "name these nodes as well"),
    (400, "ns_1@x which is orchestrating the failover must be one of the nodes that survive the failover", 1,
     "which is orchestrating the failover", "ask a node that stays"),
    (409, "Stopped by user.", 1, BY_USER, "somebody stopped it"),
    (500, CRASHED, 1, "Unexpected server error", "show events"),
    (500, "Failed to synchronize config to other nodes", 1, "Failed to synchronize config", "show events"),
    (500, "Cannot safely perform a failover at the moment", 1, "Cannot safely perform a failover", "show events"),
    (503, "Cannot failover during rebalance", 1, "Cannot failover during rebalance", "show tasks"),
    (503, "Cannot failover when cluster is in recovery mode", 1, "in recovery mode", "show tasks"),
    (503, "Cannot failover when pausing/resuming bucket", 1, "pausing/resuming bucket", "show tasks"),
    (503, "Cannot failover during the bucket deletion", 1, "during the bucket deletion", "show tasks"),
    (503, "Failover could not be processed on nodes ['ns_1@x']", 1, "could not be processed on nodes",
     "these nodes have to answer"),
    (503, "Failover is unsafe on nodes ['ns_1@x'] due to diverged histories", 1, "diverged histories",
     "bring one of the nodes back"),
    (504, "Cannot safely perform a failover at the moment", 1, "Cannot safely perform a failover", QUORUM),
]

RECOVERY = [
    (400, {"recoveryType": "recovery type must be either 'delta' or 'full'"}, 1, "recovery type must be", "show plan"),
    (400, {"otpNode": "invalid node name or node can't be used for delta recovery"}, 1,
     "invalid node name or node can't be used", "else -type full"),
    (400, {"recoveryType": "recovery type must be either 'delta' or 'full'",
           "otpNode": "invalid node name or node can't be used for delta recovery"}, 1,
     "recovery type must be either 'delta' or 'full'; otpNode: invalid node name", "else -type full"),
    (500, CRASHED, 1, "Unexpected server error", "show events"),
]

REBALANCE = [
    (400, {"empty_known_nodes": 1}, 1, "the list of members is empty", "show plan"),
    (400, {"mismatch": 1}, 1, "the list of members is not the cluster's", TOPOLOGY),  # asked for once more
    (400, {"deltaRecoveryNotPossible": 1}, 1, "delta recovery is not possible", "-type full"),
    (400, {"noKVNodesLeft": 1}, 1, "no node of the data service would remain", "keep, add or recover"),
    (400, "No active nodes left", 1, "No active nodes left", "keep, add or recover"),
    (400, "Service topology change is incompatible with delta recovery", 1, "incompatible with delta", "show plan"),
    (400, "Service topology change is not possible if some nodes are failed over", 1, "is not possible", "show plan"),
    (400, "Cannot change topology for data service", 1, "Cannot change topology", "show plan"),
    (400, 'Unknown service "x"', 1, 'Unknown service "x"', "show plan"),
    (400, 'Unknown or ejected nodes ["x"]', 1, "Unknown or ejected nodes", "show plan"),
    (400, 'Malformed topology parameter "topology"', 1, "Malformed topology parameter", "show plan"),
    (400, "Duplicate topology parameters", 1, "Duplicate topology parameters", "show plan"),
    (400, {"must_rebalance_services": ["index", "fts"]}, 1, "must be rebalanced too: index; fts", "console"),
    (400, {"unhosted_services": ["index"]}, 1, "these services would have no node: index", "add a node"),
    (400, {"need_more_space": ["ns_1@x"]}, 1, "need more disk space: ns_1@x", "free space"),
    (400, {"total_quota_too_high": ["ns_1@x"]}, 1, "memory quotas are too high", "lower the memory quotas"),
    (400, "Expected topology mismatch", 1, "Expected topology mismatch", "somebody changed"),  # asked for once more
    (503, "Cannot contact the following nodes: ['ns_1@x']", 1, "Cannot contact the following nodes",
     "start couchbase-server there"),
    (503, "Unfinished failover of nodes ['ns_1@x'] was found.", 1, "Unfinished failover", "repeat that failover first"),
    (503, {"error": "Cannot rebalance when cluster is in recovery mode"}, 1, "in recovery mode", "show tasks"),
    (503, CODES, 1, "Cannot rebalance when cluster is in recovery mode", "show tasks"),
    (503, "Cluster is in recovery mode.", 1, "Cluster is in recovery mode", "show tasks"),
    (500, CRASHED, 1, "Unexpected server error", "show events"),
    (502, HTML, 1, "(status 502)", "show events"),
    (503, HTML, 1, "(status 503)", "show tasks"),
    (200, "", 1, "began nothing: another rebalance is running already", "show tasks"),
]

ADD_NODE = [
    (400, ["user is missing"], 1, "user is missing", "show plan"),
    (400, ["user is missing", "password is missing"], 1, "user is missing; password is missing", "show plan"),
    (400, ["Hostname is required."], 1, "Hostname is required", "show plan"),
    (400, ["The port number must be greater than 1023 and less than 65536."], 1, "port number must be", "give a port"),
    (400, ['Got unknown parameters: ["x"]'], 1, "Got unknown parameters", "show plan"),
    (400, ['Unknown services: ["x"]'], 1, "Unknown services", "services are kv"),
    (400, ["If a username is not specified, a password must not be supplied."], 1, "a username is not specified",
     "give the store user and password-file"),
    (400, ["A password must be supplied."], 1, "A password must be supplied", "give the store user and password-file"),
    (400, ["Adding nodes to not provisioned nodes is not allowed."], 1, "not provisioned nodes", "initialise"),
    (400, ["Node addition is disallowed while rebalance is in progress"], 1, "while rebalance is in progress",
     "show tasks"),
    (400, ["Prepare join failed. Node is already part of cluster."], 1, "already part of cluster", "hardResetNode"),
    (400, ["Prepare join failed. Joining node to itself is not allowed."], 1, "to itself", "name the node that is to"),
    (400, ["Prepare join failed. Authentication failed. Verify username and password."], 1, "Authentication failed",
     "the node has a user and password of its own"),
    (400, ["Node already exists in cluster: ns_1@x"], 1, "Node already exists", "plan rebalance"),
    (400, ["Operation cannot be performed due to unfinished failover"], 1, "unfinished failover", "repeat that failover"),
    (400, ["http is prohibited due to security reasons, please use https"], 1, "http is prohibited", "-port 18091"),
    (400, ["Host x is not allowed to join. Check allowedHosts setting."], 1, "not allowed to join", "allowedHosts"),
    (400, ["Failed to connect to https://x:18091. Could not connect."], 1, "Failed to connect to https://x:18091",
     "reachable from the cluster"),
    (400, ["Prepare join failed. Unable to validate certificate on host: x. Please make sure the certificate on this host "
           "contains host name 'x' in Subject Alternative Name."], 1, "Unable to validate certificate",
     "has to name its host"),
    (404, ["Could not find group with uuid: 0123"], 1, "Could not find group", "show groups"),
    (503, ["Operation temporarily cannot be performed possibly due to loss of quorum"], 1, "loss of quorum", QUORUM),
    (500, CRASHED, 1, "Unexpected server error", "show events"),
]

EJECT = [
    (400, "Cannot remove active server.", 1, "Cannot remove active server", TOPOLOGY),
    (400, "Server does not exist.", 1, "Server does not exist", TOPOLOGY),
    (400, "Bad Request", 1, "Bad Request", "show plan"),
    (503, "Unable to leave cluster", 1, "Unable to leave cluster", "show tasks"),
]

GROUPS = [
    (409, [], 1, "(status 409)", "somebody changed the server groups"),  # asked for three times
    (503, '"Cannot update server group while rebalance is running"', 1, "while rebalance is running", "show tasks"),
]

STOP = [
    (504, "Cannot communicate to the orchestrator node. Stopping rebalance is unsafe. This can be overriden by passing "
          "allowUnsafe=true in the POST form.", 1, "Stopping rebalance is unsafe", "plan stop-rebalance -unsafe"),
    (400, {"errors": {"allowUnsafe": "The value must be one of the following: [true,false]"}}, 1,
     "allowUnsafe: The value must be one of", "show plan"),
]

COMPACTION = [
    (404, "Requested resource not found.\r\n", 1, "Requested resource not found", "show buckets"),
]

SETTINGS = [
    (400, {"errors": {"enabled": "The value must be supplied"}}, 1, "enabled: The value must be supplied"),
    (400, {"errors": {"enabled": "The value must be one of the following: [true,false]"}}, 1, "enabled: The value must"),
    (400, {"errors": {"timeout": "The value must be an integer"}}, 1, "timeout: The value must be an integer"),
    (400, {"errors": {"timeout": "The value must be in range from 1 to 3600 (inclusive)"}}, 1, "from 1 to 3600"),
    (400, {"errors": {"maxCount": "The value must be in range from 1 to 100 (inclusive)"}}, 1, "from 1 to 100"),
    (400, {"errors": {"_": "enabled is true. A value must be supplied for timeout"}}, 1, "supplied for timeout"),
    (400, {"errors": {"_": "enabled must be true for timeout to take effect"}}, 1, "for timeout to take effect"),
    (400, {"errors": {"_": "failoverOnDataDiskIssues[enabled] is true. A value must be supplied for "
                           "failoverOnDataDiskIssues[timePeriod]"}}, 1, "failoverOnDataDiskIssues[timePeriod]"),
    (400, {"errors": {"_": "disableMaxCount is true. Set it to false for maxCount to take effect."}}, 1,
     "Set it to false for maxCount"),
    (400, {"errors": {"x": "Unsupported key"}}, 1, "x: Unsupported key"),
    (400, {"errors": {"timeout": "Key specified more than once"}}, 1, "Key specified more than once"),
    (400, 'The value of "timeout" must be a positive integer in a range from 5 to 3600', 1, "from 5 to 3600"),
    (401, "", 77, "credentials were not accepted"),
    (403, SETTINGS_PERMISSIONS, 77, "needs the following permissions: cluster.settings!write"),
    (403, '"Forbidden"', 77, "Forbidden (status 403)"),
    (404, UUID, 1, "Cluster uuid does not match"),
    (500, CRASHED, 6, "Unexpected server error"),
    (503, json.dumps(TEMPORARY), 1, TEMPORARY[:-1]),
]

# What a question may be answered with.
READING = [
    (401, "", 77, "credentials were not accepted", "check user and password-file"),
    (403, PERMISSIONS, 77, "cluster.pools!write", "looking at the cluster needs Read-Only Admin"),
    (403, EXPIRED, 77, "Password expired", "give the user a new password"),
    (403, '"Forbidden"', 77, "Forbidden", "Full Admin"),
    (404, '"unknown pool"', 1, "unknown pool", "belongs to no cluster"),
    (404, "Requested resource not found.\r\n", 1, "Requested resource not found", "it was removed"),
    (404, '"Node is unknown to this cluster."', 1, "Node is unknown to this cluster", "add its address anew"),
    (500, CRASHED, 69, "Unexpected server error", "the node's own logs"),
    (503, json.dumps(TEMPORARY), 69, TEMPORARY[:-1], "try again"),
    (503, {"error": "timeout"}, 69, "timeout", "try again"),
    (504, "", 69, "status 504", "a majority"),
    (200, "", 69, "no JSON", "8091"),
    (200, "null", 69, "no Couchbase cluster manager", "8091"),
    (200, "[]", 69, "no Couchbase cluster manager", "8091"),
    (200, '{"status": "ok"}', 69, "no Couchbase cluster manager", "8091"),
    (200, HTML, 69, "no JSON", "8091"),
]

TABLES = {"any change": GENERAL, "failover": FAILOVER, "setRecoveryType": RECOVERY, "rebalance": REBALANCE,
          "addNode": ADD_NODE, "ejectNode": EJECT, "serverGroups": GROUPS, "stopRebalance": STOP,
          "compaction": COMPACTION, "settings": SETTINGS, "reading": READING}
played = 0


def shape(body):
    """Text and type of a row's body, as the cluster manager sends it."""
    if not isinstance(body, str):
        return json.dumps(body), "application/json"
    if body.startswith("<"):
        return body, "text/html"
    return body, "application/json" if body[:1] in '"{[' or body == "null" else "text/plain"


def inject(lab, path, method, row):
    """This answer, to every such request."""
    status, body = row[0], row[1]
    text, ctype = shape(body)
    lab.control("clear")
    kind = "status"
    if status == 301:
        kind = "redirect"
    elif status == 200:
        kind = "body" if text else "empty"
    lab.control("fault", kind=kind, path=path, method=method, status=status, body=text, ctype=ctype, count=-1,
                location="http://127.0.0.1:1/")


def members(lab):
    """Everybody's membership."""
    return {otp: (m["membership"], m["recovery"]) for otp, m in lab.cluster()["members"].items()}


def is_open(row):
    """Does the answer leave open whether the request took effect? Then kvsh looks, sees that it did not, and asks again,
    three times at most."""
    return row[0] in (500, 502) or row[1] == HTML


def play(lab, path, line, row, names, times=1, method="POST"):
    """One row against one plan; names: what the error says the step was about."""
    global played
    status, body, want, says, advice = row
    what = "%s %d %r" % (path, status, body)
    before = members(lab)
    inject(lab, path, method, row)
    done = lab.kv(line, want)
    lab.control("faults", clear=True)
    tap.contains(done.stderr, says, what)
    tap.contains(done.stderr, advice, what + ": what to do next")
    tap.contains(done.stderr, names, what + ": the step that failed")
    tap.ok(status == 200 or lab.host["n1"] + ": " in done.stderr, what + ": who refused")
    tried = [r for r in lab.requests(method) if r["fault"]]
    tap.equal(len(tried), 4 if is_open(row) else times, what + ": requests")
    if is_open(row):
        tap.contains(done.stderr, "performed 4 times", what + ": the repetition")
    tap.equal(members(lab), before, what + ": members")
    last = lab.json("show plans -local")["plans"][-1]
    tap.equal(last["state"], "ERROR", what + ": the plan")
    played += 1


def of_failover():
    """Refusals of both kinds of failover."""
    with Lab({"nodes": 4}) as lab:
        for mode, path in (("graceful", "/controller/startGracefulFailover"), ("hard", "/controller/startFailover")):
            for row in GENERAL + FAILOVER:
                play(lab, path, "plan failover -service {n2} -mode %s -wait" % mode, row,
                     "fail over " + lab.host["n2"])


def of_recovery():
    """Refusals of setRecoveryType."""
    with Lab({"nodes": [{"name": "n1"}, {"name": "n2", "membership": "inactiveFailed"}, {"name": "n3"}]}) as lab:
        for row in GENERAL + RECOVERY:
            play(lab, "/controller/setRecoveryType", "plan recover -service {n2} -type delta -rebalance -wait", row,
                 "mark %s for delta recovery" % lab.host["n2"])


def of_rebalance():
    """Refusals of rebalance."""
    with Lab({"nodes": 4}) as lab:
        for row in GENERAL + REBALANCE:
            again = row[1] == {"mismatch": 1} or row[1] == "Expected topology mismatch"
            play(lab, "/controller/rebalance", "plan remove-node -service {n4} -wait", row,
                 "rebalance, and remove " + lab.host["n4"], 2 if again else 1)


def of_joining():
    """Refusals of addNode."""
    with Lab({"nodes": 3, "groups": ["Group 1", "Rack 2"]}) as lab:
        for row in GENERAL + ADD_NODE:
            play(lab, "*/addNode", "plan add-node -host cb9 -group 'Rack 2' -rebalance -wait", row,
                 "add cb9:8091 to the cluster")


def of_ejection():
    """Refusals of ejectNode."""
    with Lab({"nodes": [{"name": "n1"}, {"name": "n2", "membership": "inactiveFailed"}, {"name": "n3"}]}) as lab:
        for row in GENERAL + EJECT:
            play(lab, "/controller/ejectNode", "plan remove-node -service {n2} -wait", row,
                 "take %s out of the cluster" % lab.host["n2"])


def of_groups():
    """Refusals of serverGroups."""
    with Lab({"nodes": 3, "groups": ["Group 1", "Rack 2"]}) as lab:
        for row in GENERAL + GROUPS:
            play(lab, "/pools/default/serverGroups*", "plan change-group -service {n2} -group 'Rack 2' -wait", row,
                 "move %s to group Rack 2" % lab.host["n2"], 3 if row[0] == 409 else 1, "PUT")


def of_stopping():
    """Refusals of stopRebalance."""
    with Lab({"nodes": 4, "timing": {"rebalance": 600}}) as lab:
        known = "%2C".join(lab.sim.otp[n].replace("@", "%40") for n in ("n1", "n2", "n3", "n4"))
        lab.control("other", path="/controller/rebalance",
                    body="knownNodes=%s&ejectedNodes=%s" % (known, lab.sim.otp["n4"].replace("@", "%40")))
        for row in GENERAL + STOP:
            play(lab, "/controller/stopRebalance", "plan stop-rebalance -wait", row, "stop the rebalance")
            tap.ok(lab.cluster()["operation"] is not None, "the rebalance goes on")


def of_compaction():
    """Refusals of compaction."""
    with Lab({"nodes": 3}) as lab:
        for row in GENERAL[:5] + GENERAL[6:] + COMPACTION:
            play(lab, "*/compactBucket", "plan cleanup -bucket orders -wait", row, "compact data and views of bucket orders")


def of_settings():
    """Refusals of the auto-failover settings."""
    global played
    with Lab({"nodes": 3}) as lab:
        for row in SETTINGS:
            what = "settings %d %r" % row[:2]
            for path, line in (("/settings/autoFailover", "change-policy -params autoFailover.timeout=60"),
                               ("/settings/autoFailover/resetCount",
                                "change-policy -params autoFailover.resetCount=true")):
                inject(lab, path, "POST", row)
                done = lab.kv(line, row[2])
                lab.control("faults", clear=True)
                tap.contains(done.stderr, row[3], what)
                tap.contains(done.stderr, lab.host["n1"] + ": ", what + ": who refused")
                tap.equal(done.stdout, "", what + ": what is told as done")
                if row[0] == 403:
                    tap.contains(done.stderr, "changing the cluster's settings needs Full Admin", what + ": what to do next")
                tap.equal(len(lab.requests()), 1, what + ": requests")
            played += 1
        tap.equal(lab.cluster()["autoFailover"]["timeout"], 120, "the timeout")
        lab.control("fault", kind="cut", path="/settings/autoFailover", method="POST", count=1, effect=True)
        done = lab.kv("change-policy -params autoFailover.timeout=60", 6)
        tap.contains(done.stderr, "show policy tells whether it took effect", "a lost answer")
        tap.contains(lab.kv("show policy").stdout, " 60 ", "show policy")


def of_reading():
    """Refusals of questions: an error with a sentence, and never a cluster that looks well."""
    global played
    with Lab({"nodes": 3}, first=["n1"]) as lab:
        for row in READING:
            for path in ("/pools", "/pools/default", "/pools/default/tasks", "/pools/default/buckets"):
                if path.endswith("buckets") and row[1] in ("[]",):
                    continue  # a cluster without buckets
                what = "GET %s %d %r" % ((path,) + row[:2])
                inject(lab, path, "GET", row)
                for line in ("show topology", "verify configuration -quiet", "plan rebalance -wait"):
                    done = lab.kv(line, row[2])
                    tap.ok(done.stderr.strip() != "" and lab.host["n1"] in done.stderr, what + ": who refused")
                    if path != "/pools/default/buckets" or row[0] != 200:
                        tap.ok(row[3] in done.stderr or "what a cluster manager does not say" in done.stderr,
                               "%s: %s" % (what, done.stderr))
                    tap.ok(len(done.stderr.strip().splitlines()) > 1 or row[0] == 200, what + ": what to do next")
                tap.equal(lab.requests(), [], what + ": changing requests")
                lab.control("faults", clear=True)
            played += 1


def counted():
    """All rows were played."""
    tap.note("%d rows of %d tables, played %d times" % (sum(len(t) for t in TABLES.values()), len(TABLES), played))
    tap.ok(played >= sum(len(t) for t in TABLES.values()), "all rows were played")


if __name__ == "__main__":
    if "-list" in sys.argv:
        for table, rows in TABLES.items():
            for row in rows:
                print("%-16s %d %s" % (table, row[0], json.dumps(row[1]) if not isinstance(row[1], str) else row[1].strip()))
        print("%d rows" % sum(len(t) for t in TABLES.values()))
        sys.exit(0)
    tap.main([of_failover, of_recovery, of_rebalance, of_joining, of_ejection, of_groups, of_stopping, of_compaction,
              of_settings, of_reading, counted])
