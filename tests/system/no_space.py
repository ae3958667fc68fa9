#!/usr/bin/env python3
"""A state directory that is full, or on a read-only file system: looked at, with a word; changes are refused.

As root, and where users may have file systems of their own, the directory is a small tmpfs in a mount namespace of this
test; elsewhere it is taken the permission to write, which the kernel answers in the same places.
"""
import os
import shutil
import subprocess
import sys

import kvtest
import tap
from kvtest import STORE, wait_for

INSIDE = "KVSH_TEST_INSIDE"
NAMESPACES = (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"])


def enter_namespace():
    """Begins anew where mounting is possible and seen by nobody else; else goes on as it is."""
    if INSIDE in os.environ or not shutil.which("unshare"):
        return
    for words in NAMESPACES:
        probe = words + ["sh", "-c", "mount -t tmpfs kvsh-test /mnt"]
        if subprocess.run(probe, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False).returncode == 0:
            os.execvpe(words[0], words + [sys.executable] + sys.argv, dict(os.environ, **{INSIDE: "tmpfs"}))


class Tmpfs:
    def __init__(self, path):
        self.path = path
        os.makedirs(path)
        subprocess.check_call(["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "kvsh-test", path])

    def fill(self):
        with open(os.path.join(self.path, "fill"), "wb", buffering=0) as f:
            try:
                while True:
                    f.write(bytes(4096))
            except OSError:
                pass

    def empty(self):
        os.unlink(os.path.join(self.path, "fill"))

    def read_only(self, on):
        subprocess.check_call(["mount", "-o", "remount," + ("ro" if on else "rw"), self.path])

    def close(self):
        subprocess.check_call(["umount", "--lazy", self.path])  # a runner may just be ending


class Permissions:
    """The same without mounting; only for users whom permissions stop."""

    def __init__(self, path):
        self.path = path
        os.makedirs(path)

    def read_only(self, on):
        for folder, _, names in os.walk(self.path, topdown=on):
            for name in names:
                os.chmod(os.path.join(folder, name), 0o400 if on else 0o600)
            os.chmod(folder, 0o500 if on else 0o700)

    fill = lambda self: self.read_only(True)  # noqa: E731
    empty = lambda self: self.read_only(False)  # noqa: E731

    def close(self):
        pass


def become_nobody():
    """Permissions do not stop root."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


enter_namespace()
if INSIDE not in os.environ:
    become_nobody()
lab = kvtest.Lab()
state = (Tmpfs if os.environ.get(INSIDE) == "tmpfs" else Permissions)(os.path.join(lab.folder, "state"))
FULL = "no space left" if isinstance(state, Tmpfs) else "not writable"
READ_ONLY = "read-only file system" if isinstance(state, Tmpfs) else "not writable"


def looked_at(why):
    """Everything that only looks works, and says why nothing is kept."""
    plans = lab.kvsh("show plans")
    tap.contains(plans.out, "8 RepNode-Deploy", "show plans")
    for line in ("show plans", "show plan -last -verbose", "show plan -id 8", "show topology", "show pools",
                 "show events -num 3", "ping", "verify configuration", "plan preview stop-service -service rg1-rn2",
                 "check stop -service rg1-rn2", "plan wait -id 8", "get -all"):
        run = lab.kvsh(line)
        tap.contains(run.err, why, "the note of " + line)
        tap.contains(run.err, "can be looked at", "the note of " + line)
    notes = lab.kvsh("show plans -json").json()["notes"]
    tap.ok(any(why in note for note in notes), "%s in %s" % (why, notes))


def changes_refused(why):
    """What changes the store or the journal is refused before anything is done."""
    for line in ("plan stop-service -service rg1-rn2 -wait", "plan stop-service -service rg1-rn2 -noexecute",
                 "plan execute -id 9 -wait", "plan cancel -id 9", "plan interrupt -id 9",
                 "change-policy -params headroomPercent=70", "pool create -name other"):
        run = lab.kvsh(line, want=1)
        tap.contains(run.err, "nothing can be changed", line)
        tap.contains(run.err, why, line)
    tap.equal(lab.services()["rg1-rn2"]["state"], "running", "the service that was not stopped")


def deployed():
    """A store whose plans are kept there"""
    lab.start()
    lab.deploy()
    lab.kvsh("put -key k -value v")
    lab.kvsh("plan stop-service -service rg1-rn2 -noexecute")


def full():
    """Full: looking works, changing is refused, and nothing is left when there is space again"""
    state.fill()
    looked_at(FULL)
    changes_refused(FULL)
    state.empty()
    tap.lacks(lab.kvsh("show plans").err, "looked at", "the note afterwards")
    tap.equal(lab.plan_state(9), "APPROVED", "state of the plan")


def runs_full():
    """Full in the middle of a plan: whoever waits is told, and the plan goes on when there is space again"""
    lab.kvsh("plan restart-service -all-rns")
    waiting = lab.spawn("plan wait -last")
    state.fill()
    wait_for(lambda: not [p for p in kvtest.processes_of(lab.folder) if b"run-plan" in kvtest._proc(p, "cmdline")],
             "the runner ends", 60)
    out, _ = waiting.communicate(timeout=60)
    tap.ok(waiting.returncode in (1, 4) and "no space left" in out, "who waited is told (%d): %s" % (waiting.returncode, out))
    run = lab.kvsh("plan wait -last", want=4)
    tap.contains(run.err, "no space left", "plan wait")
    tap.contains(lab.kvsh("show plan -last").out, "INTERRUPTED", "show plan")
    state.empty()
    lab.kvsh("plan execute -last -wait")


def read_only():
    """Read-only: the same; what a killed process left in the journal's log is seen, too"""
    crash = dict(os.environ, **lab.environment(KVSH_CRASH_AT="2"))
    done = subprocess.run(lab.command("plan", "cancel", "-id", "9"), env=crash, stdin=subprocess.DEVNULL, check=False)
    tap.equal(done.returncode, -9, "status of a shell killed behind its commit")
    log = os.path.join(state.path, STORE, "journal.db-wal")
    tap.ok(os.path.getsize(log) > 0, "the log holds what was committed last")
    state.read_only(True)
    looked_at(READ_ONLY)
    tap.equal(lab.plan_state(9), "CANCELED", "state of the plan")
    state.read_only(False)
    lab.kvsh("plan stop-service -service rg1-rn2 -noexecute")
    state.read_only(True)
    for line in ("plan execute -last -wait", "plan cancel -last", "plan stop-service -service rg1-rn2"):
        tap.contains(lab.kvsh(line, want=1).err, "nothing can be changed", line)
    state.read_only(False)
    lab.kvsh("plan execute -last -wait")


def prompt():
    """At a prompt the note goes as soon as the journal can be written again"""
    shell = lab.prompt()
    tap.lacks(shell.type("show plans"), "looked at", "the prompt before")
    state.read_only(True) if not isinstance(state, Tmpfs) else state.fill()
    printed = shell.type("plan start-service -service rg1-rn2 -wait")
    tap.ok(any(why in printed for why in ("nothing can be changed", "no space left", "permission denied")),
           "refused in\n" + printed)
    tap.contains(shell.type("show plans"), "RepNode-Deploy", "the prompt meanwhile")
    state.read_only(False) if not isinstance(state, Tmpfs) else state.empty()
    tap.contains(shell.type("plan start-service -service rg1-rn2 -wait"), "ended successfully", "the prompt afterwards")
    tap.equal(shell.quit(), 0, "status of the prompt")


def nothing_left():
    """Nothing that was started remains"""
    state.close()
    lab.everything_ended()


if __name__ == "__main__":
    tap.main([deployed, full] + ([runs_full] if isinstance(state, Tmpfs) else []) + [read_only, prompt], nothing_left)
