#!/usr/bin/env python3
"""The deployment script of the manual, by load -file, by standard input, and line by line at the prompt."""
import os
import re

import kvtest
import tap


def check_store(lab):
    run = lab.verify_clean()
    for i in range(1, 4):
        tap.contains(run.out, "== checking storage node sn%d ==" % i, "verify configuration")
    topology = lab.kvsh("show topology").out
    base = lab.nodes[0].port
    tap.contains(topology, "store=mystore", "show topology")
    tap.contains(topology, "zn: id=zn1 name=Zone1 repFactor=3", "show topology")
    for i in range(3):
        tap.ok(re.search(r"sn=\[sn%d\] zn:\[id=zn1 name=Zone1\] 127\.0\.0\.1:%d capacity=3 RUNNING"
                         % (i + 1, base + 10 * i), topology), "storage node %d in:\n%s" % (i + 1, topology))
        tap.contains(topology, "shard=[rg%d]" % (i + 1), "show topology")
        for k in range(3):
            tap.contains(topology, "[rg%d-rn%d]" % (i + 1, k + 1), "show topology")
    plans = lab.kvsh("show plans").out
    tap.equal(len(re.findall(r"^ +\d+ .* SUCCEEDED$", plans, re.M)), 8, "plans that succeeded in:\n" + plans)
    tap.contains(plans, "RepNode-Deploy", "show plans")
    parameters = lab.kvsh("show parameters -policy").out
    tap.contains(parameters, "cacheSize=10000000", "show parameters")
    tap.contains(parameters, "loggingConfigProps=oracle.kv.level=INFO;", "show parameters")
    tap.contains(lab.kvsh("show pools").out, "snpool: sn1 zn:[id=zn1 name=Zone1], sn2", "show pools")
    tap.contains(lab.kvsh("topology list").out, "store-layout", "topology list")
    check_agreement(lab)
    for role, wanted in (("primary", 3), ("replica", 6)):
        tap.equal(len(lab.members(role)), wanted, "services that are " + role)
    where = {(s["shard"], s["on"].number) for s in lab.services().values() if s.get("redis")}
    tap.equal(len(where), 9, "no shard twice on one node")


def check_agreement(lab):
    """Text and JSON name the same nodes and services."""
    topology = lab.json("show topology")
    text = lab.kvsh("show topology").out
    names = set(re.findall(r'"(rg\d+-rn\d+|sn\d+|zn\d+|rg\d+)"', str(topology).replace("'", '"')))
    tap.ok(len(names) >= 9 + 3 + 3 + 1, "names in the JSON of show topology: %s" % sorted(names))
    for name in names:
        tap.contains(text, name, "the text of show topology")


def deployed(how):
    lab = kvtest.Lab()
    try:
        lab.start()
        how(lab)
        check_store(lab)
        lab.everything_ended()
    finally:
        lab.close()


def by_file():
    """load -file deploys the store, nested and from another folder"""
    def how(lab):
        inner = lab.file("inner.kv", "\n".join(lab.deploy_lines()) + "\n")
        outer = lab.file("outer.kv", "# loads another\nload -file %s\n" % inner)
        run = lab.kvsh(["load", "-file", outer], timeout=300)
        tap.contains(run.out, "Executed plan 1, waiting for completion...\nPlan 1 ended successfully", "output")
        tap.contains(run.out, "Plan 8 ended successfully", "output")
        for part in ("cacheSize", "loggingConfigProps", "partitions"):
            tap.contains(run.out + run.err, part, "notes about what has no effect")
    deployed(how)


def by_stdin():
    """standard input deploys the store"""
    def how(lab):
        run = lab.kvsh([], stdin="\n".join(lab.deploy_lines()) + "\n", timeout=300)
        tap.contains(run.out, "Plan 8 ended successfully", "output")
        tap.lacks(run.out, "kv->", "output without a terminal")
    deployed(how)


def by_prompt():
    """line by line at the prompt deploys the store"""
    def how(lab):
        prompt = lab.prompt()
        for line in lab.deploy_lines():
            printed = prompt.type(line, 120)
            if line.startswith("plan"):
                tap.contains(printed, "ended successfully", "answer to %r" % line)
        tap.contains(prompt.type("show plans"), "RepNode-Deploy", "show plans at the prompt")
        tap.equal(prompt.quit(), 0, "status of exit")
        history = [os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(lab.folder, "state"))
                   for name in names if "history" in name]
        tap.ok(history, "a history file is kept")
    deployed(how)


if __name__ == "__main__":
    tap.main([by_file, by_stdin, by_prompt])
