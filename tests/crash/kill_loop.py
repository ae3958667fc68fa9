#!/usr/bin/env python3
"""The kill loop: a random plan, the runner (or an agent, or both) killed with SIGKILL at a random instant, resumed with
plan execute until it ends; then everything that must hold is checked.

    ROUNDS=1000 SEED=7 kill_loop.py     so many rounds, from that seed (printed when it is not set)
    LIMIT=60                            at most so many seconds

A round is one plan. A fresh store is deployed every FRESH rounds, each of its plans being a round.
"""
import os
import random
import time

import crashlab
import kvtest
import tap
from crashlab import Violation, must, variable
from kvtest import wait_for

ROUNDS = variable("ROUNDS", 30)
SEED = variable("SEED", random.SystemRandom().randrange(1, 1 << 31))
LIMIT = variable("LIMIT", 55 if ROUNDS <= 30 else 0)
FRESH = variable("FRESH", 60)
VIOLATIONS_MAX = 5
rng = random.Random(SEED)


class Figures:
    def __init__(self):
        self.rounds = self.middle = self.again = self.fresh = self.violations = 0
        self.acknowledged = self.single = 0
        self.victims, self.verbs, self.refused, self.states = {}, {}, {}, {}

    @staticmethod
    def count(table, key):
        table[key] = table.get(key, 0) + 1

    def note(self):
        def line(table):
            return ", ".join("%s %d" % (k, table[k]) for k in sorted(table))
        tap.note("seed %d: %d rounds, %d stores deployed, %d violations" % (
            SEED, self.rounds, self.fresh, self.violations))
        tap.note("killed: %s; %d of them in the middle of a running plan, %d a second time while resuming" % (
            line(self.victims), self.middle, self.again))
        tap.note("plans: " + line(self.verbs))
        tap.note("found after the kill: " + line(self.states))
        if self.refused:
            tap.note("refused by the safety rules: " + line(self.refused))
        tap.note("writes acknowledged with a copy: %d, without: %d" % (self.acknowledged, self.single))


figures = Figures()
lasts = {}  # verb -> how long it takes, about


# --- what can be done with a store ---

class Plan:
    """A command, what it leaves down, and what has to be done to the store before."""

    def __init__(self, words, down=None, before=None, loses=False):
        self.words, self.down, self.before, self.loses = words, down, before, loses
        self.verb = words.split()[1]


def choices(lab, down):
    services = {n: s for n, s in lab.services().items() if s["kind"] == "redis"}
    up = sorted(set(services) - down)
    if down:
        some = rng.sample(sorted(down), rng.randint(1, len(down)))
        return [Plan("plan start-service -all-rns", set()),
                Plan("plan start-service" + "".join(" -service " + n for n in some), down - set(some))]
    primaries = [n for n in up if services[n]["redis"]["role"] == "primary"]
    replicas = [n for n in up if services[n]["redis"]["role"] == "replica"]
    one, replica, primary = rng.choice(up), rng.choice(replicas), rng.choice(primaries)
    return [Plan("plan stop-service -service " + replica, {replica}),
            Plan("plan stop-service -service " + primary, {primary}),
            Plan("plan stop-service -all-rns -zn zn2", {n for n in up if services[n]["on"].number == 3}),
            Plan("plan restart-service -service " + one, set()),
            Plan("plan restart-service -all-rns -zn zn2", set()),
            Plan("plan failover -service " + replica, set()),
            Plan("plan network-restore -from %s -to %s" % (
                next(p for p in primaries if services[p]["shard"] == services[replica]["shard"]), replica), set()),
            Plan("plan recover -service " + replica, set(), lambda: crashlab.lose_disk(lab, replica)),
            Plan("plan verify-data -service " + one, set()),
            Plan("plan cleanup", set())]


# --- one round ---

class Round:
    def __init__(self, lab, plan, victim):
        self.lab, self.plan, self.victim = lab, plan, victim
        self.number = 0  # of the plan in the journal
        self.said = []

    def run(self):
        """False when the plan was refused."""
        lab, verb = self.lab, self.plan.verb
        if self.plan.before:
            self.plan.before()
        since = time.time()
        lab.forget_exchanges()
        first = lab.last_plan()
        shell = lab.spawn(self.plan.words + " -wait")
        try:
            while lab.last_plan() == first and shell.poll() is None:
                time.sleep(0.003)
            if lab.last_plan() == first:
                status = shell.wait()
                must(status in (0, 10), "%s: status %d\n%s" % (self.plan.words, status, shell.stdout.read()))
                figures.count(figures.refused if status else figures.verbs, verb)
                return False
            self.number = first + 1
            most = lasts.setdefault(verb, 0.3)
            time.sleep(rng.uniform(0, most))
            middle = self.strike()
            lasts[verb] = min(8, most * 1.05 if middle else max(0.05, most * 0.93))
            self.said.append("shell ended with %d:\n%s" % (shell.wait(180), shell.stdout.read()))
        finally:
            shell.kill()
            shell.communicate()
        figures.count(figures.states, str(lab.state(self.number)))
        self.resume()
        if not self.number:  # it had become stale
            return False
        lab.check_ended(self.number, self.victim != "runner")
        lab.check_looked(since)
        if self.victim == "runner":
            for key, times in lab.begun(since).items():
                # Emptying what is empty already, and looking at data, is asked for again: neither shows as done.
                must(times == 1 or key[2].endswith(("/wipe", "/check-data")),
                     "sn%d carried out %s %s %d times" % (key + (times,)))
        figures.count(figures.verbs, verb)
        return True

    def strike(self):
        """Kills; was the plan at work?"""
        lab, number = self.lab, self.number
        node = rng.choice(lab.nodes)
        middle = lab.state(number) == "RUNNING"
        if self.victim in ("runner", "both"):
            killed = [pid for pid in lab.runners() if kill(pid)]
            middle = middle and bool(killed)
        if self.victim in ("agent", "both"):
            node.kill()
            time.sleep(rng.choice((0, 0, 0.3, 1)))
            node.start()
        figures.count(figures.victims, self.victim)
        figures.middle += middle
        return middle

    def resume(self):
        """plan execute until it ends; a runner that was killed alone needs one undisturbed call."""
        lab, calls = self.lab, 0
        if self.victim == "runner" and lab.state(self.number) == "INTERRUPTED" and rng.random() < 0.25:
            shell = lab.spawn("plan execute -id %d -wait" % self.number)
            time.sleep(rng.uniform(0, lasts[self.plan.verb]))
            figures.again += any([kill(pid) for pid in lab.runners()])
            self.said.append("second shell ended with %d:\n%s" % (shell.wait(180), shell.stdout.read()))
            shell.stdout.close()
        while lab.state(self.number) != "SUCCEEDED":
            run = lab.kvsh("plan execute -id %d -wait" % self.number, want=None, timeout=180)
            self.said.append(str(run))
            calls += 1
            if run.status == 7:
                lab.kvsh("plan cancel -id %d" % self.number)
                self.number = 0
                return
            allowed = (0,) if self.victim == "runner" else (0, 1, 6, 69)
            must(run.status in allowed and calls < 8, "plan execute, call %d: status %d" % (calls, run.status))
            if run.status:
                time.sleep(0.5)


def kill(pid):
    try:
        os.kill(pid, 9)
        return True
    except ProcessLookupError:
        return False


def victim():
    return rng.choices(("runner", "agent", "both"), (6, 2, 2))[0]


# --- stores ---

def deadline_passed():
    return LIMIT and time.monotonic() - began > LIMIT


def round_of(lab, plan):
    """One round with its report when it fails."""
    r = Round(lab, plan, victim())
    try:
        figures.rounds += 1
        return r, r.run()
    except Exception:
        report(lab, r)
        raise


def report(lab, r):
    tap.note("seed %d, round %d: %s, killed: %s" % (SEED, figures.rounds, r.plan.words, r.victim))
    for text in r.said:
        tap.note(text)
    if r.number:
        tap.note(lab.told(r.number))
    for node, proxy in zip(lab.nodes, lab.proxies):
        for e in list(proxy.seen):
            if e.method != "GET":
                tap.note("%.3f sn%d %s %s: %s" % (e.time, node.number, e.method, e.path, e.status))


def deploy(lab):
    """The store is deployed, each plan being a round."""
    figures.fresh += 1
    lab.start()
    for line in lab.deploy_lines():
        if not line.startswith("plan "):
            lab.kvsh(line)
            continue
        done = False
        while not done:
            _, done = round_of(lab, Plan(line.replace(" -wait", "")))
    lab.check_store()
    lab.start_writer()
    wait_for(lambda: lab.writer.acknowledged > 50, "the writer writes")


def play(rounds):
    """A fresh store and so many rounds with it."""
    lab = crashlab.CrashLab()
    down, end = set(), figures.rounds + rounds
    try:
        deploy(lab)
        there = crashlab.plans_there()
        while figures.rounds < end and not deadline_passed():
            plan = rng.choice([p for p in choices(lab, down) if p.verb in there])
            r, done = round_of(lab, plan)
            if done:
                down = plan.down
            try:
                lab.check_store(down)
                lab.check_writes()
            except Exception:
                report(lab, r)
                raise
        lab.stop_writer()
        figures.acknowledged += lab.writer.acknowledged
        figures.single += lab.writer.single
        lab.check_writes()
        lab.everything_ended()
    finally:
        if lab.writer:
            lab.writer.over.set()
        lab.close()


began = time.monotonic()


def kill_loop():
    """Killed at random instants, plans resume and end as if nothing had happened"""
    tap.note("seed %d" % SEED)
    while figures.rounds < ROUNDS and figures.violations < VIOLATIONS_MAX and not deadline_passed():
        try:
            play(min(FRESH, ROUNDS - figures.rounds))
        except (Violation, AssertionError, OSError) as e:
            figures.violations += 1
            tap.fail("%s: %s" % (type(e).__name__, e))
        if ROUNDS > 30:
            figures.note()
    figures.note()
    tap.ok(figures.rounds >= ROUNDS or deadline_passed(), "all rounds were run")


if __name__ == "__main__":
    tap.main([kill_loop])
