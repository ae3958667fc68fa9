#!/usr/bin/env python3
"""Sizes: functions, files, command files, parameters."""
import os

import source
import tap

FUNCTION_LINES, FILE_LINES, COMMAND_LINES, PARAMETERS = 100, 1000, 350, 5


def functions_are_short():
    """No function is longer than 100 lines."""
    faults, count = [], 0
    for path in source.files(source.CODE_DIRS + ("tests",), ".c", ".h"):
        for name, line, lines, _ in source.functions(source.read(path)):
            count += 1
            if lines > FUNCTION_LINES:
                faults.append("%s:%d: %s() has %d lines" % (path, line, name, lines))
    tap.ok(count > 50, "the functions were found (%d)" % count)
    source.report(faults, "functions of more than %d lines" % FUNCTION_LINES)


def functions_take_few_parameters():
    """No function takes more than 5 parameters."""
    faults = []
    for path in source.files(source.CODE_DIRS, ".c", ".h"):
        text = source.read(path)
        for name, line, _, parameters in source.functions(text):
            if parameters > PARAMETERS:
                faults.append("%s:%d: %s() takes %d parameters" % (path, line, name, parameters))
        if path.endswith(".h"):
            for name, line, parameters in source.prototypes(text):
                if parameters > PARAMETERS:
                    faults.append("%s:%d: %s() takes %d parameters" % (path, line, name, parameters))
    source.report(faults, "functions of more than %d parameters" % PARAMETERS)


def files_are_short():
    """No source file is longer than 1000 lines, no command longer than 350."""
    faults = []
    for path in source.files(source.CODE_DIRS + ("tests", "scripts", "examples"), ".c", ".h", ".py", ".sh"):
        lines = source.read(path).count("\n")
        is_command = os.path.dirname(path) == "commands"
        limit = COMMAND_LINES if is_command else FILE_LINES
        if lines > limit:
            faults.append("%s has %d lines, more than %d" % (path, lines, limit))
    source.report(faults, "files that are too long")


if __name__ == "__main__":
    tap.main([functions_are_short, functions_take_few_parameters, files_are_short])
