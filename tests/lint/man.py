#!/usr/bin/env python3
"""Manual pages render without a warning and name the options that the programs name, and no others."""
import os
import re
import subprocess

import source
import tap

BUILD = tap.build_dir()
PAGES = {"kvsh.1": "kvsh", "kvsh-commands.7": None, "kvsh-couchbase.7": None, "kvsh-plan.7": None, "kvsh.conf.5": None,
         "kvagentd.8": "kvagentd"}


def path_of(page):
    """In the source or, when generated, in the build."""
    for top in (source.ROOT, BUILD):
        path = os.path.join(top, "man", page)
        if os.path.exists(path):
            return path
    raise AssertionError("man/%s is neither in the source nor in the build" % page)


def text_of(page):
    with open(path_of(page), encoding="utf-8") as f:
        return f.read()


def output(*words):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=dict(os.environ, HOME="/nonexistent"))
    return done.stdout + done.stderr


def pages_render():
    """Every page renders without a warning"""
    faults = []
    for page in PAGES:
        done = subprocess.run(["groff", "-t", "-man", "-Tutf8", "-ww", "-z", path_of(page)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        faults += ["%s: %s" % (page, line) for line in done.stdout.splitlines()]
        if done.returncode != 0:
            faults.append("%s: groff ended with %d" % (page, done.returncode))
    source.report(faults, "complaints of groff")


def sections_are_there():
    """Every page has the sections that readers look for"""
    faults = []
    for page in PAGES:
        text = text_of(page)
        name = page.rpartition(".")[0]
        for section in ("NAME", "DESCRIPTION", "SEE ALSO"):
            if not re.search(r"^\.SH \"?%s\"?$" % section, text, re.M):
                faults.append("%s: no section %s" % (page, section))
        if not re.search(r"^%s \\- " % re.escape(name).replace(r"\-", r"\\?-"), text, re.M):
            faults.append("%s: no line 'NAME \\- what it is'" % page)
        if not re.search(r"^\.TH \S+ %s\b" % page[-1], text, re.M):
            faults.append("%s: .TH names another section" % page)
    source.report(faults, "missing sections")


def options_agree():
    """-help and manual name the same options"""
    faults = []
    for page, program in PAGES.items():
        if not program:
            continue
        text = text_of(page).replace("\\-", "-").replace("\\fB", "").replace("\\fR", "").replace("\\fI", "")
        told = re.sub(r"\nEXAMPLES\n(    .*\n)*", "", output(os.path.join(BUILD, program), "-help"))
        in_help = set(re.findall(r"(?<![\w-])-([a-z][a-z_-]+)", told))
        if program == "kvsh":
            in_man = set(re.findall(r"^\.TP\n\.BI? -([a-z][a-z_-]+)", text, re.M))
        else:
            in_man = set(re.findall(r"(?:^|(?<=[\s\[|,]))-([a-z][a-z_-]+)", text, re.M))
        faults += ["-%s: %s -help has it, %s has not" % (o, program, page) for o in sorted(in_help - in_man)]
        faults += ["-%s: %s has it, %s -help has not" % (o, page, program) for o in sorted(in_man - in_help)]
        if not in_help:
            faults.append("%s -help names no options" % program)
    source.report(faults, "differences between -help and manual")


def statuses_agree():
    """The table of exit statuses is that of lib/err.def"""
    text = text_of("kvsh.1")
    faults = []
    for name, status, meaning in re.findall(r'^ERR\((\w+), (\d+), \d+, "(.*)"\)$', source.read("lib/err.def"), re.M):
        if name == "INTERNAL":
            continue
        if not re.search(r"^\.TP\n\.B %s\n%s" % (status, re.escape(meaning).replace(r"\-", r"\\?-")), text, re.M):
            faults.append("%s: %s %s" % (name, status, meaning))
    source.report(faults, "exit statuses that kvsh.1 does not tell as err.def does")


def statuses_of_plans_are_told():
    """kvsh-plan(7) has every exit status but those of verify and of a prompt that is ended"""
    section = re.search(r"^\.SH EXIT STATUS\n(.*?)^\.SH ", text_of("kvsh-plan.7"), re.M | re.S).group(1)
    told = set(re.findall(r"\d+", " ".join(re.findall(r"^\.TP\n\.BR? (.*)$", section, re.M))))
    wanted = set(re.findall(r"^ERR\(\w+, (\d+),", source.read("lib/err.def"), re.M)) - {"2", "143"}
    source.report(["%s" % status for status in sorted(wanted ^ told, key=int)], "exit statuses of plans")


def every_command_is_described():
    """kvsh-commands(7) has every command that help has"""
    text = text_of("kvsh-commands.7").replace("\\-", "-")
    names = re.findall(r'\.name = "([^"]+)"', "".join(
        source.read(p) for p in source.files(("commands",), ".c") if "CMD_HIDDEN" not in source.read(p)))
    tap.ok(len(names) > 30, "the commands were found (%d)" % len(names))
    source.report([n for n in names if n not in text], "commands missing in kvsh-commands(7)")


def couchbase_rules_are_told():
    """kvsh-couchbase(7) has every rule that the engine refuses, warns or complains by"""
    text = text_of("kvsh-couchbase.7").replace("\\-", "-")
    rules = {rule for part in ("address", "check", "process_check", "verify") for rule in re.findall(
        r'findings_add\(\s*f,\s*SEVERITY_\w+,\s*"([a-z-]+)"', source.read("engines/couchbase/%s.c" % part))}
    tap.ok(len(rules) > 30, "the rules were found (%d)" % len(rules))
    source.report([r for r in sorted(rules) if not re.search(r"(?<![\w-])%s(?![\w-])" % r, text)],
                  "rules missing in kvsh-couchbase(7)")


def redis_rules_are_told():
    """kvsh-plan(7) has every rule that the engine refuses by"""
    text = text_of("kvsh-plan.7").replace("\\-", "-")
    rules = {rule for part in ("check", "cleanup", "operate", "recover", "rules") for rule in re.findall(
        r'findings_add\(\s*f,[^"]*?SEVERITY_(?:BLOCK|CONFIRM|FATAL),\s*"([a-z-]+)"', source.read("engines/redis/%s.c" % part))}
    tap.ok(len(rules) > 20, "the rules were found (%d)" % len(rules))
    source.report([r for r in sorted(rules) if not re.search(r"^\.BR? .*(?<![\w-])%s(?![\w-])" % r, text, re.M)],
                  "rules missing in kvsh-plan(7)")


def keys_are_told():
    """kvsh.conf(5) has the keys that the program takes, section by section, and no others"""
    text = text_of("kvsh.conf.5").replace("\\-", "-")
    faults = []
    for section, known in zip(("[store NAME]", "[kvsh]"), re.findall(
            r'"known keys: ((?:[^"]|"\s*")*)"', source.read("commands/settings.c"))):
        keys = set(re.sub(r'"\s*"', "", known).split(", "))
        part = text.partition("\n.SH %s\n" % section)[2].partition("\n.SH ")[0]
        told = {key for line in re.findall(r"^\.TP\n\.B (.*)$", part, re.M) for key in re.sub(r"\\f.", "", line).split(", ")}
        told |= {"notify-command"} if section == "[kvsh]" else set()  # told once for both
        faults += ["%s: %s" % (section, key) for key in sorted(keys ^ told)]
        tap.ok(len(keys) > 4, "the keys of %s were found" % section)
    source.report(faults, "keys that only the program or only kvsh.conf(5) has")


if __name__ == "__main__":
    tap.main([pages_render, sections_are_there, options_agree, statuses_agree, statuses_of_plans_are_told,
              every_command_is_described, couchbase_rules_are_told, redis_rules_are_told, keys_are_told])
