#!/usr/bin/env python3
"""Units: programs the agent controls by fixed commands of its boot configuration. Good and bad commands, real processes."""
import json
import os
import signal
import time

import kvtest
import tap
from agentlab import SECRET, ask, define, events, finish, operate, register, run_agent, wait_operation
from kvtest import is_alive, wait_for

lab = kvtest.Lab(dirs=(1,))
node = lab.nodes[0]
node.lab.watch_interval = 1
SCRIPT = os.path.join(node.folder, "program")
PID = os.path.join(node.folder, "pid")
CONFIG = os.path.join(node.root, "config1.json")

# A program with an init script. A file of the name MODE.ACTION in its folder spoils that action.
TEXT = """#!/bin/sh
cd %(folder)s || exit 70
[ -e hang.$1 ] && { echo "$1 waits"; sleep 300 & echo $! > hang.child; wait; }
[ -e say.$1 ] && { cat say.$1; exit 5; }
[ -e flood.$1 ] && while :; do echo "all work and no play"; done
[ -e slow.$1 ] && sleep 2
case $1 in
start)
    [ -e pid ] && exit 0
    [ -e lame.start ] && exit 0
    sleep 300 & echo $! > pid ;;
stop)
    [ -e pid ] && kill "$(cat pid)"
    rm -f pid ;;
status)
    [ -e pid ] || exit 3
    kill -0 "$(cat pid)" 2>/dev/null || { echo "dead, but its pid file is there"; exit 1; }
    echo "runs as $(cat pid)" ;;
esac
"""


def spoil(name, text=""):
    return node.lab.file(os.path.join(node.folder, name), text)


def mend(name):
    os.unlink(os.path.join(node.folder, name))


def unit(name="program"):
    return node.services()[name]


def pid():
    with open(PID, encoding="ascii") as f:
        return int(f.read())


def last_event(kind, after=0):
    found = [e for e in events(node, after) if e["kind"] == kind and e["subject"] == "program"]
    return found[-1] if found else None


def last_seq():
    return ask(node, "GET", "/v1/node")["agent"]["eventSeq"]


def change(limits=None, **more):
    """Edits the boot configuration as an administrator would, and starts the agent anew."""
    node.kill(signal.SIGTERM)
    with open(CONFIG, encoding="utf-8") as f:
        config = json.load(f)
    for action, seconds in (limits or {}).items():
        config["units"][0][action]["limit"] = seconds
    config.update(more)
    node.lab.file(CONFIG, json.dumps(config), 0o600)
    node.start()


def makes():
    """makebootconfig -unit writes the commands; neither -harange nor -capacity is needed"""
    os.makedirs(node.folder)
    node.lab.file(SCRIPT, TEXT % {"folder": node.folder}, 0o755)
    status, out, err = run_agent(node, "makebootconfig", "-host", kvtest.HOST, "-port", str(node.port), "-token-file",
                                 lab.token_file, "-watch-interval", "1", "-unit", "program=" + SCRIPT, "-unit",
                                 "broken=/nonexistent/program")
    tap.equal((status, err), (0, ""), "makebootconfig")
    tap.contains(out, "unit broken: /nonexistent/program cannot be executed on this host", "output")
    tap.lacks(out, "redis", "output")
    with open(CONFIG, encoding="utf-8") as f:
        units = json.load(f)["units"]
    tap.equal(units[0]["start"], {"argv": [SCRIPT, "start"], "limit": 120}, "the start command")
    status, out, err = run_agent(node, "makebootconfig", "-host", "h", "-port", "1", "-unit", "x=y z")
    tap.equal((status, out), (65, ""), "a bad unit")
    tap.contains(err, "neither the name of a systemd unit nor an absolute path", "stderr")
    node.start()
    status, out, _ = run_agent(node, "status")
    tap.equal(status, 0, "status")
    tap.contains(out, "unit, its state is told by: %s status" % SCRIPT, "status")


def tells():
    """The node shows each unit with its state, though it belongs to no store"""
    doc = ask(node, "GET", "/v1/node")
    tap.equal(doc["node"]["store"], None, "store")
    tap.equal([s["kind"] for s in doc["services"]], ["unit", "unit"], "kinds")
    tap.equal((unit()["state"], unit()["wanted"], unit()["detail"]), ("stopped", None, None), "the unit")
    broken = unit("broken")
    tap.equal(broken["state"], "unknown", "state of a unit without a program")
    tap.contains(broken["detail"], "no such file", "its detail")


def again(action, told):
    """What is so already is told at once; a look that takes too long begins an operation, as if it were not so."""
    status, answer = node.rest("POST", "/v1/services/program/" + action, {})
    if status == 202 and tap.SLOWER > 10:
        tap.equal(wait_operation(node, answer["operation"])["state"], "succeeded", "again")
    else:
        tap.equal((status, answer.get("result")), (200, told), "again")


def starts_and_stops():
    """start and stop run the commands; what is so already is a success; the program is not the agent's child"""
    after = last_seq()
    op = operate(node, "/v1/services/program/start")
    tap.equal(op["result"], "program is running", "result")
    tap.equal(unit()["state"], "running", "state")
    again("start", "already running")
    tap.equal(last_event("process-started", after)["text"], "program is running", "event")
    one = pid()
    node.kill()
    node.start()
    tap.ok(is_alive(one), "the program outlives the agent")
    tap.equal(unit()["state"], "running", "state after a restart of the agent")
    op = operate(node, "/v1/services/program/stop")
    tap.equal(op["result"], "program is stopped", "result")
    wait_for(lambda: not is_alive(one), "the end of the program")
    tap.equal(unit()["state"], "stopped", "state")
    again("stop", "already stopped")
    tap.contains(node_log(), "its start command ended with exit status 0", "log")


def node_log():
    with open(os.path.join(node.root, "log", "kvagentd.log"), encoding="utf-8") as f:
        return f.read()


def refuses():
    """Nothing from the network becomes a command, and a unit is nobody's to define or forget"""
    ask(node, "POST", "/v1/services/program/start", {"argv": ["/bin/true"]}, 422, "invalid")
    ask(node, "POST", "/v1/services/program/start", {"allowEmpty": True}, 422, "invalid")
    ask(node, "PUT", "/v1/services/program", {"kind": "unit"}, 422, "invalid")
    ask(node, "DELETE", "/v1/services/program", None, 422, "invalid")
    ask(node, "POST", "/v1/services/other/start", {}, 404, "unknown_service")
    for action, body in (("wipe", {"keeper": "a" * 40}), ("check-data", {}), ("failover", {"mode": "force"})):
        ask(node, "POST", "/v1/services/program/" + action, body, 422, "invalid")
    ask(node, "POST", "/v1/services/program/start", {}, 401, "unauthorized", token="wrong")
    op = operate(node, "/v1/services/broken/start", {}, "failed", "start_failed")
    tap.contains(op["problem"]["detail"], "its start command cannot be run: execute /nonexistent/program", "problem")


def follows():
    """What its manager does by itself becomes events; the agent starts nothing by itself"""
    after = last_seq()
    operate(node, "/v1/services/program/start")
    os.kill(pid(), signal.SIGKILL)
    event = wait_for(lambda: last_event("process-died", after), "event of its death")
    tap.equal(event["severity"], "error", "severity")
    tap.contains(event["text"], "it was not stopped by this agent", "event")
    tap.contains(event["text"], "dead, but its pid file is there", "event")
    tap.equal(unit()["state"], "failed", "state")
    seq = last_seq()
    time.sleep(2.5)
    tap.equal((unit()["state"], last_seq()), ("failed", seq), "nobody starts it, and it is told once")
    os.unlink(PID)
    os.spawnl(os.P_WAIT, SCRIPT, SCRIPT, "start")
    event = wait_for(lambda: last_event("process-started", seq), "event of its start")
    tap.contains(event["text"], "it was not started by this agent", "event")
    seq = last_seq()
    os.spawnl(os.P_WAIT, SCRIPT, SCRIPT, "stop")
    event = wait_for(lambda: last_event("process-stopped", seq), "event of its stop")
    tap.equal(event["severity"], "warning", "severity")


def fails():
    """What a failing command says reaches the error, as one clean line of bounded length"""
    spoil("say.start", "\x1b[31mcannot bind\r\n\tport 8091\x07: \xff in use\n" + "x" * 5000 + " end\n")
    op = operate(node, "/v1/services/program/start", {}, "failed", "start_failed")
    text = op["problem"]["detail"]
    tap.contains(text, "start program: its start command ended with exit status 5: ", "problem")
    tap.ok(text.endswith("x end") and len(text) < 600, "the end of what it said, bounded: %d" % len(text))
    spoil("say.start", "\x1b[31mcannot bind\r\n\tport 8091\x07 \u009b\n")
    text = operate(node, "/v1/services/program/start", {}, "failed", "start_failed")["problem"]["detail"]
    tap.ok(text.endswith(": [31mcannot bind port 8091"), "no control characters: %r" % text)
    tap.equal((unit()["state"], last_event("request-refused")["severity"]), ("stopped", "warning"), "state and event")
    mend("say.start")
    spoil("lame.start")
    op = operate(node, "/v1/services/program/start", {}, "failed", "start_failed")
    tap.contains(op["problem"]["detail"], "the command succeeded, but it is stopped", "problem")
    mend("lame.start")


def is_busy():
    """One change at a time; the same again is the same operation"""
    spoil("slow.start")
    number = ask(node, "POST", "/v1/services/program/start", {}, 202)["operation"]
    tap.equal(ask(node, "POST", "/v1/services/program/start", {}, 202)["operation"], number, "the same operation")
    ask(node, "POST", "/v1/services/program/stop", {}, 409, "busy")
    tap.equal(unit()["busy"], "start", "busy")
    tap.equal(wait_operation(node, number)["state"], "succeeded", "state")
    mend("slow.start")
    operate(node, "/v1/services/program/stop")


def obeys_the_lease():
    """While a plan holds the lease, others are refused"""
    lease = {"owner": "a@b#1", "plan": 1, "epoch": 1}
    ask(node, "PUT", "/v1/lease", dict(lease, ttlMs=60000))
    ask(node, "POST", "/v1/services/program/start", {}, 409, "leased")
    ask(node, "DELETE", "/v1/lease", lease)


def ends_what_hangs():
    """A command that hangs is ended after its limit, with its process group; one that floods is ended at once"""
    change({"start": 2, "stop": 2, "status": 2})
    spoil("hang.start")
    begin = time.monotonic()
    op = operate(node, "/v1/services/program/start", {}, "failed", "timeout")
    tap.contains(op["problem"]["detail"], "its start command had not ended after 2 s and was ended: start waits", "problem")
    tap.ok(time.monotonic() - begin < 25, "within its limit")
    with open(os.path.join(node.folder, "hang.child"), encoding="ascii") as f:
        child = int(f.read())
    wait_for(lambda: not is_alive(child), "the end of the hanging command's child")
    mend("hang.start")
    change({"start": 2 * tap.SLOWER, "stop": 2, "status": 2})
    spoil("flood.start")
    op = operate(node, "/v1/services/program/start", {}, "failed")
    tap.contains(op["problem"]["detail"], "its start command wrote more than", "problem")
    mend("flood.start")
    operate(node, "/v1/services/program/start")


def status_hangs():
    """While its status command hangs, its state is unknown, the node answers, and commands are still run"""
    after = last_seq()
    spoil("hang.status")
    wait_for(lambda: unit()["state"] == "unknown", "state unknown")
    begin = time.monotonic()
    detail = unit()["detail"]
    tap.ok(time.monotonic() - begin < 15, "the node answers")
    tap.contains(detail, "its status command had not", "detail") if "was ended" in detail else tap.contains(
        detail, "its status command has not answered for", "detail")
    tap.equal(last_event("status-unknown", after)["severity"], "warning", "event")
    op = operate(node, "/v1/services/program/stop", {}, "failed", "timeout")
    tap.contains(op["problem"]["detail"], "the command succeeded, but its state cannot be told", "problem")
    mend("hang.status")
    wait_for(lambda: unit()["state"] == "stopped", "state again")
    tap.equal(len([e for e in events(node, after) if e["kind"] == "status-unknown"]), 1, "events")


def survives_the_agent():
    """An agent that dies amid a command: the next one waits for the command's end before it gives another"""
    change({"start": 60, "stop": 60, "status": 10})
    spoil("slow.start")
    ask(node, "POST", "/v1/services/program/start", {}, 202)
    wait_for(lambda: unit()["state"] == "starting", "the command")
    node.kill()
    node.start()
    status, answer = node.rest("POST", "/v1/services/program/stop", {})
    if status == 409:
        tap.contains(answer["detail"], "that an earlier agent began goes on", "refusal")
    wait_for(lambda: node.rest("POST", "/v1/services/program/start", {})[0] == 200, "the program that was being started")
    mend("slow.start")
    spoil("hang.stop")
    child = os.path.join(node.folder, "hang.child")
    os.unlink(child)  # of an earlier test
    number = ask(node, "POST", "/v1/services/program/stop", {}, 202)["operation"]
    wait_for(lambda: unit()["state"] == "stopping" and os.path.exists(child) and os.path.getsize(child), "the command")
    node.kill(signal.SIGTERM)
    tap.ok(is_alive(pid()), "an orderly end does not wait for it")
    node.start()
    with open(child, encoding="ascii") as f:
        os.kill(int(f.read()), signal.SIGKILL)  # the command goes on
    wait_for(lambda: unit()["state"] == "stopped", "what the command led to")
    ask(node, "GET", "/v1/operations/%d" % number, None, 404, "unknown_operation")
    mend("hang.stop")


def beside_a_store():
    """The same agent serves a store: units stay out of its configuration and its capacity"""
    os.makedirs(node.dirs[0])
    change(capacity=1, haRange=[node.port + 2, node.port + 9], storageDirs=node.dirs)
    register(node)
    define(node)
    with open(os.path.join(node.root, kvtest.STORE, "sn1", "config.json"), encoding="utf-8") as f:
        tap.equal([s["id"] for s in json.load(f)["services"]], ["rg1-rn1"], "services of the store")
    operate(node, "/v1/services/rg1-rn1/start")
    operate(node, "/v1/services/program/start")
    node.kill(signal.SIGTERM)
    status, out, err = run_agent(node, "stop", "-services")
    tap.equal((status, err), (0, ""), "stop -services (%s)" % out)
    tap.ok(is_alive(pid()), "units are not the agent's to stop")
    node.start()
    tap.equal(sorted(node.services()), ["broken", "program", "rg1-rn1"], "services")
    wait_for(lambda: node.services()["rg1-rn1"]["state"] == "running", "the store's service")
    operate(node, "/v1/services/rg1-rn1/stop")
    ask(node, "DELETE", "/v1/services/rg1-rn1")
    ask(node, "DELETE", "/v1/node")
    operate(node, "/v1/services/program/stop")
    tap.lacks(node_log(), SECRET, "log")


def config_of_others():
    """A boot configuration with units that others may write is refused"""
    node.kill(signal.SIGTERM)
    os.chmod(CONFIG, 0o622)
    status, out, err = run_agent(node, "start")
    tap.equal((status, out), (77, ""), "status and stdout")
    tap.contains(err, "group or others may write it, and it names programs to execute", "stderr")
    os.chmod(CONFIG, 0o600)
    node.start()


if __name__ == "__main__":
    tap.main([makes, tells, starts_and_stops, refuses, follows, fails, is_busy, obeys_the_lease, ends_what_hangs,
              status_hangs, survives_the_agent, beside_a_store, config_of_others], finish(lab))
