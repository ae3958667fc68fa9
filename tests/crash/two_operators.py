#!/usr/bin/env python3
"""Two operators start conflicting plans at the same moment: exactly one proceeds each time, the other is refused.

    ROUNDS=200 two_operators.py

With two state directories, as on two machines, where agents remember the lease of a plan; and always with two shells on
one state directory.
"""
import os
import random
import re
import subprocess
import time

import crashlab
import kvtest
import tap
from crashlab import must, variable

ROUNDS = variable("ROUNDS", 12)
SEED = variable("SEED", random.SystemRandom().randrange(1, 1 << 31))
rng = random.Random(SEED)
lab = None


class Operator:
    """A person with a state directory and a configuration."""

    def __init__(self, number, connects):
        self.config = lab.config
        if number > 1 and connects:
            self.config = lab.file("kvsh%d.conf" % number, "[kvsh]\nstate-dir = %s\ntoken-file = %s\n" % (
                os.path.join(lab.folder, "state%d" % number), lab.token_file), 0o600)
            self.catch_up()

    def catch_up(self):
        """Takes over what the other operator has made of the store."""
        lab.kvsh("connect -host %s -port %d" % (kvtest.HOST, lab.nodes[0].port), config=self.config)

    def start(self, line):
        return subprocess.Popen(lab.command(*line.split(), config=self.config), env=lab.environment(), text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def conflict():
    """Two commands of which the second is not safe once the first is done: they take the replicas of one shard, on two
    storage nodes, and a store with one failure domain out is not to lose another."""
    shard = rng.choice(("rg1", "rg2", "rg3"))
    lines = ["plan stop-service -service %s -wait" % n for n in lab.members("replica") if n.startswith(shard)]
    tap.equal(len(lines), 2, "replicas of " + shard)
    return lines


def together(operators, lines):
    """[(status, output)] of both, begun at the same moment."""
    shells = []
    for operator, line in rng.sample(list(zip(operators, lines)), 2):
        shells.append((operator, line, operator.start(line)))
        time.sleep(rng.choice((0, 0, 0.01, 0.05)))
    ends = []
    for operator, line, shell in shells:
        out = shell.communicate(timeout=180)[0]
        ends.append((operator, line, shell.returncode, out))
    return ends


def rounds(connects):
    operators = [Operator(1, connects), Operator(2, connects)]
    statuses = {}
    for number in range(1, ROUNDS + 1):
        lines = conflict()
        ends = together(operators, lines)
        told = "\n".join("%s: status %d\n%s" % (line, status, out) for _, line, status, out in ends)
        done = [(operator, line) for operator, line, status, _ in ends if status == 0]
        must(len(done) == 1, "round %d (seed %d): %d of two proceeded\n%s" % (number, SEED, len(done), told))
        for _, _, status, out in ends:
            statuses[status] = statuses.get(status, 0) + 1
            if status:
                must(status in (1, 7, 10, 11), "round %d: the other ended with %d\n%s" % (number, status, told))
                must(len(out.strip()) > 20, "the refusal has a reason:\n" + told)
        winner, line = done[0]
        stopped = re.search(r"-service (rg\S+)", line).group(1)
        down = {n for n, s in lab.services().items() if s["kind"] == "redis" and s["state"] != "running"}
        must(down == {stopped}, "round %d: stopped are %s, not %s\n%s" % (number, sorted(down), stopped, told))
        must(lab.kvsh("plan start-service -all-rns -wait", want=None, config=winner.config).status == 0, "start again")
        lab.check_store()
        if connects:
            for operator in operators:
                operator.catch_up()
    tap.note("%d rounds, seed %d; exit statuses: %s" % (
        ROUNDS, SEED, ", ".join("%d times %d" % (statuses[s], s) for s in sorted(statuses))))


def prepare():
    """A store"""
    global lab
    # One zone: each storage node is a failure domain, and any two of them conflict, at once or one behind the other.
    lab = crashlab.CrashLab(proxies=False, zones=(1, 1, 1))
    lab.start()
    lab.deploy()
    lab.check_store()


def two_shells():
    """Two shells on one state directory"""
    rounds(False)


def two_machines():
    """Two state directories, as on two machines"""
    tap.ok("lease" in lab.nodes[0].rest("GET", "/v1/node")[1], "agents tell their lease")
    rounds(True)


def nothing_left():
    """Nothing that was started remains"""
    lab.everything_ended()


if __name__ == "__main__":
    tap.main([prepare, two_shells, two_machines], nothing_left)
