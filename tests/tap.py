"""TAP for the tests written in Python: a list of functions, each one test.

    import tap
    def case_one():
        tap.equal(1 + 1, 2, "arithmetic")
    tap.main([case_one])

A test fails when one of its checks failed or when it raised an exception. No test is ever skipped.
"""
import os
import sys
import time
import traceback

_failures = 0


def note(text):
    """A diagnostic line (or several)."""
    for line in str(text).splitlines() or [""]:
        print("# " + line, flush=True)


def fail(text):
    global _failures
    _failures += 1
    note(text)
    return False


def ok(condition, what):
    return True if condition else fail("not so: " + what)


def equal(got, want, what):
    return True if got == want else fail("%s is %r, want %r" % (what, got, want))


def contains(text, part, what):
    return True if part in text else fail("%s lacks %r; it is:\n%s" % (what, part, text))


def lacks(text, part, what):
    return True if part not in text else fail("%s has %r; it is:\n%s" % (what, part, text))


def _run(number, test):
    global _failures
    _failures = 0
    begin = time.monotonic()
    try:
        test()
    except Exception:
        fail(traceback.format_exc(limit=-3, chain=False))
    name = (test.__doc__ or test.__name__).strip().split("\n")[0].rstrip(".")
    print("%sok %d - %s" % ("not " if _failures else "", number, name), flush=True)
    note("%.1f s" % (time.monotonic() - begin))
    return _failures == 0


def main(tests, after=None):
    """Runs all tests in order, then after(), which is one more test when given. Exits."""
    if after:
        tests = tests + [after]
    print("1..%d" % len(tests), flush=True)
    results = [_run(i + 1, test) for i, test in enumerate(tests)]
    sys.exit(0 if all(results) else 1)


def source_dir():
    here = os.path.dirname(os.path.abspath(__file__))
    return os.environ.get("top_srcdir") or os.path.dirname(here)


def build_dir():
    return os.environ.get("top_builddir") or os.getcwd()
