#!/usr/bin/env python3
"""Includes only go down the layers, and each library is touched by the files that own it."""
import os
import re

import source
import tap

# Which folders a folder may include from. include/kvsh headers belong to the folder that OWNERS names.
ALLOWED = {
    "lib": {"lib"},
    "model": {"model", "lib"},
    "engines": {"engines", "model", "lib"},
    "plan": {"plan", "engines", "model", "lib"},
    "cli": {"cli", "lib"},
    "commands": {"commands", "cli", "plan", "engines", "model", "lib"},
    "agent": {"agent", "model", "lib"},
}
OWNERS = {
    "lib": "buf conf db err fault fs http json log mem out",
    "model": "cluster finding meta plan safety",
    "engines": "engine",
    "plan": "journal run",
    "cli": "cmd shell",
}
# cli/main.c is the program: it is the one file of its folder that knows the commands.
EXCEPTIONS = {"cli/main.c": {"commands"}}

# Each library is included by these files or folders only.
LIBRARIES = {
    r"cjson/.*|cJSON\.h": ("lib/json.c",),
    r"curl/.*": ("lib/http",),
    r"sqlite3\.h": ("lib/db",),
    r"ini\.h": ("lib/conf.c",),
    r"hiredis/.*|hiredis\.h": ("agent/",),
    r"microhttpd\.h": ("agent/", "tests/"),
    r"gnutls/.*": ("agent/", "tests/"),
    r"histedit\.h|editline/.*": ("cli/",),
}
OWNER_OF = {"kvsh/%s.h" % name: layer for layer, names in OWNERS.items() for name in names.split()}


def includes(path):
    """(line, name, quoted) of each #include."""
    for number, line in enumerate(source.without_comments(source.read(path)).split("\n"), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if match:
            yield number, match.group(2), match.group(1) == '"'


def layer_of_include(path, name):
    """The layer a project header belongs to; None for a system or library header."""
    if name in OWNER_OF:
        return OWNER_OF[name]
    beside = os.path.join(os.path.dirname(path), name)
    for candidate in (os.path.normpath(beside), name):
        if os.path.exists(os.path.join(source.ROOT, candidate)):
            return candidate.split(os.sep)[0]
    return None


def headers_have_owners():
    """Every header in include/kvsh belongs to one layer."""
    known = set(OWNER_OF)
    there = {p[len("include/"):] for p in source.files(("include",), ".h")}
    source.report(["%s: which layer owns it? add it to OWNERS" % h for h in sorted(there - known)],
                  "headers without an owner")


def includes_go_down():
    """Includes and calls only go down."""
    faults = []
    for path in source.files(tuple(ALLOWED), ".c", ".h"):
        layer = path.split(os.sep)[0]
        allowed = ALLOWED[layer] | EXCEPTIONS.get(path, set())
        for line, name, quoted in includes(path):
            target = layer_of_include(path, name)
            if target == "include":
                continue
            if target and target not in allowed:
                faults.append("%s:%d: %s/ may not include %s, which belongs to %s/"
                              % (path, line, layer, name, target))
            if quoted and not target and not name.endswith("config.h"):
                faults.append("%s:%d: %s does not exist" % (path, line, name))
    source.report(faults, "includes against the direction of the layers")


def include_headers_go_down():
    """Shared headers include only headers of their own layer and below."""
    faults = []
    for path in source.files(("include",), ".h"):
        layer = OWNER_OF.get(path[len("include/"):])
        for line, name, _ in includes(path):
            target = layer_of_include(path, name)
            if layer and target and target not in ALLOWED[layer]:
                faults.append("%s:%d: a header of %s/ includes %s of %s/" % (path, line, layer, name, target))
    source.report(faults, "shared headers including upwards")


def libraries_stay_home():
    """Each foreign library is included only where it belongs."""
    faults = []
    for path in source.files(source.CODE_DIRS + ("tests",), ".c", ".h"):
        for line, name, _ in includes(path):
            for pattern, homes in LIBRARIES.items():
                if re.fullmatch(pattern, name) and not path.startswith(homes):
                    faults.append("%s:%d: %s belongs to %s" % (path, line, name, " and ".join(homes)))
    source.report(faults, "libraries included from elsewhere")


def own_header_comes_first():
    """A file with a header of its own includes that first."""
    faults = []
    for path in source.files(tuple(ALLOWED), ".c"):
        stem = path[:-2]
        own = [h for h in (stem + ".h", "include/kvsh/" + os.path.basename(stem) + ".h")
               if os.path.exists(os.path.join(source.ROOT, h))]
        if own[1:] or not own or (own[0].startswith("include/") and
                                  OWNER_OF.get(own[0][8:]) != path.split(os.sep)[0]):
            own = own[:1] if own and not own[0].startswith("include/") else []
        if not own:
            continue
        names = [name for _, name, _ in includes(path)]
        wanted = {own[0], os.path.basename(own[0]), own[0].replace("include/", "")}
        if not names or names[0] not in wanted:
            faults.append("%s: includes %s before %s" % (path, names[0] if names else "nothing", own[0]))
    source.report(faults, "files whose own header is not first")


if __name__ == "__main__":
    tap.main([headers_have_owners, includes_go_down, include_headers_go_down, libraries_stay_home,
              own_header_comes_first])
