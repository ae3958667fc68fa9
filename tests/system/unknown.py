#!/usr/bin/env python3
"""Outcomes nobody can tell, on a real store: the agent is frozen or killed while it carries out a step. UNKNOWN is a
state of its own, and the store is asked before anything is repeated."""
import os
import signal

import kvtest
import tap
from kvtest import wait_for
from proxy import Proxy

lab = kvtest.Lab()
TARGET = "rg1-rn2"
node = lab.nodes[1]
proxy_port = kvtest.free_block()
proxy = Proxy(proxy_port, node.port)
frozen = []


def freeze(pid):
    os.kill(pid, signal.SIGSTOP)
    frozen.append(pid)


def thaw():
    while frozen:
        try:
            os.kill(frozen.pop(), signal.SIGCONT)
        except ProcessLookupError:
            pass


def newest():
    return lab.json("show plans -num 1")["plans"][-1]["id"]


def in_the_middle(stroke):
    """Starts a plan that stops the service, and has stroke() happen once the agent has begun; returns its number."""
    begun = []

    def strike(_, path):
        if not path.endswith("/%s/stop" % TARGET):
            return False
        begun.append(path)
        stroke()
        return True

    proxy.on_change = strike
    run = lab.kvsh("-timeout 2 plan stop-service -service %s -wait" % TARGET, want=6)
    proxy.on_change = None
    tap.equal(len(begun), 1, "requests to stop it")
    is_unknown(run, newest())
    return newest()


def is_unknown(run, plan):
    """What an operator sees of it, everywhere."""
    tap.contains(run.out, "UNKNOWN", "the end")
    tap.contains(run.err, "it cannot be told whether this took effect", "the end")
    tap.contains(run.err, "plan execute -id %d" % plan, "what to do")
    tap.contains(run.err, "sn2", "what to look at")
    tap.equal(lab.plan_state(plan), "ERROR", "state of the plan")
    listed = [p for p in lab.json("show plans")["plans"] if p["id"] == plan][0]
    tap.equal(listed.get("outcomeUnknown"), True, "show plans -json")
    tap.contains(lab.kvsh("show plans").out, "UNKNOWN", "show plans")
    shown = lab.kvsh("show plan -id %d" % plan).out
    tap.contains(shown, "UNKNOWN: stop " + TARGET, "show plan")
    tap.contains(shown, "Outcome unknown:      1", "show plan")
    told = lab.json("show plan -id %d" % plan)
    tap.equal((told["tasksUnknown"], told["failures"][0]["state"]), (1, "UNKNOWN"), "show plan -json")
    envelope = lab.kvsh("plan wait -id %d -json" % plan, want=6).json()
    tap.equal(envelope["returnValue"]["failures"][0]["state"], "UNKNOWN", "plan wait -json")
    tap.contains(envelope["advice"], "sn2", "the advice")


def deployed():
    """A store, one of whose agents is reached through a proxy"""
    lab.start()
    lab.deploy([line.replace("-port %d" % node.port, "-port %d" % proxy_port) if "deploy-sn" in line else line
                for line in lab.deploy_lines()])
    lab.verify_clean()
    tap.equal(lab.services()[TARGET]["on"], node, "the node behind the proxy")


def frozen_agent():
    """The agent is stopped in the middle: UNKNOWN and 6, however often; once it answers, it is asked before anything is repeated"""
    plan = in_the_middle(lambda: freeze(node.agent.pid))
    lab.kvsh("-timeout 2 plan execute -id %d -wait" % plan, want=6)
    lab.kvsh("-timeout 2 plan retry -id %d -failed-only -wait" % plan, want=6)
    thaw()
    wait_for(node.answers, "the agent answers")
    before = len(proxy.seen)
    run = lab.kvsh("plan execute -id %d -wait" % plan)
    tap.contains(run.out, "ended successfully", "plan execute")
    asked = [(e.method, e.path) for e in proxy.seen[before:]]
    repeated = [i for i, (method, path) in enumerate(asked) if method == "POST" and path.endswith("/stop")]
    if repeated:
        tap.ok(("GET", "/v1/node") in asked[:repeated[0]], "asked before it was repeated: %s" % asked)
    else:
        tap.contains(lab.kvsh("show plan -id %d -verbose" % plan).out, "found done when the store was asked", "show plan")
    tap.equal(lab.services()[TARGET]["state"], "stopped", "state of the service")
    lab.kvsh("plan start-service -service %s -wait" % TARGET)


def killed_agent():
    """The agent is killed in the middle: UNKNOWN until it is back; then it is asked, and what is not done is done"""
    plan = in_the_middle(node.kill)
    lab.kvsh("-timeout 2 plan execute -id %d -wait" % plan, want=6)
    node.start()
    lab.kvsh("plan execute -id %d -wait" % plan)
    tap.equal(lab.services()[TARGET]["state"], "stopped", "state of the service")
    lab.kvsh("plan start-service -service %s -wait" % TARGET)


def given_up():
    """A plan whose outcome stays unknown is given up; the next one begins with the store as it is"""
    plan = in_the_middle(lambda: freeze(node.agent.pid))
    lab.kvsh("plan cancel -id %d" % plan)
    told = lab.json("show plan -id %d" % plan)
    tap.equal((told["state"], told["tasksUnknown"]), ("CANCELED", 1), "the plan given up")
    lab.kvsh("plan execute -id %d" % plan, want=1)
    thaw()
    wait_for(lambda: lab.services()[TARGET]["state"] == "stopped", "the service is seen as it is")
    lab.kvsh("plan start-service -service %s -wait -lock-wait 40" % TARGET)
    wait_for(lambda: lab.kvsh("-quiet verify configuration", want=None).status == 0, "verify is clean")


def nothing_left():
    """Nothing that was started remains"""
    thaw()
    proxy.close()
    lab.everything_ended()


if __name__ == "__main__":
    tap.main([deployed, frozen_agent, killed_agent, given_up], nothing_left)
