"""TAP for the tests written in Python: a list of functions, each one test.

    import tap
    def case_one():
        tap.equal(1 + 1, 2, "arithmetic")
    tap.main([case_one])

A test fails when one of its checks failed or when it raised an exception. No test is ever skipped.

KVSH_TEST_WATCH is "sanitizer" where the programs are built with sanitizers, "valgrind" where they shall run under it. What
these report, in whatever process that a test leads to, is one more test. KVSH_TEST_SLOWER says how many times slower than
usual the programs may be.
"""
import atexit
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

SLOWER = int(os.environ.get("KVSH_TEST_SLOWER") or 1)
WATCH = os.environ.get("KVSH_TEST_WATCH")
# Error status, since a caller may look at nothing else; children that are not ours run by themselves. What the C library
# would free at the end also flushes files that a forked child shares with its parent: not freed. A child in which no program
# could be begun ends with the memory of all threads of its parent, but without the threads: silent until then.
VALGRIND = [shutil.which("valgrind") or "valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--show-leak-kinds=definite",
            "--errors-for-leak-kinds=definite", "--num-callers=30", "--run-libc-freeres=no", "--trace-children=yes", "--vgdb=no",
            "--child-silent-after-fork=yes",
            "--trace-children-skip=*redis*,/bin/*,/usr/*,/sbin/*"]

_failures = 0
_reports = None  # the folder of reports


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
    if WATCH:
        tests = tests + [_nothing_reported]
    print("1..%d" % len(tests), flush=True)
    results = [_run(i + 1, test) for i, test in enumerate(tests)]
    sys.exit(0 if all(results) else 1)


def source_dir():
    here = os.path.dirname(os.path.abspath(__file__))
    return os.environ.get("top_srcdir") or os.path.dirname(here)


def build_dir():
    return os.environ.get("top_builddir") or os.getcwd()


def program(name):
    """What to start for a program of the build: itself, or what runs it under valgrind."""
    return os.path.join(_reports if WATCH == "valgrind" else build_dir(), name)


# --- what watches the programs ---

def _collect_reports():
    """Makes the folder, tells sanitizers to write there, and makes the programs that valgrind runs."""
    global _reports
    _reports = os.environ.get("KVSH_TEST_REPORTS")  # of this very process, before it took another program
    if _reports:
        atexit.register(shutil.rmtree, _reports, ignore_errors=True)
        return
    _reports = os.environ["KVSH_TEST_REPORTS"] = tempfile.mkdtemp(prefix="kvsh-test-reports-")
    atexit.register(shutil.rmtree, _reports, ignore_errors=True)
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
        before = os.environ.get(name)
        os.environ[name] = (before + ":" if before else "") + "log_path=%s/report" % _reports
    if WATCH == "valgrind":
        os.makedirs(program("tests/unit"))
        for name in ("kvsh", "kvagentd", "tests/unit/shell_demo"):
            words = VALGRIND + ["--suppressions=%s/tests/valgrind.supp" % source_dir(),
                                "--log-file=%s/report.%%p" % _reports, os.path.join(build_dir(), name)]
            with open(os.open(program(name), os.O_WRONLY | os.O_CREAT, 0o755), "w", encoding="utf-8") as f:
                f.write("#!/bin/sh\nexec %s \"$@\"\n" % " ".join(map(shlex.quote, words)))


def _nothing_reported():
    """Nothing was reported by what watches the programs"""
    for name in sorted(os.listdir(_reports)):
        if name.startswith("report"):
            with open(os.path.join(_reports, name), encoding="utf-8", errors="replace") as f:
                text = "".join(line for line in f if not line.startswith("--"))  # what valgrind says of itself
            if text.strip():
                fail("%s:\n%s" % (name, text[:10000]))


class _Patient(subprocess.Popen):
    """Waits as long for a slower program as its caller would for the usual one."""

    def wait(self, timeout=None):
        return super().wait(timeout and timeout * SLOWER)

    def communicate(self, input=None, timeout=None):
        return super().communicate(input, timeout and timeout * SLOWER)


if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell's background job
    signal.signal(signal.SIGINT, signal.default_int_handler)
if WATCH:
    _collect_reports()
if SLOWER > 1:
    subprocess.Popen = _Patient
