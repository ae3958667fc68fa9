#!/usr/bin/env python3
"""The engine contract (include/kvsh/engine.h), case by case, on every engine there is: redis with real agents and
servers, couchbase on the simulator. Cases are written once; an engine gets them by an entry in contract_worlds.WORLDS.

    ONLY=redis contract.py          only this engine
"""
import os
import re

import contract_worlds
import tap
from contract_worlds import Drive, WORLDS

ONLY = [name for name in os.environ.get("ONLY", "").split(",") if name]
DOUBT = ("IN_DOUBT", "UNREACHABLE")  # the second only where the request surely never went out


def err_table():
    """name -> (exit status, returnCode), from the one table there is."""
    with open(os.path.join(tap.source_dir(), "lib", "err.def"), encoding="ascii") as f:
        return {m[0]: (int(m[1]), int(m[2])) for m in re.findall(r'^ERR\((\w+), (\d+), (\d+), "', f.read(), re.M)}


def all_verbs():
    with open(os.path.join(tap.source_dir(), "model", "verb.def"), encoding="ascii") as f:
        return re.findall(r'^VERB\(\w+, "([\w-]+)"', f.read(), re.M)


def good(answer, what):
    return tap.ok(answer["code"] == "OK", "%s: %s %s" % (what, answer["code"], answer["text"]))


# --- observe ---

def a_silent_node_is_a_fact(w):
    """observe: a silent node is a fact in the result, not an error"""
    with Drive(w) as d:
        seen = d.observe()
        good(seen, "observe")
        tap.ok(seen["nodes"] and all(s == "RUNNING" for s in seen["nodes"].values()), "all run: %s" % seen["nodes"])
        again = d.observe()
        tap.equal((again["digest"], again["nodes"], again["services"]), (seen["digest"], seen["nodes"], seen["services"]),
                  "what is observed a second time")
        silent = w.silence()
        try:
            seen = w.until(d.observe, lambda s: s["nodes"].get(silent) == "UNREACHABLE", "%s is seen silent" % silent)
            good(seen, "observe with a silent node")
            tap.ok(any(s == "RUNNING" for n, s in seen["nodes"].items() if n != silent), "the others are seen")
            found = d.call("verify")
            tap.contains(str(found["findings"]), silent, "findings")
            tap.ok(found["same"], "verify says the same twice")
        finally:
            w.wake()


def nobody_answers(w):
    """observe: nobody answers is an error of its own, exit status 69"""
    w.all_dead()
    try:
        with Drive(w) as d:
            seen = d.observe()
            if w.reports_dead:  # a store that is declared here is known even when nobody answers
                good(seen, "observe of a declared store")
                tap.ok(all(s == "UNREACHABLE" for s in seen["nodes"].values()), "all are silent: %s" % seen["nodes"])
            else:
                tap.equal((seen["code"], seen["status"]), ("UNREACHABLE", 69), "observe")
                tap.ok(seen["text"], "it says why")
        done = w.kvsh("ping")
        tap.equal(done.returncode, 69, "status of ping (%s%s)" % (done.stdout, done.stderr))
    finally:
        w.all_alive()


# --- the pure parts ---

def pure_parts_ask_nobody(w):
    """check, expand, verify and explain: no request, the same answer twice, even when the connection is closed"""
    with Drive(w) as d:
        good(d.observe(), "observe")
        good(d.call("close"), "close")
        before = w.count()
        for verb, args in w.intents().items():
            made = d.call("plan", verb=verb, args=args)
            tap.ok(made["same"], "%s: check and expand say the same twice" % verb)
            tap.ok(made["code"] in ("OK", "INPUT"), "%s: %s %s" % (verb, made["code"], made["text"]))
            tap.ok(made["code"] == "OK" or made["text"], "%s: it says why" % verb)
            for task in made["plan"]["tasks"]:
                tap.ok(task["what"] and task["target"] and task["wave"] >= 1, "%s: a task to show: %s" % (verb, task))
            for f in made["plan"]["findings"]:
                tap.ok(f["rule"] and f["text"] and f["subject"], "%s: a finding to show: %s" % (verb, f))
                tap.ok(f["text"][-1] != ".", "%s: no full stop: %s" % (verb, f["text"]))
            told = d.call("explain")
            tap.ok(told["same"], "%s: explain says the same twice" % verb)
            for secret in w.secrets():
                tap.lacks(str(made) + str(told), secret, "%s: plan and explanation" % verb)
        tap.equal(w.count(), before, "requests")


def every_verb_is_explained(w):
    """explain: every type of task has a command a person could type, without secrets"""
    with Drive(w) as d:
        d.observe()
        for verb, args in w.intents().items():
            made = d.call("plan", verb=verb, args=args)
            told = d.call("explain")
            for task, lines in zip(made["plan"]["tasks"], told["tasks"]):
                tap.ok(lines, "%s: %s is explained" % (verb, task["type"]))
            for secret in w.secrets():
                tap.lacks(str(told), secret, "%s: explanation" % verb)


def nonsense_is_input(w):
    """expand: what names nothing is ERR_INPUT with the name, and no task"""
    with Drive(w) as d:
        d.observe()
        for verb in [v for v, args in w.intents().items() if "services" in args and v != "add-node"]:
            made = d.call("plan", verb=verb, args=dict(w.intents()[verb], services=["no-such-thing"]))
            if any(f["severity"] == "fatal" for f in made["plan"]["findings"]):
                continue  # refused before that
            tap.equal((made["code"], made["plan"]["tasks"]), ("INPUT", []), "plan %s of nothing" % verb)
            tap.contains(made["text"], "no-such-thing", "plan %s of nothing" % verb)


# --- perform and settled ---

def twice_is_once(w):
    """perform: every plan's tasks carried out twice end in the same place; settled then says yes"""
    for verb in w.twice():
        with w.another(verb) as x, Drive(x) as d:
            good(d.observe(), "observe")
            made = d.call("plan", verb=verb, args=x.intents()[verb])
            if not good(made, "plan " + verb) or not tap.ok(made["plan"]["tasks"], "plan %s has tasks" % verb):
                continue
            for task in made["plan"]["tasks"]:
                what = "%s, %s" % (verb, task["what"])
                x.hand(task)
                good(d.perform(task["num"]), what)
                state = x.state()
                if task["type"] not in x.harmless:
                    tap.equal(d.call("settled", task=task["num"], docs=x.docs())["settled"], "yes", what + ": settled")
                changes = len(x.changes())
                good(d.perform(task["num"]), what + ", once more")
                tap.equal(x.state(), state, what + ", once more: the store")
                if task["type"] not in x.harmless:
                    x.expect_repeatable(changes, what)
                x.apply(task)


def not_done_yet(w):
    """settled: no, before it was begun; unknown, when nobody can be asked"""
    with Drive(w) as d:
        d.observe()
        verb, args = w.change()
        num = d.call("plan", verb=verb, args=args)["plan"]["tasks"][0]["num"]
        tap.equal(d.call("settled", task=num, docs=w.docs())["settled"], "no", "settled before")
        d.note(num)
        w.all_dead()
        try:
            asked = d.call("settled", task=num, docs=w.docs())
            tap.equal(asked["settled"], "unknown", "settled with nobody to ask")
            tap.ok(asked["text"], "it says why")
        finally:
            w.all_alive()


def a_lost_answer_is_looked_up(w):
    """perform: an answer lost is doubt; settled is asked, and nothing is asked for twice without a look"""
    for effect in (True, False):
        with w.another() as x, Drive(x) as d:
            d.observe()
            verb, args = x.change()
            num = d.call("plan", verb=verb, args=args)["plan"]["tasks"][0]["num"]
            x.lose(effect)
            done = d.perform(num)
            x.find()
            tap.ok(done["code"] == "IN_DOUBT" or (not effect and done["code"] in DOUBT),
                   "effect %s: %s %s" % (effect, done["code"], done["text"]))
            tap.equal(x.lost(), 1, "effect %s: answers lost" % effect)
            answer = d.call("settled", task=num, docs=x.docs())["settled"]
            tap.ok(answer != "unknown", "effect %s: settled can tell" % effect)
            if not effect:
                tap.equal(answer, "no", "settled, without effect")
            if answer == "no":
                good(d.perform(num), "effect %s: performed again" % effect)
            tap.equal(d.call("settled", task=num, docs=x.docs())["settled"], "yes", "effect %s: in the end" % effect)
            tap.equal(len(x.took_effect()), 1, "effect %s: what took effect: %s" % (effect, x.took_effect()))
            x.check_looked()


def nothing_is_begun_unnoted(w):
    """perform: what cannot be noted is not begun"""
    with Drive(w) as d:
        d.observe()
        verb, args = w.noting()
        num = d.call("plan", verb=verb, args=args)["plan"]["tasks"][0]["num"]
        before = len(w.changes())
        done = d.call("perform", task=num, docs=w.docs(), deaf=True)
        if done["code"] == "OK":
            tap.ok(not w.notes, "a task that notes something fails when it cannot")
        else:
            tap.equal(len(w.changes()), before, "changing requests")


def interrupted_soon(w):
    """perform: an interrupt returns soon, as such, and performing again goes on to the end"""
    with w.another("slow") as x, Drive(x) as d:
        d.observe()
        verb, args = x.slow()
        num = d.call("plan", verb=verb, args=args)["plan"]["tasks"][0]["num"]
        done = d.call("perform", task=num, docs=x.docs(), interruptAfter=1)
        tap.equal((done["code"], done["status"]), ("INTERRUPTED", 4), "interrupted (%s)" % done["text"])
        tap.ok(done["text"], "it says what goes on")
        tap.ok(done["ms"] < 8000, "it returned after %d ms" % done["ms"])
        x.hurry()
        good(d.perform(num), "performed again")
        tap.equal(d.call("settled", task=num, docs=x.docs())["settled"], "yes", "in the end")


# --- what the shell makes of it ---

def verbs_it_lacks(w):
    """a verb the engine lacks is refused by name with those it has; help plan shows only what fits"""
    with Drive(w) as d:
        has = d.opened["verbs"]
    text = w.kvsh("help plan").stdout
    shown = set(re.findall(r"^\s*plan ([\w-]+)", text, re.M)) & set(all_verbs())
    before = w.count()
    tap.equal(sorted(shown), sorted(has), "what help plan shows")
    for verb in all_verbs():
        if verb in has:
            continue
        done = w.kvsh("plan %s %s" % (verb, contract_worlds.WORDS[verb]))
        said = done.stdout + done.stderr
        tap.ok(done.returncode in (64, 65), "status of plan %s is %d" % (verb, done.returncode))
        tap.contains(said, verb, "the refusal of plan %s" % verb)
        for other in has:
            tap.contains(said, other, "the refusal of plan %s" % verb)
    tap.equal(w.count(), before, "requests")


def one_table_of_errors(w):
    """every error ends with the exit status and return code of one row of the table"""
    rows = set(err_table().values())
    seen = set()
    for line, want in w.failures():
        done = w.kvsh("-json " + line)
        document = contract_worlds.envelope(done)
        tap.equal(done.returncode, want, "status of %s (%s)" % (line, done.stdout + done.stderr))
        tap.ok((done.returncode, document.get("returnCode")) in rows, "%s: a row of the table: %s" % (line, document))
        tap.ok(document.get("description"), "%s: it is described" % line)
        seen.add(done.returncode)
    tap.ok(len(seen) >= 4, "several rows were seen: %s" % sorted(seen))


CASES = [a_silent_node_is_a_fact, nobody_answers, pure_parts_ask_nobody, every_verb_is_explained, nonsense_is_input,
         not_done_yet, a_lost_answer_is_looked_up, nothing_is_begun_unnoted, interrupted_soon, verbs_it_lacks,
         one_table_of_errors, twice_is_once]


def bind(name, make, function):
    def test():
        w = make()
        try:
            function(w)
        finally:
            w.close()
    test.__doc__ = "%s: %s" % (name, function.__doc__)
    return test


def every_engine_has_its_world():
    """every engine of this build has an entry in WORLDS"""
    with open(os.path.join(tap.source_dir(), "engines", "engines.c"), encoding="ascii") as f:
        tap.equal(set(re.findall(r"&engine_(\w+)", f.read())), set(WORLDS), "engines")


def the_end():
    """Nothing that was started remains"""
    for make in WORLDS.values():
        make.finish()


if __name__ == "__main__":
    tap.main([every_engine_has_its_world] + [bind(name, make, function) for name, make in WORLDS.items() if not ONLY or name in ONLY
                                             for function in CASES], the_end)
