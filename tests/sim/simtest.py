"""A running simulator, raw requests to it, and checks of answers."""
from __future__ import annotations

import base64
import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.parse
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Tuple

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import tap  # noqa: E402  (lies one folder up)

FORM = "application/x-www-form-urlencoded"
ADMIN = "Basic " + base64.b64encode(b"Administrator:password").decode()


@dataclass
class Answer:
    """What came back."""

    status: int
    ctype: Optional[str]
    body: bytes
    headers: Dict[str, str]

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def form(*pairs: Tuple[str, str]) -> str:
    """A body with everything encoded."""
    return urllib.parse.urlencode(pairs, quote_via=urllib.parse.quote, safe="")


class Sim:
    """A simulator process; use it in a `with` statement."""

    def __init__(self, scenario: Dict[str, Any], life: float = 120.0) -> None:
        # The pipe to stdin ends with this process, and the simulator with it.
        self.process = subprocess.Popen(
            [sys.executable, "-B", os.path.join(HERE, "couchbase"), "--life", str(life),
             "--json", json.dumps(scenario)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the simulator did not start")
        self.start = json.loads(line)
        rows = self.start["nodes"] + self.start["spares"]
        self.host = {row["name"]: row["hostname"] for row in rows}
        self.otp = {row["name"]: row["otpNode"] for row in rows}
        self.tls = {row["name"]: row.get("tls") for row in rows}
        self.uuid = self.start["clusterUUID"]

    def __enter__(self) -> "Sim":
        return self

    def __exit__(self, *_: Any) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def send(self, method: str, path: str, body: Optional[str] = None, node: str = "n1",
             auth: Optional[str] = ADMIN, ctype: str = FORM,
             headers: Optional[Dict[str, str]] = None, timeout: float = 20.0) -> Answer:
        """One request on a connection of its own, the body as it is."""
        conn = http.client.HTTPConnection(self.host[node], timeout=timeout)
        sent = dict(headers or {})
        if auth:
            sent["Authorization"] = auth
        if body is not None:
            sent["Content-Type"] = ctype
        try:
            conn.request(method, path, body, sent)
            got = conn.getresponse()
            return Answer(got.status, got.getheader("Content-Type"), got.read(),
                          {k.lower(): v for k, v in got.getheaders()})
        finally:
            conn.close()

    def get(self, path: str, node: str = "n1") -> Any:
        """JSON of a GET that has to succeed."""
        answer = self.send("GET", path, node=node)
        if answer.status != 200:
            raise AssertionError(f"GET {path}: {answer.status} {answer.text}")
        return answer.json

    def post(self, path: str, *pairs: Tuple[str, str], node: str = "n1",
             timeout: float = 20.0) -> Answer:
        """An encoded form."""
        return self.send("POST", path, form(*pairs), node=node, timeout=timeout)

    def stream(self, path: str, end: bytes) -> bytes:
        """The first document of an answer that goes on."""
        conn = http.client.HTTPConnection(self.host["n1"], timeout=10)
        try:
            conn.request("GET", path, headers={"Authorization": ADMIN})
            answer, data = conn.getresponse(), b""
            while end not in data:
                data += answer.read1(65536) or b""
            return data[:data.index(end)]
        finally:
            conn.close()

    def later(self, path: str, *pairs: Tuple[str, str], node: str = "n1") -> Callable[[], Answer]:
        """A form sent in the background; call the result for the answer."""
        box: List[Any] = []

        def work() -> None:
            try:
                box.append(self.post(path, *pairs, node=node))
            except (OSError, http.client.HTTPException) as bad:
                box.append(bad)
        thread = threading.Thread(target=work)
        count = len(self.control("log")["requests"])
        thread.start()
        deadline = time.monotonic() + 10
        while len(self.control("log")["requests"]) <= count and time.monotonic() < deadline:
            time.sleep(0.01)

        def result() -> Answer:
            thread.join(20)
            if not box or isinstance(box[0], Exception):
                raise AssertionError(f"{path}: {box}")
            return box[0]  # type: ignore[no-any-return]
        return result

    def control(self, call: str, **spec: Any) -> Any:
        """One call of the control interface."""
        conn = http.client.HTTPConnection(self.start["control"], timeout=30)
        try:
            conn.request("POST", "/" + call, json.dumps(spec))
            answer = json.loads(conn.getresponse().read())
        finally:
            conn.close()
        if "error" in answer:
            raise AssertionError(f"control {call}: {answer['error']}")
        return answer

    def advance(self, seconds: float) -> None:
        """Lets virtual time pass."""
        self.control("clock", advance=seconds)

    def member(self, name: str, node: str = "n1") -> Optional[Dict[str, Any]]:
        """A node's entry in /pools/default."""
        rows = [row for row in self.get("/pools/default", node)["nodes"]
                if row["otpNode"] == self.otp[name]]
        return rows[0] if rows else None

    def membership(self, *names: str, node: str = "n1") -> List[str]:
        """Membership and recovery type, e.g. "inactiveAdded/delta"; "-" for no member."""
        result = []
        for name in names:
            row = self.member(name, node)
            result.append(f"{row['clusterMembership']}/{row['recoveryType']}" if row else "-")
        return result

    def task(self, node: str = "n1") -> Dict[str, Any]:
        """The rebalance entry of the task list."""
        rows = [t for t in self.get("/pools/default/tasks", node) if t["type"] == "rebalance"]
        assert len(rows) == 1
        return rows[0]

    def all_nodes(self) -> str:
        """knownNodes."""
        return ",".join(row["otpNode"] for row in self.get("/pools/default")["nodes"])

    def settle(self, seconds: float = 60.0) -> None:
        """Lets the running operation come to its end."""
        self.advance(seconds)
        assert self.task()["status"] == "notRunning"


# --- checks --------------------------------------------------------------------------------------

CASES: List[Callable[[], None]] = []


def case(function: Callable[[], None]) -> Callable[[], None]:
    """Registers a test; its name in words is what TAP shows."""
    function.__doc__ = function.__doc__ or function.__name__.replace("_", " ")
    CASES.append(function)
    return function


def same(got: Any, want: Any, what: str) -> bool:
    """Equality; a compiled pattern searches in text, a function decides."""
    if isinstance(want, re.Pattern):
        good = isinstance(got, str) and want.search(got) is not None
    elif callable(want):
        good = bool(want(got))
    else:
        good = got == want
    return good or bool(tap.fail(f"{what}: got {got!r}, want {want!r}"))


def expect(got: Answer, status: int, shape: str, body: Any, what: str) -> None:
    """Status, kind of body (text, json, empty) and content."""
    kinds = {"text": "text/plain", "json": "application/json", "empty": None}
    same(got.status, status, what + ": status")
    same(got.ctype, kinds[shape], what + ": content type")
    if shape != "json":
        same(got.text, "" if shape == "empty" else body, what)
        return
    try:
        document = got.json
    except ValueError:
        tap.fail(f"{what}: no JSON: {got.text!r}")
        return
    same(document, body, what)
