#!/usr/bin/env python3
"""Each kind of changing request there is: method, path, every parameter, its encoding, and the headers; no other
changing request beside it. `@ , [ ]` and blanks are percent-encoded, the cluster's uuid is in the query."""
import json
import os
import re

from cblab import FAILED, GROUPS, Lab, NODES, SPARE, USERS, WAITING, PASSWORD, member, tap
from simtest import form

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
RETRY = {"nodes": 3, "retryRebalance": {"enabled": True, "afterTimePeriod": 3600, "maxAttempts": 1}}
BUCKET = "/pools/default/buckets/orders/controller/"
KNOWN3, KNOWN4 = "{n1},{n2},{n3}", "{n1},{n2},{n3},{n4}"


def rebalance(known, eject="", active=None, failed="", added=""):
    """The form of a rebalance; 8.0 is told on which members it was decided."""
    pairs = [("knownNodes", known), ("ejectedNodes", eject)]
    return pairs + expected(active or known, failed, added)


def expected(active, failed="", added=""):
    lists = [("activeNodes", active), ("inactiveFailedNodes", failed), ("inactiveAddedNodes", added)]
    return [(name, value) for name, value in lists if value]


def others_rebalance(lab):
    lab.control("set", timing={"rebalance": 1000})
    lab.others("/controller/rebalance", "knownNodes={n1}%2C{n2}%2C{n3}&ejectedNodes={n3}")


def pending_retry(lab):
    lab.control("next", operation="rebalance", failAt=0.1, reason="mover crashed")
    others_rebalance(lab)
    lab.control("clock", advance=2000)


def dead(lab):
    for name in ("n2", "n3"):
        lab.control("node", node=name, do="kill")
    lab.control("clock", advance=10)


# name: line, cluster, what happened before, requests as (path, form); {n1} in forms stands for an otpNode
REQUESTS = {
    "graceful failover": ("plan failover -service {n2}", NODES, None, [
        ("/controller/startGracefulFailover", [("otpNode", "{n2}")] + expected(KNOWN4))]),
    "hard failover": ("plan failover -service {n2} -mode hard", NODES, None, [
        ("/controller/startFailover", [("otpNode", "{n2}")] + expected(KNOWN4))]),
    "unsafe failover of two": ("plan failover -service {n2} -service {n3} -mode hard -unsafe -force -reason drill "
                               "-confirm prod", {"nodes": 3}, dead, [
        ("/controller/startFailover", [("otpNode", "{n2}"), ("otpNode", "{n3}"), ("allowUnsafe", "true")])]),
    "graceful failover on 7.6": ("plan failover -service {n2}", dict(NODES, version="7.6"), None, [
        ("/controller/startGracefulFailover", [("otpNode", "{n2}")])]),
    "delta recovery": ("plan recover -service {n2} -type delta", FAILED, None, [
        ("/controller/setRecoveryType", [("otpNode", "{n2}"), ("recoveryType", "delta")])]),
    "full recovery and rebalance": ("plan recover -service {n2} -type full -rebalance", FAILED, None, [
        ("/controller/setRecoveryType", [("otpNode", "{n2}"), ("recoveryType", "full")]),
        ("/controller/rebalance", rebalance(KNOWN4, "", "{n1},{n3},{n4}", "", "{n2}"))]),
    "removal": ("plan remove-node -service {n4}", NODES, None, [
        ("/controller/rebalance", rebalance(KNOWN4, "{n4}"))]),
    "removal on 7.2": ("plan remove-node -service {n4}", dict(NODES, version="7.2"), None, [
        ("/controller/rebalance", [("knownNodes", KNOWN4), ("ejectedNodes", "{n4}")])]),
    "rebalance": ("plan rebalance", WAITING, None, [
        ("/controller/rebalance", rebalance(KNOWN4, "", KNOWN3, "", "{n4}"))]),
    "ejection": ("plan remove-node -service {n4}", WAITING, None, [
        ("/controller/ejectNode", [("otpNode", "{n4}")])]),
    "addition": ("plan add-node -host 127.0.0.1 -port {p1_port}", SPARE, None, [
        ("/controller/addNode", [("hostname", "{p1.address}"), ("services", "kv"), ("user", "Administrator"),
                                 ("password", "<masked>")])]),
    "addition with services": ("plan add-node -host 127.0.0.1 -port {p1_port} -services kv,index,n1ql", SPARE, None, [
        ("/controller/addNode", [("hostname", "{p1.address}"), ("services", "kv,index,n1ql"),
                                 ("user", "Administrator"), ("password", "<masked>")])]),
    "stop": ("plan stop-rebalance", {"nodes": 3}, others_rebalance, [
        ("/controller/stopRebalance", [("allowUnsafe", "false")])]),
    "unsafe stop": ("plan stop-rebalance -unsafe -force -reason drill -confirm prod", {"nodes": 3}, others_rebalance, [
        ("/controller/stopRebalance", [("allowUnsafe", "true")])]),
    "cancelled retry": ("plan stop-rebalance", RETRY, pending_retry, [("/controller/cancelRebalanceRetry/ID", [])]),
    "compaction": ("plan cleanup -bucket orders", NODES, None, [(BUCKET + "compactBucket", [])]),
    "purge": ("plan cleanup -bucket orders -purge -force -reason drill", NODES, None, [
        (BUCKET + "unsafePurgeBucket", [])]),
    "bucket with an odd name": ("plan cleanup", dict(NODES, buckets=[
        {"name": "a%b.c_d-e", "replicas": 1, "ramQuotaMiB": 256}]), None, [
            ("/pools/default/buckets/a%25b.c_d-e/controller/compactBucket", [])]),
}
# change-policy makes no plan; on 8.0 where nothing else is said
POLICIES = {
    "a number": ("autoFailover.timeout=60", "8.0", [("/settings/autoFailover", [("enabled", "true"), ("timeout", "60")])]),
    "off": ("autoFailover.enabled=false", "8.0", [("/settings/autoFailover", [("enabled", "false")])]),
    "nested": ("autoFailover.failoverOnDataDiskIssues=true autoFailover.failoverOnDataDiskIssues.timePeriod=90", "7.6", [
        ("/settings/autoFailover", [("enabled", "true"), ("timeout", "120"), ("failoverOnDataDiskIssues[enabled]", "true"),
                                    ("failoverOnDataDiskIssues[timePeriod]", "90")])]),
    "reset": ("autoFailover.resetCount=true", "7.2", [("/settings/autoFailover/resetCount", [])]),
    "both": ("autoFailover.maxCount=3 autoFailover.resetCount=true", "8.0", [
        ("/settings/autoFailover", [("enabled", "true"), ("timeout", "120"), ("maxCount", "3")]),
        ("/settings/autoFailover/resetCount", [])]),
}


def lab_of(scenario):
    return Lab(dict(scenario, timing={"rebalance": 0.6, "graceful": 0.6, "cache": 0.3}))


def changes(lab):
    return [r for r in lab.control("log")["requests"] if r["method"] != "GET"]


def encoded(lab, pairs):
    """The body as it has to be, character for character."""
    places = dict({name: otp for name, otp in lab.sim.otp.items()}, **{
        name + ".address": address for name, address in lab.sim.host.items()})

    def fill(text):
        return re.sub(r"\{([\w.]+)\}", lambda m: places[m.group(1)], text)
    return form(*[(name, fill(value)) for name, value in pairs]).replace("%3Cmasked%3E", "<masked>")


def check(lab, got, want, what):
    """One request after the other, whole."""
    tap.equal([re.sub(r"[0-9a-f]{32}$", "ID", r["path"]) for r in got], [path for path, _ in want], what + ": paths")
    for r, (path, pairs) in zip(got, want):
        name = "%s, %s" % (what, path)
        headers = {k.lower(): v for k, v in r["headers"]}
        tap.equal(r["method"], "POST", name + ": method")
        tap.equal(r["body"] or "", encoded(lab, pairs), name + ": body")
        tap.equal(r["query"], "uuid=" + lab.sim.uuid, name + ": query")
        tap.equal(headers.get("content-type"), FORM, name + ": type of the body")
        tap.equal(headers.get("content-length"), str(len(r["body"]) + sum(r["secrets"].values())
                                                     - len("<masked>") * len(r["secrets"]))
                  if r["body"] else "0", name + ": length")
        tap.ok("expect" not in headers, name + ": it waits for no 100")
        tap.equal((r["user"], r["authorised"], r["credentials"]), ("Administrator", True, "basic"), name + ": credentials")
        tap.equal(r["status"], 200, name + ": status")


def of_plans():
    """Every changing request of every plan, character for character"""
    for name, (line, scenario, before, want) in REQUESTS.items():
        with lab_of(scenario) as lab:
            if before:
                before(lab)
            lab.control("clear")
            lab.kv(line + " -wait", None if name == "bucket with an odd name" else 0)
            check(lab, changes(lab), want, name)


def of_change_policy():
    """Every changing request of change-policy; brackets are encoded"""
    for name, (params, version, want) in POLICIES.items():
        with lab_of(dict(NODES, version=version)) as lab:
            lab.control("clear")
            lab.kv("change-policy -params " + params)
            check(lab, changes(lab), want, "policy, " + name)
            for r in changes(lab):
                tap.lacks(r["body"] or "", "[", name + ": body")


def of_groups():
    """The division into groups: PUT, JSON, with its revision and every group"""
    with lab_of(GROUPS) as lab:
        lab.control("clear")
        lab.kv("plan change-group -service {n2} -service {n4} -group 'Rack 2' -wait")
        sent = changes(lab)
        tap.equal([(r["method"], r["path"]) for r in sent], [("PUT", "/pools/default/serverGroups")], "requests")
        r, otp = sent[0], lab.sim.otp
        headers = {k.lower(): v for k, v in r["headers"]}
        tap.equal(headers.get("content-type"), JSON, "type of the body")
        tap.ok(re.fullmatch(r"rev=\d+&uuid=" + lab.sim.uuid, r["query"]), "revision and uuid: " + r["query"])
        nodes = [[n["otpNode"] for n in g["nodes"]] for g in json.loads(r["body"])["groups"]]
        tap.equal(nodes, [[otp["n1"], otp["n3"]], [otp["n2"], otp["n4"]]], "the division")
        tap.equal(set(json.loads(r["body"])), {"groups"}, "members of the body")
        tap.equal(r["status"], 200, "status")


def of_groups_just_changed():
    """A node moved by somebody else within the age of the member list stays where he put it"""
    with Lab(dict(GROUPS, timing={"cache": 5})) as lab:
        lab.kv("ping -quiet")
        uris, otp = [g["uri"] for g in groups(lab)], lab.sim.otp
        division = [{"uri": uris[0], "nodes": [{"otpNode": otp[n]} for n in ("n1", "n2", "n4")]},
                    {"uri": uris[1], "nodes": [{"otpNode": otp["n3"]}]}]
        lab.control("other", method="PUT", path=lab.sim.send("GET", "/pools/default/serverGroups", auth=auth()).json["uri"],
                    type=JSON, body=json.dumps({"groups": division}))
        lab.kv("plan change-group -service {n2} -group 'Rack 2' -wait")
        tap.equal([sorted(n["otpNode"] for n in g["nodes"]) for g in groups(lab)],
                  [[otp["n1"], otp["n4"]], [otp["n2"], otp["n3"]]], "the division")


def into_a_group():
    """add-node into a group is asked of that group"""
    with lab_of(dict(SPARE, groups=["Group 1", "Rack 2"])) as lab:
        lab.control("clear")
        lab.kv("plan add-node -host 127.0.0.1 -port {p1_port} -services kv -group 'Rack 2' -wait")
        uri = [g["addNodeURI"] for g in groups(lab) if g["name"] == "Rack 2"][0]
        check(lab, changes(lab), [(uri, [("hostname", "{p1.address}"), ("services", "kv"), ("user", "Administrator"),
                                         ("password", "<masked>")])], "into a group")


def auth():
    import base64
    return "Basic " + base64.b64encode(("Administrator:" + PASSWORD).encode()).decode()


def groups(lab):
    return lab.sim.send("GET", "/pools/default/serverGroups", auth=auth()).json["groups"]


def with_a_token():
    """A token goes into the header of every request, and no user's name with it"""
    with Lab(dict(NODES, version="8.0", users=USERS, tokens={"a-long-bearer-token": "Administrator"}), store=False) as lab:
        with open(lab.folder + "/token", "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write("a-long-bearer-token\n")
        lab.kv("store add -name prod -engine couchbase -node http://{n1} -token-file %s/token" % lab.folder)
        lab.control("clear")
        lab.kv("plan failover -service {n2} -wait")
        sent = lab.control("log")["requests"]
        tap.equal({r["credentials"] for r in sent}, {"bearer"}, "credentials")
        tap.equal({r["authorised"] for r in sent}, {True}, "authorised")
        tap.equal([r["path"] for r in sent if r["method"] != "GET"], ["/controller/startGracefulFailover"], "changes")


def kinds_of_the_engine():
    """No kind of changing request is missing here: the paths in the engine's source are those above"""
    folder = os.path.join(tap.source_dir(), "engines", "couchbase")
    text = "".join(open(os.path.join(folder, name), encoding="utf-8").read() for name in os.listdir(folder)
                   if name not in ("explain.c",))
    there = set(re.findall(r'"(/controller/\w+|/settings/[\w/]+)["/]', text))
    seen = {re.sub(r"/ID$", "", path) for _, _, _, want in REQUESTS.values() for path, _ in want} | \
        {path for _, _, want in POLICIES.values() for path, _ in want}
    tap.equal(there - seen, set(), "kinds without a case")


if __name__ == "__main__":
    tap.main([of_plans, of_change_policy, of_groups, of_groups_just_changed, into_a_group, with_a_token, kinds_of_the_engine])
