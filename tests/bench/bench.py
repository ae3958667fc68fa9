#!/usr/bin/env python3
"""Measures the budgets: prints one line for each with what was measured; ends with 1 when one is exceeded."""
import os
import resource
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

import kvtest  # noqa: E402
import tap  # noqa: E402

JOURNAL = os.path.join(tap.build_dir(), "tests", "bench", "journal")
FLEET = os.path.join(tap.build_dir(), "tests", "bench", "fleet")
exceeded = False


def report(what, value, unit, budget, at_least=False):
    global exceeded
    good = value >= budget if at_least else value <= budget
    exceeded = exceeded or not good
    print("%-62s %9.2f %-4s %s %g %s" % (what, value, unit, "of at least" if at_least else "of", budget,
                                         "" if good else "  EXCEEDED"), flush=True)


def best(words, env, runs=10):
    """Shortest wall time of several runs, in milliseconds."""
    times = []
    for _ in range(runs):
        begin = time.monotonic()
        done = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        times.append((time.monotonic() - begin) * 1000)
        if done.returncode != 0:
            raise AssertionError("%s: status %d\n%s" % (words, done.returncode, (done.stdout + done.stderr)[-500:].decode()))
    return min(times)


def memory_of(words, env):
    """The most memory it had, in MiB."""
    return int(subprocess.run([JOURNAL, "memory"] + words, env=env, check=True, stdout=subprocess.PIPE).stdout) / 1024


class Store:
    """A configured store whose journal was filled by the bench program."""

    def __init__(self, lab, name, *fill):
        self.lab, self.name = lab, name
        folder = os.path.join(lab.folder, "state", name)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with open(lab.config, "a", encoding="utf-8") as f:
            f.write("\n[store %s]\nengine = redis\nnode = http://127.0.0.1:1\n" % name)
        subprocess.run([JOURNAL, fill[0], folder] + [str(f) for f in fill[1:]], check=True)

    def command(self, *words):
        return self.lab.command("-store", self.name, *words)


def offline(lab):
    store = Store(lab, "plans", "plans", 1000)
    report("show plans, 1,000 plans", best(store.command("show", "plans"), lab.environment()), "ms", 5)


def completion(lab):
    store = Store(lab, "names", "services", 10000)
    line = " plan stop-service -service rg12"
    report("completion among 10,000 names, with the start of the program",
           best(store.command("complete", line), lab.environment()), "ms", 10)


def fan_out(lab, nodes, seconds):
    port = kvtest.free_block()
    fleet = subprocess.Popen([FLEET, str(port), "fleet%d" % nodes], stdout=subprocess.PIPE, env=lab.environment())
    fleet.stdout.readline()
    try:
        store = Store(lab, "fleet%d" % nodes, "nodes", nodes, port)
        words = store.command("-quiet", "verify", "configuration")
        report("verify configuration, %d nodes" % nodes, best(words, lab.environment(), 5) / 1000, "s", seconds)
        report("  memory", memory_of(words, lab.environment()), "MiB", 20)
    finally:
        fleet.kill()
        fleet.wait()


def steps(lab):
    folder = os.path.join(lab.folder, "steps")
    os.makedirs(folder)
    ratios = []
    for i in range(3):
        out = subprocess.run([JOURNAL, "steps", os.path.join(folder, str(i)), "1000"], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
        ours, raw = (float(n) for n in out.split())
        ratios.append(ours / raw)
    report("durable plan steps, against append and fdatasync (%d/s)" % ours, max(ratios), "", 0.7, at_least=True)


def agent_at_rest(lab):
    node = lab.nodes[0]
    lab.watch_interval = 10
    node.make(3)
    node.start()
    time.sleep(3)

    def wakeups():
        total = 0
        for task in os.listdir("/proc/%d/task" % node.agent.pid):
            with open("/proc/%d/task/%s/status" % (node.agent.pid, task), encoding="ascii") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt_switches"))
        return total
    before = wakeups()
    time.sleep(10)
    report("agent at rest: wake-ups", (wakeups() - before) / 10, "/s", 2)
    with open("/proc/%d/smaps_rollup" % node.agent.pid, encoding="ascii") as f:
        pss = [int(line.split()[1]) for line in f if line.startswith("Pss:")][0]
    report("agent at rest: memory", pss / 1024, "MiB", 5)


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    lab = kvtest.Lab(dirs=(1,))
    try:
        offline(lab)
        completion(lab)
        fan_out(lab, 1000, 0.15)
        fan_out(lab, 10000, 1.0)
        steps(lab)
        agent_at_rest(lab)
        lab.everything_ended()
    finally:
        lab.close()
    sys.exit(1 if exceeded else 0)


if __name__ == "__main__":
    main()
