"""Transcripts: what a user types, what the shell answers, in every way there is to use it.

A case is a file cases/NAME.txt:

    # what it is about
    $ touch {DIR}/x          a line for /bin/sh, before the next command; its output does not count
    > show plans             a command
         1 Deploy Zone ...   what it prints on stdout
    ! note: ...              what it prints on stderr
    = 65                     its exit status, when it is not 0

and beside it cases/NAME.json: what the same commands give under -json: for each a list of envelopes. Each case has a folder of
its own, {DIR}, with the configuration {DIR}/kvsh.conf and the state directory {DIR}/state. What differs from run to run
(the folder, times, user and host, process numbers) is replaced by words before anything is compared.
"""
import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import tap  # noqa: E402

KVSH = tap.program("kvsh")
CASES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases")
PROMPT = "kv-> "
SECONDS = 30 * tap.SLOWER


class Step:
    def __init__(self, line):
        self.line = line
        self.before = []  # lines for /bin/sh
        self.out, self.err, self.status = [], [], 0


class Case:
    def __init__(self, path):
        self.name = os.path.basename(path)[:-len(".txt")]
        self.path, self.head, self.steps = path, [], []
        shell = []
        with open(path, encoding="utf-8") as f:
            for line in f.read().split("\n")[:-1]:
                if line.startswith("> "):
                    self.steps.append(Step(line[2:]))
                    self.steps[-1].before, shell = shell, []
                elif line.startswith("$ "):
                    shell.append(line[2:])
                elif not self.steps:
                    self.head.append(line)
                elif line.startswith("! ") or line == "!":
                    self.steps[-1].err.append(line[2:])
                elif line.startswith("= "):
                    self.steps[-1].status = int(line[2:])
                else:
                    self.steps[-1].out.append(line)

    def expected_json(self):
        with open(self.path[:-len("txt")] + "json", encoding="utf-8") as f:
            return json.load(f)


class Place:
    """The folder a case plays in."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="kvsh-golden-")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for folder, _, _ in os.walk(self.dir):
            os.chmod(folder, 0o700)
        shutil.rmtree(self.dir)

    def env(self):
        env = {k: v for k, v in os.environ.items()
               if not k.startswith(("KVSH", "XDG_")) and k not in ("NO_COLOR", "PAGER", "EDITOR")}
        env.update(HOME=self.dir, TERM="dumb", LC_ALL="C.UTF-8", LOGNAME="somebody", COLUMNS="100")
        env.setdefault("LSAN_OPTIONS", "suppressions=%s/tests/lsan.supp:print_suppressions=0" % tap.source_dir())
        return env

    def flags(self):
        return ["-config", self.dir + "/kvsh.conf", "-state-dir", self.dir + "/state"]

    def fill(self, line):
        return line.replace("{DIR}", self.dir)

    def before(self, step):
        for line in step.before:
            subprocess.run(["/bin/sh", "-c", self.fill(line)], check=True, cwd=self.dir,
                           env=dict(self.env(), KVSH=KVSH), stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL)

    def mask(self, text):
        text = text.replace(self.dir, "{DIR}")
        text = re.sub(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "{TIME}", text)
        text = re.sub(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "{TIME}", text)
        text = re.sub(r"\bsomebody@[\w.-]+|\b\w+@" + re.escape(os.uname().nodename), "{USER}", text)
        text = re.sub(r"\bprocess \d+", "process {PID}", text)
        return re.sub(r"(kvsh |Version: |\"(?:client)?[vV]ersion\": \")\d+\.\d+\.\d+", r"\1{VERSION}", text)


def lines(text):
    return text.split("\n")[:-1] if text.endswith("\n") else text.split("\n") if text else []


def run(place, words, stdin=None):
    return subprocess.run([KVSH] + place.flags() + words, input=stdin, text=True, capture_output=True,
                          cwd=place.dir, env=place.env(), timeout=SECONDS,
                          **({} if stdin is not None else {"stdin": subprocess.DEVNULL}))


# --- the ways to use it; each yields (stdout lines, stderr lines, status) for each step, or None where unknown ---

def play(place, step, flags, as_script):
    if not as_script:
        done = run(place, list(flags) + shlex.split(place.fill(step.line)))
        return lines(place.mask(done.stdout)), lines(place.mask(done.stderr)), done.returncode
    done = run(place, list(flags), stdin="# a comment\n\n" + place.fill(step.line) + "\n")
    err = [re.sub(r"^stdin:3: ", "", line) for line in lines(place.mask(done.stderr))
           if line != "    loaded from stdin:3"]
    out = [re.sub(r'^  "position": "stdin:3",$', '  "position": "{POSITION}",', line)
           for line in lines(place.mask(done.stdout))]
    return out, err, done.returncode


def is_argv(line):
    """Can the line come as arguments? One with an open quote is for scripts and the prompt alone."""
    try:
        return bool(shlex.split(line))
    except ValueError:
        return False


def one_shot(case, place, flags=()):
    for step in case.steps:
        place.before(step)
        yield play(place, step, flags, not is_argv(step.line))


def script(case, place):
    """Each command through stdin: the position stands before its error."""
    for step in case.steps:
        place.before(step)
        yield play(place, step, (), True)


class Terminal:
    """A kvsh at its prompt, behind a terminal of its own."""

    def __init__(self, place, flags=()):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(place.dir)
            os.execve(KVSH, [KVSH] + place.flags() + ["-color", "never"] + list(flags), place.env())
        self.buffer = ""
        self.greeting = self.read_to_prompt()

    def read_to_prompt(self):
        end = time.monotonic() + SECONDS
        while not self.buffer.endswith(PROMPT):
            if time.monotonic() > end or not select.select([self.fd], [], [], SECONDS)[0]:
                raise AssertionError("no prompt; there is: %r" % self.buffer)
            self.buffer += os.read(self.fd, 65536).decode("utf-8", "replace")
        text, self.buffer = self.buffer[:-len(PROMPT)], ""
        return text.replace("\r\n", "\n").replace("\r", "")

    def send(self, line):
        os.write(self.fd, line.encode() + b"\n")

    def type(self, line):
        self.send(line)
        text = self.read_to_prompt()
        while text.startswith(line + "\n"):  # the echo: twice when the terminal was not taken over yet
            text = text[len(line) + 1:]
        return text

    def close(self):
        """Leaves by end of input; the status of the last command."""
        return self.wait(b"\x15\x04")  # the line is emptied first

    def wait(self, meanwhile=b""):
        """Until it has gone, writing `meanwhile` now and then; its status."""
        end = time.monotonic() + SECONDS
        try:
            while time.monotonic() < end:
                os.write(self.fd, meanwhile)
                while select.select([self.fd], [], [], 0.2)[0] and os.read(self.fd, 65536):
                    pass
        except OSError:
            pass  # it has gone
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        self.pid = 0
        return status

    def kill(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.fd)


def prompt(case, place):
    """All commands at one prompt; both streams end on the terminal. A case that says so gets a new one for each command."""
    terminal, fresh = None, any("one process for each command" in line for line in case.head)
    try:
        for step in case.steps:
            place.before(step)
            terminal = terminal or Terminal(place)
            yield lines(place.mask(terminal.type(place.fill(step.line)))), None, None
            if fresh or step is case.steps[-1]:
                tap.equal(terminal.close(), step.status, "%s: status of the prompt" % step.line)
                terminal = None
    finally:
        if terminal:
            terminal.kill()


# --- what is compared ---

def split(both, err):
    """Of the lines of both streams those that belong to stderr."""
    return [line for line in both if line in err]


def check_text(case, way):
    with Place() as place:
        for step, (out, err, status) in zip(case.steps, way(case, place)):
            about = "%s: %s: " % (way.__name__, step.line)
            if err is None:
                err, out = split(out, step.err), [line for line in out if line not in step.err]
                status = step.status
            tap.equal(out, step.out, about + "stdout")
            tap.equal(err, step.err, about + "stderr")
            tap.equal(status, step.status, about + "status")


def objects(text):
    """The objects of a text, one behind the other: a command that runs others prints theirs, too."""
    found, decoder, text = [], json.JSONDecoder(), text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:].strip()
    return found


def envelopes(case, place):
    found = []
    for step, (out, err, status) in zip(case.steps, one_shot(case, place, ["-json"])):
        tap.equal(status, step.status, "json: %s: status" % step.line)
        tap.equal(err, [], "json: %s: stderr" % step.line)
        found.append(objects("\n".join(out)))
    return found


def check_json(case):
    with Place() as place:
        found, wanted = envelopes(case, place), case.expected_json()
        tap.equal(len(found), len(wanted), "number of envelopes")
        for step, got, want in zip(case.steps, found, wanted):
            tap.equal(got, want, "json: %s" % step.line)


def record(case):
    """Writes down what the program answers now; to be read before it is kept."""
    with Place() as place:
        for step, (out, err, status) in zip(case.steps, one_shot(case, place)):
            step.out, step.err, step.status = out, err, status
    with open(case.path, "w", encoding="utf-8") as f:
        f.write("\n".join(case.head) + "\n")
        for step in case.steps:
            for line in step.before:
                f.write("$ %s\n" % line)
            f.write("> %s\n" % step.line)
            f.write("".join("%s\n" % line for line in step.out))
            f.write("".join(("! %s" % line).rstrip() + "\n" for line in step.err))
            if step.status:
                f.write("= %d\n" % step.status)
    with Place() as place:
        found = envelopes(case, place)
    with open(case.path[:-len("txt")] + "json", "w", encoding="utf-8") as f:
        json.dump(found, f, indent=2, ensure_ascii=False)
        f.write("\n")


def all_cases():
    return [Case(os.path.join(CASES, name)) for name in sorted(os.listdir(CASES)) if name.endswith(".txt")]
