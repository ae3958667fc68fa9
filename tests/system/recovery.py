#!/usr/bin/env python3
"""plan recover, cleanup and verify-data: evidence is made, and the right thing is done about it, while a client writes."""
import os
import shutil
import signal

import kvtest
import tap
from kvtest import Redis, wait_for
from writer import Writer, slot_of

lab = kvtest.Lab()
writer = None


def service(name):
    return lab.services()[name]


def path_of(name, *rest):
    s = service(name)
    return os.path.join(s["storageDir"], name, *rest)


def nodes_conf(name):
    s = service(name)
    return os.path.join(s["on"].root, kvtest.STORE, "sn%d" % s["on"].number, name + ".nodes.conf")


def in_sync():
    live = [s["redis"] for s in lab.services().values() if s.get("kind") == "redis"]
    return all(live) and all(r["role"] == "primary" or r["linkUp"] for r in live)


def clean():
    wait_for(lambda: lab.kvsh("verify configuration", want=None).status == 0, "verify is clean")


def primary_of(shard):
    return [n for n in lab.members("primary") if n.startswith(shard + "-")][0]


def replica_of(shard, at=0):
    return [n for n in lab.members("replica") if n.startswith(shard + "-")][at]


def recover(name, says, *options):
    """The preview says why, and the plan does it."""
    run = lab.kvsh("plan preview recover -service " + name)
    tap.contains(run.out, says, "preview of the recovery of " + name)
    lab.kvsh(["plan", "recover", "-service", name, "-wait"] + list(options))
    wait_for(in_sync, "everything is in sync")
    clean()


def stop(name):
    lab.kvsh("plan stop-service -service %s -wait" % name)


def deploys():
    """A store is deployed, and a client writes"""
    global writer
    lab.start()
    lab.deploy()
    lab.verify_clean()
    ports = [s["port"] for s in lab.services().values() if s.get("redis")]
    writer = Writer(ports, lab.password())
    writer.start()
    wait_for(lambda: writer.acknowledged > 300, "the writer writes")


def nothing_to_recover():
    """A sound service needs nothing"""
    run = lab.kvsh("plan recover -service rg1-rn1 -wait")
    tap.ok("stop rg1-rn1" not in run.out, "nothing happens:\n%s" % run)


def sync_counts(name):
    """Full and partial resyncs that a primary has granted."""
    connection = Redis(service(name)["port"], lab.password())
    try:
        text = connection.call("INFO", "stats")
    finally:
        connection.close()
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return int(fields["sync_full"]), int(fields["sync_partial_ok"])


def recovers_a_broken_link():
    """A replica whose link broke a moment ago is waited for: a partial resync, and no restart"""
    name, primary = replica_of("rg1"), primary_of("rg1")
    pid, before = service(name)["pid"], sync_counts(primary)
    replica, feeder = (Redis(service(n)["port"], lab.password()) for n in (name, primary))
    replica.call("CONFIG", "SET", "masterauth", "not-the-password")
    feeder.call("CLIENT", "KILL", "TYPE", "replica")
    wait_for(lambda: not service(name)["redis"]["linkUp"], "the link is down")
    shell = lab.spawn("plan recover -service %s -wait" % name)
    wait_for(lambda: lab.json("show plans -num 1")["plans"][-1]["state"] == "RUNNING" or shell.poll() is not None,
             "the plan waits")
    replica.call("CONFIG", "SET", "masterauth", lab.password())
    out, _ = shell.communicate(timeout=120)
    tap.equal(shell.returncode, 0, "status of the plan, which said\n%s\n" % out)
    tap.contains(out, "choice: wait until it is in sync", "plan recover")
    tap.ok(out.index("choice:") < out.index("ended successfully"), "the choice is told first:\n%s" % out)
    wait_for(in_sync, "everything is in sync")
    full, partial = sync_counts(primary)
    tap.equal((service(name)["pid"], full), (pid, before[0]), "its process, and the full resyncs")
    tap.ok(partial > before[1], "a partial resync (%d, before %d)" % (partial, before[1]))
    replica.close()
    feeder.close()
    clean()


def recovers_a_forgotten_member():
    """All others were told to forget it: it is introduced to them again, with its data"""
    name = replica_of("rg3")
    member, pid = service(name)["nodeId"], service(name)["pid"]
    for other, s in lab.services().items():
        if s.get("redis") and other != name:
            connection = Redis(s["port"], lab.password())
            connection.call("CLUSTER", "FORGET", member)
            connection.close()
    run = lab.kvsh("verify configuration", want=2)
    tap.contains(run.out, "%s on sn" % name, "verify")
    tap.contains(run.out, "'plan recover -service %s -wait'" % name, "the way out")
    run = lab.kvsh("plan failover -service %s -wait" % name, want=10)
    tap.contains(run.err, "does not know " + name, "failover")
    recover(name, "introduce it to the others again")
    tap.equal((service(name)["nodeId"], service(name)["pid"]), (member, pid), "identity and process")


def advice_works():
    """A primary that died with its data: what verify advises is a command that then works"""
    name = primary_of("rg2")
    folder = path_of(name, "env")
    os.kill(service(name)["pid"], signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)
    lab.kvsh("plan start-service -service %s -wait" % name, want=(0, 1))  # refused until a replica has taken over

    def advice():
        run = lab.kvsh("verify configuration -quiet", want=None)
        found = [line for line in run.out.splitlines() if "[%s]" % name in line]
        found = [line.rpartition("; '")[2].partition("'")[0] for line in found if "; 'plan " in line]
        return found[0] if found else None
    line = advice()
    while line:
        tap.note("verify advises: " + line)
        lab.kvsh(line, timeout=120)
        line = advice()
    wait_for(in_sync, "everything is in sync")
    clean()
    tap.ok(os.path.exists(os.path.join(folder, "appendonlydir")), "it has its data again")


def recovers_lost_data():
    """Data gone while it was stopped: it starts empty and copies"""
    name = replica_of("rg1")
    stop(name)
    shutil.rmtree(path_of(name, "env"))
    recover(name, "data gone")


def recovers_a_lost_identity():
    """nodes.conf gone: it joins again as a new member, and the old one is forgotten"""
    name = replica_of("rg1")
    before = service(name)["nodeId"]
    stop(name)
    os.remove(nodes_conf(name))
    recover(name, "identity missing")
    tap.ok(service(name)["nodeId"] != before, "it has a new identity")
    for other in lab.services().values():
        if other.get("redis"):
            tap.ok(before not in [m["id"] for m in other["redis"]["nodes"]], "%s has forgotten it" % other["id"])


def recovers_damaged_data():
    """Garbage in its files: verify-data finds it, recover wipes and fills"""
    name = replica_of("rg2")
    stop(name)
    folder = path_of(name, "env", "appendonlydir")
    newest = sorted(f for f in os.listdir(folder) if f.endswith(".incr.aof"))[-1]
    with open(os.path.join(folder, newest), "ab") as f:
        f.write(b"\0" * 200 + b"garbage\r\n" * 20)
    run = lab.kvsh("plan verify-data -service %s -wait" % name, want=(1, 5))
    tap.contains(run.err, "the data of %s on" % name, "verify-data")
    run = lab.kvsh("plan start-service -service %s -wait" % name, want=1)
    recover(name, "its data is damaged")


def recovers_a_frozen_process():
    """A process that does not answer is ended and started again"""
    name = replica_of("rg3")
    os.kill(service(name)["pid"], signal.SIGSTOP)
    recover(name, "does not answer")


def recovers_a_replaced_directory():
    """A primary on deleted files hands over and starts anew"""
    name = primary_of("rg3")
    folder = service(name)["storageDir"]
    shutil.rmtree(folder)
    wait_for(lambda: service(name)["dirState"] == "missing", "the agent sees it")
    run = lab.kvsh("plan recover -service %s -wait" % name, want=10)
    tap.contains(run.err, folder, "the directory")
    tap.contains(run.err, "missing", "its state")
    os.makedirs(folder)
    wait_for(lambda: service(name)["dirState"] == "replaced", "the agent sees the new one")
    recover(name, "a replica in sync takes over")
    tap.ok(primary_of("rg3") != name, "another one is primary")


def verifies_data():
    """Sound data passes while the client writes"""
    lab.kvsh("plan verify-data -all-rns -wait")
    run = lab.kvsh("show plan -last -verbose")
    tap.ok("3 of 3" in run.out or "SUCCEEDED" in run.out, "it succeeded:\n%s" % run)
    for name in lab.services():
        if name.startswith("rg"):
            tap.ok(not os.path.exists(path_of(name, "check")), "no copy is left at " + name)


def half_moved(slot_key, stray):
    """Moves half of some keys of one slot by hand from its owner to another primary, and stops there."""
    slot = slot_of(slot_key)
    keys = ["{%s}%d" % (slot_key, i) for i in range(20)]
    masters = {n: service(n) for n in lab.members("primary")}
    owner = [s for s in masters.values() for m in s["redis"]["nodes"]
             if "myself" in m["flags"] and any(a <= slot <= b for a, b in m["slots"])][0]
    other = [s for s in masters.values() if s is not owner][0]
    source, target = (Redis(s["port"], lab.password()) for s in (owner, other))
    for key in keys:
        source.call("SET", key, "v" + key)
    target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", owner["nodeId"])
    source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", other["nodeId"])
    source.call("MIGRATE", kvtest.HOST, other["port"], "", 0, 5000, "AUTH", lab.password(), "KEYS", *keys[:10])
    if stray:
        source.call("CLUSTER", "SETSLOT", slot, "STABLE")
        target.call("CLUSTER", "SETSLOT", slot, "STABLE")
    return keys, source, owner


def tidies_slots():
    """Half moved slots and stray keys come home"""
    for stray in (False, True):
        keys, source, owner = half_moved("tidy%d" % stray, stray)
        if stray:
            run = lab.kvsh("plan verify-data -all-rns -wait", want=(1, 5))
            tap.contains(run.err, "hash slots it does not own", "verify-data")
        else:
            run = lab.kvsh("verify configuration", want=2)
            tap.contains(run.out, "left half moved", "verify")
            run = lab.kvsh("plan stop-service -service %s -wait" % owner["id"], want=10)
            tap.contains(run.err, "slot-moving", "the rule")
        lab.kvsh("plan cleanup -wait")
        for key in keys:
            tap.equal(source.call("GET", key), "v" + key, "value of " + key)
        clean()
    lab.kvsh("plan verify-data -all-rns -wait")


def cleans_up():
    """A directory without a service and a member that is gone"""
    node = lab.nodes[0]
    left = os.path.join(node.dirs[0], "rg9-rn1")
    os.makedirs(os.path.join(left, "env"))
    with open(os.path.join(left, "env", "old"), "w", encoding="ascii") as f:
        f.write("old")
    other = os.path.join(node.dirs[0], "lost+found")
    os.makedirs(other)
    name = replica_of("rg2")
    gone = service(name)["nodeId"]
    stop(name)
    os.remove(nodes_conf(name))
    shutil.rmtree(path_of(name, "env"))
    service(name)["on"].rest("POST", "/v1/services/%s/start" % name, {"allowEmpty": True})
    wait_for(lambda: service(name)["redis"], "it runs as nobody")
    run = lab.kvsh("plan preview cleanup")
    tap.contains(run.out, "rg9-rn1", "preview")
    lab.kvsh("plan cleanup -wait")
    tap.ok(not os.path.exists(left), "the directory is gone")
    tap.ok(os.path.exists(other), "another directory is not")
    recover(name, "counts for nothing")
    for s in lab.services().values():
        if s.get("redis"):
            tap.ok(gone not in [m["id"] for m in s["redis"]["nodes"]], "%s has forgotten it" % s["id"])


def explains():
    """Each task can be told as commands, without a secret"""
    run = lab.kvsh("show plan -last -explain")
    tap.contains(run.out, "redis-cli -h 127.0.0.1", "the explanation")
    tap.contains(run.out, "REDISCLI_AUTH", "the explanation")
    tap.ok(lab.password() not in run.out + run.err, "no password")


def nothing_lost():
    """No acknowledged write was lost"""
    writer.finish()
    lost = writer.lost()
    tap.note("%d writes acknowledged, longest gap %.2f s" % (writer.acknowledged, writer.longest_gap))
    tap.equal(lost[:10], [], "%d lost writes" % len(lost))


def refuses_the_only_good_copy():
    """A whole store that is down: the only good copy is not wiped"""
    lab.kvsh("plan stop-service -all-rns -wait")
    name = [n for n in lab.services() if n.startswith("rg1-") and service(n)["identity"]["primary"]][0]
    conf = nodes_conf(name)
    os.rename(conf, conf + ".away")
    run = lab.kvsh("plan recover -service %s -wait" % name, want=10)
    tap.contains(run.err, "may be the only good copy", "recover")
    run = lab.kvsh("plan recover -service %s -wait -force -reason test" % name, want=10)
    os.rename(conf + ".away", conf)
    tap.ok(os.path.exists(path_of(name, "env", "appendonlydir")), "the data is there")
    lab.kvsh("plan start-service -all-rns -wait")
    wait_for(in_sync, "everything is in sync")
    clean()


if __name__ == "__main__":
    tap.main([deploys, nothing_to_recover, recovers_a_broken_link, recovers_a_forgotten_member, recovers_lost_data,
              recovers_a_lost_identity, recovers_damaged_data, recovers_a_frozen_process, advice_works,
              recovers_a_replaced_directory, verifies_data, tidies_slots, cleans_up, explains, nothing_lost,
              refuses_the_only_good_copy], lab.everything_ended)
