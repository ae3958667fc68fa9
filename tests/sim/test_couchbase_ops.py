#!/usr/bin/env python3
"""The Couchbase simulator over time: failover, recovery, rebalance, stopping, failing, retrying."""
from __future__ import annotations

import json
import time
from typing import Any, Dict, List

from simtest import CASES, Sim, case, expect, same, tap

QUICK: Dict[str, Any] = {"cache": 0, "rebalance": 20, "graceful": 20, "failover": 2, "stop": 2,
                         "heartbeat": 5, "takeover": 5}


def cluster(nodes: Any = 3, **more: Any) -> Sim:
    """A simulator whose clock only tests move."""
    document = {"factor": 0, "timing": QUICK, "nodes": nodes, "spares": 2,
                "buckets": [{"name": "travel", "replicas": 1}], **more}
    return Sim(document)


def events(sim: Sim) -> List[int]:
    """Ids of all events so far, joins left out."""
    return [e["event_id"] for e in sim.get("/events?limit=-1")["events"] if e["event_id"] != 0]


def rebalance(sim: Sim, eject: str = "", known: str = "") -> str:
    """Starts a rebalance and gives its id."""
    pairs = [("knownNodes", known or sim.all_nodes())]
    if eject:
        pairs.append(("ejectedNodes", eject))
    answer = sim.post("/controller/rebalance", *pairs)
    if answer.status != 200:
        raise AssertionError(f"rebalance: {answer.status} {answer.text}")
    return str(answer.json["rebalance_id"])


@case
def planned_maintenance() -> None:
    with cluster() as sim:
        first = sim.task()["statusId"]
        got = sim.post("/controller/startGracefulFailover", ("otpNode", sim.otp["n2"]))
        expect(got, 200, "empty", "", "start")
        sim.advance(10)
        task = sim.task()
        same((task["status"], task["subtype"], task["progress"]),
                 ("running", "gracefulFailover", 50.0), "half-way")
        same(task["nodesInfo"]["failed_nodes"], [sim.otp["n2"]], "targets")
        same(sim.membership("n2"), ["active/none"], "still active")
        same(sim.get("/pools/default")["rebalanceStatus"], "running", "rebalanceStatus")
        progress = sim.get("/pools/default/rebalanceProgress")
        same(0.4 < progress[sim.otp["n1"]]["progress"] < 0.6, True, "fractions")
        same(sim.get("/pools/default/currentRebalanceReport")["rebalanceId"],
                 task["rebalanceId"], "report of the running one")
        sim.settle()
        done = sim.task()
        same(len({first, task["statusId"], done["statusId"]}), 3, "statusId changes")
        same("errorMessage" in done, False, "no message")
        same(sim.membership("n1", "n2"), ["active/none", "inactiveFailed/none"], "failed over")
        report = sim.get(done["lastReportURI"])
        same((report["rebalanceId"], report["completionMessage"]),
                 (task["rebalanceId"], "Graceful failover completed successfully."), "report")
        got = sim.post("/controller/setRecoveryType", ("otpNode", sim.otp["n2"]),
                       ("recoveryType", "delta"))
        expect(got, 200, "json", [], "recovery")
        same(sim.membership("n2"), ["inactiveAdded/delta"], "marked")
        ident = rebalance(sim)
        same(sim.task()["nodesInfo"]["delta_nodes"], [sim.otp["n2"]], "delta")
        sim.settle()
        whole = sim.get("/pools/default")
        same((sim.membership("n2"), whole["balanced"]), (["active/none"], True), "back")
        same(events(sim), [6, 7, 2, 3], "events")
        last = sim.get("/events")["events"][-1]
        same(last["extra_attributes"]["operation_id"], ident, "operation_id")
        same((whole["counters"]["graceful_failover_success"],
                  whole["counters"]["rebalance_success"]), (1, 1), "counters")


@case
def busy_while_a_rebalance_runs() -> None:
    with cluster() as sim:
        rebalance(sim)
        n2 = ("otpNode", sim.otp["n2"])
        expect(sim.post("/controller/rebalance", ("knownNodes", sim.all_nodes())), 200,
                   "empty", "", "second rebalance")
        for path in ("failOver", "startFailover", "startGracefulFailover"):
            expect(sim.post("/controller/" + path, n2), 503, "text",
                       "Cannot failover during rebalance", path)
        got = sim.post("/controller/addNode", ("hostname", sim.host["s1"]), ("user", "a"),
                       ("password", "b"))
        expect(got, 400, "json",
                   ["Node addition is disallowed while rebalance is in progress"], "addNode")
        expect(sim.post("/pools/default/serverGroups", ("name", "x")), 503, "json",
                   "Cannot update server group while rebalance is running", "groups")
        got = sim.send("DELETE", "/pools/default/buckets/travel")
        expect(got, 503, "json", {"_": "Cannot delete bucket during rebalance"}, "delete")
        expect(sim.post("/controller/stopRebalance"), 200, "empty", "", "stop")
        same(sim.task()["status"], "running", "the stop takes time")
        sim.advance(3)
        task = sim.task()
        same((task["status"], "errorMessage" in task), ("notRunning", False), "stopped")
        report = sim.get(task["lastReportURI"])
        same(report["completionMessage"], "Rebalance stopped by user.", "report")
        same(events(sim), [2, 5], "events")
        same(sim.get("/pools/default")["balanced"], True, "a balanced map moved nowhere")


@case
def other_busy_states() -> None:
    with cluster() as sim:
        n2 = ("otpNode", sim.otp["n2"])
        for busy, hard, move in (
                ("recovery", "Cannot failover when cluster is in recovery mode",
                 "Cannot rebalance when cluster is in recovery mode"),
                ("pausing", "Cannot failover when pausing/resuming bucket",
                 "Cannot rebalance when pausing/resuming bucket"),
                ("deletion", "Cannot failover during the bucket deletion",
                 "Cannot rebalance during the bucket deletion")):
            sim.control("set", busy=busy)
            expect(sim.post("/controller/failOver", n2), 503, "text", hard, busy)
            got = sim.post("/controller/rebalance", ("knownNodes", sim.all_nodes()))
            expect(got, 503, "json", {"error": move}, busy)
        sim.control("set", errorAsCharCodes=True)
        got = sim.post("/controller/rebalance", ("knownNodes", sim.all_nodes()))
        same("".join(chr(c) for c in got.json["error"][0]), move, "character codes")
    with cluster(version="7.2") as sim:
        sim.control("set", busy="recovery")
        got = sim.post("/controller/rebalance", ("knownNodes", sim.all_nodes()))
        expect(got, 503, "text", "Cluster is in recovery mode.", "7.2")


@case
def a_rebalance_fails_half_way_and_is_resumed() -> None:
    with cluster([{}, {}, {}, {"membership": "inactiveFailed"}]) as sim:
        known = sim.all_nodes()
        sim.post("/controller/addNode", ("hostname", sim.host["s1"]), ("user", "a"),
                 ("password", "b"))
        same(sim.membership("s1", "n4"), ["inactiveAdded/none", "inactiveFailed/none"], "before")
        expect(sim.post("/controller/rebalance", ("knownNodes", known)), 400, "json",
                   {"mismatch": 1}, "the list is older than the new node")
        sim.control("next", operation="rebalance", failAt=0.5, reason="{mover_crashed,boom}")
        known = sim.all_nodes()
        rebalance(sim)
        sim.settle()
        task = sim.task()
        same(task["errorMessage"],
                 "Rebalance failed. See logs for detailed reason. You can try again.", "message")
        same(sim.get(task["lastReportURI"])["completionMessage"],
                 "Rebalance exited with reason {mover_crashed,boom}", "report")
        same(sim.membership("s1", "n4"), ["active/none", "-"], "half done")
        whole = sim.get("/pools/default")
        same((whole["balanced"], whole["bucketsNeedRebalance"][0]["code"]),
                 (False, "map_needs_rebalance"), "not balanced")
        expect(sim.post("/controller/rebalance", ("knownNodes", known)), 400, "json",
                   {"mismatch": 1}, "the old list")
        same(sim.get("/pools/default/rebalanceProgress")["errorMessage"],
                 task["errorMessage"], "the message stays")
        rebalance(sim)
        same("errorMessage" in sim.task(), False, "until the next operation")
        sim.settle()
        same(sim.get("/pools/default")["balanced"], True, "balanced")
        same(events(sim), [2, 4, 2, 3], "events")


@case
def hard_failover_and_its_lost_data() -> None:
    with cluster(buckets=[{"name": "solo", "replicas": 0}, {"name": "pair"}]) as sim:
        n3 = ("otpNode", sim.otp["n3"])
        answer = sim.later("/controller/failOver", n3)
        same(sim.task()["subtype"], "failover", "running")
        same(sim.membership("n3"), ["active/none"], "not yet")
        sim.advance(3)
        expect(answer(), 200, "empty", "", "answers when done")
        same(sim.membership("n3"), ["inactiveFailed/none"], "failed over")
        lines = [line["text"] for line in sim.get("/logs")["list"]]
        same('Data has been lost for 33% of vbuckets in bucket "solo".' in lines, True, "log")
        same(any('bucket "pair"' in line for line in lines), False, "pair has replicas")
        expect(sim.post("/controller/failOver", n3), 400, "text", "Inactive server given.", "again")
        for kind, want in (("full", "inactiveAdded/full"), ("delta", "inactiveAdded/delta")):
            got = sim.post("/controller/setRecoveryType", n3, ("recoveryType", kind))
            expect(got, 200, "json", [], kind)
            same(sim.membership("n3"), [want], "mind changed")
        expect(sim.post("/controller/reFailOver", n3), 200, "empty", "", "reFailOver")
        same(sim.membership("n3"), ["inactiveFailed/none"], "as before")
        expect(sim.post("/controller/reAddNode", n3), 200, "json", [], "reAddNode")
        same(sim.membership("n3"), ["inactiveAdded/full"], "full")
        expect(sim.post("/controller/ejectNode", n3), 200, "empty", "", "eject")
        same(sim.membership("n3"), ["-"], "gone")
        same(sim.get("/pools", "n3")["pools"], [], "and fresh")
        got = sim.post("/controller/failOver", n3)
        expect(got, 400, "text", "Unknown server given.", "known once, no member now")
        same(events(sim), [10, 11], "events")


@case
def a_failover_is_stopped_or_fails() -> None:
    with cluster() as sim:
        n3 = ("otpNode", sim.otp["n3"])
        sim.control("set", timing={"failover": 60})
        answer = sim.later("/controller/failOver", n3)
        same(sim.post("/controller/rebalance", ("knownNodes", sim.all_nodes())).status, 503,
                 "no rebalance beside it")
        sim.post("/controller/stopRebalance")
        sim.advance(3)
        expect(answer(), 409, "text", "Stopped by user.", "stopped")
        sim.control("next", operation="failover", failAt=0.1,
                    answer=[500, "Failed to synchronize config to other nodes"])
        answer = sim.later("/controller/failOver", n3)
        sim.advance(20)
        expect(answer(), 500, "text", "Failed to synchronize config to other nodes", "failed")
        same(sim.task()["errorMessage"],
                 "Failover failed. See logs for detailed reason. You can try again.", "message")
        same(events(sim), [10, 13, 10, 12], "events")
        same(sim.membership("n3"), ["active/none"], "nothing changed")


@case
def delta_recovery_and_what_breaks_it() -> None:
    with cluster(4) as sim:
        for name in ("n3", "n4"):
            sim.post("/controller/startFailover", ("otpNode", sim.otp[name]))
            sim.advance(3)
        both = [("otpNode", sim.otp[name]) for name in ("n3", "n4")]
        sim.post("/controller/setRecoveryType", both[0], ("recoveryType", "delta"))
        rebalance(sim)
        same(sim.task()["nodesInfo"]["failed_nodes"], [sim.otp["n4"]], "n4 leaves")
        sim.settle()
        same(sim.membership("n3", "n4"), ["active/none", "-"], "result")
        sim.post("/controller/startFailover", both[0])
        sim.advance(3)
        sim.post("/controller/setRecoveryType", both[0], ("recoveryType", "delta"))
        sim.control("node", node="n3", do="lose-data")
        got = sim.post("/controller/rebalance", ("knownNodes", sim.all_nodes()),
                       ("deltaRecoveryBuckets", "travel"))
        expect(got, 400, "json", {"deltaRecoveryNotPossible": 1}, "data lost, delta a must")
        rebalance(sim)
        same(sim.task()["nodesInfo"]["delta_nodes"], [], "falls back to full")
        sim.settle()
        same(sim.membership("n3"), ["active/none"], "recovered")


@case
def nodes_are_swapped() -> None:
    with cluster([{"services": ["kv"]}, {"services": ["kv"]}, {"services": ["kv", "n1ql"]}]) as sim:
        got = sim.post("/controller/addNode", ("hostname", sim.host["s1"]), ("user", "a"),
                       ("password", "p@ss,w&rd"), ("services", "kv,n1ql"))
        expect(got, 200, "json", {"otpNode": sim.otp["s1"]}, "addNode")
        same(sim.get("/pools/default", "s1")["name"], "default", "the new one answers too")
        whole = sim.get("/pools/default")
        same([row["code"] for row in whole["servicesNeedRebalance"]], ["service_not_balanced"],
                 "services")
        same([row["code"] for row in whole["bucketsNeedRebalance"]], ["servers_changed"],
                 "buckets")
        rebalance(sim, eject=sim.otp["n3"])
        sim.advance(10)
        same("vBucketMapForward" in sim.get("/pools/default/buckets/travel")["vBucketServerMap"],
                 True, "map on its way")
        same(sim.membership("s1", "n3"), ["active/none", "active/none"], "half-way")
        sim.settle()
        same(sim.membership("s1", "n3"), ["active/none", "-"], "swapped")
        same(sim.get("/pools/default")["balanced"], True, "balanced")
        same(sim.send("GET", "/pools/default", node="n3", auth=None).status, 404, "n3 is fresh")
        stats = sim.member("s1")
        same(stats and stats["interestingStats"]["curr_items"] > 200, True, "load follows")


@case
def services_move_by_topology() -> None:
    with cluster([{"services": ["kv", "n1ql"]}, {}, {}]) as sim:
        got = sim.post("/controller/rebalance", ("knownNodes", sim.all_nodes()),
                       ("topology[n1ql]", sim.otp["n2"]), ("topology[fts]", sim.otp["n3"]))
        same(got.status, 200, "accepted")
        sim.settle()
        rows = {n["otpNode"]: n["services"] for n in sim.get("/pools/default")["nodes"]}
        same([rows[sim.otp[name]] for name in ("n1", "n2", "n3")],
                 [["kv"], ["kv", "n1ql"], ["fts", "kv"]], "services")


@case
def failed_rebalances_are_retried() -> None:
    with cluster() as sim:
        sim.post("/settings/retryRebalance", ("enabled", "true"), ("afterTimePeriod", "30"),
                 ("maxAttempts", "2"))
        sim.control("next", operation="rebalance", failAt=0.2)
        ident = rebalance(sim)
        sim.advance(10)
        pending = sim.get("/pools/default/pendingRetryRebalance")
        same((pending["retry_rebalance"], pending["rebalance_id"], pending["type"],
                  pending["attempts_remaining"]), ("pending", ident, "rebalance", 2), "pending")
        sim.advance(31)
        same(sim.task()["rebalanceId"], ident, "it runs again")
        sim.settle()
        same(sim.get("/pools/default/pendingRetryRebalance"),
                 {"retry_rebalance": "not_pending"}, "done")
        sim.control("next", operation="rebalance", failAt=0.2)
        ident = rebalance(sim)
        sim.advance(10)
        sim.post(f"/controller/cancelRebalanceRetry/{ident}")
        same(sim.get("/pools/default/pendingRetryRebalance"),
                 {"retry_rebalance": "not_pending"}, "cancelled")


@case
def compactions_and_other_tasks() -> None:
    with cluster(tasks=[{"type": "warming_up"}, {"type": "xdcr"}, {"type": "recovery"},
                        {"type": "loadingSampleBucket", "task_id": "t1"}]) as sim:
        base = "/pools/default/buckets/travel/controller/"
        expect(sim.post(base + "compactBucket"), 200, "empty", "", "compact")
        same([t["type"] for t in sim.get("/pools/default/tasks")],
                 ["recovery", "rebalance", "xdcr", "bucket_compaction", "warming_up",
                  "loadingSampleBucket"], "order")
        same(len(sim.get("/pools/default/tasks?taskId=t1")), 1, "taskId")
        job = sim.get("/pools/default/tasks")[3]
        same((job["bucket"], sim.send("POST", job["cancelURI"]).status), ("travel", 200), "cancel")
        same(len(sim.get("/pools/default/tasks")), 5, "cancelled")
        sim.post(base + "compactDatabases")
        sim.advance(6)
        same(len(sim.get("/pools/default/tasks")), 5, "ended")
        sim.post("/controller/startLogsCollection", ("nodes", "*"))
        same([t for t in sim.get("/pools/default/tasks")
                  if t["type"] == "clusterLogsCollection"] != [], True, "log collection")
        same(sim.send("DELETE", "/pools/default/buckets/travel").status, 200, "delete")
        got = sim.send("DELETE", "/pools/default/buckets/travel")
        expect(got, 404, "text", "The bucket to be deleted was not found.", "deleted")


@case
def somebody_else_and_a_service_upgrade() -> None:
    with cluster() as sim:
        body = "otpNode=" + sim.otp["n2"].replace("@", "%40")
        got = sim.control("other", path="/controller/startFailover", body=body)
        same(got["status"], 200, "somebody fails n2 over")
        sim.advance(3)
        same(sim.membership("n2"), ["inactiveFailed/none"], "done")
        same([r for r in sim.control("log")["requests"] if r["method"] == "POST"], [], "no log")
        ident = sim.control("start", seconds=5)["rebalanceId"]
        task = sim.task()
        same((task["subtype"], task["rebalanceId"]), ("service_upgrade", ident), "upgrade")
        sim.settle()


@case
def old_answers_and_long_polls() -> None:
    timing = {**QUICK, "cache": 50}
    with cluster(timing=timing) as sim:
        sim.membership("n2")
        sim.post("/controller/startFailover", ("otpNode", sim.otp["n2"]))
        sim.control("clock", advance=0.75)
        same(sim.get("/pools/default")["rebalanceStatus"], "none", "an old answer")
        sim.advance(60)
        same(sim.membership("n2"), ["inactiveFailed/none"], "a new one")
        first = sim.get("/pools/default?waitChange=100&etag=x")
        second = sim.get(f"/pools/default?waitChange=100&etag={first['etag']}")
        same(second["etag"], first["etag"], "nothing changed")
        sim.post("/controller/reAddNode", ("otpNode", sim.otp["n2"]))
        changed = sim.get(f"/pools/default?waitChange=10000&etag={first['etag']}")
        same(changed["etag"] != first["etag"], True, "changed")


@case
def real_time_moves_the_clock() -> None:
    with cluster(factor=100) as sim:
        sim.post("/controller/rebalance", ("knownNodes", sim.all_nodes()))
        deadline = time.monotonic() + 10
        while sim.task()["status"] == "running" and time.monotonic() < deadline:
            time.sleep(0.02)
        same(events(sim), [2, 3], "it ends by itself")
        stream = sim.stream("/poolsStreaming/default", b"\n\n\n\n")
        same(json.loads(stream)["balanced"], True, "streaming")


tap.main(CASES)
