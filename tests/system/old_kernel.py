#!/usr/bin/env python3
"""An agent on a kernel without pidfd: it sees its services end all the same, stops them, and takes them over."""
import contextlib
import os
import signal
import subprocess

import kvtest
import tap
from agentlab import agent_pid, ask, define, events, finish, form, register, service, start, stop
from kvtest import is_alive, wait_for

NAME = "rg1-rn1"


class OldLab(kvtest.Lab):
    """Agents for which pidfd_open(2) does not exist."""

    def __init__(self):
        super().__init__(dirs=(1,))
        self.preload = os.path.join(self.folder, "no_pidfd.so")
        source = os.path.join(tap.source_dir(), "tests", "system", "no_pidfd.c")
        subprocess.check_call((os.environ.get("CC") or "cc").split() + [
            "-shared", "-fPIC", "-O1", "-o", self.preload, source, "-ldl"])

    def environment(self, **more):
        env = super().environment(**more)
        if hasattr(self, "preload"):
            env["LD_PRELOAD"] = self.preload
            # A sanitizer's runtime that is linked in is found all the same.
            env["ASAN_OPTIONS"] = ":".join(filter(None, [env.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
        return env


lab = OldLab()
node = lab.nodes[0]


def pidfds():
    """How many processes the agent watches by descriptor."""
    folder, found = "/proc/%d/fd" % agent_pid(node), 0
    for fd in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found += "pidfd" in os.readlink(os.path.join(folder, fd))
    return found


def is_up():
    return service(node, NAME)["state"] == "running" and service(node, NAME)["redis"]


def key_is_there():
    wait_for(lambda: (service(node, NAME)["redis"] or {}).get("clusterState") == "ok", "cluster state ok")
    return ask(node, "POST", "/v1/services/%s/data" % NAME, {"op": "get", "key": "a"})["value"] == "b"


def starts():
    """A service starts, and nothing is watched by descriptor"""
    lab.start()
    register(node)
    define(node, NAME)
    start(node, NAME)
    form(node, NAME)
    ask(node, "POST", "/v1/services/%s/data" % NAME, {"op": "put", "key": "a", "value": "b"})
    tap.equal(pidfds(), 0, "descriptors of processes")


def sees_it_die():
    """A service that is killed is told within seconds and started again"""
    pid = service(node, NAME)["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: "process-died" in [e["kind"] for e in events(node)], "the agent tells it")
    told = [e["text"] for e in events(node) if e["kind"] == "process-died"][-1]
    tap.contains(told, "%d was ended by signal 9" % pid, "the event")
    wait_for(lambda: is_up() and service(node, NAME)["pid"] != pid, "it runs again")
    tap.ok(key_is_there(), "its data is there")


def takes_over():
    """The agent is killed and comes back: a service that lives is taken over, one that died is seen and started"""
    pid = service(node, NAME)["pid"]
    node.kill()
    node.start()
    tap.equal(service(node, NAME)["pid"], pid, "pid of the service")
    wait_for(is_up, "it is up")
    node.kill()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(pid), "it is dead")
    node.start()
    wait_for(lambda: is_up() and service(node, NAME)["pid"] != pid, "it runs again")
    pid = service(node, NAME)["pid"]
    node.kill()
    node.start()
    wait_for(is_up, "it is up")
    os.kill(pid, signal.SIGKILL)  # no child of this agent
    wait_for(lambda: is_up() and service(node, NAME)["pid"] != pid, "it runs again")
    tap.ok(key_is_there(), "its data is there")


def stops():
    """A stop ends the process, frozen or not"""
    pid = service(node, NAME)["pid"]
    stop(node, NAME)
    tap.ok(not is_alive(pid), "process %d is gone" % pid)
    start(node, NAME)
    pid = service(node, NAME)["pid"]
    os.kill(pid, signal.SIGSTOP)
    stop(node, NAME)
    tap.ok(not is_alive(pid), "frozen process %d is gone" % pid)
    tap.equal(pidfds(), 0, "descriptors of processes")


if __name__ == "__main__":
    tap.main([starts, sees_it_die, takes_over, stops], finish(lab))
