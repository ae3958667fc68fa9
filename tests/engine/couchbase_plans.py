#!/usr/bin/env python3
"""Plans on a simulated Couchbase cluster: requests, answers that lie, crashes, others at work, secrets."""
import os
import re
import time

import cblab
import tap
from cblab import Lab

VERSIONS = ("7.2", "7.6", "8.0")


def posts(lab):
    """(path, decoded body) of each changing request that was not a question."""
    from urllib.parse import unquote
    return [(r["path"], unquote(r["body"] or "")) for r in lab.requests()]


def check_guarded(lab):
    """Every changing request carries the cluster's uuid, its body is encoded, and its type says what it is."""
    for r in lab.requests() + lab.requests("PUT"):
        tap.contains(r["query"] or "", "uuid=" + lab.sim.uuid, "query of " + r["path"])
        headers = {k.lower(): v for k, v in dict(r["headers"]).items()}
        if r["method"] == "PUT":
            tap.contains(headers.get("content-type", ""), "application/json", "type of " + r["path"])
            continue
        tap.contains(headers.get("content-type", ""), "application/x-www-form-urlencoded", "type of " + r["path"])
        for raw in "@,[]":
            tap.lacks(r["body"] or "", raw, "body of " + r["path"])


def every_plan_on_every_version():
    """Every kind of plan, on each version; requests as they should be."""
    for version in VERSIONS:
        with Lab({"nodes": 4, "spares": 2, "version": version, "groups": ["Group 1", "Rack 2"],
                  "timing": {"rebalance": 0.6, "graceful": 0.6}}) as lab:
            spares = [row["name"] for row in lab.sim.start["spares"]]
            lab.kv("plan failover -service {n2} -wait")
            lab.kv("plan recover -service {n2} -type delta -wait")
            lab.kv("plan rebalance -wait")
            lab.kv("plan change-group -service {n4} -group 'Rack 2' -wait")
            lab.kv("plan add-node -host 127.0.0.1 -port %s -services kv,index -group 'Rack 2' -wait"
                   % lab.host[spares[0]].rpartition(":")[2])
            lab.kv("plan rebalance -wait")
            lab.kv("plan swap-rebalance -from {n3} -to {%s} -wait" % spares[1])
            lab.kv("plan remove-node -service {n1} -wait")
            lab.kv("plan failover -service {n4} -mode hard -wait")
            lab.kv("plan remove-node -service {n4} -wait")
            lab.kv("plan cleanup -wait")
            lab.kv("change-policy -params autoFailover.timeout=60 autoFailover.maxCount=3")
            lab.kv("change-policy -params autoFailover.failoverOnDataDiskIssues=true "
                   "autoFailover.failoverOnDataDiskIssues.timePeriod=90 autoFailover.resetCount=true")
            lab.kv("show tasks")
            lab.kv("show buckets")
            lab.kv("show groups")
            lab.kv("show events")
            for name, want in (("n1", None), ("n2", "active"), ("n3", None), ("n4", None), (spares[0], "active"),
                               (spares[1], "active")):
                tap.equal(lab.membership(name), want, "%s: %s" % (version, name))
            tap.equal(lab.cluster()["autoFailover"]["timeout"], 60, "timeout")
            tap.equal(lab.cluster()["autoFailover"]["failoverOnDataDiskIssues"],
                      {"enabled": True, "timePeriod": 90}, "disk issues")
            sent = posts(lab)
            tap.contains(str(sent), "otpNode=" + lab.sim.otp["n2"], "requests")
            tap.contains(str(sent), "/controller/startGracefulFailover", "requests")
            tap.contains(str(sent), "/controller/ejectNode", "requests")
            tap.contains(str(sent), "/controller/compactBucket", "requests")
            check_guarded(lab)


def the_limits_of_each_version():
    """change-policy knows the limits of the version, and refuses before it asks."""
    for version, value, want in (("7.2", 3, 65), ("7.6", 3, 0), ("8.0", 1, 0), ("8.0", 0, 65)):
        with Lab({"nodes": 3, "version": version}) as lab:
            lab.kv("change-policy -params autoFailover.timeout=%d" % value, want)
            tap.equal(len(lab.requests()), 0 if want else 1, "requests on " + version)
            lab.kv("change-policy -dry-run -params autoFailover.maxCount=2")
            lab.kv("change-policy -params autoFailover.nonsense=2", 65)
            tap.equal(len(lab.requests()), 0 if want else 1, "requests on " + version)


def another_cluster_is_refused():
    """The cluster is remembered; another one at its address is refused, a dead first address is passed over."""
    with Lab({"nodes": 3}, first=["n2", "n1"]) as lab:
        lab.control("node", node="n2", do="kill")
        tap.contains(lab.kv("show topology").stdout, lab.host["n3"], "what the next address tells")
        lab.control("node", node="n2", do="revive")
        lab.control("set", uuid="0123456789abcdef0123456789abcdef")
        done = lab.kv("show topology", 10)
        tap.contains(done.stderr, "another cluster answers there", "the refusal")
        lab.kv("plan failover -service {n3} -wait", 10)
        tap.equal(lab.requests(), [], "changing requests")


def lost_answers():
    """An answer that is lost is looked up: nothing is asked for twice, whether it took effect or not."""
    for kind, path, line in (("cut", "/controller/startGracefulFailover", "plan failover -service {n2} -wait"),
                             ("cut", "/controller/rebalance", "plan remove-node -service {n4} -wait"),
                             ("empty", "/controller/startFailover",
                              "plan failover -service {n2} -mode hard -wait"),
                             ("garbage_head", "/controller/setRecoveryType", None)):
        for effect in (True, False):
            with Lab({"nodes": 4}) as lab:
                if line is None:
                    lab.kv("plan failover -service {n2} -wait")
                lab.control("fault", kind=kind, path=path, method="POST", count=1, effect=effect)
                lab.kv(line or "plan recover -service {n2} -type delta -wait")
                tried = [r for r in lab.requests() if r["path"] == path]
                took = [r for r in tried if (effect if r["fault"] else r["status"] == 200)]
                tap.equal(len(tried), 1 if effect else 2, "%s, effect %s: requests" % (path, effect))
                tap.equal(len(took), 1, "%s, effect %s: those that took effect" % (path, effect))


def busy_and_denied():
    """Refusals of the server come through with their text; the plan can be executed later."""
    for status, body, text, want in (
            (503, "Cannot failover during rebalance", "Cannot failover during rebalance", 1),
            (504, "Cannot safely perform a failover at the moment", "Cannot safely perform a failover", 1),
            (403, '{"message":"Forbidden. User needs the following permissions","permissions":'
                  '["cluster.pools!write"]}', "cluster.pools!write", 77),
            (400, "Failover cannot be done gracefully (would lose vbuckets).", "would lose vbuckets", 1)):
        with Lab({"nodes": 4}) as lab:
            lab.control("fault", kind="status", path="/controller/startGracefulFailover", method="POST", count=1,
                        status=status, body=body)
            done = lab.kv("plan failover -service {n2} -wait", want)
            tap.contains(done.stdout + done.stderr, text, "what is said of %d" % status)
            tap.equal(lab.membership("n2"), "active", "n2 after %d" % status)
            lab.kv("plan execute -last -wait")
            tap.equal(lab.membership("n2"), "inactiveFailed", "n2 in the end")


def bad_credentials():
    """A wrong password is said so, and not tried at every address."""
    with Lab({"nodes": 3}) as lab:
        with open(lab.folder + "/pw", "w") as f:
            f.write("quite-another-password\n")
        lab.control("clear")
        done = lab.kv("show topology", 77)
        tap.contains(done.stderr, "credentials were not accepted", "the error")
        tap.equal(len(lab.control("log")["requests"]), 1, "requests")
        check_secrets(lab, "quite-another-password")


def answers_that_lie():
    """Stale task lists, time-outs of the master, old messages and slow nodes are not taken for an end."""
    with Lab({"nodes": 4, "errorMessage": "Rebalance failed. See logs for detailed reason. You can try again.",
              "timing": {"rebalance": 3}}) as lab:
        lab.kv("plan remove-node -service {n4}")
        lab.wait(lambda: "RUNNING" in lab.kv("show plans").stdout, "the plan to run")
        for kind in ("stale", "master_timeout", "cut", "garbage", "html", "bad_json", "status"):
            lab.control("fault", kind=kind, path="/pools/default/tasks", count=2, **(
                {"status": 503} if kind == "status" else {}))
        lab.kv("plan wait -last")
        tap.equal(lab.membership("n4"), None, "n4")
        tap.equal(len([r for r in lab.requests() if r["path"] == "/controller/rebalance"]), 1, "rebalances")
    with Lab({"nodes": 4}) as lab:
        # The list is fit to be believed when the plan is made, and stale when its task looks again.
        lab.control("fault", kind="stale", path="/pools/default/tasks", skip=1, count=5)
        lab.kv("plan remove-node -service {n4} -wait")
        tap.equal(lab.membership("n4"), None, "n4, asked for while the list was stale")


def somebody_else():
    """Operations of others: shown as such, never taken for ours, stopped only on demand."""
    with Lab({"nodes": 4, "timing": {"rebalance": 20}}) as lab:
        known = "%2C".join(lab.sim.otp[n].replace("@", "%40") for n in ("n1", "n2", "n3", "n4"))
        eject = lab.sim.otp["n4"].replace("@", "%40")
        lab.control("other", path="/controller/rebalance", body="knownNodes=%s&ejectedNodes=%s" % (known, eject))
        tap.contains(lab.kv("show plans").stdout, "rebalance (started by others) RUNNING", "show plans")
        lab.kv("plan rebalance -wait", 10)
        tap.equal(lab.requests(), [], "changing requests")
        lab.kv("plan stop-rebalance -wait")
        tap.equal(lab.cluster()["operation"], None, "the operation")
        lab.kv("plan rebalance")
        lab.wait(lambda: "started by plan 2" in lab.kv("show plans").stdout, "ours to be shown as ours")
        lab.control("other", path="/controller/stopRebalance", body="allowUnsafe=false")
        done = lab.kv("plan wait -last", 1)
        tap.contains(done.stderr, "stopped", "how ours ended")


def changed_meanwhile():
    """Between the preview and the plan a node was failed over: the rebalance would have removed it."""
    with Lab({"nodes": 4}) as lab:
        lab.kv("plan remove-node -service {n4} -noexecute")
        lab.control("other", path="/controller/failOver", body="otpNode=" + lab.sim.otp["n3"].replace("@", "%40"))
        time.sleep(1)
        lab.kv("plan execute -last -wait", 7)
        tap.equal(lab.membership("n3"), "inactiveFailed", "n3")
        tap.equal(lab.requests(), [], "changing requests")


def killed_runner():
    """A runner killed in the middle: the plan goes on with the operation it began, and begins no second one."""
    for line, path in (("plan failover -service {n2}", "/controller/startGracefulFailover"),
                       ("plan remove-node -service {n4}", "/controller/rebalance")):
        with Lab({"nodes": 4, "timing": {"graceful": 600, "rebalance": 600}}) as lab:
            lab.kv(line)
            lab.wait(lambda: lab.cluster()["operation"] is not None, "the operation to begin")
            lab.wait(lambda: '"operation"' in lab.kv("show events -plan 1 -local").stdout, "it to be noted")
            lab.kill_runner()
            lab.wait(lambda: "INTERRUPTED" in lab.kv("show plans -local").stdout, "the plan to be found dead")
            lab.kv("plan execute -last")
            lab.control("clock", advance=1000)
            lab.kv("plan wait -last")
            tap.equal(len([r for r in lab.requests() if r["path"] == path]), 1, "requests of " + path)


def interrupted():
    """plan interrupt stops what the plan began; plan execute goes on."""
    with Lab({"nodes": 4, "timing": {"rebalance": 600}}) as lab:
        lab.kv("plan remove-node -service {n4}")
        lab.wait(lambda: lab.cluster()["operation"] is not None, "the rebalance to begin")
        lab.kv("plan interrupt -last")
        lab.kv("plan wait -last", 4)
        tap.equal(lab.cluster()["operation"], None, "the operation")
        lab.control("set", timing={"rebalance": 1})
        lab.kv("plan execute -last -wait")
        tap.equal(lab.membership("n4"), None, "n4")


def check_secrets(lab, *secrets):
    """No file of the store, no output and no request's address holds a secret."""
    for output in lab.outputs:
        for secret in secrets:
            tap.lacks(output, secret, "an output")
    for folder, _, files in os.walk(lab.folder):
        for name in files:
            path = os.path.join(folder, name)
            if name in ("pw", "token"):
                continue
            with open(path, "rb") as f:
                content = f.read()
            for secret in secrets:
                tap.ok(secret.encode() not in content, "no secret in " + path)
    for r in lab.control("log")["requests"]:
        for secret in secrets:
            tap.lacks((r["query"] or "") + r["path"], secret, "an address")


def secrets_stay_secret():
    """Passwords appear in no journal, history, event, log, JSON, error or argument vector."""
    with Lab({"nodes": 3, "spares": 1}) as lab:
        spare = lab.sim.start["spares"][0]["name"]
        port = lab.host[spare].rpartition(":")[2]
        lab.control("fault", kind="body", path="/controller/addNode", method="POST", count=1, status=400,
                    body='["Prepare join failed. Wrong password %s."]' % cblab.PASSWORD)
        lab.kv("plan add-node -host 127.0.0.1 -port %s -wait" % port, None)
        lab.kv("plan execute -last -wait", None)
        lab.kv("plan rebalance")
        seen = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as f:
                    seen.append(f.read())
            except OSError:
                continue
        tap.ok(not any(cblab.PASSWORD.encode() in words for words in seen if b"python" not in words),
               "no secret in an argument vector")
        lab.kv("plan wait -last")
        lab.kv("show plan -id 1 -verbose")
        lab.kv("show plan -id 1 -explain")
        lab.kv("-json show plan -id 1")
        lab.kv("show events -num 500")
        lab.kv("-json show events -num 500")
        lab.kv("store show")
        joined = [r for r in lab.requests() if "addNode" in r["path"]]
        tap.ok(joined and all(r["secrets"] for r in joined), "the password was sent with addNode")
        check_secrets(lab, cblab.PASSWORD)


def bearer_token():
    """Version 8.0 takes a token instead of a password."""
    with Lab({"nodes": 3, "version": "8.0", "tokens": {"a-long-bearer-token": "Administrator"}}, store=False) as lab:
        with open(lab.folder + "/token", "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write("a-long-bearer-token\n")
        lab.kv("store add -name prod -engine couchbase -node http://{n1} -token-file %s/token" % lab.folder)
        lab.kv("ping -quiet")
        lab.kv("plan failover -service {n2} -wait")
        check_secrets(lab, "a-long-bearer-token")


def dropped_answers():
    """A store of one address: a question whose answer is cut or empty is asked once more; a change never is."""
    with Lab({"nodes": 3}, first=["n1"]) as lab:
        for path in ("/pools", "/pools/default", "/pools/default/tasks", "/pools/default/buckets", "/nodeStatuses"):
            for kind in ("cut", "cut_head", "cut_body", "empty"):
                for count in (1, -1):
                    lab.control("clear")
                    lab.control("fault", kind=kind, path=path, method="GET", count=count)
                    done = lab.kv("show topology", 0 if count == 1 or path == "/nodeStatuses" else 69)
                    tries = [r for r in lab.control("log", path=path)["requests"] if r["method"] == "GET"]
                    what = "%s of GET %s, %d times" % (kind, path, count)
                    # On a kept connection that is cut libcurl by itself asks again, too.
                    tap.ok(len(tries) == 2 or (count < 0 and len(tries) > 2), "%s: %d requests" % (what, len(tries)))
                    if done.returncode == 0:
                        tap.contains(done.stdout, lab.host["n3"], what)
                    lab.control("faults", clear=True)
        lab.control("fault", kind="cut", path="/settings/autoFailover", method="POST", count=1, effect=False)
        lab.kv("change-policy -params autoFailover.timeout=60", 6)
        tap.equal(len(lab.requests()), 1, "changing requests")
        lab.control("fault", kind="hang", path="/pools", method="GET", count=1)
        lab.control("clear")
        lab.kv("-timeout 1 show topology", 69)
        tap.equal(len(lab.control("log", path="/pools")["requests"]), 1, "questions that are not answered in time")


def no_address_left():
    """Nodes whose addresses are all that the store has leave only when another one is named, by the command that is told."""
    failed = {"nodes": [{"name": "n1", "membership": "inactiveFailed"}, {"name": "n2"}, {"name": "n3"}]}
    for scenario, line in (({"nodes": 4}, "plan remove-node -service {n1} -wait"),
                           ({"nodes": 4, "spares": [{"name": "p1"}]}, "plan swap-rebalance -from {n1} -to {p1} -wait"),
                           (failed, "plan rebalance -wait"),
                           (failed, "plan remove-node -service {n1} -wait")):
        with Lab(scenario, first=["n1"]) as lab:
            done = lab.kv(line, 10)
            tap.contains(done.stderr, "the store names only nodes that leave (http://%s)" % lab.host["n1"], line)
            told = re.search(r"'(store remove -name prod)', then '(store add [^']*)'", done.stderr)
            tap.ok(told is not None, "the commands: " + done.stderr)
            tap.equal(lab.requests(), [], line + ": changing requests")
            lab.kv(told.group(1))
            lab.kv(told.group(2) + " -user Administrator -password-file %s/pw" % lab.folder)
            lab.kv(line)
            tap.equal(lab.membership("n1"), None, "n1 after " + line)
            tap.contains(lab.kv("show plans").stdout, "SUCCEEDED", "its plan")
    with Lab({"nodes": 4}, first=["n1", "n2"]) as lab:
        lab.kv("plan remove-node -service {n1} -wait")
    with Lab({"nodes": 4}, first=["n1"]) as lab:
        lab.kv("plan remove-node -service {n1} -force -reason 'on purpose' -wait", 6)
        tap.equal(lab.membership("n1"), None, "n1, forced")


def completion_and_help():
    """Nodes complete by what was seen last; help lists the plans there are."""
    with Lab({"nodes": 3}) as lab:
        lab.kv("ping -quiet")
        lab.control("clear")
        tap.contains(lab.kv("complete 'plan failover -service '").stdout, lab.host["n2"], "completion")
        tap.equal(lab.control("log")["requests"], [], "requests of completion")
        text = lab.kv("help plan").stdout
        tap.contains(text, "swap-rebalance", "help plan")
        tap.lacks(text, "deploy-zone", "help plan")
        lab.kv("plan deploy-zone -name z -rf 1", 65)


def explained():
    """Lines that a person could type: names of buckets encoded, and a request for every step."""
    bucket = {"name": "a%b", "replicas": 1, "ramQuotaMiB": 256}
    with Lab({"nodes": 4, "groups": ["Group 1", "Rack 2"], "buckets": [bucket]}) as lab:
        lab.kv("plan cleanup -wait")
        asked = [r["path"] for r in lab.requests()]
        told = lab.kv("show plan -last -explain").stdout
        tap.equal(len(asked), 1, "requests")
        tap.contains(told, "/pools/default/buckets/a%25b/controller/compactBucket?uuid=", "a bucket's name")
        lab.kv("plan change-group -service {n1} -group 'Rack 2' -wait")
        told = lab.kv("show plan -last -explain").stdout
        tap.contains(told, "-X PUT 'http://%s/pools/default/serverGroups?rev=" % lab.host["n1"], "groups")
        tap.contains(told, "--move-servers %s --from-group 'Group 1' --to-group 'Rack 2'" % lab.host["n1"], "the group before")
    three = [{"name": "n%d" % i, "group": group} for i, group in enumerate(("A", "B", "A", "C"), 1)]
    with Lab({"nodes": three}) as lab:
        lab.kv("plan change-group -service {n1} -service {n2} -service {n3} -group C -wait")
        told = lab.kv("show plan -last -explain").stdout
        for nodes, group in (("%s,%s" % (lab.host["n1"], lab.host["n3"]), "A"), (lab.host["n2"], "B")):
            tap.contains(told, "--move-servers %s --from-group '%s' --to-group 'C'" % (nodes, group), "groups before")


def one_answer_after_the_other():
    """Every kind of bad answer to every question: an error or the next address, never a crash or a hang."""
    with Lab({"nodes": 3}) as lab:
        lab.kv("-timeout 2 ping -quiet")
        for kind in ("cut", "cut_head", "cut_body", "empty", "endless", "endless_head", "garbage", "garbage_head",
                     "html", "bad_json", "deep_json", "nul", "hang"):
            lab.control("fault", kind=kind, path="/pools*", node="n1", count=-1)
            lab.kv("-timeout 2 show topology")
            tap.contains(lab.outputs[-1], lab.host["n3"], "topology in spite of " + kind)
            lab.control("faults", clear=True)
        for path in ("/nodeStatuses", "/pools/default/terseClusterInfo", "/pools/default/serverGroups",
                     "/settings/autoFailover", "/pools/default/pendingRetryRebalance"):
            lab.control("fault", kind="status", status=404, path=path, count=-1)
            lab.kv("verify configuration -quiet", None)
            tap.ok(re.search(r"status|refused", lab.outputs[-1]) is None, "verify without " + path)
            lab.control("faults", clear=True)


if __name__ == "__main__":
    tap.main([every_plan_on_every_version, the_limits_of_each_version, another_cluster_is_refused, lost_answers,
              busy_and_denied, bad_credentials, answers_that_lie, somebody_else, changed_meanwhile, killed_runner,
              interrupted, secrets_stay_secret, bearer_token, dropped_answers, no_address_left,
              completion_and_help, explained, one_answer_after_the_other])
