#!/usr/bin/env python3
"""kill -9 of the shell, of an agent, of everything in the middle of plan deploy-topology."""
import os
import signal

import crashes
import kvtest
import tap
from kvtest import wait_for


def over(lab):
    return lab.plan_state(crashes.PLAN) in ("SUCCEEDED", "ERROR", "INTERRUPTED")


def shell():
    """The shell is killed: the plan goes on"""
    def victim(lab, shell):
        shell.kill()
        shell.wait()
        run = lab.kvsh("plan wait -id %d" % crashes.PLAN)
        tap.contains(run.out, "ended successfully", "plan wait")
        return ("SUCCEEDED",)
    crashes.several((0.3,), victim, begun=True)


def agent_is_gone():
    """An agent is killed and stays away: the plan ends in ERROR, and is finished when the agent is back"""
    def victim(lab, shell):
        lab.nodes[1].kill()
        wait_for(lambda: over(lab), "the plan has an end", 100)
        lab.nodes[1].start()
        return ("ERROR",)
    crashes.several((0.1,), victim, begun=True)


def agent_comes_back():
    """An agent is killed and comes back: the plan goes on, or says where it stopped"""
    def victim(lab, shell):
        lab.nodes[1].kill()
        lab.nodes[1].start()
        wait_for(lambda: over(lab), "the plan has an end", 100)
        return ("SUCCEEDED", "ERROR")
    crashes.several((0.1, 0.6, 1.2), victim, begun=True)


def everything():
    """Everything is killed, as by a power cut: the agents bring the services back"""
    def victim(lab, shell):
        for pid in kvtest.processes_of(lab.folder):
            if pid != shell.pid:
                os.kill(pid, signal.SIGKILL)
        shell.kill()
        shell.wait()
        for node in lab.nodes:
            node.agent.wait()
            node.start()
        return ("INTERRUPTED", "SUCCEEDED")
    crashes.several((1.2,), victim, begun=True)


def agent_restart():
    """An agent restart does not touch its running services"""
    lab = kvtest.Lab()
    try:
        lab.start()
        lab.deploy()

        def processes():
            return {name: (s["pid"], s["startedMs"]) for name, s in lab.services().items() if s["kind"] == "redis"}
        before = processes()
        for number in (signal.SIGKILL, signal.SIGTERM):
            for node in lab.nodes:
                node.kill(number)
            lab.kvsh("show plans")
            for node in lab.nodes:
                node.start()
            wait_for(lambda: all(s["state"] == "running" for s in lab.services().values()), "all are adopted")
            tap.equal(processes(), before, "processes after signal %d of the agents" % number)
        lab.verify_clean()
        lab.everything_ended()
    finally:
        lab.close()


if __name__ == "__main__":
    tap.main([shell, agent_is_gone, agent_comes_back, everything, agent_restart])
