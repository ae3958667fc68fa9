#!/usr/bin/env python3
"""What goes wrong on a storage host: agents and services killed, frozen, disks gone, ports taken, files damaged."""
import fcntl
import os
import random
import shutil
import signal
import socket
import time

import kvtest
import tap
from agentlab import (agent_pid, ask, define, events, finish, form, operate, redis, register, run_agent, service, start,
                      stop, wait_operation)
from kvtest import HOST, STORE, is_alive, wait_for

lab = kvtest.Lab(dirs=(2,), capacity=3)
node = lab.nodes[0]
S = "/v1/services/rg1-rn1"
DISK = node.dirs[0]
NAMES = os.path.join(node.root, STORE, "sn1")


def kinds(after=0, subject="rg1-rn1", but="log-match"):
    """Kinds of events; what redis writes into its log at each start is left out."""
    return [e["kind"] for e in events(node, after) if e["subject"] == subject and e["kind"] != but]


def last_event():
    return ask(node, "GET", "/v1/node")["agent"]["eventSeq"]


def serves():
    """A primary waits two seconds after each start before it serves."""
    wait_for(lambda: (service(node)["redis"] or {}).get("clusterState") == "ok", "cluster state ok")


def put(key, value):
    serves()
    ask(node, "POST", S + "/data", {"op": "put", "key": key, "value": value})


def get(key):
    serves()
    return ask(node, "POST", S + "/data", {"op": "get", "key": key})["value"]


def is_up():
    s = service(node)
    return s["state"] == "running" and s["redis"] and not s["redis"]["loading"]


def kill_service(number=signal.SIGKILL):
    pid = service(node)["pid"]
    os.kill(pid, number)
    return pid


def error_lines():
    return [line for line in node.log().splitlines() if " ERROR [rg1-rn1] " in line]


def prepares():
    """A store of one primary with some data"""
    lab.start()
    register(node)
    define(node)
    start(node)
    form(node)
    put("/k", "kept")


def agent_killed():
    """An agent killed with its whole process group leaves its service alone, and the next one adopts it"""
    pid, seq = service(node)["pid"], last_event()
    os.killpg(node.agent.pid, signal.SIGKILL)
    node.agent.wait()
    tap.ok(is_alive(pid), "the service lives on")
    node.start()
    tap.equal(service(node)["pid"], pid, "pid")
    tap.equal(service(node)["state"], "running", "state")
    tap.equal(kinds(seq), ["process-adopted"], "events")
    tap.equal(kinds(seq, "agent"), ["agent-started"], "events of the agent")
    tap.equal(get("/k"), "kept", "value")


def agent_ended():
    """An agent that ends orderly leaves its service alone as well"""
    pid, seq = service(node)["pid"], last_event()
    node.kill(signal.SIGTERM)
    node.start()
    tap.equal(service(node)["pid"], pid, "pid")
    tap.equal(kinds(seq, "agent"), ["agent-stopped", "agent-started"], "events of the agent")
    op = stop(node)
    tap.ok(not is_alive(pid), "an adopted service can be stopped: %s" % op)
    start(node)


def service_killed():
    """A service that dies is started again, later each time, and keeps its data"""
    for attempt in (1, 2):
        seq = last_event()
        pid = kill_service()
        wait_for(lambda: service(node)["pid"] not in (0, pid) and is_up(), "restart %d" % attempt)
        tap.equal(kinds(seq), ["process-died", "process-started"], "events")
        died, started = [e for e in events(node, seq) if e["kind"] in ("process-died", "process-started")]
        took = (started["timeMs"] - died["timeMs"]) / 1000
        tap.ok(attempt * 0.9 < took < attempt + 9, "restart %d came after %.1f s" % (attempt, took))
        tap.contains(died["text"], "signal 9", "text")
        tap.equal(died["severity"], "error", "severity")
    tap.equal(get("/k"), "kept", "value")


def service_killed_unseen():
    """One that dies while no agent runs is noticed and started by the next agent"""
    pid, seq = service(node)["pid"], last_event()
    node.kill()
    os.kill(pid, signal.SIGKILL)
    node.start()
    wait_for(is_up, "restart")
    tap.equal(kinds(seq), ["process-died", "process-started"], "events")


def killed_while_starting():
    """An agent killed at any moment of a start leaves one service or none, and the next agent knows"""
    stop(node)
    for _ in range(8):
        ask(node, "POST", S + "/start", {}, 202)
        time.sleep(random.uniform(0, 0.05))
        node.kill()
        node.start()
        s = wait_for(lambda: service(node) if is_up() or service(node)["wanted"] == "down" else None, "a clear state")
        running = [p for p in kvtest.processes_of(lab.folder) if "redis-server" in kvtest.describe(p)]
        tap.equal(running, [s["pid"]] if s["pid"] else [], "services that run")
        if s["pid"]:
            stop(node)
    start(node)


def wanted_down_stays_down():
    """A stopped service is not started by a new agent, and its end is not called a death"""
    seq = last_event()
    stop(node)
    node.kill()
    node.start()
    time.sleep(1.5)
    s = service(node)
    tap.equal((s["state"], s["wanted"], s["pid"]), ("stopped", "down", 0), "service")
    tap.equal(kinds(seq), ["process-stopped"], "events")


def ports_taken():
    """A port of the service that another process has is named; the state does not change"""
    for offset in (2, 3):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((HOST, node.port + offset))
            s.listen()
            op = operate(node, S + "/start", {}, "failed", "port_in_use")
            tap.contains(op["problem"]["detail"], str(node.port + offset), "detail")
            tap.equal(service(node)["wanted"], "down", "wanted")
            tap.equal(service(node)["state"], "failed", "state")
    start(node)


def data_in_use():
    """A second server on the same data directory is impossible"""
    stop(node)
    lock = os.path.join(DISK, "rg1-rn1", "env", "kvagentd.lock")
    with open(lock, "r+", encoding="ascii") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        op = operate(node, S + "/start", {}, "failed", "dir_in_use")
        tap.contains(op["problem"]["detail"], DISK, "detail")
    start(node)
    pid = service(node)["pid"]
    node.kill()
    os.unlink(os.path.join(NAMES, "rg1-rn1.pid"))  # nobody knows of the process any more
    node.start()
    wait_for(lambda: "another process uses" in (service(node)["detail"] or ""), "the start that cannot be")
    tap.ok(is_alive(pid), "the forgotten process lives")
    os.kill(pid, signal.SIGKILL)
    wait_for(is_up, "restart", 40)
    tap.equal(get("/k"), "kept", "value")


def frozen():
    """A frozen service freezes nothing else, and can be stopped"""
    pid = kill_service(signal.SIGSTOP)
    begin = time.monotonic()
    s = service(node)
    tap.ok(time.monotonic() - begin < 15, "the node document came in time")
    tap.equal(s["redis"], None, "redis")
    tap.contains(s["error"], "did not answer within 1000 ms", "error")
    tap.equal(s["state"], "running", "state")
    ask(node, "POST", S + "/data", {"op": "put", "key": "x", "value": "y"}, 504, "timeout")
    ask(node, "POST", S + "/set-epoch", {"epoch": 5}, 504, "timeout")
    stop(node)
    tap.ok(not is_alive(pid), "it has ended")
    start(node)


def replica_dir_lost():
    """A lost disk under a service without slots: told each cycle, refused while it lasts, well afterwards"""
    define(node, "rg2-rn1", disk=1, offset=4)
    start(node, "rg2-rn1")
    seq = last_event()
    shutil.rmtree(node.dirs[1])

    def lines():
        return [line for line in node.log().splitlines()
                if " ERROR [rg2-rn1] storage directory %s is missing" % node.dirs[1] in line]
    s = service(node, "rg2-rn1")
    tap.equal((s["state"], s["dirState"]), ("running", "missing"), "seen at once")
    tap.contains(s["detail"], "keeps running from a deleted directory", "detail")
    wait_for(lambda: len(lines()) >= 3, "a line per cycle")
    tap.contains(lines()[0], "stop-service and start-service rg2-rn1", "line")
    tap.equal(kinds(seq, "rg2-rn1"), ["dir-missing"], "one event")
    tap.equal([d["state"] for d in ask(node, "GET", "/v1/node")["storageDirs"]], ["ok", "missing"], "directories")
    tap.contains(stop(node, "rg2-rn1")["result"], "was gone", "result of stop")
    op = operate(node, "/v1/services/rg2-rn1/start", {}, "failed", "dir_missing")
    for part in ("rg2-rn1", "sn1", node.dirs[1]):
        tap.contains(op["problem"]["detail"], part, "detail")
    tap.contains(op["problem"]["advice"], "mount or create", "advice")
    tap.equal(service(node, "rg2-rn1")["wanted"], "down", "a refused start leaves wanted")
    tap.ok(not os.path.exists(node.dirs[1]), "the agent did not create the directory")
    os.mkdir(node.dirs[1])
    start(node, "rg2-rn1")
    wait_for(lambda: kinds(seq, "rg2-rn1")[-1] in ("dir-ok", "process-started") and
             "dir-ok" in kinds(seq, "rg2-rn1"), "the event at the end")
    tap.equal(service(node, "rg2-rn1")["dirState"], "ok", "dirState")


def dir_replaced():
    """A directory that was created anew under a running service is not the same"""
    for victim, what in ((node.dirs[1], "created anew or another disk"),
                         (os.path.join(node.dirs[1], "rg2-rn1", "env"), "data directory in it was created anew")):
        seq = last_event()
        shutil.rmtree(victim)
        wait_for(lambda: service(node, "rg2-rn1")["dirState"] == "missing", "missing")
        os.makedirs(victim)
        wait_for(lambda: service(node, "rg2-rn1")["dirState"] == "replaced", "replaced")
        wait_for(lambda: kinds(seq, "rg2-rn1") == ["dir-missing", "dir-replaced"], "events")
        tap.contains([e for e in events(node, seq) if e["kind"] == "dir-replaced"][0]["text"], what, "text")
        stop(node, "rg2-rn1")
        start(node, "rg2-rn1")
        wait_for(lambda: "dir-ok" in kinds(seq, "rg2-rn1"), "well again")
    shutil.rmtree(os.path.join(node.dirs[1], "rg2-rn1", "env", "appendonlydir"))
    wait_for(lambda: service(node, "rg2-rn1")["dirState"] == "missing", "missing")
    stop(node, "rg2-rn1")
    start(node, "rg2-rn1")


def dir_unusable():
    """A directory that cannot be written, and a file in its place"""
    seq = last_event()
    os.mkdir(os.path.join(node.dirs[1], ".kvagentd-test"))
    wait_for(lambda: service(node, "rg2-rn1")["dirState"] == "unreadable", "the write test fails")
    stop(node, "rg2-rn1")
    operate(node, "/v1/services/rg2-rn1/start", {}, "failed", "dir_unusable")
    os.rmdir(os.path.join(node.dirs[1], ".kvagentd-test"))
    wait_for(lambda: kinds(seq, "rg2-rn1")[-1] == "dir-ok", "well again")
    os.rename(node.dirs[1], node.dirs[1] + ".away")
    with open(node.dirs[1], "w", encoding="ascii") as f:
        f.write("not a directory")
    operate(node, "/v1/services/rg2-rn1/start", {}, "failed", "dir_missing")
    os.unlink(node.dirs[1])
    os.rename(node.dirs[1] + ".away", node.dirs[1])
    start(node, "rg2-rn1")
    stop(node, "rg2-rn1")
    ask(node, "DELETE", "/v1/services/rg2-rn1")


def never_an_empty_primary():
    """A primary whose data is gone is not started empty: by nobody, unless it is allowed"""
    shutil.rmtree(DISK)
    stop(node)
    os.mkdir(DISK)
    op = operate(node, S + "/start", {}, "failed", "would_start_empty")
    tap.contains(op["problem"]["detail"], "16384 slots", "detail")
    tap.equal(service(node)["state"], "failed", "state")
    operate(node, S + "/start", {"allowEmpty": True})
    tap.equal(service(node)["redis"]["keys"], 0, "keys")
    put("/k", "kept")
    seq = last_event()
    shutil.rmtree(DISK)
    os.mkdir(DISK)
    kill_service()
    wait_for(lambda: "started empty it would wipe its replicas" in (service(node)["detail"] or ""), "the agent's own start")
    time.sleep(2)
    s = service(node)
    tap.equal((s["state"], s["wanted"], s["pid"]), ("failed", "up", 0), "it stays down")
    tap.equal(kinds(seq).count("process-died"), 1, "one event about its death")
    operate(node, S + "/start", {"allowEmpty": True})
    put("/k", "kept")


def damaged_files():
    """A start that redis refuses is explained in its own words, tried again, and works once it is repaired"""
    manifest = os.path.join(DISK, "rg1-rn1", "env", "appendonlydir", "appendonly.aof.manifest")
    stop(node)
    with open(manifest, "rb") as f:
        good = f.read()
    with open(manifest, "wb") as f:
        f.write(b"garbage\n")
    op = operate(node, S + "/start", {}, "failed", "start_failed")
    tap.contains(op["problem"]["detail"], "Invalid AOF manifest file format", "detail")
    tap.contains(op["problem"]["advice"], "restore the manifest", "advice")
    s = service(node)
    tap.equal((s["state"], s["wanted"]), ("failed", "up"), "service")
    tap.contains(s["detail"], "Invalid AOF manifest", "detail of the service")
    with open(manifest, "wb") as f:
        f.write(good)
    wait_for(is_up, "the agent's own start", 40)
    tap.equal(get("/k"), "kept", "value")
    stop(node)
    nodes_conf = os.path.join(NAMES, "rg1-rn1.nodes.conf")
    with open(nodes_conf, "rb") as f:
        good = f.read()
    with open(nodes_conf, "wb") as f:
        f.write(b"garbage\n")
    operate(node, S + "/start", {}, "failed", "differs")
    with open(nodes_conf, "wb") as f:
        f.write(good)
    start(node)


def stop_ends_a_start():
    """A stop has precedence over the agent's own attempts to start"""
    shutil.move(DISK, DISK + ".away")
    kill_service()
    wait_for(lambda: "missing" in (service(node)["detail"] or ""), "the start that cannot be")
    answer = node.rest("POST", S + "/stop", {})
    tap.ok(answer[0] in (200, 202), "stop: %s" % (answer,))
    if answer[0] == 202:
        tap.equal(wait_operation(node, answer[1]["operation"])["state"], "succeeded", "stop")
    shutil.move(DISK + ".away", DISK)
    time.sleep(2.5)
    tap.equal((service(node)["state"], service(node)["wanted"]), ("stopped", "down"), "it stays down")
    start(node)
    tap.equal(get("/k"), "kept", "value")


def own_dir_lost():
    """The loss of the agent's own directory is told: services cannot live without it for long"""
    seq = last_event()
    os.rename(NAMES, NAMES + ".away")
    wait_for(lambda: kinds(seq, "agent") == ["dir-missing"], "the event")
    tap.ok(any(" ERROR [agent] the agent's directory %s is missing" % NAMES in line for line in node.log().splitlines()),
           "the line in the log")
    os.rename(NAMES + ".away", NAMES)
    wait_for(lambda: kinds(seq, "agent") == ["dir-missing", "dir-ok"], "the event at the end")


def logs():
    """Telling lines of a service's log become events; logs that grow too large are renamed"""
    folder = os.path.join(node.root, STORE, "log")
    path = os.path.join(folder, "rg1-rn1_0.log")
    serves()
    seq = last_event()
    with open(path, "a", encoding="ascii") as f:
        f.write("77:M 01 Jan 2026 10:00:00.000 # Manual failover timed out.\n")
    wait_for(lambda: any("a failover by hand did not" in e["text"] for e in events(node, seq)),
             "what redis has written is read up to here")
    seq = last_event()

    def matches():
        return [e for e in events(node, seq) if e["kind"] == "log-match"]
    with open(path, "a", encoding="ascii") as f:
        f.write("77:M 01 Jan 2026 10:00:00.000 * Asynchronous AOF fsync is taking too long (disk is busy?).\n" * 3)
        f.write("77:M 01 Jan 2026 10:00:00.000 * nothing of interest\n")
        f.write("77:M 01 Jan 2026 10:00:00.000 # Short write while writing to the AOF file: (nwritten=1")
    wait_for(lambda: len(matches()) == 1, "one event for three equal lines")
    with open(path, "a", encoding="ascii") as f:
        f.write(")\n")
    wait_for(lambda: len(matches()) == 2, "an event once the line is whole")
    found = matches()
    tap.equal([e["severity"] for e in found], ["warning", "error"], "severities")
    tap.contains(found[0]["text"], "the disk is slow", "text")
    tap.contains(found[1]["text"], "(nwritten=1)", "text")
    with open(path, "a", encoding="ascii") as f:
        f.write("x" * 79 + "\n")
        f.write(("y" * 1023 + "\n") * (6 << 10))
    wait_for(lambda: os.path.exists(os.path.join(folder, "rg1-rn1_1.log")), "renamed", 60)
    stop(node)
    start(node)
    with open(path, encoding="utf-8", errors="replace") as f:
        tap.contains(f.read(), "Ready to accept connections", "the fresh log")


def events_survive():
    """Events are kept over kill -9, a torn last line is dropped, numbers go on"""
    before = events(node)
    node.kill()
    path = os.path.join(node.root, "events.jsonl")
    with open(path, "a", encoding="ascii") as f:
        f.write('{"seq":%d,"timeMs":5,"sev' % (before[-1]["seq"] + 1))
    node.start()
    after = events(node)
    tap.equal(after[:len(before)], before, "old events")
    tap.equal([e["seq"] for e in after], list(range(1, len(after) + 1)), "numbers")
    tap.ok(len(after) > len(before), "new events")


def operations_end_with_the_agent():
    """Numbers of operations are not used again by the next agent"""
    first = ask(node, "POST", S + "/stop", {}, 202)["operation"]
    wait_operation(node, first)
    node.kill()
    node.start()
    ask(node, "GET", "/v1/operations/%d" % first, None, 404, "unknown_operation")
    second = ask(node, "POST", S + "/start", {}, 202)["operation"]
    tap.ok(second > first, "numbers rise")
    wait_operation(node, second)


def stop_services():
    """kvagentd stop -services ends the services, and the next start brings them back"""
    pid = service(node)["pid"]
    status, out, _ = run_agent(node, "stop", "-services")
    tap.equal(status, 0, "status")
    tap.contains(out, "services stopped", "output")
    tap.ok(not is_alive(pid), "the service has ended")
    node.agent.wait(10)
    status, out, _ = run_agent(node, "status")
    tap.equal(status, 1, "status of status")
    tap.contains(out, "not running (wanted up)", "output of status")
    node.start()
    wait_for(is_up, "it is back")
    tap.equal(get("/k"), "kept", "value")
    status, out, _ = run_agent(node, "status")
    tap.equal(status, 0, "status of status")
    tap.contains(out, "rg1-rn1", "output of status")
    tap.contains(out, "pid %d" % agent_pid(node), "output of status")


if __name__ == "__main__":
    tap.main([prepares, agent_killed, agent_ended, service_killed, service_killed_unseen, killed_while_starting,
              wanted_down_stays_down, ports_taken, data_in_use, frozen, replica_dir_lost, dir_replaced, dir_unusable,
              never_an_empty_primary, damaged_files, stop_ends_a_start, own_dir_lost, logs, events_survive,
              operations_end_with_the_agent, stop_services], finish(lab))
