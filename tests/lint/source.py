"""What the lint tests share: the list of files, and C text taken apart far enough to be measured."""
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import tap  # noqa: E402

ROOT = tap.source_dir()
CODE_DIRS = ("lib", "model", "engines", "plan", "cli", "commands", "agent", "include")
TEXT_DIRS = CODE_DIRS + ("tests", "scripts", "examples", "man", "m4", ".ci")
OURS_AT_TOP = ("Makefile.am", "configure.ac", "README.md", ".clang-format")


def files(dirs, *endings):
    """Paths relative to the root, sorted; all regular files when no ending is given. Generated ones are left out."""
    found = []
    for top in dirs:
        for folder, subs, names in os.walk(os.path.join(ROOT, top)):
            subs[:] = sorted(s for s in subs if s not in ("__pycache__", ".deps"))
            for name in names:
                if endings and not name.endswith(endings):
                    continue
                if not name.endswith((".o", ".a", ".log", ".trs", ".pyc", "~", ".dirstamp")):
                    found.append(os.path.relpath(os.path.join(folder, name), ROOT))
    return sorted(found)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def without_comments(text, keep_strings=True):
    """The same text with comments (and, if asked, the insides of strings) blanked; line numbers stay."""
    pattern = re.compile(
        r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def blank(match):
        found = match.group(0)
        if found[0] in "\"'":
            return found if keep_strings else found[0] + " " * (len(found) - 2) + found[0]
        return re.sub(r"[^\n]", " ", found)

    return pattern.sub(blank, text)


def _count_parameters(text):
    """Without the error that every function that can fail reports through, and without "..." and its va_list."""
    parameters, depth = [""], 0
    for c in text:
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            parameters.append("")
        else:
            parameters[-1] += c
    uncounted = r"\s*(|void|\.\.\.|va_list \w*|struct err \*\w*)\s*"
    return sum(1 for p in parameters if not re.fullmatch(uncounted, p))


_HEAD = re.compile(r"^[A-Za-z_][^;{}=#]*?\b(\w+)\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)[^;{}=]*", re.S)


def _chunks(text):
    """(line, text before it, what follows) of each top-level piece: function heads end with '{' or ';'."""
    code = without_comments(text, keep_strings=False)
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group(0)), code,
                  flags=re.M)
    depth, begin = 0, 0
    for i, c in enumerate(code):
        if c == "{":
            if depth == 0:
                yield begin, i, code[begin:i], "{"
            depth += 1
        elif c == "}":
            depth -= 1
            if depth == 0:
                begin = i + 1
        elif c == ";" and depth == 0:
            yield begin, i, code[begin:i], ";"
            begin = i + 1


def functions(text):
    """(name, first line, lines, parameters) of each function defined in a formatted C file."""
    code = without_comments(text, keep_strings=False)
    for begin, brace, head, end in _chunks(text):
        match = _HEAD.match(head.strip())
        if end != "{" or not match:
            continue
        parameters = 0 if "MHD_Result" in head else _count_parameters(match.group(2))  # the library's choice
        first = begin + len(head) - len(head.lstrip())
        close = code.find("\n}", brace)
        lines = code.count("\n", first, close + 1) + 1
        yield match.group(1), code.count("\n", 0, first) + 1, lines, parameters


def prototypes(text):
    """(name, line, parameters) of each function declared at the top level of a header."""
    for begin, _, head, end in _chunks(text):
        match = _HEAD.match(head.strip())
        if end == ";" and match and not head.strip().startswith("typedef"):
            first = begin + len(head) - len(head.lstrip())
            yield match.group(1), text.count("\n", 0, first) + 1, _count_parameters(match.group(2))


def report(faults, what):
    """One check: no faults. Lists them otherwise."""
    for fault in faults:
        tap.note(fault)
    tap.ok(not faults, "%s (%d found)" % (what, len(faults)))
