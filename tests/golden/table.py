#!/usr/bin/env python3
"""What holds for every command: sound declarations, help, one envelope whatever goes wrong."""
import json
import os
import re

import kvcase
import tap

STATUS = {}  # returnCode of the envelope by exit status, from lib/err.def


def read_statuses():
    with open(os.path.join(tap.source_dir(), "lib", "err.def"), encoding="utf-8") as f:
        for status, code in re.findall(r"^ERR\(\w+, (\d+), (\d+),", f.read(), re.M):
            STATUS.setdefault(int(status), set()).add(int(code))


def commands(place):
    done = kvcase.run(place, ["help", "-json"])
    return [c["name"] for c in json.loads(done.stdout)["returnValue"]["commands"]] + ["self-test", "complete"]


def envelope(place, words):
    """The one object a command prints, checked for its form."""
    about = " ".join(words)
    done = kvcase.run(place, words)
    tap.equal(done.stderr, "", about + ": stderr under -json")
    try:
        e = json.loads(done.stdout)
    except ValueError:
        tap.fail("%s: no JSON: %r" % (about, done.stdout))
        return {}
    for member, kind in (("operation", str), ("returnCode", int), ("description", str), ("returnValue", dict)):
        tap.ok(isinstance(e.get(member), kind), "%s: %s is a %s" % (about, member, kind.__name__))
    tap.equal(e.get("schema"), "kvsh/1", about + ": schema")
    tap.ok(e.get("returnCode") in STATUS.get(done.returncode, ()),
           "%s: status %d goes with returnCode %s" % (about, done.returncode, e.get("returnCode")))
    tap.ok(set(e) <= {"operation", "returnCode", "description", "advice", "position", "returnValue", "notes",
                      "schema"}, "%s: members %s" % (about, sorted(e)))
    return e


def declarations():
    """self-test finds nothing in the table of commands."""
    with kvcase.Place() as place:
        done = kvcase.run(place, ["self-test"])
        tap.equal(done.stdout, "the table of commands is sound\n", "complaints")
        tap.equal(done.returncode, 0, "status")


def every_command_has_help():
    """Every command explains itself, by -help and by help."""
    with kvcase.Place() as place:
        for name in commands(place):
            words = name.split()
            by_option, by_help = kvcase.run(place, words + ["-help"]), kvcase.run(place, ["help"] + words)
            tap.equal(by_option.returncode, 0, name + " -help: status")
            tap.equal(by_option.stdout, by_help.stdout, "help of " + name)
            tap.contains(by_option.stdout, name, "help of " + name)


def every_command_answers_in_json():
    """Without arguments, with an option that does not exist, without a store: always one envelope."""
    with kvcase.Place() as place:
        names = commands(place)
        tap.ok(len(names) > 45, "commands were found (%d)" % len(names))
        for name in names:
            envelope(place, ["-json"] + name.split())
            bogus = envelope(place, name.split() + ["-json", "-bogus"])
            if name != "help":
                tap.equal(bogus.get("returnCode"), 5100, name + " -bogus")
        for line in (["-json", "shw"], ["-json", "plan"], ["-json", "plan", "stopp-service"]):
            tap.equal(envelope(place, line).get("returnCode"), 5100, " ".join(line))


def every_command_answers_on_an_empty_store():
    """The same on a store that has nothing yet."""
    with kvcase.Place() as place:
        kvcase.run(place, ["configure", "-name", "s"])
        for name in commands(place):
            envelope(place, ["-json"] + name.split())


def schema_fits():
    """What the commands give has the members that help -json announces."""
    with kvcase.Place() as place:
        kvcase.run(place, ["configure", "-name", "s"])
        kvcase.run(place, ["plan", "deploy-zone", "-name", "Zone1", "-rf", "1", "-wait"])
        for line in ("show plans", "show plan -last", "show topology", "show zones", "show pools", "store list",
                     "verify configuration", "ping", "show events", "show parameters", "topology list"):
            e = envelope(place, ["-json"] + line.split())
            tap.equal(e.get("operation"), " ".join(w for w in line.split() if w != "-last"), "operation")
            tap.equal(e.get("returnCode"), 5000, line)


if __name__ == "__main__":
    read_statuses()
    tap.main([declarations, every_command_has_help, every_command_answers_in_json,
              every_command_answers_on_an_empty_store, schema_fits])
