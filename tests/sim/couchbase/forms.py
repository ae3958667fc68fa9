"""Form bodies and query strings, read without mercy.

The real server ignores some of what is refused here (parameters it does not know, raw `@` and
`,` in a body). A client that sends such things was not written from the facts, so it fails.
"""
from __future__ import annotations

import json
import re
from typing import Any, Dict, Iterable, List, Optional, Tuple

from .wire import Refused, Request, errors, text

FORM_TYPE = "application/x-www-form-urlencoded"
STRICT = re.compile(r"(?:[A-Za-z0-9\-._~*+]|%[0-9A-Fa-f]{2})*\Z")
LOOSE = re.compile(r"(?:[^%&=\s]|%[0-9A-Fa-f]{2})*\Z")
UNSUPPORTED = "Unsupported key"
TWICE = "Key specified more than once"
MISSING = "The value must be supplied"


def decode(raw: str, strict: bool) -> str:
    """One percent-encoded name or value."""
    if not (STRICT if strict else LOOSE).match(raw):
        raise Refused(text(400, f"Bad request: not percent-encoded: {raw[:80]}"))
    data = re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes([int(m.group(1), 16)]),
                  raw.replace("+", " ").encode())
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Refused(text(400, "Bad request: not UTF-8")) from None


def pairs_of(raw: str, strict: bool) -> List[Tuple[str, str]]:
    """Names and values of a form or query, in order."""
    result = []
    for part in raw.split("&") if raw else []:
        name, sign, value = part.partition("=")
        if not name or not sign:
            raise Refused(text(400, f"Bad request: malformed parameter: {part[:80]}"))
        result.append((decode(name, strict), decode(value, strict)))
    return result


class Form:
    """Parameters with the checks every endpoint needs."""

    def __init__(self, pairs: List[Tuple[str, str]]) -> None:
        self.pairs = pairs

    def names(self) -> List[str]:
        """Names in order, each once."""
        return list(dict.fromkeys(name for name, _ in self.pairs))

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self.pairs)

    def many(self, name: str) -> List[str]:
        """All values of a repeatable key."""
        return [value for key, value in self.pairs if key == name]

    def one(self, name: str) -> Optional[str]:
        """The value of a key, None when absent."""
        values = self.many(name)
        return values[0] if values else None

    def listed(self, name: str) -> List[str]:
        """A comma list; empty when absent or empty."""
        return [word for word in (self.one(name) or "").split(",") if word]

    def problems(self, known: Iterable[str], repeatable: Iterable[str] = ()) -> Dict[str, str]:
        """Unknown and repeated keys."""
        allowed, again = set(known), set(repeatable)
        found = {}
        for name in self.names():
            if name not in allowed | again:
                found[name] = UNSUPPORTED
            elif name not in again and len(self.many(name)) > 1:
                found[name] = TWICE
        return found

    def only(self, *known: str, repeatable: Iterable[str] = ()) -> "Form":
        """Refuses unknown and repeated keys."""
        found = self.problems(known, repeatable)
        if found:
            raise Refused(errors(found))
        return self


def read_form(request: Request, strict: bool) -> Form:
    """The body of a POST or PUT as a form."""
    if not request.body:
        return Form([])
    ctype = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if ctype != FORM_TYPE:
        raise Refused(text(400, f"Bad request: Content-Type {ctype or '(none)'} is not a form"))
    try:
        raw = request.body.decode("ascii")
    except UnicodeDecodeError:
        raise Refused(text(400, "Bad request: not percent-encoded")) from None
    return Form(pairs_of(raw, strict))


def read_json(request: Request) -> Any:
    """The body of the few calls that want JSON."""
    ctype = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if ctype != "application/json":
        raise Refused(text(400, f"Bad request: Content-Type {ctype or '(none)'} is not JSON"))
    try:
        return json.loads(request.body)
    except ValueError:
        raise Refused(errors({"_": "Invalid Json"})) from None


def no_body(request: Request) -> None:
    """Refuses a body where none belongs."""
    if request.body:
        raise Refused(text(400, "Bad request: no body expected"))


class Checker:
    """Collects errors by field, as the validator-based endpoints do."""

    def __init__(self, form: Form, known: Iterable[str], repeatable: Iterable[str] = ()) -> None:
        self.form = form
        self.found = form.problems(known, repeatable)

    def fail(self, name: str, sentence: str) -> None:
        """The first error of a field stays."""
        self.found.setdefault(name, sentence)

    def require(self, *names: str) -> None:
        """Keys that must be there."""
        for name in names:
            if name not in self.form:
                self.fail(name, MISSING)

    def boolean(self, name: str, default: Any = None) -> Any:
        """true or false."""
        value = self.form.one(name)
        if value is None:
            return default
        if value not in ("true", "false"):
            self.fail(name, "The value must be one of the following: [true,false]")
            return default
        return value == "true"

    def integer(self, name: str, low: int, high: int, default: Any = None) -> Any:
        """A number in a range."""
        value = self.form.one(name)
        if value is None:
            return default
        if not re.match(r"-?[0-9]+\Z", value):
            self.fail(name, "The value must be an integer")
            return default
        if not low <= int(value) <= high:
            self.fail(name, f"The value must be in range from {low} to {high} (inclusive)")
            return default
        return int(value)

    def choice(self, name: str, values: List[str], default: Any = None) -> Any:
        """One of some words."""
        value = self.form.one(name)
        if value is None:
            return default
        if value not in values:
            self.fail(name, f"The value must be one of the following: [{','.join(values)}]")
            return default
        return value

    def done(self) -> None:
        """Refuses when anything was wrong."""
        if self.found:
            raise Refused(errors(self.found))
