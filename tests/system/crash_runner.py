#!/usr/bin/env python3
"""kill -9 of the runner in the middle of plan deploy-topology; plan execute goes on from there."""
import crashes
import tap
from kvtest import wait_for


def runner():
    """The runner is killed"""
    def victim(lab, shell):
        if not crashes.kill_runner(lab):
            return ("SUCCEEDED",)
        status, state = shell.wait(60), lab.plan_state(crashes.PLAN)
        if state == "APPROVED":  # it was still taking the lease
            tap.equal(status, 1, "status of the waiting shell")
            return ("APPROVED",)
        if state == "SUCCEEDED":  # it had written so
            tap.equal(status, 0, "status of the waiting shell")
            return ("SUCCEEDED",)
        tap.ok(status == 4, "the waiting shell says that the plan was interrupted (status %s)" % status)
        return ("INTERRUPTED",)
    crashes.several((0.1, 0.5, 1.0, 1.8), victim)


def shell_and_runner():
    """The shell and the runner are killed together"""
    def victim(lab, shell):
        wait_for(lambda: crashes.runner_of(lab) or lab.plan_state(crashes.PLAN) in crashes.ENDS, "there is a runner",
                 every=0.01)
        shell.kill()
        shell.wait()
        return ("INTERRUPTED", "APPROVED") if crashes.kill(crashes.runner_of(lab)) else ("SUCCEEDED",)
    crashes.several((0.3, 1.3), victim)


if __name__ == "__main__":
    tap.main([runner, shell_and_runner])
