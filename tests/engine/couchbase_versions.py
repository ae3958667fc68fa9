#!/usr/bin/env python3
"""The same plans on 7.2, 7.6 and 8.0, Enterprise and Community Edition: what differs is what the manual says."""
from urllib.parse import unquote

import cblab
import tap

EVERY = [(version, edition) for version in ("7.2", "7.6", "8.0") for edition in ("enterprise", "community")]
GUARD = ("activeNodes", "inactiveFailedNodes", "inactiveAddedNodes")


def lab_of(version, edition, **more):
    return cblab.Lab(dict({"nodes": 4, "version": version, "edition": edition, "timing": {"rebalance": 0.8, "graceful": 0.5}},
                    **more))


def bodies(lab, path):
    return [dict(pair.split("=", 1) for pair in unquote(r["body"] or "").split("&") if pair)
            for r in lab.requests() if r["path"] == path]


def failover_and_recovery():
    """Hard failover, full recovery, graceful failover, delta recovery; and 8.0 is told what was decided on."""
    for version, edition in EVERY:
        with lab_of(version, edition) as lab:
            what = "%s %s" % (version, edition)
            lab.kv("plan failover -service {n2} -mode hard -wait")
            lab.kv("plan recover -service {n2} -type full -rebalance -wait")
            lab.kv("plan failover -service {n3} -mode graceful -wait")
            lab.kv("plan recover -service {n3} -type delta -rebalance -wait")
            tap.equal((lab.membership("n2"), lab.membership("n3")), ("active", "active"), what)
            for path in ("/controller/startFailover", "/controller/startGracefulFailover", "/controller/rebalance"):
                guarded = version == "8.0" and (edition == "enterprise" or "rebalance" not in path)
                for body in bodies(lab, path):
                    tap.equal("activeNodes" in body, guarded, "%s: the guard in %s" % (what, path))
                    tap.ok(guarded or not any(key in body for key in GUARD), "%s: %s" % (what, body))
            lab.kv("verify configuration -quiet")


def upgrade_half_way():
    """Nodes of 8.0 in a cluster that still is 7.6: nothing that only 8.0 knows is sent, the mixture is told."""
    nodes = [{"name": "n%d" % i, "version": "8.0.1" if i < 4 else "7.6.8"} for i in range(1, 5)]
    with cblab.Lab({"nodes": nodes, "version": "7.6.8", "compat": "7.6", "timing": {"rebalance": 0.8}}) as lab:
        tap.contains(lab.kv("verify configuration -quiet", 2).stdout, "nodes run different versions", "verify")
        done = lab.kv("plan failover -service {n4} -wait")
        tap.contains(done.stderr, "finish the upgrade soon", "what the plan says")
        lab.kv("plan recover -service {n4} -type delta -rebalance -wait")
        for path in ("/controller/startGracefulFailover", "/controller/rebalance"):
            tap.ok(not any(key in body for body in bodies(lab, path) for key in GUARD), "no guard in " + path)


def rolling_restart():
    """Restart by hand, one node after the other."""
    for version, edition in EVERY:
        with lab_of(version, edition) as lab:
            lab.control("clock", advance=1000)
            lab.kv("plan restart-service -service {n2} -pause")
            text = "a restart of couchbase-server on " + lab.host["n2"]
            lab.wait(lambda: text in lab.task(), "the plan to wait")
            tap.equal(lab.membership("n2"), "inactiveFailed", version + ": n2 meanwhile")
            lab.control("node", node="n2", do="kill")
            lab.control("node", node="n2", do="revive")
            lab.kv("plan wait -last")
            tap.equal(lab.membership("n2"), "active", "%s %s: n2" % (version, edition))


def stopping():
    """A rebalance of others is stopped; where nothing runs nothing is asked for."""
    for version, edition in EVERY:
        with lab_of(version, edition, timing={"rebalance": 60}) as lab:
            known = "%2C".join(otp.replace("@", "%40") for otp in sorted(lab.cluster()["members"]))
            lab.kv("plan stop-rebalance -wait")
            tap.equal(lab.requests(), [], "requests where nothing runs")
            lab.control("other", path="/controller/rebalance",
                        body="knownNodes=%s&ejectedNodes=%s" % (known, lab.sim.otp["n4"].replace("@", "%40")))
            lab.kv("plan stop-rebalance -wait")
            tap.equal(lab.cluster()["operation"], None, "%s %s: the operation" % (version, edition))


def swapping():
    """One node in the place of another, by its address; services as the old one had them."""
    for version, edition in EVERY:
        services = ["kv", "index"]
        nodes = [{"name": "n1"}, {"name": "n2", "services": services}, {"name": "n3"}]
        with lab_of(version, edition, nodes=nodes, spares=1) as lab:
            spare = lab.sim.start["spares"][0]["name"]
            lab.kv("plan swap-rebalance -from {n2} -to {%s} -force -reason 'a new host' -wait" % spare)
            tap.equal((lab.membership("n2"), lab.membership(spare)), (None, "active"), "%s %s" % (version, edition))
            tap.equal(sorted(lab.cluster()["members"][lab.sim.otp[spare]]["services"]), sorted(services), "services")


def settings():
    """Limits of the auto-failover settings, refused before the cluster is asked."""
    limits = {("7.2", "enterprise"): (5, 3600), ("7.6", "enterprise"): (1, 3600), ("8.0", "enterprise"): (1, 3600),
              ("7.2", "community"): (30, 3600), ("7.6", "community"): (30, 3600), ("8.0", "community"): (30, 3600)}
    news = {"maxCount=100": ("7.2", True), "canAbortRebalance=false": ("7.2", True),
            "failoverOnDataDiskIssues=true": ("7.2", True),
            "failoverPreserveDurabilityMajority=true": ("7.2", True), "disableMaxCount=true": ("7.6", True),
            "failoverOnDataDiskNonResponsiveness=true": ("8.0", True), "allowFailoverEphemeralNoReplicas=true": ("8.0", True)}
    for version, edition in EVERY:
        with lab_of(version, edition, nodes=3) as lab:
            low, high = limits[version, edition]
            for value, want in ((low - 1, 65), (low, 0), (high, 0), (high + 1, 65)):
                lab.control("clear")
                done = lab.kv("change-policy -params autoFailover.timeout=%d" % value, want)
                if want:
                    tap.contains(done.stderr, "from %d to %d" % (low, high), "%s %s" % (version, edition))
                tap.equal(len(lab.requests()), 0 if want else 1, "requests")
            for param, (since, enterprise) in news.items():
                there = version >= since and (edition == "enterprise" or not enterprise)
                done = lab.kv("change-policy -params autoFailover." + param, 0 if there else 65)
                if not there:
                    tap.contains(done.stderr, "this version or edition of Couchbase has no", param)
            for bad in ("maxCount=0", "maxCount=101", "failoverOnDataDiskIssues.timePeriod=4",
                        "failoverOnDataDiskIssues.timePeriod=3601", "enabled=maybe", "timeout=soon", "count=1"):
                lab.kv("change-policy -params autoFailover." + bad, 65)
            lab.kv("change-policy -params autoFailover.enabled=false")
            tap.contains(lab.kv("verify configuration -quiet", 2).stdout, "auto-failover is switched off", "verify")
            lab.control("clear")
            for what in ("timeout=90", "enabled=false autoFailover.timeout=90"):  # would have no effect
                done = lab.kv("change-policy -params autoFailover." + what, 65)
                tap.contains(done.stderr, "autoFailover.timeout can be changed only while auto-failover is on", version)
            tap.equal(lab.requests(), [], "requests without an effect")
            if edition == "enterprise":
                lab.kv("change-policy -params autoFailover.enabled=true autoFailover.timeout=90 "
                       "autoFailover.failoverOnDataDiskIssues=true autoFailover.failoverOnDataDiskIssues.timePeriod=60")
                lab.kv("change-policy -params autoFailover.failoverOnDataDiskIssues=false")
                lab.control("clear")
                done = lab.kv("change-policy -params autoFailover.failoverOnDataDiskIssues.timePeriod=90", 65)
                tap.contains(done.stderr, "only while autoFailover.failoverOnDataDiskIssues is on", version)
                tap.equal(lab.requests(), [], "requests without an effect")
            lab.kv("change-policy -params autoFailover.enabled=true autoFailover.timeout=60")
            tap.equal(lab.cluster()["autoFailover"]["timeout"], 60, "timeout")


def groups():
    """Server groups belong to the Enterprise Edition; elsewhere the refusal says so."""
    for version, edition in EVERY:
        more = {"groups": ["Group 1", "Rack 2"]} if edition == "enterprise" else {}
        with lab_of(version, edition, **more) as lab:
            if edition == "enterprise":
                lab.kv("plan change-group -service {n4} -group 'Rack 2' -wait")
                tap.contains(lab.kv("show groups").stdout, "Rack 2       1", version)
                continue
            done = lab.kv("plan change-group -service {n4} -group 'Rack 2' -wait", None)
            tap.ok(done.returncode in (10, 65), "status %d" % done.returncode)
            tap.contains(done.stderr, "no server group", version)
            tap.equal(lab.requests() + lab.requests("PUT"), [], "requests")


def joining():
    """A node is asked to join as its edition wants it: by the secure port, or plainly; services by either name."""
    for version, edition in EVERY:
        with lab_of(version, edition, nodes=3) as lab:
            for given, sent in (("-host cb9", "https://cb9:18091" if edition == "enterprise" else "cb9:8091"),
                                ("-host cb9 -port 18091", "https://cb9:18091" if edition == "enterprise" else "cb9:18091"),
                                ("-host cb9 -port 9000", "cb9:9000"),
                                ("-host fd00::9", "https://[fd00::9]:18091" if edition == "enterprise" else "[fd00::9]:8091")):
                lab.control("clear")
                lab.kv("plan add-node %s -services data,query -wait" % given, 1)
                body = bodies(lab, "/controller/addNode")[0]
                tap.equal((body["hostname"], body["services"]), (sent, "kv,n1ql"), "%s %s: %s" % (version, edition, given))
            lab.control("clear")
            tap.contains(lab.kv("plan add-node -host cb9 -services dta -wait", 65).stderr, 'no service "dta"', "a slip")
            lab.kv("plan add-node -host cb9 -services arbiter,kv -wait", 65)
            arbiters = edition == "enterprise" and version != "7.2"
            lab.kv("plan add-node -host cb9 -services arbiter -wait", 1 if arbiters else 65)
            tap.equal([b.get("services") for b in bodies(lab, "/controller/addNode")], [""] if arbiters else [], "arbiter")


def reasons():
    """Why a rebalance is needed: the reasons since 7.6, the mere fact before."""
    for version, edition in EVERY:
        with lab_of(version, edition) as lab:
            lab.kv("plan failover -service {n2} -wait")
            text = lab.kv("verify configuration -quiet", 2).stdout
            tap.contains(text, "the cluster is not balanced", version)
            tap.equal("Bucket map needs rebalance" in text or "Servers of bucket" in text, version != "7.2",
                      "%s %s: reasons in %s" % (version, edition, text))


if __name__ == "__main__":
    tap.main([failover_and_recovery, upgrade_half_way, rolling_restart, stopping, swapping, settings, groups, joining,
              reasons])
