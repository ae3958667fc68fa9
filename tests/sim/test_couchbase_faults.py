#!/usr/bin/env python3
"""The Couchbase simulator when nodes die, hang, or lose sight of each other; and TLS."""
from __future__ import annotations

import http.client
import os
import ssl
import subprocess
import tempfile
import time
from typing import Any, Dict, List, Optional

from simtest import ADMIN, CASES, FORM, Sim, case, expect, form, same, tap

QUICK: Dict[str, Any] = {"cache": 0, "rebalance": 20, "graceful": 20, "failover": 2, "stop": 2,
                         "heartbeat": 5, "takeover": 5}
NO_QUORUM = "Cannot safely perform a failover at the moment"


def cluster(nodes: Any = 3, **more: Any) -> Sim:
    """A simulator whose clock only tests move."""
    document = {"factor": 0, "timing": QUICK, "nodes": nodes, "spares": 1,
                "buckets": [{"name": "travel", "replicas": 1}],
                "autoFailover": {"enabled": False}, **more}
    return Sim(document)


def down(sim: Sim, *names: str, seconds: float = 12) -> None:
    """Kills nodes and lets the others notice and elect."""
    for name in names:
        sim.control("node", node=name, do="kill")
    sim.advance(seconds)


def orchestrator(sim: Sim, node: str) -> str:
    """The name of the orchestrator as one node sees it."""
    otp = sim.get("/pools/default/terseClusterInfo", node)["orchestrator"]
    return next((name for name, value in sim.otp.items() if value == otp), otp)


@case
def a_dead_node_is_noticed_after_a_while() -> None:
    with cluster() as sim:
        sim.control("node", node="n3", do="kill")
        row = sim.member("n3")
        same(row and row["status"], "healthy", "nobody noticed yet")
        sim.advance(6)
        row = sim.member("n3")
        same(row and (row["status"], row["systemStats"], row["uptime"]), ("unhealthy", {}, "0"),
                 "noticed")
        dead = sim.get("/nodeStatuses")[sim.host["n3"]]
        same((dead["status"], "gracefulFailoverPossible" in dead), ("unhealthy", False), "dead")
        try:
            sim.send("GET", "/pools", node="n3")
            same("answer", "refused", "n3")
        except ConnectionRefusedError:
            pass
        got = sim.post("/controller/startGracefulFailover", ("otpNode", sim.otp["n3"]))
        same(got.status, 200, "the server does not look at the health")
        sim.settle()
        same(sim.task()["errorMessage"],
                 "Graceful failover failed. See logs for detailed reason. You can try again.",
             "but it fails")
        got = sim.post("/controller/rebalance", ("knownNodes", sim.all_nodes()))
        expect(got, 503, "text",
                   f"Cannot contact the following nodes: ['{sim.otp['n3']}']", "kept and dead")
        sim.control("node", node="n3", do="revive")
        row = sim.member("n3")
        same(row and row["status"], "warmup", "back")
        sim.advance(2)
        same(sim.get("/pools/default", "n3")["nodes"][2]["status"], "healthy", "ready")


@case
def a_node_dies_during_a_rebalance() -> None:
    with cluster() as sim:
        sim.post("/controller/rebalance", ("knownNodes", sim.all_nodes()))
        sim.advance(5)
        sim.control("node", node="n3", do="kill")
        sim.advance(3)
        same(sim.task()["status"], "running", "not noticed yet")
        sim.advance(4)
        same("Rebalance failed" in sim.task().get("errorMessage", ""), True, "failed")


@case
def the_orchestrator_moves() -> None:
    with cluster(4) as sim:
        same(orchestrator(sim, "n2"), "n1", "first")
        got = sim.post("/controller/rebalance", ("knownNodes", sim.all_nodes()), node="n2")
        ident = got.json["rebalance_id"]
        sim.advance(5)
        sim.control("node", node="n1", do="kill")
        task = sim.task("n2")
        same((task["status"], task["statusIsStale"]), ("notRunning", True), "stale, not over")
        same(orchestrator(sim, "n2"), "undefined", "nobody leads")
        stop = sim.post("/controller/stopRebalance", node="n2")
        expect(stop, 504, "text", lambda body: body.startswith(
            "Cannot communicate to the orchestrator node. Stopping rebalance is unsafe."), "stop")
        got = sim.post("/controller/failOver", ("otpNode", sim.otp["n1"]), node="n2")
        expect(got, 503, "json", "Temporary error occurred. Please try again later.", "wait")
        sim.advance(11)
        same(orchestrator(sim, "n2"), "n2", "taken over")
        task = sim.task("n2")
        same((task["statusIsStale"], "Rebalance failed" in task["errorMessage"]), (False, True),
                 "over now")
        same(sim.get(task["lastReportURI"], "n2")["rebalanceId"], ident, "report")


@case
def a_frozen_orchestrator() -> None:
    with cluster(4) as sim:
        sim.post("/controller/rebalance", ("knownNodes", sim.all_nodes()))
        sim.control("node", node="n1", do="freeze")
        got = sim.get("/pools/default/tasks?rebalanceStatusTimeout=1000", "n2")
        same([t["masterRequestTimedOut"] for t in got if t["type"] == "rebalance"], [True],
                 "timed out")
        try:
            sim.send("GET", "/pools", node="n1", timeout=0.3)
            same("answer", "silence", "n1")
        except OSError:
            pass
        sim.control("node", node="n1", do="revive")
        same(sim.task("n2")["status"], "running", "it goes on")
        deadline, rows = time.monotonic() + 10, []
        while time.monotonic() < deadline and not any(row["status"] for row in rows):
            rows = sim.control("log", path="/pools")["requests"]
        same([(row["node"], row["status"]) for row in rows], [("n1", 200)], "read in the end")


@case
def quorum_lost() -> None:
    with cluster(4) as sim:
        down(sim, "n3", "n4")
        both = [("otpNode", sim.otp[name]) for name in ("n3", "n4")]
        expect(sim.post("/controller/failOver", *both), 504, "text", NO_QUORUM, "hard")
        expect(sim.post("/controller/startGracefulFailover", both[0]), 504, "text", NO_QUORUM,
                   "graceful")
        got = sim.post("/controller/addNode", ("hostname", sim.host["s1"]), ("user", "a"),
                       ("password", "b"))
        expect(got, 503, "json",
                   ["Operation temporarily cannot be performed possibly due to loss of quorum"],
                   "addNode")
        got = sim.post("/controller/rebalance", ("knownNodes", sim.all_nodes()),
                       ("ejectedNodes", f"{sim.otp['n3']},{sim.otp['n4']}"))
        expect(got, 503, "json", "Temporary error occurred. Please try again later.", "rebalance")
        got = sim.post("/controller/failOver", both[0], ("allowUnsafe", "true"))
        expect(got, 503, "text",
                   f"Failover could not be processed on nodes ['{sim.otp['n4']}']",
                   "one is too few")
        answer = sim.later("/controller/failOver", *both, ("allowUnsafe", "true"))
        sim.advance(3)
        expect(answer(), 200, "empty", "", "unsafe")
        sim.advance(1)
        same(sim.membership("n1", "n2", "n3", "n4"), ["active/none"] * 2 + ["-"] * 2, "removed")
        same(sim.get("/pools/default")["counters"]["quorum_failover_success"], 1, "counter")
        same(orchestrator(sim, "n2"), "n1", "they lead again")
        sim.control("node", node="n3", do="revive")
        same(len(sim.get("/pools/default", "n3")["nodes"]), 4, "n3 was not told")
        same(sim.get("/pools/default/terseClusterInfo", "n3")["clusterUUID"], sim.uuid, "uuid")
        add = [("hostname", sim.host["n3"]), ("user", "a"), ("password", "b")]
        expect(sim.post("/controller/addNode", *add), 400, "json",
                   ["Prepare join failed. Node is already part of cluster."], "not yet")
        expect(sim.post("/controller/hardResetNode", node="n3"), 200, "empty", "", "reset")
        expect(sim.post("/controller/hardResetNode", node="n3"), 200, "empty", "", "again")
        expect(sim.post("/controller/addNode", *add), 200, "json",
                   {"otpNode": sim.otp["n3"]}, "added")


@case
def an_unfinished_failover() -> None:
    with cluster(4) as sim:
        down(sim, "n3", "n4")
        pairs = [("otpNode", sim.otp[n]) for n in ("n3", "n4")] + [("allowUnsafe", "true")]
        sim.control("next", operation="failover", failAt=0.5)
        sim.post("/controller/startFailover", *pairs)
        sim.advance(3)
        row = sim.member("n3")
        same(row and row["failoverStatus"], "unfinished", "marked")
        for name in ("n3", "n4"):
            sim.control("node", node=name, do="revive")
        sim.advance(1)
        expect(sim.post("/controller/failOver", pairs[0]), 504, "text", NO_QUORUM, "safe")
        got = sim.post("/controller/rebalance", ("knownNodes", sim.all_nodes()))
        same(got.text, f"Unfinished failover of nodes ['{sim.otp['n3']}','{sim.otp['n4']}'] was "
                           "found.", "rebalance")
        got = sim.post("/controller/addNode", ("hostname", sim.host["s1"]), ("user", "a"),
                       ("password", "b"))
        expect(got, 400, "json", ["Operation cannot be performed due to unfinished failover"],
                   "addNode")
        got = sim.post("/controller/failOver", ("otpNode", sim.otp["n3"]), ("allowUnsafe", "true"))
        expect(got, 400, "text", "Failover must include the following nodes: "
                   f"{sim.host['n3']}, {sim.host['n4']}.", "all of them")
        same(sim.post("/controller/startFailover", *pairs).status, 200, "all")
        sim.advance(3)
        same(sim.membership("n3", "n4"), ["-", "-"], "done")


@case
def a_partition() -> None:
    with cluster(5) as sim:
        sim.control("partition", groups=[["n1", "n2"]])
        sim.advance(11)
        same([orchestrator(sim, n) for n in ("n1", "n3")], ["undefined", "n3"], "two views")
        view = {n["otpNode"]: n["status"] for n in sim.get("/pools/default", "n1")["nodes"]}
        same([view[sim.otp[n]] for n in ("n1", "n2", "n3")],
                 ["healthy", "healthy", "unhealthy"], "small side")
        expect(sim.post("/controller/failOver", ("otpNode", sim.otp["n3"]), node="n1"), 504,
                   "text", NO_QUORUM, "small side")
        same(sim.post("/controller/startFailover", ("otpNode", sim.otp["n1"]), node="n3").status,
                 200, "large side")
        sim.advance(3)
        sim.control("partition")
        same(sim.membership("n1", node="n1"), ["inactiveFailed/none"], "healed")


AUTO = {"enabled": True, "timeout": 10}


def auto(sim: Sim) -> Dict[str, Any]:
    """The counter, and what was failed over."""
    members = sim.control("state")["clusters"][0]["members"]
    gone = [name for name, otp in sim.otp.items()
            if members.get(otp, {}).get("membership") == "inactiveFailed"]
    return {"count": sim.get("/settings/autoFailover")["count"], "gone": gone}


def warnings(sim: Sim) -> List[str]:
    """Texts of the auto-failover log."""
    return [row["text"] for row in sim.get("/logs")["list"] if row["module"] == "auto_failover"]


@case
def automatic_failover_and_its_limit() -> None:
    with cluster(5, autoFailover=AUTO, buckets=[{"name": "b", "replicas": 2}]) as sim:
        down(sim, "n5", seconds=14)
        same(auto(sim), {"count": 0, "gone": []}, "too early")
        sim.advance(6)
        same(auto(sim), {"count": 1, "gone": ["n5"]}, "failed over")
        same(warnings(sim)[-1].startswith(f"Node ('{sim.otp['n5']}') was automatically"), True,
                 "log")
        ids = [e["event_id"] for e in sim.get("/events")["events"]]
        same(ids, [14, 15], "events")
        down(sim, "n4", seconds=20)
        same(auto(sim)["gone"], ["n5"], "the counter is used up")
        same("Maximum number of auto-failover nodes (1) has been reached." in warnings(sim)[-1],
                 True, "said so")
        same(len(sim.get("/pools/default")["alerts"]), 1, "alert")
        sim.post("/settings/autoFailover/resetCount")
        sim.advance(20)
        same(auto(sim), {"count": 1, "gone": ["n4", "n5"]}, "after the reset")
        got = sim.post("/controller/rebalance", ("knownNodes", sim.all_nodes()))
        same(got.status, 200, "rebalance without the dead")
        sim.settle()
        same(auto(sim)["count"], 0, "a rebalance resets the counter")


@case
def automatic_failover_refuses() -> None:
    with cluster([{}, {}, {}, {"services": ["n1ql"]}], autoFailover=AUTO) as sim:
        down(sim, "n4", seconds=25)
        same(auto(sim)["gone"], [], "the last query node stays")
        same("running n1ql service is 0. You need at least 1 nodes." in warnings(sim)[-1], True,
                 "said so")
    with cluster(5, autoFailover={**AUTO, "maxCount": 5}) as sim:
        down(sim, "n4", "n5", seconds=25)
        same("Would lose vbuckets in the following buckets: [travel]" in warnings(sim)[-1], True,
                 "data")
        same(auto(sim)["gone"], [], "nothing done")
    with cluster(2, autoFailover=AUTO) as sim:
        down(sim, "n2", seconds=40)
        same(auto(sim)["gone"], [], "no majority")


@case
def automatic_failover_and_a_rebalance() -> None:
    for can_abort in (True, False):
        with cluster(4, autoFailover={**AUTO, "canAbortRebalance": can_abort},
                     timing={**QUICK, "rebalance": 400}) as sim:
            sim.post("/controller/rebalance", ("knownNodes", sim.all_nodes()))
            sim.control("node", node="n4", do="freeze")
            sim.advance(14)
            same(sim.task()["status"], "running", "it hangs")
            sim.advance(20)
            same(auto(sim)["gone"], ["n4"] if can_abort else [], f"canAbort {can_abort}")
            if can_abort:
                messages = [e["extra_attributes"].get("completion_message")
                            for e in sim.get("/events")["events"]]
                same("Rebalance interrupted due to auto-failover of nodes "
                         f"['{sim.otp['n4']}']." in messages, True, "message")
                same("errorMessage" in sim.task(), False, "no error")
            else:
                same("Rebalance is running." in warnings(sim)[-1], True, "said so")


MAKE_CERTS = os.path.join(tap.build_dir(), "tests", "system", "make_certs")


def over_tls(sim: Sim, folder: str, path: str, client: Optional[str] = None,
             method: str = "GET", auth: Optional[str] = None) -> int:
    """Status over TLS, 0 when the handshake fails."""
    context = ssl.create_default_context(cafile=os.path.join(folder, "ca.crt"))
    if client:
        context.load_cert_chain(os.path.join(folder, client + ".crt"),
                                os.path.join(folder, client + ".key"))
    conn = http.client.HTTPSConnection(sim.tls["n1"] or "", timeout=5, context=context)
    headers = {"Content-Type": FORM}
    if auth:
        headers["Authorization"] = auth
    try:
        conn.request(method, path, form(("allowUnsafe", "false")) if method == "POST" else None,
                     headers)
        return conn.getresponse().status
    except OSError:
        return 0
    finally:
        conn.close()


@case
def tls_and_client_certificates() -> None:
    rule = [{"path": "subject.cn", "prefix": "test ", "delimiter": ""}]
    users = [{"name": "Administrator", "password": "password"}, {"name": "client", "password": "-"}]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([MAKE_CERTS, folder], check=True)
        files = {k: os.path.join(folder, n) for k, n in
                 (("cert", "server.crt"), ("key", "server.key"), ("ca", "ca.crt"))}
        with cluster(tls=files, users=users,
                     clientCert={"state": "enable", "prefixes": rule}) as sim:
            def get(client: Optional[str] = None, auth: Optional[str] = None) -> int:
                return over_tls(sim, folder, "/pools", client, auth=auth)
            same((get(), get(auth=ADMIN), get("client"), get("server")), (401, 200, 200, 401),
                     "enable")
            stop = over_tls(sim, folder, "/controller/stopRebalance", "client", "POST")
            same(stop, 200, "a request with an effect")
            row = sim.control("log")["requests"][-1]
            same((row["credentials"], row["user"], row["tls"]),
                     ("certificate", "client", True), "log")
            sim.control("set", clientCert={"state": "mandatory", "prefixes": rule})
            same((get(auth=ADMIN), get("client")), (0, 200), "mandatory")
            sim.control("set", clientCert={"state": "disable", "prefixes": rule})
            same((get(auth=ADMIN), get("client")), (200, 401), "disable")
            ports = sim.get("/pools/default")["nodes"][0]["ports"]
            same(f"127.0.0.1:{ports['httpsMgmt']}", sim.tls["n1"], "httpsMgmt")


tap.main(CASES)
