#!/usr/bin/env python3
"""Plays every case: by argv, by stdin, at the prompt, and under -json. `golden.py -record NAME...` writes cases anew."""
import sys

import kvcase
import tap


def test_of(case, way):
    def test():
        if way is None:
            kvcase.check_json(case)
        else:
            kvcase.check_text(case, way)
    test.__doc__ = "%s, %s" % (case.name, way.__name__ if way else "json")
    return test


if __name__ == "__main__":
    if sys.argv[1:2] == ["-record"]:
        for one in kvcase.all_cases():
            if one.name in sys.argv[2:]:
                kvcase.record(one)
        sys.exit(0)
    WAYS = (kvcase.one_shot, kvcase.script, kvcase.prompt, None)
    tap.main([test_of(case, way) for case in kvcase.all_cases() for way in WAYS])
