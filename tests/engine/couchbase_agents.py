#!/usr/bin/env python3
"""Couchbase nodes that are stopped, started and restarted through real agents; agents that die, hang, or are others'."""
import os
import re
import signal

from cbagents import AgentLab, TOKEN
from cblab import compare
import tap


def rolling_restart():
    """A rolling restart of three nodes, end to end, as recorded."""
    with AgentLab({"nodes": 3, "seed": 21}) as lab:
        lab.kv("plan preview restart-service -all-rns")
        lab.kv("plan restart-service -all-rns -wait")
        lab.kv("show plans")
        lab.kv("verify configuration -quiet")
        for name, agent in lab.agents.items():
            tap.equal(agent.calls(), ["stop", "start"], "commands beside " + name)
            tap.equal((lab.membership(name), lab.process(name)), ("active", "up"), name)
        tap.equal(lab.cluster()["buckets"]["orders"]["lost"], 0, "vBuckets lost")
        compare("restart", lab)


def maintenance():
    """Planned maintenance of one node: failed over, stopped, started, recovered; as recorded."""
    with AgentLab({"nodes": 4, "seed": 22, "autoFailover": {"enabled": True, "timeout": 30}}) as lab:
        lab.kv("plan stop-service -service {n2} -wait", 10)
        tap.equal(lab.requests(), [], "requests after a refusal")
        tap.equal(lab.agents["n2"].calls(), [], "commands after a refusal")
        lab.kv("plan failover -service {n2} -mode graceful -wait")
        lab.kv("plan stop-service -service {n2} -wait")
        tap.equal(lab.process("n2"), "killed", "the process")
        lab.kv("plan stop-service -service {n2} -wait")
        lab.kv("plan start-service -service {n2} -wait")
        tap.equal(lab.process("n2"), "up", "the process")
        lab.kv("plan recover -service {n2} -type delta -rebalance -wait")
        lab.kv("verify configuration -quiet")
        lab.kv("plan start-service -service {n2} -wait")
        lab.kv("show plan -id 2 -explain")
        tap.equal(lab.agents["n2"].calls(), ["stop", "start"], "commands")
        for name in ("n1", "n3", "n4"):
            tap.equal(lab.agents[name].calls(), [], "commands beside " + name)
        compare("maintenance-agent", lab)


def stop_says_what_degrades():
    """stop-service names what is missing meanwhile, and what the cluster will do about it."""
    one = [{"name": "orders", "replicas": 0, "ramQuotaMiB": 256}]
    with AgentLab({"nodes": 2, "seed": 23, "buckets": one, "autoFailover": {"enabled": True, "timeout": 77}},
                  with_agents=["n2"]) as lab:
        text = lab.kv("check stop -service {n2}", 10).stdout
        tap.contains(text, "about 50 % of the data of each bucket is not served", "check")
        tap.contains(text, "of bucket orders has no other copy", "check")
        tap.contains(text, "1 of 2 active nodes would answer and 2 are needed", "check")
        tap.contains(text, "77 s after the stop auto-failover fails", "check")
        text = lab.kv("plan stop-service -service {n1} -service {n2} -wait", 10)
        tap.contains(text.stdout + text.stderr, "no active node of the data service would remain", "both")
        lab.kv("plan stop-service -service {n2} -force -reason 'power work' -wait")
        tap.equal(lab.process("n2"), "killed", "the process")
        lab.kv("plan start-service -service {n2} -wait")
        tap.equal(lab.membership("n2"), "active", "it was not failed over")


def nobody_is_asked_in_vain():
    """Agents are asked by plans that start or stop something, and by no other command."""
    with AgentLab({"nodes": 2, "seed": 24}) as lab:
        for agent in lab.agents.values():
            agent.stop()
        os.chmod(lab.token_file, 0o644)
        for line in ("show topology", "verify configuration -quiet", "ping", "show plans", "show tasks",
                     "plan preview failover -service {n2}", "plan preview rebalance", "check failover -service {n2}"):
            done = lab.kv(line, None)
            tap.ok(done.returncode in (0, 2, 10), "%s: status %d" % (line, done.returncode))
            tap.lacks(done.stdout + done.stderr, "agent", "output of " + line)
        done = lab.kv("plan stop-service -service {n2}", 77)
        tap.contains(done.stderr, "is open to group or others", "stderr")
        os.chmod(lab.token_file, 0o600)
        done = lab.kv("plan stop-service -service {n2}", 10)
        tap.contains(done.stderr + done.stdout, "check that the agent runs there", "stderr")


def by_hand_and_by_agent():
    """Hosts with and without agents in one restart: -pause waits where there is none."""
    with AgentLab({"nodes": 3, "seed": 25}, with_agents=["n2"]) as lab:
        lab.control("clock", advance=1000)
        done = lab.kv("plan restart-service -service {n2} -service {n3} -wait", 10)
        tap.contains(done.stdout + done.stderr, "none of the 1 agents configured belongs to " + lab.host["n3"], "refusal")
        tap.equal(lab.requests(), [], "requests after a refusal")
        lab.kv("plan restart-service -service {n2} -service {n3} -pause")
        text = "waiting for: a restart of couchbase-server on " + lab.host["n3"]
        lab.wait(lambda: text in lab.task(), "the plan to wait for the hand", 60)
        tap.equal(lab.agents["n2"].calls(), ["stop", "start"], "commands")
        lab.control("node", node="n3", do="kill")
        lab.control("node", node="n3", do="revive")
        lab.kv("plan wait -last")
        for name in ("n2", "n3"):
            tap.equal(lab.membership(name), "active", name)


def agent_dies_amid():
    """The agent dies while it stops the server: the plan says so, and goes on once the agent is back."""
    with AgentLab({"nodes": 3, "seed": 26}) as lab:
        agent = lab.agents["n2"]
        agent.spoil("hang.stop")
        lab.kv("plan restart-service -service {n2}")
        lab.wait(lambda: agent.calls() == ["stop"], "the stop command", 60)
        agent.stop(signal.SIGKILL)
        lab.wait(lambda: "RUNNING" not in lab.kv("show plans", None).stdout, "the plan to end", 90)
        text = lab.kv("show plan -last", None).stdout
        tap.contains(text, "agent 127.0.0.1:%d" % agent.port, "what it says")
        tap.equal(lab.membership("n2"), "inactiveFailed", "n2")
        agent.mend("hang.stop")
        lab.wait(lambda: lab.process("n2") == "killed", "the command that outlived its agent")
        agent.start()
        lab.kv("plan execute -last -wait")
        tap.equal((lab.membership("n2"), lab.process("n2")), ("active", "up"), "n2")
        tap.equal(agent.calls("start"), ["start"], "starts")


def agent_comes_back_in_time():
    """An agent that restarts while it starts the server: the plan looks, and need not be told to go on."""
    with AgentLab({"nodes": 3, "seed": 27}) as lab:
        agent = lab.agents["n2"]
        agent.spoil("hang.start")
        lab.kv("plan restart-service -service {n2}")
        lab.wait(lambda: agent.calls("start") == ["start"], "the start command", 60)
        agent.stop(signal.SIGKILL)
        agent.mend("hang.start")
        agent.start()
        lab.kv("plan wait -last", None)
        if "SUCCEEDED" not in lab.kv("show plans").stdout:
            lab.kv("plan execute -last -wait")
        tap.equal((lab.membership("n2"), lab.process("n2")), ("active", "up"), "n2")


def runner_dies_anywhere():
    """The runner dies before, amid and after the agent's work; the plan ends the same way."""
    for number, (spoiled, calls) in enumerate(((None, []), ("hang.stop", ["stop"]), ("hang.start", ["stop", "start"]))):
        with AgentLab({"nodes": 3, "seed": 30 + number}) as lab:
            agent = lab.agents["n2"]
            if spoiled:
                agent.spoil(spoiled)
            lab.kv("plan restart-service -service {n2}")
            lab.wait(lambda: agent.calls() == calls and "RUNNING" in lab.kv("show plans", None).stdout, "the moment", 60)
            lab.kill_runner()
            if spoiled:
                agent.mend(spoiled)
            lab.wait(lambda: "INTERRUPTED" in lab.kv("show plans", None).stdout, "the death to be seen")
            lab.kv("plan execute -last -wait")
            tap.equal((lab.membership("n2"), lab.process("n2")), ("active", "up"), "n2 after " + str(spoiled))
            tap.equal(agent.calls(), ["stop", "start"], "each command once, after " + str(spoiled))
            lab.kv("verify configuration -quiet")


def command_fails():
    """A command that fails: what it said is told, and the plan goes on when that is mended."""
    with AgentLab({"nodes": 3, "seed": 40}) as lab:
        agent = lab.agents["n2"]
        agent.spoil("fail.start", "epmd:\x1b[1m port 4369 taken\n")
        done = lab.kv("plan restart-service -service {n2} -wait", 1)
        tap.contains(done.stdout + done.stderr, "its start command ended with exit status 5: epmd: [1m port 4369 taken",
                     "what it says")
        tap.equal(lab.process("n2"), "killed", "the process")
        agent.mend("fail.start")
        lab.kv("plan execute -last -wait")
        tap.equal(lab.membership("n2"), "active", "n2")


def status_hangs():
    """An agent whose status command hangs is refused before anything is done."""
    with AgentLab({"nodes": 3, "seed": 41}) as lab:
        agent = lab.agents["n2"]
        agent.spoil("hang.status")
        lab.wait(lambda: agent.state() == "unknown", "the state to be unknown")
        done = lab.kv("plan restart-service -service {n2} -wait", 10)
        text = done.stdout + done.stderr
        tap.contains(text, "nothing can start or stop the server process on " + lab.host["n2"], "refusal")
        tap.ok(re.search("status command (had not ended|has not answered)", text), "the reason: " + text)
        tap.equal(lab.requests(), [], "requests after a refusal")
        agent.mend("hang.status")
        lab.wait(lambda: agent.state() == "running", "the state")
        lab.kv("plan restart-service -service {n2} -wait")


def wrong_agent():
    """An agent of another host: seen before where it can be, else after the first step, and told as such."""
    with AgentLab({"nodes": 3, "seed": 42}, belongs={"n1": "n1", "n2": "n1", "n3": "n3"}) as lab:
        done = lab.kv("plan restart-service -service {n1} -service {n2} -wait", 10)
        tap.contains(done.stdout + done.stderr, "the same agent answers for", "refusal")
        lab.kv("plan failover -service {n1} -mode graceful -wait")
        lab.kv("plan stop-service -service {n1} -wait")
        done = lab.kv("plan restart-service -service {n2} -wait", 10)
        tap.contains(done.stdout + done.stderr, "it is the agent of another host", "refusal")
        tap.equal((lab.process("n2"), lab.membership("n2")), ("up", "active"), "n2")


def wrong_token():
    """A wrong token: refused with the file to look at, and no token appears anywhere."""
    with AgentLab({"nodes": 3, "seed": 43}, token="b" * 64) as lab:
        done = lab.kv("plan restart-service -service {n2} -wait", 10)
        tap.contains(done.stdout + done.stderr, "check agent-token-file of the store", "refusal")
        tap.equal(lab.requests(), [], "requests after a refusal")
        hidden(lab, ("b" * 64, TOKEN))


def hidden(lab, secrets):
    """Secrets are in no output and in no file but their own."""
    for secret in secrets:
        for text in lab.outputs:
            tap.lacks(text, secret, "an output")
        for top, _, names in os.walk(lab.folder):
            for name in names:
                with open(os.path.join(top, name), "rb") as f:
                    if secret.encode() in f.read() and not re.search(r"\.token$", name):
                        tap.fail("a token is in " + os.path.join(top, name))


def secrets_stay():
    """After a whole plan the agents' token is in its file alone, and was never sent to the cluster."""
    with AgentLab({"nodes": 3, "seed": 44}) as lab:
        lab.kv("plan restart-service -service {n3} -wait")
        lab.kv("show events -plan 1 -local")
        lab.kv("show plan -last -explain -json")
        hidden(lab, (TOKEN,))
        tap.lacks(str(lab.control("log")), TOKEN, "what the cluster was sent")


if __name__ == "__main__":
    tap.main([rolling_restart, maintenance, stop_says_what_degrades, nobody_is_asked_in_vain, by_hand_and_by_agent,
              agent_dies_amid, agent_comes_back_in_time, runner_dies_anywhere, command_fails, status_hangs, wrong_agent,
              wrong_token, secrets_stay])
