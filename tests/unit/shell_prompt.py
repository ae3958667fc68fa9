#!/usr/bin/env python3
"""The prompt in a terminal of its own: editing, completion, history, pasting, signals."""
import fcntl
import os
import pty
import re
import select
import signal
import stat
import struct
import sys
import tempfile
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import tap

DEMO = tap.program("tests/unit/shell_demo")
LIMIT = 30 * tap.SLOWER
PROMPT = "kv-> "
UP = b"\033[A"
# What libedit keeps until the process ends is no leak of ours.
SANITIZERS = {"LSAN_OPTIONS": "suppressions=%s/tests/lsan.supp:print_suppressions=0" % tap.source_dir(),
              **{name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}}
PASTE_MODE = re.compile("\033\\[\\?2004[hl]")


class Terminal:
    """The demo shell in a pseudo-terminal; what it writes is collected in self.text."""

    def __init__(self, home, columns=80, rows=24, **env):
        pid, fd = pty.fork()
        if pid == 0:
            env = {"HOME": home, "TERM": "xterm", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **SANITIZERS, **env}
            try:
                os.execve(DEMO, [DEMO], env)
            finally:
                os._exit(127)
        self.pid, self.fd, self.text, self.seen = pid, fd, "", 0
        self.raw = b""
        self.resize(columns, rows)
        self.expect(PROMPT)

    def resize(self, columns, rows):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds):
        """Reads what comes within the time; False when the other side is gone."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.raw += data
        self.text = PASTE_MODE.sub("", self.raw.decode("utf-8", "replace"))
        return bool(data)

    def expect(self, what):
        """Waits until that text comes behind what was expected before; returns what came up to its end."""
        end = time.monotonic() + LIMIT
        while what not in self.text[self.seen:]:
            if time.monotonic() > end or not self.read(0.1):
                if what in self.text[self.seen:]:
                    break
                tap.fail("never seen: %r; since then: %r" % (what, self.text[self.seen:]))
                return ""
        at = self.text.index(what, self.seen) + len(what)
        got, self.seen = self.text[self.seen:at], at
        return got

    def send(self, keys):
        os.write(self.fd, keys if isinstance(keys, bytes) else keys.encode())

    def line(self, keys):
        """Types a line, waits for the next prompt and returns what was printed between."""
        self.send(keys)
        self.send(b"\r")
        self.expect("\r\n")
        return self.expect(PROMPT)

    def pause(self, seconds=0.3):
        """Lets the shell come to rest: keys sent together would be one burst."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read(0.05)

    def status(self):
        """Waits for the end; the exit status, or minus the signal."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            self.read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)
        tap.fail("did not end")
        return None

    def interrupt(self):
        """Ctrl-C; what follows at once would be thrown away by the terminal driver."""
        self.send(b"\003")
        self.expect("^C\r\n")
        self.expect(PROMPT)

    def leave(self):
        self.send(b"\004")
        return self.status()


def in_home(test):
    def wrapped():
        with tempfile.TemporaryDirectory() as home:
            test(home)
    wrapped.__doc__ = test.__doc__
    wrapped.__name__ = test.__name__
    return wrapped


@in_home
def runs_lines(home):
    """Lines run; words may be shortened; Ctrl-D leaves with the status of the last command."""
    t = Terminal(home)
    tap.contains(t.line("echo one; echo 'two  three'"), "one\r\ntwo  three\r\n", "output")
    tap.contains(t.line("pl dep -name x -rf 2"), "zone x rf 2", "output of shortened words")
    tap.contains(t.line("fail -code 13"), "failed as asked\r\n    do not ask for it\r\n", "error")
    tap.contains(t.line("timer on"), "time: 0.", "timer")
    t.line("")
    tap.equal(t.leave(), 0, "status")
    t = Terminal(home)
    t.line("fail -code 13")
    tap.equal(t.leave(), 69, "status after a failure")
    t = Terminal(home)
    t.send("fail\rquit\r")
    tap.equal(t.status(), 1, "status of the command before quit")


@in_home
def continues_lines(home):
    """A backslash asks for more under a prompt of its own; errors name the column."""
    t = Terminal(home)
    t.send("echo a \\\r")
    t.expect("\r\n")
    t.expect("  -> ")
    tap.contains(t.line("b c"), "a b c\r\n", "output")
    tap.contains(t.line('echo "open'), "unterminated double quote in column 6", "error")
    t.send(UP + UP + b"\r")
    tap.contains(t.expect(PROMPT), "\r\na b c\r\n", "output of the line recalled as one")
    t.leave()


@in_home
def completes(home):
    """TAB completes what is certain and lists what is not, with meanings."""
    t = Terminal(home)
    t.send("pla\tst\t")
    tap.contains(t.expect(PROMPT + "plan st"), "stop-service   stop services\r\nstart-service  start services\r\n", "list")
    t.send("o\t-serv\trg1-rn2\r")
    tap.contains(t.expect(PROMPT), "stop 1 services, first rg1-rn2", "output")
    t.send("plan stop-service -service rg1-r\t\t")
    tap.contains(t.expect(PROMPT), "rg1-rn1  rg1-rn2\r\n", "names in columns")
    t.interrupt()
    t.send("plan stop-service -all-rns -znname Ne\t")
    t.expect("New York\" ")
    t.interrupt()
    t.send("plan deploy-zone -rf \t")
    tap.contains(t.expect(PROMPT), "-rf N: copies of each shard in this zone (a whole number from 1 to 20)", "hint")
    t.interrupt()
    t.send("plan \\\r")
    t.expect("  -> ")
    t.send("stop-service -zn zn\t")
    tap.contains(t.expect("-> "), "zn1  zn2\r\n", "on a continued line")
    t.interrupt()
    t.leave()


@in_home
def interrupts(home):
    """Ctrl-C clears the line, ends a waiting command, and swallows nothing typed behind it."""
    t = Terminal(home)
    t.send("echo never")
    t.expect("never")
    t.send(b"\003echo after\r")
    got = t.expect("after\r\nafter\r\n")
    tap.contains(got, "^C\r\n", "mark")
    t.expect(PROMPT)
    t.send("echo a \\\r")
    t.expect("  -> ")
    t.interrupt()
    t.send("echo -pause 50\r")
    t.expect("waiting")
    t.send(b"\003")
    t.expect("interrupted 1 times")
    t.expect(PROMPT)
    tap.contains(t.line("echo well"), "well\r\n", "after it")
    tap.equal(t.leave(), 0, "status")


@in_home
def pastes(home):
    """Pasted lines run one after the other, an unfinished one stays; no pasted byte is an editing key."""
    t = Terminal(home)
    tap.contains(t.raw, b"\033[?2004h", "bracketed paste is asked for")
    t.send(b"\033[200~echo one\necho t\two\r\nec\033[Aho three\necho four\033[201~")
    got = t.expect("unknown command \"ec[Aho\"")
    tap.contains(got, "\r\none\r\n", "first line")
    tap.contains(got, "\r\nt wo\r\n", "second line, its tab a blank")
    t.expect("four")
    t.send(" five\r")
    tap.contains(t.expect(PROMPT), "\r\nfour five\r\n", "what stayed")
    t.send(b"echo ")
    t.pause()
    t.send(b"\033[200~two words\033[201~")
    t.pause()
    t.send(b" \033[200~more\n\033[201~")
    t.expect("\r\n")
    tap.contains(t.expect(PROMPT), "two words more\r\n", "pasted into a line")
    t.send(b"\033[200~echo -pause 50\necho never\necho never\n\033[201~")
    t.expect("waiting")
    t.send(b"\003")
    t.expect("interrupted 1 times")
    t.expect(PROMPT)
    t.pause()
    tap.lacks(t.line("echo done"), "never", "output after Ctrl-C in a pasted command")
    tap.equal(t.leave(), 0, "status")
    tap.ok(t.raw.rstrip().endswith(b"\033[?2004l"), "bracketed paste is switched off at the end")


@in_home
def edits_as_vi(home):
    """The user's .editrc can choose vi keys; completion and pasting work there too."""
    with open(os.path.join(home, ".editrc"), "w", encoding="ascii") as f:
        f.write("bind -v\n")
    t = Terminal(home)
    t.send("echo one two")
    t.pause()
    t.send(b"\033")
    t.pause()
    t.send("bcwthree\r")
    tap.contains(t.expect(PROMPT), "one three\r\n", "edited line")
    t.send(b"\033")
    t.pause()
    t.send("k")
    t.pause()
    t.send(b"A\033[200~ four\033[201~\r")
    tap.contains(t.expect(PROMPT), "one three four\r\n", "recalled and pasted line")
    t.send(b"plan stop-service -all-rns -znname Bo\t\r")
    tap.contains(t.expect(PROMPT), "all 1", "completed line")
    t.leave()


@in_home
def edits_utf8(home):
    """Characters of several bytes are one character, whatever the locale."""
    for lang in ("C.UTF-8", "C", "xx_YY.ISO-8859-1"):
        t = Terminal(home, LANG=lang)
        t.send("echo \u00fc\u20acx\u65e5\u672c")
        t.pause()
        t.send(b"\177\177\177!\r")
        tap.contains(t.expect(PROMPT), "\r\n\u00fc\u20ac!\r\n", "output under LANG=" + lang)
        t.send("plan stop-service -all-rns -znname Z\t\r")
        tap.contains(t.expect(PROMPT), "\u00fcrich", "completed name")
        t.leave()


@in_home
def edits_long_lines(home):
    """A line longer than the terminal is edited, completed and run; the terminal may change its size."""
    t = Terminal(home, columns=40)
    words = " ".join("word%d" % i for i in range(20))
    t.send("echo " + words)
    t.pause()
    t.send(b"\001" + b"\006" * 5 + b"first \005 last\r")
    t.expect("first " + words + " last\r\n" + PROMPT)  # not the prompt that is drawn anew while the line is edited
    t.send("plan change-parameters -service rg1-rn1 -params ")
    t.pause()
    t.send("\t")
    t.expect("-params NAME=VALUE...: what to set\r\n" + PROMPT)
    t.resize(60, 24)
    t.pause()
    t.send("x=1\r")
    tap.contains(t.expect(PROMPT), "rg1-rn1: 1 parameters, last x=1", "output after a change of size")
    t.leave()


@in_home
def works_on_a_dumb_terminal(home):
    """TERM=dumb: no escape sequences, but lines, completion and errors."""
    t = Terminal(home, TERM="dumb")
    tap.contains(t.line("echo one"), "one\r\n", "output")
    t.send("plan st\t")
    t.expect("start-service  start services\r\n")
    t.expect(PROMPT)
    t.interrupt()
    t.send("echo -pause 0.2\r")
    t.expect(PROMPT)
    tap.lacks(t.text, "\033", "all output")
    tap.lacks(t.text, "waiting", "all output (progress)")
    tap.equal(t.leave(), 0, "status")


@in_home
def remembers_lines(home):
    """History: kept in a private file, recalled in the next shell, without duplicates and secrets."""
    path = os.path.join(home, "history")
    t = Terminal(home, DEMO_HISTORY=path)
    for line in ("echo one", "echo one", "login -user me -password hunter22", "echo a \\"):
        t.send(line + "\r")
        t.expect("-> ")
    t.send("b\r")
    t.expect(PROMPT)
    got = t.line("history")
    tap.contains(got, "    1  echo one\r\n    2  login -user me -password ****\r\n    3  echo a b\r\n    4  history\r\n",
                 "list")
    t.send(UP + UP + UP + b"\r")
    tap.contains(t.expect(PROMPT), "login -user me -password ****\r\n", "recalled line")
    t.leave()
    tap.equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "mode of the file")
    with open(path, encoding="utf-8") as f:
        tap.equal(f.read(), "echo one\nlogin -user me -password ****\necho a b\nhistory\n"
                  "login -user me -password ****\n", "file")
    t = Terminal(home, DEMO_HISTORY=path)
    t.send(UP * 3 + b"\r")
    tap.contains(t.expect(PROMPT), "\r\na b\r\n", "line recalled later")
    t.leave()
    t = Terminal(home, DEMO_HISTORY="/nonexistent/history")
    tap.contains(t.line("echo x"), "write /nonexistent/history: no such file or directory", "complaint")
    tap.lacks(t.line("echo y"), "nonexistent", "second line")
    t.leave()


@in_home
def ends_cleanly_when_terminated(home):
    """SIGTERM ends it with 143 and gives the terminal back as it was; so does a terminal that hangs up."""
    t = Terminal(home)
    t.send("echo typed")
    t.expect("typed")
    t.pause()
    raw = termios.tcgetattr(t.fd)[3]
    os.kill(t.pid, signal.SIGTERM)
    t.expect("\r\n")
    after = termios.tcgetattr(t.fd)[3]
    tap.equal(t.status(), 143, "status")
    tap.ok(not raw & termios.ICANON and after & termios.ICANON and after & termios.ECHO, "modes of the terminal")
    t = Terminal(home)
    os.close(t.fd)
    end = time.monotonic() + LIMIT
    pid = 0
    while not pid and time.monotonic() < end:
        time.sleep(0.05)
        pid = os.waitpid(t.pid, os.WNOHANG)[0]
    tap.ok(pid == t.pid, "ended after a hang-up")


@in_home
def stops_and_goes_on(home):
    """After a stop the line typed so far is there again and the terminal is set up anew."""
    t = Terminal(home)
    t.send("echo some")
    t.expect("some")
    t.pause()
    os.kill(t.pid, signal.SIGSTOP)
    attributes = termios.tcgetattr(t.fd)
    attributes[3] |= termios.ICANON | termios.ECHO
    termios.tcsetattr(t.fd, termios.TCSANOW, attributes)
    os.kill(t.pid, signal.SIGCONT)
    t.expect("echo some")
    t.send(" more\r")
    tap.contains(t.expect(PROMPT), "\r\nsome more\r\n", "output")
    t.leave()


@in_home
def shows_progress(home):
    """Progress is one line that goes away; never under -quiet or -json."""
    t = Terminal(home)
    t.send("echo -pause 0.3 x\r")
    tap.contains(t.expect(PROMPT), "waiting\r\033[Kx\r\n", "progress")
    tap.lacks(t.line("echo -pause 0.1 x -quiet"), "waiting", "under -quiet")
    tap.lacks(t.line("echo -pause 0.1 x -json"), "waiting", "under -json")
    t.leave()


@in_home
def pages_results(home):
    """Results go through the pager when that is switched on, and a pager that is left is no error."""
    t = Terminal(home, DEMO_PAGE="1", PAGER="sed s/^/paged:/")
    tap.contains(t.line("echo x"), "paged:x\r\n", "output")
    tap.lacks(t.line("echo x -json"), "paged", "JSON")
    t.leave()
    t = Terminal(home, DEMO_PAGE="1", PAGER="exec <&-; true")
    got = t.line("echo x")
    tap.lacks(got, "write results", "output")
    tap.contains(t.line("fail"), "failed as asked", "next line")
    t.leave()


if __name__ == "__main__":
    tap.main([runs_lines, continues_lines, completes, interrupts, pastes, edits_as_vi, edits_utf8, edits_long_lines,
              works_on_a_dumb_terminal, remembers_lines, ends_cleanly_when_terminated, stops_and_goes_on,
              shows_progress, pages_results])
