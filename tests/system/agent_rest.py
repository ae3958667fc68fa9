#!/usr/bin/env python3
"""The agent's REST interface: every route, what it does and what it refuses."""
import json
import os
import time

import kvtest
import tap
from agentlab import (SECRET, as_json, ask, define, definition, events, finish, form, operate, redis, register,
                      request_bytes, secrets_in, service, start, stop, wait_operation, wire)
from kvtest import STORE, wait_for

lab = kvtest.Lab(dirs=(2,), capacity=2)
node = lab.nodes[0]
S = "/v1/services/rg1-rn1"


def starts():
    """A fresh node answers and belongs to no store"""
    lab.start()
    doc = ask(node, "GET", "/v1/node")
    tap.equal(doc["node"]["id"], None, "id")
    tap.equal(doc["node"]["store"], None, "store")
    tap.equal(doc["node"]["haRange"], [node.port + 2, node.port + 9], "haRange")
    tap.equal(doc["node"]["root"], node.root, "root")
    tap.equal([d["state"] for d in doc["storageDirs"]], ["ok", "ok"], "state of the directories")
    tap.equal(doc["services"], [], "services")
    tap.equal(doc["metadata"], None, "metadata")
    tap.equal(len(doc["agent"]["instance"]), 16, "length of instance")
    ask(node, "PUT", S, definition(node), 409, "not_registered")


def health():
    """/live and /ready need no token, /metrics does"""
    for path in ("/live", "/ready"):
        raw = wire(node, request_bytes(node, "GET", path, Authorization=None))
        tap.contains(raw.decode(), "200 OK", path)
    raw = wire(node, request_bytes(node, "GET", "/metrics", Authorization=None)).decode()
    tap.contains(raw, "401", "metrics without a token")
    raw = wire(node, request_bytes(node, "GET", "/metrics")).decode()
    tap.contains(raw, "application/openmetrics-text", "type of metrics")
    tap.ok(raw.endswith("# EOF\n"), "metrics end with # EOF")
    tap.contains(raw, 'kvagentd_storage_dir_ok{path="%s"} 1' % node.dirs[0], "metrics")


def tokens():
    """A missing, wrong or misspelled token is refused, the same everywhere"""
    for path in ("/v1/node", "/v1/nowhere", "/v1/services/rg1-rn1/start"):
        for value in (None, "Bearer wrong", "Bearer ", "Basic " + lab.token, "Bearer " + lab.token[:-1],
                      "Bearer " + lab.token + "x"):
            raw = wire(node, request_bytes(node, "GET", path, Authorization=value))
            tap.contains(raw.decode(), "HTTP/1.1 401", "%s with %s" % (path, value))
            tap.contains(raw.decode(), "WWW-Authenticate: Bearer", "%s with %s" % (path, value))
            tap.equal(as_json(raw)["code"], "unauthorized", "code of " + path)


def paths():
    """Unknown paths are 404, known ones with another method 405"""
    for path in ("/", "/v1", "/v1/", "/v1/nodes", "/v1/node/", "/v1/services", "/v1/services/", "/v1/services/x/y/z",
                 "/v1/services/rg1-rn1/explode", "/v1/services/..%2f..%2fetc/start", "/v2/node"):
        ask(node, "GET", path, None, 404, "not_found")
    for method, path in (("POST", "/v1/node"), ("DELETE", "/v1/events"), ("GET", S), ("PATCH", S),
                         ("GET", S + "/start"), ("PUT", "/live"), ("OPTIONS", "/v1/node")):
        ask(node, method, path, None, 405, "method_not_allowed")
    raw = wire(node, request_bytes(node, "GET", S)).decode()
    tap.contains(raw, "Allow: PUT, DELETE", "header of a 405")
    raw = wire(node, request_bytes(node, "HEAD", "/v1/node")).decode()
    tap.contains(raw, "200 OK", "HEAD")
    tap.ok(raw.endswith("\r\n\r\n"), "HEAD has no body")


def registration():
    """PUT /v1/node: once, again, differently, wrongly"""
    good = {"store": STORE, "id": "sn1", "zone": "zn1", "secret": SECRET}
    bad = [({"store": "../x"}, "store"), ({"store": ".."}, "store"), ({"store": ""}, "store"), ({"store": "a/b"}, "store"),
           ({"store": "log"}, "store"), ({"store": "x" * 256}, "store"), ({"id": "sn0"}, "id"), ({"id": "rg1"}, "id"),
           ({"id": "sn1234567"}, "id"), ({"zone": "1"}, "zone"), ({"secret": "short"}, "secret"),
           ({"secret": SECRET[:-1] + "G"}, "secret"), ({"store": 5}, "store"), ({"unheard": 1}, "unheard")]
    for change, name in bad:
        answer = ask(node, "PUT", "/v1/node", dict(good, **change), 422, "invalid")
        tap.contains(answer["detail"], name, "detail")
        tap.lacks(answer["detail"], SECRET, "detail")
    ask(node, "PUT", "/v1/node", {k: v for k, v in good.items() if k != "secret"}, 422, "invalid")
    register(node)
    register(node)
    ask(node, "PUT", "/v1/node", {k: v for k, v in good.items() if k != "secret"})
    ask(node, "PUT", "/v1/node", dict(good, store="other"), 409, "node_taken")
    ask(node, "PUT", "/v1/node", dict(good, id="sn2"), 409, "node_taken")
    ask(node, "PUT", "/v1/node", dict(good, zone="zn2"), 409, "differs")
    ask(node, "PUT", "/v1/node", dict(good, secret="f" * 64), 409, "differs")
    tap.equal(ask(node, "GET", "/v1/node")["node"]["zone"], "zn1", "zone")
    path = os.path.join(node.root, STORE, "secret")
    tap.equal(os.stat(path).st_mode & 0o777, 0o600, "mode of the secret")


def definitions():
    """PUT /v1/services: new, again, different, and everything that makes no sense"""
    good = definition(node, params={"maxmemory": "100mb"})
    bad = [({"port": 1}, "port"), ({"busPort": 99999}, "busPort"), ({"port": good["busPort"]}, "port"),
           ({"storageDir": "/etc"}, "storageDir"), ({"storageDir": node.dirs[0] + "/../disk2"}, "storageDir"),
           ({"shard": "rg2"}, "shard"), ({"shard": "x\n"}, "shard"), ({"kind": "admin"}, "kind"),
           ({"kind": "ssh"}, "kind"), ({"port": "13"}, "port"), ({"port": 1.5}, "port"), ({"extra": None}, "extra"),
           ({"params": {"dir": "/etc"}}, "dir"), ({"params": {"maxmemory": "100mb\nport 1"}}, "maxmemory"),
           ({"params": {"maxmemory": 5}}, "maxmemory"), ({"params": {"appendfsync": "sometimes"}}, "appendfsync"),
           ({"params": []}, "params")]
    for change, name in bad:
        answer = ask(node, "PUT", S, dict(good, **change), 422, "invalid")
        tap.contains(answer["detail"], name, "detail")
    for name in ("rg0-rn1", "rg1-rn", "rg1", "sn1", "rg1-rn1-rn2", "admin0", "rg01-rn1", "rg1-rn1234567"):
        ask(node, "PUT", "/v1/services/" + name, good, 422, "invalid")
    for missing in ("kind", "shard", "storageDir", "port", "busPort"):
        answer = ask(node, "PUT", S, {k: v for k, v in good.items() if k != missing}, 422, "invalid")
        tap.contains(answer["detail"], missing, "detail")
    tap.equal(node.services(), {}, "services after refusals")
    ask(node, "PUT", S, good, 201)
    ask(node, "PUT", S, good, 200)
    for change, name in (({"port": good["port"] + 3}, "port"), ({"storageDir": node.dirs[1]}, "storageDir"),
                         ({"params": {}}, "params")):
        tap.contains(ask(node, "PUT", S, dict(good, **change), 409, "differs")["detail"], name, "detail")
    answer = ask(node, "PUT", "/v1/services/rg2-rn1", definition(node, "rg2", offset=3), 422, "invalid")
    tap.contains(answer["detail"], "rg1-rn1", "detail of a port that is used")
    ask(node, "PUT", "/v1/services/rg2-rn1", definition(node, "rg2", 1, 4), 201)
    ask(node, "PUT", "/v1/services/rg3-rn1", definition(node, "rg3", 1, 6), 409, "capacity")
    ask(node, "DELETE", "/v1/services/rg2-rn1")
    ask(node, "DELETE", "/v1/services/rg2-rn1")
    tap.equal(sorted(node.services()), ["rg1-rn1"], "services")
    s = service(node)
    tap.equal((s["state"], s["wanted"], s["neverStarted"], s["pid"]), ("stopped", "down", True, 0), "a new service")
    tap.equal(s["params"], {"maxmemory": "100mb"}, "params")
    tap.equal(os.listdir(node.dirs[0]), [], "a definition creates nothing on the disk")


def bodies():
    """Bodies that are no JSON, no object, too large, repeated or cut"""
    cases = [(b"", 422), (b"{", 422), (b"[]", 422), (b"null", 422), (b'"x"', 422), (b"<html>", 422), (b"\xff\xfe", 422),
             (b'{"store":"a\\u0000b"}', 422), (b'{"a":' * 100, 422), (b'{"store":"x","store":"y"}', 422),
             (b'{"store":"' + b"x" * 70000 + b'"}', 413)]
    for body, status in cases:
        answer = as_json(wire(node, request_bytes(node, "PUT", "/v1/node", body)))
        tap.equal(answer["status"], status, "status for %r" % body[:20])
    chunked = request_bytes(node, "PUT", "/v1/node", Content_Length=None, Transfer_Encoding="chunked")
    raw = wire(node, chunked + b"8000\r\n" + b"x" * 0x8000 + b"\r\n" + (b"8000\r\n" + b"x" * 0x8000 + b"\r\n") * 2 +
               b"0\r\n\r\n")
    tap.equal(as_json(raw)["code"], "too_large", "a chunked body that is too large")
    raw = wire(node, chunked + b"2\r\n{}\r\n0\r\n\r\n")
    tap.equal(as_json(raw)["code"], "invalid", "a chunked body")
    answer = ask(node, "POST", S + "/start", {"allowEmpty": "yes"}, 422, "invalid")
    tap.contains(answer["detail"], "allowEmpty", "detail")
    ask(node, "POST", S + "/stop", {"force": True}, 422, "invalid")


def queries():
    """Unknown, repeated or senseless query parameters are refused"""
    for query in ("x=1", "after=-1", "after=a", "after=", "limit=0", "limit=5000", "wait=61", "wait=1.5", "after=1&after=2",
                  "after=99999999999999999999", "after", "wait=%00"):
        ask(node, "GET", "/v1/events?" + query, None, 422, "invalid")
    ask(node, "GET", "/v1/node?verbose=1", None, 422, "invalid")
    ask(node, "PUT", "/v1/node?x", {}, 422, "invalid")
    ask(node, "GET", "/v1/events?" + "&".join("a%d=1" % i for i in range(20)), None, 422, "invalid")
    ask(node, "GET", "/v1/operations/1?wait=x", None, 422, "invalid")
    for number in ("0", "1", "x", "99999999999999999999"):
        ask(node, "GET", "/v1/operations/" + number, None, 404, "unknown_operation")


def not_running():
    """Orders to a service that does not run, or that is not there"""
    orders = {"meet": {"host": "127.0.0.1", "port": 1, "busPort": 2}, "set-epoch": {"epoch": 1},
              "add-slots": {"ranges": [[0, 1]]}, "replicate": {"nodeId": "a" * 40}, "forget": {"nodeId": "a" * 40},
              "failover": {"mode": "graceful"}, "data": {"op": "get", "key": "a"}}
    for order, body in orders.items():
        ask(node, "POST", S + "/" + order, body, 409, "not_running")
        ask(node, "POST", "/v1/services/rg9-rn9/" + order, body, 404, "unknown_service")
    ask(node, "POST", "/v1/services/rg9-rn9/start", {}, 404, "unknown_service")
    ask(node, "POST", "/v1/services/rg9-rn9/stop", {}, 404, "unknown_service")
    tap.equal(ask(node, "POST", S + "/stop", {})["result"], "already stopped", "stop of a stopped one")


def starting():
    """A start is an operation; starting the started is success"""
    begun = ask(node, "POST", S + "/start", {}, 202)
    again = ask(node, "POST", S + "/start", {}, 202) if service(node)["busy"] else begun
    tap.equal(again, begun, "a start that is under way is not begun twice")
    op = wait_operation(node, begun["operation"])
    tap.equal(op["state"], "succeeded", "state: %s" % op)
    tap.equal((op["action"], op["service"], op["percent"], op["problem"]), ("start", "rg1-rn1", 100, None), "operation")
    tap.equal(ask(node, "POST", S + "/start", {})["result"], "already running", "again")
    s = service(node)
    tap.equal((s["state"], s["wanted"], s["neverStarted"], s["busy"]), ("running", "up", False, None), "service")
    tap.equal(s["redis"]["nodeId"], s["redis"]["expectedNodeId"], "identity")
    tap.equal(s["redis"]["role"], "primary", "role")
    tap.equal(s["redis"]["maxMemory"], 100 << 20, "maxmemory")
    ask(node, "DELETE", S, None, 409, "running")
    ask(node, "DELETE", "/v1/node", None, 409, "running")
    raw = wire(node, request_bytes(node, "POST", S + "/stop", b"{}")).decode()
    tap.contains(raw, "Location: /v1/operations/", "header of an operation")
    wait_for(lambda: service(node)["state"] == "stopped", "stopped")
    start(node)


def files():
    """Files are the owner's alone, and the password is in none but its own"""
    loose = []
    for top in [node.root] + node.dirs:
        for folder, _, names in os.walk(top):
            loose += [p for p in (os.path.join(folder, n) for n in names) if os.stat(p).st_mode & 0o077]
    tap.equal(loose, [], "files that others can read")
    tap.equal(secrets_in(lab.folder), [], "files with the password")
    pid = service(node)["pid"]
    with open("/proc/%d/environ" % pid, "rb") as f:
        tap.lacks(f.read(), SECRET.encode(), "environment")
    with open("/proc/%d/cmdline" % pid, "rb") as f:
        tap.lacks(f.read(), SECRET.encode(), "command line")
    fds = {os.readlink("/proc/%d/fd/%s" % (pid, fd)) for fd in os.listdir("/proc/%d/fd" % pid)}
    tap.equal([f for f in fds if f.endswith(("events.jsonl", "sn1_0.log", "kvroot/kvagentd.lock"))], [],
              "descriptors of the agent in the service")
    tap.ok(any(f.endswith("env/kvagentd.lock") for f in fds), "the lock of the data directory in the service")
    tap.lacks(json.dumps(ask(node, "GET", "/v1/node")), SECRET, "node document")
    tap.lacks(json.dumps(events(node)), SECRET, "events")


def forming():
    """set-epoch, add-slots, meet, replicate, forget: repeatable, and refused when they make no sense"""
    tap.equal(ask(node, "POST", S + "/set-epoch", {"epoch": 7})["result"], "set", "set-epoch")
    tap.equal(ask(node, "POST", S + "/set-epoch", {"epoch": 7})["result"], "already", "set-epoch again")
    ask(node, "POST", S + "/set-epoch", {"epoch": 8}, 502, "store_error")
    ask(node, "POST", S + "/set-epoch", {"epoch": 0}, 422, "invalid")
    for ranges in ([[0]], [[0, 16384]], [[5, 4]], [["0", 1]], [[-1, 0]], {}, [[0, 1, 2]], [[0.5, 1]]):
        ask(node, "POST", S + "/add-slots", {"ranges": ranges}, 422, "invalid")
    tap.equal(ask(node, "POST", S + "/add-slots", {"ranges": [[0, 99], [200, 200]]})["result"], "added", "add-slots")
    tap.equal(ask(node, "POST", S + "/add-slots", {"ranges": [[0, 99], [200, 200]]})["result"], "already", "again")
    tap.equal(ask(node, "POST", S + "/add-slots", {"ranges": [[0, 16383]]})["result"], "added", "the difference")
    me = [n for n in service(node)["redis"]["nodes"] if "myself" in n["flags"]][0]
    tap.equal(me["slots"], [[0, 16383]], "slots")
    tap.equal(me["epoch"], 7, "epoch")
    ask(node, "POST", S + "/replicate", {"nodeId": me["id"]}, 502, "store_error")
    ask(node, "POST", S + "/replicate", {"nodeId": "A" * 40}, 422, "invalid")
    ask(node, "POST", S + "/replicate", {"nodeId": "b" * 40}, 502, "store_error")
    tap.equal(ask(node, "POST", S + "/forget", {"nodeId": "b" * 40})["result"], "already", "forget of an unknown one")
    ask(node, "POST", S + "/forget", {"nodeId": me["id"]}, 502, "store_error")
    ask(node, "POST", S + "/meet", {"host": "nowhere.invalid", "port": 5, "busPort": 6}, 422, "invalid")
    ask(node, "POST", S + "/meet", {"host": "127.0.0.1", "port": 0, "busPort": 6}, 422, "invalid")
    tap.equal(ask(node, "POST", S + "/failover", {"mode": "graceful"})["result"], "already primary", "failover")
    ask(node, "POST", S + "/failover", {"mode": "now"}, 422, "invalid")
    wait_for(lambda: service(node)["redis"]["clusterState"] == "ok", "cluster state ok")


def data():
    """put, get, delete, scan; strange keys and values; other types"""
    def look(status=200, code=None, **body):
        return ask(node, "POST", S + "/data", body, status, code)
    tap.equal(look(op="put", key="/a", value="HELLO WORLD"), {"inserted": True, "copies": 0}, "put")
    tap.equal(look(op="put", key="/a", value="again")["inserted"], False, "put again")
    tap.equal(look(op="get", key="/a"), {"value": "again"}, "get")
    tap.equal(look(op="get", key="/none"), {"value": None}, "get of nothing")
    strange = "b l\u00e4nk\"\\\n\t\u4e16\U0001f600"
    look(op="put", key=strange, value=strange * 100)
    tap.equal(look(op="get", key=strange)["value"], strange * 100, "a strange value")
    big = "x" * (1 << 20)
    look(op="put", key="big", value=big)
    tap.equal(look(op="get", key="big")["value"], big, "a value of 1 MiB")
    look(422, "invalid", op="put", key="big", value=big + "x")
    r = redis(node)
    r.call("RPUSH", "list", "1")
    r.call("SET", b"bin\xff", b"\x00\xff")
    tap.equal(look(op="get", key="list", status=502, code="store_error")["code"], "store_error", "get of a list")
    look(502, "store_error", op="put", key="list", value="x")
    items, cursor = {}, "0"
    while True:
        page = look(op="scan", cursor=cursor, count=2)
        items.update({i["key"]: i for i in page["items"]})
        cursor = page["cursor"]
        if cursor == "0":
            break
    tap.equal(sorted(items), sorted(["/a", strange, "big", "list", "bin\\xff"]), "keys of the scan")
    tap.equal(items["/a"], {"key": "/a", "value": "again"}, "an item")
    tap.equal((items["list"]["value"], items["list"]["type"]), (None, "list"), "a list")
    tap.equal((items["bin\\xff"]["value"], items["bin\\xff"]["type"]), (None, "binary"), "bytes")
    r.call("SET", "raw", b"a\x00\xff\xc3\xa4")
    tap.equal(look(op="get", key="raw"), {"value": None, "type": "binary", "escaped": "a\\x00\\xff\u00e4"}, "bytes")
    tap.equal(look(op="delete", key="raw"), {"deleted": True}, "delete of bytes")
    tap.equal(look(op="delete", key="/a"), {"deleted": True}, "delete")
    tap.equal(look(op="delete", key="/a"), {"deleted": False}, "delete again")
    for body in ({"op": "flush"}, {"op": "get"}, {"op": "put", "key": "a"}, {"op": "get", "key": "a", "value": "b"},
                 {"op": "scan", "key": "a"}, {"op": "scan", "cursor": "x"}, {"op": "scan", "count": 0},
                 {"op": "scan", "cursor": ""}):
        ask(node, "POST", S + "/data", body, 422, "invalid")
    r.call("CONFIG", "SET", "maxmemory", "1")
    tap.contains(look(502, "store_error", op="put", key="o", value="m")["detail"], "OOM", "detail")
    r.call("CONFIG", "SET", "maxmemory", "0")
    r.call("CLUSTER", "DELSLOTS", "12182")
    tap.contains(look(502, "store_error", op="get", key="foo")["detail"], "CLUSTERDOWN", "detail")
    r.call("CLUSTER", "ADDSLOTS", "12182")
    r.close()


def metadata():
    """GET and PUT /v1/metadata: versions, ETag, If-Match, a copy on the disk"""
    docs = {"zone": {"zn1": {"name": "Zone1"}}}
    ask(node, "GET", "/v1/metadata", None, 404, "not_found")
    ask(node, "PUT", "/v1/metadata", {"version": 1, "docs": docs}, 404, "not_found")
    ask(node, "PUT", "/v1/services/admin1", {"kind": "admin"}, 201)
    ask(node, "PUT", "/v1/services/admin1", {"kind": "admin"}, 200)
    ask(node, "PUT", "/v1/services/admin1", {"kind": "admin", "port": 1}, 422, "invalid")
    ask(node, "GET", "/v1/metadata", None, 404, "not_found")
    tap.equal(ask(node, "PUT", "/v1/metadata", {"version": 3, "docs": docs}), {"version": 3}, "put")
    tap.equal(ask(node, "GET", "/v1/metadata"), {"version": 3, "docs": docs}, "get")
    tap.contains(wire(node, request_bytes(node, "GET", "/v1/metadata")).decode(), 'ETag: "3"', "header")
    ask(node, "PUT", "/v1/metadata", {"version": 2, "docs": docs}, 412, "stale_metadata")

    def put(version, **headers):
        body = json.dumps({"version": version, "docs": docs}).encode()
        return as_json(wire(node, request_bytes(node, "PUT", "/v1/metadata", body, **headers)))
    tap.equal(put(4, If_Match='"2"').get("code"), "stale_metadata", "If-Match of another version")
    tap.equal(put(4, If_Match="2").get("code"), "invalid", "If-Match without quotes")
    tap.equal(put(4, If_Match='"3"'), {"version": 4}, "If-Match of the kept version")
    tap.equal(put(5, If_Match="*"), {"version": 5}, "If-Match *")
    for body in ({"version": 0, "docs": {}}, {"version": 6}, {"version": 6, "docs": []}, {"version": 6, "docs": {}, "x": 1}):
        ask(node, "PUT", "/v1/metadata", body, 422, "invalid")
    summary = ask(node, "GET", "/v1/node")["metadata"]
    tap.equal((summary["admin"], summary["version"]), ("admin1", 5), "summary")
    with open(os.path.join(summary["dir"], "metadata.json"), encoding="utf-8") as f:
        tap.equal(json.load(f), {"version": 5, "docs": docs}, "the copy")
    large = {"version": 6, "docs": {"x": {"y": {"t": "z" * (4 << 20)}}}}
    ask(node, "PUT", "/v1/metadata", large)
    tap.equal(ask(node, "GET", "/v1/metadata"), large, "a large one")
    head = request_bytes(node, "PUT", "/v1/metadata", Content_Length=str(17 << 20), Expect="100-continue")
    tap.equal(as_json(wire(node, head))["code"], "too_large", "more than 16 MiB")
    s = service(node, "admin1")
    tap.equal((s["kind"], s["state"], s["storageDir"], s["redis"]), ("admin", "running", None, None), "admin")
    tap.equal(ask(node, "POST", "/v1/services/admin1/start", {})["result"], "already running", "start of an admin")
    ask(node, "POST", "/v1/services/admin1/stop", {}, 422, "invalid")
    ask(node, "POST", "/v1/services/admin1/data", {"op": "get", "key": "a"}, 422, "invalid")


def event_pages():
    """Events are numbered without a gap; pages and waiting work"""
    all_events = events(node)
    tap.equal([e["seq"] for e in all_events], list(range(1, len(all_events) + 1)), "numbers")
    kinds = {e["kind"] for e in all_events}
    for kind in ("agent-started", "node-registered", "process-started", "process-stopped", "request-refused"):
        tap.ok(kind in kinds, "an event %s in %s" % (kind, kinds))
    page = ask(node, "GET", "/v1/events?after=1&limit=2")
    tap.equal([e["seq"] for e in page["events"]], [2, 3], "a page")
    tap.equal(page["next"], 3, "next")
    last = all_events[-1]["seq"]
    begin = time.monotonic()
    page = ask(node, "GET", "/v1/events?after=%d&wait=1" % last)
    tap.equal(page["events"], [], "nothing new")
    tap.equal(page["next"], last, "next when nothing is new")
    tap.ok(0.9 < time.monotonic() - begin < 20, "it waited")
    page = ask(node, "GET", "/v1/events?after=%d" % (last + 1000))
    tap.equal(page["events"][0]["seq"], 1, "a number of another life begins anew")


def refusals_are_told():
    """The log names each refused request"""
    ask(node, "PUT", "/v1/services/rg2-rn1", definition(node, "rg2", port=1), 422, "invalid")
    tap.ok(any(" WARNING [rest] refused PUT /v1/services/rg2-rn1: 422 invalid: port" in line
               for line in node.log().splitlines()), "a line about it")


def removal():
    """Stop and DELETE leave the data; the node can be unregistered then"""
    op = stop(node)
    tap.contains(op["result"], "rg1-rn1 is stopped", "result")
    ask(node, "DELETE", S)
    tap.ok(os.path.isdir(os.path.join(node.dirs[0], "rg1-rn1", "env", "appendonlydir")), "the data is still there")
    ask(node, "DELETE", "/v1/node", None, 409, "running")
    ask(node, "DELETE", "/v1/services/admin1")
    ask(node, "DELETE", "/v1/node")
    ask(node, "DELETE", "/v1/node")
    tap.equal(ask(node, "GET", "/v1/node")["node"]["store"], None, "store")
    ask(node, "PUT", "/v1/node", {"store": STORE, "id": "sn1", "zone": "zn1", "secret": "f" * 64}, 409, "differs")
    register(node)


def comes_back():
    """Data and identity are found again by a new definition; without its identity the data is refused"""
    define(node)
    start(node)
    tap.equal(service(node)["redis"]["keys"], 4, "keys")
    stop(node)
    os.unlink(os.path.join(node.root, STORE, "sn1", "rg1-rn1.nodes.conf"))
    operate(node, S + "/start", {}, "failed", "differs")
    operate(node, S + "/start", {"allowEmpty": True}, "failed", "differs")
    tap.equal(service(node)["state"], "failed", "state")


if __name__ == "__main__":
    tap.main([starts, health, tokens, paths, registration, definitions, bodies, queries, not_running, starting, files,
              forming, data, metadata, event_pages, refusals_are_told, removal, comes_back], finish(lab))
