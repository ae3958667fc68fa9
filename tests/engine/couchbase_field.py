#!/usr/bin/env python3
"""The scenarios of the field on a simulated Couchbase cluster, as recorded sessions. `-record` writes them anew."""
import cblab
import tap
from cblab import Lab, compare


def maintenance():
    """Planned maintenance of one node: graceful failover, delta recovery, rebalance."""
    with Lab({"nodes": 4, "seed": 1}) as lab:
        lab.kv("verify configuration -quiet")
        lab.kv("plan preview failover -service {n2} -mode graceful")
        lab.kv("plan failover -service {n2} -mode graceful -wait")
        lab.kv("show topology")
        lab.kv("verify configuration -quiet", 2)
        lab.kv("show plan -last -explain")
        lab.kv("plan recover -service {n2} -type delta -rebalance -wait")
        lab.kv("verify configuration -quiet")
        lab.kv("show plans")
        tap.equal(lab.cluster()["buckets"]["orders"]["lost"], 0, "vBuckets lost")
        compare("maintenance", lab)


def death_of_a_node():
    """Death of a node: hard failover, full recovery, rebalance."""
    with Lab({"nodes": 4, "seed": 2}, first=["n2", "n1"]) as lab:
        lab.say("n2, the first address of the store, dies")
        lab.control("node", node="n2", do="kill")
        lab.wait(lambda: "not heard from" in lab.kv("verify configuration -quiet", None).stdout, "n2 to be missed")
        lab.transcript[:] = ["# n2, the first address of the store, dies"]
        lab.kv("verify configuration -quiet", 2)
        lab.kv("plan failover -service {n2} -wait", 10)
        lab.kv("plan failover -service {n2} -mode hard -wait")
        lab.kv("plan recover -service {n2} -type full -rebalance -wait", 10)
        lab.say("n2 is repaired")
        lab.control("node", node="n2", do="revive")
        lab.wait(lambda: "and waits for recovery" in lab.kv("verify configuration -quiet", 2).stdout, "n2 to be back")
        del lab.transcript[lab.transcript.index("# n2 is repaired") + 1:]
        lab.kv("plan recover -service {n2} -type full -rebalance -wait")
        lab.kv("verify configuration -quiet")
        compare("death", lab)


def replacement_of_a_dead_node():
    """Death of a node: hard failover, replacement by another, rebalance."""
    with Lab({"nodes": 4, "spares": 1, "seed": 3}) as lab:
        spare = lab.sim.start["spares"][0]["name"]
        port = lab.host[spare].rpartition(":")[2]
        lab.control("node", node="n3", do="kill")
        lab.wait(lambda: "not heard from" in lab.kv("verify configuration -quiet", None).stdout, "n3 to be missed")
        lab.transcript[:] = ["# n3 dies"]
        lab.kv("verify configuration -quiet", 2)
        lab.kv("plan failover -service {n3} -mode hard -wait")
        lab.kv("plan preview add-node -host 127.0.0.1 -port %s -services kv -rebalance" % port)
        lab.kv("plan add-node -host 127.0.0.1 -port %s -services kv -rebalance -wait" % port)
        tap.equal(lab.membership(spare), "active", "the new node")
        tap.equal(lab.membership("n3"), None, "the dead node")
        lab.kv("verify configuration -quiet")
        lab.kv("show topology")
        lab.transcript[:] = [t.replace("-port " + port, "-port PORT") for t in lab.transcript]
        compare("replacement", lab)


def one_for_another():
    """A healthy node gives its place to another: swap rebalance, shown by couchbase-cli's words as well."""
    with Lab({"nodes": 4, "spares": 1, "seed": 9, "groups": ["Group 1", "Rack 2"]}) as lab:
        spare = lab.sim.start["spares"][0]["name"]
        lab.kv("plan preview swap-rebalance -from {n4} -to {%s}" % spare)
        lab.kv("plan swap-rebalance -from {n4} -to {%s} -wait" % spare)
        lab.kv("show plan -last -explain")
        lab.kv("show topology")
        lab.kv("plan swap-rebalance -from {n3} -to {n1} -wait", 10)
        lab.kv("plan swap-rebalance -from {n4} -to {s9} -wait", 65)
        lab.kv("verify configuration -quiet")
        compare("swap", lab)


def lost_quorum():
    """Two of three nodes dead, quorum lost: explained, and done without a majority only on confirmation."""
    with Lab({"nodes": 3, "seed": 4}) as lab:
        for name in ("n1", "n2"):
            lab.control("node", node=name, do="kill")
        lab.wait(lambda: "cannot fail over" in lab.kv("verify configuration -quiet", None).stdout, "the loss to show")
        lab.transcript[:] = ["# n1 and n2 die"]
        lab.kv("verify configuration -quiet", 2)
        lab.kv("plan failover -service {n1} -service {n2} -mode hard -wait", 10)
        lab.kv("plan failover -service {n1} -service {n2} -mode hard -unsafe -wait", 10)
        lab.kv("plan failover -service {n1} -service {n2} -mode hard -unsafe -force -reason 'rack burnt' -wait", 10)
        tap.equal(lab.requests(), [], "changing requests after refusals")
        lab.kv("plan failover -service {n1} -service {n2} -mode hard -unsafe -force -reason 'rack burnt' "
               "-confirm prod -wait")
        lab.kv("show topology")
        compare("quorum", lab)


def no_room():
    """A cluster at 85 % of its capacity: refused, with figures."""
    full = [{"name": "orders", "replicas": 1, "ramQuotaMiB": 1000, "memUsed": 3400 * cblab.MIB, "diskUsed": 1 << 30,
             "items": 100000, "ops": 1000}]
    with Lab({"nodes": 4, "seed": 5, "buckets": full, "quota": {"memoryQuota": 1000}}) as lab:
        lab.kv("verify configuration -quiet", 2)
        lab.kv("plan failover -service {n2} -wait", 10)
        lab.kv("plan remove-node -service {n2} -wait", 10)
        tap.equal(lab.requests(), [], "changing requests")
        compare("capacity", lab)


def automatic_failover():
    """Automatic failover already happened: recognised, recovery offered."""
    with Lab({"nodes": 4, "seed": 6, "autoFailover": {"enabled": True, "timeout": 2}}) as lab:
        lab.control("node", node="n3", do="kill")
        lab.wait(lambda: lab.membership("n3") == "inactiveFailed", "the cluster to fail n3 over")
        lab.wait(lambda: "failed-over" in lab.kv("-json verify configuration", None).stdout, "that to show")
        lab.transcript[:] = ["# n3 dies, and the cluster fails it over by itself"]
        lab.kv("verify configuration -quiet", 2)
        lab.kv("plan failover -service {n3} -mode hard -wait", 10)
        lab.control("node", node="n3", do="revive")
        lab.wait(lambda: "and waits for recovery" in lab.kv("verify configuration -quiet", 2).stdout, "n3 to be back")
        del lab.transcript[lab.transcript.index("[status 10]") + 1:]
        lab.say("n3 is back")
        lab.kv("plan recover -service {n3} -rebalance -wait")
        lab.kv("verify configuration -quiet")
        compare("automatic", lab)


def half_a_rebalance():
    """A rebalance that fails half-way and is resumed."""
    with Lab({"nodes": 4, "seed": 7}) as lab:
        lab.control("next", operation="rebalance", failAt=0.5, reason="mover crashed")
        lab.kv("plan remove-node -service {n4} -wait", 1)
        lab.kv("show plan -last")
        lab.kv("plan execute -last -wait")
        tap.equal(lab.membership("n4"), None, "the node that left")
        lab.kv("verify configuration -quiet")
        compare("halfway", lab)


def rolling_restart():
    """A rolling restart that waits for the operator's hand at each node."""
    with Lab({"nodes": 4, "seed": 8}) as lab:
        lab.control("clock", advance=1000)  # a process that has just begun cannot be told from one begun anew
        lab.kv("plan restart-service -service {n2} -wait", 10)
        lab.kv("plan stop-service -service {n2} -wait", 10)
        lab.kv("plan preview restart-service -service {n2} -service {n3} -pause")
        lab.kv("plan restart-service -service {n2} -service {n3} -pause")
        for name in ("n2", "n3"):
            text = "waiting for: a restart of couchbase-server on " + lab.host[name]
            with lab.aside():
                lab.wait(lambda: text in lab.task(), "the plan to wait for " + name)
            tap.equal(lab.membership(name), "inactiveFailed", name + " while it is restarted")
            lab.say("couchbase-server on %s is restarted by hand" % name)
            lab.control("node", node=name, do="kill")
            lab.control("node", node=name, do="revive")
        lab.kv("plan wait -last")
        lab.kv("verify configuration -quiet")
        lab.kv("show plan -last")
        for name in ("n2", "n3"):
            tap.equal(lab.membership(name), "active", name)
        compare("rolling", lab)


if __name__ == "__main__":
    tap.main([maintenance, death_of_a_node, replacement_of_a_dead_node, one_for_another, lost_quorum, no_room,
              automatic_failover, half_a_rebalance, rolling_restart])
