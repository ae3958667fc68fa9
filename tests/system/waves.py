#!/usr/bin/env python3
"""A store of two zones with two storage nodes each: what may go at once goes at once, and the last copy only by name."""
import kvtest
import tap
from kvtest import wait_for
from writer import Writer

ZONES = (1, 1, 2, 2)
lab = kvtest.Lab(dirs=(1, 1, 1, 1), capacity=2)
writer = None


def zone_of(name):
    return ZONES[lab.services()[name]["on"].number - 1]


def all_rns():
    return sorted(n for n, s in lab.services().items() if s["kind"] == "redis")


def pids():
    return {name: s["pid"] for name, s in lab.services().items() if s.get("redis")}


def deploys():
    """Four shards with a copy in each zone, and a client that writes"""
    global writer
    lab.start()
    lines = ["configure -name " + kvtest.STORE, "pool create -name snpool",
             "plan deploy-zone -name Zone1 -rf 1 -wait", "plan deploy-zone -name Zone2 -rf 1 -wait"]
    for i, node in enumerate(lab.nodes):
        lines += ["plan deploy-sn -zn %d -host %s -port %d -wait" % (ZONES[i], kvtest.HOST, node.port),
                  "pool join -name snpool -sn sn%d" % (i + 1)]
    lines += ["plan deploy-admin -sn 1 -port %d -wait" % (lab.nodes[0].port + 1),
              "topology create -name t -pool snpool -partitions 100", "plan deploy-topology -name t -wait"]
    lab.deploy(lines)
    lab.verify_clean()
    tap.equal(len(all_rns()), 8, "services")
    writer = Writer([s["port"] for s in lab.services().values() if s.get("redis")], lab.password())
    writer.start()
    wait_for(lambda: writer.acknowledged > 200, "the writer writes")


def tells_what_could_go():
    """check -max: the whole zone, and nothing of the other"""
    one = [n for n in all_rns() if zone_of(n) == 1]
    answer = lab.json("check stop -service %s -max 8" % one[0])
    tap.equal(answer["atOnce"], 4, "at once")
    tap.equal(sorted(answer["together"]), one, "together")
    two = [n for n in all_rns() if zone_of(n) == 2 and n[:3] != one[0][:3]][0]
    run = lab.kvsh("check stop -service %s -service %s" % (one[0], two), want=10)
    tap.contains(run.out, "two zones at once", "check")
    run = lab.kvsh("check stop " + " ".join("-service " + n for n in all_rns()), want=10)
    tap.contains(run.out, "all 8 replication nodes of mystore are down then", "check of everything")


def check_waves(number):
    """Each wave stays within one zone; gives how many services and nodes the widest one stops."""
    run = lab.kvsh("show plan -id %d -verbose" % number)
    waves, widest, nodes = {}, 0, 0
    for line in run.out.splitlines():
        words = line.split()
        if words[:1] == ["Task"] and words[2] == "[wave" and "stop" in words[5:6]:
            waves.setdefault(int(words[3].rstrip("]")), []).append(words[6])
    tap.ok(waves, "show plan -verbose has waves:\n%s" % run)
    for wave, names in waves.items():
        tap.equal(len({zone_of(n) for n in names}), 1, "zones of wave %d (%s)" % (wave, names))
        tap.equal(len({n.split("-")[0] for n in names}), len(names), "shards of wave %d (%s)" % (wave, names))
        widest = max(widest, len(names))
        nodes = max(nodes, len({lab.services()[n]["on"].number for n in names}))
    tap.note("%d waves stop %d services, the widest %d on %d nodes" % (
        len(waves), sum(map(len, waves.values())), widest, nodes))
    return widest, nodes, waves


def restarts_by_zone():
    """A rolling restart takes a zone's nodes together, never both zones, and the client goes on"""
    before, roles = pids(), lab.members("primary")
    writer.longest_gap = 0.0
    lab.kvsh("plan restart-service -all-rns -wait", timeout=180)
    widest, nodes, waves = check_waves(max(p["id"] for p in lab.json("show plans -num 1000")["plans"]))
    tap.equal((widest, nodes), (2, 2), "services and nodes of the widest wave")
    tap.equal(len(waves), 4, "waves that stop something: replicas and primaries of each zone")
    after = pids()
    tap.equal([n for n in before if before[n] == after[n]], [], "services that were not restarted")
    tap.equal(lab.members("primary"), roles, "primaries")
    lab.verify_clean()
    tap.note("longest gap %.2f s" % writer.longest_gap)
    # A hand-over that redis drops holds writes back for 5 s before it is asked for again.
    tap.ok(writer.longest_gap < 15, "writes went on")


def stops_a_zone():
    """A whole zone is stopped in one plan: its primaries hand over, and the other zone is then refused"""
    lab.kvsh("plan stop-service -all-rns -zn zn1 -wait")
    tap.equal({zone_of(n) for n in lab.members("primary")}, {2}, "zone of all primaries")
    tap.equal(len(lab.members("primary")), 4, "primaries")
    run = lab.kvsh("plan stop-service -all-rns -zn zn2 -wait", want=10)
    tap.contains(run.err, "rule last-copy", "the rule")
    tap.contains(run.err, "-force -reason TEXT -confirm STORENAME", "the way out")
    writer.finish()
    lost = writer.lost()
    tap.equal(lost[:10], [], "%d lost writes of %d" % (len(lost), writer.acknowledged))


def only_by_name():
    """The last copy: -force alone is refused, a wrong name too; the right one is recorded with its reason"""
    name = lab.members("primary")[0]
    line = ["plan", "stop-service", "-service", name, "-wait"]
    for options, status, says in (([], 10, "last-copy"), (["-force"], 64, "-reason"),
                                  (["-force", "-reason", "moving out"], 10, "last-copy"),
                                  (["-confirm", kvtest.STORE], 64, "-force"),
                                  (["-force", "-reason", "moving out", "-confirm", "other"], 64, "other")):
        plans = len(lab.json("show plans -num 1000")["plans"])
        run = lab.kvsh(line + options, want=status)
        tap.contains(run.err, says, "what %s says" % options)
        tap.equal(len(lab.json("show plans -num 1000")["plans"]), plans, "plans after the refusal")
        tap.ok(lab.services()[name]["redis"], "%s runs" % name)
    lab.kvsh(line + ["-force", "-reason", "moving out", "-confirm", kvtest.STORE])
    tap.equal(lab.services()[name]["state"], "stopped", "state of " + name)
    number = max(p["id"] for p in lab.json("show plans -num 1000")["plans"])
    told = lab.kvsh("show events -plan %d" % number).out
    tap.contains(told, "moving out", "show events")
    tap.contains(told, "last-copy", "show events")
    told = lab.kvsh("show plan -id %d" % number).out
    tap.contains(told, "moving out", "show plan")
    tap.contains(told, "last-copy", "show plan")
    lab.kvsh("plan start-service -all-rns -wait")
    wait_for(lambda: lab.kvsh("verify configuration", want=None).status == 0, "verify is clean")


def tells_before_all_is_down():
    """The whole store: said before it is done, in preview, plan and verify, with the way back"""
    run = lab.kvsh("plan preview stop-service -all-rns")
    tap.contains(run.out, "no key can be read or written", "preview")
    tap.contains(run.out, "plan start-service -all-rns", "the way back")
    run = lab.kvsh("plan stop-service -all-rns -wait")
    tap.contains(run.err, "no key can be read or written", "the plan")
    run = lab.kvsh("verify configuration", want=2)
    tap.contains(run.out, "'plan start-service -all-rns -wait' starts the whole store", "verify")
    lab.kvsh("plan start-service -all-rns -wait")
    wait_for(lambda: lab.kvsh("verify configuration", want=None).status == 0, "verify is clean")


if __name__ == "__main__":
    tap.main([deploys, tells_what_could_go, restarts_by_zone, stops_a_zone, only_by_name, tells_before_all_is_down],
             lab.everything_ended)
