#!/usr/bin/env python3
"""Whose operation it was: nothing that the cluster tells of another one is taken for the plan's own outcome."""
import base64
import threading
import time

import cblab
import tap
from cblab import Lab

OLD = "Rebalance failed. See logs for detailed reason. You can try again."
EVENTS, TASKS, REBALANCE = "/events", "/pools/default/tasks", "/controller/rebalance"
GRACEFUL = "/controller/startGracefulFailover"
HARD = "/controller/startFailover"


def quoted(text):
    return text.replace("@", "%40")


def others_rebalance(lab, eject):
    """Somebody else asks for a rebalance."""
    known = "%2C".join(quoted(otp) for otp in sorted(lab.cluster()["members"]))
    return lab.control("other", path=REBALANCE, body="knownNodes=%s&ejectedNodes=%s" % (known, quoted(lab.sim.otp[eject])))


def others_failover(lab, name, how="failOver"):
    """Somebody else fails a node over."""
    return lab.control("other", path="/controller/" + how, body="otpNode=" + quoted(lab.sim.otp[name]))


def between_look_and_request(lab, line, want, act):
    """Runs a plan; act() happens when kvsh has looked and not yet asked: while it waits for the list of events."""
    lab.control("clear")
    lab.control("fault", kind="delay", path=EVENTS, method="GET", ms=3500, count=1)
    box = []
    thread = threading.Thread(target=lambda: box.append(lab.kv(line, want)))
    thread.start()
    lab.wait(lambda: any(r["path"] == EVENTS for r in lab.control("log")["requests"]), "the look at the events")
    act()
    thread.join()
    return box[0]


def asked(lab, path):
    return [r for r in lab.requests() if r["path"] == path]


def old_message():
    """The message of an earlier failure is not ours, though ours is over before anybody looks."""
    for version in ("7.2", "8.0"):
        with Lab({"nodes": 4, "version": version, "errorMessage": OLD, "timing": {"rebalance": 0.05, "graceful": 0.05}}) as lab:
            lab.kv("plan failover -service {n2} -wait")
            lab.kv("plan recover -service {n2} -rebalance -wait")
            lab.kv("plan remove-node -service {n4} -wait")
            tap.equal((lab.membership("n2"), lab.membership("n4")), ("active", None), version)


def an_older_success():
    """An older success is not ours, though the events before ours could not be read: ours never began, and is asked for again."""
    with Lab({"nodes": 5, "version": "7.2"}) as lab:
        others_rebalance(lab, "n5")
        lab.wait(lambda: lab.membership("n5") is None, "the older rebalance to succeed")
        lab.control("fault", kind="status", status=403, path=EVENTS, method="GET", count=1)
        lab.control("fault", kind="empty", path=REBALANCE, method="POST", count=1)
        lab.kv("plan remove-node -service {n4} -wait")
        tap.equal((len(asked(lab, REBALANCE)), lab.membership("n4")), (2, None), "requests, n4")


def no_number_in_the_answer():
    """A 200 without rebalance_id began nothing: 7.6 and 8.0 tell it so, 7.2 is found out by what moves."""
    for version in ("7.2", "7.6", "8.0"):
        with Lab({"nodes": 4, "version": version, "timing": {"rebalance": 600}}) as lab:
            done = between_look_and_request(lab, "plan remove-node -service {n4} -wait", 1,
                                            lambda: others_rebalance(lab, "n3"))
            tap.contains(done.stderr, "began nothing" if version != "7.2" else "began no rebalance for this plan", version)
            tap.equal((len(asked(lab, REBALANCE)), lab.membership("n4")), (1, "active"), version)
            lab.control("set", timing={"rebalance": 1})
            lab.control("clock", advance=1000)
            lab.wait(lambda: lab.cluster()["operation"] is None, "theirs to end")
            lab.kv("plan execute -last -wait", None)
            tap.equal(lab.membership("n4"), None, version + ": n4 in the end")


def the_same_by_somebody_else():
    """A rebalance that moves the very same nodes is as good as ours."""
    with Lab({"nodes": 4, "version": "7.2", "timing": {"rebalance": 2}}) as lab:
        between_look_and_request(lab, "plan remove-node -service {n4} -wait", 0, lambda: others_rebalance(lab, "n4"))
        tap.equal(lab.membership("n4"), None, "n4")


def lost_answer_and_theirs():
    """Our answer is lost, theirs runs: what it moves tells that it is not ours, and nothing is asked for twice."""
    for version in ("7.2", "8.0"):
        with Lab({"nodes": 4, "version": version, "timing": {"rebalance": 600}}) as lab:
            lab.control("fault", kind="cut", path=REBALANCE, method="POST", count=1, effect=False)
            done = between_look_and_request(lab, "plan remove-node -service {n4} -wait", 1,
                                            lambda: others_rebalance(lab, "n3"))
            tap.contains(done.stderr, "not this plan's is running", version)
            tap.equal((len(asked(lab, REBALANCE)), lab.membership("n4")), (1, "active"), version)


def theirs_behind_ours():
    """Ours is over and theirs runs when kvsh looks for the first time: the events tell both apart."""
    with Lab({"nodes": 4, "timing": {"graceful": 0.2, "rebalance": 600}}) as lab:
        lab.control("fault", kind="delay", path=GRACEFUL, method="POST", ms=3500, count=1)
        box = []
        thread = threading.Thread(target=lambda: box.append(lab.kv("plan failover -service {n2} -wait", None)))
        thread.start()
        lab.wait(lambda: lab.membership("n2") == "inactiveFailed", "ours to be over")
        others_rebalance(lab, "n4")
        thread.join()
        tap.equal(box[0].returncode, 0, "exit status")
        tap.ok(lab.cluster()["operation"] is not None, "theirs goes on")


def refused_while_theirs_runs():
    """Somebody else's failover in between: 503, nothing of ours."""
    with Lab({"nodes": 5, "version": "7.6", "timing": {"graceful": 600}}) as lab:
        done = between_look_and_request(lab, "plan failover -service {n2} -wait", 1,
                                        lambda: others_failover(lab, "n3", "startGracefulFailover"))
        tap.contains(done.stderr, "Cannot failover during rebalance", "what is said")
        tap.equal(lab.membership("n2"), "active", "n2")


def members_changed_in_between():
    """8.0 is told which members the decision was made on: a failover in between is noticed, by both kinds and a rebalance."""
    for line, path in (("plan failover -service {n2} -wait", GRACEFUL),
                       ("plan failover -service {n2} -mode hard -wait", "/controller/startFailover")):
        with Lab({"nodes": 5, "version": "8.0"}) as lab:
            done = between_look_and_request(lab, line, 1, lambda: others_failover(lab, "n3"))
            tap.contains(done.stderr, "Expected topology mismatch", line)
            tap.equal((len(asked(lab, path)), lab.membership("n2")), (1, "active"), line)
    for version in ("7.2", "8.0"):
        with Lab({"nodes": 5, "version": version}) as lab:
            done = between_look_and_request(lab, "plan remove-node -service {n4} -wait", 1,
                                            lambda: others_failover(lab, "n3"))
            tap.contains(done.stderr, "was failed over meanwhile" if version == "8.0" else "", "rebalance on " + version)
            tap.equal(lab.membership("n4"), "active" if version == "8.0" else None, "n4 on " + version)


def effect_missing():
    """What the cluster calls completed and has no effect is no success."""
    with Lab({"nodes": 4, "timing": {"graceful": 60}}) as lab:
        lab.kv("plan failover -service {n2}")
        lab.wait(lambda: lab.cluster()["operation"] is not None, "the failover to run")
        secret = base64.b64encode(("Administrator:" + cblab.PASSWORD).encode()).decode()
        before = lab.sim.send("GET", "/pools/default", auth="Basic " + secret).text
        lab.control("fault", kind="body", path="/pools/default", method="GET", status=200, body=before, count=-1)
        lab.control("clock", advance=60)
        done = lab.kv("plan wait -last", 1)
        tap.contains(done.stderr, "completed, but %s is still active" % lab.host["n2"], "what is said")
        lab.control("faults", clear=True)
        lab.kv("plan execute -last -wait")
        tap.equal(len(asked(lab, GRACEFUL)), 1, "requests")


def without_events():
    """A user who may not read the events: the report of that number tells; somebody else's report does not."""
    with Lab({"nodes": 5}) as lab:
        lab.control("fault", kind="status", status=403, path=EVENTS, method="GET", count=-1)
        lab.kv("plan remove-node -service {n5} -wait")
        tap.equal(lab.membership("n5"), None, "n5")
        lab.control("next", operation="rebalance", failAt=0.5, reason="mover crashed")
        lab.control("fault", kind="body", path="/logs/rebalanceReport", method="GET", status=200, count=-1,
                    body='{"rebalanceId":"%s","completionMessage":"Rebalance completed successfully."}' % ("0" * 32))
        done = lab.kv("plan remove-node -service {n4} -wait", 1)
        tap.contains(done.stderr, "the rebalance failed", "what is said")
        tap.equal(lab.membership("n4"), "active", "n4")


def reports_that_say_nothing():
    """An unknown or refused report is no outcome; the events are."""
    for status, body in ((200, '{"error":"enoent"}'),
                         (400, '{"errors":{"reportID":"Length must be in range from 32 to 32"}}'), (404, "")):
        with Lab({"nodes": 4}) as lab:
            lab.control("fault", kind="status" if status >= 400 else "body", status=status, body=body,
                        path="/logs/rebalanceReport", method="GET", count=-1)
            lab.kv("plan remove-node -service {n4} -wait")
            tap.equal(lab.membership("n4"), None, "n4")


def node_statuses_missing():
    """/nodeStatuses, server groups and terse information may be missing: plans go on."""
    with Lab({"nodes": 4}) as lab:
        for path in ("/nodeStatuses", "/pools/default/terseClusterInfo", "/pools/default/serverGroups",
                     "/pools/default/pendingRetryRebalance", "/settings/autoFailover"):
            lab.control("fault", kind="status", status=404, path=path, method="GET", count=-1)
        lab.kv("plan failover -service {n2} -wait")
        lab.kv("plan recover -service {n2} -type full -rebalance -wait")
        tap.equal(lab.membership("n2"), "active", "n2")


def orphans_are_no_tasks():
    """A bucket that the cluster calls an orphan is no running task: it is found, with its nodes, and hinders nothing"""
    with Lab({"nodes": 3}) as lab:
        lab.control("set", tasks=[{"type": "orphanBucket", "bucket": "lost", "nodes": [lab.sim.otp["n2"], "elsewhere"]}])
        rows = [t for t in lab.json("show tasks")["tasks"] if t["kind"] == "orphanBucket"]
        tap.equal([(t["resourceId"], t["state"], t["detail"]) for t in rows],
                  [("lost", "WAITING", "on %s, elsewhere" % lab.host["n2"])], "show tasks")
        done = lab.kv("verify configuration -quiet", 2)
        tap.contains(done.stdout, "the cluster calls bucket lost an orphan on %s, elsewhere; it has no bucket of that name"
                     % lab.host["n2"], "verify")
        tap.contains(done.stdout, "may have the only copy", "what to do")
        lab.kv("plan failover -service {n2} -wait")


def configured_by_another_name():
    """The cluster's word on a graceful failover is found though its keys are not the names that nodes are configured with"""
    nodes = [{"name": n, "configured": n + ".example"} for n in ("n1", "n2", "n3")]
    nodes.append({"name": "n4", "configured": "n4.example", "membership": "inactiveFailed"})
    with Lab({"nodes": nodes}) as lab:
        done = lab.kv("plan failover -service n2.example -mode graceful -wait", 10)
        tap.contains(done.stderr, "the cluster says that n2.example:%s cannot be failed over" % lab.host["n2_port"], "the rule")
        tap.equal(lab.requests(), [], "changing requests")
    with Lab({"nodes": nodes[:3]}) as lab:
        lab.kv("plan failover -service n2.example -mode graceful -wait")
        tap.equal(lab.membership("n2"), "inactiveFailed", "n2")


def map_by_another_name():
    """What has no other copy is found in the map, whose hosts are not the names that nodes are configured with"""
    nodes = [{"name": n, "configured": n + ".example"} for n in ("n1", "n2", "n3", "n4")]
    nodes[2]["process"] = "frozen"
    bucket = {"name": "single", "replicas": 0, "ramQuotaMiB": 256}
    with Lab({"nodes": nodes, "buckets": [bucket], "autoFailover": {"enabled": False}}) as lab:
        done = lab.kv("plan failover -service n3.example -mode hard -wait", 10)
        tap.contains(done.stderr, "25.0 % of bucket single has no other copy", "the rule")
        tap.equal(lab.requests(), [], "changing requests")


def copies_that_are_not_made_yet():
    """A replica that a bucket asks for and no rebalance has made is no copy, though all nodes are well"""
    for version in ("7.2", "8.0"):
        bucket = {"name": "single", "replicas": 0, "ramQuotaMiB": 256}
        with Lab({"nodes": 4, "version": version, "buckets": [bucket]}) as lab:
            lab.control("bucket", bucket="single", set={"replicas": 1})
            lab.wait(lambda: "not balanced" in lab.kv("verify configuration", None).stdout, "the new number to be seen")
            done = lab.kv("plan failover -service {n2} -mode hard -wait", 10)
            tap.contains(done.stderr, "25.0 % of bucket single has no other copy", version)
            tap.equal(lab.requests(), [], "changing requests")


def older_than_a_page_of_events():
    """More events than the cluster tells unasked: somebody's rebalance behind them is not the outcome of a request without effect"""
    with Lab({"nodes": 3, "version": "7.2", "timing": {"rebalance": 0, "cache": 0.05}}) as lab:
        known = "knownNodes=" + "%2C".join(quoted(otp) for otp in sorted(lab.cluster()["members"]))
        for _ in range(130):
            lab.others(REBALANCE, known)
            lab.wait(lambda: lab.cluster()["operation"] is None, "its end")
        seen = [len(lab.json("show events -num 1000")["events"]) for _ in range(2)]
        tap.equal(seen[0], seen[1], "events that a first look and a second one show")
        lab.control("bucket", bucket="orders", set={"replicas": 2})
        lab.wait(lambda: "not balanced" in lab.kv("verify configuration", None).stdout, "the new number to be seen")
        lab.control("fault", kind="cut", path=REBALANCE, method="POST", count=-1, effect=False)
        done = lab.kv("plan rebalance -wait", 1)
        tap.contains(done.stderr, "still not done", "what is said")


def unsafe_is_not_done_by_halves():
    """A node that is failed over already is still a member: an unsafe failover of it removes it"""
    with Lab(cblab.FAILED) as lab:
        lab.kv("plan failover -service {n2} -mode hard -unsafe -force -reason gone -confirm prod -wait")
        tap.equal((len(asked(lab, HARD)), lab.membership("n2")), (1, None), "requests, n2")


def no_operation_to_stop():
    """What excludes a rebalance and cannot be stopped as one is not told as stopped"""
    with Lab({"nodes": 3, "tasks": [{"type": "hibernation", "status": "running"}]}) as lab:
        done = lab.kv("plan rebalance", 10)
        tap.lacks(done.stderr, "stop-rebalance", "advice")
        tap.contains(lab.kv("plan stop-rebalance -wait").stderr, "there is nothing to stop", "what is said")


def stale_after_a_crash():
    """After a crash the task list is stale or its master silent: kvsh waits for a word, and asks for nothing twice."""
    for kind in ("stale", "master_timeout"):
        with Lab({"nodes": 4, "timing": {"rebalance": 60}}) as lab:
            lab.kv("plan remove-node -service {n4}")
            lab.wait(lambda: '"operation"' in lab.kv("show events -plan 1 -local").stdout, "it to be noted")
            lab.kill_runner()
            lab.control("clock", advance=57)
            lab.wait(lambda: "INTERRUPTED" in lab.kv("show plans -local").stdout, "the plan to be found dead")
            lab.control("fault", kind=kind, path=TASKS, method="GET", count=6)
            done = lab.kv("plan execute -last -wait", None)
            if done.returncode != 0:  # it could not tell at first
                tap.equal(done.returncode, 6, kind + ": status")
                lab.control("faults", clear=True)
                lab.wait(lambda: lab.cluster()["operation"] is None, "the end")
                lab.kv("plan execute -last -wait")
            tap.equal((len(asked(lab, REBALANCE)), lab.membership("n4")), (1, None), kind)


def undone_by_somebody():
    """After a crash the failover is found done and undone again: nothing is repeated, and the outcome is not made up."""
    with Lab({"nodes": 4, "timing": {"graceful": 60, "rebalance": 2}}) as lab:
        lab.kv("plan failover -service {n4}")
        lab.wait(lambda: '"operation"' in lab.kv("show events -plan 1 -local").stdout, "it to be noted")
        lab.kill_runner()
        lab.control("clock", advance=60)
        lab.wait(lambda: lab.membership("n4") == "inactiveFailed" and lab.cluster()["operation"] is None, "its end")
        lab.others("/controller/setRecoveryType", "otpNode={n4}&recoveryType=full")
        lab.others(REBALANCE, "knownNodes={n1}%2C{n2}%2C{n3}%2C{n4}&ejectedNodes=")
        lab.wait(lambda: lab.membership("n4") == "active" and lab.cluster()["operation"] is None, "n4 to be back")
        time.sleep(1.5)
        done = lab.kv("plan execute -last -wait", 6)
        tap.contains(done.stderr, "completed, but %s is still active" % lab.host["n4"], "what is said")
        tap.equal((len(asked(lab, GRACEFUL)), lab.membership("n4")), (1, "active"), "requests, n4")


def rules_at_the_request():
    """A hard failover that failed is executed when another node is gone: the rules are asked again, and refuse."""
    with Lab({"nodes": 4}) as lab:
        lab.control("fault", kind="status", status=503, path=HARD, method="POST", count=-1)
        lab.kv("plan failover -service {n2} -mode hard -wait", 1)
        before = len(asked(lab, HARD))
        lab.control("faults", clear=True)
        others_failover(lab, "n3")
        lab.wait(lambda: lab.membership("n3") == "inactiveFailed" and lab.cluster()["operation"] is None, "its end")
        time.sleep(1.5)
        done = lab.kv("plan execute -last -wait", 10)
        tap.contains(done.stderr, "rule data-lost", "why it is refused")
        tap.equal((len(asked(lab, HARD)), lab.membership("n2")), (before, "active"), "requests, n2")


def stale_for_long():
    """A task list that stays stale is no end: the plan waits as long as it lasts."""
    for kind in ("stale", "master_timeout"):
        with Lab({"nodes": 4}) as lab:
            lab.kv("plan failover -service {n2} -mode graceful")
            lab.wait(lambda: asked(lab, GRACEFUL), "the request")
            lab.control("fault", kind=kind, path=TASKS, method="GET", count=-1)
            time.sleep(12)
            tap.contains(lab.task(), "RUNNING", kind + ": the plan")
            lab.control("faults", clear=True)
            lab.kv("plan wait -last")
            tap.equal(lab.membership("n2"), "inactiveFailed", kind)


def retried_by_the_cluster():
    """A failed rebalance that the cluster will try again: told, cancelled on demand, not mistaken for the plan's."""
    with Lab({"nodes": 4, "retryRebalance": {"enabled": True, "afterTimePeriod": 300, "maxAttempts": 2}}) as lab:
        lab.control("next", operation="rebalance", failAt=0.5, reason="mover crashed")
        lab.kv("plan remove-node -service {n4} -wait", 1)
        tap.contains(lab.kv("show tasks").stdout, "pending retry", "show tasks")
        tap.contains(lab.kv("verify configuration", 2).stdout, "will try a failed operation again", "verify")
        lab.kv("plan stop-rebalance -wait")
        tap.lacks(lab.kv("show tasks").stdout, "pending retry", "show tasks afterwards")
        lab.kv("plan execute -id 1 -wait")
        tap.equal(lab.membership("n4"), None, "n4")


def aborted_by_an_automatic_failover():
    """A rebalance that the cluster gives up for an automatic failover: told by its reason, and not begun again blindly."""
    with Lab({"nodes": 5, "timing": {"rebalance": 20, "stall": 30}, "autoFailover": {"enabled": True, "timeout": 2}}) as lab:
        lab.kv("plan remove-node -service {n5}")
        lab.wait(lambda: lab.cluster()["operation"] is not None, "the rebalance to run")
        lab.control("node", node="n3", do="freeze")
        lab.wait(lambda: lab.membership("n3") == "inactiveFailed", "the cluster to fail n3 over")
        done = lab.kv("plan wait -last", 1)
        tap.contains(done.stderr, "interrupted due to auto-failover", "what is said")
        done = lab.kv("plan execute -last -wait", 1)
        tap.contains(done.stderr, "was failed over meanwhile: the rebalance would remove it", "the second attempt")
        tap.equal((lab.membership("n3"), lab.membership("n5")), ("inactiveFailed", "active"), "n3, n5")


def the_leader_dies():
    """The node that leads the rebalance, and is asked first, dies: the others tell how it ended; it can be begun again."""
    with Lab({"nodes": 5, "timing": {"rebalance": 60}}) as lab:
        lab.kv("plan remove-node -service {n5}")
        lab.wait(lambda: '"operation"' in lab.kv("show events -plan 1 -local").stdout, "it to be noted")
        lab.control("node", node="n1", do="kill")
        done = lab.kv("plan wait -last", 1)
        tap.contains(done.stderr, "the rebalance failed", "what is said")
        lab.control("node", node="n1", do="revive")
        lab.control("set", timing={"rebalance": 2})
        lab.wait(lambda: "not heard" not in lab.kv("verify configuration -quiet", None).stdout, "n1 to be back")
        lab.kv("plan execute -last -wait")
        tap.equal((lab.membership("n1"), lab.membership("n5")), ("active", None), "n1, n5")


def quorum_lost_with_the_leader():
    """The leader of a rebalance is lost, and the quorum with it: an unsafe failover waits, and says what comes first."""
    with Lab({"nodes": 5, "timing": {"rebalance": 1000, "stall": 1000}}) as lab:
        others_rebalance(lab, "n5")
        for name in ("n1", "n2", "n3"):
            lab.control("node", node=name, do="kill")
        lab.wait(lambda: "are needed" in lab.kv("verify configuration -quiet", None).stdout, "the quorum to be missed")
        sure = " -force -reason burnt -confirm prod -wait"
        done = lab.kv("plan failover -service {n1} -service {n2} -service {n3} -mode hard -unsafe" + sure, 1)
        tap.contains(done.stderr, "it cannot be seen whether a rebalance is running", "what is said")
        tap.contains(done.stderr, "'plan stop-rebalance -unsafe' first", "what to do")
        tap.equal(asked(lab, "/controller/startFailover"), [], "requests")
        lab.kv("plan stop-rebalance -unsafe" + sure)
        lab.kv("plan execute -id 1 -wait")
        tap.equal([lab.membership(n) for n in ("n1", "n2", "n3")], [None, None, None], "the lost")


if __name__ == "__main__":
    tap.main([old_message, an_older_success, no_number_in_the_answer, the_same_by_somebody_else, lost_answer_and_theirs,
              theirs_behind_ours, refused_while_theirs_runs, members_changed_in_between, effect_missing, without_events,
              reports_that_say_nothing, node_statuses_missing, orphans_are_no_tasks, configured_by_another_name,
              map_by_another_name, copies_that_are_not_made_yet, older_than_a_page_of_events, unsafe_is_not_done_by_halves,
              no_operation_to_stop,
              stale_after_a_crash, undone_by_somebody, rules_at_the_request, stale_for_long, retried_by_the_cluster,
              aborted_by_an_automatic_failover, the_leader_dies, quorum_lost_with_the_leader])
