#!/usr/bin/env python3
"""Words that must not be in the tree: banned functions, unfinished work, machine paths, secrets; blanks."""
import os
import re
import stat

import source
import tap

# Functions with no safe use here, and what stands for them.
BANNED = {
    "strcpy": "buf.h", "strcat": "buf.h", "strncpy": "buf.h", "strncat": "buf.h", "stpcpy": "buf.h",
    "sprintf": "snprintf or buf.h", "vsprintf": "vsnprintf", "gets": "fgets", "scanf": "strtoll", "sscanf": "strtoll",
    "strtok": "strcspn", "atoi": "strtoll", "atol": "strtoll", "atoll": "strtoll", "atof": "strtod",
    "system": "posix_spawn with an argument vector", "popen": "posix_spawn with an argument vector",
    "tmpnam": "mkstemp", "tempnam": "mkstemp", "mktemp": "mkstemp", "alloca": "mem.h", "setjmp": "an error",
    "longjmp": "an error", "rand": "fs_random_hex", "srand": "fs_random_hex", "gmtime": "gmtime_r",
    "localtime": "localtime_r", "ctime": "time_text", "asctime": "time_text", "gethostbyname": "getaddrinfo",
    "vfork": "posix_spawn", "usleep": "time_sleep_ms",
}
# Product code allocates through mem.h, which ends the process with a message when memory is out.
ALLOCATORS = ("malloc", "calloc", "realloc", "strdup", "strndup", "asprintf", "vasprintf")
ALLOCATOR_HOMES = ("lib/mem.c",)
EXCEPTIONS = {("popen", "cli/pager.c")}

# Spelled so that this file does not contain them.
CONFLICTS = r"^(<{7}|={7}|>{7}|[|]{7})( |$)"
UNFINISHED = r"\b(T[O]DO|FI[X]ME|X[X]X(?!X)|HA[C]K|stub for n[o]w|for n[o]w\b)"
MACHINE_PATHS = r"(/wo[r]k/|/tmp/[wb]/|/tmp/con[t]ract|/ho[m]e/[a-z]+/|/ro[o]t/)"
SECRETS = r"(-----BEG[I]N [A-Z ]*PRIVATE KEY|AK[I]A[0-9A-Z]{16}|gh[p]_[A-Za-z0-9]{30}|x[o]x[bp]-[0-9])"


def texts():
    """(path, text) of everything that is ours and text."""
    paths = source.files(source.TEXT_DIRS) + [p for p in source.OURS_AT_TOP
                                              if os.path.exists(os.path.join(source.ROOT, p))]
    for path in paths:
        if "/corpus/" in path or path.startswith("tests/fuzz/") and not path.endswith((".c", ".inc")):
            continue
        try:
            yield path, source.read(path)
        except UnicodeDecodeError:
            yield path, None


def grep(pattern, but=()):
    found, compiled = [], re.compile(pattern)
    for path, text in texts():
        for number, line in enumerate((text or "").split("\n"), 1):
            match = compiled.search(line)
            if match and path not in but:
                found.append("%s:%d: %s" % (path, number, match.group(0)))
    return found


def banned_functions():
    """Banned functions are not called."""
    faults = []
    call = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(BANNED))
    for path in source.files(source.CODE_DIRS + ("tests",), ".c", ".h"):
        code = source.without_comments(source.read(path), keep_strings=False)
        for number, line in enumerate(code.split("\n"), 1):
            for match in call.finditer(line):
                if (match.group(1), path) not in EXCEPTIONS:
                    faults.append("%s:%d: %s(), use %s" % (path, number, match.group(1), BANNED[match.group(1)]))
    source.report(faults, "calls of banned functions")


def allocation_by_mem():
    """Product code allocates through mem.h."""
    faults = []
    call = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(ALLOCATORS))
    for path in source.files(source.CODE_DIRS, ".c", ".h"):
        if path in ALLOCATOR_HOMES:
            continue
        code = source.without_comments(source.read(path), keep_strings=False)
        for number, line in enumerate(code.split("\n"), 1):
            for match in call.finditer(line):
                faults.append("%s:%d: %s(), use mem.h" % (path, number, match.group(1)))
    source.report(faults, "allocations past mem.h")


def nothing_unfinished():
    """Nothing is marked as unfinished, and no merge has left its marks."""
    source.report(grep(UNFINISHED) + grep(CONFLICTS), "unfinished places")


def no_machine_paths():
    """No path of somebody's machine, no secret."""
    source.report(grep(MACHINE_PATHS) + grep(SECRETS), "machine paths and secrets")


def clean_text():
    """UTF-8, no tabs in C and Python, no blanks at line ends, one newline at the end."""
    faults = []
    for path, text in texts():
        if text is None:
            faults.append("%s: is not UTF-8" % path)
            continue
        if text and not text.endswith("\n"):
            faults.append("%s: no newline at the end" % path)
        if text.endswith("\n\n"):
            faults.append("%s: empty line at the end" % path)
        if "\r" in text and not path.startswith("tests/golden/"):
            faults.append("%s: carriage return" % path)
        for number, line in enumerate(text.split("\n"), 1):
            if line.endswith((" ", "\t")) and not path.startswith("tests/golden/"):
                faults.append("%s:%d: blank at the end of the line" % (path, number))
            if "\t" in line and path.endswith((".c", ".h", ".py", ".def")):
                faults.append("%s:%d: tab" % (path, number))
    source.report(faults, "untidy lines")


def scripts_parse():
    """Scripts have a first line, the executable bit, and parse."""
    faults = []
    for path in source.files((".ci", "scripts", "examples", "tests")):
        if path.startswith("tests/fuzz/") and ".in/" in path:  # inputs, whatever they look like
            continue
        full = os.path.join(source.ROOT, path)
        text = source.read(path) if starts_as_script(full) or path.endswith(".py") else ""
        executable = os.stat(full).st_mode & stat.S_IXUSR
        if text.startswith("#!") and not executable:
            faults.append("%s: not executable" % path)
        if executable and not text.startswith("#!"):
            faults.append("%s: executable without #! line" % path)
        if path.endswith(".py"):
            compile(text, path, "exec")
        elif text.startswith(("#!/bin/sh", "#!/bin/bash")) and \
                os.spawnlp(os.P_WAIT, "sh" if "/sh" in text[:12] else "bash", "sh", "-n", full) != 0:
            faults.append("%s: does not parse" % path)
    source.report(faults, "scripts that would not start")


def starts_as_script(path):
    with open(path, "rb") as f:
        return f.read(2) == b"#!"


if __name__ == "__main__":
    tap.main([banned_functions, allocation_by_mem, nothing_unfinished, no_machine_paths, clean_text,
              scripts_parse])
