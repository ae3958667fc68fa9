#!/usr/bin/env python3
"""What only a prompt has: history by store, shortened words, settings, leaving."""
import os

import kvcase
import tap


def at_prompt(place, lines, status=0, flags=()):
    """Types the lines; what each printed. Leaves by end of input."""
    terminal = kvcase.Terminal(place, flags)
    try:
        answers = [terminal.type(line) for line in lines]
        tap.equal(terminal.close(), status, "status of the prompt")
        return answers
    finally:
        terminal.kill()


def history_of_a_store():
    """The history is kept by store, limited by history-size, and in a file for the owner alone."""
    with kvcase.Place() as place:
        with open(place.dir + "/kvsh.conf", "w", encoding="utf-8") as f:
            f.write("[kvsh]\nhistory-size = 3\n[store a]\nengine = redis\n[store b]\nengine = redis\n")
        at_prompt(place, ["configure -name a", "store use -name a", "show plans", "show zones", "show pools", "topology list"])
        at_prompt(place, ["store use -name b", "show plans"])
        answer = at_prompt(place, ["store use -name a", "history"])[1]
        tap.contains(answer, "topology list", "history of a")
        tap.lacks(answer, "show plans\n", "history of a, limited")
        path = place.dir + "/state/a/history"
        tap.equal(os.stat(path).st_mode & 0o777, 0o600, "mode of the file")
        tap.contains(at_prompt(place, ["store use -name b", "history -last 5"])[1], "show plans", "history of b")


def shortened_words():
    """Words may be shortened as long as they are unique; what is not is refused with the candidates."""
    with kvcase.Place() as place:
        answers = at_prompt(place, ["conf -name s", "sh zo", "pla stop-s -service rg1-rn1", "sh p"], status=64)
        tap.equal(answers[0], "Store configured: s\n", "configure")
        tap.equal(answers[1], "There are no zones.\n", "show zones")
        tap.contains(answers[2], 'service "rg1-rn1" does not exist', "plan stop-service")
        for name in ("parameters", "plan", "plans", "pools"):
            tap.contains(answers[3], name, "candidates")


def settings():
    """verbose, timer and page are switched and shown; elsewhere they are refused."""
    with kvcase.Place() as place:
        answers = at_prompt(place, ["verbose on", "verbose", "page off", "timer on"])
        tap.equal(answers[0], "verbose is on\n", "verbose on")
        tap.equal(answers[1], "verbose is off\n", "verbose")
        tap.contains(answers[3], "timer is on\n", "timer on")
        tap.equal(kvcase.run(place, ["timer", "on"]).returncode, 64, "timer in a one-shot call")


def leaving():
    """exit and quit leave; the status is that of the command before."""
    with kvcase.Place() as place:
        for word in ("exit", "quit"):
            terminal = kvcase.Terminal(place)
            try:
                terminal.type("show nothing")
                terminal.send(word)
                tap.equal(terminal.wait(), 64, "status after " + word)
            finally:
                terminal.kill()


def node_at_start():
    """A node that does not answer is told before the first command, and the prompt is there."""
    with kvcase.Place() as place:
        terminal = kvcase.Terminal(place, ["-host", "127.0.0.1", "-port", "1"])
        try:
            tap.contains(terminal.greeting, "connection refused", "greeting")
            tap.contains(terminal.type("help exit"), "leave the shell", "help")
        finally:
            terminal.kill()


if __name__ == "__main__":
    tap.main([history_of_a_store, shortened_words, settings, leaving, node_at_start])
